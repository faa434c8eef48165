"""Runs a command whose device fails from the moment on that a file appears.

    failing_device.py fdatasync TRIGGER COMMAND ARGUMENT...  fdatasync and fsync end with EIO
    failing_device.py pwritev2 TRIGGER COMMAND ARGUMENT...   so do writes that ask for a sync of their own
    failing_device.py writes TRIGGER COMMAND ARGUMENT...     writes beyond 4 KiB of a file end with EFBIG, those of io_uring too

Ends as the command does. The first two ask the kernel to let this process answer those calls (SECCOMP_RET_USER_NOTIF, Linux
5.5 or newer, x86_64 and aarch64): io_uring makes none, so they are for the epoll reactor. `writes` lowers RLIMIT_FSIZE of
the running command, whose signal Python and what it starts ignore.
"""
import array
import ctypes
import errno
import fcntl
import os
import platform
import resource
import select
import signal
import socket
import struct
import sys

MODE, TRIGGER, COMMAND = sys.argv[1], sys.argv[2], sys.argv[3:]
FILE_BYTES_MAX = 4096
STEP_SECONDS = 0.01

SECCOMP, FDATASYNC, FSYNC, PWRITEV2 = {"x86_64": (317, 75, 74, 328), "aarch64": (277, 83, 82, 287)}[platform.machine()]
CALLS = {"fdatasync": (FDATASYNC, FSYNC), "pwritev2": (PWRITEV2,), "writes": ()}[MODE]
PR_SET_PDEATHSIG, PR_SET_NO_NEW_PRIVS, SET_MODE_FILTER, NEW_LISTENER = 1, 38, 1, 8
LOAD_WORD, JUMP_IF_EQUAL, RETURN = 0x20, 0x15, 0x06  # classic BPF (include/uapi/linux/bpf_common.h)
ALLOW, USER_NOTIF = 0x7FFF0000, 0x7FC00000
NOTIF_RECV, NOTIF_SEND, CONTINUE = 0xC0502100, 0xC0182101, 1
NOTIF_BYTES = 80  # struct seccomp_notif (include/uapi/linux/seccomp.h); it begins with the number of the question

libc = ctypes.CDLL(None, use_errno=True)


class Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p)]


def filtered():
    """Lets somebody else answer the calls; the descriptor that this somebody reads."""
    jumps = [(JUMP_IF_EQUAL, len(CALLS) - index, 0, call) for index, call in enumerate(CALLS)]
    code = [(LOAD_WORD, 0, 0, 0), *jumps, (RETURN, 0, 0, ALLOW), (RETURN, 0, 0, USER_NOTIF)]
    code = b"".join(struct.pack("=HBBI", *instruction) for instruction in code)
    program = Program(len(code) // 8, code)
    libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    listener = libc.syscall(SECCOMP, SET_MODE_FILTER, NEW_LISTENER, ctypes.byref(program))
    if listener < 0:
        sys.exit(f"seccomp: {os.strerror(ctypes.get_errno())}")
    return listener


def command(pipe):
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if CALLS:
        socket.send_fds(pipe, [b"."], [filtered()])
    pipe.close()
    os.execvp(COMMAND[0], COMMAND)


def answer_calls(listener):
    """Until the command ends: every call goes on as it is, and fails once the trigger is there."""
    poll = select.poll()
    poll.register(listener, select.POLLIN)
    while poll.poll()[0][1] & select.POLLIN:
        question = array.array("B", bytes(NOTIF_BYTES))
        try:
            fcntl.ioctl(listener, NOTIF_RECV, question)
            (number,) = struct.unpack_from("=Q", question)
            failed = os.path.exists(TRIGGER)
            answer = (number, 0, -errno.EIO, 0) if failed else (number, 0, 0, CONTINUE)
            fcntl.ioctl(listener, NOTIF_SEND, array.array("B", struct.pack("=QqiI", *answer)))
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.EINTR):  # who asked is gone
                raise


ours, theirs = socket.socketpair()
child = os.fork()
if child == 0:
    ours.close()
    command(theirs)
theirs.close()
if CALLS:
    _, descriptors, _, _ = socket.recv_fds(ours, 1, 1)
    if descriptors:
        answer_calls(descriptors[0])
else:
    handle = os.pidfd_open(child)
    while not os.path.exists(TRIGGER) and not select.select([handle], [], [], STEP_SECONDS)[0]:
        pass
    if os.path.exists(TRIGGER):
        resource.prlimit(child, resource.RLIMIT_FSIZE, (FILE_BYTES_MAX, FILE_BYTES_MAX))
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
