"""Several events at one time (AWS_LAMBDA_MAX_CONCURRENCY), as on Lambda Managed Instances: so many
processes, each with an init of its own and one event at a time, so that what the function keeps in
its modules belongs to one call at a time and no connection is shared.

All of them read the same channel: who holds the lock takes the next event from it. The first
process, from which they are forked before anything of the function is loaded, only waits for their
ends: the call of one that ends is told so, and another takes its place.
"""

import fcntl
import mmap
import os
import signal
import struct
import sys
import tempfile
import time

_READING, _WRITING, _LOGGING = range(3)  # bytes of the file that are locked
_STARTING, _READY, _FAILED, _GONE = range(4)  # what became of the init; the host has gone
_CALL = struct.Struct("<I")
_AGAIN_AFTER = 1.0  # seconds, where a process ended before it was ready


class _Lock:
    """Of all processes; who ends gives it back."""

    def __init__(self, file, byte):
        self._file = file
        self._byte = byte

    def __enter__(self):
        fcntl.lockf(self._file, fcntl.LOCK_EX, 1, self._byte)

    def __exit__(self, *_exc):
        fcntl.lockf(self._file, fcntl.LOCK_UN, 1, self._byte)


def _lock_file():
    try:
        return os.memfd_create("mayfly-locks")
    except (AttributeError, OSError):
        with tempfile.TemporaryFile() as file:
            return os.dup(file.fileno())


class Workers:
    """`channel_class`: of the bootstrap; `frame_types`: READY, INIT_ERROR and ERROR."""

    def __init__(self, most, channel_class, frame_types):
        self._most = most
        self._memory = mmap.mmap(-1, 4096 + _CALL.size * most)
        self._pids = {}
        file = _lock_file()
        self._reading, self._writing = _Lock(file, _READING), _Lock(file, _WRITING)
        self.logging = _Lock(file, _LOGGING)
        self._number = 0  # of this process
        self.channel = _make_channel_class(channel_class, self, frame_types)(3)

    # What the processes tell each other.

    @property
    def state(self):
        return self._memory[0]

    @state.setter
    def state(self, value):
        self._memory[0] = value

    def _at(self, number):
        return 4096 + _CALL.size * number

    def note_call(self, sequence):
        _CALL.pack_into(self._memory, self._at(self._number), sequence)

    # The processes themselves.

    def run(self, work):
        """Returns in none of them."""
        signal.signal(signal.SIGTERM, self._on_term)
        for number in range(self._most):
            try:
                self._start(number, work)
            except OSError as error:  # no more processes
                if number == 0:
                    raise
                print("%d processes serve events: %s" % (number, error), file=sys.stderr)
                break
        while True:
            pid, status = os.wait()
            number = self._pids.pop(pid, None)
            if number is None:
                continue  # a process that one of them left behind
            if self.state in (_FAILED, _GONE):
                os._exit(1 if self.state == _FAILED else 0)
            (sequence,) = _CALL.unpack_from(self._memory, self._at(number))
            _CALL.pack_into(self._memory, self._at(number), 0)
            if sequence:
                self.channel.tell_exit(sequence, _message(status))
            elif self.state == _STARTING and not self._pids:
                os._exit(os.WEXITSTATUS(status) if os.WIFEXITED(status) else 1)
            else:
                time.sleep(_AGAIN_AFTER)
            self._start(number, work)

    def _start(self, number, work):
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if pid != 0:
            self._pids[pid] = number
            return
        code = 1
        try:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            self._number = number
            self._pids = {}
            work(self.channel)
        except SystemExit as leaving:
            code = leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
        finally:
            os._exit(code)

    def _on_term(self, *_args):
        for pid in self._pids:
            os.kill(pid, signal.SIGTERM)
        os._exit(128 + signal.SIGTERM)


def _message(status):
    if os.WIFSIGNALED(status):
        name = signal.strsignal(os.WTERMSIG(status)) or "signal %d" % os.WTERMSIG(status)
        return "Runtime exited with error: signal: " + name.lower()
    code = os.WEXITSTATUS(status)
    if code == 0:
        return "Runtime exited without providing a reason"
    return "Runtime exited with error: exit status %d" % code


def _make_channel_class(base, workers, types):
    ready, init_error, error = types

    class Channel(base):
        """Takes whole frames and no byte more: what follows is another process's."""

        def _exactly(self, size):
            parts = []
            while size:
                try:
                    got = os.read(self._from, min(size, 1 << 20))
                except ConnectionResetError:
                    got = b""
                if not got:
                    workers.state = _GONE
                    os._exit(0)
                parts.append(got)
                size -= len(got)
            return parts[0] if len(parts) == 1 else b"".join(parts)

        def _event(self):
            with workers._reading:
                head = self._exactly(12)
                length, _, self._sequence = struct.unpack("<III", head)
                body = self._exactly(length)
                workers.note_call(self._sequence)
            return head + body, len(head) + length

        # Noted as answered before the answer leaves, so that nobody answers a second time.
        def _write(self, frame):
            with workers._writing:
                workers.note_call(0)
                self._put(frame)

        def _put(self, frame):
            done = os.write(self._to, frame)
            while done < len(frame):
                done += os.write(self._to, memoryview(frame)[done:])

        def tell_exit(self, sequence, message):
            name, text = b"Runtime.ExitError", message.encode()
            with workers._writing:
                self._put(
                    struct.pack("<III", 2 + len(name) + len(text), error, sequence)
                    + struct.pack("<H", len(name))
                    + name
                    + text
                )

        def send(self, kind, label="", body=b""):
            """The first that is ready makes the environment ready; an init that fails counts while
            none is."""
            if kind in (ready, init_error):
                with workers._writing:
                    if workers.state != _STARTING:
                        return
                    workers.state = _READY if kind == ready else _FAILED
                    frame = struct.pack("<III", 0, kind, 0)
                    if kind == init_error:
                        name = label.encode("utf-8", "replace")
                        text = struct.pack("<H", len(name)) + name + body
                        frame = struct.pack("<III", len(text), kind, 0) + text
                    self._put(frame)
                return
            base.send(self, kind, label, body)

    return Channel
