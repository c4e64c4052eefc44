#!/usr/bin/env python3
"""Every operation of the model answers; every list is paged; weights are kept; what the model
forbids is refused with its words."""
import datetime
import pathlib
import sys
from collections import Counter

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
import harness  # noqa: E402
from harness import Compat, make_zip, PYTHON_ECHO, ROLE  # noqa: E402

ARN = "arn:aws:lambda:us-east-1:000000000000:"
# Values for members whose pattern a plain text does not meet, by the end of the member's name.
SAMPLES = {"rolearn": ROLE, "role": ROLE, "functionname": "no-such", "resource": ARN + "function:f",
           "capacityproviderarn": ARN + "capacity-provider:x", "qualifier": "1",
           "codesigningconfigarn": ARN + "code-signing-config:csc-0123456789abcdef0",
           "durableexecutionarn": ARN + "function:f:1/durable-execution/x/y",
           "arn": ARN + "function:f", "uuid": "aaaaaaaa-0000-0000-0000-bbbbbbbbbbbb",
           "functionversion": "1"}


def sample(shape, name=""):
    """The least that the model takes for a shape."""
    kind = shape.type_name
    if kind == "structure":
        return {member: sample(shape.members[member], member) for member in shape.required_members}
    if kind == "list":
        return [sample(shape.member, name)]
    if kind == "map":
        return {"key": sample(shape.value)}
    if kind == "string":
        if shape.enum:
            return shape.enum[0]
        for end, value in SAMPLES.items():
            if name.lower().endswith(end):
                return value
        return "x" * max(1, shape.metadata.get("min", 1))
    return {"integer": 1, "long": 1, "float": 0.5, "double": 0.5, "boolean": False, "blob": b"{}",
            "timestamp": datetime.datetime.now()}[kind]


class Operations(Compat):
    def test_every_operation_is_in_the_table(self):
        """Each answers by itself, with an error of the model, or with 501 and its own name."""
        import botocore
        import botocore.exceptions
        client = self.client()
        names = client.meta.service_model.operation_names
        self.assertGreaterEqual(len(names), 60)
        unbuilt = []
        for name in names:
            model = client.meta.service_model.operation_model(name)
            given = sample(model.input_shape) if model.input_shape else {}
            with self.subTest(name):
                try:
                    getattr(client, botocore.xform_name(name))(**given)
                except botocore.exceptions.ClientError as error:
                    status = error.response["ResponseMetadata"]["HTTPStatusCode"]
                    told = f"{status} {error}"
                    if status == 501:
                        unbuilt.append(name)
                        self.assertIn(name, error.response["Error"]["Message"])
                    else:
                        self.assertIn(status, (400, 403, 404, 409), told)
                        self.assertNotIn("Nothing is served", told)
        print(f"\n{len(names)} operations, {len(unbuilt)} of them not built and named as such")
        for name in ("CreateFunction", "Invoke", "PublishVersion", "UpdateAlias", "TagResource",
                     "PublishLayerVersion", "AddLayerVersionPermission", "CreateFunctionUrlConfig",
                     "AddPermission", "GetAccountSettings", "PutFunctionConcurrency"):
            self.assertNotIn(name, unbuilt)


