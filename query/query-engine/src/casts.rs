//! Casts as PostgreSQL does them: rounded, in range, and in its text forms.
//!
//! Arrow's casts cut fractions off, let numbers become infinite, go to floating point through inexact divisions and print
//! ISO 8601 with a `T`. [`checked`] replaces those that PostgreSQL does otherwise by a function of the target's type.
//!
//! Invariants:
//! - A cast that is not replaced is left as it is, for DataFusion to look through.

use std::fmt::Display;
use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, AsArray, BinaryBuilder, ListArray, PrimitiveArray,
    StringArray, StringBuilder,
};
use datafusion::arrow::buffer::OffsetBuffer;
use datafusion::arrow::compute::{CastOptions, cast, cast_with_options};
use datafusion::arrow::datatypes::{
    DataType, Decimal128Type, Decimal256Type, Field, FieldRef, Float32Type, Float64Type, Int16Type,
    Int32Type, Int64Type, IntervalMonthDayNano, TimeUnit, TimestampMicrosecondType,
};
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::expr::{Cast, ScalarFunction};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ExprSchemable, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility,
};
use query_api::text;

use crate::arithmetic::{answer, only, overflow, underflow};
use crate::error::{fault, type_name};
use crate::intervals::intervals;
use crate::literals;
use crate::operators::exact;

/// Of the largest bigint.
const INTEGER_DIGITS: i16 = 19;

/// The cast, replaced where Arrow's differs from PostgreSQL's.
pub(crate) fn checked(it: Cast, source: &DataType) -> Result<Transformed<Expr>> {
    let target = it.field.data_type();
    if !differs(source, target) || !it.field.metadata().is_empty() {
        return Ok(Transformed::no(Expr::Cast(it)));
    }
    Ok(Transformed::yes(replaced(it)))
}

fn replaced(it: Cast) -> Expr {
    let signature = Signature::any(1, Volatility::Immutable);
    let target = it.field.data_type().clone();
    let function = ScalarUDF::from(CheckedCast { target, signature });
    Expr::ScalarFunction(ScalarFunction::new_udf(Arc::new(function), vec![*it.expr]))
}

/// Integers that are widened to be summed, where no digit can be lost: Arrow's cast takes 13 ns for each, a sum less than 1.
/// Elsewhere such a cast stays, for DataFusion to look through in comparisons.
pub(crate) fn widened(args: &mut [Expr], schema: &DFSchema) -> Result<bool> {
    let mut any = false;
    for arg in args {
        let Expr::Cast(it) = arg else { continue };
        let DataType::Decimal128(precision, scale) = *it.field.data_type() else { continue };
        let whole = i16::from(precision) - i16::from(scale);
        let integer = it.expr.get_type(schema)?.is_signed_integer();
        if integer && scale >= 0 && whole >= INTEGER_DIGITS {
            *arg = replaced(it.clone());
            any = true;
        }
    }
    Ok(any)
}

fn differs(source: &DataType, target: &DataType) -> bool {
    use DataType::{
        Binary, Decimal128, Decimal256, Duration, Float32, Float64, Int16, Int32, Int64, Interval,
        List, Timestamp, Utf8,
    };
    matches!(
        (source, target),
        (Float32 | Float64 | Decimal128(..) | Decimal256(..), Int16 | Int32 | Int64)
            | (Float64, Float32)
            | (Decimal128(..) | Decimal256(..) | Utf8, Float32 | Float64)
            | (
                Binary
                    | Decimal256(..)
                    | Float32
                    | Float64
                    | Timestamp(..)
                    | Interval(_)
                    | Duration(_),
                Utf8
            )
            | (Utf8, Binary | List(_))
    ) || (matches!(source, List(_)) && *target == Utf8)
}

/// `integer out of range`.
pub(crate) fn out_of_range(target: &DataType) -> DataFusionError {
    let name = type_name(&target.to_string().to_lowercase()).to_owned();
    fault("22003", format!("{name} out of range"))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct CheckedCast {
    target: DataType,
    signature: Signature,
}

impl ScalarUDFImpl for CheckedCast {
    fn name(&self) -> &'static str {
        "luma_cast"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(self.target.clone())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let value = only(&args.args, args.number_rows)?;
        answer(&args.args, convert(&value, &self.target)?)
    }
}

