#!/usr/bin/env python3
"""CORS of function URLs as a real browser checks it, from a page of another origin."""
import pathlib
import socket
import sys
import threading

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
sys.path.insert(0, str(pathlib.Path(__file__).parent))
import harness  # noqa: E402
from browser import Browser  # noqa: E402

# Answers who asked, and counts; sets a cookie where it is told, and CORS headers of its own.
ECHO = {"lambda_function.py": """
calls = 0
def lambda_handler(event, context):
    global calls
    calls += 1
    query = event.get("queryStringParameters") or {}
    headers = {"x-shown": "shown", "x-hidden": "hidden", "x-calls": str(calls)}
    if "own" in query:
        headers["Access-Control-Allow-Origin"] = query["own"]
    out = {"statusCode": int(query.get("status", 200)), "headers": headers,
           "body": "%s %s" % (event["requestContext"]["http"]["method"],
                              ",".join(event.get("cookies", [])))}
    if "cookie" in query:
        out["cookies"] = [query["cookie"]]
    return out
"""}
# One fetch after the other: [name, url, options].
SCRIPT = """
  for (const [name, url, options] of ARGUMENTS) {
    try {
      const answer = await fetch(url, options);
      const body = await answer.text();
      const headers = Object.fromEntries(answer.headers);
      report[name] = { status: answer.status, type: answer.type, body, headers };
    } catch (error) {
      report[name] = { error: String(error) };
    }
  }
"""


class Between:
    """Stands between the browser and the server, and notes the methods of requests."""

    def __init__(self, to):
        self.methods, self.to = [], to
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            far = socket.create_connection(("127.0.0.1", self.to))
            for one, other, notes in ((near, far, True), (far, near, False)):
                threading.Thread(target=self.carry, args=(one, other, notes), daemon=True).start()

    def carry(self, one, other, notes):
        try:
            while data := one.recv(65536):
                method = data.split(b" ", 1)[0]
                if notes and method.isalpha() and b" HTTP/1.1\r\n" in data:
                    self.methods.append(method.decode())
                other.sendall(data)
            other.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # one of them has gone

    def close(self):
        self.listener.close()


