"""Speaks the lean protocol (src/guest/lambda/lean.h) to a bootstrap from the outside, without a
sandbox: starts it with a socket pair as descriptor 3 and a pipe for log frames as descriptor 4."""

import json
import mmap
import os
import queue
import select
import socket
import struct
import subprocess
import tempfile
import threading
import time

READY, INIT_ERROR, INVOKE, RESPONSE, ERROR = 1, 2, 3, 4, 5
STREAM, PART, STREAM_END, CREDIT = 7, 8, 9, 10
PIPES, RETURNED, ELSEWHERE, NOTICE = 11, 12, 13, 14
WINDOW = 64 * 1024
RECORD_MAX = 4096
ANSWERS_ROOM = 16 * 1024
SLOTS = 16
HEAD = struct.Struct("<IB3xI")


class Process:
    """The guest process: descriptors it inherits, what it prints, its log records."""

    def __init__(self, argv, env, cwd, framed, channel=None, more=None, before_exec=None):
        log_read, log_write = os.pipe()
        environment = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "TZ": ":UTC"}
        environment.update(env)
        if framed:
            environment["_LAMBDA_TELEMETRY_LOG_FD"] = "4"
        self._out = tempfile.TemporaryFile()
        # The child's 3 and 4 are copied from higher numbers, so that neither overwrites the other.
        inherited = {4: _move_up(log_write)}
        if channel is not None:
            inherited[3] = _move_up(channel.detach())
        inherited.update(more or {})

        def place():
            for target, source in inherited.items():
                os.dup2(source, target)
                os.close(source)
            if before_exec:
                before_exec()

        self.process = subprocess.Popen(
            argv,
            env=environment,
            cwd=cwd,
            stdout=self._out,
            stderr=subprocess.STDOUT,
            preexec_fn=place,
            close_fds=False,
        )
        for fd in inherited.values():
            os.close(fd)
        self._records = bytearray()
        self.read_logs = threading.Event()
        self.read_logs.set()
        self._reader = threading.Thread(target=self._drain, args=(log_read,), daemon=True)
        self._reader.start()

    def _drain(self, fd):
        while True:
            select.select([fd], [], [])
            self.read_logs.wait()
            data = os.read(fd, 65536)
            if not data:
                break
            self._records += data
        os.close(fd)

    def collect(self):
        """Waits for the end; returns (exit code, output, log records)."""
        self.read_logs.set()
        code = self.process.wait(20)
        self._reader.join(20)
        self._out.seek(0)
        return (
            code,
            self._out.read().decode("utf-8", "replace"),
            parse_records(bytes(self._records)),
        )


class Guest(Process):
    """A bootstrap of ours on a socket pair."""

    def __init__(self, argv, env, cwd, framed=True, **more):
        self.socket, theirs = socket.socketpair()
        self.socket.settimeout(20)
        self._sequence = 0
        self._credit = 2 * WINDOW  # of all streamed answers together
        super().__init__(argv, env, cwd, framed, theirs, **more)

    def _exact(self, size):
        data = b""
        while len(data) < size:
            got = self.socket.recv(size - len(data))
            if not got:
                raise EOFError("the guest closed its channel")
            data += got
        return data

    def raw_frame(self):
        length, kind, sequence = HEAD.unpack(self._exact(HEAD.size))
        body = self._exact(length)
        if kind == READY:
            self.maps = sequence == 2
            return kind, "", b""
        assert sequence == self._sequence, (sequence, self._sequence)
        if kind in (PART, STREAM_END):
            return kind, "", body
        label = struct.unpack_from("<H", body)[0]
        return kind, body[2 : 2 + label].decode(), body[2 + label :]

    def frame(self):
        kind, label, body = self.raw_frame()
        return self.collect_stream(label) if kind == STREAM else (kind, label, body)

    def grant(self, size):
        self.socket.sendall(HEAD.pack(4, CREDIT, 0) + struct.pack("<I", size))

    def collect_stream(self, content_type):
        """A streamed answer as if it had come in one piece."""
        whole = bytearray()
        while True:
            kind, label, body = self.raw_frame()
            if kind == PART:
                whole += body
                self._credit -= len(body)
                assert self._credit >= 0, "the guest sent more than it was granted"
                while self._credit <= WINDOW:
                    self.grant(WINDOW)
                    self._credit += WINDOW
            elif kind == RESPONSE:
                return RESPONSE, content_type, bytes(whole)
            elif kind == ERROR:
                return ERROR, label, body
            else:
                assert kind == STREAM_END, kind

    def send(
        self,
        payload,
        request_id="req-1",
        arn="arn:aws:lambda:us-east-1:000000000000:function:f",
        trace="",
        client="",
        identity="",
        tenant="",
        deadline_ms=4102444800000,
        ahead=False,
    ):
        parts = [p.encode() for p in (request_id, arn, trace, client, identity, tenant)]
        sizes = [len(p) for p in parts[:5]]
        sizes.insert(3, 2 * len(parts[5]) + int(ahead))
        body = struct.pack("<qHHHHII", deadline_ms, *sizes) + b"".join(parts) + payload
        self._sequence += 1
        self.put(HEAD.pack(len(body), INVOKE, self._sequence) + body)

    def put(self, frame):
        self.socket.sendall(frame)

    def invoke(self, payload, **rest):
        self.send(payload, **rest)
        return self.frame()

    def end(self, exits=False):  # the bootstrap ends with its channel in any case
        """Closes our end; returns (exit code, stdout, log records)."""
        self.socket.close()
        return self.collect()


