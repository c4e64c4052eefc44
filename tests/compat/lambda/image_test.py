#!/usr/bin/env python3
"""Functions of container images: made here, brought in by `mayfly image`, deployed by boto3."""
import json
import os
import pathlib
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
sys.path.insert(0, str(pathlib.Path(__file__).parent))
import harness  # noqa: E402
import images  # noqa: E402
from harness import Compat  # noqa: E402
from images import Image, Layer  # noqa: E402

ECR = "123456789012.dkr.ecr.us-east-1.amazonaws.com/"
PYTHON_PATH = {"Env": ["PATH=/usr/local/bin:/usr/bin:/bin", "FROM_IMAGE=yes", "BOTH=image"]}

# A runtime of its own: asks for events and answers what it sees around it, or does as it is told.
RUNTIME = """
import json, os, sys, urllib.request
API = "http://" + os.environ["AWS_LAMBDA_RUNTIME_API"] + "/2018-06-01/runtime/invocation/"
def attempt(call):
    try:
        return call()
    except OSError as error:
        return type(error).__name__ + ": " + os.strerror(error.errno)
def write(path):
    with open(path, "w") as out:
        out.write("x")
    return "written"
def read(path):
    with open(path) as file:
        return file.read()
while True:
    answer = urllib.request.urlopen(API + "next")
    event, identity = json.load(answer), answer.headers["Lambda-Runtime-Aws-Request-Id"]
    if event.get("exit"):
        os._exit(event["exit"])
    out = {"argv": sys.argv[1:], "cwd": os.getcwd(), "uid": os.getuid(), "env": dict(os.environ),
           "root": sorted(os.listdir("/")),
           "writes": {path: attempt(lambda: write(path)) for path in event.get("write", [])},
           "reads": {path: attempt(lambda: read(path)) for path in event.get("read", [])}}
    urllib.request.urlopen(API + identity + "/response", data=json.dumps(out).encode())
"""
EXTENSION = """#!/usr/bin/python3
import json, os, urllib.request
API = "http://" + os.environ["AWS_LAMBDA_RUNTIME_API"] + "/2020-01-01/extension/"
answer = urllib.request.urlopen(urllib.request.Request(
    API + "register", data=b'{"events":["INVOKE"]}',
    headers={"Lambda-Extension-Name": "watcher"}))
ID = {"Lambda-Extension-Identifier": answer.headers["Lambda-Extension-Identifier"]}
while True:
    event = json.load(urllib.request.urlopen(
        urllib.request.Request(API + "event/next", headers=ID)))
    print("WATCHER", event["eventType"], flush=True)
"""


