//! The command tree explains itself.

use clap::CommandFactory;

use super::*;

fn unexplained(command: &clap::Command, path: &str, found: &mut Vec<String>) {
    let path = format!("{path} {}", command.get_name());
    if command.get_about().is_none() {
        found.push(path.clone());
    }
    let arguments = command.get_arguments().filter(|argument| argument.get_help().is_none());
    found.extend(arguments.map(|argument| format!("{path} {}", argument.get_id())));
    for inner in command.get_subcommands() {
        unexplained(inner, &path, found);
    }
}

#[test]
fn every_command_and_argument_has_a_text() {
    let mut found = Vec::new();
    unexplained(&Cli::command(), "", &mut found);
    assert_eq!(found, Vec::<String>::new());
    Cli::command().debug_assert();
}

#[test]
fn spellings_of_other_tools_work() {
    for line in [
        "topics ls",
        "topic rm t -y",
        "topic create t --partitions 3 --replication-factor 1",
        "groups list",
        "connect postgres://luma@127.0.0.1:5432/luma",
        "help topic",
    ] {
        let words = std::iter::once("lumadb").chain(line.split(' '));
        let help = clap::error::ErrorKind::DisplayHelp;
        let parsed = Cli::try_parse_from(words).map(drop);
        assert!(
            parsed.as_ref().is_ok_and(|()| true) || parsed.is_err_and(|error| error.kind() == help),
            "{line}"
        );
    }
    let two = ["lumadb", "topic", "create", "t", "--replication-factor", "2"];
    assert!(Cli::try_parse_from(two).is_err(), "there is one server");
}

#[test]
fn config_is_what_kafka_calls_the_configuration_of_a_topic() {
    for flag in ["-c", "--config", "--topic-config"] {
        let cli = Cli::try_parse_from(["lumadb", "topic", "create", "t", flag, "retention.ms=1"]);
        let Some(Command::Topic(TopicCommand::Create { configs, .. })) =
            cli.expect("parses").command
        else {
            panic!("another command")
        };
        assert_eq!(configs, ["retention.ms=1"]);
    }
}

/// The help said what the flags are for and not what is without them.
#[test]
fn the_help_of_serve_names_the_defaults() {
    let help = |name: &str| {
        let mut cli = Cli::command();
        let command = cli.find_subcommand_mut(name).expect("a command");
        command.render_long_help().to_string()
    };
    let serve = help("serve");
    for path in ["kafka.addr", "pg.addr", "http.addr", "node.reactor"] {
        let default = config_schema::find_key(path).expect("a key").default;
        assert!(serve.contains(&format!("[default: {default}]")), "{path}: {serve}");
    }
    assert!(serve.contains("--data-dir"));
    assert!(!help("demo").contains("--data-dir"));
}
