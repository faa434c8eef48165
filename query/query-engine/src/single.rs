//! The one value of a correlated scalar subquery: `luma_only(luma_single(x))`.
//!
//! The aggregate runs for every key of the inner side, asked for or not, so it only collects; the error is raised by
//! `luma_only`, on the outer row that the subquery has two rows for.
//!
//! Invariants:
//! - No rows give NULL; a second row is PostgreSQL's error 21000.

use datafusion::arrow::array::{Array as _, ArrayRef, AsArray as _};
use datafusion::arrow::datatypes::DataType;
use datafusion::common::{Result, ScalarValue};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::function::AccumulatorArgs;
use datafusion::logical_expr::{Accumulator, AggregateUDFImpl, Signature, Volatility};
use query_api::{Error, ErrorKind};

#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct Single {
    signature: Signature,
}

impl Single {
    pub(crate) fn new() -> Self {
        Self { signature: Signature::any(1, Volatility::Immutable) }
    }
}

impl AggregateUDFImpl for Single {
    fn name(&self) -> &'static str {
        "luma_single"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        let item = arguments.first().cloned().unwrap_or(DataType::Null);
        Ok(DataType::new_list(item, true))
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        let item = match args.return_type() {
            DataType::List(item) => item.data_type().clone(),
            _ => DataType::Null,
        };
        Ok(Box::new(First { item, values: Vec::new() }))
    }
}

/// The first two values: a third says nothing new.
#[derive(Debug)]
struct First {
    item: DataType,
    values: Vec<ScalarValue>,
}

impl First {
    fn add(&mut self, array: &ArrayRef) -> Result<()> {
        for row in 0..array.len() {
            if self.values.len() > 1 {
                return Ok(());
            }
            self.values.push(ScalarValue::try_from_array(array, row)?);
        }
        Ok(())
    }

    fn list(&self) -> ScalarValue {
        ScalarValue::List(ScalarValue::new_list_nullable(&self.values, &self.item))
    }
}

impl Accumulator for First {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        values.first().map_or(Ok(()), |array| self.add(array))
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let Some(lists) = states.first().and_then(|it| it.as_list_opt::<i32>()) else {
            return Ok(());
        };
        lists.iter().flatten().try_for_each(|list| self.add(&list))
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![self.list()])
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(self.list())
    }

    fn size(&self) -> usize {
        size_of_val(self) + ScalarValue::size_of_vec(&self.values)
    }
}

/// The value of the list that [`Single`] made.
///
/// # Errors
/// 21000 when there are two.
pub(crate) fn only(args: &[ScalarValue]) -> Result<ScalarValue> {
    let Some(ScalarValue::List(list)) = args.first() else { return Ok(ScalarValue::Null) };
    if list.is_null(0) || list.value(0).is_empty() {
        return ScalarValue::try_from(&list.value_type());
    }
    let values = list.value(0);
    if values.len() > 1 {
        let message = "more than one row returned by a subquery used as an expression";
        let error = Error::new(ErrorKind::Invalid, message).with_sqlstate("21000");
        return Err(DataFusionError::External(Box::new(error)));
    }
    ScalarValue::try_from_array(&values, 0)
}
