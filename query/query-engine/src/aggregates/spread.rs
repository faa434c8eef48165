//! Deviations and variances of floating point, as PostgreSQL works them out: a value at a time.
//!
//! Source: `float8_accum` and `float8_combine` of its `float.c`, which are Youngs and Cramer's
//! (<https://doi.org/10.1080/00401706.1971.10488826>).

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray as _, PrimitiveArray};
use datafusion::arrow::datatypes::{DataType, Float64Type};
use datafusion::common::Result;
use datafusion::error::DataFusionError;

use super::total::Total;
use crate::arithmetic::overflow;

/// `ROOT`: the deviation, not the variance. `SAMPLE`: of a sample, not of all there is.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Spread<const ROOT: bool, const SAMPLE: bool> {
    count: f64,
    sum: f64,
    /// Of the squares of the differences from the mean.
    squares: f64,
}

impl<const ROOT: bool, const SAMPLE: bool> Spread<ROOT, SAMPLE> {
    fn result(self) -> Option<f64> {
        let of = if SAMPLE { self.count - 1.0 } else { self.count };
        let variance = self.squares / of;
        (of > 0.0).then(|| if ROOT { variance.sqrt() } else { variance })
    }
}

impl<const ROOT: bool, const SAMPLE: bool> Total for Spread<ROOT, SAMPLE> {
    type Arrow = Float64Type;

    fn state(_argument: &DataType) -> Vec<DataType> {
        vec![DataType::Float64; 3]
    }

    fn add(&mut self, value: f64) -> Result<()> {
        let before = *self;
        self.count += 1.0;
        self.sum += value;
        if before.count == 0.0 {
            self.squares = if value.is_finite() { 0.0 } else { f64::NAN };
            return Ok(());
        }
        let difference = value * self.count - self.sum;
        self.squares += difference * difference / (self.count * before.count);
        if self.sum.is_infinite() || self.squares.is_infinite() {
            if before.sum.is_finite() && value.is_finite() {
                return Err(overflow());
            }
            self.squares = f64::NAN;
        }
        Ok(())
    }

    fn remove(&mut self, _value: f64) -> Result<()> {
        Err(DataFusionError::Internal("a spread is worked out anew".to_owned()))
    }

    fn join(&mut self, other: Self) -> Result<()> {
        if self.count == 0.0 || other.count == 0.0 {
            *self = if self.count == 0.0 { other } else { *self };
            return Ok(());
        }
        let count = self.count + other.count;
        let sum = self.sum + other.sum;
        let difference = self.sum / self.count - other.sum / other.count;
        let between = self.count * other.count * difference * difference / count;
        let squares = self.squares + other.squares + between;
        let finite = |it: &Self| it.sum.is_finite() && it.squares.is_finite();
        if (sum.is_infinite() || squares.is_infinite()) && finite(self) && finite(&other) {
            return Err(overflow());
        }
        *self = Self { count, sum, squares };
        Ok(())
    }

    fn columns(totals: &[Option<Self>], _argument: &DataType) -> Vec<ArrayRef> {
        let column = |part: fn(Self) -> f64| -> ArrayRef {
            let column: PrimitiveArray<Float64Type> =
                totals.iter().map(|it| it.map(part)).collect();
            Arc::new(column)
        };
        vec![column(|it| it.count), column(|it| it.sum), column(|it| it.squares)]
    }

    fn totals(columns: &[ArrayRef]) -> Result<Vec<Option<Self>>> {
        let [counts, sums, squares] = columns else {
            return Err(DataFusionError::Internal("a spread has three columns".to_owned()));
        };
        let [counts, sums, squares] =
            [counts, sums, squares].map(|it| it.as_primitive::<Float64Type>());
        let rows = counts.iter().zip(sums).zip(squares);
        let total =
            |((count, sum), squares)| Some(Self { count: count?, sum: sum?, squares: squares? });
        Ok(rows.map(total).collect())
    }

    fn results(totals: &[Option<Self>], _argument: &DataType) -> Result<ArrayRef> {
        let results: PrimitiveArray<Float64Type> =
            totals.iter().map(|it| it.and_then(Self::result)).collect();
        Ok(Arc::new(results))
    }
}
