#!/usr/bin/env python3
"""SnapStart: a version's init runs when it is published, and its environments are restored."""
import concurrent.futures
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
import harness  # noqa: E402
from harness import Compat, log_tail, Server  # noqa: E402

SNAP = {"ApplyOn": "PublishedVersions"}
# An identifier that the cloud has it for; here it runs on the nearest version.
PYTHON = "python3.12"
HANDLER = "lambda_function.lambda_handler"
STEPS = {"lambda_function.py": """
import os, random, time, uuid
from snapshot_restore_py import register_before_snapshot, register_after_restore
INIT = str(uuid.uuid4())
steps = ['init']
print('runs init', INIT)

@register_before_snapshot
def last():
    steps.append('before 1')

def first(text, word):
    steps.append(f'{text} {word}')

register_before_snapshot(first, 'before', word='2')
register_after_restore(first, 'after', word='1')

@register_after_restore
def second():
    steps.append('after 2')
    print('restored')

def lambda_handler(event, context):
    time.sleep(event.get('sleep', 0))
    return {'init': INIT, 'steps': steps, 'random': random.random(), 'uuid': str(uuid.uuid4()),
            'type': os.environ['AWS_LAMBDA_INITIALIZATION_TYPE'],
            'group': os.environ.get('AWS_LAMBDA_LOG_GROUP_NAME'),
            'stream': context.log_stream_name, 'key': os.environ['AWS_ACCESS_KEY_ID']}
"""}
ORDER = ["init", "before 2", "before 1", "after 1", "after 2"]


def python(body):
    return {"lambda_function.py": "import snapshot_restore_py as snap\n" + body +
            "\ndef lambda_handler(event, context):\n    return 'ok'\n"}


class SnapStart(Compat):
    def publish(self, name, client=None):
        """The version's configuration right after it was published."""
        return (client or self.client()).publish_version(FunctionName=name)

    def active(self, name, version, client=None):
        (client or self.client()).get_waiter("published_version_active").wait(
            FunctionName=name, Qualifier=version,
            WaiterConfig={"Delay": 0.05, "MaxAttempts": 1200})

    def failed(self, name, version):
        """The configuration of a version whose init has failed."""
        def look():
            found = self.client().get_function_configuration(FunctionName=name, Qualifier=version)
            return found if found["State"] == "Failed" else None
        return self.eventually(look)

    def version(self, files, runtime=PYTHON, handler=HANDLER, **more):
        """Name and number of a published version that is ready."""
        name = self.create(runtime, files, handler, SnapStart=SNAP, **more)
        number = self.publish(name)["Version"]
        self.active(name, number)
        return name, number

    def lines(self, name, pattern):
        found = self.client("logs").filter_log_events(logGroupName=f"/aws/lambda/{name}",
                                                      filterPattern=f'"{pattern}"')
        return [event["message"] for event in found["events"]]


