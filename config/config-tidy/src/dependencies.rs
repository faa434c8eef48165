//! Who may depend on whom, and how much a crate may cost.

use crate::graph::{Graph, Use};

/// A package, or a family when the name ends with `*`, that only some members may name.
pub struct Confined {
    pub package: &'static str,
    pub to: &'static [&'static str],
    pub reason: &'static str,
}

/// Heavy or infectious packages and the members that may name them.
pub const CONFINED: &[Confined] = &[
    Confined {
        package: "io-uring",
        to: &["broker-rt"],
        reason: "it is Linux-only, and the simulator must be able to replace it",
    },
    Confined {
        package: "tokio*",
        to: &[
            "broker-rt",
            "proto-api",
            "proto-pg",
            "proto-http",
            "query-engine",
            "client-*",
            "bench-versus",
            "lumadb",
        ],
        reason: "a crate that names a runtime cannot run in the simulator; proto-pg and proto-http drive their own \
                 connections until a third adapter makes proto-api worth having; bench-versus is a client",
    },
    Confined {
        package: "datafusion*",
        to: &["query-engine", "mat-view"],
        reason: "it is some 200 crates: one adapter must stay one small rebuild, and the log must not wait for it",
    },
    Confined {
        package: "arrow*",
        to: &["query-arrow", "query-engine", "mat-columnar"],
        reason: "columnar data has one home; everything else passes rows and values of query-api",
    },
    Confined {
        package: "tantivy",
        to: &["mat-text"],
        reason: "text search can be deleted and rebuilt: one crate",
    },
    Confined { package: "axum", to: &["proto-http"], reason: "HTTP is one adapter" },
    Confined { package: "pgwire", to: &["proto-pg"], reason: "the PostgreSQL wire is one adapter" },
    Confined {
        package: "kafka-protocol",
        to: &["broker-kafka", "broker-kafka-wire", "client-kafka", "jepsen-sim"],
        reason: "it allocates from untrusted lengths and is only used behind the guard of broker-kafka-wire",
    },
    Confined {
        package: "clap*",
        to: &["lumadb", "client-cli"],
        reason: "arguments are read in one place",
    },
    Confined {
        package: "figment",
        to: &["config-schema"],
        reason: "settings are read in one place, so that each value has an origin",
    },
    Confined {
        package: "anyhow",
        to: &["lumadb", "bench-*", "jepsen-*", "e2e-*"],
        reason: "library errors are enums that a caller can act on",
    },
];

/// Everything third-party that the deterministic crates may name, in tests as well; one that does not stand here may name
/// nothing. No runtime, no source of randomness, no serialisation framework, no procedural macro.
pub const CORE_MAY_NAME: &[(&str, &[&str])] = &[
    ("log-types", &[]),
    ("log-io", &["bytes"]),
    ("log-record", &["bytes", "crc-fast", "proptest"]),
    ("log-codec", &["flate2", "lz4_flex", "snap", "twox-hash", "zstd", "proptest"]),
    ("log-journal", &["bytes", "crc32fast", "expect-test"]),
    ("log-testkit", &["bytes"]),
    ("broker-core", &["bytes"]),
];

/// Members on which nobody depends, with the members that they may depend on and the reason.
pub const LEAVES: &[(&str, &[&str], &str)] = &[
    (
        "bench-*",
        &["log-*", "broker-*", "client-kafka", "config-testkit"],
        "a benchmark measures the log and the broker, or is a client: it waits for no SQL engine to compile",
    ),
    (
        "jepsen-*",
        &["log-*", "broker-*", "proto-pg", "config-testkit"],
        "the simulator runs what is deterministic and the fuzz targets decode: neither needs an engine",
    ),
    ("e2e-*", &["config-testkit"], "it drives the built binary from outside, as a stranger does"),
    ("config-tidy", &[], "the rules are judged without compiling what they judge"),
];

/// Crates that see no clock, randomness, thread, socket or file: what they need of these they take as arguments. Their
/// `clippy.toml` is a link to `config/clippy-core.toml`.
#[must_use]
pub fn is_core(member: &str) -> bool {
    member.starts_with("log-") || member == "broker-core"
}

/// Third-party packages of the normal build, at most. Raise a number only together with its reason.
///
/// Set at the first build of the whole: `crc-fast` brings the digest family (5), `kafka-protocol` indexmap and anyhow
/// (12), the codecs flate2 and zstd theirs, and futures-channel with futures-util 13.
pub const BUDGETS: &[(&str, usize)] = &[
    ("log-types", 0),
    ("log-io", 1),
    ("log-record", 7),
    ("log-codec", 20),
    ("log-journal", 9),
    ("broker-core", 19),
    ("broker-kafka-wire", 22),
    ("broker-kafka", 47),
    ("query-api", 15),
];

fn matches(pattern: &str, name: &str) -> bool {
    pattern.strip_suffix('*').map_or(pattern == name, |family| name.starts_with(family))
}

