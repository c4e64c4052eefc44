"""Runs real clients against a started server.

One server per test file, on a port of its own, with a data folder that is removed at the end. After
each test the server must still answer: the run stops at the test that broke it.
"""
import base64
import io
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import urllib.request
import uuid
import zipfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = os.environ.get("MAYFLY_PROGRAM", str(ROOT / "build/release/mayfly"))
ROLE = "arn:aws:iam::000000000000:role/test-role"
READY_SECONDS = 20
STOP_SECONDS = 30


class Calls:
    """With MAYFLY_CALLS=DIR: which operations answered each test with success, by the server's own
    count, for tools/coverage."""

    folder = os.environ.get("MAYFLY_CALLS")
    test = ""  # that runs

    @classmethod
    def note(cls, server):
        """What the server has answered since the last time."""
        if not cls.folder or not server.url:
            return
        try:
            with urllib.request.urlopen(server.url + "/_mayfly/metrics", timeout=10) as answer:
                text = answer.read().decode()
            cls.note_table(server)
        except OSError:
            return  # it has ended
        found = {}
        for labels, count in re.findall(r"^mayfly_api_requests_total\{(.*)\} (\S+)$", text, re.M):
            label = dict(re.findall(r'(\w+)="([^"]*)"', labels))
            if label["status"].startswith("2") and label["operation"]:
                key = f"{label['service']}:{label['operation']}"
                found[key] = found.get(key, 0) + float(count)
        calls = sorted(key for key, count in found.items() if count > server.counted.get(key, 0))
        server.counted = found
        if calls and cls.test:
            with open(cls.path(), "a", encoding="utf-8") as out:
                out.write(json.dumps({"test": cls.test, "calls": calls}) + "\n")

    @classmethod
    def path(cls):
        return pathlib.Path(cls.folder, pathlib.Path(sys.argv[0]).stem + ".jsonl")

    @classmethod
    def note_table(cls, server):
        table = pathlib.Path(cls.folder, "operations.json")
        if not table.exists():
            table.parent.mkdir(parents=True, exist_ok=True)
            with urllib.request.urlopen(server.url + "/_mayfly/operations", timeout=10) as answer:
                table.write_bytes(answer.read())


