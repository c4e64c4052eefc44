"""A template: a process that parks after its init and of which environments are forked.

Descriptor 5 is a SOCK_SEQPACKET socket. One message asks for a fork:

offset size  (little-endian)
0      4     3
4      4     0
with one descriptor, or none. In a jail the fork never returns here: environments are made of the
process as it stands there. Elsewhere the answer is one byte: 0, or the errno of the fork.

Each child reads its order from its own descriptor 5, or from the one that came:

0      4     1
4      4     length of the environment block
8      …     environment block: KEY=value, each ended by a zero byte
with three descriptors: output, channel, framed log.

park() returns in the child alone, on the stack of its caller, so that a handler runs at the same
depth as after a start. What is done before the fork to spare the children pages of their own:
docs/performance/cold-path.md.

What stays different from a start: the hash seed is that of the template (what was hashed with it
cannot be hashed anew, so the order of a set of strings is the same in all children), and what the
init left behind is frozen: gc.get_objects() does not list it, and cycles among it are not freed.
"""

import gc
import os
import struct
import sys
import time

# The C parts: `import socket` could find a module of the function.
import _signal
import _socket

import mayfly_places as places
import mayfly_quiet as quiet
import mayfly_rehearsal as rehearsal
import mayfly_renew as renew

PARKED = 6
_FORK = 1
_STAND = 3
_ASK = struct.Struct("<II")
_SOCKET = 5
_OUTPUT, _CHANNEL, _LOG = 0, 1, 2
_MESSAGE_MAX = 256 * 1024
# Variables which the interpreter or the loader read as they start. With another value of these the
# child of a generic template starts anew instead.
_AT_START = ("PYTHON", "LD_", "GLIBC_TUNABLES", "MALLOC_", "LANG", "LC_", "OPENSSL_")
_HARMLESS = ("PYTHONPATH", "PYTHONDONTWRITEBYTECODE", "LANGUAGE")
# Not for the function. Its own template has opened the log, so that the second is known.
_OURS = {"generic": (b"MAYFLY_TEMPLATE",)}
_OURS["function"] = _OURS["generic"] + (b"_LAMBDA_TELEMETRY_LOG_FD",)
_ENVIRON = type(os.environ)


def _block_of(environ):
    """Each line between zero bytes."""
    values = getattr(environ, "_data", {})
    return b"".join(b"\0%s=%s" % item for item in values.items()) + b"\0"


def _coerced():
    """What the interpreter put into its own environment where the locale is not there (PEP 538)."""
    with open("/proc/self/environ", "rb") as file:
        given = file.read()
    name = "LC_CTYPE"
    if name not in os.environ or (name + "=").encode() in given:
        return {}
    return {name: os.environ[name]}


def _read_at_start(environ):
    return {
        key: value
        for key, value in environ.items()
        if key.startswith(_AT_START) and key not in _HARMLESS
    }


def _decoded(block):
    lines = (line.partition(b"=") for line in block.split(b"\0"))
    return {os.fsdecode(key): os.fsdecode(value) for key, equals, value in lines if equals}


class _Signals:
    """A parked template dies of what would have called a handler of the function."""

    def __init__(self):
        self._handlers = []
        for number in range(1, _signal.NSIG):
            try:
                handler = _signal.getsignal(number)
            except ValueError:
                continue
            if callable(handler):  # not SIG_DFL, SIG_IGN, None
                self._handlers.append((number, handler))
        for number, _ in self._handlers:
            _signal.signal(number, _signal.SIG_DFL)

    def restore(self):
        for number, handler in self._handlers:
            _signal.signal(number, handler)


