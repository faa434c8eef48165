//! Functions whose result is as long as an argument says: measured before they run, and held as the statement's memory.
//!
//! `repeat(name, 1000000000)` is a short text, and what a function returns is no operator's memory. So the length of
//! the result is worked out from the arguments first and taken from the statement's pool; it is given back when the
//! result's buffer is dropped, or with the statement for a single value.
//!
//! Invariants:
//! - A value is [`VALUE_BYTES_MAX`] long at most, as in PostgreSQL (54000); beyond the statement's memory is 53200.
//! - Nothing is allocated for what is refused.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use datafusion::arrow::array::{Array, ArrayData, ArrayRef, AsArray, make_array};
use datafusion::arrow::buffer::Buffer;
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{
    DataType, FieldRef, Int64Type, IntervalMonthDayNanoType, IntervalUnit,
};
use datafusion::common::Result;
use datafusion::error::DataFusionError;
use datafusion::execution::FunctionRegistry as _;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryPool, MemoryReservation};
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
};
use query_api::{Error, ErrorKind};

use super::joined;
use super::wrapped::{described_by_inner, equal_by_inner};

/// PostgreSQL's longest value.
const VALUE_BYTES_MAX: u64 = 0x3fff_ffff;
/// What one array of text can hold.
const OFFSET_MAX: u64 = 0x7fff_ffff;
/// Single results below this are not held: they are as small as what surrounds them.
const HELD_MIN: u64 = 4096;

/// The bytes of a result's longest value and of all its rows.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Size {
    pub(super) longest: u64,
    pub(super) all: u64,
}

impl Size {
    pub(super) fn add(&mut self, bytes: u64) {
        self.longest = self.longest.max(bytes);
        self.all = self.all.saturating_add(bytes);
    }
}

pub(super) type Measure = fn(&[ArrayRef]) -> Result<Size>;

const SIZED: [(&str, Measure); 15] = [
    ("repeat", repeated),
    ("lpad", padded),
    ("rpad", padded),
    ("replace", replaced),
    ("array_repeat", repeated_items),
    ("array_resize", resized),
    ("generate_series", series),
    ("range", series),
    ("concat", joined::joined),
    ("concat_ws", joined::separated),
    ("regexp_replace", joined::replaced_matches),
    ("array_to_string", joined::listed),
    ("array_append", joined::arrays),
    ("array_prepend", joined::arrays),
    ("array_concat", joined::arrays),
];

/// Replaces the functions of a statement's state by those that take from its pool.
pub(super) fn register(state: &mut SessionState) {
    let pool = Arc::clone(&state.runtime_env().memory_pool);
    for (name, measure) in SIZED {
        let Some(inner) = state.scalar_functions().get(name).cloned() else { continue };
        let sized = Sized::new(inner, measure, &pool);
        // Replacing is meant; the registry of a session accepts every name.
        let _ = state.register_udf(Arc::new(ScalarUDF::from(sized)));
    }
}

#[derive(Debug)]
pub(super) struct Sized {
    inner: Arc<ScalarUDF>,
    measure: Measure,
    pool: Arc<dyn MemoryPool>,
    /// What single values hold until the statement ends.
    singles: Mutex<Vec<MemoryReservation>>,
}

impl Sized {
    pub(super) fn new(inner: Arc<ScalarUDF>, measure: Measure, pool: &Arc<dyn MemoryPool>) -> Self {
        Self { inner, measure, pool: Arc::clone(pool), singles: Mutex::default() }
    }
}

equal_by_inner!(Sized);

impl ScalarUDFImpl for Sized {
    described_by_inner!();

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let single = args.args.iter().all(|it| matches!(it, ColumnarValue::Scalar(_)));
        let rows = if single { 1 } else { args.number_rows };
        let consumer = MemoryConsumer::new(format!("function {}", self.name()));
        let held = consumer.register(&self.pool);
        // A single value is repeated for each row, to be measured and to be joined.
        held.try_grow(repeated_singles(&args.args, rows))?;
        let arrays: Result<Vec<ArrayRef>> = args.args.iter().map(|it| it.to_array(rows)).collect();
        let size = (self.measure)(&arrays?)?;
        if size.longest > VALUE_BYTES_MAX {
            return Err(too_long(self.name()));
        }
        held.try_resize(usize::try_from(size.all).unwrap_or(usize::MAX))?;
        if size.all > OFFSET_MAX {
            return Err(too_long(self.name()));
        }
        Ok(match self.inner.invoke_with_args(args)? {
            ColumnarValue::Array(array) => ColumnarValue::Array(holding(&array, held)?),
            ColumnarValue::Scalar(value) => {
                if size.all >= HELD_MIN {
                    self.singles.lock().unwrap_or_else(PoisonError::into_inner).push(held);
                }
                ColumnarValue::Scalar(value)
            }
        })
    }
}

