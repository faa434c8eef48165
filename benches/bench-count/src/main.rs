//! `bench-count KERNEL N`: runs a kernel N times, to be counted by callgrind.

use std::process::ExitCode;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [name, count] = words.as_slice() else { return ExitCode::from(2) };
    let (Some(kernel), Ok(count)) = (bench_count::kernel(name), count.parse()) else {
        return ExitCode::from(2);
    };
    kernel.run(count);
    ExitCode::SUCCESS
}
