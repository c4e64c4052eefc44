#!/usr/bin/env python3
"""Circuit breakers of schedules with the real client: a tag of their group."""
import datetime
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from harness import main
from schedules import Scheduling, text

QUEUE = "arn:aws:sqs:us-east-1:000000000000:"


class Breakers(Scheduling):
    def setUp(self):
        super().setUp()
        self.frozen()

    def group(self, breaker):
        name = self.name("g")
        self.scheduler.create_schedule_group(Name=name, Tags=[
            {"Key": "mayfly:breaker", "Value": breaker}])
        self.addCleanup(self.scheduler.delete_schedule_group, Name=name)
        return name

    def soon(self, group, arn, text_of, second):
        time = self.now() + datetime.timedelta(seconds=second)
        return self.schedule(f"at({text(time)})", {
            "Arn": arn, "Input": text_of, "RetryPolicy": {"MaximumRetryAttempts": 0}},
            GroupName=group)

    def history(self, group, name):
        return [run["outcome"] for run in self.runs(name, group)]

    def test_a_queue_that_is_not_there_is_left_alone_and_then_tried_out(self):
        group, missing = self.group("1/60s open=300s"), self.name("q")
        first = self.soon(group, QUEUE + missing, "1", 10)
        second = self.soon(group, QUEUE + missing, "2", 20)
        self.advance(11)
        self.eventually(lambda: self.history(group, first) == ["failed"])
        # The second has one attempt, and is not tried while the breaker is open.
        self.advance(10)
        self.advance(90)
        self.assertEqual(self.history(group, second), [])
        url = self.sqs.create_queue(QueueName=missing)["QueueUrl"]
        self.addCleanup(self.sqs.delete_queue, QueueUrl=url)
        self.advance(200)
        self.eventually(lambda: self.history(group, second) == ["delivered"])
        (message,) = self.messages(url, 1)
        self.assertEqual(message["Body"], "2")

    def test_the_fallback_gets_the_runs(self):
        url, arn = self.queue()
        group, missing = self.group(f"1/60s open=300s fallback={arn}"), self.name("q")
        self.soon(group, QUEUE + missing, "1", 10)
        second = self.soon(group, QUEUE + missing, "2", 20)
        self.advance(11)
        self.advance(10)
        self.eventually(lambda: self.history(group, second) == ["delivered"])
        (message,) = self.messages(url, 1)
        self.assertEqual(message["Body"], "2")

    def test_tags_that_are_none(self):
        for tags in ({"mayfly:breaker": "often"}, {"mayfly:throttle": "1/1s"},
                     {"mayfly:breaker": "1/1s fallback=arn:aws:kinesis:r:1:s"}):
            self.refused("ValidationException", self.scheduler.create_schedule_group,
                         Name=self.name("g"),
                         Tags=[{"Key": key, "Value": value} for key, value in tags.items()])


if __name__ == "__main__":
    main()
