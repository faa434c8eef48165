//! Hands the version of the `rdkafka` crate, as the lock file has it, to the program.

use std::fs;

fn main() {
    println!("cargo::rerun-if-changed=Cargo.lock");
    let lock = fs::read_to_string("Cargo.lock").expect("the lock file stands beside this one");
    let mut lines = lock.lines().skip_while(|line| *line != "name = \"rdkafka\"");
    let version =
        lines.nth(1).and_then(|line| line.strip_prefix("version = ")).expect("rdkafka is locked");
    println!("cargo::rustc-env=RDKAFKA_VERSION={}", version.trim_matches('"'));
}