class Server:
    """A started server; stop() ends it by its own process handle."""

    def __init__(self, *arguments, dev=True, data=None):
        self.own_data = data is None
        self.data = data or tempfile.mkdtemp(prefix="mayfly-compat-")
        self.output, self.url = [], None
        self.counted = {}  # see Calls
        command = [PROGRAM, "server", "--listen", "127.0.0.1:0", "--data", self.data, *arguments]
        self.process = subprocess.Popen(command + (["--dev"] if dev else []), text=True,
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.ready = threading.Event()
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        if not self.ready.wait(READY_SECONDS) or not self.url:
            self.stop()
            raise RuntimeError("the server did not get ready:\n" + "".join(self.output[-40:]))

    def _read(self):
        for line in self.process.stdout:
            self.output.append(line)
            found = re.search(r"https?://127\.0\.0\.1:(\d+)", line)
            if found and not self.url:
                self.url = f"http://127.0.0.1:{found[1]}"
                self.ready.set()
        self.ready.set()

    @property
    def port(self):
        return int(self.url.rsplit(":", 1)[1])

    def alive(self):
        if self.process.poll() is not None:
            return False
        try:
            with urllib.request.urlopen(self.url + "/_mayfly/health", timeout=10) as answer:
                return answer.status == 200
        except OSError:
            return False

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        """SIGTERM; answers the exit status. A server that does not end is killed."""
        if self.process.poll() is None:
            Calls.note(self)
            self.process.terminate()
            try:
                self.process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.kill()
        self.reader.join()
        self.process.stdout.close()
        if self.own_data:
            shutil.rmtree(self.data, ignore_errors=True)
        return self.process.returncode


class Compat(unittest.TestCase):
    """Base of all tests: one shared server, clients for it, and the check that it lives on."""

    server = None
    broken_by = None
    server_arguments = ()

    @classmethod
    def setUpClass(cls):
        if Compat.server is None:
            Compat.server = Server(*cls.server_arguments)

    def run(self, result=None):
        if Compat.broken_by:
            result.shouldStop = True
            return result
        file = pathlib.Path(sys.argv[0])
        Calls.test = f"{file.parent.name}/{file.stem.removesuffix('_test')}::{self.id()}"
        answer = super().run(result)
        if Compat.server:
            Calls.note(Compat.server)
        if Compat.server and not Compat.server.alive():
            Compat.broken_by = self.id()
            result.addFailure(self, failure_info(
                "the server no longer answers; its last words:\n" +
                "".join(Compat.server.output[-60:])))
            result.shouldStop = True
        return answer

    def client(self, service="lambda", region="us-east-1", key="test", secret="test", token=None):
        return boto_client(self.server.url, service, region, key, secret, token)

    def name(self, prefix="f"):
        return f"{prefix}-{uuid.uuid4().hex[:12]}"

    def create(self, runtime="python3.11", files=None, handler=None, client=None, **more):
        """Creates a function, waits until it is active, deletes it after the test."""
        client = client or self.client()
        name = more.pop("FunctionName", None) or self.name()
        files = files or PYTHON_ECHO
        handler = handler or "lambda_function.lambda_handler"
        more.setdefault("Role", ROLE)
        client.create_function(FunctionName=name, Runtime=runtime, Handler=handler,
                               Code={"ZipFile": make_zip(files)}, **more)
        self.addCleanup(forget, client, name)
        client.get_waiter("function_active_v2").wait(
            FunctionName=name, WaiterConfig={"Delay": 0.05, "MaxAttempts": 1200})
        return name

    def updated(self, name, client=None):
        (client or self.client()).get_waiter("function_updated_v2").wait(
            FunctionName=name, WaiterConfig={"Delay": 0.05, "MaxAttempts": 1200})

    def invoke(self, name, payload=None, client=None, **more):
        """(parsed payload, the whole answer) of a synchronous call."""
        answer = (client or self.client()).invoke(
            FunctionName=name, Payload=json.dumps({} if payload is None else payload), **more)
        body = answer["Payload"].read()
        try:
            return json.loads(body) if body else None, answer
        except ValueError:
            return body, answer

    def refused(self, code, call, *arguments, **more):
        """The call must fail with the API's error code; answers its message."""
        import botocore.exceptions
        with self.assertRaises(botocore.exceptions.ClientError) as caught:
            call(*arguments, **more)
        error = caught.exception.response["Error"]
        self.assertEqual(error["Code"], code, error.get("Message"))
        return error.get("Message", "")

    def eventually(self, check, seconds=30):
        """Asks again until `check` answers something true; only a hang ever waits this long."""
        until = time.monotonic() + seconds
        while True:
            found = check()
            if found:
                return found
            if time.monotonic() > until:
                self.fail("it did not happen in time")
            time.sleep(0.05)


PYTHON_ECHO = {"lambda_function.py": (
    "import json, os\n"
    "def lambda_handler(event, context):\n"
    "    print('seen', json.dumps(event))\n"
    "    return {'event': event, 'version': context.function_version,\n"
    "            'arn': context.invoked_function_arn, 'marker': os.environ.get('MARKER')}\n")}


def failure_info(text):
    try:
        raise AssertionError(text)
    except AssertionError:
        return sys.exc_info()


def forget(client, name):
    try:
        client.delete_function(FunctionName=name)
    except Exception:  # the test itself has deleted it
        pass


def boto_client(url, service="lambda", region="us-east-1", key="test", secret="test", token=None):
    import boto3
    import botocore.config
    config = botocore.config.Config(retries={"total_max_attempts": 1}, read_timeout=70,
                                    connect_timeout=5, parameter_validation=False)
    return boto3.client(service, endpoint_url=url, region_name=region, aws_access_key_id=key,
                        aws_secret_access_key=secret, aws_session_token=token, config=config)


def make_zip(files):
    """{name: text or bytes, or (content, mode)} as a zip; `bootstrap` is executable."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            mode = 0o755 if name.endswith("bootstrap") else 0o644
            if isinstance(content, tuple):
                content, mode = content
            info = zipfile.ZipInfo(name)
            info.external_attr = (0o100000 | mode) << 16
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, content)
    return out.getvalue()


def client_env(url, key="test", region="us-east-1"):
    """An environment in which every AWS tool talks to `url` and to nothing else."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("AWS_")}
    env.update(AWS_ENDPOINT_URL=url, AWS_ACCESS_KEY_ID=key, AWS_SECRET_ACCESS_KEY="test",
               AWS_REGION=region, AWS_DEFAULT_REGION=region, AWS_PAGER="", AWS_MAX_ATTEMPTS="1",
               AWS_EC2_METADATA_DISABLED="true", AWS_CONFIG_FILE="/dev/null",
               AWS_SHARED_CREDENTIALS_FILE="/dev/null")
    return env


def log_tail(answer):
    return base64.b64decode(answer.get("LogResult", "")).decode()


def doctor():
    run = subprocess.run([PROGRAM, "doctor", "--json"], capture_output=True, text=True)
    return json.loads(run.stdout)["findings"]


def enforces(what):
    """Does this machine, with the rights of this user, let the server enforce it?"""
    return any(f["name"] == what and f["verdict"] == "ok" for f in doctor())


def machine_runtimes():
    """{language: runtime identifier} of what this machine can run, as `mayfly doctor` sees it."""
    names = [f["name"] for f in doctor() if f["group"] == "runtimes"]
    found = {}
    for name in names:
        language = re.match(r"[a-z]+", name)[0]
        # These packs serve identifiers that the cloud knows by other names.
        known = {"provided": "provided.al2023", "ruby": "ruby3.2"}
        found.setdefault(language, known.get(language, name))
    return found


def cli_version_2():
    for aws in filter(None, (shutil.which("aws"), shutil.which("aws", path="/usr/bin"))):
        run = subprocess.run([aws, "--version"], capture_output=True, text=True)
        if run.stdout.startswith("aws-cli/2"):
            return aws
    return None


def tiny_functions():
    """{language: (runtime, handler, files)} for every runtime of this machine; each answers
    {"hi": event["name"]}, the custom one the event itself."""
    sources = {
        "nodejs": ("index.handler", {"index.mjs": (
            "export const handler = async (e) => ({ hi: e.name });\n")}),
        "python": ("main.handler", {"main.py": (
            "def handler(event, context):\n    return {'hi': event['name']}\n")}),
        "ruby": ("main.handler", {"main.rb": (
            "def handler(event:, context:)\n  { hi: event['name'] }\nend\n")}),
        "provided": ("any", {"bootstrap": (ROOT / "examples/hello-shell/bootstrap").read_text()})}
    with tempfile.TemporaryDirectory() as folder:
        source = pathlib.Path(folder, "Hello.java")
        source.write_text("import java.util.Map;\npublic class Hello {\n"
                          "  public Map<String, Object> handle(Map<String, Object> event) {\n"
                          "    return Map.of(\"hi\", event.get(\"name\"));\n  }\n}\n")
        if shutil.which("javac"):
            subprocess.run(["javac", "-d", folder, str(source)], check=True)
            classes = pathlib.Path(folder, "Hello.class").read_bytes()
            sources["java"] = ("Hello::handle", {"Hello.class": classes})
    return {language: (runtime, *sources[language])
            for language, runtime in machine_runtimes().items() if language in sources}


def main():
    """Runs the tests of the calling file; the last line is the count."""
    try:
        import boto3  # noqa: F401
    except ImportError:
        print("SKIPPED the whole file: python3-boto3 is not installed")
        print("0 passed, 0 failed, 1 skipped")
        return
    program = unittest.main(exit=False, verbosity=2, module="__main__")
    result = program.result
    stopped = 0
    if Compat.server and Compat.server.stop() != 0:
        print("FAILED: the server did not stop cleanly:\n" + "".join(Compat.server.output[-40:]))
        stopped = 1
    for test, reason in result.skipped:
        print(f"SKIPPED {test.id()}: {reason}")
    bad = len({t.id() for t, _ in result.failures + result.errors})
    passed = result.testsRun - bad - len(result.skipped)
    print(f"{passed} passed, {bad + stopped} failed, {len(result.skipped)} skipped")
    sys.exit(1 if bad + stopped else 0)
