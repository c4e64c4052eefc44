#!/usr/bin/env python3
"""Java functions whose environment was booted ahead of them: they must find all that a function
finds which was started from nothing."""
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
import harness  # noqa: E402
from harness import Compat, log_tail, make_zip  # noqa: E402

LOOK = r"""
import java.nio.charset.StandardCharsets;
import java.nio.file.*;
import java.util.*;
public class Look {
  static native int answer();
  static String text(String path) throws Exception {
    return new String(Files.readAllBytes(Path.of(path)), StandardCharsets.UTF_8);
  }
  static String names(String path) {
    String[] out = new java.io.File(path).list();
    Arrays.sort(out);
    return String.join(" ", out);
  }
  static String run(String script) throws Exception {
    Process child = new ProcessBuilder("/bin/sh", "-c", script).redirectErrorStream(true).start();
    child.getOutputStream().close();
    String out = new String(child.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    return out + child.waitFor();
  }
  static String status(String field) throws Exception {
    for (String line : text("/proc/self/status").split("\n"))
      if (line.startsWith(field)) return line;
    return "";
  }
  public Object handle(Map<String, Object> event) throws Exception {
    Map<String, Object> out = new TreeMap<>();
    System.out.println("said " + event.get("say"));
    if (event.get("exit") != null) System.exit(4);
    if (event.get("native") != null) {
      System.loadLibrary("outer");
      out.put("native", answer());
    }
    out.put("booted", text("/proc/self/environ").contains("MAYFLY_TEMPLATE="));
    out.put("directory", System.getProperty("user.dir"));
    out.put("relative", text("data.txt"));
    out.put("cwd", Files.readSymbolicLink(Path.of("/proc/self/cwd")).toString());
    out.put("task", names("/var/task"));
    out.put("opt", names("/opt"));
    out.put("variables", new TreeMap<>(System.getenv()).keySet().toString());
    out.put("key", System.getenv("KEY"));
    out.put("child", run("echo $KEY; pwd; env | sed 's/=.*//' | sort | tr '\\n' ' '"));
    out.put("tool options", System.getProperty("from.tool.options"));
    out.put("tmp", names("/tmp"));
    out.put("memory", Runtime.getRuntime().maxMemory());
    for (String field : List.of("CapEff", "CapPrm", "NoNewPrivs", "Seccomp:", "Uid", "TracerPid"))
      out.put(field, status(field));
    return out;
  }
}
"""
# Of a size of its own: no other test boots guests of it.
MEMORY_MB = 331


def compiler():
    return shutil.which("cc") or shutil.which("clang-19")


def built(folder):
    """The function's package, and a layer with what its native library needs."""
    folder = pathlib.Path(folder)
    (folder / "Look.java").write_text(LOOK, encoding="utf-8")
    subprocess.run(["javac", "-d", str(folder), str(folder / "Look.java")], check=True)
    package = {"Look.class": (folder / "Look.class").read_bytes(), "data.txt": "of the package"}
    layer = {"in-the-layer": "x"}
    if compiler():
        (folder / "inner.c").write_text("int inner(void) { return 41; }\n", encoding="utf-8")
        (folder / "outer.c").write_text("int inner(void);\n"
                                        "int Java_Look_answer(void) { return inner() + 1; }\n",
                                        encoding="utf-8")
        for name, more in (("inner", []), ("outer", ["-L", str(folder), "-linner"])):
            subprocess.run([compiler(), "-shared", "-fPIC", "-o", str(folder / f"lib{name}.so"),
                            str(folder / f"{name}.c"), *more], check=True)
        package["lib/libouter.so"] = (folder / "libouter.so").read_bytes()
        layer["lib/libinner.so"] = (folder / "libinner.so").read_bytes()
    return package, layer


class Booted(Compat):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.java = harness.machine_runtimes().get("java")
        if cls.java and shutil.which("javac"):
            with tempfile.TemporaryDirectory() as folder:
                cls.package, cls.layer = built(folder)

    def setUp(self):
        if not self.java or not shutil.which("javac"):
            self.skipTest("no JDK on this machine")

    def metric(self, name):
        with urllib.request.urlopen(self.server.url + "/_mayfly/metrics") as answer:
            return float(re.search(rf"^{name} (\S+)$", answer.read().decode(), re.M)[1])

    def look(self, payload=None, handler="Look::handle", **more):
        """The first call of a new function."""
        more.setdefault("MemorySize", MEMORY_MB)
        made = self.create(self.java, self.package, handler, Timeout=30, **more)
        return self.invoke(made, payload or {}, LogType="Tail")

    def boot(self, memory_mb=MEMORY_MB):
        """From now on the next function of this size finds a guest."""
        self.look(MemorySize=memory_mb)
        self.eventually(lambda: self.metric("mayfly_templates_waiting") == 0 and
                        self.metric("mayfly_booted_guests") > 0)

    def test_a_booted_guest_finds_what_a_started_one_finds(self):
        layer = self.client().publish_layer_version(
            LayerName=self.name("layer"), Content={"ZipFile": make_zip(self.layer)})
        layers = [layer["LayerVersionArn"]]
        event = {"native": True} if compiler() else {}
        started = self.look(event, Layers=layers, Environment={
            "Variables": {"KEY": "value", "MAYFLY_FORK": "off"}})[0]
        self.boot()
        booted, answer = self.look(dict(event, say="hello"), Layers=layers, Environment={
            "Variables": {"KEY": "value"}})
        self.assertIs(started["booted"], False)
        self.assertIs(booted["booted"], True)
        for field in ("variables", "child"):
            started[field] = started[field].replace("MAYFLY_FORK, ", "").replace("MAYFLY_FORK ", "")
        del started["booted"], booted["booted"]
        self.assertEqual(started, booted)
        self.assertEqual(booted["relative"], "of the package")
        self.assertTrue(booted["child"].startswith("value\n/var/task\n"), booted["child"])
        if compiler():
            self.assertEqual(booted["native"], 42)
        self.assertIn("said hello", log_tail(answer))

    def test_without_layers_nothing_is_left_of_the_boot(self):
        started = self.look(Environment={"Variables": {"MAYFLY_FORK": "off"}})[0]
        self.boot()
        booted = self.look()[0]
        self.assertIs(booted["booted"], True)
        self.assertEqual((booted["opt"], booted["tmp"], booted["task"]),
                         (started["opt"], started["tmp"], started["task"]))

    def test_what_a_jvm_reads_at_its_start_is_read(self):
        self.boot(332)
        found = self.look(MemorySize=332, Environment={"Variables": {
            "JAVA_TOOL_OPTIONS": "-Dfrom.tool.options=yes"}})[0]
        self.assertIs(found["booted"], False)
        self.assertEqual(found["tool options"], "yes")

    def test_failures_are_those_of_the_function(self):
        self.boot(333)
        body, answer = self.look(handler="Missing::handle", MemorySize=333)
        self.assertEqual(answer["FunctionError"], "Unhandled")
        self.assertIn("Missing", body["errorMessage"])
        self.boot(334)
        body, answer = self.look({"exit": True}, MemorySize=334)
        self.assertEqual(body["errorType"], "Runtime.ExitError")
        self.assertIn("exit status 4", body["errorMessage"])


if __name__ == "__main__":
    harness.main()
