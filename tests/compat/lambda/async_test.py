#!/usr/bin/env python3
"""Asynchronous calls on a clock that is moved: retries, backoff, age, destinations, the clock.

Time is frozen while a test measures. The histogram of the ages of events then tells exactly when
the function was started, whatever the machine takes in between.
"""
import json
import pathlib
import re
import sys
import tempfile
import threading
import urllib.error
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
import harness  # noqa: E402
from harness import Compat, make_zip  # noqa: E402

ARN = "arn:aws:lambda:us-east-1:000000000000:function:"
MIB = 1024 * 1024
FAILS = {"lambda_function.py": (
    "def lambda_handler(event, context):\n    raise ValueError('no ' + event['word'])\n")}
SINK = {"lambda_function.py": (
    "import json\ndef lambda_handler(event, context):\n    print('RECORD ' + json.dumps(event))\n")}


def ask_clock(url, body=None, method=None):
    """(status, answer) of the clock's path."""
    data = None if body is None else body.encode() if isinstance(body, str) else json.dumps(
        body).encode()
    request = urllib.request.Request(url + "/_mayfly/clock", data=data, method=method)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


# Fails when the event says so.
PICKY = {"lambda_function.py": (
    "def lambda_handler(event, context):\n"
    "    if event.get('fail'):\n"
    "        raise ValueError('as told')\n"
    "    return {'event': event}\n")}


class OnAClock(Compat):
    # So that one function can take all concurrency away from the others.
    server_arguments = ("--unreserved-concurrency-min", "0")

    def setUp(self):
        self.clock(freeze=True)
        self.addCleanup(self.clock, freeze=False)

    def clock(self, **move):
        status, answer = ask_clock(self.server.url, move)
        self.assertEqual(status, 200, answer)
        return answer

    def metric(self, name, function, **labels):
        with urllib.request.urlopen(self.server.url + "/_mayfly/metrics", timeout=30) as answer:
            text = answer.read().decode()
        wanted = [f'{key}="{value}"' for key, value in {"function": function, **labels}.items()]
        return sum(float(value) for found, value in re.findall(
            rf"^mayfly_{name}{{(.*)}} (\S+)$", text, re.M) if all(w in found for w in wanted))

    def starts(self, function):
        return self.metric("async_event_age_seconds_count", function)

    def ages(self, function):
        return self.metric("async_event_age_seconds_sum", function)

    def ended(self, function):
        """Invocations for events that came to an end."""
        return self.metric("invocations_total", function, type="event")

    def send(self, function, payload, **more):
        answer = self.client().invoke(FunctionName=function, InvocationType="Event",
                                      Payload=json.dumps(payload), **more)
        self.assertEqual(answer["StatusCode"], 202)
        return answer["ResponseMetadata"]["RequestId"]

    def records(self, sink):
        """What a destination was told, in order."""
        logs = self.client("logs")
        try:
            pages = list(logs.get_paginator("filter_log_events").paginate(
                logGroupName="/aws/lambda/" + sink, filterPattern="RECORD"))
        except logs.exceptions.ResourceNotFoundException:
            return []
        return [json.loads(event["message"].split("RECORD ", 1)[1])
                for page in pages for event in page["events"]]

    def only_record(self, sink):
        self.eventually(lambda: self.records(sink))
        found = self.records(sink)
        self.assertEqual(len(found), 1, found)
        return found[0]

    def configure(self, function, on_success=None, on_failure=None, **more):
        config = {name: {"Destination": ARN + sink} for name, sink in
                  (("OnSuccess", on_success), ("OnFailure", on_failure)) if sink}
        return self.client().put_function_event_invoke_config(
            FunctionName=function, DestinationConfig=config, **more)

    def starve(self, function, sink=None):
        """Takes the concurrency that `function` shares with others, leaving one for the sink;
        answers how to give it back."""
        hog = self.create()
        for name, concurrency in ((sink, 1), (hog, 999)) if sink else ((hog, 1000),):
            self.client().put_function_concurrency(FunctionName=name,
                                                   ReservedConcurrentExecutions=concurrency)
        self.refused("TooManyRequestsException", self.client().invoke, FunctionName=function)
        return lambda: self.client().delete_function_concurrency(FunctionName=hog)


