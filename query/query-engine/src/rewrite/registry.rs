//! Casts to PostgreSQL's object identifier types (`regclass`, `regtype` …), both ways.
//!
//! ```text
//!  'orders'::regclass, $1::regclass → luma_regclass(x)        an OID, of a column marked regclass
//!  oid::regclass::text, … || '!'    → luma_regclass_name(x)   a name
//!  oid::regclass::oid               → luma_oid(x)             an OID without the mark
//! ```
//!
//! Invariants:
//! - Inside an expression a value of these types is its OID, so comparisons with OIDs keep working; a result column
//!   that is marked prints the name.
//!
//! Source: <https://www.postgresql.org/docs/15/datatype-oid.html>.

use datafusion::sql::sqlparser::ast::{DataType as SqlType, Expr};
use query_api::RegKind;

use super::subquery::call;

/// The name without its schema.
fn type_name(data_type: &SqlType) -> String {
    let shown = data_type.to_string().to_lowercase();
    shown.rsplit('.').next().unwrap_or_default().to_owned()
}

fn kind(name: &str) -> Option<&'static str> {
    RegKind::ALL.into_iter().map(RegKind::type_name).find(|kind| *kind == name)
}

/// The kind of a call that [`cast`] made.
fn made(expr: &Expr) -> Option<&'static str> {
    let Expr::Function(function) = expr else { return None };
    kind(function.name.to_string().strip_prefix("luma_")?)
}

/// Rewrites a cast in place; inner casts were rewritten before.
pub(super) fn cast(expr: &mut Expr) {
    let Expr::Cast { expr: inner, data_type, .. } = expr else { return };
    let name = type_name(data_type);
    if let Some(kind) = kind(&name) {
        *expr = call(&format!("luma_{kind}"), vec![(**inner).clone()]);
    } else if name == "oid" && !matches!(inner.as_ref(), Expr::Value(_)) {
        // A cast between equal Arrow types would be left out, and the mark would stay.
        *expr = call("luma_oid", vec![(**inner).clone()]);
    } else if matches!(name.as_str(), "text" | "varchar" | "name" | "character varying")
        && made(inner).is_some()
    {
        let mut printed = (**inner).clone();
        print_name(&mut printed);
        *expr = printed;
    }
}

/// An object identifier where text is wanted, as its name.
pub(super) fn print_name(expr: &mut Expr) {
    if let Some(kind) = made(expr) {
        // The inner call stays: ORDER BY finds it in the select list.
        *expr = call(&format!("luma_{kind}_name"), vec![expr.clone()]);
    }
}