fn convert(array: &ArrayRef, target: &DataType) -> Result<ArrayRef> {
    match (array.data_type(), target) {
        (DataType::List(_), DataType::Utf8) => listed(array),
        (DataType::List(_), _) => list_of_texts(array),
        (DataType::Utf8, DataType::Binary) => bytea(array),
        (DataType::Utf8, DataType::List(item)) => lists(array, item),
        (DataType::Utf8, _) => parsed(array, target),
        (DataType::Binary, DataType::Utf8) => {
            let texts: StringArray =
                array.as_binary::<i32>().iter().map(|it| it.map(text::hex)).collect();
            Ok(Arc::new(texts))
        }
        (DataType::Decimal256(_, scale), DataType::Utf8) => {
            let numbers = array.as_primitive::<Decimal256Type>().iter();
            let texts: Result<StringArray> =
                numbers.map(|it| it.map(|it| exact::spelled(it, *scale)).transpose()).collect();
            Ok(Arc::new(texts?))
        }
        (DataType::Interval(_) | DataType::Duration(_), DataType::Utf8) => {
            let spelled = |it: IntervalMonthDayNano| {
                text::interval(it.months, it.days, it.nanoseconds / 1000)
            };
            let texts: StringArray = intervals(array)?.iter().map(|it| it.map(spelled)).collect();
            Ok(Arc::new(texts))
        }
        (_, DataType::Utf8) => shown(array),
        (
            DataType::Decimal128(..) | DataType::Decimal256(..),
            DataType::Int16 | DataType::Int32 | DataType::Int64,
        ) => {
            // Arrow rounds half away from zero, as PostgreSQL.
            let strict = CastOptions { safe: false, ..CastOptions::default() };
            let whole = cast_with_options(array, &DataType::Decimal128(38, 0), &strict);
            integers(whole.map_err(|_| out_of_range(target))?.as_primitive(), target)
        }
        (DataType::Decimal128(_, scale), _) => {
            let scale = *scale;
            let floats: Result<PrimitiveArray<Float64Type>> =
                array.as_primitive::<Decimal128Type>().try_unary(|it| decimal_to_float(it, scale));
            narrowed(&(Arc::new(floats?) as ArrayRef), target)
        }
        (DataType::Decimal256(_, scale), _) => {
            let scale = *scale;
            let floats: Result<PrimitiveArray<Float64Type>> =
                array.as_primitive::<Decimal256Type>().try_unary(|it| match it.to_i128() {
                    Some(it) => decimal_to_float(it, scale),
                    None => exponent_to_float(it, scale),
                });
            narrowed(&(Arc::new(floats?) as ArrayRef), target)
        }
        (source, DataType::Decimal128(precision, scale)) if source.is_integer() => {
            let factor = 10_i128.pow(u32::try_from(*scale).unwrap_or(0));
            let integers = cast(array, &DataType::Int64)?;
            let decimals: PrimitiveArray<Decimal128Type> =
                integers.as_primitive::<Int64Type>().unary(|it| i128::from(it) * factor);
            Ok(Arc::new(decimals.with_precision_and_scale(*precision, *scale)?))
        }
        (_, DataType::Float32) => narrowed(array, target),
        _ => {
            let floats = cast(array, &DataType::Float64)?;
            let whole: Result<PrimitiveArray<Decimal128Type>> = floats
                .as_primitive::<Float64Type>()
                .try_unary(|it| float_to_integer(it).ok_or_else(|| out_of_range(target)));
            integers(&whole?, target)
        }
    }
}

/// `{a,"b c",NULL}`, nested for more dimensions.
fn listed(array: &ArrayRef) -> Result<ArrayRef> {
    let mut texts = StringBuilder::new();
    for list in array.as_list::<i32>().iter() {
        match list {
            Some(items) => texts.append_value(list_text(&items)?),
            None => texts.append_null(),
        }
    }
    Ok(Arc::new(texts.finish()))
}

fn list_text(items: &ArrayRef) -> Result<String> {
    let texts = item_texts(items)?;
    let is_list = matches!(items.data_type(), DataType::List(_));
    let mut text = String::from("{");
    for (index, item) in texts.as_string::<i32>().iter().enumerate() {
        if index > 0 {
            text.push(',');
        }
        match item {
            None => text.push_str("NULL"),
            Some(item) if is_list => text.push_str(item),
            Some(item) => text::push_item(&mut text, item),
        }
    }
    text.push('}');
    Ok(text)
}

