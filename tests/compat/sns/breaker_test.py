#!/usr/bin/env python3
"""Circuit breakers of a topic's http endpoints with the real client."""
import json
import pathlib
import re
import sys
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from harness import main
from topics import Base, Endpoint, visit

POLICY = json.dumps({"healthyRetryPolicy": {"numRetries": 1, "minDelayTarget": 5,
                                            "maxDelayTarget": 5}})


class Breakers(Base):
    def setUp(self):
        super().setUp()
        self.clock(freeze=True)
        self.addCleanup(self.clock, freeze=False)

    def clock(self, **change):
        urllib.request.urlopen(self.server.url + "/_mayfly/clock", json.dumps(change).encode(),
                               timeout=10).close()

    def open_breakers(self):
        with urllib.request.urlopen(self.server.url + "/_mayfly/metrics", timeout=30) as answer:
            text = answer.read().decode()
        return float(re.search(r"^mayfly_target_circuit_breakers_open (\S+)$", text, re.M)[1])

    def hooked(self, breaker):
        """A topic with an endpoint that has confirmed, and the endpoint."""
        topic = self.topic(tags=[{"Key": "mayfly:breaker", "Value": breaker}])
        endpoint = Endpoint()
        self.addCleanup(endpoint.stop)
        self.subscribe(topic, "http", endpoint.url, DeliveryPolicy=POLICY)
        visit(json.loads(endpoint.wait(1)[1])["SubscribeURL"])
        endpoint.got.clear()
        return topic, endpoint

    def messages(self, endpoint):
        return [json.loads(body)["Message"] for _, body in endpoint.got]

    def test_an_endpoint_that_fails_is_left_alone_and_then_tried_out(self):
        topic, endpoint = self.hooked("2/60s open=30s")
        endpoint.statuses = [503, 503]
        for message in ("1", "2"):
            self.sns.publish(TopicArn=topic, Message=message)
        self.eventually(lambda: self.open_breakers() == 1)
        self.sns.publish(TopicArn=topic, Message="3")
        self.clock(advance="29s")
        self.assertEqual(sorted(self.messages(endpoint)), ["1", "2"])
        self.clock(advance="1s")
        self.eventually(lambda: sorted(self.messages(endpoint)[2:]) == ["1", "2", "3"])
        self.eventually(lambda: self.open_breakers() == 0)

    def test_the_fallback_gets_the_messages(self):
        url, queue = self.queue()
        topic, endpoint = self.hooked(f"1/60s fallback={queue}")
        endpoint.statuses = [503]
        self.sns.publish(TopicArn=topic, Message="1")
        self.eventually(lambda: self.open_breakers() == 1)
        self.sns.publish(TopicArn=topic, Message="2")
        (message,) = self.take(url)
        self.assertEqual(json.loads(message["Body"])["Message"], "2")
        self.clock(advance="5s")  # the retry of the first one
        (message,) = self.take(url)
        self.assertEqual(json.loads(message["Body"])["Message"], "1")
        self.assertEqual(self.messages(endpoint), ["1"])
        self.clock(advance="30s")

    def test_tags_that_are_none(self):
        topic = self.topic()
        for value in ("often", "1/1s fallback=arn:aws:kinesis:r:1:s"):
            self.refused("InvalidParameter", self.sns.tag_resource, ResourceArn=topic,
                         Tags=[{"Key": "mayfly:breaker", "Value": value}])
            self.refused("InvalidParameter", self.sns.create_topic, Name=self.name("t"),
                         Tags=[{"Key": "mayfly:breaker", "Value": value}])


if __name__ == "__main__":
    main()
