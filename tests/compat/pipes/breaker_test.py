#!/usr/bin/env python3
"""Flow control and circuit breakers of pipes with the real client, by their tags."""
import json
import pathlib
import re
import sys
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from harness import Compat, main

ROLE = "arn:aws:iam::000000000000:role/pipe"


class Tagged(Compat):
    def setUp(self):
        self.pipes, self.sqs = self.client("pipes"), self.client("sqs")
        self.clock(freeze=True)
        self.addCleanup(self.clock, freeze=False)

    def clock(self, **change):
        urllib.request.urlopen(self.server.url + "/_mayfly/clock", json.dumps(change).encode(),
                               timeout=10).close()

    def arn(self, queue):
        return f"arn:aws:sqs:us-east-1:000000000000:{queue}"

    def queue(self, name=None):
        name = name or self.name("q")
        url = self.sqs.create_queue(QueueName=name)["QueueUrl"]
        self.addCleanup(self.sqs.delete_queue, QueueUrl=url)
        return url, self.arn(name)

    def pipe(self, source, target, **tags):
        name = self.name("pipe")
        self.pipes.create_pipe(
            Name=name, Source=source, Target=target, RoleArn=ROLE,
            SourceParameters={"SqsQueueParameters": {"BatchSize": 1}},
            TargetParameters={"InputTemplate": "<$.body>"},
            Tags={f"mayfly:{key}": value for key, value in tags.items()})
        self.addCleanup(self.pipes.delete_pipe, Name=name)
        self.running(name)
        return name

    def running(self, name):
        self.eventually(lambda: self.pipes.describe_pipe(Name=name)["CurrentState"] == "RUNNING")

    def send(self, url, body):
        self.sqs.send_message(QueueUrl=url, MessageBody=json.dumps(body))

    def opened(self):
        """Waits for a breaker to open."""
        def open_breakers():
            with urllib.request.urlopen(self.server.url + "/_mayfly/metrics", timeout=30) as answer:
                text = answer.read().decode()
            name = "mayfly_target_circuit_breakers_open"
            return float(re.search(rf"^{name} (\S+)$", text, re.M)[1])
        self.eventually(lambda: open_breakers() > 0)

    def count(self, url):
        which = "ApproximateNumberOfMessages"
        return int(self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=[which])[
            "Attributes"][which])

    def test_a_target_that_is_not_there_is_left_alone_and_then_tried_out(self):
        (url, source), missing = self.queue(), self.name("q")
        self.pipe(source, self.arn(missing), breaker="1/60s open=300s")
        self.send(url, 1)
        self.opened()
        self.send(url, 2)
        to, _ = self.queue(missing)
        self.clock(advance="299s")
        # Neither is received meanwhile.
        self.eventually(lambda: self.count(url) == 2)
        self.clock(advance="1s")
        self.eventually(lambda: self.count(to) == 2)

    def test_a_function_that_fails_pauses_the_pipe(self):
        (url, source), name = self.queue(), self.create(files={"lambda_function.py": (
            "def lambda_handler(event, context):\n    raise ValueError('as told')\n")})
        function = f"arn:aws:lambda:us-east-1:000000000000:function:{name}"
        self.pipe(source, function, breaker="1/60s open=300s")
        self.send(url, 1)
        self.opened()
        logs = self.client("logs")

        def calls():
            try:
                found = logs.filter_log_events(logGroupName=f"/aws/lambda/{name}")["events"]
            except logs.exceptions.ResourceNotFoundException:
                return 0
            return sum("REPORT" in one["message"] for one in found)
        self.eventually(lambda: calls() == 1)
        self.send(url, 2)
        self.clock(advance="100s")
        # Nothing is received meanwhile.
        self.eventually(lambda: self.count(url) == 2)
        self.assertEqual(calls(), 1)
        self.clock(advance="200s")
        self.eventually(lambda: calls() == 2)

    def test_the_fallback_gets_what_is_for_the_target(self):
        (url, source), (to, fallback) = self.queue(), self.queue()
        name = self.create(files={"lambda_function.py": (
            "def lambda_handler(event, context):\n    raise ValueError('as told')\n")})
        self.pipe(source, f"arn:aws:lambda:us-east-1:000000000000:function:{name}",
                  breaker=f"1/60s open=300s fallback={fallback}")
        self.send(url, 1)
        self.opened()
        self.clock(advance="31s")
        (message,) = self.eventually(lambda: self.sqs.receive_message(
            QueueUrl=to, WaitTimeSeconds=5).get("Messages"))
        self.assertEqual(message["Body"], '"1"')

    def test_flow_control_by_key(self):
        (url, source), (to, target) = self.queue(), self.queue()
        name = self.pipe(source, target, key="body.customer", throttle="1/1m")
        for customer, n in (("a", 1), ("a", 2), ("b", 3)):
            self.send(url, {"customer": customer, "n": n})
        self.eventually(lambda: self.count(to) == 2)
        self.clock(advance="60s")
        self.eventually(lambda: self.count(to) == 3)
        arn = self.pipes.describe_pipe(Name=name)["Arn"]
        self.pipes.tag_resource(resourceArn=arn, tags={"mayfly:debounce": "5s"})
        self.running(name)
        for wrong in ({"mayfly:throttle": "often"}, {"mayfly:breaker": "often"},
                      {"mayfly:overlap": "skip"}):
            self.refused("ValidationException", self.pipes.tag_resource, resourceArn=arn,
                         tags=wrong)


if __name__ == "__main__":
    main()
