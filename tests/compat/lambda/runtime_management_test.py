#!/usr/bin/env python3
"""Which version of its runtime a function runs on: shown, kept per version, chosen by hand."""
import pathlib
import re
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
import harness  # noqa: E402
from harness import Compat, log_tail, Server  # noqa: E402

ARN = r"arn:aws:lambda:us-east-1::runtime:[0-9a-f]{64}"
GONE = "arn:aws:lambda:us-east-1::runtime:" + "0" * 64


class Runtime(Compat):
    def setUp(self):
        if not hasattr(self.client(), "put_runtime_management_config"):
            self.skipTest("this boto3 is older than the operation")

    def installed(self, name, client=None):
        configuration = (client or self.client()).get_function_configuration(FunctionName=name)
        return configuration["RuntimeVersionConfig"]["RuntimeVersionArn"]

    def test_the_version_is_the_one_of_the_log(self):
        name = self.create()
        arn = self.installed(name)
        self.assertRegex(arn, f"^{ARN}$")
        _, answer = self.invoke(name, LogType="Tail")
        stream = f"/aws/lambda/{name}"

        def started():
            found = self.client("logs").filter_log_events(logGroupName=stream,
                                                          filterPattern="INIT_START")["events"]
            return [re.search(f"Runtime Version ARN: ({ARN})", one["message"]) for one in found]

        self.assertEqual(self.eventually(started)[0][1], arn)
        self.assertIn("REPORT", log_tail(answer))

    def test_modes_belong_to_versions_and_outlive_the_server(self):
        server = Server()
        try:
            client = harness.boto_client(server.url)
            name = self.create(client=client)
            self.assertEqual(client.get_runtime_management_config(FunctionName=name)[
                "UpdateRuntimeOn"], "Auto")
            client.put_runtime_management_config(FunctionName=name,
                                                 UpdateRuntimeOn="FunctionUpdate")
            version = client.publish_version(FunctionName=name)["Version"]
            arn = self.installed(name, client)
            put = client.put_runtime_management_config(
                FunctionName=name, Qualifier=version, UpdateRuntimeOn="Manual",
                RuntimeVersionArn=arn)
            self.assertEqual(put["RuntimeVersionArn"], arn)
            self.assertTrue(put["FunctionArn"].endswith(f":function:{name}:{version}"))
            data, server.own_data = server.data, False
            server.stop()
            server = Server(data=data)
            server.own_data = True
            client = harness.boto_client(server.url)
            latest = client.get_runtime_management_config(FunctionName=name)
            self.assertEqual(latest["UpdateRuntimeOn"], "FunctionUpdate")
            self.assertNotIn("RuntimeVersionArn", latest)
            kept = client.get_runtime_management_config(FunctionName=name, Qualifier=version)
            self.assertEqual((kept["UpdateRuntimeOn"], kept["RuntimeVersionArn"]),
                             ("Manual", arn))
            body, _ = self.invoke(name, client=client, Qualifier=version)
            self.assertEqual(body["version"], version)
        finally:
            server.stop()

    def test_refusals(self):
        client = self.client()
        name = self.create()
        put = client.put_runtime_management_config
        code = "InvalidParameterValueException"
        self.assertIn(GONE, self.refused(code, put, FunctionName=name, UpdateRuntimeOn="Manual",
                                         RuntimeVersionArn=GONE))
        self.refused(code, put, FunctionName=name, UpdateRuntimeOn="Manual")
        self.refused(code, put, FunctionName=name, UpdateRuntimeOn="Auto",
                     RuntimeVersionArn=self.installed(name))
        self.refused("ValidationException", put, FunctionName=name, UpdateRuntimeOn="Sometimes")
        self.refused("ResourceNotFoundException", put, FunctionName=name, Qualifier="9",
                     UpdateRuntimeOn="Auto")
        self.refused("ResourceNotFoundException", client.get_runtime_management_config,
                     FunctionName=self.name("none"))

    def test_manual_keeps_the_runtime(self):
        client = self.client()
        name = self.create()
        client.put_runtime_management_config(FunctionName=name, UpdateRuntimeOn="Manual",
                                             RuntimeVersionArn=self.installed(name))
        self.refused("InvalidParameterValueException", client.update_function_configuration,
                     FunctionName=name, Runtime="python3.9")
        client.update_function_configuration(FunctionName=name, Timeout=9)
        self.updated(name)
        client.put_runtime_management_config(FunctionName=name, UpdateRuntimeOn="Auto")
        client.update_function_configuration(FunctionName=name, Runtime="python3.9")
        self.updated(name)


if __name__ == "__main__":
    harness.main()
