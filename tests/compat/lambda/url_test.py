#!/usr/bin/env python3
"""Function URLs over plain HTTP, and the package checks."""
import base64
import http.client
import io
import json
import pathlib
import sys
import urllib.parse
import zipfile

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
import harness  # noqa: E402
from harness import Compat, make_zip, ROLE  # noqa: E402

ECHO = {"lambda_function.py": "def lambda_handler(event, context):\n    return event\n"}


def returning(expression):
    return {"lambda_function.py": f"def lambda_handler(event, context):\n    return {expression}\n"}


class Urls(Compat):
    def public(self, files):
        client = self.client()
        name = self.create(files=files, client=client)
        made = client.create_function_url_config(FunctionName=name, AuthType="NONE")
        client.add_permission(FunctionName=name, StatementId="public", Principal="*",
                              Action="lambda:InvokeFunctionUrl", FunctionUrlAuthType="NONE")
        return name, made["FunctionUrl"]

    def fetch(self, url, method="GET", path="", body=None, headers=None):
        """Connects to the server itself: the name in the URL need not resolve."""
        parts = urllib.parse.urlsplit(url)
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=30)
        self.addCleanup(connection.close)
        connection.request(method, path or parts.path or "/", body=body,
                           headers={"Host": parts.netloc, **(headers or {})})
        answer = connection.getresponse()
        return answer, answer.read()

    def test_url_names_the_server_and_is_kept(self):
        name, url = self.public(ECHO)
        self.assertRegex(url, r"^http://[a-z0-9]{32}\.lambda-url\.us-east-1\.[a-z.]+:\d+/$")
        got = self.client().get_function_url_config(FunctionName=name)
        self.assertEqual((got["FunctionUrl"], got["AuthType"]), (url, "NONE"))
        self.refused("ResourceConflictException", self.client().create_function_url_config,
                     FunctionName=name, AuthType="NONE")

    def test_event_has_the_shape_of_version_2(self):
        _, url = self.public(ECHO)
        answer, body = self.fetch(url, "POST", "/a%20b/c?x=1&x=2&y=%26", b"hello",
                                  {"Content-Type": "text/plain", "X-Mixed": "Case",
                                   "Cookie": "k=v; l=w"})
        event = json.loads(body)
        self.assertEqual(answer.status, 200)
        self.assertEqual((event["version"], event["routeKey"]), ("2.0", "$default"))
        self.assertEqual(event["rawQueryString"], "x=1&x=2&y=%26")
        self.assertEqual(event["queryStringParameters"], {"x": "1,2", "y": "&"})
        self.assertEqual(event["headers"]["x-mixed"], "Case")
        self.assertEqual(event["cookies"], ["k=v", "l=w"])
        self.assertEqual((event["body"], event["isBase64Encoded"]), ("hello", False))
        context = event["requestContext"]
        self.assertEqual(context["http"]["method"], "POST")
        self.assertEqual(context["http"]["sourceIp"], "127.0.0.1")
        self.assertEqual(context["domainName"].split(".")[1], "lambda-url")

    def test_binary_body(self):
        _, url = self.public(ECHO)
        _, body = self.fetch(url, "POST", "/", b"\x00\xff\xfe",
                             {"Content-Type": "application/octet-stream"})
        event = json.loads(body)
        self.assertTrue(event["isBase64Encoded"])
        self.assertEqual(base64.b64decode(event["body"]), b"\x00\xff\xfe")

    def test_answer_with_everything(self):
        _, url = self.public(returning(
            "{'statusCode': 201, 'headers': {'X-Mine': 'yes', 'Content-Type': 'image/png'},"
            " 'cookies': ['a=1', 'b=2'], 'isBase64Encoded': True, 'body': 'AP8='}"))
        answer, body = self.fetch(url)
        self.assertEqual((answer.status, body), (201, b"\x00\xff"))
        self.assertEqual((answer.headers["X-Mine"], answer.headers["Content-Type"]),
                         ("yes", "image/png"))
        self.assertEqual(answer.headers.get_all("Set-Cookie"), ["a=1", "b=2"])

    def test_answer_without_a_status_is_json(self):
        _, url = self.public(returning("{'hello': 'world'}"))
        answer, body = self.fetch(url)
        self.assertEqual((answer.status, answer.headers["Content-Type"]), (200, "application/json"))
        self.assertEqual(json.loads(body), {"hello": "world"})

    def test_function_error_is_502(self):
        _, url = self.public(returning("1 / 0"))
        self.assertEqual(self.fetch(url)[0].status, 502)

    def test_without_permission_and_after_deletion(self):
        client = self.client()
        name, url = self.public(ECHO)
        client.remove_permission(FunctionName=name, StatementId="public")
        self.assertEqual(self.fetch(url)[0].status, 403)
        client.delete_function_url_config(FunctionName=name)
        self.assertIn(self.fetch(url)[0].status, (403, 404))

    def test_signed_url(self):
        import botocore.auth
        import botocore.awsrequest
        import botocore.credentials
        client = self.client()
        name = self.create(files=ECHO, client=client)
        url = client.create_function_url_config(FunctionName=name, AuthType="AWS_IAM")[
            "FunctionUrl"]
        self.assertEqual(self.fetch(url)[0].status, 403)
        request = botocore.awsrequest.AWSRequest("GET", url)
        botocore.auth.SigV4Auth(botocore.credentials.Credentials("test", "test"), "lambda",
                                "us-east-1").add_auth(request)
        self.assertEqual(self.fetch(url, headers=dict(request.headers))[0].status, 200)


class Packages(Compat):
    """Each bad package is refused with the cloud's error."""

    def refuse(self, package, code="InvalidParameterValueException"):
        client, name = self.client(), self.name()
        message = self.refused(code, client.create_function, FunctionName=name, Handler="a.b",
                               Runtime="python3.11", Role=ROLE, Code={"ZipFile": package})
        self.refused("ResourceNotFoundException", client.get_function, FunctionName=name)
        return message

    def test_not_a_zip(self):
        self.assertIn("unzip", self.refuse(b"no zip at all"))

    def test_empty(self):
        self.refuse(b"")

    def test_cut_short(self):
        self.refuse(make_zip(ECHO)[:-30])

    def test_paths_that_lead_out(self):
        for path in ("../evil.py", "/etc/evil", "a/../../evil"):
            with self.subTest(path):
                self.refuse(make_zip({path: "x"}))

    def test_link_that_leads_out(self):
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w") as archive:
            info = zipfile.ZipInfo("link")
            info.external_attr = 0o120777 << 16
            archive.writestr(info, "/etc/passwd")
        self.refuse(out.getvalue())

    def test_names_beyond_ascii_are_fine(self):
        name = self.create(files={"größe.py": "def handler(e, c):\n    return 'ünï'\n"},
                           handler="größe.handler")
        self.assertEqual(self.invoke(name)[0], "ünï")

    def test_refused_packages_leave_nothing_behind(self):
        def files():
            return {str(path) for path in pathlib.Path(self.server.data).rglob("*")
                    if "-wal" not in path.name and "-shm" not in path.name}
        before = files()
        for package in (b"no zip at all", make_zip(ECHO)[:-30], make_zip({"../evil.py": "x"}),
                        make_zip({"a": "x", "a/b": "y"})):
            self.refuse(package)
        self.assertEqual(files() - before, set())

    def test_bomb(self):
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
            with archive.open("zeros", "w", force_zip64=True) as entry:
                for _ in range(300):
                    entry.write(bytes(1 << 20))
        self.assertIn("262144000", self.refuse(out.getvalue()))


if __name__ == "__main__":
    harness.main()
