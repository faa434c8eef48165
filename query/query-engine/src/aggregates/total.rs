//! Sums that refuse what they cannot hold: one total for all rows, for each group, or for a frame that moves.
//!
//! ```text
//!  Total ──► Single     all rows             Distinct   each value once
//!        ──► Groups     GROUP BY             Sliding    a window whose start moves
//! ```
//!
//! Invariants:
//! - A total is an error or exact for its type; nothing wraps and nothing finite becomes infinite.
//! - NULLs do not count; of nothing else NULL is the sum.

use std::cmp::Ordering;
use std::collections::HashSet;
use std::fmt::Debug;
use std::marker::PhantomData;

use datafusion::arrow::array::{
    Array as _, ArrayRef, ArrowPrimitiveType, AsArray as _, BooleanArray, PrimitiveArray,
};
use datafusion::arrow::datatypes::DataType;
use datafusion::common::{Result, ScalarValue};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::{Accumulator, EmitTo, GroupsAccumulator};

/// What a sum keeps.
pub(super) trait Total: Copy + Debug + Default + Send + Sync + 'static {
    /// Of the values.
    type Arrow: ArrowPrimitiveType;

    /// Types of the columns of [`Total::columns`], for values of this type.
    fn state(argument: &DataType) -> Vec<DataType>;

    /// # Errors
    /// 22003, 22008: the sum is out of range.
    fn add(&mut self, value: <Self::Arrow as ArrowPrimitiveType>::Native) -> Result<()>;

    /// Adds values in their order.
    ///
    /// # Errors
    /// As [`Total::add`].
    fn add_all(&mut self, values: &[<Self::Arrow as ArrowPrimitiveType>::Native]) -> Result<()> {
        values.iter().try_for_each(|it| self.add(*it))
    }

    /// Takes out what was added.
    ///
    /// # Errors
    /// As [`Total::add`].
    fn remove(&mut self, value: <Self::Arrow as ArrowPrimitiveType>::Native) -> Result<()>;

    /// # Errors
    /// As [`Total::add`].
    fn join(&mut self, other: Self) -> Result<()>;

    /// Totals as columns, for another [`Total::totals`].
    fn columns(totals: &[Option<Self>], argument: &DataType) -> Vec<ArrayRef>;

    /// # Errors
    /// Columns that are not those of totals.
    fn totals(columns: &[ArrayRef]) -> Result<Vec<Option<Self>>>;

    /// The answers.
    ///
    /// # Errors
    /// 22003: a total that its type cannot hold.
    fn results(totals: &[Option<Self>], argument: &DataType) -> Result<ArrayRef>;
}

/// The only column of a state or of arguments.
///
/// # Errors
/// Another number of columns.
pub(super) fn column(columns: &[ArrayRef]) -> Result<&ArrayRef> {
    match columns {
        [column] => Ok(column),
        _ => Err(DataFusionError::Internal("a sum takes one column".to_owned())),
    }
}

fn values<T: Total>(columns: &[ArrayRef]) -> Result<&PrimitiveArray<T::Arrow>> {
    let column = column(columns)?;
    column.as_primitive_opt::<T::Arrow>().ok_or_else(|| {
        DataFusionError::Internal(format!(
            "a sum was planned for other than {}",
            column.data_type()
        ))
    })
}

fn joined<T: Total>(total: &mut Option<T>, other: Option<T>) -> Result<()> {
    other.map_or(Ok(()), |other| total.get_or_insert_default().join(other))
}

fn scalars(columns: Vec<ArrayRef>) -> Result<Vec<ScalarValue>> {
    columns.iter().map(|it| ScalarValue::try_from_array(it, 0)).collect()
}

#[derive(Debug)]
pub(super) struct Single<T> {
    total: Option<T>,
    argument: DataType,
}

impl<T: Total> Single<T> {
    pub(super) fn new(argument: DataType) -> Self {
        Self { total: None, argument }
    }
}

impl<T: Total> Accumulator for Single<T> {
    fn update_batch(&mut self, columns: &[ArrayRef]) -> Result<()> {
        let values = values::<T>(columns)?;
        if values.null_count() == 0 && !values.is_empty() {
            return self.total.get_or_insert_default().add_all(values.values());
        }
        for value in values.iter().flatten() {
            self.total.get_or_insert_default().add(value)?;
        }
        Ok(())
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let totals = T::totals(states)?;
        totals.into_iter().try_for_each(|other| joined(&mut self.total, other))
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        scalars(T::columns(&[self.total], &self.argument))
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        ScalarValue::try_from_array(&T::results(&[self.total], &self.argument)?, 0)
    }

    fn size(&self) -> usize {
        size_of_val(self)
    }
}

/// Of a frame whose start moves: what leaves it is taken out again.
#[derive(Debug)]
pub(super) struct Sliding<T> {
    total: T,
    count: usize,
    argument: DataType,
}

