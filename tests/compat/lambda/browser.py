"""A real browser for tests: it visits a page of another origin than the server's, whose script
reports what it saw."""
import http.server
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile
import threading

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from stream_url_test import UrlClient  # noqa: E402

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
         "--disable-background-networking", "--disable-component-update", "--disable-sync"]
REPORT_SECONDS = 90
# `report` is what the script leaves behind.
PAGE = """<!doctype html><title>page</title><script>
const ARGUMENTS = %s;
(async () => {
  const report = {};
  try {
%s
  } catch (error) { report.broken = String(error); }
  await fetch('/report', { method: 'POST', body: JSON.stringify(report) });
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
        if not CHROMIUM:
            print(f"SKIPPED {self.id()}: no chromium on this machine", file=sys.stderr)
            self.skipTest("no chromium on this machine")
        self.origin = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Origin)
        self.origin.reported = threading.Event()
        threading.Thread(target=self.origin.serve_forever, daemon=True).start()
        self.addCleanup(self.origin.server_close)
        self.addCleanup(self.origin.shutdown)
        self.here = f"http://127.0.0.1:{self.origin.server_port}"

    def visit(self, script, arguments):
        """What the page's script reports. It sees ARGUMENTS."""
        self.origin.page = PAGE % (json.dumps(arguments), script)
        self.origin.reported.clear()
        profile = tempfile.mkdtemp(prefix="mayfly-browser-")
        self.addCleanup(shutil.rmtree, profile, True)
        browser = subprocess.Popen(
            [CHROMIUM, *FLAGS, f"--user-data-dir={profile}", self.here + "/"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            self.assertTrue(self.origin.reported.wait(REPORT_SECONDS), "the page did not report")
        finally:
            browser.terminate()
            browser.wait(30)
        self.assertNotIn("broken", self.origin.report)
        return self.origin.report


del UrlClient  # a base, not a test
