#!/usr/bin/env python3
"""Our bootstraps with several events at one time (AWS_LAMBDA_MAX_CONCURRENCY), from the outside:
every Node.js and every Python of this machine.

  tests/guests/several_test.py [--runtimes DIR] [--only TEXT]

The last line is "N passed, N failed, N skipped"."""

import argparse
import glob
import json
import os
import pathlib
import struct
import sys
import tempfile
import traceback
import types

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
import run  # noqa: E402
from lean_driver import (  # noqa: E402
    CREDIT, ERROR, HEAD, INIT_ERROR, INVOKE, PART, READY, RESPONSE, STREAM, STREAM_END, WINDOW,
    Guest)
from run import ENVIRONMENT, Wrong  # noqa: E402

MOST = 6
# Each answers {n, seen}; "barrier": when so many are inside; "exit", "raise", "pad" (a long event).
NODE = """
let seen = 0, inside = [];
exports.handler = async (event, context) => {
  const count = ++seen;
  console.log('line of', event.n);
  if (event.barrier) {
    await new Promise((go) => {
      inside.push(go);
      if (inside.length === event.barrier) inside.splice(0).forEach((one) => one());
    });
  }
  if (event.late) setTimeout(() => { throw new Error('late'); }, 1);
  if (event.hang) await new Promise(() => {});
  if (event.exit) process.exit(event.exit);
  if (event.raise) throw new RangeError('raised');
  return { n: event.n, seen: count, id: context.awsRequestId,
           trace: process.env._X_AMZN_TRACE_ID, store: awslambda.InvokeStore.getRequestId() };
};
exports.plain = (event) => ({ n: event.n });
exports.callback = (event, context, callback) => callback(null, 1);
exports.stream = awslambda.streamifyResponse(async (event, out) => {
  for (let i = 0; i < event.parts; i++) {
    if (!out.write(String(event.n).repeat(10000))) await new Promise((go) => out.once('drain', go));
  }
  out.end();
});
"""
PYTHON = """
import logging, os, time
logging.getLogger().setLevel('INFO')
seen = 0
def handler(event, context):
    global seen
    seen += 1
    logging.info('line of %s', event['n'])
    if event.get('barrier'):
        open('inside-%s' % event['n'], 'w').close()
        while len([f for f in os.listdir('.') if f.startswith('inside')]) < event['barrier']:
            time.sleep(0.002)
    if event.get('exit') is not None:
        os._exit(event['exit'])
    if event.get('kill'):
        os.kill(os.getpid(), event['kill'])
    if event.get('raise'):
        raise IndexError('raised')
    return {'n': event['n'], 'seen': seen, 'id': context.aws_request_id,
            'trace': os.environ['_X_AMZN_TRACE_ID'], 'process': os.getpid()}
"""


class SeveralGuest(Guest):
    """Any number of events on their way; frames tell whose they are."""

    def event(self, n, **event):
        body = json.dumps({"n": n, **event}).encode()
        texts = [f"request-{n}".encode(), b"arn", f"Root={n};Sampled=1".encode()]
        head = struct.pack("<qHHHHII", 4102444800000, *map(len, texts), 0, 0, 0)
        body = head + b"".join(texts) + body
        return HEAD.pack(len(body), INVOKE, n) + body

    def numbered(self):
        length, kind, number = HEAD.unpack(self._exact(HEAD.size))
        body = self._exact(length)
        if kind in (READY, PART, STREAM_END):
            return kind, number, "", body
        size = struct.unpack_from("<H", body)[0]
        return kind, number, body[2 : 2 + size].decode(), body[2 + size :]

    def answers(self, count):
        """{number: (kind, label, what it says)}"""
        found = {}
        for _ in range(count):
            kind, number, label, body = self.numbered()
            try:
                found[number] = (kind, label, json.loads(body))
            except ValueError:
                found[number] = (kind, label, body.decode())
        return found


def same(found, wanted, what):
    if found != wanted:
        raise Wrong(f"{what}: {found!r}, not {wanted!r}")


def ready(guest):
    same(guest.numbered()[0], READY, "the first frame")


def overlap(guest, processes):
    ready(guest)
    events = b"".join(guest.event(n, barrier=MOST) for n in range(1, MOST + 1))
    for cut in (7, 100, len(events)):  # frames need not come whole
        guest.put(events[:cut])
        events = events[cut:]
    found = guest.answers(MOST)
    same(sorted(found), list(range(1, MOST + 1)), "who was answered")
    for n, (kind, _, body) in found.items():
        same((kind, body["n"], body["id"]), (RESPONSE, n, f"request-{n}"), "an answer")
        same(body["trace"], f"Root={n};Sampled=1", "its trace")
        same(body.get("store", body["id"]), body["id"], "its store")
    seen = sorted(body["seen"] for _, _, body in found.values())
    same(seen, [1] * MOST if processes else list(range(1, MOST + 1)), "what modules saw")
    _, _, records = guest.end()
    lines = [json.loads(text) for _, text, _ in records]
    same(sorted((line["requestId"], line["message"].split()[-1]) for line in lines),
           sorted((f"request-{n}", str(n)) for n in range(1, MOST + 1)), "lines")


def errors(guest, _processes):
    ready(guest)
    guest.put(guest.event(1, pad="x" * 300000) + guest.event(2, **{"raise": 1}) + guest.event(3))
    found = guest.answers(3)
    same([found[n][0] for n in (1, 2, 3)], [RESPONSE, ERROR, RESPONSE], "answers")
    same(found[2][2]["errorMessage"], "raised", "the error")
    guest.end()


