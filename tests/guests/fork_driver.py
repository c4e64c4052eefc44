"""Plays the part of a jail's init for templates (runtimes/nodejs/fork, template.js), without
namespaces and tracing: starts a guest with the fork socket as descriptor 5, has it fork, sends the
children their orders, and talks to them; they stay children of the guest."""

import array
import ctypes
import os
import socket
import struct
import tempfile
import threading
import time

from lean_driver import HEAD, WINDOW, Guest, Process, _move_up, parse_records

PARKED = 6
PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2


def deny_io_uring():
    """What the jail's system call filter does, too: io_uring_setup fails with EPERM."""
    load, jump, ret = 0x20, 0x15, 0x06
    code = [(load, 0, 0, 0), (jump, 0, 1, 425), (ret, 0, 0, 0x00050001), (ret, 0, 0, 0x7FFF0000)]
    rows = b"".join(struct.pack("<HBBI", *row) for row in code)
    filter_ = ctypes.create_string_buffer(rows, len(rows))
    program = ctypes.create_string_buffer(
        struct.pack("<HxxxxxxQ", len(code), ctypes.addressof(filter_))
    )
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or libc.prctl(
        PR_SET_SECCOMP, SECCOMP_MODE_FILTER, program, 0, 0
    ):
        raise OSError(ctypes.get_errno(), "prctl")


def stat_fields(pid):
    """/proc/PID/stat from the state on: state, parent …, the exit code as the last."""
    with open(f"/proc/{pid}/stat", encoding="latin-1") as file:
        return file.read().rpartition(")")[2].split()


def children_of(pid):
    found = set()
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                if stat_fields(name)[1] == str(pid):
                    found.add(int(name))
            except OSError:
                continue
    return found


def await_recvmsg(pid):
    """Until its main thread waits in recvmsg(2), or it has ended."""
    number = {"x86_64": "47", "aarch64": "212"}[os.uname().machine]
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with open(f"/proc/{pid}/syscall", encoding="ascii") as file:
            if file.read().split()[0] == number:
                return
        if stat_fields(pid)[0] in "ZX":
            return
        time.sleep(0.001)
    raise TimeoutError(f"{pid} does not wait for its order")


def exit_code_of(pid):
    """A child stays a zombie of its parked parent, whose entry tells the code."""
    deadline = time.monotonic() + 20
    while (fields := stat_fields(pid))[0] not in "ZX":
        if time.monotonic() > deadline:
            raise TimeoutError(f"the child {pid} does not end")
        time.sleep(0.002)
    return os.waitstatus_to_exitcode(int(fields[-1]))


class Template(Guest):
    """A parked guest. `reason` is what it parked with; empty: ready."""

    def __init__(self, argv, env, cwd, kind):
        self.fork_socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.fork_socket.settimeout(20)
        self.children = set()
        super().__init__(
            argv,
            dict(env, MAYFLY_TEMPLATE=kind),
            cwd,
            more={5: _move_up(theirs.detach())},
            before_exec=deny_io_uring,
        )

    def parked(self):
        """(kind of the first frame, reason of PARKED)."""
        kind, label, body = self.frame()
        return kind, label if kind == PARKED else body.decode()

    def order(self, block, fds, ahead=False):
        """Has it fork, and returns its answer and the child. The child finds its order at once, or
        (`ahead`) when it has waited for it."""
        orders, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with orders, theirs:
            def send():
                rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))
                orders.sendmsg([struct.pack("<II", 1, len(block)) + block], [rights])

            if not ahead:
                send()
            rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [theirs.fileno()]))
            self.fork_socket.sendmsg([struct.pack("<II", 3, 0)], [rights])
            answer = self.fork_socket.recv(16)
            if len(answer) != 1:
                raise EOFError("the template ended")
            if answer[0]:
                return answer[0], None
            (child,) = children_of(self.process.pid) - self.children
            self.children.add(child)
            if ahead:
                await_recvmsg(child)
                send()
        return 0, child

    def fork(self, env, ahead=False):
        """A new child as a ForkedGuest."""
        ours, theirs = socket.socketpair()
        log_read, log_write = os.pipe()
        out = tempfile.TemporaryFile()
        block = b"".join(f"{k}={v}".encode() + b"\0" for k, v in env.items())
        error, child = self.order(block, [out.fileno(), theirs.fileno(), log_write], ahead)
        theirs.close()
        os.close(log_write)
        if error:
            raise OSError(error, os.strerror(error))
        return ForkedGuest(child, ours, log_read, out)

    def end(self, exits=False):
        self.fork_socket.close()
        return super().end(exits)


class ForkedGuest(Guest):
    """A fork of a template, driven as a guest that was started."""

    def __init__(self, pid, channel, log_read, out):
        self.pid = pid
        self.socket = channel
        self.socket.settimeout(20)
        self._sequence = 0
        self._credit = 2 * WINDOW
        self._out = out
        self._records = bytearray()
        self.read_logs = threading.Event()
        self.read_logs.set()
        self._reader = threading.Thread(target=self._drain, args=(log_read,), daemon=True)
        self._reader.start()

    def collect(self):
        code = self._exit_code()
        self._reader.join(20)
        self._out.seek(0)
        output = self._out.read().decode("utf-8", "replace")
        return code, output, parse_records(bytes(self._records))

    def _exit_code(self):
        return exit_code_of(self.pid)


__all__ = ["HEAD", "PARKED", "ForkedGuest", "Process", "Template", "exit_code_of"]