/// Texts of arrays of one dimension as arrays.
fn lists(array: &ArrayRef, item: &FieldRef) -> Result<ArrayRef> {
    let mut items = StringBuilder::new();
    let (mut lengths, mut present) = (Vec::new(), Vec::new());
    for text in array.as_string::<i32>() {
        let list = match text {
            None => None,
            Some(text) => Some(literals::items(text).ok_or_else(|| literals::malformed(text))?),
        };
        present.push(list.is_some());
        let list = list.unwrap_or_default();
        lengths.push(list.len());
        list.into_iter().for_each(|it| items.append_option(it));
    }
    let texts: ArrayRef = Arc::new(items.finish());
    let items = match differs(&DataType::Utf8, item.data_type()) {
        true => convert(&texts, item.data_type())?,
        false => {
            let strict = CastOptions { safe: false, ..CastOptions::default() };
            cast_with_options(&texts, item.data_type(), &strict)?
        }
    };
    let offsets = OffsetBuffer::from_lengths(lengths);
    let list = ListArray::try_new(Arc::clone(item), offsets, items, Some(present.into()))?;
    Ok(Arc::new(list))
}

/// The items of an argument of `array_to_string` as texts; whether they were others.
pub(crate) fn items_as_texts(args: &mut [Expr], schema: &DFSchema) -> Result<bool> {
    let Some(array) = args.first_mut() else { return Ok(false) };
    let DataType::List(item) = array.get_type(schema)? else { return Ok(false) };
    if matches!(item.data_type(), DataType::Utf8 | DataType::List(_) | DataType::Null) {
        return Ok(false);
    }
    let target = DataType::new_list(DataType::Utf8, true);
    *array = replaced(Cast::new(Box::new(std::mem::take(array)), target));
    Ok(true)
}

fn list_of_texts(array: &ArrayRef) -> Result<ArrayRef> {
    let (_, offsets, items, nulls) = array.as_list::<i32>().clone().into_parts();
    let field = Arc::new(Field::new_list_field(DataType::Utf8, true));
    Ok(Arc::new(ListArray::try_new(field, offsets, item_texts(&items)?, nulls)?))
}

/// Items as texts, as they stand in an array.
fn item_texts(items: &ArrayRef) -> Result<ArrayRef> {
    if *items.data_type() == DataType::Boolean {
        let letters: StringArray =
            items.as_boolean().iter().map(|it| it.map(|it| if it { "t" } else { "f" })).collect();
        return Ok(Arc::new(letters));
    }
    match differs(items.data_type(), &DataType::Utf8) {
        true => convert(items, &DataType::Utf8),
        false => Ok(cast(items, &DataType::Utf8)?),
    }
}

/// A value as its cast to text.
///
/// # Errors
/// Numbers that have no text.
pub(crate) fn text_of(value: &ScalarValue) -> Result<String> {
    let array = value.to_array()?;
    let texts = match differs(array.data_type(), &DataType::Utf8) {
        true => convert(&array, &DataType::Utf8)?,
        false => cast(&array, &DataType::Utf8)?,
    };
    Ok(texts.as_string::<i32>().value(0).to_owned())
}

/// Half to even, as `rint`.
fn float_to_integer(number: f64) -> Option<i128> {
    #[expect(clippy::cast_possible_truncation, reason = "whole and far below 2^127")]
    (number.abs() < 1e19).then(|| number.round_ties_even() as i128)
}

/// Whole numbers as an integer type.
fn integers(numbers: &PrimitiveArray<Decimal128Type>, target: &DataType) -> Result<ArrayRef> {
    fn narrow<T: ArrowPrimitiveType<Native: TryFrom<i128>>>(
        numbers: &PrimitiveArray<Decimal128Type>,
        target: &DataType,
    ) -> Result<ArrayRef> {
        let integers: Result<PrimitiveArray<T>> =
            numbers.try_unary(|it| T::Native::try_from(it).map_err(|_| out_of_range(target)));
        Ok(Arc::new(integers?))
    }
    match target {
        DataType::Int16 => narrow::<Int16Type>(numbers, target),
        DataType::Int32 => narrow::<Int32Type>(numbers, target),
        _ => narrow::<Int64Type>(numbers, target),
    }
}

/// Largest power of ten and largest integer that a double holds exactly.
const EXACT_POWER_MAX: i8 = 22;
const EXACT_MAX: u128 = 1 << 53;