class Python(SnapStart):
    def test_states(self):
        client = self.client()
        name = self.create(PYTHON, python("import time\ntime.sleep(1)"), HANDLER, SnapStart=SNAP)
        latest = client.get_function_configuration(FunctionName=name)
        self.assertEqual(latest["SnapStart"],
                         {"ApplyOn": "PublishedVersions", "OptimizationStatus": "Off"})
        published = self.publish(name)
        self.assertEqual((published["State"], published["StateReasonCode"]),
                         ("Pending", "Creating"))
        self.assertEqual(published["SnapStart"],
                         {"ApplyOn": "PublishedVersions", "OptimizationStatus": "On"})
        self.refused("SnapStartNotReadyException", client.invoke, FunctionName=name,
                     Qualifier=published["Version"])
        self.assertEqual(self.invoke(name)[0], "ok")  # $LATEST is as ever
        self.active(name, published["Version"])
        self.assertEqual(self.invoke(name, Qualifier=published["Version"])[0], "ok")

    def test_the_init_runs_once_and_hooks_around_the_snapshot(self):
        name, version = self.version(STEPS)
        self.eventually(lambda: self.lines(name, "INIT_REPORT"))
        before = len(self.lines(name, "runs init"))
        self.assertEqual(before, 1)
        self.assertRegex(self.lines(name, "INIT_START")[0], "Runtime Version ARN: arn:aws:lambda")
        self.assertRegex(self.lines(name, "INIT_REPORT")[0],
                         r"^INIT_REPORT Init Duration: \d+\.\d\d ms\tPhase: init")
        first, answer = self.invoke(name, {"sleep": 0.3}, Qualifier=version, LogType="Tail")
        self.assertEqual(first["steps"], ORDER)
        self.assertEqual(first["type"], "snap-start")
        self.assertEqual((first["group"], first["stream"]), (None, None))
        report = log_tail(answer)
        found = re.search(r"\tDuration: ([\d.]+) ms\tBilled Duration: (\d+) ms\t.*\tRestore "
                          r"Duration: [\d.]+ ms\tBilled Restore Duration: (\d+) ms", report)
        self.assertTrue(found, report)
        self.assertNotIn("Init Duration", report)
        self.assertAlmostEqual(int(found[2]), float(found[1]) + int(found[3]), delta=1)
        _, again = self.invoke(name, Qualifier=version, LogType="Tail")
        self.assertNotIn("Restore Duration", log_tail(again))

        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            answers = [body for body, _ in pool.map(
                lambda _: self.invoke(name, {"sleep": 0.5}, Qualifier=version), range(4))]
        self.assertEqual({a["init"] for a in answers}, {first["init"]})
        for field in ("random", "uuid"):
            self.assertEqual(len({a[field] for a in answers}), 4, field)
        for each in answers:
            self.assertEqual(each["steps"], ORDER)
        self.eventually(lambda: len(self.lines(name, "RESTORE_REPORT")) >= 4)
        self.assertRegex(self.lines(name, "RESTORE_REPORT")[0],
                         r"^RESTORE_REPORT Restore Duration: \d+\.\d\d ms$")
        self.assertEqual(len(self.lines(name, "runs init")), 1)

    def test_an_init_that_fails(self):
        name = self.create(PYTHON, python("raise ValueError('no luck')"), HANDLER, SnapStart=SNAP)
        version = self.publish(name)["Version"]
        found = self.failed(name, version)
        self.assertEqual(found["StateReasonCode"], "FunctionError.RuntimeInitError")
        self.assertIn("no luck", found["StateReason"])
        self.refused("ResourceConflictException", self.client().invoke, FunctionName=name,
                     Qualifier=version)
        self.eventually(lambda: self.lines(name, "Status: error"))

    def test_a_hook_before_the_snapshot_that_fails(self):
        name = self.create(PYTHON, python(
            "def no():\n    raise OSError('not now')\nsnap.register_before_snapshot(no)\n"),
            HANDLER, SnapStart=SNAP)
        found = self.failed(name, self.publish(name)["Version"])
        self.assertIn("Runtime.BeforeSnapshotError", found["StateReason"])
        self.assertIn("not now", found["StateReason"])

    def test_a_hook_after_the_restore_that_fails(self):
        name, version = self.version(python(
            "def no():\n    raise OSError('not now')\nsnap.register_after_restore(no)\n"))
        self.refused("SnapStartException", self.client().invoke, FunctionName=name,
                     Qualifier=version)
        found = self.eventually(lambda: self.lines(name, "RESTORE_REPORT"))
        self.assertIn("\tStatus: error\tError Type: Runtime.AfterRestoreError", found[0])

    def test_a_hook_after_the_restore_that_takes_too_long(self):
        name, version = self.version(python(
            "import time\nsnap.register_after_restore(time.sleep, 30)\n"), Timeout=60)
        self.refused("SnapStartTimeoutException", self.client().invoke, FunctionName=name,
                     Qualifier=version)
        found = self.eventually(lambda: self.lines(name, "RESTORE_REPORT"))
        self.assertIn("\tStatus: timeout", found[0])

    def test_a_guest_that_cannot_be_forked_is_initialised_one_by_one(self):
        name, version = self.version(STEPS, Environment={"Variables": {"MAYFLY_FORK": "off"}})
        self.eventually(lambda: len(self.lines(name, "runs init")) == 1)
        with concurrent.futures.ThreadPoolExecutor(3) as pool:
            answers = [body for body, _ in pool.map(
                lambda _: self.invoke(name, {"sleep": 0.5}, Qualifier=version), range(3))]
        self.assertEqual(len({a["init"] for a in answers}), 3)
        for each in answers:
            self.assertEqual((each["steps"], each["type"]), (ORDER, "snap-start"))

    def test_a_restart_of_the_server(self):
        server = Server()
        try:
            client = harness.boto_client(server.url)
            name = self.create(PYTHON, STEPS, HANDLER, client=client, SnapStart=SNAP)
            version = self.publish(name, client)["Version"]
            self.active(name, version, client)
            data, server.own_data = server.data, False
            server.stop()
            server = Server(data=data)
            server.own_data = True
            client = harness.boto_client(server.url)
            body, answer = self.invoke(name, client=client, Qualifier=version, LogType="Tail")
            self.assertEqual(body["steps"], ORDER)
            self.assertIn("Restore Duration", log_tail(answer))
        finally:
            server.stop()

    def test_what_excludes_it(self):
        client = self.client()
        code = "InvalidParameterValueException"
        common = {"Role": harness.ROLE, "Handler": HANDLER, "SnapStart": SNAP,
                  "Code": {"ZipFile": harness.make_zip(harness.PYTHON_ECHO)}}
        for runtime in ("python3.11", "nodejs20.x", "ruby3.2", "provided.al2023"):
            self.assertEqual(
                self.refused(code, client.create_function, FunctionName=self.name(),
                             Runtime=runtime, **common),
                f"{runtime} is not supported for SnapStart enabled functions.")
        self.assertIn("512 MB", self.refused(
            code, client.create_function, FunctionName=self.name(), Runtime=PYTHON,
            EphemeralStorage={"Size": 513}, **common))
        name, version = self.version(harness.PYTHON_ECHO)
        self.refused(code, client.put_provisioned_concurrency_config, FunctionName=name,
                     Qualifier=version, ProvisionedConcurrentExecutions=1)
        client.update_function_configuration(FunctionName=name, SnapStart={"ApplyOn": "None"})
        self.updated(name)
        without = self.publish(name)
        self.assertEqual(without["State"], "Active")
        client.put_provisioned_concurrency_config(FunctionName=name, Qualifier=without["Version"],
                                                  ProvisionedConcurrentExecutions=1)