/// Bytes of the single values among `args`, once for each row.
fn repeated_singles(args: &[ColumnarValue], rows: usize) -> usize {
    let bytes = args.iter().filter_map(|it| match it {
        ColumnarValue::Scalar(value) if value.data_type().is_nested() => Some(value.size()),
        ColumnarValue::Scalar(value) => value.try_as_str().flatten().map(str::len),
        ColumnarValue::Array(_) => None,
    });
    bytes.fold(0_usize, |sum, bytes| sum.saturating_add(bytes.saturating_mul(rows)))
}

fn too_long(name: &str) -> DataFusionError {
    let error = Error::new(ErrorKind::LimitExceeded, "requested length too large")
        .with_sqlstate("54000")
        .with_detail(format!("{name} would make a value of more than {VALUE_BYTES_MAX} bytes"));
    DataFusionError::External(Box::new(error))
}

/// A buffer with the memory it is counted as.
struct Held {
    buffer: Buffer,
    _memory: MemoryReservation,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        self.buffer.as_slice()
    }
}

/// The array with `memory` given back when its last data buffer is dropped.
fn holding(array: &ArrayRef, memory: MemoryReservation) -> Result<ArrayRef> {
    Ok(make_array(holding_data(array.to_data(), memory)?))
}

fn holding_data(data: ArrayData, memory: MemoryReservation) -> Result<ArrayData> {
    if let Some(items) = data.child_data().first().cloned() {
        let mut children = data.child_data().to_vec();
        children[0] = holding_data(items, memory)?;
        return Ok(data.into_builder().child_data(children).build()?);
    }
    let mut buffers = data.buffers().to_vec();
    let Some(buffer) = buffers.pop() else { return Ok(data) };
    buffers.push(Buffer::from(Bytes::from_owner(Held { buffer, _memory: memory })));
    Ok(data.into_builder().buffers(buffers).build()?)
}

fn integers(array: &ArrayRef) -> Result<ArrayRef> {
    Ok(cast(array, &DataType::Int64)?)
}

pub(super) fn texts(array: &ArrayRef) -> Result<ArrayRef> {
    Ok(cast(array, &DataType::Utf8)?)
}

pub(super) fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

/// `repeat(text, count)`.
fn repeated(args: &[ArrayRef]) -> Result<Size> {
    let [value, times, ..] = args else { return Ok(Size::default()) };
    let (value, times) = (texts(value)?, integers(times)?);
    let mut size = Size::default();
    for (text, times) in value.as_string::<i32>().iter().zip(times.as_primitive::<Int64Type>()) {
        let times = u64::try_from(times.unwrap_or(0)).unwrap_or(0);
        size.add(text.map_or(0, |it| count(it.len())).saturating_mul(times));
    }
    Ok(size)
}

/// `lpad(text, length, fill)`: `length` counts characters.
fn padded(args: &[ArrayRef]) -> Result<Size> {
    let [value, length, fill @ ..] = args else { return Ok(Size::default()) };
    let (value, length) = (texts(value)?, integers(length)?);
    let ascii = |array: &ArrayRef| array.as_string::<i32>().is_ascii();
    let fill = fill.first().map(texts).transpose()?;
    let wide = if ascii(&value) && fill.as_ref().is_none_or(ascii) { 1 } else { 4 };
    let mut size = Size::default();
    for (text, length) in value.as_string::<i32>().iter().zip(length.as_primitive::<Int64Type>()) {
        let length = u64::try_from(length.unwrap_or(0)).unwrap_or(0);
        size.add(if text.is_some() { length.saturating_mul(wide) } else { 0 });
    }
    Ok(size)
}

