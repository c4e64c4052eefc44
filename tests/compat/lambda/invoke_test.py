#!/usr/bin/env python3
"""Calling functions: every runtime of this machine, and everything that can go wrong in one."""
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
import harness  # noqa: E402
from harness import Compat, log_tail, make_zip  # noqa: E402


def python(body, before=""):
    lines = "".join(f"    {line}\n" for line in body.splitlines())
    return {"lambda_function.py": f"{before}\ndef lambda_handler(event, context):\n{lines}"}


def node(text, name="index.mjs"):
    return {name: text}


class Runtimes(Compat):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.found = harness.machine_runtimes()

    def runtime(self, language):
        if language not in self.found:
            self.skipTest(f"no {language} on this machine")
        return self.found[language]

    def test_nodejs_modules_of_both_kinds(self):
        runtime = self.runtime("nodejs")
        for name, text in {
                "index.mjs": "export const handler = async (e) => ({ hi: e.name });",
                "index.cjs": "exports.handler = async (e) => ({ hi: e.name });",
                "index.js": "exports.handler = (e, c, end) => end(null, { hi: e.name });"}.items():
            with self.subTest(name):
                made = self.create(runtime, node(text, name), "index.handler")
                self.assertEqual(self.invoke(made, {"name": "x"})[0], {"hi": "x"})

    def test_nodejs_brings_the_sdk(self):
        made = self.create(self.runtime("nodejs"), node(
            "import { LambdaClient, ListFunctionsCommand } from '@aws-sdk/client-lambda';\n"
            "export const handler = async () => {\n"
            "  const out = await new LambdaClient({}).send(new ListFunctionsCommand({}));\n"
            "  return out.Functions.map((f) => f.FunctionName);\n};\n"), "index.handler",
            Timeout=30, MemorySize=512)
        body, answer = self.invoke(made, LogType="Tail")
        if "FunctionError" in answer and "Cannot find package" in json.dumps(body):
            self.skipTest("the SDK for JavaScript is not installed on this machine")
        self.assertIn(made, body)

    def test_python_brings_the_sdk(self):
        made = self.create(self.runtime("python"), python(
            "return [f['FunctionName'] for f in boto3.client('lambda').list_functions()"
            "['Functions']]", "import boto3"), Timeout=30, MemorySize=512)
        body, answer = self.invoke(made)
        if "FunctionError" in answer and "No module named" in json.dumps(body):
            self.skipTest("boto3 is not there for this runtime on this machine")
        self.assertIn(made, body)

    def test_ruby(self):
        made = self.create(self.runtime("ruby"), {"lambda_function.rb": (
            "def lambda_handler(event:, context:)\n  { hi: event['name'] }\nend\n")})
        self.assertEqual(self.invoke(made, {"name": "x"})[0], {"hi": "x"})

    def test_java(self):
        runtime = self.runtime("java")
        if not shutil.which("javac"):
            self.skipTest("no javac on this machine")
        with tempfile.TemporaryDirectory() as folder:
            source = pathlib.Path(folder, "Hello.java")
            source.write_text("import java.util.Map;\npublic class Hello {\n"
                              "  public Map<String, Object> handle(Map<String, Object> event) {\n"
                              "    return Map.of(\"hi\", event.get(\"name\"));\n  }\n}\n")
            subprocess.run(["javac", "-d", folder, str(source)], check=True)
            classes = {"Hello.class": pathlib.Path(folder, "Hello.class").read_bytes()}
        made = self.create(runtime, classes, "Hello::handle", Timeout=30, MemorySize=512)
        self.assertEqual(self.invoke(made, {"name": "x"})[0], {"hi": "x"})

    def test_provided_shell(self):
        project = pathlib.Path(tempfile.mkdtemp(), "project")
        self.addCleanup(shutil.rmtree, project.parent)
        subprocess.run([harness.PROGRAM, "new", str(project), "--runtime", "provided"], check=True)
        made = self.create("provided.al2023", {"bootstrap": (project / "bootstrap").read_text()},
                           "bootstrap")
        for number in range(3):
            self.assertEqual(self.invoke(made, {"n": number})[0], {"hello": {"n": number}})

    def test_older_and_newer_identifiers_map_to_what_is_here(self):
        self.runtime("python")
        made = self.create("python3.14", python("return 'ran'"))
        self.assertEqual(self.invoke(made)[0], "ran")
        if "python3.14" in self.runtimes_here():
            self.skipTest("this machine has Python 3.14 itself")
        warning = "python3.14 is not on this machine: the function runs on python3."
        self.eventually(lambda: "WARNING " + warning in self.log_of(made))
        client = self.client()
        shape = client.meta.service_model.shape_for("FunctionConfiguration")
        if "RuntimeVersionConfig" not in shape.members:
            self.skipTest("this boto3 does not know RuntimeVersionConfig")
        told = client.get_function_configuration(FunctionName=made)["RuntimeVersionConfig"]
        self.assertIn(warning, told["Error"]["Message"])

    @staticmethod
    def runtimes_here():
        run = subprocess.run([harness.PROGRAM, "doctor", "--json"], capture_output=True, text=True)
        return {found["name"] for found in json.loads(run.stdout)["findings"]}

    def test_what_cannot_run_is_refused_when_it_is_deployed(self):
        message = self.refused("InvalidParameterValueException", self.client().create_function,
                               FunctionName=self.name(), Runtime="dotnet8", Handler="a::b",
                               Role=harness.ROLE, Code={"ZipFile": make_zip({"x": "y"})})
        self.assertIn("provided.al2023", message)

    def log_of(self, name):
        logs = self.client("logs")
        try:
            found = logs.filter_log_events(logGroupName=f"/aws/lambda/{name}")["events"]
        except logs.exceptions.ResourceNotFoundException:
            return ""
        return "\n".join(event["message"] for event in found)


