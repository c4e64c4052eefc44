"""One script of calls per service, run by the real clients: the AWS CLI and the SDK for JavaScript
v3. Each must make every operation that is built, and get the same answers.

A test file's class has the service's name and `scenario(client)`, with

    client.call("CreateQueue", QueueName="q")          the answer, as JSON
    client.refused("ResourceNotFoundException", …)     the error's message

Times are given as iso(…). What the clients parse for themselves (checksums of SQS, dates, signed
requests, streams of pages) is thereby tested too.
"""
import contextlib
import datetime
import json
import pathlib
import re
import shutil
import subprocess
import tempfile
import urllib.request

from harness import ROOT, Compat, client_env

SDK = {"sqs": ("client-sqs", "SQSClient"), "sns": ("client-sns", "SNSClient"),
       "events": ("client-eventbridge", "EventBridgeClient"),
       "pipes": ("client-pipes", "PipesClient"),
       "scheduler": ("client-scheduler", "SchedulerClient"),
       "logs": ("client-cloudwatch-logs", "CloudWatchLogsClient")}


class Refused(Exception):
    def __init__(self, code, message, status=0):
        super().__init__(f"{code}: {message}")
        self.code, self.message, self.status = code, message, status


class Client:
    def __init__(self, service):
        self.service, self.called = service, set()

    def call(self, operation, **given):
        answer = self.ask(operation, given)
        self.called.add(operation)
        return answer

    def refused(self, code, operation, **given):
        """The operation must fail with that code, or one of these; answers the message."""
        try:
            answer = self.ask(operation, given)
        except Refused as error:
            wanted = (code,) if isinstance(code, str) else code
            assert error.code in wanted, f"{operation}: {error}"
            return error.message
        raise AssertionError(f"{operation} was not refused: {answer}")


class Cli(Client):
    """The `aws` of PATH: a process for each call."""

    def __init__(self, service, url):
        super().__init__(service)
        self.env, self.url = client_env(url), url

    def ask(self, operation, given, pages=False):
        from botocore import xform_name
        words = ["aws", "--endpoint-url", self.url, self.service, xform_name(operation, "-"),
                 "--output", "json"]
        if not pages:
            words.append("--no-paginate")
        # Blobs as version 1 has them, times as text.
        body = json.dumps(given, default=lambda time: time.isoformat())
        run = subprocess.run([*words, "--cli-input-json", body], env=self.env, text=True,
                             capture_output=True, timeout=120)
        if run.returncode == 0:
            return json.loads(run.stdout) if run.stdout.strip() else {}
        found = re.search(r"An error occurred \((\S+)\)[^:]*: (.*)", run.stderr, re.S)
        assert found, f"{words}\n{body}\n{run.stderr}"
        raise Refused(found[1], found[2].strip())

    def pages(self, operation, **given):
        self.called.add(operation)
        return [self.ask(operation, given, pages=True)]

    def close(self):
        pass


class JavaScript(Client):
    """One process of Node.js for all calls."""

    def __init__(self, service, url, folder):
        super().__init__(service)
        package, name = SDK[service]
        self.errors = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(
            ["node", str(folder / "driver.mjs"), "@aws-sdk/" + package, name], text=True,
            env=client_env(url), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors)

    def ask(self, operation, given, pages=False):
        line = json.dumps({"operation": operation, "input": given, "pages": pages},
                          default=lambda time: {"$date": time.isoformat()})
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write(line + "\n")
            self.process.stdin.flush()
        said = self.process.stdout.readline()
        if not said:
            self.errors.seek(0)
            raise AssertionError("the SDK's process has ended: " + self.errors.read()[-2000:])
        said = json.loads(said)
        if "error" in said:
            raise Refused(**said["error"])
        return said["answer"]

    def pages(self, operation, **given):
        self.called.add(operation)
        return self.ask(operation, given, pages=True)

    def close(self):
        self.process.stdin.close()
        self.process.wait(60)
        self.process.stdout.close()
        self.errors.close()


def sdk_folder(test, *packages):
    """Where these packages of the SDK for JavaScript are installed, kept for later runs. Skips the
    test where that cannot be done."""
    for tool in ("node", "npm"):
        if not shutil.which(tool):
            test.skipTest(f"no {tool} on this machine")
    kept = ROOT / "build/compat-node"
    kept.mkdir(parents=True, exist_ok=True)
    missing = [f"@aws-sdk/{name}@3" for name in packages
               if not (kept / "node_modules/@aws-sdk" / name / "package.json").exists()]
    if missing:
        run = subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--prefix", str(kept),
                              *missing], text=True, capture_output=True, timeout=600)
        if run.returncode:
            test.skipTest(f"npm could not fetch {' '.join(missing)}: {run.stderr[-200:]}")
    return kept


def iso(moment):
    """Of a text, or of seconds: version 1 of the CLI answers these."""
    if isinstance(moment, (int, float)):
        return datetime.datetime.fromtimestamp(moment, datetime.timezone.utc)
    return datetime.datetime.fromisoformat(moment.replace("Z", "+00:00"))


class EveryOperation(Compat):
    service = ""

    def scenario(self, client):
        raise NotImplementedError

    def built(self):
        with urllib.request.urlopen(self.server.url + "/_mayfly/operations", timeout=30) as answer:
            services = json.load(answer)["services"]
        (rows,) = [one["operations"] for one in services if one["name"] == self.service]
        return {row["name"] for row in rows if row["built"]}

    def run_scenario(self, client):
        try:
            self.scenario(client)
        finally:
            client.close()
        self.assertEqual(sorted(self.built() - client.called), [], "operations without a call")

    def run_cli(self):
        if not shutil.which("aws"):
            self.skipTest("the aws CLI is not installed")
        self.run_scenario(Cli(self.service, self.server.url))

    def run_sdk(self):
        folder = sdk_folder(self, SDK[self.service][0])
        shutil.copy(pathlib.Path(__file__).parent / "sdk.mjs", folder / "driver.mjs")
        self.run_scenario(JavaScript(self.service, self.server.url, folder))