class ImageTest(Compat):
    python = None  # the layer that all have in common

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.folder = tempfile.TemporaryDirectory(prefix="mayfly-images-")
        cls.addClassCleanup(cls.folder.cleanup)
        if ImageTest.python is None:
            ImageTest.python = images.python_layer()

    def run_cli(self, *arguments, status=0):
        run = subprocess.run([harness.PROGRAM, "image", *arguments], capture_output=True, text=True,
                             env=harness.client_env(self.server.url))
        self.assertEqual(run.returncode, status, run.stdout + run.stderr)
        return run.stdout if status == 0 else run.stderr

    def place(self, name=None):
        return pathlib.Path(self.folder.name, name or self.name("i"))

    def bring(self, image, name=None):
        """Imports from an OCI layout; answers (name, digest of the manifest)."""
        folder, name = self.place(), name or self.name("app") + ":v1"
        digest = image.write_layout(folder)
        self.run_cli("import", str(folder), name)
        self.addCleanup(self.run_cli_quietly, "remove", name)
        return name, digest

    def run_cli_quietly(self, *arguments):
        subprocess.run([harness.PROGRAM, "image", *arguments], capture_output=True,
                       env=harness.client_env(self.server.url))

    def deploy(self, uri, **more):
        client = self.client()
        name = self.name()
        more.setdefault("Role", harness.ROLE)
        created = client.create_function(FunctionName=name, PackageType="Image",
                                         Code={"ImageUri": uri}, Timeout=20, **more)
        self.addCleanup(harness.forget, client, name)
        client.get_waiter("function_active_v2").wait(
            FunctionName=name, WaiterConfig={"Delay": 0.05, "MaxAttempts": 1200})
        return name, created

    def need_python(self):
        if self.python is None:
            self.skipTest("this machine has no " + images.PYTHON)

    def python_image(self, *layers, **config):
        self.need_python()
        top = Layer("gzip").file("app/runtime.py", RUNTIME).directory("w")
        given = {**PYTHON_PATH, "Entrypoint": ["python3", "/app/runtime.py"], "Cmd": ["from-cmd"],
                 "WorkingDir": "/app", "User": "nobody", **config}
        return Image([self.python, top, *layers], **given)

    # --- what the function is given

    def test_the_program_runs_with_the_image_as_its_root(self):
        name, digest = self.bring(self.python_image(
            Layer().file("app/private", "p", 0o600).file("app/public", "hello", 0o644)
                   .device("dev/sda").file("etc/hosts", "6.6.6.6 evil\n")))
        function, _ = self.deploy(ECR + name, Environment={"Variables": {"BOTH": "function",
                                                                         "MINE": "1"}})
        found, answer = self.invoke(function, {
            "write": ["/tmp/x", "/app/x", "/x", "/dev/x"],
            "read": ["/app/public", "/etc/hosts", "/dev/null"]})
        self.assertNotIn("FunctionError", answer, found)
        self.assertEqual(found["argv"], ["from-cmd"])
        self.assertEqual(found["cwd"], "/app")
        self.assertEqual(found["uid"], 993)
        self.assertEqual(set(found["root"]) - {"lib", "lib64"}, {
            "app", "bin", "dev", "etc", "mnt", "proc", "tmp", "usr", "w"})
        self.assertEqual(found["writes"]["/tmp/x"], "written")
        for path in ("/app/x", "/x", "/dev/x"):
            self.assertRegex(found["writes"][path], "Read-only file system|Permission denied")
        self.assertEqual(found["reads"]["/app/public"], "hello")
        self.assertIn("127.0.0.1 localhost sandbox", found["reads"]["/etc/hosts"])
        self.assertEqual(found["reads"]["/dev/null"], "")
        env = found["env"]
        self.assertEqual((env["FROM_IMAGE"], env["BOTH"], env["MINE"]), ("yes", "function", "1"))
        self.assertEqual(env["AWS_LAMBDA_FUNCTION_NAME"], function)
        self.assertEqual(env["AWS_LAMBDA_RUNTIME_API"], "127.0.0.1:9001")
        self.assertNotIn("_HANDLER", env)
        self.assertNotIn("AWS_EXECUTION_ENV", env)

    def test_image_config_goes_before_the_image(self):
        name, _ = self.bring(self.python_image())
        function, created = self.deploy(name, ImageConfig={
            "Command": ["one", "two"], "WorkingDirectory": "/w"})
        self.assertEqual(created["ImageConfigResponse"]["ImageConfig"],
                         {"Command": ["one", "two"], "WorkingDirectory": "/w"})
        found, _ = self.invoke(function)
        self.assertEqual((found["argv"], found["cwd"]), (["one", "two"], "/w"))
        client = self.client()
        client.update_function_configuration(FunctionName=function, ImageConfig={
            "EntryPoint": ["/usr/bin/python3", "-u", "/app/runtime.py"]})
        self.updated(function)
        found, _ = self.invoke(function)
        self.assertEqual((found["argv"], found["cwd"]), (["from-cmd"], "/app"))
        client.update_function_configuration(FunctionName=function, ImageConfig={})
        self.updated(function)
        self.assertNotIn("ImageConfigResponse", client.get_function_configuration(
            FunctionName=function))

    def test_extensions_of_the_image_run(self):
        name, _ = self.bring(self.python_image(
            Layer().file("opt/extensions/watcher", EXTENSION, 0o755)))
        function, _ = self.deploy(name)
        _, answer = self.invoke(function, LogType="Tail")
        self.assertNotIn("FunctionError", answer)
        logs = self.client("logs")
        self.eventually(lambda: any("WATCHER INVOKE" in event["message"] for event in
                                    logs.filter_log_events(
                                        logGroupName="/aws/lambda/" + function)["events"]))

    def test_whiteouts_between_layers(self):
        low = Layer().file("app/old", "o").file("app/sub/a", "a").file("app/kept", "k")
        high = (Layer().file("app/.wh.old", "").file("app/sub/.wh..wh..opq", "")
                .file("app/sub/b", "b"))
        name, _ = self.bring(self.python_image(low, high))
        function, _ = self.deploy(name)
        found, _ = self.invoke(function, {"read": ["/app/old", "/app/sub/a", "/app/sub/b",
                                                   "/app/kept"]})
        self.assertRegex(found["reads"]["/app/old"], "No such file")
        self.assertRegex(found["reads"]["/app/sub/a"], "No such file")
        self.assertEqual((found["reads"]["/app/sub/b"], found["reads"]["/app/kept"]), ("b", "k"))

    def test_a_static_program_alone_is_an_image(self):
        program = images.static_program(images.ROOT / "bench/native.c")
        if program is None:
            self.skipTest("this machine has no C compiler")
        image = Image([Layer("gzip").file("bootstrap", program, 0o755)], Entrypoint=["/bootstrap"])
        name, _ = self.bring(image)
        function, _ = self.deploy(name, MemorySize=128)
        found, answer = self.invoke(function, {"n": 1})
        self.assertNotIn("FunctionError", answer, found)
        self.assertEqual(found, {"n": 1})

    def test_the_runtime_interface_client_of_aws(self):
        self.need_python()
        target = self.place()
        if os.environ.get("MAYFLY_OFFLINE"):
            self.skipTest("offline: awslambdaric cannot be had")
        got = subprocess.run([sys.executable, "-m", "pip", "install", "-q", "--target", str(target),
                              "--only-binary", ":all:", "awslambdaric"],
                             capture_output=True, text=True, timeout=120)
        if got.returncode != 0:
            self.skipTest("pip cannot have awslambdaric: " + got.stderr.strip()[-200:])
        layer = Layer()
        for path in sorted(target.rglob("*")):
            if path.is_file():
                layer.file("function/" + str(path.relative_to(target)), path.read_bytes(), 0o755)
        layer.file("function/app.py", "def handler(event, context):\n"
                   "    if event.get('fail'):\n        raise ValueError('as asked')\n"
                   "    return {'hi': event['name'], 'fn': context.function_name}\n")
        for library in ("libstdc++.so.6", "libgcc_s.so.1", "librt.so.1", "libpthread.so.0"):
            found = list(pathlib.Path("/lib").glob("*-linux-gnu/" + library))
            if found:
                layer.copy(found[0].resolve(), to=str(found[0]))
        name, _ = self.bring(Image([self.python, layer], **PYTHON_PATH, WorkingDir="/function",
                                   Entrypoint=["/usr/bin/python3", "-m", "awslambdaric"],
                                   Cmd=["app.handler"]))
        function, _ = self.deploy(name, MemorySize=256)
        found, answer = self.invoke(function, {"name": "you"})
        self.assertEqual(found, {"hi": "you", "fn": function}, answer)
        found, answer = self.invoke(function, {"fail": True})
        self.assertEqual(answer["FunctionError"], "Unhandled")
        self.assertEqual((found["errorType"], found["errorMessage"]), ("ValueError", "as asked"))

    # --- what the API says

    def test_what_is_answered_about_a_function_of_an_image(self):
        name, digest = self.bring(self.python_image())
        function, created = self.deploy(ECR + name)
        client = self.client()
        whole = client.get_function(FunctionName=function)
        configuration, code = whole["Configuration"], whole["Code"]
        for answer in (created, configuration):
            self.assertEqual(answer["PackageType"], "Image")
            self.assertEqual(answer["CodeSha256"], digest.removeprefix("sha256:"))
            self.assertEqual(answer["CodeSize"], 0)
            for member in ("Runtime", "Handler", "Layers", "RuntimeVersionConfig",
                           "ImageConfigResponse"):
                self.assertNotIn(member, answer)
        self.assertEqual(code, {
            "RepositoryType": "ECR", "ImageUri": ECR + name,
            "ResolvedImageUri": ECR + name.partition(":")[0] + "@" + digest})
        listed = client.list_functions()["Functions"]
        self.assertIn("Image", [f["PackageType"] for f in listed if f["FunctionName"] == function])

    def test_what_functions_of_images_cannot_have(self):
        name, _ = self.bring(self.python_image())
        client = self.client()
        no_zip = ("Please don't provide Handler or Runtime or Layer when the intended function "
                  "PackageType is Image.")
        for more in ({"Runtime": "python3.11"}, {"Handler": "a.b"},
                     {"Layers": ["arn:aws:lambda:us-east-1:000000000000:layer:l:1"]}):
            self.assertEqual(no_zip, self.refused(
                "InvalidParameterValueException", client.create_function, FunctionName=self.name(),
                PackageType="Image", Role=harness.ROLE, Code={"ImageUri": name}, **more))
        function, _ = self.deploy(name)
        self.assertEqual(no_zip, self.refused(
            "InvalidParameterValueException", client.update_function_configuration,
            FunctionName=function, Handler="a.b"))
        self.assertEqual(
            "Please provide ImageUri when updating a function with packageType Image.",
            self.refused("InvalidParameterValueException", client.update_function_code,
                         FunctionName=function, ZipFile=harness.make_zip({"a": "b"})))
        zipped = self.create()
        self.assertEqual(
            "Please don't provide ImageUri when updating a function with packageType Zip.",
            self.refused("InvalidParameterValueException", client.update_function_code,
                         FunctionName=zipped, ImageUri=name))
        self.refused("InvalidParameterValueException", client.update_function_configuration,
                     FunctionName=zipped, ImageConfig={"Command": ["x"]})
        self.refused("InvalidParameterValueException", client.put_runtime_management_config,
                     FunctionName=function, UpdateRuntimeOn="FunctionUpdate")
        signing = client.create_code_signing_config(AllowedPublishers={
            "SigningProfileVersionArns": [
                "arn:aws:signer:us-east-1:000000000000:/signing-profiles/release/AbCdEfGhIj"]})
        arn = signing["CodeSigningConfig"]["CodeSigningConfigArn"]
        unsigned = "Code signing is not supported for functions created with container images."
        for call, more in ((client.put_function_code_signing_config, {"CodeSigningConfigArn": arn}),
                           (client.get_function_code_signing_config, {}),
                           (client.delete_function_code_signing_config, {})):
            self.assertEqual(unsigned, self.refused("InvalidParameterValueException", call,
                                                    FunctionName=function, **more))
        self.assertEqual(unsigned, self.refused(
            "InvalidParameterValueException", client.create_function, FunctionName=self.name(),
            PackageType="Image", Role=harness.ROLE, Code={"ImageUri": name},
            CodeSigningConfigArn=arn))

    def test_file_systems(self):
        arn = "arn:aws:elasticfilesystem:us-east-1:000000000000:access-point/fsap-" + "1" * 17
        name, _ = self.bring(self.python_image(Layer().directory("mnt/there")))
        plain, _ = self.bring(self.python_image())
        for number, (image, place) in enumerate(((name, "/mnt/there"), (name, "/mnt/made"),
                                                 (plain, "/mnt/made"))):
            function, created = self.deploy(image, FileSystemConfigs=[
                {"Arn": arn, "LocalMountPath": place}])
            self.assertEqual(created["FileSystemConfigs"], [{"Arn": arn, "LocalMountPath": place}])
            found, _ = self.invoke(function, {
                "write": [f"{place}/{number}", "/mnt/x"],
                "read": [f"{place}/{earlier}" for earlier in range(number)]})
            self.assertEqual(found["writes"][f"{place}/{number}"], "written", found)
            self.assertRegex(found["writes"]["/mnt/x"], "Read-only file system|Permission denied")
            self.assertEqual(set(found["reads"].values()) - {"x"}, set())
        # One of a zip sees the same folder.
        zipped = self.create(FileSystemConfigs=[{"Arn": arn, "LocalMountPath": "/mnt/data"}],
                             files={"lambda_function.py": (
                                 "import os\ndef lambda_handler(event, context):\n"
                                 "    return sorted(os.listdir('/mnt/data'))\n")})
        self.assertEqual(self.invoke(zipped)[0], ["0", "1", "2"])
        # And an update takes it away.
        self.client().update_function_configuration(FunctionName=function, FileSystemConfigs=[])
        self.client().get_waiter("function_updated_v2").wait(FunctionName=function)
        found, _ = self.invoke(function, {"read": ["/mnt/made/0"]})
        self.assertRegex(found["reads"]["/mnt/made/0"], "No such file")

    def test_images_that_are_not_there(self):
        client = self.client()

        def say(uri):
            return self.refused("InvalidParameterValueException", client.create_function,
                                FunctionName=self.name(), PackageType="Image", Role=harness.ROLE,
                                Code={"ImageUri": uri})
        self.assertEqual(say(ECR + "absent:1"), f"Source image {ECR}absent:1 does not exist. "
                         "Provide a valid source image.")
        self.assertEqual(say("Not A Name"), "Source image Not A Name is not valid. "
                         "Provide a valid source image.")
        self.assertIn("there is no /nowhere", say("/nowhere"))

    def test_a_new_image_and_a_version_of_the_old_one(self):
        first, second = (self.python_image(Layer().file("app/which", which))
                         for which in ("first", "second"))
        name, _ = self.bring(first)
        function, _ = self.deploy(name)
        client = self.client()

        def which(**more):
            return self.invoke(function, {"read": ["/app/which"]}, **more)[0]["reads"]["/app/which"]
        self.assertEqual(which(), "first")
        client.publish_version(FunctionName=function)
        # The tag moves; the function stays with the content that it led to.
        _, digest = self.bring(second, name)
        self.assertEqual(which(), "first")
        updated = client.update_function_code(FunctionName=function, ImageUri=name)
        self.assertEqual(updated["CodeSha256"], digest.removeprefix("sha256:"))
        self.updated(function)
        self.assertEqual((which(), which(Qualifier="1")), ("second", "first"))

    # --- what goes wrong

    def failure(self, **config):
        name, _ = self.bring(self.python_image())
        function, _ = self.deploy(name, ImageConfig=config)
        found, answer = self.invoke(function)
        self.assertEqual(answer["FunctionError"], "Unhandled", found)
        return found["errorType"], found["errorMessage"]

    def test_entry_points_and_directories_that_cannot_be(self):
        kind, message = self.failure(EntryPoint=["/app/absent"])
        self.assertEqual(kind, "Runtime.InvalidEntrypoint")
        self.assertTrue(message.endswith("fork/exec /app/absent: no such file or directory"),
                        message)
        kind, message = self.failure(EntryPoint=["/app/runtime.py"])
        self.assertEqual(kind, "Runtime.InvalidEntrypoint")
        self.assertTrue(message.endswith("permission denied"), message)
        self.assertEqual(self.failure(EntryPoint=["absent"])[0], "Runtime.InvalidEntrypoint")
        kind, message = self.failure(WorkingDirectory="/nowhere")
        self.assertEqual(kind, "Runtime.InvalidWorkingDir")
        self.assertTrue(message.endswith("chdir /nowhere: no such file or directory"), message)

    def test_a_program_that_ends(self):
        name, _ = self.bring(self.python_image())
        function, _ = self.deploy(name)
        found, answer = self.invoke(function, {"exit": 3})
        self.assertEqual(found["errorType"], "Runtime.ExitError")
        self.assertIn("exit status 3", found["errorMessage"])
        self.assertNotIn("FunctionError", self.invoke(function)[1])

    def test_an_image_without_any_program(self):
        name, _ = self.bring(Image([Layer().file("readme", "nothing here")]))
        function, _ = self.deploy(name)
        found, _ = self.invoke(function)
        self.assertEqual(found["errorType"], "Runtime.InvalidEntrypoint")

    # --- the images themselves

    def test_every_form_is_imported_and_names_are_taken_from_it(self):
        image = self.python_image()
        oci, docker = self.place("image.tar"), self.place("docker.tar")
        own = self.name("docker") + ":7"
        digest = image.write_tar(oci)
        config_digest = image.write_docker(docker, own)
        name = self.name("tar") + ":1"
        self.run_cli("import", str(oci), name)
        self.assertIn(own, self.run_cli("import", str(docker)))
        listed = {n: i for i in json.loads(self.run_cli("list", "--json")) for n in i["names"]}
        self.assertEqual(listed[name]["digest"], digest)
        self.assertEqual(listed[own]["digest"], config_digest)
        self.assertEqual(listed[name]["entryPoint"], ["python3", "/app/runtime.py"])
        self.assertEqual(listed[name]["user"], "nobody")
        for uri in (name, own):
            function, _ = self.deploy(uri)
            self.assertNotIn("FunctionError", self.invoke(function)[1])
        self.assertIn(name, self.run_cli("list"))
        self.run_cli("remove", name, own)
        self.assertNotIn(name, self.run_cli("list"))

    def test_a_path_of_this_machine_is_code_in_dev_mode(self):
        folder = self.place()
        digest = self.python_image().write_layout(folder)
        function, created = self.deploy(str(folder))
        self.assertEqual(created["CodeSha256"], digest.removeprefix("sha256:"))
        self.assertNotIn("FunctionError", self.invoke(function)[1])
        code = self.client().get_function(FunctionName=function)["Code"]
        self.assertEqual(code["ResolvedImageUri"], f"{folder}@{digest}")

    def test_an_image_in_use_outlives_its_name(self):
        name, digest = self.bring(self.python_image(Layer().file("app/unique", self.name())))
        function, _ = self.deploy(name)
        self.run_cli("remove", name)
        self.assertNotIn("FunctionError", self.invoke(function)[1])
        self.assertIn("there is no image", self.run_cli("remove", name, status=1))
        kept = [i for i in json.loads(self.run_cli("list", "--json")) if i["digest"] == digest]
        self.assertEqual([i["names"] for i in kept], [[]])

    def test_an_image_that_nobody_used_is_gone_with_its_name(self):
        name, digest = self.bring(self.python_image(Layer().file("app/unused", self.name())))
        tree = pathlib.Path(self.server.data, "images", digest.removeprefix("sha256:"))
        self.assertTrue(tree.is_dir())
        self.run_cli("remove", name)
        self.assertFalse(tree.exists())

    def test_what_cannot_be_imported(self):
        text = self.place()
        text.write_text("not an image")
        self.assertIn("no container image", self.run_cli("import", str(text), "x:1", status=1))
        self.assertIn("there is no", self.run_cli("import", "/nowhere", "x:1", status=1))
        folder = self.place()
        digest = Image([Layer().file("f", "x")]).write_layout(folder)
        pathlib.Path(folder, "blobs/sha256", digest.removeprefix("sha256:")).write_text("{}")
        self.assertIn("is not sha256:", self.run_cli("import", str(folder), "x:1", status=1))

    def test_the_endpoint_of_images_wants_credentials(self):
        import urllib.error
        import urllib.request
        with self.assertRaises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(self.server.url + "/_mayfly/images")
        self.assertEqual(caught.exception.code, 403)
        caught.exception.close()


