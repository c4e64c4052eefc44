#!/usr/bin/env python3
"""Every operation of CloudWatch Logs that is built, with the AWS CLI and the SDK for
JavaScript v3."""
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
import clients  # noqa: E402
import harness  # noqa: E402

MISSING = "ResourceNotFoundException"


class Logs(clients.EveryOperation):
    service = "logs"

    def test_aws_cli(self):
        self.run_cli()

    def test_sdk_for_javascript(self):
        self.run_sdk()

    def scenario(self, client):
        group = self.name("/g")
        self.group(client, group)
        self.lines(client, group)
        client.call("DeleteLogGroup", logGroupName=group)
        client.refused(MISSING, "DescribeLogStreams", logGroupName=group)
        self.assertIn("not implemented",
                      client.refused("NotImplementedException", "DescribeQueries"))

    def group(self, client, group):
        client.call("CreateLogGroup", logGroupName=group, tags={"a": "1"})
        client.refused("ResourceAlreadyExistsException", "CreateLogGroup", logGroupName=group)
        client.call("PutRetentionPolicy", logGroupName=group, retentionInDays=7)
        (found,) = client.call("DescribeLogGroups", logGroupNamePrefix=group)["logGroups"]
        self.assertEqual(found["retentionInDays"], 7)
        client.refused("InvalidParameterException", "PutRetentionPolicy", logGroupName=group,
                       retentionInDays=8)
        client.call("DeleteRetentionPolicy", logGroupName=group)
        (found,) = client.call("DescribeLogGroups", logGroupNamePrefix=group)["logGroups"]
        self.assertNotIn("retentionInDays", found)
        client.call("TagLogGroup", logGroupName=group, tags={"b": "2"})
        client.call("UntagLogGroup", logGroupName=group, tags=["a"])
        self.assertEqual(client.call("ListTagsLogGroup", logGroupName=group)["tags"], {"b": "2"})
        where = found["arn"].removesuffix(":*")
        client.call("TagResource", resourceArn=where, tags={"c": "3"})
        client.call("UntagResource", resourceArn=where, tagKeys=["b"])
        self.assertEqual(client.call("ListTagsForResource", resourceArn=where)["tags"],
                         {"c": "3"})

    def lines(self, client, group):
        at = {"logGroupName": group, "logStreamName": "one"}
        client.call("CreateLogStream", **at)
        client.call("CreateLogStream", logGroupName=group, logStreamName="two")
        client.call("DeleteLogStream", logGroupName=group, logStreamName="two")
        now = int(time.time() * 1000)
        client.call("PutLogEvents", **at, logEvents=[
            {"timestamp": now, "message": "a blue moth"},
            {"timestamp": now + 1, "message": "a green moth"}])
        found = client.call("GetLogEvents", **at, startFromHead=True)["events"]
        self.assertEqual([(one["timestamp"], one["message"]) for one in found],
                         [(now, "a blue moth"), (now + 1, "a green moth")])
        found = client.call("FilterLogEvents", logGroupName=group, filterPattern="green")
        self.assertEqual([one["message"] for one in found["events"]], ["a green moth"])
        pages = client.pages("FilterLogEvents", logGroupName=group, filterPattern="moth")
        self.assertEqual(sum(len(page["events"]) for page in pages), 2)
        (stream,) = client.call("DescribeLogStreams", logGroupName=group)["logStreams"]
        self.assertEqual((stream["logStreamName"], stream["firstEventTimestamp"]), ("one", now))
        client.refused(MISSING, "GetLogEvents", logGroupName=group, logStreamName="none")


if __name__ == "__main__":
    harness.main()
