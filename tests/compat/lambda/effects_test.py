#!/usr/bin/env python3
"""Effects exactly once: what a function sends, publishes and puts happens when it has ended well,
once, and not at all when it has failed."""
import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
sys.path.insert(0, str(pathlib.Path(__file__).parent))
import harness  # noqa: E402
from async_test import OnAClock  # noqa: E402

ACCOUNT = "000000000000"
ALLOW = json.dumps({"Statement": [{"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": "*",
                                   "Principal": {"Service": ["sns.amazonaws.com",
                                                             "events.amazonaws.com"]}}]})
# Asks each service for something, and fails afterwards as long as the event says so.
SENDS = {"lambda_function.py": """
import json, os, time, urllib.parse, urllib.request

def call(service, body, **headers):
    day = time.strftime("%Y%m%d", time.gmtime())
    headers.update({
        "X-Amz-Date": time.strftime("%Y%m%dT%H%M%SZ", time.gmtime()),
        "Authorization": "AWS4-HMAC-SHA256 Credential=test/" + day + "/us-east-1/" + service
            + "/aws4_request, SignedHeaders=host;x-amz-date, Signature=" + "0" * 64})
    request = urllib.request.Request(os.environ["AWS_ENDPOINT_URL"], body.encode(), headers)
    with urllib.request.urlopen(request, timeout=20) as answer:
        return answer.read().decode()

def target(name):
    kind = "1.0" if "SQS" in name else "1.1"
    return {"Content-Type": "application/x-amz-json-" + kind, "X-Amz-Target": name}

def send(text):
    call("sqs", json.dumps({"QueueUrl": os.environ["QUEUE"], "MessageBody": text}),
         **target("AmazonSQS.SendMessage"))
    answer = call("sns", urllib.parse.urlencode({
        "Action": "Publish", "Version": "2010-03-31", "TopicArn": os.environ["TOPIC"],
        "Message": text}), **{"Content-Type": "application/x-www-form-urlencoded"})
    message = answer.split("<MessageId>")[1].split("<")[0]
    answer = json.loads(call("events", json.dumps({"Entries": [{
        "Source": os.environ["SOURCE"], "DetailType": "t", "Detail": json.dumps({"text": text})}]}),
        **target("AWSEvents.PutEvents")))
    return message, answer["Entries"][0]["EventId"]

def lambda_handler(event, context):
    records = event.get("Records")
    text = records[0]["body"] if records else event["text"]
    attempt = int(records[0]["attributes"]["ApproximateReceiveCount"]) if records else 0
    ids = send(text)
    print("SENT", json.dumps([text, *ids]))
    if "fail" in text or (text == "again" and attempt < 3):
        raise ValueError("after it has sent")
    return ids
"""}


class ExactlyOnce(OnAClock):
    def setUp(self):
        super().setUp()
        self.sqs, self.sns, self.events = (self.client(s) for s in ("sqs", "sns", "events"))
        self.queues = {name: self.queue() for name in ("queue", "topic", "bus", "work")}
        topic = self.sns.create_topic(Name=self.name("t"))["TopicArn"]
        self.addCleanup(self.sns.delete_topic, TopicArn=topic)
        self.sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=self.queues["topic"][1])
        source = self.name("app")
        self.rule({"source": [source]}, self.queues["bus"][1])
        self.made = self.create(files=SENDS, Timeout=30, Environment={"Variables": {
            "MAYFLY_EXACTLY_ONCE": "on", "QUEUE": self.queues["queue"][0], "TOPIC": topic,
            "SOURCE": source}})

    def queue(self):
        name = self.name("q")
        url = self.sqs.create_queue(QueueName=name, Attributes={
            "Policy": ALLOW, "VisibilityTimeout": "30"})["QueueUrl"]
        self.addCleanup(self.sqs.delete_queue, QueueUrl=url)
        return url, f"arn:aws:sqs:us-east-1:{ACCOUNT}:{name}"

    def rule(self, pattern, queue):
        name = self.name("r")
        self.events.put_rule(Name=name, EventPattern=json.dumps(pattern))
        self.addCleanup(self.events.delete_rule, Name=name)
        self.events.put_targets(Rule=name, Targets=[{"Id": "1", "Arn": queue}])
        self.addCleanup(self.events.remove_targets, Rule=name, Ids=["1"])

    def came(self, name, wait=20):
        got = self.sqs.receive_message(QueueUrl=self.queues[name][0], WaitTimeSeconds=wait,
                                       MaxNumberOfMessages=10).get("Messages", [])
        for one in got:
            self.sqs.delete_message(QueueUrl=self.queues[name][0],
                                    ReceiptHandle=one["ReceiptHandle"])
        return [one["Body"] for one in got]

    def nothing_came(self):
        for name in ("queue", "topic", "bus"):
            self.assertEqual(self.came(name, wait=0), [], name)

    def one_of_each(self, text):
        """All three have it once; answers the ids of message and event."""
        self.assertEqual(self.came("queue"), [text])
        (envelope,) = map(json.loads, self.came("topic"))
        self.assertEqual(envelope["Message"], text)
        (event,) = map(json.loads, self.came("bus"))
        self.assertEqual(event["detail"], {"text": text})
        self.nothing_came()
        return envelope["MessageId"], event["id"]

    def sent(self):
        """What the function was answered, in the order of its attempts."""
        return [json.loads(one["message"].split("SENT ", 1)[1]) for one in self.client(
            "logs").filter_log_events(logGroupName="/aws/lambda/" + self.made,
                                      filterPattern="SENT")["events"]]

    def test_messages_of_a_mapping(self):
        made = self.client().create_event_source_mapping(
            FunctionName=self.made, EventSourceArn=self.queues["work"][1], BatchSize=1)
        self.addCleanup(self.client().delete_event_source_mapping, UUID=made["UUID"])
        self.sqs.send_message(QueueUrl=self.queues["work"][0], MessageBody="good")
        ids = self.one_of_each("good")
        self.assertEqual(self.sent(), [["good", *ids]])
        self.sqs.send_message(QueueUrl=self.queues["work"][0], MessageBody="again")
        for attempts in (2, 3):
            self.eventually(lambda attempts=attempts: len(self.sent()) == attempts)
            self.eventually(self.at_rest)
            self.nothing_came()
            self.clock(advance="30s")
        ids = self.one_of_each("again")
        self.assertEqual(self.sent()[-1], ["again", *ids])
        self.assertEqual(len(self.sent()), 4)

    def at_rest(self):
        return self.metric("invocations_running", self.made) == 0

    def test_asynchronous_events(self):
        self.send(self.made, {"text": "good"})
        self.one_of_each("good")
        self.client().put_function_event_invoke_config(FunctionName=self.made,
                                                       MaximumRetryAttempts=1)
        self.send(self.made, {"text": "to fail"})
        self.eventually(lambda: self.ended(self.made) == 2)
        self.clock(advance="1m")
        self.eventually(lambda: self.ended(self.made) == 3)
        self.assertEqual(len(self.sent()), 3)
        self.nothing_came()

    def test_whoever_waits_for_an_answer_gets_it_done_at_once(self):
        self.assertIn("FunctionError", self.invoke(self.made, {"text": "to fail"})[1])
        self.one_of_each("to fail")


if __name__ == "__main__":
    harness.main()
