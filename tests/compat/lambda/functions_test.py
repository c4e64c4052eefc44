#!/usr/bin/env python3
"""The life of functions, versions, aliases, layers, tags and settings, through boto3."""
import base64
import hashlib
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
import harness  # noqa: E402
from harness import Compat, make_zip, PYTHON_ECHO, ROLE  # noqa: E402


class Functions(Compat):
    def test_create_answers_the_configuration(self):
        client, name = self.client(), self.name()
        package = make_zip(PYTHON_ECHO)
        made = client.create_function(
            FunctionName=name, Runtime="python3.11", Handler="lambda_function.lambda_handler",
            Role=ROLE, Code={"ZipFile": package}, Description="text", Timeout=9, MemorySize=256,
            Environment={"Variables": {"MARKER": "m"}}, Tags={"team": "blue"})
        self.addCleanup(harness.forget, client, name)
        self.assertEqual(made["FunctionArn"],
                         f"arn:aws:lambda:us-east-1:000000000000:function:{name}")
        self.assertEqual(made["CodeSha256"],
                         base64.b64encode(hashlib.sha256(package).digest()).decode())
        self.assertEqual(made["CodeSize"], len(package))
        self.assertEqual((made["Timeout"], made["MemorySize"], made["Version"]),
                         (9, 256, "$LATEST"))
        self.assertEqual(made["State"], "Pending")
        self.assertEqual(made["Environment"]["Variables"], {"MARKER": "m"})
        self.assertEqual(made["EphemeralStorage"], {"Size": 512})
        self.assertEqual(made["Architectures"], ["x86_64"])
        self.assertRegex(made["LastModified"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+0000$")
        client.get_waiter("function_active_v2").wait(
            FunctionName=name, WaiterConfig={"Delay": 0.05, "MaxAttempts": 600})
        got = client.get_function(FunctionName=name)
        self.assertEqual(got["Configuration"]["State"], "Active")
        self.assertEqual(got["Configuration"]["LastUpdateStatus"], "Successful")
        self.assertEqual(got["Tags"], {"team": "blue"})
        self.assertEqual(got["Code"]["RepositoryType"], "S3")

    def test_code_location_can_be_fetched(self):
        import urllib.request
        client = self.client()
        name = self.create(client=client)
        location = client.get_function(FunctionName=name)["Code"]["Location"]
        with urllib.request.urlopen(location) as answer:
            digest = base64.b64encode(hashlib.sha256(answer.read()).digest()).decode()
        self.assertEqual(digest, client.get_function_configuration(FunctionName=name)["CodeSha256"])

    def test_names_in_every_form(self):
        client = self.client()
        name = self.create(client=client)
        arn = f"arn:aws:lambda:us-east-1:000000000000:function:{name}"
        for form in (name, arn, f"000000000000:function:{name}", f"{arn}:$LATEST",
                     f"{name}:$LATEST"):
            self.assertEqual(client.get_function(FunctionName=form)["Configuration"]
                             ["FunctionName"], name, form)

    def test_twice_and_missing(self):
        client = self.client()
        name = self.create(client=client)
        self.refused("ResourceConflictException", client.create_function, FunctionName=name,
                     Runtime="python3.11", Handler="a.b", Role=ROLE,
                     Code={"ZipFile": make_zip(PYTHON_ECHO)})
        client.delete_function(FunctionName=name)
        for call in (client.get_function, client.delete_function, client.invoke,
                     client.list_versions_by_function, client.get_policy):
            message = self.refused("ResourceNotFoundException", call, FunctionName=name)
            self.assertTrue(message)

    def test_invalid_input_is_refused(self):
        client = self.client()
        good = dict(Runtime="python3.11", Handler="a.b", Role=ROLE,
                    Code={"ZipFile": make_zip(PYTHON_ECHO)})
        for change in ({"FunctionName": "not a name"}, {"FunctionName": "x" * 65},
                       {"Timeout": 901}, {"Timeout": 0}, {"MemorySize": 64}, {"Role": "nobody"},
                       {"Runtime": "cobol85"}):
            request = {"FunctionName": self.name(), **good, **change}
            with self.subTest(change=str(change)):
                import botocore.exceptions
                with self.assertRaises(botocore.exceptions.ClientError) as caught:
                    client.create_function(**request)
                self.assertIn(caught.exception.response["Error"]["Code"],
                              ("ValidationException", "InvalidParameterValueException"))

    def test_update_code_and_configuration(self):
        client = self.client()
        name = self.create(client=client)
        before = client.get_function_configuration(FunctionName=name)
        self.refused("PreconditionFailedException", client.update_function_code, FunctionName=name,
                     ZipFile=make_zip(PYTHON_ECHO),
                     RevisionId="00000000-0000-0000-0000-000000000000")
        client.update_function_code(FunctionName=name, ZipFile=make_zip(
            {"lambda_function.py": "def lambda_handler(e, c):\n    return 'second'\n"}))
        self.updated(name, client)
        self.assertEqual(self.invoke(name, client=client)[0], "second")
        client.update_function_configuration(FunctionName=name, Timeout=11, Description="new",
                                             Environment={"Variables": {"MARKER": "two"}})
        self.updated(name, client)
        after = client.get_function_configuration(FunctionName=name)
        self.assertEqual((after["Timeout"], after["Description"]), (11, "new"))
        self.assertNotEqual(before["RevisionId"], after["RevisionId"])
        self.assertNotEqual(before["CodeSha256"], after["CodeSha256"])

    def test_dry_run_changes_nothing(self):
        client = self.client()
        name = self.create(client=client)
        before = client.get_function_configuration(FunctionName=name)["CodeSha256"]
        client.update_function_code(FunctionName=name, DryRun=True, ZipFile=make_zip(
            {"lambda_function.py": "other = 1\n"}))
        self.assertEqual(client.get_function_configuration(FunctionName=name)["CodeSha256"], before)
        self.assertEqual(client.invoke(FunctionName=name, InvocationType="DryRun")["StatusCode"],
                         204)

    def test_list_is_paged(self):
        client = self.client(region="eu-west-3")
        names = sorted(self.create(client=client) for _ in range(5))
        seen, marker, pages = [], None, 0
        while True:
            page = client.list_functions(MaxItems=2, **({"Marker": marker} if marker else {}))
            seen += [f["FunctionName"] for f in page["Functions"]]
            pages += 1
            self.assertLessEqual(len(page["Functions"]), 2)
            marker = page.get("NextMarker")
            if not marker:
                break
        self.assertEqual((sorted(seen), pages), (names, 3))

    def test_accounts_and_regions_are_apart(self):
        name = self.create()
        self.refused("ResourceNotFoundException", self.client(region="eu-north-1").get_function,
                     FunctionName=name)
        other = self.client(key="111122223333")
        self.refused("ResourceNotFoundException", other.get_function, FunctionName=name)
        self.refused("InvalidParameterValueException", self.create, client=other)  # whose role
        self.create(client=other, FunctionName=name,
                    Role="arn:aws:iam::111122223333:role/test-role")
        arn = other.get_function(FunctionName=name)["Configuration"]["FunctionArn"]
        self.assertIn(":111122223333:", arn)

    def test_tags(self):
        client = self.client()
        name = self.create(client=client, Tags={"a": "1"})
        arn = client.get_function(FunctionName=name)["Configuration"]["FunctionArn"]
        client.tag_resource(Resource=arn, Tags={"b": "2", "c": "3"})
        client.untag_resource(Resource=arn, TagKeys=["a", "c"])
        self.assertEqual(client.list_tags(Resource=arn)["Tags"], {"b": "2"})

    def test_reserved_concurrency(self):
        client = self.client()
        name = self.create(client=client)
        client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
        self.assertEqual(client.get_function_concurrency(FunctionName=name)
                         ["ReservedConcurrentExecutions"], 0)
        self.refused("TooManyRequestsException", client.invoke, FunctionName=name)
        client.delete_function_concurrency(FunctionName=name)
        self.assertEqual(self.invoke(name)[1]["StatusCode"], 200)

    def test_account_settings(self):
        answer = self.client().get_account_settings()
        self.assertEqual(answer["AccountLimit"]["ConcurrentExecutions"], 1000)
        self.assertIn("FunctionCount", answer["AccountUsage"])


class Versions(Compat):
    def test_publish_and_invoke_old_code(self):
        client = self.client()
        first = "def lambda_handler(e, c):\n    return [1, c.function_version]\n"
        name = self.create(client=client, files={"lambda_function.py": first})
        first = client.publish_version(FunctionName=name, Description="first")
        self.assertEqual(first["Version"], "1")
        self.assertTrue(first["FunctionArn"].endswith(":1"))
        self.assertEqual(client.publish_version(FunctionName=name)["Version"], "1",
                         "nothing changed: the same version")
        second = "def lambda_handler(e, c):\n    return [2, c.function_version]\n"
        client.update_function_code(FunctionName=name, Publish=True,
                                    ZipFile=make_zip({"lambda_function.py": second}))
        self.updated(name, client)
        self.assertEqual(self.invoke(name, Qualifier="1")[0], [1, "1"])
        self.assertEqual(self.invoke(name, Qualifier="2")[0], [2, "2"])
        self.assertEqual(self.invoke(name)[0], [2, "$LATEST"])
        self.assertEqual(self.invoke(name, Qualifier="1")[1]["ExecutedVersion"], "1")
        versions = [v["Version"] for v in
                    client.list_versions_by_function(FunctionName=name)["Versions"]]
        self.assertEqual(versions, ["$LATEST", "1", "2"])
        client.delete_function(FunctionName=name, Qualifier="1")
        self.refused("ResourceNotFoundException", client.invoke, FunctionName=name, Qualifier="1")

    def test_aliases(self):
        client = self.client()
        name = self.create(client=client)
        client.publish_version(FunctionName=name)
        made = client.create_alias(FunctionName=name, Name="live", FunctionVersion="1")
        self.assertTrue(made["AliasArn"].endswith(f":{name}:live"))
        body, answer = self.invoke(name, Qualifier="live")
        self.assertEqual((body["version"], answer["ExecutedVersion"]), ("1", "1"))
        self.assertTrue(body["arn"].endswith(":live"))
        self.refused("ResourceConflictException", client.create_alias, FunctionName=name,
                     Name="live", FunctionVersion="1")
        self.refused("ResourceConflictException", client.delete_function, FunctionName=name,
                     Qualifier="1")
        client.update_alias(FunctionName=name, Name="live", FunctionVersion="$LATEST")
        self.assertEqual(self.invoke(name, Qualifier="live")[1]["ExecutedVersion"], "$LATEST")
        self.assertEqual([a["Name"] for a in client.list_aliases(FunctionName=name)["Aliases"]],
                         ["live"])
        client.delete_alias(FunctionName=name, Name="live")
        self.refused("ResourceNotFoundException", client.get_alias, FunctionName=name, Name="live")

    def test_weighted_alias_reaches_both_versions(self):
        client = self.client()
        name = self.create(client=client)
        client.publish_version(FunctionName=name)
        client.update_function_configuration(FunctionName=name, Description="changed")
        self.updated(name, client)
        client.publish_version(FunctionName=name)
        client.create_alias(FunctionName=name, Name="split", FunctionVersion="1",
                            RoutingConfig={"AdditionalVersionWeights": {"2": 0.5}})
        seen = {self.invoke(name, Qualifier="split")[1]["ExecutedVersion"] for _ in range(60)}
        self.assertEqual(seen, {"1", "2"})  # wrong once in 10^18 runs

    def test_a_weighted_alias_over_many_calls(self):
        client = self.client()
        name = self.create(client=client)
        client.publish_version(FunctionName=name)
        client.update_function_configuration(FunctionName=name, Description="changed")
        self.updated(name, client)
        client.publish_version(FunctionName=name)
        client.create_alias(FunctionName=name, Name="split", FunctionVersion="1",
                            RoutingConfig={"AdditionalVersionWeights": {"2": 0.2}})
        calls = 600
        ran = [self.invoke(name, client=client, Qualifier="split")[1]["ExecutedVersion"]
               for _ in range(calls)]
        second = ran.count("2")
        expected = calls * 0.2
        chi_square = (second - expected) ** 2 * (1 / expected + 1 / (calls - expected))
        self.assertLess(chi_square, 23.9, second)  # wrong once in a million runs


class Layers(Compat):
    def test_layer_is_seen_by_the_function(self):
        client, layer = self.client(), self.name("layer")
        made = client.publish_layer_version(
            LayerName=layer, CompatibleRuntimes=["python3.11"],
            Content={"ZipFile": make_zip({"python/shared.py": "WORD = 'from the layer'\n"})})
        self.assertEqual(made["Version"], 1)
        self.addCleanup(client.delete_layer_version, LayerName=layer, VersionNumber=1)
        name = self.create(client=client, Layers=[made["LayerVersionArn"]], files={
            "lambda_function.py": "import shared\n"
                                  "def lambda_handler(e, c):\n    return shared.WORD\n"})
        self.assertEqual(self.invoke(name)[0], "from the layer")
        self.assertEqual(client.get_function_configuration(FunctionName=name)["Layers"][0]["Arn"],
                         made["LayerVersionArn"])
        listed = client.list_layer_versions(LayerName=layer)["LayerVersions"]
        self.assertEqual([v["Version"] for v in listed], [1])
        self.assertIn(layer, [x["LayerName"] for x in client.list_layers()["Layers"]])

    def test_five_layers_merge_in_order(self):
        client, arns = self.client(), []
        for number in range(1, 7):
            layer = self.name("layer")
            made = client.publish_layer_version(LayerName=layer, Content={"ZipFile": make_zip({
                "python/which.py": f"WORD = {number}\n", f"own/{number}": str(number),
                "bin/tool": (f"#!/bin/sh\necho tool {number}\n")})})
            self.addCleanup(client.delete_layer_version, LayerName=layer, VersionNumber=1)
            arns.append(made["LayerVersionArn"])
        files = {"lambda_function.py": (
            "import os, subprocess, which\n"
            "def lambda_handler(event, context):\n"
            "    return [which.WORD, sorted(os.listdir('/opt/own')),\n"
            "            subprocess.check_output(['sh', '/opt/bin/tool']).decode()]\n")}
        name = self.create(client=client, Layers=arns[:5], files=files)
        self.assertEqual(self.invoke(name)[0], [5, list("12345"), "tool 5\n"])
        client.update_function_configuration(FunctionName=name, Layers=arns[4::-1])
        self.updated(name)
        self.assertEqual(self.invoke(name)[0], [1, list("12345"), "tool 1\n"])
        shown = client.get_function_configuration(FunctionName=name)["Layers"]
        self.assertEqual([one["Arn"] for one in shown], arns[4::-1])
        self.refused("InvalidParameterValueException", client.update_function_configuration,
                     FunctionName=name, Layers=arns)

    def test_missing_layer(self):
        client = self.client()
        self.refused("InvalidParameterValueException", client.create_function,
                     FunctionName=self.name(), Runtime="python3.11", Handler="a.b", Role=ROLE,
                     Code={"ZipFile": make_zip(PYTHON_ECHO)},
                     Layers=["arn:aws:lambda:us-east-1:000000000000:layer:nowhere:1"])


class Policies(Compat):
    def test_statements(self):
        import json
        client = self.client()
        name = self.create(client=client)
        client.add_permission(FunctionName=name, StatementId="s1", Action="lambda:InvokeFunction",
                              Principal="s3.amazonaws.com", SourceArn="arn:aws:s3:::bucket")
        policy = json.loads(client.get_policy(FunctionName=name)["Policy"])
        statement = policy["Statement"][0]
        self.assertEqual(statement["Sid"], "s1")
        self.assertEqual(statement["Principal"], {"Service": "s3.amazonaws.com"})
        self.assertEqual(statement["Condition"],
                         {"ArnLike": {"AWS:SourceArn": "arn:aws:s3:::bucket"}})
        self.refused("ResourceConflictException", client.add_permission, FunctionName=name,
                     StatementId="s1", Action="lambda:InvokeFunction", Principal="s3.amazonaws.com")
        client.remove_permission(FunctionName=name, StatementId="s1")
        self.refused("ResourceNotFoundException", client.get_policy, FunctionName=name)


class NotBuilt(Compat):
    def test_says_so_and_names_the_operation(self):
        import botocore.exceptions
        with self.assertRaises(botocore.exceptions.ClientError) as caught:
            self.client().list_durable_executions_by_function(FunctionName="f")
        self.assertEqual(caught.exception.response["ResponseMetadata"]["HTTPStatusCode"], 501)
        self.assertIn("ListDurableExecutionsByFunction", str(caught.exception))


if __name__ == "__main__":
    harness.main()
