#!/usr/bin/env python3
"""Every operation of SNS with the AWS CLI and the SDK for JavaScript v3."""
import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
import clients  # noqa: E402
import harness  # noqa: E402
import topics  # noqa: E402

# As the CLI names it, and the SDK.
NOT_FOUND = ("NotFound", "NotFoundException")
INVALID = ("InvalidParameter", "InvalidParameterException")


class Topics(clients.EveryOperation, topics.Base):
    service = "sns"

    def test_aws_cli(self):
        self.run_cli()

    def test_sdk_for_javascript(self):
        self.run_sdk()

    def scenario(self, client):
        topic = self.kept(client)
        url, queue = self.queue()
        self.subscriptions(client, topic, url, queue)
        self.published(client, topic, url)
        self.confirmed(client, topic)
        client.call("DeleteTopic", TopicArn=topic)
        client.refused(NOT_FOUND, "GetTopicAttributes", TopicArn=topic)
        client.refused(NOT_FOUND, "Publish", TopicArn=topic, Message="x")

    def kept(self, client):
        name = self.name("t")
        topic = client.call("CreateTopic", Name=name, Attributes={"DisplayName": "News"},
                            Tags=[{"Key": "a", "Value": "1"}])["TopicArn"]
        self.assertEqual(topic, f"arn:aws:sns:us-east-1:000000000000:{name}")
        client.refused(INVALID, "CreateTopic", Name=name, Attributes={"DisplayName": "Other"})
        self.assertIn({"TopicArn": topic}, client.call("ListTopics")["Topics"])
        self.assertIn({"TopicArn": topic},
                      [one for page in client.pages("ListTopics") for one in page["Topics"]])
        client.call("SetTopicAttributes", TopicArn=topic, AttributeName="SignatureVersion",
                    AttributeValue="2")
        found = client.call("GetTopicAttributes", TopicArn=topic)["Attributes"]
        self.assertEqual((found["DisplayName"], found["SignatureVersion"], found["TopicArn"]),
                         ("News", "2", topic))
        client.call("AddPermission", TopicArn=topic, Label="them", AWSAccountId=["111111111111"],
                    ActionName=["Publish"])
        policy = client.call("GetTopicAttributes", TopicArn=topic)["Attributes"]["Policy"]
        self.assertIn("them", [one["Sid"] for one in json.loads(policy)["Statement"]])
        client.call("RemovePermission", TopicArn=topic, Label="them")
        client.call("TagResource", ResourceArn=topic, Tags=[{"Key": "b", "Value": "2"}])
        client.call("UntagResource", ResourceArn=topic, TagKeys=["a"])
        self.assertEqual(client.call("ListTagsForResource", ResourceArn=topic)["Tags"],
                         [{"Key": "b", "Value": "2"}])
        return topic

    def subscriptions(self, client, topic, url, queue):
        arn = client.call("Subscribe", TopicArn=topic, Protocol="sqs", Endpoint=queue,
                          Attributes={"RawMessageDelivery": "true"},
                          ReturnSubscriptionArn=True)["SubscriptionArn"]
        client.call("SetSubscriptionAttributes", SubscriptionArn=arn,
                    AttributeName="FilterPolicy", AttributeValue='{"a": ["b"]}')
        found = client.call("GetSubscriptionAttributes", SubscriptionArn=arn)["Attributes"]
        self.assertEqual(json.loads(found["FilterPolicy"]), {"a": ["b"]})
        self.assertEqual((found["RawMessageDelivery"], found["Endpoint"]), ("true", queue))
        self.assertIn(arn, [one["SubscriptionArn"] for one in client.call(
            "ListSubscriptions")["Subscriptions"]])
        (one,) = client.call("ListSubscriptionsByTopic", TopicArn=topic)["Subscriptions"]
        self.assertEqual((one["SubscriptionArn"], one["Protocol"]), (arn, "sqs"))
        client.refused(INVALID, "SetSubscriptionAttributes", SubscriptionArn=arn,
                       AttributeName="FilterPolicy", AttributeValue="{")
        other = client.call("Subscribe", TopicArn=topic, Protocol="sqs", Endpoint=self.queue()[1],
                            ReturnSubscriptionArn=True)["SubscriptionArn"]
        client.call("Unsubscribe", SubscriptionArn=other)
        client.refused(NOT_FOUND, "GetSubscriptionAttributes", SubscriptionArn=other)

    def published(self, client, topic, url):
        wanted = {"a": {"DataType": "String", "StringValue": "b"}}
        sent = client.call("Publish", TopicArn=topic, Message="hi", MessageAttributes=wanted)
        self.assertRegex(sent["MessageId"], r"^[0-9a-f-]{36}$")
        client.call("Publish", TopicArn=topic, Message="nobody wants it")
        self.assertEqual(self.take(url)[0]["Body"], "hi")
        answer = client.call("PublishBatch", TopicArn=topic, PublishBatchRequestEntries=[
            {"Id": "1", "Message": "one", "MessageAttributes": wanted},
            {"Id": "2", "Message": "two"}, {"Id": "3", "Message": ""}])
        self.assertEqual([one["Id"] for one in answer["Successful"]], ["1", "2"])
        self.assertEqual([(one["Id"], one["SenderFault"]) for one in answer["Failed"]],
                         [("3", True)])
        self.assertEqual(self.take(url)[0]["Body"], "one")
        client.refused(INVALID, "Publish", TopicArn=topic, Message="x", Subject="s" * 101)

    def confirmed(self, client, topic):
        endpoint = self.endpoint()
        client.call("Subscribe", TopicArn=topic, Protocol="http", Endpoint=endpoint.url)
        token = json.loads(endpoint.wait(1)[1])["Token"]
        client.refused(INVALID, "ConfirmSubscription", TopicArn=topic, Token="nothing")
        arn = client.call("ConfirmSubscription", TopicArn=topic, Token=token)["SubscriptionArn"]
        self.assertTrue(arn.startswith(topic + ":"), arn)


if __name__ == "__main__":
    harness.main()
