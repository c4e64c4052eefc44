#!/usr/bin/env python3
"""Recursive loops by way of queues and topics: the function sends on with the SDK for Python as it
is, which passes the trace on."""
import json
import pathlib
import sys
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
import harness  # noqa: E402
from harness import Compat  # noqa: E402

MOST = 16  # invocations of one function in one chain
BEYOND = 20
SENDS_ON = {"lambda_function.py": """
import json, os
import boto3
def lambda_handler(event, context):
    record = event['Records'][0]
    number = int(record['body'] if 'body' in record else record['Sns']['Message']) + 1
    print('RUN', number)
    if number < int(os.environ['MOST']):
        if 'QUEUE' in os.environ:
            boto3.client('sqs').send_message(QueueUrl=os.environ['QUEUE'], MessageBody=str(number))
        else:
            boto3.client('sns').publish(TopicArn=os.environ['TOPIC'], Message=str(number))
"""}


class Loops(Compat):
    def sends_on(self, **variables):
        runtime = harness.machine_runtimes().get("python")
        if not runtime:
            self.skipTest("no Python on this machine")
        return self.create(runtime=runtime, files=SENDS_ON, Timeout=30, MemorySize=512,
                           Environment={"Variables": {"MOST": str(BEYOND), **variables}})

    def runs(self, name):
        logs = self.client("logs")
        try:
            found = logs.filter_log_events(logGroupName="/aws/lambda/" + name)["events"]
        except logs.exceptions.ResourceNotFoundException:
            return []
        lines = [event["message"] for event in found]
        if any("No module named 'boto3'" in line for line in lines):
            self.skipTest("boto3 is not there for this runtime on this machine")
        return [int(line.split()[1]) for line in lines if line.startswith("RUN ")]

    def allow(self, name):
        client = self.client()
        if not hasattr(client, "put_function_recursion_config"):
            self.skipTest("this boto3 does not know PutFunctionRecursionConfig")
        client.put_function_recursion_config(FunctionName=name, RecursiveLoop="Allow")

    def advance(self, text):
        urllib.request.urlopen(self.server.url + "/_mayfly/clock",
                               json.dumps({"advance": text}).encode(), timeout=10).close()

    def test_a_queue(self):
        lam, sqs = self.client(), self.client("sqs")

        def queue(**attributes):
            url = sqs.create_queue(QueueName=self.name("q"), Attributes=attributes)["QueueUrl"]
            self.addCleanup(sqs.delete_queue, QueueUrl=url)
            return url, sqs.get_queue_attributes(
                QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        letters, letters_arn = queue()
        url, arn = queue(VisibilityTimeout="60", RedrivePolicy=json.dumps(
            {"deadLetterTargetArn": letters_arn, "maxReceiveCount": 1}))
        name = self.sends_on(QUEUE=url)
        made = lam.create_event_source_mapping(EventSourceArn=arn, FunctionName=name, BatchSize=1)
        self.addCleanup(lam.delete_event_source_mapping, UUID=made["UUID"])
        self.eventually(
            lambda: lam.get_event_source_mapping(UUID=made["UUID"])["State"] == "Enabled")
        sqs.send_message(QueueUrl=url, MessageBody="0")
        self.eventually(lambda: MOST in self.runs(name))

        # The message that would have been the next is not lost: it is the queue's dead letter.
        def letter():
            self.advance("60s")
            return sqs.receive_message(QueueUrl=letters).get("Messages")
        self.assertEqual(self.eventually(letter)[0]["Body"], str(MOST))
        self.assertEqual(sorted(self.runs(name)), list(range(1, MOST + 1)))
        self.allow(name)
        sqs.send_message(QueueUrl=url, MessageBody="0")
        self.eventually(lambda: BEYOND in self.runs(name))

    def test_a_topic(self):
        lam, sns = self.client(), self.client("sns")
        topic = sns.create_topic(Name=self.name("t"))["TopicArn"]
        self.addCleanup(sns.delete_topic, TopicArn=topic)
        name = self.sends_on(TOPIC=topic)
        lam.add_permission(FunctionName=name, StatementId="sns", Action="lambda:InvokeFunction",
                           Principal="sns.amazonaws.com", SourceArn=topic)
        arn = lam.get_function(FunctionName=name)["Configuration"]["FunctionArn"]
        sns.subscribe(TopicArn=topic, Protocol="lambda", Endpoint=arn)
        sns.publish(TopicArn=topic, Message="0")
        self.eventually(lambda: MOST in self.runs(name))
        self.allow(name)
        sns.publish(TopicArn=topic, Message="0")
        self.eventually(lambda: BEYOND in self.runs(name))
        # Of the first chain nothing came after the sixteenth.
        self.assertEqual(sorted(self.runs(name)),
                         sorted([*range(1, MOST + 1), *range(1, BEYOND + 1)]))


if __name__ == "__main__":
    harness.main()
