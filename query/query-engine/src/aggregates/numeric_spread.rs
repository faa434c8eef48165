//! Deviations and variances of `numeric` and integers, exact up to the last division.
//!
//! ```text
//!  variance = (count · Σx² − (Σx)²) / (count · (count − 1))      of all there is: / count²
//! ```
//!
//! Source: `numeric_stddev_internal` of PostgreSQL's `numeric.c`.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray as _, PrimitiveArray};
use datafusion::arrow::datatypes::{DataType, Decimal256Type, Int64Type, i256};
use datafusion::common::Result;
use datafusion::error::DataFusionError;

use super::total::Total;
use crate::error::fault;
use crate::operators::exact::{self, DIGITS_MAX, EXACT};
use crate::operators::scale;

/// Digits after the point of values whose squares still have room.
pub(super) const SCALE_MAX: i8 = 18;

/// `ROOT`: the deviation, not the variance. `SAMPLE`: of a sample, not of all there is.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Spread<const ROOT: bool, const SAMPLE: bool> {
    count: i64,
    sum: i256,
    /// With twice as many digits after the point.
    squares: i256,
}

fn out_of_range() -> DataFusionError {
    fault("22003", "numeric out of range")
}

impl<const ROOT: bool, const SAMPLE: bool> Spread<ROOT, SAMPLE> {
    fn put(&mut self, count: i64, sum: i256, squares: i256) -> Result<()> {
        self.count = self.count.checked_add(count).ok_or_else(out_of_range)?;
        self.sum = self.sum.checked_add(sum).ok_or_else(out_of_range)?;
        self.squares = self.squares.checked_add(squares).ok_or_else(out_of_range)?;
        Ok(())
    }

    /// Of values with `scale` digits after the point; `None` of too few.
    fn result(self, scale: i8) -> Result<Option<i256>> {
        let others = if SAMPLE { self.count - 1 } else { self.count };
        if others <= 0 {
            return Ok(None);
        }
        let count = i256::from(self.count);
        let squared = self.sum.checked_mul(self.sum);
        let above = count
            .checked_mul(self.squares)
            .zip(squared)
            .and_then(|(all, squared)| all.checked_sub(squared))
            .ok_or_else(out_of_range)?;
        if above <= i256::ZERO {
            return Ok(Some(i256::ZERO));
        }
        let below = count.checked_mul(i256::from(others)).ok_or_else(out_of_range)?;
        exact::variance(above, 2 * i32::from(scale), below, ROOT).map(Some)
    }
}

impl<const ROOT: bool, const SAMPLE: bool> Total for Spread<ROOT, SAMPLE> {
    type Arrow = Decimal256Type;

    fn state(argument: &DataType) -> Vec<DataType> {
        let scale = scale(argument).unwrap_or(0);
        vec![
            DataType::Int64,
            DataType::Decimal256(DIGITS_MAX, scale),
            DataType::Decimal256(DIGITS_MAX, 2 * scale),
        ]
    }

    fn add(&mut self, value: i256) -> Result<()> {
        self.put(1, value, value.checked_mul(value).ok_or_else(out_of_range)?)
    }

    fn remove(&mut self, value: i256) -> Result<()> {
        let square = value.checked_mul(value).and_then(i256::checked_neg);
        let negative = value.checked_neg().ok_or_else(out_of_range)?;
        self.put(-1, negative, square.ok_or_else(out_of_range)?)
    }

    fn join(&mut self, other: Self) -> Result<()> {
        self.put(other.count, other.sum, other.squares)
    }

    fn columns(totals: &[Option<Self>], argument: &DataType) -> Vec<ArrayRef> {
        let counts: PrimitiveArray<Int64Type> =
            totals.iter().map(|it| it.map(|it| it.count)).collect();
        let column = |part: fn(Self) -> i256, of: &DataType| -> ArrayRef {
            let column: PrimitiveArray<Decimal256Type> =
                totals.iter().map(|it| it.map(part)).collect();
            Arc::new(column.with_data_type(of.clone()))
        };
        let types = Self::state(argument);
        vec![Arc::new(counts), column(|it| it.sum, &types[1]), column(|it| it.squares, &types[2])]
    }

    fn totals(columns: &[ArrayRef]) -> Result<Vec<Option<Self>>> {
        let [counts, sums, squares] = columns else {
            return Err(DataFusionError::Internal("a spread has three columns".to_owned()));
        };
        let counts = counts.as_primitive::<Int64Type>();
        let [sums, squares] = [sums, squares].map(|it| it.as_primitive::<Decimal256Type>());
        let rows = counts.iter().zip(sums).zip(squares);
        let total =
            |((count, sum), squares)| Some(Self { count: count?, sum: sum?, squares: squares? });
        Ok(rows.map(total).collect())
    }

    fn results(totals: &[Option<Self>], argument: &DataType) -> Result<ArrayRef> {
        let scale = scale(argument).unwrap_or(0);
        let result = |it: &Option<Self>| match it {
            Some(it) => it.result(scale),
            None => Ok(None),
        };
        let results: Result<PrimitiveArray<Decimal256Type>> = totals.iter().map(result).collect();
        Ok(Arc::new(results?.with_data_type(EXACT)))
    }
}
