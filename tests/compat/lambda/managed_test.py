#!/usr/bin/env python3
"""Several calls at one time in one environment, and capacity providers, as boto3 sees them.

Handlers meet at a barrier: they answer when so many of them are inside at one time. A test that
passes has had its calls overlap in one environment.
"""
import base64
import json
import pathlib
import sys
import threading
import unittest
import uuid

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
import harness  # noqa: E402
from managed_functions import CUSTOM, NODE, PYTHON, java_files  # noqa: E402
from harness import ROLE, Compat, machine_runtimes, make_zip  # noqa: E402

class Managed(Compat):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        there = machine_runtimes()
        cls.languages = {"provided": ("provided.al2023", "any", CUSTOM)}
        if "nodejs" in there:
            cls.languages["nodejs"] = ("nodejs22.x", "index.handler", NODE)
        if "python" in there:
            cls.languages["python"] = ("python3.13", "index.handler", PYTHON)
        files = java_files() if "java" in there else None
        if files:
            cls.languages["java"] = ("java21", "Index::handler", files)

    def provider(self, **more):
        client = self.client()
        if not hasattr(client, "create_capacity_provider"):
            self.skipTest("this boto3 does not know capacity providers")
        name = "cp-" + uuid.uuid4().hex[:8]
        made = client.create_capacity_provider(
            CapacityProviderName=name,
            VpcConfig={"SubnetIds": ["subnet-1"], "SecurityGroupIds": ["sg-1"]},
            PermissionsConfig={"CapacityProviderOperatorRoleArn": ROLE}, **more)
        self.addCleanup(self.forget_provider, name)
        return made["CapacityProvider"]

    def forget_provider(self, name):
        try:
            self.client().delete_capacity_provider(CapacityProviderName=name)
        except self.client().exceptions.ResourceNotFoundException:
            pass  # the test itself has deleted it

    def managed(self, language, most, **more):
        """A function of this language on a provider of its own."""
        if language not in self.languages:
            self.skipTest(f"no {language} runtime here")
        runtime, handler, files = self.languages[language]
        arn = self.provider()["CapacityProviderArn"]
        config = {"CapacityProviderArn": arn, "PerExecutionEnvironmentMaxConcurrency": most}
        more.setdefault("Timeout", 30)
        return self.create(runtime=runtime, handler=handler, files=files, MemorySize=2048,
                           CapacityProviderConfig={
                               "LambdaManagedInstancesCapacityProviderConfig": config}, **more)

    def at_once(self, name, events, **more):
        """Invokes with each event in a thread of its own; answers in their order."""
        found = [None] * len(events)

        def one(index):
            answer = self.client().invoke(FunctionName=name, Payload=json.dumps(events[index]),
                                          **more)
            found[index] = (json.loads(answer["Payload"].read()), answer)
        threads = [threading.Thread(target=one, args=(index,)) for index in range(len(events))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return found

    def environments(self, name):
        """Log streams of the function's environments, of those that have run calls."""
        logs = self.client("logs")
        return {event["logStreamName"] for event in logs.filter_log_events(
            logGroupName="/aws/lambda/" + name, filterPattern='"platform.report"')["events"]}

    def records(self, name, wanted):
        """The log's records, once `wanted` reports are there."""
        logs = self.client("logs")

        def all_of_them():
            try:
                events = logs.filter_log_events(logGroupName="/aws/lambda/" + name)["events"]
            except logs.exceptions.ResourceNotFoundException:
                return None
            found = []
            for event in events:
                try:
                    found.append(json.loads(event["message"]))
                except ValueError:
                    continue
            reports = [r for r in found if r.get("type") == "platform.report"]
            return found if len(reports) >= wanted else None
        return self.eventually(all_of_them)

    def overlap(self, language, processes):
        count = 6
        name = self.managed(language, count)
        found = self.at_once(name, [{"n": n, "barrier": count} for n in range(count)],
                             LogType="Tail")
        for n, (body, answer) in enumerate(found):
            self.assertNotIn("FunctionError", answer, body)
            self.assertEqual(body["n"], n)
            self.assertEqual(body["most"], str(count))
            self.assertEqual(body["init"], "lambda-managed-instances")
            self.assertEqual(body["request"], answer["ResponseMetadata"]["RequestId"])
            # The tail is the call's own.
            tail = base64.b64decode(answer["LogResult"]).decode()
            self.assertIn(f"first {n}", tail)
            self.assertIn("platform.report", tail)
            for other in range(count):
                if other != n:
                    self.assertNotIn(f"first {other}", tail)
        bodies = [body for body, _ in found]
        if processes == 1:  # one module for all
            self.assertEqual(sorted(body["seen"] for body in bodies), list(range(1, count + 1)))
        else:
            self.assertEqual({body["seen"] for body in bodies}, {1})
            self.assertEqual(len({body["process"] for body in bodies}), count)
        records = self.records(name, count)
        for body in bodies:
            own = [r for r in records if body["request"] in json.dumps(r)]
            kinds = [r.get("type", "line") for r in own]
            self.assertEqual(kinds.count("platform.start"), 1)
            self.assertEqual(kinds.count("platform.report"), 1)
            self.assertEqual(kinds.count("line"), 2, own)
        return name

    def test_node_calls_overlap(self):
        self.assertEqual(len(self.environments(self.overlap("nodejs", 1))), 1)

    def test_python_calls_overlap_in_processes(self):
        self.assertEqual(len(self.environments(self.overlap("python", 6))), 1)

    def test_java_calls_overlap(self):
        self.assertEqual(len(self.environments(self.overlap("java", 1))), 1)

    def test_custom_runtime_calls_overlap(self):
        self.assertEqual(len(self.environments(self.overlap("provided", 1))), 1)

    def test_an_error_is_one_calls(self):
        for language in sorted(self.languages):
            with self.subTest(language):
                name = self.managed(language, 2)
                (good, ok), (bad, failed) = self.at_once(
                    name, [{"n": 0, "barrier": 2}, {"n": 1, "barrier": 2, "raise": 1}])
                self.assertNotIn("FunctionError", ok)
                self.assertEqual(good["n"], 0)
                self.assertEqual(failed["FunctionError"], "Unhandled")
                self.assertIn("raised 1", bad["errorMessage"])

    def test_a_crash_is_everybodys(self):
        for language in sorted(set(self.languages) - {"python"}):
            with self.subTest(language):
                name = self.managed(language, 3)
                found = self.at_once(name, [{"n": 0, "barrier": 3, "exit": 3},
                                            {"n": 1, "barrier": 3, "hang": 1},
                                            {"n": 2, "barrier": 3, "hang": 1}])
                for body, answer in found:
                    self.assertEqual(answer["FunctionError"], "Unhandled")
                    self.assertEqual(body["errorType"], "Runtime.ExitError")
                    self.assertIn(answer["ResponseMetadata"]["RequestId"], body["errorMessage"])
                    self.assertIn("exit status 3", body["errorMessage"])
                body, _ = self.invoke(name, {"n": 9})
                self.assertEqual(body["seen"], 1)  # in a new environment
                reports = [r["record"] for r in self.records(name, 4)
                           if r.get("type") == "platform.report"]
                failed = [r for r in reports if r["status"] == "error"]
                self.assertEqual({r["requestId"] for r in failed},
                                 {answer["ResponseMetadata"]["RequestId"] for _, answer in found})

    def test_a_python_process_that_ends_is_one_calls(self):
        name = self.managed("python", 3)
        found = self.at_once(name, [{"n": 0, "barrier": 3, "exit": 3}, {"n": 1, "barrier": 3},
                                    {"n": 2, "barrier": 3}])
        self.assertEqual(found[0][0]["errorType"], "Runtime.ExitError")
        self.assertIn("exit status 3", found[0][0]["errorMessage"])
        self.assertEqual([found[n][0]["n"] for n in (1, 2)], [1, 2])
        again = self.at_once(name, [{"n": n, "barrier": 3, "round": 1} for n in range(3)])
        self.assertEqual({answer.get("FunctionError") for _, answer in again}, {None})
        self.assertEqual(sorted(body["seen"] for body, _ in again), [1, 2, 2])
        self.assertEqual(len(self.environments(name)), 1)

    def test_a_timeout_is_one_calls_and_ends_nothing(self):
        for language in sorted(self.languages):
            with self.subTest(language):
                name = self.managed(language, 3, Timeout=2)
                self.invoke(name, {"n": 7})  # it is there
                found = self.at_once(name, [{"n": 0, "hang": 1}, {"n": 1}])
                self.assertEqual(found[0][0]["errorType"], "Sandbox.Timedout")
                self.assertIn("timed out after 2.00 seconds", found[0][0]["errorMessage"])
                self.assertNotIn("FunctionError", found[1][1])
                # The late call keeps its place: two are left of three.
                pair = self.at_once(name, [{"n": n, "barrier": 2, "round": 2} for n in range(2)])
                self.assertEqual({answer.get("FunctionError") for _, answer in pair}, {None})
                self.assertEqual(len(self.environments(name)), 1)

    def test_new_code_under_load(self):
        client, name = self.client(), self.managed("nodejs", 4)
        stop, found = threading.Event(), []

        def keep_calling():
            while not stop.is_set():
                body, answer = self.invoke(name, {"n": 1})
                found.append((answer.get("FunctionError"), body["code"]))
        threads = [threading.Thread(target=keep_calling) for _ in range(6)]
        for thread in threads:
            thread.start()
        try:
            self.eventually(lambda: len(found) > 50)
            files = {"index.mjs": NODE["index.mjs"].replace("'one'", "'two'")}
            client.update_function_code(FunctionName=name, ZipFile=make_zip(files))
            self.updated(name)
            at = len(found)
            self.eventually(lambda: len(found) > at + 50)
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        self.assertEqual({error for error, _ in found}, {None})
        self.assertEqual({code for _, code in found[-20:]}, {"two"})

    def test_streams_side_by_side(self):
        if "nodejs" not in self.languages:
            self.skipTest("no Node.js runtime here")
        files = {"index.mjs": """
let inside = [];
export const handler = awslambda.streamifyResponse(async (event, out) => {
  out.write(`begin ${event.n};`);
  await new Promise((go) => {
    inside.push(go);
    if (inside.length === 2) inside.splice(0).forEach((one) => one());
  });
  for (let i = 0; i < event.parts; i++) {
    if (!out.write(String(event.n).repeat(10000))) {
      await new Promise((go) => out.once('drain', go));
    }
  }
  out.end();
});
"""}
        name = self.create(runtime="nodejs22.x", handler="index.handler", files=files, Timeout=30,
                           Environment={"Variables": {"MAYFLY_MAX_CONCURRENCY": "2"}})
        bodies = {}

        def take(n, parts):
            answer = self.client().invoke_with_response_stream(
                FunctionName=name, Payload=json.dumps({"n": n, "parts": parts}))
            bodies[n] = b"".join(event["PayloadChunk"]["Payload"]
                                 for event in answer["EventStream"] if "PayloadChunk" in event)
        threads = [threading.Thread(target=take, args=pair) for pair in ((1, 100), (2, 3))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(bodies[1], b"begin 1;" + b"1" * 1000000)
        self.assertEqual(bodies[2], b"begin 2;" + b"2" * 30000)

    def test_the_variable_needs_no_provider(self):
        for language, (runtime, handler, files) in sorted(self.languages.items()):
            with self.subTest(language):
                variables = {"MAYFLY_MAX_CONCURRENCY": "4"}
                name = self.create(runtime=runtime, handler=handler, files=files, Timeout=30,
                                   MemorySize=1024, Environment={"Variables": variables})
                found = self.at_once(name, [{"n": n, "barrier": 4} for n in range(4)])
                self.assertEqual({answer.get("FunctionError") for _, answer in found}, {None})
                self.assertEqual({body["init"] for body, _ in found}, {"on-demand"})
        self.refused("InvalidParameterValueException", self.create,
                     Environment={"Variables": {"MAYFLY_MAX_CONCURRENCY": "none"}})


class Providers(Managed):
    def test_a_provider_lives(self):
        client = self.client()
        made = self.provider(Tags={"team": "blue"},
                             CapacityProviderScalingConfig={"MaxVCpuCount": 30})
        self.assertEqual(made["State"], "Active")
        name = made["CapacityProviderArn"].rpartition(":")[2]
        got = client.get_capacity_provider(CapacityProviderName=name)["CapacityProvider"]
        self.assertEqual(got, made)
        self.assertEqual(client.list_tags(Resource=made["CapacityProviderArn"])["Tags"],
                         {"team": "blue"})
        policy = {"PredefinedMetricType": "LambdaCapacityProviderAverageCPUUtilization",
                  "TargetValue": 70.0}
        changed = client.update_capacity_provider(
            CapacityProviderName=name, CapacityProviderScalingConfig={
                "MaxVCpuCount": 50, "ScalingMode": "Manual", "ScalingPolicies": [policy]})
        scaling = changed["CapacityProvider"]["CapacityProviderScalingConfig"]
        self.assertEqual(scaling, {"MaxVCpuCount": 50, "ScalingMode": "Manual",
                                   "ScalingPolicies": [policy]})
        listed = client.list_capacity_providers()["CapacityProviders"]
        self.assertIn(made["CapacityProviderArn"], [p["CapacityProviderArn"] for p in listed])
        gone = client.delete_capacity_provider(CapacityProviderName=name)["CapacityProvider"]
        self.assertEqual(gone["State"], "Deleting")
        self.refused("ResourceNotFoundException", client.get_capacity_provider,
                     CapacityProviderName=name)

    def test_a_published_version_on_a_provider(self):
        client, name = self.client(), self.managed("nodejs", 8)
        config = client.get_function_configuration(FunctionName=name)["CapacityProviderConfig"]
        arn = config["LambdaManagedInstancesCapacityProviderConfig"]["CapacityProviderArn"]
        self.refused("ResourceConflictException", client.delete_capacity_provider,
                     CapacityProviderName=arn)
        published = client.publish_version(FunctionName=name, PublishTo="LATEST_PUBLISHED")
        self.assertEqual(published["Version"], "$LATEST.PUBLISHED")
        body, answer = self.invoke(name, {"n": 1})
        self.assertEqual(answer["ExecutedVersion"], "$LATEST.PUBLISHED")
        self.assertEqual(body["version"], "$LATEST.PUBLISHED")
        files = {"index.mjs": NODE["index.mjs"].replace("'one'", "'two'")}
        client.update_function_code(FunctionName=name, ZipFile=make_zip(files))
        self.updated(name)
        self.assertEqual(self.invoke(name, {"n": 1})[0]["code"], "one")
        self.assertEqual(self.invoke(name + ":$LATEST", {"n": 1})[0]["code"], "two")
        client.publish_version(FunctionName=name, PublishTo="LATEST_PUBLISHED")
        self.assertEqual(self.invoke(name, {"n": 1})[0]["code"], "two")
        client.publish_version(FunctionName=name)
        versions = client.list_function_versions_by_capacity_provider(CapacityProviderName=arn)
        self.assertEqual([v["FunctionArn"].split(":", 7)[7] for v in versions["FunctionVersions"]],
                         ["$LATEST.PUBLISHED", "1"])

    def test_environments_at_least_and_at_most(self):
        client, name = self.client(), self.managed("nodejs", 1)
        client.publish_version(FunctionName=name, PublishTo="LATEST_PUBLISHED")
        which = {"FunctionName": name, "Qualifier": "$LATEST.PUBLISHED"}
        bounds = {"MinExecutionEnvironments": 2, "MaxExecutionEnvironments": 2}
        self.eventually(lambda: client.get_function_configuration(**which)["State"] == "Active")
        put = client.put_function_scaling_config(FunctionScalingConfig=bounds, **which)
        self.assertEqual(put["FunctionState"], "Active")
        got = client.get_function_scaling_config(**which)
        self.assertEqual(got["AppliedFunctionScalingConfig"], bounds)
        self.invoke(name, {"n": 1})
        pair = self.at_once(name, [{"n": n} for n in range(2)])
        self.assertEqual({answer.get("FunctionError") for _, answer in pair}, {None})
        off = {"MinExecutionEnvironments": 0, "MaxExecutionEnvironments": 0}
        put = client.put_function_scaling_config(FunctionScalingConfig=off, **which)
        self.assertEqual(put["FunctionState"], "Deactivated")
        state = client.get_function_configuration(**which)["State"]
        self.assertEqual(state, "Deactivated")
        self.refused("ResourceConflictException", client.invoke, FunctionName=name)

    def test_a_providers_processors_are_a_bound(self):
        client = self.client()
        arn = self.provider(
            CapacityProviderScalingConfig={"MaxVCpuCount": 2})["CapacityProviderArn"]
        runtime, handler, files = self.languages["nodejs"]
        name = self.create(
            runtime=runtime, handler=handler, files=files, MemorySize=2048, Timeout=3,
            CapacityProviderConfig={"LambdaManagedInstancesCapacityProviderConfig": {
                "CapacityProviderArn": arn, "PerExecutionEnvironmentMaxConcurrency": 1}})
        codes = []

        def one():
            try:
                client.invoke(FunctionName=name, Payload=json.dumps({"n": 1, "hang": 1}))
                codes.append("run")
            except client.exceptions.TooManyRequestsException:
                codes.append("throttled")
        threads = [threading.Thread(target=one) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(sorted(codes), ["run", "run", "throttled"])


    def test_a_version_whose_init_fails_is_failed(self):
        client = self.client()
        arn = self.provider()["CapacityProviderArn"]
        language = next((one for one in ("nodejs", "python") if one in self.languages), None)
        if language is None:
            self.skipTest("neither Node.js nor Python here")
        runtime = self.languages[language][0]
        bad, good = ({"index.mjs": "throw new RangeError('no luck');"},
                     {"index.mjs": "export const handler = async () => 1;"})
        if language == "python":
            bad, good = ({"index.py": "raise IndexError('no luck')"},
                         {"index.py": "def handler(event, context):\n    return 1\n"})
        name = self.create(runtime=runtime, handler="index.handler", files=bad, MemorySize=2048,
                           CapacityProviderConfig={"LambdaManagedInstancesCapacityProviderConfig": {
                               "CapacityProviderArn": arn}})
        for to, version in ((None, "1"), ("LATEST_PUBLISHED", "$LATEST.PUBLISHED")):
            more = {"PublishTo": to} if to else {}
            made = client.publish_version(FunctionName=name, **more)
            self.assertEqual((made["Version"], made["State"]), (version, "Pending"))

            def settled():
                got = client.get_function_configuration(FunctionName=name, Qualifier=version)
                return got if got["State"] != "Pending" else None
            got = self.eventually(settled)
            self.assertEqual((got["State"], got["StateReasonCode"]),
                             ("Failed", "FunctionError.RuntimeInitError"))
            self.assertIn("no luck", got["StateReason"])
            said = self.refused("ResourceConflictException", client.invoke, FunctionName=name,
                                Qualifier=version)
            self.assertIn("currently in the following state: Failed", said)
        # The next one is good, and a call at once waits for its init.
        client.update_function_code(FunctionName=name, ZipFile=make_zip(good))
        self.updated(name)
        client.publish_version(FunctionName=name, PublishTo="LATEST_PUBLISHED")
        body, answer = self.invoke(name)
        self.assertEqual((body, answer["ExecutedVersion"]), (1, "$LATEST.PUBLISHED"))
        got = client.get_function_configuration(FunctionName=name, Qualifier="$LATEST.PUBLISHED")
        self.assertEqual(got["State"], "Active")


def load_tests(loader, _tests, _pattern):
    """Providers inherits helpers, not tests."""
    suite = unittest.TestSuite(loader.loadTestsFromTestCase(Managed))
    own = [name for name in vars(Providers) if name.startswith("test_")]
    suite.addTests(Providers(name) for name in own)
    return suite


if __name__ == "__main__":
    harness.main()