impl<T: Total> Sliding<T> {
    pub(super) fn new(argument: DataType) -> Self {
        Self { total: T::default(), count: 0, argument }
    }

    fn current(&self) -> [Option<T>; 1] {
        [(self.count > 0).then_some(self.total)]
    }
}

impl<T: Total> Accumulator for Sliding<T> {
    fn update_batch(&mut self, columns: &[ArrayRef]) -> Result<()> {
        for value in values::<T>(columns)?.iter().flatten() {
            self.total.add(value)?;
            self.count += 1;
        }
        Ok(())
    }

    fn retract_batch(&mut self, columns: &[ArrayRef]) -> Result<()> {
        for value in values::<T>(columns)?.iter().flatten() {
            self.total.remove(value)?;
            self.count = self.count.saturating_sub(1);
        }
        Ok(())
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn merge_batch(&mut self, _states: &[ArrayRef]) -> Result<()> {
        Err(DataFusionError::Internal("frames are not merged".to_owned()))
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        scalars(T::columns(&self.current(), &self.argument))
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        ScalarValue::try_from_array(&T::results(&self.current(), &self.argument)?, 0)
    }

    fn size(&self) -> usize {
        size_of_val(self)
    }
}

/// Each value once, added in ascending order.
#[derive(Debug)]
pub(super) struct Distinct<T> {
    seen: HashSet<ScalarValue>,
    argument: DataType,
    of: PhantomData<T>,
}

impl<T: Total> Distinct<T> {
    pub(super) fn new(argument: DataType) -> Self {
        Self { seen: HashSet::new(), argument, of: PhantomData }
    }
}

impl<T: Total> Accumulator for Distinct<T> {
    fn update_batch(&mut self, columns: &[ArrayRef]) -> Result<()> {
        let column = column(columns)?;
        for row in (0..column.len()).filter(|row| column.is_valid(*row)) {
            self.seen.insert(ScalarValue::try_from_array(column, row)?);
        }
        Ok(())
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let lists = column(states)?.as_list::<i32>();
        lists.iter().flatten().try_for_each(|list| self.update_batch(&[list]))
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let values: Vec<ScalarValue> = self.seen.iter().cloned().collect();
        let list = ScalarValue::new_list_nullable(&values, &self.argument);
        Ok(vec![ScalarValue::List(list)])
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let mut values: Vec<ScalarValue> = self.seen.iter().cloned().collect();
        values.sort_by(|left, right| left.partial_cmp(right).unwrap_or(Ordering::Equal));
        let mut single = Single::<T>::new(self.argument.clone());
        if !values.is_empty() {
            single.update_batch(&[ScalarValue::iter_to_array(values)?])?;
        }
        single.evaluate()
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.seen.capacity() * size_of::<ScalarValue>()
    }
}

#[derive(Debug)]
pub(super) struct Groups<T> {
    totals: Vec<Option<T>>,
    argument: DataType,
}

impl<T: Total> Groups<T> {
    pub(super) fn new(argument: DataType) -> Self {
        Self { totals: Vec::new(), argument }
    }
}

/// Whether a row passes a FILTER.
fn passes(filter: Option<&BooleanArray>, row: usize) -> bool {
    filter.is_none_or(|it| it.is_valid(row) && it.value(row))
}

impl<T: Total> GroupsAccumulator for Groups<T> {
    fn update_batch(
        &mut self,
        columns: &[ArrayRef],
        groups: &[usize],
        filter: Option<&BooleanArray>,
        count: usize,
    ) -> Result<()> {
        self.totals.resize(count, None);
        for (row, (value, group)) in values::<T>(columns)?.iter().zip(groups).enumerate() {
            let Some(value) = value else { continue };
            if passes(filter, row) {
                self.totals[*group].get_or_insert_default().add(value)?;
            }
        }
        Ok(())
    }

    fn merge_batch(&mut self, states: &[ArrayRef], groups: &[usize], count: usize) -> Result<()> {
        self.totals.resize(count, None);
        let totals = T::totals(states)?;
        totals
            .into_iter()
            .zip(groups)
            .try_for_each(|(other, group)| joined(&mut self.totals[*group], other))
    }

    fn convert_to_state(
        &self,
        columns: &[ArrayRef],
        filter: Option<&BooleanArray>,
    ) -> Result<Vec<ArrayRef>> {
        let alone = |(row, value): (usize, Option<_>)| {
            let Some(value) = value.filter(|_| passes(filter, row)) else { return Ok(None) };
            let mut total = T::default();
            total.add(value)?;
            Ok(Some(total))
        };
        let totals: Result<Vec<Option<T>>> =
            values::<T>(columns)?.iter().enumerate().map(alone).collect();
        Ok(T::columns(&totals?, &self.argument))
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        Ok(T::columns(&emit_to.take_needed(&mut self.totals), &self.argument))
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        T::results(&emit_to.take_needed(&mut self.totals), &self.argument)
    }

    fn size(&self) -> usize {
        self.totals.capacity() * size_of::<Option<T>>()
    }
}
