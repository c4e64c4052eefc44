#!/usr/bin/env python3
"""Event source mappings of queues: a message runs its function, by real clients."""
import json
import pathlib
import sys
import time
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from harness import Compat, main

# Notes what it got in its log; fails, or reports failures, as the bodies say.
WITNESS = {"main.py": """
import json
def handler(event, context):
    print("GOT " + json.dumps(event))
    bodies = [one["body"] for one in event["Records"]]
    if "raise" in bodies:
        raise ValueError("as told")
    return {"batchItemFailures": [{"itemIdentifier": one["messageId"]}
                                  for one in event["Records"] if one["body"] == "fail"]}
"""}


class Mappings(Compat):
    def setUp(self):
        self.lam, self.sqs, self.logs = (self.client(s) for s in ("lambda", "sqs", "logs"))

    def queue(self, suffix="", **attributes):
        attributes.setdefault("VisibilityTimeout", "30")
        if suffix == ".fifo":
            attributes["FifoQueue"] = "true"
        url = self.sqs.create_queue(QueueName=self.name("q") + suffix,
                                    Attributes=attributes)["QueueUrl"]
        self.addCleanup(self.sqs.delete_queue, QueueUrl=url)
        return url, self.attribute(url, "QueueArn")

    def attribute(self, url, name):
        answer = self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=[name])
        return answer["Attributes"][name]

    def function(self):
        return self.create(files=WITNESS, handler="main.handler")

    def mapping(self, arn, name, **more):
        made = self.lam.create_event_source_mapping(EventSourceArn=arn, FunctionName=name, **more)
        self.assertEqual(made["State"], "Creating")
        self.addCleanup(self.drop, made["UUID"])
        self.settled(made["UUID"])
        return made["UUID"]

    def settled(self, uuid, state="Enabled"):
        self.eventually(lambda: self.lam.get_event_source_mapping(UUID=uuid)["State"] == state)

    def drop(self, uuid):
        try:
            self.lam.delete_event_source_mapping(UUID=uuid)
        except self.lam.exceptions.ResourceNotFoundException:
            pass

    def events(self, name):
        try:
            found = self.logs.filter_log_events(logGroupName=f"/aws/lambda/{name}",
                                                filterPattern='"GOT"')["events"]
        except self.logs.exceptions.ResourceNotFoundException:
            return []
        return [json.loads(one["message"].split("GOT ", 1)[1]) for one in found]

    def bodies(self, name):
        return [[r["body"] for r in event["Records"]] for event in self.events(name)]

    def empty(self, url):
        counts = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible",
                  "ApproximateNumberOfMessagesDelayed")
        return all(self.attribute(url, name) == "0" for name in counts)

    def advance(self, text):
        urllib.request.urlopen(self.server.url + "/_mayfly/clock",
                               json.dumps({"advance": text}).encode(), timeout=10).close()

    def test_a_message_runs_its_function(self):
        (url, arn), name = self.queue(), self.function()
        self.mapping(arn, name)
        sent = self.sqs.send_message(QueueUrl=url, MessageBody="hällo", MessageAttributes={
            "n": {"DataType": "Number", "StringValue": "7"},
            "b": {"DataType": "Binary", "BinaryValue": b"\0\1"}})
        (event,) = self.eventually(lambda: self.events(name))
        (record,) = event["Records"]
        self.assertEqual(set(record), {"messageId", "receiptHandle", "body", "attributes",
                                       "messageAttributes", "md5OfMessageAttributes", "md5OfBody",
                                       "eventSource", "eventSourceARN", "awsRegion"})
        self.assertEqual(record["messageId"], sent["MessageId"])
        self.assertEqual(record["body"], "hällo")
        self.assertEqual(record["md5OfBody"], sent["MD5OfMessageBody"])
        self.assertEqual(record["eventSource"], "aws:sqs")
        self.assertEqual(record["eventSourceARN"], arn)
        self.assertEqual(record["awsRegion"], "us-east-1")
        self.assertEqual(record["messageAttributes"]["n"], {
            "stringValue": "7", "stringListValues": [], "binaryListValues": [],
            "dataType": "Number"})
        self.assertEqual(record["messageAttributes"]["b"]["binaryValue"], "AAE=")
        self.assertEqual(record["attributes"]["ApproximateReceiveCount"], "1")
        self.eventually(lambda: self.empty(url))

    def test_a_failing_function_sees_its_message_again_and_then_it_is_a_dead_letter(self):
        dead, dead_arn = self.queue()
        url, arn = self.queue(RedrivePolicy=json.dumps(
            {"deadLetterTargetArn": dead_arn, "maxReceiveCount": 2}))
        name = self.function()
        self.mapping(arn, name)
        self.sqs.send_message(QueueUrl=url, MessageBody="raise")
        self.eventually(lambda: len(self.events(name)) == 1)
        self.advance("30s")
        self.eventually(lambda: len(self.events(name)) == 2)
        self.advance("30s")
        (letter,) = self.sqs.receive_message(QueueUrl=dead, WaitTimeSeconds=10)["Messages"]
        self.assertEqual(letter["Body"], "raise")
        self.assertEqual(len(self.events(name)), 2)

    def test_a_part_of_a_batch_fails(self):
        (url, arn), name = self.queue(), self.function()
        self.mapping(arn, name, FunctionResponseTypes=["ReportBatchItemFailures"], BatchSize=3,
                     MaximumBatchingWindowInSeconds=5)
        self.sqs.send_message_batch(QueueUrl=url, Entries=[
            {"Id": str(i), "MessageBody": body} for i, body in enumerate(["a", "fail", "b"])])
        self.eventually(lambda: self.bodies(name) == [["a", "fail", "b"]])
        self.eventually(lambda: self.attribute(
            url, "ApproximateNumberOfMessagesNotVisible") == "1")
        self.advance("30s")
        self.advance("6s")
        self.eventually(lambda: self.bodies(name)[1:] == [["fail"]])

    def test_filters(self):
        (url, arn), name = self.queue(), self.function()
        self.mapping(arn, name, FilterCriteria={"Filters": [
            {"Pattern": json.dumps({"body": {"kind": ["yes"]}})}]})
        for body in ('{"kind":"no"}', "text", '{"kind":"yes"}'):
            self.sqs.send_message(QueueUrl=url, MessageBody=body)
        self.eventually(lambda: self.empty(url))
        self.assertEqual(self.bodies(name), [['{"kind":"yes"}']])

    def test_order_in_a_fifo_queue(self):
        (url, arn), name = self.queue(".fifo", ContentBasedDeduplication="true"), self.function()
        self.mapping(arn, name, BatchSize=1)
        for i in range(8):
            self.sqs.send_message(QueueUrl=url, MessageBody=str(i), MessageGroupId="g")
        self.eventually(lambda: self.empty(url))
        self.eventually(lambda: len(self.events(name)) == 8)
        self.assertEqual(self.bodies(name), [[str(i)] for i in range(8)])
        attributes = self.events(name)[0]["Records"][0]["attributes"]
        self.assertEqual(attributes["MessageGroupId"], "g")
        self.assertIn("SequenceNumber", attributes)

    def test_states_and_settings(self):
        (url, arn), name = self.queue(), self.function()
        uuid = self.mapping(arn, name, Enabled=True, Tags={"a": "b"},
                            ScalingConfig={"MaximumConcurrency": 2})
        found = self.lam.get_event_source_mapping(UUID=uuid)
        self.assertEqual(found["BatchSize"], 10)
        self.assertEqual(found["ScalingConfig"], {"MaximumConcurrency": 2})
        self.assertEqual(self.lam.list_tags(Resource=found["EventSourceMappingArn"])["Tags"],
                         {"a": "b"})
        self.assertEqual([one["UUID"] for one in self.lam.list_event_source_mappings(
            EventSourceArn=arn)["EventSourceMappings"]], [uuid])
        self.assertEqual([one["UUID"] for one in self.lam.list_event_source_mappings(
            FunctionName=name)["EventSourceMappings"]], [uuid])
        self.refused("ResourceConflictException", self.lam.create_event_source_mapping,
                     EventSourceArn=arn, FunctionName=name)
        changed = self.lam.update_event_source_mapping(UUID=uuid, Enabled=False)
        self.assertEqual(changed["State"], "Disabling")
        self.settled(uuid, "Disabled")
        self.sqs.send_message(QueueUrl=url, MessageBody="waits")
        time.sleep(0.3)
        self.assertEqual(self.attribute(url, "ApproximateNumberOfMessages"), "1")
        self.assertEqual(self.lam.update_event_source_mapping(
            UUID=uuid, Enabled=True, BatchSize=5)["State"], "Enabling")
        self.eventually(lambda: self.bodies(name) == [["waits"]])
        self.settled(uuid)
        self.assertEqual(self.lam.delete_event_source_mapping(UUID=uuid)["State"], "Deleting")

        def gone():
            try:
                self.lam.get_event_source_mapping(UUID=uuid)
            except self.lam.exceptions.ResourceNotFoundException:
                return True
        self.eventually(gone)

    def test_provisioned_pollers_and_counts(self):
        (url, arn), name = self.queue(), self.function()
        uuid = self.mapping(arn, name, MetricsConfig={"Metrics": ["EventCount"]},
                            ProvisionedPollerConfig={"MinimumPollers": 3, "MaximumPollers": 7})
        found = self.lam.get_event_source_mapping(UUID=uuid)
        self.assertEqual(found["ProvisionedPollerConfig"],
                         {"MinimumPollers": 3, "MaximumPollers": 7})
        self.assertEqual(found["MetricsConfig"], {"Metrics": ["EventCount"]})
        self.sqs.send_message(QueueUrl=url, MessageBody="a")

        def counted(metric):
            with urllib.request.urlopen(self.server.url + "/_mayfly/metrics", timeout=10) as page:
                lines = page.read().decode().splitlines()
            return [float(line.rsplit(" ", 1)[1]) for line in lines
                    if uuid in line and f'metric="{metric}"' in line]
        self.eventually(lambda: counted("DeletedEventCount") == [1])
        self.assertEqual(counted("PolledEventCount"), [1])
        self.assertEqual(counted("InvokedEventCount"), [1])
        changed = self.lam.update_event_source_mapping(UUID=uuid, ProvisionedPollerConfig={})
        self.assertNotIn("ProvisionedPollerConfig", changed)
        self.settled(uuid)

    def test_flow_control_by_tags(self):
        (url, arn), name = self.queue(), self.function()
        uuid = self.mapping(arn, name, BatchSize=1, Tags={
            "mayfly:key": "body.customer", "mayfly:throttle": "1/60s"})
        for customer, order in (("a", 1), ("a", 2), ("b", 3)):
            self.sqs.send_message(QueueUrl=url, MessageBody=json.dumps(
                {"customer": customer, "order": order}))

        def orders():
            return sorted(json.loads(one[0])["order"] for one in self.bodies(name))
        self.eventually(lambda: orders() == [1, 3])
        self.advance("45s")  # longer than the queue hides its messages
        time.sleep(0.3)
        self.assertEqual(orders(), [1, 3])
        self.advance("15s")
        self.eventually(lambda: orders() == [1, 2, 3])
        self.eventually(lambda: self.empty(url))
        # The tags can be changed; a message of a key that is quiet goes at last.
        made = self.lam.get_event_source_mapping(UUID=uuid)["EventSourceMappingArn"]
        self.lam.untag_resource(Resource=made, TagKeys=["mayfly:throttle"])
        self.settled(uuid)
        self.lam.tag_resource(Resource=made, Tags={"mayfly:debounce": "5s"})
        self.settled(uuid)
        for order in (4, 5, 6):
            self.sqs.send_message(QueueUrl=url, MessageBody=json.dumps(
                {"customer": "a", "order": order}))
        self.eventually(lambda: self.attribute(
            url, "ApproximateNumberOfMessagesNotVisible") == "1")
        self.advance("5s")
        self.eventually(lambda: orders() == [1, 2, 3, 6])
        self.refused("InvalidParameterValueException", self.lam.tag_resource, Resource=made,
                     Tags={"mayfly:debounce": "soon"})

    def test_an_open_breaker_pauses_the_mapping(self):
        (url, arn), name = self.queue(), self.function()
        self.lam.update_function_configuration(FunctionName=name, Environment={
            "Variables": {"MAYFLY_BREAKER": "1/60s,open=300s"}})
        self.updated(name)
        self.mapping(arn, name, BatchSize=1)
        self.sqs.send_message(QueueUrl=url, MessageBody="raise")
        self.eventually(lambda: len(self.events(name)) == 1)
        self.sqs.send_message(QueueUrl=url, MessageBody="later")
        self.advance("200s")
        time.sleep(0.3)
        self.assertEqual(len(self.events(name)), 1)
        # Not received, and so nearer to no dead-letter queue.
        self.assertEqual(self.attribute(url, "ApproximateNumberOfMessages"), "2")
        seen = self.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=0,
                                        MessageSystemAttributeNames=["All"])["Messages"]
        counts = {one["Body"]: one["Attributes"]["ApproximateReceiveCount"] for one in seen}
        self.assertEqual(counts, {"raise": "2", "later": "1"})
        for one in seen:
            if one["Body"] == "raise":
                self.sqs.delete_message(QueueUrl=url, ReceiptHandle=one["ReceiptHandle"])
        self.advance("100s")
        self.eventually(lambda: ["later"] in self.bodies(name))
        self.eventually(lambda: self.empty(url))

    def test_what_is_refused(self):
        (url, arn), name = self.queue(), self.function()
        fifo_url, fifo = self.queue(".fifo")
        slow_url, slow = self.queue(VisibilityTimeout="1")

        def refused(code, source=arn, **more):
            self.refused(code, self.lam.create_event_source_mapping, EventSourceArn=source,
                         FunctionName=name, **more)
        wrong = "InvalidParameterValueException"
        refused(wrong, BatchSize=11)
        refused(wrong, fifo, BatchSize=11, MaximumBatchingWindowInSeconds=1)
        refused(wrong, fifo, MaximumBatchingWindowInSeconds=1)
        refused(wrong, slow)
        refused(wrong, arn + "-none")
        refused(wrong, StartingPosition="LATEST")
        refused(wrong, FilterCriteria={"Filters": [{"Pattern": '{"body":"x"}'}]})
        refused(wrong, FilterCriteria={"Filters": [{"Pattern": '{"body":["x"]}'}] * 6})
        refused("ValidationException", BatchSize=10001, MaximumBatchingWindowInSeconds=1)
        refused("ValidationException", ScalingConfig={"MaximumConcurrency": 1})
        refused(wrong, ProvisionedPollerConfig={"MinimumPollers": 2},
                ScalingConfig={"MaximumConcurrency": 2})
        refused(wrong, ProvisionedPollerConfig={"MinimumPollers": 9, "MaximumPollers": 8})
        refused("ValidationException", ProvisionedPollerConfig={"MaximumPollers": 2001})
        refused(wrong, Tags={"mayfly:throttle": "often"})
        refused(wrong, Tags={"mayfly:nonsense": "1"})
        refused("NotImplementedException", "arn:aws:kinesis:us-east-1:000000000000:stream/s")
        self.refused("ResourceNotFoundException", self.lam.create_event_source_mapping,
                     EventSourceArn=arn, FunctionName="none")


if __name__ == "__main__":
    main()