def crash(guest, processes):
    ready(guest)
    guest.put(guest.event(1, exit=3) + guest.event(2, hang=1, kill=11))
    if not processes:
        same(guest.collect()[0], 3, "the exit status")
        return
    found = guest.answers(2)
    same(found[1][:2], (ERROR, "Runtime.ExitError"), "a process that ends")
    same(found[1][2], "Runtime exited with error: exit status 3", "why")
    same(found[2][2], "Runtime exited with error: signal: segmentation fault", "why")
    guest.put(b"".join(guest.event(n) for n in range(3, 23)))
    same(sorted(guest.answers(20)), list(range(3, 23)), "what others answer")
    guest.end()


def uncaught(guest, _processes):
    ready(guest)
    guest.put(guest.event(1, hang=1) + guest.event(2, hang=1, late=1))
    found = guest.answers(1)
    same((found[2][0], found[2][2]["errorMessage"]), (ERROR, "late"), "whose error it is")
    code, _, records = guest.collect()
    same(code, 129, "the exit status")
    same(json.loads(records[-1][1])["requestId"], "request-2", "whose line it is")


def plain(guest, _processes):
    ready(guest)
    guest.put(guest.event(1) + guest.event(2))
    same({n: body for n, (_, _, body) in guest.answers(2).items()}, {1: {"n": 1}, 2: {"n": 2}},
           "answers")
    guest.end()


def refused(guest, _processes):
    kind, _, label, _ = guest.numbered()
    same((kind, label), (INIT_ERROR, "Runtime.CallbackHandlerDeprecated"), "the init")
    guest.end()


def init_fails(guest, _processes):
    kind, _, label, _ = guest.numbered()
    same((kind, label), (INIT_ERROR, "Runtime.HandlerNotFound"), "the init")
    same(guest.collect()[0] != 0, True, "the exit status")


def streams(guest, _processes):
    ready(guest)
    guest.put(guest.event(1, parts=40) + guest.event(2, parts=3))
    sizes, done, free = {1: 0, 2: 0}, set(), {1: 2 * WINDOW, 2: 2 * WINDOW}
    while done != {1, 2}:
        kind, number, _, body = guest.numbered()
        if kind == PART:
            sizes[number] += len(body)
            free[number] -= len(body)
            same(free[number] >= 0, True, "credit")
            same(set(body), {ord(str(number))}, "whose bytes")
            if free[number] < WINDOW and 2 in done:  # nothing until the other is through
                guest.put(HEAD.pack(4, CREDIT, number) + struct.pack("<I", WINDOW))
                free[number] += WINDOW
        elif kind == RESPONSE:
            done.add(number)
            if number == 2:
                guest.put(HEAD.pack(4, CREDIT, 1) + struct.pack("<I", WINDOW))
                free[1] += WINDOW
        else:
            same(kind in (STREAM, STREAM_END), True, "a frame")
    same(sizes, {1: 400000, 2: 30000}, "sizes")
    guest.end()


NODE_CASES = {"handler": [overlap, errors, crash, uncaught], "plain": [plain],
              "callback": [refused], "missing": [init_fails], "stream": [streams]}
PYTHON_CASES = {"handler": [overlap, errors, crash], "missing": [init_fails]}


def guests(options):
    """(program, arguments, file name, its text, cases, whether it runs processes)"""
    runtimes = os.path.abspath(options.runtimes)
    found = run.interpreters(
        types.SimpleNamespace(node=[], python=[], host="", ric="", pric=""), runtimes)
    seen = set()
    for program, _, table, _, _ in found:
        if program in seen or "(" in program:
            continue
        seen.add(program)
        if table is run.cases_node:
            yield (program, [f"{runtimes}/nodejs/bootstrap.js"], "index.js", NODE, NODE_CASES,
                   False)
        elif table is run.cases_python:
            argv = ["-S", "-s", f"{runtimes}/python/bootstrap.py"]
            yield program, argv, "index.py", PYTHON, PYTHON_CASES, True


def run_one(argv, file, text, handler, check, processes):
    with tempfile.TemporaryDirectory(prefix="mayfly-several-") as folder:
        pathlib.Path(folder, file).write_text(text, encoding="utf-8")
        env = dict(ENVIRONMENT, _HANDLER=f"index.{handler}", LAMBDA_TASK_ROOT=folder,
                   AWS_LAMBDA_LOG_FORMAT="JSON", AWS_LAMBDA_MAX_CONCURRENCY=str(MOST),
                   PYTHONDONTWRITEBYTECODE="1")
        guest = SeveralGuest(argv, env, folder)
        try:
            check(guest, processes)
        finally:
            guest.socket.close()
            if guest.process.poll() is None:
                guest.process.wait(20)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--runtimes", default=str(HERE.parents[1] / "runtimes"))
    parser.add_argument("--only", default="")
    options = parser.parse_args()
    passed = failed = 0
    for program, argv, file, text, cases, processes in guests(options):
        for handler, checks in cases.items():
            for check in checks:
                if options.only not in check.__name__:
                    continue
                try:
                    run_one([program, *argv], file, text, handler, check, processes)
                    passed += 1
                except Exception as error:  # pylint: disable=broad-except
                    failed += 1
                    said = str(error) if isinstance(error, Wrong) else traceback.format_exc()
                    print(f"FAILED {program}: {check.__name__}: {said}")
    print(f"{passed} passed, {failed} failed, 0 skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
