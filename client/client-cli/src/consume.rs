//! `lumadb consume`.
//!
//! Without `--follow` a partition ends at the offset that was its end when the command began.

use std::collections::BTreeMap;
use std::io::Write;

use client_kafka::{Client, OwnedRecord, each_record};
use serde_json::{Value, json};

use crate::args::ConsumeArgs;
use crate::connect::{block_on, connect, now_ms};
use crate::exit::{Exit, Failure};
use crate::format::Format;
use crate::offsets::{Position, parse};
use crate::terminal::Terminal;
use crate::topic;
use crate::verbs::Template;

const FETCH_BYTES_MAX: i32 = 16 << 20;
const FETCH_WAIT_MS: i32 = 500;

/// Next offset and end (excluded) of a partition.
pub(crate) type Ranges = BTreeMap<i32, (i64, i64)>;

pub(crate) fn run(
    args: &ConsumeArgs,
    format: Format,
    terminal: &mut Terminal,
) -> Result<(), Failure> {
    let position = parse(&args.offset, now_ms()).map_err(Failure::usage)?;
    let template =
        args.template.as_deref().map(Template::parse).transpose().map_err(Failure::usage)?;
    if !matches!(format, Format::Auto | Format::Json | Format::Jsonl) && template.is_none() {
        return Err(Failure::usage("consume prints jsonl or json, or what --template says"));
    }
    let style = match template {
        Some(template) => Style::Template(template),
        None if format == Format::Json && args.follow => {
            return Err(Failure::usage("a JSON array that follows has no end")
                .hint("--format jsonl prints one object per line"));
        }
        None if format == Format::Json => Style::Array { printed: false },
        None => Style::Lines,
    };
    block_on(async {
        let client = connect(&args.broker).await?;
        let topic = topic::existing(&client, &args.topic).await?;
        let partitions = chosen(args, &topic.partitions)?;
        let mut ranges = ranges(&client, &args.topic, &partitions, position).await?;
        if let Position::At(wanted) = position {
            note_missing(&args.topic, wanted, &ranges, terminal);
        }
        if args.follow && !matches!(position, Position::Range(..)) {
            ranges.values_mut().for_each(|(_, end)| *end = i64::MAX);
        }
        let left = args.num.unwrap_or(u64::MAX);
        let mut printer = Printer { topic: &args.topic, style, left };
        consume(&client, &mut ranges, &mut printer, terminal).await?;
        Ok(terminal.out.write_all(printer.style.end())?)
    })
}

fn chosen(args: &ConsumeArgs, existing: &[i32]) -> Result<Vec<i32>, Failure> {
    if let Some(missing) = args.partition.iter().find(|wanted| !existing.contains(wanted)) {
        return Err(Failure::new(
            Exit::NotFound,
            format!("{} has no partition {missing}", args.topic),
        ));
    }
    Ok(if args.partition.is_empty() { existing.to_vec() } else { args.partition.clone() })
}

/// Resolves a position against the broker's offsets of this moment.
pub(crate) async fn ranges(
    client: &Client,
    topic: &str,
    partitions: &[i32],
    position: Position,
) -> Result<Ranges, Failure> {
    let starts = client.offsets(topic, partitions, -2).await?;
    let ends = client.offsets(topic, partitions, -1).await?;
    let timed = match position {
        Position::Time(ms) => client.offsets(topic, partitions, ms).await?,
        _ => Vec::new(),
    };
    let mut ranges = Ranges::new();
    for (start, end) in starts.iter().zip(&ends) {
        let (low, high) = (start.offset, end.offset);
        let clamp = |offset: i64| offset.clamp(low, high.max(low));
        let from = match position {
            Position::Start => low,
            Position::End => high,
            Position::At(offset) | Position::Range(offset, _) => clamp(offset),
            Position::AfterStart(count) => clamp(low.saturating_add(count)),
            Position::BeforeEnd(count) => clamp(high.saturating_sub(count)),
            Position::Time(_) => {
                let found = timed.iter().find(|found| found.partition == start.partition);
                found.map(|found| found.offset).filter(|&offset| offset >= 0).unwrap_or(high)
            }
        };
        let to = match position {
            Position::Range(_, to) => to.min(high),
            _ => high,
        };
        ranges.insert(start.partition, (from, to));
    }
    Ok(ranges)
}