class Retries(OnAClock):
    def test_errors_are_retried_after_one_and_two_minutes(self):
        sink, made = self.create(files=SINK), self.create(files=FAILS)
        self.configure(made, on_failure=sink)
        request = self.send(made, {"word": "luck"})
        self.eventually(lambda: self.ended(made) == 1)
        for step, count in (("59s", 1), ("1s", 2), ("1m", 2), ("59s", 2), ("1s", 3)):
            self.clock(advance=step)
            self.eventually(lambda: self.ended(made) == count)
        record = self.only_record(sink)
        self.assertEqual(self.ages(made), 0 + 60 + 180)
        now = ask_clock(self.server.url)[1]["now"]
        self.assertEqual(list(record), ["version", "timestamp", "requestContext", "requestPayload",
                                        "responseContext", "responsePayload"])
        self.assertEqual(record["version"], "1.0")
        self.assertEqual(record["timestamp"], now)
        self.assertEqual(record["requestContext"], {
            "requestId": request, "functionArn": ARN + made + ":$LATEST",
            "condition": "RetriesExhausted", "approximateInvokeCount": 3})
        self.assertEqual(record["requestPayload"], {"word": "luck"})
        self.assertEqual(record["responseContext"], {
            "statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"})
        self.assertEqual(record["responsePayload"]["errorMessage"], "no luck")
        self.assertEqual(self.metric("async_events_dropped_total", made), 1)
        self.clock(advance="1d")
        self.assertEqual(self.starts(made), 3)

    def test_as_many_retries_as_configured(self):
        for retries in (0, 1):
            sink, made = self.create(files=SINK), self.create(files=FAILS)
            self.configure(made, on_failure=sink, MaximumRetryAttempts=retries)
            self.send(made, {"word": "luck"})
            for _ in range(retries):
                self.eventually(lambda: self.ended(made) == 1)
                self.clock(advance="1m")
            record = self.only_record(sink)
            self.assertEqual(record["requestContext"]["approximateInvokeCount"], retries + 1)
            self.assertEqual(self.starts(made), retries + 1)

    def test_each_qualifier_is_configured_by_itself(self):
        client, sinks, made = self.client(), {}, self.create(files=FAILS)
        version = client.publish_version(FunctionName=made)["Version"]
        client.create_alias(FunctionName=made, Name="live", FunctionVersion=version)
        retries = {"$LATEST": 2, version: 0, "live": 1}
        for qualifier, count in retries.items():
            sinks[qualifier] = self.create(files=SINK)
            self.configure(made, on_failure=sinks[qualifier], MaximumRetryAttempts=count,
                           Qualifier=qualifier)
        listed = client.list_function_event_invoke_configs(
            FunctionName=made)["FunctionEventInvokeConfigs"]
        self.assertEqual({one["FunctionArn"].rsplit(":", 1)[1]: one["MaximumRetryAttempts"]
                          for one in listed}, retries)
        for qualifier in retries:
            self.send(made, {"word": qualifier}, Qualifier=qualifier)
        self.eventually(lambda: self.ended(made) == 3)
        self.clock(advance="1m")
        self.eventually(lambda: self.ended(made) == 5)
        self.clock(advance="2m")
        for qualifier, count in retries.items():
            record = self.only_record(sinks[qualifier])
            self.assertEqual(record["requestPayload"], {"word": qualifier})
            self.assertEqual(record["requestContext"]["functionArn"],
                             f"{ARN}{made}:{qualifier}")
            self.assertEqual(record["requestContext"]["approximateInvokeCount"], count + 1)
            self.assertEqual(record["responseContext"]["executedVersion"],
                             "$LATEST" if qualifier == "$LATEST" else version)

    def test_throttles_back_off_until_six_hours_have_passed(self):
        sink, made = self.create(files=SINK), self.create()
        self.configure(made, on_failure=sink)
        release = self.starve(made, sink)
        self.addCleanup(release)
        self.send(made, {})
        age, tries = 0, 1
        for wait in (1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300):
            self.eventually(lambda: self.ended(made) == tries)
            if wait > 1:
                self.clock(advance=f"{wait - 1}s")
            self.clock(advance="1s")
            age, tries = age + wait, tries + 1
            self.eventually(lambda: self.starts(made) == tries)
        self.eventually(lambda: self.ended(made) == tries)
        ages = (0, 1, 3, 7, 15, 31, 63, 127, 255, 511, 811, 1111)
        self.assertEqual(self.ages(made), sum(ages))
        # The next try is the last thing before its age has passed.
        self.clock(advance="6h")
        record = self.only_record(sink)
        self.assertEqual(record["requestContext"]["condition"], "EventAgeExceeded")
        self.assertEqual(record["requestContext"]["approximateInvokeCount"], 0)
        self.assertNotIn("responseContext", record)
        self.assertEqual(self.starts(made), tries)

    def test_throttled_events_run_when_there_is_room_again(self):
        made = self.create(files=SINK)
        self.client().put_function_event_invoke_config(FunctionName=made, MaximumRetryAttempts=0)
        release = self.starve(made)
        self.send(made, {"n": 1})
        self.eventually(lambda: self.ended(made) == 1)
        release()
        self.clock(advance="1s")
        self.assertEqual(self.only_record(made), {"n": 1})
        self.assertEqual(self.metric("async_events_dropped_total", made), 0)

    def test_an_event_ends_at_its_maximum_age(self):
        sink, made = self.create(files=SINK), self.create()
        self.configure(made, on_failure=sink, MaximumEventAgeInSeconds=60)
        self.addCleanup(self.starve(made, sink))
        self.send(made, {})
        for wait, tries in ((1, 2), (2, 3), (4, 4), (8, 5), (16, 6)):
            self.eventually(lambda: self.ended(made) == tries - 1)
            self.clock(advance=f"{wait}s")
            self.eventually(lambda: self.ended(made) == tries)
        self.clock(advance="28s")
        self.assertEqual(self.metric("async_events_dropped_total", made), 0)
        self.clock(advance="1s")
        record = self.only_record(sink)
        self.assertEqual(record["requestContext"]["condition"], "EventAgeExceeded")
        self.assertEqual(self.starts(made), 6)

    def test_zero_reserved_concurrency_ends_events_without_a_try(self):
        sink, made = self.create(files=SINK), self.create()
        self.configure(made, on_failure=sink)
        self.client().put_function_concurrency(FunctionName=made, ReservedConcurrentExecutions=0)
        self.send(made, {"n": 2})
        record = self.only_record(sink)
        self.assertEqual(record["requestContext"]["condition"], "ZeroReservedConcurrency")
        self.assertEqual(record["requestPayload"], {"n": 2})
        self.assertEqual(self.starts(made), 0)


