#!/usr/bin/env python3
"""AWS_LAMBDA_EXEC_WRAPPER: a script that starts the runtime, or something else in its place, as web
adapters have it: the function's program is an HTTP server, and an extension asks for its events."""
import http.client
import io
import json
import os
import pathlib
import stat
import sys
import urllib.parse
import zipfile

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
import harness  # noqa: E402
from harness import Compat  # noqa: E402

# Built of https://github.com/awslabs/aws-lambda-web-adapter, unchanged.
WEB_ADAPTER = pathlib.Path(os.environ.get(
    "MAYFLY_WEB_ADAPTER", harness.ROOT / "build/third-party/bin/lambda-adapter"))
# Built of https://github.com/elastic/apm-aws-lambda, unchanged.
APM_EXTENSION = pathlib.Path(os.environ.get(
    "MAYFLY_APM_EXTENSION", harness.ROOT / "build/third-party/bin/apm-aws-lambda"))

STARTS_RUNTIME = '#!/bin/bash\nexport FROM_WRAPPER="set by the wrapper"\nexec "$@"\n'
STARTS_HANDLER = '#!/bin/bash\nexec -- "${LAMBDA_TASK_ROOT}/${_HANDLER}"\n'
# What an adapter does, in little: an extension that asks for the function's events.
ADAPTER = """#!/usr/bin/python3
import http.client, json, os, time
host = os.environ["AWS_LAMBDA_RUNTIME_API"]
def call(path, method="GET", body=None, headers={}, to=host):
    wire = http.client.HTTPConnection(to)
    wire.request(method, path, body, headers)
    answer = wire.getresponse()
    return answer.headers, answer.read()
while True:
    try:
        call("/", to="127.0.0.1:8080")
        break
    except OSError:
        time.sleep(0.01)
while True:
    headers, event = call("/2018-06-01/runtime/invocation/next")
    _, answer = call("/", "POST", event, to="127.0.0.1:8080")
    call("/2018-06-01/runtime/invocation/%s/response" % headers["Lambda-Runtime-Aws-Request-Id"],
         "POST", answer)
"""
EXTENSION = """#!/usr/bin/python3
import http.client, json, os, subprocess, sys
host = os.environ["AWS_LAMBDA_RUNTIME_API"]
wire = http.client.HTTPConnection(host)
wire.request("POST", "/2020-01-01/extension/register", json.dumps({"events": []}),
             {"Lambda-Extension-Name": os.path.basename(sys.argv[0])})
answer = wire.getresponse()
answer.read()
subprocess.Popen([sys.executable, "/opt/adapter.py"])
wire.request("GET", "/2020-01-01/extension/event/next", headers={
    "Lambda-Extension-Identifier": answer.headers["Lambda-Extension-Identifier"]})
wire.getresponse()
"""
NODE_SERVER = """const http = require('http');
http.createServer((request, response) => {
  let body = '';
  request.on('data', (piece) => { body += piece; });
  request.on('end', () => {
    if (request.url === '/die') process.exit(1);
    response.setHeader('Content-Type', 'application/json');
    response.setHeader('X-Path', request.url);
    response.statusCode = request.url === '/made' ? 201 : 200;
    response.end(JSON.stringify({ method: request.method, body, pid: process.pid }));
  });
}).listen(Number(process.env.PORT || 8080), '127.0.0.1');
"""