class Paging(Compat):
    def pages(self, operation, member, size, client=None, **more):
        """The sizes of all pages; NextMarker leads from one to the next."""
        call, marker, sizes = getattr(client or self.client(), operation), None, []
        while True:
            page = call(MaxItems=size, **more, **({"Marker": marker} if marker else {}))
            sizes.append(len(page[member]))
            marker = page.get("NextMarker")
            if not marker:
                return sizes
            self.assertLess(len(sizes), 50, "the pages have no end")

    def test_lists_of_a_function(self):
        client, name = self.client(), self.create()
        for number in range(3):
            client.update_function_configuration(FunctionName=name, Description=str(number))
            self.updated(name)
            client.publish_version(FunctionName=name)
        for number in range(3):
            alias = f"alias-{number}"
            client.create_alias(FunctionName=name, Name=alias, FunctionVersion="1")
            client.create_function_url_config(FunctionName=name, Qualifier=alias,
                                              AuthType="AWS_IAM")
            client.put_function_event_invoke_config(FunctionName=name, Qualifier=alias,
                                                    MaximumRetryAttempts=number % 3)
        for operation, member, count in (
                ("list_versions_by_function", "Versions", 4), ("list_aliases", "Aliases", 3),
                ("list_function_url_configs", "FunctionUrlConfigs", 3),
                ("list_function_event_invoke_configs", "FunctionEventInvokeConfigs", 3)):
            with self.subTest(operation):
                self.assertEqual(self.pages(operation, member, 1, FunctionName=name), [1] * count)
                self.assertEqual(self.pages(operation, member, 2, FunctionName=name),
                                 [2, 2] if count == 4 else [2, 1])

    def test_layers(self):
        client = self.client(region="ap-south-1")
        for layer in ("one", "one", "one", "two"):
            client.publish_layer_version(LayerName=layer,
                                         Content={"ZipFile": make_zip({"x.py": layer})})
        self.assertEqual(self.pages("list_layers", "Layers", 1, client), [1, 1])
        self.assertEqual(self.pages("list_layer_versions", "LayerVersions", 2, client,
                                    LayerName="one"), [2, 1])

    def test_more_functions_than_a_page_holds(self):
        client = self.client(region="sa-east-1")
        package = make_zip(PYTHON_ECHO)
        for number in range(52):
            client.create_function(FunctionName=f"f{number:02}", Runtime="python3.11", Role=ROLE,
                                   Handler="a.b", Code={"ZipFile": package})
        self.assertEqual(self.pages("list_functions", "Functions", 10_000, client), [50, 2])
        self.refused("InvalidParameterValueException", client.list_functions, Marker="@@@")


