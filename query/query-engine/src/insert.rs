//! `INSERT INTO topic (…) VALUES …` and `INSERT … SELECT`: rows become JSON records, appended to the log.
//!
//! ```text
//!  source rows ──cast to the table's columns──► JSON object per row ──► batch per partition ──► Ingest::append
//! ```
//!
//! - A column that is left out is absent from the object; NULL is `null`.
//! - `_key` (bytea or text) becomes the record's key and chooses the partition as Kafka's default partitioner does;
//!   rows without a key go to one partition per batch, in turn.
//! - A table of format raw takes `key` and `value`.
//!
//! Invariants:
//! - A record is appended at most once; the statement returns after all of them are durable.
//! - Rows are appended in batches of [`BATCH_BYTES`]; a statement that fails after its first batch leaves those
//!   before it in the log, as a producer does. One that fits one batch and one partition is atomic.
//!
//! Absent: `RETURNING`, `ON CONFLICT`, headers, timestamps of the client's choice.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, cast};
use datafusion::sql::sqlparser::ast::{Insert, SetExpr, Statement, TableObject};
use futures_util::StreamExt;
use log_record::BatchBuilder;
use query_api::{DataType, Error, ErrorKind, Execution, Row, Value};

use crate::engine::{Parsed, PlanContext, Shapes, Shared};
use crate::error::unsupported;
use crate::interruptible::interruptible;
use crate::rewrite::parts;
use crate::shape::{Decoding, is_system_column};
use crate::snapshot::Relation;
use crate::stop::Stop;
use crate::{memory, parameters, pg_catalog, query, types, weight};

/// A partition's batch is appended when its records took this much.
const BATCH_BYTES: usize = 512 * 1024;

/// Where rows go.
pub(crate) struct Target {
    relation: Relation,
    decoding: Decoding,
    columns: Vec<TargetColumn>,
    /// A column that was left out and must not be NULL.
    missing: Option<String>,
}

/// An INSERT that can be run.
pub(crate) struct Plan {
    pub(crate) target: Target,
    pub(crate) source: Parsed,
    /// Types of the parameters, where the client or the table gives them.
    pub(crate) hints: Vec<DataType>,
    pub(crate) state: SessionState,
    pub(crate) plan: LogicalPlan,
}

struct TargetColumn {
    name: String,
    /// `None` where the source's type is taken: a new field of an undeclared topic.
    data_type: Option<DataType>,
    nullable: bool,
}

fn invalid(sqlstate: &'static str, message: String) -> Error {
    Error::new(ErrorKind::Invalid, message).with_sqlstate(sqlstate)
}

/// Resolves the table and the columns.
///
/// # Errors
/// 42P01, 42703, 42701, 0A000 for clauses that are not built.
async fn target(
    shared: &Shared,
    context: &PlanContext,
    parsed: &Parsed,
    shapes: &mut Shapes,
) -> Result<Target, Error> {
    let Statement::Insert(insert) = &parsed.statement else {
        return Err(unsupported("this statement is not supported"));
    };
    if insert.on.is_some() || insert.returning.is_some() || insert.source.is_none() {
        return Err(unsupported("ON CONFLICT, RETURNING and DEFAULT VALUES are not supported"));
    }
    let TableObject::TableName(name) = &insert.table else {
        return Err(unsupported("INSERT INTO FUNCTION is not supported"));
    };
    let path = parts(name);
    let table = path.last().cloned().unwrap_or_default();
    let public = path.len() < 2 || path[path.len() - 2] == "public";
    if path.len() == 1 && pg_catalog::is_relation(&table) {
        let message = format!("permission denied: \"{table}\" is a system relation");
        return Err(invalid("42501", message));
    }
    let relation = if public { context.snapshot.table(&table)? } else { None };
    let Some(relation) = relation else {
        let known = context.snapshot.relations();
        let known: Vec<&str> = known.keys().map(String::as_str).collect();
        return Err(shared.text(parsed).unknown_table(&path.join("."), &known));
    };
    if relation.topic.internal {
        let message = format!("permission denied for table {table}");
        return Err(invalid("42501", message).with_hint("the node itself writes internal topics"));
    }
    let shape = shared.shape(&relation, shapes).await?;
    let names = insert.columns.iter().map(|it| parts(it).pop().unwrap_or_default());
    let mut names: Vec<String> = names.collect();
    if names.is_empty() {
        names = shape.columns.iter().map(|it| it.name.clone()).collect();
    }
    let open = relation.declared.is_none();
    // An empty topic looks raw; its first record decides what it holds.
    let raw = shape.decoding == Decoding::Raw
        && (!open || names.iter().all(|it| matches!(it.as_str(), "key" | "value")));
    let mut columns: Vec<TargetColumn> = Vec::new();
    for name in names {
        if columns.iter().any(|it| it.name == name) {
            let message = format!("column \"{name}\" specified more than once");
            return Err(invalid("42701", message));
        }
        columns.push(column(&relation, &shape.columns, name, raw, open)?);
    }
    let decoding = if raw { Decoding::Raw } else { Decoding::JsonDeclared };
    let declared = relation.declared.iter().flat_map(|it| &it.columns);
    let missing = declared
        .filter(|it| !it.nullable && !columns.iter().any(|column| column.name == it.name))
        .map(|it| it.name.clone())
        .next();
    Ok(Target { relation, decoding, columns, missing })
}

