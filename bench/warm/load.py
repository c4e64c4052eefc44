"""One window of load by wrk, and what it cost the contender."""
import os
import pathlib
import re
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
import harness  # noqa: E402

QUIET_PERCENT = 5
QUIET_TRIES = 3


def body_of(size):
    """An event of so many bytes with a short message, so that answers stay small."""
    event = '{"message":"' + "m" * 40 + '","other":"' + "o" * 30 + '"}'
    return event[:-2] + "o" * max(0, size - len(event)) + '"}'


def write_script(folder, name, body, paths=()):
    """A wrk script; with several paths the requests go round them."""
    lines = ['wrk.method = "POST"', f"wrk.body = '{body}'"]
    lines += [f'wrk.headers["{name}"] = "{value}"' for name, value in harness.HEADERS.items()]
    if paths:
        lines += ["local paths = {" + ",".join(f'"{path}"' for path in paths) + "}", "local n = 0",
                  "function request()", "  n = n % #paths + 1",
                  "  return wrk.format(nil, paths[n])", "end"]
    lines += ["function done(summary, latency)",
              '  io.write(string.format("RESULT %d %d %d %d %d\\n", summary.requests,',
              "    summary.duration, latency:percentile(50), latency:percentile(99),",
              "    summary.errors.status + summary.errors.read + summary.errors.timeout))",
              "end"]
    path = pathlib.Path(folder) / f"{name}.lua"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def one_round(url, pid, connections, seconds, script, cpu=0):
    command = ["taskset", "-c", str(cpu), "wrk", "-t1", f"-c{connections}", f"-d{seconds}s",
               "--timeout", "20s", "-s", str(script), url]
    tree, busy, begun = harness.tree_seconds(pid), harness.busy_seconds(), time.monotonic()
    own = os.times()
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    took = time.monotonic() - begun
    used = harness.tree_seconds(pid) - tree
    now = os.times()
    load = (now.children_user + now.children_system) - (own.children_user + own.children_system)
    others = max(0.0, harness.busy_seconds() - busy - used - load)
    requests, duration, p50, p99, errors = map(
        int, re.search(r"RESULT (\d+) (\d+) (\d+) (\d+) (\d+)", out).groups())
    if errors or not requests:
        sys.exit(f"{errors} of {requests} requests failed at {url}:\n{out}")
    return {"cpu_us": used / requests * 1e6, "per_second": requests / duration * 1e6,
            "p50_us": p50, "p99_us": p99,
            "others_percent": 100 * others / took / os.cpu_count()}


def quiet_round(*arguments):
    """The quietest of a few windows; the first without other load ends the search."""
    best = None
    for _ in range(QUIET_TRIES):
        result = one_round(*arguments)
        if best is None or result["others_percent"] < best["others_percent"]:
            best = result
        if best["others_percent"] <= QUIET_PERCENT:
            break
    return best


def summary(rounds):
    quiet = [r for r in rounds if r["others_percent"] <= QUIET_PERCENT]
    used = quiet if len(quiet) >= 2 else rounds
    out = {key: harness.spread([r[key] for r in used], 1)
           for key in ("cpu_us", "per_second", "p50_us", "p99_us")}
    out.update(rounds=len(used), quiet=len(quiet) >= 2,
               others_percent=round(harness.median([r["others_percent"] for r in used]), 1))
    return out
