"""The lean protocol (byte table: src/guest/lambda/lean.h) at the guest's end: events come, answers
go, on a socket or on a pair of pipes. Between two events the process waits inside a blocking read.
"""

import os
import struct
import time

READY, INIT_ERROR, INVOKE, RESPONSE, ERROR = 1, 2, 3, 4, 5
PIPES, RETURNED, ELSEWHERE = 11, 12, 13  # PARKED is the template's
_AHEAD, _KNOWS_OUTPUT, _OUTPUT_UNREAD = 1, 0x40, 0x80
_HEAD = struct.Struct("<III")
_INVOKE = struct.Struct("<qHHHHII")
_LABEL = struct.Struct("<H")
_TEXTS = _HEAD.size + _INVOKE.size
_CHUNK = 64 * 1024
_RECORD = 4096  # of a pipe of events: io::RecordPipe::record_max_bytes
_MICROS_MAX = 0xFFFFFF
_LONG_MICROS = 100
_WATCHED_CALLS = 64
_now = time.monotonic_ns


def event_frame(request_id, arn, trace, payload):
    """As the host sends it: what a template rehearses with."""
    texts = request_id + arn + trace
    head = _INVOKE.pack(0, len(request_id), len(arn), len(trace), 0, 0, 0)
    return _HEAD.pack(_INVOKE.size + len(texts) + len(payload), INVOKE, 1) + head + texts + payload


