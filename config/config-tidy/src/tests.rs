//! Each rule bites on a sample that breaks it and is silent on one that does not.

use std::collections::BTreeSet;

use crate::{
    dependencies,
    graph::{Graph, Use},
    sources,
    tree::Source,
};

fn graph(edges: &[(&str, &str, Use)], reached: &[(&str, &[&str])]) -> Graph {
    let mut graph = Graph::default();
    for (member, name, kind) in edges {
        graph.direct.entry((*member).to_owned()).or_default().insert(((*name).to_owned(), *kind));
    }
    for (member, packages) in reached {
        graph
            .reached
            .insert((*member).to_owned(), packages.iter().map(ToString::to_string).collect());
    }
    for name in [
        "log-types",
        "log-testkit",
        "query-engine",
        "lumadb",
        "broker-node",
        "proto-http",
        "bench-count",
        "jepsen-sim",
    ] {
        graph.direct.entry(name.to_owned()).or_default();
    }
    graph
}

fn one(path: &str, text: &str) -> Vec<Source> {
    vec![Source { path: path.to_owned(), text: text.to_owned() }]
}

#[test]
fn a_confined_package_is_found_outside_and_allowed_inside() {
    let outside = graph(&[("broker-kafka", "io-uring", Use::Normal)], &[]);
    assert!(dependencies::confined(&outside)[0].contains("simulator"));
    let test = graph(&[("log-types", "tokio", Use::Dev)], &[]);
    assert!(dependencies::confined(&test)[0].contains("simulator"), "tests are compiled as often");
    let inside = graph(&[("broker-rt", "io-uring", Use::Normal)], &[]);
    assert_eq!(dependencies::confined(&inside), Vec::<String>::new());
}

#[test]
fn forbidden_edges_between_members_are_found() {
    for (member, name, kind) in [
        ("log-journal", "broker-node", Use::Normal),
        ("log-journal", "serde", Use::Normal),
        ("broker-rt", "log-testkit", Use::Normal),
        ("proto-pg", "query-engine", Use::Normal),
        ("proto-pg", "proto-http", Use::Normal),
        ("broker-node", "lumadb", Use::Dev),
        ("broker-core", "broker-node", Use::Normal),
        ("broker-kafka", "query-engine", Use::Normal),
        ("log-journal", "broker-node", Use::Dev),
        ("log-journal", "serde", Use::Dev),
        ("log-io", "getrandom", Use::Normal),
        ("broker-core", "uuid", Use::Dev),
        ("log-types", "bytes", Use::Normal),
        ("log-journal", "smol", Use::Normal),
        ("broker-core", "async-executor", Use::Dev),
        ("log-new", "bytes", Use::Normal),
        ("bench-count", "query-engine", Use::Normal),
        ("jepsen-sim", "proto-http", Use::Normal),
        ("e2e-clients", "log-types", Use::Dev),
        ("config-tidy", "log-types", Use::Normal),
        ("broker-node", "bench-count", Use::Dev),
        ("lumadb", "jepsen-sim", Use::Dev),
    ] {
        let found = dependencies::layers(&graph(&[(member, name, kind)], &[]));
        assert_eq!(found.len(), 1, "{member} -> {name}: {found:?}");
    }
    let fine = graph(
        &[
            ("lumadb", "query-engine", Use::Normal),
            ("log-journal", "log-testkit", Use::Dev),
            ("log-journal", "crc32fast", Use::Normal),
            ("bench-count", "log-testkit", Use::Normal),
            ("jepsen-sim", "broker-node", Use::Normal),
            ("e2e-clients", "serde_json", Use::Normal),
        ],
        &[],
    );
    assert_eq!(dependencies::layers(&fine), Vec::<String>::new());
}

#[test]
fn a_budget_is_a_limit() {
    let found = |reached: &[&str]| {
        let mut graph = graph(&[], &[]);
        for (member, _) in dependencies::BUDGETS {
            graph.reached.insert((*member).to_owned(), BTreeSet::new());
        }
        let reached = reached.iter().map(ToString::to_string).collect();
        graph.reached.insert("log-io".to_owned(), reached);
        dependencies::budgets(&graph)
    };
    assert_eq!(found(&["bytes 1"]), Vec::<String>::new());
    assert_eq!(found(&["a 1", "b 1"]).len(), 1);
    let nobody = dependencies::budgets(&graph(&[], &[]));
    assert_eq!(nobody.len(), dependencies::BUDGETS.len(), "a member that is not there is no pass");
}