class Destinations(OnAClock):
    def test_success_is_told_in_the_clouds_words(self):
        sink, made = self.create(files=SINK), self.create()
        client = self.client()
        client.publish_version(FunctionName=made)
        client.create_alias(FunctionName=made, Name="live", FunctionVersion="1")
        self.configure(made, on_success=sink, Qualifier="live")
        request = self.send(made, {"n": 3}, Qualifier="live")
        record = self.only_record(sink)
        self.assertEqual(record["requestContext"], {
            "requestId": request, "functionArn": ARN + made + ":live", "condition": "Success",
            "approximateInvokeCount": 1})
        self.assertEqual(record["responseContext"], {"statusCode": 200, "executedVersion": "1"})
        self.assertEqual(record["responsePayload"]["event"], {"n": 3})
        self.assertEqual(self.metric("async_events_received_total", sink), 1)

    def test_a_record_too_large_is_counted(self):
        sink, made = self.create(files=SINK), self.create()
        self.configure(made, on_success=sink)
        self.send(made, "x" * (600 * 1024))  # the function answers it again
        self.eventually(lambda: self.metric("destination_delivery_failures_total", made) == 1)
        self.assertEqual(self.records(sink), [])

    def test_what_cannot_take_a_record_is_refused_when_configured(self):
        made, client = self.create(), self.client()
        for arn, why in (("arn:aws:kinesis:us-east-1:000000000000:x", "no service 'kinesis' yet"),
                         ("arn:aws:s3:::bucket", "there is no bucket"),
                         ("arn:aws:sqs:us-east-1:000000000000:none", "there is no queue"),
                         ("arn:aws:sqs:us-east-1:000000000000:q.fifo", "with order")):
            message = self.refused(
                "InvalidParameterValueException", client.put_function_event_invoke_config,
                FunctionName=made, DestinationConfig={"OnFailure": {"Destination": arn}})
            self.assertIn(why, message)
        message = self.refused(
            "InvalidParameterValueException", client.put_function_event_invoke_config,
            FunctionName=made, DestinationConfig={"OnSuccess": {"Destination": ARN + made}})
        self.assertEqual(message, "You can't specify the function as a destination for itself.")
        self.refused("InvalidParameterValueException", client.update_function_configuration,
                     FunctionName=made, DeadLetterConfig={
                         "TargetArn": "arn:aws:sqs:us-east-1:000000000000:none"})

    def test_queues_get_records_and_dead_letters(self):
        made, client, sqs = self.create(files=PICKY), self.client(), self.client("sqs")
        urls = {}
        for which in ("good", "bad", "dead"):
            urls[which] = sqs.create_queue(QueueName=self.name(which))["QueueUrl"]
            self.addCleanup(sqs.delete_queue, QueueUrl=urls[which])
        arns = {which: sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])[
            "Attributes"]["QueueArn"] for which, url in urls.items()}
        client.put_function_event_invoke_config(
            FunctionName=made, MaximumRetryAttempts=0, DestinationConfig={
                "OnSuccess": {"Destination": arns["good"]},
                "OnFailure": {"Destination": arns["bad"]}})
        shown = client.update_function_configuration(
            FunctionName=made, DeadLetterConfig={"TargetArn": arns["dead"]})
        self.assertEqual(shown["DeadLetterConfig"], {"TargetArn": arns["dead"]})
        self.updated(made)

        def next_of(which):
            return sqs.receive_message(QueueUrl=urls[which], WaitTimeSeconds=20,
                                       MessageAttributeNames=["All"])["Messages"][0]
        self.send(made, {"n": 1})
        record = json.loads(next_of("good")["Body"])
        self.assertEqual(record["requestPayload"], {"n": 1})
        self.assertEqual(record["requestContext"]["condition"], "Success")
        self.send(made, {"fail": True})
        record = json.loads(next_of("bad")["Body"])
        self.assertEqual(record["requestContext"]["condition"], "RetriesExhausted")
        self.assertEqual(record["responseContext"]["functionError"], "Unhandled")
        letter = next_of("dead")
        self.assertEqual(json.loads(letter["Body"]), {"fail": True})
        attributes = letter["MessageAttributes"]
        self.assertEqual(attributes["RequestID"]["StringValue"],
                         record["requestContext"]["requestId"])
        self.assertEqual(attributes["ErrorCode"], {"StringValue": "200", "DataType": "Number"})
        self.assertEqual(attributes["ErrorMessage"]["StringValue"],
                         record["responsePayload"]["errorMessage"])

    def test_an_open_breaker_has_a_fallback(self):
        other, made, client = self.create(files=SINK), self.create(files=PICKY), self.client()
        client.update_function_configuration(FunctionName=made, Environment={"Variables": {
            "MAYFLY_BREAKER": f"1/60s,open=30s,fallback={other}"}})
        self.updated(made)
        self.assertIn("FunctionError", self.invoke(made, {"fail": True})[1])
        self.assertNotIn("FunctionError", self.invoke(made, {"fail": True})[1])
        client.update_function_configuration(FunctionName=made, Environment={"Variables": {
            "MAYFLY_BREAKER": "1/60s,open=30s"}})
        self.updated(made)
        message = self.refused("TooManyRequestsException", client.invoke, FunctionName=made)
        self.assertEqual(message, "Rate Exceeded.")
        self.clock(advance="30s")
        self.assertNotIn("FunctionError", self.invoke(made, {"n": 1})[1])
        self.refused("InvalidParameterValueException", client.update_function_configuration,
                     FunctionName=made, Environment={"Variables": {"MAYFLY_BREAKER": "often"}})

    def test_limits_of_the_configuration(self):
        made, client = self.create(), self.client()
        put = client.put_function_event_invoke_config
        for bad in ({"MaximumRetryAttempts": 3}, {"MaximumRetryAttempts": -1},
                    {"MaximumEventAgeInSeconds": 59}, {"MaximumEventAgeInSeconds": 21601}):
            self.refused("ValidationException", put, FunctionName=made, **bad)
        for good in ({"MaximumRetryAttempts": 0}, {"MaximumRetryAttempts": 2},
                     {"MaximumEventAgeInSeconds": 60}, {"MaximumEventAgeInSeconds": 21600}):
            put(FunctionName=made, **good)

    def test_an_event_has_at_most_one_mebibyte(self):
        made = self.create(files={"lambda_function.py": (
            "def lambda_handler(event, context):\n    print('size', len(event))\n")})
        self.send(made, "x" * (MIB - 2))
        self.eventually(lambda: self.ended(made) == 1)
        self.refused("RequestTooLargeException", self.client().invoke, FunctionName=made,
                     InvocationType="Event", Payload=json.dumps("x" * (MIB - 1)))