fn column(
    relation: &Relation,
    known: &[crate::shape::ValueColumn],
    name: String,
    raw: bool,
    open: bool,
) -> Result<TargetColumn, Error> {
    if name == "_key" && !raw {
        return Ok(TargetColumn { name, data_type: Some(DataType::Bytea), nullable: true });
    }
    if is_system_column(&name) {
        let message = format!("cannot insert into column \"{name}\"");
        return Err(invalid("428C9", message).with_detail("the log assigns it"));
    }
    let found = known.iter().find(|it| it.name == name);
    let declared = relation.declared.as_ref();
    let nullable = declared
        .and_then(|it| it.columns.iter().find(|it| it.name == name))
        .is_none_or(|it| it.nullable);
    match found {
        // Inferred text is what any JSON value fits, so the source's own type is the better one.
        Some(it) if open && !raw && it.data_type == DataType::Text => {
            Ok(TargetColumn { name, data_type: None, nullable })
        }
        Some(it) => Ok(TargetColumn { name, data_type: Some(it.data_type.clone()), nullable }),
        None if open => Ok(TargetColumn { name, data_type: None, nullable }),
        None => {
            let message =
                format!("column \"{name}\" of relation \"{}\" does not exist", relation.name);
            Err(invalid("42703", message))
        }
    }
}

/// The query that gives the rows; parameters directly in VALUES have their column's type.
fn source(
    parsed: &Parsed,
    target: &Target,
    hints: &[DataType],
) -> Result<(Parsed, Vec<DataType>), Error> {
    let Statement::Insert(Insert { source: Some(query), .. }) = &parsed.statement else {
        return Err(unsupported("INSERT without rows is not supported"));
    };
    let mut hints = parameters::Hints::new(hints);
    if let SetExpr::Values(values) = query.body.as_ref() {
        for row in &values.rows {
            for (expr, column) in row.iter().zip(&target.columns) {
                hints.take(expr, || column.data_type.clone());
            }
        }
    }
    let hints = hints.found();
    let mut statement = Statement::Query(query.clone());
    parameters::write_hints(&mut statement, &hints);
    let source = Parsed { sql: parsed.sql.clone(), tokens: parsed.tokens.clone(), statement };
    Ok((source, hints))
}

/// Casts the source's columns to the table's.
///
/// # Errors
/// 42601 when the numbers of columns differ.
fn fitted(
    shared: &Shared,
    parsed: &Parsed,
    target: &Target,
    plan: LogicalPlan,
) -> Result<LogicalPlan, Error> {
    let given = plan.schema().fields().len();
    let wanted = target.columns.len();
    if given > wanted {
        return Err(invalid("42601", "INSERT has more expressions than target columns".to_owned()));
    }
    if given < wanted {
        return Err(invalid("42601", "INSERT has more target columns than expressions".to_owned()));
    }
    let items = plan.schema().columns().into_iter().zip(&target.columns).enumerate();
    let items = items.map(|(index, (column, target))| {
        let expr = Expr::Column(column);
        let expr = match &target.data_type {
            Some(data_type) => cast(expr, types::to_arrow(data_type)),
            None => expr,
        };
        expr.alias(format!("luma_{index}"))
    });
    let items: Vec<Expr> = items.collect();
    LogicalPlanBuilder::from(plan)
        .project(items)
        .and_then(LogicalPlanBuilder::build)
        .map_err(|error| shared.text(parsed).datafusion(&error))
}

/// How a value is written.
#[derive(Clone, Copy)]
enum Form {
    /// By its variant.
    Value,
    /// Text that is a JSON number.
    Number,
}

