#!/usr/bin/env python3
"""CloudWatch Logs: groups, streams, events, filters, retention, and following with the AWS CLI."""
import json
import pathlib
import subprocess
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
import harness  # noqa: E402
from harness import Compat  # noqa: E402


def now():
    return int(time.time() * 1000)


class Groups(Compat):
    def group(self, client=None, **more):
        client, name = client or self.client("logs"), "/test/" + self.name("g")
        client.create_log_group(logGroupName=name, **more)
        self.addCleanup(lambda: quietly(client.delete_log_group, logGroupName=name))
        return name

    def test_create_describe_delete(self):
        logs = self.client("logs")
        name = self.group(tags={"a": "b"})
        self.refused("ResourceAlreadyExistsException", logs.create_log_group, logGroupName=name)
        found = logs.describe_log_groups(logGroupNamePrefix=name)["logGroups"][0]
        self.assertEqual(found["logGroupName"], name)
        self.assertEqual(found["arn"], f"arn:aws:logs:us-east-1:000000000000:log-group:{name}:*")
        self.assertNotIn("retentionInDays", found)
        logs.put_retention_policy(logGroupName=name, retentionInDays=7)
        found = logs.describe_log_groups(logGroupNamePrefix=name)["logGroups"][0]
        self.assertEqual(found["retentionInDays"], 7)
        self.refused("InvalidParameterException", logs.put_retention_policy, logGroupName=name,
                     retentionInDays=8)
        logs.delete_log_group(logGroupName=name)
        self.assertEqual(logs.describe_log_groups(logGroupNamePrefix=name)["logGroups"], [])
        self.refused("ResourceNotFoundException", logs.delete_log_group, logGroupName=name)

    def test_put_and_get_in_order_with_tokens(self):
        logs, name, start = self.client("logs"), self.group(), now() - 60_000
        logs.create_log_stream(logGroupName=name, logStreamName="s")
        logs.put_log_events(logGroupName=name, logStreamName="s", logEvents=[
            {"timestamp": start + n, "message": f"line {n}"} for n in range(25)])
        page = logs.get_log_events(logGroupName=name, logStreamName="s", startFromHead=True,
                                   limit=10)
        lines = [e["message"] for e in page["events"]]
        self.assertEqual(lines, [f"line {n}" for n in range(10)])
        while True:
            following = logs.get_log_events(logGroupName=name, logStreamName="s",
                                            startFromHead=True, limit=10,
                                            nextToken=page["nextForwardToken"])
            lines += [e["message"] for e in following["events"]]
            if following["nextForwardToken"] == page["nextForwardToken"]:
                break
            page = following
        self.assertEqual(lines, [f"line {n}" for n in range(25)])
        stream = logs.describe_log_streams(logGroupName=name)["logStreams"][0]
        self.assertEqual((stream["logStreamName"], stream["firstEventTimestamp"]), ("s", start))

    def test_filter_patterns(self):
        logs, name, start = self.client("logs"), self.group(), now() - 60_000
        logs.create_log_stream(logGroupName=name, logStreamName="s")
        lines = ["ERROR one", "info two", "ERROR timeout three",
                 json.dumps({"level": "error", "ms": 120, "user": {"id": 7}}),
                 json.dumps({"level": "info", "ms": 5}), '10.0.0.1 - GET /x 404 120']
        logs.put_log_events(logGroupName=name, logStreamName="s", logEvents=[
            {"timestamp": start + n, "message": text} for n, text in enumerate(lines)])
        for pattern, wanted in (
                ("ERROR", [0, 2]), ("ERROR timeout", [2]), ("?two ?three", [1, 2]),
                ("ERROR -timeout", [0]), ('"ERROR one"', [0]), ('{ $.level = "error" }', [3]),
                ("{ $.ms > 100 }", [3]), ("{ $.ms < 100 && $.level = \"info\" }", [4]),
                ("{ $.user.id = 7 }", [3]), ("[ip, dash, method, path, status = 404, size]", [5]),
                ("%E[A-Z]+R%", [0, 2]), ("", [0, 1, 2, 3, 4, 5])):
            with self.subTest(pattern):
                found = logs.filter_log_events(logGroupName=name, filterPattern=pattern)["events"]
                self.assertEqual([e["message"] for e in found], [lines[n] for n in wanted])

    def test_filter_by_stream_and_time(self):
        logs, name, start = self.client("logs"), self.group(), now() - 60_000
        for stream in ("a-1", "a-2", "b-1"):
            logs.create_log_stream(logGroupName=name, logStreamName=stream)
            logs.put_log_events(logGroupName=name, logStreamName=stream, logEvents=[
                {"timestamp": start + n * 1000, "message": f"{stream} {n}"} for n in range(3)])
        found = logs.filter_log_events(logGroupName=name, logStreamNamePrefix="a-",
                                       startTime=start + 1000, endTime=start + 2000)["events"]
        self.assertEqual([e["message"] for e in found], ["a-1 1", "a-2 1", "a-1 2", "a-2 2"])

    def test_old_and_future_events_are_rejected(self):
        logs, name = self.client("logs"), self.group()
        logs.create_log_stream(logGroupName=name, logStreamName="s")
        hour, start = 3_600_000, now()

        def put(*events):
            return logs.put_log_events(logGroupName=name, logStreamName="s", logEvents=[
                {"timestamp": at, "message": text} for at, text in events])
        oldest = start - 14 * 24 * hour
        answer = put((oldest - hour, "old"), (oldest + hour, "just in time"))
        self.assertEqual(answer["rejectedLogEventsInfo"]["tooOldLogEventEndIndex"], 1)
        answer = put((start, "good"), (start + 3 * hour, "future"))
        self.assertEqual(answer["rejectedLogEventsInfo"]["tooNewLogEventStartIndex"], 1)
        self.refused("InvalidParameterException", put, (start - 25 * hour, "a"), (start, "b"))
        found = logs.filter_log_events(logGroupName=name)["events"]
        self.assertEqual([e["message"] for e in found], ["just in time", "good"])

    def test_missing(self):
        logs, name = self.client("logs"), self.group()
        self.refused("ResourceNotFoundException", logs.put_log_events, logGroupName=name,
                     logStreamName="no", logEvents=[{"timestamp": now(), "message": "x"}])
        self.refused("ResourceNotFoundException", logs.filter_log_events, logGroupName="/no/such")


