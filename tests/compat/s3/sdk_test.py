"""The object store by the SDK for JavaScript v3, with its uploads in parts."""
import pathlib
import shutil
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
import clients
import harness


class JavaScript(harness.Compat):
    def test_objects(self):
        folder = clients.sdk_folder(self, "client-s3", "lib-storage")
        script = pathlib.Path(__file__).parent / "sdk.mjs"
        shutil.copy(script, folder / "objects.mjs")
        run = subprocess.run(["node", str(folder / "objects.mjs"), self.name("bucket")], text=True,
                             env=harness.client_env(self.server.url), capture_output=True,
                             timeout=300)
        self.assertEqual((run.returncode, run.stdout.strip()), (0, "ok"), run.stderr)


if __name__ == "__main__":
    harness.main()