class Calls(Compat):
    def test_context_and_log_tail(self):
        made = self.create(files=python("print('a line'); return context.aws_request_id"))
        body, answer = self.invoke(made, LogType="Tail")
        self.assertEqual(body, answer["ResponseMetadata"]["RequestId"])
        tail = log_tail(answer)
        self.assertIn(f"START RequestId: {body} Version: $LATEST\n", tail)
        self.assertIn("a line\n", tail)
        self.assertIn(f"END RequestId: {body}\n", tail)
        self.assertRegex(tail, rf"REPORT RequestId: {body}\tDuration: [\d.]+ ms\t"
                               r"Billed Duration: \d+ ms\tMemory Size: 128 MB\t"
                               r"Max Memory Used: \d+ MB")

    def test_client_context(self):
        import base64
        made = self.create(files=python("return context.client_context.custom"))
        context = base64.b64encode(json.dumps({"custom": {"k": "v"}}).encode()).decode()
        self.assertEqual(self.invoke(made, ClientContext=context)[0], {"k": "v"})

    def test_environment(self):
        made = self.create(files=python(
            "return {k: os.environ.get(k) for k in event}", "import os"),
            Environment={"Variables": {"MINE": "yes"}}, MemorySize=256)
        body, _ = self.invoke(made, ["MINE", "AWS_LAMBDA_FUNCTION_NAME", "AWS_REGION",
                                     "AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "LAMBDA_TASK_ROOT", "TZ",
                                     "AWS_LAMBDA_FUNCTION_VERSION", "_HANDLER"])
        self.assertEqual(body, {
            "MINE": "yes", "AWS_LAMBDA_FUNCTION_NAME": made, "AWS_REGION": "us-east-1",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256", "LAMBDA_TASK_ROOT": "/var/task",
            "TZ": ":UTC", "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "_HANDLER": "lambda_function.lambda_handler"})

    def test_payload_passes_unchanged(self):
        made = self.create(files=python("return event"))
        for payload in ({"a": [1, 2.5, None, True, "ünï\u0000\U0001f98b"]}, [], "text", 7, False,
                        {"big": "x" * 5_000_000}):
            self.assertEqual(self.invoke(made, payload)[0], payload)

    def test_too_large_payload(self):
        made = self.create(files=python("return 1"))
        self.refused("RequestTooLargeException", self.client().invoke, FunctionName=made,
                     Payload=json.dumps("x" * (6 * 1024 * 1024 + 10)))

    def test_payload_that_is_not_json(self):
        made = self.create(files=python("return 1"))
        self.refused("InvalidRequestContentException", self.client().invoke, FunctionName=made,
                     Payload=b"{nope")

    def test_event_invocation_runs_later(self):
        made = self.create(files=python("print('ran with', event['word'])"))
        answer = self.client().invoke(FunctionName=made, InvocationType="Event",
                                      Payload=json.dumps({"word": "butterfly"}))
        self.assertEqual(answer["StatusCode"], 202)
        logs = self.client("logs")

        def lines():
            try:
                found = logs.filter_log_events(logGroupName=f"/aws/lambda/{made}")["events"]
            except logs.exceptions.ResourceNotFoundException:
                return None
            return [e for e in found if "ran with butterfly" in e["message"]]
        self.eventually(lines)

    def test_many_at_once(self):
        from concurrent.futures import ThreadPoolExecutor
        made = self.create(files=python("time.sleep(0.1); return event", "import time"))
        client = self.client()
        with ThreadPoolExecutor(8) as pool:
            bodies = list(pool.map(lambda n: self.invoke(made, n, client)[0], range(24)))
        self.assertEqual(bodies, list(range(24)))


class Failures(Compat):
    """Each gives the caller the cloud's error and leaves the function callable again."""

    def fails(self, name, payload=None):
        body, answer = self.invoke(name, payload, LogType="Tail")
        self.assertEqual((answer["StatusCode"], answer.get("FunctionError")), (200, "Unhandled"),
                         f"{body}\n{log_tail(answer)}")
        return body

    def recovers(self, name):
        body, answer = self.invoke(name, {"good": True})
        self.assertEqual((body, answer.get("FunctionError")), ("fine", None))

    def faulty(self, statement, before="", **more):
        return self.create(files=python(
            f"if event.get('good'):\n    return 'fine'\n{statement}", before), **more)

    def test_exception(self):
        made = self.faulty("raise ValueError('broken wing')")
        body = self.fails(made)
        self.assertEqual((body["errorType"], body["errorMessage"]), ("ValueError", "broken wing"))
        self.assertTrue(body["stackTrace"])
        self.recovers(made)

    def test_timeout(self):
        made = self.faulty("time.sleep(30)", "import time", Timeout=1)
        body = self.fails(made)
        self.assertIn("Task timed out after 1.00 seconds", body["errorMessage"])
        self.recovers(made)

    def test_exit(self):
        made = self.faulty("os._exit(3)", "import os")
        body = self.fails(made)
        self.assertEqual(body["errorType"], "Runtime.ExitError")
        self.assertIn("exit status 3", body["errorMessage"])
        self.recovers(made)

    def test_killed_by_signal(self):
        made = self.faulty("os.kill(os.getpid(), 9)", "import os")
        self.assertIn("Runtime.ExitError", json.dumps(self.fails(made)))
        self.recovers(made)

    def test_out_of_memory(self):
        if not harness.enforces("memory limit"):
            self.skipTest("no control group for memory: run as root or in a delegated group")
        made = self.faulty("x = bytearray(600 << 20)\nreturn len(x)", MemorySize=128)
        body = self.fails(made)
        self.assertIn(body["errorType"], ("Runtime.OutOfMemory", "Runtime.ExitError",
                                          "MemoryError"))
        self.recovers(made)

    def test_response_too_large(self):
        made = self.faulty("return 'x' * (7 << 20)")
        self.assertEqual(self.fails(made)["errorType"], "Function.ResponseSizeTooLarge")
        self.recovers(made)

    def test_fork_bomb(self):
        made = self.faulty("while True:\n    try:\n        os.fork()\n    except OSError:\n"
                           "        time.sleep(0.01)", "import os, time", Timeout=2)
        self.fails(made)
        self.recovers(made)

    def test_full_tmp(self):
        made = self.faulty("with open('/tmp/x', 'wb') as f:\n"
                           "    for _ in range(700):\n        f.write(bytes(1 << 20))",
                           MemorySize=1024, Timeout=20)
        body = self.fails(made)
        self.assertIn("OSError", body["errorType"])
        self.recovers(made)

    def test_closed_standard_output(self):
        made = self.faulty("os.close(1); os.close(2); raise RuntimeError('quiet')", "import os")
        self.assertEqual(self.fails(made)["errorType"], "RuntimeError")

    def test_endless_output(self):
        made = self.faulty("while True:\n    print('x' * 1000)", Timeout=1)
        self.assertIn("timed out", self.fails(made)["errorMessage"])
        self.recovers(made)

    def test_missing_handler_module_and_syntax(self):
        for files, handler, kind in (
                (python("return 1"), "nowhere.handler", "Runtime.ImportModuleError"),
                (python("return 1"), "lambda_function.nothing", "Runtime.HandlerNotFound"),
                ({"lambda_function.py": "def (:\n"}, None, "Runtime.UserCodeSyntaxError")):
            with self.subTest(kind):
                self.assertEqual(self.fails(self.create(files=files, handler=handler))
                                 ["errorType"], kind)

    def test_custom_runtime_that_cannot_start(self):
        for files, text in (
                ({"x": "y"}, "Couldn't find valid bootstrap(s): [/var/task/bootstrap /opt/bootst"),
                ({"bootstrap": ("#!/bin/sh\n", 0o644)}, "/var/task/bootstrap: permission denied"),
                ({"bootstrap": ("\x7fELF?", 0o755)}, "/var/task/bootstrap: exec format error"),
                ({"bootstrap": ("#!/no/such", 0o755)}, "bootstrap: no such file or directory")):
            with self.subTest(text):
                body = self.fails(self.create("provided.al2023", files, "any"))
                self.assertEqual(body["errorType"], "Runtime.InvalidEntrypoint")
                self.assertIn(text, body["errorMessage"])

    def test_node_exception_and_rejection(self):
        runtime = harness.machine_runtimes().get("nodejs")
        if not runtime:
            self.skipTest("no nodejs on this machine")
        made = self.create(runtime, node(
            "export const handler = async (e) => {\n  if (e.good) return 'fine';\n"
            "  throw new RangeError('broken wing');\n};\n"), "index.handler")
        body = self.fails(made)
        self.assertEqual((body["errorType"], body["errorMessage"]), ("RangeError", "broken wing"))
        self.assertTrue(body["trace"])
        self.recovers(made)


class Isolation(Compat):
    def test_functions_reach_the_api_but_not_the_metrics(self):
        made = self.create(files=python(
            "out = []\nfor path in ('health', 'metrics'):\n"
            "    url = os.environ['AWS_ENDPOINT_URL'] + '/_mayfly/' + path\n"
            "    try:\n        out.append(urllib.request.urlopen(url).status)\n"
            "    except urllib.error.HTTPError as e:\n        out.append(e.code)\nreturn out",
            "import os, urllib.error, urllib.request"))
        self.assertEqual(self.invoke(made)[0], [200, 403])

    def test_cannot_see_the_host(self):
        made = self.create(files=python(
            "seen = {}\n"
            "for p in event:\n"
            "    try:\n"
            # Empty folders may stand where other functions' interpreters are mounted.
            "        seen[p] = ([f for _, _, fs in os.walk(p) for f in fs] if os.path.isdir(p)\n"
            "                   else open(p).read(50))\n"
            "    except OSError as e:\n"
            "        seen[p] = type(e).__name__\n"
            "return {'seen': seen, 'pids': [p for p in os.listdir('/proc') if p.isdigit()],\n"
            "        'uid': os.getuid()}", "import os"))
        body, _ = self.invoke(made, [self.server.data, "/root", "/home", "/etc/shadow",
                                     "/var/lib/mayfly"])
        for path, content in body["seen"].items():
            self.assertIn(content, ("FileNotFoundError", "PermissionError", []), path)
        self.assertLess(len(body["pids"]), 10)
        self.assertNotEqual(body["uid"], 0)

    def test_code_is_read_only_and_tmp_is_not_shared(self):
        one = self.create(files=python(
            "open('/tmp/mark', 'w').write('x')\n"
            "try:\n    open('/var/task/new', 'w')\nexcept OSError as e:\n    return e.errno"))
        two = self.create(files=python("return os.path.exists('/tmp/mark')", "import os"))
        self.assertIn(self.invoke(one)[0], (13, 30))
        self.assertIs(self.invoke(two)[0], False)


if __name__ == "__main__":
    harness.main()
