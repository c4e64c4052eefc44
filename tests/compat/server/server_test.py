#!/usr/bin/env python3
"""The server itself: who may speak to it, restart, clean stop, metrics and health."""
import json
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import urllib.error
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
import harness  # noqa: E402
from harness import boto_client, Compat, make_zip, PYTHON_ECHO, ROLE, Server  # noqa: E402


class Open(Compat):
    """With --dev."""

    def test_health(self):
        with urllib.request.urlopen(self.server.url + "/_mayfly/health") as answer:
            self.assertEqual(answer.status, 200)
            json.loads(answer.read())

    def test_operations(self):
        with urllib.request.urlopen(self.server.url + "/_mayfly/operations") as answer:
            services = {one["name"]: {row["name"]: row["built"] for row in one["operations"]}
                        for one in json.loads(answer.read())["services"]}
        self.assertIs(services["lambda"]["Invoke"], True)
        self.assertIs(services["lambda"]["GetDurableExecution"], False)
        self.assertIn("FilterLogEvents", services["logs"])
        # What `./dev coverage` has written is of this program.
        text = (harness.ROOT / "docs/reference/coverage.md").read_text(encoding="utf-8")
        for service, operations in services.items():
            section = text.split(f"| {service} | built |")[1].split("\n## ")[0]
            rows = dict(re.findall(r"^\| (\w+) \| (yes|no) \|", section, re.M))
            self.assertEqual(rows, {name: "yes" if built else "no"
                                    for name, built in operations.items()})

    def test_metrics_are_clean(self):
        self.invoke(self.create())
        with urllib.request.urlopen(self.server.url + "/_mayfly/metrics") as answer:
            text = answer.read()
            self.assertIn("text/plain", answer.headers["Content-Type"])
        self.assertIn(b"# TYPE ", text)
        self.assertIn(b"mayfly_", text)
        promtool = shutil.which("promtool")
        if not promtool:
            self.skipTest("no promtool on this machine (Debian package prometheus)")
        run = subprocess.run([promtool, "check", "metrics"], input=text, capture_output=True)
        self.assertEqual((run.returncode, run.stderr + run.stdout), (0, b""))

    def test_the_program_alone_in_the_plain_locale(self):
        """Without the folders beside it the program lays its bootstraps out itself."""
        if not list(pathlib.Path("/usr/lib/jvm").glob("*/bin/javac")):
            self.skipTest("no javac on this machine: only Java's bootstrap has to be compiled")
        folder = pathlib.Path(tempfile.mkdtemp(prefix="mayfly-alone-"))
        self.addCleanup(shutil.rmtree, folder, True)
        alone = shutil.copy(harness.PROGRAM, folder)
        env = {"PATH": "/usr/bin:/bin", "HOME": str(folder), "LC_ALL": "C"}
        run = subprocess.run([alone, "doctor", "--json"], env=env, cwd=folder, text=True,
                             capture_output=True)
        found = {each["name"] for each in json.loads(run.stdout)["findings"]
                 if each["group"] == "runtimes"}
        self.assertTrue(any(name.startswith("java") for name in found), (found, run.stderr))

    def test_dev_mode_stays_on_this_machine(self):
        for listen in ("0.0.0.0:0", "[::]:0", "10.0.0.1:0"):
            run = subprocess.run([harness.PROGRAM, "server", "--dev", "--listen", listen, "--data",
                                  self.server.data + "-no"], capture_output=True, text=True)
            self.assertEqual(run.returncode, 1)
            self.assertIn("loopback only", run.stderr)

    def raw(self, text, wait=0.5):
        """The answers' status lines to bytes as they are, and whether the server hung up."""
        with socket.create_connection(("127.0.0.1", self.server.port)) as peer:
            peer.settimeout(wait)
            peer.sendall(text.encode("latin1"))
            got = b""
            try:
                while piece := peer.recv(65536):
                    got += piece
                closed = True
            except TimeoutError:
                closed = False
        return [int(code) for code in re.findall(rb"HTTP/1\.1 (\d{3}) ", got)], closed

    def test_requests_that_two_readers_could_take_differently(self):
        """Each is refused once, and what follows it is never read as a request."""
        head = "POST /_mayfly/health HTTP/1.1\r\nHost: x\r\n"
        hidden = "GET /_mayfly/health HTTP/1.1\r\nHost: x\r\n\r\n"
        for fields in ("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
                       "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
                       "Content-Length: 2\r\nContent-Length: 3\r\n\r\nab",
                       "Content-Length: 2, 2\r\n\r\nab", "Content-Length: +2\r\n\r\nab",
                       "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
                       "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
                       "Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
                       "Transfer-Encoding: chunked\r\n\r\n-1\r\n",
                       "Transfer-Encoding: chunked\r\n\r\n3\nabc\n0\n\n",
                       "X: a\rb\r\n\r\n", "X: a\0b\r\n\r\n", "Host: y\r\n\r\n"):
            with self.subTest(fields):
                self.assertEqual(self.raw(head + fields + hidden, 10), ([400], True))

    def test_pipelined_and_chunked_requests_are_answered_in_turn(self):
        get = "GET /_mayfly/health HTTP/1.1\r\nHost: x\r\n\r\n"
        chunked = ("POST /_mayfly/health HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
                   "3;a=b\r\nabc\r\n0\r\nX: y\r\n\r\n")
        self.assertEqual(self.raw(get * 3), ([200] * 3, False))
        self.assertEqual(self.raw(chunked + get), ([200, 200], False))
        self.assertEqual(self.raw(get[:-2] + "Connection: close\r\n\r\n" + get), ([200], True))

    def test_expect_continue(self):
        head = ("POST {} HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n"
                "Content-Length: {}\r\n\r\n").format
        self.assertEqual(self.raw(head("/_mayfly/health", 2))[0], [100])
        # Refused by its head: the body is not asked for.
        self.assertEqual(self.raw(head("/2015-03-31/functions", 9), 10), ([403], True))
        self.assertEqual(self.raw(head("/_mayfly/health", 10 ** 9), 10), ([413], True))

    def test_slow_clients_do_not_hold_the_server(self):
        slow = []
        for _ in range(500):
            peer = socket.create_connection(("127.0.0.1", self.server.port))
            self.addCleanup(peer.close)
            peer.sendall(b"GET / HT")
            slow.append(peer)
        self.assertTrue(self.server.alive())
        # They are told off and cut when the time for a head is over, however they drip.
        self.eventually(lambda: self.all_gone(slow), 30)

    @staticmethod
    def all_gone(peers):
        for peer in list(peers):
            try:
                peer.sendall(b"x")
                peer.settimeout(0.001)
                if peer.recv(65536):
                    continue
            except TimeoutError:
                continue
            except OSError:
                pass
            peers.remove(peer)
        return not peers

    def test_other_users_cannot_read_the_state(self):
        self.invoke(self.create())
        data = pathlib.Path(self.server.data)
        self.assertEqual(data.stat().st_mode & 0o077, 0)
        files = [path for name in ("state", "logs") for path in data.glob(f"{name}.db*")]
        self.assertTrue(files)
        for path in files:
            self.assertEqual(path.stat().st_mode & 0o077, 0, path)

    def test_unsigned_is_refused(self):
        with self.assertRaises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(self.server.url + "/2015-03-31/functions")
        self.assertEqual(caught.exception.code, 403)
        caught.exception.close()

    def test_unknown_key_is_refused(self):
        self.refused("UnrecognizedClientException",
                     self.client(key="AKIAUNKNOWNUNKNOWN00").list_functions)

    def test_identity(self):
        answer = self.client("sts", key="111122223333").get_caller_identity()
        self.assertEqual(answer["Account"], "111122223333")
        self.assertEqual(self.client("sts").get_caller_identity()["Account"], "000000000000")

    def test_functions_have_credentials_of_their_own(self):
        name = self.create(files={"lambda_function.py": (
            "import os\ndef lambda_handler(e, c):\n"
            "    return [os.environ[k] for k in ('AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY',\n"
            "                                    'AWS_SESSION_TOKEN')]\n")})
        key, secret, token = self.invoke(name)[0]
        self.assertTrue(key.startswith("ASIA"), key)
        arn = self.client("sts", key=key, secret=secret, token=token).get_caller_identity()["Arn"]
        self.assertIn(":assumed-role/test-role/", arn)
        self.refused("InvalidSignatureException", self.client(
            key=key, secret="wrong", token=token).list_functions)


