//! What ends a statement, and what does not.

use super::*;

/// `line: text` for each statement, `line\ text` for each command, `line+ text` for one that shall be expanded.
fn split(script: &str) -> Vec<String> {
    let (mut splitter, mut items) = (Splitter::default(), Vec::new());
    script.split_inclusive('\n').for_each(|line| splitter.feed(line, &mut items));
    items.extend(splitter.finish());
    let shown = |item| match item {
        Item::Statement(Statement { text, line, expanded: false }) => format!("{line}: {text}"),
        Item::Statement(Statement { text, line, expanded: true }) => format!("{line}+ {text}"),
        Item::Command(Command { text, line }) => format!("{line}\\ {text}"),
    };
    items.into_iter().map(shown).collect()
}

#[track_caller]
fn check(script: &str, expected: &[&str]) {
    assert_eq!(split(script), expected, "{script:?}");
}

#[test]
fn semicolons_end_statements_and_the_end_of_the_text_does() {
    check("", &[]);
    check(" ;;\n; \n", &[]);
    check("select 1", &["1: select 1"]);
    check(
        "select 1; select 2;\n\n  select\n3 ;",
        &["1: select 1;", "1: select 2;", "3: select\n3 ;"],
    );
    check("select 1;\r\nselect 2;\r\n", &["1: select 1;", "2: select 2;"]);
    check("\u{feff}select 1;", &["1: select 1;"]);
    check("select \\; select 2;", &["1: select ; select 2;"]);
}

#[test]
fn quotes_hold_everything() {
    check("select ';''; ' ; x", &["1: select ';''; ' ;", "1: x"]);
    check("select \";\"\";\";x", &["1: select \";\"\";\";", "1: x"]);
    check("select 'it\n;\\', 1; x", &["1: select 'it\n;\\', 1;", "2: x"]);
    check("select E'\\';', e'''\\\\';x", &["1: select E'\\';', e'''\\\\';", "1: x"]);
    // The letter of a name is no prefix.
    check("select namee'\\';x'", &["1: select namee'\\';", "1: x'"]);
    check("select '--', '/*', '$$', '\\d';x", &["1: select '--', '/*', '$$', '\\d';", "1: x"]);
    check("select 'ä;ö';ü", &["1: select 'ä;ö';", "1: ü"]);
    check("select 'open;\n;", &["1: select 'open;\n;"]);
}

#[test]
fn dollar_quotes_end_at_their_own_tag() {
    check("select $$;$x$;$$;x", &["1: select $$;$x$;$$;", "1: x"]);
    check("select $ä_1$;$$;\n';$ä_1$;x", &["1: select $ä_1$;$$;\n';$ä_1$;", "2: x"]);
    check("select $1;x", &["1: select $1;", "1: x"]);
    check("select a$b$;x$b$", &["1: select a$b$;", "1: x$b$"]);
    check("select $ ;x", &["1: select $ ;", "1: x"]);
    check("select $a", &["1: select $a"]);
}

#[test]
fn comments_hold_everything_and_those_before_a_statement_are_left_out() {
    check("-- a;\nselect 1 -- b;\n;x", &["2: select 1 -- b;\n;", "3: x"]);
    check("/* a; /* b; */ c; */ select /* d; */ 1;x", &["1: select /* d; */ 1;", "1: x"]);
    check("/* a\nb */\nselect 1 - -1;", &["3: select 1 - -1;"]);
    check("-- only\n/* comments */", &[]);
    check("select 1 /* open;", &["1: select 1 /* open;"]);
    check("/*/ ; */ x", &["1: x"]);
}

#[test]
fn parentheses_hold_semicolons() {
    check(
        "create rule r as (select 1; select 2);x",
        &["1: create rule r as (select 1; select 2);", "1: x"],
    );
    check("select 1);x", &["1: select 1);", "1: x"]);
    check("select (1;\n\\r\nx;y", &["3: x;", "3: y"]);
}

#[test]
fn commands_take_the_rest_of_their_line() {
    check(
        "\\d people;\nselect 1;\\timing on \n",
        &["1\\ d people;", "2: select 1;", "2\\ timing on"],
    );
    check("select\n\\x\n1;", &["2\\ x", "1: select\n\n1;"]);
    check("select 1 \\g\nselect 2\\gx\nx", &["1: select 1", "2+ select 2", "3: x"]);
    check("\\g\n\\gx", &["1\\ g", "2\\ gx"]);
    check("select 1 \\g out.txt\n;", &["1\\ g out.txt", "1: select 1 \n;"]);
}

#[test]
fn what_has_begun_is_pending() {
    for (text, pending) in [
        ("", false),
        (";", false),
        ("-- a", false),
        ("select 1", true),
        ("select 1;", false),
        ("select ';", true),
        ("/* a;", true),
        ("\\d", false),
        ("select 1; select 2", true),
    ] {
        let mut splitter = Splitter::default();
        splitter.feed(text, &mut Vec::new());
        assert_eq!(splitter.pending(), pending, "{text:?}");
    }
}
