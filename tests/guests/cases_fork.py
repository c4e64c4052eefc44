"""Cases of templates: what they refuse, what each fork gets of its own (see run_fork.py). A case is
a function of the guest's argv that raises when something is wrong."""

import json
import os
import pathlib
import shutil
import signal
import socket
import struct
import tempfile
import time

from fork_driver import PARKED, Template, exit_code_of
from lean_driver import READY, RESPONSE
from run import ENVIRONMENT, expect

BASE = {
    "PATH": os.environ["PATH"],
    "LANG": "C.UTF-8",
    "TZ": ":UTC",
    "_LAMBDA_TELEMETRY_LOG_FD": "4",
}
JS = "exports.handler = "


class Parked:
    """A template of `code` in a directory of its own, ended with the block."""

    def __init__(self, argv, code, kind="function", name="index.js", **env):
        self.directory = tempfile.TemporaryDirectory(prefix="mayfly-fork-")
        pathlib.Path(self.directory.name, name).write_text(code, encoding="utf-8")
        self.env = dict(BASE, **ENVIRONMENT, _HANDLER="index.handler")
        self.env.update(env, LAMBDA_TASK_ROOT=self.directory.name)
        given = {} if kind == "generic" else self.env
        self.begun = time.monotonic()
        self.template = Template(argv, given, self.directory.name, kind)
        self.frame = self.template.parked()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.template.end()
        self.directory.cleanup()

    def fork(self, **env):
        expect(self.frame == (PARKED, ""), str(self.frame))
        guest = self.template.fork(dict(self.env, **env))
        expect(guest.frame()[0] == READY, "not ready")
        return guest


def answer(guest, event=None, **rest):
    kind, _, body = guest.invoke(json.dumps(event or {}).encode(), **rest)
    expect(kind == RESPONSE, f"frame {kind} {body!r}")
    return json.loads(body)


def refused(code, reason):
    def case(argv):
        exits = "process.on('exit', () => require('fs').writeSync(2, 'exit handler'));\n"
        with Parked(argv, exits + code + "\n" + JS + "async () => 1") as parked:
            kind, text = parked.frame
            expect(kind == PARKED and text and reason in text, str(parked.frame))
            code_, output, _ = parked.template.end()
            expect((code_, output) == (0, ""), f"exit code {code_}, output {output!r}")

    return case


DRAW = (
    JS + "async () => { const c = require('crypto'); return [Math.random(), c.randomUUID(),"
    " c.randomInt(2 ** 47), c.randomBytes(8).toString('hex'),"
    " crypto.getRandomValues(new Uint32Array(2)).join(), Math.random()] }"
)
USED = (
    "const c = require('crypto'); for (let i = 0; i < 70; i++) { Math.random(); c.randomUUID();"
    " c.randomInt(9); } c.randomBytes(5);\n"
)


def draws_differ(code, kind):
    def case(argv):
        with Parked(argv, code, kind) as parked:
            guests = [parked.fork() for _ in range(6)]
            drawn = [value for guest in guests for value in answer(guest)]
            expect(len(set(drawn)) == len(drawn), f"repeated: {drawn}")
            for guest in guests:
                guest.end()

    return case


def without_the_addon(argv):
    """A template whose addon is missing says so, and does not serve."""
    with tempfile.TemporaryDirectory(prefix="mayfly-fork-") as bare:
        for file in pathlib.Path(argv[-1]).parent.glob("*.js"):
            shutil.copy(file, bare)
        with Parked([*argv[:-1], f"{bare}/bootstrap.js"], JS + "async () => 1") as parked:
            kind, text = parked.frame
            expect(kind == PARKED and "fork.node" in text, str(parked.frame))
            expect(parked.template.end()[0] == 0, "exit code")


def contexts_draw_differently(argv):
    code = "const vm = require('vm'); vm.runInNewContext('Math.random()');\n"
    code += JS + "async () => [process.version, vm.runInNewContext('Math.random()')]"
    with Parked(argv, code) as parked:
        guests = [parked.fork() for _ in range(4)]
        drawn = [answer(guest) for guest in guests]
        version = int(drawn[0][0][1:].split(".")[0])
        if version < 24:
            expect(len({value for _, value in drawn}) == 4, f"repeated: {drawn}")
        for guest in guests:
            guest.end()


