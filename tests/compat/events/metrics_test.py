#!/usr/bin/env python3
"""Metrics of queues, topics, buses and schedules, as real clients make them move."""
import json
import pathlib
import re
import sys
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
import harness  # noqa: E402
import world  # noqa: E402
from world import ACCOUNT  # noqa: E402

ALLOW = json.dumps({"Statement": [{"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": "*",
                                   "Principal": "*"}]})


class Metrics(world.Events):
    def series(self, family, **labels):
        """{step: value} of the series with these labels."""
        with urllib.request.urlopen(self.server.url + "/_mayfly/metrics", timeout=30) as answer:
            text = answer.read().decode()
        found = {}
        for line, value in re.findall(rf"^{family}{{(.*)}} (\S+)$", text, re.M):
            have = dict(re.findall(r'(\w+)="([^"]*)"', line))
            if all(have.get(name) == wanted for name, wanted in labels.items()):
                found[have.get("step", have.get("le"))] = float(value)
        return found

    def eventually_is(self, family, wanted, **labels):
        try:
            self.eventually(lambda: self.series(family, **labels) == wanted)
        except AssertionError:
            self.assertEqual(self.series(family, **labels), wanted)

    def a_queue(self):
        name = self.name("q")
        url = self.sqs.create_queue(QueueName=name, Attributes={"Policy": ALLOW})["QueueUrl"]
        self.addCleanup(self.sqs.delete_queue, QueueUrl=url)
        return name, url, f"arn:aws:sqs:us-east-1:{ACCOUNT}:{name}"

    def test_queues(self):
        name, url, _ = self.a_queue()
        self.sqs.receive_message(QueueUrl=url)
        self.sqs.send_message_batch(QueueUrl=url, Entries=[
            {"Id": str(i), "MessageBody": "x"} for i in range(3)])
        (one,) = self.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=1)["Messages"]
        self.sqs.delete_message(QueueUrl=url, ReceiptHandle=one["ReceiptHandle"])
        self.assertEqual(self.series("mayfly_queue_messages_total", queue=name), {
            "sent": 3, "received": 1, "deleted": 1, "empty_receive": 1})

    def test_topics(self):
        sns = self.client("sns")
        name = self.name("t")
        topic = sns.create_topic(Name=name)["TopicArn"]
        self.addCleanup(sns.delete_topic, TopicArn=topic)
        _, _, dead = self.a_queue()
        sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=self.a_queue()[2], Attributes={
            "FilterPolicy": '{"a": ["b"]}'})
        sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=self.a_queue()[2])
        sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=dead + "-none", Attributes={
            "RedrivePolicy": json.dumps({"deadLetterTargetArn": dead})})
        sns.publish(TopicArn=topic, Message="x")
        self.assertEqual(self.series("mayfly_topic_messages_total", topic=name, protocol=""),
                         {"published": 1})
        self.eventually_is("mayfly_topic_messages_total", {
            "filtered": 1, "delivered": 1, "dead_lettered": 1}, topic=name, protocol="sqs")

    def test_buses_and_rules(self):
        bus = self.bus()
        _, _, dead = self.a_queue()
        good = self.rule({"source": [self.source]}, {"Arn": self.a_queue()[2]}, bus=bus)
        bad = self.rule({"source": [self.source]}, {
            "Arn": dead + "-none", "DeadLetterConfig": {"Arn": dead}}, bus=bus)
        self.put({"n": 1}, bus=bus)
        self.events.put_events(Entries=[{"Source": "nobody", "DetailType": "t", "Detail": "{}",
                                         "EventBusName": bus}])
        family = "mayfly_bus_events_total"
        self.assertEqual(self.series(family, bus=bus, rule=""), {"published": 2, "matched": 1})
        self.eventually_is(family, {"triggered": 1, "invoked": 1}, bus=bus, rule=good)
        self.eventually_is(family, {"triggered": 1, "invoked": 1, "failed": 1,
                                    "dead_lettered": 1}, bus=bus, rule=bad)
        started = self.series("mayfly_bus_ingestion_to_invocation_seconds_bucket", bus=bus)
        self.assertEqual(started["+Inf"], 2)

    def test_schedules(self):
        scheduler = self.client("scheduler")
        group = self.name("g")
        scheduler.create_schedule_group(Name=group)
        self.addCleanup(scheduler.delete_schedule_group, Name=group)
        _, _, dead = self.a_queue()
        target = {"RoleArn": f"arn:aws:iam::{ACCOUNT}:role/r", "Input": "x",
                  "RetryPolicy": {"MaximumRetryAttempts": 0}, "DeadLetterConfig": {"Arn": dead}}
        for name, arn in (("good", self.a_queue()[2]), ("bad", dead + "-none")):
            scheduler.create_schedule(
                Name=name, GroupName=group, ScheduleExpression="rate(1 days)",
                FlexibleTimeWindow={"Mode": "OFF"}, Target=dict(target, Arn=arn))
        self.eventually_is("mayfly_schedule_invocations_total", {
            "attempted": 2, "target_error": 1, "dropped": 1, "dead_lettered": 1}, group=group)

    def test_what_waits(self):
        with urllib.request.urlopen(self.server.url + "/_mayfly/metrics", timeout=30) as answer:
            text = answer.read().decode()
        for name in ("mayfly_effects_waiting", "mayfly_bus_deliveries_waiting"):
            self.assertIn(f"# TYPE {name} gauge", text)


if __name__ == "__main__":
    harness.main()
