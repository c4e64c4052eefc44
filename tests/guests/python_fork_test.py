#!/usr/bin/env python3
"""The same functions in a started guest and in forked children (of a function template and of a
generic one): what can be seen of them must be the same, and identifiers must differ.

  tests/guests/python_fork_test.py [--runtimes DIR] [--only TEXT] [--python PROGRAM]…

The last line is "N passed, N failed, N skipped"."""

import argparse
import glob
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import traceback

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
import python_checks
import python_checks_io  # noqa: F401 adds its checks
import python_fork_cases as cases
import python_fork_library_cases  # noqa: F401 adds to them
from lean_driver import INIT_ERROR, READY, RESPONSE, Guest
from python_template import Template
from run import ENVIRONMENT, Wrong, expect

MODES = ("start", "function", "generic")
APP = """import atexit, python_checks, python_checks_io
atexit.register(python_checks_io.atexit_of_the_init)
def handler(event, context):
    for table in (python_checks.CHECKS, python_checks.ENDS):
        if event in table:
            return table[event][0]()
    return {name: what() for name, what in python_checks.DISTINCT.items()}
"""
FILES = {"app.py": APP, "late_module.py": "VALUE = 'late'\n"}
BASE = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "TZ": ":UTC"}


def cleaned(text):
    """Without what differs between any two processes: times, addresses, the name of a thread."""
    text = re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", "TIME", text)
    text = re.sub(r"0x[0-9a-f]{6,}", "ADDRESS", text)
    return re.sub(r"Thread-\d+", "Thread-N", text)


class Interpreter:
    """One interpreter; owns the generic template that all its functions share."""

    def __init__(self, program, runtimes):
        self.argv = [program, "-S", "-s", f"{runtimes}/python/bootstrap.py"]
        self.generic = Template(self.argv, {"PYTHONDONTWRITEBYTECODE": "1"}, "/", "generic")
        self.generic.reason = self.generic.parked()


