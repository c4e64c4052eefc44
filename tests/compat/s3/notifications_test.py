"""What is told of a bucket's objects: to functions, topics and rules, by boto3."""
import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
import harness
from harness import Compat


def allow(service, action):
    return json.dumps({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": action, "Resource": "*", "Principal": {"Service": service}}]})


class Notifications(Compat):
    def setUp(self):
        self.s3, self.sqs = self.client("s3"), self.client("sqs")
        self.bucket = self.name("bucket")
        self.s3.create_bucket(Bucket=self.bucket)

    def queue(self, service):
        url = self.sqs.create_queue(QueueName=self.name("q"), Attributes={
            "Policy": allow(service, "sqs:SendMessage")})["QueueUrl"]
        return url, self.sqs.get_queue_attributes(
            QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]

    def take(self, url):
        found = self.eventually(lambda: self.sqs.receive_message(
            QueueUrl=url, WaitTimeSeconds=10).get("Messages"))
        self.sqs.delete_message(QueueUrl=url, ReceiptHandle=found[0]["ReceiptHandle"])
        return json.loads(found[0]["Body"])

    def configure(self, **what):
        self.s3.put_bucket_notification_configuration(
            Bucket=self.bucket, NotificationConfiguration=what)

    def test_function(self):
        name = self.create()
        lam, logs = self.client(), self.client("logs")
        arn = lam.get_function(FunctionName=name)["Configuration"]["FunctionArn"]
        wanted = {"LambdaFunctionArn": arn, "Events": ["s3:ObjectCreated:*"], "Filter": {
            "Key": {"FilterRules": [{"Name": "prefix", "Value": "in/"}]}}}
        # It has to let the bucket.
        self.refused("InvalidArgument", self.configure, LambdaFunctionConfigurations=[wanted])
        lam.add_permission(FunctionName=name, StatementId="s3", Action="lambda:InvokeFunction",
                           Principal="s3.amazonaws.com", SourceArn="arn:aws:s3:::" + self.bucket,
                           SourceAccount="000000000000")
        self.configure(LambdaFunctionConfigurations=[wanted])
        (kept,) = self.s3.get_bucket_notification_configuration(
            Bucket=self.bucket)["LambdaFunctionConfigurations"]
        self.assertEqual((kept["LambdaFunctionArn"], kept["Events"]), (arn, wanted["Events"]))
        self.s3.put_object(Bucket=self.bucket, Key="out/1", Body=b"no")
        self.s3.put_object(Bucket=self.bucket, Key="in/a b", Body=b"12345")
        texts = self.eventually(lambda: self.seen(logs, name))
        self.assertEqual(len(texts), 1)
        (record,) = json.loads(texts[0].removeprefix("seen "))["Records"]
        self.assertEqual((record["eventSource"], record["eventName"], record["awsRegion"]),
                         ("aws:s3", "ObjectCreated:Put", "us-east-1"))
        self.assertEqual(record["s3"]["bucket"]["name"], self.bucket)
        self.assertEqual((record["s3"]["object"]["key"], record["s3"]["object"]["size"]),
                         ("in/a+b", 5))

    @staticmethod
    def seen(logs, name):
        try:
            found = logs.filter_log_events(logGroupName="/aws/lambda/" + name)["events"]
        except logs.exceptions.ResourceNotFoundException:
            return []
        return [e["message"].strip() for e in found if e["message"].startswith("seen ")]

    def test_topic(self):
        sns = self.client("sns")
        topic = sns.create_topic(Name=self.name("t"))["TopicArn"]
        events = ["s3:ObjectRemoved:*"]
        rule = {"TopicArn": topic, "Events": events}
        self.refused("InvalidArgument", self.configure, TopicConfigurations=[rule])
        sns.set_topic_attributes(TopicArn=topic, AttributeName="Policy",
                                 AttributeValue=allow("s3.amazonaws.com", "sns:Publish"))
        url, arn = self.queue("sns.amazonaws.com")
        sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
        self.configure(TopicConfigurations=[rule])
        test = self.take(url)
        self.assertEqual(test["Subject"], "Amazon S3 Notification")
        self.assertEqual(json.loads(test["Message"])["Event"], "s3:TestEvent")
        self.s3.put_object(Bucket=self.bucket, Key="k", Body=b"1")
        self.s3.delete_object(Bucket=self.bucket, Key="k")
        (record,) = json.loads(self.take(url)["Message"])["Records"]
        self.assertEqual((record["eventName"], record["s3"]["object"]["key"]),
                         ("ObjectRemoved:Delete", "k"))

    def test_rule(self):
        events = self.client("events")
        url, arn = self.queue("events.amazonaws.com")
        rule = self.name("rule")
        events.put_rule(Name=rule, EventPattern=json.dumps({
            "source": ["aws.s3"], "detail-type": ["Object Created"],
            "detail": {"bucket": {"name": [self.bucket]}, "object": {"key": [{"suffix": ".x"}]}}}))
        events.put_targets(Rule=rule, Targets=[{"Id": "1", "Arn": arn}])
        self.configure(EventBridgeConfiguration={})
        self.s3.put_object(Bucket=self.bucket, Key="no", Body=b"1")
        self.s3.put_object(Bucket=self.bucket, Key="a b.x", Body=b"123")
        event = self.take(url)
        self.assertEqual((event["source"], event["resources"], event["detail"]["reason"]),
                         ("aws.s3", ["arn:aws:s3:::" + self.bucket], "PutObject"))
        self.assertEqual((event["detail"]["object"]["key"], event["detail"]["object"]["size"]),
                         ("a b.x", 3))
        events.remove_targets(Rule=rule, Ids=["1"])
        events.delete_rule(Name=rule)


if __name__ == "__main__":
    harness.main()