#[test]
fn banned_packages_are_whole_names() {
    assert_eq!(dependencies::banned("name = \"cmake\"\n").len(), 1);
    assert_eq!(dependencies::banned("name = \"cmake-like\"\n").len(), 0);
}

#[test]
fn a_file_opens_with_its_comment() {
    assert_eq!(sources::without_module_comment(&one("a.rs", "use b;\n")).len(), 1);
    assert_eq!(sources::without_module_comment(&one("a.rs", "//! A.\n")).len(), 0);
}

#[test]
fn the_length_ratchet_only_turns_one_way() {
    let body = "    let a = 1;\n".repeat(71);
    let long = one("a.rs", &format!("pub(crate) fn long() {{\n{body}}}\n\nfn short();\n"));
    assert_eq!(sources::long_functions(&long, &[]).len(), 1);
    assert_eq!(sources::long_functions(&long, &[("a.rs", "long", 71)]).len(), 0);
    assert_eq!(
        sources::long_functions(&long, &[("a.rs", "long", 70)]).len(),
        1,
        "an exception is no licence to grow"
    );
    let short = one("a.rs", "fn long() {\n    let a = 1;\n}\n");
    assert_eq!(
        sources::long_functions(&short, &[("a.rs", "long", 71)]).len(),
        1,
        "the list shrinks"
    );
    let file = one("a.rs", &"\n".repeat(801));
    assert_eq!(sources::long_files(&file, &[]).len(), 1);
    assert_eq!(sources::long_files(&file, &[("a.rs", 801)]).len(), 0);
    assert_eq!(sources::long_files(&one("a.rs", "\n"), &[("a.rs", 801)]).len(), 1);
    assert_eq!(sources::long_files(&[], &[("a.rs", 801)]).len(), 1);
}

#[test]
fn unsafe_needs_its_reason_close_above() {
    let found = |text: &str| sources::unexplained_unsafe(&one("a.rs", text)).len();
    assert_eq!(found("let a = 1;\nlet b = unsafe { f() };\n"), 1);
    assert_eq!(found("// SAFETY: f has no precondition.\nlet b = unsafe { f() };\n"), 0);
    assert_eq!(found("// SAFETY: f has none.\nlet b =\n    unsafe { f() };\n"), 0);
    assert_eq!(
        found("// SAFETY: of another.\nlet a = unsafe { f() };\nlet b = unsafe { f() };\n"),
        1
    );
    assert_eq!(found("/// # Safety\n/// None.\npub unsafe fn f() {}\n"), 0);
}

#[test]
fn promises_and_environment_are_found() {
    assert_eq!(sources::promises(&one("a.rs", &["// FIX", "ME later\n"].concat())).len(), 1);
    let reads = "let a = std::env::var(\"A\");\n";
    assert_eq!(sources::environment_readers(&one("broker/broker-core/src/a.rs", reads)).len(), 1);
    assert_eq!(sources::environment_readers(&one("lumadb/src/a.rs", reads)).len(), 0);
    let found =
        |code| sources::environment_readers(&one("client/client-kafka/src/a.rs", code)).len();
    for reads in [
        "#[arg(long, env = \"A\")]\n",
        "#[arg(env)]\n",
        "#[arg(long, env, short)]\n",
        "#[arg(\n    long,\n    env = \"LUMADB_A\",\n)]\n",
        "#[arg(\n    env,\n    long\n)]\n",
        "use std::env::{args, var};\n",
    ] {
        assert_eq!(found(reads), 1, "{reads}");
    }
    for reads in [
        "let env = 1;\n",
        "#[arg(long, value_name = \"ENV\")]\n",
        "call(a, env);\n",
        "Self {\n    env,\n}\n",
    ] {
        assert_eq!(found(reads), 0, "{reads}");
    }
}

