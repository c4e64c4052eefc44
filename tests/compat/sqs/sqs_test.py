#!/usr/bin/env python3
"""SQS with real clients: boto3 over JSON, the query protocol by signed forms, the aws CLI."""
import hashlib
import json
import pathlib
import shutil
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
import xml.etree.ElementTree as xml

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from harness import PROGRAM, Compat, client_env, main

SPACE = "{http://queue.amazonaws.com/doc/2012-11-05/}"


class Sqs(Compat):
    def setUp(self):
        self.sqs = self.client("sqs")

    def queue(self, name=None, tags=None, **attributes):
        name = name or self.name("q")
        more = {"tags": tags} if tags else {}
        if name.endswith(".fifo"):
            attributes["FifoQueue"] = "true"
        url = self.sqs.create_queue(QueueName=name, Attributes=attributes, **more)["QueueUrl"]
        self.addCleanup(self.drop, url)
        return url

    def drop(self, url):
        try:
            self.sqs.delete_queue(QueueUrl=url)
        except self.sqs.exceptions.QueueDoesNotExist:
            pass

    def attribute(self, url, name):
        answer = self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=[name])
        return answer.get("Attributes", {}).get(name)

    def receive(self, url, **more):
        more.setdefault("MaxNumberOfMessages", 10)
        answer = self.sqs.receive_message(QueueUrl=url, MessageSystemAttributeNames=["All"],
                                          MessageAttributeNames=["All"], **more)
        return answer.get("Messages", [])

    def advance(self, text):
        urllib.request.urlopen(self.server.url + "/_mayfly/clock",
                               json.dumps({"advance": text}).encode(), timeout=10).close()

    def test_a_message_goes_its_way(self):
        url = self.queue()
        sent = self.sqs.send_message(
            QueueUrl=url, MessageBody="hällo", MessageAttributes={
                "color": {"DataType": "String", "StringValue": "red"},
                "count": {"DataType": "Number", "StringValue": "12"},
                "raw": {"DataType": "Binary.x", "BinaryValue": b"\0\1\xff"}},
            MessageSystemAttributes={"AWSTraceHeader": {
                "DataType": "String", "StringValue": "Root=1-5759e988-bd862e3fe1be46a994272793"}})
        self.assertEqual(sent["MD5OfMessageBody"], hashlib.md5("hällo".encode()).hexdigest())
        self.assertIn("MD5OfMessageSystemAttributes", sent)
        (got,) = self.receive(url)
        self.assertEqual(got["Body"], "hällo")
        self.assertEqual(got["MessageAttributes"]["raw"]["BinaryValue"], b"\0\1\xff")
        self.assertEqual(got["MD5OfMessageAttributes"], sent["MD5OfMessageAttributes"])
        self.assertTrue(got["Attributes"]["AWSTraceHeader"].startswith("Root="))
        self.sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=got["ReceiptHandle"],
                                           VisibilityTimeout=0)
        (again,) = self.receive(url)
        self.assertEqual(again["Attributes"]["ApproximateReceiveCount"], "2")
        self.sqs.delete_message(QueueUrl=url, ReceiptHandle=again["ReceiptHandle"])
        self.advance("1h")
        self.assertEqual(self.receive(url), [])

    def test_batches(self):
        url = self.queue()
        sent = self.sqs.send_message_batch(QueueUrl=url, Entries=[
            {"Id": "good", "MessageBody": "1"},
            {"Id": "bad", "MessageBody": "2", "DelaySeconds": 901}])
        self.assertEqual([one["Id"] for one in sent["Successful"]], ["good"])
        self.assertEqual(sent["Failed"][0]["Code"], "InvalidParameterValue")
        (got,) = self.receive(url)
        changed = self.sqs.change_message_visibility_batch(QueueUrl=url, Entries=[
            {"Id": "a", "ReceiptHandle": got["ReceiptHandle"], "VisibilityTimeout": 100},
            {"Id": "b", "ReceiptHandle": "x", "VisibilityTimeout": 100}])
        self.assertEqual([one["Id"] for one in changed["Successful"]], ["a"])
        self.assertEqual(changed["Failed"][0]["Code"], "ReceiptHandleIsInvalid")
        gone = self.sqs.delete_message_batch(QueueUrl=url, Entries=[
            {"Id": "a", "ReceiptHandle": got["ReceiptHandle"]}])
        self.assertEqual(len(gone["Successful"]), 1)
        with self.assertRaises(self.sqs.exceptions.EmptyBatchRequest):
            self.sqs.send_message_batch(QueueUrl=url, Entries=[])

    def test_queues(self):
        prefix = self.name("list")
        urls = [self.queue(f"{prefix}-{i}") for i in range(3)]
        self.assertEqual(self.sqs.get_queue_url(QueueName=f"{prefix}-1")["QueueUrl"], urls[1])
        pages = self.sqs.get_paginator("list_queues").paginate(
            QueueNamePrefix=prefix, PaginationConfig={"PageSize": 2})
        self.assertEqual([url for page in pages for url in page["QueueUrls"]], urls)
        with self.assertRaises(self.sqs.exceptions.QueueNameExists):
            self.sqs.create_queue(QueueName=f"{prefix}-1", Attributes={"DelaySeconds": "1"})
        with self.assertRaises(self.sqs.exceptions.QueueDoesNotExist) as caught:
            self.sqs.get_queue_url(QueueName="none")
        self.assertEqual(caught.exception.response["Error"]["Code"],
                         "AWS.SimpleQueueService.NonExistentQueue")
        self.sqs.delete_queue(QueueUrl=urls[0])
        self.refused("AWS.SimpleQueueService.NonExistentQueue", self.sqs.send_message,
                     QueueUrl=urls[0], MessageBody="x")

    def test_attributes_tags_and_permissions(self):
        url = self.queue(tags={"team": "a"})
        self.sqs.set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": "45"})
        self.assertEqual(self.attribute(url, "VisibilityTimeout"), "45")
        self.refused("InvalidAttributeValue", self.sqs.set_queue_attributes, QueueUrl=url,
                     Attributes={"DelaySeconds": "901"})
        self.refused("InvalidAttributeName", self.sqs.get_queue_attributes, QueueUrl=url,
                     AttributeNames=["Nonsense"])
        self.sqs.tag_queue(QueueUrl=url, Tags={"stage": "test"})
        self.sqs.untag_queue(QueueUrl=url, TagKeys=["team"])
        self.assertEqual(self.sqs.list_queue_tags(QueueUrl=url)["Tags"], {"stage": "test"})
        other = self.client("sqs", key="111111111111")
        self.refused("AccessDeniedException", other.send_message, QueueUrl=url, MessageBody="x")
        self.sqs.add_permission(QueueUrl=url, Label="one", AWSAccountIds=["111111111111"],
                                Actions=["SendMessage"])
        other.send_message(QueueUrl=url, MessageBody="from elsewhere")
        self.refused("AccessDeniedException", other.receive_message, QueueUrl=url)
        self.assertEqual(json.loads(self.attribute(url, "Policy"))["Statement"][0]["Sid"], "one")
        self.sqs.remove_permission(QueueUrl=url, Label="one")
        self.refused("AccessDeniedException", other.send_message, QueueUrl=url, MessageBody="x")

    def test_a_receive_waits_for_its_message(self):
        url = self.queue()
        found = []
        waiter = threading.Thread(target=lambda: found.extend(self.receive(
            url, WaitTimeSeconds=20)))
        waiter.start()
        time.sleep(0.3)
        began = time.monotonic()
        self.sqs.send_message(QueueUrl=url, MessageBody="now")
        waiter.join(15)
        self.assertLess(time.monotonic() - began, 10)
        self.assertEqual([one["Body"] for one in found], ["now"])

    def test_fifo(self):
        url = self.queue(self.name("q") + ".fifo", ContentBasedDeduplication="true")
        numbers = [self.sqs.send_message(QueueUrl=url, MessageBody=str(i),
                                         MessageGroupId="g")["SequenceNumber"] for i in range(5)]
        self.assertEqual(numbers, sorted(set(numbers)))
        again = self.sqs.send_message(QueueUrl=url, MessageBody="0", MessageGroupId="g")
        self.assertEqual(again["SequenceNumber"], numbers[0])
        got = self.receive(url, MaxNumberOfMessages=2, ReceiveRequestAttemptId="try")
        self.assertEqual([one["Body"] for one in got], ["0", "1"])
        same = self.receive(url, MaxNumberOfMessages=2, ReceiveRequestAttemptId="try")
        self.assertEqual([one["ReceiptHandle"] for one in same],
                         [one["ReceiptHandle"] for one in got])
        self.assertEqual(self.receive(url), [])
        for one in got:
            self.sqs.delete_message(QueueUrl=url, ReceiptHandle=one["ReceiptHandle"])
        self.assertEqual([one["Body"] for one in self.receive(url)], ["2", "3", "4"])

    def test_dead_letters_and_back(self):
        dead = self.queue()
        arn = self.attribute(dead, "QueueArn")
        url = self.queue(VisibilityTimeout="5", RedrivePolicy=json.dumps(
            {"deadLetterTargetArn": arn, "maxReceiveCount": "1"}))
        self.assertEqual(self.sqs.list_dead_letter_source_queues(QueueUrl=dead)["queueUrls"], [url])
        self.sqs.send_message(QueueUrl=url, MessageBody="poison")
        self.assertEqual(len(self.receive(url)), 1)
        self.advance("5s")
        (letter,) = self.receive(dead, WaitTimeSeconds=5, VisibilityTimeout=0)
        self.assertEqual(letter["Attributes"]["DeadLetterQueueSourceArn"],
                         self.attribute(url, "QueueArn"))
        handle = self.sqs.start_message_move_task(SourceArn=arn)["TaskHandle"]
        self.assertEqual([one["Body"] for one in self.receive(url, WaitTimeSeconds=5)], ["poison"])
        tasks = self.eventually(lambda: [
            one for one in self.sqs.list_message_move_tasks(SourceArn=arn)["Results"]
            if one["Status"] == "COMPLETED"])
        self.assertEqual(tasks[0]["ApproximateNumberOfMessagesMoved"], 1)
        self.refused("AWS.SimpleQueueService.UnsupportedOperation",
                     self.sqs.cancel_message_move_task, TaskHandle=handle)

    def test_a_move_is_cancelled(self):
        dead = self.queue()
        arn = self.attribute(dead, "QueueArn")
        url = self.queue(RedrivePolicy=json.dumps(
            {"deadLetterTargetArn": arn, "maxReceiveCount": 1}))
        for i in range(4):
            self.sqs.send_message(QueueUrl=dead, MessageBody=str(i))
        handle = self.sqs.start_message_move_task(
            SourceArn=arn, DestinationArn=self.attribute(url, "QueueArn"),
            MaxNumberOfMessagesPerSecond=1)["TaskHandle"]
        self.sqs.cancel_message_move_task(TaskHandle=handle)
        self.advance("1m")
        left = int(self.attribute(dead, "ApproximateNumberOfMessages"))
        self.assertGreaterEqual(left, 2)

    def test_purge(self):
        url = self.queue()
        for _ in range(3):
            self.sqs.send_message(QueueUrl=url, MessageBody="x")
        self.sqs.purge_queue(QueueUrl=url)
        self.assertEqual(self.attribute(url, "ApproximateNumberOfMessages"), "0")
        with self.assertRaises(self.sqs.exceptions.PurgeQueueInProgress):
            self.sqs.purge_queue(QueueUrl=url)

    def test_the_largest_message(self):
        url = self.queue()
        body = "ä" * (512 * 1024)
        self.sqs.send_message(QueueUrl=url, MessageBody=body)
        (got,) = self.receive(url)
        self.assertEqual(got["Body"], body)
        self.refused("InvalidParameterValue", self.sqs.send_message, QueueUrl=url,
                     MessageBody=body + "x")

    def test_it_is_all_there_after_a_kill(self):
        from harness import Server, boto_client
        import tempfile
        data = tempfile.mkdtemp(prefix="mayfly-compat-")
        self.addCleanup(shutil.rmtree, data, True)
        server = Server(data=data)
        sqs = boto_client(server.url, "sqs")
        url = sqs.create_queue(QueueName="kept")["QueueUrl"]
        for i in range(20):
            sqs.send_message(QueueUrl=url, MessageBody=str(i))
        (got,) = sqs.receive_message(QueueUrl=url)["Messages"]
        sqs.delete_message(QueueUrl=url, ReceiptHandle=got["ReceiptHandle"])
        server.kill()
        server.stop()
        server = Server(data=data)
        self.addCleanup(server.stop)
        sqs = boto_client(server.url, "sqs")
        url = sqs.get_queue_url(QueueName="kept")["QueueUrl"]
        found = set()
        while True:
            messages = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages")
            if not messages:
                break
            found.update(one["Body"] for one in messages)
        self.assertEqual(found, {str(i) for i in range(20)} - {got["Body"]})


