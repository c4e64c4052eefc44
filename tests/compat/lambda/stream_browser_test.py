#!/usr/bin/env python3
"""A real browser reads a streamed answer of a function URL from a page of another origin."""
import http.server
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile
import threading
import urllib.parse

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
sys.path.insert(0, str(pathlib.Path(__file__).parent))
import harness  # noqa: E402
from stream_url_test import UrlClient  # noqa: E402

# Fetches the URLs it is told, notes when which part came, and reports to its own server.
PAGE = """<!doctype html><title>page</title><script>
(async () => {
  const out = {};
  for (const [name, url] of Object.entries(URLS)) {
    const one = (out[name] = { parts: [] });
    try {
      const answer = await fetch(url, { headers: { 'x-asked': 'yes' } });
      one.status = answer.status;
      one.seen = answer.headers.get('x-shown');
      one.hidden = answer.headers.get('x-hidden');
      const reader = answer.body.getReader();
      while (true) {
        const { done, value } = await reader.read();
        if (done) break;
        one.parts.push([Date.now(), new TextDecoder().decode(value)]);
      }
      one.whole = true;
    } catch (error) {
      one.error = String(error);
    }
  }
  await fetch('/report', { method: 'POST', body: JSON.stringify(out) });
})();
</script>"""


class Origin(http.server.BaseHTTPRequestHandler):
    """The page's own origin: serves the page and takes its report."""

    def do_GET(self):
        body = self.server.page.encode() if self.path == "/" else b""
        self.send_response(200 if body else 404)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        self.server.report = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(204)
        self.end_headers()
        self.server.reported.set()

    def log_message(self, *arguments):
        pass


class Browser(UrlClient):
    def setUp(self):
        super().setUp()
        self.chromium = shutil.which("chromium") or shutil.which("chromium-browser")
        if not self.chromium:
            self.skipTest("no chromium on this machine")
        self.origin = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Origin)
        self.origin.reported = threading.Event()
        threading.Thread(target=self.origin.serve_forever, daemon=True).start()
        self.addCleanup(self.origin.server_close)
        self.addCleanup(self.origin.shutdown)

    def visit(self, urls):
        """What the page reports."""
        self.origin.page = PAGE.replace("URLS", json.dumps(urls))
        profile = tempfile.mkdtemp(prefix="mayfly-browser-")
        self.addCleanup(shutil.rmtree, profile, True)
        browser = subprocess.Popen(
            [self.chromium, "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run",
             "--disable-background-networking", "--disable-component-update", "--disable-sync",
             f"--user-data-dir={profile}", f"http://127.0.0.1:{self.origin.server_port}/"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            self.assertTrue(self.origin.reported.wait(90), "the page did not report")
        finally:
            browser.terminate()
            browser.wait(30)
        return self.origin.report

    def test_parts_across_origins(self):
        allowed = f"http://127.0.0.1:{self.origin.server_port}"
        _, open_host = self.public(cors={"AllowOrigins": [allowed], "AllowMethods": ["GET"],
                                         "AllowHeaders": ["x-asked"],
                                         "ExposeHeaders": ["x-shown"]})
        _, closed_host = self.public(cors={"AllowOrigins": ["http://elsewhere.test"]})
        prelude = json.dumps({"statusCode": 201, "headers": {
            "x-shown": "1", "x-hidden": "2", "Content-Type": "text/plain"}})
        quoted = urllib.parse.quote(prelude)
        report = self.visit({
            "stamps": f"http://{open_host}/?mode=stamps&prelude={quoted}",
            "middle": f"http://{open_host}/?mode=middle",
            "foreign": f"http://{closed_host}/?mode=pipe"})
        stamps = report["stamps"]
        self.assertEqual((stamps.get("error"), stamps.get("status")), (None, 201))
        self.assertEqual((stamps["seen"], stamps["hidden"]), ("1", None))
        made = [int(stamp) for _, part in stamps["parts"] for stamp in part.split()]
        self.assertEqual(len(made), 5)
        self.assertLess(stamps["parts"][0][0], made[-1],
                        "the first part came when the last was made")
        middle = report["middle"]
        self.assertEqual([part for _, part in middle["parts"]], ["first"])
        self.assertIn("error", middle, "the browser took a broken answer for the whole")
        self.assertIn("Failed to fetch", report["foreign"]["error"])


if __name__ == "__main__":
    del UrlClient  # a base, not a test
    harness.main()
