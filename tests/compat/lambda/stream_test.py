#!/usr/bin/env python3
"""Streamed answers: InvokeWithResponseStream and function URLs with RESPONSE_STREAM."""
import concurrent.futures
import json
import pathlib
import re
import shutil
import subprocess
import sys
import time
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
sys.path.insert(0, str(pathlib.Path(__file__).parent))
import harness  # noqa: E402
from harness import Compat, log_tail, ROOT  # noqa: E402
from stream_functions import BOOTSTRAP, HANDLER  # noqa: E402

MIB = 1 << 20
# Buffers of the system between a function and a client that rests: its own receive buffer and ours.
SYSTEM_BUFFERS_MIB = 24
# What the server's memory may grow by while one client takes 100 MB slowly.
GROWTH_MIB = 24


class Streaming(Compat):
    def setUp(self):
        if "nodejs" not in harness.machine_runtimes():
            self.skipTest("no Node.js on this machine")

    def function(self, files=None, runtime="nodejs20.x", handler="index.handler", **more):
        more.setdefault("Timeout", 20)
        return self.create(runtime, files or {"index.js": HANDLER}, handler, **more)

    def stream(self, name, event, **more):
        """([parts], the InvokeComplete event, the whole answer)"""
        answer = self.client().invoke_with_response_stream(
            FunctionName=name, Payload=json.dumps(event), LogType="Tail", **more)
        parts, complete = [], None
        for one in answer["EventStream"]:
            self.assertIsNone(complete, "something came behind InvokeComplete")
            if "PayloadChunk" in one:
                parts.append((time.time() * 1000, one["PayloadChunk"]["Payload"]))
            complete = one.get("InvokeComplete")
        self.assertIsNotNone(complete, "the stream did not say that it was complete")
        return parts, complete, answer

    def text(self, name, event, **more):
        parts, complete, _ = self.stream(name, event, **more)
        return b"".join(part for _, part in parts), complete

    def memory_mib(self):
        status = pathlib.Path(f"/proc/{self.server.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024

    def check_slow(self, body, rested, growth):
        self.assertEqual(len(body), 100 * MIB)
        ahead = sum(int(body[i * MIB:i * MIB + 16]) < rested for i in range(100))
        print(f"the function was {ahead} MiB ahead of a client that rests; "
              f"the server grew by {growth:.1f} MiB")
        self.assertLess(ahead, SYSTEM_BUFFERS_MIB, "the function did not wait for its client")
        self.assertLess(growth, GROWTH_MIB, "the server keeps what its client does not take")


class Invoke(Streaming):
    def test_parts_arrive_while_the_function_runs(self):
        parts, complete, answer = self.stream(self.function(), {"mode": "stamps"})
        self.assertEqual((answer["StatusCode"], answer["ExecutedVersion"]), (200, "$LATEST"))
        self.assertEqual(answer["ResponseMetadata"]["HTTPHeaders"]["content-type"],
                         "application/vnd.amazon.eventstream")
        made = [int(stamp) for _, part in parts for stamp in part.split()]
        self.assertEqual(len(made), 5)
        self.assertLess(parts[0][0], made[-1], "the first part came when the last was made")
        self.assertNotIn("ErrorCode", complete)
        report = re.search(r"REPORT RequestId: \S+\tDuration: ([0-9.]+) ms", log_tail(complete))
        self.assertGreaterEqual(float(report[1]), made[-1] - made[0],
                                "the call lasts until its stream ends")

    def test_ways_to_write(self):
        name = self.function()
        for mode, wanted in (("pipe", b"xyz"), ("json", b'{"a":[1]}'), ("late", b"late")):
            with self.subTest(mode):
                body, complete = self.text(name, {"mode": mode})
                self.assertEqual(body, wanted)
                self.assertNotIn("ErrorCode", complete)

    def test_plain_invoke_collects_the_stream(self):
        name = self.function()
        self.assertEqual(self.invoke(name, {"mode": "pipe"})[0], b"xyz")
        value, answer = self.invoke(name, {"mode": "middle"})
        self.assertEqual((value["errorType"], answer["FunctionError"]), ("TypeError", "Unhandled"))
        value, answer = self.invoke(name, {"mode": "big", "pieces": 7})
        self.assertEqual(value["errorType"], "Function.ResponseSizeTooLarge")
        self.assertEqual(self.invoke(name, {"mode": "pipe"})[0], b"xyz", "it serves on")

    def test_a_function_that_does_not_stream_answers_one_part(self):
        name = self.create()
        parts, complete, _ = self.stream(name, {"a": 1})
        self.assertEqual([json.loads(part)["event"] for _, part in parts], [{"a": 1}])
        self.assertNotIn("ErrorCode", complete)
        name = self.create(files={"lambda_function.py": "def lambda_handler(e, c):\n    1 / 0\n"})
        parts, complete, _ = self.stream(name, {})
        self.assertEqual(parts, [])
        self.assertEqual(json.loads(complete["ErrorDetails"])["errorType"], "ZeroDivisionError")

    def test_errors_before_and_in_the_middle(self):
        name = self.function(Timeout=3)
        for mode, sent, code, details in (
                ("early", b"", "Function.Unknown", "nothing was written"),
                ("middle", b"first", "Function.Unknown", "in the middle"),
                ("broken", b"x", "Function.Unknown", "the source broke"),
                ("open", b"first", "Function.Unknown", "Response stream is not finished."),
                ("uncaught", b"first", "Function.Unknown", "nobody catches this"),
                ("exit", b"first", "Runtime.ExitError", "exit status 3"),
                ("killed", b"first", "Runtime.ExitError", "signal: killed"),
                ("hang", b"first", "Sandbox.Timedout", "timed out after 3.00 seconds")):
            with self.subTest(mode):
                body, complete = self.text(name, {"mode": mode})
                self.assertEqual((body, complete["ErrorCode"]), (sent, code))
                self.assertIn(details, json.loads(complete["ErrorDetails"])["errorMessage"])
                self.assertIn("REPORT RequestId", log_tail(complete))
                # A process that ends behind its answer may still be handed a call.
                self.eventually(lambda: self.text(name, {"mode": "pipe"})[0] == b"xyz")

    def test_an_error_of_a_function_that_waits_for_its_client(self):
        name = self.function(MemorySize=256)
        for _ in range(2):
            answer = self.client().invoke_with_response_stream(FunctionName=name,
                                                               Payload='{"mode":"stuck"}')
            self.eventually(lambda: self.busy() == 0, 10)
            events = list(answer["EventStream"])
            self.assertEqual(json.loads(events[-1]["InvokeComplete"]["ErrorDetails"])[
                "errorMessage"], "stuck")
        self.assertEqual(self.text(name, {"mode": "pipe"})[0], b"xyz")

    def busy(self):
        with urllib.request.urlopen(self.server.url + "/_mayfly/health", timeout=10) as answer:
            return json.load(answer)["busy"]

    def test_the_call_ends_when_the_event_loop_is_empty_unless_told_otherwise(self):
        name = self.function()
        body, complete = self.text(name, {"mode": "linger"})
        self.assertEqual(body, b"x")
        self.assertIn("lingered", log_tail(complete))
        body, complete = self.text(name, {"mode": "linger", "wait": "no"})
        self.assertNotIn("lingered", log_tail(complete))

    def test_versions_aliases_dry_runs_and_refusals(self):
        client, name = self.client(), self.function()
        version = client.publish_version(FunctionName=name)["Version"]
        client.create_alias(FunctionName=name, Name="live", FunctionVersion=version)
        _, _, answer = self.stream(name, {"mode": "pipe"}, Qualifier="live")
        self.assertEqual(answer["ExecutedVersion"], version)
        dry = client.invoke_with_response_stream(FunctionName=name, InvocationType="DryRun")
        self.assertEqual(dry["StatusCode"], 204)
        call = client.invoke_with_response_stream
        self.refused("ResourceNotFoundException", call, FunctionName=name, Qualifier="none")
        self.refused("InvalidRequestContentException", call, FunctionName=name, Payload="{")
        self.refused("RequestTooLargeException", call, FunctionName=name,
                     Payload='"' + "x" * 6 * MIB + '"')
        self.refused("ValidationException", call, FunctionName=name, InvocationType="Event")
        client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
        self.refused("TooManyRequestsException", call, FunctionName=name)
        stranger = self.client(key="111122223333")
        arn = client.get_function(FunctionName=name)["Configuration"]["FunctionArn"]
        client.delete_function_concurrency(FunctionName=name)
        self.refused("AccessDeniedException", stranger.invoke_with_response_stream,
                     FunctionName=arn)
        client.add_permission(FunctionName=name, StatementId="them", Principal="111122223333",
                              Action="lambda:InvokeFunction")
        answer = stranger.invoke_with_response_stream(FunctionName=arn,
                                                      Payload='{"mode":"pipe"}')
        self.assertIn("InvokeComplete", list(answer["EventStream"])[-1])

    def test_many_at_one_time_in_forked_environments(self):
        name = self.function()
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            for _ in range(3):
                events = [{"mode": "big", "pieces": 3}] * 8
                for body, complete in pool.map(lambda event: self.text(name, event), events):
                    self.assertEqual(len(body), 3 * MIB)
                    self.assertNotIn("ErrorCode", complete)

    def test_more_than_200_mb_breaks_off(self):
        body, complete = self.text(self.function(Timeout=60, MemorySize=512),
                                   {"mode": "big", "pieces": 201})
        self.assertEqual(complete["ErrorCode"], "Function.ResponseSizeTooLarge")
        self.assertIn("209715200 bytes", complete["ErrorDetails"])
        self.assertLessEqual(len(body), 200 * MIB)

    def test_a_slow_client_makes_the_function_wait(self):
        name = self.function(Timeout=60, MemorySize=512)
        self.text(name, {"mode": "big", "pieces": 10})
        before = self.memory_mib()
        answer = self.client().invoke_with_response_stream(
            FunctionName=name, Payload='{"mode":"big","pieces":100}')
        body, most = bytearray(), 0
        rested = None
        for one in answer["EventStream"]:
            body += one.get("PayloadChunk", {}).get("Payload", b"")
            self.assertNotIn("ErrorCode", one.get("InvokeComplete", {}))
            if rested is None and len(body) > MIB:
                for _ in range(15):
                    time.sleep(0.1)
                    most = max(most, self.memory_mib())
                rested = time.time() * 1000
        self.check_slow(body, rested, max(most, self.memory_mib()) - before)

    def test_sdk_for_javascript(self):
        node, npm = shutil.which("node"), shutil.which("npm")
        if not node or not npm:
            self.skipTest("no node or npm")
        kept = ROOT / "build/compat-node"
        kept.mkdir(parents=True, exist_ok=True)
        if not (kept / "node_modules/@aws-sdk/client-lambda").exists():
            run = subprocess.run([npm, "install", "--no-audit", "--no-fund", "--prefix", str(kept),
                                  "@aws-sdk/client-lambda@3"], text=True, capture_output=True,
                                 timeout=600)
            if run.returncode:
                self.skipTest("npm could not fetch the SDK: " + run.stderr[-200:])
        script = kept / "stream.mjs"
        shutil.copy(pathlib.Path(__file__).parent / "stream.mjs", script)
        run = subprocess.run([node, str(script), self.function(), '{"mode":"stamps"}',
                              '{"mode":"middle"}', '{"mode":"early"}'], text=True, timeout=60,
                             capture_output=True, env=harness.client_env(self.server.url))
        self.assertEqual(run.returncode, 0, run.stderr)
        good, middle, early = (json.loads(line) for line in run.stdout.splitlines())
        stamps = [int(stamp) for part in good["parts"] for stamp in part.split()]
        self.assertEqual((good["version"], good["status"], len(stamps)), ("$LATEST", 200, 5))
        self.assertLess(good["at"][0], stamps[-1])
        self.assertIn("REPORT", log_tail(good["complete"]))
        self.assertEqual((middle["parts"], early["parts"]), (["first"], []))
        self.assertIn("in the middle", middle["complete"]["ErrorDetails"])
        self.assertIn("nothing was written", early["complete"]["ErrorDetails"])


class CustomRuntime(Streaming):
    def setUp(self):
        if "provided" not in harness.machine_runtimes():
            self.skipTest("no custom runtimes on this machine")
        self.name = self.function({"bootstrap": BOOTSTRAP}, "provided.al2023", "any")

    def test_chunks_trailers_and_cuts(self):
        parts, complete, _ = self.stream(self.name, {})
        self.assertEqual([part for _, part in parts], [b"one ", b"two"])
        self.assertNotIn("ErrorCode", complete)
        for event, code, details in (("trailer", "Function.Mine", "my own"),
                                     ("cut", "Runtime.TruncatedResponse", "truncated"),
                                     ("exit", "Runtime.TruncatedResponse", "truncated")):
            with self.subTest(event):
                body, complete = self.text(self.name, event)
                self.assertEqual((body, complete["ErrorCode"]), (b"one two", code))
                self.assertIn(details, complete["ErrorDetails"])
        self.eventually(lambda: self.text(self.name, {})[0] == b"one two")

    def test_plain_invoke_collects(self):
        self.assertEqual(self.invoke(self.name)[0], b"one two")
        self.assertEqual(self.invoke(self.name, "trailer")[0], {"errorMessage": "my own"})


if __name__ == "__main__":
    harness.main()
