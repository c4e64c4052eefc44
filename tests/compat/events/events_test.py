#!/usr/bin/env python3
"""EventBridge with real clients: buses, rules, targets, patterns; boto3 and the aws CLI."""
import datetime
import json
import pathlib
import shutil
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from harness import Server, boto_client, client_env, main
from world import ACCOUNT, Events, arn


class Rules(Events):
    def test_an_event_reaches_a_queue(self):
        url, queue = self.queue()
        rule = self.rule({"source": [self.source], "detail": {"n": [{"numeric": [">", 1]}]}},
                         {"Arn": queue})
        when = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.timezone.utc)
        self.put({"n": 1})
        wanted = self.put({"n": 2.50, "text": "ä"}, Time=when, Resources=["arn:aws:s3:::b"])
        event = json.loads(self.received(url)[0]["Body"])
        self.assertEqual(event, {
            "version": "0", "id": wanted, "detail-type": "order", "source": self.source,
            "account": ACCOUNT, "time": "2026-01-02T03:04:05Z", "region": "us-east-1",
            "resources": ["arn:aws:s3:::b"], "detail": {"n": 2.5, "text": "ä"}})
        self.events.disable_rule(Name=rule)
        self.put({"n": 3})
        self.events.enable_rule(Name=rule)
        self.put({"n": 4})
        self.assertEqual(json.loads(self.received(url)[0]["Body"])["detail"]["n"], 4)

    def test_an_event_runs_a_function(self):
        name = self.create()
        function = self.client().get_function(FunctionName=name)["Configuration"]["FunctionArn"]
        rule = self.rule({"source": [self.source]}, {"Arn": function})
        self.client().add_permission(
            FunctionName=name, StatementId="s", Action="lambda:InvokeFunction",
            Principal="events.amazonaws.com", SourceArn=arn("rule", rule))
        self.put({"marker": "from the bus"})
        logs = self.client("logs")

        def seen():
            try:
                found = logs.filter_log_events(logGroupName=f"/aws/lambda/{name}")["events"]
            except logs.exceptions.ResourceNotFoundException:
                return False
            return any("from the bus" in event["message"] for event in found)
        self.eventually(seen)

    def test_what_a_target_is_sent(self):
        url, queue = self.queue()
        rule = self.rule({"source": [self.source]},
                         {"Arn": queue, "Input": '{"constant": true}'},
                         {"Arn": queue, "InputPath": "$.detail.order"},
                         {"Arn": queue, "InputTransformer": {
                             "InputPathsMap": {"who": "$.detail.who", "order": "$.detail.order",
                                               "first": "$.detail.list[0]"},
                             "InputTemplate": '{"who": <who>, "text": "<who> has <first>", '
                                              '"order": <order>, "rule": "<aws.events.rule-name>",'
                                              ' "arn": <aws.events.rule-arn>, "none": <none>}'
                                              .replace(', "none": <none>', "")}},
                         {"Arn": queue, "InputTransformer": {
                             "InputTemplate": '"all: <aws.events.rule-name>"'}},
                         {"Arn": queue, "InputTransformer": {
                             "InputTemplate": '{"event": <aws.events.event.json>, '
                                              '"head": <aws.events.event>, '
                                              '"at": <aws.events.event.ingestion-time>}'}})
        self.put({"who": "Ada", "order": {"id": 7}, "list": ["x", "y"]})
        bodies = [json.loads(m["Body"]) for m in self.received(url, 5)]
        self.assertIn({"constant": True}, bodies)
        self.assertIn({"id": 7}, bodies)
        self.assertIn({"who": "Ada", "text": "Ada has x", "order": {"id": 7}, "rule": rule,
                       "arn": arn("rule", rule)}, bodies)
        self.assertIn(f"all: {rule}", bodies)
        (whole,) = [b for b in bodies if isinstance(b, dict) and "event" in b]
        self.assertEqual(whole["event"]["detail"]["who"], "Ada")
        self.assertNotIn("detail", whole["head"])
        self.assertRegex(whole["at"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")

    def test_a_queue_with_order(self):
        url, queue = self.queue(FifoQueue="true", ContentBasedDeduplication="true")
        self.refused("ValidationException", self.rule, {"source": [self.source]}, {"Arn": queue})
        self.rule({"source": [self.source]},
                  {"Arn": queue, "SqsParameters": {"MessageGroupId": "g"}})
        self.put({"n": 1})
        self.assertEqual(json.loads(self.received(url)[0]["Body"])["detail"], {"n": 1})

    def test_from_bus_to_bus(self):
        url, queue = self.queue()
        bus = self.bus()
        self.rule({"source": [self.source]}, {"Arn": queue}, bus=bus)
        self.rule({"source": [self.source]}, {"Arn": arn("event-bus", bus)})
        event = self.put({"n": 1})
        self.assertEqual(json.loads(self.received(url)[0]["Body"])["id"], event)
        # A rule that passes on to its own bus ends by itself.
        self.rule({"source": [self.source]}, {"Arn": arn("event-bus", bus)}, bus=bus)
        self.put({"n": 2}, bus=bus)
        self.assertTrue(self.received(url, 17))

    def test_entries_that_are_refused(self):
        good = {"Source": self.source, "DetailType": "t", "Detail": "{}"}
        answer = self.events.put_events(Entries=[
            good, dict(good, Detail="nothing"), dict(good, Detail="[]"), dict(good, Source=""),
            dict(good, Source="aws.s3"), {"Source": "x", "DetailType": "t"}])
        codes = [entry.get("ErrorCode") for entry in answer["Entries"]]
        self.assertEqual(codes, [None, "MalformedDetail", "MalformedDetail", "InvalidArgument",
                                 "NotAuthorizedForSourceException", "InvalidArgument"])
        self.assertEqual(answer["FailedEntryCount"], 5)
        self.refused("ValidationException", self.events.put_events, Entries=[good] * 11)
        room = 1024 * 1024 - len(self.source) - 1 - len('{"a":""}')
        self.put({"a": ""})
        self.assertEqual(self.events.put_events(Entries=[
            dict(good, Detail='{"a":"' + "x" * room + '"}')])["FailedEntryCount"], 0)
        self.refused("ValidationException", self.events.put_events, Entries=[
            dict(good, Detail='{"a":"' + "x" * (room + 1) + '"}')])

    def test_targets_are_checked(self):
        rule = self.rule({"source": [self.source]})
        _, queue = self.queue()

        def put(**target):
            return self.events.put_targets(Rule=rule, Targets=[dict(target, Id="1")])
        message = self.refused("ValidationException", put,
                               Arn=f"arn:aws:states:us-east-1:{ACCOUNT}:stateMachine:m")
        self.assertIn("no service 'states'", message)
        self.refused("ValidationException", put, Arn="nothing")
        self.refused("ValidationException", put, Arn=queue, Input="{")
        self.refused("ValidationException", put, Arn=queue, Input="{}", InputPath="$")
        self.refused("ValidationException", put, Arn=queue,
                     InputTransformer={"InputTemplate": '{"a": <b>}'})
        self.refused("ValidationException", put, Arn=queue, KinesisParameters={
            "PartitionKeyPath": "$.x"})
        self.refused("ResourceNotFoundException", self.events.put_targets, Rule="nothing",
                     Targets=[{"Id": "1", "Arn": queue}])
        put(Arn=queue)
        self.refused("LimitExceededException", self.events.put_targets, Rule=rule, Targets=[
            {"Id": f"t{i}", "Arn": queue} for i in range(5)])
        self.events.put_targets(Rule=rule, Targets=[
            {"Id": f"t{i}", "Arn": queue} for i in range(4)])
        page = self.events.list_targets_by_rule(Rule=rule, Limit=3)
        rest = self.events.list_targets_by_rule(Rule=rule, NextToken=page["NextToken"])
        self.assertEqual(len(page["Targets"]) + len(rest["Targets"]), 5)
        self.assertEqual(self.events.list_rule_names_by_target(TargetArn=queue)["RuleNames"],
                         [rule])
        answer = self.events.remove_targets(Rule=rule, Ids=["1", "none"])
        self.assertEqual([e["TargetId"] for e in answer["FailedEntries"]], ["none"])
        self.refused("ValidationException", self.events.delete_rule, Name=rule)

    def test_rules_are_kept_and_listed(self):
        bus = self.bus()
        where = self.events.put_rule(Name="a", EventBusName=bus, Description="first",
                                     EventPattern='{"source": ["x"]}',
                                     Tags=[{"Key": "k", "Value": "v"}])["RuleArn"]
        self.assertEqual(where, arn("rule", f"{bus}/a"))
        self.events.put_rule(Name="ab", EventBusName=bus, EventPattern='{"source": ["y"]}')
        self.events.put_rule(Name="b", EventBusName=arn("event-bus", bus),
                             EventPattern='{"source": ["z"]}', State="DISABLED")
        described = self.events.describe_rule(Name="a", EventBusName=bus)
        self.assertEqual((described["Description"], described["State"], described["EventPattern"]),
                         ("first", "ENABLED", '{"source": ["x"]}'))
        names = [r["Name"] for r in self.events.list_rules(EventBusName=bus)["Rules"]]
        self.assertEqual(names, ["a", "ab", "b"])
        names = [r["Name"] for r in self.events.list_rules(EventBusName=bus,
                                                           NamePrefix="a")["Rules"]]
        self.assertEqual(names, ["a", "ab"])
        page = self.events.list_rules(EventBusName=bus, Limit=2)
        rest = self.events.list_rules(EventBusName=bus, NextToken=page["NextToken"])
        self.assertEqual([r["Name"] for r in rest["Rules"]], ["b"])
        self.assertEqual(self.events.list_tags_for_resource(ResourceARN=where)["Tags"],
                         [{"Key": "k", "Value": "v"}])
        self.events.tag_resource(ResourceARN=where, Tags=[{"Key": "n", "Value": "m"}])
        self.events.untag_resource(ResourceARN=where, TagKeys=["k"])
        self.assertEqual(self.events.list_tags_for_resource(ResourceARN=where)["Tags"],
                         [{"Key": "n", "Value": "m"}])
        self.refused("ValidationException", self.events.delete_event_bus, Name=bus)
        self.refused("ResourceNotFoundException", self.events.describe_rule, Name="none",
                     EventBusName=bus)
        self.refused("ResourceNotFoundException", self.events.put_rule, Name="x",
                     EventBusName="none", EventPattern='{"source": ["x"]}')

    def test_patterns_that_are_none(self):
        message = self.refused("InvalidEventPatternException", self.events.put_rule, Name="x",
                               EventPattern='{"source": "x"}')
        self.assertEqual(message, 'Event pattern is not valid. Reason: "source" must be an object '
                                  'or an array at [Source: (String)"{"source": "x"}"; line: 1, '
                                  'column: 13]')
        self.refused("ValidationException", self.events.put_rule, Name="x")
        event = {"id": "1", "account": ACCOUNT, "source": "s", "time": "2026-01-01T00:00:00Z",
                 "region": "us-east-1", "resources": [], "detail-type": "t", "detail": {"ip":
                                                                                        "10.0.0.9"}}

        def tried(pattern):
            return self.events.test_event_pattern(EventPattern=json.dumps(pattern),
                                                  Event=json.dumps(event))["Result"]
        self.assertTrue(tried({"detail": {"ip": [{"cidr": "10.0.0.0/24"}]}}))
        self.assertFalse(tried({"detail": {"ip": [{"cidr": "10.0.1.0/24"}]}}))
        self.assertTrue(tried({"$or": [{"source": ["s"]}, {"account": ["1"]}]}))
        self.refused("InvalidEventPatternException", tried, {"detail": {}})
        del event["time"]
        self.refused("ValidationException", tried, {"source": ["s"]})


class Buses(Events):
    def test_buses(self):
        self.assertEqual(self.events.describe_event_bus()["Arn"], arn("event-bus", "default"))
        bus = self.bus()
        self.refused("ResourceAlreadyExistsException", self.events.create_event_bus, Name=bus)
        self.refused("ResourceAlreadyExistsException", self.events.create_event_bus,
                     Name="default")
        self.refused("ValidationException", self.events.delete_event_bus, Name="default")
        updated = self.events.update_event_bus(Name=bus, Description="mine")
        self.assertEqual(updated["Description"], "mine")
        names = [b["Name"] for b in self.events.list_event_buses()["EventBuses"]]
        self.assertIn("default", names)
        self.assertIn(bus, names)
        found = self.events.list_event_buses(NamePrefix=bus)["EventBuses"]
        self.assertEqual([b["Description"] for b in found], ["mine"])
        west = self.client("events", region="eu-west-1")
        self.assertEqual([b["Name"] for b in west.list_event_buses()["EventBuses"]], ["default"])

    def test_another_account_may_put_events(self):
        bus = self.bus()
        url, queue = self.queue()
        self.rule({"source": [self.source]}, {"Arn": queue}, bus=bus)
        other = self.client("events", key="111122223333")
        entry = {"Source": self.source, "DetailType": "t", "Detail": "{}",
                 "EventBusName": arn("event-bus", bus)}
        answer = other.put_events(Entries=[entry])
        self.assertEqual(answer["Entries"][0]["ErrorCode"], "AccessDeniedException")
        self.events.put_permission(EventBusName=bus, Action="events:PutEvents",
                                   Principal="111122223333", StatementId="other")
        self.assertEqual(other.put_events(Entries=[entry])["FailedEntryCount"], 0)
        event = json.loads(self.received(url)[0]["Body"])
        self.assertEqual(event["account"], "111122223333")
        policy = json.loads(self.events.describe_event_bus(Name=bus)["Policy"])
        self.assertEqual(policy["Statement"][0]["Sid"], "other")
        self.refused("ResourceNotFoundException", self.events.remove_permission, EventBusName=bus,
                     StatementId="none")
        self.events.remove_permission(EventBusName=bus, StatementId="other")
        self.assertEqual(other.put_events(Entries=[entry])["FailedEntryCount"], 1)
        self.events.put_permission(EventBusName=bus, Policy=json.dumps({
            "Version": "2012-10-17", "Statement": [{
                "Sid": "all", "Effect": "Allow", "Principal": "*", "Action": "events:PutEvents",
                "Resource": arn("event-bus", bus)}]}))
        self.assertEqual(other.put_events(Entries=[entry])["FailedEntryCount"], 0)
        self.events.remove_permission(EventBusName=bus, RemoveAllPermissions=True)
        self.assertNotIn("Policy", self.events.describe_event_bus(Name=bus))


class Clients(Events):
    def test_the_aws_cli(self):
        if not shutil.which("aws"):
            self.skipTest("no aws CLI")
        env = client_env(self.server.url)

        def aws(*words):
            run = subprocess.run(["aws", "events", *words, "--output", "json"], env=env,
                                 capture_output=True, text=True, timeout=60)
            self.assertEqual(run.returncode, 0, run.stderr)
            return json.loads(run.stdout) if run.stdout.strip() else None
        url, queue = self.queue()
        rule = self.name("rule")
        aws("put-rule", "--name", rule, "--event-pattern", json.dumps({"source": [self.source]}))
        aws("put-targets", "--rule", rule, "--targets", f"Id=1,Arn={queue}")
        answer = aws("put-events", "--entries", json.dumps([
            {"Source": self.source, "DetailType": "t", "Detail": '{"n": 1}'}]))
        self.assertEqual(answer["FailedEntryCount"], 0)
        self.assertEqual(json.loads(self.received(url)[0]["Body"])["detail"], {"n": 1})
        self.assertEqual(aws("describe-rule", "--name", rule)["State"], "ENABLED")
        aws("remove-targets", "--rule", rule, "--ids", "1")
        aws("delete-rule", "--name", rule)

    def test_what_is_not_built_says_so(self):
        import botocore.exceptions
        for call, arguments in (
                (self.events.list_endpoints, {}),
                (self.events.list_event_sources, {}),
                (self.events.put_partner_events, {"Entries": [{"Source": "x"}]})):
            with self.assertRaises(botocore.exceptions.ClientError) as caught:
                call(**arguments)
            self.assertEqual(
                caught.exception.response["ResponseMetadata"]["HTTPStatusCode"], 501)

    def test_rules_and_deliveries_live_through_a_restart(self):
        server = Server()
        try:
            server.own_data = False
            events, sqs = (boto_client(server.url, s) for s in ("events", "sqs"))
            url = sqs.create_queue(QueueName="q")["QueueUrl"]
            events.put_rule(Name="r", EventPattern='{"source": ["s"]}')
            events.put_targets(Rule="r", Targets=[{
                "Id": "1", "Arn": f"arn:aws:sqs:us-east-1:{ACCOUNT}:q",
                "RoleArn": f"arn:aws:iam::{ACCOUNT}:role/r"}])
            for n in range(20):
                events.put_events(Entries=[{"Source": "s", "DetailType": "t",
                                            "Detail": json.dumps({"n": n})}])
            server.kill()
            server.stop()
            server = Server(data=server.data)
            server.own_data = True
            sqs = boto_client(server.url, "sqs")
            url = sqs.get_queue_url(QueueName="q")["QueueUrl"]
            seen = set()

            def all_there():
                for message in sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10,
                                                   WaitTimeSeconds=1).get("Messages", []):
                    seen.add(json.loads(message["Body"])["detail"]["n"])
                return seen == set(range(20))
            self.eventually(all_there)
        finally:
            server.stop()


if __name__ == "__main__":
    main()
