//! The lumadb command: reads argv and the environment, hands the command to `client-cli`, and adds what only this
//! crate links: the server.
//!
//! Exit codes are those of `client_cli::Exit`.

mod demo;
mod descriptors;
mod logging;
mod metered;
mod ops;
mod serve;
mod server;
mod verify;

use std::process::ExitCode;

use clap::Parser;
use client_cli::{Cli, DemoArgs, Failure, Format, ServeArgs, Server, Terminal, VerifyArgs};

/// The server, linked into this binary.
struct Linked;

impl Server for Linked {
    fn serve(&self, args: ServeArgs, terminal: &mut Terminal) -> Result<(), Failure> {
        serve::run(&args, terminal)
    }

    fn demo(&self, args: DemoArgs, terminal: &mut Terminal) -> Result<(), Failure> {
        demo::run(args, terminal)
    }

    fn verify(
        &self,
        args: VerifyArgs,
        format: Format,
        terminal: &mut Terminal,
    ) -> Result<(), Failure> {
        verify::run(&args, format, terminal)
    }

    fn probe_io_uring(&self) -> Result<(), String> {
        broker_rt::choose(broker_rt::Reactor::IoUring).map(drop).map_err(|error| error.to_string())
    }

    fn version(&self) -> String {
        env!("CARGO_PKG_VERSION").to_owned()
    }
}

fn main() -> ExitCode {
    let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let cli = Cli::parse();
    let mut terminal = Terminal::of_process(no_color, |name| std::env::var(name).ok());
    ExitCode::from(client_cli::run(cli, &Linked, &mut terminal) as u8)
}
