#!/usr/bin/env python3
"""What a call that ran out of time or memory leaves in its function's log, and that its caller
sees nothing of it."""
import json
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
import harness  # noqa: E402
from harness import Compat, log_tail, machine_runtimes  # noqa: E402

PYTHON_BUSY = {"lambda_function.py": (
    "def inner_loop():\n    while True:\n        pass\n"
    "def lambda_handler(event, context):\n    if event.get('quick'):\n        return 1\n"
    "    inner_loop()\n")}
PYTHON_SOCKET = {"lambda_function.py": (
    "import socket\n"
    "def lambda_handler(event, context):\n"
    "    here = socket.create_server(('127.0.0.1', 8123))\n"
    "    there = socket.create_connection(('127.0.0.1', 8123))\n"
    "    there.recv(1)\n")}
NODE_BUSY = {"index.js": (
    "function innerLoop() { for (;;) ; }\n"
    "exports.handler = async (event) => event.quick ? 1 : innerLoop();\n")}
NODE_IDLE = {"index.js": (
    "exports.handler = () => new Promise(() => setInterval(() => 0, 1000));\n")}
JAVA_BUSY = (
    "public class Busy {\n"
    "  static void innerLoop() { for (long i = 0; ; i++) if (i < 0) return; }\n"
    "  public String handle(String event) { innerLoop(); return event; }\n}\n")
CUSTOM = {"bootstrap": (
    "#!/bin/sh\n"
    "exec 9<>/tmp/mark\n"
    "curl -s http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/invocation/next > /dev/null\n"
    "sleep 1000\n")}
MEMORY = {"lambda_function.py": (
    "import socket\n"
    "kept = []\n"
    "def grow():\n"
    "    while True:\n        kept.append(b'x' * (1 << 20))\n"
    "def lambda_handler(event, context):\n    if event.get('quick'):\n        return 1\n"
    "    here = socket.create_server(('127.0.0.1', 8124))\n"
    "    grow()\n")}
NODE_MEMORY = {"index.js": (
    "const kept = [];\n"
    "function grow() { for (;;) kept.push(Buffer.alloc(1 << 20, 1)); }\n"
    "exports.handler = async () => grow();\n")}
# The heap alone keeps within the limit; with buffers outside of it it does not.
JAVA_MEMORY = (
    "import java.nio.ByteBuffer;\nimport java.util.*;\n"
    "public class Memory {\n"
    "  static List<Object> kept = new ArrayList<>();\n"
    "  static void grow() {\n"
    "    for (int i = 0; i < 250; i++) kept.add(new byte[1 << 20]);\n"
    "    for (;;) kept.add(ByteBuffer.allocateDirect(1 << 20));\n"
    "  }\n"
    "  public String handle(String event) { grow(); return event; }\n}\n")
CUSTOM_MEMORY = {"bootstrap": (
    "#!/bin/sh\n"
    "curl -s http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/invocation/next > /dev/null\n"
    "exec /usr/bin/python3 -c \"b'x' * (1 << 30)\"\n")}
CALLS_MEMORY = {"lambda_function.py": (
    "import socket, threading\n"
    "def send(to):\n    while True:\n        to.sendall(b'x' * 65536)\n"
    "def lambda_handler(event, context):\n"
    "    if event['how'] == 'read':\n"
    "        return {'length': len(open('/dev/zero', 'rb').read(1 << 30))}\n"
    "    if event['how'] == 'write':\n"
    "        file = open('/tmp/x', 'wb')\n"
    "        return {'length': sum(file.write(b'x' * (1 << 20)) for _ in range(1024))}\n"
    "    one, other = socket.socketpair()\n"
    "    threading.Thread(target=send, args=(one,), daemon=True).start()\n"
    "    kept = [other.recv(1 << 20) for _ in range(100000)]\n"
    "    return {'length': len(kept)}\n")}
CHILD_MEMORY = {"lambda_function.py": (
    "import subprocess\n"
    "def lambda_handler(event, context):\n"
    "    return subprocess.run(['python3', '-c', 'b\"x\" * (1 << 30)']).returncode\n")}