/// Packages outside the crates that they are confined to.
#[must_use]
pub fn confined(graph: &Graph) -> Vec<String> {
    let mut violations = Vec::new();
    for (member, dependencies) in &graph.direct {
        // Of tests as well: what they name stands in the same edit loop.
        for (name, _) in dependencies.iter().filter(|(name, _)| !graph.is_member(name)) {
            for rule in CONFINED.iter().filter(|rule| matches(rule.package, name)) {
                if !rule.to.iter().any(|allowed| matches(allowed, member)) {
                    violations.push(format!(
                        "{member} names {name}, which only {:?} may: {}",
                        rule.to, rule.reason
                    ));
                }
            }
        }
    }
    violations
}

/// Edges between members that the layout forbids.
#[must_use]
pub fn layers(graph: &Graph) -> Vec<String> {
    let mut violations = Vec::new();
    for (member, dependencies) in &graph.direct {
        for (name, kind) in dependencies {
            if let Some(reason) = forbidden(member, name, *kind, graph.is_member(name)) {
                violations.push(format!("{member} depends on {name}: {reason}"));
            }
        }
    }
    violations
}

fn forbidden(member: &str, name: &str, kind: Use, is_ours: bool) -> Option<&'static str> {
    let group = |prefix: &str| name.starts_with(prefix);
    let in_group = |prefix: &str| member.starts_with(prefix);
    if is_core(member) && !is_ours && !may_name(member, name) {
        return Some(
            "CORE_MAY_NAME does not list it: a deterministic crate has no runtime, no randomness, no framework and no \
             procedural macro, it takes what it needs through log-io and is in everybody's edit loop",
        );
    }
    if !is_ours {
        return None;
    }
    if name == "lumadb" {
        return Some("the binary is the leaf that ties everything together; nothing stands on it");
    }
    let ships = !["jepsen-", "bench-", "e2e-"].into_iter().any(in_group);
    if name.ends_with("-testkit") && kind != Use::Dev && ships {
        return Some("a testkit is a dev-dependency only, it must not ship");
    }
    if LEAVES.iter().any(|(leaf, ..)| matches(leaf, name)) {
        return Some("it measures, tests or judges the others: nothing stands on it");
    }
    if let Some((_, may, reason)) = LEAVES.iter().find(|(leaf, ..)| matches(leaf, member)) {
        return (!may.iter().any(|allowed| matches(allowed, name))).then_some(*reason);
    }
    if member == "lumadb" {
        return None;
    }
    if in_group("log-") && !group("log-") {
        return Some("log-* depends on nothing outside log/: it is the base of every other crate");
    }
    if in_group("proto-") && (group("broker-") || group("mat-") || name == "query-engine") {
        return Some("an adapter speaks to the engine through the verbs of query-api only");
    }
    if in_group("proto-") && group("proto-") && name != "proto-api" {
        return Some("adapters do not know each other: features are independent");
    }
    if in_group("mat-") && group("mat-") && name != "mat-api" {
        return Some("a store never depends on another store: each can be deleted and rebuilt");
    }
    if !in_group("query-") && (name == "query-engine" || group("mat-")) {
        return Some(
            "only query-engine and lumadb depend on an engine or a store, so that each can be replaced",
        );
    }
    if member == "broker-core" && !(group("log-")) {
        return Some(
            "broker-core holds state machines: it knows records and ids, no I/O and no wire",
        );
    }
    None
}

fn may_name(member: &str, package: &str) -> bool {
    CORE_MAY_NAME.iter().any(|(core, may)| *core == member && may.contains(&package))
}

/// Members that reach more third-party packages than their budget, and budgets of what is no member.
#[must_use]
pub fn budgets(graph: &Graph) -> Vec<String> {
    let mut violations = Vec::new();
    for &(member, budget) in BUDGETS {
        let Some(reached) = graph.reached.get(member) else {
            violations
                .push(format!("BUDGETS names {member}, which is no member: a limit of nothing"));
            continue;
        };
        if reached.len() > budget {
            violations.push(format!(
                "{member} reaches {} third-party packages, its budget is {budget}: what stands under the core is \
                 compiled in every edit loop. It reaches {reached:?}",
                reached.len()
            ));
        }
    }
    violations
}

/// Packages that must not be in Cargo.lock, with the reason.
pub const BANNED: &[(&str, &str)] = &[
    ("aws-lc-rs", "ring is the one TLS provider; this one needs cmake"),
    ("aws-lc-sys", "ring is the one TLS provider; this one needs cmake"),
    ("openssl", "a first build needs Rust and a C compiler, nothing else"),
    ("openssl-sys", "a first build needs Rust and a C compiler, nothing else"),
    ("native-tls", "ring is the one TLS provider"),
    ("cmake", "a first build needs Rust and a C compiler, nothing else"),
    ("protoc-bin-vendored", "a first build needs Rust and a C compiler, nothing else"),
];

/// Banned packages that stand in the text of a Cargo.lock.
#[must_use]
pub fn banned(lock: &str) -> Vec<String> {
    let names: Vec<&str> =
        lock.lines().filter_map(|line| line.strip_prefix("name = \"")?.strip_suffix('"')).collect();
    let found = BANNED.iter().filter(|(name, _)| names.contains(name));
    found.map(|(name, reason)| format!("Cargo.lock holds {name}: {reason}")).collect()
}