class Template:
    """Owns descriptor 5. Made before the function's code runs, parks after it."""

    def __init__(self, kind, channel):
        self.kind = kind
        self._channel = channel
        os.set_inheritable(_SOCKET, False)
        self._own = _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET, 0, _SOCKET)
        self._own.setblocking(True)
        self._keeps = set(quiet.descriptors())
        self._renewal = renew.Renewal(kind)

    def park(self, rehearse, enter=None):
        """Returns in every child, where a generic template calls `enter` once the environment is
        there. The template itself serves forks until its socket ends. `rehearse` does what a child
        does after this has returned."""
        sys.stdout.flush()
        sys.stderr.flush()
        gc.collect()
        reason = quiet.why_not(self._keeps | self._renewal.spared())
        if reason:
            self._channel.send(PARKED, reason)
            os._exit(0)
        self._renewal.prepare(self._keeps)
        self._variables = list(os.environ)
        self._coerced = _coerced()
        self._read_at_start = _read_at_start(os.environ)
        signals = _Signals()
        folder = os.getcwd()
        self._block = _block_of(os.environ)
        if rehearsal.is_possible():
            rehearse()
            self._rehearse()
        buffer = bytearray(_MESSAGE_MAX)
        # What a child replaces it does not free as well.
        self._filling = list(getattr(os.environ, "_data", {}).values())
        gc.collect()
        gc.freeze()  # a collection in a child would write to every object of the template
        places.fill(self._filling)
        self._channel.send(PARKED)
        size, descriptors = self._serve_forks(buffer)
        os.dup2(descriptors[_OUTPUT], 1)
        os.dup2(descriptors[_OUTPUT], 2)
        os.dup2(descriptors[_CHANNEL], 3, False)
        os.dup2(descriptors[_LOG], 4, False)
        for descriptor in descriptors:
            os.close(descriptor)
        self._own.close()
        signals.restore()
        self._apply(bytes(buffer[:size]), folder, enter)

    def _rehearse(self):
        rehearsal.after_fork()
        name = b"_MAYFLY_REHEARSAL"
        for _ in range(rehearsal.ROUNDS):
            self._take_variables(self._block[1:] + name + b"=\0")
        del os.environ[os.fsdecode(name)]
        self._renewal.rehearse(rehearsal.ROUNDS)

    def _serve_forks(self, buffer):
        receive, fork, send = self._own.recvmsg_into, os.fork, self._own.send
        space = _socket.CMSG_SPACE(3 * 4)
        while True:
            size, ancillary, _, _ = receive([buffer], space, _socket.MSG_CMSG_CLOEXEC)
            if size == 0:
                os._exit(0)  # the host has gone
            if _ASK.unpack_from(buffer)[0] != _STAND:
                raise RuntimeError("an unexpected message on the fork socket")
            orders = self._descriptors(ancillary)
            answer = 0
            try:
                if fork() == 0:
                    if orders:
                        os.dup2(orders[0], _SOCKET, False)
                        os.close(orders[0])
                    size, ancillary, _, _ = receive([buffer], space, _socket.MSG_CMSG_CLOEXEC)
                    if size == 0:
                        os._exit(0)
                    return size, self._descriptors(ancillary)
            except OSError as error:
                answer = error.errno
            for descriptor in orders:
                os.close(descriptor)
            send(bytes((answer,)))

    @staticmethod
    def _descriptors(ancillary):
        out = []
        for level, kind, data in ancillary:
            if level == _socket.SOL_SOCKET and kind == _socket.SCM_RIGHTS:
                out.extend(struct.unpack("%di" % (len(data) // 4), data[: len(data) // 4 * 4]))
        return out

    def _apply(self, message, folder, enter):
        kind, length = _ASK.unpack_from(message)
        if kind != _FORK or len(message) != _ASK.size + length:
            raise RuntimeError("unexpected message of kind %d on the fork socket" % kind)
        block = message[_ASK.size :]
        zone = os.environ.get("TZ")
        anew = False
        if self.kind == "generic":
            given = {**self._coerced, **_decoded(block)}
            anew = self._read_at_start != _read_at_start(given)
            for key in self._variables:
                if key not in given:
                    del os.environ[key]
            folder = given.get("LAMBDA_TASK_ROOT") or folder
        self._take_variables(block)
        os.chdir(folder)
        if enter:
            enter()
            if anew or self._renewal.conflicts():
                self._start_anew()
        if os.environ.get("TZ") != zone:
            time.tzset()
        self._renewal.renew()

    def _take_variables(self, block):
        """An environment block. To look at an object is to write to it (it counts references), so
        lines that are as they were are found in one text, and the others go past the methods of
        os.environ, which make texts of them and bytes again."""
        environ, ours = os.environ, _OURS[self.kind]
        values = environ._data if type(environ) is _ENVIRON else None
        known, lines, at = self._block, memoryview(b"\0" + block), 0
        end = block.find(b"\0") + 1
        while end:
            if known.find(lines[at : end + 1]) < 0:
                key, equals, value = block[at : end - 1].partition(b"=")
                if not equals or key in ours:
                    pass
                elif values is None:
                    environ[os.fsdecode(key)] = os.fsdecode(value)
                else:
                    os.putenv(key, value)
                    values[key] = value
            at, end = end, block.find(b"\0", end) + 1

    @staticmethod
    def _start_anew():
        """The same process as an ordinary start: what the template loaded does not fit."""
        for descriptor in (3, 4):
            os.set_inheritable(descriptor, True)
        given = getattr(sys, "orig_argv", None) or [sys.executable, "-S", "-s"] + sys.argv
        os.execv(sys.executable, [sys.executable] + given[1:])
