#!/usr/bin/env python3
"""EventBridge Pipes with real clients: from queues through filters, enrichments and templates to
functions, queues, buses and HTTP endpoints."""
import http.server
import json
import pathlib
import shutil
import subprocess
import sys
import threading
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from harness import Compat, client_env, main

ACCOUNT = "000000000000"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/pipe"
UPPER = {"lambda_function.py": (
    "def lambda_handler(event, context):\n"
    "    return [{'word': one['body'].upper(), 'id': one['messageId']} for one in event\n"
    "            if one['body'] != 'drop']\n")}


class Pipes(Compat):
    def setUp(self):
        self.pipes, self.sqs = self.client("pipes"), self.client("sqs")

    def queue(self, **attributes):
        name = self.name("q") + (".fifo" if attributes.get("FifoQueue") else "")
        url = self.sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
        self.addCleanup(self.sqs.delete_queue, QueueUrl=url)
        return url, f"arn:aws:sqs:us-east-1:{ACCOUNT}:{name}"

    def function(self, files=None):
        name = self.create(files=files)
        return name, f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:{name}"

    def pipe(self, source, target, **more):
        name = self.name("pipe")
        answer = self.pipes.create_pipe(Name=name, Source=source, Target=target, RoleArn=ROLE,
                                        **more)
        self.assertEqual(answer["CurrentState"], "CREATING")
        self.addCleanup(self.drop, name)
        self.settled(name, "STOPPED" if more.get("DesiredState") == "STOPPED" else "RUNNING")
        return name

    def settled(self, name, state):
        self.eventually(lambda: self.pipes.describe_pipe(Name=name)["CurrentState"] == state)

    def drop(self, name):
        try:
            self.pipes.delete_pipe(Name=name)
        except self.pipes.exceptions.NotFoundException:
            pass

    def send(self, url, *bodies, **more):
        for body in bodies:
            self.sqs.send_message(QueueUrl=url, MessageBody=body, **more)

    def received(self, url, count=1):
        found = []

        def more():
            for message in self.sqs.receive_message(
                    QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=1).get("Messages", []):
                self.sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
                found.append(message["Body"])
            return len(found) >= count
        self.eventually(more)
        self.assertEqual(len(found), count)
        return found

    def logged(self, name, text):
        logs = self.client("logs")

        def seen():
            try:
                found = logs.filter_log_events(logGroupName=f"/aws/lambda/{name}")["events"]
            except logs.exceptions.ResourceNotFoundException:
                return None
            return next((e["message"] for e in found if text in e["message"]), None)
        return self.eventually(seen)

    def test_from_queue_to_queue(self):
        (source, source_arn), (target, target_arn) = self.queue(), self.queue()
        self.pipe(source_arn, target_arn, SourceParameters={"FilterCriteria": {"Filters": [
            {"Pattern": json.dumps({"body": {"n": [{"numeric": [">", 1]}]}})}]}})
        self.send(source, '{"n": 1}', '{"n": 2}', "text")
        record = json.loads(self.received(target)[0])
        self.assertEqual((record["body"], record["eventSource"], record["eventSourceARN"]),
                         ('{"n": 2}', "aws:sqs", source_arn))
        self.eventually(lambda: self.sqs.get_queue_attributes(
            QueueUrl=source, AttributeNames=["All"])["Attributes"][
                "ApproximateNumberOfMessagesNotVisible"] == "0")

    def test_templates(self):
        (source, source_arn), (target, target_arn) = self.queue(), self.queue()
        name = self.pipe(source_arn, target_arn, TargetParameters={
            "InputTemplate": '{"who": <$.body.who>, "text": "<$.body.who> by <aws.pipes.pipe-name>"'
                             ', "id": <$.messageId>}'})
        self.send(source, '{"who": "Ada"}')
        got = json.loads(self.received(target)[0])
        self.assertEqual((got["who"], got["text"]), ("Ada", f"Ada by {name}"))

    def test_an_enrichment(self):
        (source, source_arn), (target, target_arn) = self.queue(), self.queue()
        _, function = self.function(UPPER)
        self.pipe(source_arn, target_arn, Enrichment=function, TargetParameters={
            "InputTemplate": '{"word": <$.word>}'})
        self.send(source, "drop", "keep", "this")
        words = sorted(json.loads(body)["word"] for body in self.received(target, 2))
        self.assertEqual(words, ["KEEP", "THIS"])

    def test_to_a_function(self):
        source, source_arn = self.queue(VisibilityTimeout="30")
        name, function = self.function()
        self.pipe(source_arn, function, SourceParameters={"SqsQueueParameters": {"BatchSize": 5}},
                  TargetParameters={"LambdaFunctionParameters": {
                      "InvocationType": "REQUEST_RESPONSE"}})
        self.send(source, "to the function")
        self.assertIn('"body": "to the function"', self.logged(name, "to the function"))
        self.assertIn("seen [{", self.logged(name, "to the function"))

    def test_what_fails_comes_back(self):
        source, source_arn = self.queue(VisibilityTimeout="30")
        name, function = self.function({"lambda_function.py": (
            "def lambda_handler(event, context):\n"
            "    print('tried', event[0]['body'], event[0]['attributes']"
            "['ApproximateReceiveCount'])\n"
            "    raise ValueError('no')\n")})
        pipe = self.pipe(source_arn, function)
        self.send(source, "m")
        self.logged(name, "tried m 1")
        urllib.request.urlopen(self.server.url + "/_mayfly/clock", b'{"advance": "31s"}').close()
        self.logged(name, "tried m 2")
        self.pipes.stop_pipe(Name=pipe)

    def test_to_a_bus(self):
        (source, source_arn), (target, target_arn) = self.queue(), self.queue()
        events, rule = self.client("events"), self.name("rule")
        events.put_rule(Name=rule, EventPattern=json.dumps({"source": [rule]}))
        events.put_targets(Rule=rule, Targets=[{"Id": "1", "Arn": target_arn, "RoleArn": ROLE}])
        self.addCleanup(events.delete_rule, Name=rule)
        self.addCleanup(events.remove_targets, Rule=rule, Ids=["1"])
        self.pipe(source_arn, f"arn:aws:events:us-east-1:{ACCOUNT}:event-bus/default",
                  TargetParameters={
                      "InputTemplate": '{"n": <$.body.n>}',
                      "EventBridgeEventBusParameters": {"Source": rule, "DetailType": "$.body.kind",
                                                        "Resources": ["$.messageId"]}})
        self.send(source, '{"n": 5, "kind": "number"}')
        event = json.loads(self.received(target)[0])
        self.assertEqual((event["source"], event["detail-type"], event["detail"]),
                         (rule, "number", {"n": 5}))
        self.assertEqual(len(event["resources"][0]), 36)

    def test_an_http_endpoint_as_enrichment_and_target(self):
        calls = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                calls.append((self.path, body, self.headers["x-key"]))
                answer = json.dumps({"richer": json.loads(body)["body"]}).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_):
                pass
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        events = self.client("events")
        connection = self.name("c")
        arn = events.create_connection(
            Name=connection, AuthorizationType="API_KEY", AuthParameters={"ApiKeyAuthParameters": {
                "ApiKeyName": "x-key", "ApiKeyValue": "v"}})["ConnectionArn"]
        self.addCleanup(events.delete_connection, Name=connection)
        destination = events.create_api_destination(
            Name=connection, ConnectionArn=arn, HttpMethod="POST",
            InvocationEndpoint=f"http://127.0.0.1:{server.server_port}/*")["ApiDestinationArn"]
        self.addCleanup(events.delete_api_destination, Name=connection)
        (source, source_arn), (target, target_arn) = self.queue(), self.queue()
        self.pipe(source_arn, target_arn, Enrichment=destination, EnrichmentParameters={
            "HttpParameters": {"PathParameterValues": ["$.body.where"]}})
        self.send(source, '{"where": "here"}')
        self.assertEqual(json.loads(self.received(target)[0]), {"richer": '{"where": "here"}'})
        self.assertEqual((calls[0][0], calls[0][2]), ("/here", "v"))

    def test_a_fifo_queue_keeps_its_order(self):
        source, source_arn = self.queue(FifoQueue="true", ContentBasedDeduplication="true")
        target, target_arn = self.queue(FifoQueue="true", ContentBasedDeduplication="true")
        self.pipe(source_arn, target_arn, TargetParameters={
            "InputTemplate": '{"n": <$.body>}', "SqsQueueParameters": {
                "MessageGroupId": "$.attributes.MessageGroupId"}})
        self.send(source, *map(str, range(30)), MessageGroupId="g")
        got = [json.loads(body)["n"] for body in self.received(target, 30)]
        self.assertEqual(got, [str(n) for n in range(30)])

    def test_pipes_are_kept_and_changed(self):
        (source, source_arn), (target, target_arn) = self.queue(), self.queue()
        name = self.pipe(source_arn, target_arn, DesiredState="STOPPED", Description="one",
                         Tags={"k": "v"})
        self.send(source, "waits")
        self.refused("ConflictException", self.pipes.create_pipe, Name=name, Source=source_arn,
                     Target=target_arn, RoleArn=ROLE)
        described = self.pipes.describe_pipe(Name=name)
        self.assertEqual((described["DesiredState"], described["Description"], described["Tags"]),
                         ("STOPPED", "one", {"k": "v"}))
        arn = described["Arn"]
        self.pipes.tag_resource(resourceArn=arn, tags={"n": "m"})
        self.pipes.untag_resource(resourceArn=arn, tagKeys=["k"])
        self.assertEqual(self.pipes.list_tags_for_resource(resourceArn=arn)["tags"], {"n": "m"})
        self.assertEqual(self.pipes.start_pipe(Name=name)["CurrentState"], "STARTING")
        self.settled(name, "RUNNING")
        self.received(target)
        self.pipes.update_pipe(Name=name, RoleArn=ROLE, Description="two", TargetParameters={
            "InputTemplate": '{"was": <$.body>}'})
        self.settled(name, "RUNNING")
        self.assertEqual(self.pipes.describe_pipe(Name=name)["Description"], "two")
        self.send(source, "x")
        self.assertEqual(json.loads(self.received(target)[0]), {"was": "x"})
        self.assertEqual(self.pipes.stop_pipe(Name=name)["CurrentState"], "STOPPING")
        self.settled(name, "STOPPED")
        found = self.pipes.list_pipes(NamePrefix=name)["Pipes"]
        self.assertEqual([(p["Name"], p["CurrentState"]) for p in found], [(name, "STOPPED")])
        self.assertEqual(self.pipes.list_pipes(NamePrefix=name, CurrentState="RUNNING")["Pipes"],
                         [])
        self.assertEqual(self.pipes.delete_pipe(Name=name)["CurrentState"], "DELETING")
        self.refused("NotFoundException", self.pipes.describe_pipe, Name=name)

    def test_what_is_refused(self):
        import botocore.exceptions
        _, queue = self.queue()
        arguments = {"Name": self.name("p"), "Source": queue, "Target": queue, "RoleArn": ROLE}
        for wrong in ({"Source": f"arn:aws:kinesis:us-east-1:{ACCOUNT}:stream/s"},
                      {"Target": f"arn:aws:states:us-east-1:{ACCOUNT}:stateMachine:m"},
                      {"Enrichment": f"arn:aws:states:us-east-1:{ACCOUNT}:stateMachine:m"}):
            with self.assertRaises(botocore.exceptions.ClientError) as caught:
                self.pipes.create_pipe(**dict(arguments, **wrong))
            self.assertEqual(
                caught.exception.response["ResponseMetadata"]["HTTPStatusCode"], 501)
        for wrong in ({"Source": queue + "none"},
                      {"SourceParameters": {"FilterCriteria": {"Filters": [{"Pattern": "{}"}]}}},
                      {"SourceParameters": {"SqsQueueParameters": {"BatchSize": 100}}},
                      {"TargetParameters": {"InputTemplate": "{"}},
                      {"RoleArn": "nothing"}):
            self.refused("ValidationException", self.pipes.create_pipe, **dict(arguments, **wrong))
        self.refused("NotFoundException", self.pipes.start_pipe, Name="none")

    def test_the_aws_cli(self):
        if not shutil.which("aws"):
            self.skipTest("no aws CLI")
        (source, source_arn), (target, target_arn) = self.queue(), self.queue()
        name = self.name("pipe")
        self.addCleanup(self.drop, name)

        def aws(*words):
            run = subprocess.run(["aws", "pipes", *words, "--output", "json"], timeout=60,
                                 env=client_env(self.server.url), capture_output=True, text=True)
            self.assertEqual(run.returncode, 0, run.stderr)
            return json.loads(run.stdout) if run.stdout.strip() else None
        aws("create-pipe", "--name", name, "--source", source_arn, "--target", target_arn,
            "--role-arn", ROLE)
        self.send(source, "by the cli")
        self.assertEqual(json.loads(self.received(target)[0])["body"], "by the cli")
        self.assertEqual(aws("describe-pipe", "--name", name)["CurrentState"], "RUNNING")
        aws("delete-pipe", "--name", name)


if __name__ == "__main__":
    main()
