#!/usr/bin/env python3
"""What ended asynchronous calls tell topics and buses: records of destinations and dead letters, in
the cloud's words, as a queue behind them gets them."""
import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
sys.path.insert(0, str(pathlib.Path(__file__).parent))
import harness  # noqa: E402
from async_test import ARN, OnAClock, PICKY, ask_clock  # noqa: E402

ACCOUNT = "000000000000"


def allow(service):
    return json.dumps({"Statement": [{"Effect": "Allow", "Principal": {"Service": service},
                                      "Action": "sqs:SendMessage", "Resource": "*"}]})


class Base(OnAClock):
    def setUp(self):
        super().setUp()
        self.sns, self.sqs = self.client("sns"), self.client("sqs")
        self.events = self.client("events")

    def queue(self, service):
        name = self.name("q")
        url = self.sqs.create_queue(QueueName=name,
                                    Attributes={"Policy": allow(service)})["QueueUrl"]
        self.addCleanup(self.sqs.delete_queue, QueueUrl=url)
        return url, f"arn:aws:sqs:us-east-1:{ACCOUNT}:{name}"

    def topic(self):
        """(its ARN, the URL of a queue that gets what is published)"""
        url, queue = self.queue("sns.amazonaws.com")
        arn = self.sns.create_topic(Name=self.name("t"))["TopicArn"]
        self.addCleanup(self.sns.delete_topic, TopicArn=arn)
        self.sns.subscribe(TopicArn=arn, Protocol="sqs", Endpoint=queue)
        return arn, url

    def bus(self):
        """(its ARN, the URL of a queue that gets every event of source "lambda")"""
        url, queue = self.queue("events.amazonaws.com")
        name = self.name("bus")
        arn = self.events.create_event_bus(Name=name)["EventBusArn"]
        self.addCleanup(self.events.delete_event_bus, Name=name)
        at = {"Rule": "r", "EventBusName": name}
        self.events.put_rule(Name="r", EventBusName=name, EventPattern='{"source": ["lambda"]}')
        self.addCleanup(self.events.delete_rule, Name="r", EventBusName=name)
        self.events.put_targets(**at, Targets=[{"Id": "1", "Arn": queue}])
        self.addCleanup(self.events.remove_targets, **at, Ids=["1"])
        return arn, url

    def received(self, url):
        """The one message that comes, as JSON."""
        (one,) = self.sqs.receive_message(QueueUrl=url, WaitTimeSeconds=20)["Messages"]
        self.sqs.delete_message(QueueUrl=url, ReceiptHandle=one["ReceiptHandle"])
        return json.loads(one["Body"])

    def now(self):
        return ask_clock(self.server.url)[1]["now"]

    def told(self, function, success, failure):
        self.client().put_function_event_invoke_config(
            FunctionName=function, MaximumRetryAttempts=0, DestinationConfig={
                "OnSuccess": {"Destination": success}, "OnFailure": {"Destination": failure}})

    def check_success(self, record, made, request):
        self.assertEqual(record, {
            "version": "1.0", "timestamp": self.now(), "requestContext": {
                "requestId": request, "functionArn": f"{ARN}{made}:$LATEST",
                "condition": "Success", "approximateInvokeCount": 1},
            "requestPayload": {"n": 1},
            "responseContext": {"statusCode": 200, "executedVersion": "$LATEST"},
            "responsePayload": {"event": {"n": 1}}})

    def check_failure(self, record, made, request):
        said = record.pop("responsePayload")
        self.assertEqual((said["errorType"], said["errorMessage"]), ("ValueError", "as told"))
        self.assertEqual(record, {
            "version": "1.0", "timestamp": self.now(), "requestContext": {
                "requestId": request, "functionArn": f"{ARN}{made}:$LATEST",
                "condition": "RetriesExhausted", "approximateInvokeCount": 1},
            "requestPayload": {"fail": True},
            "responseContext": {"statusCode": 200, "executedVersion": "$LATEST",
                                "functionError": "Unhandled"}})


