"""Runs a command to which the kernel refuses io_uring, as the default profile of containers does.

    without_io_uring.py COMMAND ARGUMENT...

A seccomp filter answers io_uring_setup with EPERM; everything else passes. Linux on x86_64 and aarch64.
"""
import ctypes
import os
import struct
import sys

IO_URING_SETUP = 425  # the same number on every architecture (include/uapi/asm-generic/unistd.h)
PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2
LOAD_WORD, JUMP_IF_EQUAL, RETURN = 0x20, 0x15, 0x06  # classic BPF (include/uapi/linux/bpf_common.h)
ALLOW, EPERM = 0x7FFF0000, 0x00050001
FILTER = b"".join(struct.pack("=HBBI", *instruction) for instruction in [
    (LOAD_WORD, 0, 0, 0),  # struct seccomp_data begins with the number of the call
    (JUMP_IF_EQUAL, 0, 1, IO_URING_SETUP),
    (RETURN, 0, 0, EPERM),
    (RETURN, 0, 0, ALLOW),
])


class Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p)]


libc = ctypes.CDLL(None, use_errno=True)
for arguments in ((PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0),
                  (PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(Program(len(FILTER) // 8, FILTER)), 0, 0)):
    if libc.prctl(*arguments) != 0:
        sys.exit(f"prctl: {os.strerror(ctypes.get_errno())}")
os.execvp(sys.argv[1], sys.argv[1:])
