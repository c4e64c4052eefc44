"""Cases of python_fork_test.py that need a function of their own: what an init may do, whether the
template may then be forked, and what a child makes new. A case gets `start`, which makes a World of
files, and returns why it was skipped, or nothing."""

import json
import os
import re
import signal
import socket
import time

from lean_driver import INIT_ERROR, READY, RESPONSE
from run import expect

CASES = {}
PLAIN = "def handler(event, context):\n    return 'ok'\n"


def case(function):
    CASES[function.__name__.replace("_", " ")] = function
    return function


def world_of(start, text, **more):
    return start({"app.py": text}, **more)


# ---- init errors: a template reports them as a start does, and so does a generic child


def _init_error(name, text, handler="app.handler"):
    def run(start):
        world = world_of(start, text, handler=handler)
        started = world.see("start", {})
        generic = world.see("generic", {})
        expect(started["answers"][0][0] == INIT_ERROR, f"{started}")
        expect(started["code"] == 1, f"exit code {started['code']}")
        for part, value in started.items():
            expect(generic[part] == value, f"{part} is {generic[part]!r}, started: {value!r}")
        template = world.template("function")
        label = template.reason[2:]
        wanted = started["answers"][0][2].encode()
        expect(label.endswith(wanted), f"the template reported {label!r}, started: {wanted!r}")
        code, _, records = template.end()
        expect(code == 1, f"the template's exit code {code}")
        got = [[kind, text] for kind, text, _ in records]
        expect(got == started["records"], f"records {got}, started: {started['records']}")

    CASES[f"init error: {name}"] = run


_init_error("raises", "raise KeyError('early')")
_init_error("no such module", "import nowhere")
_init_error("syntax", "def handler(:\n")
_init_error("no such handler", "x = 1")
_init_error("bad name", PLAIN, handler="app")
_init_error("deep inside", "def f(n):\n    return f(n - 1) if n else 1 / 0\nf(5)")


@case
def exit_in_the_init(start):
    world = world_of(start, "import sys\nprint('gone')\nsys.exit(3)\n")
    started, generic = world.see("start", {}), world.see("generic", {})
    expect(started == generic, f"{generic}, started: {started}")
    expect([started["code"], started["output"]] == [3, "gone\n"], f"{started}")


# ---- when a template must not be forked


def _refused(name, text, pattern):
    def run(start):
        world = world_of(start, text + "\n" + PLAIN)
        template = world.template("function")
        expect(isinstance(template.reason, str), f"{template.reason!r}")
        expect(re.search(pattern, template.reason), f"{template.reason!r} is not {pattern!r}")
        code, _, _ = template.end()
        expect(code == 0, f"exit code {code}")
        # Such a function still runs as an ordinary start, and in children that load it.
        for mode in ("start", "generic"):
            expect(world.answer(mode, {}) == "ok", mode)

    CASES[f"not forked: {name}"] = run


THREAD = "import threading\nstop = threading.Event()\n"
_refused(
    "a thread",
    THREAD + "threading.Thread(target=stop.wait, name='worker-1', daemon=True).start()",
    "^2 threads run: worker-1$",
)
_refused("a socket", "import socket\nkept = socket.socket()", "^a socket is open")
_refused("a pipe", "import os\nkept = os.pipe()", "^a pipe is open")
_refused(
    "a child process",
    "import subprocess as s\nkept = s.Popen(['sleep', '9'], stdout=s.DEVNULL, stderr=s.DEVNULL)",
    "^a child process runs$",
)
_refused("a child left over", "import os\nif not os.fork(): os._exit(0)\nimport time\n"
         "time.sleep(0.1)", "^child process \\d+ was not waited for$")
_refused("a file to write", "kept = open('/var/tmp/mayfly-guest-w', 'a')",
         "^a file is open for writing: /var/tmp/mayfly-guest-w$")
_refused("a file below /tmp", "import tempfile, os\nfd, name = tempfile.mkstemp(dir='/tmp')\n"
         "os.close(fd)\nkept = open(name)\nimport atexit; atexit.register(os.unlink, name)",
         "^a file below /tmp is open: /tmp/")
