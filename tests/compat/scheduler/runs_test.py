#!/usr/bin/env python3
"""Schedules run functions, queues and operations, on a clock that is moved: nothing waits."""
import datetime
import json
import pathlib
import sys
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from harness import main
from schedules import Scheduling, text

MINUTE = datetime.timedelta(minutes=1)
UTC = datetime.timezone.utc


class Runs(Scheduling):
    def setUp(self):
        super().setUp()
        self.frozen()

    def at(self, **later):
        return f"at({text(self.now() + datetime.timedelta(**later))})"

    def test_one_time_to_a_queue_with_context(self):
        url, arn = self.queue()
        time = self.now().replace(microsecond=0) + datetime.timedelta(hours=1)
        name = self.schedule(f"at({text(time)})", {"Arn": arn, "Input": json.dumps({
            "arn": "<aws.scheduler.schedule-arn>", "time": "<aws.scheduler.scheduled-time>",
            "id": "<aws.scheduler.execution-id>", "try": "<aws.scheduler.attempt-number>"})})
        self.advance(3590)
        self.assertEqual(self.drain(url), [])
        self.advance(10)
        (got,) = self.messages(url, 1)
        body = json.loads(got["Body"])
        self.assertEqual(body["arn"], self.arn(name))
        self.assertEqual(body["time"], text(time) + "Z")
        self.assertEqual(body["try"], "1")
        self.assertEqual(got["Attributes"]["SenderId"],
                         "arn:aws:sts::000000000000:assumed-role/scheduler/scheduler")
        self.advance(86400)
        self.assertEqual(self.drain(url), [])
        self.assertEqual(self.scheduler.get_schedule(Name=name)["State"], "ENABLED")

    def test_a_rate_runs_a_function_at_once_and_then_each_time(self):
        url, _ = self.queue()
        function = self.create(files={"lambda_function.py": (
            "import json\ndef lambda_handler(event, context):\n"
            "    print('GOT ' + json.dumps(event))\n")})
        arn = f"arn:aws:lambda:us-east-1:000000000000:function:{function}"
        name = self.schedule("rate(2 hours)", {"Arn": arn})
        self.eventually(lambda: len(self.runs(name)) == 1)
        self.advance(7199)
        self.assertEqual(len(self.runs(name)), 1)
        self.advance(1)
        self.eventually(lambda: len(self.runs(name)) == 2)
        logs = self.client("logs")

        def events():
            found = logs.filter_log_events(logGroupName="/aws/lambda/" + function,
                                           filterPattern="GOT")["events"]
            return [json.loads(one["message"].split("GOT ", 1)[1]) for one in found]
        self.eventually(lambda: len(events()) == 2)
        event = events()[0]
        self.assertEqual((event["source"], event["detail-type"], event["detail"]),
                         ("aws.scheduler", "Scheduled Event", "{}"))
        self.assertEqual(event["resources"], [self.arn(name)])

    def test_an_hour_that_goes_by_at_once_has_all_its_runs(self):
        url, arn = self.queue()
        self.schedule("rate(1 minutes)", {"Arn": arn, "Input": "<aws.scheduler.scheduled-time>"})
        self.messages(url, 1)
        self.advance(3600)
        times = [one["Body"] for one in self.messages(url, 60)]
        self.assertEqual(len(set(times)), 60)

    def test_start_and_end_and_deletion_after_completion(self):
        url, arn = self.queue()
        begin = self.now().replace(microsecond=0)
        name = self.schedule("rate(1 minutes)", arn, StartDate=begin + 10 * MINUTE,
                             EndDate=begin + 12 * MINUTE, ActionAfterCompletion="DELETE")
        self.advance(599)
        self.assertEqual(self.drain(url), [])
        self.advance(3600)
        self.messages(url, 3)
        self.eventually(lambda: self.gone(name))

    def test_a_disabled_schedule_does_not_run(self):
        url, arn = self.queue()
        name = self.schedule("rate(1 minutes)", arn, State="DISABLED")
        self.advance(600)
        self.assertEqual(self.drain(url), [])
        self.assertEqual(self.runs(name), [])

    def test_flexible_windows(self):
        url, arn = self.queue()
        names = [self.schedule(self.at(hours=1), arn, FlexibleTimeWindow={
            "Mode": "FLEXIBLE", "MaximumWindowInMinutes": 60}) for _ in range(12)]
        self.advance(3600 - 1)
        self.assertEqual(self.drain(url), [])
        self.advance(1800 + 1)
        self.eventually(lambda: any(self.runs(name) for name in names))
        early = sum(len(self.runs(name)) for name in names)
        self.assertLess(early, 12)  # all in the first half: once in four thousand times
        self.advance(1800)
        self.messages(url, 12)

    def test_days_on_which_clocks_change(self):
        # Clocks of New York: 02:00 to 03:00 is skipped on the second Sunday of March, 01:00 to
        # 02:00 comes twice on the first Sunday of November.
        year = self.now().year + 1
        _, arn = self.queue()
        march = datetime.datetime(year, 3, 8, tzinfo=UTC)
        spring = march + datetime.timedelta(days=(6 - march.weekday()) % 7)
        self.advance_to(spring - datetime.timedelta(hours=36))
        local = self.schedule("cron(30 2 * * ? *)", arn,
                              ScheduleExpressionTimezone="America/New_York")
        daily = self.schedule("rate(1 days)", arn)
        self.live(4 * 86400, local, daily)
        self.eventually(lambda: len(self.runs(local)) >= 3)
        day = datetime.timedelta(days=1)
        self.assertEqual(self.times(local)[:3], [
            text(spring - day + datetime.timedelta(hours=7, minutes=30)),
            text(spring + day + datetime.timedelta(hours=6, minutes=30)),
            text(spring + 2 * day + datetime.timedelta(hours=6, minutes=30))])
        rates = [run["scheduled"] for run in reversed(self.runs(daily))]
        self.assertTrue(all(b - a == 86400 for a, b in zip(rates, rates[1:])), rates)
        self.forget(local, "default")
        self.forget(daily, "default")
        november = datetime.datetime(year, 11, 1, tzinfo=UTC)
        autumn = november + datetime.timedelta(days=(6 - november.weekday()) % 7)
        self.advance((autumn - self.now()).total_seconds())
        often = self.schedule("cron(0/30 * * * ? *)", arn,
                              ScheduleExpressionTimezone="America/New_York")
        self.advance(8 * 3600 + 60)
        self.eventually(lambda: len(self.runs(often)) >= 14)
        # 05:00 and 05:30 UTC are 01:00 and 01:30; 06:00 and 06:30 are the same again: no runs.
        hours = [time[11:16] for time in self.times(often)]
        self.assertIn("05:30", hours)
        self.assertNotIn("06:00", hours)
        self.assertNotIn("06:30", hours)
        self.assertIn("07:00", hours)

    def test_retries_and_the_dead_letter_queue(self):
        url, dead = self.queue()
        missing = "arn:aws:lambda:us-east-1:000000000000:function:" + self.name("none")
        name = self.schedule(self.at(minutes=1), {
            "Arn": missing, "Input": '{"a": 1}', "DeadLetterConfig": {"Arn": dead},
            "RetryPolicy": {"MaximumRetryAttempts": 2}})
        self.advance(61)
        self.assertEqual(self.drain(url), [])
        (letter,) = self.messages(url, 1, step=10)
        self.assertEqual(json.loads(letter["Body"]), {"a": 1})
        got = {key: one["StringValue"] for key, one in letter["MessageAttributes"].items()}
        self.assertEqual(got["ERROR_CODE"], "ResourceNotFoundException")
        self.assertEqual(got["EXHAUSTED_RETRY_CONDITION"], "MaximumRetryAttempts")
        self.assertEqual(got["RETRY_ATTEMPTS"], "2")
        self.assertEqual(got["SCHEDULE_ARN"], self.arn(name))
        self.assertEqual(got["TARGET_ARN"], missing)
        self.assertEqual(got["IS_PAYLOAD_TRUNCATED"], "false")
        self.assertIn("EXECUTION_ID", got)
        self.assertIn("SCHEDULED_TIME", got)
        self.eventually(lambda: [run["outcome"] for run in self.runs(name)] == ["failed"])

    def test_a_target_that_comes_later_gets_its_run(self):
        name = self.name("q")
        self.schedule(self.at(minutes=1), "arn:aws:sqs:us-east-1:000000000000:" + name)
        self.advance(60)
        url = self.sqs.create_queue(QueueName=name)["QueueUrl"]
        self.addCleanup(self.sqs.delete_queue, QueueUrl=url)
        self.messages(url, 1, step=10)

    def test_universal_targets(self):
        url, _ = self.queue()
        self.schedule(self.at(minutes=1), {
            "Arn": "arn:aws:scheduler:::aws-sdk:sqs:sendMessage", "Input": json.dumps({
                "QueueUrl": url, "MessageBody": "at <aws.scheduler.scheduled-time>",
                "MessageAttributes": {"n": {"DataType": "Number", "StringValue": "5"}}})})
        function = self.create()
        self.schedule(self.at(minutes=1), {
            "Arn": "arn:aws:scheduler:::aws-sdk:lambda:invoke", "Input": json.dumps({
                "FunctionName": function, "InvocationType": "Event", "Payload": '{"by": "me"}'})})
        self.advance(60)
        (got,) = self.messages(url, 1)
        self.assertTrue(got["Body"].startswith("at 20"))
        self.assertEqual(got["MessageAttributes"]["n"]["StringValue"], "5")
        logs = self.client("logs")
        self.eventually(lambda: self.seen(logs, function))
        self.refused("ValidationException", self.schedule, "rate(1 days)",
                     {"Arn": "arn:aws:scheduler:::aws-sdk:sqs:receiveMessage", "Input": "{}"})
        self.refused("ValidationException", self.schedule, "rate(1 days)",
                     {"Arn": "arn:aws:scheduler:::aws-sdk:sqs:sendNothing", "Input": "{}"})
        self.refused("NotImplementedException", self.schedule, "rate(1 days)",
                     {"Arn": "arn:aws:scheduler:::aws-sdk:ec2:stopInstances", "Input": "{}"})

    def seen(self, logs, function):
        try:
            return logs.filter_log_events(logGroupName="/aws/lambda/" + function,
                                          filterPattern='"by"')["events"]
        except logs.exceptions.ResourceNotFoundException:
            return []

    def test_wrong_parameters_go_to_the_dead_letter_queue_at_once(self):
        url, dead = self.queue()
        self.schedule(self.at(minutes=1), {
            "Arn": "arn:aws:scheduler:::aws-sdk:sqs:sendMessage", "Input": '{"Body": "x"}',
            "DeadLetterConfig": {"Arn": dead}})
        self.advance(60)
        (letter,) = self.messages(url, 1)
        got = {key: one["StringValue"] for key, one in letter["MessageAttributes"].items()}
        self.assertEqual(got["ERROR_CODE"], "ValidationException")
        self.assertIn("'Body'", got["ERROR_MESSAGE"])
        self.assertNotIn("EXHAUSTED_RETRY_CONDITION", got)

    def test_queues_with_order_get_their_group(self):
        url, arn = self.queue(".fifo", ContentBasedDeduplication="true")
        self.schedule(self.at(minutes=1), {"Arn": arn, "Input": "x",
                                           "SqsParameters": {"MessageGroupId": "g"}})
        self.advance(60)
        (got,) = self.messages(url, 1)
        self.assertEqual(got["Attributes"]["MessageGroupId"], "g")

    def test_no_run_beside_another(self):
        group = self.name("g")
        self.scheduler.create_schedule_group(Name=group, Tags=[
            {"Key": "mayfly:overlap", "Value": "skip"}])
        self.addCleanup(self.scheduler.delete_schedule_group, Name=group)
        function = self.create(files={"lambda_function.py": (
            "import time\ndef lambda_handler(event, context):\n    time.sleep(2)\n")}, Timeout=30)
        arn = f"arn:aws:lambda:us-east-1:000000000000:function:{function}"
        name = self.schedule("rate(1 minutes)", arn, GroupName=group)
        self.eventually(lambda: self.busy(function))
        self.advance(60)
        self.eventually(lambda: len(self.runs(name, group)) == 2)
        outcomes = [run["outcome"] for run in self.runs(name, group)]
        self.assertEqual(outcomes, ["overlapped", "delivered"])

    def busy(self, function):
        with urllib.request.urlopen(self.server.url + "/_mayfly/health", timeout=30) as answer:
            return json.loads(answer.read())["busy"]

    def test_seconds_beyond_the_cloud(self):
        url, arn = self.queue()
        self.schedule("rate(10 seconds)", arn, EndDate=self.now() + MINUTE)
        self.schedule("cron(5/20 * * * * ? *)", arn, EndDate=self.now() + MINUTE)
        self.messages(url, 1)
        self.advance(70)
        self.messages(url, 6 + 3)


if __name__ == "__main__":
    main()
