//! `lumadb config`.

use std::io::Write;

use config_schema::{SECTIONS, Sources, default_toml, explain, find_key, load, nearest_key};
use serde_json::json;

use crate::args::{ConfigArgs, ConfigCommand};
use crate::exit::{Exit, Failure};
use crate::format::{Format, Rows};
use crate::terminal::Terminal;

pub(crate) fn run(
    command: ConfigCommand,
    format: Format,
    terminal: &mut Terminal,
) -> Result<(), Failure> {
    match command {
        ConfigCommand::Show { config, origin } => show(&config, origin, format, terminal),
        ConfigCommand::Explain { key: Some(path) } => {
            if SECTIONS.iter().any(|section| section.name == path) {
                return list(Some(&path), format, terminal);
            }
            let key = find_key(&path).ok_or_else(|| unknown(&path))?;
            terminal.out.write_all(explain(key).as_bytes())?;
            Ok(terminal.out.flush()?)
        }
        ConfigCommand::Explain { key: None } => list(None, format, terminal),
        ConfigCommand::Default => {
            terminal.out.write_all(default_toml().as_bytes())?;
            Ok(terminal.out.flush()?)
        }
        ConfigCommand::Validate { config } => {
            load(&sources(&config)?)?;
            terminal.note("the configuration is valid");
            Ok(())
        }
    }
}

/// Every key, or those of one section.
fn list(section: Option<&str>, format: Format, terminal: &mut Terminal) -> Result<(), Failure> {
    let mut rows = Rows::new(&["key", "default", "takes_effect", "range"]);
    let sections = SECTIONS.iter().filter(|one| section.is_none_or(|name| name == one.name));
    for key in sections.flat_map(|section| section.keys) {
        let range = key.kind.to_string();
        rows.push(vec![
            json!(key.path()),
            json!(key.default),
            json!(key.reload.word()),
            json!(range),
        ]);
    }
    rows.print(format, terminal)
}

fn unknown(path: &str) -> Failure {
    let failure = Failure::new(Exit::NotFound, format!("unknown key {path:?}"));
    let keys = || SECTIONS.iter().flat_map(|section| section.keys);
    let named = keys().filter(|key| path == key.name || key.name.contains(path));
    let paths: Vec<String> = named.map(config_schema::Key::path).collect();
    let paths = if paths.is_empty() { nearest_key(path).into_iter().collect() } else { paths };
    if paths.is_empty() {
        return failure.hint("lumadb config explain lists all");
    }
    failure.hint(format!("did you mean {}?", paths.join(" or ")))
}

pub(crate) fn sources(args: &ConfigArgs) -> Result<Sources, Failure> {
    Ok(Sources::of_process(&args.config, args.overrides().map_err(Failure::usage)?)?)
}

fn show(
    args: &ConfigArgs,
    origin: bool,
    format: Format,
    terminal: &mut Terminal,
) -> Result<(), Failure> {
    let loaded = load(&sources(args)?)?;
    let columns: &[&str] = if origin {
        &["key", "value", "origin", "default", "takes_effect"]
    } else {
        &["key", "value"]
    };
    let mut rows = Rows::new(columns);
    for key in SECTIONS.iter().flat_map(|section| section.keys) {
        let path = key.path();
        let mut row = vec![json!(path), json!(loaded.value(&path))];
        if origin {
            row.extend([json!(loaded.origin(&path)), json!(key.default), json!(key.reload.word())]);
        }
        rows.push(row);
    }
    rows.print(format, terminal)
}
