//! Sums of intervals, whose months, days and hours are summed each for itself.
//!
//! Invariants:
//! - A sum is exact whatever came in between; only one that ends outside its type is an error.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray as _, PrimitiveArray};
use datafusion::arrow::datatypes::{
    DataType, Decimal128Type, Int64Type, IntervalMonthDayNano, IntervalMonthDayNanoType,
};
use datafusion::common::Result;
use datafusion::error::DataFusionError;

use super::plain::out_of_range;
use super::total::Total;

const NANOSECONDS: DataType = DataType::Decimal128(38, 0);

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sum {
    months: i64,
    days: i64,
    nanoseconds: i128,
}

impl Sum {
    fn of(value: IntervalMonthDayNano) -> Self {
        let (months, days) = (value.months.into(), value.days.into());
        Self { months, days, nanoseconds: value.nanoseconds.into() }
    }

    fn result(self) -> Result<IntervalMonthDayNano> {
        let months = i32::try_from(self.months).map_err(|_| out_of_range())?;
        let days = i32::try_from(self.days).map_err(|_| out_of_range())?;
        let nanoseconds = i64::try_from(self.nanoseconds).map_err(|_| out_of_range())?;
        Ok(IntervalMonthDayNano::new(months, days, nanoseconds))
    }
}

impl Total for Sum {
    type Arrow = IntervalMonthDayNanoType;

    fn state(_argument: &DataType) -> Vec<DataType> {
        vec![DataType::Int64, DataType::Int64, NANOSECONDS]
    }

    fn add(&mut self, value: IntervalMonthDayNano) -> Result<()> {
        self.join(Self::of(value))
    }

    fn remove(&mut self, value: IntervalMonthDayNano) -> Result<()> {
        let Self { months, days, nanoseconds } = Self::of(value);
        self.join(Self { months: -months, days: -days, nanoseconds: -nanoseconds })
    }

    fn join(&mut self, other: Self) -> Result<()> {
        self.months = self.months.checked_add(other.months).ok_or_else(out_of_range)?;
        self.days = self.days.checked_add(other.days).ok_or_else(out_of_range)?;
        let nanoseconds = self.nanoseconds.checked_add(other.nanoseconds);
        self.nanoseconds = nanoseconds.ok_or_else(out_of_range)?;
        Ok(())
    }

    fn columns(totals: &[Option<Self>], _argument: &DataType) -> Vec<ArrayRef> {
        let integers = |part: fn(Self) -> i64| -> ArrayRef {
            let column: PrimitiveArray<Int64Type> = totals.iter().map(|it| it.map(part)).collect();
            Arc::new(column)
        };
        let nanoseconds: PrimitiveArray<Decimal128Type> =
            totals.iter().map(|it| it.map(|it| it.nanoseconds)).collect();
        let nanoseconds = Arc::new(nanoseconds.with_data_type(NANOSECONDS));
        vec![integers(|it| it.months), integers(|it| it.days), nanoseconds]
    }

    fn totals(columns: &[ArrayRef]) -> Result<Vec<Option<Self>>> {
        let [months, days, nanoseconds] = columns else {
            return Err(DataFusionError::Internal(
                "a sum of intervals has three columns".to_owned(),
            ));
        };
        let [months, days] = [months, days].map(|it| it.as_primitive::<Int64Type>());
        let rows = months.iter().zip(days).zip(nanoseconds.as_primitive::<Decimal128Type>());
        let total = |((months, days), nanoseconds)| {
            Some(Self { months: months?, days: days?, nanoseconds: nanoseconds? })
        };
        Ok(rows.map(total).collect())
    }

    fn results(totals: &[Option<Self>], _argument: &DataType) -> Result<ArrayRef> {
        let result = |it: &Option<Self>| it.map(Self::result).transpose();
        let sums: Result<PrimitiveArray<IntervalMonthDayNanoType>> =
            totals.iter().map(result).collect();
        Ok(Arc::new(sums?))
    }
}
