#!/usr/bin/env python3
"""Every operation of EventBridge with the AWS CLI and the SDK for JavaScript v3."""
import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
import clients  # noqa: E402
import harness  # noqa: E402
import world  # noqa: E402
from world import arn  # noqa: E402

ALWAYS = {"EventStartTime": clients.iso("2020-01-01T00:00:00Z"),
          "EventEndTime": clients.iso("2090-01-01T00:00:00Z")}
MISSING = "ResourceNotFoundException"


class Bus(clients.EveryOperation, world.Events):
    service = "events"

    def test_aws_cli(self):
        self.run_cli()

    def test_sdk_for_javascript(self):
        self.run_sdk()

    def scenario(self, client):
        self.buses(client)
        self.rules(client)
        self.published(client)
        self.destinations(client)
        self.archives(client)
        self.assertIn("not implemented",
                      client.refused("NotImplementedException", "ListEndpoints"))

    def buses(self, client):
        bus = self.name("bus")
        made = client.call("CreateEventBus", Name=bus, Description="one")
        self.assertEqual(made["EventBusArn"], arn("event-bus", bus))
        client.refused("ResourceAlreadyExistsException", "CreateEventBus", Name=bus)
        client.call("UpdateEventBus", Name=bus, Description="two")
        client.call("PutPermission", EventBusName=bus, Action="events:PutEvents",
                    Principal="111122223333", StatementId="them")
        found = client.call("DescribeEventBus", Name=bus)
        self.assertEqual((found["Arn"], found["Description"]), (arn("event-bus", bus), "two"))
        self.assertEqual(json.loads(found["Policy"])["Statement"][0]["Sid"], "them")
        client.call("RemovePermission", EventBusName=bus, StatementId="them")
        self.assertNotIn("Policy", client.call("DescribeEventBus", Name=bus))
        listed = client.call("ListEventBuses", NamePrefix=bus)["EventBuses"]
        self.assertEqual([one["Name"] for one in listed], [bus])
        client.call("DeleteEventBus", Name=bus)
        client.refused(MISSING, "DescribeEventBus", Name=bus)

    def rules(self, client):
        bus = self.bus()
        at = {"Name": "r", "EventBusName": bus}
        of = {"Rule": "r", "EventBusName": bus}
        made = client.call("PutRule", EventPattern='{"source": ["s"]}', **at,
                           Tags=[{"Key": "a", "Value": "1"}])
        where = made["RuleArn"]
        self.assertEqual(where, arn("rule", bus + "/r"))
        client.refused("InvalidEventPatternException", "PutRule", EventPattern='{"source": "s"}',
                       **at)
        client.call("DisableRule", **at)
        self.assertEqual(client.call("DescribeRule", **at)["State"], "DISABLED")
        client.call("EnableRule", **at)
        found = client.call("DescribeRule", **at)
        self.assertEqual((found["State"], found["EventPattern"]),
                         ("ENABLED", '{"source": ["s"]}'))
        listed = client.call("ListRules", EventBusName=bus)["Rules"]
        self.assertEqual([one["Arn"] for one in listed], [where])
        client.call("TagResource", ResourceARN=where, Tags=[{"Key": "b", "Value": "2"}])
        client.call("UntagResource", ResourceARN=where, TagKeys=["a"])
        self.assertEqual(client.call("ListTagsForResource", ResourceARN=where)["Tags"],
                         [{"Key": "b", "Value": "2"}])
        _, queue = self.queue()
        put = client.call("PutTargets", **of, Targets=[{"Id": "1", "Arn": queue, "InputPath": "$"}])
        self.assertEqual(put["FailedEntryCount"], 0)
        (target,) = client.call("ListTargetsByRule", **of)["Targets"]
        self.assertEqual(target, {"Id": "1", "Arn": queue, "InputPath": "$"})
        self.assertEqual(client.call("ListRuleNamesByTarget", TargetArn=queue,
                                     EventBusName=bus)["RuleNames"], ["r"])
        client.refused("ValidationException", "DeleteRule", **at)
        gone = client.call("RemoveTargets", **of, Ids=["1", "none"])
        self.assertEqual([one["TargetId"] for one in gone["FailedEntries"]], ["none"])
        client.call("DeleteRule", **at)
        client.refused(MISSING, "DescribeRule", **at)

    def published(self, client):
        url, queue = self.queue()
        self.rule({"source": [self.source]}, {"Arn": queue})
        answer = client.call("PutEvents", Entries=[
            {"Source": self.source, "DetailType": "t", "Detail": '{"n": 1}', "Resources": ["r"],
             "Time": clients.iso("2026-02-03T04:05:06Z")},
            {"Source": self.source, "DetailType": "t", "Detail": "nothing"}])
        self.assertEqual(answer["FailedEntryCount"], 1)
        self.assertEqual(answer["Entries"][1]["ErrorCode"], "MalformedDetail")
        event = json.loads(self.received(url)[0]["Body"])
        self.assertEqual((event["id"], event["time"], event["resources"], event["detail"]),
                         (answer["Entries"][0]["EventId"], "2026-02-03T04:05:06Z", ["r"],
                          {"n": 1}))
        for pattern, matches in (('{"detail": {"n": [{"numeric": ["<", 2]}]}}', True),
                                 ('{"source": ["other"]}', False)):
            self.assertEqual(client.call("TestEventPattern", EventPattern=pattern,
                                         Event=json.dumps(event))["Result"], matches)
        client.refused("InvalidEventPatternException", "TestEventPattern", EventPattern="{}",
                       Event=json.dumps(event))

    def destinations(self, client):
        name = self.name("con")
        made = client.call("CreateConnection", Name=name, AuthorizationType="API_KEY",
                           AuthParameters={"ApiKeyAuthParameters": {
                               "ApiKeyName": "k", "ApiKeyValue": "secret"}})
        connection = made["ConnectionArn"]
        found = client.call("DescribeConnection", Name=name)
        self.assertEqual(found["AuthParameters"],
                         {"ApiKeyAuthParameters": {"ApiKeyName": "k"}})
        client.call("UpdateConnection", Name=name, Description="new")
        self.assertEqual(client.call("DescribeConnection", Name=name)["Description"], "new")
        listed = client.call("ListConnections", NamePrefix=name)["Connections"]
        self.assertEqual([one["Name"] for one in listed], [name])
        at = self.name("dest")
        client.call("CreateApiDestination", Name=at, ConnectionArn=connection, HttpMethod="POST",
                    InvocationEndpoint="https://example.com/*")
        client.call("UpdateApiDestination", Name=at, InvocationRateLimitPerSecond=5)
        found = client.call("DescribeApiDestination", Name=at)
        self.assertEqual((found["ConnectionArn"], found["HttpMethod"],
                          found["InvocationRateLimitPerSecond"]), (connection, "POST", 5))
        listed = client.call("ListApiDestinations", ConnectionArn=connection)["ApiDestinations"]
        self.assertEqual([one["Name"] for one in listed], [at])
        client.refused("ValidationException", "UpdateApiDestination", Name=at,
                       InvocationEndpoint="ftp://example.com")
        client.call("DeleteApiDestination", Name=at)
        client.refused(MISSING, "DescribeApiDestination", Name=at)
        self.assertEqual(client.call("DeauthorizeConnection", Name=name)["ConnectionState"],
                         "DEAUTHORIZED")
        client.call("DeleteConnection", Name=name)
        client.refused(MISSING, "DescribeConnection", Name=name)

    def archives(self, client):
        bus, name = self.bus(), self.name("archive")
        made = client.call("CreateArchive", ArchiveName=name, RetentionDays=3,
                           EventSourceArn=arn("event-bus", bus))
        client.call("UpdateArchive", ArchiveName=name, RetentionDays=4)
        self.fill(bus)
        found = client.call("DescribeArchive", ArchiveName=name)
        self.assertEqual((found["RetentionDays"], found["EventCount"], found["State"]),
                         (4, 600, "ENABLED"))
        listed = client.call("ListArchives", NamePrefix=name)["Archives"]
        self.assertEqual([one["ArchiveName"] for one in listed], [name])
        replay = {"EventSourceArn": made["ArchiveArn"], **ALWAYS,
                  "Destination": {"Arn": arn("event-bus", bus)}}
        started = client.call("StartReplay", ReplayName=self.name("replay"), **replay)
        self.assertEqual(started["State"], "STARTING")
        self.cancelled(client, replay)
        client.refused("IllegalStatusException", "CancelReplay",
                       ReplayName=self.last)
        listed = client.call("ListReplays", EventSourceArn=made["ArchiveArn"])["Replays"]
        self.assertIn((self.last, "CANCELLED"), [(r["ReplayName"], r["State"]) for r in listed])
        self.eventually(lambda: all(
            one["State"] in ("COMPLETED", "CANCELLED")
            for one in client.call("ListReplays", EventSourceArn=made["ArchiveArn"])["Replays"]))
        client.call("DeleteArchive", ArchiveName=name)
        client.refused(MISSING, "DescribeArchive", ArchiveName=name)

    def fill(self, bus):
        detail = json.dumps({"text": "x" * 40_000})
        for _ in range(60):
            self.events.put_events(Entries=[
                {"Source": self.source, "DetailType": "t", "Detail": detail, "EventBusName": bus}
                for _ in range(10)])
        _, queue = self.queue()
        for _ in range(4):
            self.rule({"source": [self.source]}, *[{"Arn": queue}] * 5, bus=bus)

    def cancelled(self, client, replay):
        """One may end before its cancellation comes: then the next is tried, beside others."""
        for _ in range(20):
            names = [self.name("replay") for _ in range(8)]
            for name in names:
                self.eventually(lambda name=name: self.start(name, replay))
            try:
                answer = client.call("CancelReplay", ReplayName=names[-1])
                break
            except clients.Refused as error:
                self.assertEqual(error.code, "IllegalStatusException")
        self.assertEqual(answer["State"], "CANCELLING")
        self.last = names[-1]
        self.eventually(lambda: client.call(
            "DescribeReplay", ReplayName=self.last)["State"] == "CANCELLED")

    def start(self, name, replay):
        try:
            return self.events.start_replay(ReplayName=name, **replay)
        except self.events.exceptions.LimitExceededException:
            return None  # those of before are still under way


if __name__ == "__main__":
    harness.main()
