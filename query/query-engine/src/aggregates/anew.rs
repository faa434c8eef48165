//! Aggregates of frames whose start moves, worked out anew for each frame, as PostgreSQL does with floating point.
//!
//! DataFusion takes out what leaves a frame. Of floating point that leaves behind what was rounded: after 1e20 has come and
//! gone, the sum of 1 and 2 is 0; after a NaN everything is.
//!
//! Invariants:
//! - The rows of the frame are kept, and no more than as many again.

use std::fmt;
use std::sync::Arc;

use datafusion::arrow::array::{Array as _, ArrayRef};
use datafusion::arrow::compute::concat;
use datafusion::arrow::datatypes::{FieldRef, Schema};
use datafusion::common::{Result, ScalarValue};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::Accumulator;
use datafusion::logical_expr::function::AccumulatorArgs;
use datafusion::physical_expr::{PhysicalExpr, PhysicalSortExpr};

type Make = dyn Fn(AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> + Send + Sync;

/// What an accumulator is made of, again and again.
struct Made {
    make: Box<Make>,
    return_field: FieldRef,
    schema: Schema,
    order_bys: Vec<PhysicalSortExpr>,
    name: String,
    exprs: Vec<Arc<dyn PhysicalExpr>>,
    expr_fields: Vec<FieldRef>,
    flags: [bool; 3],
}

impl Made {
    fn make(&self) -> Result<Box<dyn Accumulator>> {
        let [ignore_nulls, is_reversed, is_distinct] = self.flags;
        (self.make)(AccumulatorArgs {
            return_field: Arc::clone(&self.return_field),
            schema: &self.schema,
            ignore_nulls,
            order_bys: &self.order_bys,
            is_reversed,
            name: &self.name,
            is_distinct,
            exprs: &self.exprs,
            expr_fields: &self.expr_fields,
        })
    }
}

pub(super) struct Anew {
    made: Made,
    /// Rows that have come; those before `start` have left.
    columns: Vec<ArrayRef>,
    start: usize,
}

impl Anew {
    pub(super) fn new(
        args: &AccumulatorArgs<'_>,
        make: impl Fn(AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> + Send + Sync + 'static,
    ) -> Self {
        let made = Made {
            make: Box::new(make),
            return_field: Arc::clone(&args.return_field),
            schema: args.schema.clone(),
            order_bys: args.order_bys.to_vec(),
            name: args.name.to_owned(),
            exprs: args.exprs.to_vec(),
            expr_fields: args.expr_fields.to_vec(),
            flags: [args.ignore_nulls, args.is_reversed, args.is_distinct],
        };
        Self { made, columns: Vec::new(), start: 0 }
    }

    fn frame(&self) -> Vec<ArrayRef> {
        self.columns.iter().map(|it| it.slice(self.start, it.len() - self.start)).collect()
    }
}

impl fmt::Debug for Anew {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Anew").field("name", &self.made.name).finish_non_exhaustive()
    }
}

impl Accumulator for Anew {
    fn update_batch(&mut self, columns: &[ArrayRef]) -> Result<()> {
        if self.columns.is_empty() {
            self.columns = columns.to_vec();
            return Ok(());
        }
        let frame = self.frame();
        let both = frame.iter().zip(columns).map(|(old, new)| concat(&[old, new]));
        self.columns = both.collect::<Result<_, _>>()?;
        self.start = 0;
        Ok(())
    }

    fn retract_batch(&mut self, columns: &[ArrayRef]) -> Result<()> {
        let kept = self.columns.first().map_or(0, |it| it.len());
        let gone = columns.first().map_or(0, |it| it.len());
        self.start = (self.start + gone).min(kept);
        Ok(())
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn merge_batch(&mut self, _states: &[ArrayRef]) -> Result<()> {
        Err(DataFusionError::Internal("frames are not merged".to_owned()))
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![self.evaluate()?])
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let mut accumulator = self.made.make()?;
        if !self.columns.is_empty() {
            accumulator.update_batch(&self.frame())?;
        }
        accumulator.evaluate()
    }

    fn size(&self) -> usize {
        let arrays: usize = self.columns.iter().map(|it| it.get_array_memory_size()).sum();
        size_of_val(self) + arrays
    }
}