class Query(Sqs):
    """The older protocol: a form, signed, and XML back."""

    def form(self, path="/", **parameters):
        from botocore.auth import SigV4Auth
        from botocore.awsrequest import AWSRequest
        from botocore.credentials import Credentials
        body = urllib.parse.urlencode(parameters)
        request = AWSRequest(method="POST", url=self.server.url + path, data=body, headers={
            "Content-Type": "application/x-www-form-urlencoded"})
        SigV4Auth(Credentials("test", "test"), "sqs", "us-east-1").add_auth(request)
        send = urllib.request.Request(request.url, body.encode(), dict(request.headers))
        try:
            with urllib.request.urlopen(send, timeout=30) as answer:
                return answer.status, xml.fromstring(answer.read())
        except urllib.error.HTTPError as error:
            return error.code, xml.fromstring(error.read())

    def test_form_in_xml_out(self):
        name = self.name("q")
        status, answer = self.form(Action="CreateQueue", QueueName=name, **{
            "Attribute.1.Name": "VisibilityTimeout", "Attribute.1.Value": "77",
            "Tag.1.Key": "a", "Tag.1.Value": "b"})
        self.assertEqual(status, 200)
        url = answer.find(f".//{SPACE}QueueUrl").text
        self.addCleanup(self.drop, url)
        self.assertEqual(self.attribute(url, "VisibilityTimeout"), "77")
        self.assertEqual(self.sqs.list_queue_tags(QueueUrl=url)["Tags"], {"a": "b"})
        path = urllib.parse.urlparse(url).path
        status, answer = self.form(path, Action="SendMessageBatch", **{
            "SendMessageBatchRequestEntry.1.Id": "one",
            "SendMessageBatchRequestEntry.1.MessageBody": "a & b <c>",
            "SendMessageBatchRequestEntry.1.MessageAttribute.1.Name": "n",
            "SendMessageBatchRequestEntry.1.MessageAttribute.1.Value.DataType": "Number",
            "SendMessageBatchRequestEntry.1.MessageAttribute.1.Value.StringValue": "7",
            "SendMessageBatchRequestEntry.2.Id": "two",
            "SendMessageBatchRequestEntry.2.MessageBody": "x",
            "SendMessageBatchRequestEntry.2.DelaySeconds": "901"})
        entry = answer.find(f".//{SPACE}SendMessageBatchResultEntry/{SPACE}Id")
        self.assertEqual(entry.text, "one")
        self.assertEqual(answer.find(f".//{SPACE}BatchResultErrorEntry/{SPACE}Code").text,
                         "InvalidParameterValue")
        status, answer = self.form(path, Action="ReceiveMessage", MaxNumberOfMessages=10, **{
            "AttributeName.1": "All", "MessageAttributeName.1": "n"})
        (message,) = answer.findall(f".//{SPACE}Message")
        self.assertEqual(message.find(f"{SPACE}Body").text, "a & b <c>")
        value = message.find(f"{SPACE}MessageAttribute/{SPACE}Value/{SPACE}StringValue")
        self.assertEqual(value.text, "7")
        names = {one.find(f"{SPACE}Name").text for one in message.findall(f"{SPACE}Attribute")}
        self.assertIn("ApproximateReceiveCount", names)
        status, _ = self.form(path, Action="DeleteMessage",
                              ReceiptHandle=message.find(f"{SPACE}ReceiptHandle").text)
        self.assertEqual(status, 200)

    def test_errors_in_xml(self):
        for parameters, code in (
                ({"Action": "GetQueueUrl", "QueueName": "none"},
                 "AWS.SimpleQueueService.NonExistentQueue"),
                ({"Action": "CreateQueue"}, "MissingParameter"),
                ({"Action": "CreateQueue", "QueueName": "a b"}, "InvalidParameterValue")):
            status, answer = self.form(**parameters)
            self.assertEqual(status, 400)
            self.assertEqual(answer.find(f".//{SPACE}Code").text, code)


