#!/usr/bin/env python3
"""Tenant isolation: environments that belong to one tenant, as clients and functions see it."""
import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
import harness  # noqa: E402
from harness import Compat, machine_runtimes  # noqa: E402

TENANCY = {"TenantIsolationMode": "PER_TENANT"}
# Each tells the tenant, and every tenant that its process has ever seen.
PYTHON = {"lambda_function.py": (
    "import logging\nseen = []\n"
    "def lambda_handler(event, context):\n"
    "    seen.append(context.tenant_id)\n"
    "    logging.getLogger().warning('called')\n"
    "    return {'tenant': context.tenant_id, 'seen': seen}\n")}
NODE = {"lambda_function.mjs": (
    "const seen = [];\n"
    "export const lambda_handler = async (event, context) => {\n"
    "  seen.push(context.tenantId);\n"
    "  return { tenant: context.tenantId, seen };\n};\n")}
# A custom runtime in Python, which repeats the header.
CUSTOM = {"bootstrap": (
    "#!/usr/bin/python3\n"
    "import json, os, urllib.request\n"
    "base = 'http://%s/2018-06-01/runtime/' % os.environ['AWS_LAMBDA_RUNTIME_API']\n"
    "seen = []\n"
    "while True:\n"
    "    with urllib.request.urlopen(base + 'invocation/next') as event:\n"
    "        head = event.headers\n"
    "    seen.append(head.get('Lambda-Runtime-Aws-Tenant-Id'))\n"
    "    body = json.dumps({'tenant': seen[-1], 'seen': seen}).encode()\n"
    "    url = base + 'invocation/%s/response' % head['Lambda-Runtime-Aws-Request-Id']\n"
    "    urllib.request.urlopen(urllib.request.Request(url, body, method='POST')).read()\n")}


class Tenants(Compat):
    def check_isolation(self, **function):
        name = self.create(TenancyConfig=TENANCY, **function)
        for _ in range(3):
            for tenant in ("blue", "green", "a b/c:d=e"):
                body, answer = self.invoke(name, TenantId=tenant)
                self.assertNotIn("FunctionError", answer, body)
                self.assertEqual(body["tenant"], tenant)
                self.assertEqual(set(body["seen"]), {tenant})
        return name

    def test_python(self):
        runtimes = machine_runtimes()
        if "python" not in runtimes:
            self.skipTest("no Python runtime here")
        self.check_isolation(runtime=runtimes["python"], files=PYTHON)

    def test_node(self):
        runtimes = machine_runtimes()
        if "nodejs" not in runtimes:
            self.skipTest("no Node.js runtime here")
        self.check_isolation(runtime=runtimes["nodejs"], files=NODE)

    def test_custom_runtime(self):
        self.check_isolation(runtime="provided.al2023", files=CUSTOM, handler="x")

    def test_a_tenant_is_wanted_there_and_only_there(self):
        client, plain = self.client(), self.create()
        isolated = self.create(TenancyConfig=TENANCY)
        got = client.get_function_configuration(FunctionName=isolated)
        self.assertEqual(got["TenancyConfig"], TENANCY)
        self.assertNotIn("TenancyConfig", client.get_function_configuration(FunctionName=plain))
        message = self.refused("InvalidParameterValueException", client.invoke,
                               FunctionName=isolated)
        self.assertIn("Add a valid tenant ID", message)
        self.refused("InvalidParameterValueException", client.invoke, FunctionName=plain,
                     TenantId="blue")
        self.refused("ValidationException", client.invoke, FunctionName=isolated,
                     TenantId="no\u00ff".encode("latin-1").decode("latin-1"))

    def test_events_of_a_tenant_and_the_records_of_its_log(self):
        client = self.client()
        name = self.create(files=PYTHON, TenancyConfig=TENANCY,
                           LoggingConfig={"LogFormat": "JSON", "ApplicationLogLevel": "INFO"})
        answer = client.invoke(FunctionName=name, InvocationType="Event", TenantId="blue")
        self.assertEqual(answer["StatusCode"], 202)
        logs = self.client("logs")

        def records():
            try:
                events = logs.filter_log_events(logGroupName="/aws/lambda/" + name)["events"]
            except logs.exceptions.ResourceNotFoundException:
                return None
            found = [json.loads(event["message"]) for event in events]
            return found if any(r.get("type") == "platform.report" for r in found) else None
        found = self.eventually(records)
        tenants = {r.get("type", "line"): r.get("record", r).get("tenantId") for r in found}
        self.assertEqual(tenants["platform.start"], "blue")
        self.assertEqual(tenants["platform.report"], "blue")
        self.assertEqual(tenants["line"], "blue")
        self.assertIsNone(tenants["platform.initStart"])

    def test_versions_isolate_too(self):
        name = self.create(files=PYTHON, TenancyConfig=TENANCY)
        version = self.client().publish_version(FunctionName=name)
        self.assertEqual(version["TenancyConfig"], TENANCY)
        body, _ = self.invoke(name + ":1", TenantId="blue")
        self.assertEqual(body["seen"], ["blue"])


if __name__ == "__main__":
    harness.main()
