#!/usr/bin/env python3
"""The same work with other real clients: the AWS CLI, the SDK for JavaScript v3, terraform, curl,
and the command line of this program over the examples."""
import http.client
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import urllib.parse

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
import clients  # noqa: E402
import harness  # noqa: E402
from harness import Compat, make_zip, PYTHON_ECHO, ROLE, ROOT  # noqa: E402

# What each example needs on the machine besides its runtime.
NEEDS = {"hello-java": "javac", "hello-cpp": "g++", "hello-go": "go"}


class Client(Compat):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="mayfly-client-"))
        self.addCleanup(shutil.rmtree, self.folder, True)
        self.env = harness.client_env(self.server.url)

    def run_tool(self, *command, ok=True, **more):
        run = subprocess.run([str(c) for c in command], env=self.env, text=True,
                             capture_output=True, cwd=self.folder, timeout=600, **more)
        if ok:
            self.assertEqual(run.returncode, 0, f"{command}\n{run.stdout}\n{run.stderr}")
        return run

    def need(self, tool):
        found = shutil.which(tool)
        if not found:
            self.skipTest(f"no {tool} on this machine")
        return found


class AwsCli(Client):
    """The one of PATH; logs_test.py follows logs with version 2."""

    def aws(self, *arguments, ok=True):
        run = self.run_tool(self.need("aws"), "--endpoint-url", self.server.url, "--output", "json",
                            *arguments, ok=ok)
        return json.loads(run.stdout) if ok and run.stdout.strip().startswith("{") else run

    def test_every_runtime(self):
        (self.folder / "in.json").write_text('{"name": "you"}')
        for language, (runtime, handler, files) in harness.tiny_functions().items():
            with self.subTest(runtime):
                name = self.name(language)
                (self.folder / "code.zip").write_bytes(make_zip(files))
                self.aws("lambda", "create-function", "--function-name", name, "--runtime", runtime,
                         "--handler", handler, "--role", ROLE, "--timeout", "30", "--memory-size",
                         "512", "--zip-file", "fileb://code.zip")
                self.addCleanup(harness.forget, self.client(), name)
                self.aws("lambda", "wait", "function-active-v2", "--function-name", name)
                self.aws("lambda", "invoke", "--function-name", name, "--payload",
                         "fileb://in.json", "out.json")
                self.assertIn("you", (self.folder / "out.json").read_text())

    def test_create_wait_invoke_delete(self):
        name = self.name()
        (self.folder / "code.zip").write_bytes(make_zip(PYTHON_ECHO))
        self.aws("lambda", "create-function", "--function-name", name, "--runtime", "python3.11",
                 "--handler", "lambda_function.lambda_handler", "--role", ROLE, "--zip-file",
                 "fileb://code.zip")
        self.aws("lambda", "wait", "function-active-v2", "--function-name", name)
        (self.folder / "in.json").write_text('{"n": 1}')
        answer = self.aws("lambda", "invoke", "--function-name", name, "--payload",
                          "fileb://in.json", "out.json")
        self.assertEqual(answer["StatusCode"], 200)
        self.assertEqual(json.loads((self.folder / "out.json").read_text())["event"], {"n": 1})
        listed = self.aws("lambda", "list-functions")["Functions"]
        self.assertIn(name, [f["FunctionName"] for f in listed])
        self.aws("lambda", "delete-function", "--function-name", name)
        run = self.aws("lambda", "get-function", "--function-name", name, ok=False)
        self.assertIn("ResourceNotFoundException", run.stderr)


class JavaScript(Client):
    def test_sdk_version_3(self):
        node = self.need("node")
        kept = clients.sdk_folder(self, "client-lambda", "client-cloudwatch-logs")
        script = kept / "sdk.mjs"
        shutil.copy(pathlib.Path(__file__).parent / "sdk.mjs", script)
        (self.folder / "code.zip").write_bytes(make_zip(PYTHON_ECHO))
        run = self.run_tool(node, script, self.folder / "code.zip", self.name())
        self.assertEqual(run.stdout.strip().splitlines()[-1], "ok")
        for language, (runtime, handler, files) in harness.tiny_functions().items():
            with self.subTest(runtime):
                (self.folder / "code.zip").write_bytes(make_zip(files))
                run = self.run_tool(node, script, self.folder / "code.zip", self.name(language),
                                    runtime, handler)
                self.assertIn("you", run.stdout)


