"""System calls per request of the server and of its guests, counted by strace -c."""
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
import harness  # noqa: E402
import load  # noqa: E402

SECONDS = 3
SHOWN = 0.02  # calls per request below this are left out


def guests(server_pid):
    """Processes of the jails: those below the server that are no program of ours."""
    out = []
    for pid in harness.process_tree(server_pid):
        try:
            name = pathlib.Path(f"/proc/{pid}/comm").read_text(encoding="utf-8").strip()
        except OSError:
            continue
        if not name.startswith("mayfly"):
            out.append(pid)
    return out


def traced(pids, url, pid, connections, script):
    """Calls by name while wrk runs, and the number of requests."""
    with tempfile.NamedTemporaryFile("r", encoding="utf-8") as table:
        command = ["strace", "-f", "-qq", "-c", "-o", table.name]
        for each in pids:
            command += ["-p", str(each)]
        trace = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        time.sleep(0.5)
        done = load.one_round(url, pid, connections, SECONDS, script)
        trace.send_signal(signal.SIGINT)
        trace.wait(20)
        rows = re.findall(r"^\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+)\s+(?:\d+\s+)?(\w+)$",
                          table.read(), re.MULTILINE)
    requests = done["per_second"] * SECONDS
    return {name: round(int(count) / requests, 2) for count, name in rows
            if name != "total" and int(count) / requests >= SHOWN}


def measure(contenders, script):
    if not shutil.which("strace"):
        return {"skipped": "strace is not installed"}
    out = {}
    for name, (url, pid) in contenders.items():
        for connections in (1, 16):
            load.one_round(url, pid, connections, 2, script)
            part = {"server": traced([pid], url, pid, connections, script)}
            inside = guests(pid)
            if inside:
                part["guests"] = traced(inside, url, pid, connections, script)
            out[f"{name}_{connections}"] = part
    return out


def lines_of(result):
    if "skipped" in result:
        return [result["skipped"]]
    out = []
    for name, part in result.items():
        for who, calls in part.items():
            found = "  ".join(f"{call} {count}" for call, count in calls.items())
            out.append(f"{name:10} {who:7} {sum(calls.values()):5.2f} per request: {found}")
    return out