/// The rule looked for `luma_`, with which no metric begins.
#[test]
fn a_printed_skip_is_found_in_tests() {
    let printed = |path: &str, text: &str| sources::hidden_skips(&one(path, text));
    // Put together here so that this file is not found itself.
    let wrapped = ["\n    print", "ln!(\n        \"{tool} was Skipped\"\n    );\n"].concat();
    assert!(printed("a/tests/it/main.rs", &wrapped)[0].starts_with("a/tests/it/main.rs:2:"));
    let error = ["eprint", "ln!(\"skipped\");"].concat();
    assert_eq!(printed("a/src/tests.rs", &error).len(), 1);
    assert_eq!(printed("a/src/lib.rs", &error).len(), 0, "a program may print");
    assert_eq!(printed("a/tests/it/main.rs", "print!(\"{n} rows\"); skipped(tool);").len(), 0);
}

#[test]
fn metric_names_are_checked_where_metrics_are_named() {
    let found = |path: &str, name: &str| {
        sources::metric_names(&one(path, &format!("out.gauge(\"{name}\", \"Help\", 1.0)\n"))).len()
    };
    let metrics = "protocols/proto-http/src/metrics.rs";
    for name in [
        "luma_log_segments",
        "lumadb_up",
        "lumadb_log_Segments",
        "lumadb_log__segments",
        "lumadb_log_wait_ms",
        "lumadb_log_wait_ms_total",
    ] {
        assert_eq!(found(metrics, name), 1, "{name}");
    }
    assert_eq!(found("broker/broker-node/src/stats.rs", "lumadb_up"), 1);
    for name in ["lumadb_log_wait_seconds_total", "process_open_fds"] {
        assert_eq!(found(metrics, name), 0, "{name}");
    }
    assert_eq!(found("lumadb/src/main.rs", "lumadb_up"), 0, "no metrics are named there");
}

#[test]
fn shapes_and_sizes_are_checked() {
    assert_eq!(sources::adapter_shape(&["protocols/proto-x/src/lib.rs".to_owned()]).len(), 3);
    assert_eq!(sources::adapter_shape(&["protocols/proto-api/src/lib.rs".to_owned()]).len(), 0);
    assert_eq!(
        sources::large_files(&[("a".to_owned(), 200 * 1024 + 1), ("b".to_owned(), 200 * 1024)])
            .len(),
        1
    );
}

#[test]
fn a_test_that_a_document_names_is_looked_for() {
    let source = one("a/tests.rs", "#[test]\nfn there() {}\nfn helper() {}\n");
    let missing = |document: &str| sources::missing_tests(document, &[], &source).len();
    assert_eq!(missing("| 1 | a rule | `there` |\n"), 0);
    assert_eq!(missing("| 1 | a rule | `there`, `gone` |\n"), 1);
    assert_eq!(missing("| 1 | a rule | `helper` |\n"), 1, "no test");
    assert_eq!(missing("prose about `gone`\n"), 0);
    assert_eq!(sources::missing_tests("| `there` |", &[], &one("a.rs", &source[0].text)).len(), 1);
}

/// The rule passed when a row was emptied or removed.
#[test]
fn each_rule_that_holds_has_a_row_with_a_test() {
    let source = one("a/tests.rs", "#[test]\nfn there() {}\n");
    let missing = |rows: &str| {
        let document =
            format!("# Title\n\n## Rules\n\n{rows}\n## Failures\n\n| 2 | x | `there` |\n");
        sources::missing_tests(&document, &[1..=2], &source)
    };
    assert_eq!(missing("| 1 | a | `there` |\n| 2 | b | `there` |\n").len(), 0);
    assert_eq!(missing("| 1 | a | `there` |\n"), ["rule 2 has no row with a test that exists"]);
    assert_eq!(missing("| 1 | a | |\n| 2 | b | `there` |\n").len(), 1, "emptied");
    assert_eq!(missing("| 1 | a | `gone` |\n| 2 | b | `there` |\n").len(), 2, "gone");
    assert_eq!(sources::missing_tests("", &[1..=2], &source).len(), 2);
}
