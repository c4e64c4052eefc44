"""Container images for tests, made of this machine's own files: tars, OCI layouts, docker's tars.

No registry is asked for anything.
"""
import gzip
import hashlib
import io
import json
import pathlib
import platform
import re
import shutil
import subprocess
import tarfile
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[3]
ARCHITECTURE = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
PYTHON = "/usr/bin/python3"


def sha256(data):
    return hashlib.sha256(data).hexdigest()


class Layer:
    """A tar in the making. `compression`: "", "gzip"."""

    def __init__(self, compression=""):
        self.compression = compression
        self.buffer = io.BytesIO()
        self.tar = tarfile.open(fileobj=self.buffer, mode="w", format=tarfile.PAX_FORMAT)
        self.seen = set()

    def _add(self, name, kind, mode=0o755, data=None, target=""):
        info = tarfile.TarInfo(name)
        info.type, info.mode, info.linkname = kind, mode, target
        info.size = len(data or b"")
        self.tar.addfile(info, io.BytesIO(data or b""))
        return self

    def file(self, name, content, mode=0o644):
        return self._add(name, tarfile.REGTYPE, mode,
                         content.encode() if isinstance(content, str) else content)

    def directory(self, name, mode=0o755):
        return self._add(name, tarfile.DIRTYPE, mode)

    def link(self, name, target):
        return self._add(name, tarfile.SYMTYPE, 0o777, target=target)

    def device(self, name):
        return self._add(name, tarfile.CHRTYPE, 0o666)

    def copy(self, path, to=None):
        """A file of this machine with the links that lead to it, each under its own name."""
        path = pathlib.Path(path)
        while path.is_symlink() and to is None:
            if str(path) in self.seen:
                return self
            self.seen.add(str(path))
            self.link(str(path).lstrip("/"), str(path.readlink()))
            path = path.parent.resolve() / path.readlink()
        name = str(to or path)
        if name not in self.seen:
            self.seen.add(name)
            self.file(name.lstrip("/"), path.read_bytes(), 0o755)
        return self

    def copy_program(self, path):
        """With the shared libraries it is linked with, at the names by which it looks for them."""
        self.copy(path)
        listed = subprocess.run(["ldd", path], capture_output=True, text=True).stdout
        for library in re.findall(r"(/\S+) \(0x", listed):
            self.copy(pathlib.Path(library).resolve(), to=library)
        return self

    def copy_tree(self, top, leave_out=()):
        for path in sorted(pathlib.Path(top).rglob("*")):
            if not set(path.parts) & set(leave_out) and path.is_file() and not path.is_symlink():
                self.file(str(path).lstrip("/"), path.read_bytes())
        return self

    def finish(self):
        """(plain bytes, bytes as stored, media type)"""
        self.tar.close()
        plain = self.buffer.getvalue()
        if self.compression == "gzip":
            return (plain, gzip.compress(plain, 1, mtime=0),
                    "application/vnd.oci.image.layer.v1.tar+gzip")
        return plain, plain, "application/vnd.oci.image.layer.v1.tar"


class Image:
    """Layers (the lowest first) and the `config` member of an image's config."""

    def __init__(self, layers, **config):
        self.layers = [layer.finish() if isinstance(layer, Layer) else layer for layer in layers]
        self.config = config

    def config_bytes(self):
        return json.dumps({"os": "linux", "architecture": ARCHITECTURE, "config": self.config,
                           "rootfs": {"type": "layers", "diff_ids": [
                               "sha256:" + sha256(plain) for plain, _, _ in self.layers]}}).encode()

    def files(self):
        """The files of an OCI layout, and the digest of the manifest."""
        out, parts = {"oci-layout": b'{"imageLayoutVersion":"1.0.0"}'}, []

        def put(data, kind):
            out["blobs/sha256/" + sha256(data)] = data
            return {"mediaType": kind, "digest": "sha256:" + sha256(data), "size": len(data)}
        parts = [put(stored, kind) for _, stored, kind in self.layers]
        config = put(self.config_bytes(), "application/vnd.oci.image.config.v1+json")
        manifest = put(json.dumps({"schemaVersion": 2, "config": config,
                                   "layers": parts}).encode(),
                       "application/vnd.oci.image.manifest.v1+json")
        other = dict(manifest, digest="sha256:" + "0" * 64,
                     platform={"os": "linux", "architecture": "s390x"})
        manifest["platform"] = {"os": "linux", "architecture": ARCHITECTURE}
        out["index.json"] = json.dumps({"schemaVersion": 2,
                                        "manifests": [other, manifest]}).encode()
        return out, manifest["digest"]

    def write_layout(self, folder):
        files, digest = self.files()
        for name, data in files.items():
            path = pathlib.Path(folder, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        return digest

    def write_tar(self, path):
        files, digest = self.files()
        write_tar(path, files)
        return digest

    def write_docker(self, path, name):
        """As docker wrote archives before version 25; answers the digest of the config."""
        config = self.config_bytes()
        files = {sha256(config) + ".json": config}
        names = []
        for plain, _, _ in self.layers:
            names.append(sha256(plain) + "/layer.tar")
            files[names[-1]] = plain
        files["manifest.json"] = json.dumps([{"Config": sha256(config) + ".json",
                                              "RepoTags": [name], "Layers": names}]).encode()
        write_tar(path, files)
        return "sha256:" + sha256(config)


def write_tar(path, files):
    with tarfile.open(path, "w") as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))


def python_layer():
    """This machine's Python with its standard library, and a shell; None where there is none."""
    if not shutil.which(PYTHON):
        return None
    layer = Layer()
    layer.copy_program(PYTHON).copy_program("/bin/sh")
    where = subprocess.run(
        [PYTHON, "-c", "import sysconfig; print(sysconfig.get_path('stdlib'))"],
        capture_output=True, text=True, check=True).stdout.strip()
    layer.copy_tree(where, ("test", "idlelib", "tkinter", "lib2to3", "ensurepip", "__pycache__",
                            "dist-packages", "site-packages", "pydoc_data", "turtledemo"))
    for module in pathlib.Path(where, "lib-dynload").glob("*.so"):
        listed = subprocess.run(["ldd", str(module)], capture_output=True, text=True).stdout
        for library in re.findall(r"(/\S+) \(0x", listed):
            layer.copy(pathlib.Path(library).resolve(), to=library)
    return layer.finish()


def static_program(source):
    """A C program as bytes, linked statically; None without a compiler."""
    compiler = next(filter(None, map(shutil.which, ("clang-19", "cc", "gcc", "clang"))), None)
    if not compiler:
        return None
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder, "program")
        subprocess.run([compiler, "-O1", "-static", "-o", str(out), str(source)], check=True)
        return out.read_bytes()
