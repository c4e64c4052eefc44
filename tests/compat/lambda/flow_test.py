#!/usr/bin/env python3
"""Flow control of a function's asynchronous events by its tags, whoever sends them, on the moved
clock and over a kill -9."""
import json
import pathlib
import re
import sys
import tempfile
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
import harness  # noqa: E402
from harness import Compat, make_zip  # noqa: E402

SEES = {"lambda_function.py": (
    "import json\n"
    "def lambda_handler(event, context):\n"
    "    print('SEEN ' + json.dumps(event))\n"
    "    if event.get('fail'):\n"
    "        raise ValueError('as told')\n")}


def move(url, **change):
    request = urllib.request.Request(url + "/_mayfly/clock", data=json.dumps(change).encode())
    urllib.request.urlopen(request, timeout=30).close()


def log_of(logs, function, word):
    """What the function's log says after that word, in the order it was said."""
    try:
        events = logs.filter_log_events(logGroupName="/aws/lambda/" + function)["events"]
    except logs.exceptions.ResourceNotFoundException:
        return []
    found = [re.search(rf"{word} (.*)", event["message"]) for event in events]
    return [one[1].strip() for one in found if one]


class Flow(Compat):
    def setUp(self):
        move(self.server.url, freeze=True)
        self.addCleanup(move, self.server.url, freeze=False)
        self.logs = self.client("logs")

    def advance(self, text):
        move(self.server.url, advance=text)

    def function(self, **tags):
        name = self.create(files=SEES, Tags={f"mayfly:{key}": value for key, value in tags.items()})
        self.client().put_function_event_invoke_config(FunctionName=name, MaximumRetryAttempts=1)
        return name

    def allow(self, name, service):
        self.client().add_permission(FunctionName=name, StatementId=service,
                                     Principal=f"{service}.amazonaws.com",
                                     Action="lambda:InvokeFunction")

    def send(self, name, **event):
        self.client().invoke(FunctionName=name, InvocationType="Event", Payload=json.dumps(event))

    def seen(self, name):
        return [json.loads(text) for text in log_of(self.logs, name, "SEEN")]

    def numbers(self, name):
        return [event["n"] for event in self.seen(name)]

    def skipped(self, name):
        return log_of(self.logs, name, "SKIPPED RequestId:")

    def metric(self, name, function):
        with urllib.request.urlopen(self.server.url + "/_mayfly/metrics", timeout=30) as answer:
            text = answer.read().decode()
        return sum(float(value) for found, value in re.findall(
            rf"^mayfly_{name}{{(.*)}} (\S+)$", text, re.M) if f'function="{function}"' in found)

    def test_events_of_a_key_that_is_quiet(self):
        name = self.function(key="customer", debounce="5s")
        for n in (1, 2, 3):
            self.send(name, customer="a", n=n)
        self.send(name, customer="b", n=4)
        self.eventually(lambda: len(self.skipped(name)) == 2)
        self.assertIn("mayfly:debounce", self.skipped(name)[0])
        self.assertEqual(self.metric("async_events_skipped_total", name), 2)
        self.assertEqual(self.metric("async_events_dropped_total", name), 0)
        self.assertEqual(self.seen(name), [])
        self.advance("5s")
        self.eventually(lambda: sorted(self.numbers(name)) == [3, 4])

    def test_so_many_in_a_period_and_the_greatest_priority_first(self):
        name = self.function(key="customer", throttle="1/10s", priority="p")
        self.send(name, customer="a", n=0, p=0)
        self.eventually(lambda: self.numbers(name) == [0])
        for n, p in ((1, 1), (2, 2), (3, 3)):
            self.send(name, customer="a", n=n, p=p)
        for expected in ([0, 3], [0, 3, 2], [0, 3, 2, 1]):
            self.advance("10s")
            self.eventually(lambda: self.numbers(name) == expected)

    def test_one_at_a_time_its_retries_included(self):
        name = self.function(singleton="skip")
        self.send(name, n=1, fail=True)
        self.eventually(lambda: self.numbers(name) == [1])
        self.send(name, n=2)
        self.eventually(lambda: len(self.skipped(name)) == 1)
        self.advance("60s")
        self.eventually(lambda: self.numbers(name) == [1, 1])
        self.eventually(lambda: self.metric("async_events_dropped_total", name) == 1)
        self.send(name, n=3)
        self.eventually(lambda: self.numbers(name) == [1, 1, 3])

    def test_events_of_a_topic_and_of_a_rule(self):
        name = self.function(key="Records.0.Sns.Message.customer", debounce="5s")
        arn = f"arn:aws:lambda:us-east-1:000000000000:function:{name}"
        sns = self.client("sns")
        topic = sns.create_topic(Name=self.name("t"))["TopicArn"]
        self.addCleanup(sns.delete_topic, TopicArn=topic)
        self.allow(name, "sns")
        sns.subscribe(TopicArn=topic, Protocol="lambda", Endpoint=arn)
        for customer, n in (("a", 1), ("a", 2), ("b", 3)):
            sns.publish(TopicArn=topic, Message=json.dumps({"customer": customer, "n": n}))
            self.eventually(lambda: self.metric("async_events_received_total", name) >= n)
        self.eventually(lambda: len(self.skipped(name)) == 1)
        self.advance("5s")
        self.eventually(lambda: len(self.seen(name)) == 2)
        sent = [json.loads(event["Records"][0]["Sns"]["Message"])["n"] for event in self.seen(name)]
        self.assertEqual(sorted(sent), [2, 3])

        other, events = self.function(key="detail.customer", concurrency="1"), self.client("events")
        rule = self.name("rule")
        events.put_rule(Name=rule, EventPattern=json.dumps({"source": [rule]}))
        events.put_targets(Rule=rule, Targets=[{
            "Id": "1", "Arn": f"arn:aws:lambda:us-east-1:000000000000:function:{other}"}])
        self.addCleanup(events.delete_rule, Name=rule)
        self.addCleanup(events.remove_targets, Rule=rule, Ids=["1"])
        self.allow(other, "events")
        for n in (1, 2, 3):
            events.put_events(Entries=[{"Source": rule, "DetailType": "t",
                                        "Detail": json.dumps({"customer": "a", "n": n})}])
        self.eventually(lambda: len(self.seen(other)) == 3)

    def test_who_waits_for_its_turn_grows_too_old(self):
        name, sqs = self.function(throttle="1/1d"), self.client("sqs")
        url = sqs.create_queue(QueueName=self.name("q"))["QueueUrl"]
        self.addCleanup(sqs.delete_queue, QueueUrl=url)
        arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
        self.client().put_function_event_invoke_config(
            FunctionName=name, MaximumEventAgeInSeconds=60, DestinationConfig={
                "OnFailure": {"Destination": arn["Attributes"]["QueueArn"]}})
        self.send(name, n=1)
        self.eventually(lambda: self.numbers(name) == [1])
        self.send(name, n=2)
        self.advance("60s")
        (letter,) = sqs.receive_message(QueueUrl=url, WaitTimeSeconds=20)["Messages"]
        record = json.loads(letter["Body"])
        self.assertEqual(record["requestContext"]["condition"], "EventAgeExceeded")
        self.assertEqual(record["requestContext"]["approximateInvokeCount"], 0)
        self.assertEqual(self.numbers(name), [1])

    def test_tags_change_and_are_checked(self):
        client, name = self.client(), self.function(throttle="1/1d")
        arn = f"arn:aws:lambda:us-east-1:000000000000:function:{name}"
        for n in (1, 2):
            self.send(name, n=n)
        self.eventually(lambda: self.numbers(name) == [1])
        client.untag_resource(Resource=arn, TagKeys=["mayfly:throttle"])
        self.eventually(lambda: self.numbers(name) == [1, 2])
        wrong = "InvalidParameterValueException"
        for tags in ({"mayfly:throttle": "often"}, {"mayfly:nonsense": "1"},
                     {"mayfly:singleton": "skip", "mayfly:debounce": "1s"},
                     {"mayfly:breaker": "5/60s"}):
            message = self.refused(wrong, client.tag_resource, Resource=arn, Tags=tags)
            self.assertIn("mayfly:", message)
            self.refused(wrong, client.create_function, FunctionName=self.name(), Role=harness.ROLE,
                         Runtime="python3.11", Handler="lambda_function.lambda_handler",
                         Code={"ZipFile": make_zip(SEES)}, Tags=tags)
        self.assertEqual(client.list_tags(Resource=arn)["Tags"], {})

    def test_nothing_is_lost_by_a_kill_and_the_order_stays(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        server = harness.Server(data=folder.name)
        client = harness.boto_client(server.url)
        client.create_function(
            FunctionName="slow", Runtime="python3.11", Role=harness.ROLE,
            Handler="lambda_function.lambda_handler", Code={"ZipFile": make_zip(SEES)},
            Tags={"mayfly:throttle": "1/1m", "mayfly:key": "k"})
        # What ran is read from a queue of its records: log lines of the last 50 ms may go with a
        # kill, acknowledged events and their records may not.
        queue = harness.boto_client(server.url, "sqs").create_queue(QueueName="ran")["QueueUrl"]
        client.put_function_event_invoke_config(FunctionName="slow", DestinationConfig={
            "OnSuccess": {"Destination": "arn:aws:sqs:us-east-1:000000000000:ran"}})
        client.create_function(
            FunctionName="quiet", Runtime="python3.11", Role=harness.ROLE,
            Handler="lambda_function.lambda_handler", Code={"ZipFile": make_zip(SEES)},
            Tags={"mayfly:debounce": "60s", "mayfly:key": "k"})
        move(server.url, freeze=True)
        for n in range(5):
            client.invoke(FunctionName="slow", InvocationType="Event",
                          Payload=json.dumps({"k": "a", "n": n}))
            client.invoke(FunctionName="quiet", InvocationType="Event",
                          Payload=json.dumps({"k": "a", "n": n}))
            move(server.url, advance="1s")
        server.kill()
        server.stop()
        server = harness.Server(data=folder.name)
        self.addCleanup(server.stop)
        logs, sqs = (harness.boto_client(server.url, service) for service in ("logs", "sqs"))
        queue, records = server.url + queue[queue.index("/000000000000/"):], []

        def ran():
            for message in sqs.receive_message(
                    QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", ()):
                sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
                records.append(json.loads(message["Body"])["requestPayload"]["n"])
            return records
        # The first may have run before the kill, or twice; what the throttle had counted is
        # forgotten. Then one more each minute, and none overtakes.
        for n in range(5):
            if n > 0:
                move(server.url, advance="60s")
            self.eventually(lambda: n in ran())
            self.assertIn(set(ran()), (set(range(n + 1)), set(range(n + 2))))
        move(server.url, advance="60s")
        self.eventually(lambda: log_of(logs, "quiet", "SEEN"))
        self.assertEqual([json.loads(text)["n"] for text in log_of(logs, "quiet", "SEEN")], [4])


if __name__ == "__main__":
    harness.main()
