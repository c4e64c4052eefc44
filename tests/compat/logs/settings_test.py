#!/usr/bin/env python3
"""Log groups: retention, streams and tags, both generations of the tagging operations."""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
import harness  # noqa: E402
from harness import Compat  # noqa: E402


class Groups(Compat):
    def setUp(self):
        self.logs = self.client("logs")
        self.group = "/test/" + self.name()
        self.logs.create_log_group(logGroupName=self.group, tags={"made": "yes"})
        self.addCleanup(self.logs.delete_log_group, logGroupName=self.group)

    def described(self):
        return self.logs.describe_log_groups(logGroupNamePrefix=self.group)["logGroups"][0]

    def test_retention(self):
        self.logs.put_retention_policy(logGroupName=self.group, retentionInDays=7)
        self.assertEqual(self.described()["retentionInDays"], 7)
        self.logs.delete_retention_policy(logGroupName=self.group)
        self.assertNotIn("retentionInDays", self.described())

    def test_streams(self):
        for stream in ("one", "two"):
            self.logs.create_log_stream(logGroupName=self.group, logStreamName=stream)
        self.logs.delete_log_stream(logGroupName=self.group, logStreamName="one")
        left = self.logs.describe_log_streams(logGroupName=self.group)["logStreams"]
        self.assertEqual([stream["logStreamName"] for stream in left], ["two"])
        self.refused("ResourceNotFoundException", self.logs.delete_log_stream,
                     logGroupName=self.group, logStreamName="one")

    def test_tags_by_name(self):
        self.logs.tag_log_group(logGroupName=self.group, tags={"a": "1", "b": "2"})
        self.logs.untag_log_group(logGroupName=self.group, tags=["a", "made"])
        self.assertEqual(self.logs.list_tags_log_group(logGroupName=self.group)["tags"],
                         {"b": "2"})

    def test_tags_by_arn(self):
        arn = self.described()["arn"].removesuffix(":*")
        self.logs.tag_resource(resourceArn=arn, tags={"a": "1", "b": "2"})
        self.logs.untag_resource(resourceArn=arn, tagKeys=["a"])
        self.assertEqual(self.logs.list_tags_for_resource(resourceArn=arn)["tags"],
                         {"made": "yes", "b": "2"})


if __name__ == "__main__":
    harness.main()
