"""Versions of objects, by boto3."""
import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
import harness


class Versions(harness.Compat):
    def setUp(self):
        self.s3 = self.client("s3")
        self.bucket = self.name("bucket")
        self.s3.create_bucket(Bucket=self.bucket)

    def keep(self, status="Enabled"):
        self.s3.put_bucket_versioning(Bucket=self.bucket,
                                      VersioningConfiguration={"Status": status})

    def put(self, body, key="k"):
        return self.s3.put_object(Bucket=self.bucket, Key=key, Body=body).get("VersionId")

    def get(self, key="k", **more):
        return self.s3.get_object(Bucket=self.bucket, Key=key, **more)["Body"].read()

    def test_versions(self):
        self.assertNotIn("Status", self.s3.get_bucket_versioning(Bucket=self.bucket))
        self.assertIsNone(self.put(b"null"))
        self.keep()
        self.assertEqual(self.s3.get_bucket_versioning(Bucket=self.bucket)["Status"], "Enabled")
        one, two = self.put(b"one"), self.put(b"two" * 20_000)
        self.assertEqual((self.get(VersionId=one), self.get(VersionId="null")), (b"one", b"null"))
        head = self.s3.head_object(Bucket=self.bucket, Key="k")
        self.assertEqual((head["VersionId"], head["ContentLength"]), (two, 60_000))
        gone = self.s3.delete_object(Bucket=self.bucket, Key="k")
        self.assertTrue(gone["DeleteMarker"])
        self.refused("NoSuchKey", self.get)
        self.refused("404", self.s3.head_object, Bucket=self.bucket, Key="k")
        self.refused("405", self.s3.head_object, Bucket=self.bucket, Key="k",
                     VersionId=gone["VersionId"])
        self.refused("NoSuchVersion", self.get, VersionId="f" * 16)
        listed = self.s3.list_object_versions(Bucket=self.bucket)
        self.assertEqual([(v["VersionId"], v["IsLatest"]) for v in listed["Versions"]],
                         [(two, False), (one, False), ("null", False)])
        (marker,) = listed["DeleteMarkers"]
        self.assertEqual((marker["VersionId"], marker["IsLatest"]), (gone["VersionId"], True))
        self.s3.copy_object(Bucket=self.bucket, Key="k", CopySource={
            "Bucket": self.bucket, "Key": "k", "VersionId": one})
        self.assertEqual(self.get(), b"one")
        self.refused("BucketNotEmpty", self.s3.delete_bucket, Bucket=self.bucket)
        self.empty()
        self.s3.delete_bucket(Bucket=self.bucket)

    def empty(self):
        for page in self.s3.get_paginator("list_object_versions").paginate(
                Bucket=self.bucket, PaginationConfig={"PageSize": 2}):
            self.s3.delete_objects(Bucket=self.bucket, Delete={"Objects": [
                {"Key": one["Key"], "VersionId": one["VersionId"]}
                for one in page.get("Versions", []) + page.get("DeleteMarkers", [])]})
        self.assertNotIn("Versions", self.s3.list_object_versions(Bucket=self.bucket))

    def test_uploads_in_parts_and_suspension(self):
        self.keep()
        upload = self.s3.create_multipart_upload(Bucket=self.bucket, Key="k")["UploadId"]
        part = self.s3.upload_part(Bucket=self.bucket, Key="k", UploadId=upload, PartNumber=1,
                                   Body=b"part")
        one = self.s3.complete_multipart_upload(
            Bucket=self.bucket, Key="k", UploadId=upload, MultipartUpload={
                "Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]})["VersionId"]
        self.keep("Suspended")
        self.assertEqual((self.put(b"a"), self.put(b"b")), ("null", "null"))
        self.assertEqual((self.get(), self.get(VersionId=one)), (b"b", b"part"))
        answer = self.s3.delete_objects(Bucket=self.bucket, Delete={"Objects": [{"Key": "k"}]})
        self.assertEqual(answer["Deleted"][0]["DeleteMarkerVersionId"], "null")
        self.empty()

    def test_notifications(self):
        sqs = self.client("sqs")
        url = sqs.create_queue(QueueName=self.name("q"), Attributes={"Policy": json.dumps({
            "Statement": [{"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": "*",
                           "Principal": {"Service": "s3.amazonaws.com"}}]})})["QueueUrl"]
        arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])[
            "Attributes"]["QueueArn"]
        self.keep()
        self.s3.put_bucket_notification_configuration(
            Bucket=self.bucket, NotificationConfiguration={"QueueConfigurations": [
                {"QueueArn": arn, "Events": ["s3:ObjectRemoved:*"]}]})
        one = self.put(b"one")
        marker = self.s3.delete_object(Bucket=self.bucket, Key="k")["VersionId"]
        self.s3.delete_object(Bucket=self.bucket, Key="k", VersionId=one)
        found = set()
        while len(found) < 2:
            for message in sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10,
                                               WaitTimeSeconds=10)["Messages"]:
                for record in json.loads(message["Body"]).get("Records", []):
                    found.add((record["eventName"], record["s3"]["object"]["versionId"]))
        self.assertEqual(found, {("ObjectRemoved:DeleteMarkerCreated", marker),
                                 ("ObjectRemoved:Delete", one)})


if __name__ == "__main__":
    harness.main()
