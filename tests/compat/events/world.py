"""What the tests of EventBridge build with: buses, rules, queues, connections, an HTTP endpoint."""
import http.server
import json
import pathlib
import sys
import threading
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from harness import Compat

ACCOUNT = "000000000000"


def arn(kind, name, service="events"):
    return f"arn:aws:{service}:us-east-1:{ACCOUNT}:{kind}/{name}"


class Endpoint:
    """An HTTP server of this test: keeps what it gets, answers with the next of `statuses`."""

    def __init__(self):
        self.calls, self.statuses, self.tokens = [], [], 0
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def answer(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
                status, answer = 200, b"{}"
                if self.path == "/token":
                    outer.tokens += 1
                    answer = json.dumps({"access_token": f"t{outer.tokens}",
                                         "expires_in": 3600}).encode()
                elif outer.statuses:
                    status = outer.statuses.pop(0)
                outer.calls.append({"method": self.command, "path": self.path, "body": body,
                                    "headers": dict(self.headers)})
                self.send_response(status)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            do_POST = do_PUT = do_GET = answer

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def of(self, path):
        return [call for call in self.calls if call["path"].split("?")[0] == path]

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class Events(Compat):
    def setUp(self):
        self.events, self.sqs = self.client("events"), self.client("sqs")
        self.source = self.name("app")

    def clock(self, **change):
        urllib.request.urlopen(self.server.url + "/_mayfly/clock",
                               json.dumps(change).encode(), timeout=10).close()

    def advance(self, text):
        self.clock(advance=text)

    def bus(self):
        name = self.name("bus")
        self.events.create_event_bus(Name=name)
        self.addCleanup(self.drop_bus, name)
        return name

    def drop_bus(self, bus):
        for rule in self.events.list_rules(EventBusName=bus)["Rules"]:
            self.drop_rule(rule["Name"], bus)
        self.events.delete_event_bus(Name=bus)

    def drop_rule(self, rule, bus="default"):
        targets = self.events.list_targets_by_rule(Rule=rule, EventBusName=bus)["Targets"]
        if targets:
            self.events.remove_targets(Rule=rule, EventBusName=bus, Ids=[t["Id"] for t in targets])
        self.events.delete_rule(Name=rule, EventBusName=bus)

    def queue(self, **attributes):
        """(URL, ARN) of a queue that lets rules send."""
        name = self.name("q") + (".fifo" if attributes.get("FifoQueue") else "")
        where = f"arn:aws:sqs:us-east-1:{ACCOUNT}:{name}"
        policy = {"Version": "2012-10-17", "Statement": [{
            "Effect": "Allow", "Principal": {"Service": "events.amazonaws.com"},
            "Action": "sqs:SendMessage", "Resource": where}]}
        url = self.sqs.create_queue(QueueName=name, Attributes=dict(
            attributes, Policy=json.dumps(policy)))["QueueUrl"]
        self.addCleanup(self.sqs.delete_queue, QueueUrl=url)
        return url, where

    def rule(self, pattern, *targets, bus="default"):
        name = self.name("rule")
        self.events.put_rule(Name=name, EventBusName=bus, EventPattern=json.dumps(pattern))
        self.addCleanup(self.forget_rule, name, bus)
        if targets:
            answer = self.events.put_targets(Rule=name, EventBusName=bus, Targets=[
                dict(target, Id=str(i)) for i, target in enumerate(targets)])
            self.assertEqual(answer["FailedEntryCount"], 0)
        return name

    def forget_rule(self, name, bus):
        try:
            self.drop_rule(name, bus)
        except self.events.exceptions.ResourceNotFoundException:
            pass  # its bus is gone

    def put(self, detail, bus=None, detail_type="order", **more):
        entry = dict(Source=self.source, DetailType=detail_type, Detail=json.dumps(detail), **more)
        if bus:
            entry["EventBusName"] = bus
        answer = self.events.put_events(Entries=[entry])
        self.assertEqual(answer["FailedEntryCount"], 0, answer)
        return answer["Entries"][0]["EventId"]

    def received(self, url, count=1):
        """Bodies of that many messages, in whichever order they come."""
        bodies = []

        def more():
            for message in self.sqs.receive_message(
                    QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=1,
                    MessageAttributeNames=["All"]).get("Messages", []):
                self.sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
                bodies.append(message)
            return len(bodies) >= count
        self.eventually(more)
        self.assertEqual(len(bodies), count)
        return bodies

    def connection(self, **auth):
        name = self.name("con")
        answer = self.events.create_connection(Name=name, **auth)
        self.addCleanup(self.events.delete_connection, Name=name)
        return name, answer["ConnectionArn"]

    def destination(self, connection, url, method="POST", **more):
        name = self.name("dest")
        answer = self.events.create_api_destination(
            Name=name, ConnectionArn=connection, InvocationEndpoint=url, HttpMethod=method, **more)
        self.addCleanup(self.events.delete_api_destination, Name=name)
        return name, answer["ApiDestinationArn"]
