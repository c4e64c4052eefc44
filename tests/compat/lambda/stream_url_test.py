#!/usr/bin/env python3
"""Function URLs with InvokeMode RESPONSE_STREAM, over plain HTTP."""
import http.client
import json
import pathlib
import shutil
import socket
import subprocess
import sys
import time
import urllib.parse

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
sys.path.insert(0, str(pathlib.Path(__file__).parent))
import harness  # noqa: E402
from stream_functions import HANDLER  # noqa: E402
from stream_test import MIB, Streaming  # noqa: E402

PRELUDE = {"statusCode": 201, "headers": {"X-Mine": "yes", "Content-Type": "text/plain",
                                          "Content-Length": "5"}, "cookies": ["a=1", "b=2"]}


class UrlClient(Streaming):
    def public(self, mode="RESPONSE_STREAM", files=None, auth="NONE", cors=None, **more):
        client = self.client()
        name = self.function(files, **more)
        made = client.create_function_url_config(FunctionName=name, AuthType=auth, InvokeMode=mode,
                                                 Cors=cors or {})
        self.assertEqual(made["InvokeMode"], mode)
        if auth == "NONE":
            client.add_permission(FunctionName=name, StatementId="public", Principal="*",
                                  Action="lambda:InvokeFunctionUrl", FunctionUrlAuthType="NONE")
        return name, urllib.parse.urlsplit(made["FunctionUrl"]).netloc

    def ask(self, host, method="GET", headers=None, **query):
        """Connects to the server itself: the name in the URL need not resolve."""
        if "prelude" in query:
            query["prelude"] = json.dumps(query["prelude"])
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=30)
        self.addCleanup(connection.close)
        connection.request(method, "/?" + urllib.parse.urlencode(query),
                           headers={"Host": host, **(headers or {})})
        return connection, connection.getresponse()

    def raw(self, host, version="1.0", **query):
        connection = socket.create_connection(("127.0.0.1", self.server.port), timeout=30)
        self.addCleanup(connection.close)
        connection.sendall(f"GET /?{urllib.parse.urlencode(query)} HTTP/{version}\r\n"
                           f"Host: {host}\r\n\r\n".encode())
        return connection

    def logged(self, name, text):
        client, group = self.client("logs"), f"/aws/lambda/{name}"
        return self.eventually(lambda: client.filter_log_events(
            logGroupName=group, filterPattern=f'"{text}"')["events"])