_refused("a removed file", "import os\nname = '/var/tmp/mayfly-guest-%d' % os.getpid()\n"
         "open(name, 'w').close()\nkept = open(name)\nos.unlink(name)",
         "^an open file cannot be opened again: ")
_refused("an alarm", "import signal\nsignal.alarm(60)", "^a timer is pending: alarm$")
_refused("an event file", "import select\nkept = select.epoll()", "eventpoll.* is open")
_refused("shared memory", "import mmap\nkept = mmap.mmap(-1, 4096)", "^memory is shared: ")


# The connection waits: no idle loop.
_refused("an event loop at work", "import asyncio, socket\nloop = asyncio.new_event_loop()\n"
         "one, two = socket.socketpair()\nloop.add_reader(one, print)", "(socket|eventpoll)")


# ---- what a parked template does


@case
def template_ends_with_its_host(start):
    world = world_of(start, "import atexit\natexit.register(print, 'ended')\n" + PLAIN)
    expect(world.answer("function", {}) == "ok", "no answer")
    code, output, _ = world.template("function").end()
    expect([code, output] == [0, ""], f"{[code, output]}")


@case
def signals_kill_a_parked_template(start):
    text = (
        "import os, signal\nsignal.signal(signal.SIGTERM, lambda *_: print('handled'))\n"
        "def handler(event, context):\n    os.kill(os.getpid(), signal.SIGTERM)\n    return 1\n"
    )
    world = world_of(start, text)
    seen = {mode: world.see(mode, {}) for mode in ("start", "function", "generic")}
    for mode, one in seen.items():
        expect(one["output"] == "handled\n" and one["code"] == 0, f"{mode}: {one}")
    template = world.template("function")
    os.kill(template.process.pid, signal.SIGTERM)
    expect(template.process.wait(20) == -signal.SIGTERM, "another end")


@case
def output_of_the_init_comes_once(start):
    text = "import sys\nsys.__stdout__.write('in the init ')\n" + PLAIN
    world = world_of(start, text)
    outputs = [world.see("function", {})["output"] for _ in range(2)]
    _, output, _ = world.template("function").end()
    expect(outputs == ["", ""] and output == "in the init ", f"{outputs} {output!r}")
    started, generic = world.see("start", {}), world.see("generic", {})
    expect(started == generic, f"{generic}, started: {started}")


@case
def children_share_nothing_that_they_write(start):
    world = world_of(start, "n = 0\ndef handler(e, c):\n  global n\n  n += 1\n  return n\n")
    for mode in ("start", "function", "generic"):
        first, second = world.guest(mode), world.guest(mode)
        counts = []
        for guest in (first, second):
            guest.frame()
        for guest in (first, second, first):
            counts.append(json.loads(guest.invoke(b"{}")[2]))
        for guest in (first, second):
            guest.end()
        expect(counts == [1, 1, 2], f"{mode}: {counts}")


@case
def many_children_at_once(start):
    world = world_of(start, "import os\ndef handler(e, c): return [e, os.getpid()]\n")
    guests = [world.guest(mode) for mode in ("function", "generic") for _ in range(12)]
    for guest in guests:
        expect(guest.frame()[0] == READY, "not ready")
    answers = [json.loads(g.invoke(b"%d" % n)[2]) for n, g in enumerate(guests)]
    for guest in guests:
        guest.end()
    expect([n for n, _ in answers] == list(range(24)), f"{answers}")
    expect(len({pid for _, pid in answers}) == 24, f"{answers}")


@case
def message_that_is_none(start):
    world = world_of(start, PLAIN)
    template = world.template("function")
    ours, theirs = socket.socketpair()
    ours.settimeout(20)
    rights = b"".join(theirs.fileno().to_bytes(4, "little") for _ in range(3))
    expect(template.order(b"\7\0\0\0\0\0\0\0", rights) == b"\0", "not forked")
    theirs.close()
    text = b""
    while chunk := ours.recv(4096):
        text += chunk
    expect(b"unexpected message of kind 7" in text, f"{text}")
    expect(world.answer("function", {}) == "ok", "the template is gone")


