#!/usr/bin/env python3
"""Runs the guest functions of the cases_*.py on every interpreter found, under
our bootstraps, without a sandbox.

  tests/guests/run.py [--runtimes DIR] [--only TEXT] [--node PROGRAM]… [--python PROGRAM]…
                      [--host PROGRAM [--ric DIR] [--pric PYTHON]]

With --host (build/…/bin/runtime_api_host), the public clients run the same functions under our
Runtime API, unmodified, where they are there: npm's aws-lambda-ric from --ric (a directory with
node_modules/aws-lambda-ric, else $MAYFLY_RIC), and awslambdaric of the Python of --pric (else
$MAYFLY_PRIC).

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
import types

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import cases_ahead
import cases_java
import cases_node
import cases_python
import cases_ruby
from java_template import Specialised
from lean_driver import INIT_ERROR, READY, Guest, HostedGuest, PipedGuest

ENVIRONMENT = {
    "AWS_LAMBDA_FUNCTION_NAME": "f",
    "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "128",
    "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/f",
    "AWS_LAMBDA_LOG_STREAM_NAME": "stream",
}


class Wrong(Exception):
    pass


def expect(condition, text):
    if not condition:
        raise Wrong(text)


def matches(expected, body):
    if isinstance(expected, bytes):
        return body == expected
    value = json.loads(body)
    return expected(value) if callable(expected) else value == expected


def check_logs(case, records):
    if "log_count" in case:
        expect(len(records) == case["log_count"], f"{len(records)} log records: {records}")
    for pattern, record in zip(case.get("logs", []), records):
        expect(re.search(pattern, record[1]), f"log {record[1]!r} is not {pattern!r}")
    expect(len(records) >= len(case.get("logs", [])), f"only {len(records)} log records")
    if "frames" in case:
        expect([r[0] for r in records] == case["frames"], f"frames {[hex(r[0]) for r in records]}")
    for wanted, record in zip(case.get("json_logs", []), records):
        value = json.loads(record[1])
        expect("timestamp" in value, f"no timestamp in {value}")
        good = (
            wanted(value) if callable(wanted) else all(value.get(k) == v for k, v in wanted.items())
        )
        expect(good, f"log {value}")
    expect(len(records) >= len(case.get("json_logs", [])), f"only {len(records)} log records")


def run_steps(case, guest):
    names = ("client", "identity", "trace", "tenant", "deadline_ms")
    extras = {k: case[k] for k in names if k in case}
    for number, (event, kind, expected) in enumerate(case["steps"], 1):
        if kind is None:
            guest.send(event, request_id=f"req-{number}", **extras)
            try:
                guest.frame()
            except EOFError:
                continue
            raise Wrong("an answer came, where the process had to end")
        got, label, body = guest.invoke(event, request_id=f"req-{number}", **extras)
        expect(got == kind, f"step {number}: frame {got} {body[:400]!r}")
        expect(matches(expected, body), f"step {number}: {body[:600]!r}")
        if "label" in case:
            expect(label == case["label"], f"content type {label!r}")


# Cases whose contract is not that of the client which is run: newer identifiers, or an end of the
# process that the client leaves to the platform.
RIC_3_DIFFERS = {
    "default export of a bundle": "looked for from version 4 on",
    "promises only": "version 4",
    "callbacks are refused from nodejs24.x on": "version 4",
    "a function is null": "the client fails on it with an error of its own",
    "promise that never settles": "version 3.3.0 as published answers null",
    "rejection while loading": "the client may ask for an event before it reports",
    "stream left open": "the client waits for the timeout",
    "high water mark": "the client gives it to its connection",
    "stream destroyed": "the client destroys its connection, and fails on that",
}


def run_case(case, start, handler, directory):
    for name, text in case["files"].items():
        path = pathlib.Path(directory, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    env = dict(ENVIRONMENT, _HANDLER=case.get("handler", handler), LAMBDA_TASK_ROOT=directory)
    env.update(case.get("env", {}))
    guest = start(env, directory, case.get("framed", True))
    try:
        try:
            kind, label, body = guest.frame()
        except EOFError:
            expect("init" in case and case["init"] is None, "the process ended during its init")
            kind = None
        if kind == READY:
            expect("init" not in case, "no init error came")
            if case.get("hold_logs"):
                guest.read_logs.clear()
            case["drive"](guest) if "drive" in case else run_steps(case, guest)
        elif kind == INIT_ERROR:
            expect(case.get("init"), f"init error {body!r}")
            expect(case["init"](json.loads(body)), f"init error {body!r}")
    finally:
        code, output, records = guest.end(exits="exit" in case)
    # A hosted client that has nothing more to do is ended by a signal.
    good = {case.get("exit", 0)} | ({-15, 143} if "exit" not in case else set())
    expect(code in good, f"exit code {code}, output {output!r}")
    check_logs(case, records)
    if "output" in case:
        # The public client prints a line of its own first.
        expect(output.endswith(case["output"]), f"output {output!r}")
    if "output_match" in case:
        expect(re.search(case["output_match"], output), f"output {output!r}")


PRIC_DIFFERS = {"search path": "laid out by the platform"}


def lean(argv, kind=Guest):
    return lambda env, directory, framed: kind(argv, env, directory, framed)


def piped(program, argv, table, ahead, handler):
    """The same functions through pipes, and what only those can do."""
    start = lean(argv, PipedGuest)
    yield f"{program} (pipes)", start, table, handler, {}
    yield f"{program} (ahead)", start, types.SimpleNamespace(CASES=ahead), handler, {}


def interpreters(options, runtimes):
    node = options.node or [p for p in [shutil.which("node")] if p]
    node += [] if options.node else sorted(glob.glob(f"{runtimes}/nodejs*/bin/node"))
    for program in node:
        yield (
            program,
            lean([program, f"{runtimes}/nodejs/bootstrap.js"]),
            cases_node,
            "index.handler",
            {},
        )
        if os.path.exists(f"{runtimes}/nodejs/fork.node"):
            argv = [program, f"{runtimes}/nodejs/bootstrap.js"]
            yield from piped(program, argv, cases_node, cases_ahead.NODE, "index.handler")
    if options.host and options.ric:
        entry = f"{options.ric}/node_modules/aws-lambda-ric/bin/index.mjs"

        def client(env, directory, framed, streams=False):
            argv = [node[0], entry, env["_HANDLER"]]
            return HostedGuest(options.host, argv, env, directory, framed, streams)

        def streaming(env, directory, framed):
            return client(env, directory, framed, True)

        yield "aws-lambda-ric", client, cases_node, "index.handler", RIC_3_DIFFERS
        table = types.SimpleNamespace(
            CASES={k: v for k, v in cases_node.CASES.items() if "stream" in k or k == "async"}
        )
        yield "aws-lambda-ric, streamed", streaming, table, "index.handler", RIC_3_DIFFERS
    if options.host and options.pric:

        def python_client(env, directory, framed):
            argv = [options.pric, "-m", "awslambdaric", env["_HANDLER"]]
            return HostedGuest(options.host, argv, env, directory, framed)

        yield "awslambdaric", python_client, cases_python, "app.handler", PRIC_DIFFERS
    python = options.python
    if not python:
        homes = [os.environ.get("PYENV_ROOT") or os.path.expanduser("~/.pyenv")]
        found = glob.glob("/usr/bin/python3.*") + glob.glob("/usr/local/bin/python3.*")
        found += [p for h in homes for p in glob.glob(f"{h}/versions/3.*/bin/python3.*")]
        named = [(int(m[1]), p) for p in found if (m := re.search(r"/python3\.(\d+)$", p))]
        python = [
            dict(sorted(named, reverse=True))[minor]
            for minor in sorted({n for n, _ in named})
            if minor >= 8
        ]
    for program in python:
        yield (
            program,
            lean([program, "-S", "-s", f"{runtimes}/python/bootstrap.py"]),
            cases_python,
            "app.handler",
            {},
        )
        argv = [program, "-S", "-s", f"{runtimes}/python/bootstrap.py"]
        yield from piped(program, argv, cases_python, cases_ahead.PYTHON, "app.handler")
    for program in [p for p in [shutil.which("ruby")] if p]:
        yield (
            program,
            lean([program, f"{runtimes}/ruby/bootstrap.rb"]),
            cases_ruby,
            "app.handler",
            {},
        )
    yield from java_clients(options, runtimes)


def major_of(home):
    release = pathlib.Path(home, "release").read_text(encoding="utf-8")
    return int(re.search(r'JAVA_VERSION="(\d+)', release)[1])


def java_guest(kind, made, home, env, directory, framed):
    env.update(LAMBDA_TASK_ROOT=f"{made}/task")
    argv = [f"{home}/bin/java", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
    if major_of(home) >= 23:
        argv.append("--sun-misc-unsafe-memory-access=allow")
    argv += ["-cp", f"{made}/runtime.jar", "mayfly.runtime.Main"]
    return kind(argv, env, directory, framed)


def java_clients(options, runtimes):
    """The bootstrap and the functions are compiled once, by the first JDK."""
    homes = {
        os.path.realpath(h) for h in glob.glob("/usr/lib/jvm/*") if os.path.exists(f"{h}/bin/java")
    }
    compilers = sorted(h for h in homes if os.path.exists(f"{h}/bin/javac"))
    if not compilers:
        return
    made = tempfile.mkdtemp(prefix="mayfly-guest-java-")
    ours = glob.glob(f"{runtimes}/java/**/*.java", recursive=True)
    theirs = str(pathlib.Path(__file__).resolve().parent / "java/Functions.java")
    compiler = [f"{compilers[0]}/bin/javac", "--release", "17", "-nowarn", "-d"]
    archiver = [f"{compilers[0]}/bin/jar", "--create", "--file", f"{made}/runtime.jar"]
    try:
        subprocess.run(compiler + [f"{made}/runtime"] + ours, check=True)
        subprocess.run(archiver + ["-C", f"{made}/runtime", "."], check=True)
        subprocess.run(compiler + [f"{made}/task", "-cp", f"{made}/runtime", theirs], check=True)
        for home in sorted(homes):

            def start(env, directory, framed, home=home):
                return java_guest(Guest, made, home, env, directory, framed)

            def specialised(env, directory, framed, home=home):
                guest = java_guest(Specialised, made, home, env, directory, framed)
                expect(guest.specialise() == b"\0", "the JVM refused")
                return guest

            def unspecialised(env, directory, framed, home=home):
                guest = java_guest(Specialised, made, home, env, directory, framed)
                if env["_HANDLER"] == "bad message":
                    expect(guest.ask(b"\2\0\0\0\7\0\0\0") == b"\1", "taken")
                guest.socket_5.close()
                return guest

            yield home, start, cases_java, "", {}
            yield f"{home} specialised", specialised, cases_java, "", {}
            table = types.SimpleNamespace(CASES=cases_java.UNSPECIALISED)
            yield f"{home} unspecialised", unspecialised, table, "", {}
    finally:
        shutil.rmtree(made)


def main():
    root = pathlib.Path(__file__).resolve().parents[2]
    parser = argparse.ArgumentParser()
    parser.add_argument("--runtimes", default=str(root / "runtimes"))
    parser.add_argument("--only", default="")
    parser.add_argument("--node", action="append", default=[])
    parser.add_argument("--python", action="append", default=[])
    parser.add_argument("--host", default="")
    parser.add_argument("--ric", default=os.environ.get("MAYFLY_RIC", ""))
    parser.add_argument("--pric", default=os.environ.get("MAYFLY_PRIC", ""))
    options = parser.parse_args()
    passed, failed, skipped = 0, 0, 0
    seen = set()
    for program, start, table, handler, differs in interpreters(
        options, os.path.abspath(options.runtimes)
    ):
        seen.add(id(table))
        for name, case in table.CASES.items():
            if options.only not in name:
                continue
            if name in differs:
                skipped += 1
                print(f"SKIPPED {program}: {name}: {differs[name]}")
                continue
            with tempfile.TemporaryDirectory(prefix="mayfly-guest-") as directory:
                try:
                    run_case(case, start, handler, directory)
                    passed += 1
                except Exception as error:
                    failed += 1
                    text = str(error) if isinstance(error, Wrong) else traceback.format_exc()
                    print(f"FAILED {program}: {name}: {text}")
    for table, language in (
        (cases_node, "Node.js"),
        (cases_python, "Python"),
        (cases_ruby, "Ruby"),
        (cases_java, "Java"),
    ):
        if id(table) not in seen:
            skipped += 1
            print(f"SKIPPED the guest functions of {language}: no interpreter")
    for name, given in (("aws-lambda-ric", options.ric), ("awslambdaric", options.pric)):
        if not (options.host and given):
            skipped += 1
            print(f"SKIPPED {name} under our Runtime API: it is not given")
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
