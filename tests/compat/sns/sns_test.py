#!/usr/bin/env python3
"""SNS with real clients: boto3, the aws CLI, mayfly topic."""
import json
import pathlib
import shutil
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from harness import PROGRAM, client_env, main
from topics import Base


class Topics(Base):
    def test_topics_are_made_once_listed_and_deleted(self):
        arn = self.topic(DisplayName="News", tags=[{"Key": "k", "Value": "v"}])
        name = arn.rsplit(":", 1)[1]
        self.assertEqual(arn, f"arn:aws:sns:us-east-1:000000000000:{name}")
        self.assertEqual(self.sns.create_topic(Name=name)["TopicArn"], arn)
        self.refused("InvalidParameter", self.sns.create_topic, Name=name,
                     Attributes={"DisplayName": "Other"})
        self.refused("InvalidParameter", self.sns.create_topic, Name="not a name")
        listed = [t["TopicArn"] for page in self.sns.get_paginator("list_topics").paginate()
                  for t in page["Topics"]]
        self.assertIn(arn, listed)
        tags = self.sns.list_tags_for_resource(ResourceArn=arn)["Tags"]
        self.assertEqual(tags, [{"Key": "k", "Value": "v"}])
        self.sns.tag_resource(ResourceArn=arn, Tags=[{"Key": "l", "Value": "w"}])
        self.sns.untag_resource(ResourceArn=arn, TagKeys=["k"])
        tags = self.sns.list_tags_for_resource(ResourceArn=arn)["Tags"]
        self.assertEqual(tags, [{"Key": "l", "Value": "w"}])
        self.sns.delete_topic(TopicArn=arn)
        self.refused("NotFound", self.sns.get_topic_attributes, TopicArn=arn)
        self.refused("NotFound", self.sns.publish, TopicArn=arn, Message="x")

    def test_a_page_holds_a_hundred(self):
        sns = self.client("sns", region="eu-west-3")
        arns = sorted(sns.create_topic(Name=f"page-{i:03d}")["TopicArn"] for i in range(101))
        first = sns.list_topics()
        self.assertEqual(len(first["Topics"]), 100)
        rest = sns.list_topics(NextToken=first["NextToken"])
        self.assertEqual([t["TopicArn"] for t in first["Topics"] + rest["Topics"]], arns)
        for arn in arns:
            sns.delete_topic(TopicArn=arn)

    def test_attributes_of_a_topic(self):
        arn = self.topic()
        found = self.sns.get_topic_attributes(TopicArn=arn)["Attributes"]
        self.assertEqual(found["Owner"], "000000000000")
        self.assertEqual(found["DisplayName"], "")
        self.assertEqual(found["SubscriptionsConfirmed"], "0")
        policy = json.loads(found["EffectiveDeliveryPolicy"])["http"]["defaultHealthyRetryPolicy"]
        self.assertEqual((policy["numRetries"], policy["minDelayTarget"]), (3, 20))
        for name, value in (("DisplayName", "D"), ("SignatureVersion", "2"),
                            ("TracingConfig", "Active"), ("KmsMasterKeyId", "alias/aws/sns"),
                            ("DeliveryPolicy", json.dumps({"http": {
                                "defaultHealthyRetryPolicy": {"numRetries": 7}}}))):
            self.sns.set_topic_attributes(TopicArn=arn, AttributeName=name, AttributeValue=value)
            found = self.sns.get_topic_attributes(TopicArn=arn)["Attributes"]
            self.assertEqual(found[name], value)
        policy = json.loads(found["EffectiveDeliveryPolicy"])["http"]["defaultHealthyRetryPolicy"]
        self.assertEqual(policy["numRetries"], 7)
        self.refused("InvalidParameter", self.sns.set_topic_attributes, TopicArn=arn,
                     AttributeName="Nothing", AttributeValue="x")

    def test_another_account_publishes_where_the_policy_lets_it(self):
        arn = self.topic()
        other = self.client("sns", key="111111111111")
        self.refused("AccessDenied", other.publish, TopicArn=arn, Message="x")
        self.sns.add_permission(TopicArn=arn, Label="them", AWSAccountId=["111111111111"],
                                ActionName=["Publish"])
        other.publish(TopicArn=arn, Message="x")
        self.sns.remove_permission(TopicArn=arn, Label="them")
        self.refused("AccessDenied", other.publish, TopicArn=arn, Message="x")

    def test_what_needs_a_carrier_says_that_it_is_not_built(self):
        topic = self.topic()
        calls = [(self.sns.publish, {"PhoneNumber": "+15550100", "Message": "x"}),
                 (self.sns.get_sms_attributes, {}),
                 (self.sns.list_platform_applications, {}),
                 (self.sns.get_data_protection_policy, {"ResourceArn": topic})]
        calls += [(self.sns.subscribe, {"TopicArn": topic, "Protocol": protocol, "Endpoint": "x"})
                  for protocol in ("email", "email-json", "sms", "application", "firehose")]
        for call, arguments in calls:
            self.assertIn("not implemented",
                          self.refused("NotImplementedException", call, **arguments))
        self.refused("InvalidParameter", self.sns.subscribe, TopicArn=topic, Protocol="pigeon",
                     Endpoint="x")