def parked_time_does_not_count(argv):
    """In a generic template's child; a function's own keeps the origin its init code may know."""
    code = JS + "async () => [performance.now(), process.uptime() * 1000,"
    code += " performance.timeOrigin + performance.now() - Date.now(),"
    code += " performance.nodeTiming.bootstrapComplete, performance.nodeTiming.duration]"
    parked_ms = 1500
    for kind in ("generic", "function"):
        with Parked(argv, code, kind) as parked:
            expect(parked.frame == (PARKED, ""), str(parked.frame))
            time.sleep(parked_ms / 1000)
            guest = parked.fork()
            now, uptime, off, booted, duration = answer(guest)
            # What the template's boot took is not known here, but how much of it was parking is.
            age = (time.monotonic() - parked.begun) * 1000
            limit = age - parked_ms + 1 if kind == "generic" else age + 1
            for value in (now, uptime, duration):
                expect(0 < value <= limit, f"{kind}: {value} ms, at most {limit}")
                expect(kind == "generic" or value >= parked_ms, f"{kind}: {value} ms")
            expect(abs(off) < 1000 and 0 < booted <= now, f"{kind}: {off} {booted} {now}")
            guest.end()


def environment_of_function(argv):
    code = JS + "async (e, c) => [process.env.A, process.env.B,"
    code += " process.env.MAYFLY_TEMPLATE ?? null, process.env._LAMBDA_TELEMETRY_LOG_FD ?? null,"
    code += " c.logStreamName]"
    with Parked(argv, code, A="1", AWS_LAMBDA_LOG_STREAM_NAME="t") as parked:
        guest = parked.template.fork({"B": "x=y", "AWS_LAMBDA_LOG_STREAM_NAME": "own"})
        expect(guest.frame()[0] == READY, "not ready")
        got = answer(guest)
        expect(got == ["1", "x=y", None, None, "own"], str(got))
        guest.end()


def environment_of_generic(argv):
    code = JS + "async () => [Object.keys(process.env).sort(), new Date(0).getHours()]"
    with Parked(argv, code, "generic") as parked:
        for zone, hours in (("UTC", 0), ("Asia/Tokyo", 9)):
            guest = parked.fork(TZ=zone, OWN="1")
            keys, got = answer(guest)
            wanted = sorted({*parked.env, "OWN"} - {"_LAMBDA_TELEMETRY_LOG_FD"})
            expect(keys == wanted, f"{keys} instead of {wanted}")
            expect(got == hours, f"{got} hours in {zone}")
            guest.end()


def variables_read_at_start(argv):
    """What only a start can apply makes the child start anew."""
    code = JS + "async () => [Error.stackTraceLimit, process.env.NODE_OPTIONS, process.cwd()]"
    with Parked(argv, code, "generic") as parked:
        guest = parked.fork(NODE_OPTIONS="--stack-trace-limit=3")
        got = answer(guest)
        expect(got == [3, "--stack-trace-limit=3", parked.directory.name], str(got))
        expect(guest.end()[0] == 0, "exit code")


def parked_template_dies_of_sigterm(argv):
    code = "process.on('SIGTERM', () => process.exit(7));\n"
    code += JS + "async (e) => { if (e.end) process.kill(process.pid, 'SIGTERM');"
    code += " await new Promise(r => setTimeout(r, e.end ? 5000 : 1)); return 1 }"
    with Parked(argv, code) as parked:
        guest = parked.fork()
        expect(answer(guest) == 1, "no answer")
        guest.send(b'{"end":1}')
        code_ = guest.collect()[0]
        expect(code_ == 7, f"the child's own handler: exit code {code_}")
        parked.template.process.send_signal(signal.SIGTERM)
        code_ = parked.template.process.wait(20)
        expect(code_ == -signal.SIGTERM, f"exit code {code_}")


def forks_live_side_by_side(argv):
    code = "let n = 0;\n" + JS + "async (e) => { await new Promise(r => setTimeout(r, 2));"
    code += " await require('fs').promises.readFile(__filename); return [++n, process.pid] }"
    with Parked(argv, code) as parked:
        guests = [parked.fork() for _ in range(12)]
        pids = set()
        for turn in (1, 2, 3):
            for guest in guests:
                number, pid = answer(guest)
                expect(number == turn, f"turn {number} instead of {turn}")
                pids.add(pid)
        expect(len(pids) == 12, f"{len(pids)} processes")
        expect(pids == {guest.pid for guest in guests}, "process ids")
        for guest in guests:
            code_, output, _ = guest.end()
            expect((code_, output) == (0, ""), f"{code_} {output!r}")