class Ring:
    """Events in memory (src/io/record_ring.h), without the atomic steps of the real one: what is
    taken back is taken from a guest that is at work."""

    def __init__(self):
        self.memory = os.memfd_create("events")
        os.ftruncate(self.memory, (SLOTS + 1) * RECORD_MAX)
        self._bytes = mmap.mmap(self.memory, (SLOTS + 1) * RECORD_MAX)
        self.theirs, self._bell = os.pipe()

    def _number(self, at, value=None):
        if value is not None:
            struct.pack_into("<I", self._bytes, at, value)
        return struct.unpack_from("<I", self._bytes, at)[0]

    def put(self, frame):
        tail = self._number(64)
        assert tail - self._number(0) < SLOTS, "no room"
        at = (1 + tail % SLOTS) * RECORD_MAX
        self._bytes[at : at + len(frame)] = frame
        self._number(64, tail + 1)
        time.sleep(0)  # a system call: what was written is seen before what follows is read
        if self._number(128):
            self._number(128, 0)
            os.write(self._bell, b"\0")

    def take_back(self):
        head = self._number(0)
        if head == self._number(64):
            return None
        self._number(0, head + 1)
        return HEAD.unpack_from(self._bytes, (1 + head % SLOTS) * RECORD_MAX)[2]

    def close(self):
        os.close(self._bell)


class Answers:
    """Answers in memory (src/io/byte_ring.h)."""

    def __init__(self):
        self.memory = os.memfd_create("answers")
        os.ftruncate(self.memory, RECORD_MAX + ANSWERS_ROOM)
        self._bytes = mmap.mmap(self.memory, RECORD_MAX + ANSWERS_ROOM)
        self._head = 0
        self._number(128, 1)

    def _number(self, at, value=None):
        if value is not None:
            struct.pack_into("<I", self._bytes, at, value)
        return struct.unpack_from("<I", self._bytes, at)[0]

    def _take(self):
        tail = self._number(0)
        assert (tail - self._head) % 2**32 <= ANSWERS_ROOM, (tail, self._head)
        at = [RECORD_MAX + n % ANSWERS_ROOM for n in range(self._head, tail)]
        self._head = tail
        self._number(64, tail)
        return bytes(self._bytes[i] for i in at)

    def take(self):
        """What is there; where nothing is, the guest tells of what comes next."""
        got = self._take()
        if not got:
            self._number(128, 1)
            time.sleep(0)  # a system call: what was written is seen before what follows is read
            got = self._take()
        return got


class Pipe:
    """Events in a pipe of records."""

    def __init__(self):
        self.theirs, self._ours = os.pipe2(os.O_DIRECT | os.O_CLOEXEC)
        self._mine = os.open(f"/proc/self/fd/{self.theirs}", os.O_RDONLY | os.O_NONBLOCK)

    def put(self, frame):
        os.write(self._ours, frame)

    def take_back(self):
        try:
            return HEAD.unpack_from(os.read(self._mine, RECORD_MAX))[2]
        except BlockingIOError:
            return None

    def close(self):
        os.close(self._ours)
        os.close(self._mine)


