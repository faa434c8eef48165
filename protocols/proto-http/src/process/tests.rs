//! Parsing of the kernel's texts, missing ones included.

use super::*;

#[test]
fn fields_are_found_whatever_the_command_is_called() {
    let stat = "7 (a) b) S 1 7 7 0 -1 4194560 100 0 0 0 150 50 0 0 20 0 3 0 100 1000 200";
    let status = "Name:\tx\nVmSize:\t    2048 kB\nVmRSS:\t    1024 kB\nThreads:\t3\n";
    let limits = "Limit  Soft Limit  Hard Limit  Units\nMax open files            1024                 4096                 files\n";
    let process = Process::parse(stat, status, limits);
    assert_eq!(process.cpu_seconds, Some(2.0));
    assert_eq!((process.resident_bytes, process.virtual_bytes), (Some(1 << 20), Some(2 << 20)));
    assert_eq!((process.max_fds, process.threads), (Some(1024), Some(3)));
    assert_eq!(Process::parse("", "", ""), Process::default());
}

#[test]
fn a_core_is_known_by_the_name_of_its_thread() {
    assert_eq!(core_of("luma-core-12\n"), Some(12));
    for other in ["luma-disk-1\n", "luma-core-\n", "luma-core-x\n", "tokio-rt-worker\n", ""] {
        assert_eq!(core_of(other), None, "{other}");
    }
}