class Terraform(Client):
    def test_apply_and_destroy(self):
        terraform = self.need("terraform")
        shutil.copy(pathlib.Path(__file__).parent / "main.tf", self.folder)
        (self.folder / "code.zip").write_bytes(make_zip(PYTHON_ECHO))
        self.env.update(TF_IN_AUTOMATION="1", TF_VAR_role=ROLE)
        if mirror := os.environ.get("MAYFLY_TF_MIRROR"):  # where the registry is out of reach
            (self.folder / "rc").write_text("provider_installation {\n  filesystem_mirror {\n"
                                            f'    path = "{mirror}"\n  }}\n}}\n')
            self.env["TF_CLI_CONFIG_FILE"] = str(self.folder / "rc")
        run = self.run_tool(terraform, "init", "-input=false", "-no-color", ok=False)
        if run.returncode:
            self.skipTest("terraform could not set up its provider: " + run.stderr[-200:])
        self.run_tool(terraform, "apply", "-auto-approve", "-input=false", "-no-color")
        out = json.loads(self.run_tool(terraform, "output", "-json").stdout)
        self.assertIn(".lambda-url.", out["url"]["value"])
        body, _ = self.invoke(out["name"]["value"], {"n": 2}, Qualifier="live")
        self.assertEqual(body["event"], {"n": 2})
        plan = self.run_tool(terraform, "plan", "-detailed-exitcode", "-input=false", "-no-color",
                             ok=False)
        self.assertEqual(plan.returncode, 0, "a second plan wants changes:\n" + plan.stdout)
        self.run_tool(terraform, "destroy", "-auto-approve", "-input=false", "-no-color")
        self.refused("ResourceNotFoundException", self.client().get_function,
                     FunctionName=out["name"]["value"])


class Readme(Client):
    def test_its_commands_work_as_printed(self):
        aws = harness.cli_version_2()
        if not aws:
            self.skipTest("no AWS CLI of version 2, which the commands are for")
        first, second = re.findall(r"```\n((?:\$ ./dev build|export AWS_ACCESS).*?)```",
                                   (ROOT / "README.md").read_text(), re.DOTALL)
        steps = re.findall(r"^\$ (mayfly (?!server).*)$", first, re.MULTILINE)
        answer = first.strip().splitlines()[-1]
        folders = f"{pathlib.Path(harness.PROGRAM).parent}:{pathlib.Path(aws).parent}"
        env = {name: value for name, value in self.env.items() if not name.startswith("AWS_")}
        script = "\n".join([
            "set -e; shopt -s expand_aliases", f'export PATH="{folders}:$PATH"',
            f"export AWS_ENDPOINT_URL={self.server.url}", *steps, "unset AWS_ENDPOINT_URL",
            second.replace("http://127.0.0.1:4566", self.server.url).replace(
                " --follow", "").replace("list-functions", "list-functions --no-cli-pager")])
        self.addCleanup(harness.forget, self.client(), "hello")
        run = subprocess.run(["bash", "-c", script], env=env, cwd=self.folder, text=True,
                             capture_output=True, timeout=120)
        self.assertEqual(run.returncode, 0, run.stdout + run.stderr)
        self.assertEqual(run.stdout.count(answer), 2, run.stdout)
        self.assertIn('"FunctionName": "hello"', run.stdout)
        self.assertIn("REPORT RequestId", run.stdout)


