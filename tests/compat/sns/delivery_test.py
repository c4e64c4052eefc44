#!/usr/bin/env python3
"""What topics deliver: to queues, functions and http endpoints; filters, order, failures."""
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import urllib.error

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from harness import Server, boto_client, main
from topics import Base, Endpoint, verify, visit

WITNESS = {"main.py": """
import json
def handler(event, context):
    print("GOT " + json.dumps(event))
"""}


class FanOut(Base):
    def function(self, topic):
        name = self.create(files=WITNESS, handler="main.handler")
        arn = f"arn:aws:lambda:us-east-1:000000000000:function:{name}"
        self.client().add_permission(FunctionName=name, StatementId="sns", SourceArn=topic,
                                     Action="lambda:InvokeFunction",
                                     Principal="sns.amazonaws.com")
        return name, arn

    def events(self, name):
        logs = self.client("logs")
        try:
            found = logs.filter_log_events(logGroupName=f"/aws/lambda/{name}",
                                           filterPattern='"GOT"')["events"]
        except logs.exceptions.ResourceNotFoundException:
            return []
        return [json.loads(one["message"].split("GOT ", 1)[1]) for one in found]

    def test_one_message_for_a_queue_a_function_and_an_endpoint(self):
        topic, endpoint = self.topic(), self.endpoint()
        (url, queue), (name, function) = self.queue(), self.function(topic)
        self.subscribe(topic, "sqs", queue)
        to_function = self.subscribe(topic, "lambda", function)
        asked = self.sns.subscribe(TopicArn=topic, Protocol="http", Endpoint=endpoint.url)
        self.assertEqual(asked["SubscriptionArn"], "pending confirmation")
        headers, body = endpoint.wait(1)
        self.assertEqual(headers["x-amz-sns-message-type"], "SubscriptionConfirmation")
        confirmation = json.loads(body)
        certificate = visit(confirmation["SigningCertURL"])
        self.assertTrue(verify(confirmation, certificate))
        self.assertIn("<SubscriptionArn>", visit(confirmation["SubscribeURL"]))
        sent = self.sns.publish(TopicArn=topic, Message="héllo", Subject="S", MessageAttributes={
            "n": {"DataType": "Number", "StringValue": "7"},
            "b": {"DataType": "Binary", "BinaryValue": b"\0\1"}})["MessageId"]

        (message,) = self.take(url)
        document = json.loads(message["Body"])
        self.assertEqual(document["Message"], "héllo")
        self.assertEqual(document["MessageId"], sent)
        self.assertEqual(document["MessageAttributes"], {
            "n": {"Type": "Number", "Value": "7"}, "b": {"Type": "Binary", "Value": "AAE="}})
        self.assertTrue(verify(document, certificate))
        self.assertFalse(verify(dict(document, Message="other"), certificate))

        (event,) = self.eventually(lambda: self.events(name))
        (record,) = event["Records"]
        self.assertEqual({k: v for k, v in record.items() if k != "Sns"}, {
            "EventSource": "aws:sns", "EventVersion": "1.0", "EventSubscriptionArn": to_function})
        self.assertEqual(set(record["Sns"]), {
            "Type", "MessageId", "TopicArn", "Subject", "Message", "Timestamp", "SignatureVersion",
            "Signature", "SigningCertUrl", "UnsubscribeUrl", "MessageAttributes"})
        self.assertEqual(record["Sns"]["Message"], "héllo")
        self.assertEqual(record["Sns"]["Signature"], document["Signature"])

        headers, body = endpoint.wait(2)
        told = json.loads(body)
        self.assertEqual(headers["x-amz-sns-message-type"], "Notification")
        self.assertEqual(headers["x-amz-sns-message-id"], sent)
        self.assertEqual(headers["x-amz-sns-topic-arn"], topic)
        self.assertTrue(headers["x-amz-sns-subscription-arn"].startswith(topic + ":"))
        self.assertEqual(headers["Content-Type"], "text/plain; charset=UTF-8")
        self.assertTrue(verify(told, certificate))
        visit(told["UnsubscribeURL"])
        self.assertEqual(json.loads(endpoint.wait(3)[1])["Type"], "UnsubscribeConfirmation")
        self.assertEqual(len(self.sns.list_subscriptions_by_topic(TopicArn=topic)
                             ["Subscriptions"]), 2)

    def test_signature_version_2(self):
        topic = self.topic(SignatureVersion="2")
        url, _ = self.fan(topic)
        self.sns.publish(TopicArn=topic, Message="x")
        document = json.loads(self.take(url)[0]["Body"])
        self.assertEqual(document["SignatureVersion"], "2")
        self.assertTrue(verify(document, visit(document["SigningCertURL"])))

    def test_an_endpoint_confirms_by_its_token(self):
        topic, endpoint = self.topic(), self.endpoint()
        arn = self.subscribe(topic, "http", endpoint.url, RawMessageDelivery="true")
        pending = self.sns.get_subscription_attributes(SubscriptionArn=arn)["Attributes"]
        self.assertEqual(pending["PendingConfirmation"], "true")
        token = json.loads(endpoint.wait(1)[1])["Token"]
        self.refused("InvalidParameter", self.sns.confirm_subscription, TopicArn=topic, Token="x")
        done = self.sns.confirm_subscription(TopicArn=topic, Token=token,
                                             AuthenticateOnUnsubscribe="true")
        self.assertEqual(done["SubscriptionArn"], arn)
        self.sns.publish(TopicArn=topic, Message='{"raw": 1}')
        headers, body = endpoint.wait(2)
        self.assertEqual(body, '{"raw": 1}')
        self.assertEqual(headers["x-amz-sns-rawdelivery"], "true")
        with self.assertRaises(urllib.error.HTTPError):
            visit(f"{self.server.url}/_mayfly/sns/?Action=Unsubscribe&SubscriptionArn={arn}")
        self.sns.unsubscribe(SubscriptionArn=arn)

    def test_https_with_a_certificate_the_machine_trusts(self):
        with tempfile.TemporaryDirectory() as folder:
            pair = [os.path.join(folder, name) for name in ("cert.pem", "key.pem")]
            subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days",
                            "2", "-subj", "/CN=here", "-addext",
                            "subjectAltName=IP:127.0.0.1", "-out",
                            pair[0], "-keyout", pair[1]], check=True, capture_output=True)
            endpoint = Endpoint(pair)
            self.addCleanup(endpoint.stop)
            os.environ["SSL_CERT_FILE"] = pair[0]
            try:
                server = Server()
            finally:
                del os.environ["SSL_CERT_FILE"]
            try:
                sns = boto_client(server.url, "sns")
                topic = sns.create_topic(Name="secure")["TopicArn"]
                sns.subscribe(TopicArn=topic, Protocol="https", Endpoint=endpoint.url)
                visit(json.loads(endpoint.wait(1)[1])["SubscribeURL"])
                sns.publish(TopicArn=topic, Message="secret")
                self.assertEqual(json.loads(endpoint.wait(2)[1])["Message"], "secret")
            finally:
                self.assertEqual(server.stop(), 0)

    def test_bodies_by_protocol(self):
        topic, endpoint = self.topic(), self.endpoint()
        url, _ = self.fan(topic, RawMessageDelivery="true")
        self.subscribe(topic, "http", endpoint.url)
        visit(json.loads(endpoint.wait(1)[1])["SubscribeURL"])
        self.sns.publish(TopicArn=topic, MessageStructure="json", Message=json.dumps(
            {"default": "d", "http": "for hooks"}))
        self.assertEqual(self.take(url)[0]["Body"], "d")
        document = json.loads(endpoint.wait(2)[1])
        self.assertEqual(document["Message"], "for hooks")
        self.assertTrue(verify(document, visit(document["SigningCertURL"])))

    def test_raw_messages_with_attributes(self):
        topic = self.topic()
        url, _ = self.fan(topic, RawMessageDelivery="true")
        attributes = {f"a{i}": {"DataType": "String", "StringValue": str(i)} for i in range(10)}
        attributes["a0"] = {"DataType": "Binary", "BinaryValue": b"\xff\0"}
        self.sns.publish(TopicArn=topic, Message="raw", MessageAttributes=attributes)
        (message,) = self.take(url)
        self.assertEqual(message["Body"], "raw")
        self.assertEqual(message["MessageAttributes"], attributes)
        self.assertEqual(message["Attributes"]["SenderId"], "sns.amazonaws.com")

    def test_filters_by_attributes_and_by_body(self):
        topic = self.topic()
        by_attribute, arn = self.fan(topic, RawMessageDelivery="true", FilterPolicy=json.dumps(
            {"store": ["example_corp", {"prefix": "eu-"}], "price": [{"numeric": [">=", 100]}]}))
        by_body, _ = self.fan(topic, RawMessageDelivery="true", FilterPolicyScope="MessageBody",
                              FilterPolicy=json.dumps({"order": {"kind": ["book", "pen"]}}))
        tagged, _ = self.fan(topic, RawMessageDelivery="true", FilterPolicy=json.dumps(
            {"tags": [{"anything-but": ["red"]}], "old": [{"exists": False}]}))

        def publish(message, **attributes):
            types = {str: "String", int: "Number", list: "String.Array"}
            self.sns.publish(TopicArn=topic, Message=message, MessageAttributes={
                name: {"DataType": types[type(value)], "StringValue":
                       value if isinstance(value, str) else json.dumps(value)}
                for name, value in attributes.items()})
        publish("one", store="eu-1", price=100)
        publish("two", store="eu-1", price=99)
        publish(json.dumps({"order": {"kind": "pen"}}), store="example_corp", price=500)
        publish("three", tags=["red", "blue"])
        publish("four", tags=["red"])
        publish("five", tags=["blue"], old="yes")
        got = {m["Body"] for m in self.take(by_attribute, 2)}
        self.assertEqual(got, {"one", '{"order": {"kind": "pen"}}'})
        self.assertEqual(self.take(by_body)[0]["Body"], '{"order": {"kind": "pen"}}')
        self.assertEqual(self.take(tagged)[0]["Body"], "three")
        self.none(tagged)
        self.sns.set_subscription_attributes(SubscriptionArn=arn, AttributeName="FilterPolicy",
                                             AttributeValue="{}")
        publish("all")
        self.assertEqual(self.take(by_attribute)[0]["Body"], "all")
        self.refused("InvalidParameter", self.sns.set_subscription_attributes, SubscriptionArn=arn,
                     AttributeName="FilterPolicy", AttributeValue='{"a":{"b":["c"]}}')

    def test_a_batch_in_part(self):
        topic = self.topic()
        url, _ = self.fan(topic, RawMessageDelivery="true")
        done = self.sns.publish_batch(TopicArn=topic, PublishBatchRequestEntries=[
            {"Id": "1", "Message": "one"}, {"Id": "2", "Message": ""},
            {"Id": "3", "Message": "three"}])
        self.assertEqual([s["Id"] for s in done["Successful"]], ["1", "3"])
        self.assertEqual([(f["Id"], f["Code"]) for f in done["Failed"]],
                         [("2", "InvalidParameter")])
        self.assertEqual({m["Body"] for m in self.take(url, 2)}, {"one", "three"})
        self.refused("BatchEntryIdsNotDistinct", self.sns.publish_batch, TopicArn=topic,
                     PublishBatchRequestEntries=[{"Id": "1", "Message": "x"}] * 2)
        self.refused("TooManyEntriesInBatchRequest", self.sns.publish_batch, TopicArn=topic,
                     PublishBatchRequestEntries=[{"Id": str(i), "Message": "x"}
                                                 for i in range(11)])
        self.refused("EmptyBatchRequest", self.sns.publish_batch, TopicArn=topic,
                     PublishBatchRequestEntries=[])

    def test_order_and_deduplication(self):
        topic = self.topic(".fifo", ContentBasedDeduplication="true")
        url, _ = self.fan(topic, ".fifo", RawMessageDelivery="true")
        plain, _ = self.fan(topic)
        numbers = []
        for i in range(12):
            sent = self.sns.publish(TopicArn=topic, Message=f"{i:02d}", MessageGroupId=f"g{i % 2}")
            numbers.append(sent["SequenceNumber"])
        self.assertEqual(numbers, sorted(set(numbers)))
        again = self.sns.publish(TopicArn=topic, Message="00", MessageGroupId="g0")
        self.assertEqual(again["SequenceNumber"], numbers[0])
        messages = self.take(url, 12)
        for group in ("g0", "g1"):
            bodies = [m["Body"] for m in messages if m["Attributes"]["MessageGroupId"] == group]
            self.assertEqual(bodies, sorted(bodies))
        documents = [json.loads(m["Body"]) for m in self.take(plain, 12)]
        self.assertEqual({d["SequenceNumber"] for d in documents}, set(numbers))
        self.none(url)
        self.advance("5m")
        self.sns.publish(TopicArn=topic, Message="00", MessageGroupId="g0")
        self.assertEqual(self.take(url)[0]["Body"], "00")
        self.refused("InvalidParameter", self.sns.publish, TopicArn=topic, Message="x")
        _, queue = self.queue(".fifo")
        self.refused("InvalidParameter", self.sns.subscribe, TopicArn=self.topic(), Protocol="sqs",
                     Endpoint=queue)


