//! Dispatch, and the one place that turns a failure into text and an exit code.

use std::io::Write;

use clap::CommandFactory;

use crate::args::{Cli, Command, DemoArgs, ServeArgs, VerifyArgs};
use crate::exit::{Exit, Failure};
use crate::format::{Format, Rows};
use crate::terminal::Terminal;
use crate::{bench, config, consume, doctor, group, produce, sql, topic};

/// What only the binary can do, since it alone links the server.
pub trait Server {
    /// Runs until it is told to stop.
    ///
    /// # Errors
    /// Why it did not start, or why it ended.
    fn serve(&self, args: ServeArgs, terminal: &mut Terminal) -> Result<(), Failure>;

    /// # Errors
    /// As [`Server::serve`].
    fn demo(&self, args: DemoArgs, terminal: &mut Terminal) -> Result<(), Failure>;

    /// Reads a stopped server's data directory and checks it.
    ///
    /// # Errors
    /// `Unhealthy` when something does not verify, else why it could not be checked.
    fn verify(
        &self,
        args: VerifyArgs,
        format: Format,
        terminal: &mut Terminal,
    ) -> Result<(), Failure>;

    /// Whether io_uring works here, or why not.
    ///
    /// # Errors
    /// The reason in words.
    fn probe_io_uring(&self) -> Result<(), String>;

    /// The version's number.
    fn version(&self) -> String;
}

/// One line for people and scripts, or rows where somebody asks for a format.
fn version(server: &dyn Server, format: Format, terminal: &mut Terminal) -> Result<(), Failure> {
    let version = server.version();
    if matches!(format, Format::Auto) {
        return Ok(writeln!(terminal.out, "lumadb {version}")?);
    }
    let mut rows = Rows::new(&["name", "version"]);
    rows.push(vec!["lumadb".into(), version.into()]);
    rows.print(format, terminal)
}

/// Runs a parsed command line. Failures are printed to standard error.
pub fn run(cli: Cli, server: &dyn Server, terminal: &mut Terminal) -> Exit {
    let json = cli.format.json();
    let done = dispatch(cli, server, terminal).and_then(|()| Ok(terminal.out.flush()?));
    match done {
        Ok(()) => Exit::Ok,
        Err(failure) => {
            terminal.report(&failure, json);
            failure.exit
        }
    }
}

fn dispatch(cli: Cli, server: &dyn Server, terminal: &mut Terminal) -> Result<(), Failure> {
    let format = cli.format;
    match cli.command.unwrap_or_else(|| Command::Serve(ServeArgs::default())) {
        Command::Serve(args) => server.serve(args, terminal),
        Command::Demo(args) => server.demo(args, terminal),
        Command::Verify(args) => server.verify(args, format, terminal),
        Command::Topic(command) => topic::run(command, format, terminal),
        Command::Produce(args) => produce::run(&args, terminal),
        Command::Consume(args) => consume::run(&args, format, terminal),
        Command::Group(command) => group::run(command, format, terminal),
        Command::Sql(args) => sql::run(&args, format, terminal),
        Command::Query(args) => sql::run(&args.into(), format, terminal),
        Command::Bench(command) => bench::run(command, format, terminal),
        Command::Doctor(args) => doctor::run(&args, format, server, terminal),
        Command::Config(command) => config::run(command, format, terminal),
        Command::Version { json } => {
            version(server, if json { Format::Json } else { format }, terminal)
        }
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "lumadb", &mut script);
            Ok(terminal.out.write_all(&script)?)
        }
    }
}