def bad_orders(argv):
    with Parked(argv, JS + "async () => 5") as parked:
        ours, theirs = socket.socketpair()
        with ours, theirs:
            template = parked.template
            before = set(os.listdir(f"/proc/{template.process.pid}/fd"))
            for what, block, count in (("an open end of the block", b"A=1", 3),
                                       ("two descriptors", b"A=1\0", 2)):
                error, child = template.order(block, [theirs.fileno()] * count)
                expect(error == 0, what)
                status = exit_code_of(child)
                expect(status == 70, f"{what}: {status}")
            for order in (b"x", struct.pack("<II", 1, 0), struct.pack("<II", 3, 1)):
                template.fork_socket.send(order)
                expect(template.fork_socket.recv(9) == b"\x16", f"{order}")
            after = set(os.listdir(f"/proc/{template.process.pid}/fd"))
            expect(before == after, f"descriptors: {before} {after}")
        guest = parked.fork()
        expect(answer(guest) == 5, "no answer")
        guest.end()


def exit_with_workers(argv):
    code = "const { Worker } = require('worker_threads');\n" + JS + "async (e) => {"
    code += " const busy = new Worker('while (true);', { eval: true });"
    code += " const done = new Worker('1', { eval: true });"
    code += " await new Promise(r => done.on('exit', r)); process.exit(e.code) }"
    with Parked(argv, code) as parked:
        for wanted in (0, 9):
            guest = parked.fork()
            guest.send(json.dumps({"code": wanted}).encode())
            code_ = guest.collect()[0]
            expect(code_ == wanted, f"exit code {code_} instead of {wanted}")


def module_with_await(argv):
    code = "await new Promise(r => setTimeout(r, 5));\n"
    code += "const fs = await import('node:fs/promises');\n"
    code += "const text = await fs.readFile('/proc/self/comm', 'utf8');\n"
    code += "export const handler = async () => text.length > 0"
    with Parked(argv, code, name="index.mjs") as parked:
        guest = parked.fork()
        expect(answer(guest) is True, "the answer")
        guest.end()


CASES = {
    "a timer": refused("setTimeout(() => {}, 60000)", "timer"),
    "an interval without a reference": refused("setInterval(() => {}, 900).unref()", "timer"),
    "a server": refused("require('net').createServer().listen(0)", "tcp"),
    "a socket": refused(
        "const s = require('net').createServer().listen(0, () =>"
        " require('net').connect(s.address().port))",
        "tcp",
    ),
    "a udp socket": refused("require('dgram').createSocket('udp4').bind(0)", "udp"),
    "a file being written": refused(
        "const f = '/tmp/mayfly-w' + process.pid; require('fs').openSync(f, 'w');"
        " require('fs').unlinkSync(f)",
        "open for writing",
    ),
    "a file below /tmp": refused(
        "const f = '/tmp/mayfly-r' + process.pid; require('fs').writeFileSync(f, '');"
        " require('fs').openSync(f); require('fs').unlinkSync(f)",
        "below /tmp",
    ),
    "a child process": refused(
        "require('child_process').spawn('/bin/sleep', ['60'], { stdio: 'ignore' }).unref()",
        "process",
    ),
    "a worker": refused(
        "new (require('worker_threads').Worker)('setInterval(() => {}, 1e6)', { eval: true })",
        "active",
    ),
    "a watched file": refused("require('fs').watch('/etc')", "fs_event"),
    "random numbers": draws_differ(DRAW, "function"),
    "random numbers after use in the init code": draws_differ(USED + DRAW, "function"),
    "random numbers of a generic template": draws_differ(DRAW, "generic"),
    "parked time": parked_time_does_not_count,
    "no addon": without_the_addon,
    "random numbers of contexts": contexts_draw_differently,
    "environment, function": environment_of_function,
    "environment, generic": environment_of_generic,
    "variables that only a start reads": variables_read_at_start,
    "SIGTERM": parked_template_dies_of_sigterm,
    "side by side": forks_live_side_by_side,
    "bad orders": bad_orders,
    "exit with workers": exit_with_workers,
    "module with top-level await": module_with_await,
}
