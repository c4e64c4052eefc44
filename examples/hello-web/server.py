"""A web server that knows nothing of Lambda."""
import http.server
import json


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.greet(self.path.strip("/"))

    def do_POST(self):
        """Events that are no requests of HTTP come as POST /events."""
        text = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        event = json.loads(text or "{}")
        self.greet(event.get("name", "") if isinstance(event, dict) else "")

    def greet(self, name):
        body = json.dumps({"hello": name or "you"}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


http.server.ThreadingHTTPServer(("127.0.0.1", 8080), Handler).serve_forever()
