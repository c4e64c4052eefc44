#!/usr/bin/env python3
"""Code of functions and layers as objects of buckets, by boto3 and the aws CLI."""
import base64
import hashlib
import io
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest
import zipfile

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
import harness  # noqa: E402
from harness import Compat, Server, client_env, cli_version_2, make_zip, ROLE  # noqa: E402

MIB = 1 << 20
GET_OBJECT = "Error occurred while GetObject. S3 Error Code: "


def source(word):
    return make_zip({"main.py": f"def handler(event, context):\n    return {word!r}\n"})


def sha256_of(package):
    return base64.b64encode(hashlib.sha256(package).digest()).decode()


class CodeFromBucket(Compat):
    def setUp(self):
        self.lambdas, self.s3 = self.client(), self.client("s3")
        self.bucket = self.name("code")
        self.s3.create_bucket(Bucket=self.bucket)

    def put(self, key, package):
        self.s3.put_object(Bucket=self.bucket, Key=key, Body=package)
        return package

    def make(self, name=None, client=None, role=ROLE, **code):
        """Asks for a function with that code; answers its configuration."""
        name = name or self.name()
        made = (client or self.lambdas).create_function(
            FunctionName=name, Runtime="python3.11", Handler="main.handler", Role=role, Code=code)
        self.addCleanup(harness.forget, client or self.lambdas, name)
        return made

    def refusal(self, code="InvalidParameterValueException", client=None, **where):
        return self.refused(code, self.make, client=client, **where)

    def test_create_and_update(self):
        one = self.put("releases/v 1/ü+%.zip", source("one"))
        name = self.name()
        made = self.make(name, S3Bucket=self.bucket, S3Key="releases/v 1/ü+%.zip")
        self.assertEqual((made["CodeSha256"], made["CodeSize"]), (sha256_of(one), len(one)))
        self.assertEqual(self.invoke(name)[0], "one")
        two = self.put("two.zip", source("two"))
        where = {"FunctionName": name, "S3Bucket": self.bucket, "S3Key": "two.zip"}
        tried = self.lambdas.update_function_code(**where, DryRun=True)
        self.assertEqual(tried["CodeSha256"], sha256_of(two))
        self.assertEqual(self.invoke(name)[0], "one")
        changed = self.lambdas.update_function_code(**where, Publish=True)
        self.assertEqual((changed["CodeSha256"], changed["Version"]), (sha256_of(two), "1"))
        self.updated(name)
        self.assertEqual(self.invoke(name)[0], "two")
        changed = self.lambdas.update_function_code(**where, S3ObjectVersion="null")
        self.assertEqual(changed["CodeSha256"], sha256_of(two))
        self.updated(name)
        # What is deployed is a copy.
        self.put("two.zip", source("three"))
        self.s3.delete_object(Bucket=self.bucket, Key="releases/v 1/ü+%.zip")
        self.assertEqual(self.invoke(name)[0], "two")

    def test_layer(self):
        package = self.put("layer.zip", make_zip({"python/word.py": "WORD = 'layered'\n"}))
        layer = self.lambdas.publish_layer_version(
            LayerName=self.name("layer"), Content={"S3Bucket": self.bucket, "S3Key": "layer.zip"})
        self.assertEqual(layer["Content"]["CodeSha256"], sha256_of(package))
        name = self.create(files={"lambda_function.py": (
            "import word\ndef lambda_handler(event, context):\n    return word.WORD\n")},
            Layers=[layer["LayerVersionArn"]])
        self.assertEqual(self.invoke(name)[0], "layered")
        message = self.refused(
            "InvalidParameterValueException", self.lambdas.publish_layer_version,
            LayerName=self.name("layer"), Content={"S3Bucket": self.bucket, "S3Key": "none"})
        self.assertTrue(message.startswith(GET_OBJECT + "NoSuchKey."), message)

    def test_what_is_not_there(self):
        self.assertEqual(self.refusal(S3Bucket=self.bucket, S3Key="none.zip"), GET_OBJECT +
                         "NoSuchKey. S3 Error Message: The specified key does not exist.")
        self.assertEqual(self.refusal(S3Bucket=self.name("no"), S3Key="none.zip"), GET_OBJECT +
                         "NoSuchBucket. S3 Error Message: The specified bucket does not exist")
        name = self.name()
        self.put("one.zip", source("one"))
        self.make(name, S3Bucket=self.bucket, S3Key="one.zip")
        self.invoke(name)
        message = self.refused("InvalidParameterValueException", self.lambdas.update_function_code,
                               FunctionName=name, S3Bucket=self.bucket, S3Key="none.zip")
        self.assertTrue(message.startswith(GET_OBJECT + "NoSuchKey."), message)
        self.assertEqual(self.invoke(name)[0], "one")

    def test_other_regions_and_accounts(self):
        self.put("one.zip", source("one"))
        where = {"S3Bucket": self.bucket, "S3Key": "one.zip"}
        self.assertEqual(
            self.refusal(client=self.client(region="eu-west-1"), **where), GET_OBJECT +
            "PermanentRedirect. S3 Error Message: The bucket is in this region: us-east-1. Please "
            "use this region to retry the request")
        message = self.refusal("AccessDeniedException", self.client(key="111111111111"),
                               role="arn:aws:iam::111111111111:role/r", **where)
        self.assertEqual(
            message, "Your access has been denied by S3, please make sure your request credentials "
            f"have permission to GetObject for {self.bucket}/one.zip. S3 Error Code: AccessDenied. "
            "S3 Error Message: Access Denied")

    def test_what_is_no_package(self):
        self.put("text", b"no zip")
        self.assertIn("Could not unzip uploaded file",
                      self.refusal(S3Bucket=self.bucket, S3Key="text"))
        self.put("empty", b"")
        self.assertIn("non-empty zip", self.refusal(S3Bucket=self.bucket, S3Key="empty"))
        self.assertIn("provide a source", self.refusal(S3Bucket=self.bucket))
        self.assertIn("other FunctionCode parameters", self.refusal(
            S3Bucket=self.bucket, S3Key="text", ZipFile=source("one")))

    def test_more_than_a_request_could_carry(self):
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
            archive.writestr("main.py", (
                "import os\ndef handler(event, context):\n"
                "    return os.path.getsize(os.path.join(os.path.dirname(__file__), 'data'))\n"))
            archive.writestr("data", os.urandom(MIB) * 80)
        package = out.getvalue()
        self.s3.upload_fileobj(io.BytesIO(package), self.bucket, "large.zip")  # in parts
        name = self.name()
        made = self.make(name, S3Bucket=self.bucket, S3Key="large.zip")
        self.assertEqual((made["CodeSha256"], made["CodeSize"]), (sha256_of(package), len(package)))
        self.assertEqual(self.invoke(name)[0], 80 * MIB)

    def test_too_large_unzipped(self):
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("data", bytes(251 * MIB))
        self.put("bomb.zip", out.getvalue())
        self.assertEqual(self.refusal(S3Bucket=self.bucket, S3Key="bomb.zip"),
                         "Unzipped size must be smaller than 262144000 bytes")

    @unittest.skipUnless(cli_version_2(), "the aws CLI is not installed")
    def test_aws_cli(self):
        def aws(*words):
            run = subprocess.run([cli_version_2(), "--endpoint-url", self.server.url, *words,
                                  "--output", "json"], text=True, capture_output=True,
                                 env=client_env(self.server.url))
            self.assertEqual(run.returncode, 0, run.stderr)
            return run.stdout

        with tempfile.TemporaryDirectory() as folder:
            package = pathlib.Path(folder, "code.zip")
            package.write_bytes(source("by hand"))
            aws("s3", "cp", str(package), f"s3://{self.bucket}/by/hand.zip")
            name = self.name()
            made = json.loads(aws(
                "lambda", "create-function", "--function-name", name, "--runtime", "python3.11",
                "--handler", "main.handler", "--role", ROLE,
                "--code", f"S3Bucket={self.bucket},S3Key=by/hand.zip"))
            self.addCleanup(harness.forget, self.lambdas, name)
            self.assertEqual(made["CodeSha256"], sha256_of(package.read_bytes()))
            aws("lambda", "wait", "function-active-v2", "--function-name", name)
            self.assertEqual(self.invoke(name)[0], "by hand")
            package.write_bytes(source("again"))
            aws("s3", "cp", str(package), f"s3://{self.bucket}/by/hand.zip")
            aws("lambda", "update-function-code", "--function-name", name, "--s3-bucket",
                self.bucket, "--s3-key", "by/hand.zip")
            self.updated(name)
            self.assertEqual(self.invoke(name)[0], "again")
            layer = json.loads(aws(
                "lambda", "publish-layer-version", "--layer-name", self.name("layer"),
                "--content", f"S3Bucket={self.bucket},S3Key=by/hand.zip"))
            self.assertEqual(layer["Content"]["CodeSha256"], sha256_of(package.read_bytes()))


class AfterAKill(unittest.TestCase):
    def test_code_outlives_its_bucket_and_the_server(self):
        with tempfile.TemporaryDirectory() as data:
            server = Server(data=data)
            s3 = harness.boto_client(server.url, "s3")
            s3.create_bucket(Bucket="code")
            s3.put_object(Bucket="code", Key="k", Body=source("kept"))
            harness.boto_client(server.url).create_function(
                FunctionName="f", Runtime="python3.11", Handler="main.handler", Role=ROLE,
                Code={"S3Bucket": "code", "S3Key": "k"})
            s3.delete_object(Bucket="code", Key="k")
            server.kill()
            server.stop()
            server = Server(data=data)
            self.addCleanup(server.stop)
            answer = harness.boto_client(server.url).invoke(FunctionName="f")
            self.assertEqual(json.loads(answer["Payload"].read()), "kept")


if __name__ == "__main__":
    harness.main()
