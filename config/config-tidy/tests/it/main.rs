//! The rules of `config-tidy`, applied to this checkout.

use config_tidy::{dependencies, graph::Graph, sources, tree};
use std::{fs, path::Path};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .expect("the crate stands in config/config-tidy")
}

#[track_caller]
fn check(violations: &[String]) {
    assert!(violations.is_empty(), "{} violation(s):\n{}", violations.len(), violations.join("\n"));
}

fn graph() -> Graph {
    Graph::load(root()).expect("cargo describes the workspace")
}

fn rust() -> Vec<tree::Source> {
    tree::rust(root()).expect("this is a git checkout")
}

#[test]
fn packages_are_named_only_where_they_are_confined_to() {
    check(&dependencies::confined(&graph()));
}

#[test]
fn members_depend_downwards() {
    check(&dependencies::layers(&graph()));
}

/// Clippy takes the nearest `clippy.toml`: a crate without one has the workspace's, which bans nothing.
#[test]
fn core_crates_have_the_bans_of_clocks_randomness_threads_sockets_and_files() {
    let bans = root().join("config/clippy-core.toml");
    let graph = graph();
    let core = graph.direct.keys().filter(|member| dependencies::is_core(member));
    let unbanned = core.filter(|member| {
        let group = member.split('-').next().expect("a first part");
        let link = root().join(group).join(member).join("clippy.toml");
        fs::canonicalize(link).ok() != fs::canonicalize(&bans).ok()
    });
    let violation = |member| format!("{member}/clippy.toml is no link to config/clippy-core.toml");
    check(&unbanned.map(violation).collect::<Vec<_>>());
}

#[test]
fn core_crates_stay_within_their_budgets() {
    check(&dependencies::budgets(&graph()));
}

#[test]
fn the_lock_file_holds_no_banned_package() {
    check(&dependencies::banned(
        &fs::read_to_string(root().join("Cargo.lock")).expect("Cargo.lock is committed"),
    ));
}

#[test]
fn every_file_opens_with_its_comment() {
    check(&sources::without_module_comment(&rust()));
}

#[test]
fn files_are_short() {
    check(&sources::long_files(&rust(), sources::LONG_FILES));
}

#[test]
fn functions_are_short() {
    check(&sources::long_functions(&rust(), sources::LONG_FUNCTIONS));
}

#[test]
fn every_unsafe_has_its_reason() {
    check(&sources::unexplained_unsafe(&rust()));
}

#[test]
fn nothing_is_promised_for_later() {
    check(&sources::promises(&rust()));
}

#[test]
fn skips_are_seen() {
    check(&sources::hidden_skips(&rust()));
}

#[test]
fn the_environment_is_read_in_one_place() {
    check(&sources::environment_readers(&rust()));
}

#[test]
fn metric_names_follow_the_pattern() {
    check(&sources::metric_names(&rust()));
}

#[test]
fn adapters_have_one_shape() {
    check(&sources::adapter_shape(&tree::paths(root()).expect("this is a git checkout")));
}

#[test]
fn no_file_is_large() {
    check(&sources::large_files(&tree::sizes(root()).expect("this is a git checkout")));
}

#[test]
fn the_tests_that_documents_name_exist() {
    let document = fs::read_to_string(root().join("docs/kafka-semantics.md"));
    let document = document.expect("the document is committed");
    check(&sources::missing_tests(&document, sources::SEMANTICS, &rust()));
}
