//! The bytes of `node.luma`: `log/FORMAT.md` "node.luma".

use std::fmt::Write as _;

use log_types::ClusterId;

use super::NodeIdentity;

/// What is wrong with the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// Byte offset of what was checked: of the lines under the checksum, or of the line that is wrong.
    pub offset: u64,
    pub what: &'static str,
    /// Checksums, where they are what differs.
    pub expected: u64,
    pub found: u64,
}

impl Damage {
    pub(super) fn at(offset: usize, what: &'static str) -> Self {
        Self { offset: offset as u64, what, expected: 0, found: 0 }
    }
}

impl NodeIdentity {
    /// The file's text.
    pub(super) fn render(&self) -> String {
        let mut text = format!(
            "lumadb-node 1\ncluster {}\nshards {}\nterm {}\n",
            self.cluster, self.shards, self.term
        );
        let crc = crc32fast::hash(text.as_bytes());
        writeln!(text, "crc {crc:08x}").expect("writing to a string does not fail");
        text
    }
}

/// Reads the file's bytes.
///
/// # Errors
/// The [`Damage`]; a file of another version whose checksum is right says so.
pub(super) fn parse(bytes: &[u8]) -> Result<NodeIdentity, Damage> {
    let crc_line = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    let crc_at = crc_line.iter().rposition(|&byte| byte == b'\n').map_or(0, |before| before + 1);
    let (body, crc_line) = bytes.split_at(crc_at);
    let stated = str::from_utf8(crc_line).ok().and_then(|line| line.strip_prefix("crc "));
    let stated = stated.and_then(|digits| u32::from_str_radix(digits.trim_end(), 16).ok());
    let stated =
        stated.ok_or_else(|| Damage::at(crc_at, "checksum line of the node's identity"))?;
    let found = crc32fast::hash(body);
    if found != stated {
        let (expected, found) = (stated.into(), found.into());
        return Err(Damage { offset: 0, what: "checksum of the node's identity", expected, found });
    }
    let text = str::from_utf8(body).unwrap_or_default();
    if !text.starts_with("lumadb-node 1\n") {
        return Err(Damage::at(0, "version of the node's identity: another version wrote it"));
    }
    let identity = fields(text).filter(|identity| identity.render().as_bytes() == bytes);
    identity.ok_or_else(|| Damage::at(0, "fields of the node's identity"))
}

fn fields(text: &str) -> Option<NodeIdentity> {
    let mut lines = text.lines().skip(1);
    let mut field = |name: &str| lines.next()?.strip_prefix(name)?.strip_prefix(' ');
    let cluster = u128::from_str_radix(field("cluster")?, 16).ok()?;
    let shards = field("shards")?.parse().ok().filter(|&shards: &u32| shards > 0)?;
    let term = field("term")?.parse().ok()?;
    Some(NodeIdentity { cluster: ClusterId(cluster.to_be_bytes()), shards, term })
}