class Closed(Compat):
    """Without --dev: one root credential, made on the first start and shown once."""

    def setUp(self):
        self.data = tempfile.mkdtemp(prefix="mayfly-closed-")
        self.addCleanup(shutil.rmtree, self.data, True)

    def start(self):
        closed = Server(dev=False, data=self.data)
        self.addCleanup(closed.stop)
        return closed

    def test_root_credential_signatures_and_restart(self):
        closed = self.start()
        self.eventually(lambda: re.search(r"AKIA[A-Z0-9]{16}", "".join(closed.output)), 5)
        text = "".join(closed.output)
        key = re.search(r"AKIA[A-Z0-9]{16}", text)[0]
        secret = re.search(r"(?<![A-Za-z0-9/+])[A-Za-z0-9/+]{40}(?![A-Za-z0-9/+])", text)[0]
        good = boto_client(closed.url, key=key, secret=secret)
        self.assertEqual(good.list_functions()["Functions"], [])
        wrong = boto_client(closed.url, key=key, secret="x" * 40)
        self.refused("InvalidSignatureException", wrong.list_functions)
        self.refused("UnrecognizedClientException", boto_client(closed.url).list_functions)
        with self.assertRaises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(closed.url + "/2015-03-31/functions")
        self.assertEqual(caught.exception.code, 403)
        caught.exception.close()
        account = boto_client(closed.url, "sts", key=key,
                              secret=secret).get_caller_identity()["Account"]
        self.assertRegex(account, r"^\d{12}$")
        good.create_function(FunctionName="kept", Runtime="python3.11",
                             Role=ROLE.replace("000000000000", account),
                             Handler="lambda_function.lambda_handler",
                             Code={"ZipFile": make_zip(PYTHON_ECHO)})
        self.assertEqual(closed.stop(), 0)
        again = self.start()
        self.assertNotIn(secret, "".join(again.output), "the secret is shown once")
        kept = boto_client(again.url, key=key, secret=secret)
        kept.get_waiter("function_active_v2").wait(
            FunctionName="kept", WaiterConfig={"Delay": 0.05, "MaxAttempts": 600})
        answer = kept.invoke(FunctionName="kept", Payload="{}")
        self.assertNotIn("FunctionError", answer)