class Cli(Sqs):
    def aws(self, *arguments):
        run = subprocess.run([shutil.which("aws"), "--endpoint-url", self.server.url,
                              "sqs", *arguments], capture_output=True,
                             text=True, env=client_env(self.server.url), timeout=60)
        return run.returncode, json.loads(run.stdout) if run.stdout.strip() else run.stderr

    def test_with_the_aws_cli(self):
        if not shutil.which("aws"):
            self.skipTest("the aws CLI is not installed")
        name = self.name("q")
        status, made = self.aws("create-queue", "--queue-name", name)
        self.assertEqual(status, 0, made)
        url = made["QueueUrl"]
        self.addCleanup(self.drop, url)
        status, sent = self.aws("send-message", "--queue-url", url, "--message-body", "from cli")
        self.assertEqual(status, 0, sent)
        status, got = self.aws("receive-message", "--queue-url", url, "--attribute-names", "All")
        self.assertEqual(got["Messages"][0]["Body"], "from cli")
        status, _ = self.aws("delete-message", "--queue-url", url, "--receipt-handle",
                             got["Messages"][0]["ReceiptHandle"])
        self.assertEqual(status, 0)
        status, text = self.aws("get-queue-url", "--queue-name", "none")
        self.assertNotEqual(status, 0)
        self.assertIn("NonExistentQueue", text)


    def mayfly(self, *arguments, status=0):
        run = subprocess.run([PROGRAM, "queue", *arguments, "--endpoint", self.server.url],
                             capture_output=True, text=True, env=client_env(self.server.url),
                             timeout=60)
        self.assertEqual(run.returncode, status, run.stdout + run.stderr)
        return run.stdout

    def test_with_mayfly_queue(self):
        dead, name = self.name("dead"), self.name("q")
        dead_url = self.queue(dead)
        url = self.queue(name, RedrivePolicy=json.dumps({
            "deadLetterTargetArn": self.attribute(dead_url, "QueueArn"), "maxReceiveCount": 1}))
        self.mayfly("send", name, "by hand")
        self.assertRegex(self.mayfly("list", name), name + r" +1 +0 +0")
        self.mayfly("peek", name, status=1)
        self.assertEqual(self.attribute(url, "ApproximateNumberOfMessages"), "1")
        self.mayfly("send", dead, "lost")
        self.assertIn("lost", self.mayfly("peek", dead))
        self.assertEqual(self.attribute(dead_url, "ApproximateNumberOfMessages"), "1")
        self.assertIn("COMPLETED: 1 moved", self.mayfly("redrive", dead, "--to", name))
        self.assertEqual(self.attribute(url, "ApproximateNumberOfMessages"), "2")
        self.mayfly("tail", name, "--most", "1", status=1)
        shown = self.mayfly("tail", name, "--most", "2", "--delete").splitlines()
        self.assertEqual({line.split(" ", 1)[1] for line in shown}, {"by hand", "lost"})
        self.assertEqual(self.attribute(url, "ApproximateNumberOfMessages"), "0")
        self.assertEqual(self.attribute(url, "ApproximateNumberOfMessagesNotVisible"), "0")
        self.mayfly("send", "no-such-queue", "x", status=1)


# What these share is not to be tested twice.
for inherited in [name for name in vars(Sqs) if name.startswith("test_")]:
    for other in (Query, Cli):
        setattr(other, inherited, None)

if __name__ == "__main__":
    main()
