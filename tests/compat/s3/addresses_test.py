"""How requests reach the object store: keys, hosts, presigned URLs, nobody's requests, streams."""
import http.client
import pathlib
import re
import subprocess
import sys
import urllib.error
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
import harness  # noqa: E402
from harness import Compat, Server, boto_client, client_env

MIB = 1 << 20


class Addresses(Compat):
    def setUp(self):
        self.s3 = self.client("s3")
        self.bucket = self.name("bucket")
        self.s3.create_bucket(Bucket=self.bucket)

    @staticmethod
    def ask(url, method="GET", body=None, headers=None):
        # urllib names a type by itself, which version 2 of the signature covers.
        fields = {"Content-Type": ""} | (headers or {})
        request = urllib.request.Request(url, body, fields, method=method)
        try:
            with urllib.request.urlopen(request) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    def test_keys_are_taken_as_they_are(self):
        keys = ["a//b", "a/../b", "./x", "x/", "a b+c", "%41", "ü/ß", "q?x=1&y", "#1"]
        for key in keys:
            self.s3.put_object(Bucket=self.bucket, Key=key, Body=key.encode())
        listed = [o["Key"] for o in self.s3.list_objects_v2(Bucket=self.bucket)["Contents"]]
        self.assertEqual(listed, sorted(keys, key=str.encode))
        for key in keys:
            body = self.s3.get_object(Bucket=self.bucket, Key=key)["Body"].read()
            self.assertEqual(body, key.encode())

    def test_presigned_urls(self):
        for region in ("us-east-1", "eu-central-1"):  # versions 2 and 4 of the signature
            client = boto_client(self.server.url, "s3", region)
            params = {"Bucket": self.bucket, "Key": f"of {region}"}
            put = client.generate_presigned_url("put_object", Params=params)
            self.assertEqual("X-Amz-Signature" in put, region != "us-east-1")
            self.assertEqual(self.ask(put, "PUT", b"hello")[0], 200)
            get = client.generate_presigned_url("get_object", Params=params)
            self.assertEqual(self.ask(get), (200, b"hello"))
            late = client.generate_presigned_url("get_object", Params=params, ExpiresIn=-1)
            status, text = self.ask(late)
            self.assertIn((status, b"AccessDenied" in text), [(403, True), (400, False)])

    def test_the_bucket_in_the_host(self):
        url = self.s3.generate_presigned_url("put_object", {"Bucket": self.bucket, "Key": "k"})
        query = url.partition("?")[2]
        for host in (f"{self.bucket}.s3.localhost", f"{self.bucket}.s3.us-east-1.localhost",
                     f"{self.bucket}.localhost"):
            status, _ = self.ask(f"{self.server.url}/k?{query}", "PUT", host.encode(),
                                 {"Host": host})
            self.assertEqual(status, 200)
            body = self.s3.get_object(Bucket=self.bucket, Key="k")["Body"].read()
            self.assertEqual(body, host.encode())

    def test_nobody_is_denied(self):
        status, text = self.ask(f"{self.server.url}/{self.bucket}/k")
        self.assertEqual(status, 403)
        self.assertIn(b"<Code>AccessDenied</Code>", text)

    def test_an_upload_is_never_whole_in_memory(self):
        url = self.s3.generate_presigned_url("put_object", {"Bucket": self.bucket, "Key": "big"})
        path = url[url.index("/", 8):]
        before = self.memory()
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port)
        connection.putrequest("PUT", path)
        connection.putheader("Content-Length", str(192 * MIB))
        connection.endheaders()
        piece = b"x" * MIB
        most = 0
        for _ in range(192):
            connection.send(piece)
            most = max(most, self.memory())
        self.assertEqual(connection.getresponse().status, 200)
        connection.close()
        self.assertLess(most - before, 64 * MIB)
        head = self.s3.head_object(Bucket=self.bucket, Key="big")
        self.assertEqual(head["ContentLength"], 192 * MIB)

    def memory(self):
        status = pathlib.Path(f"/proc/{self.server.process.pid}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0]) * 1024


class Signatures(Compat):
    """With keys whose signatures are looked at."""

    def test_real_signatures(self):
        closed = Server(dev=False)
        self.addCleanup(closed.stop)
        self.eventually(lambda: re.search(r"AKIA[A-Z0-9]{16}", "".join(closed.output)), 5)
        text = "".join(closed.output)
        key = re.search(r"AKIA[A-Z0-9]{16}", text)[0]
        secret = re.search(r"(?<![A-Za-z0-9/+])[A-Za-z0-9/+]{40}(?![A-Za-z0-9/+])", text)[0]
        for region in ("us-east-1", "eu-central-1"):
            bucket = self.name("bucket")
            s3 = boto_client(closed.url, "s3", region, key, secret)
            place = {} if region == "us-east-1" else {
                "CreateBucketConfiguration": {"LocationConstraint": region}}
            s3.create_bucket(Bucket=bucket, **place)
            params = {"Bucket": bucket, "Key": "a//b c+ü"}
            s3.put_object(**params, Body=b"hello", Metadata={"a": "b"})
            get = s3.generate_presigned_url("get_object", params)
            self.assertEqual(Addresses.ask(get), (200, b"hello"))
            status, body = Addresses.ask(get.replace("a//b", "a//x"))
            self.assertEqual(status, 403)
            self.assertIn(b"<Code>SignatureDoesNotMatch</Code>", body)
            put = s3.generate_presigned_url("put_object", params)
            self.assertEqual(Addresses.ask(put, "PUT", b"more")[0], 200)
            self.assertEqual(s3.get_object(**params)["Body"].read(), b"more")
            env = client_env(closed.url, key, region) | {"AWS_SECRET_ACCESS_KEY": secret}
            url = subprocess.run(
                ["aws", "--endpoint-url", closed.url, "s3", "presign", f"s3://{bucket}/a//b c+ü"],
                env=env, check=True, capture_output=True, text=True).stdout.strip()
            self.assertEqual(Addresses.ask(url), (200, b"more"))
        wrong = boto_client(closed.url, "s3", key=key, secret="x" * 40)
        self.refused("SignatureDoesNotMatch", wrong.list_buckets)
        self.refused("SignatureDoesNotMatch", wrong.put_object, **params, Body=b"x")
        self.refused("InvalidAccessKeyId", boto_client(closed.url, "s3").list_buckets)


if __name__ == "__main__":
    harness.main()
