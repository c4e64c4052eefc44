"""Web servers that know nothing of Lambda, and a stand-in for the adapter: sources for web_test."""
# Python's own server: answers what it was asked, or does as the path says.
SERVER = r"""
import hashlib, http.server, json, os, sys, time
START = time.time() + float(os.environ.get("SLOW", "0"))
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def answer(self, status, body, **headers):
        self.send_response(status)
        for name, value in headers.items():
            for one in value if isinstance(value, list) else [value]:
                self.send_header(name.replace("_", "-"), one)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
    def do_GET(self):
        length = int(self.headers.get("Content-Length", "0"))
        body = self.rfile.read(length)
        path = self.path.partition("?")[0]
        if path == "/health":
            return self.answer(503 if time.time() < START else 200, b"")
        if path == "/binary":
            return self.answer(200, bytes(range(256)), Content_Type="application/octet-stream")
        if path == "/large":
            return self.answer(200, b"x" * int(self.path.partition("?")[2]),
                               Content_Type="text/plain")
        if path == "/cookies":
            return self.answer(200, b"{}", Set_Cookie=["a=1; Path=/", "b=2"], X_Many=["1", "2"],
                               Content_Type="application/json")
        if path == "/status":
            return self.answer(int(self.path.partition("?")[2]), b"as asked",
                               Content_Type="text/plain")
        if path == "/whole":
            return self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
        if path == "/exit":
            os._exit(7)
        if path == "/hang":
            time.sleep(60)
        if path == "/cut":
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nbegin")
            self.wfile.flush()
            self.connection.shutdown(2)
            self.close_connection = True
            return
        if path == "/stream":
            self.send_response(201)
            self.send_header("Content-Type", "text/plain")
            self.send_header("Set-Cookie", "s=1")
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for i in range(3):
                part = b"part %d\n" % i
                self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
                self.wfile.flush()
                time.sleep(0.4)
            return self.wfile.write(b"0\r\n\r\n")
        print("asked for", self.path, flush=True)
        headers = {k.lower(): v for k, v in self.headers.items()}
        seen = {"method": self.command, "path": self.path, "headers": headers, "pid": os.getpid(),
                "length": length, "sha256": hashlib.sha256(body).hexdigest(),
                "argv": sys.argv, "handler": os.environ.get("_HANDLER")}
        if length < 10000:
            seen["body"] = body.decode("latin-1")
        self.answer(200, json.dumps(seen).encode(), Content_Type="application/json")
    do_POST = do_PUT = do_DELETE = do_PATCH = do_HEAD = do_OPTIONS = do_GET
    def log_message(self, *_):
        pass
if os.environ.get("DIE"):
    sys.exit(int(os.environ["DIE"]))
if os.environ.get("NEVER"):
    time.sleep(600)
http.server.ThreadingHTTPServer.daemon_threads = True
http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ.get("PORT", "8080"))),
                                Handler).serve_forever()
"""
NODE = """
const http = require('http');
http.createServer((req, res) => {
  const parts = [];
  req.on('data', (part) => parts.push(part));
  req.on('end', () => {
    res.setHeader('Content-Type', 'application/json; charset=utf-8');
    res.end(JSON.stringify({ method: req.method, url: req.url, body: Buffer.concat(parts).length,
                             agent: req.headers['user-agent'] }));
  });
}).listen(Number(process.env.AWS_LWA_PORT || 8080), '127.0.0.1');
"""
GO = """package main

import (
	"encoding/json"
	"net/http"
	"os"
)

func main() {
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(map[string]any{
			"method": r.Method, "uri": r.RequestURI, "length": r.ContentLength})
	})
	http.ListenAndServe("127.0.0.1:"+os.Getenv("AWS_LWA_PORT"), nil)
}
"""
FLASK = """
from flask import Flask, jsonify, request
app = Flask(__name__)
@app.route('/hello/<name>', methods=['GET', 'POST'])
def hello(name):
    return jsonify(name=name, args=request.args, form=request.form), 202
app.run(host='127.0.0.1', port=8080)
"""
# What the adapter itself does, in short: an extension that asks for the events of the runtime.
STAND_IN = """#!/usr/bin/python3
import json, os, threading, time, urllib.request
HOST = "http://" + os.environ["AWS_LAMBDA_RUNTIME_API"]
def post(path, data, **headers):
    return urllib.request.urlopen(urllib.request.Request(HOST + path, data=data, headers=headers))
answer = post("/2020-01-01/extension/register", b'{"events":[]}',
              **{"Lambda-Extension-Name": "lambda-adapter"})
ID = {"Lambda-Extension-Identifier": answer.headers["Lambda-Extension-Identifier"]}
threading.Thread(target=lambda: urllib.request.urlopen(urllib.request.Request(
    HOST + "/2020-01-01/extension/event/next", headers=ID)), daemon=True).start()
while True:
    try:
        urllib.request.urlopen("http://127.0.0.1:8080/health")
        break
    except OSError:
        time.sleep(0.01)
API = "/2018-06-01/runtime/invocation/"
while True:
    event = urllib.request.urlopen(HOST + API + "next")
    data = event.read()
    reply = urllib.request.urlopen(urllib.request.Request(
        "http://127.0.0.1:8080/events", data=data, headers={"X-Stand-In": "yes"})).read()
    post(API + event.headers["Lambda-Runtime-Aws-Request-Id"] + "/response", reply)
"""

# Requests to /meet… are answered when eight of them are inside; /break ends its connection.
MEETING = """
import json, os, threading, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
meeting = threading.Barrier(8, timeout=15)
class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length).decode()
        if self.path.startswith("/meet"):
            meeting.wait()
        if self.path == "/break":
            self.close_connection = True
            return
        if self.path == "/slow":
            time.sleep(1)
        out = json.dumps({"path": self.path, "body": body, "pid": os.getpid()}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(out)))
        self.end_headers()
        self.wfile.write(out)
    do_POST = do_GET
    def log_message(self, *arguments):
        pass
ThreadingHTTPServer(("127.0.0.1", 8080), Handler).serve_forever()
"""
