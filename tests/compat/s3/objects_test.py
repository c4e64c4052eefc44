"""Buckets, objects, uploads in parts and notifications, by boto3 and the aws CLI."""
import hashlib
import io
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
import harness  # noqa: E402
from harness import Compat, Server, boto_client

MIB = 1 << 20
ALLOW = json.dumps({"Statement": [{"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": "*",
                                   "Principal": {"Service": "s3.amazonaws.com"}}]})


def some_bytes(size):
    return (b"0123456789abcdef" * (size // 16 + 1))[:size]


class Objects(Compat):
    def setUp(self):
        self.s3 = self.client("s3")
        self.bucket = self.name("bucket")
        self.s3.create_bucket(Bucket=self.bucket)

    def put(self, key, body=b"x", **more):
        return self.s3.put_object(Bucket=self.bucket, Key=key, Body=body, **more)

    def get(self, key, **more):
        return self.s3.get_object(Bucket=self.bucket, Key=key, **more)

    def test_buckets(self):
        self.assertEqual(self.s3.head_bucket(Bucket=self.bucket)["BucketRegion"], "us-east-1")
        self.assertIsNone(self.s3.get_bucket_location(Bucket=self.bucket)["LocationConstraint"])
        self.assertIn(self.bucket, [b["Name"] for b in self.s3.list_buckets()["Buckets"]])
        self.put("k")
        self.refused("BucketNotEmpty", self.s3.delete_bucket, Bucket=self.bucket)
        self.s3.delete_object(Bucket=self.bucket, Key="k")
        self.s3.delete_bucket(Bucket=self.bucket)
        self.refused("NoSuchBucket", self.s3.list_objects_v2, Bucket=self.bucket)
        self.refused("404", self.s3.head_bucket, Bucket=self.bucket)

    def test_objects_of_every_size(self):
        for size in (0, 1, 16 << 10, 100_000, 3 * MIB + 1):
            body = some_bytes(size)
            answer = self.put(f"of/{size}", body, Metadata={"color": "red"}, ContentType="text/x")
            self.assertEqual(answer["ETag"], f'"{hashlib.md5(body).hexdigest()}"')
            got = self.get(f"of/{size}", ChecksumMode="ENABLED")
            self.assertEqual(got["Body"].read(), body)
            self.assertEqual((got["ContentLength"], got["Metadata"], got["ContentType"]),
                             (size, {"color": "red"}, "text/x"))
            self.assertIn("ChecksumCRC32", got)
        head = self.s3.head_object(Bucket=self.bucket, Key="of/100000")
        self.assertEqual(head["ContentLength"], 100_000)

    def test_keys(self):
        for key in ("a b", "a+b", "ü/ä", "x//y", "a%20b", "dots/../up", "q?a=b&c"):
            self.put(key, key.encode())
            self.assertEqual(self.get(key)["Body"].read().decode(), key)
        keys = {o["Key"] for o in self.s3.list_objects_v2(Bucket=self.bucket)["Contents"]}
        self.assertEqual(keys, {"a b", "a+b", "ü/ä", "x//y", "a%20b", "dots/../up", "q?a=b&c"})

    def test_ranges_and_conditions(self):
        tag = self.put("k", b"0123456789")["ETag"]
        got = self.get("k", Range="bytes=2-4")
        self.assertEqual((got["Body"].read(), got["ContentRange"]), (b"234", "bytes 2-4/10"))
        self.assertEqual(got["ResponseMetadata"]["HTTPStatusCode"], 206)
        self.refused("InvalidRange", self.get, "k", Range="bytes=10-")
        self.refused("304", self.get, "k", IfNoneMatch=tag)
        self.refused("PreconditionFailed", self.get, "k", IfMatch='"x"')
        self.refused("PreconditionFailed", self.put, "k", IfNoneMatch="*")
        self.refused("NoSuchKey", self.get, "none")
        self.refused("404", self.s3.head_object, Bucket=self.bucket, Key="none")

    def test_lists(self):
        for key in ("a", "b/1", "b/2", "c"):
            self.put(key)
        pages = self.s3.get_paginator("list_objects_v2").paginate(
            Bucket=self.bucket, Delimiter="/", PaginationConfig={"PageSize": 1})
        found = [e.get("Key") or e.get("Prefix") for page in pages
                 for e in page.get("Contents", []) + page.get("CommonPrefixes", [])]
        self.assertEqual(found, ["a", "b/", "c"])
        self.s3.delete_objects(Bucket=self.bucket, Delete={"Objects": [
            {"Key": "a"}, {"Key": "b/1"}, {"Key": "none"}]})
        left = self.s3.list_objects(Bucket=self.bucket)["Contents"]
        self.assertEqual([o["Key"] for o in left], ["b/2", "c"])

    def test_uploads_in_parts(self):
        body = some_bytes(20 * MIB)
        self.s3.upload_fileobj(io.BytesIO(body), self.bucket, "big")
        head = self.s3.head_object(Bucket=self.bucket, Key="big")
        self.assertTrue(head["ETag"].endswith('-3"'), head["ETag"])
        attributes = self.s3.get_object_attributes(
            Bucket=self.bucket, Key="big", ObjectAttributes=["ETag", "ObjectParts", "ObjectSize"])
        self.assertEqual(attributes["ObjectSize"], 20 * MIB)
        self.assertEqual(attributes["ObjectParts"]["TotalPartsCount"], 3)
        out = io.BytesIO()
        self.s3.download_fileobj(self.bucket, "big", out)
        self.assertEqual(hashlib.md5(out.getvalue()).digest(), hashlib.md5(body).digest())
        self.s3.copy_object(Bucket=self.bucket, Key="copy",
                            CopySource={"Bucket": self.bucket, "Key": "big"})
        self.assertEqual(self.get("copy")["ETag"], f'"{hashlib.md5(body).hexdigest()}"')
        self.assertNotIn("Uploads", self.s3.list_multipart_uploads(Bucket=self.bucket))

    def test_presigned(self):
        import boto3
        import botocore.config
        s3 = boto3.client("s3", endpoint_url=self.server.url, region_name="us-east-1",
                          aws_access_key_id="test", aws_secret_access_key="test",
                          config=botocore.config.Config(signature_version="s3v4"))
        url = s3.generate_presigned_url("put_object", {"Bucket": self.bucket, "Key": "p q"})
        urllib.request.urlopen(urllib.request.Request(url, b"by url", method="PUT")).close()
        url = s3.generate_presigned_url("get_object", {"Bucket": self.bucket, "Key": "p q"})
        with urllib.request.urlopen(url) as answer:
            self.assertEqual(answer.read(), b"by url")

    def test_notifications(self):
        sqs = self.client("sqs")
        queue = sqs.create_queue(QueueName=self.name("q"), Attributes={"Policy": ALLOW})["QueueUrl"]
        arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])[
            "Attributes"]["QueueArn"]
        self.s3.put_bucket_notification_configuration(
            Bucket=self.bucket, NotificationConfiguration={"QueueConfigurations": [
                {"QueueArn": arn, "Events": ["s3:ObjectCreated:*", "s3:ObjectRemoved:*"]}]})
        self.put("a b", b"12345")
        self.s3.delete_object(Bucket=self.bucket, Key="a b")
        names = []
        while len(names) < 3:
            for message in sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10,
                                               WaitTimeSeconds=10)["Messages"]:
                body = json.loads(message["Body"])
                names.append(body.get("Event") or body["Records"][0]["eventName"])
        self.assertEqual(sorted(names), ["ObjectCreated:Put", "ObjectRemoved:Delete",
                                         "s3:TestEvent"])

    def test_command_line(self):
        environment = {**os.environ, "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test",
                       "AWS_DEFAULT_REGION": "us-east-1", "AWS_ENDPOINT_URL": self.server.url}

        def aws(*arguments):
            return subprocess.run(["aws", "s3", *arguments], env=environment, check=True,
                                  capture_output=True, text=True).stdout
        bucket = self.name("cli")
        aws("mb", f"s3://{bucket}")
        with tempfile.TemporaryDirectory() as folder:
            for name in ("one", "two"):
                pathlib.Path(folder, name).write_bytes(some_bytes(50_000))
            aws("sync", folder, f"s3://{bucket}/in")
            self.assertIn("50000 one", aws("ls", f"s3://{bucket}/in/"))
            aws("cp", f"s3://{bucket}/in/one", folder + "/back")
            self.assertEqual(pathlib.Path(folder, "back").read_bytes(), some_bytes(50_000))
        aws("rm", "--recursive", f"s3://{bucket}")
        aws("rb", f"s3://{bucket}")


class Restart(unittest.TestCase):
    def test_what_was_answered_is_there_after_a_kill(self):
        server = Server()
        data = server.data
        try:
            s3 = boto_client(server.url, "s3")
            s3.create_bucket(Bucket="kept")
            for size in (10, 100_000):
                s3.put_object(Bucket="kept", Key=str(size), Body=some_bytes(size))
            server.kill()
            again = Server(data=data)
            s3 = boto_client(again.url, "s3")
            for size in (10, 100_000):
                body = s3.get_object(Bucket="kept", Key=str(size))["Body"].read()
                self.assertEqual(body, some_bytes(size))
            again.stop()
        finally:
            server.stop()


if __name__ == "__main__":
    harness.main()