class Failures(Base):
    def dead(self):
        url, arn = self.queue()
        return url, json.dumps({"deadLetterTargetArn": arn})

    def test_a_queue_that_does_not_let_the_topic_in(self):
        topic, (dead, redrive) = self.topic(), self.dead()
        closed, arn = self.queue(policy=None)
        self.subscribe(topic, "sqs", arn, RedrivePolicy=redrive)
        self.sns.publish(TopicArn=topic, Message="no way")
        self.assertEqual(json.loads(self.take(dead)[0]["Body"])["Message"], "no way")
        self.none(closed)

    def test_a_function_that_is_gone(self):
        topic, (dead, redrive) = self.topic(), self.dead()
        self.subscribe(topic, "lambda", "arn:aws:lambda:us-east-1:000000000000:function:none",
                       RedrivePolicy=redrive)
        self.sns.publish(TopicArn=topic, Message="nobody")
        self.assertEqual(json.loads(self.take(dead)[0]["Body"])["Message"], "nobody")

    def test_an_endpoint_is_tried_again_as_its_policy_says(self):
        topic, endpoint, (dead, redrive) = self.topic(), self.endpoint(), self.dead()
        arn = self.subscribe(topic, "http", endpoint.url, RedrivePolicy=redrive,
                             DeliveryPolicy=json.dumps({"healthyRetryPolicy": {
                                 "numRetries": 2, "minDelayTarget": 60, "maxDelayTarget": 120,
                                 "backoffFunction": "exponential"}}))
        visit(json.loads(endpoint.wait(1)[1])["SubscribeURL"])
        policy = self.sns.get_subscription_attributes(SubscriptionArn=arn)["Attributes"]
        self.assertEqual(json.loads(policy["EffectiveDeliveryPolicy"])["healthyRetryPolicy"]
                         ["backoffFunction"], "exponential")
        endpoint.statuses = [503, 500, 502, 503]
        self.sns.publish(TopicArn=topic, Message="try")
        endpoint.wait(2)
        self.waiting(1)
        self.advance("60s")
        endpoint.wait(3)
        self.waiting(1)
        self.none(dead)
        self.advance("120s")
        endpoint.wait(4)
        document = json.loads(self.take(dead)[0]["Body"])
        self.assertEqual(document["Message"], "try")
        self.assertEqual({h["x-amz-sns-message-id"] for h, _ in endpoint.got[1:]},
                         {document["MessageId"]})
        # One that comes back in time.
        endpoint.statuses = [503]
        self.sns.publish(TopicArn=topic, Message="again")
        endpoint.wait(5)
        self.waiting(1)
        self.advance("60s")
        self.assertEqual(json.loads(endpoint.wait(6)[1])["Message"], "again")
        self.waiting(0)

    def waiting(self, count):
        """Until so many deliveries wait: what failed is noted just after its answer."""
        def look():
            text = visit(self.server.url + "/_mayfly/metrics")
            return f"\nmayfly_topic_deliveries_waiting {count}\n" in text
        self.eventually(look)

    def test_a_policy_that_is_none(self):
        topic, endpoint = self.topic(), self.endpoint()
        for policy in ({"healthyRetryPolicy": {"numRetries": 101}},
                       {"healthyRetryPolicy": {"minDelayTarget": 30}},
                       {"throttlePolicy": {"maxReceivesPerSecond": 0}}):
            self.refused("InvalidParameter", self.sns.subscribe, TopicArn=topic, Protocol="http",
                         Endpoint=endpoint.url, Attributes={"DeliveryPolicy": json.dumps(policy)})


if __name__ == "__main__":
    main()