/// Values JSON has no form for, as text: the plan renders them as casts to text do.
fn rendered(
    shared: &Shared,
    parsed: &Parsed,
    plan: LogicalPlan,
) -> Result<(LogicalPlan, Vec<Form>), Error> {
    let mut forms = Vec::new();
    let mut items = Vec::new();
    for (column, field) in plan.schema().columns().into_iter().zip(plan.schema().fields().iter()) {
        let name = column.name.clone();
        let expr = Expr::Column(column);
        let (form, expr) = match types::from_field(field) {
            DataType::Numeric(..) => (Form::Number, cast(expr, types::to_arrow(&DataType::Text))),
            DataType::Date
            | DataType::Time
            | DataType::Timestamp
            | DataType::TimestampTz
            | DataType::Interval => (Form::Value, cast(expr, types::to_arrow(&DataType::Text))),
            _ => (Form::Value, expr),
        };
        forms.push(form);
        items.push(expr.alias(name));
    }
    let plan = LogicalPlanBuilder::from(plan)
        .project(items)
        .and_then(LogicalPlanBuilder::build)
        .map_err(|error| shared.text(parsed).datafusion(&error))?;
    Ok((plan, forms))
}

/// Runs the source and appends its rows.
///
/// # Errors
/// Everything the source's rows can fail with, 23502, and what the log refuses.
pub(crate) async fn run(
    shared: &Shared,
    parsed: &Parsed,
    target: &Target,
    state: &SessionState,
    plan: LogicalPlan,
    stop: &Stop,
) -> Result<Execution, Error> {
    let fail = |error| shared.text(parsed).datafusion(&error);
    let (plan, forms) = rendered(shared, parsed, plan)?;
    let column_types: Vec<DataType> =
        plan.schema().fields().iter().map(|it| types::from_field(it)).collect();
    let physical = weight::physical(state, &plan).await.map_err(fail)?;
    let physical = interruptible(physical, stop).map_err(fail)?;
    let mut batches =
        memory::execute(physical, state, memory::Passing::new(state)).map_err(fail)?;
    let mut appender = Appender::new(shared, target);
    while let Some(batch) = batches.next().await {
        for row in types::rows(&batch.map_err(fail)?, &column_types)? {
            let record = target.record(row, &forms)?;
            appender.push(&record).await?;
        }
    }
    let count = appender.finish().await?;
    Ok(query::done(&format!("INSERT 0 {count}"), Vec::new()))
}

struct Record {
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
}

impl Target {
    fn null(&self, column: &str) -> Error {
        let table = &self.relation.name;
        let message = format!(
            "null value in column \"{column}\" of relation \"{table}\" violates not-null constraint"
        );
        invalid("23502", message)
    }

    fn record(&self, row: Row, forms: &[Form]) -> Result<Record, Error> {
        let mut record = Record { key: None, value: None };
        if let Some(column) = &self.missing {
            return Err(self.null(column));
        }
        let mut object = String::from("{");
        for ((value, column), form) in row.into_iter().zip(&self.columns).zip(forms) {
            if value == Value::Null && !column.nullable {
                return Err(self.null(&column.name));
            }
            let value = match value {
                Value::Text(it)
                    if matches!(column.data_type, Some(DataType::Json | DataType::Jsonb)) =>
                {
                    Value::Json(it)
                }
                other => other,
            };
            match (self.decoding, column.name.as_str()) {
                (Decoding::Raw, "value") => record.value = bytes(value),
                (Decoding::Raw, _) | (_, "_key") => record.key = bytes(value),
                (_, name) => {
                    if object.len() > 1 {
                        object.push(',');
                    }
                    object.push_str(&serde_json::Value::from(name).to_string());
                    object.push(':');
                    json(&value, *form, &mut object)?;
                }
            }
        }
        if self.decoding != Decoding::Raw {
            object.push('}');
            record.value = Some(object.into_bytes());
        }
        Ok(record)
    }
}

fn bytes(value: Value) -> Option<Vec<u8>> {
    match value {
        Value::Bytea(it) => Some(it.to_vec()),
        Value::Text(it) | Value::Json(it) => Some(it.into_bytes()),
        _ => None,
    }
}

