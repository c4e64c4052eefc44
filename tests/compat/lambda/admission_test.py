#!/usr/bin/env python3
"""What is admitted: reserved and account concurrency, requests per second, new environments."""
import json
import pathlib
import sys
import threading
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
import harness  # noqa: E402
from harness import Compat  # noqa: E402

CONCURRENCY = 110
SLEEPS = {"lambda_function.py": (
    "import time\ndef lambda_handler(event, context):\n    time.sleep(600)\n")}


class Admission(Compat):
    server_arguments = ("--account-concurrency", str(CONCURRENCY), "--scaling-environments", "3",
                        "--spares", "0")

    def setUp(self):
        self.clock(freeze=True)
        self.addCleanup(self.clock, freeze=False)
        self.clock(advance="10s")  # all that was used is back

    def clock(self, **move):
        request = urllib.request.Request(self.server.url + "/_mayfly/clock",
                                         data=json.dumps(move).encode())
        urllib.request.urlopen(request, timeout=30).close()

    def throttled(self, name, **more):
        """The answer of a call that must be refused."""
        import botocore.exceptions
        with self.assertRaises(botocore.exceptions.ClientError) as caught:
            self.client().invoke(FunctionName=name, **more)
        answer = caught.exception.response
        self.assertEqual(answer["Error"]["Code"], "TooManyRequestsException")
        self.assertEqual(answer["ResponseMetadata"]["HTTPStatusCode"], 429)
        self.assertEqual(answer["Type"], "User")
        self.assertEqual(answer["ResponseMetadata"]["HTTPHeaders"]["retry-after"], "1")
        return answer["Reason"]

    def reserve(self, name, concurrency):
        return self.client().put_function_concurrency(FunctionName=name,
                                                      ReservedConcurrentExecutions=concurrency)

    def left(self):
        limit = self.client().get_account_settings()["AccountLimit"]
        self.assertEqual(limit["ConcurrentExecutions"], CONCURRENCY)
        return limit["UnreservedConcurrentExecutions"]

    def start(self, name):
        """A call that stays; answers when it runs."""
        def call():
            try:
                self.client().invoke(FunctionName=name)
            except Exception:  # the server ends first
                pass
        before = self.running(name)
        threading.Thread(target=call, daemon=True).start()
        self.eventually(lambda: self.running(name) == before + 1)

    def running(self, name):
        with urllib.request.urlopen(self.server.url + "/_mayfly/metrics", timeout=30) as answer:
            for line in answer.read().decode().splitlines():
                if line.startswith("mayfly_invocations_running{") and f'"{name}"' in line:
                    return float(line.rsplit(" ", 1)[1])
        return 0

    def test_100_stay_unreserved(self):
        one, two = self.create(), self.create()
        before = self.left()
        self.assertEqual(before, CONCURRENCY)
        message = self.refused("InvalidParameterValueException", self.reserve, one, 11)
        self.assertIn("UnreservedConcurrentExecution below its minimum value of [100]", message)
        self.assertEqual(self.reserve(one, 10)["ReservedConcurrentExecutions"], 10)
        self.assertEqual(self.left(), 100)
        self.refused("InvalidParameterValueException", self.reserve, two, 1)
        self.reserve(two, 0)  # the switch is always there
        self.assertEqual(self.client().get_function_concurrency(
            FunctionName=one)["ReservedConcurrentExecutions"], 10)
        self.client().delete_function_concurrency(FunctionName=one)
        self.assertNotIn("ReservedConcurrentExecutions",
                         self.client().get_function_concurrency(FunctionName=one))
        self.reserve(two, 10)
        self.client().delete_function(FunctionName=two)
        self.assertEqual(self.left(), CONCURRENCY)

    def test_zero_switches_a_function_off(self):
        made = self.create()
        self.invoke(made)
        self.reserve(made, 0)
        self.assertEqual(self.throttled(made), "ReservedFunctionConcurrentInvocationLimitExceeded")
        self.client().delete_function_concurrency(FunctionName=made)
        self.invoke(made)

    def test_a_reservation_is_a_limit_too(self):
        made = self.create(files=SLEEPS, Timeout=900)
        self.reserve(made, 1)
        self.start(made)
        self.assertEqual(self.throttled(made), "ReservedFunctionConcurrentInvocationLimitExceeded")

    def test_requests_per_second_of_a_reservation(self):
        made = self.create()
        self.reserve(made, 1)
        for _ in range(10):
            self.invoke(made)
        self.assertEqual(self.throttled(made), "ReservedFunctionInvocationRateLimitExceeded")
        self.clock(advance="1s")
        for _ in range(10):
            self.invoke(made)
        self.assertEqual(self.throttled(made), "ReservedFunctionInvocationRateLimitExceeded")

    def test_requests_per_second_of_an_account(self):
        made, client = self.create(), self.client()
        self.reserve(made, 0)
        errors = client.exceptions.TooManyRequestsException
        reasons = []
        while not reasons or reasons[-1].startswith("Reserved"):
            try:
                client.invoke(FunctionName=made)
            except errors as error:
                reasons.append(error.response["Reason"])
        self.assertEqual(reasons[-1], "CallerRateLimitExceeded")
        self.assertEqual(len(reasons) - 1, 10 * CONCURRENCY)
        self.assertEqual(self.throttled(made, InvocationType="Event"), "CallerRateLimitExceeded")
        # Other regions have rates of their own, and time brings this one's back.
        far = self.client(region="eu-west-1")
        self.refused("ResourceNotFoundException", far.invoke, FunctionName="none")
        self.clock(advance="1s")
        answer = client.invoke(FunctionName=made, InvocationType="Event")
        self.assertEqual(answer["StatusCode"], 202)

    def test_new_environments_of_a_function(self):
        made = self.create(files=SLEEPS, Timeout=900)
        for _ in range(3):
            self.start(made)
        self.assertEqual(self.throttled(made), "ConcurrentInvocationLimitExceeded")
        other = self.create()
        self.invoke(other)
        self.clock(advance="4s")  # 1.2 of 3 in 10 s
        self.start(made)
        self.assertEqual(self.throttled(made), "ConcurrentInvocationLimitExceeded")

    def test_provisioned_environments_wait_for_calls(self):
        made = self.create(files={"lambda_function.py": (
            "import os\nkind = os.environ['AWS_LAMBDA_INITIALIZATION_TYPE']\n"
            "def lambda_handler(event, context):\n    return kind\n")})
        client = self.client()
        client.publish_version(FunctionName=made)
        client.create_alias(FunctionName=made, Name="live", FunctionVersion="1")
        where = {"FunctionName": made, "Qualifier": "live"}
        put = client.put_provisioned_concurrency_config(ProvisionedConcurrentExecutions=2, **where)
        self.assertEqual(put["Status"], "IN_PROGRESS")
        self.assertEqual(self.left(), CONCURRENCY - 2)
        ready = self.eventually(lambda: self.ready(where))
        self.assertEqual(ready["AllocatedProvisionedConcurrentExecutions"], 2)
        self.assertEqual(self.invoke(made, Qualifier="live")[0], "provisioned-concurrency")
        self.assertEqual(self.invoke(made)[0], "on-demand")
        self.assertEqual(self.cold(made), 1)  # the one on demand
        listed = client.list_provisioned_concurrency_configs(FunctionName=made)
        self.assertEqual([c["FunctionArn"].rsplit(":", 1)[1]
                          for c in listed["ProvisionedConcurrencyConfigs"]], ["live"])
        self.refused("InvalidParameterValueException", client.put_provisioned_concurrency_config,
                     FunctionName=made, Qualifier="$LATEST", ProvisionedConcurrentExecutions=1)
        client.delete_provisioned_concurrency_config(**where)
        self.refused("ProvisionedConcurrencyConfigNotFoundException",
                     client.get_provisioned_concurrency_config, **where)
        self.assertEqual(self.left(), CONCURRENCY)

    def test_a_function_that_does_not_initialise_is_not_provisioned(self):
        made = self.create(files={"lambda_function.py": "raise ValueError('no')\n"})
        client = self.client()
        client.publish_version(FunctionName=made)
        where = {"FunctionName": made, "Qualifier": "1"}
        client.put_provisioned_concurrency_config(ProvisionedConcurrentExecutions=1, **where)
        state = self.eventually(lambda: self.ready(where, "FAILED"))
        self.assertEqual(state["StatusReason"], "FUNCTION_ERROR_INIT_FAILURE")

    def ready(self, where, status="READY"):
        state = self.client().get_provisioned_concurrency_config(**where)
        return state if state["Status"] == status else None

    def cold(self, name):
        with urllib.request.urlopen(self.server.url + "/_mayfly/metrics", timeout=30) as answer:
            return sum(float(line.rsplit(" ", 1)[1]) for line in answer.read().decode().splitlines()
                       if line.startswith("mayfly_cold_starts_total{") and f'"{name}"' in line)

    def test_concurrency_of_an_account(self):
        server = harness.Server("--account-concurrency", "1")
        self.addCleanup(server.stop)
        self.addCleanup(server.kill)
        client = harness.boto_client(server.url)
        client.create_function(FunctionName="f", Runtime="python3.11", Role=harness.ROLE,
                               Handler="lambda_function.lambda_handler", Timeout=900,
                               Code={"ZipFile": harness.make_zip(SLEEPS)})
        client.invoke(FunctionName="f", InvocationType="Event")
        self.eventually(lambda: self.busy(server) == 1)
        with self.assertRaises(client.exceptions.TooManyRequestsException) as caught:
            client.invoke(FunctionName="f")
        self.assertEqual(caught.exception.response["Reason"], "ConcurrentInvocationLimitExceeded")

    @staticmethod
    def busy(server):
        with urllib.request.urlopen(server.url + "/_mayfly/health", timeout=10) as answer:
            return json.loads(answer.read())["busy"]


if __name__ == "__main__":
    harness.main()