class Urls(UrlClient):
    def test_parts_arrive_while_the_function_runs(self):
        name, host = self.public()
        connection, answer = self.ask(host, mode="stamps", prelude=PRELUDE)
        first, came = answer.read1(), time.time() * 1000
        made = [int(stamp) for stamp in (first + answer.read()).split()]
        self.assertEqual(len(made), 5)
        self.assertLess(came, made[-1], "the first part came when the last was made")
        self.assertEqual(answer.status, 201)
        self.assertEqual((answer.headers["X-Mine"], answer.headers["Content-Type"]),
                         ("yes", "text/plain"))
        self.assertEqual(answer.headers.get_all("Set-Cookie"), ["a=1", "b=2"])
        self.assertEqual((answer.headers["Transfer-Encoding"], answer.headers["Content-Length"]),
                         ("chunked", None))
        # The connection goes on.
        connection.request("GET", "/?mode=pipe", headers={"Host": host})
        answer = connection.getresponse()
        self.assertEqual((answer.status, answer.read()), (200, b"xyz"))
        self.assertEqual(answer.headers["Content-Type"], "application/octet-stream")
        report = self.logged(name, "REPORT RequestId")[0]["message"]
        duration = float(report.split("Duration: ")[1].split(" ")[0])
        self.assertGreaterEqual(duration, made[-1] - made[0])

    def test_answers_of_all_kinds(self):
        _, host = self.public()
        _, answer = self.ask(host, mode="json")
        self.assertEqual((answer.headers["Content-Type"], answer.read()),
                         ("application/json", b'{"a":[1]}'))
        for status in (204, 304):
            connection, answer = self.ask(host, mode="head", prelude={"statusCode": status})
            self.assertEqual((answer.status, answer.read()), (status, b""))
            self.assertIsNone(answer.headers["Transfer-Encoding"])
            connection.request("GET", "/?mode=pipe", headers={"Host": host})
            self.assertEqual(connection.getresponse().read(), b"xyz")
        _, answer = self.ask(host, mode="head", prelude={"headers": {"x-only": "head"}})
        self.assertEqual((answer.status, answer.headers["x-only"], answer.read()),
                         (200, "head", b""))
        connection, answer = self.ask(host, "HEAD", mode="pipe", prelude=PRELUDE)
        self.assertEqual((answer.status, answer.headers["X-Mine"], answer.read()),
                         (201, "yes", b""))
        connection.request("GET", "/?mode=pipe", headers={"Host": host})
        self.assertEqual(connection.getresponse().read(), b"xyz")

    def test_a_prelude_that_makes_no_response_is_502(self):
        _, host = self.public()
        for prelude in ({"statusCode": 99}, {"statusCode": 200, "headers": {"a": "b\r\nc: d"}}, []):
            with self.subTest(str(prelude)):
                self.assertEqual(self.ask(host, mode="pipe", prelude=prelude)[1].status, 502)
        for fill, status in ((30_000, 200), (65_000, 200), (66_000, 502), (700_000, 502)):
            _, answer = self.ask(host, mode="pipe", prelude={"statusCode": 200}, fill=fill)
            self.assertEqual((answer.status, len(answer.headers.get("fill") or "")),
                             (status, fill if status == 200 else 0))
        self.assertEqual(self.ask(host, mode="early", prelude=PRELUDE)[1].status, 502)
        self.assertEqual(self.ask(host, mode="pipe")[1].read(), b"xyz")

    def test_what_fails_in_the_middle_is_seen(self):
        _, host = self.public(Timeout=2)
        for mode in ("middle", "broken", "hang", "killed", "exit", "uncaught"):
            with self.subTest(mode):
                _, answer = self.ask(host, mode=mode)
                self.assertEqual(answer.status, 200)
                with self.assertRaises(http.client.IncompleteRead) as caught:
                    answer.read()
                self.assertIn(caught.exception.partial, (b"first", b"x"))
                # A process that ends behind its answer may still be handed a call.
                self.eventually(lambda: self.ask(host, mode="pipe")[1].read() == b"xyz")
        curl = shutil.which("curl")
        if not curl:
            print("SKIPPED curl's view of an answer that breaks off: no curl")
            return
        run = subprocess.run([curl, "-sS", "-N", "-H", f"Host: {host}",
                              f"{self.server.url}/?mode=middle"], capture_output=True, timeout=30)
        self.assertEqual((run.returncode, run.stdout), (18, b"first"), run.stderr)

    def test_http_1_0_gets_no_chunks_and_sees_an_end_or_a_reset(self):
        _, host = self.public()
        connection = self.raw(host, mode="pipe")
        whole = b"".join(iter(lambda: connection.recv(65536), b""))
        head, body = whole.split(b"\r\n\r\n")
        self.assertEqual(body, b"xyz")
        self.assertNotIn(b"transfer-encoding", head.lower())
        self.assertNotIn(b"content-length", head.lower())
        self.assertIn(b"Connection: close", head)
        connection = self.raw(host, mode="middle")
        with self.assertRaises(ConnectionResetError):
            while connection.recv(65536):
                pass

    def test_a_client_that_leaves_does_not_stop_the_function(self):
        name, host = self.public()
        connection, answer = self.ask(host, mode="steady")
        answer.read(10)
        answer.close()
        connection.close()
        self.logged(name, "steady to the end")
        self.assertEqual(self.ask(host, mode="pipe")[1].read(), b"xyz")

    def test_a_slow_client_makes_the_function_wait(self):
        _, host = self.public(Timeout=60, MemorySize=512)
        self.ask(host, mode="big", pieces=10)[1].read()
        before = self.memory_mib()
        _, answer = self.ask(host, mode="big", pieces=100)
        body, most = bytearray(answer.read(MIB)), 0
        for _ in range(15):
            time.sleep(0.1)
            most = max(most, self.memory_mib())
        rested = time.time() * 1000
        # Then in small sips, and the rest at once.
        while len(body) < 8 * MIB:
            body += answer.read(50_000)
            time.sleep(0.005)
            most = max(most, self.memory_mib())
        body += answer.read()
        self.check_slow(body, rested, max(most, self.memory_mib()) - before)

    def test_buffered_urls_collect_what_a_function_streams(self):
        _, host = self.public("BUFFERED")
        _, answer = self.ask(host, mode="pipe", prelude=PRELUDE)
        self.assertEqual((answer.status, answer.headers["X-Mine"], answer.read()),
                         (201, "yes", b"xyz"))
        self.assertEqual(answer.headers["Content-Length"], "3")
        _, answer = self.ask(host, mode="pipe")
        self.assertEqual((answer.headers["Content-Type"], answer.read()),
                         ("application/octet-stream", b"xyz"))
        self.assertEqual(self.ask(host, mode="middle")[1].status, 502)

    def test_a_function_that_does_not_stream_is_passed_through(self):
        _, host = self.public(files={"index.js": (
            "exports.handler = async () => ({ statusCode: 201, body: 'x' })")})
        _, answer = self.ask(host)
        self.assertEqual(answer.headers["Content-Type"], "application/json")
        self.assertEqual((answer.status, json.loads(answer.read())),
                         (200, {"statusCode": 201, "body": "x"}))

    def test_modes_are_changed_and_checked(self):
        client = self.client()
        name, host = self.public("BUFFERED")
        changed = client.update_function_url_config(FunctionName=name, InvokeMode="RESPONSE_STREAM")
        self.assertEqual(changed["InvokeMode"], "RESPONSE_STREAM")
        self.assertEqual(self.ask(host, mode="pipe")[1].headers["Transfer-Encoding"], "chunked")
        self.refused("ValidationException", client.update_function_url_config, FunctionName=name,
                     InvokeMode="SIDEWAYS")
        client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
        self.assertEqual(self.ask(host, mode="pipe")[1].status, 429)

    def test_signatures_and_cors(self):
        import botocore.auth
        import botocore.awsrequest
        import botocore.credentials
        _, host = self.public(auth="AWS_IAM")
        self.assertEqual(self.ask(host, mode="pipe")[1].status, 403)
        request = botocore.awsrequest.AWSRequest("GET", f"http://{host}/?mode=pipe")
        botocore.auth.SigV4Auth(botocore.credentials.Credentials("test", "test"), "lambda",
                                "us-east-1").add_auth(request)
        _, answer = self.ask(host, headers=dict(request.headers), mode="pipe")
        self.assertEqual((answer.status, answer.read()), (200, b"xyz"))
        _, host = self.public(cors={"AllowOrigins": ["http://page.test"], "ExposeHeaders": ["x-b"]})
        origin = {"Origin": "http://page.test"}
        _, answer = self.ask(host, headers=origin, mode="pipe", prelude={
            "statusCode": 200, "headers": {"Access-Control-Allow-Origin": "*"}})
        self.assertEqual(answer.headers.get_all("Access-Control-Allow-Origin"),
                         ["http://page.test"])
        self.assertEqual((answer.headers["Access-Control-Expose-Headers"], answer.read()),
                         ("x-b", b"xyz"))
        _, answer = self.ask(host, "OPTIONS", {**origin, "Access-Control-Request-Method": "GET"})
        self.assertEqual(answer.status, 200)


if __name__ == "__main__":
    del Streaming, UrlClient  # bases, not tests
    harness.main()
