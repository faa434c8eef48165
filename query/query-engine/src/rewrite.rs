//! PostgreSQL's dialect → what DataFusion plans: applied to the parsed statement, before planning.
//!
//! - `*` leaves out the hidden system columns of topics.
//! - Select items get PostgreSQL's names; equal names are told apart by a suffix that [`shown_name`] removes.
//! - Unqualified catalog relations are qualified, also when a topic has the name: as in PostgreSQL, `pg_catalog` is
//!   searched first, and the topic is `public.name`. `pg_catalog.` is removed from functions and operators.
//!
//! - Rows are compared part by part.
//! - `ARRAY(SELECT …)` and casts to `regclass` and its kin become function calls.
//!
//! Invariants:
//! - A statement that DataFusion already understands means the same afterwards.

pub(crate) mod json;
mod left_out;
pub(crate) mod literals;
mod names;
mod registry;
mod rows;
mod spelled;
mod subquery;
mod values;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    AccessExpr, BinaryOperator, ExcludeSelectItem, Expr, FunctionArg, FunctionArgExpr,
    FunctionArguments, Ident, JoinConstraint, JoinOperator, ObjectName, ObjectNamePart, Query,
    Select, SelectItem, SelectItemQualifiedWildcardKind, SetExpr, Statement, TableAlias,
    TableAliasColumnDef, TableFactor, TrimWhereField, Value, ValueWithSpan, VisitMut, Visitor,
    VisitorMut, WildcardAdditionalOptions,
};
use datafusion::sql::sqlparser::tokenizer::TokenWithSpan;
use query_api::{Error, ErrorKind};

use crate::error::unsupported;
use crate::functions::json::parts as of_json;
use crate::guard;
use crate::operators::{elements, place};
use crate::parameters;
use crate::shape::SYSTEM_COLUMNS;

/// Separates a column's name from the number that makes it unique; no client can type it into a name unnoticed.
const UNIQUE: char = '\u{1}';

/// The name a client sees.
pub(crate) fn shown_name(name: &str) -> &str {
    name.split(UNIQUE).next().unwrap_or(name)
}

/// A name that shows as `name` and is no other's.
pub(crate) fn unique_name(name: &str, number: usize) -> String {
    format!("{name}{UNIQUE}of {number}")
}

/// What the rewriter asks about names.
pub(crate) trait Names {
    /// `name` is a topic's table.
    fn is_topic(&self, name: &str) -> bool;
    /// `name` is a relation of `pg_catalog`.
    fn is_catalog(&self, name: &str) -> bool;
    /// `name` is a relation of `pg_catalog` that has no rows, now or ever.
    fn is_empty_catalog(&self, name: &str) -> bool;
    /// The name proper of a function that `name` is an alias of.
    fn unaliased(&self, name: &str) -> Option<String>;
}

/// Relations a statement names outside its CTEs, as `[schema.]name`.
pub(crate) fn relations(statement: &Statement) -> BTreeSet<Vec<String>> {
    use datafusion::sql::sqlparser::ast::Visit as _;
    struct Relations(BTreeSet<Vec<String>>);
    impl Visitor for Relations {
        type Break = ();
        fn pre_visit_relation(&mut self, relation: &ObjectName) -> ControlFlow<()> {
            self.0.insert(parts(relation));
            ControlFlow::Continue(())
        }
    }
    let mut found = Relations(BTreeSet::new());
    let _ = statement.visit(&mut found);
    let ctes = ctes(statement);
    found.0.retain(|name| name.len() > 1 || !ctes.contains(&name[0]));
    found.0
}

fn ctes(statement: &Statement) -> BTreeSet<String> {
    use datafusion::sql::sqlparser::ast::Visit as _;
    struct Ctes(BTreeSet<String>);
    impl Visitor for Ctes {
        type Break = ();
        fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
            for cte in query.with.iter().flat_map(|with| &with.cte_tables) {
                self.0.insert(fold(&cte.alias.name));
            }
            ControlFlow::Continue(())
        }
    }
    let mut found = Ctes(BTreeSet::new());
    let _ = statement.visit(&mut found);
    found.0
}

/// The normalized parts of a name.
pub(crate) fn parts(name: &ObjectName) -> Vec<String> {
    name.0.iter().map(|part| part.as_ident().map_or_else(|| part.to_string(), fold)).collect()
}

