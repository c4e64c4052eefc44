#!/usr/bin/env python3
"""Circuit breakers of rules with the real client: an HTTP endpoint that fails is left alone, what
is for it waits or goes to the fallback."""
import json
import pathlib
import re
import sys
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from harness import main
from world import Endpoint, Events, arn


class Breakers(Events):
    def setUp(self):
        super().setUp()
        self.clock(freeze=True)
        self.addCleanup(self.clock, freeze=False)
        self.endpoint = Endpoint()
        self.addCleanup(self.endpoint.close)

    def open_breakers(self):
        with urllib.request.urlopen(self.server.url + "/_mayfly/metrics", timeout=30) as answer:
            text = answer.read().decode()
        return float(re.search(r"^mayfly_target_circuit_breakers_open (\S+)$", text, re.M)[1])

    def guarded(self, breaker, **target):
        """A rule whose target is the endpoint, with that breaker."""
        _, connection = self.connection(AuthorizationType="BASIC", AuthParameters={
            "BasicAuthParameters": {"Username": "u", "Password": "p"}})
        _, destination = self.destination(connection, self.endpoint.url + "/hook")
        name = self.rule({"source": [self.source]}, dict(target, Arn=destination))
        self.events.tag_resource(ResourceARN=arn("rule", name), Tags=[
            {"Key": "mayfly:breaker", "Value": breaker}])
        return name

    def numbers(self):
        return [json.loads(call["body"])["detail"]["n"] for call in self.endpoint.calls]

    def test_an_endpoint_that_fails_is_left_alone_and_then_tried_out(self):
        self.guarded("2/60s open=30s", RetryPolicy={"MaximumRetryAttempts": 1})
        self.endpoint.statuses = [503, 503, 503]
        self.put({"n": 1})
        self.put({"n": 2})
        self.eventually(lambda: self.open_breakers() == 1)
        self.assertEqual(sorted(self.numbers()), [1, 2])
        self.put({"n": 3})
        self.advance("29s")
        self.assertEqual(len(self.endpoint.calls), 2)
        self.advance("1s")
        self.eventually(lambda: len(self.endpoint.calls) == 3)
        self.eventually(lambda: self.open_breakers() == 1)
        self.advance("30s")
        # None was given up for the tries that it did not have.
        self.eventually(lambda: sorted(self.numbers()[3:]) == [1, 2, 3])
        self.eventually(lambda: self.open_breakers() == 0)

    def test_the_fallback_gets_what_is_for_the_endpoint(self):
        url, queue = self.queue()
        self.guarded(f"1/60s open=30s fallback={queue}")
        self.endpoint.statuses = [503]
        self.put({"n": 1})
        self.eventually(lambda: self.open_breakers() == 1)
        self.put({"n": 2})
        (message,) = self.received(url)
        self.assertEqual(json.loads(message["Body"])["detail"], {"n": 2})
        self.advance("30s")
        self.put({"n": 3})
        self.eventually(lambda: 3 in self.numbers())
        self.eventually(lambda: self.open_breakers() == 0)

    def test_what_waits_grows_too_old(self):
        url, dead = self.queue()
        self.guarded("1/60s open=24h", RetryPolicy={"MaximumEventAgeInSeconds": 60},
                     DeadLetterConfig={"Arn": dead})
        self.endpoint.statuses = [503]
        self.put({"n": 1})
        self.eventually(lambda: self.open_breakers() == 1)
        self.put({"n": 2})
        self.advance("60s")
        for message in self.received(url, 2):
            attributes = message["MessageAttributes"]
            self.assertEqual(attributes["EXHAUSTED_RETRY_CONDITION"]["StringValue"],
                             "MaximumEventAgeInSeconds")
            self.assertEqual(attributes["ERROR_CODE"]["StringValue"], "CircuitOpen")
        self.assertEqual(len(self.endpoint.calls), 1)

    def test_tags_that_are_none(self):
        name = self.rule({"source": [self.source]})
        for where, value in ((arn("rule", name), "often"),
                             (arn("rule", name), "1/1s fallback=arn:aws:kinesis:r:1:s"),
                             (arn("event-bus", "default"), "1/1s")):
            self.refused("ValidationException", self.events.tag_resource, ResourceARN=where,
                         Tags=[{"Key": "mayfly:breaker", "Value": value}])


if __name__ == "__main__":
    main()
