#!/usr/bin/env python3
"""Credentials of functions: each environment has its own, renewed before they expire, and
what they no longer are worth the server says. Six and twelve hours go by on the moved clock."""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
import harness  # noqa: E402
from async_test import OnAClock  # noqa: E402

CALLS_BACK = """
import os, time
import boto3
CLIENTS = {name: boto3.client(name) for name in ('sts', 'lambda')}    # in the init, as is usual
def lambda_handler(event, context):
    time.sleep(event.get('seconds', 0))
    return {'key': os.environ['AWS_ACCESS_KEY_ID'], 'secret': os.environ['AWS_SECRET_ACCESS_KEY'],
            'token': os.environ['AWS_SESSION_TOKEN'], 'stream': context.log_stream_name,
            'arn': CLIENTS['sts'].get_caller_identity()['Arn'],
            'functions': len(CLIENTS['lambda'].list_functions()['Functions'])}
"""
NODE = """
import { STSClient, GetCallerIdentityCommand } from '@aws-sdk/client-sts';
const client = new STSClient({});
export const handler = async (event, context) => ({
  key: process.env.AWS_ACCESS_KEY_ID, secret: process.env.AWS_SECRET_ACCESS_KEY,
  token: process.env.AWS_SESSION_TOKEN, stream: context.logStreamName,
  arn: (await client.send(new GetCallerIdentityCommand({}))).Arn });
"""


class Credentials(OnAClock):
    def setUp(self):  # the clock runs on: what is not moved passes as it does
        pass

    def function(self, language, files, handler, missing):
        runtime = harness.machine_runtimes().get(language)
        if not runtime:
            self.skipTest(f"no {language} on this machine")
        name = self.create(runtime=runtime, files=files, handler=handler, Timeout=30,
                           MemorySize=512)
        body = self.invoke(name)[0]
        if missing in str(body):
            self.skipTest("the SDK is not there for this runtime on this machine")
        return name

    def identity(self, had):
        """Who the server takes the bearer of these credentials for."""
        return self.client("sts", key=had["key"], secret=had["secret"],
                           token=had["token"]).get_caller_identity()["Arn"]

    def expired(self, had):
        return self.refused("ExpiredToken", self.identity, had)

    def lives(self, name):
        """Three lives of six hours: who is called has credentials that are good, always."""
        arn = f"arn:aws:sts::000000000000:assumed-role/test-role/{name}"
        lives = []
        for _ in range(3):
            found = [self.invoke(name, {})[0] for _ in range(3)]
            self.assertEqual([one.get("arn") for one in found], [arn] * 3, found)
            for one in found:
                self.assertEqual(self.identity(one), arn)
            for before in lives[-1:]:  # good for twelve hours, of which six have passed
                self.assertEqual([self.identity(one) for one in before], [arn] * 3)
            for before in lives[:-1]:
                for one in before:
                    self.expired(one)
            lives.append(found)
            self.clock(advance="6h")
        for what in ("key", "token", "secret", "stream"):
            seen = [{one[what] for one in found} for found in lives]
            self.assertEqual(len(set.union(*seen)), sum(map(len, seen)), what)

    def test_python(self):
        self.lives(self.function("python", {"main.py": CALLS_BACK}, "main.lambda_handler",
                                 "No module named 'boto3'"))

    def test_node(self):
        self.lives(self.function("nodejs", {"index.mjs": NODE}, "index.handler",
                                 "Cannot find package"))

    def test_an_environment_keeps_its_own_for_less_than_its_life(self):
        name = self.function("python", {"main.py": CALLS_BACK}, "main.lambda_handler",
                             "No module named 'boto3'")
        known = {one["stream"]: one["key"] for one in
                 (self.invoke(name, {})[0] for _ in range(10))}
        self.clock(advance="5h")  # up to a tenth less than six, so that not all end at once
        after = self.invoke(name, {})[0]
        self.assertEqual(known.get(after["stream"]), after["key"])

    def test_provisioned_environments_are_replaced(self):
        name = self.function("python", {"main.py": CALLS_BACK}, "main.lambda_handler",
                             "No module named 'boto3'")
        client = self.client()
        version = client.publish_version(FunctionName=name)["Version"]
        client.put_provisioned_concurrency_config(FunctionName=name, Qualifier=version,
                                                  ProvisionedConcurrentExecutions=1)

        def is_there():
            found = client.get_provisioned_concurrency_config(FunctionName=name, Qualifier=version)
            return found.get("AvailableProvisionedConcurrentExecutions") == 1
        self.eventually(is_there)
        before = self.invoke(name, {}, Qualifier=version)[0]
        self.clock(advance="13h")
        self.expired(before)
        self.eventually(is_there)
        self.assertNotEqual(self.invoke(name, {}, Qualifier=version)[0]["key"], before["key"])


if __name__ == "__main__":
    harness.main()