/// `replace(text, from, to)`.
fn replaced(args: &[ArrayRef]) -> Result<Size> {
    let [value, from, to] = args else { return Ok(Size::default()) };
    let (value, from, to) = (texts(value)?, texts(from)?, texts(to)?);
    let mut size = Size::default();
    let pairs = from.as_string::<i32>().iter().zip(to.as_string::<i32>());
    for (text, (from, to)) in value.as_string::<i32>().iter().zip(pairs) {
        let (Some(text), Some(from), Some(to)) = (text, from, to) else { continue };
        // Only what grows is worth a search of its own.
        let found = if to.len() > from.len() { count(text.matches(from).count()) } else { 0 };
        let more = found.saturating_mul(count(to.len()));
        size.add(count(text.len()).saturating_add(more));
    }
    Ok(size)
}

/// `array_repeat(value, count)`.
fn repeated_items(args: &[ArrayRef]) -> Result<Size> {
    let [value, times] = args else { return Ok(Size::default()) };
    let item = count(value.get_array_memory_size() / value.len().max(1)).max(8);
    let times = integers(times)?;
    let mut size = Size::default();
    for times in times.as_primitive::<Int64Type>() {
        let times = u64::try_from(times.unwrap_or(0)).unwrap_or(0);
        size.add(item.saturating_mul(times));
    }
    Ok(size)
}

/// `array_resize(array, length[, value])`.
fn resized(args: &[ArrayRef]) -> Result<Size> {
    let [array, length, fill @ ..] = args else { return Ok(Size::default()) };
    let fill = fill.first().map_or(8, |it| it.get_array_memory_size() / it.len().max(1));
    let own = count(array.get_array_memory_size() / array.len().max(1));
    let length = integers(length)?;
    let mut size = Size::default();
    for length in length.as_primitive::<Int64Type>() {
        let length = u64::try_from(length.unwrap_or(0)).unwrap_or(0);
        size.add(count(fill.max(8)).saturating_mul(length).saturating_add(own));
    }
    Ok(size)
}

/// Shortest month, day and the like, so that a step is never taken for more than it is.
const MONTH_NS: i128 = 28 * DAY_NS;
const DAY_NS: i128 = 23 * 3_600_000_000_000;

/// Numbers of a bound or a step: integers as they are, times as nanoseconds.
fn points(array: &ArrayRef) -> Result<Vec<Option<i128>>> {
    let interval = DataType::Interval(IntervalUnit::MonthDayNano);
    let per = match array.data_type() {
        DataType::Interval(_) => {
            let steps = cast(array, &interval)?;
            let steps = steps.as_primitive::<IntervalMonthDayNanoType>();
            let ns = |it: datafusion::arrow::datatypes::IntervalMonthDayNano| {
                i128::from(it.months) * MONTH_NS
                    + i128::from(it.days) * DAY_NS
                    + i128::from(it.nanoseconds)
            };
            return Ok(steps.iter().map(|it| it.map(ns)).collect());
        }
        DataType::Timestamp(unit, _) => match unit {
            datafusion::arrow::datatypes::TimeUnit::Second => 1_000_000_000,
            datafusion::arrow::datatypes::TimeUnit::Millisecond => 1_000_000,
            datafusion::arrow::datatypes::TimeUnit::Microsecond => 1000,
            datafusion::arrow::datatypes::TimeUnit::Nanosecond => 1,
        },
        DataType::Date32 => 86_400_000_000_000,
        _ => 1,
    };
    let numbers = match array.data_type() {
        DataType::Date32 => cast(&cast(array, &DataType::Int32)?, &DataType::Int64)?,
        _ => integers(array)?,
    };
    Ok(numbers
        .as_primitive::<Int64Type>()
        .iter()
        .map(|it| it.map(|it| i128::from(it) * per))
        .collect())
}

/// `generate_series(start, stop[, step])`, `range(stop)`.
fn series(args: &[ArrayRef]) -> Result<Size> {
    let points: Result<Vec<_>> = args.iter().map(points).collect();
    let points = points?;
    let at = |index: usize, row: usize| points.get(index).and_then(|it| it.get(row).copied());
    let mut size = Size::default();
    for row in 0..args.first().map_or(0, Array::len) {
        let (start, stop) = match points.len() {
            1 => (Some(Some(0)), at(0, row)),
            _ => (at(0, row), at(1, row)),
        };
        let step = at(2, row).unwrap_or(Some(1));
        let (Some(Some(start)), Some(Some(stop)), Some(step)) = (start, stop, step) else {
            continue;
        };
        let span = if step < 0 { start - stop } else { stop - start };
        let items = span.max(0) / step.abs().max(1) + 1;
        size.add(u64::try_from(items).unwrap_or(u64::MAX).saturating_mul(8));
    }
    Ok(size)
}
