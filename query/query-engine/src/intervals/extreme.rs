//! The shortest, the longest and the first of intervals: `luma_shortest(x)`, `luma_longest(x)`, `luma_first(x)`.
//!
//! Invariants:
//! - NULLs do not count; of nothing else NULL is the answer. Of equally long ones it is the first.

use std::collections::VecDeque;

use datafusion::arrow::array::{Array as _, ArrayRef, AsArray as _};
use datafusion::arrow::datatypes::{DataType, IntervalMonthDayNano, IntervalMonthDayNanoType};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::function::AccumulatorArgs;
use datafusion::logical_expr::{Accumulator, AggregateUDFImpl, Signature, Volatility};

use super::{INTERVAL, span};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Wanted {
    Shortest,
    Longest,
    First,
}

impl Wanted {
    /// Whether `new` is the answer rather than `old`.
    pub(super) fn is_met(self, new: IntervalMonthDayNano, old: IntervalMonthDayNano) -> bool {
        match self {
            Self::Shortest => span(new) < span(old),
            Self::Longest => span(new) > span(old),
            Self::First => false,
        }
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Extreme {
    wanted: Wanted,
    signature: Signature,
}

impl Extreme {
    pub(super) fn new(wanted: Wanted) -> Self {
        let signature = Signature::exact(vec![INTERVAL], Volatility::Immutable);
        Self { wanted, signature }
    }
}

impl AggregateUDFImpl for Extreme {
    fn name(&self) -> &'static str {
        match self.wanted {
            Wanted::Shortest => "luma_shortest",
            Wanted::Longest => "luma_longest",
            Wanted::First => "luma_first",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(INTERVAL)
    }

    fn accumulator(&self, _args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(Best { wanted: self.wanted, best: None }))
    }

    fn create_sliding_accumulator(
        &self,
        _args: AccumulatorArgs<'_>,
    ) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(Window { wanted: self.wanted, values: VecDeque::new() }))
    }
}

fn values(columns: &[ArrayRef]) -> impl Iterator<Item = IntervalMonthDayNano> {
    let column = columns.first().and_then(|it| it.as_primitive_opt::<IntervalMonthDayNanoType>());
    column.into_iter().flatten().flatten()
}

fn scalar(value: Option<IntervalMonthDayNano>) -> ScalarValue {
    ScalarValue::IntervalMonthDayNano(value)
}

#[derive(Debug)]
struct Best {
    wanted: Wanted,
    best: Option<IntervalMonthDayNano>,
}

impl Accumulator for Best {
    fn update_batch(&mut self, columns: &[ArrayRef]) -> Result<()> {
        for new in values(columns) {
            if self.best.is_none_or(|old| self.wanted.is_met(new, old)) {
                self.best = Some(new);
            }
        }
        Ok(())
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.update_batch(states)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![scalar(self.best)])
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(scalar(self.best))
    }

    fn size(&self) -> usize {
        size_of_val(self)
    }
}

/// Of a frame whose start moves: every value in it is kept.
#[derive(Debug)]
struct Window {
    wanted: Wanted,
    values: VecDeque<IntervalMonthDayNano>,
}

impl Accumulator for Window {
    fn update_batch(&mut self, columns: &[ArrayRef]) -> Result<()> {
        self.values.extend(values(columns));
        Ok(())
    }

    fn retract_batch(&mut self, columns: &[ArrayRef]) -> Result<()> {
        let left = columns.first().map_or(0, |it| it.len() - it.null_count());
        self.values.drain(..left.min(self.values.len()));
        Ok(())
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.update_batch(states)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![self.evaluate()?])
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let better = |old, new| if self.wanted.is_met(new, old) { new } else { old };
        Ok(scalar(self.values.iter().copied().reduce(better)))
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.values.capacity() * size_of::<IntervalMonthDayNano>()
    }
}
