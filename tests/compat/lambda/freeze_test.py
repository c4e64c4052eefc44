#!/usr/bin/env python3
"""Between calls an environment stands still, and what it had open is still open afterwards."""
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
import harness  # noqa: E402
from harness import Compat  # noqa: E402

TICK_SECONDS = 0.01
REST_SECONDS = 3  # well over the second after which an idle environment is frozen
PYTHON = {"lambda_function.py": """
import http.client, os, threading, time, urllib.parse
TICKS = 0
def tick():
    global TICKS
    while True:
        time.sleep(0.01)
        TICKS += 1
threading.Thread(target=tick, daemon=True).start()
url = urllib.parse.urlsplit(os.environ['AWS_ENDPOINT_URL'])
connection = http.client.HTTPConnection(url.hostname, url.port)
connection.auto_open = 1
def lambda_handler(event, context):
    if event.get('open'):
        connection.connect()
    connection.auto_open = 0    # a new connection would be an error
    connection.request('GET', '/2015-03-31/functions')
    status = connection.getresponse()
    status.read()
    return {'port': connection.sock.getsockname()[1], 'status': status.status, 'ticks': TICKS,
            'stream': context.log_stream_name}
"""}
NODE = {"index.js": """
const http = require('node:http');
const url = new URL(process.env.AWS_ENDPOINT_URL);
const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
let ticks = 0;
let opened = 0;
setInterval(() => { ticks += 1; }, 10).unref();
exports.handler = (event, context) => {
  context.callbackWaitsForEmptyEventLoop = false;
  return new Promise((done, failed) => {
    const request = http.get({ host: url.hostname, port: url.port, agent,
                               path: '/2015-03-31/functions' }, (answer) => {
      const port = answer.socket.localPort;
      answer.resume();
      answer.on('end', () => done({ port, status: answer.statusCode, ticks, opened,
                                    stream: context.logStreamName }));
    });
    request.on('socket', (socket) => { if (!socket.seen) { socket.seen = true; opened += 1; } });
    request.on('error', failed);
  });
};
"""}


class Freeze(Compat):
    def rests(self, language, files, handler):
        runtime = harness.machine_runtimes().get(language)
        if not runtime:
            self.skipTest(f"no {language} on this machine")
        name = self.create(runtime=runtime, files=files, handler=handler, Timeout=10)
        first = self.invoke(name, {"open": True})[0]
        answers = []
        for _ in range(2):
            time.sleep(REST_SECONDS)
            answers.append(self.invoke(name, {})[0])
        for answer in answers:
            self.assertEqual(answer.get("stream"), first.get("stream"), (first, answer))
            self.assertEqual((answer["port"], answer["status"]), (first["port"], first["status"]))
        # It ran for the second before it was frozen, and a while around each call.
        ticks = answers[1]["ticks"] - answers[0]["ticks"]
        self.assertLess(ticks, 0.7 * REST_SECONDS / TICK_SECONDS)
        return answers

    def test_python(self):
        self.rests("python", PYTHON, "lambda_function.lambda_handler")

    def test_node(self):
        answers = self.rests("nodejs", NODE, "index.handler")
        self.assertEqual(answers[-1]["opened"], 1)


if __name__ == "__main__":
    harness.main()
