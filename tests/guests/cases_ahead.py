"""Events ahead (src/guest/lambda/lean.h): what guests do with further events that lie in the pipe
while one runs. A case drives its guest by hand."""

import json
import time

from lean_driver import RESPONSE, RETURNED


def sent(guest, count, limit_ms=60000):
    """The first event as one for now, the others ahead of it."""
    guest.send(b'{"n": 0}', deadline_ms=int(time.time() * 1000) + limit_ms)
    for number in range(1, count):
        guest.send(json.dumps({"n": number}).encode(), ahead=True, deadline_ms=limit_ms)


def in_order(guest):
    assert guest.refusal == "", guest.refusal
    sent(guest, 8)
    for number in range(8):
        sequence, kind, _, body = guest.numbered()
        assert (sequence, kind, json.loads(body)) == (number + 1, RESPONSE, number), body
        assert guest.unread is False
    assert guest.in_memory == (8 if guest.maps else 0)


def busy_time(guest):
    """Waiting counts, and computing; from the second long call on by the guest's own account."""
    for number in range(8):
        guest.send(json.dumps({"n": number}).encode())
        assert guest.numbered()[1] == RESPONSE
        least = 1000 if number % 2 else 5000
        assert guest.busy_micros >= least, (number, guest.busy_micros)
    for _ in range(100):
        guest.send(b'{"n": -1}')
        assert guest.numbered()[1] == RESPONSE
    # Not by the clock: this machine may have been busy.
    assert guest.busy_micros < 5000, guest.busy_micros


def one_at_a_time(guest):
    """While a call is under way nothing behind it is taken: all of it can be called back."""
    sent(guest, 4)
    time.sleep(0.05)
    assert [guest.take_back() for _ in range(4)] == [2, 3, 4, None]
    assert guest.numbered()[:2] == (1, RESPONSE)


def returned_after_output(guest):
    """What the call before has written is read by nobody here: the guest takes none ahead."""
    sent(guest, 3)
    assert guest.numbered()[:2] == (1, RESPONSE)
    assert guest.unread is True
    assert guest.numbered()[:2] == (2, RETURNED)
    assert guest.numbered()[:2] == (3, RETURNED)
    guest.send(b'{"n": 3}')
    assert guest.numbered()[:2] == (4, RESPONSE)


def deadline_from_taking(guest):
    """Of an event ahead the time counts from when the guest takes it."""
    sent(guest, 2, limit_ms=5000)
    guest.numbered()
    left = json.loads(guest.numbered()[3])
    assert 4000 < left <= 5000, left


def large_between_small(guest):
    for size in (10, 5000, 3_000_000, 10):
        guest.send(json.dumps("x" * size).encode())
        kind, _, body = guest.frame()
        assert kind == RESPONSE and json.loads(body) == size, body[:100]


def case(files, drive, **more):
    return dict(files=files, drive=drive, **more)


def node(body):
    return {"index.js": "exports.handler = " + body}


def python(body):
    return {"app.py": "import logging, time\ndef handler(event, context):\n" + body}


NODE = {
    "in order": case(node("async (e) => e.n"), in_order),
    "a turn of the loop between two": case(
        node(
            "async () => { const seen = ran; setImmediate(() => { ran += 1 }); return seen };"
            "let ran = 0;"
        ),
        in_order,
    ),
    "what is ready runs between two": case(
        node(
            "async () => { const seen = ran;"
            " Promise.resolve().then(() => {}).then(() => process.nextTick(() => { ran += 1 }));"
            " return seen };"
            "let ran = 0;"
        ),
        in_order,
    ),
    "busy time": case(
        node(
            "async (e) => {"
            " if (e.n < 0) return;"
            " if (e.n % 2 === 0) return new Promise((done) => setTimeout(done, 6));"
            # Of all threads: compilers' too, which may have most of the first milliseconds.
            " const begun = process.cpuUsage();"
            " while (process.cpuUsage(begun).user + process.cpuUsage(begun).system < 20000);"
            "}"
        ),
        busy_time,
    ),
    "one at a time": case(
        node("(e) => new Promise((done) => setTimeout(() => done(e.n), e.n ? 0 : 300))"),
        one_at_a_time,
    ),
    "returned after a log line": case(
        node("async (e) => { if (e.n === 0) console.log('line'); return e.n }"),
        returned_after_output,
        hold_logs=True,
    ),
    "deadline from taking": case(
        node("async (e, context) => context.getRemainingTimeInMillis()"), deadline_from_taking
    ),
    "large between small": case(node("async (e) => e.length"), large_between_small),
}
PYTHON = {
    "in order": case(python("  return event['n']\n"), in_order),
    "busy time": case(
        python(
            "  n = event['n']\n"
            "  if n >= 0 and n % 2 == 0: time.sleep(0.006)\n"
            "  begun = time.thread_time()\n"
            "  while n % 2 == 1 and n > 0 and time.thread_time() < begun + 0.003: pass\n"
        ),
        busy_time,
    ),
    "one at a time": case(
        python("  if not event['n']: time.sleep(0.3)\n  return event['n']\n"), one_at_a_time
    ),
    "returned after a log line": case(
        python(
            "  if not event['n']: logging.getLogger().warning('line')\n  return event['n']\n"
        ),
        returned_after_output,
        hold_logs=True,
    ),
    "deadline from taking": case(
        python("  return context.get_remaining_time_in_millis()\n"), deadline_from_taking
    ),
    "large between small": case(python("  return len(event)\n"), large_between_small),
}