/// Says where no partition has the offset that was asked for.
pub(crate) fn note_missing(topic: &str, wanted: i64, ranges: &Ranges, terminal: &mut Terminal) {
    for (partition, (taken, _)) in ranges.iter().filter(|(_, (taken, _))| *taken != wanted) {
        let text = format!("{topic}-{partition} has no offset {wanted}: the nearest is {taken}");
        terminal.note(&text);
    }
}

/// How records are printed.
enum Style {
    Template(Template),
    /// One object per line.
    Lines,
    /// One array of objects.
    Array {
        printed: bool,
    },
}

impl Style {
    /// What stands after the last record.
    fn end(&self) -> &'static [u8] {
        match self {
            Self::Array { printed: true } => b"]\n",
            Self::Array { printed: false } => b"[]\n",
            _ => b"",
        }
    }
}

struct Printer<'a> {
    topic: &'a str,
    style: Style,
    left: u64,
}

impl Printer<'_> {
    fn print(&mut self, partition: i32, record: &OwnedRecord, out: &mut Vec<u8>) {
        let object = || json_object(self.topic, partition, record);
        match &mut self.style {
            Style::Template(template) => template.render(self.topic, partition, record, out),
            Style::Lines => {
                out.extend_from_slice(object().as_bytes());
                out.push(b'\n');
            }
            Style::Array { printed } => {
                out.extend_from_slice(if *printed { b",\n" } else { b"[" });
                out.extend_from_slice(object().as_bytes());
                *printed = true;
            }
        }
    }
}

/// Bytes that are UTF-8 as text, others as `{"hex": …}`.
fn json_bytes(bytes: Option<&[u8]>) -> Value {
    match bytes.map(std::str::from_utf8) {
        None => Value::Null,
        Some(Ok(text)) => json!(text),
        Some(Err(_)) => {
            let hex: String =
                bytes.unwrap_or_default().iter().map(|byte| format!("{byte:02x}")).collect();
            json!({ "hex": hex })
        }
    }
}

fn json_object(topic: &str, partition: i32, record: &OwnedRecord) -> String {
    let headers: Vec<Value> = record
        .headers
        .iter()
        .map(|(key, value)| json!({ "key": String::from_utf8_lossy(key), "value": json_bytes(value.as_deref()) }))
        .collect();
    format!(
        "{{\"topic\":{},\"partition\":{partition},\"offset\":{},\"timestamp\":{},\"key\":{},\"value\":{},\"headers\":{}}}",
        json!(topic),
        record.offset,
        record.timestamp_ms,
        json_bytes(record.key.as_deref()),
        json_bytes(record.value.as_deref()),
        Value::from(headers),
    )
}

async fn consume(
    client: &Client,
    ranges: &mut Ranges,
    printer: &mut Printer<'_>,
    terminal: &mut Terminal,
) -> Result<(), Failure> {
    let mut out = Vec::new();
    while printer.left > 0 {
        let wanted: Vec<(i32, i64)> = ranges
            .iter()
            .filter(|(_, (next, end))| next < end)
            .map(|(&partition, &(next, _))| (partition, next))
            .collect();
        if wanted.is_empty() {
            break;
        }
        for fetched in client.fetch(printer.topic, &wanted, FETCH_WAIT_MS, FETCH_BYTES_MAX).await? {
            let Some((next, end)) = ranges.get_mut(&fetched.partition) else { continue };
            out.clear();
            let after = each_record(&fetched.records, *next, |record| {
                if record.offset >= *end || printer.left == 0 {
                    return false;
                }
                printer.print(fetched.partition, &record, &mut out);
                printer.left -= 1;
                true
            })?;
            *next = after;
            terminal.out.write_all(&out)?;
            terminal.out.flush()?;
        }
    }
    Ok(())
}
