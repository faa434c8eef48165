//! The first text of a group: `luma_first_text(x)`.
//!
//! Invariants:
//! - NULLs do not count; of nothing else NULL is the answer.

use datafusion::arrow::array::{ArrayRef, AsArray as _};
use datafusion::arrow::datatypes::DataType;
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::function::AccumulatorArgs;
use datafusion::logical_expr::{Accumulator, AggregateUDFImpl, Signature, Volatility};

#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct First {
    signature: Signature,
}

impl First {
    pub(crate) fn new() -> Self {
        Self { signature: Signature::exact(vec![DataType::Utf8], Volatility::Immutable) }
    }
}

impl AggregateUDFImpl for First {
    fn name(&self) -> &'static str {
        "luma_first_text"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn accumulator(&self, _args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(Kept(None)))
    }
}

#[derive(Debug)]
struct Kept(Option<String>);

impl Accumulator for Kept {
    fn update_batch(&mut self, columns: &[ArrayRef]) -> Result<()> {
        if self.0.is_none()
            && let Some(texts) = columns.first().and_then(|it| it.as_string_opt::<i32>())
        {
            self.0 = texts.iter().flatten().next().map(ToOwned::to_owned);
        }
        Ok(())
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.update_batch(states)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![ScalarValue::Utf8(self.0.clone())])
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(ScalarValue::Utf8(self.0.clone()))
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.0.as_ref().map_or(0, String::capacity)
    }
}
