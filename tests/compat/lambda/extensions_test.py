#!/usr/bin/env python3
"""Extensions in layers, and the Telemetry and Logs APIs: real processes, deployed by a real client.

The extensions are scripts of their own; they write what they see to their output, which is in the
function's log.
"""
import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
import harness  # noqa: E402
from harness import Compat  # noqa: E402

# Registers under its own name, tells of each event, and ends with SHUTDOWN. `LINGER` seconds go by
# after each call; `BREAK` says where it fails.
WATCHER = """#!/usr/bin/python3
import json, os, sys, time, urllib.request
NAME = os.path.basename(sys.argv[0])
API = "http://" + os.environ["AWS_LAMBDA_RUNTIME_API"] + "/2020-01-01/extension/"
def say(*words):
    print("WATCHER", NAME, *words, flush=True)
def call(path, body=None, **headers):
    request = urllib.request.Request(API + path, headers=headers,
                                     data=None if body is None else json.dumps(body).encode())
    return urllib.request.urlopen(request)
BREAK = os.environ.get("BREAK", "")
say("starts", "handler" if "_HANDLER" in os.environ else "no handler",
    os.environ["AWS_LAMBDA_FUNCTION_NAME"])
if BREAK == "start":
    sys.exit(3)
answer = call("register", {"events": ["INVOKE", "SHUTDOWN"]},
              **{"Lambda-Extension-Name": NAME, "Lambda-Extension-Accept-Feature": "accountId"})
ID = {"Lambda-Extension-Identifier": answer.headers["Lambda-Extension-Identifier"]}
say("registered", answer.read().decode())
if BREAK == "init/error":
    call("init/error", {"errorMessage": "no", "errorType": "Extension.No"},
         **ID, **{"Lambda-Extension-Function-Error-Type": "Extension.No"})
    sys.exit(1)
while True:
    event = json.load(call("event/next", **ID))
    say("event", json.dumps(event))
    if event["eventType"] == "SHUTDOWN":
        sys.exit(0)
    time.sleep(float(os.environ.get("LINGER", "0")))
    if BREAK == "invoke":
        sys.exit(5)
    say("done", event["requestId"])
"""
# Serves a port, subscribes, and writes what it hears.
LISTENER = """#!/usr/bin/python3
import http.server, json, os, socketserver, sys, threading, urllib.error, urllib.request
NAME = os.path.basename(sys.argv[0])
HOST = "http://" + os.environ["AWS_LAMBDA_RUNTIME_API"]
def call(method, path, body=None, **headers):
    request = urllib.request.Request(HOST + path, method=method, headers=headers,
                                     data=None if body is None else json.dumps(body).encode())
    return urllib.request.urlopen(request)
def hear(event):
    # Of extensions' own lines no more are made, or they would be heard again.
    if event["type"] != "extension":
        print("HEARD", json.dumps(event), flush=True)
class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        for event in json.loads(self.rfile.read(int(self.headers["Content-Length"]))):
            hear(event)
        self.send_response(200)
        self.end_headers()
    do_PUT = do_POST
    def log_message(self, *_):
        pass
class Lines(socketserver.StreamRequestHandler):
    def handle(self):
        for line in self.rfile:
            hear(json.loads(line))
answer = call("POST", "/2020-01-01/extension/register", {"events": ["INVOKE", "SHUTDOWN"]},
              **{"Lambda-Extension-Name": NAME})
ID = {"Lambda-Extension-Identifier": answer.headers["Lambda-Extension-Identifier"]}
request = json.loads(os.environ["SUBSCRIPTION"])
if request["destination"]["protocol"] == "TCP":
    server = socketserver.ThreadingTCPServer(("sandbox", 4243), Lines)
else:
    server = http.server.ThreadingHTTPServer(("sandbox.localdomain", 4243), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
print("SUBSCRIBED", call("PUT", os.environ["SUBSCRIBE_AT"], request, **ID).read().decode(),
      flush=True)
while json.load(call("GET", "/2020-01-01/extension/event/next", **ID))["eventType"] != "SHUTDOWN":
    try:
        call("PUT", os.environ["SUBSCRIBE_AT"], request, **ID)
    except urllib.error.HTTPError as error:
        print("TOO LATE", error.code, error.read().decode(), flush=True)
"""
PYTHON = {"lambda_function.py": """
import os, time
def lambda_handler(event, context):
    print('the function says', event.get('say'))
    if event.get('sleep'):
        time.sleep(event['sleep'])
    if event.get('exit'):
        os._exit(event['exit'])
    return {'request': context.aws_request_id, 'pid': os.getpid()}
"""}
INTERNAL = {"lambda_function.py": """
import json, os, threading, urllib.request
API = "http://" + os.environ["AWS_LAMBDA_RUNTIME_API"] + "/2020-01-01/extension/"
answer = urllib.request.urlopen(urllib.request.Request(
    API + "register", data=b'{"events":["INVOKE"]}',
    headers={"Lambda-Extension-Name": "inside"}))
ID = {"Lambda-Extension-Identifier": answer.headers["Lambda-Extension-Identifier"]}
seen = []
def listen():
    while True:
        event = json.load(urllib.request.urlopen(
            urllib.request.Request(API + "event/next", headers=ID)))
        seen.append(event["requestId"])
threading.Thread(target=listen, daemon=True).start()
def lambda_handler(event, context):
    return {'request': context.aws_request_id, 'seen': list(seen)}
"""}