/// The nearest double.
fn decimal_to_float(unscaled: i128, scale: i8) -> Result<f64> {
    if unscaled.unsigned_abs() <= EXACT_MAX && (0..=EXACT_POWER_MAX).contains(&scale) {
        #[expect(clippy::cast_precision_loss, reason = "exact up to 2^53, checked above")]
        return Ok(unscaled as f64 / 10_f64.powi(i32::from(scale)));
    }
    exponent_to_float(unscaled, scale)
}

fn exponent_to_float(unscaled: impl Display, scale: i8) -> Result<f64> {
    let text = format!("{unscaled}e{}", -i32::from(scale));
    text.parse().map_err(|_| DataFusionError::Internal(format!("{text} is not a number")))
}

/// Doubles as `target`.
fn narrowed(array: &ArrayRef, target: &DataType) -> Result<ArrayRef> {
    if *target == DataType::Float64 {
        return Ok(Arc::clone(array));
    }
    let narrow: Result<PrimitiveArray<Float32Type>> =
        array.as_primitive::<Float64Type>().try_unary(|it| {
            #[expect(clippy::cast_possible_truncation, reason = "to the nearest, checked below")]
            let narrow = it as f32;
            match () {
                () if narrow.is_infinite() && it.is_finite() => Err(overflow()),
                () if narrow == 0.0 && it != 0.0 => Err(underflow()),
                () => Ok(narrow),
            }
        });
    Ok(Arc::new(narrow?))
}

/// Text as floating point.
fn parsed(array: &ArrayRef, target: &DataType) -> Result<ArrayRef> {
    let texts = array.as_string::<i32>();
    let name = type_name(if *target == DataType::Float32 { "float32" } else { "float64" });
    let mut numbers = Vec::with_capacity(texts.len());
    for text in texts {
        numbers.push(text.map(|it| parse_float(it, target, name)).transpose()?);
    }
    let numbers: PrimitiveArray<Float64Type> = numbers.into_iter().collect();
    Ok(cast(&numbers, target)?)
}

fn parse_float(text: &str, target: &DataType, name: &str) -> Result<f64> {
    let trimmed = text.trim();
    let number = match target {
        DataType::Float32 => trimmed.parse::<f32>().map(f64::from),
        _ => trimmed.parse::<f64>(),
    };
    let Ok(number) = number else {
        let message = format!("invalid input syntax for type {name}: \"{text}\"");
        return Err(fault("22P02", message));
    };
    let mantissa = trimmed.split(['e', 'E']).next().unwrap_or(trimmed);
    let written =
        |digits: std::ops::RangeInclusive<char>| mantissa.contains(|it| digits.contains(&it));
    if (number.is_infinite() && written('0'..='9')) || (number == 0.0 && written('1'..='9')) {
        let message = format!("\"{trimmed}\" is out of range for type {name}");
        return Err(fault("22003", message));
    }
    Ok(number)
}

/// Numbers and times as PostgreSQL prints them.
fn shown(array: &ArrayRef) -> Result<ArrayRef> {
    let mut shown = StringBuilder::with_capacity(array.len(), array.len() * 8);
    let micros = match array.data_type() {
        DataType::Timestamp(_, zone) => {
            Some((cast(array, &DataType::Timestamp(TimeUnit::Microsecond, zone.clone()))?, zone))
        }
        _ => None,
    };
    for row in 0..array.len() {
        if array.is_null(row) {
            shown.append_null();
            continue;
        }
        shown.append_value(match (&micros, array.data_type()) {
            (Some((micros, zone)), _) => {
                let micros = micros.as_primitive::<TimestampMicrosecondType>().value(row);
                text::timestamp(micros, zone.is_some())
            }
            (None, DataType::Float32) => {
                text::float4(array.as_primitive::<Float32Type>().value(row))
            }
            (None, _) => text::float8(array.as_primitive::<Float64Type>().value(row)),
        });
    }
    Ok(Arc::new(shown.finish()))
}

/// `\x6162` or bytes with backslash escapes. <https://www.postgresql.org/docs/15/datatype-binary.html>
fn bytea(array: &ArrayRef) -> Result<ArrayRef> {
    let texts = array.as_string::<i32>();
    let mut bytes = BinaryBuilder::with_capacity(texts.len(), texts.value_data().len());
    for text in texts {
        match text {
            None => bytes.append_null(),
            Some(text) => {
                let value = text::bytea(text);
                bytes.append_value(value.map_err(|it| DataFusionError::External(Box::new(it)))?);
            }
        }
    }
    Ok(Arc::new(bytes.finish()))
}
