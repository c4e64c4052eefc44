#!/usr/bin/env python3
"""Code signing configurations as boto3 sees them, and what they do to deployments."""
import pathlib
import sys
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
import harness  # noqa: E402
from harness import Compat, make_zip, PYTHON_ECHO, ROLE  # noqa: E402

PROFILE = "arn:aws:signer:us-east-1:000000000000:/signing-profiles/release/AbCdEfGhIj"


class CodeSigning(Compat):
    def make(self, policy):
        made = self.client().create_code_signing_config(
            Description=policy, AllowedPublishers={"SigningProfileVersionArns": [PROFILE]},
            CodeSigningPolicies={"UntrustedArtifactOnDeployment": policy}, Tags={"team": "a"})
        self.assertEqual(made["ResponseMetadata"]["HTTPStatusCode"], 201)
        return made["CodeSigningConfig"]["CodeSigningConfigArn"]

    def deploy(self, name, **more):
        return self.client().create_function(
            FunctionName=name, Runtime="python3.12", Handler="index.handler", Role=ROLE,
            Code={"ZipFile": make_zip(PYTHON_ECHO)}, **more)

    def test_life_of_a_configuration(self):
        client, arn = self.client(), self.make("Warn")
        name = self.create()
        client.put_function_code_signing_config(FunctionName=name, CodeSigningConfigArn=arn)
        self.assertEqual(client.list_tags(Resource=arn)["Tags"], {"team": "a"})
        self.refused("ResourceConflictException", client.delete_code_signing_config,
                     CodeSigningConfigArn=arn)
        used = client.list_functions_by_code_signing_config(CodeSigningConfigArn=arn)
        self.assertEqual([one.rsplit(":", 1)[1] for one in used["FunctionArns"]], [name])
        client.delete_function_code_signing_config(FunctionName=name)
        changed = client.update_code_signing_config(
            CodeSigningConfigArn=arn, Description="new",
            CodeSigningPolicies={"UntrustedArtifactOnDeployment": "Enforce"})["CodeSigningConfig"]
        self.assertEqual(changed["Description"], "new")
        listed = client.list_code_signing_configs()["CodeSigningConfigs"]
        self.assertIn(changed, listed)
        client.delete_code_signing_config(CodeSigningConfigArn=arn)
        self.refused("ResourceNotFoundException", client.get_code_signing_config,
                     CodeSigningConfigArn=arn)
        self.refused("CodeSigningConfigNotFoundException", client.put_function_code_signing_config,
                     FunctionName=name, CodeSigningConfigArn=arn)

    def test_a_configuration_is_answered_as_it_was_made_and_changed(self):
        client, arn = self.client(), self.make("Warn")
        made = client.get_code_signing_config(CodeSigningConfigArn=arn)["CodeSigningConfig"]
        modified = made.pop("LastModified")
        self.assertRegex(modified, r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}")
        self.assertRegex(made["CodeSigningConfigId"], "^csc-[a-zA-Z0-9]{17}$")
        self.assertEqual(made, {
            "CodeSigningConfigId": arn.rsplit(":", 1)[1], "CodeSigningConfigArn": arn,
            "Description": "Warn",
            "AllowedPublishers": {"SigningProfileVersionArns": [PROFILE]},
            "CodeSigningPolicies": {"UntrustedArtifactOnDeployment": "Warn"}})
        # What a change does not name stays.
        other = PROFILE.replace("release", "other")
        changed = client.update_code_signing_config(
            CodeSigningConfigArn=arn,
            AllowedPublishers={"SigningProfileVersionArns": [PROFILE, other]})["CodeSigningConfig"]
        found = client.get_code_signing_config(CodeSigningConfigArn=arn)["CodeSigningConfig"]
        self.assertEqual(found, changed)
        self.assertGreater(found.pop("LastModified"), modified)
        self.assertEqual(found, {**made, "AllowedPublishers": {
            "SigningProfileVersionArns": [PROFILE, other]}})
        self.refused("ResourceNotFoundException", client.get_code_signing_config,
                     CodeSigningConfigArn=arn[:-4] + "zzzz")

    def test_enforce_refuses_and_warn_tells(self):
        client, enforce, warn = self.client(), self.make("Enforce"), self.make("Warn")
        self.refused("CodeVerificationFailedException", self.deploy, name="signed-1",
                     CodeSigningConfigArn=enforce)
        made = self.deploy("signed-2", CodeSigningConfigArn=warn)
        self.assertNotIn("SigningProfileVersionArn", made)
        self.updated("signed-2")
        client.put_function_code_signing_config(FunctionName="signed-2",
                                                CodeSigningConfigArn=enforce)
        self.refused("CodeVerificationFailedException", client.update_function_code,
                     FunctionName="signed-2", ZipFile=make_zip(PYTHON_ECHO))
        self.assertEqual(
            client.get_function_code_signing_config(FunctionName="signed-2")
            ["CodeSigningConfigArn"], enforce)
        with urllib.request.urlopen(self.server.url + "/_mayfly/metrics", timeout=10) as answer:
            metrics = answer.read().decode()
        self.assertIn('mayfly_signature_validation_errors_total{account="000000000000",'
                      'region="us-east-1",function="signed-2",policy="Warn"} 1', metrics)
        self.assertIn('function="signed-2",policy="Enforce"} 1', metrics)


if __name__ == "__main__":
    harness.main()
