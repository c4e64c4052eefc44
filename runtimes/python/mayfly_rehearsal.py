"""What a template does over and over before it parks, so that its children write to fewer pages.

Code that has run often enough no longer writes to itself, no longer looks names up in the
interpreter's tables, and so counts fewer references (Python 3.11 and newer). What is rehearsed is
what a child does by itself between the fork and its first event, and the runtime's own path of an
event with a handler of the runtime's: never the function's code, and nothing at all where the
function's init has replaced what would be called.
"""

import json
import logging
import os
import sys
import threading
import time

import _socket

from mayfly_channel import Channel, event_frame

ROUNDS = 24  # by measurement: more of them change nothing

_CALLED = [
    (os, "close dup2 environ fsdecode fsencode putenv read set_blocking urandom unsetenv write"),
    (time, "monotonic_ns time_ns"),
    (json, "loads JSONDecoder JSONEncoder"),
    (logging, "getLogger Handler _lock _after_at_fork_child_reinit_locks"),
    (threading, "_after_fork RLock Thread main_thread"),
    (type(os.environ), "get pop __contains__ __delitem__ __getitem__ __setitem__"),
]


def _called():
    return [getattr(owner, name, None) for owner, names in _CALLED for name in names.split()]


_plain = _called()


def is_possible():
    """Is all that is called what it was before the function's code ran, and does nobody watch?"""
    now = _called()
    return (
        all(one is other for one, other in zip(now, _plain))
        and sys.gettrace() is None
        and sys.getprofile() is None
    )


def after_fork():
    """What the standard library's own hooks do in a child. For a process of one thread, which
    holds no lock, they change nothing."""
    if sys.version_info < (3, 9):
        return  # there they make locks anew, and release one that the fork took
    main = threading.main_thread()
    if threading.current_thread() is main and list(threading._dangling) == [main]:
        _call(threading._after_fork)
    _call(getattr(logging, "_after_at_fork_child_reinit_locks", None))


def _call(hook):
    try:
        for _ in range(ROUNDS if hook else 0):
            hook()
    except Exception:  # pylint: disable=broad-except
        pass  # of a handler of the function's, say: said in each child, as ever


class _Enough(BaseException):
    """Ends the serving of events."""


def events(serve):
    """Has `serve(channel, handler)` serve events which this process sends to itself."""
    ours, theirs = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_STREAM)
    channel = Channel(theirs.fileno())
    frame = event_frame(b"an-id", b"an-arn", b"Root=1-0-0;Sampled=0", b'{"key": "value"}')
    left = ROUNDS

    def handler(event, _context):
        nonlocal left
        if left < ROUNDS:
            ours.recv(len(frame) * 2)  # the answer before
        left -= 1
        if left == 0:
            raise _Enough
        ours.send(frame)
        return event

    try:
        for _ in range(ROUNDS):
            channel.ready()
            ours.recv(len(frame))
        ours.send(frame)
        serve(channel, handler)
    except _Enough:
        pass
    finally:
        ours.close()
        theirs.close()
