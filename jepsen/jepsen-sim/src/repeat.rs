//! The command that does a run again: what every failure prints, and what `cargo sim` reads.

use crate::scenario::{Options, SeededBug};

/// What `--bug` calls the defects.
const BUGS: [(&str, SeededBug); 11] = [
    ("lying-disk", SeededBug::LyingDisk),
    ("async-topic", SeededBug::AsyncTopic),
    ("forgotten-producer", SeededBug::ForgottenProducer),
    ("wrong-codec", SeededBug::WrongCodec),
    ("unasked-delete", SeededBug::UnaskedDelete),
    ("greedy-member", SeededBug::GreedyMember),
    ("skipping-session", SeededBug::SkippingSession),
    ("kept-topic", SeededBug::KeptTopic),
    ("forgetful-disk", SeededBug::ForgetfulDisk),
    ("secret-rot", SeededBug::SecretRot),
    ("forged-state", SeededBug::ForgedState),
];

impl SeededBug {
    /// The defect of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        BUGS.into_iter().find(|(known, _)| *known == name).map(|(_, bug)| bug)
    }

    /// The names of all, in the order of their declaration.
    pub fn names() -> impl Iterator<Item = &'static str> {
        BUGS.into_iter().map(|(name, _)| name)
    }
}

/// `cargo sim …` for the same run: its trace has the same hash. Without [`Options::fail`], which no command gives.
#[must_use]
pub fn repeat_command(seed: u64, options: &Options) -> String {
    let (seconds, millis) = (options.faults_ms / 1_000, options.faults_ms % 1_000);
    let mut command = format!("cargo sim --seed {seed} --time {seconds}.{millis:03}");
    for (name, bug) in BUGS {
        if options.bug == Some(bug) {
            command += " --bug ";
            command += name;
        }
    }
    command
}
