//! What the machine itself allows, measured in the same run: durable writes, loopback round trips, loopback bulk.
//!
//! Invariants:
//! - The same pinning as the peers: what stands for the server runs on processor 0, the client on processor 1.
//! - Durable writes overwrite a file that was written before, as the journal does.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};

use crate::peer::{CLIENT_CPU, SERVER_CPU};
use crate::process::pin;
use crate::stats::percentile;

/// Durable or plain device writes at one block size and queue depth.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Device {
    pub(crate) mb_per_s: f64,
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
}

/// One fio job on a file in `dir` that stays for the next one.
///
/// # Errors
/// When fio is missing or fails.
pub(crate) fn fio(
    dir: &Path,
    write: bool,
    block_bytes: usize,
    depth: usize,
    seconds: u32,
) -> anyhow::Result<Device> {
    let sync = if write { "dsync" } else { "none" };
    let output = Command::new("taskset")
        .args([
            "-c",
            &SERVER_CPU.to_string(),
            "fio",
            "--name=floor",
            "--ioengine=io_uring",
            "--direct=1",
        ])
        .args([
            "--size=1G",
            "--overwrite=1",
            "--time_based=1",
            "--output-format=json",
            "--fallocate=none",
        ])
        .arg(format!("--filename={}", dir.join("fio.data").display()))
        .arg(format!("--rw={}", if write { "write" } else { "read" }))
        .args([
            format!("--sync={sync}"),
            format!("--bs={block_bytes}"),
            format!("--iodepth={depth}"),
        ])
        .arg(format!("--runtime={seconds}"))
        .output()
        .context("cannot run fio")?;
    ensure!(output.status.success(), "fio: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout);
    let section = if write { "\"write\" : {" } else { "\"read\" : {" };
    let rest = text.split_once(section).context("fio's answer has no section")?.1;
    let number = |rest: &str, name: &str| -> Option<f64> {
        let after = rest.split_once(&format!("\"{name}\" : "))?.1;
        after.split(|c: char| !c.is_ascii_digit() && c != '.').next()?.parse().ok()
    };
    let latency = rest.split_once("\"clat_ns\"").context("fio's answer has no latency")?.1;
    Ok(Device {
        mb_per_s: number(rest, "bw_bytes").context("no bandwidth")? / 1e6,
        p50_us: number(latency, "50.000000").unwrap_or(f64::NAN) / 1e3,
        p99_us: number(latency, "99.000000").unwrap_or(f64::NAN) / 1e3,
    })
}

/// Round trips over loopback with `bytes` there and 64 back: p50 and p99 in microseconds.
pub(crate) fn round_trip(bytes: usize, count: u32) -> anyhow::Result<(f64, f64)> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let addr = listener.local_addr()?;
    let server = std::thread::spawn(move || -> anyhow::Result<()> {
        pin(SERVER_CPU)?;
        let (mut stream, _) = listener.accept()?;
        stream.set_nodelay(true)?;
        let mut buf = vec![0; bytes];
        for _ in 0..count {
            stream.read_exact(&mut buf)?;
            stream.write_all(&[1; 64])?;
        }
        Ok(())
    });
    let mut stream = TcpStream::connect(addr)?;
    stream.set_nodelay(true)?;
    let (request, mut answer) = (vec![2; bytes], [0; 64]);
    let mut latencies = Vec::new();
    for _ in 0..count {
        let at = Instant::now();
        stream.write_all(&request)?;
        stream.read_exact(&mut answer)?;
        // Tenths of a microsecond: the value itself is only some ten.
        latencies.push(u32::try_from(at.elapsed().as_nanos() / 100).unwrap_or(u32::MAX));
    }
    server.join().map_err(|_| anyhow::anyhow!("the echo panicked"))??;
    latencies.sort_unstable();
    Ok((percentile(&latencies, 0.5) / 10.0, percentile(&latencies, 0.99) / 10.0))
}

/// MB per second that one sender pushes and one receiver takes over loopback, in pieces of 1 MiB.
pub(crate) fn bulk(time: Duration) -> anyhow::Result<f64> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let addr = listener.local_addr()?;
    let server = std::thread::spawn(move || -> anyhow::Result<()> {
        pin(SERVER_CPU)?;
        let (mut stream, _) = listener.accept()?;
        let piece = vec![3; 1 << 20];
        let started = Instant::now();
        while started.elapsed() < time {
            stream.write_all(&piece)?;
        }
        Ok(())
    });
    let mut stream = TcpStream::connect(addr)?;
    let mut buf = vec![0; 1 << 20];
    let (started, mut total) = (Instant::now(), 0_usize);
    loop {
        match stream.read(&mut buf)? {
            0 => break,
            count => total += count,
        }
    }
    let seconds = started.elapsed().as_secs_f64();
    server.join().map_err(|_| anyhow::anyhow!("the sender panicked"))??;
    pin(CLIENT_CPU)?;
    #[expect(clippy::cast_precision_loss, reason = "bytes of some seconds are below 2^52")]
    Ok(total as f64 / seconds / 1e6)
}

/// Milliseconds that a fixed amount of computing takes now: how disturbed the machine is.
pub(crate) fn calibration_ms() -> f64 {
    let started = Instant::now();
    let mut state = 1_u64;
    for _ in 0..40_000_000_u32 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
    }
    std::hint::black_box(state);
    started.elapsed().as_secs_f64() * 1e3
}
