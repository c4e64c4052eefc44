#!/usr/bin/env python3
"""What calls take of the machine: in the REPORT line, in the metrics, and in `mayfly top`."""
import json
import pathlib
import re
import subprocess
import sys
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
import harness  # noqa: E402
from harness import Compat, client_env, log_tail, PROGRAM  # noqa: E402

BUSY = {"lambda_function.py": (
    "import time\n"
    "def lambda_handler(event, context):\n"
    "    end = time.process_time() + event.get('cpu', 0)\n"
    "    while time.process_time() < end:\n        pass\n"
    "    time.sleep(event.get('sleep', 0))\n"
    "    return 'x' * event.get('answer', 0)\n")}
CLOUD = (r"^REPORT RequestId: [0-9a-f-]{36}\tDuration: [\d.]+ ms\tBilled Duration: \d+ ms\t"
         r"Memory Size: \d+ MB\tMax Memory Used: \d+ MB\t(Init Duration: [\d.]+ ms\t)?")


class Meter(Compat):
    def report(self, name, payload):
        _, answer = self.invoke(name, payload, LogType="Tail")
        line = next(x for x in log_tail(answer).split("\n") if x.startswith("REPORT"))
        match = re.match(CLOUD, line)
        self.assertTrue(match, line)
        extra = dict(field.split(": ") for field in line[match.end():].split("\t") if field)
        return match, extra

    def test_report_line(self):
        name = self.create(files=BUSY, MemorySize=1769)
        first, extra = self.report(name, {"answer": 100})
        self.assertTrue(first[1])
        self.assertRegex(extra["Init Share"], r"^\d+ %$")
        self.assertEqual(extra["Bytes In"], str(len(json.dumps({"answer": 100}))))
        self.assertEqual(extra["Bytes Out"], "102")
        second, extra = self.report(name, {"cpu": 0.2})
        self.assertFalse(second[1])
        self.assertNotIn("Init Share", extra)
        if "CPU" not in extra:
            self.skipTest("this machine counts no processor time")
        busy = float(extra["CPU"].split()[0])
        self.assertGreater(busy, 150)
        _, extra = self.report(name, {"sleep": 0.3})
        self.assertLess(float(extra["CPU"].split()[0]), busy)

    def test_json_report_keeps_the_clouds_fields_first(self):
        name = self.create(files=BUSY, LoggingConfig={"LogFormat": "JSON"})
        _, answer = self.invoke(name, {"sleep": 0.01}, LogType="Tail")
        lines = [json.loads(x) for x in log_tail(answer).split("\n") if x.startswith("{")]
        metrics = next(x for x in lines if x["type"] == "platform.report")["record"]["metrics"]
        self.assertEqual(list(metrics)[:5], ["durationMs", "billedDurationMs", "memorySizeMB",
                                             "maxMemoryUsedMB", "initDurationMs"])
        self.assertIn("bytesOut", metrics)

    def top(self, *arguments):
        run = subprocess.run([PROGRAM, "top", *arguments], env=client_env(self.server.url),
                             capture_output=True, text=True, timeout=60)
        self.assertEqual(run.returncode, 0, run.stderr)
        return run.stdout

    def test_top(self):
        busy, idle = self.create(files=BUSY), self.create(files=BUSY)
        for _ in range(3):
            self.invoke(busy, {"cpu": 0.05, "answer": 10})
        self.invoke(idle)
        loads = {load["FunctionName"]: load for load in json.loads(self.top("--once", "--json"))}
        self.assertEqual(loads[busy]["Calls"], 3)
        self.assertEqual(loads[busy]["Errors"], 0)
        self.assertEqual(loads[busy]["BytesOut"], 36)
        self.assertGreater(loads[busy]["MemoryUsedBytes"], 1 << 20)
        self.assertGreater(loads[busy]["DurationSeconds"], 0.1)
        lines = self.top("--once", "--sort", "time").splitlines()
        self.assertTrue(lines[0].startswith("FUNCTION"))
        names = [line.split()[0] for line in lines[1:]]
        self.assertLess(names.index(busy), names.index(idle))
        bad = subprocess.run([PROGRAM, "top", "--sort", "colour"], text=True,
                             env=client_env(self.server.url), capture_output=True)
        self.assertEqual(bad.returncode, 1)
        self.assertIn("cannot sort by 'colour'", bad.stderr)

    def test_top_live(self):
        name = self.create(files=BUSY)
        with subprocess.Popen([PROGRAM, "top", "--json", "-i", "0.2"], text=True,
                              env=client_env(self.server.url), stdout=subprocess.PIPE) as live:
            calls = 0
            try:
                while calls < 2:
                    self.invoke(name)
                    found = [load for load in json.loads(live.stdout.readline())
                             if load["FunctionName"] == name]
                    calls += sum(load["Calls"] for load in found)
            finally:
                live.terminate()

    def test_metrics(self):
        name = self.create(files=BUSY)
        self.invoke(name, {"cpu": 0.02})
        with urllib.request.urlopen(self.server.url + "/_mayfly/metrics", timeout=10) as answer:
            text = answer.read().decode()
        for family in ("mayfly_invocation_cpu_seconds_total", "mayfly_invocation_bytes_total",
                       "mayfly_invocation_page_faults_total"):
            self.assertRegex(text, family + r'{[^}]*function="' + name)


if __name__ == "__main__":
    harness.main()