/// An identifier as PostgreSQL folds it.
pub(crate) fn fold(ident: &Ident) -> String {
    if ident.quote_style.is_some() { ident.value.clone() } else { ident.value.to_lowercase() }
}

/// Rewrites in place; the statement's text and tokens say where its parts stand.
///
/// # Errors
/// 42702 for sort keys that two columns have the name of, 0A000 for constructs that would give a wrong answer.
pub(crate) fn rewrite(
    statement: &mut Statement,
    (sql, tokens): (&str, &[TokenWithSpan]),
    names: &dyn Names,
) -> Result<(), Error> {
    let ctes = ctes(statement);
    let mut rewriter = Rewriter { names, sql, tokens, ctes, doubling: 0 };
    match statement.visit(&mut rewriter) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(error) => Err(error),
    }
}

struct Rewriter<'a> {
    names: &'a dyn Names,
    sql: &'a str,
    tokens: &'a [TokenWithSpan],
    ctes: BTreeSet<String>,
    /// Expressions that [`doubles`] around the one that is visited, itself included.
    doubling: usize,
}

/// Functions that the planner replaces by a CASE with an argument in it twice.
const DOUBLING: [&str; 4] = ["coalesce", "nvl", "ifnull", "nvl2"];
/// Deepest nesting of those and of subqueries in expressions: planning doubles with each level.
const DOUBLING_MAX: usize = 8;

/// Whether planning takes twice as long for what is inside.
fn doubles(expr: &Expr) -> bool {
    match expr {
        Expr::Function(function) => {
            parts(&function.name).last().is_some_and(|it| DOUBLING.contains(&it.as_str()))
        }
        Expr::Subquery(_) | Expr::Exists { .. } | Expr::InSubquery { .. } => true,
        // Each side is written beside the other.
        Expr::AnyOp { right, .. } | Expr::AllOp { right, .. } => {
            !matches!(right.as_ref(), Expr::Subquery(_))
        }
        _ => false,
    }
}