class ToTopics(Base):
    def test_records(self):
        made = self.create(files=PICKY)
        (good, good_url), (bad, bad_url) = self.topic(), self.topic()
        self.told(made, good, bad)
        request = self.send(made, {"n": 1})
        envelope = self.received(good_url)
        self.assertEqual(sorted(envelope), [
            "Message", "MessageId", "Signature", "SignatureVersion", "SigningCertURL", "Timestamp",
            "TopicArn", "Type", "UnsubscribeURL"])
        self.assertEqual((envelope["Type"], envelope["TopicArn"], envelope["Timestamp"]),
                         ("Notification", good, self.now()))
        self.check_success(json.loads(envelope["Message"]), made, request)
        request = self.send(made, {"fail": True})
        envelope = self.received(bad_url)
        self.assertEqual(envelope["TopicArn"], bad)
        self.check_failure(json.loads(envelope["Message"]), made, request)

    def test_dead_letters(self):
        made, (dead, url) = self.create(files=PICKY), self.topic()
        client = self.client()
        shown = client.update_function_configuration(FunctionName=made,
                                                     DeadLetterConfig={"TargetArn": dead})
        self.assertEqual(shown["DeadLetterConfig"], {"TargetArn": dead})
        self.updated(made)
        client.put_function_event_invoke_config(FunctionName=made, MaximumRetryAttempts=0)
        request = self.send(made, {"fail": True})
        envelope = self.received(url)
        self.assertEqual(json.loads(envelope["Message"]), {"fail": True})
        self.assertEqual(envelope["MessageAttributes"], {
            "RequestID": {"Type": "String", "Value": request},
            "ErrorCode": {"Type": "Number", "Value": "200"},
            "ErrorMessage": {"Type": "String", "Value": "as told"}})

    def test_a_topic_with_order_or_none_is_refused(self):
        made, client = self.create(), self.client()
        ordered = self.sns.create_topic(Name=self.name("t") + ".fifo",
                                        Attributes={"FifoTopic": "true"})["TopicArn"]
        self.addCleanup(self.sns.delete_topic, TopicArn=ordered)
        for arn in (ordered, f"arn:aws:sns:us-east-1:{ACCOUNT}:none"):
            for what in ("OnSuccess", "OnFailure"):
                self.refused("InvalidParameterValueException",
                             client.put_function_event_invoke_config, FunctionName=made,
                             DestinationConfig={what: {"Destination": arn}})
            self.refused("InvalidParameterValueException", client.update_function_configuration,
                         FunctionName=made, DeadLetterConfig={"TargetArn": arn})


class ToBuckets(Base):
    def bucket(self):
        client, name = self.client("s3"), self.name("b").lower().replace("_", "-")
        client.create_bucket(Bucket=name)

        def empty():
            for one in client.list_objects_v2(Bucket=name).get("Contents", []):
                client.delete_object(Bucket=name, Key=one["Key"])
            client.delete_bucket(Bucket=name)
        self.addCleanup(empty)
        return client, name

    def test_failures_are_objects(self):
        made, (client, bucket) = self.create(files=PICKY), self.bucket()
        self.client().put_function_event_invoke_config(
            FunctionName=made, MaximumRetryAttempts=0,
            DestinationConfig={"OnFailure": {"Destination": "arn:aws:s3:::" + bucket}})
        request, now = self.send(made, {"fail": True}), self.now()
        found = self.eventually(
            lambda: client.list_objects_v2(Bucket=bucket).get("Contents"))
        (key,) = [one["Key"] for one in found]
        day, time = now[:10].replace("-", "/"), now[:19].replace(":", ".")
        self.assertRegex(key, f"^aws/lambda/async/{made}/{day}/{time}-[0-9a-f-]{{36}}$")
        record = client.get_object(Bucket=bucket, Key=key)
        self.check_failure(json.loads(record["Body"].read()), made, request)

    def test_successes_and_buckets_that_are_not_there_are_refused(self):
        made, (_, bucket) = self.create(), self.bucket()
        for what, name in (("OnSuccess", bucket), ("OnFailure", bucket + "-none")):
            self.refused("InvalidParameterValueException",
                         self.client().put_function_event_invoke_config, FunctionName=made,
                         DestinationConfig={what: {"Destination": "arn:aws:s3:::" + name}})


class ToBuses(Base):
    def test_records(self):
        made, (good, good_url), (bad, bad_url) = self.create(files=PICKY), self.bus(), self.bus()
        self.told(made, good, bad)
        for payload, url, bus, kind in (({"n": 1}, good_url, good, "Success"),
                                        ({"fail": True}, bad_url, bad, "Failure")):
            request = self.send(made, payload)
            event = self.received(url)
            record = event.pop("detail")
            self.assertRegex(event.pop("id"), "^[0-9a-f-]{36}$")
            self.assertEqual(event, {
                "version": "0", "detail-type": f"Lambda Function Invocation Result - {kind}",
                "source": "lambda", "account": ACCOUNT, "region": "us-east-1",
                "time": self.now()[:19] + "Z", "resources": [f"{ARN}{made}:$LATEST", bus]})
            (self.check_success if kind == "Success" else self.check_failure)(record, made, request)

    def test_a_bus_takes_no_dead_letters(self):
        made, (bus, _) = self.create(), self.bus()
        message = self.refused(
            "InvalidParameterValueException", self.client().update_function_configuration,
            FunctionName=made, DeadLetterConfig={"TargetArn": bus})
        self.assertIn("a standard queue or topic can be one", message)
        self.refused("InvalidParameterValueException",
                     self.client().put_function_event_invoke_config, FunctionName=made,
                     DestinationConfig={"OnSuccess": {"Destination": bus + "-none"}})


if __name__ == "__main__":
    harness.main()
