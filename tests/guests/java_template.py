"""Plays the part of a jail's init towards a booted JVM (mayfly.runtime.Template in runtimes/java):
its one message makes the process an environment, which is then a guest like any other."""

import os
import socket
import struct
import sys

from lean_driver import HEAD, Guest, _move_up

PARKED, SPECIALISE = 6, 2
# Descriptor 5 is placed by a program in between, which becomes the JVM.
PLACE = "import os, sys; os.dup2(int(sys.argv[1]), 5); os.execv(sys.argv[2], sys.argv[2:])"


class Specialised(Guest):
    """`env` is what the JVM gets when it is specialised, not what it starts with."""

    def __init__(self, argv, env, cwd, framed=True):
        self.socket_5, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket_5.settimeout(30)
        high = _move_up(theirs.detach())
        command = [sys.executable, "-S", "-c", PLACE, str(high)] + argv
        super().__init__(command, {"MAYFLY_TEMPLATE": "generic"}, cwd, framed)
        os.close(high)
        self.variables = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "TZ": ":UTC", **env}
        if framed:
            self.variables["_LAMBDA_TELEMETRY_LOG_FD"] = "4"
        length, kind, _ = HEAD.unpack(self._exact(HEAD.size))
        body = self._exact(length)
        assert (kind, body) == (PARKED, b"\0\0"), (kind, body)

    def specialise(self):
        """Returns the answer: a zero byte when the process has become an environment."""
        lines = [f"{key}={value}\0".encode() for key, value in self.variables.items()]
        block = b"".join(lines)
        return self.ask(struct.pack("<II", SPECIALISE, len(block)) + block)

    def ask(self, message):
        self.socket_5.sendall(message)
        return self.socket_5.recv(16)

    def end(self, exits=False):
        self.socket_5.close()
        return super().end(exits)
