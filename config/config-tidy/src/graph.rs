//! The dependency graph of the workspace, from `cargo metadata`.
//!
//! Only for the host platform: what cargo has not downloaded for others cannot be resolved offline.

use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    env,
    path::Path,
    process::Command,
};

/// How a package is depended on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Use {
    Normal,
    Build,
    Dev,
}

/// Members of the workspace and what each of them names and reaches.
#[derive(Debug, Default)]
pub struct Graph {
    /// Member → what its manifest names.
    pub direct: BTreeMap<String, BTreeSet<(String, Use)>>,
    /// Member → third-party packages (name and version) of its normal build, directly or not.
    pub reached: BTreeMap<String, BTreeSet<String>>,
}

impl Graph {
    /// Whether `name` is a member.
    #[must_use]
    pub fn is_member(&self, name: &str) -> bool {
        self.direct.contains_key(name)
    }

    /// Reads the graph of the workspace at `root`.
    ///
    /// # Errors
    /// When cargo fails or answers something else than its documented format.
    pub fn load(root: &Path) -> Result<Self, String> {
        let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let rustc = Command::new("rustc")
            .arg("-vV")
            .output()
            .map_err(|e| format!("cannot run rustc: {e}"))?;
        let text = String::from_utf8_lossy(&rustc.stdout).into_owned();
        let host =
            text.lines().find_map(|l| l.strip_prefix("host: ")).ok_or("rustc names no host")?;
        let done = Command::new(cargo)
            .args(["metadata", "--offline", "--format-version", "1", "--filter-platform", host])
            .current_dir(root)
            .output()
            .map_err(|e| format!("cannot run cargo: {e}"))?;
        if !done.status.success() {
            return Err(format!(
                "cargo metadata failed: {}",
                String::from_utf8_lossy(&done.stderr)
            ));
        }
        let metadata =
            serde_json::from_slice(&done.stdout).map_err(|e| format!("cargo metadata: {e}"))?;
        Self::parse(&metadata).ok_or_else(|| "cargo metadata has an unknown form".to_owned())
    }

    fn parse(metadata: &Value) -> Option<Self> {
        let members: BTreeSet<&str> =
            metadata["workspace_members"].as_array()?.iter().filter_map(Value::as_str).collect();
        let mut graph = Self::default();
        let mut labels = BTreeMap::new();
        let mut names = BTreeMap::new();
        for package in metadata["packages"].as_array()? {
            let (id, name) = (package["id"].as_str()?, package["name"].as_str()?);
            labels.insert(id, format!("{name} {}", package["version"].as_str()?));
            if !members.contains(id) {
                continue;
            }
            names.insert(id, name);
            let direct = graph.direct.entry(name.to_owned()).or_default();
            for dependency in package["dependencies"].as_array()? {
                let kind = match dependency["kind"].as_str() {
                    Some("dev") => Use::Dev,
                    Some("build") => Use::Build,
                    _ => Use::Normal,
                };
                direct.insert((dependency["name"].as_str()?.to_owned(), kind));
            }
        }
        let mut edges: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for node in metadata["resolve"]["nodes"].as_array()? {
            let normal = node["deps"].as_array()?.iter().filter(|dep| {
                dep["dep_kinds"]
                    .as_array()
                    .is_some_and(|kinds| kinds.iter().any(|k| k["kind"].is_null()))
            });
            edges.insert(
                node["id"].as_str()?,
                normal.filter_map(|dep| dep["pkg"].as_str()).collect(),
            );
        }
        for (id, name) in &names {
            let mut seen = BTreeSet::new();
            let mut open = vec![*id];
            while let Some(next) = open.pop() {
                if seen.insert(next) {
                    open.extend(edges.get(next).into_iter().flatten());
                }
            }
            let foreign = seen
                .iter()
                .filter(|id| !members.contains(*id))
                .filter_map(|id| labels.get(id).cloned());
            graph.reached.insert((*name).to_owned(), foreign.collect());
        }
        Some(graph)
    }
}
