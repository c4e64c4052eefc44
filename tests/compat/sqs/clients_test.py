#!/usr/bin/env python3
"""Every operation of SQS with the AWS CLI and the SDK for JavaScript v3."""
import hashlib
import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
import clients  # noqa: E402
import harness  # noqa: E402

ARN = "arn:aws:sqs:us-east-1:000000000000:"
# As the CLI names it, and the SDK.
MISSING = ("AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist")


def md5(text):
    return hashlib.md5(text.encode()).hexdigest()


class Queues(clients.EveryOperation):
    service = "sqs"

    def test_aws_cli(self):
        self.run_cli()

    def test_sdk_for_javascript(self):
        self.run_sdk()

    def scenario(self, client):
        self.queues(client)
        self.messages(client)
        self.batches(client)
        self.moves(client)

    def queue(self, client, **attributes):
        name = self.name("q")
        url = client.call("CreateQueue", QueueName=name, Attributes=attributes)["QueueUrl"]
        self.addCleanup(harness.Compat.client(self, "sqs").delete_queue, QueueUrl=url)
        return name, url

    def queues(self, client):
        name = self.name("q")
        url = client.call("CreateQueue", QueueName=name, Attributes={"VisibilityTimeout": "7"},
                          tags={"a": "1"})["QueueUrl"]
        self.assertEqual(client.call("GetQueueUrl", QueueName=name), {"QueueUrl": url})
        self.assertIn(url, client.call("ListQueues", QueueNamePrefix=name)["QueueUrls"])
        client.call("CreateQueue", QueueName=name + "-2")
        pages = client.pages("ListQueues", QueueNamePrefix=name, MaxResults=1)
        self.assertEqual(sorted(u for page in pages for u in page.get("QueueUrls", [])),
                         [url, url + "-2"])
        client.call("SetQueueAttributes", QueueUrl=url, Attributes={"DelaySeconds": "3"})
        found = client.call("GetQueueAttributes", QueueUrl=url, AttributeNames=["All"])
        found = found["Attributes"]
        self.assertEqual((found["VisibilityTimeout"], found["DelaySeconds"], found["QueueArn"]),
                         ("7", "3", ARN + name))
        client.call("TagQueue", QueueUrl=url, Tags={"b": "2"})
        client.call("UntagQueue", QueueUrl=url, TagKeys=["a"])
        self.assertEqual(client.call("ListQueueTags", QueueUrl=url)["Tags"], {"b": "2"})
        client.call("AddPermission", QueueUrl=url, Label="them", AWSAccountIds=["111111111111"],
                    Actions=["SendMessage"])
        policy = client.call("GetQueueAttributes", QueueUrl=url, AttributeNames=["Policy"])
        statement = json.loads(policy["Attributes"]["Policy"])["Statement"][0]
        self.assertEqual((statement["Sid"], statement["Effect"]), ("them", "Allow"))
        client.call("RemovePermission", QueueUrl=url, Label="them")
        client.refused(("InvalidAttributeValue", "InvalidParameterValue"), "SetQueueAttributes",
                       QueueUrl=url, Attributes={"VisibilityTimeout": "43201"})
        client.refused(("QueueAlreadyExists", "QueueNameExists"), "CreateQueue", QueueName=name,
                       Attributes={"VisibilityTimeout": "8"})
        for one in (url, url + "-2"):
            client.call("DeleteQueue", QueueUrl=one)
        client.refused(MISSING, "GetQueueUrl", QueueName=name)
        client.refused(MISSING, "SendMessage", QueueUrl=url, MessageBody="x")

    def messages(self, client):
        _, url = self.queue(client)
        sent = client.call("SendMessage", QueueUrl=url, MessageBody="Grüße", MessageAttributes={
            "n": {"DataType": "Number", "StringValue": "5"}})
        self.assertEqual(sent["MD5OfMessageBody"], md5("Grüße"))
        (got,) = client.call("ReceiveMessage", QueueUrl=url, WaitTimeSeconds=5,
                             AttributeNames=["All"], MessageAttributeNames=["All"])["Messages"]
        self.assertEqual((got["MessageId"], got["Body"]), (sent["MessageId"], "Grüße"))
        self.assertEqual(got["MessageAttributes"]["n"], {"DataType": "Number", "StringValue": "5"})
        self.assertEqual(got["Attributes"]["ApproximateReceiveCount"], "1")
        client.call("ChangeMessageVisibility", QueueUrl=url, ReceiptHandle=got["ReceiptHandle"],
                    VisibilityTimeout=0)
        (again,) = client.call("ReceiveMessage", QueueUrl=url, WaitTimeSeconds=5)["Messages"]
        self.assertEqual(again["MessageId"], sent["MessageId"])
        client.call("DeleteMessage", QueueUrl=url, ReceiptHandle=again["ReceiptHandle"])
        self.assertNotIn("Messages", client.call("ReceiveMessage", QueueUrl=url))
        client.refused(("ReceiptHandleIsInvalid",), "DeleteMessage", QueueUrl=url,
                       ReceiptHandle="nothing")
        client.refused(("InvalidParameterValue",), "SendMessage", QueueUrl=url, MessageBody="x",
                       DelaySeconds=901)

    def batches(self, client):
        _, url = self.queue(client)
        sent = client.call("SendMessageBatch", QueueUrl=url, Entries=[
            {"Id": "a", "MessageBody": "one"}, {"Id": "b", "MessageBody": "two"},
            {"Id": "c", "MessageBody": "three", "DelaySeconds": 901}])
        self.assertEqual([(e["Id"], e["MD5OfMessageBody"]) for e in sent["Successful"]],
                         [("a", md5("one")), ("b", md5("two"))])
        self.assertEqual([(e["Id"], e["SenderFault"]) for e in sent["Failed"]], [("c", True)])
        got = []
        while len(got) < 2:
            got += client.call("ReceiveMessage", QueueUrl=url, WaitTimeSeconds=5,
                               MaxNumberOfMessages=10)["Messages"]
        handles = [{"Id": str(i), "ReceiptHandle": m["ReceiptHandle"]} for i, m in enumerate(got)]
        changed = client.call("ChangeMessageVisibilityBatch", QueueUrl=url, Entries=[
            dict(handle, VisibilityTimeout=60) for handle in handles])
        self.assertEqual([e["Id"] for e in changed["Successful"]], ["0", "1"])
        gone = client.call("DeleteMessageBatch", QueueUrl=url, Entries=[
            handles[0], {"Id": "x", "ReceiptHandle": "nothing"}])
        self.assertEqual([e["Id"] for e in gone["Successful"]], ["0"])
        self.assertEqual([e["Code"] for e in gone["Failed"]], ["ReceiptHandleIsInvalid"])
        client.call("PurgeQueue", QueueUrl=url)
        self.eventually(lambda: client.call(
            "GetQueueAttributes", QueueUrl=url, AttributeNames=["All"])["Attributes"][
                "ApproximateNumberOfMessagesNotVisible"] == "0")
        client.refused(("AWS.SimpleQueueService.BatchEntryIdsNotDistinct",
                        "BatchEntryIdsNotDistinct"), "SendMessageBatch", QueueUrl=url, Entries=[
                            {"Id": "a", "MessageBody": "x"}, {"Id": "a", "MessageBody": "y"}])

    def moves(self, client):
        dead, dead_url = self.queue(client)
        _, url = self.queue(client, RedrivePolicy=json.dumps(
            {"deadLetterTargetArn": ARN + dead, "maxReceiveCount": 1}))
        found = client.call("ListDeadLetterSourceQueues", QueueUrl=dead_url)
        self.assertEqual(found["queueUrls"], [url])
        for start in (0, 10, 20):
            client.call("SendMessageBatch", QueueUrl=url, Entries=[
                {"Id": str(i), "MessageBody": str(i)} for i in range(start, start + 10)])
        # One that is received too often moves to the dead-letter queue.
        self.eventually(lambda: not client.call(
            "ReceiveMessage", QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=0).get(
                "Messages") and client.call(
                    "GetQueueAttributes", QueueUrl=dead_url, AttributeNames=["All"])["Attributes"][
                        "ApproximateNumberOfMessages"] == "30")
        handle = client.call("StartMessageMoveTask", SourceArn=ARN + dead,
                             MaxNumberOfMessagesPerSecond=1)["TaskHandle"]
        (task,) = client.call("ListMessageMoveTasks", SourceArn=ARN + dead)["Results"]
        self.assertEqual((task["Status"], task["TaskHandle"]), ("RUNNING", handle))
        moved = client.call("CancelMessageMoveTask", TaskHandle=handle)
        self.assertLess(moved["ApproximateNumberOfMessagesMoved"], 30)
        client.refused(("AWS.SimpleQueueService.UnsupportedOperation", "UnsupportedOperation"),
                       "CancelMessageMoveTask", TaskHandle=handle)


if __name__ == "__main__":
    harness.main()
