#!/usr/bin/env python3
"""Strict and unbound functions (docs/reference/limits.md), with boto3; mayfly lint beside them."""
import http.client
import json
import pathlib
import resource
import subprocess
import sys
import tempfile
import urllib.parse

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
import harness

UNBOUND = {"Variables": {"MAYFLY_UNBOUND": "on"}}
SIZES = {"lambda_function.py": (
    "import os, resource\n"
    "def lambda_handler(event, context):\n"
    "    if isinstance(event, dict) and 'answer' in event:\n"
    "        return 'x' * event['answer']\n"
    "    return {'size': len(event) if isinstance(event, str) else 0,\n"
    "            'left': context.get_remaining_time_in_millis(),\n"
    "            'files': resource.getrlimit(resource.RLIMIT_NOFILE)[0],\n"
    "            'big': len(os.environ.get('BIG', '')),\n"
    "            'memory': context.memory_limit_in_mb}\n")}
MIB = 1 << 20


class Unbound(harness.Compat):
    def unbound(self, **more):
        more.setdefault("Environment", UNBOUND)
        return self.create(files=SIZES, **more)

    def test_a_strict_function_keeps_the_limits(self):
        client = self.client()
        name = self.create(files=SIZES)
        for change in ({"Timeout": 901}, {"MemorySize": 10241},
                       {"EphemeralStorage": {"Size": 10241}}):
            self.refused("ValidationException", client.update_function_configuration,
                         FunctionName=name, **change)
        self.refused("InvalidParameterValueException", client.update_function_configuration,
                     FunctionName=name, Environment={"Variables": {"BIG": "x" * 5000}})
        self.refused("RequestTooLargeException", client.invoke, FunctionName=name,
                     Payload=json.dumps("x" * 6 * MIB))
        body, answer = self.invoke(name, {"answer": 6 * MIB + 200})
        self.assertEqual(answer["FunctionError"], "Unhandled")
        self.assertEqual(body["errorType"], "Function.ResponseSizeTooLarge")

    def test_an_unbound_one_goes_beyond_them(self):
        name = self.unbound(Timeout=3600, MemorySize=11000, EphemeralStorage={"Size": 11000},
                            Environment={"Variables": {"MAYFLY_UNBOUND": "on",
                                                       "BIG": "x" * 100_000}})
        body, _ = self.invoke(name, "x" * 7 * MIB)
        self.assertEqual(body["size"], 7 * MIB)
        self.assertGreater(body["left"], 3_500_000)
        most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]  # the server has no more to give
        self.assertEqual((body["files"], body["big"]), (min(65_536, most), 100_000))
        self.assertEqual(int(body["memory"]), 11000)

    def test_answers_beyond_six_megabytes(self):
        for runtime in ("fork", "start"):
            variables = {"MAYFLY_UNBOUND": "on"}
            if runtime == "start":
                variables["MAYFLY_FORK"] = "off"
            name = self.unbound(MemorySize=1024, Environment={"Variables": variables})
            for _ in range(3):
                body, answer = self.invoke(name, {"answer": 10 * MIB})
                self.assertNotIn("FunctionError", answer)
                self.assertEqual(len(body), 10 * MIB)

    def test_a_custom_runtime_answers_more_too(self):
        bootstrap = ("#!/bin/sh\n"
                     "api=http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/invocation\n"
                     "while true; do\n"
                     "  id=$(curl -s -D - -o /dev/null $api/next | tr -d '\\r' |"
                     " sed -n 's/^[Ll]ambda-[Rr]untime-[Aa]ws-[Rr]equest-[Ii]d: //p')\n"
                     "  head -c 9000000 /dev/zero | tr '\\0' 5 |"
                     " curl -s -X POST -T - $api/$id/response >/dev/null\n"
                     "done\n")
        name = self.create(runtime="provided.al2023", handler="x", MemorySize=512, Timeout=30,
                           files={"bootstrap": bootstrap}, Environment=UNBOUND)
        body, answer = self.invoke(name, {})
        if "FunctionError" in answer and "curl" in json.dumps(body):
            self.skipTest("there is no curl in the sandbox")
        self.assertNotIn("FunctionError", answer)
        self.assertEqual(len(body), 9_000_000)  # bytes: no number that Python reads

    def test_asynchronous_events_beyond_one_megabyte(self):
        client = self.client()
        payload = json.dumps("x" * 2 * MIB)
        self.refused("RequestTooLargeException", client.invoke, FunctionName=self.create(),
                     InvocationType="Event", Payload=payload)
        answer = client.invoke(FunctionName=self.unbound(), InvocationType="Event",
                               Payload=payload)
        self.assertEqual(answer["StatusCode"], 202)

    def test_a_published_version_stays_unbound(self):
        client = self.client()
        name = self.unbound(Timeout=1000)
        version = client.publish_version(FunctionName=name)["Version"]
        self.assertIn("900", self.refused(
            "ValidationException", client.update_function_configuration, FunctionName=name,
            Environment={"Variables": {}}))
        client.update_function_configuration(FunctionName=name, Timeout=3,
                                             Environment={"Variables": {}})
        self.updated(name)
        self.refused("RequestTooLargeException", client.invoke, FunctionName=name,
                     Payload=json.dumps("x" * 7 * MIB))
        body, _ = self.invoke(name, "x" * 7 * MIB, Qualifier=version)
        self.assertEqual(body["size"], 7 * MIB)


