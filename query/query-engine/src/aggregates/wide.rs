//! Sums and means of `Decimal256`, in which a quotient leaves no room for a sum: 76 digits, of which 40 stand after the point.
//!
//! ```text
//!  total = carry · 10^76 + rest       |rest| < 10^76
//! ```
//!
//! Invariants:
//! - A total is exact whatever came in between; only one that ends outside its type is an error.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray as _, PrimitiveArray};
use datafusion::arrow::datatypes::{DataType, Decimal256Type, Int64Type, i256};
use datafusion::common::Result;
use datafusion::error::DataFusionError;

use super::total::Total;
use crate::error::fault;
use crate::operators::exact::{self, DIGITS_MAX, EXACT};
use crate::operators::scale;

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sum {
    carry: i64,
    rest: i256,
}

/// Half of what an `i256` holds at least, so that two of them have a sum.
fn base() -> i256 {
    i256::from_i128(10).wrapping_pow(u32::from(DIGITS_MAX))
}

fn lost() -> DataFusionError {
    DataFusionError::Internal("more numbers than can be counted".to_owned())
}

/// Of a sum whose type has `scale` digits after the point.
fn out_of_range(argument: &DataType) -> DataFusionError {
    let digits = i32::from(DIGITS_MAX) - i32::from(scale(argument).unwrap_or(0));
    let message =
        format!("numeric out of range: a sum has at most {digits} digits before the point");
    fault("22003", message)
}

impl Sum {
    fn put(&mut self, carry: i64, rest: i256) -> Result<()> {
        let base = base();
        let sum = self.rest.wrapping_add(rest);
        let more = if sum >= base {
            1
        } else if sum <= base.wrapping_neg() {
            -1
        } else {
            0
        };
        self.rest = sum.wrapping_sub(base.wrapping_mul(i256::from_i128(more.into())));
        self.carry = self.carry.checked_add(carry + more).ok_or_else(lost)?;
        Ok(())
    }

    /// `value`, which may have a digit more than its type says.
    fn put_value(&mut self, value: i256) -> Result<()> {
        let base = base();
        if value.wrapping_abs() < base && value != i256::MIN {
            return self.put(0, value);
        }
        let carry = value.wrapping_div(base).to_i128().and_then(|it| i64::try_from(it).ok());
        self.put(carry.ok_or_else(lost)?, value.wrapping_rem(base))
    }

    /// The total where it has no more digits than the type.
    fn whole(self) -> Option<i256> {
        let base = base();
        match (self.carry, self.rest.is_negative()) {
            (0, _) => Some(self.rest),
            (1, true) => Some(self.rest.wrapping_add(base)),
            (-1, false) if self.rest != i256::ZERO => Some(self.rest.wrapping_sub(base)),
            _ => None,
        }
    }
}

impl Total for Sum {
    type Arrow = Decimal256Type;

    fn state(argument: &DataType) -> Vec<DataType> {
        vec![DataType::Decimal256(DIGITS_MAX, scale(argument).unwrap_or(0)), DataType::Int64]
    }

    fn add(&mut self, value: i256) -> Result<()> {
        self.put_value(value)
    }

    fn remove(&mut self, value: i256) -> Result<()> {
        self.put_value(value.checked_neg().ok_or_else(lost)?)
    }

    fn join(&mut self, other: Self) -> Result<()> {
        self.put(other.carry, other.rest)
    }

    fn columns(totals: &[Option<Self>], argument: &DataType) -> Vec<ArrayRef> {
        let rests: PrimitiveArray<Decimal256Type> =
            totals.iter().map(|it| it.map(|it| it.rest)).collect();
        let carries: PrimitiveArray<Int64Type> =
            totals.iter().map(|it| it.map(|it| it.carry)).collect();
        let rest_type = DataType::Decimal256(DIGITS_MAX, scale(argument).unwrap_or(0));
        vec![Arc::new(rests.with_data_type(rest_type)), Arc::new(carries)]
    }

    fn totals(columns: &[ArrayRef]) -> Result<Vec<Option<Self>>> {
        let [rests, carries] = columns else {
            return Err(DataFusionError::Internal("a sum has two columns".to_owned()));
        };
        let carries = carries.as_primitive::<Int64Type>();
        let pairs = rests.as_primitive::<Decimal256Type>().iter().zip(carries);
        Ok(pairs.map(|(rest, carry)| Some(Self { rest: rest?, carry: carry? })).collect())
    }