def zipped(files):
    """A zip whose files may be executed."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            entry = zipfile.ZipInfo(name)
            entry.external_attr = (stat.S_IFREG | 0o755) << 16
            archive.writestr(entry, content, zipfile.ZIP_DEFLATED)
    return out.getvalue()


class Wrapper(Compat):
    def layer(self, files):
        made = self.client().publish_layer_version(LayerName=self.name("layer"),
                                                   Content={"ZipFile": zipped(files)})
        return made["LayerVersionArn"]

    def wrapped(self, runtime, handler, files, layers, **variables):
        name = self.name()
        variables.setdefault("AWS_LAMBDA_EXEC_WRAPPER", "/opt/bootstrap")
        self.client().create_function(
            FunctionName=name, Runtime=runtime, Handler=handler, Role=harness.ROLE, Timeout=20,
            MemorySize=512, Layers=layers, Environment={"Variables": variables},
            Code={"ZipFile": zipped(files)})
        self.addCleanup(harness.forget, self.client(), name)
        return name

    def test_a_wrapper_that_starts_the_runtime(self):
        layer = self.layer({"bootstrap": STARTS_RUNTIME})
        node = ("nodejs20.x", "index.handler", {
            "index.js": "exports.handler = async () => process.env.FROM_WRAPPER;\n"})
        python = ("python3.11", "m.handler", {
            "m.py": "import os\n\n\ndef handler(event, context):\n"
                    "    return os.environ['FROM_WRAPPER']\n"
        })
        for case in (node, python):
            name = self.wrapped(*case, [layer])
            for _ in range(3):
                self.assertEqual(self.invoke(name)[0], "set by the wrapper", case[0])

    def test_a_wrapper_that_puts_a_server_in_its_place(self):
        layer = self.layer({"bootstrap": STARTS_HANDLER, "adapter.py": ADAPTER,
                            "extensions/adapter": EXTENSION})
        for runtime in ("nodejs20.x", "python3.11"):
            name = self.wrapped(runtime, "run.sh", {
                "run.sh": "#!/bin/bash\nexec node index.js\n", "index.js": NODE_SERVER}, [layer])
            answers = [self.invoke(name, {"n": n})[0] for n in range(3)]
            self.assertEqual([json.loads(one["body"]) for one in answers],
                             [{"n": 0}, {"n": 1}, {"n": 2}], runtime)
            self.assertEqual(len({one["pid"] for one in answers}), 1)

    # --- programs of others, where they are there ---

    def third_party(self, path):
        if not path.is_file():
            self.skipTest(f"{path.name} is not built on this machine (tests/compat/third-party)")
        return path.read_bytes()

    def served(self, name, path, method="GET", body=None):
        url = self.client().get_function_url_config(FunctionName=name)["FunctionUrl"]
        wire = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=30)
        wire.request(method, path, body, {"Host": urllib.parse.urlparse(url).netloc})
        answer = wire.getresponse()
        return answer.status, answer.headers, answer.read()

    def test_the_web_adapter_of_others(self):
        adapter = self.layer({"bootstrap": STARTS_HANDLER,
                              "extensions/lambda-adapter": self.third_party(WEB_ADAPTER)})
        server = {"index.js": NODE_SERVER}
        start = "#!/bin/bash\nexec node index.js\n"
        for runtime, handler, files, more in (
                ("nodejs20.x", "run.sh", {"run.sh": start}, {}),
                ("python3.11", "run.sh", {"run.sh": start}, {}),
                ("provided.al2023", "none", {"bootstrap": start},
                 {"AWS_LAMBDA_EXEC_WRAPPER": ""})):
            name = self.wrapped(runtime, handler, {**server, **files}, [adapter], PORT="8000",
                                **more)
            self.client().create_function_url_config(FunctionName=name, AuthType="NONE")
            self.client().add_permission(
                FunctionName=name, StatementId="all", Action="lambda:InvokeFunctionUrl",
                Principal="*", FunctionUrlAuthType="NONE")
            status, headers, body = self.served(name, "/a/b?x=1")
            self.assertEqual((status, headers["X-Path"], json.loads(body)["method"]),
                             (200, "/a/b?x=1", "GET"), runtime)
            status, headers, body = self.served(name, "/made", "POST", b"form=1")
            self.assertEqual((status, json.loads(body)["body"]), (201, "form=1"), runtime)
            # What is no request of HTTP goes to a path of its own.
            answer = self.invoke(name, {"not": "http"})[0]
            self.assertEqual((answer["method"], json.loads(answer["body"])),
                             ("POST", {"not": "http"}), runtime)

    def test_an_extension_of_others(self):
        layer = self.layer({"extensions/apm-lambda-extension": self.third_party(APM_EXTENSION)})
        name = self.wrapped("python3.11", "m.handler", {
            "m.py": "def handler(event, context):\n    print('seen')\n    return event\n"}, [layer],
            AWS_LAMBDA_EXEC_WRAPPER="", ELASTIC_APM_LAMBDA_APM_SERVER="http://127.0.0.1:8200",
            ELASTIC_APM_LOG_LEVEL="debug")
        for n in range(3):
            self.assertEqual(self.invoke(name, {"n": n})[0], {"n": n})

        def lines():
            found = self.client("logs").filter_log_events(logGroupName=f"/aws/lambda/{name}")
            text = "".join(one["message"] for one in found["events"])
            return text if text.count("Received runtimeDone signal") >= 2 else None
        text = self.eventually(lines)
        self.assertIn("EXTENSION\tName: apm-lambda-extension\tState: Ready", text)
        self.assertIn("State: Subscribed\tTypes: [Platform, Function]", text)


if __name__ == "__main__":
    harness.main()
