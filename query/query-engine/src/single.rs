//! `luma_single(x)`: the one value of a scalar subquery; a second row is PostgreSQL's error 21000.
//!
//! Invariants:
//! - Over no rows it is NULL, as a scalar subquery without rows is.

use std::sync::Arc;

use datafusion::arrow::array::ArrayRef;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{Result, ScalarValue};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::format_state_name;
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
        Ok(arguments.first().cloned().unwrap_or(DataType::Null))
    }

    fn return_field(&self, arguments: &[FieldRef]) -> Result<FieldRef> {
        let Some(argument) = arguments.first() else {
            return Ok(Arc::new(Field::new(self.name(), DataType::Null, true)));
        };
        let field = Field::new(self.name(), argument.data_type().clone(), true);
        Ok(Arc::new(field.with_metadata(argument.metadata().clone())))
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        let value = ScalarValue::try_from(args.return_type())?;
        Ok(Box::new(One { value, rows: 0 }))
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        let value = args.return_field.as_ref().clone();
        Ok(vec![
            Arc::new(value.with_name(format_state_name(args.name, "value"))),
            Arc::new(Field::new(format_state_name(args.name, "rows"), DataType::UInt64, false)),
        ])
    }
}

#[derive(Debug)]
struct One {
    value: ScalarValue,
    rows: u64,
}

impl One {
    fn add(&mut self, value: ScalarValue, rows: u64) -> Result<()> {
        self.rows = self.rows.saturating_add(rows);
        if self.rows > 1 {
            let message = "more than one row returned by a subquery used as an expression";
            let error = Error::new(ErrorKind::Invalid, message).with_sqlstate("21000");
            return Err(DataFusionError::External(Box::new(error)));
        }
        if rows == 1 {
            self.value = value;
        }
        Ok(())
    }
}

impl Accumulator for One {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let Some(array) = values.first() else { return Ok(()) };
        for row in 0..array.len().min(2) {
            self.add(ScalarValue::try_from_array(array, row)?, 1)?;
        }
        Ok(())
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let [values, rows] = states else { return Ok(()) };
        for row in 0..values.len() {
            let count = match ScalarValue::try_from_array(rows, row)? {
                ScalarValue::UInt64(Some(count)) => count,
                _ => 0,
            };
            self.add(ScalarValue::try_from_array(values, row)?, count)?;
        }
        Ok(())
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![self.value.clone(), ScalarValue::UInt64(Some(self.rows))])
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(self.value.clone())
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.value.size() - size_of_val(&self.value)
    }
}
