//! PostgreSQL's dialect with a bound on the parser's work.
//!
//! The parser tries alternatives and goes back, so nested constructs can double its work at each level: twenty nested
//! function calls took minutes. Here an argument's name is an identifier and not any expression, which removes the
//! alternative that every call met, and the steps of one statement are counted, which bounds all others.
//!
//! Invariants:
//! - Every method that [`PostgreSqlDialect`] overrides (sqlparser 0.62) is handed on, but for the one above.
//! - After the last step every further one is an error, so the parser unwinds at once.

use std::any::TypeId;
use std::cell::Cell;

use datafusion::sql::sqlparser::ast::Expr;
use datafusion::sql::sqlparser::dialect::{Dialect, PostgreSqlDialect, Precedence};
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};

/// Steps per token of a statement; ordinary statements take one or two.
const STEPS_PER_TOKEN: usize = 50;
const STEPS_MIN: usize = 10_000;

#[derive(Debug)]
pub(crate) struct BoundedDialect {
    inner: PostgreSqlDialect,
    steps_left: Cell<usize>,
}

impl BoundedDialect {
    pub(crate) fn new(token_count: usize) -> Self {
        let steps = token_count.saturating_mul(STEPS_PER_TOKEN).max(STEPS_MIN);
        Self { inner: PostgreSqlDialect {}, steps_left: Cell::new(steps) }
    }

    /// The statement was given up, whatever error the parser made of it.
    pub(crate) fn exhausted(&self) -> bool {
        self.steps_left.get() == 0
    }

    fn step(&self) -> Result<(), ParserError> {
        let left = self.steps_left.get();
        self.steps_left.set(left.saturating_sub(1));
        if left > 0 { Ok(()) } else { Err(ParserError::RecursionLimitExceeded) }
    }
}

macro_rules! handed_on {
    ($($name:ident),* $(,)?) => {
        $(fn $name(&self) -> bool {
            self.inner.$name()
        })*
    };
}

impl Dialect for BoundedDialect {
    handed_on!(
        supports_unicode_string_literal,
        supports_filter_during_aggregation,
        supports_group_by_expr,
        allow_extract_custom,
        allow_extract_single_quotes,
        supports_create_index_with_clause,
        supports_explain_with_utility_options,
        supports_listen_notify,
        supports_factorial_operator,
        supports_bitwise_shift_operators,
        supports_comment_on,
        supports_load_extension,
        supports_named_fn_args_with_colon_operator,
        supports_empty_projections,
        supports_nested_comments,
        supports_string_escape_constant,
        supports_numeric_literal_underscores,
        supports_array_typedef_with_brackets,
        supports_geometric_types,
        supports_set_names,
        supports_alter_column_type_using,
        supports_notnull_operator,
        supports_interval_options,
        supports_insert_table_alias,
        supports_create_table_like_parenthesized,
        supports_select_wildcard_with_alias,
        supports_comma_separated_trim,
        supports_xml_expressions,
        supports_comment_optimizer_hint,
    );

    fn dialect(&self) -> TypeId {
        TypeId::of::<PostgreSqlDialect>()
    }

    fn parse_prefix(&self, _parser: &mut Parser<'_>) -> Option<Result<Expr, ParserError>> {
        self.step().err().map(Err)
    }

    fn get_next_precedence(&self, parser: &Parser<'_>) -> Option<Result<u8, ParserError>> {
        match self.step() {
            Ok(()) => self.inner.get_next_precedence(parser),
            Err(error) => Some(Err(error)),
        }
    }

    fn identifier_quote_style(&self, _identifier: &str) -> Option<char> {
        self.inner.identifier_quote_style(_identifier)
    }

    fn is_delimited_identifier_start(&self, ch: char) -> bool {
        self.inner.is_delimited_identifier_start(ch)
    }

    fn is_identifier_start(&self, ch: char) -> bool {
        self.inner.is_identifier_start(ch)
    }

    fn is_identifier_part(&self, ch: char) -> bool {
        self.inner.is_identifier_part(ch)
    }

    fn is_reserved_for_identifier(&self, kw: Keyword) -> bool {
        self.inner.is_reserved_for_identifier(kw)
    }

    fn is_custom_operator_part(&self, ch: char) -> bool {
        self.inner.is_custom_operator_part(ch)
    }

    fn prec_value(&self, prec: Precedence) -> u8 {
        self.inner.prec_value(prec)
    }
}

/// The tokens with `SELECT * FROM` for `TABLE` where that begins a query.
pub(crate) fn spelled(tokens: &[TokenWithSpan]) -> Vec<TokenWithSpan> {
    let is_blank = |it: &&TokenWithSpan| matches!(it.token, Token::Whitespace(_));
    let mut spelled: Vec<TokenWithSpan> = Vec::with_capacity(tokens.len());
    let mut before: Option<&Token> = None;
    for (index, token) in tokens.iter().enumerate() {
        let begins = match before {
            None | Some(Token::LParen) => true,
            Some(Token::Word(word)) => matches!(
                word.keyword,
                Keyword::UNION
                    | Keyword::ALL
                    | Keyword::DISTINCT
                    | Keyword::EXCEPT
                    | Keyword::INTERSECT
            ),
            Some(_) => false,
        };
        let is_table = matches!(&token.token, Token::Word(it) if it.keyword == Keyword::TABLE);
        let next = tokens[index + 1..].iter().find(|it| !is_blank(it));
        if is_table && begins && matches!(next, Some(it) if matches!(it.token, Token::Word(_))) {
            let words = [Token::make_keyword("SELECT"), Token::Mul, Token::make_keyword("FROM")];
            spelled.extend(words.map(|word| TokenWithSpan { token: word, span: token.span }));
        } else {
            spelled.push(token.clone());
        }
        if !is_blank(&token) {
            before = Some(&token.token);
        }
    }
    spelled
}