class Strict(harness.Compat):
    def test_a_strict_server_refuses_it(self):
        server = harness.Server("--strict")
        self.addCleanup(server.stop)
        client = harness.boto_client(server.url)
        message = self.refused(
            "InvalidParameterValueException", client.create_function, FunctionName="f",
            Runtime="python3.11", Handler="lambda_function.lambda_handler", Role=harness.ROLE,
            Code={"ZipFile": harness.make_zip(SIZES)}, Environment=UNBOUND)
        self.assertIn("--strict", message)


    def test_a_strict_server_asks_for_both_grants_of_a_url(self):
        server = harness.Server("--strict")
        self.addCleanup(server.stop)
        client = harness.boto_client(server.url)
        name = self.create(client=client)
        host = urllib.parse.urlsplit(client.create_function_url_config(
            FunctionName=name, AuthType="NONE")["FunctionUrl"]).netloc

        def status():
            wire = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
            self.addCleanup(wire.close)
            wire.request("GET", "/", headers={"Host": host})
            return wire.getresponse().status
        self.assertEqual(status(), 403)
        client.add_permission(FunctionName=name, StatementId="url", Principal="*",
                              Action="lambda:InvokeFunctionUrl", FunctionUrlAuthType="NONE")
        self.assertEqual(status(), 403)
        known = client.meta.service_model.operation_model("AddPermission").input_shape.members
        by_url = {"InvokedViaFunctionUrl": True} if "InvokedViaFunctionUrl" in known else {}
        client.add_permission(FunctionName=name, StatementId="call", Principal="*",
                              Action="lambda:InvokeFunction", **by_url)
        self.assertEqual(status(), 200)


class Lint(harness.Compat):
    def lint(self, what):
        run = subprocess.run([harness.PROGRAM, "lint", what, "--json"], capture_output=True,
                             text=True, env=harness.client_env(self.server.url))
        if not run.stdout:
            self.fail(run.stderr)
        findings = json.loads(run.stdout)["findings"]
        self.assertEqual(run.returncode, 1 if findings else 0, run.stderr)
        return [finding["rule"] for finding in findings]

    def test_a_deployed_function(self):
        self.assertEqual(self.lint(self.create(runtime="python3.13")), [])
        name = self.create(runtime="python3.13", handler="other.handler", Timeout=1000,
                           Environment=UNBOUND)
        self.assertEqual(sorted(self.lint(name)), ["handler-missing", "timeout-limit", "unbound"])

    def test_a_public_url(self):
        client = self.client()
        name = self.create(runtime="python3.13")
        client.create_function_url_config(FunctionName=name, AuthType="NONE")
        self.assertEqual(self.lint(name), [])
        client.add_permission(FunctionName=name, StatementId="url", Principal="*",
                              Action="lambda:InvokeFunctionUrl", FunctionUrlAuthType="NONE")
        self.assertEqual(self.lint(name), ["url-grant"])
        deployed = self.name()
        self.addCleanup(harness.forget, client, deployed)
        subprocess.run([harness.PROGRAM, "deploy", harness.ROOT / "examples/hello-url", "--name",
                        deployed, "--url"], check=True, capture_output=True,
                       env=harness.client_env(self.server.url))
        self.assertNotIn("url-grant", self.lint(deployed))

    def test_a_folder_and_a_template(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder)
            (path / "app.py").write_text("def handler(e, c): return 'http://localhost:4566'\n")
            (path / "mayfly.json").write_text(json.dumps(
                {"name": "f", "runtime": "python3.13", "handler": "app.handler",
                 "environment": {"AWS_REGION": "x"}}))
            self.assertEqual(sorted(self.lint(folder)), ["local-address", "reserved-variable"])
            text = subprocess.run([harness.PROGRAM, "lint", folder], capture_output=True,
                                  text=True)
            self.assertEqual(text.returncode, 1)
            self.assertIn("BREAKS  f reserved-variable", text.stdout)
            (path / "template.yaml").write_text(
                "Resources:\n  A:\n    Type: AWS::Serverless::Function\n    Properties:\n"
                "      Runtime: nodejs12.x\n      Handler: i.h\n      MemorySize: 64\n")
            self.assertEqual(sorted(self.lint(str(path / "template.yaml"))),
                             ["memory-limit", "runtime-deprecated"])

    def test_the_example_of_a_web_server_lacks_the_adapter_alone(self):
        self.assertEqual(self.lint(str(harness.ROOT / "examples/hello-web")), ["web-adapter"])

    def test_what_is_not_there(self):
        run = subprocess.run([harness.PROGRAM, "lint", "nobody", "--json"], capture_output=True,
                             text=True, env=harness.client_env(self.server.url))
        self.assertEqual(run.returncode, 1)
        self.assertIn("ResourceNotFoundException", run.stderr)


harness.main()
