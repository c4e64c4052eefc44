"""What the benches that drive the built server have in common: a server in dev mode, functions in
it, processor time of process trees, windows in which other processes kept the machine busy."""
import base64
import json
import os
import pathlib
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

import cases

ROOT = pathlib.Path(__file__).resolve().parents[1]
PROGRAM = os.environ.get("MAYFLY_PROGRAM", str(ROOT / "build/release/mayfly"))
API = "/2015-03-31/functions"
# In dev mode the signature of the key "test" is not compared.
HEADERS = {
    "X-Amz-Date": time.strftime("%Y%m%dT%H%M%SZ", time.gmtime()),
    "Authorization": "AWS4-HMAC-SHA256 Credential=test/" + time.strftime("%Y%m%d", time.gmtime()) +
                     "/us-east-1/lambda/aws4_request, SignedHeaders=host;x-amz-date, Signature=" +
                     "0" * 64,
    "Content-Type": "application/json",
}
# More than one processor's share, so that the cloud's processor formula limits nobody here.
MEMORY_MB = 3008
# Peers start as functions do, without the caller's settings (extra certificates, preloads).
CLEAN_ENVIRONMENT = {"PATH": os.environ["PATH"], "LANG": "en_US.UTF-8"}
TICKS = os.sysconf("SC_CLK_TCK")


def packed(files, folders=()):
    """{name: text or bytes}, and what lies in the folders, as the base64 of a zip."""
    return base64.b64encode(cases.pack(files, folders)).decode()


class Server:
    """A server of our own on a free port; end it with close()."""

    def __init__(self, cpu=None, options=()):
        self.data = tempfile.mkdtemp(prefix="mayfly-bench-")
        command = [PROGRAM, "server", "--dev", "--listen", "127.0.0.1:0", "--data", self.data,
                   # What is measured is the machine, not the cloud's quotas.
                   "--requests-per-concurrency", "0", "--scaling-environments", "0", *options]
        if cpu is not None:
            command = ["taskset", "-c", str(cpu)] + command
        self.log = open(os.path.join(self.data, "server.log"), "w+", encoding="utf-8")
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=self.log, text=True)
        self.url = None
        for line in self.process.stdout:
            found = re.search(r"http://(127\.0\.0\.1:\d+)", line)
            if found:
                self.url = "http://" + found[1]
                break
        if not self.url:
            self.log.seek(0)
            sys.exit("the server did not start:\n" + self.log.read())

    @property
    def pid(self):
        return self.process.pid

    def call(self, method, path, body=None, timeout=60):
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data=data, headers=HEADERS, method=method)
        try:
            with urllib.request.urlopen(request, timeout=timeout) as answer:
                return answer.read()
        except urllib.error.HTTPError as error:
            sys.exit(f"{method} {path}: {error.code} {error.read().decode()}")

    def create(self, name, runtime, handler, files, zips=(), environment=None, timeout=30):
        """A function of these files, and of what lies in the folders `zips`."""
        self.call("POST", API, {
            "FunctionName": name, "Runtime": runtime, "Handler": handler,
            "Timeout": timeout,
            "Role": "arn:aws:iam::000000000000:role/bench", "MemorySize": MEMORY_MB,
            "Environment": {"Variables": environment or {}},
            "Code": {"ZipFile": packed(files, zips)}})
        while True:
            state = json.loads(self.call("GET", f"{API}/{name}/configuration"))["State"]
            if state == "Active":
                return
            if state == "Failed":
                sys.exit(f"the function {name} failed to become active")
            time.sleep(0.02)

    def metric(self, name):
        """The sum of a metric's samples."""
        text = self.call("GET", "/_mayfly/metrics").decode()
        values = re.findall(rf"^{name}(?:{{.*}})? (\S+)$", text, re.M)
        return sum(map(float, values))

    def close(self, kill=False):
        """`kill`: what runs is not waited for."""
        self.process.kill() if kill else self.process.terminate()
        self.process.wait(30)
        self.log.close()
        shutil.rmtree(self.data, ignore_errors=True)


def process_tree(root):
    """The pids of a process and of all below it."""
    children = {}
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            with open(f"/proc/{entry}/stat", encoding="utf-8", errors="replace") as file:
                parent = int(file.read().rpartition(")")[2].split()[1])
        except OSError:
            continue
        children.setdefault(parent, []).append(int(entry))
    out, todo = [], [root]
    while todo:
        pid = todo.pop()
        out.append(pid)
        todo += children.get(pid, [])
    return out


def tree_seconds(root):
    """Processor time of the living threads of a process and of all below it, by the scheduler's own
    clock (nanoseconds, not ticks)."""
    total = 0
    for pid in process_tree(root):
        try:
            for thread in os.listdir(f"/proc/{pid}/task"):
                with open(f"/proc/{pid}/task/{thread}/schedstat", encoding="utf-8") as file:
                    total += int(file.read().split()[0])
        except OSError:
            continue  # it has ended meanwhile
    return total / 1e9


def busy_seconds():
    """Processor time the whole machine has used, without idling and waiting."""
    with open("/proc/stat", encoding="utf-8") as file:
        fields = [int(field) for field in file.readline().split()[1:]]
    return (sum(fields[:8]) - fields[3] - fields[4]) / TICKS


def median(values):
    return statistics.median(values) if values else None


def spread(values, digits=2):
    if not values:
        return None
    return {"min": round(min(values), digits), "median": round(median(values), digits),
            "max": round(max(values), digits)}


def report(result, as_json, lines):
    """One line of JSON; for people a few lines before it."""
    if not as_json:
        print("\n".join(lines))
    print(json.dumps(result))