# ---- environment of a child


@case
def variables_are_set_over_those_of_the_init(start):
    text = ("import os\nget = os.environ.get\nAT_INIT = get('A')\ndef handler(e, c):\n"
            "  return [AT_INIT, get('A'), get('B'), os.popen('echo $B').read(),"
            " c.log_stream_name, get('MAYFLY_TEMPLATE')]\n")
    world = world_of(start, text, extra={"A": "1"})
    variables = {"B": "2", "A": "3", "AWS_LAMBDA_LOG_STREAM_NAME": "own"}
    got = world.answer("function", {}, variables)
    expect(got == ["1", "3", "2", "2\n", "own", None], f"{got}")
    for mode in ("start", "generic"):
        got = world.answer(mode, {}, variables)
        expect(got == ["3", "3", "2", "2\n", "own", None], f"{mode}: {got}")


@case
def time_zone_of_a_child(start):
    world = world_of(start, "import time\ndef handler(e, c): return time.localtime(0).tm_hour\n")
    for mode in ("start", "function", "generic"):
        got = world.answer(mode, {}, {"TZ": "XYZ-5"})
        expect(got == 5, f"{mode}: {got}")


@case
def runtime_settings_of_a_child(start):
    text = "import logging\ndef handler(e, c):\n  logging.info('seen')\n  return '\\u00fc'\n"
    world = world_of(start, text)
    settings = {"AWS_EXECUTION_ENV": "AWS_Lambda_python3.11", "AWS_LAMBDA_LOG_FORMAT": "JSON",
                "AWS_LAMBDA_LOG_LEVEL": "INFO"}
    started, generic = (world.see(mode, {}, settings) for mode in ("start", "generic"))
    expect(started == generic, f"{generic}, started: {started}")
    expect(started["answers"][-1][2] == '"\\u00fc"', f"{started}")
    expect(len(started["records"]) == 1, f"{started}")


def _starts_anew(name, text, extra=None, files=None):
    """A generic child that must not use what its template has loaded."""

    def run(start):
        world = start(dict(files or {}, **{"app.py": text}), extra=extra)
        started, generic = world.see("start", {}), world.see("generic", {})
        expect(started == generic, f"{generic}, started: {started}")
        expect(started["answers"][-1][0] == RESPONSE, f"{started}")

    CASES[f"as started: {name}"] = run


_starts_anew("hash seed", "def handler(e, c): return hash('text')\n", {"PYTHONHASHSEED": "5"})
_starts_anew("optimised", "def handler(e, c):\n  assert False\n  return 1\n",
             {"PYTHONOPTIMIZE": "1"})
_starts_anew("locale", "import locale as l\ndef handler(e, c): return l.setlocale(l.LC_ALL, '')\n",
             {"LC_ALL": "C"})
for _name in ("random", "http", "boto3", "decimal", "json", "logging", "socket"):
    _starts_anew(
        f"a module named {_name}",
        f"import {_name}\ndef handler(e, c): return getattr({_name}, 'mine', 'not mine')\n",
        files={f"{_name}/__init__.py": "mine = 'mine'\n"},
    )


@case
def search_path_of_the_function(start):
    text = "import extra\ndef handler(e, c): return extra.v\n"
    files = {"app.py": text, "lib/extra.py": "v = 7\n"}
    world = start(files)
    for mode in ("start", "generic"):
        got = world.answer(mode, {}, {"PYTHONPATH": world.folder + "/lib"})
        expect(got == 7, f"{mode}: {got}")


LOOP = """import asyncio, threading
loop = asyncio.new_event_loop()
loop.run_until_complete(asyncio.sleep(0))
async def work(name):
    done = loop.create_future()
    threading.Thread(target=loop.call_soon_threadsafe, args=(done.set_result, name)).start()
    process = await asyncio.create_subprocess_exec('true')
    return [await asyncio.wait_for(done, 10), await process.wait()]
def handler(event, context):
    asyncio.set_event_loop(loop)
    return loop.run_until_complete(work(event))
"""