class TheClock(OnAClock):
    def test_it_shows_itself_and_refuses_what_it_does_not_understand(self):
        before = self.clock(freeze=True)
        self.assertTrue(before["frozen"])
        self.assertEqual(ask_clock(self.server.url)[1]["now"], before["now"])
        for body in ("", "[]", "{}", '{"advance":60}', '{"advance":"1w"}', '{"advance":"-1s"}',
                     '{"freeze":1}', '{"rewind":"1s"}', '{"advance":"4000d"}'):
            status, answer = ask_clock(self.server.url, body)
            self.assertEqual(status, 400, body)
            self.assertTrue(answer["message"], body)
        self.assertEqual(ask_clock(self.server.url, method="DELETE")[0], 405)
        self.assertEqual(ask_clock(self.server.url)[1]["now"], before["now"])

    def test_signatures_and_retention(self):
        """Requests are signed by the real clock; kept logs end by the moved one."""
        logs, name = self.client("logs"), self.name("/kept")
        logs.create_log_group(logGroupName=name)
        logs.put_retention_policy(logGroupName=name, retentionInDays=7)
        made = self.create(files=SINK, LoggingConfig={"LogGroup": name, "LogFormat": "Text"})
        self.invoke(made, {"n": 4})

        # A spare environment, started meanwhile, has its own lines there.
        def kept():
            return logs.filter_log_events(logGroupName=name, filterPattern="RECORD")["events"]
        self.eventually(kept)
        self.clock(advance="7d")
        self.assertTrue(kept())
        self.clock(advance="1s")
        self.assertEqual(kept(), [])

    def test_not_for_functions(self):
        made = self.create(files={"lambda_function.py": (
            "import os, urllib.request, urllib.error\ndef lambda_handler(event, context):\n"
            "    try:\n"
            "        urllib.request.urlopen(os.environ['AWS_ENDPOINT_URL'] + '/_mayfly/clock')\n"
            "    except urllib.error.HTTPError as error:\n        return error.code\n")})
        self.assertEqual(self.invoke(made)[0], 403)

    def test_not_for_pages(self):
        request = urllib.request.Request(self.server.url + "/_mayfly/clock", b'{"advance":"1s"}',
                                         {"Origin": "http://page.example"})
        with self.assertRaises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(request, timeout=30)
        self.assertEqual(caught.exception.code, 403)

    def test_not_without_dev(self):
        server = harness.Server(dev=False)
        self.addCleanup(server.stop)
        status, answer = ask_clock(server.url, {"advance": "1s"})
        self.assertEqual(status, 403)
        self.assertIn("--dev", answer["message"])

    def test_a_timeout_ends_a_function_while_time_stands_still(self):
        made = self.create(files={"lambda_function.py": (
            "import time\ndef lambda_handler(event, context):\n    time.sleep(60)\n")}, Timeout=1)
        body, answer = self.invoke(made)
        self.assertEqual(answer["FunctionError"], "Unhandled")
        self.assertIn("timed out after 1.00 seconds", body["errorMessage"])

    def test_the_clock_and_the_queue_survive_a_kill(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        server = harness.Server(data=folder.name)
        client = harness.boto_client(server.url)
        for name, files in (("fails", FAILS), ("sink", SINK)):
            client.create_function(FunctionName=name, Runtime="python3.11", Role=harness.ROLE,
                                   Handler="lambda_function.lambda_handler",
                                   Code={"ZipFile": make_zip(files)})
        client.put_function_event_invoke_config(
            FunctionName="fails", MaximumRetryAttempts=1,
            DestinationConfig={"OnFailure": {"Destination": ARN + "sink"}})
        ask_clock(server.url, {"freeze": True})
        moved = ask_clock(server.url, {"advance": "7d"})[1]["now"]
        client.invoke(FunctionName="fails", InvocationType="Event", Payload=b'{"word":"end"}')
        server.kill()
        server.stop()
        server = harness.Server(data=folder.name)
        self.addCleanup(server.stop)
        shown = ask_clock(server.url)[1]
        self.assertEqual((shown["now"], shown["frozen"]), (moved, True))
        logs = harness.boto_client(server.url, "logs")

        def seen(group, word):
            try:
                events = logs.filter_log_events(logGroupName="/aws/lambda/" + group)["events"]
            except logs.exceptions.ResourceNotFoundException:
                return []
            return [e for e in events if word in e["message"]]
        self.eventually(lambda: seen("fails", "REPORT"))
        self.eventually(lambda: ask_clock(server.url, {"advance": "60s"}) and
                        seen("sink", "RetriesExhausted"))


class Fairness(OnAClock):
    def test_slow_events_of_one_function_hold_up_none_of_another(self):
        slow = self.create(files={"lambda_function.py": (
            "import time\ndef lambda_handler(event, context):\n    time.sleep(600)\n")},
            Timeout=900)
        threads = [threading.Thread(target=self.send, args=(slow, {})) for _ in range(40)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        quick = self.create(files=SINK)
        self.send(quick, {"n": 5})
        self.assertEqual(self.only_record(quick), {"n": 5})
        self.assertLessEqual(self.starts(slow), 32)


if __name__ == "__main__":
    harness.main()