class Durability(Compat):
    def test_images_and_their_functions_outlast_the_server(self):
        program = images.static_program(images.ROOT / "bench/native.c")
        if program is None:
            self.skipTest("this machine has no C compiler")
        with tempfile.TemporaryDirectory(prefix="mayfly-images-") as folder:
            data = pathlib.Path(folder, "data")
            layout = pathlib.Path(folder, "layout")
            Image([Layer().file("run", program, 0o755)], Entrypoint=["/run"]).write_layout(layout)
            server = harness.Server(data=str(data))
            subprocess.run([harness.PROGRAM, "image", "import", str(layout), "app:1"], check=True,
                           env=harness.client_env(server.url), stdout=subprocess.DEVNULL)
            client = harness.boto_client(server.url)
            client.create_function(FunctionName="f", PackageType="Image", Role=harness.ROLE,
                                   Code={"ImageUri": "app:1"})
            client.get_waiter("function_active_v2").wait(
                FunctionName="f", WaiterConfig={"Delay": 0.05, "MaxAttempts": 1200})
            server.kill()
            server.reader.join()
            server.process.stdout.close()
            server = harness.Server(data=str(data))
            try:
                answer = harness.boto_client(server.url).invoke(FunctionName="f",
                                                                Payload=b'{"n":2}')
                self.assertEqual(json.loads(answer["Payload"].read()), {"n": 2})
            finally:
                server.stop()


if __name__ == "__main__":
    harness.main()
