#!/usr/bin/env python3
"""File systems of functions: a folder that functions share and that outlives them."""
import concurrent.futures
import pathlib
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
import harness  # noqa: E402
from harness import Compat  # noqa: E402

ACCESS_POINT = ("arn:aws:elasticfilesystem:us-east-1:000000000000:access-point/"
                "fsap-{:017x}")
PYTHON = {"lambda_function.py": """import os, pathlib
def lambda_handler(event, context):
    place = pathlib.Path(os.environ["PLACE"])
    if "write" in event:
        folder = place / "folder"
        folder.mkdir(exist_ok=True)
        (folder / event["write"]).write_text(event["text"])
    if "append" in event:
        with open(place / "folder" / event["append"], "a") as file:
            file.write(event["text"])
    if "remove" in event:
        os.unlink(place / "folder" / event["remove"])
    found = sorted(str(path.relative_to(place)) for path in place.rglob("*"))
    texts = {name: (place / name).read_text() for name in found if (place / name).is_file()}
    return {"texts": texts, "pid": os.stat("/proc/self").st_ino}
"""}
NODE = {"index.js": """const fs = require('fs');
exports.handler = async (event) => {
  if (event.append) fs.appendFileSync('/mnt/data/folder/' + event.append, event.text);
  return fs.readdirSync('/mnt/data/folder').map((name) =>
    [name, fs.readFileSync('/mnt/data/folder/' + name, 'utf8')]);
};
"""}


class FileSystems(Compat):
    points = 0

    def point(self):
        FileSystems.points += 1
        return ACCESS_POINT.format(FileSystems.points)

    def mounting(self, arn, path="/mnt/data", **more):
        more.setdefault("files", PYTHON)
        return self.create(FileSystemConfigs=[{"Arn": arn, "LocalMountPath": path}],
                           Environment={"Variables": {"PLACE": path}}, **more)

    def test_functions_share_a_folder_that_outlives_them(self):
        arn = self.point()
        one, two = self.mounting(arn), self.mounting(arn, "/mnt/elsewhere")
        node = self.mounting(arn, runtime="nodejs20.x", files=NODE, handler="index.handler")
        self.invoke(one, {"write": "a.txt", "text": "from one"})
        self.assertEqual(self.invoke(two)[0]["texts"], {"folder/a.txt": "from one"})
        # Whoever made it, each may write to it, and remove it.
        self.invoke(two, {"append": "a.txt", "text": ", two"})
        self.assertEqual(self.invoke(node, {"append": "a.txt", "text": ", node"})[0],
                         [["a.txt", "from one, two, node"]])
        self.client().delete_function(FunctionName=one)
        self.assertEqual(self.invoke(two)[0]["texts"], {"folder/a.txt": "from one, two, node"})
        self.assertEqual(self.invoke(two, {"remove": "a.txt"})[0]["texts"], {})

    def test_it_survives_the_server(self):
        with tempfile.TemporaryDirectory(prefix="mayfly-files-") as data:
            server = harness.Server(data=data)
            try:
                client = harness.boto_client(server.url)
                name = self.mounting(self.point(), client=client)
                self.invoke(name, {"write": "a", "text": "kept"}, client=client)
                server.kill()
                server.stop()
                server = harness.Server(data=data)
                client = harness.boto_client(server.url)
                self.assertEqual(self.invoke(name, client=client)[0]["texts"],
                                 {"folder/a": "kept"})
            finally:
                server.stop()

    def test_others_do_not_see_it(self):
        name = self.mounting(self.point())
        self.invoke(name, {"write": "secret", "text": "x"})
        other = self.mounting(self.point())
        self.assertEqual(self.invoke(other)[0]["texts"], {})
        none = self.create(files=PYTHON, Environment={"Variables": {"PLACE": "/mnt"}})
        self.assertEqual(self.invoke(none)[0]["texts"], {})

    def test_every_way_to_an_environment_has_it(self):
        # A first start, forks of the version's template, environments side by side.
        name = self.mounting(self.point())
        self.invoke(name, {"write": "n", "text": ""})
        for _ in range(20):
            self.invoke(name, {"append": "n", "text": "."})
        with concurrent.futures.ThreadPoolExecutor(12) as pool:
            list(pool.map(lambda _: self.invoke(name, {"append": "n", "text": "."}), range(12)))
        self.assertEqual(self.invoke(name)[0]["texts"], {"folder/n": "." * 32})

    def test_configuration(self):
        client, arn = self.client(), self.point()
        name = self.mounting(arn)
        wanted = [{"Arn": arn, "LocalMountPath": "/mnt/data"}]
        self.assertEqual(client.get_function_configuration(FunctionName=name)["FileSystemConfigs"],
                         wanted)
        version = client.publish_version(FunctionName=name)["Version"]
        client.update_function_configuration(FunctionName=name, FileSystemConfigs=[])
        self.updated(name)
        self.assertNotIn("FileSystemConfigs",
                         client.get_function_configuration(FunctionName=name))
        self.assertEqual(client.get_function_configuration(
            FunctionName=name, Qualifier=version)["FileSystemConfigs"], wanted)
        self.assertIn("errorMessage", self.invoke(name, {"write": "a", "text": ""})[0])
        for bad in ({"Arn": arn, "LocalMountPath": "/data"},
                    {"Arn": "arn:aws:s3:::bucket", "LocalMountPath": "/mnt/data"}):
            self.refused("ValidationException", client.update_function_configuration,
                         FunctionName=name, FileSystemConfigs=[bad])
        self.refused("InvalidParameterValueException", client.update_function_configuration,
                     FunctionName=name, FileSystemConfigs=wanted,
                     SnapStart={"ApplyOn": "PublishedVersions"})


if __name__ == "__main__":
    harness.main()