class Mayfly(Client):
    def mayfly(self, *arguments, ok=True, **more):
        return self.run_tool(harness.PROGRAM, *arguments, ok=ok, **more)

    def test_new_deploy_invoke_logs_rm(self):
        name = self.name()
        self.mayfly("new", "project", "--runtime", "python")
        made = json.loads(self.mayfly("deploy", "project", "--name", name, "--env", "KIND=1",
                                      "--json").stdout)
        self.assertEqual((made["FunctionName"], made["Created"]), (name, True))
        again = json.loads(self.mayfly("deploy", "project", "--name", name, "--timeout", "9",
                                       "--json").stdout)
        self.assertEqual((again["Created"], again["Timeout"]), (False, 9))
        self.assertEqual(again["CodeSha256"], made["CodeSha256"], "equal files, equal package")
        run = self.mayfly("invoke", name, "--payload", '{"name": "you"}', "--log")
        self.assertIn('hello', run.stdout)
        self.assertIn("REPORT RequestId", run.stderr)
        self.assertIn("you", self.mayfly("invoke", name, "-p", "-", input='{"name":"you"}').stdout)
        self.eventually(lambda: "called as" in self.mayfly("logs", name).stdout)
        self.assertIn(name, self.mayfly("ls").stdout)
        self.mayfly("rm", name)
        failed = self.mayfly("invoke", name, ok=False)
        self.assertEqual(failed.returncode, 1)
        self.assertIn("mayfly ls", failed.stderr)

    def test_function_error_is_told_by_the_status(self):
        name = self.create(files={"lambda_function.py": "def lambda_handler(e, c):\n    1 / 0\n"})
        run = self.mayfly("invoke", name, ok=False)
        self.assertEqual(run.returncode, 1)
        self.assertIn("ZeroDivisionError", run.stdout)

    def test_async_and_follow(self):
        name = self.create()
        self.mayfly("invoke", name, "--async", "-p", '{"word": "moth"}')
        follow = subprocess.Popen([harness.PROGRAM, "logs", name, "-f"], env=self.env, text=True,
                                  stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        try:
            for line in follow.stdout:
                if "moth" in line:
                    break
            else:
                self.fail("the log ended without the line")
        finally:
            follow.kill()
            follow.wait()
            follow.stdout.close()

    def test_doctor_knows_the_server(self):
        found = json.loads(self.mayfly("doctor", "--json").stdout)["findings"]
        server = [f for f in found if f["group"] == "server"][0]
        self.assertEqual(server["detail"], "answers")
        self.assertTrue([f for f in found if f["group"] == "runtimes"])
        self.assertTrue([f for f in found if f["group"] == "isolation"])

    def test_completion_scripts_are_valid(self):
        script = self.mayfly("completion", "bash").stdout
        self.run_tool("bash", "-n", "/dev/stdin", input=script)
        self.assertIn("deploy", script)
        self.assertIn("complete -c mayfly", self.mayfly("completion", "fish").stdout)

    def test_bash_completes_verbs_options_functions_and_languages(self):
        name = self.create()
        script = self.mayfly("completion", "bash").stdout
        self.env["PATH"] = f"{pathlib.Path(harness.PROGRAM).parent}:{self.env['PATH']}"

        def complete(*words):
            asked = " ".join(f"'{word}'" for word in words)
            last = (f"\nCOMP_WORDS=({asked}); COMP_CWORD={len(words) - 1}; _mayfly;"
                    " echo \"${COMPREPLY[*]}\"\n")
            return self.run_tool("bash", "-c", script + last).stdout.split()
        self.assertIn("deploy", complete("mayfly", "de"))
        self.assertIn("--payload", complete("mayfly", "invoke", "--pa"))
        self.assertIn(name, complete("mayfly", "logs", name[:4]))
        self.assertEqual(complete("mayfly", "new", "--runtime", "py"), ["python"])

    def test_json_is_everywhere(self):
        name = self.create()
        for words in (("version",), ("ls",), ("doctor",), ("invoke", name), ("new", "made"),
                      ("completion", "zsh"), ("deploy", "made"), ("rm", name, "made")):
            with self.subTest(words[0]):
                json.loads(self.mayfly(*words, "--json").stdout)
        self.invoke(self.create())
        for line in self.mayfly("logs", name, "--json", ok=False).stdout.splitlines():
            json.loads(line)
        for words in (("ls", "--endpoint", "http://127.0.0.1:1"), ("invoke", "no-such"), ("new",),
                      ("nonsense",)):
            failed = self.mayfly(*words, "--json", ok=False)
            self.assertNotEqual(failed.returncode, 0)
            self.assertTrue(json.loads(failed.stderr)["error"]["message"], words)

    def test_every_example(self):
        languages = harness.machine_runtimes()
        for folder in sorted((ROOT / "examples").iterdir()):
            project = json.loads((folder / "mayfly.json").read_text())
            language = re.match("[a-z]+", project["runtime"])[0]
            with self.subTest(folder.name):
                tool = NEEDS.get(folder.name)
                if language not in languages or (tool and not shutil.which(tool)):
                    print(f"SKIPPED example {folder.name}: no {tool or language} on this machine")
                    continue
                self.assertTrue((folder / "README.md").exists())
                copy = self.folder / folder.name
                shutil.copytree(folder, copy)
                name = self.name(folder.name)
                self.mayfly("deploy", copy, "--name", name, "--timeout", "30", "--memory", "512")
                self.addCleanup(harness.forget, self.client(), name)
                run = self.mayfly("invoke", name, "-p", '{"name": "butterfly"}')
                self.assertIn("utterfly", run.stdout)

    def test_the_streaming_example_streams(self):
        if "nodejs" not in harness.machine_runtimes():
            self.skipTest("no Node.js on this machine")
        name = self.name("stream")
        self.addCleanup(harness.forget, self.client(), name)
        deploy = ["deploy", ROOT / "examples/hello-stream", "--name", name, "--url", "--json"]
        url = json.loads(self.mayfly(*deploy).stdout)["FunctionUrl"]
        self.assertEqual(json.loads(self.mayfly(*deploy).stdout)["FunctionUrl"], url)
        client = self.client()
        self.assertEqual(client.get_function_url_config(FunctionName=name)["InvokeMode"],
                         "RESPONSE_STREAM")
        host = urllib.parse.urlsplit(url).netloc
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=30)
        self.addCleanup(connection.close)
        connection.request("GET", "/?name=moth", headers={"Host": host})
        answer = connection.getresponse()
        parts = list(iter(answer.read1, b""))
        self.assertEqual(answer.headers["Content-Type"], "text/plain; charset=utf-8")
        self.assertEqual(b"".join(parts), b"Hello, moth - this comes word by word. \n")
        self.assertGreater(len(parts), 1, "it came in one piece")


if __name__ == "__main__":
    harness.main()
