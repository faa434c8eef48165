//! Sums in the type of their values: floating point, and differences of timestamps.
//!
//! Source: `float8pl` of PostgreSQL's `float.h`.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, ArrowPrimitiveType, AsArray as _, PrimitiveArray};
use datafusion::arrow::datatypes::{DataType, DurationMicrosecondType, Float32Type, Float64Type};
use datafusion::common::Result;
use datafusion::error::DataFusionError;

use super::total::{Total, column};
use crate::arithmetic::overflow;
use crate::error::fault;

/// A type whose values are summed in it.
pub(super) trait Plain: Send + Sync + std::fmt::Debug + Copy + Default + 'static {
    type Arrow: ArrowPrimitiveType<Native = Self>;

    fn plus(self, other: Self) -> Result<Self>;
    fn minus(self, other: Self) -> Result<Self>;

    /// `values` added in their order.
    fn plus_all(self, values: &[Self]) -> Result<Self> {
        values.iter().try_fold(self, |sum, it| sum.plus(*it))
    }
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sum<P>(P);

impl<P: Plain> Total for Sum<P> {
    type Arrow = P::Arrow;

    fn state(argument: &DataType) -> Vec<DataType> {
        vec![argument.clone()]
    }

    fn add(&mut self, value: P) -> Result<()> {
        self.0 = self.0.plus(value)?;
        Ok(())
    }

    fn add_all(&mut self, values: &[P]) -> Result<()> {
        self.0 = self.0.plus_all(values)?;
        Ok(())
    }

    fn remove(&mut self, value: P) -> Result<()> {
        self.0 = self.0.minus(value)?;
        Ok(())
    }

    fn join(&mut self, other: Self) -> Result<()> {
        self.add(other.0)
    }

    fn columns(totals: &[Option<Self>], argument: &DataType) -> Vec<ArrayRef> {
        let sums: PrimitiveArray<P::Arrow> = totals.iter().map(|it| it.map(|it| it.0)).collect();
        vec![Arc::new(sums.with_data_type(argument.clone()))]
    }

    fn totals(columns: &[ArrayRef]) -> Result<Vec<Option<Self>>> {
        let sums = column(columns)?.as_primitive::<P::Arrow>();
        Ok(sums.iter().map(|it| it.map(Self)).collect())
    }

    fn results(totals: &[Option<Self>], argument: &DataType) -> Result<ArrayRef> {
        let columns = Self::columns(totals, argument);
        column(&columns).map(Arc::clone)
    }
}

macro_rules! plain_float {
    ($native:ty, $arrow:ty) => {
        impl Plain for $native {
            type Arrow = $arrow;

            fn plus(self, other: Self) -> Result<Self> {
                let sum = self + other;
                if sum.is_infinite() && self.is_finite() && other.is_finite() {
                    return Err(overflow());
                }
                Ok(sum)
            }

            /// What was infinite on the way is not finite at the end: only then each step is looked at.
            fn plus_all(self, values: &[Self]) -> Result<Self> {
                let sum = values.iter().fold(self, |sum, it| sum + it);
                if sum.is_finite() {
                    return Ok(sum);
                }
                values.iter().try_fold(self, |sum, it| sum.plus(*it))
            }

            /// Would keep what was rounded away, and NaN for ever.
            fn minus(self, _other: Self) -> Result<Self> {
                Err(DataFusionError::Internal("floating point is summed anew".to_owned()))
            }
        }
    };
}

plain_float!(f32, Float32Type);
plain_float!(f64, Float64Type);

pub(super) fn out_of_range() -> DataFusionError {
    fault("22008", "interval out of range")
}

impl Plain for i64 {
    type Arrow = DurationMicrosecondType;

    fn plus(self, other: Self) -> Result<Self> {
        self.checked_add(other).ok_or_else(out_of_range)
    }

    fn minus(self, other: Self) -> Result<Self> {
        self.checked_sub(other).ok_or_else(out_of_range)
    }
}