class PipedGuest(Guest):
    """The same, which is given pipes, or memory and pipes, once it is ready."""

    maps = False  # it can map memory
    refusal = None  # why it opened none
    unread = None  # what the last answer said of its output
    in_memory = 0  # answers that came so
    _pipe = None
    _mapped = None
    _taken = b""

    def raw_frame(self):
        if not self._pipe:
            return super().raw_frame()
        sequence, kind, label, rest = self.numbered()
        assert sequence == self._sequence, (sequence, self._sequence)
        return kind, label, rest

    def frame(self):
        got = super().frame()
        if got[0] == READY:
            self._open()
        return got

    def _open(self):
        self.socket.sendall(HEAD.pack(0, PIPES, 0))
        length, kind, _ = HEAD.unpack(self._exact(HEAD.size))
        assert kind == PIPES, kind
        self.refusal = self._exact(length)[2:].decode()
        if self.refusal:
            return
        import fcntl

        self._pipe = Ring() if self.maps else Pipe()
        self._answers, answers = os.pipe()
        fcntl.fcntl(self._answers, fcntl.F_SETFL, os.O_NONBLOCK)
        theirs = [self._pipe.theirs, answers]
        if isinstance(self._pipe, Ring):
            self._mapped = Answers()
            theirs += [self._pipe.memory, self._mapped.memory]
        socket.send_fds(self.socket, [b"\0"], theirs)
        for fd in theirs:
            os.close(fd)

    def put(self, frame):
        if not self._pipe:
            return super().put(frame)
        if len(frame) <= RECORD_MAX:
            self._pipe.put(frame)
            return None
        self._pipe.put(HEAD.pack(0, ELSEWHERE, 0))
        self.socket.sendall(frame)
        return None

    def take_back(self):
        """The sequence of the oldest event that the guest has not taken, or None."""
        return self._pipe.take_back()

    def _piece(self, size):
        """Of the pipe of answers; its end is told by the socket."""
        data = b""
        while len(data) < size:
            readable, _, _ = select.select([self._answers, self.socket], [], [], 20)
            assert readable, "no answer comes"
            try:
                got = os.read(self._answers, size - len(data))
            except BlockingIOError:
                got = b""
            if not got:
                raise EOFError("the guest closed its channel")
            data += got
        return data

    def _mapped_piece(self, size):
        assert len(self._taken) >= size, "a frame in memory is whole"
        piece, self._taken = self._taken[:size], self._taken[size:]
        return piece

    def numbered(self):
        """(sequence, kind, label, rest) of the next frame, in memory or in the pipe."""
        if self._mapped:
            self._taken += self._mapped.take()
        piece = self._mapped_piece if self._taken else self._piece
        self.in_memory += 1 if self._taken else 0
        head = piece(HEAD.size)
        length, kind, sequence = HEAD.unpack(head)
        if kind == NOTICE:
            assert piece == self._piece and length == 0
            return self.numbered()
        self.busy_micros = int.from_bytes(head[5:8], "little")
        self.unread = {0x40: False, 0xC0: True}.get(kind & 0xC0)
        body = piece(length)
        if kind & 0x3F in (RETURNED, PART, STREAM_END):
            return sequence, kind & 0x3F, "", body
        label = struct.unpack_from("<H", body)[0]
        return sequence, kind & 0x3F, body[2 : 2 + label].decode(), body[2 + label :]

    def end(self, exits=False):
        if self._pipe:
            self._pipe.close()
            os.close(self._answers)
        return super().end(exits)


class HostedGuest(Process):
    """A public runtime client on our Runtime API, which runtime_api_host serves."""

    def __init__(self, host, argv, env, cwd, framed=True, streams=False):
        self._streams = streams
        self._host = subprocess.Popen([host], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        address = self._host.stdout.readline().decode().split()[1]
        self._lines = queue.Queue()
        super().__init__(argv, dict(env, AWS_LAMBDA_RUNTIME_API=address), cwd, framed)
        threading.Thread(target=self._follow, daemon=True).start()
        threading.Thread(target=self._await_exit, daemon=True).start()
        self._started = False

    def _follow(self):
        for line in self._host.stdout:
            self._lines.put(json.loads(line))

    def _await_exit(self):
        self.process.wait()
        time.sleep(0.3)  # an outcome on its way comes first
        self._lines.put(None)

    def frame(self):
        line = self._lines.get(timeout=20)
        if line is None or "failure" in line:
            raise EOFError(str(line))
        if "init" in line:
            return (
                (READY if line["init"] else INIT_ERROR),
                line["error_type"],
                line["payload"].encode(),
            )
        parts, whole = "", None
        while line is not None and ("part" in line or "whole" in line):
            parts += line.get("part", "")
            whole = line.get("whole", whole)
            line = self._lines.get(timeout=20)
        if line is None or "failure" in line:
            raise EOFError(str(line))
        assert whole in (None, not line["is_error"]), "a stream ended as its call did not"
        if line["is_error"]:
            return ERROR, line["error_type"], line["payload"].encode()
        return RESPONSE, line["content_type"], (parts + line["payload"]).encode()

    def send(
        self,
        payload,
        request_id="req-1",
        arn="arn:aws:lambda:us-east-1:000000000000:function:f",
        trace="",
        client="",
        identity="",
        tenant="",
        deadline_ms=4102444800000,
    ):
        event = {
            "payload": payload.decode(),
            "id": request_id,
            "arn": arn,
            "trace": trace,
            "client": client,
            "identity": identity,
            "tenant": tenant,
            "deadline_ms": deadline_ms,
            "stream": self._streams,
        }
        self._host.stdin.write(json.dumps(event).encode() + b"\n")
        self._host.stdin.flush()

    def invoke(self, payload, **rest):
        self.send(payload, **rest)
        return self.frame()

    def end(self, exits=False):
        """Ends the client, unless it is to exit by itself, and the host; returns as Guest.end."""
        try:
            self.process.wait(20 if exits else 0.01)
        except subprocess.TimeoutExpired:
            self.process.terminate()
        result = self.collect()
        self._host.stdin.close()
        self._host.terminate()
        self._host.wait(20)
        self._host.stdout.close()
        return result


def _move_up(fd):
    import fcntl

    high = fcntl.fcntl(fd, fcntl.F_DUPFD, 64)
    os.close(fd)
    os.set_inheritable(high, True)
    return high


def parse_records(data):
    out = []
    while data:
        kind, size, micros = struct.unpack_from(">IIQ", data)
        out.append((kind, data[16 : 16 + size].decode("utf-8", "replace"), micros))
        data = data[16 + size :]
    return out
