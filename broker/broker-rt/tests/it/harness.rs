//! Runs a test body on the first core of each back end and carries its panics to the test.

use std::fs;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use broker_rt::{Backend, CoreId, Options, Reactor, Runtime, choose, run_cores};

/// The back ends that can run here. io_uring is left out, and said so, where the machine refuses it; with
/// `LUMADB_E2E_REQUIRE=all` that is a failure.
pub(crate) fn backends() -> Vec<Backend> {
    let mut backends = vec![Backend::Epoll];
    match choose(Reactor::IoUring) {
        Ok(chosen) => backends.push(chosen.backend),
        Err(error) => config_testkit::skipped("io_uring", &error.to_string()),
    }
    backends
}

/// Runs `body` on one core of every back end.
pub(crate) fn on_each<F, Fut>(body: F)
where
    F: Fn(Rc<dyn Runtime>) -> Fut + Send + Sync + Clone + 'static,
    Fut: Future<Output = ()> + 'static,
{
    for backend in backends() {
        on_cores(backend, 1, {
            let body = body.clone();
            move |_, runtime| body(runtime)
        });
    }
}

/// Runs `body` on each of `cores` cores of `backend` and waits for all of them.
///
/// A failed assertion on a core aborts the test process; the message stands on stderr.
pub(crate) fn on_cores<F, Fut>(backend: Backend, cores: usize, body: F)
where
    F: Fn(CoreId, Rc<dyn Runtime>) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = ()> + 'static,
{
    let options = Options::new(backend, cores);
    let running = run_cores(&options, Arc::new(move |core, rt| Box::pin(body(core, rt))))
        .expect("the cores start");
    running.join().expect("the cores end well");
}

/// A directory that is removed with its owner.
pub(crate) struct TempDir(PathBuf);

impl TempDir {
    /// On the disk file system of the build directory, where direct I/O works.
    pub(crate) fn on_disk() -> Self {
        Self::under(Path::new(env!("CARGO_TARGET_TMPDIR")))
    }

    /// In memory, where it may not; `None` where there is no such mount.
    pub(crate) fn in_memory() -> Option<Self> {
        let shm = Path::new("/dev/shm");
        shm.is_dir().then(|| Self::under(shm))
    }

    fn under(parent: &Path) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let unique = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = parent.join(format!("broker-rt-{}-{unique}", std::process::id()));
        fs::create_dir_all(&path).expect("a fresh directory");
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Runs `body` with a directory on disk and with one in memory, on every back end.
pub(crate) fn on_each_disk<F, Fut>(body: F)
where
    F: Fn(Rc<dyn Runtime>, Rc<dyn log_io::Disk>) -> Fut + Send + Sync + Clone + 'static,
    Fut: Future<Output = ()> + 'static,
{
    for backend in backends() {
        let dirs = [Some(TempDir::on_disk()), TempDir::in_memory()];
        for dir in dirs.into_iter().flatten() {
            let path = dir.path().to_owned();
            let body = body.clone();
            on_cores(backend, 1, move |_, runtime| {
                // Twice removed, so that opening creates parents too.
                let disk = runtime.disk(&path.join("a/b")).expect("the directory opens");
                body(runtime, disk)
            });
        }
    }
}
