//! A kernel that refuses io_uring, as the default profile of containers does: a seccomp filter on a thread of the test's own,
//! and so on the threads that it starts.

use broker_rt::{Backend, Reactor, RtError, choose};
use log_io::{Block, Durability};

use crate::harness::{TempDir, on_cores};

#[test]
fn auto_takes_epoll_where_io_uring_is_refused_and_works_there() {
    let refused = std::thread::spawn(|| {
        refuse_io_uring();
        let chosen = choose(Reactor::Auto).expect("auto always finds one");
        assert_eq!((chosen.backend, chosen.name), (Backend::Epoll, "epoll"));
        assert!(chosen.reason.starts_with("no io_uring: "), "{}", chosen.reason);
        let Err(RtError::IoUringRefused(why)) = choose(Reactor::IoUring) else {
            panic!("the filter lets io_uring through");
        };
        assert!(why.contains("not permitted") || why.contains("disabled"), "{why}");
        let dir = TempDir::on_disk();
        let path = dir.path().to_owned();
        on_cores(chosen.backend, 1, move |_, runtime| {
            let disk = runtime.disk(&path).expect("the directory opens");
            async move {
                let file = disk.create("a").await.expect("creates");
                let block = Block::from(disk.alloc(4096));
                file.write_at(0, block, 4096, Durability::Synced).await.expect("writes");
                assert_eq!(file.read_at(0, 4096).await.expect("reads"), [0; 4096][..]);
            }
        });
    });
    refused.join().expect("no assertion failed");
}

/// From now on io_uring_setup is EPERM for this thread and those that it starts.
#[expect(unsafe_code, reason = "seccomp has no safe interface in std")]
fn refuse_io_uring() {
    let code = |code: u32| u16::try_from(code).expect("opcodes of classic BPF have 16 bits");
    let number =
        u32::try_from(libc::SYS_io_uring_setup).expect("numbers of system calls are small");
    let eperm = libc::SECCOMP_RET_ERRNO | u32::try_from(libc::EPERM).expect("small");
    // `struct seccomp_data` begins with the number of the system call.
    let load = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0);
    let is_setup = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0, 1, number);
    let answer = |value| (libc::BPF_RET | libc::BPF_K, 0, 0, value);
    let mut filter = [load, is_setup, answer(eperm), answer(libc::SECCOMP_RET_ALLOW)]
        .map(|(op, jt, jf, k)| libc::sock_filter { code: code(op), jt, jf, k });
    let program = libc::sock_fprog { len: 4, filter: filter.as_mut_ptr() };
    // SAFETY: both calls read their arguments only, and the program lives until the kernel has copied it.
    let installed = unsafe {
        libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
            && libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program) == 0
    };
    assert!(installed, "seccomp: {}", std::io::Error::last_os_error());
}