@case
def event_loop_made_in_the_init(start):
    world = world_of(start, LOOP)
    for mode in ("start", "function", "generic"):
        guests = [world.guest(mode) for _ in range(3)]
        for guest in guests:
            guest.frame()
        for number, guest in enumerate(guests * 2):
            # The sockets of a loop, if shared, would wake another child.
            got = json.loads(guest.invoke(b"%d" % number)[2])
            expect(got == [number, 0], f"{mode}: {got}")
        for guest in guests:
            guest.end()


WATCH = """import asyncio, socket
loop = asyncio.new_event_loop()
async def watch(event):
    one, two = socket.socketpair()
    fired = []
    loop.add_reader(one, lambda: fired.append(one.recv(1)))
    if event: two.send(b'x')
    await asyncio.sleep(0.3)
    return len(fired)
def handler(event, context): return loop.run_until_complete(watch(event))
"""


@case
def event_loops_of_children_are_apart(start):
    world = world_of(start, WATCH)
    for mode in ("start", "function"):
        quiet, busy = world.guest(mode), world.guest(mode)
        for guest in (quiet, busy):
            guest.frame()
        quiet.send(b"0")
        time.sleep(0.05)
        busy.send(b"1")
        got = [json.loads(guest.frame()[2]) for guest in (quiet, busy)]
        for guest in (quiet, busy):
            guest.end()
        expect(got == [0, 1], f"{mode}: {got}")


CLOCK = """import uuid, platform, tempfile
uuid.uuid1(); platform.uname(); tempfile.mktemp()
def handler(event, context):
    kept = [uuid._node, uuid._last_timestamp, tempfile._name_sequence]
    kept.append(getattr(platform, '_uname_cache', None))
    return [uuid.uuid1().clock_seq, kept]
"""


@case
def what_the_library_remembered_of_the_template(start):
    world = world_of(start, CLOCK)
    drawn = [world.answer("function", {}) for _ in range(4)]
    expect(len({sequence for sequence, _ in drawn}) > 1, f"all children draw {drawn}")
    # A child may have the pid of its template, by which tempfile would know; and another host name.
    expect(drawn[0][1] == [None] * 4, f"{drawn[0][1]}")


# ---- hooks around the snapshot

HOOKS = """import snapshot_restore_py as s
seen = []
for n in (1, 2):
    s.register_before_snapshot(lambda n: seen.append('before %d' % n), n)
    s.register_after_restore(lambda n=0: seen.append('after %d' % n), n=n)
def handler(e, c): return seen
"""


@case
def hooks_run_around_the_snapshot(start):
    world = world_of(start, HOOKS)
    got = world.answer("function", {})
    expect(got == ["before 2", "before 1", "after 1", "after 2"], f"{got}")
    for mode in ("start", "generic"):
        expect(world.answer(mode, {}) == [], mode)


@case
def hook_before_that_fails(start):
    text = HOOKS + "@s.register_before_snapshot\ndef fails(): raise ValueError('early')\n"
    template = world_of(start, text).template("function")
    shape = json.loads(template.reason[2 + template.reason[0]:])
    expect(shape["errorType"] == "Runtime.BeforeSnapshotError", f"{shape}")
    expect("early" in shape["errorMessage"], f"{shape}")
    expect(template.end()[0] == 64, "another exit code")


@case
def hook_after_that_fails(start):
    text = HOOKS + "@s.register_after_restore\ndef fails(): raise ValueError('late')\n"
    seen = world_of(start, text).see("function", {})
    shape = json.loads(seen["answers"][0][2])
    expect(seen["answers"][0][0] == INIT_ERROR and seen["code"] == 65, f"{seen}")
    expect(shape["errorType"] == "Runtime.AfterRestoreError", f"{shape}")