JAVA = """
import java.util.*;
import org.crac.*;
public class Snap implements Resource {
  static final List<String> STEPS = new ArrayList<>(List.of("init"));
  static Snap first = new Snap("1"), second = new Snap("2");
  final String name;
  Snap(String name) { this.name = name; Core.getGlobalContext().register(this); }
  public void beforeCheckpoint(Context<? extends Resource> context) throws Exception {
    STEPS.add("before " + name);
    if ("before".equals(System.getenv("FAIL"))) throw new IllegalStateException("not now");
  }
  public void afterRestore(Context<? extends Resource> context) throws Exception {
    STEPS.add("after " + name);
    if ("slow".equals(System.getenv("FAIL"))) Thread.sleep(60_000);
    if ("after".equals(System.getenv("FAIL"))) throw new IllegalStateException("not now");
  }
  public static Map<String, Object> handle(Map<String, Object> event) {
    return Map.of("steps", STEPS, "type", System.getenv("AWS_LAMBDA_INITIALIZATION_TYPE"));
  }
}
"""


class Java(SnapStart):
    """Of a JVM each environment is initialised by itself, the first when the version is made."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.java = harness.machine_runtimes().get("java")
        jar = pathlib.Path(harness.PROGRAM).parent / "runtimes/java/runtime.jar"
        if not cls.java or not shutil.which("javac") or not jar.exists():
            return
        with tempfile.TemporaryDirectory() as folder:
            source = pathlib.Path(folder, "Snap.java")
            source.write_text(JAVA, encoding="utf-8")
            subprocess.run(["javac", "-cp", str(jar), "-d", folder, str(source)], check=True)
            cls.files = {path.name: path.read_bytes()
                         for path in pathlib.Path(folder).glob("*.class")}

    def setUp(self):
        if not getattr(self, "files", None):
            self.skipTest("no JDK on this machine")

    def function(self, **variables):
        return self.create(self.java, self.files, "Snap::handle", SnapStart=SNAP, Timeout=30,
                           MemorySize=256, Environment={"Variables": variables})

    def test_hooks(self):
        name = self.function()
        version = self.publish(name)["Version"]
        self.active(name, version)
        self.assertEqual(len(self.eventually(lambda: self.lines(name, "INIT_START"))), 1)
        body, _ = self.invoke(name, Qualifier=version)
        self.assertEqual(body, {"steps": ORDER, "type": "snap-start"})

    def test_hooks_that_fail(self):
        name = self.function(FAIL="before")
        found = self.failed(name, self.publish(name)["Version"])
        self.assertIn("not now", found["StateReason"])
        name = self.function(FAIL="after")
        found = self.failed(name, self.publish(name)["Version"])
        self.assertEqual(found["StateReasonCode"], "FunctionError.RuntimeInitError")

    def test_hooks_that_take_too_long_where_the_guest_itself_looks(self):
        slow = python("import time\nsnap.register_after_restore(time.sleep, 60)\n")
        names = [self.function(FAIL="slow"),
                 self.create(PYTHON, slow, HANDLER, SnapStart=SNAP, Timeout=90,
                             Environment={"Variables": {"MAYFLY_FORK": "off"}})]
        versions = [self.publish(name)["Version"] for name in names]
        for name, version in zip(names, versions):
            found = self.failed(name, version)
            self.assertIn("SnapStartTimeoutException", found["StateReason"])


if __name__ == "__main__":
    harness.main()