class Stop(Compat):
    def test_what_runs_is_finished_on_sigterm(self):
        server = Server()
        self.addCleanup(server.stop)
        client, name = boto_client(server.url), self.name()
        client.create_function(FunctionName=name, Runtime="python3.11", Role=ROLE, Timeout=30,
                               Handler="lambda_function.lambda_handler",
                               Code={"ZipFile": make_zip({"lambda_function.py": (
                                   "import time\ndef lambda_handler(e, c):\n"
                                   "    print('begun', flush=True)\n"
                                   "    time.sleep(2)\n    return 'done'\n")})})
        client.get_waiter("function_active_v2").wait(
            FunctionName=name, WaiterConfig={"Delay": 0.05, "MaxAttempts": 600})
        answers = []
        call = threading.Thread(target=lambda: answers.append(
            client.invoke(FunctionName=name)["Payload"].read()))
        call.start()
        logs = boto_client(server.url, "logs")

        def begun():
            try:
                return logs.filter_log_events(logGroupName=f"/aws/lambda/{name}",
                                              filterPattern="begun")["events"]
            except logs.exceptions.ResourceNotFoundException:
                return None
        self.eventually(begun)
        self.assertEqual(server.stop(), 0)
        call.join()
        self.assertEqual(answers, [b'"done"'])


class State(Compat):
    def test_acknowledged_state_survives_kill(self):
        data = tempfile.mkdtemp(prefix="mayfly-kill-")
        self.addCleanup(shutil.rmtree, data, True)
        names = []
        for _ in range(3):
            server = Server(data=data)
            self.addCleanup(server.stop)
            client = boto_client(server.url)
            for _ in range(3):
                names.append(self.name())
                client.create_function(FunctionName=names[-1], Runtime="python3.11", Role=ROLE,
                                       Handler="lambda_function.lambda_handler",
                                       Code={"ZipFile": make_zip(PYTHON_ECHO)})
            server.kill()
        server = Server(data=data)
        self.addCleanup(server.stop)
        client = boto_client(server.url)
        found = {f["FunctionName"] for f in client.list_functions()["Functions"]}
        self.assertEqual(found, set(names))
        client.get_waiter("function_active_v2").wait(
            FunctionName=names[0], WaiterConfig={"Delay": 0.05, "MaxAttempts": 600})
        self.assertNotIn("FunctionError", client.invoke(FunctionName=names[0], Payload="{}"))


if __name__ == "__main__":
    harness.main()
