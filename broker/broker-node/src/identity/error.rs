//! Why a data directory gives a node no identity, and what a person can do.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use log_journal::Finding;
use log_types::ShardId;

use super::file::Damage;
use super::{FILE, NodeIdentity, OTHER};

/// Why there is no identity to start with. Nothing was changed.
#[derive(Debug)]
#[non_exhaustive]
pub enum IdentityError {
    Io(io::Error),
    /// No identity, but a journal that was written under one.
    Missing {
        dir: PathBuf,
        shard: ShardId,
    },
    Damaged {
        dir: PathBuf,
        damage: Damage,
    },
    /// The identity names a shard whose directory is gone.
    ShardMissing {
        path: PathBuf,
    },
}

impl fmt::Display for IdentityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => error.fmt(f),
            Self::Missing { dir, shard } => {
                let file = dir.join(FILE);
                write!(f, "{} is missing, but shard-{shard} has a journal", file.display())
            }
            Self::Damaged { dir, damage } => {
                let Damage { offset, what, expected, found } = damage;
                write!(f, "{} is damaged at byte {offset}: {what}", dir.join(FILE).display())?;
                if expected == found {
                    return Ok(());
                }
                write!(f, ", expected {expected:#010x}, found {found:#010x}")
            }
            Self::ShardMissing { path } => write!(f, "{} is missing", path.display()),
        }
    }
}

impl std::error::Error for IdentityError {}

impl From<io::Error> for IdentityError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl IdentityError {
    /// What is wrong as `verify` lists it; `None` when it is not the bytes on disk.
    #[must_use]
    pub fn finding(&self) -> Option<Finding> {
        let damage = match self {
            Self::Damaged { damage, .. } => damage.clone(),
            Self::Missing { .. } => Damage::at(0, "identity of a node with journals is missing"),
            Self::Io(_) | Self::ShardMissing { .. } => return None,
        };
        let Damage { offset, what, expected, found } = damage;
        Some(Finding { file: FILE.to_owned(), offset, what, expected, found })
    }

    /// What a person can do.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Io(_) => None,
            Self::Missing { dir, .. } | Self::Damaged { dir, .. } => Some(put_back(dir)),
            Self::ShardMissing { path } => Some(format!(
                "nothing was changed; put {} back from a copy of the directory",
                path.display()
            )),
        }
    }
}

fn put_back(dir: &Path) -> String {
    let (file, other) = (dir.join(FILE), dir.join(OTHER));
    let (file, other) = (file.display(), other.display());
    match NodeIdentity::read_other(dir) {
        Some(_) => format!(
            "nothing was changed; {other} is the identity of the start before and is good: cp {other} {file}, then start again"
        ),
        None => format!(
            "nothing was changed; put {file} back from a copy of the directory, or start with an empty directory"
        ),
    }
}
