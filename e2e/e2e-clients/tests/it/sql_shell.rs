//! The interactive `lumadb sql` on a pseudo-terminal: `\\d`, statements over lines, completion, errors, Ctrl-C while typing
//! and while a statement runs, history across sessions. The keys and the screens are in `e2e/clients/python/sql_shell.py`.

use e2e_clients::{process, server::Server, tools};
use std::{
    io::{self, Write as _},
    process::Command,
    time::Duration,
};

#[test]
fn the_interactive_shell_works_on_a_terminal() {
    let say = |text: &str| io::stderr().lock().write_all(text.as_bytes()).unwrap();
    let _alone = crate::alone();
    let python = tools::installed().join("python/bin/python");
    if !python.exists() {
        assert!(!tools::all_required(), "the Python clients are missing: run e2e/tools.sh");
        return say("\nsql shell | skipped because the Python clients are missing\n");
    }
    let server = Server::start("sql-shell", &[]).unwrap();
    if !server.is_luma() {
        return;
    }
    let mut command = Command::new(python);
    command.arg(tools::repository().join("e2e/clients/python/sql_shell.py"));
    command.arg(tools::lumadb().unwrap()).args([&server.addresses.kafka, &server.addresses.pg]);
    let (status, out, err) =
        process::run(&mut command, server.dir(), "sql-shell", Duration::from_secs(120)).unwrap();
    assert!(status.success(), "{out}{err}\n{}", server.log_tail());
}
