#!/usr/bin/env python3
"""Settings of functions and layers, written, read back, changed and taken away by a real client."""
import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
import harness  # noqa: E402
from harness import Compat, make_zip  # noqa: E402


class Settings(Compat):
    def test_event_invoke_config(self):
        client = self.client()
        name = self.create()
        client.put_function_event_invoke_config(FunctionName=name, MaximumRetryAttempts=0)
        read = client.get_function_event_invoke_config(FunctionName=name)
        self.assertEqual(read["MaximumRetryAttempts"], 0)
        self.assertTrue(read["FunctionArn"].endswith(f"{name}:$LATEST"))
        changed = client.update_function_event_invoke_config(FunctionName=name,
                                                             MaximumEventAgeInSeconds=60)
        self.assertEqual((changed["MaximumRetryAttempts"], changed["MaximumEventAgeInSeconds"]),
                         (0, 60))
        client.delete_function_event_invoke_config(FunctionName=name)
        self.refused("ResourceNotFoundException", client.get_function_event_invoke_config,
                     FunctionName=name)

    def test_no_code_signing(self):
        name = self.create()
        read = self.client().get_function_code_signing_config(FunctionName=name)
        self.assertEqual((read["FunctionName"], read["CodeSigningConfigArn"]), (name, ""))

    def test_layer_versions_and_their_policy(self):
        client = self.client()
        name = self.name("layer")
        made = client.publish_layer_version(LayerName=name, Description="one",
                                            Content={"ZipFile": make_zip({"a": "b"})})
        arn = made["LayerVersionArn"]
        self.addCleanup(client.delete_layer_version, LayerName=name, VersionNumber=1)
        for read in (client.get_layer_version(LayerName=name, VersionNumber=1),
                     client.get_layer_version_by_arn(Arn=arn)):
            self.assertEqual((read["LayerVersionArn"], read["Description"], read["Version"]),
                             (arn, "one", 1))
            self.assertEqual(read["Content"]["CodeSha256"], made["Content"]["CodeSha256"])
        client.add_layer_version_permission(
            LayerName=name, VersionNumber=1, StatementId="all", Principal="*",
            Action="lambda:GetLayerVersion")
        policy = json.loads(client.get_layer_version_policy(LayerName=name,
                                                            VersionNumber=1)["Policy"])
        self.assertEqual([one["Sid"] for one in policy["Statement"]], ["all"])
        client.remove_layer_version_permission(LayerName=name, VersionNumber=1, StatementId="all")
        self.refused("ResourceNotFoundException", client.get_layer_version_policy, LayerName=name,
                     VersionNumber=1)

    def test_invoke_async(self):
        name = self.create()
        answer = self.client().invoke_async(FunctionName=name, InvokeArgs=b'{"from": "old times"}')
        self.assertEqual(answer["Status"], 202)

        def seen():
            return self.client("logs").filter_log_events(
                logGroupName=f"/aws/lambda/{name}", filterPattern='"old times"')["events"]
        self.eventually(seen)


if __name__ == "__main__":
    harness.main()
