//! Every client of the table runs every operation; the recorded results and the README must say the same.

use e2e_clients::{
    client::CLIENTS,
    report::{self, Verdict},
    server::Server,
    tools,
};
use serde_json::{Map, Value};
use std::fs;

#[test]
fn foreign_clients_run_every_operation() {
    let _alone = crate::alone();
    // A group's first members are not waited for as long as by default: each client makes a dozen groups of one.
    let server = Server::start("clients", &["kafka.group_initial_rebalance_delay_ms=100"]).unwrap();
    let results_path = tools::repository().join("e2e/results.json");
    let recorded: Value = serde_json::from_slice(&fs::read(&results_path).unwrap()).unwrap();
    let mut observed = Map::new();
    let mut problems = String::new();
    for client in CLIENTS {
        if client.operations == e2e_clients::client::SQL_OPERATIONS && !server.is_luma() {
            continue;
        }
        let outcomes = client.run(&server);
        report::print(&outcomes);
        if let Some(Verdict::Skipped(why)) = outcomes.first().map(|o| &o.verdict)
            && tools::all_required()
        {
            problems += &format!("{} was skipped: {why} (run e2e/tools.sh)\n", client.name);
        }
        match report::record(client, &outcomes) {
            Ok(Some(row)) => {
                if server.is_luma()
                    && !tools::updating()
                    && !report::agrees(client, &row, &recorded[client.name])
                {
                    problems += &format!(
                        "{}: e2e/results.json says {}, observed {row} (UPDATE=1 records it)\n",
                        client.name, recorded[client.name]
                    );
                }
                observed.insert(client.name.to_owned(), row);
            }
            Ok(None) => {}
            Err(failures) => problems += &failures,
        }
    }
    if server.is_luma() && tools::updating() {
        let text = serde_json::to_string_pretty(&Value::Object(observed)).unwrap() + "\n";
        fs::write(&results_path, text).unwrap();
    }
    assert!(problems.is_empty(), "{problems}\nserver log:\n{}", server.log_tail());
}

#[test]
fn the_table_of_the_readme_is_generated_from_the_results() {
    let results: Value =
        serde_json::from_slice(&fs::read(tools::repository().join("e2e/results.json")).unwrap())
            .unwrap();
    let path = tools::repository().join("README.md");
    let readme = fs::read_to_string(&path).unwrap();
    let generated = report::splice(&readme, &report::render(&results)).unwrap();
    if tools::updating() {
        fs::write(&path, &generated).unwrap();
    } else {
        assert!(
            readme == generated,
            "the client table of README.md is stale: run the e2e tests with UPDATE=1"
        );
    }
}
