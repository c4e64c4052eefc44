#!/usr/bin/env python3
"""LoggingConfig: JSON with levels as the runtimes write it, and a log group of one's own."""
import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
import harness  # noqa: E402
from harness import Compat  # noqa: E402

PYTHON = {"lambda_function.py": """
import logging
log = logging.getLogger()
def lambda_handler(event, context):
    log.debug('at debug')
    log.info('at info')
    log.warning('at warn', extra={'order': 7})
    log.error('at error')
    try:
        1 / 0
    except ZeroDivisionError:
        log.exception('divided')
    print('plain')
"""}
NODE = {"index.js": """
exports.handler = async () => {
  console.debug('at debug');
  console.info('at info');
  console.warn('at warn');
  console.error('at error');
  console.error('divided', new RangeError('by zero'));
};
"""}


class Logging(Compat):
    def lines(self, group, until):
        logs = self.client("logs")

        def look():
            try:
                found = logs.filter_log_events(logGroupName=group)["events"]
            except logs.exceptions.ResourceNotFoundException:
                return None
            found = [event["message"].rstrip("\n") for event in found]
            return found if any(until in line for line in found) else None
        return self.eventually(look)

    def of_one_call(self, language, files, handler, **config):
        """(request id, text lines, records) of a call; the function's last line is awaited."""
        runtime = harness.machine_runtimes().get(language)
        if not runtime:
            self.skipTest(f"no {language} on this machine")
        name = self.create(runtime=runtime, files=files, handler=handler, LoggingConfig=config)
        _, answer = self.invoke(name)
        last = "plain" if language == "python" else "divided"
        found = self.lines(config.get("LogGroup", "/aws/lambda/" + name), last)
        records = [json.loads(line) for line in found if line.startswith("{")]
        return (answer["ResponseMetadata"]["RequestId"],
                [line for line in found if not line.startswith("{")], records)

    def check(self, records, request, levels):
        own = [one for one in records if "level" in one]
        self.assertEqual([one["level"] for one in own], levels)
        for one in own:
            self.assertEqual(one.get("requestId") or one.get("AWSRequestId"), request)
            self.assertRegex(one["timestamp"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$")
        return own

    def test_python_levels(self):
        for level, system, levels, platform in (
                ("WARN", "WARN", ["WARNING", "ERROR", "ERROR"], set()),
                ("INFO", "INFO", ["INFO", "WARNING", "ERROR", "ERROR"],
                 {"platform.start", "platform.report"}),
                ("DEBUG", "DEBUG", ["DEBUG", "INFO", "WARNING", "ERROR", "ERROR"],
                 {"platform.start", "platform.report", "platform.runtimeDone"})):
            with self.subTest(level):
                request, text, records = self.of_one_call(
                    "python", PYTHON, "lambda_function.lambda_handler", LogFormat="JSON",
                    ApplicationLogLevel=level, SystemLogLevel=system)
                own = self.check(records, request, levels)
                self.assertEqual(text, ["plain"])
                warned = next(one for one in own if one["level"] == "WARNING")
                self.assertEqual((warned["message"], warned["order"]), ("at warn", 7))
                failed = own[-1]
                self.assertEqual((failed["message"], failed["errorType"]),
                                 ("divided", "ZeroDivisionError"))
                self.assertTrue(failed["stackTrace"])
                kinds = {one["type"] for one in records if "type" in one}
                self.assertTrue(platform <= kinds, kinds)
                if not platform:
                    self.assertEqual(kinds, set())

    def test_node_levels(self):
        for level, levels in (("ERROR", ["ERROR", "ERROR"]),
                              ("DEBUG", ["DEBUG", "INFO", "WARN", "ERROR", "ERROR"])):
            with self.subTest(level):
                request, text, records = self.of_one_call(
                    "nodejs", NODE, "index.handler", LogFormat="JSON", ApplicationLogLevel=level)
                own = self.check(records, request, levels)
                self.assertEqual(text, [])
                self.assertEqual([one["message"] for one in own][-2:][0], "at error")
                self.assertEqual((own[-1]["errorType"], own[-1]["errorMessage"]),
                                 ("RangeError", "by zero"))

    def test_a_log_group_of_ones_own(self):
        group = "/teams/" + self.name("group")
        name = self.create(files=PYTHON, LoggingConfig={"LogGroup": group, "LogFormat": "Text"})
        shown = self.client().get_function_configuration(FunctionName=name)["LoggingConfig"]
        self.assertEqual(shown, {"LogFormat": "Text", "LogGroup": group})
        self.invoke(name)
        found = self.lines(group, "REPORT")
        self.assertTrue(any(line.startswith("START") for line in found), found)
        self.assertTrue(any("at error" in line for line in found), found)
        logs = self.client("logs")
        self.assertEqual(logs.describe_log_groups(
            logGroupNamePrefix="/aws/lambda/" + name)["logGroups"], [])
        # Functions may share one; their streams have other names.
        other = self.create(files=PYTHON, LoggingConfig={"LogGroup": group})
        self.invoke(other)
        streams = self.eventually(lambda: len(found := logs.describe_log_streams(
            logGroupName=group)["logStreams"]) > 1 and found)
        names = [one["logStreamName"] for one in streams]
        self.assertTrue(any(f"/{name}[" in one for one in names), names)
        self.assertTrue(any(f"/{other}[" in one for one in names), names)


if __name__ == "__main__":
    harness.main()
