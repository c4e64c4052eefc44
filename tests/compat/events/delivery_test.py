#!/usr/bin/env python3
"""Deliveries of EventBridge with real clients: HTTP endpoints, retries and dead letters on the
moved clock, schedules of rules."""
import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from harness import main
from world import ACCOUNT, Endpoint, Events, arn


class Endpoints(Events):
    def test_an_http_endpoint(self):
        endpoint = Endpoint()
        self.addCleanup(endpoint.close)
        name, connection = self.connection(
            AuthorizationType="API_KEY", AuthParameters={
                "ApiKeyAuthParameters": {"ApiKeyName": "x-key", "ApiKeyValue": "hidden"},
                "InvocationHttpParameters": {
                    "HeaderParameters": [{"Key": "x-more", "Value": "hush", "IsValueSecret": True}],
                    "QueryStringParameters": [{"Key": "q", "Value": "1"}],
                    "BodyParameters": [{"Key": "extra", "Value": "2"}]}})
        described = self.events.describe_connection(Name=name)
        self.assertNotIn("hidden", json.dumps(described, default=str))
        self.assertNotIn("hush", json.dumps(described, default=str))
        self.assertEqual(described["AuthParameters"]["ApiKeyAuthParameters"]["ApiKeyName"], "x-key")
        _, target = self.destination(connection, endpoint.url + "/orders/*")
        self.rule({"source": [self.source]}, {
            "Arn": target, "HttpParameters": {"PathParameterValues": ["$.detail.id"],
                                              "HeaderParameters": {"x-source": "$.source"},
                                              "QueryStringParameters": {"b": "c d"}}})
        self.put({"id": "a/7"})
        (call,) = self.eventually(lambda: endpoint.calls)
        self.assertEqual(call["path"], "/orders/a%2F7?b=c%20d&q=1")
        self.assertEqual(call["headers"]["x-key"], "hidden")
        self.assertEqual(call["headers"]["x-more"], "hush")
        self.assertEqual(call["headers"]["x-source"], self.source)
        body = json.loads(call["body"])
        self.assertEqual((body["detail"], body["extra"]), ({"id": "a/7"}, "2"))

    def test_authorisation_of_endpoints(self):
        endpoint = Endpoint()
        self.addCleanup(endpoint.close)
        _, basic = self.connection(AuthorizationType="BASIC", AuthParameters={
            "BasicAuthParameters": {"Username": "u", "Password": "p"}})
        name, oauth = self.connection(
            AuthorizationType="OAUTH_CLIENT_CREDENTIALS", AuthParameters={"OAuthParameters": {
                "AuthorizationEndpoint": endpoint.url + "/token", "HttpMethod": "POST",
                "ClientParameters": {"ClientID": "id", "ClientSecret": "secret"}}})
        _, first = self.destination(basic, endpoint.url + "/basic", method="PUT")
        _, second = self.destination(oauth, endpoint.url + "/oauth")
        self.rule({"source": [self.source]}, {"Arn": first}, {"Arn": second})
        self.put({"n": 1})
        self.put({"n": 2})
        self.eventually(lambda: len(endpoint.of("/basic")) == 2 and len(endpoint.of("/oauth")) == 2)
        self.assertEqual(endpoint.of("/basic")[0]["headers"]["Authorization"], "Basic dTpw")
        self.assertEqual(endpoint.of("/basic")[0]["method"], "PUT")
        self.assertIn("grant_type=client_credentials", endpoint.of("/token")[0]["body"])
        self.assertTrue(all(c["headers"]["Authorization"].startswith("Bearer t")
                            for c in endpoint.of("/oauth")))
        self.assertNotIn("secret", json.dumps(self.events.describe_connection(Name=name),
                                              default=str).replace("Secret", ""))
        # A token that has become worthless is replaced at once.
        tokens = endpoint.tokens
        endpoint.statuses = [401, 401]
        self.put({"n": 3})
        self.eventually(lambda: endpoint.tokens > tokens)

    def test_connections_and_destinations_are_kept(self):
        name, connection = self.connection(AuthorizationType="BASIC", AuthParameters={
            "BasicAuthParameters": {"Username": "u", "Password": "p"}})
        self.refused("ValidationException", self.events.create_connection, Name=self.name("c"),
                     AuthorizationType="API_KEY", AuthParameters={
                         "BasicAuthParameters": {"Username": "u", "Password": "p"}})
        self.events.update_connection(Name=name, Description="new", AuthParameters={
            "BasicAuthParameters": {"Username": "v"}})
        described = self.events.describe_connection(Name=name)
        self.assertEqual(described["AuthParameters"]["BasicAuthParameters"], {"Username": "v"})
        self.assertEqual(described["ConnectionState"], "AUTHORIZED")
        self.assertIn(name, [c["Name"] for c in self.events.list_connections(
            NamePrefix=name)["Connections"]])
        to, target = self.destination(connection, "https://example.com/x",
                                      InvocationRateLimitPerSecond=5)
        self.refused("ResourceNotFoundException", self.events.create_api_destination,
                     Name=self.name("d"), ConnectionArn=connection + "0", HttpMethod="GET",
                     InvocationEndpoint="https://example.com/")
        self.events.update_api_destination(Name=to, HttpMethod="PUT")
        described = self.events.describe_api_destination(Name=to)
        self.assertEqual((described["HttpMethod"], described["InvocationRateLimitPerSecond"],
                          described["ApiDestinationState"]), ("PUT", 5, "ACTIVE"))
        found = self.events.list_api_destinations(ConnectionArn=connection)["ApiDestinations"]
        self.assertEqual([d["ApiDestinationArn"] for d in found], [target])
        self.assertEqual(self.events.deauthorize_connection(Name=name)["ConnectionState"],
                         "DEAUTHORIZED")
        self.assertEqual(self.events.describe_api_destination(Name=to)["ApiDestinationState"],
                         "INACTIVE")


    def test_no_more_calls_than_the_rate(self):
        endpoint = Endpoint()
        self.addCleanup(endpoint.close)
        _, connection = self.connection(AuthorizationType="BASIC", AuthParameters={
            "BasicAuthParameters": {"Username": "u", "Password": "p"}})
        _, target = self.destination(connection, endpoint.url + "/x",
                                     InvocationRateLimitPerSecond=1)
        self.clock(freeze=True)
        try:
            self.rule({"source": [self.source]}, {"Arn": target})
            for n in range(3):
                self.put({"n": n})
            for calls in (1, 2, 3):
                self.eventually(lambda calls=calls: len(endpoint.calls) == calls)
                self.events.list_event_buses()  # turns of the server's loop
                self.assertEqual(len(endpoint.calls), calls)
                self.advance("1s")
        finally:
            self.clock(freeze=False)


