#!/usr/bin/env python3
"""What is secret of connections: used for calls, and nowhere to be read in the data folder."""
import base64
import pathlib
import sys
import tempfile
import urllib.parse

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
import harness  # noqa: E402
import world  # noqa: E402


class Secrets(world.Events):
    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.start()

    def start(self):
        self.own = harness.Server(data=str(self.folder))
        self.addCleanup(self.own.stop)
        self.events = harness.boto_client(self.own.url, "events")

    def endpoint(self):
        out = world.Endpoint()
        self.addCleanup(out.close)
        return out

    def target(self, name, endpoint, **auth):
        made = self.events.create_connection(Name=name, **auth)
        target = self.events.create_api_destination(
            Name=name, ConnectionArn=made["ConnectionArn"], HttpMethod="POST",
            InvocationEndpoint=f"{endpoint.url}/{name}")
        self.events.put_rule(Name=name, EventPattern='{"source": ["%s"]}' % self.source)
        self.events.put_targets(Rule=name, Targets=[
            {"Id": "1", "Arn": target["ApiDestinationArn"]}])

    def found(self, secret):
        """Files that have it in them, in any of the forms in which it travels."""
        forms = {secret.encode(), urllib.parse.quote(secret).encode()}
        # Of a text in base64, what does not depend on its neighbours.
        for ahead in range(3):
            forms.add(base64.b64encode(b" " * ahead + secret.encode())[4:-4])
        return [str(file) for file in self.folder.rglob("*") if file.is_file()
                and any(form in file.read_bytes() for form in forms)]

    def test_secrets_are_sealed_and_used(self):
        endpoint = self.endpoint()
        secrets = {kind: f"{kind}+{self.name()}/s3cr3t" for kind in (
            "key", "password", "client", "header", "query", "body", "changed")}
        self.target("key", endpoint, AuthorizationType="API_KEY", AuthParameters={
            "ApiKeyAuthParameters": {"ApiKeyName": "X-Key", "ApiKeyValue": secrets["key"]},
            "InvocationHttpParameters": {
                "HeaderParameters": [{"Key": "X-Secret", "Value": secrets["header"],
                                      "IsValueSecret": True}],
                "QueryStringParameters": [{"Key": "q", "Value": secrets["query"],
                                           "IsValueSecret": True}],
                "BodyParameters": [{"Key": "b", "Value": secrets["body"],
                                    "IsValueSecret": True}]}})
        self.target("basic", endpoint, AuthorizationType="BASIC", AuthParameters={
            "BasicAuthParameters": {"Username": "user", "Password": secrets["password"]}})
        self.target("oauth", endpoint, AuthorizationType="OAUTH_CLIENT_CREDENTIALS",
                    AuthParameters={"OAuthParameters": {
                        "AuthorizationEndpoint": endpoint.url + "/token", "HttpMethod": "POST",
                        "ClientParameters": {"ClientID": "id",
                                             "ClientSecret": secrets["client"]}}})
        self.put({"n": 1})
        self.check_calls(endpoint, secrets, secrets["password"])
        self.check_folder(secrets)
        self.events.update_connection(Name="basic", AuthParameters={
            "BasicAuthParameters": {"Username": "user", "Password": secrets["changed"]}})
        self.own.kill()
        self.own.stop()
        self.check_folder(secrets)
        self.start()
        endpoint.calls.clear()
        self.put({"n": 2})
        self.check_calls(endpoint, secrets, secrets["changed"])
        self.assertEqual(self.own.stop(), 0)
        self.check_folder(secrets)

    def check_calls(self, endpoint, secrets, password):
        for path in ("/key", "/basic", "/oauth"):
            self.eventually(lambda path=path: endpoint.of(path))
        (call,) = endpoint.of("/key")
        self.assertEqual((call["headers"]["X-Key"], call["headers"]["X-Secret"]),
                         (secrets["key"], secrets["header"]))
        query = urllib.parse.parse_qs(urllib.parse.urlsplit(call["path"]).query)
        self.assertEqual(query, {"q": [secrets["query"]]})
        self.assertIn(secrets["body"], call["body"])
        self.assertEqual(endpoint.of("/basic")[0]["headers"]["Authorization"],
                         "Basic " + base64.b64encode(f"user:{password}".encode()).decode())
        self.assertEqual(endpoint.of("/token")[0]["headers"]["Authorization"], "Basic " +
                         base64.b64encode(f"id:{secrets['client']}".encode()).decode())
        self.assertRegex(endpoint.of("/oauth")[0]["headers"]["Authorization"], r"^Bearer t\d+$")

    def check_folder(self, secrets):
        for kind, secret in secrets.items():
            self.assertEqual(self.found(secret), [], kind)
        self.assertTrue(self.found("connection/basic"), "the search works")
        self.assertEqual((self.folder / "bus.key").stat().st_mode & 0o777, 0o600)

    def test_without_its_key_a_connection_authorises_nothing(self):
        endpoint = self.endpoint()
        self.target("basic", endpoint, AuthorizationType="BASIC", AuthParameters={
            "BasicAuthParameters": {"Username": "user", "Password": "p"}})
        self.own.stop()
        (self.folder / "bus.key").unlink()
        self.start()
        self.put({"n": 1})
        self.assertEqual(self.events.describe_connection(Name="basic")["Name"], "basic")
        self.refused("InternalException", self.events.update_connection, Name="basic",
                     AuthParameters={"BasicAuthParameters": {"Username": "u", "Password": "p"}})
        self.assertEqual(endpoint.calls, [])


if __name__ == "__main__":
    harness.main()
