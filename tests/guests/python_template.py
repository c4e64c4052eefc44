"""Plays the part of a jail's init towards a Python template (runtimes/python/mayfly_template.py),
without a sandbox: starts it with a socket for forks as descriptor 5, and asks it for children."""

import os
import pathlib
import socket
import struct
import subprocess
import threading
import time

from lean_driver import HEAD, INIT_ERROR, Guest, _move_up, parse_records

PARKED = 6


class Reader:
    """Collects a pipe until its end."""

    def __init__(self):
        self._fd, self.write_end = os.pipe()
        self.data = bytearray()
        self._thread = threading.Thread(target=self._drain, daemon=True)
        self._thread.start()

    def _drain(self):
        while True:
            data = os.read(self._fd, 65536)
            if not data:
                break
            self.data += data
        os.close(self._fd)

    def close_write_end(self):
        os.close(self.write_end)

    def finish(self):
        self._thread.join(20)
        return bytes(self.data)


class Template:
    """A template process. After park() it forks as often as fork() is called."""

    def __init__(self, argv, env, cwd, kind):
        self._output, self._logs = Reader(), Reader()
        self._ended = None
        self.channel, theirs = socket.socketpair()
        self.forks, their_forks = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        for mine in (self.channel, self.forks):
            mine.settimeout(30)
        environment = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "TZ": ":UTC"}
        environment.update(env, MAYFLY_TEMPLATE=kind)
        if kind == "function":
            environment["_LAMBDA_TELEMETRY_LOG_FD"] = "4"
        inherited = {
            3: _move_up(theirs.detach()),
            4: _move_up(os.dup(self._logs.write_end)),
            5: _move_up(their_forks.detach()),
        }

        def place():
            for target, source in inherited.items():
                os.dup2(source, target)
                os.close(source)

        self.process = subprocess.Popen(
            argv,
            env=environment,
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=self._output.write_end,
            stderr=subprocess.STDOUT,
            preexec_fn=place,
            close_fds=False,
        )
        for fd in inherited.values():
            os.close(fd)
        for reader in (self._output, self._logs):
            reader.close_write_end()

    def _exact(self, size):
        data = b""
        while len(data) < size:
            got = self.channel.recv(size - len(data))
            if not got:
                raise EOFError("the template ended: %r" % bytes(self._output.data))
            data += got
        return data

    def parked(self):
        """Why it may not be forked; empty when it may. An init error is returned as bytes."""
        length, kind, _ = HEAD.unpack(self._exact(HEAD.size))
        body = self._exact(length)
        if kind == INIT_ERROR:
            return body
        assert kind == PARKED, (kind, body)
        size = struct.unpack_from("<H", body)[0]
        assert len(body) == 2 + size, body
        return body[2:].decode()

    def fork(self, variables):
        return Forked(self, variables)

    def order(self, message, rights):
        """Has it fork, with this order for the child, and returns its answer."""
        orders, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with orders, theirs:
            orders.sendmsg([message], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])
            here = (socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack("i", theirs.fileno()))
            self.forks.sendmsg([struct.pack("<II", 3, 0)], [here])
            return self.forks.recv(16)

    def pids_of_children(self):
        pid = self.process.pid
        try:
            listed = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text()
            return [int(child) for child in listed.split()]
        except OSError:
            return self._found_children()  # a kernel that does not list them

    def _found_children(self):
        out = []
        for path in pathlib.Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = path.read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[1]) == self.process.pid:
                out.append(int(path.parent.name))
        return out

    def end(self):
        """Returns (exit code, output, log records) of the template itself."""
        if not self._ended:
            self.forks.close()
            self.channel.close()
            code = self.process.wait(20)
            output, logs = self._output.finish(), self._logs.finish()
            self._ended = code, output.decode("utf-8", "replace"), parse_records(logs)
        return self._ended


class Forked(Guest):
    """A child of a template; spoken to as an ordinary guest."""

    def __init__(self, template, variables):
        self._template = template
        self._output, self._logs = Reader(), Reader()
        self._writes = self._output.write_end, self._logs.write_end
        self._prepare(variables)
        before = set(template.pids_of_children())
        self.start()
        (self.pid,) = set(template.pids_of_children()) - before

    def _prepare(self, variables):
        self.socket, self._theirs = socket.socketpair()
        self.socket.settimeout(20)
        self._sequence = 0
        lines = [b"%s=%s\0" % (os.fsencode(k), os.fsencode(v)) for k, v in variables.items()]
        block = b"".join(lines)
        self._message = struct.pack("<II", 1, len(block)) + block

    def start(self):
        output, logs = self._writes
        rights = struct.pack("3i", output, self._theirs.fileno(), logs)
        answer = self._template.order(self._message, rights)
        if answer != b"\0":
            raise OSError(answer[0] if answer else 0, "the template could not fork")
        self._theirs.close()
        for descriptor in self._writes:
            os.close(descriptor)

    def _exit_code(self):
        """Read from the zombie that the child is until its template ends."""
        end = time.monotonic() + 20
        while time.monotonic() < end:
            fields = pathlib.Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
            if fields[0] == "Z":
                return os.waitstatus_to_exitcode(int(fields[49]))
            time.sleep(0.002)
        raise TimeoutError("the child did not end")

    def collect(self):
        code = self._exit_code()
        output, logs = self._output.finish(), self._logs.finish()
        return code, output.decode("utf-8", "replace"), parse_records(logs)


class Unwatched(Forked):
    """For measuring: what takes time on this side is done before start()."""

    def __init__(self, template, variables):
        self._template = template
        self._writes = os.open("/dev/null", os.O_WRONLY), os.open("/dev/null", os.O_WRONLY)
        self._prepare(variables)

    def end(self, exits=False):
        self.socket.close()