class World:
    """One function under one interpreter, in three modes; owns its folder and its template."""

    def __init__(self, interpreter, files, extra=None, handler="app.handler"):
        self.folder = tempfile.mkdtemp(prefix="mayfly-guest-", dir="/var/tmp")
        for name, text in files.items():
            path = pathlib.Path(self.folder, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        self.env = dict(ENVIRONMENT, _HANDLER=handler, LAMBDA_TASK_ROOT=self.folder)
        self.env.update({"PYTHONDONTWRITEBYTECODE": "1"}, **(extra or {}))
        self.argv = interpreter.argv
        self._generic, self._own = interpreter.generic, None

    def template(self, mode):
        if mode == "generic":
            return self._generic
        if not self._own:
            self._own = Template(self.argv, self.env, self.folder, "function")
            self._own.reason = self._own.parked()
        return self._own

    def guest(self, mode, variables=None):
        variables = variables or {}
        if mode == "start":
            return Guest(self.argv, dict(self.env, **variables), self.folder)
        template = self.template(mode)
        expect(not template.reason, f"the {mode} template does not park: {template.reason}")
        if mode == "function":
            return template.fork(variables)
        whole = dict(BASE, **self.env, _LAMBDA_TELEMETRY_LOG_FD="4")
        return template.fork(dict(whole, **variables))

    def see(self, mode, event, variables=None):
        """Everything that comes of one event: frames, exit code, output and log records."""
        guest = self.guest(mode, variables)
        seen = {"answers": []}
        try:
            kind, label, body = guest.frame()
            seen["answers"].append([kind, label, cleaned(body.decode())])
            if kind == READY:
                kind, label, body = guest.invoke(json.dumps(event).encode())
                seen["answers"].append([kind, label, cleaned(body.decode())])
        except (EOFError, ConnectionResetError):
            seen["answers"].append("ended")
        code, output, records = guest.end()
        seen.update(code=code, output=cleaned(output))
        seen["records"] = [[kind, cleaned(text)] for kind, text, _ in records]
        return seen

    def answer(self, mode, event, variables=None):
        seen = self.see(mode, event, variables)
        last = seen["answers"][-1]
        expect(last != "ended" and last[0] == RESPONSE, f"{mode}: {seen}")
        return json.loads(last[2])

    def close(self):
        if self._own:
            self._own.end()
        shutil.rmtree(self.folder, ignore_errors=True)


def same(seen):
    for mode in MODES[1:]:
        for part, value in seen["start"].items():
            got = seen[mode][part]
            expect(got == value, f"{mode}: {part} is {got!r:.900}, started: {value!r:.900}")


def run_check(world, name, expected):
    seen = {mode: world.see(mode, name) for mode in MODES}
    same(seen)
    if expected is not python_checks.NONE_EXPECTED:
        got = json.loads(seen["start"]["answers"][-1][2])
        expect(got == expected, f"{got!r:.600} is not {expected!r:.600}")


def run_distinct(world, name, answers):
    if not answers:
        answers += [world.answer(mode, "distinct") for mode in MODES for _ in range(3)]
    values = [answer[name] for answer in answers]
    expect(len(set(values)) == 9, f"repeated: {values}")


def run_end(world, name, code, output):
    seen = {mode: world.see(mode, name) for mode in MODES}
    same(seen)
    expect(seen["start"]["code"] == code, f"exit code {seen['start']['code']}")
    expect(seen["start"]["answers"][-1] == "ended", f"{seen['start']['answers']}")
    if output is not None:
        got = seen["start"]["output"]
        expect(got == output, f"output {got!r}")


def tables(world):
    """name → what to run, of everything that one world serves."""
    for name, (_, expected) in python_checks.CHECKS.items():
        yield name, lambda n=name, e=expected: run_check(world, n, e)
    answers = []
    for name in python_checks.DISTINCT:
        yield f"distinct: {name}", lambda n=name: run_distinct(world, n, answers)
    for name, (_, code, output) in python_checks.ENDS.items():
        yield f"end: {name}", lambda n=name, c=code, o=output: run_end(world, n, c, o)


def run_case(interpreter, what):
    worlds = []

    def start(files, **more):
        worlds.append(World(interpreter, files, **more))
        return worlds[-1]

    try:
        return what(start)
    finally:
        for world in worlds:
            world.close()


def ends_well(template):
    got = template.end()
    expect(got == (0, "", []), f"{got}")


class Suite:
    def __init__(self, only):
        self.only = only
        self.passed = self.failed = self.skipped = 0

    def add(self, passed, failed, skipped):
        self.passed += passed
        self.failed += failed
        self.skipped += skipped

    def run(self, program, name, what):
        if self.only not in name:
            return
        try:
            reason = what()
        except Exception as error:
            self.failed += 1
            text = str(error) if isinstance(error, Wrong) else traceback.format_exc()
            print(f"FAILED {program}: {name}: {text}")
            return
        if reason:
            self.skipped += 1
            print(f"SKIPPED {program}: {name}: {reason}")
        else:
            self.passed += 1


def interpreters():
    """The newest Python there is, and the one of the system."""
    homes = [os.environ.get("PYENV_ROOT") or os.path.expanduser("~/.pyenv")]
    found = glob.glob("/usr/bin/python3.*") + glob.glob("/usr/local/bin/python3.*")
    found += [p for h in homes for p in glob.glob(f"{h}/versions/3.*/bin/python3.*")]
    named = [(int(m[1]), p) for p in sorted(found) if (m := re.search(r"/python3\.(\d+)$", p))]
    by_minor = {minor: path for minor, path in named if minor >= 8}  # the system's own wins
    system = [m for m, p in by_minor.items() if p.startswith("/usr/bin/")]
    wanted = {max(by_minor), *system} if by_minor else set()
    return [by_minor[minor] for minor in sorted(wanted)]


def run_all(program, options, suite):
    runtimes = os.path.abspath(options.runtimes)
    files = dict(FILES)
    for module in (python_checks, python_checks_io):
        files[pathlib.Path(module.__file__).name] = pathlib.Path(module.__file__).read_text()
    interpreter = Interpreter(program, runtimes)
    world = World(interpreter, files)
    for name, what in tables(world):
        suite.run(program, name, what)
    world.close()
    for name, what in cases.CASES.items():
        suite.run(program, name, lambda what=what: run_case(interpreter, what))
    suite.run(program, "the generic template ends", lambda: ends_well(interpreter.generic))


def run_side_by_side(programs, options, suite):
    """Each interpreter in a process of its own: they wait more than they compute."""
    command = [sys.executable, __file__, "--runtimes", options.runtimes, "--only", options.only]
    running = [
        (program, subprocess.Popen(command + ["--python", program], stdout=-1, text=True))
        for program in programs
    ]
    for program, process in running:
        lines = process.communicate()[0].splitlines()
        counts = re.fullmatch(r"(\d+) passed, (\d+) failed, (\d+) skipped", (lines or [""])[-1])
        print("\n".join(lines[:-1] if counts else lines + [f"FAILED {program}: no result"]))
        suite.add(*map(int, counts.groups())) if counts else suite.add(0, 1, 0)


def main():
    root = HERE.parents[1]
    parser = argparse.ArgumentParser()
    parser.add_argument("--runtimes", default=str(root / "runtimes"))
    parser.add_argument("--only", default="")
    parser.add_argument("--python", action="append", default=[])
    options = parser.parse_args()
    suite = Suite(options.only)
    programs = options.python or interpreters()
    if len(programs) > 1:
        run_side_by_side(programs, options, suite)
    elif programs:
        run_all(programs[0], options, suite)
    else:
        suite.skipped += 1
        print("SKIPPED forked Python environments: no interpreter")
    print(f"{suite.passed} passed, {suite.failed} failed, {suite.skipped} skipped")
    return 1 if suite.failed else 0


if __name__ == "__main__":
    sys.exit(main())