class Autopsy(Compat):
    def lines(self, name, wanted="AUTOPSY"):
        """All events of the function's log, once there is one of the wanted kind."""
        logs = self.client("logs")

        def look():
            try:
                events = logs.filter_log_events(logGroupName="/aws/lambda/" + name)["events"]
            except logs.exceptions.ResourceNotFoundException:
                return None
            found = [event["message"] for event in events]
            return found if any(wanted in line for line in found) else None
        return self.eventually(look)

    def autopsy(self, name):
        return next(line for line in self.lines(name) if line.startswith("AUTOPSY"))

    def time_out(self, name, payload=None):
        body, answer = self.invoke(name, payload, LogType="Tail")
        self.assertEqual(answer["FunctionError"], "Unhandled")
        self.assertEqual(body["errorType"], "Sandbox.Timedout")
        self.assertRegex(body["errorMessage"], "^RequestId: .* Error: Task timed out after 1.00 ")
        self.assertNotIn("AUTOPSY", log_tail(answer))
        return answer["ResponseMetadata"]["RequestId"]

    def runtime(self, language):
        found = machine_runtimes().get(language)
        if not found:
            self.skipTest(f"no {language} runtime here")
        return found

    def test_python_in_a_busy_loop(self):
        name = self.create(runtime=self.runtime("python"), files=PYTHON_BUSY, Timeout=1)
        self.invoke(name, {"quick": True})
        request = self.time_out(name)
        text = self.autopsy(name)
        self.assertIn(request, text)
        self.assertIn("most recent call first", text)
        self.assertRegex(text, r'File "/var/task/lambda_function.py", line \d in inner_loop')
        self.assertRegex(text, r"thread \d+ \S+ runs")
        self.assertRegex(text, r"MB in use, peak \d+ MB, limit 128 MB")
        # And the function goes on with another environment.
        self.assertEqual(self.invoke(name, {"quick": True})[0], 1)

    def test_python_that_waits_on_a_socket(self):
        name = self.create(runtime=self.runtime("python"), files=PYTHON_SOCKET, Timeout=1)
        self.time_out(name)
        text = self.autopsy(name)
        self.assertRegex(text, r"line 5 in lambda_handler")
        self.assertRegex(text, r"waits in recvfrom at \S+\+0x")
        self.assertRegex(text, r"tcp 127\.0\.0\.1:\d+ to 127\.0\.0\.1:8123 established")

    def test_node_in_a_busy_loop_in_every_kind_of_environment(self):
        for more in ({}, {"Environment": {"Variables": {"MAYFLY_FORK": "off"}}}):
            with self.subTest(more):
                name = self.create(runtime=self.runtime("nodejs"), files=NODE_BUSY, Timeout=1,
                                   handler="index.handler", **more)
                for _ in range(3):
                    self.invoke(name, {"quick": True})
                self.time_out(name)
                self.assertRegex(self.autopsy(name), r"innerLoop.*/var/task/index.js:1")

    def test_node_with_nothing_to_do(self):
        name = self.create(runtime=self.runtime("nodejs"), files=NODE_IDLE, Timeout=1,
                           handler="index.handler")
        self.time_out(name)
        self.assertRegex(self.autopsy(name), r"thread \d+ node waits in epoll_p?wait")

    def test_java_in_a_busy_loop(self):
        runtime = self.runtime("java")
        if not shutil.which("javac"):
            self.skipTest("no javac here")
        with tempfile.TemporaryDirectory() as folder:
            source = pathlib.Path(folder, "Busy.java")
            source.write_text(JAVA_BUSY)
            subprocess.run(["javac", "-d", folder, str(source)], check=True)
            files = {"Busy.class": pathlib.Path(folder, "Busy.class").read_bytes()}
        name = self.create(runtime=runtime, files=files, handler="Busy::handle", Timeout=1,
                           MemorySize=512)
        self.time_out(name, "x")
        text = self.autopsy(name)
        self.assertIn("Full thread dump", text)
        self.assertIn("at Busy.innerLoop(Busy.java:2)", text)

    def test_custom_runtime(self):
        name = self.create(runtime="provided.al2023", files=CUSTOM, handler="x", Timeout=1)
        self.time_out(name)
        text = self.autopsy(name)
        self.assertRegex(text, r"sleep \d+: ")
        self.assertRegex(text, r"waits in clock_nanosleep at \S+\+0x")
        self.assertIn("file /tmp/mark", text)

    def test_json_logs(self):
        name = self.create(runtime=self.runtime("python"), files=PYTHON_BUSY, Timeout=1,
                           LoggingConfig={"LogFormat": "JSON"})
        request = self.time_out(name)
        found = [json.loads(line) for line in self.lines(name, "platform.mayfly.autopsy")
                 if line.startswith("{")]
        record = next(r for r in found if r["type"] == "platform.mayfly.autopsy")["record"]
        self.assertEqual(record["requestId"], request)
        self.assertEqual(record["reason"], "timeout")
        self.assertTrue(any("inner_loop" in line for line in record["stacks"]), record)

    def out_of_memory(self, name, payload=None):
        body, answer = self.invoke(name, payload, LogType="Tail")
        if body.get("errorType") != "Runtime.OutOfMemory":
            self.skipTest(f"this machine enforces no memory limit: {body}")
        self.assertEqual(answer["FunctionError"], "Unhandled")
        self.assertIn("Runtime exited with error: signal: killed", body["errorMessage"])
        self.assertRegex(log_tail(answer), r"Max Memory Used: (12[5-9]|51[0-9]) MB")
        text = self.autopsy(name)
        self.assertRegex(text, r"out of memory\nmemory\n  limit \d+ MB, peak \d+ MB")
        return text

    def test_out_of_memory(self):
        for more in ({}, {"Environment": {"Variables": {"MAYFLY_FORK": "off"}}}):
            with self.subTest(more):
                name = self.create(runtime=self.runtime("python"), files=MEMORY, Timeout=20, **more)
                self.assertEqual(self.invoke(name, {"quick": True})[0], 1)
                text = self.out_of_memory(name)
                self.assertRegex(text, r'File "/var/task/lambda_function.py", line \d in grow')
                self.assertRegex(text, r"tcp 127\.0\.0\.1:8124 listening")
                self.assertRegex(text, r"peak was \d+ MB in call 1")
                self.assertEqual(self.invoke(name, {"quick": True})[0], 1)

    def test_node_out_of_memory(self):
        name = self.create(runtime=self.runtime("nodejs"), files=NODE_MEMORY, Timeout=20,
                           handler="index.handler")
        self.assertRegex(self.out_of_memory(name), r"grow.*/var/task/index.js:\d")

    def test_java_out_of_memory(self):
        runtime = self.runtime("java")
        if not shutil.which("javac"):
            self.skipTest("no javac here")
        with tempfile.TemporaryDirectory() as folder:
            source = pathlib.Path(folder, "Memory.java")
            source.write_text(JAVA_MEMORY)
            subprocess.run(["javac", "-d", folder, str(source)], check=True)
            files = {path.name: path.read_bytes() for path in pathlib.Path(folder).glob("*.class")}
        name = self.create(runtime=runtime, files=files, handler="Memory::handle", Timeout=20,
                           MemorySize=512)
        self.assertIn("at Memory.grow(Memory.java:", self.out_of_memory(name, "x"))

    def test_custom_runtime_out_of_memory(self):
        if not pathlib.Path("/usr/bin/python3").exists():
            self.skipTest("no python on this machine")
        name = self.create(runtime="provided.al2023", files=CUSTOM_MEMORY, handler="x", Timeout=20)
        self.assertRegex(self.out_of_memory(name), r"python3\S* \d+: 1\d\d MB")

    def test_out_of_memory_in_a_system_call(self):
        """No call fails for it, which the function would see: it is held or killed before."""
        name = self.create(runtime=self.runtime("python"), files=CALLS_MEMORY, Timeout=20,
                           MemorySize=256, EphemeralStorage={"Size": 2048})
        for how in ("read", "write", "receive") * 2:
            body, answer = self.invoke(name, {"how": how}, LogType="Tail")
            if "length" in body:
                self.skipTest(f"this machine enforces no memory limit: {body}")
            self.assertEqual(body["errorType"], "Runtime.OutOfMemory", (how, body))
            used = re.search(r"Max Memory Used: (\d+) MB", log_tail(answer))
            self.assertLessEqual(int(used.group(1)), 256)

    def test_a_child_out_of_memory_leaves_the_function(self):
        name = self.create(runtime=self.runtime("python"), files=CHILD_MEMORY, Timeout=20)
        body, answer = self.invoke(name)
        if answer.get("FunctionError") or body != -9:
            self.skipTest(f"this machine enforces no memory limit: {body}")

    def test_turned_off_for_a_function(self):
        name = self.create(runtime=self.runtime("python"), files=PYTHON_BUSY, Timeout=1,
                           Environment={"Variables": {"MAYFLY_AUTOPSY": "off"}})
        self.time_out(name)
        lines = self.lines(name, "REPORT")
        self.assertFalse([line for line in lines if "AUTOPSY" in line])


if __name__ == "__main__":
    harness.main()
