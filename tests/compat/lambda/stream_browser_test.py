#!/usr/bin/env python3
"""A real browser reads a streamed answer of a function URL from a page of another origin."""
import json
import pathlib
import sys
import urllib.parse

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
sys.path.insert(0, str(pathlib.Path(__file__).parent))
import harness  # noqa: E402
from browser import Browser  # noqa: E402

# Fetches the URLs it is told and notes when which part came.
SCRIPT = """
  for (const [name, url] of Object.entries(ARGUMENTS)) {
    const one = (report[name] = { parts: [] });
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
"""


class Streams(Browser):
    def test_parts_across_origins(self):
        _, open_host = self.public(cors={"AllowOrigins": [self.here], "AllowMethods": ["GET"],
                                         "AllowHeaders": ["x-asked"],
                                         "ExposeHeaders": ["x-shown"]})
        _, closed_host = self.public(cors={"AllowOrigins": ["http://elsewhere.test"]})
        prelude = json.dumps({"statusCode": 201, "headers": {
            "x-shown": "1", "x-hidden": "2", "Content-Type": "text/plain"}})
        quoted = urllib.parse.quote(prelude)
        report = self.visit(SCRIPT, {
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
    del Browser  # a base, not a test
    harness.main()
