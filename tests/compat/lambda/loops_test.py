#!/usr/bin/env python3
"""Recursive loops: by calls and destinations, and by way of queues, topics and objects, to which a
function sends on with the SDK for Python as it is, which passes the trace on."""
import json
import pathlib
import sys
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
import harness  # noqa: E402
from async_test import OnAClock, SINK  # noqa: E402
from harness import Compat  # noqa: E402

MOST = 16  # invocations of one function in one chain
BEYOND = 20
SENDS_ON = {"lambda_function.py": """
import json, os
import boto3
def lambda_handler(event, context):
    record = event['Records'][0]
    if 's3' in record:
        number = int(record['s3']['object']['key'].split('/')[1]) + 1
    else:
        number = int(record['body'] if 'body' in record else record['Sns']['Message']) + 1
    print('RUN', number)
    if number < int(os.environ['MOST']):
        if 'QUEUE' in os.environ:
            boto3.client('sqs').send_message(QueueUrl=os.environ['QUEUE'], MessageBody=str(number))
        elif 'BUCKET' in os.environ:
            boto3.client('s3').put_object(Bucket=os.environ['BUCKET'], Key=f'runs/{number}',
                                          Body=b'x')
        else:
            boto3.client('sns').publish(TopicArn=os.environ['TOPIC'], Message=str(number))
"""}


class Calls(OnAClock):
    """A function that calls itself, with the trace header it was given, as SDKs do."""
    CALLS_ITSELF = {"lambda_function.py": (
        "import json, os, time, urllib.error, urllib.request\n"
        "def lambda_handler(event, context):\n"
        "    depth = event['depth'] + 1\n"
        "    if depth == event['most']:\n        return depth\n"
        "    day = time.strftime('%Y%m%d', time.gmtime())\n"
        "    url = (os.environ['AWS_ENDPOINT_URL'] + '/2015-03-31/functions/'\n"
        "           + context.function_name + '/invocations')\n"
        "    body = json.dumps(dict(event, depth=depth)).encode()\n"
        "    request = urllib.request.Request(url, body, {\n"
        "        'X-Amzn-Trace-Id': os.environ['_X_AMZN_TRACE_ID'],\n"
        "        'X-Amz-Date': time.strftime('%Y%m%dT%H%M%SZ', time.gmtime()),\n"
        "        'Authorization': 'AWS4-HMAC-SHA256 Credential=test/' + day\n"
        "            + '/us-east-1/lambda/aws4_request, '\n"
        "            + 'SignedHeaders=host;x-amz-date, Signature='\n"
        "            + '0' * 64})\n"
        "    try:\n        return json.loads(urllib.request.urlopen(request).read())\n"
        "    except urllib.error.HTTPError as error:\n"
        "        return [depth, error.headers['x-amzn-ErrorType']]\n")}

    def test_a_loop_ends_after_sixteen_invocations_unless_it_is_allowed(self):
        made, client = self.create(files=self.CALLS_ITSELF, Timeout=60), self.client()
        depth, error = self.invoke(made, {"depth": 0, "most": 20})[0]
        self.assertEqual(depth, 16)
        self.assertTrue(error.startswith("RecursiveInvocationException"), error)
        if not hasattr(client, "put_function_recursion_config"):
            self.skipTest("this boto3 does not know PutFunctionRecursionConfig")
        self.assertEqual(client.get_function_recursion_config(
            FunctionName=made)["RecursiveLoop"], "Terminate")
        client.put_function_recursion_config(FunctionName=made, RecursiveLoop="Allow")
        self.assertEqual(self.invoke(made, {"depth": 0, "most": 20})[0], 20)

    def test_destinations_that_lead_back_end_too(self):
        one, two = self.create(files=SINK), self.create(files=SINK)
        self.configure(one, on_success=two)
        self.configure(two, on_success=one)
        self.send(one, {"n": 6})
        self.eventually(lambda: self.metric("destination_delivery_failures_total", two) == 1)
        self.assertEqual((self.starts(one), self.starts(two)), (16, 16))


class Resources(Compat):
    def sends_on(self, **variables):
        runtime = harness.machine_runtimes().get("python")
        if not runtime:
            self.skipTest("no Python on this machine")
        return self.create(runtime=runtime, files=SENDS_ON, Timeout=30, MemorySize=512,
                           Environment={"Variables": {"MOST": str(BEYOND), **variables}})

    def runs(self, name):
        """The numbers of the calls that have ended."""
        logs = self.client("logs")
        try:
            found = logs.filter_log_events(logGroupName="/aws/lambda/" + name)["events"]
        except logs.exceptions.ResourceNotFoundException:
            return []
        lines = [event["message"] for event in found]
        if any("No module named 'boto3'" in line for line in lines):
            self.skipTest("boto3 is not there for this runtime on this machine")
        numbers = [int(line.split()[1]) for line in lines if line.startswith("RUN ")]
        return numbers if len(numbers) == sum(line.startswith("REPORT") for line in lines) else []

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

        # Until the last one is acknowledged, so that what is left in flight is the one refused.
        def counts():
            found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
            return [found["ApproximateNumberOfMessages" + kind] for kind in ("", "NotVisible")]
        self.eventually(lambda: counts() == ["0", "1"])

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

    def test_a_bucket(self):
        lam, s3 = self.client(), self.client("s3")
        bucket = self.name("b").lower().replace("_", "-")
        s3.create_bucket(Bucket=bucket)

        def empty():
            for one in s3.list_objects_v2(Bucket=bucket).get("Contents", []):
                s3.delete_object(Bucket=bucket, Key=one["Key"])
            s3.delete_bucket(Bucket=bucket)
        self.addCleanup(empty)
        name = self.sends_on(BUCKET=bucket)
        lam.add_permission(FunctionName=name, StatementId="s3", Action="lambda:InvokeFunction",
                           Principal="s3.amazonaws.com", SourceArn="arn:aws:s3:::" + bucket)
        arn = lam.get_function(FunctionName=name)["Configuration"]["FunctionArn"]
        s3.put_bucket_notification_configuration(
            Bucket=bucket, NotificationConfiguration={"LambdaFunctionConfigurations": [
                {"LambdaFunctionArn": arn, "Events": ["s3:ObjectCreated:*"]}]})
        s3.put_object(Bucket=bucket, Key="runs/0", Body=b"x")
        self.eventually(lambda: MOST in self.runs(name))
        self.allow(name)
        s3.put_object(Bucket=bucket, Key="runs/0", Body=b"x")
        self.eventually(lambda: BEYOND in self.runs(name))
        # Of the first chain nothing came after the sixteenth.
        self.assertEqual(sorted(self.runs(name)),
                         sorted([*range(1, MOST + 1), *range(1, BEYOND + 1)]))


if __name__ == "__main__":
    harness.main()