class Functions(Compat):
    def test_lines_of_a_call_are_there_and_apart(self):
        logs = self.client("logs")
        name = self.create(files={"lambda_function.py": (
            "def lambda_handler(event, context):\n"
            "    print('first')\n    print('second')\n    return context.log_stream_name\n")})
        stream, answer = self.invoke(name)
        request = answer["ResponseMetadata"]["RequestId"]
        group = f"/aws/lambda/{name}"

        def whole():
            try:
                found = logs.get_log_events(logGroupName=group, logStreamName=stream,
                                            startFromHead=True)["events"]
            except logs.exceptions.ResourceNotFoundException:
                return None
            texts = [e["message"].rstrip("\n") for e in found]
            return texts if any(t.startswith("REPORT") for t in texts) else None
        texts = self.eventually(whole)
        start = texts.index(f"START RequestId: {request} Version: $LATEST")
        self.assertEqual(texts[start + 1:start + 4],
                         ["first", "second", f"END RequestId: {request}"])
        self.assertRegex(stream, r"^\d{4}/\d\d/\d\d/\[\$LATEST\][0-9a-f]{32}$")

    def test_lines_are_visible_while_it_runs(self):
        logs = self.client("logs")
        name = self.create(Timeout=30, files={"lambda_function.py": (
            "import time\ndef lambda_handler(event, context):\n"
            "    print('early', flush=True)\n    time.sleep(8)\n    print('late')\n")})
        call = threading.Thread(target=self.invoke, args=(name,))
        call.start()

        def early():
            try:
                found = logs.filter_log_events(logGroupName=f"/aws/lambda/{name}")["events"]
            except logs.exceptions.ResourceNotFoundException:
                return None
            return any("early" in e["message"] for e in found)
        self.eventually(early, 8)
        self.assertTrue(call.is_alive(), "the call was over before its first line was seen")
        call.join()

    def test_aws_logs_tail_follow(self):
        aws = harness.cli_version_2()
        if not aws:
            self.skipTest("no AWS CLI of version 2: version 1 has no 'logs tail'")
        name = self.create()
        self.invoke(name, {"word": "before"})
        # It is a Python program: without this it keeps its lines back from a pipe.
        env = {**harness.client_env(self.server.url), "PYTHONUNBUFFERED": "1"}
        tail = subprocess.Popen([aws, "--endpoint-url", self.server.url, "logs", "tail",
                                 f"/aws/lambda/{name}", "--follow", "--since", "5m"], text=True,
                                stdout=subprocess.PIPE, env=env)
        lines = []
        reader = threading.Thread(target=lambda: [lines.append(x) for x in tail.stdout],
                                  daemon=True)
        reader.start()
        try:
            self.eventually(lambda: any("before" in line for line in lines), 60)
            self.invoke(name, {"word": "after"})
            self.eventually(lambda: any("after" in line for line in lines), 60)
        finally:
            tail.terminate()
            tail.wait()
            reader.join()
            tail.stdout.close()


def quietly(call, **arguments):
    try:
        call(**arguments)
    except Exception:  # the test has removed it
        pass


if __name__ == "__main__":
    harness.main()