impl VisitorMut for Rewriter<'_> {
    type Break = Error;

    fn pre_visit_relation(&mut self, relation: &mut ObjectName) -> ControlFlow<Error> {
        let name = parts(relation);
        if let [single] = name.as_slice()
            && !self.ctes.contains(single)
            && self.names.is_catalog(single)
        {
            relation.0.insert(0, ObjectNamePart::Identifier(Ident::new("pg_catalog")));
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<Error> {
        if let Err(error) = left_out::of_table(factor) {
            return ControlFlow::Break(error);
        }
        table_function(factor);
        names::tell_columns_apart(factor);
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Error> {
        if let Expr::Value(value) = expr
            && let Value::SingleQuotedByteStringLiteral(_) = value.value
        {
            return ControlFlow::Break(unsupported("bit string literals are not supported"));
        }
        if let Err(error) = values::refuse_padded(expr) {
            return ControlFlow::Break(error);
        }
        if let Err(error) = rows::spell_out(expr) {
            return ControlFlow::Break(error);
        }
        place::give(expr, self.tokens);
        elements::tell(expr);
        subquery::null_when_empty(expr, &|name| self.is_empty(name));
        subquery::array(expr);
        self.doubling += usize::from(doubles(expr));
        if self.doubling > DOUBLING_MAX {
            let what = format!("subqueries or coalesce are nested deeper than {DOUBLING_MAX}");
            return ControlFlow::Break(guard::too_complex(&what));
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<Error> {
        if let Err(error) = left_out::of_query(query) {
            return ControlFlow::Break(error);
        }
        if let Some(key) = names::ambiguous_key(query) {
            let message = format!("ORDER BY \"{}\" is ambiguous", fold(key));
            let error = Error::new(ErrorKind::Invalid, message).with_sqlstate("42702");
            let position = guard::position(self.sql, key.span.start);
            return ControlFlow::Break(error.with_position(position));
        }
        values::fetch(query);
        values::first_rows(query);
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, query: &mut Query) -> ControlFlow<Error> {
        values::json_columns(query);
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<Error> {
        if let Err(error) = left_out::of_select(select) {
            return ControlFlow::Break(error);
        }
        if let Err(error) = self.hide_system_columns(select) {
            return ControlFlow::Break(error);
        }
        name_items(select);
        if let Some(condition) = &mut select.selection {
            rows::condition(condition);
        }
        rows::ungroup(&mut select.group_by);
        let sources = self.row_sources(select);
        json::rows_of_tables(&mut select.projection, &|name| sources.get(name).copied());
        subquery::forget_unreachable(select, &|name| self.is_empty(name));
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Error> {
        self.doubling -= usize::from(doubles(expr));
        // The planner spells out the arguments of a call by an alias: at each level of nesting twice as much.
        if let Expr::Function(function) = expr
            && let [name] = parts(&function.name).as_slice()
            && let Some(name) = self.names.unaliased(name)
        {
            function.name = ObjectName::from(vec![Ident::new(name)]);
        }
        rewrite_expr(expr);
        ControlFlow::Continue(())
    }
}

/// A table of a FROM clause.
struct Source {
    name: ObjectName,
    topic: bool,
    /// Columns that an earlier table's `USING` already shows.
    using: Vec<Ident>,
}

impl Rewriter<'_> {
    /// `name` is a catalog relation that never has rows.
    fn is_empty(&self, name: &ObjectName) -> bool {
        match parts(name).as_slice() {
            [schema, table] => schema == "pg_catalog" && self.names.is_empty_catalog(table),
            [table] => !self.ctes.contains(table) && self.names.is_empty_catalog(table),
            _ => false,
        }
    }

    fn hide_system_columns(&self, select: &mut Select) -> Result<(), Error> {
        let mut sources = Vec::new();
        for from in &select.from {
            sources.push(self.source(&from.relation, Vec::new()));
            for join in &from.joins {
                let using = match constraint(&join.join_operator) {
                    Some(JoinConstraint::Using(columns)) => columns
                        .iter()
                        .filter_map(|name| name.0.last()?.as_ident().cloned())
                        .collect(),
                    Some(JoinConstraint::Natural) if self.any_topic(&select.from) => {
                        return Err(unsupported("NATURAL JOIN over topics is not supported")
                            .with_hint("name the columns: JOIN … USING (…)"));
                    }
                    _ => Vec::new(),
                };
                sources.push(self.source(&join.relation, using));
            }
        }
        let mut items = Vec::with_capacity(select.projection.len());
        for item in std::mem::take(&mut select.projection) {
            match item {
                SelectItem::Wildcard(options) if plain(&options) => {
                    expand(&sources, &mut items);
                }
                SelectItem::QualifiedWildcard(
                    SelectItemQualifiedWildcardKind::ObjectName(name),
                    options,
                ) if plain(&options) => {
                    let wanted = parts(&name).pop();
                    let topic = sources
                        .iter()
                        .flatten()
                        .any(|it| it.topic && parts(&it.name).pop() == wanted);
                    items.push(qualified(&name, topic, &[]));
                }
                other => items.push(other),
            }
        }
        select.projection = items;
        Ok(())
    }

    /// Names of tables that stand for their rows, and whether they are topics.
    fn row_sources(&self, select: &Select) -> BTreeMap<String, bool> {
        let factors = select.from.iter().flat_map(|from| {
            std::iter::once(&from.relation).chain(from.joins.iter().map(|it| &it.relation))
        });
        let sources = factors.filter_map(|it| self.source(it, Vec::new()));
        sources.filter_map(|it| Some((parts(&it.name).pop()?, it.topic))).collect()
    }

    fn any_topic(&self, from: &[datafusion::sql::sqlparser::ast::TableWithJoins]) -> bool {
        from.iter()
            .flat_map(|it| {
                std::iter::once(&it.relation).chain(it.joins.iter().map(|it| &it.relation))
            })
            .any(|it| self.source(it, Vec::new()).is_some_and(|it| it.topic))
    }

    /// `None` for factors that have no name to qualify a wildcard with.
    fn source(&self, factor: &TableFactor, using: Vec<Ident>) -> Option<Source> {
        match factor {
            TableFactor::Table { name, alias, args, .. } => {
                let path = parts(name);
                let table = path.last()?;
                let schema_fits = path.len() == 1 || path[path.len() - 2] == "public";
                let cte = path.len() == 1 && self.ctes.contains(table);
                let system = path.len() == 1 && self.names.is_catalog(table);
                let topic =
                    args.is_none() && schema_fits && !cte && !system && self.names.is_topic(table);
                // Of a topic that is named like a system relation, the schema is a part of the name.
                let told = if topic && self.names.is_catalog(table) { 2 } else { 1 };
                let left_out = path.len().saturating_sub(told);
                let name = match alias {
                    Some(alias) => ObjectName::from(vec![alias.name.clone()]),
                    None => ObjectName(name.0.iter().skip(left_out).cloned().collect()),
                };
                Some(Source { name, topic, using })
            }
            TableFactor::Derived { alias: Some(alias), .. } => Some(Source {
                name: ObjectName::from(vec![alias.name.clone()]),
                topic: false,
                using,
            }),
            _ => None,
        }
    }
}

fn constraint(operator: &JoinOperator) -> Option<&JoinConstraint> {
    match operator {
        JoinOperator::Join(it)
        | JoinOperator::Inner(it)
        | JoinOperator::Left(it)
        | JoinOperator::LeftOuter(it)
        | JoinOperator::Right(it)
        | JoinOperator::RightOuter(it)
        | JoinOperator::FullOuter(it)
        | JoinOperator::CrossJoin(it) => Some(it),
        _ => None,
    }
}

fn plain(options: &WildcardAdditionalOptions) -> bool {
    options.opt_exclude.is_none()
        && options.opt_except.is_none()
        && options.opt_replace.is_none()
        && options.opt_ilike.is_none()
        && options.opt_rename.is_none()
}

/// `*` over `sources`: one qualified wildcard each when a topic is among them.
fn expand(sources: &[Option<Source>], items: &mut Vec<SelectItem>) {
    let any_topic = sources.iter().flatten().any(|it| it.topic);
    let named: Option<Vec<&Source>> = sources.iter().map(Option::as_ref).collect();
    match named {
        Some(sources) if any_topic => {
            items.extend(sources.iter().map(|it| qualified(&it.name, it.topic, &it.using)));
        }
        _ => items.push(SelectItem::Wildcard(WildcardAdditionalOptions::default())),
    }
}

fn qualified(name: &ObjectName, topic: bool, using: &[Ident]) -> SelectItem {
    let mut excluded: Vec<ObjectName> =
        using.iter().map(|it| ObjectName::from(vec![it.clone()])).collect();
    if topic {
        let system =
            SYSTEM_COLUMNS.iter().map(|(name, _)| ObjectName::from(vec![Ident::new(*name)]));
        excluded.extend(system);
    }
    let options = WildcardAdditionalOptions {
        opt_exclude: (!excluded.is_empty()).then_some(ExcludeSelectItem::Multiple(excluded)),
        ..WildcardAdditionalOptions::default()
    };
    SelectItem::QualifiedWildcard(
        SelectItemQualifiedWildcardKind::ObjectName(name.clone()),
        options,
    )
}

/// PostgreSQL's names for unnamed items, and unique names where two are equal.
fn name_items(select: &mut Select) {
    let mut seen: BTreeSet<String> = BTreeSet::new();
    let mut count = 0_usize;
    for item in &mut select.projection {
        let (expr, name, needs_alias) = match item {
            SelectItem::UnnamedExpr(expr) => {
                let column = matches!(expr, Expr::Identifier(_) | Expr::CompoundIdentifier(_));
                let name = column_name(expr);
                (expr.clone(), name, !column)
            }
            SelectItem::ExprWithAlias { expr, alias } => (expr.clone(), fold(alias), false),
            _ => continue,
        };
        let fresh = seen.insert(name.clone());
        if fresh && !needs_alias {
            continue;
        }
        let name = if fresh {
            name
        } else {
            count += 1;
            format!("{name}{UNIQUE}{count}")
        };
        *item = SelectItem::ExprWithAlias { expr, alias: Ident::with_quote('"', name) };
    }
}

/// PostgreSQL's `FigureColname`.
fn column_name(expr: &Expr) -> String {
    match expr {
        Expr::Identifier(ident) => fold(ident),
        Expr::CompoundIdentifier(idents) => idents.last().map(fold).unwrap_or_default(),
        Expr::Function(function) => parts(&function.name).pop().unwrap_or_default(),
        Expr::Nested(inner) | Expr::Collate { expr: inner, .. } => column_name(inner),
        // The type of a parameter is no name.
        Expr::Cast { kind: parameters::WRITTEN, expr, .. } => column_name(expr),
        Expr::Cast { expr, data_type, .. } => {
            // The outermost of several casts gives the name.
            if is_named(expr) { column_name(expr) } else { type_name(&data_type.to_string()) }
        }
        Expr::TypedString(typed) => type_name(&typed.data_type.to_string()),
        Expr::Case { else_result: Some(result), .. } if is_named(result) => column_name(result),
        Expr::Case { .. } => "case".to_owned(),
        Expr::Exists { negated: false, .. } => "exists".to_owned(),
        Expr::Interval(_) => "interval".to_owned(),
        Expr::Overlay { .. } => "overlay".to_owned(),
        Expr::Ceil { .. } => "ceil".to_owned(),
        Expr::Floor { .. } => "floor".to_owned(),
        Expr::CompoundFieldAccess { root, access_chain } => match access_chain.last() {
            Some(AccessExpr::Dot(Expr::Identifier(name))) => fold(name),
            _ => column_name(root),
        },
        Expr::Extract { .. } => "extract".to_owned(),
        Expr::Substring { shorthand: true, .. } => "substr".to_owned(),
        Expr::Substring { .. } => "substring".to_owned(),
        Expr::Position { .. } => "position".to_owned(),
        Expr::Trim { trim_where: Some(TrimWhereField::Leading), .. } => "ltrim".to_owned(),
        Expr::Trim { trim_where: Some(TrimWhereField::Trailing), .. } => "rtrim".to_owned(),
        Expr::Trim { .. } => "btrim".to_owned(),
        Expr::Array(_) => "array".to_owned(),
        Expr::Subquery(query) => match query.body.as_ref() {
            SetExpr::Select(select) => match select.projection.first() {
                Some(SelectItem::UnnamedExpr(expr)) => column_name(expr),
                Some(SelectItem::ExprWithAlias { alias, .. }) => fold(alias),
                _ => "?column?".to_owned(),
            },
            _ => "?column?".to_owned(),
        },
        _ => "?column?".to_owned(),
    }
}

/// Whether an expression has a name that is not the name of its type.
fn is_named(expr: &Expr) -> bool {
    match expr {
        Expr::Cast { expr, .. } | Expr::Nested(expr) => is_named(expr),
        Expr::TypedString(_) | Expr::Interval(_) => false,
        Expr::Case { else_result, .. } => else_result.as_deref().is_some_and(is_named),
        other => column_name(other) != "?column?",
    }
}

fn type_name(shown: &str) -> String {
    let name = shown.to_lowercase();
    let name = name.trim_end_matches("[]").to_owned();
    let name = name.split('(').next().unwrap_or_default().trim();
    match name.rsplit('.').next().unwrap_or(name) {
        "int" | "integer" => "int4",
        "bigint" => "int8",
        "smallint" => "int2",
        "boolean" => "bool",
        "real" => "float4",
        "double precision" | "float" => "float8",
        "decimal" | "dec" => "numeric",
        "character varying" => "varchar",
        "timestamp with time zone" => "timestamptz",
        "timestamp without time zone" => "timestamp",
        other => other,
    }
    .to_owned()
}

/// A call without its schema, under DataFusion's name.
fn rewrite_call(expr: &mut Expr) {
    let Expr::Function(function) = expr else { return };
    let name = parts(&function.name);
    if let [schema, _] = name.as_slice()
        && (schema == "pg_catalog" || schema == "information_schema")
    {
        function.name.0.remove(0);
    }
    // Set-returning in PostgreSQL; arrays here, unnested where they are called.
    let array = match parts(&function.name).join(".").as_str() {
        "pg_partition_ancestors" => "luma_partition_ancestors",
        "generate_subscripts" => "luma_subscripts",
        "_pg_expandarray" => "luma_expanded",
        // DataFusion's own take the first item alone.
        name @ ("array_remove" | "array_replace") => {
            let inner = std::mem::replace(expr, null());
            *expr = renamed(inner, &format!("{name}_all"));
            return;
        }
        // As a quoted name it is the array.
        "generate_series" if !is_quoted(&function.name) => {
            let FunctionArguments::List(arguments) = &function.args else { return };
            let small = are_small(&arguments.args);
            let array = std::mem::replace(expr, null());
            *expr = subquery::call("unnest", vec![series(array)]);
            if small {
                values::as_integer(expr);
            }
            return;
        }
        _ if json::call(expr) => return,
        _ => return values::call(expr),
    };
    let inner = std::mem::replace(expr, null());
    *expr = subquery::call("unnest", vec![renamed(inner, array)]);
}

/// An operator on JSON as the function it is here.
fn rewrite_access(expr: &mut Expr) {
    let Expr::BinaryOp { left, op, right } = expr else { return };
    let name = match op {
        BinaryOperator::Arrow => "luma_json_get",
        BinaryOperator::LongArrow => "luma_json_get_text",
        BinaryOperator::HashArrow => "luma_json_path",
        BinaryOperator::HashLongArrow => "luma_json_path_text",
        BinaryOperator::Question => of_json::HAS,
        BinaryOperator::QuestionPipe => of_json::HAS_ANY,
        BinaryOperator::QuestionAnd => of_json::HAS_ALL,
        _ => return,
    };
    let sides = [left, right].map(|it| std::mem::replace(it.as_mut(), null()));
    *expr = subquery::call(name, sides.into());
}

fn rewrite_expr(expr: &mut Expr) {
    parameters::spell_out(expr);
    literals::spell_out(expr);
    spelled::plainly(expr);
    rewrite_access(expr);
    match expr {
        Expr::Function(_) => rewrite_call(expr),
        Expr::Cast { .. } => {
            registry::cast(expr);
            values::cast_to_length(expr);
            values::json(expr);
        }
        Expr::TypedString(_) => values::json(expr),
        Expr::UnaryOp { .. } => values::negate_first(expr),
        Expr::Value(_) => values::number(expr),
        Expr::Extract { .. } => values::extract(expr),
        Expr::AtTimeZone { timestamp, time_zone } => {
            let args = [timestamp, time_zone].map(|it| std::mem::replace(it.as_mut(), null()));
            *expr = subquery::call("luma_at_time_zone", args.into());
        }
        Expr::CompoundFieldAccess { root, access_chain } => {
            values::subscripts(access_chain);
            // After a bare name the chain is a qualified column.
            if !matches!(root.as_ref(), Expr::Identifier(_)) {
                access_chain.iter_mut().for_each(field_access);
            }
        }
        Expr::Like { pattern, escape_char, .. } | Expr::ILike { pattern, escape_char, .. } => {
            escape(pattern, escape_char);
        }
        Expr::SimilarTo { .. } => values::similar(expr),
        Expr::BinaryOp { left, op, right } => {
            if let BinaryOperator::PGCustomBinaryOperator(path) = op
                && let Some(plain) = path.last().and_then(|it| operator(it))
            {
                *op = plain;
            }
            // The default collation is the only one; a name after COLLATE changes nothing that is kept.
            for side in [left, right] {
                uncollate(side);
                if place::is(op, "||") {
                    registry::print_name(side);
                }
            }
        }
        Expr::Collate { .. } => uncollate(expr),
        _ => {}
    }
}

/// `(x).f`: DataFusion wants the field's name as a string.
fn field_access(access: &mut AccessExpr) {
    if let AccessExpr::Dot(Expr::Identifier(name)) = access {
        let name = Value::SingleQuotedString(fold(name));
        *access = AccessExpr::Dot(Expr::Value(name.with_empty_span()));
    }
}

/// `LIKE p ESCAPE c`: DataFusion's only escape is the backslash.
fn escape(pattern: &mut Box<Expr>, escape_char: &mut Option<ValueWithSpan>) {
    if let Some(character) = escape_char.take() {
        let inner = std::mem::replace(pattern.as_mut(), null());
        **pattern = subquery::call("luma_like", vec![inner, Expr::Value(character)]);
    }
}

fn renamed(mut expr: Expr, name: &str) -> Expr {
    if let Expr::Function(function) = &mut expr {
        function.name = ObjectName::from(vec![Ident::new(name)]);
    }
    expr
}

/// `FROM pg_catalog.f(…)` is `FROM f(…)`, and `FROM generate_series(…) s` and `FROM unnest(…) s` have one column, named `s`.
///
/// Arguments that are not literals become a derived table: a table function plans with literals only.
fn table_function(factor: &mut TableFactor) {
    let name = match factor {
        TableFactor::Table { name, args: Some(_), .. } => name,
        TableFactor::UNNEST { alias, array_exprs, with_ordinality: false, .. } => {
            if array_exprs.len() == 1 {
                name_column(alias.get_or_insert_with(|| subquery::table_alias("unnest")));
            }
            return;
        }
        _ => return,
    };
    if let [schema, _] = parts(name).as_slice()
        && schema == "pg_catalog"
    {
        name.0.remove(0);
    }
    if json::table(factor) {
        return;
    }
    let TableFactor::Table { name, args: Some(arguments), alias, .. } = factor else { return };
    let literal = |it: &FunctionArg| {
        matches!(it, FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Value(_))))
    };
    if parts(name) != ["generate_series"] {
        return;
    }
    let alias = alias.get_or_insert_with(|| subquery::table_alias("generate_series"));
    name_column(alias);
    if arguments.args.iter().all(literal) {
        return;
    }
    let arguments = arguments.args.iter().filter_map(|it| match it {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr.clone()),
        _ => None,
    });
    let series = series(subquery::call("generate_series", arguments.collect()));
    let item = SelectItem::UnnamedExpr(subquery::call("unnest", vec![series]));
    let rows = query_of(Select { projection: vec![item], ..empty_select() });
    *factor = subquery::derived(rows, alias.clone());
}

/// The only column of a function has the name of its alias.
fn name_column(alias: &mut TableAlias) {
    if alias.columns.is_empty() {
        alias.columns = vec![TableAliasColumnDef { name: alias.name.clone(), data_type: None }];
    }
}

/// Whether all arguments are integers that are written, and `integer`.
pub(crate) fn are_small(arguments: &[FunctionArg]) -> bool {
    arguments.iter().all(|it| match it {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => values::is_small(expr),
        _ => false,
    })
}

fn is_quoted(name: &ObjectName) -> bool {
    name.0.iter().filter_map(ObjectNamePart::as_ident).any(|it| it.quote_style.is_some())
}

/// `generate_series` as an array.
fn series(mut call: Expr) -> Expr {
    spelled::moments(&mut call);
    if let Expr::Function(function) = &mut call {
        function.name = ObjectName::from(vec![Ident::with_quote('"', "generate_series")]);
    }
    call
}

/// A select of nothing from nothing.
pub(crate) fn empty_select() -> Select {
    use datafusion::sql::sqlparser::ast::helpers::attached_token::AttachedToken;
    use datafusion::sql::sqlparser::ast::{GroupByExpr, SelectFlavor};
    Select {
        select_token: AttachedToken::empty(),
        optimizer_hints: Vec::new(),
        distinct: None,
        select_modifiers: None,
        top: None,
        top_before_distinct: false,
        projection: Vec::new(),
        exclude: None,
        into: None,
        from: Vec::new(),
        lateral_views: Vec::new(),
        prewhere: None,
        selection: None,
        connect_by: Vec::new(),
        group_by: GroupByExpr::Expressions(Vec::new(), Vec::new()),
        cluster_by: Vec::new(),
        distribute_by: Vec::new(),
        sort_by: Vec::new(),
        having: None,
        named_window: Vec::new(),
        qualify: None,
        window_before_qualify: false,
        value_table_mode: None,
        flavor: SelectFlavor::Standard,
    }
}

pub(crate) fn query_of(select: Select) -> Query {
    Query {
        with: None,
        body: Box::new(SetExpr::Select(Box::new(select))),
        order_by: None,
        limit_clause: None,
        fetch: None,
        locks: Vec::new(),
        for_clause: None,
        settings: None,
        format_clause: None,
        pipe_operators: Vec::new(),
    }
}

fn uncollate(expr: &mut Expr) {
    if let Expr::Collate { expr: inner, .. } = expr {
        let inner = std::mem::replace(inner.as_mut(), null());
        *expr = inner;
    }
}

fn operator(name: &str) -> Option<BinaryOperator> {
    Some(match name {
        "~" => BinaryOperator::PGRegexMatch,
        "~*" => BinaryOperator::PGRegexIMatch,
        "!~" => BinaryOperator::PGRegexNotMatch,
        "!~*" => BinaryOperator::PGRegexNotIMatch,
        "=" => BinaryOperator::Eq,
        "<>" | "!=" => BinaryOperator::NotEq,
        "<" => BinaryOperator::Lt,
        ">" => BinaryOperator::Gt,
        "<=" => BinaryOperator::LtEq,
        ">=" => BinaryOperator::GtEq,
        "+" => BinaryOperator::Plus,
        "-" => BinaryOperator::Minus,
        "||" => BinaryOperator::StringConcat,
        "~~" => BinaryOperator::PGLikeMatch,
        _ => return None,
    })
}

fn null() -> Expr {
    Expr::Value(Value::Null.with_empty_span())
}