class Rules(Compat):
    def test_what_the_model_forbids_is_said_in_its_words(self):
        client = self.client()
        good = dict(FunctionName="f", Runtime="python3.11", Handler="a.b", Role=ROLE,
                    Code={"ZipFile": make_zip(PYTHON_ECHO)})
        for change, member, rule in (
                ({"MemorySize": 64}, "memorySize", "value greater than or equal to 128"),
                ({"MemorySize": 10_241}, "memorySize", "value less than or equal to 10240"),
                ({"Timeout": 0}, "timeout", "value greater than or equal to 1"),
                ({"Timeout": 901}, "timeout", "value less than or equal to 900"),
                ({"FunctionName": "a b"}, "functionName", "regular expression pattern"),
                ({"FunctionName": "x" * 65}, "functionName", "length less than or equal to 64"),
                ({"Handler": "h" * 129}, "handler", "length less than or equal to 128"),
                ({"Handler": "a b"}, "handler", "regular expression pattern: [^\\s]+"),
                ({"Role": "nobody"}, "role", "regular expression pattern: arn:"),
                ({"Description": "d" * 257}, "description", "length less than or equal to 256"),
                ({"EphemeralStorage": {"Size": 511}}, "ephemeralStorage.size", "equal to 512"),
                ({"Architectures": ["mips"]}, "architectures", "enum value set: [x86_64, arm64]"),
                ({"Runtime": "cobol85"}, "runtime", "enum value set")):
            with self.subTest(str(change)[:60]):
                message = self.refused("ValidationException", client.create_function,
                                       **{**good, **change})
                self.assertIn("1 validation error detected: Value ", message)
                self.assertIn(f" at '{member}' failed to satisfy constraint: Member must", message)
                self.assertIn(rule, message)
        message = self.refused("InvalidParameterValueException", client.create_function, **good,
                               Environment={"Variables": {"AWS_REGION": "moon"}})
        self.assertIn("reserved keys", message)
        self.refused("InvalidParameterValueException", client.create_function, **good,
                     Environment={"Variables": {"LONG": "x" * 4096}})

    def test_revisions_guard_every_change(self):
        client, name = self.client(), self.create()
        client.publish_version(FunctionName=name)
        client.create_alias(FunctionName=name, Name="live", FunctionVersion="1")
        for call, more in (
                (client.update_function_configuration, {"Description": "x"}),
                (client.update_function_code, {"ZipFile": make_zip(PYTHON_ECHO)}),
                (client.publish_version, {}), (client.update_alias, {"Name": "live"}),
                (client.add_permission, {"StatementId": "s", "Action": "lambda:InvokeFunction",
                                         "Principal": "111122223333"})):
            with self.subTest(call.__name__):
                self.refused("PreconditionFailedException", call, FunctionName=name,
                             RevisionId="stale", **more)
        revision = client.get_function_configuration(FunctionName=name)["RevisionId"]
        client.update_function_configuration(FunctionName=name, Description="x",
                                             RevisionId=revision)
        self.updated(name)
        digest = client.get_function_configuration(FunctionName=name)["CodeSha256"]
        self.refused("InvalidParameterValueException", client.publish_version, FunctionName=name,
                     CodeSha256="b3RoZXI=")
        self.assertEqual(client.publish_version(FunctionName=name, CodeSha256=digest)["Version"],
                         "2")

    def test_every_waiter_of_a_function(self):
        client, name = self.client(), self.create(Publish=True)
        for waiter in ("function_exists", "function_active", "function_active_v2",
                       "function_updated", "function_updated_v2"):
            client.get_waiter(waiter).wait(FunctionName=name,
                                           WaiterConfig={"Delay": 0.05, "MaxAttempts": 100})
        client.get_waiter("published_version_active").wait(
            FunctionName=name, Qualifier="1", WaiterConfig={"Delay": 0.05, "MaxAttempts": 100})

    def test_weights_are_kept(self):
        client, name = self.client(), self.create()
        client.publish_version(FunctionName=name)
        client.update_function_configuration(FunctionName=name, Description="changed")
        self.updated(name)
        client.publish_version(FunctionName=name)
        client.create_alias(FunctionName=name, Name="split", FunctionVersion="1",
                            RoutingConfig={"AdditionalVersionWeights": {"2": 0.2}})
        seen = Counter(client.invoke(FunctionName=name, Qualifier="split")["ExecutedVersion"]
                       for _ in range(1000))
        # Seven standard deviations: wrong once in 10^11 runs.
        self.assertAlmostEqual(seen["2"], 200, delta=89)
        self.assertEqual(seen["1"] + seen["2"], 1000)
        for weights in ({"2": 0.2, "3": 0.1}, {"1": 0.5}):
            self.refused("InvalidParameterValueException", client.update_alias, FunctionName=name,
                         Name="split", RoutingConfig={"AdditionalVersionWeights": weights})
        self.refused("ValidationException", client.update_alias, FunctionName=name, Name="split",
                     RoutingConfig={"AdditionalVersionWeights": {"2": 1.5}})
        client.update_alias(FunctionName=name, Name="split",
                            RoutingConfig={"AdditionalVersionWeights": {}})
        self.assertNotIn("RoutingConfig", client.get_alias(FunctionName=name, Name="split"))

    def test_a_layer_is_lent_to_another_account(self):
        mine, other = self.client(), self.client(key="111122223333")
        stranger, layer = self.client(key="111122224444"), self.name("layer")
        arn = mine.publish_layer_version(
            LayerName=layer, Content={"ZipFile": make_zip({"python/lent.py": "x = 5\n"})}
        )["LayerVersionArn"]
        more = dict(LayerName=layer, VersionNumber=1, StatementId="s",
                    Action="lambda:GetLayerVersion", Principal="111122223333")
        self.refused("AccessDeniedException", other.get_layer_version_by_arn, Arn=arn)
        mine.add_layer_version_permission(**more)
        self.refused("ResourceConflictException", mine.add_layer_version_permission, **more)
        self.refused("PreconditionFailedException", mine.add_layer_version_permission,
                     **{**more, "StatementId": "t"}, RevisionId="stale")
        name = self.create(client=other, Layers=[arn], Role=ROLE.replace("0" * 12, "111122223333"),
                           files={"lambda_function.py": (
                               "import lent\ndef lambda_handler(e, c):\n    return lent.x\n")})
        self.assertEqual(self.invoke(name, client=other)[0], 5)
        self.refused("AccessDeniedException", stranger.get_layer_version_by_arn, Arn=arn)
        mine.remove_layer_version_permission(LayerName=layer, VersionNumber=1, StatementId="s")
        self.refused("ResourceNotFoundException", mine.get_layer_version_policy, LayerName=layer,
                     VersionNumber=1)
        mine.delete_layer_version(LayerName=layer, VersionNumber=1)
        self.assertEqual(self.invoke(name, client=other)[0], 5, "who has it keeps it")


if __name__ == "__main__":
    harness.main()