class Retries(Events):
    def test_dead_letters_after_retries(self):
        endpoint = Endpoint()
        self.addCleanup(endpoint.close)
        endpoint.statuses = [503] * 50
        _, connection = self.connection(AuthorizationType="BASIC", AuthParameters={
            "BasicAuthParameters": {"Username": "u", "Password": "p"}})
        _, target = self.destination(connection, endpoint.url + "/x")
        url, queue = self.queue()
        rule = self.rule({"source": [self.source]}, {
            "Arn": target, "DeadLetterConfig": {"Arn": queue},
            "RetryPolicy": {"MaximumRetryAttempts": 2, "MaximumEventAgeInSeconds": 3600}})
        event = self.put({"n": 1})
        for calls in (1, 2, 3):
            self.eventually(lambda calls=calls: len(endpoint.calls) >= calls)
            if calls < 3:
                self.advance("1m")
        (letter,) = self.received(url)
        said = {name: value["StringValue"] for name, value in letter["MessageAttributes"].items()}
        self.assertEqual(json.loads(letter["Body"])["id"], event)
        self.assertEqual(said, {
            "RULE_ARN": arn("rule", rule), "TARGET_ARN": target, "ERROR_CODE": "ERROR_FROM_TARGET",
            "ERROR_MESSAGE": "the endpoint answered with status 503", "RETRY_ATTEMPTS": "2",
            "EXHAUSTED_RETRY_CONDITION": "MaximumRetryAttempts"})
        self.assertEqual(len(endpoint.calls), 3)

    def test_an_event_grows_too_old(self):
        endpoint = Endpoint()
        self.addCleanup(endpoint.close)
        endpoint.statuses = [429] * 500
        _, connection = self.connection(AuthorizationType="BASIC", AuthParameters={
            "BasicAuthParameters": {"Username": "u", "Password": "p"}})
        _, target = self.destination(connection, endpoint.url + "/x")
        url, queue = self.queue()
        self.rule({"source": [self.source]}, {"Arn": target, "DeadLetterConfig": {"Arn": queue},
                                              "RetryPolicy": {"MaximumEventAgeInSeconds": 60}})
        self.put({"n": 1})
        self.eventually(lambda: endpoint.calls)
        calls = len(endpoint.calls)
        self.advance("2m")
        self.eventually(lambda: len(endpoint.calls) > calls)
        (letter,) = self.received(url)
        said = {name: value["StringValue"] for name, value in letter["MessageAttributes"].items()}
        self.assertEqual((said["ERROR_CODE"], said["EXHAUSTED_RETRY_CONDITION"]),
                         ("THROTTLING", "MaximumEventAgeInSeconds"))

    def test_what_will_not_pass_is_not_tried_again(self):
        dead, letters = self.queue()
        name = self.name("q")
        url = self.sqs.create_queue(QueueName=name)["QueueUrl"]
        self.addCleanup(self.sqs.delete_queue, QueueUrl=url)
        closed = f"arn:aws:sqs:us-east-1:{ACCOUNT}:{name}"
        nowhere = f"arn:aws:sqs:us-east-1:{ACCOUNT}:{self.name('q')}"
        self.rule({"source": [self.source]},
                  {"Arn": closed, "DeadLetterConfig": {"Arn": letters}},
                  {"Arn": nowhere, "DeadLetterConfig": {"Arn": letters}})
        self.put({"n": 1})
        said = {m["MessageAttributes"]["TARGET_ARN"]["StringValue"]:
                m["MessageAttributes"]["ERROR_CODE"]["StringValue"]
                for m in self.received(dead, 2)}
        self.assertEqual(said, {closed: "NO_PERMISSIONS", nowhere: "NO_RESOURCE"})

    def test_a_target_with_a_role(self):
        name = self.name("q")
        url = self.sqs.create_queue(QueueName=name)["QueueUrl"]
        self.addCleanup(self.sqs.delete_queue, QueueUrl=url)
        self.rule({"source": [self.source]},
                  {"Arn": f"arn:aws:sqs:us-east-1:{ACCOUNT}:{name}",
                   "RoleArn": f"arn:aws:iam::{ACCOUNT}:role/passes-on"})
        self.put({"n": 1})
        self.received(url)


class Schedules(Events):
    def test_a_rule_by_the_clock(self):
        url, queue = self.queue()
        name = self.name("rule")
        self.refused("ValidationException", self.events.put_rule, Name=name,
                     ScheduleExpression="rate(5 minute)")
        self.refused("ValidationException", self.events.put_rule, Name=name,
                     EventBusName=self.bus(), ScheduleExpression="rate(5 minutes)")
        self.events.put_rule(Name=name, ScheduleExpression="rate(5 minutes)")
        self.addCleanup(self.drop_rule, name)
        self.events.put_targets(Rule=name, Targets=[{"Id": "1", "Arn": queue}])
        self.advance("5m")
        event = json.loads(self.received(url)[0]["Body"])
        self.assertEqual((event["source"], event["detail-type"], event["resources"],
                          event["detail"]),
                         ("aws.events", "Scheduled Event", [arn("rule", name)], {}))
        self.events.put_rule(Name=name, ScheduleExpression="cron(0 * * * ? *)")
        self.advance("1h")
        event = json.loads(self.received(url)[0]["Body"])
        self.assertTrue(event["time"].endswith(":00:00Z"))


if __name__ == "__main__":
    main()
