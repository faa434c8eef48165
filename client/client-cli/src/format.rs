//! Rows to text, in every output format.
//!
//! `auto` is a table on a terminal and one JSON object per line elsewhere.

use std::io::Write;

use clap::ValueEnum;
use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use serde_json::Value;

use crate::exit::Failure;
use crate::terminal::Terminal;

/// An output format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    Auto,
    Table,
    /// One array of objects
    Json,
    /// One object per line
    Jsonl,
    Csv,
    Tsv,
    /// One column per line
    Vertical,
}

impl Format {
    /// What `auto` means here.
    pub(crate) fn resolve(self, stdout_is_tty: bool) -> Self {
        match self {
            Self::Auto if stdout_is_tty => Self::Table,
            Self::Auto => Self::Jsonl,
            other => other,
        }
    }

    pub(crate) fn json(self) -> bool {
        matches!(self, Self::Json | Self::Jsonl)
    }
}

/// Rows with named columns; a cell is a JSON scalar or, where a column is JSON, any value.
#[derive(Debug, Default)]
pub struct Rows {
    pub(crate) columns: Vec<String>,
    /// Columns whose texts are numbers of any precision, such as PostgreSQL's numeric: JSON has no limit for them either.
    pub(crate) decimal: Vec<usize>,
    pub(crate) rows: Vec<Vec<Value>>,
}

impl Rows {
    /// No rows yet.
    #[must_use]
    pub fn new(columns: &[&str]) -> Self {
        let columns = columns.iter().map(|&name| name.to_owned()).collect();
        Self { columns, ..Self::default() }
    }

    /// Adds a row with as many cells as there are columns.
    pub fn push(&mut self, row: Vec<Value>) {
        self.rows.push(row);
    }

    /// How many rows there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.rows.len()
    }

    /// Prints all rows to standard output.
    ///
    /// # Errors
    /// When it cannot be written to.
    pub fn print(&self, format: Format, terminal: &mut Terminal) -> Result<(), Failure> {
        let format = format.resolve(terminal.stdout_is_tty);
        let text = self.render(format);
        terminal.out.write_all(text.as_bytes())?;
        terminal.out.flush()?;
        Ok(())
    }

    pub(crate) fn render(&self, format: Format) -> String {
        match format {
            Format::Auto | Format::Table => self.table(),
            Format::Json => self.json(),
            Format::Jsonl => self.rows.iter().map(|row| self.object(row) + "\n").collect(),
            Format::Csv => self.separated(',', csv_field, true),
            Format::Tsv => self.separated('\t', tsv_field, true),
            Format::Vertical => self.vertical(0),
        }
    }

    /// A part of a longer result, of which `printed` rows stand above; `None` for the first part. As JSON the array stays
    /// open: whoever prints the last part closes it.
    pub(crate) fn render_part(&self, format: Format, printed: Option<usize>) -> String {
        match (format, printed) {
            (Format::Json, None) => format!("[{}", self.objects()),
            (Format::Json, Some(0)) => self.objects(),
            (Format::Json, Some(_)) => format!(",\n{}", self.objects()),
            (Format::Csv, Some(_)) => self.separated(',', csv_field, false),
            (Format::Tsv, Some(_)) => self.separated('\t', tsv_field, false),
            (Format::Vertical, printed) => self.vertical(printed.unwrap_or(0)),
            _ => self.render(format),
        }
    }

    /// Columns in their order, which a JSON map would sort.
    fn object(&self, row: &[Value]) -> String {
        let pairs = self.columns.iter().zip(row).enumerate().map(|(index, (name, value))| {
            let name = Value::from(name.as_str());
            match self.number(index, value) {
                Some(digits) => format!("{name}:{digits}"),
                None => format!("{name}:{value}"),
            }
        });
        format!("{{{}}}", pairs.collect::<Vec<_>>().join(","))
    }

    /// The digits of a cell of a decimal column; `NaN` and the infinities have none.
    fn number<'a>(&self, index: usize, cell: &'a Value) -> Option<&'a str> {
        let text = cell.as_str().filter(|_| self.decimal.contains(&index))?;
        serde_json::from_str::<serde_json::Number>(text).is_ok().then_some(text)
    }

    fn json(&self) -> String {
        format!("[{}]\n", self.objects())
    }

    fn objects(&self) -> String {
        self.rows.iter().map(|row| self.object(row)).collect::<Vec<_>>().join(",\n")
    }

    fn table(&self) -> String {
        let mut table = Table::new();
        table.load_preset(presets::UTF8_FULL_CONDENSED);
        table.set_content_arrangement(ContentArrangement::Disabled);
        table.set_header(&self.columns);
        for row in &self.rows {
            table.add_row(row.iter().map(shown));
        }
        for (index, column) in table.column_iter_mut().enumerate() {
            let mut cells =
                self.rows.iter().filter_map(|row| row.get(index)).filter(|cell| !cell.is_null());
            let is_number = |cell: &Value| cell.is_number() || self.number(index, cell).is_some();
            let numeric = cells.clone().next().is_some() && cells.all(is_number);
            if numeric {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        format!("{table}\n")
    }

    fn separated(&self, separator: char, field: fn(&str) -> String, heading: bool) -> String {
        let line = |cells: Vec<String>| cells.join(&separator.to_string()) + "\n";
        let mut out = String::new();
        if heading {
            out = line(self.columns.iter().map(|name| field(name)).collect());
        }
        for row in &self.rows {
            out.push_str(&line(row.iter().map(|cell| field(&plain(cell))).collect()));
        }
        out
    }

    fn vertical(&self, before: usize) -> String {
        let width = self.columns.iter().map(|name| name.chars().count()).max().unwrap_or(0);
        let mut out = String::new();
        for (number, row) in self.rows.iter().enumerate() {
            out.push_str(&format!("-[ RECORD {} ]\n", before + number + 1));
            for (name, cell) in self.columns.iter().zip(row) {
                out.push_str(&format!("{name:width$} | {}\n", shown(cell)));
            }
        }
        out
    }
}

/// Prints several sets of rows one after the other; as JSON they are one object with a key for each.
pub(crate) fn print_all(
    sets: &[(&str, &Rows)],
    format: Format,
    terminal: &mut Terminal,
) -> Result<(), Failure> {
    if format != Format::Json {
        return sets.iter().try_for_each(|(_, rows)| rows.print(format, terminal));
    }
    let pairs = sets
        .iter()
        .map(|(name, rows)| format!("{}:{}", Value::from(*name), rows.json().trim_end()));
    writeln!(terminal.out, "{{{}}}", pairs.collect::<Vec<_>>().join(",\n"))?;
    Ok(terminal.out.flush()?)
}

/// A cell in a table: a missing value is visible.
fn shown(cell: &Value) -> String {
    if cell.is_null() { "NULL".to_owned() } else { plain(cell) }
}

/// A cell as bare text; a missing value is empty.
fn plain(cell: &Value) -> String {
    match cell {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// RFC 4180, section 2.
fn csv_field(text: &str) -> String {
    if text.contains(['"', ',', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

fn tsv_field(text: &str) -> String {
    text.replace('\\', "\\\\").replace('\t', "\\t").replace('\n', "\\n").replace('\r', "\\r")
}

#[cfg(test)]
mod tests;
