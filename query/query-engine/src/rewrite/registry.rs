//! Casts to PostgreSQL's object identifier types (`regclass`, `regtype` …), both ways.
//!
//! ```text
//!  'orders'::regclass, $1::regclass → luma_regclass(x)        an OID
//!  oid::regclass::text              → luma_regclass_name(x)   a name
//!  SELECT oid::regclass             → luma_regclass_name(x)   PostgreSQL prints the name
//! ```
//!
//! Invariants:
//! - Inside an expression a value of these types is its OID, so comparisons with OIDs keep working.
//!
//! Source: <https://www.postgresql.org/docs/15/datatype-oid.html>.

use datafusion::sql::sqlparser::ast::{
    CastKind, DataType as SqlType, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments,
    SelectItem,
};

use super::subquery::call;

const KINDS: [&str; 6] =
    ["regclass", "regtype", "regproc", "regprocedure", "regnamespace", "regrole"];

fn kind(data_type: &SqlType) -> Option<&'static str> {
    let shown = data_type.to_string().to_lowercase();
    let name = shown.rsplit('.').next().unwrap_or_default();
    KINDS.into_iter().find(|kind| *kind == name)
}

fn is_text(data_type: &SqlType) -> bool {
    let shown = data_type.to_string().to_lowercase();
    let name = shown.rsplit('.').next().unwrap_or_default();
    matches!(name, "text" | "varchar" | "name" | "character varying")
}

/// A call that [`cast`] made: its kind and argument.
fn made(expr: &Expr) -> Option<(&'static str, &Expr)> {
    let Expr::Function(Function { name, args: FunctionArguments::List(list), .. }) = expr else {
        return None;
    };
    let name = name.to_string();
    let kind = name.strip_prefix("luma_")?;
    let kind = KINDS.into_iter().find(|known| *known == kind)?;
    match list.args.as_slice() {
        [FunctionArg::Unnamed(FunctionArgExpr::Expr(argument))] => Some((kind, argument)),
        _ => None,
    }
}

/// Rewrites a cast in place; inner casts were rewritten before.
pub(super) fn cast(expr: &mut Expr) {
    let Expr::Cast { expr: inner, data_type, .. } = expr else { return };
    if let Some(kind) = kind(data_type) {
        *expr = call(&format!("luma_{kind}"), vec![(**inner).clone()]);
    } else if is_text(data_type)
        && let Some((kind, argument)) = made(inner)
    {
        *expr = call(&format!("luma_{kind}_name"), vec![argument.clone()]);
    }
}

/// Select items of the outermost query are printed: as names.
pub(super) fn print_names(items: &mut [SelectItem]) {
    for item in items {
        if let SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } = item
            && let Expr::Cast { data_type, .. } = &*expr
            && kind(data_type).is_some()
        {
            *expr = Expr::Cast {
                kind: CastKind::DoubleColon,
                expr: Box::new(expr.clone()),
                data_type: SqlType::Text,
                array: false,
                format: None,
            };
        }
    }
}
