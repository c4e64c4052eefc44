"""Servers that do the same work without a platform, or with another one: each is started on one
processor, or skipped by name where it can not be had (build/peers: packages of npm and PyPI)."""
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
import harness  # noqa: E402

PEERS = harness.ROOT / "build/peers"
NODE_HTTP = """
const server = require('http').createServer((req, res) => {
  const parts = [];
  req.on('data', (part) => parts.push(part));
  req.on('end', () => {
    const event = JSON.parse(Buffer.concat(parts).toString());
    const text = JSON.stringify({ message: event.message });
    res.writeHead(200, { 'content-type': 'application/json', 'content-length': text.length });
    res.end(text);
  });
});
server.listen(Number(process.argv[1]), '127.0.0.1');
"""
BUN_HTTP = """
Bun.serve({ port: Number(process.argv[2]), hostname: '127.0.0.1', async fetch(request) {
  const event = await request.json();
  return Response.json({ message: event.message });
} });
"""
ASGI = """
import json

async def app(scope, receive, send):
    body = b''
    while True:
        part = await receive()
        body += part.get('body', b'')
        if not part.get('more_body'):
            break
    text = json.dumps({'message': json.loads(body)['message']}).encode()
    await send({'type': 'http.response.start', 'status': 200,
                'headers': [(b'content-type', b'application/json'),
                            (b'content-length', str(len(text)).encode())]})
    await send({'type': 'http.response.body', 'body': text})
"""
WSGI = """
import json

def app(environ, start):
    body = environ['wsgi.input'].read(int(environ['CONTENT_LENGTH']))
    text = json.dumps({'message': json.loads(body)['message']}).encode()
    start('200 OK', [('Content-Type', 'application/json'), ('Content-Length', str(len(text)))])
    return [text]
"""
FRAMEWORK = """
const framework = require('@google-cloud/functions-framework');
framework.http('echo', (req, res) => { res.json({ message: req.body.message }); });
"""
WORKER = """
export default { async fetch(request) {
  const event = await request.json();
  return Response.json({ message: event.message });
} };
"""
WORKERD = """
using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [ (name = "main", worker = (modules = [(name = "w", esModule = embed "worker.mjs")],
               compatibilityDate = "2024-01-01")) ],
  sockets = [ (name = "http", address = "127.0.0.1:%d", http = (), service = "main") ]
);
"""


NPM = ("bun", "workerd", "@google-cloud/functions-framework")
PYPI = ("uvicorn", "gunicorn", "httptools", "uvloop")


def install():
    """Fetches what is not there yet; MAYFLY_OFFLINE keeps it from trying."""
    if os.environ.get("MAYFLY_OFFLINE"):
        return
    PEERS.mkdir(parents=True, exist_ok=True)
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": PEERS}
    if not all((PEERS / "node_modules" / name).exists() for name in NPM) and shutil.which("npm"):
        subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--prefix", ".", *NPM],
                       check=False, **quiet)
    if not (PEERS / "py/bin/gunicorn").exists():
        subprocess.run([sys.executable, "-m", "venv", "py"], check=False, **quiet)
        subprocess.run(["py/bin/pip", "install", *PYPI], check=False, **quiet)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def python_tool(name):
    own = PEERS / "py/bin" / name
    return str(own) if own.exists() else shutil.which(name)


def node_tool(name):
    own = PEERS / "node_modules/.bin" / name
    return str(own) if own.exists() else shutil.which(name)


def node_http(folder, port):
    return [shutil.which("node"), "-e", NODE_HTTP, str(port)] if shutil.which("node") else None


def bun(folder, port):
    (folder / "bun.js").write_text(BUN_HTTP, encoding="utf-8")
    return node_tool("bun") and [node_tool("bun"), str(folder / "bun.js"), str(port)]


def uvicorn(folder, port):
    (folder / "asgi.py").write_text(ASGI, encoding="utf-8")
    tool = python_tool("uvicorn")
    return tool and [tool, "--app-dir", str(folder), "--port", str(port), "--no-access-log",
                     "--log-level", "warning", "asgi:app"]


def gunicorn(folder, port):
    (folder / "wsgi.py").write_text(WSGI, encoding="utf-8")
    tool = python_tool("gunicorn")
    return tool and [tool, "--chdir", str(folder), "-b", f"127.0.0.1:{port}", "-k", "gthread",
                     "--threads", "16", "--log-level", "warning", "wsgi:app"]


def functions_framework(folder, port):
    if not (PEERS / "node_modules/@google-cloud/functions-framework").exists():
        return None
    (folder / "index.js").write_text(FRAMEWORK, encoding="utf-8")
    if not (folder / "node_modules").exists():
        (folder / "node_modules").symlink_to(PEERS / "node_modules")
    return [node_tool("functions-framework"), "--source", str(folder), "--target", "echo",
            "--port", str(port)]


def workerd(folder, port):
    (folder / "worker.mjs").write_text(WORKER, encoding="utf-8")
    (folder / "config.capnp").write_text(WORKERD % port, encoding="utf-8")
    tool = node_tool("workerd")
    return tool and [tool, "serve", str(folder / "config.capnp")]


MAKERS = {"node_http": node_http, "uvicorn": uvicorn, "gunicorn": gunicorn, "bun": bun,
          "workerd": workerd, "functions_framework": functions_framework}


class Peer:
    """A server in a folder of its own; end it with close()."""

    def __init__(self, name, cpu):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="mayfly-peer-"))
        self.process = None
        port = free_port()
        command = MAKERS[name](self.folder, port)
        self.there = bool(command)
        if not self.there:
            self.close()
            return
        self.process = subprocess.Popen(["taskset", "-c", str(cpu)] + command, cwd=self.folder,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                        env=harness.CLEAN_ENVIRONMENT | {"HOME": str(self.folder)})
        self.url = f"http://127.0.0.1:{port}/"
        for _ in range(200):
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                return
            except OSError:
                time.sleep(0.05)
        sys.exit(f"the peer {name} did not start")

    @property
    def pid(self):
        return self.process.pid

    def close(self):
        if self.process:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)