def layer_zip(files):
    """{name: (text, mode)}; extensions are executable unless said otherwise."""
    return harness.make_zip({name: content if isinstance(content, tuple) else (content, 0o755)
                             for name, content in files.items()})


class Extensions(Compat):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.runtimes = harness.machine_runtimes()

    def setUp(self):
        if "python" not in self.runtimes or not pathlib.Path("/usr/bin/python3").exists():
            self.skipTest("no python on this machine")

    def layer(self, files):
        client = self.client()
        name = self.name("layer")
        made = client.publish_layer_version(LayerName=name,
                                            Content={"ZipFile": layer_zip(files)})
        self.addCleanup(client.delete_layer_version, LayerName=name,
                        VersionNumber=made["Version"])
        return made["LayerVersionArn"]

    def function(self, extensions, files=None, runtime=None, handler=None, **more):
        layer = self.layer({f"extensions/{name}": text for name, text in extensions.items()})
        variables = more.pop("variables", {})
        return self.create(runtime or self.runtimes["python"], files or PYTHON,
                           handler or "lambda_function.lambda_handler", Layers=[layer],
                           Environment={"Variables": variables}, **more)

    def lines(self, name):
        logs = self.client("logs")
        group = f"/aws/lambda/{name}"
        try:
            pages = logs.get_paginator("filter_log_events").paginate(logGroupName=group)
            return [event["message"].rstrip("\n") for page in pages for event in page["events"]]
        except logs.exceptions.ResourceNotFoundException:
            return []

    def line(self, name, *wanted):
        """The first line that holds all of it, once it is there."""
        return self.eventually(lambda: next(
            (line for line in self.lines(name) if all(part in line for part in wanted)), None))

    def shut_down(self, name):
        """The environment ends when the function is deleted."""
        self.client().delete_function(FunctionName=name)

    def check_watched(self, name):
        body, answer = self.invoke(name, {"say": "hi"})
        self.assertNotIn("FunctionError", answer, body)
        registered = self.line(name, "WATCHER watcher registered")
        told = json.loads(registered.split("registered ", 1)[1])
        self.assertEqual(told["functionName"], name)
        self.assertEqual(told["functionVersion"], "$LATEST")
        self.assertEqual(told["accountId"], "000000000000")
        self.assertIn("no handler", self.line(name, "WATCHER watcher starts"))
        self.line(name, "EXTENSION\tName: watcher\tState: Ready\tEvents: [INVOKE,SHUTDOWN]")
        event = json.loads(self.line(name, "WATCHER watcher event", "INVOKE").split("event ", 1)[1])
        request = answer["ResponseMetadata"]["RequestId"]
        self.assertEqual(event["requestId"], request)
        self.assertEqual(event["tracing"]["type"], "X-Amzn-Trace-Id")
        self.assertTrue(event["invokedFunctionArn"].endswith(f":function:{name}"))
        self.assertGreater(event["deadlineMs"], 1_600_000_000_000)
        self.line(name, "WATCHER watcher done", request)
        self.line(name, "REPORT RequestId: " + request)
        texts = self.lines(name)
        position = [next(i for i, line in enumerate(texts) if part in line) for part in (
            "INIT_START", "WATCHER watcher starts", "EXTENSION\tName", "START RequestId", "REPORT")]
        self.assertEqual(position, sorted(position))
        self.shut_down(name)
        last = json.loads(self.line(name, "event", "SHUTDOWN").split("event ", 1)[1])
        self.assertEqual(last["shutdownReason"], "spindown")

    def test_python(self):
        self.check_watched(self.function({"watcher": WATCHER}))

    def test_nodejs(self):
        if "nodejs" not in self.runtimes:
            self.skipTest("no nodejs on this machine")
        files = {"index.mjs": "export const handler = async (e) => ({ hi: e.say });\n"}
        self.check_watched(self.function({"watcher": WATCHER}, files, self.runtimes["nodejs"],
                                         "index.handler"))

    def test_provided(self):
        runtime, handler, files = harness.tiny_functions()["provided"]
        self.check_watched(self.function({"watcher": WATCHER}, files, runtime, handler))

    def test_calls_follow_each_other_in_one_environment(self):
        name = self.function({"watcher": WATCHER, "second": WATCHER})
        bodies = [self.invoke(name)[0] for _ in range(4)]
        for body in bodies:
            self.line(name, "WATCHER watcher done", body["request"])
            self.line(name, "WATCHER second done", body["request"])

    def test_the_caller_does_not_wait_for_the_extension(self):
        name = self.function({"watcher": WATCHER}, variables={"LINGER": "1.5"}, Timeout=10)
        body, answer = self.invoke(name, LogType="Tail")
        self.assertNotIn("REPORT", harness.log_tail(answer))
        self.assertFalse([line for line in self.lines(name) if "done" in line])
        report = self.line(name, "REPORT RequestId: " + body["request"])
        duration = float(report.split("Duration: ")[1].split(" ms")[0])
        self.assertGreater(duration, 1500)

    def test_an_extension_that_fails(self):
        for where, kind, text in (("start", "Extension.Crash", "exit status 3"),
                                  ("init/error", "Extension.InitError", "Extension.No"),
                                  ("invoke", "Extension.Crash", "exit status 5")):
            with self.subTest(where):
                name = self.function({"watcher": WATCHER}, variables={"BREAK": where})
                body, answer = self.invoke(name, {"sleep": 1})
                self.assertEqual(answer.get("FunctionError"), "Unhandled")
                self.assertEqual(body["errorType"], kind)
                self.assertIn(text, body["errorMessage"])
                self.line(name, kind)

    def test_an_extension_that_is_no_program(self):
        name = self.function({"watcher": (WATCHER, 0o644)})
        body, answer = self.invoke(name)
        self.assertEqual(answer.get("FunctionError"), "Unhandled")
        self.assertEqual(body["errorType"], "Extension.LaunchError")
        self.line(name, "EXTENSION\tName: watcher\tState: LaunchError", "PermissionDenied")

    def test_a_timeout_is_the_reason_of_the_shutdown(self):
        name = self.function({"watcher": WATCHER}, Timeout=1)
        body, _ = self.invoke(name, {"sleep": 30})
        self.assertIn("Task timed out after 1.00 seconds", body["errorMessage"])
        self.line(name, "event", "SHUTDOWN", "timeout")

    def test_a_crash_of_the_runtime_is_the_reason_of_the_shutdown(self):
        name = self.function({"watcher": WATCHER})
        body, _ = self.invoke(name, {"exit": 7})
        self.assertEqual(body["errorType"], "Runtime.ExitError")
        self.assertIn("exit status 7", body["errorMessage"])
        self.line(name, "event", "SHUTDOWN", "failure")
        self.assertNotIn("FunctionError", self.invoke(name)[1])

    def test_an_internal_extension(self):
        name = self.create(self.runtimes["python"], INTERNAL, "lambda_function.lambda_handler")
        for _ in range(3):
            body, answer = self.invoke(name)
            self.assertNotIn("FunctionError", answer, body)
            self.eventually(lambda: body["request"] in self.invoke(name)[0]["seen"])
        self.line(name, "EXTENSION\tName: inside\tState: Ready\tEvents: [INVOKE]")
        self.line(name, "start one by one: an internal extension has registered")

    # --- telemetry ---

    def listening(self, at="/2022-07-01/telemetry", schema="2022-12-13", destination=None, **more):
        request = {"schemaVersion": schema, "types": ["platform", "function", "extension"],
                   "buffering": {"maxItems": 1000, "maxBytes": 262144, "timeoutMs": 25},
                   "destination": destination or {
                       "protocol": "HTTP", "URI": "http://sandbox.localdomain:4243/in"}}
        return self.function({"listener": LISTENER}, variables={
            "SUBSCRIBE_AT": at, "SUBSCRIPTION": json.dumps(request)}, **more)

    def heard(self, name, kind):
        return json.loads(self.line(name, "HEARD", f'"type": "{kind}"').split("HEARD ", 1)[1])

    def test_telemetry_by_http(self):
        name = self.listening()
        body, answer = self.invoke(name, {"say": "hello"})
        self.assertNotIn("FunctionError", answer, body)
        self.line(name, 'SUBSCRIBED "OK"')
        self.line(name, "TELEMETRY\tName: listener\tState: Subscribed")
        start = self.heard(name, "platform.initStart")["record"]
        self.assertEqual(start["initializationType"], "on-demand")
        self.assertEqual(start["functionName"], name)
        done = self.heard(name, "platform.initRuntimeDone")["record"]
        self.assertEqual(done["status"], "success")
        self.assertIn("durationMs", self.heard(name, "platform.initReport")["record"]["metrics"])
        self.assertEqual(self.heard(name, "platform.extension")["record"],
                         {"name": "listener", "state": "Ready", "events": ["INVOKE", "SHUTDOWN"]})
        self.assertEqual(self.heard(name, "platform.telemetrySubscription")["record"]["types"],
                         ["platform", "function", "extension"])
        self.assertEqual(self.heard(name, "platform.start")["record"]["requestId"], body["request"])
        self.assertEqual(self.heard(name, "function")["record"], "the function says hello")
        done = self.heard(name, "platform.runtimeDone")["record"]
        self.assertEqual((done["requestId"], done["status"]), (body["request"], "success"))
        self.assertGreater(done["metrics"]["producedBytes"], 10)
        self.line(name, "TOO LATE 403", "Telemetry.SubscriptionClosed")
        self.invoke(name)  # brings the report of the first call, had the environment been frozen
        report = self.heard(name, "platform.report")["record"]
        self.assertEqual(report["requestId"], body["request"])
        self.assertIn("initDurationMs", report["metrics"])

    def test_telemetry_by_tcp(self):
        name = self.listening(destination={"protocol": "TCP", "port": 4243})
        body, _ = self.invoke(name, {"say": "hello"})
        self.assertEqual(self.heard(name, "platform.start")["record"]["requestId"], body["request"])
        self.assertEqual(self.heard(name, "function")["record"], "the function says hello")

    def test_the_restore_of_a_version_with_snap_start(self):
        name = self.listening(runtime="python3.12", SnapStart={"ApplyOn": "PublishedVersions"},
                              files={"lambda_function.py": (
                                  "import time\n"
                                  "from snapshot_restore_py import register_after_restore\n"
                                  "@register_after_restore\n"
                                  "def again():\n    time.sleep(0.2)\n"
                                  "def lambda_handler(event, context):\n    return 1\n")})
        client = self.client()
        version = client.publish_version(FunctionName=name)["Version"]
        client.get_waiter("published_version_active").wait(
            FunctionName=name, Qualifier=version, WaiterConfig={"Delay": 0.05, "MaxAttempts": 600})
        self.assertEqual(self.invoke(name, Qualifier=version)[0], 1)
        start = self.heard(name, "platform.restoreStart")
        self.assertEqual((start["record"]["functionName"], start["record"]["functionVersion"]),
                         (name, version))
        self.assertEqual(self.heard(name, "platform.restoreRuntimeDone")["record"],
                         {"status": "success"})
        report = self.heard(name, "platform.restoreReport")
        self.assertEqual(report["record"]["status"], "success")
        self.assertGreaterEqual(report["record"]["metrics"]["durationMs"], 200)
        init = self.heard(name, "platform.initRuntimeDone")
        self.assertEqual(init["record"]["initializationType"], "snap-start")
        self.assertLessEqual(init["time"], start["time"])
        self.assertLess(start["time"], report["time"])

    def test_json_logs_are_objects(self):
        name = self.listening(LoggingConfig={"LogFormat": "JSON"}, files={"lambda_function.py": (
            "import logging\n"
            "logging.getLogger().setLevel('INFO')\n"
            "def lambda_handler(event, context):\n"
            "    logging.getLogger().info('structured')\n"
            "    return {'request': context.aws_request_id}\n")})
        self.invoke(name)
        record = self.heard(name, "function")["record"]
        self.assertEqual(record["message"], "structured")

    def test_the_logs_api(self):
        name = self.listening("/2020-08-15/logs", "2021-03-18", {
            "protocol": "HTTP", "URI": "http://sandbox:4243", "method": "PUT", "encoding": "JSON"})
        body, _ = self.invoke(name, {"say": "hello"})
        self.line(name, "LOGS\tName: listener\tState: Subscribed")
        self.assertEqual(self.heard(name, "platform.start")["record"]["requestId"], body["request"])
        self.assertEqual(self.heard(name, "platform.runtimeDone")["record"],
                         {"requestId": body["request"], "status": "success"})
        self.assertEqual(self.heard(name, "function")["record"], "the function says hello")
        self.invoke(name)
        self.assertEqual(self.heard(name, "platform.end")["record"], {"requestId": body["request"]})
        self.assertFalse([line for line in self.lines(name) if "platform.initStart" in line])


if __name__ == "__main__":
    harness.main()
