//! The engine: DataFusion on its own threads, and the plans of single statements.
//!
//! Invariants:
//! - Everything that recurses on a statement runs on the engine's threads, whose stacks are [`STACK_BYTES`].
//! - The operators of a statement keep `query_memory_bytes_max` at most; what its scans have read and what waits for its
//!   client is as much at most. All statements together hold `memory_bytes_max`, and a little each ([`crate::memory`]).
//!   Not counted are the batches that are being computed, one per thread. Nothing spills to disk.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use datafusion::arrow::datatypes::Field;
use datafusion::catalog::{
    CatalogProvider, CatalogProviderList, MemoryCatalogProvider, MemoryCatalogProviderList,
    MemorySchemaProvider, SchemaProvider,
};
use datafusion::error::DataFusionError;
use datafusion::execution::FunctionRegistry as _;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::MemoryPool;
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::execution::session_state::{SessionState, SessionStateBuilder};
use datafusion::logical_expr::LogicalPlan;
use datafusion::optimizer::Analyzer;
use datafusion::prelude::SessionConfig;
use datafusion::sql::parser::Statement as DfStatement;
use datafusion::sql::sqlparser::ast::Statement;
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};
use query_api::{Error, ErrorKind, Follow, Ingest, Sql, SqlSession, SqlSessionOptions};
use tokio::runtime::{Builder, Handle, Runtime};

use crate::aggregates::IntegerSums;
use crate::arithmetic::Checked;
use crate::bad::{BadRecords, BadTotals};
use crate::dialect::{BoundedDialect, spelled};
use crate::error::Text;
use crate::functions::joined::Concatenations;
use crate::guarded::GuardFilters;
use crate::guarded::hoist::Hoist;
use crate::intervals::order;
use crate::lists::Apart;
use crate::literals::ArrayLiterals;
use crate::memory::{MemoryLimits, StatementPool, Total};
use crate::metered::MeterWindows;
use crate::operators::Operators;
use crate::relations::{Nullable, Relations};
use crate::rewrite::{self, Names};
use crate::scan::edges::ReadEdges;
use crate::session::Session;
use crate::shape::Shape;
use crate::snapshot::Snapshot;
use crate::stop::{self, Stop};
use crate::table::{ScanContext, TopicTable};
use crate::{
    aggregates, averages, floats, functions, grouped, guard, infer, pg_catalog, plain, predicates,
    subquery, types, weight, windows,
};

/// Stack of each engine thread; virtual memory until it is used.
const STACK_BYTES: usize = 32 * 1024 * 1024;
/// Tables one statement may name.
const TABLES_MAX: usize = 100;

/// Threads of the engine's runtime for each part of a statement that runs: a step of an operator that takes long, such as a sort,
/// keeps its thread, and others are to be served meanwhile.
pub(crate) const THREADS: usize = 4;

/// How the engine is sized.
#[derive(Clone, Debug)]
pub struct EngineOptions {
    /// Bytes that all running statements may hold together: for sorts, joins, aggregates, window functions, scans, and
    /// rows that wait for their client.
    pub memory_bytes_max: usize,
    /// Bytes that those of one statement may hold.
    pub query_memory_bytes_max: usize,
    /// Parts of a statement that run at the same time; at least 1. The engine has four threads for each.
    pub worker_threads: usize,
    /// Rows per Arrow batch and per batch handed to a session; at least 1.
    pub batch_rows: usize,
}

impl EngineOptions {
    pub(crate) fn memory_limits(&self) -> MemoryLimits {
        MemoryLimits {
            statement_bytes_max: self.query_memory_bytes_max,
            total_bytes_max: self.memory_bytes_max,
        }
    }
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self {
            memory_bytes_max: 512 * 1024 * 1024,
            query_memory_bytes_max: 128 * 1024 * 1024,
            worker_threads: 2,
            batch_rows: 1024,
        }
    }
}

/// SQL over topics.
pub struct Engine {
    shared: Arc<Shared>,
    runtime: Option<Runtime>,
}

/// What sessions hold.
pub(crate) struct Shared {
    pub(crate) options: EngineOptions,
    pub(crate) follow: Arc<dyn Follow>,
    pub(crate) ingest: Arc<dyn Ingest>,
    pub(crate) handle: Handle,
    base: SessionState,
    averages: averages::Parts,
    memory: Arc<Total>,
    pub(crate) bad: Arc<BadTotals>,
    read_bytes: Arc<AtomicU64>,
    learned: infer::Learned,
}

impl Engine {
    /// Bytes that running statements hold.
    pub fn memory_bytes(&self) -> usize {
        self.shared.memory.held_bytes()
    }

    /// Records that statements read since the start and could not fully decode; one that is read twice counts twice.
    pub fn bad_records(&self) -> u64 {
        self.shared.bad.count()
    }

