//! Names that more than one column has.

use std::collections::BTreeSet;

use datafusion::sql::sqlparser::ast::{
    Expr, Ident, OrderByKind, Query, SelectItem, SetExpr, TableFactor,
};

use super::{column_name, fold, unique_name};

/// The columns of `AS t(x, x)` under names of their own: neither is found as `x`.
pub(super) fn tell_columns_apart(factor: &mut TableFactor) {
    let (TableFactor::Table { alias: Some(alias), .. }
    | TableFactor::Derived { alias: Some(alias), .. }) = factor
    else {
        return;
    };
    let (mut seen, mut equal) = (BTreeSet::new(), BTreeSet::new());
    for column in &alias.columns {
        let name = fold(&column.name);
        if !seen.insert(name.clone()) {
            equal.insert(name);
        }
    }
    for (index, column) in alias.columns.iter_mut().enumerate() {
        let name = fold(&column.name);
        if equal.contains(&name) {
            column.name = Ident::with_quote('"', unique_name(&name, index));
        }
    }
}

/// A sort key that is the name of several columns of the select list, which are not the same.
pub(super) fn ambiguous_key(query: &Query) -> Option<&Ident> {
    let SetExpr::Select(select) = query.body.as_ref() else { return None };
    let OrderByKind::Expressions(keys) = &query.order_by.as_ref()?.kind else { return None };
    let items: Vec<(&Expr, String)> = select
        .projection
        .iter()
        .filter_map(|item| match item {
            SelectItem::UnnamedExpr(expr) => Some((expr, column_name(expr))),
            SelectItem::ExprWithAlias { expr, alias } => Some((expr, fold(alias))),
            _ => None,
        })
        .collect();
    keys.iter().find_map(|key| {
        let Expr::Identifier(ident) = &key.expr else { return None };
        let wanted = fold(ident);
        let mut named = items.iter().filter(|(_, name)| *name == wanted).map(|(expr, _)| *expr);
        let first = named.next()?;
        named.any(|other| !may_be_one(first, other)).then_some(ident)
    })
}

/// Whether two items may be the same column: `n` and `t.n`.
fn may_be_one(left: &Expr, right: &Expr) -> bool {
    match (left, right) {
        (Expr::Identifier(name), Expr::CompoundIdentifier(path))
        | (Expr::CompoundIdentifier(path), Expr::Identifier(name)) => {
            path.last().is_some_and(|it| fold(it) == fold(name))
        }
        _ => left == right,
    }
}