class Cors(Browser):
    def url(self, cors=None):
        # In this mode the server's answers are whole; streams are another test's.
        name, host = self.public(mode="BUFFERED", files=ECHO, cors=cors, handler=None)
        return name, f"http://{host}/"

    def function(self, files=None, **more):
        more.pop("handler", None)
        return self.create(files=files, **more)

    def refused_by_browser(self, found):
        self.assertIn("Failed to fetch", found.get("error", str(found)))

    def test_origins(self):
        elsewhere = "http://elsewhere.test"
        port = self.origin.server_port
        allowed = {"exact": [self.here], "any": ["*"], "among": [elsewhere, self.here],
                   "wildcard": [f"http://*.0.0.1:{port}"]}
        refused = {"foreign": [elsewhere], "port": ["http://127.0.0.1:1"],
                   "scheme": [f"https://127.0.0.1:{port}"], "named": [f"http://localhost:{port}"],
                   "none": None}
        asked, hosts = [], {}
        for name, origins in {**allowed, **refused}.items():
            cors = {"AllowOrigins": origins, "AllowMethods": ["*"]} if origins else None
            hosts[name] = self.url(cors)
            asked.append([name, hosts[name][1], {}])
            asked.append([name + " put", hosts[name][1], {"method": "PUT", "body": "x"}])
            asked.append([name + " opaque", hosts[name][1], {"mode": "no-cors"}])
        found = self.visit(SCRIPT, asked)
        for name in allowed:
            self.assertEqual((found[name].get("status"), found[name]["body"]), (200, "GET "), name)
            self.assertEqual(found[name]["type"], "cors")
            self.assertEqual(found[name + " put"].get("body"), "PUT ", name)
        for name in refused:
            self.refused_by_browser(found[name])
            self.refused_by_browser(found[name + " put"])
            self.assertEqual(found[name + " opaque"].get("type"), "opaque")
        # What the browser did not ask for after its preflight no function has run.
        body, _ = self.invoke(hosts["foreign"][0], {"requestContext": {"http": {"method": "X"}}})
        self.assertEqual(body["headers"]["x-calls"], "3")  # GET, no-cors GET, and this one

    def test_methods(self):
        _, url = self.url({"AllowOrigins": [self.here], "AllowMethods": ["GET", "PUT"]})
        _, simple = self.url({"AllowOrigins": [self.here]})
        found = self.visit(SCRIPT, [
            ["put", url, {"method": "PUT", "body": "x"}], ["delete", url, {"method": "DELETE"}],
            ["patch", url, {"method": "PATCH", "body": "x"}],
            ["post", url, {"method": "POST", "body": "x"}],  # simple: not asked for before
            ["simple put", simple, {"method": "PUT", "body": "x"}]])
        self.assertEqual(found["put"].get("body"), "PUT ")
        self.assertEqual(found["post"].get("body"), "POST ")
        for name in ("delete", "patch", "simple put"):
            self.refused_by_browser(found[name])

    def test_headers(self):
        listed = {"AllowOrigins": [self.here], "AllowMethods": ["GET", "POST"],
                  "AllowHeaders": ["X-One", "content-type"]}
        _, url = self.url(listed)
        _, every = self.url({**listed, "AllowHeaders": ["*"]})
        _, none = self.url({**listed, "AllowHeaders": []})
        json_body = {"method": "POST", "headers": {"Content-Type": "application/json"},
                     "body": "{}"}
        found = self.visit(SCRIPT, [
            ["one", url, {"headers": {"x-ONE": "1"}}], ["json", url, json_body],
            ["two", url, {"headers": {"x-one": "1", "x-two": "2"}}],
            ["every", every, {"headers": {"x-one": "1", "x-two": "2"}}],
            ["none", none, {"headers": {"x-one": "1"}}], ["plain", none, {}]])
        for name in ("one", "json", "every", "plain"):
            self.assertEqual(found[name].get("status"), 200, (name, found[name]))
        for name in ("two", "none"):
            self.refused_by_browser(found[name])

    def test_exposed_headers(self):
        cors = {"AllowOrigins": [self.here], "AllowMethods": ["GET"]}
        _, some = self.url({**cors, "ExposeHeaders": ["X-Shown"]})
        _, every = self.url({**cors, "ExposeHeaders": ["*"]})
        _, none = self.url(cors)
        found = self.visit(SCRIPT, [["some", some, {}], ["every", every, {}], ["none", none, {}],
                                    ["failed", some + "?status=500", {}]])
        self.assertEqual(found["some"]["headers"].get("x-shown"), "shown")
        self.assertNotIn("x-hidden", found["some"]["headers"])
        self.assertEqual(found["every"]["headers"].get("x-hidden"), "hidden")
        self.assertNotIn("x-shown", found["none"]["headers"])
        # An error of the function's is read like any other answer.
        self.assertEqual((found["failed"].get("status"), found["failed"]["headers"]["x-shown"]),
                         (500, "shown"))

    def test_credentials(self):
        cors = {"AllowOrigins": [self.here], "AllowMethods": ["GET", "PUT"]}
        _, open_url = self.url({**cors, "AllowCredentials": True})
        _, any_url = self.url({"AllowOrigins": ["*"], "AllowMethods": ["GET"],
                               "AllowCredentials": True})
        _, closed = self.url(cors)
        include = {"credentials": "include"}
        found = self.visit(SCRIPT, [
            ["set", open_url + "?cookie=a%3D1", include], ["sent", open_url, include],
            ["omitted", open_url, {}],
            ["put", open_url, {**include, "method": "PUT", "body": "x"}],
            ["any", any_url, include], ["closed", closed, include], ["plain", closed, {}]])
        self.assertEqual(found["set"].get("status"), 200, found["set"])
        self.assertNotIn("set-cookie", found["set"]["headers"])
        for name in ("sent", "put", "any", "omitted", "plain"):
            self.assertEqual(found[name].get("status"), 200, (name, found[name]))
        self.assertEqual(found["omitted"]["body"], "GET ")
        self.refused_by_browser(found["closed"])

    def test_what_the_function_says_of_cors(self):
        # Without a configuration the function is who answers; with one it has nothing to say.
        _, own = self.url()
        _, url = self.url({"AllowOrigins": ["http://elsewhere.test"]})
        _, both = self.url({"AllowOrigins": [self.here]})
        found = self.visit(SCRIPT, [["own", f"{own}?own={self.here}", {}],
                                    ["url", f"{url}?own={self.here}", {}],
                                    ["both", f"{both}?own={self.here}", {}]])
        self.assertEqual(found["own"].get("body"), "GET ")
        self.assertEqual(found["both"].get("body"), "GET ")
        self.refused_by_browser(found["url"])

    def test_a_preflight_is_kept_as_long_as_it_says(self):
        cors = {"AllowOrigins": [self.here], "AllowMethods": ["PUT"]}
        put = {"method": "PUT", "body": "x"}
        for age, asked in ((0, 3), (600, 1)):
            between = Between(self.server.port)
            self.addCleanup(between.close)
            _, url = self.url({**cors, "MaxAge": age})
            url = url.replace(f":{self.server.port}/", f":{between.port}/")
            found = self.visit(SCRIPT, [[str(n), url, put] for n in range(3)])
            self.assertEqual({one.get("status") for one in found.values()}, {200}, found)
            self.assertEqual((between.methods.count("OPTIONS"), between.methods.count("PUT")),
                             (asked, 3), between.methods)


if __name__ == "__main__":
    del Browser  # a base, not a test
    harness.main()