    /// Bytes of record batches that statements read since the start.
    pub fn read_bytes(&self) -> u64 {
        self.shared.read_bytes.load(Ordering::Relaxed)
    }

    /// Starts the engine's threads.
    ///
    /// # Errors
    /// `Unavailable` when threads cannot be started, `Internal` when DataFusion refuses its options.
    pub fn new(
        options: EngineOptions,
        follow: Arc<dyn Follow>,
        ingest: Arc<dyn Ingest>,
    ) -> Result<Arc<Self>, Error> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(THREADS * options.worker_threads.max(1))
            .thread_name("luma-query")
            .thread_stack_size(STACK_BYTES)
            .enable_time()
            .build()
            .map_err(|error| {
                Error::new(ErrorKind::Unavailable, format!("cannot start query threads: {error}"))
            })?;
        let base = base_state(&options).map_err(|error| {
            Error::new(ErrorKind::Internal, format!("cannot set up the query engine: {error}"))
        })?;
        let part = |name: &str| base.aggregate_functions().get(name).cloned();
        let (Some(sum), Some(count)) = (part("sum"), part("count")) else {
            return Err(Error::new(ErrorKind::Internal, "the query engine has no sum and count"));
        };
        let handle = runtime.handle().clone();
        let shared = Arc::new(Shared {
            options,
            follow,
            ingest,
            handle,
            base,
            averages: averages::Parts { sum, count },
            memory: Arc::default(),
            bad: Arc::default(),
            read_bytes: Arc::default(),
            learned: infer::Learned::default(),
        });
        Ok(Arc::new(Self { shared, runtime: Some(runtime) }))
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // Dropping a runtime inside another one would panic; running statements are abandoned.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Sql for Engine {
    fn open_session(&self, options: SqlSessionOptions) -> Box<dyn SqlSession> {
        Box::new(Session::new(Arc::clone(&self.shared), options))
    }
}

fn base_state(options: &EngineOptions) -> Result<SessionState, DataFusionError> {
    let mut config = SessionConfig::new()
        .with_default_catalog_and_schema("luma", "public")
        .with_create_default_catalog_and_schema(false)
        .with_target_partitions(options.worker_threads.max(1))
        .with_batch_size(options.batch_rows.max(1));
    let settings = config.options_mut();
    settings.sql_parser.map_string_types_to_utf8view = false;
    settings.sql_parser.parse_float_as_decimal = true;
    settings.sql_parser.default_null_ordering = "nulls_max".to_owned();
    settings.execution.time_zone = Some("+00:00".to_owned());
    let runtime = RuntimeEnvBuilder::new()
        .with_disk_manager_builder(
            DiskManagerBuilder::default().with_mode(DiskManagerMode::Disabled),
        )
        .build_arc()?;
    let mut analysis = Analyzer::new().rules;
    analysis.insert(0, Arc::new(IntegerSums));
    analysis.push(Arc::new(Checked));
    analysis.push(Arc::new(Hoist));
    analysis.push(Arc::new(Apart));
    analysis.push(Arc::new(Nullable));
    let mut state = SessionStateBuilder::new()
        .with_config(config)
        .with_runtime_env(runtime)
        // Operators come first: they take the places out that others do not know.
        .with_expr_planners(vec![Arc::new(Operators)])
        .with_default_features()
        .with_analyzer_rules(analysis)
        .with_optimizer_rules(windows::rules())
        .with_physical_optimizer_rules(grouped::rules())
        .with_type_planner(Arc::new(pg_catalog::PgTypes))
        .with_physical_optimizer_rule(Arc::new(ReadEdges))
        .with_physical_optimizer_rule(Arc::new(GuardFilters))
        .with_physical_optimizer_rule(Arc::new(MeterWindows))
        .build();
    state.register_expr_planner(Arc::new(ArrayLiterals))?;
    aggregates::register(&mut state)?;
    functions::domain::register(&mut state)?;
    functions::numeric::register(&mut state)?;
    functions::series::register(&mut state)?;
    functions::cut::register(&mut state)?;
    Ok(state)
}

/// A statement before planning.
pub(crate) struct Parsed {
    pub(crate) sql: String,
    pub(crate) tokens: Vec<TokenWithSpan>,
    pub(crate) statement: Statement,
}