    fn results(totals: &[Option<Self>], argument: &DataType) -> Result<ArrayRef> {
        let whole = |it: &Option<Self>| {
            it.map(|it| it.whole().ok_or_else(|| out_of_range(argument))).transpose()
        };
        let sums: Result<PrimitiveArray<Decimal256Type>> = totals.iter().map(whole).collect();
        Ok(Arc::new(sums?.with_data_type(summed(argument))))
    }
}

/// The type of a sum.
pub(super) fn summed(argument: &DataType) -> DataType {
    const MORE_DIGITS: u8 = 10;
    match argument {
        DataType::Decimal256(digits, scale) => {
            DataType::Decimal256((digits + MORE_DIGITS).min(DIGITS_MAX), *scale)
        }
        other => other.clone(),
    }
}

/// Of quotients: their sum may be out of range where the mean is not.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Mean {
    sum: Sum,
    count: i64,
}

impl Mean {
    fn counted(&mut self, count: i64) -> Result<()> {
        self.count = self.count.checked_add(count).ok_or_else(lost)?;
        Ok(())
    }

    /// The sum divided by the count.
    fn quotient(self) -> Result<i256> {
        let count = i256::from(self.count);
        match self.sum.whole() {
            Some(sum) => exact::mean(sum, count),
            None => Ok(self.divided(count)),
        }
    }

    /// Rounded half away from zero; every value is below 10^76, and so is their mean.
    fn divided(self, count: i256) -> i256 {
        let (base, carry) = (base(), i256::from(self.sum.carry));
        let left = carry.wrapping_mul(base.wrapping_rem(count)).wrapping_add(self.sum.rest);
        let whole = carry.wrapping_mul(base.wrapping_div(count));
        let mut quotient = whole.wrapping_add(left.wrapping_div(count));
        let twice = left.wrapping_rem(count).wrapping_mul(i256::from(2));
        // What is left over has a sign of its own: towards zero it rounds only above the half.
        let outward = twice.is_negative() == quotient.is_negative();
        let rounds = match outward {
            true => twice.wrapping_abs() >= count,
            false => twice.wrapping_abs() > count,
        };
        if rounds {
            let step = if twice.is_negative() { i256::MINUS_ONE } else { i256::ONE };
            quotient = quotient.wrapping_add(step);
        }
        quotient
    }
}

impl Total for Mean {
    type Arrow = Decimal256Type;

    fn state(argument: &DataType) -> Vec<DataType> {
        let mut state = Sum::state(argument);
        state.push(DataType::Int64);
        state
    }

    fn add(&mut self, value: i256) -> Result<()> {
        self.sum.add(value)?;
        self.counted(1)
    }

    fn remove(&mut self, value: i256) -> Result<()> {
        self.sum.remove(value)?;
        self.counted(-1)
    }

    fn join(&mut self, other: Self) -> Result<()> {
        self.sum.join(other.sum)?;
        self.counted(other.count)
    }

    fn columns(totals: &[Option<Self>], argument: &DataType) -> Vec<ArrayRef> {
        let sums: Vec<Option<Sum>> = totals.iter().map(|it| it.map(|it| it.sum)).collect();
        let counts: PrimitiveArray<Int64Type> =
            totals.iter().map(|it| it.map(|it| it.count)).collect();
        let mut columns = Sum::columns(&sums, argument);
        columns.push(Arc::new(counts));
        columns
    }

    fn totals(columns: &[ArrayRef]) -> Result<Vec<Option<Self>>> {
        let [sums @ .., counts] = columns else {
            return Err(DataFusionError::Internal("a mean has three columns".to_owned()));
        };
        let sums = Sum::totals(sums)?;
        let pairs = sums.into_iter().zip(counts.as_primitive::<Int64Type>());
        Ok(pairs.map(|(sum, count)| Some(Self { sum: sum?, count: count? })).collect())
    }

    fn results(totals: &[Option<Self>], _argument: &DataType) -> Result<ArrayRef> {
        let quotient = |it: &Option<Self>| it.map(Self::quotient).transpose();
        let means: Result<PrimitiveArray<Decimal256Type>> = totals.iter().map(quotient).collect();
        Ok(Arc::new(means?.with_data_type(EXACT)))
    }
}