class Channel:
    """One blocking read and one write for each small event, on a socket or, once the host has
    asked, on a pair of pipes."""

    def __init__(self, descriptor):
        self._socket = self._from = self._to = descriptor
        os.set_blocking(descriptor, True)
        os.set_inheritable(descriptor, False)  # not for what the function starts
        self._rest = b""  # received and not yet used
        self._chunk = _CHUNK  # read at one time
        self._sequence = 0
        self._received = 0
        self._unread = None  # with pipes: whether output or log lines lie unread
        self._held = False  # they did when the last call ended: no event ahead is taken
        self._account = None  # with pipes: this thread's microseconds, and how often it has waited
        self._then = None  # … when the call under way began
        self._watched = 0  # so many of the next calls are looked at closely: see _look()

    def _read(self, size):
        try:
            got = os.read(self._from, size)
        except ConnectionResetError:
            got = b""
        if not got:
            os._exit(0)  # the host has gone
        return got

    def _write(self, frame):
        done = os.write(self._to, frame)
        while done < len(frame):
            done += os.write(self._to, memoryview(frame)[done:])

    def _open_pipes(self):
        reason = b""
        try:
            import _socket
            import fcntl
            import termios
        except ImportError as error:
            reason = str(error).encode()
        self._write(_HEAD.pack(2 + len(reason), PIPES, 0) + _LABEL.pack(len(reason)) + reason)
        if reason:
            return
        own = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM, 0, os.dup(self._socket))
        own.setblocking(True)
        space, flags = _socket.CMSG_SPACE(2 * 4), _socket.MSG_CMSG_CLOEXEC
        _, ancillary, _, _ = own.recvmsg(1, space, flags)
        own.close()
        if not ancillary:
            os._exit(0)  # the host has gone
        self._from, self._to = struct.unpack("2i", ancillary[0][2])
        self._chunk = _RECORD
        # Woken by the first of several events, this thread is not to run before the host has
        # written the others. What it starts is as ever.
        try:
            os.sched_setscheduler(0, os.SCHED_BATCH | os.SCHED_RESET_ON_FORK, os.sched_param(0))
        except OSError:
            pass
        ioctl, request, zero = fcntl.ioctl, termios.FIONREAD, b"\0\0\0\0"

        def unread():
            # Where the function put something else in place, nobody can tell.
            try:
                return ioctl(1, request, zero) != zero or ioctl(4, request, zero) != zero
            except OSError:
                return True

        self._unread = unread
        try:
            from resource import RUSAGE_THREAD, getrusage
        except ImportError:
            return

        def account():
            used = getrusage(RUSAGE_THREAD)
            return int((used.ru_utime + used.ru_stime) * 1e6), used.ru_nvcsw

        self._account = account

    def _look(self, micros):
        """How long a call kept this process busy that was long by the clock: it may have waited for
        a processor that others had. After the first of them they are looked at."""
        then, self._then = self._then, None
        if self._watched:
            self._watched -= 1
        if micros <= _LONG_MICROS or not self._account:
            return micros
        self._watched = _WATCHED_CALLS
        if then:
            used, waits = self._account()
            if waits == then[1]:
                return min(used - then[0], _MICROS_MAX)
        return micros

    def _frame(self):
        frame = self._rest or self._read(self._chunk)
        while len(frame) < _HEAD.size:
            frame += self._read(self._chunk)
        length, kind, self._sequence = _HEAD.unpack_from(frame)
        end = _HEAD.size + length
        if len(frame) < end:
            parts = [frame]
            missing = end - len(frame)
            while missing:
                parts.append(self._read(missing))
                missing -= len(parts[-1])
            frame = b"".join(parts)
        self._rest = frame[end:] if len(frame) > end else b""
        return kind, frame, end

    def _event(self):
        while True:
            kind, frame, end = self._frame()
            if kind == PIPES:
                self._open_pipes()
                continue
            if kind == ELSEWHERE:
                pipe, self._from = self._from, self._socket
                self._chunk = _CHUNK
                kind, frame, end = self._frame()
                self._from, self._chunk = pipe, _RECORD
            if kind != INVOKE:
                raise RuntimeError("unexpected frame of type %d from the host" % kind)
            if not self._held or not frame[_HEAD.size + 14] & _AHEAD:
                return frame, end
            self._write(_HEAD.pack(0, RETURNED, self._sequence))

    def receive(self):
        frame, end = self._event()
        self._held = False
        if self._watched:
            self._then = self._account()
        self._received = _now()
        # Above the flag stands the length of the tenant's id.
        deadline, n_id, n_arn, n_trace, flags, n_client, n_identity = _INVOKE.unpack_from(
            frame, _HEAD.size
        )
        if flags & _AHEAD:
            deadline += time.time_ns() // 1000000
        arn_at = _TEXTS + n_id
        trace_at = arn_at + n_arn
        client_at = trace_at + n_trace
        identity_at = client_at + n_client
        tenant_at = identity_at + n_identity
        at = tenant_at + (flags >> 1)
        # In one piece: characters are bytes, but perhaps in the header, which is the last of them.
        labels = frame[_TEXTS:client_at].decode()
        parts = (
            labels[:n_id],
            labels[n_id : n_id + n_arn],
            labels[n_id + n_arn :],
            frame[client_at:identity_at].decode() if n_client else "",
            frame[identity_at:tenant_at].decode() if n_identity else "",
            frame[tenant_at:at].decode() if flags > _AHEAD else None,
        )
        return deadline, parts, frame[at:end]

    def ready(self, restored=None):
        """`restored`: seconds that hooks after a restore took, of one that was not restored."""
        micros = 0 if restored is None else min(max(int(restored * 1e6), 1), _MICROS_MAX)
        self._write(_HEAD.pack(0, READY | micros << 8, 1))  # 1: it can open pipes

    def send(self, kind, label="", body=b""):
        if kind == READY:
            return self.ready()
        name = label.encode("utf-8", "replace") if label else b""
        length = _LABEL.size + len(name) + len(body)
        if kind not in (RESPONSE, ERROR):
            frame = _HEAD.pack(length, kind, 0)
        else:
            micros = min(-((self._received - _now()) // 1000), _MICROS_MAX)
            if micros > _LONG_MICROS or self._watched:
                micros = self._look(micros)
            if self._unread:
                self._held = self._unread()
                kind |= _KNOWS_OUTPUT | _OUTPUT_UNREAD if self._held else _KNOWS_OUTPUT
            frame = _HEAD.pack(length, kind | micros << 8, self._sequence)
        return self._write(b"".join((frame, _LABEL.pack(len(name)), name, body)))