fn json(value: &Value, form: Form, out: &mut String) -> Result<(), Error> {
    use std::fmt::Write as _;
    let not_finite = || invalid("22023", "NaN and infinity have no JSON form".to_owned());
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(it) => out.push_str(if *it { "true" } else { "false" }),
        Value::Float4(it) => {
            let number = serde_json::Number::from_f64(f64::from(*it)).ok_or_else(not_finite)?;
            out.push_str(&number.to_string());
        }
        Value::Float8(it) => {
            let number = serde_json::Number::from_f64(*it).ok_or_else(not_finite)?;
            out.push_str(&number.to_string());
        }
        Value::Text(it) if matches!(form, Form::Number) => out.push_str(it),
        Value::Text(it) => out.push_str(&serde_json::Value::from(it.as_str()).to_string()),
        Value::Json(it) => {
            let checked: &serde_json::value::RawValue = serde_json::from_str(it)
                .map_err(|_| invalid("22P02", "invalid input syntax for type json".to_owned()))?;
            out.push_str(checked.get());
        }
        Value::Bytea(it) => {
            out.push_str("\"\\\\x");
            for byte in it {
                // Writing to a string cannot fail.
                let _ = write!(out, "{byte:02x}");
            }
            out.push('"');
        }
        Value::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                json(item, Form::Value, out)?;
            }
            out.push(']');
        }
        Value::Int2(it) => out.push_str(&it.to_string()),
        Value::Int4(it) => out.push_str(&it.to_string()),
        Value::Int8(it) => out.push_str(&it.to_string()),
        Value::Oid(it) | Value::Reg { oid: it, .. } => out.push_str(&it.to_string()),
        _ => return Err(unsupported("a value of this type inside an array is not supported")),
    }
    Ok(())
}

/// Collects records per partition.
struct Appender<'a> {
    shared: &'a Shared,
    topic: &'a str,
    partitions: usize,
    keyless: usize,
    open: BTreeMap<usize, BatchBuilder>,
    count: u64,
}

/// Spreads batches without keys; any start is as good as another.
static TURN: AtomicUsize = AtomicUsize::new(0);

impl<'a> Appender<'a> {
    fn new(shared: &'a Shared, target: &'a Target) -> Self {
        let topic = &target.relation.topic;
        let partitions = topic.partitions.len().max(1);
        let keyless = TURN.fetch_add(1, Ordering::Relaxed) % partitions;
        Self { shared, topic: &topic.name, partitions, keyless, open: BTreeMap::new(), count: 0 }
    }

    async fn push(&mut self, record: &Record) -> Result<(), Error> {
        let partition = match &record.key {
            Some(key) => usize::try_from(murmur2(key) & 0x7fff_ffff).unwrap_or(0) % self.partitions,
            None => self.keyless,
        };
        let batch = self.open.entry(partition).or_default();
        batch
            .push(now_ms(), record.key.as_deref(), record.value.as_deref(), &[])
            .map_err(|error| invalid("54000", format!("cannot build a record: {error}")))?;
        self.count += 1;
        if batch.records().len() >= BATCH_BYTES {
            if record.key.is_none() {
                self.keyless = (self.keyless + 1) % self.partitions;
            }
            let batch = self.open.remove(&partition).unwrap_or_default();
            self.append(partition, batch).await?;
        }
        Ok(())
    }

    async fn append(&self, partition: usize, batch: BatchBuilder) -> Result<(), Error> {
        let batch = batch
            .build()
            .map_err(|error| invalid("54000", format!("cannot build a batch: {error}")))?;
        let partition = i32::try_from(partition).unwrap_or(i32::MAX);
        self.shared.ingest.append(self.topic, partition, batch).await?;
        Ok(())
    }

    async fn finish(mut self) -> Result<u64, Error> {
        for (partition, batch) in std::mem::take(&mut self.open) {
            self.append(partition, batch).await?;
        }
        Ok(self.count)
    }
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// Kafka's hash of keys, so that SQL and producers agree on partitions
/// (`org.apache.kafka.common.utils.Utils.murmur2`).
fn murmur2(data: &[u8]) -> u32 {
    const M: u32 = 0x5bd1_e995;
    let length = u32::try_from(data.len()).unwrap_or(u32::MAX);
    let mut hash = 0x9747_b28c ^ length;
    let (chunks, tail) = data.as_chunks::<4>();
    for chunk in chunks {
        let mixed = u32::from_le_bytes(*chunk).wrapping_mul(M);
        hash = hash.wrapping_mul(M) ^ (mixed ^ (mixed >> 24)).wrapping_mul(M);
    }
    for (index, byte) in tail.iter().enumerate() {
        hash ^= u32::from(*byte) << (8 * index);
    }
    if !tail.is_empty() {
        hash = hash.wrapping_mul(M);
    }
    hash = (hash ^ (hash >> 13)).wrapping_mul(M);
    hash ^ (hash >> 15)
}

/// Plans the source and fits it to the table.
///
/// # Errors
/// Everything planning refuses.
pub(crate) async fn plan(
    shared: &Shared,
    context: &PlanContext,
    parsed: &Parsed,
    hints: &[DataType],
    shapes: &mut Shapes,
) -> Result<Plan, Error> {
    let target = target(shared, context, parsed, shapes).await?;
    let (source, hints) = source(parsed, &target, hints)?;
    let (state, plan) = shared.plan(&source, context, shapes).await?;
    let plan = fitted(shared, &source, &target, plan)?;
    Ok(Plan { target, source, hints, state, plan })
}
