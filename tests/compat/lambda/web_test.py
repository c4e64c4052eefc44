#!/usr/bin/env python3
"""Functions that are HTTP servers: frameworks and plain servers that know nothing of Lambda, behind
function URLs and called by events."""
import base64
import http.client
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
sys.path.insert(0, str(pathlib.Path(__file__).parent))
import harness  # noqa: E402
import images  # noqa: E402
from harness import Compat  # noqa: E402
from web_servers import FLASK, GO, MEETING, NODE, SERVER, STAND_IN  # noqa: E402

ADAPTER = "arn:aws:lambda:us-east-1:753240598075:layer:LambdaAdapterLayerX86:26"
WRAPPER = {"AWS_LAMBDA_EXEC_WRAPPER": "/opt/bootstrap"}

RUN_PYTHON = "#!/bin/sh\nexec python3 server.py \"$@\"\n"
PLAIN = {"run.sh": (RUN_PYTHON, 0o755), "server.py": SERVER}
CUSTOM = {"bootstrap": "#!/bin/sh\ncd \"$LAMBDA_TASK_ROOT\" && exec /usr/bin/python3 server.py\n",
          "server.py": SERVER}


class WebTest(Compat):
    def web(self, files=None, runtime="python3.11", handler="run.sh", env=None, layers=(), **more):
        more.setdefault("Timeout", 20)
        return self.create(runtime, files or PLAIN, handler, Layers=list(layers),
                           Environment={"Variables": {**WRAPPER, **(env or {})}}, **more)

    def custom(self, env=None, **more):
        """Of a custom runtime: a setting of the adapter says what it is."""
        more.setdefault("Timeout", 20)
        return self.create("provided.al2023", CUSTOM, "none", Environment={"Variables": {
            "AWS_LWA_READINESS_CHECK_PATH": "/health", **(env or {})}}, **more)

    def url(self, name, mode="BUFFERED"):
        client = self.client()
        url = client.create_function_url_config(FunctionName=name, AuthType="NONE",
                                                InvokeMode=mode)["FunctionUrl"]
        client.add_permission(FunctionName=name, StatementId="open", Principal="*",
                              Action="lambda:InvokeFunctionUrl", FunctionUrlAuthType="NONE")
        return url.split("/")[2].rpartition(":")[0]

    def ask(self, host, method="GET", path="/", body=None, headers=None):
        """(status, headers, body)"""
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=60)
        self.addCleanup(connection.close)
        connection.request(method, path, body,
                           {"Host": f"{host}:{self.server.port}", **(headers or {})})
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()

    def seen(self, *arguments, **more):
        status, _, body = self.ask(*arguments, **more)
        self.assertEqual(status, 200, body)
        return json.loads(body)

    # --- requests and responses

    def test_a_script_of_a_managed_runtime_serves_a_url(self):
        host = self.url(self.web())
        seen = self.seen(host, "POST", "/a%20b/%C3%A4?x=1&y=a%2Fb&x=2", b"hello",
                         headers={"X-Mine": "yes", "Cookie": "a=1; b=2", "User-Agent": "me"})
        self.assertEqual(seen["method"], "POST")
        self.assertEqual(seen["path"], "/a%20b/%C3%A4?x=1&y=a%2Fb&x=2")
        self.assertEqual(seen["body"], "hello")
        headers = seen["headers"]
        self.assertEqual((headers["x-mine"], headers["user-agent"]), ("yes", "me"))
        self.assertEqual(headers["cookie"], "a=1; b=2")
        self.assertEqual(headers["host"].partition(":")[0], host)
        context = json.loads(headers["x-amzn-request-context"])
        self.assertEqual(context["http"]["method"], "POST")
        lambda_context = json.loads(headers["x-amzn-lambda-context"])
        self.assertEqual(lambda_context["env_config"]["memory"], 128)
        self.assertGreater(lambda_context["deadline"], time.time() * 1000 - 60000)
        self.assertEqual(seen["handler"], "run.sh")
        # The process stays, and so does its connection.
        self.assertEqual(self.seen(host)["pid"], seen["pid"])

    def test_a_head_and_a_body_written_apart_wait_for_nobody(self):
        function = self.custom()
        event = {"version": "2.0", "requestContext": {"http": {"method": "GET"}}}

        def median(path):
            times = []
            for _ in range(15):
                _, answer = self.invoke(function, {**event, "rawPath": path}, LogType="Tail")
                report = harness.log_tail(answer).partition("\tDuration: ")[2]
                times.append(float(report.partition(" ms")[0]))
            return sorted(times)[len(times) // 2]
        whole = median("/whole")
        # By the kernels' defaults it would be 40 ms more each time.
        self.assertLess(median("/apart"), 20 * whole)

    def test_what_the_caller_says_about_the_context_does_not_count(self):
        host = self.url(self.custom())
        headers = self.seen(host, headers={"X-Amzn-Request-Context": "{}",
                                           "X-Amzn-Lambda-Context": "forged",
                                           "X-Amz-Tenant-Id": "forged"})["headers"]
        self.assertIn("http", json.loads(headers["x-amzn-request-context"]))
        self.assertIn("request_id", json.loads(headers["x-amzn-lambda-context"]))
        self.assertNotIn("x-amz-tenant-id", headers)

    def test_bodies_of_every_kind(self):
        host = self.url(self.custom(MemorySize=512))
        everything = bytes(range(256)) * 16
        seen = self.seen(host, "PUT", "/up", everything,
                         headers={"Content-Type": "application/octet-stream"})
        self.assertEqual((seen["length"], seen["sha256"]),
                         (len(everything), images.sha256(everything)))
        status, headers, body = self.ask(host, path="/binary")
        self.assertEqual((status, body), (200, bytes(range(256))))
        self.assertEqual(headers["content-type"], "application/octet-stream")
        large = b"0123456789" * 400_000
        seen = self.seen(host, "POST", "/up", large, headers={"Content-Type": "text/plain"})
        self.assertEqual((seen["length"], seen["sha256"]), (len(large), images.sha256(large)))
        status, _, body = self.ask(host, path="/large?5000000")
        self.assertEqual((status, len(body)), (200, 5_000_000))
        status, _, body = self.ask(host, path="/large?7000000")
        self.assertEqual(status, 502)
        self.assertEqual(self.ask(host, "HEAD", "/binary")[0::2], (200, b""))
        self.assertEqual(self.seen(host, "DELETE", "/x")["method"], "DELETE")

    def test_statuses_cookies_and_many_headers(self):
        host = self.url(self.custom())
        status, headers, _ = self.ask(host, path="/cookies")
        self.assertEqual(headers.get_all("set-cookie"), ["a=1; Path=/", "b=2"])
        self.assertEqual(headers["x-many"], "1, 2")
        for code in (201, 301, 404, 500):
            self.assertEqual(self.ask(host, path=f"/status?{code}")[0], code)

    def test_node(self):
        runtime = harness.machine_runtimes().get("nodejs")
        if not runtime:
            self.skipTest("no Node.js on this machine")
        files = {"run.sh": ("#!/bin/bash\nexec node index.js\n", 0o755), "index.js": NODE}
        host = self.url(self.web(files, runtime, env={"AWS_LWA_PORT": "7000"}, layers=[ADAPTER]))
        found = self.seen(host, "POST", "/x?y=z", b"12345", headers={"User-Agent": "me"})
        self.assertEqual(found, {"method": "POST", "url": "/x?y=z", "body": 5, "agent": "me"})

    def test_flask(self):
        if os.environ.get("MAYFLY_OFFLINE"):
            self.skipTest("offline: flask cannot be had")
        folder = tempfile.mkdtemp(prefix="mayfly-flask-")
        self.addCleanup(shutil.rmtree, folder)
        got = subprocess.run([sys.executable, "-m", "pip", "install", "-q", "--target", folder,
                              "flask"], capture_output=True, text=True, timeout=180)
        if got.returncode != 0:
            self.skipTest("pip cannot have flask: " + got.stderr.strip()[-200:])
        files = {"run.sh": ("#!/bin/sh\nexec python3 app.py\n", 0o755), "app.py": FLASK}
        for path in pathlib.Path(folder).rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                files[str(path.relative_to(folder))] = path.read_bytes()
        host = self.url(self.web(files))
        status, _, body = self.ask(host, "POST", "/hello/you?a=1", b"b=2", headers={
            "Content-Type": "application/x-www-form-urlencoded"})
        self.assertEqual((status, json.loads(body)),
                         (202, {"name": "you", "args": {"a": "1"}, "form": {"b": "2"}}))

    def test_express(self):
        runtime = harness.machine_runtimes().get("nodejs")
        if not runtime or not shutil.which("npm") or os.environ.get("MAYFLY_OFFLINE"):
            self.skipTest("express cannot be had: no Node.js, no npm, or offline")
        folder = tempfile.mkdtemp(prefix="mayfly-express-")
        self.addCleanup(shutil.rmtree, folder)
        got = subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--prefix", folder,
                              "express"], capture_output=True, text=True, timeout=180)
        if got.returncode != 0:
            self.skipTest("npm cannot have express: " + got.stderr.strip()[-200:])
        files = {"run.sh": ("#!/bin/sh\nexec node app.js\n", 0o755),
                 "app.js": "const app = require('express')();\n"
                           "app.get('/hi/:name', (q, res) => res.json({ hi: q.params.name }));\n"
                           "app.listen(8080);\n"}
        for path in pathlib.Path(folder, "node_modules").rglob("*"):
            if path.is_file() and not path.is_symlink():
                files[str(path.relative_to(folder))] = path.read_bytes()
        host = self.url(self.web(files, runtime))
        self.assertEqual(self.seen(host, path="/hi/you"), {"hi": "you"})

    def test_go(self):
        go = shutil.which("go")
        if not go:
            self.skipTest("no Go on this machine")
        with tempfile.TemporaryDirectory(prefix="mayfly-go-") as folder:
            source = pathlib.Path(folder, "main.go")
            source.write_text(GO)
            built = subprocess.run([go, "build", "-o", "bootstrap", "main.go"], cwd=folder,
                                   capture_output=True, text=True, env={
                                       **os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-mod=mod"})
            self.assertEqual(built.returncode, 0, built.stderr)
            program = pathlib.Path(folder, "bootstrap").read_bytes()
        host = self.url(self.create("provided.al2023", {"bootstrap": program}, "none", Timeout=20,
                                    Environment={"Variables": {"AWS_LWA_PORT": "8000"}}))
        self.assertEqual(self.seen(host, "PATCH", "/go?q=1", b"abc"),
                         {"method": "PATCH", "uri": "/go?q=1", "length": 3})

    def test_curl(self):
        curl = shutil.which("curl")
        if not curl:
            self.skipTest("no curl on this machine")
        host = self.url(self.custom())
        where = f"{host}:{self.server.port}"
        run = subprocess.run(
            [curl, "-sS", "--resolve", f"{where}:127.0.0.1", "--data-binary", "@-", "-H",
             "Expect:", f"http://{where}/from/curl"], input=b"a" * 2_000_000, capture_output=True)
        self.assertEqual(run.returncode, 0, run.stderr)
        self.assertEqual(json.loads(run.stdout)["length"], 2_000_000)

    # --- settings

    def test_base_path_and_authorization(self):
        host = self.url(self.custom({"AWS_LWA_REMOVE_BASE_PATH": "/api/",
                                     "AWS_LWA_AUTHORIZATION_SOURCE": "X-Auth"}))
        seen = self.seen(host, path="/api/api/x", headers={"X-Auth": "Bearer t"})
        self.assertEqual(seen["path"], "/api/x")
        self.assertEqual(seen["headers"]["authorization"], "Bearer t")
        self.assertNotIn("x-auth", seen["headers"])
        self.assertEqual(self.seen(host, path="/apix")["path"], "/apix")
        self.assertEqual(self.seen(host, path="/api")["path"], "/")

    def test_events_that_are_no_requests(self):
        function = self.custom()
        event = {"Records": [{"eventSource": "aws:sqs", "body": "ä"}]}
        seen, answer = self.invoke(function, event)
        self.assertNotIn("FunctionError", answer)
        self.assertEqual((seen["method"], seen["path"]), ("POST", "/events"))
        self.assertEqual(seen["headers"]["content-type"], "application/json")
        self.assertEqual(json.loads(seen["body"].encode("latin-1")), event)
        self.assertNotIn("x-amzn-request-context", seen["headers"])
        other = self.custom({"AWS_LWA_PASS_THROUGH_PATH": "/jobs"})
        self.assertEqual(self.invoke(other, {"a": 1})[0]["path"], "/jobs")

    def test_events_of_rest_apis_and_load_balancers(self):
        function = self.custom()
        rest = {"httpMethod": "PUT", "path": "/r", "headers": {"a": "2"},
                "multiValueHeaders": {"A": ["1", "2"]},
                "multiValueQueryStringParameters": {"q": ["a b", "c"]},
                "requestContext": {"requestId": "x"}, "isBase64Encoded": True,
                "body": base64.b64encode(b"\x00\xff").decode()}
        answer, _ = self.invoke(function, rest)
        seen = json.loads(answer["body"])
        self.assertEqual((seen["method"], seen["path"]), ("PUT", "/r?q=a%20b&q=c"))
        self.assertEqual((seen["body"], seen["length"]), ("\x00\xff", 2))
        self.assertEqual(answer["multiValueHeaders"]["content-type"], ["application/json"])
        balanced = {"httpMethod": "GET", "path": "/b", "headers": {"h": "1"},
                    "queryStringParameters": {"q": "a%20b"},
                    "requestContext": {"elb": {"targetGroupArn": "arn"}}, "body": ""}
        answer, _ = self.invoke(function, balanced)
        self.assertEqual(json.loads(answer["body"])["path"], "/b?q=a%20b")
        self.assertEqual(answer["statusDescription"], "200 OK")

    def test_statuses_that_fail_the_call(self):
        function = self.custom({"AWS_LWA_ERROR_STATUS_CODES": "500-502, 418",
                                "AWS_LWA_PASS_THROUGH_PATH": "/status"})
        event = {"version": "2.0", "rawPath": "/status", "rawQueryString": "418",
                 "requestContext": {"http": {"method": "GET"}}}
        found, answer = self.invoke(function, event)
        self.assertEqual(answer["FunctionError"], "Unhandled")
        self.assertIn("418", found["errorMessage"])
        event["rawQueryString"] = "503"
        self.assertEqual(self.invoke(function, event)[0]["statusCode"], 503)

    def test_a_setting_that_cannot_be(self):
        function = self.custom({"AWS_LWA_PORT": "eighty"})
        found, answer = self.invoke(function)
        self.assertEqual(answer["FunctionError"], "Unhandled")
        self.assertIn("AWS_LWA_PORT", found["errorMessage"])

    def test_a_setting_without_effect_is_named_in_the_log(self):
        function = self.custom({"AWS_LWA_ENABLE_COMPRESSION": "true"})
        self.invoke(function)
        logs = self.client("logs")
        self.eventually(lambda: any(
            "AWS_LWA_ENABLE_COMPRESSION has no effect" in event["message"] for event in
            logs.filter_log_events(logGroupName="/aws/lambda/" + function)["events"]))

    # --- the start

    def test_a_server_that_needs_a_while(self):
        function = self.custom({"SLOW": "1.5"})
        found, answer = self.invoke(function, LogType="Tail")
        self.assertNotIn("FunctionError", answer, found)
        init = float(harness.log_tail(answer).partition("Init Duration: ")[2].partition(" ms")[0])
        self.assertGreater(init, 1400)

    def test_by_tcp_and_on_another_port(self):
        function = self.custom({"AWS_LWA_READINESS_CHECK_PROTOCOL": "tcp", "PORT": "9090",
                                "AWS_LWA_READINESS_CHECK_PATH": "/status?500"})
        self.assertNotIn("FunctionError", self.invoke(function)[1])

    def test_a_server_that_is_never_ready(self):
        function = self.custom({"NEVER": "1", "AWS_LWA_READINESS_CHECK_TIMEOUT_SECONDS": "0.5"},
                               Timeout=5)
        found, answer = self.invoke(function)
        self.assertEqual(answer["FunctionError"], "Unhandled")
        self.assertEqual(found["errorType"], "Web.NotReady")
        self.assertIn("8080", found["errorMessage"])
        patient = self.custom({"NEVER": "1", "AWS_LWA_ASYNC_INIT": "true"}, Timeout=1)
        found, _ = self.invoke(patient)
        self.assertEqual(found["errorType"], "Sandbox.Timedout")

    def test_a_server_that_does_not_start(self):
        found, _ = self.invoke(self.custom({"DIE": "4"}))
        self.assertEqual(found["errorType"], "Runtime.ExitError")
        self.assertIn("exit status 4", found["errorMessage"])
        found, _ = self.invoke(self.web({"run.sh": ("#!/no/such/shell\n", 0o755)}))
        self.assertEqual(found["errorType"], "Runtime.InvalidEntrypoint")

    # --- what goes wrong in a call

    def test_a_server_that_dies_is_started_again(self):
        function = self.custom()
        host = self.url(function)
        first = self.seen(host)["pid"]
        status, _, body = self.ask(host, path="/exit")
        self.assertEqual(status, 502)
        self.assertIsInstance(self.seen(host)["pid"], int)
        event = {"version": "2.0", "rawPath": "/exit",
                 "requestContext": {"http": {"method": "GET"}}}
        found, _ = self.invoke(function, event)
        self.assertEqual(found["errorType"], "Runtime.ExitError")
        self.assertIn("exit status 7", found["errorMessage"])
        del first

    def test_a_response_that_hangs_or_breaks_off(self):
        function = self.custom(Timeout=2)
        event = {"version": "2.0", "rawPath": "/hang",
                 "requestContext": {"http": {"method": "GET"}}}
        found, _ = self.invoke(function, event)
        self.assertIn("Task timed out after 2.00 seconds", found["errorMessage"])
        event["rawPath"] = "/cut"
        found, _ = self.invoke(function, event)
        self.assertEqual(found["errorType"], "Web.ConnectionFailed")
        self.assertNotIn("FunctionError", self.invoke(function)[1])

    def test_output_is_in_the_log(self):
        function = self.custom()
        _, answer = self.invoke(function, LogType="Tail")
        self.assertIn("asked for /events", harness.log_tail(answer))

    # --- streaming

    def test_a_streamed_response(self):
        function = self.custom({"AWS_LWA_INVOKE_MODE": "response_stream"})
        host = self.url(function, "RESPONSE_STREAM")
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=60)
        self.addCleanup(connection.close)
        self.seen(host)  # it has started
        connection.request("GET", "/stream", headers={"Host": f"{host}:{self.server.port}"})
        answer = connection.getresponse()
        self.assertEqual((answer.status, answer.headers["set-cookie"]), (201, "s=1"))
        times, body = [], b""
        while part := answer.read1(4096):
            times.append(time.monotonic())
            body += part
        self.assertEqual(body, b"part 0\npart 1\npart 2\n")
        self.assertGreater(times[-1] - times[0], 0.5)
        status, _, body = self.ask(host, path="/large?9000000")
        self.assertEqual((status, len(body)), (200, 9_000_000))
        # Collected where the caller takes no stream.
        self.client().update_function_url_config(FunctionName=function, InvokeMode="BUFFERED")
        status, _, body = self.ask(host, path="/stream")
        self.assertEqual((status, body), (201, b"part 0\npart 1\npart 2\n"))

    def test_many_callers_have_servers_of_their_own(self):
        host = self.url(self.custom())
        pids, failures = set(), []

        def call():
            try:
                for _ in range(10):
                    pids.add(self.seen(host)["pid"])
            except AssertionError as error:
                failures.append(error)
        threads = [threading.Thread(target=call) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(failures, [])

    def test_several_calls_at_one_time(self):
        files = {"bootstrap": "#!/bin/sh\ncd /var/task && exec /usr/bin/python3 meeting.py\n",
                 "meeting.py": MEETING}
        name = self.create("provided.al2023", files, "none", Timeout=20, Environment={
            "Variables": {"AWS_LWA_PORT": "8080", "MAYFLY_MAX_CONCURRENCY": "8"}})
        host = self.url(name)
        for number in range(3):  # the connections are used again
            found = self.at_once([(host, "POST", f"/meet/{number}-{{n}}", f"body {{n}}")
                                  for _ in range(8)])
            for n, (status, _, body) in enumerate(found):
                seen = json.loads(body)
                self.assertEqual((status, seen["path"], seen["body"]),
                                 (200, f"/meet/{number}-{n}", f"body {n}"))
            self.assertEqual(len({json.loads(body)["pid"] for _, _, body in found}), 1)
        # One that hangs holds up none of the others, and one that breaks fails alone.
        found = self.at_once([(host, "GET", path, None) for path in ("/break", "/slow", "/", "/")])
        self.assertEqual([status for status, _, _ in found], [502, 200, 200, 200])
        big = "x" * 1000000
        found = self.at_once([(host, "POST", "/echo-{n}", big + "{n}") for _ in range(4)])
        for n, (_, _, body) in enumerate(found):
            self.assertEqual(json.loads(body)["body"], big + str(n))

    def at_once(self, asked):
        """Asks all in threads of their own; answers in their order."""
        found = [None] * len(asked)

        def one(n, host, method, path, body):
            found[n] = self.ask(host, method, path.replace("{n}", str(n)),
                                body and body.replace("{n}", str(n)))
        threads = [threading.Thread(target=one, args=(n, *each)) for n, each in enumerate(asked)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return found

    # --- the adapter itself, and who is none of its functions

    def publish(self, files):
        return self.client().publish_layer_version(
            LayerName=self.name("l"),
            Content={"ZipFile": harness.make_zip(files)})["LayerVersionArn"]

    def test_an_adapter_that_the_function_brings(self):
        layer = self.publish({"extensions/lambda-adapter": (STAND_IN, 0o755),
                              "bootstrap": '#!/bin/sh\nexec "$LAMBDA_TASK_ROOT/$_HANDLER"\n'})
        for function in (self.web(layers=[layer]),
                         self.create("provided.al2023", CUSTOM, "none", Layers=[layer])):
            seen, answer = self.invoke(function, {"a": 1})
            self.assertNotIn("FunctionError", answer, seen)
            self.assertEqual(seen["headers"]["x-stand-in"], "yes")
            self.assertEqual(seen["body"], '{"a": 1}')

    def test_the_layer_of_the_adapter_is_built_in(self):
        client = self.client()
        function = self.create("provided.al2023", CUSTOM, "none", Layers=[ADAPTER], Timeout=20)
        layers = client.get_function(FunctionName=function)["Configuration"]["Layers"]
        self.assertEqual([(layer["Arn"], layer["CodeSize"]) for layer in layers], [(ADAPTER, 0)])
        self.assertEqual(self.invoke(function, {"a": 1})[0]["path"], "/events")
        self.refused("AccessDeniedException", client.update_function_configuration,
                     FunctionName=function, Layers=[ADAPTER.replace("X86", "Other")])

    def test_a_setting_alone_makes_no_server_of_a_handler(self):
        function = self.create(Environment={"Variables": {"AWS_LWA_PORT": "1", "PORT": "1"}})
        self.assertEqual(self.invoke(function, {"a": 1})[0]["event"], {"a": 1})

    def test_a_server_in_a_container_image(self):
        python = images.python_layer()
        if python is None:
            self.skipTest("this machine has no " + images.PYTHON)
        image = images.Image([python, images.Layer().file("app/server.py", SERVER)],
                             Env=["PATH=/usr/bin:/bin", "AWS_LWA_READINESS_CHECK_PATH=/health",
                                  "PORT=3000"],
                             WorkingDir="/app", Cmd=["python3", "server.py"])
        folder = tempfile.mkdtemp(prefix="mayfly-images-")
        self.addCleanup(shutil.rmtree, folder)
        image.write_layout(folder)
        client, name = self.client(), self.name()
        client.create_function(FunctionName=name, PackageType="Image", Role=harness.ROLE,
                               Code={"ImageUri": folder}, Timeout=20)
        self.addCleanup(harness.forget, client, name)
        client.get_waiter("function_active_v2").wait(
            FunctionName=name, WaiterConfig={"Delay": 0.05, "MaxAttempts": 1200})
        self.assertEqual(self.seen(self.url(name), path="/in/image")["path"], "/in/image")


if __name__ == "__main__":
    harness.main()
