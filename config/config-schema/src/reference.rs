//! Text made from the key table: the commented example file and the explanation of one key.

use std::fmt::Write;

use crate::keys::{Key, SECTIONS};

fn toml_literal(key: &Key) -> String {
    if key.kind.bare() { key.default.to_owned() } else { format!("\"{}\"", key.default) }
}

/// The example file: every key, commented, with its default switched on. `config/lumadb.toml` is this text.
#[must_use]
pub fn default_toml() -> String {
    let mut out = String::from(
        "# LumaDB's configuration: every key with its default. `lumadb config default` prints this file.\n\
         # A key may also be set as LUMADB_SECTION__KEY in the environment or with --set section.key=value.\n",
    );
    for section in SECTIONS {
        out.push('\n');
        for line in section.doc {
            let _ = writeln!(out, "#{line}");
        }
        let _ = writeln!(out, "[{}]", section.name);
        for key in section.keys {
            for line in key.doc {
                let _ = writeln!(out, "#{line}");
            }
            let _ = writeln!(out, "# Range: {}. Takes effect: {}.", key.kind, key.reload.word());
            let _ = writeln!(out, "{} = {}", key.name, toml_literal(key));
        }
    }
    out
}

/// One key in full: text, default, range, tag, and the three ways to set it.
#[must_use]
pub fn explain(key: &Key) -> String {
    let mut out = format!("{}\n", key.path());
    for line in key.doc {
        let _ = writeln!(out, " {line}");
    }
    let _ = writeln!(out, "  default      {}", toml_literal(key));
    let _ = writeln!(out, "  range        {}", key.kind);
    let _ = writeln!(out, "  takes effect {}", key.reload.word());
    let _ = writeln!(out, "  file         [{}] {} = {}", key.section, key.name, toml_literal(key));
    let _ = writeln!(out, "  environment  {}={}", key.env(), key.default);
    let _ = writeln!(out, "  flag         --set {}={}", key.path(), key.default);
    out
}