/// Parses exactly one statement; `None` when there is nothing but comments.
///
/// # Errors
/// 42601.
pub(crate) fn parse(sql: String, tokens: Vec<TokenWithSpan>) -> Result<Option<Parsed>, Error> {
    let blank = |token: &TokenWithSpan| {
        matches!(token.token, Token::Whitespace(_) | Token::EOF | Token::SemiColon)
    };
    if tokens.iter().all(blank) {
        return Ok(None);
    }
    let text = Text { sql: &sql, tokens: &tokens };
    if let Some(empty) = guard::empty_name(&tokens) {
        return Err(text.empty_name(empty));
    }
    if let Some(reserved) = guard::reserved_name(&tokens) {
        return Err(text.reserved(reserved));
    }
    let dialect = BoundedDialect::new(tokens.len());
    let mut parser = Parser::new(&dialect)
        .with_recursion_limit(500)
        .with_tokens_with_locations(spelled(&tokens));
    let statement = parser.parse_statement().map_err(|error| {
        if dialect.exhausted() || error == ParserError::RecursionLimitExceeded {
            guard::too_complex("its parts are nested in too many ways")
        } else {
            text.syntax(&error.to_string())
        }
    })?;
    while parser.consume_token(&Token::SemiColon) {}
    let rest = parser.peek_token();
    if rest.token != Token::EOF {
        let at = format!(
            "unexpected at Line: {}, Column: {}",
            rest.span.start.line, rest.span.start.column
        );
        return Err(text.syntax(&at));
    }
    Ok(Some(Parsed { sql, tokens, statement }))
}

/// The shapes of the topics that a statement names, by table name.
pub(crate) type Shapes = BTreeMap<String, Arc<Shape>>;

/// What planning needs besides the statement.
#[derive(Clone)]
pub(crate) struct PlanContext {
    pub(crate) snapshot: Arc<Snapshot>,
    pub(crate) info: Arc<functions::SessionInfo>,
    pub(crate) registry: Arc<functions::registry::Registry>,
    pub(crate) bad: Arc<BadRecords>,
    pub(crate) stop: Stop,
}

struct SnapshotNames<'a>(&'a Snapshot, &'a SessionState);

impl Names for SnapshotNames<'_> {
    fn is_topic(&self, name: &str) -> bool {
        self.0.relation(name).is_some()
    }

    fn is_catalog(&self, name: &str) -> bool {
        pg_catalog::is_relation(name)
    }

    fn is_empty_catalog(&self, name: &str) -> bool {
        pg_catalog::is_always_empty(name)
    }

    fn unaliased(&self, name: &str) -> Option<String> {
        let function = self.1.scalar_functions().get(name)?;
        (function.name() != name).then(|| function.name().to_owned())
    }
}