class Cli(Base):
    def aws(self, *arguments, good=True):
        run = subprocess.run([shutil.which("aws"), "sns", *arguments, "--output", "json"],
                             capture_output=True, text=True, env=client_env(self.server.url))
        self.assertEqual(run.returncode == 0, good, run.stderr)
        return json.loads(run.stdout) if run.stdout.strip() else run.stderr

    def test_every_operation_with_the_aws_cli(self):
        if not shutil.which("aws"):
            self.skipTest("the aws CLI is not installed")
        topic = self.aws("create-topic", "--name", self.name("t"), "--tags",
                         "Key=a,Value=b")["TopicArn"]
        at = ("--topic-arn", topic)
        self.assertIn({"TopicArn": topic}, self.aws("list-topics")["Topics"])
        self.aws("set-topic-attributes", *at, "--attribute-name", "DisplayName",
                 "--attribute-value", "D")
        found = self.aws("get-topic-attributes", *at)["Attributes"]
        self.assertEqual(found["DisplayName"], "D")
        self.aws("add-permission", *at, "--label", "l", "--aws-account-id", "111111111111",
                 "--action-name", "Publish")
        self.aws("remove-permission", *at, "--label", "l")
        self.aws("tag-resource", "--resource-arn", topic, "--tags", "Key=c,Value=d")
        self.aws("untag-resource", "--resource-arn", topic, "--tag-keys", "a")
        tags = self.aws("list-tags-for-resource", "--resource-arn", topic)["Tags"]
        self.assertEqual(tags, [{"Key": "c", "Value": "d"}])
        url, queue = self.queue()
        arn = self.aws("subscribe", *at, "--protocol", "sqs", "--notification-endpoint", queue,
                       "--attributes", "RawMessageDelivery=true")["SubscriptionArn"]
        of = ("--subscription-arn", arn)
        self.aws("set-subscription-attributes", *of, "--attribute-name", "FilterPolicy",
                 "--attribute-value", '{"a":["b"]}')
        found = self.aws("get-subscription-attributes", *of)["Attributes"]
        self.assertEqual(json.loads(found["FilterPolicy"]), {"a": ["b"]})
        for name in ("list-subscriptions", "list-subscriptions-by-topic"):
            more = at if name.endswith("topic") else ()
            found = [s["SubscriptionArn"] for s in self.aws(name, *more)["Subscriptions"]]
            self.assertIn(arn, found)
        self.aws("publish", *at, "--message", "hi", "--message-attributes",
                 '{"a":{"DataType":"String","StringValue":"b"}}')
        self.assertEqual(self.take(url)[0]["Body"], "hi")
        self.aws("publish-batch", *at, "--publish-batch-request-entries",
                 json.dumps([{"Id": "1", "Message": "x"}]))
        endpoint = self.endpoint()
        self.aws("subscribe", *at, "--protocol", "http", "--notification-endpoint", endpoint.url)
        token = json.loads(endpoint.wait(1)[1])["Token"]
        self.aws("confirm-subscription", *at, "--token", token)
        self.aws("unsubscribe", *of)
        self.aws("delete-topic", *at)
        self.assertIn("NotFound", self.aws("get-topic-attributes", *at, good=False))

    def mayfly(self, *arguments):
        run = subprocess.run([PROGRAM, "topic", *arguments], capture_output=True, text=True,
                             env=client_env(self.server.url), timeout=60)
        self.assertEqual(run.returncode, 0, run.stderr)
        return run.stdout

    def test_topics_by_hand(self):
        topic = self.topic()
        name = topic.rsplit(":", 1)[1]
        url, queue = self.queue()
        self.assertIn(topic, self.mayfly("subscribe", name, queue, "--raw"))
        sent = self.mayfly("publish", name, "by hand", "--subject", "S").strip()
        self.assertRegex(sent, r"^[0-9a-f-]{36}$")
        self.assertEqual(self.take(url)[0]["Body"], "by hand")
        self.assertRegex(self.mayfly("list"), rf"{name} +1")
        (row,) = [t for t in json.loads(self.mayfly("list", "--json")) if t["TopicArn"] == topic]
        self.assertEqual(row["SubscriptionsConfirmed"], "1")

    def test_tail_shows_what_is_published_and_leaves_nothing(self):
        topic = self.topic()
        queues = set(self.sqs.list_queues().get("QueueUrls", []))
        tail = subprocess.Popen([PROGRAM, "topic", "tail", topic, "--most", "2"], text=True,
                                stdout=subprocess.PIPE, env=client_env(self.server.url))
        self.eventually(lambda: self.sns.list_subscriptions_by_topic(
            TopicArn=topic)["Subscriptions"])
        self.sns.publish(TopicArn=topic, Message="one", Subject="S")
        self.sns.publish(TopicArn=topic, Message="two")
        out, _ = tail.communicate(timeout=60)
        self.assertEqual(tail.returncode, 0)
        self.assertRegex(out, r"S: one")
        self.assertRegex(out, r"two")
        left = self.sns.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]
        self.assertEqual(left, [])
        self.assertEqual(set(self.sqs.list_queues().get("QueueUrls", [])), queues)


if __name__ == "__main__":
    main()
