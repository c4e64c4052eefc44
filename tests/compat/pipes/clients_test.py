#!/usr/bin/env python3
"""Every operation of EventBridge Pipes with the AWS CLI and the SDK for JavaScript v3."""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
import clients  # noqa: E402
import harness  # noqa: E402

ACCOUNT = "000000000000"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/pipe"


class Pipes(clients.EveryOperation):
    service = "pipes"

    def test_aws_cli(self):
        self.run_cli()

    def test_sdk_for_javascript(self):
        self.run_sdk()

    def queue(self):
        sqs, name = self.client("sqs"), self.name("q")
        url = sqs.create_queue(QueueName=name)["QueueUrl"]
        self.addCleanup(sqs.delete_queue, QueueUrl=url)
        return url, f"arn:aws:sqs:us-east-1:{ACCOUNT}:{name}"

    def settled(self, client, name, state):
        self.eventually(lambda: client.call("DescribePipe", Name=name)["CurrentState"] == state)

    def scenario(self, client):
        (source, source_arn), (target, target_arn) = self.queue(), self.queue()
        name = self.name("pipe")
        common = {"Name": name, "Source": source_arn, "Target": target_arn, "RoleArn": ROLE}
        made = client.call("CreatePipe", **common, DesiredState="STOPPED", Tags={"a": "1"},
                           SourceParameters={"FilterCriteria": {"Filters": [
                               {"Pattern": '{"body": [{"prefix": "y"}]}'}]}})
        self.assertEqual(made["CurrentState"], "CREATING")
        where = f"arn:aws:pipes:us-east-1:{ACCOUNT}:pipe/{name}"
        self.assertEqual(made["Arn"], where)
        client.refused("ConflictException", "CreatePipe", **common)
        self.settled(client, name, "STOPPED")
        client.call("TagResource", resourceArn=where, tags={"b": "2"})
        client.call("UntagResource", resourceArn=where, tagKeys=["a"])
        self.assertEqual(client.call("ListTagsForResource", resourceArn=where)["tags"],
                         {"b": "2"})
        self.assertEqual(client.call("StartPipe", Name=name)["CurrentState"], "STARTING")
        self.settled(client, name, "RUNNING")
        client.call("UpdatePipe", Name=name, RoleArn=ROLE, Description="changed",
                    TargetParameters={"InputTemplate": '{"was": <$.body>}'})
        self.settled(client, name, "RUNNING")
        found = client.call("DescribePipe", Name=name)
        self.assertEqual((found["Description"], found["Source"], found["Target"], found["Tags"]),
                         ("changed", source_arn, target_arn, {"b": "2"}))
        sqs = self.client("sqs")
        for body in ("no", "yes"):
            sqs.send_message(QueueUrl=source, MessageBody=body)
        (got,) = sqs.receive_message(QueueUrl=target, WaitTimeSeconds=20)["Messages"]
        self.assertEqual(got["Body"], '{"was": "yes"}')
        self.assertEqual(client.call("StopPipe", Name=name)["CurrentState"], "STOPPING")
        self.settled(client, name, "STOPPED")
        listed = client.call("ListPipes", NamePrefix=name, CurrentState="STOPPED")["Pipes"]
        self.assertEqual([one["Arn"] for one in listed], [where])
        pages = client.pages("ListPipes", NamePrefix=name)
        self.assertEqual([one["Name"] for page in pages for one in page["Pipes"]], [name])
        client.refused("ValidationException", "UpdatePipe", Name=name, RoleArn=ROLE,
                       TargetParameters={"InputTemplate": "{"})
        self.assertEqual(client.call("DeletePipe", Name=name)["CurrentState"], "DELETING")
        client.refused("NotFoundException", "DescribePipe", Name=name)


if __name__ == "__main__":
    harness.main()