impl Shared {
    pub(crate) fn text<'a>(&self, parsed: &'a Parsed) -> Text<'a> {
        Text { sql: &parsed.sql, tokens: &parsed.tokens }
    }

    /// Plans a query; `shapes` that are missing are inferred and added.
    ///
    /// # Errors
    /// Everything a statement can be refused for.
    pub(crate) async fn plan(
        &self,
        parsed: &Parsed,
        context: &PlanContext,
        shapes: &mut Shapes,
    ) -> Result<(SessionState, LogicalPlan), Error> {
        let mut statement = parsed.statement.clone();
        let names = SnapshotNames(&context.snapshot, &self.base);
        rewrite::rewrite(&mut statement, (&parsed.sql, &parsed.tokens), &names)?;
        let state = self.statement_state(parsed, &statement, context, shapes).await?;
        let statement = DfStatement::Statement(Box::new(statement));
        let plan = async {
            let plan = plain::texts(state.statement_to_plan(statement).await?)?;
            let plan = averages::divided(floats::beside_numerics(plan)?, &self.averages)?;
            subquery::single_rows(predicates::joined(order::by_length(plan)?)?)
        };
        let plan = weight::planning(&state, plan).await.map_err(|error| {
            let error = self.text(parsed).datafusion(&error);
            infer::unknown_column(error, &parsed.statement, shapes)
        })?;
        Ok((state, plan))
    }

    async fn statement_state(
        &self,
        parsed: &Parsed,
        statement: &Statement,
        context: &PlanContext,
        shapes: &mut Shapes,
    ) -> Result<SessionState, Error> {
        let relations = rewrite::relations(statement);
        if relations.len() > TABLES_MAX {
            let message = format!("the statement names more than {TABLES_MAX} tables");
            return Err(Error::new(ErrorKind::LimitExceeded, message).with_sqlstate("54000"));
        }
        let public = Arc::new(MemorySchemaProvider::new());
        let system = Arc::new(MemorySchemaProvider::new());
        let schema = Arc::new(MemorySchemaProvider::new());
        let mut widths = BTreeMap::new();
        for name in &relations {
            let (target, provider) = match name.as_slice() {
                [table] => (&public, self.topic_table(table, context, shapes).await?),
                [.., space, table] if space == "public" => {
                    (&public, self.topic_table(table, context, shapes).await?)
                }
                [.., space, table] if space == "pg_catalog" => {
                    (&system, self.catalog_table(space, table, context, shapes).await?)
                }
                [.., space, table] if space == "information_schema" => {
                    (&schema, self.catalog_table(space, table, context, shapes).await?)
                }
                _ => (&public, None),
            };
            let Some(provider) = provider else {
                // Table functions are not relations of the catalog.
                if self.base.table_functions().contains_key(&name.join(".")) {
                    continue;
                }
                let known = context.snapshot.relations();
                let known: Vec<&str> = known.keys().map(String::as_str).collect();
                return Err(self.text(parsed).unknown_table(&name.join("."), &known));
            };
            widths.insert(name.as_slice(), provider.schema().fields().len());
            let table = name.last().cloned().unwrap_or_default();
            target
                .register_table(table, provider)
                .map_err(|error| self.text(parsed).datafusion(&error))?;
        }
        let catalog = MemoryCatalogProvider::new();
        for (name, provider) in
            [("public", public), ("pg_catalog", system), ("information_schema", schema)]
        {
            catalog
                .register_schema(name, provider)
                .map_err(|error| self.text(parsed).datafusion(&error))?;
        }
        let catalogs = MemoryCatalogProviderList::new();
        catalogs.register_catalog("luma".to_owned(), Arc::new(catalog));
        let weight = weight::of(statement, &|name| widths.get(name).copied().unwrap_or(1))?;
        Ok(self.state_over(Arc::new(catalogs), weight, context))
    }

    /// A statement's own state: its tables, its weight, its memory, its functions.
    fn state_over(
        &self,
        catalogs: Arc<dyn CatalogProviderList>,
        weight: weight::Weight,
        context: &PlanContext,
    ) -> SessionState {
        let pool: Arc<dyn MemoryPool> =
            Arc::new(StatementPool::new(self.options.memory_limits(), &self.memory));
        let concatenations = Arc::new(Concatenations::new(&pool));
        let runtime = RuntimeEnv { memory_pool: pool, ..self.base.runtime_env().as_ref().clone() };
        let config = self.base.config().clone().with_extension(Arc::new(weight));
        let mut state = stop::stoppable(&self.base, &context.stop)
            .with_analyzer_rule(concatenations)
            .with_config(config)
            .with_runtime_env(Arc::new(runtime))
            .with_catalog_list(catalogs)
            .with_relation_planners(vec![Arc::new(Relations::default())])
            .build();
        // now() is this moment for the whole statement.
        state.mark_start_execution();
        functions::register(&mut state, &context.info, &context.registry);
        state
    }

    async fn topic_table(
        &self,
        name: &str,
        context: &PlanContext,
        shapes: &mut Shapes,
    ) -> Result<Option<Arc<dyn datafusion::catalog::TableProvider>>, Error> {
        let Some(relation) = context.snapshot.table(name)? else { return Ok(None) };
        let shape = self.shape(&relation, shapes).await?;
        if shape.left_out {
            context.bad.leave_out(&relation.topic);
        }
        let dense = self.follow.offsets_dense(relation.topic.id);
        let table = TopicTable {
            topic: relation.topic,
            shape,
            context: ScanContext {
                follow: Arc::clone(&self.follow),
                bad: Arc::clone(&context.bad),
                policy: context.info.settings.on_bad_record(),
                read_bytes: Arc::clone(&self.read_bytes),
                batch_rows: self.options.batch_rows.max(1),
                dense,
            },
        };
        Ok(Some(Arc::new(table)))
    }

    pub(crate) async fn shape(
        &self,
        relation: &crate::snapshot::Relation,
        shapes: &mut Shapes,
    ) -> Result<Arc<Shape>, Error> {
        if let Some(shape) = shapes.get(&relation.name) {
            return Ok(Arc::clone(shape));
        }
        let shape = match relation.declared_shape() {
            Some(shape) => shape,
            None => infer::infer(self.follow.as_ref(), &relation.topic, &self.learned).await?,
        };
        let shape = Arc::new(shape);
        shapes.insert(relation.name.clone(), Arc::clone(&shape));
        Ok(shape)
    }

    async fn catalog_table(
        &self,
        space: &str,
        name: &str,
        context: &PlanContext,
        shapes: &mut Shapes,
    ) -> Result<Option<Arc<dyn datafusion::catalog::TableProvider>>, Error> {
        // Only relations that show columns need the shapes of every topic.
        if pg_catalog::needs_shapes(space, name) {
            for relation in context.snapshot.relations().values() {
                self.shape(relation, shapes).await?;
            }
        }
        pg_catalog::table(space, name, &context.snapshot, shapes, &context.info)
    }
}

/// The result columns of a plan, under the names clients see.
pub(crate) fn result_columns(plan: &LogicalPlan) -> Vec<query_api::Column> {
    let fields: Vec<Arc<Field>> = plan.schema().fields().iter().cloned().collect();
    let names: Vec<String> =
        fields.iter().map(|it| rewrite::shown_name(it.name()).to_owned()).collect();
    types::columns(names.iter().map(String::as_str), fields.iter())
}
