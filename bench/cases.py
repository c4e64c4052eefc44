"""Handlers whose cold starts are measured: the same code as a function and as a bare process."""
import dataclasses
import functools
import io
import os
import pathlib
import re
import shutil
import subprocess
import sys
import zipfile

ROOT = pathlib.Path(__file__).resolve().parents[1]
PEERS = ROOT / "build/peers"
EVENT = '{"message":"hello"}'

PYTHON = """{imports}
import time
def handler(event, context):
    if event.get('hold'):
        time.sleep(event['hold'])
    return {{'message': event['message']}}
"""
NODE = """{imports}
exports.handler = async (event) => {{
  if (event.hold) await new Promise((done) => setTimeout(done, event.hold * 1000));
  return {{ message: event.message }};
}};
"""
JAVA = """
import java.util.Map;
public class Hello {
  public Object handle(Map<String, Object> event) throws Exception {
    Object hold = event.get("hold");
    if (hold != null) Thread.sleep(((Number) hold).longValue() * 1000);
    return Map.of("message", event.get("message"));
  }
  public static void main(String[] args) throws Exception {
    System.out.println("{\\"message\\":\\"" + new Hello().handle(Map.of("message", "hello"))
        .toString().replaceAll(".*=(.*)}", "$1") + "\\"}");
  }
}
"""


@dataclasses.dataclass
class Case:
    name: str
    runtime: str = ""
    handler: str = ""
    files: dict = dataclasses.field(default_factory=dict)
    bare: list = dataclasses.field(default_factory=list)
    zips: list = dataclasses.field(default_factory=list)  # folders packed beside the files
    environment: dict = dataclasses.field(default_factory=dict)
    missing: str = ""

    def lay_out(self, folder):
        """The files, for the bare process."""
        for path, content in self.files.items():
            data = content if isinstance(content, bytes) else content.encode()
            (folder / path).write_bytes(data)


def interpreter(program, *ask):
    """The interpreter itself: what is on PATH may be a script of a version manager."""
    if not shutil.which(program):
        return None
    out = subprocess.run([program, *ask], capture_output=True, text=True, check=True).stdout
    return str(pathlib.Path(out.strip()).resolve())


def install(command, mark):
    """Runs an installer once; whether what it makes is there."""
    if not mark.exists():
        PEERS.mkdir(parents=True, exist_ok=True)
        subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    return mark.exists()


def python_case(name, imports="", packages=()):
    program = interpreter("python3", "-c", "import sys; print(sys.executable)")
    if not program:
        return Case(name, missing="no python3 here")
    version = subprocess.run([program, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"],
                             capture_output=True, text=True, check=True).stdout.strip()
    folders = []
    if packages:
        target = PEERS / "python"
        command = [program, "-m", "pip", "install", "-q", "--target", str(target), *packages]
        if not install(command, target / packages[0]):
            return Case(name, missing="pip could not install " + " ".join(packages))
        folders.append(target)
    folders_of_sdk = [ROOT / "build/release/runtimes/python/site-packages"] if packages else []
    path = ":".join(map(str, folders + folders_of_sdk))
    code = ("import json, sys; sys.path.insert(0, '.'); import main; "
            "print(json.dumps(main.handler(json.loads(sys.argv[1]), None)))")
    return Case(name, runtime=f"python{version}", handler="main.handler", zips=folders,
                files={"main.py": PYTHON.format(imports=imports)},
                bare=[program, "-c", code, EVENT],
                environment={"PYTHONPATH": path} if path else {})


def node_case(name, imports=""):
    program = interpreter("node", "-p", "process.execPath")
    if not program:
        return Case(name, missing="no node here")
    major = subprocess.run([program, "--version"], capture_output=True, text=True,
                           check=True).stdout.strip()[1:].split(".")[0]
    code = ("require('./index.js').handler(JSON.parse(process.argv[1]))"
            ".then((r) => process.stdout.write(JSON.stringify(r) + '\\n'))")
    modules = str(ROOT / "build/release/runtimes/nodejs/node_modules")
    return Case(name, runtime=f"nodejs{major}.x", handler="index.handler",
                files={"index.js": NODE.format(imports=imports)},
                bare=[program, "-e", code, EVENT], environment={"NODE_PATH": modules})


@functools.cache
def compiled_java():
    home = PEERS / "java-hello"
    home.mkdir(parents=True, exist_ok=True)
    (home / "Hello.java").write_text(JAVA, encoding="utf-8")
    subprocess.run(["javac", "-d", str(home), str(home / "Hello.java")], check=True)
    return (home / "Hello.class").read_bytes()


def java_case():
    if not shutil.which("javac"):
        return Case("java", missing="no JDK here")
    text = subprocess.run(["java", "-version"], capture_output=True, text=True, check=True).stderr
    major = re.search(r'version "(\d+)', text)[1]
    return Case("java", runtime=f"java{major}", handler="Hello::handle",
                files={"Hello.class": compiled_java()}, bare=["java", "-cp", ".", "Hello"])


def native_case():
    """A static program that speaks the Runtime API; the bare process answers from its argument."""
    compiler = shutil.which("cc") or shutil.which("clang-19")
    if not compiler:
        return Case("native", missing="no C compiler here")
    program = PEERS / "native"
    PEERS.mkdir(parents=True, exist_ok=True)
    source = pathlib.Path(__file__).with_name("native.c")
    subprocess.run([compiler, "-O2", "-static", "-o", str(program), str(source)], check=True)
    return Case("native", runtime="provided.al2023", handler="native",
                files={"bootstrap": program.read_bytes()}, bare=[str(program), EVENT])


def all_cases():
    yield python_case("python")
    yield python_case("python-heavy", "import numpy\nimport pandas\nimport boto3",
                      ("numpy", "pandas"))
    yield node_case("node")
    yield node_case("node-s3", "const { S3Client } = require('@aws-sdk/client-s3');\n"
                    "const client = new S3Client({ region: 'us-east-1' });")
    yield native_case()
    yield java_case()


def pack(files, folders):
    """A zip of the files and of what lies in the folders."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, content in files.items():
            info = zipfile.ZipInfo(path)
            info.external_attr = 0o755 << 16
            archive.writestr(info, content)
        for folder in folders:
            for file in sorted(folder.rglob("*")):
                parts = file.relative_to(folder).parts
                if file.is_file() and "tests" not in parts and "__pycache__" not in parts:
                    archive.write(file, os.path.join(*parts))
    return out.getvalue()


if __name__ == "__main__":
    for case in all_cases():
        print(case.name, case.missing or case.runtime, file=sys.stderr)
