"""Tags of objects and buckets, and policies of buckets, by boto3."""
import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
import harness

OTHER = "111111111111"


class TagsAndPolicies(harness.Compat):
    def setUp(self):
        self.s3 = self.client("s3")
        self.bucket = self.name("bucket")
        self.s3.create_bucket(Bucket=self.bucket)

    def tags(self, key):
        return self.s3.get_object_tagging(Bucket=self.bucket, Key=key)["TagSet"]

    def test_tags_of_objects(self):
        self.s3.put_object(Bucket=self.bucket, Key="k", Body=b"1", Tagging="a=1&b=x%20y")
        self.assertEqual(self.tags("k"), [{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "x y"}])
        got = self.s3.get_object(Bucket=self.bucket, Key="k")
        self.assertEqual(got["ResponseMetadata"]["HTTPHeaders"]["x-amz-tagging-count"], "2")
        self.s3.put_object_tagging(Bucket=self.bucket, Key="k", Tagging={
            "TagSet": [{"Key": "c", "Value": "ü"}]})
        self.assertEqual(self.tags("k"), [{"Key": "c", "Value": "ü"}])
        self.refused("InvalidTag", self.s3.put_object_tagging, Bucket=self.bucket, Key="k",
                     Tagging={"TagSet": [{"Key": "aws:c", "Value": "1"}]})
        self.s3.delete_object_tagging(Bucket=self.bucket, Key="k")
        self.assertEqual(self.tags("k"), [])

    def test_tags_of_buckets(self):
        self.refused("NoSuchTagSet", self.s3.get_bucket_tagging, Bucket=self.bucket)
        wanted = [{"Key": "stage", "Value": "test"}]
        self.s3.put_bucket_tagging(Bucket=self.bucket, Tagging={"TagSet": wanted})
        self.assertEqual(self.s3.get_bucket_tagging(Bucket=self.bucket)["TagSet"], wanted)
        self.s3.delete_bucket_tagging(Bucket=self.bucket)
        self.refused("NoSuchTagSet", self.s3.get_bucket_tagging, Bucket=self.bucket)

    def test_policies(self):
        other = self.client("s3", key=OTHER)
        self.s3.put_object(Bucket=self.bucket, Key="in/k", Body=b"1")
        self.refused("AccessDenied", other.get_object, Bucket=self.bucket, Key="in/k")
        policy = {"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{OTHER}:root"},
             "Action": ["s3:GetObject", "s3:PutObject"],
             "Resource": f"arn:aws:s3:::{self.bucket}/in/*"},
            {"Effect": "Deny", "Principal": "*", "Action": "s3:DeleteObject",
             "Resource": f"arn:aws:s3:::{self.bucket}/in/kept/*"}]}
        self.refused("MalformedPolicy", self.s3.put_bucket_policy, Bucket=self.bucket, Policy="{")
        self.s3.put_bucket_policy(Bucket=self.bucket, Policy=json.dumps(policy))
        self.assertEqual(json.loads(self.s3.get_bucket_policy(Bucket=self.bucket)["Policy"]),
                         policy)
        status = self.s3.get_bucket_policy_status(Bucket=self.bucket)["PolicyStatus"]
        self.assertFalse(status["IsPublic"])
        self.assertEqual(other.get_object(Bucket=self.bucket, Key="in/k")["Body"].read(), b"1")
        other.put_object(Bucket=self.bucket, Key="in/kept/k", Body=b"2")
        self.refused("AccessDenied", other.list_objects_v2, Bucket=self.bucket)
        self.refused("AccessDenied", self.s3.delete_object, Bucket=self.bucket, Key="in/kept/k")
        gone = self.s3.delete_objects(Bucket=self.bucket, Delete={"Objects": [
            {"Key": "in/k"}, {"Key": "in/kept/k"}]})
        self.assertEqual([one["Key"] for one in gone["Deleted"]], ["in/k"])
        self.assertEqual([(one["Key"], one["Code"]) for one in gone["Errors"]],
                         [("in/kept/k", "AccessDenied")])
        self.s3.delete_bucket_policy(Bucket=self.bucket)
        self.refused("NoSuchBucketPolicy", self.s3.get_bucket_policy, Bucket=self.bucket)
        self.s3.delete_object(Bucket=self.bucket, Key="in/kept/k")


if __name__ == "__main__":
    harness.main()
