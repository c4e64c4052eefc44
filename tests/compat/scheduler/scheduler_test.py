#!/usr/bin/env python3
"""EventBridge Scheduler's operations with real clients: boto3 and the aws CLI."""
import datetime
import json
import pathlib
import shutil
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from harness import PROGRAM, client_env, main
from schedules import OFF, ROLE, Scheduling

YEARLY = "cron(0 0 1 1 ? *)"


class Operations(Scheduling):
    def test_a_schedule_is_answered_as_it_was_made(self):
        _, arn = self.queue()
        start = self.now().replace(microsecond=0) + datetime.timedelta(days=1)
        name = self.name("s")
        made = self.scheduler.create_schedule(
            Name=name, ScheduleExpression="cron(15 10 ? * MON-FRI *)", Description="words",
            ScheduleExpressionTimezone="Europe/Berlin", StartDate=start,
            EndDate=start + datetime.timedelta(days=9), State="DISABLED",
            ActionAfterCompletion="DELETE",
            KmsKeyArn="arn:aws:kms:us-east-1:000000000000:key/k",
            FlexibleTimeWindow={"Mode": "FLEXIBLE", "MaximumWindowInMinutes": 15},
            Target={"Arn": arn, "RoleArn": ROLE, "Input": "text",
                    "RetryPolicy": {"MaximumRetryAttempts": 3},
                    "DeadLetterConfig": {"Arn": arn}})
        self.addCleanup(self.forget, name, "default")
        self.assertEqual(made["ScheduleArn"], self.arn(name))
        got = self.scheduler.get_schedule(Name=name)
        self.assertEqual(got["Arn"], self.arn(name))
        self.assertEqual(got["ScheduleExpression"], "cron(15 10 ? * MON-FRI *)")
        self.assertEqual(got["ScheduleExpressionTimezone"], "Europe/Berlin")
        self.assertEqual(got["Description"], "words")
        self.assertEqual(got["StartDate"], start)
        self.assertEqual(got["EndDate"], start + datetime.timedelta(days=9))
        self.assertEqual(got["State"], "DISABLED")
        self.assertEqual(got["ActionAfterCompletion"], "DELETE")
        self.assertEqual(got["FlexibleTimeWindow"],
                         {"Mode": "FLEXIBLE", "MaximumWindowInMinutes": 15})
        self.assertEqual(got["Target"]["RetryPolicy"],
                         {"MaximumRetryAttempts": 3, "MaximumEventAgeInSeconds": 86400})
        self.assertEqual(got["Target"]["DeadLetterConfig"], {"Arn": arn})
        self.assertEqual(got["KmsKeyArn"], "arn:aws:kms:us-east-1:000000000000:key/k")
        self.assertEqual(got["CreationDate"], got["LastModificationDate"])

    def test_an_update_replaces_all(self):
        _, arn = self.queue()
        name = self.schedule(YEARLY, arn, Description="words", State="DISABLED")
        updated = self.scheduler.update_schedule(
            Name=name, ScheduleExpression="rate(5 days)", FlexibleTimeWindow=OFF,
            Target={"Arn": arn, "RoleArn": ROLE})
        self.assertEqual(updated["ScheduleArn"], self.arn(name))
        got = self.scheduler.get_schedule(Name=name)
        self.assertNotIn("Description", got)
        self.assertEqual((got["State"], got["ScheduleExpression"]), ("ENABLED", "rate(5 days)"))
        self.refused("ResourceNotFoundException", self.scheduler.update_schedule, Name="none",
                     ScheduleExpression=YEARLY, FlexibleTimeWindow=OFF,
                     Target={"Arn": arn, "RoleArn": ROLE})

    def test_retries_of_a_call_by_its_token(self):
        _, arn = self.queue()
        name, token = self.name("s"), self.name("t")
        self.schedule(YEARLY, arn, name, ClientToken=token)
        self.schedule(YEARLY, arn, name, ClientToken=token)
        message = self.refused("ConflictException", self.schedule, YEARLY, arn, name)
        self.assertIn("already exists", message)
        self.refused("ConflictException", self.schedule, "rate(1 days)", arn, name,
                     ClientToken=token)
        self.scheduler.delete_schedule(Name=name, ClientToken=token)
        self.scheduler.delete_schedule(Name=name, ClientToken=token)
        self.refused("ResourceNotFoundException", self.scheduler.delete_schedule, Name=name)

    def test_what_is_refused(self):
        _, arn = self.queue()
        for expression in ("rate(5 weeks)", "cron(* * * * * *)", "at(2030-13-01T00:00:00)"):
            message = self.refused("ValidationException", self.schedule, expression, arn)
            self.assertTrue(message.startswith(f"Invalid Schedule Expression {expression}."))
        for more in ({"ScheduleExpressionTimezone": "Mars/Base"},
                     {"FlexibleTimeWindow": {"Mode": "FLEXIBLE"}},
                     {"FlexibleTimeWindow": {"Mode": "FLEXIBLE", "MaximumWindowInMinutes": 1441}},
                     {"StartDate": self.now() - datetime.timedelta(minutes=6)},
                     {"EndDate": self.now() - datetime.timedelta(minutes=6)},
                     {"State": "ASLEEP"}):
            self.refused("ValidationException", self.schedule, YEARLY, arn, **more)
        self.refused("ValidationException", self.schedule, YEARLY, arn, "a name")
        self.refused("ValidationException", self.schedule, YEARLY,
                     {"Arn": arn, "RetryPolicy": {"MaximumRetryAttempts": 186}})
        self.refused("ResourceNotFoundException", self.schedule, YEARLY, arn, GroupName="none")
        self.refused("NotImplementedException", self.schedule, YEARLY,
                     {"Arn": "arn:aws:ecs:us-east-1:000000000000:cluster/c",
                      "EcsParameters": {"TaskDefinitionArn": "arn"}})
        self.refused("ResourceNotFoundException", self.scheduler.get_schedule, Name="none")

    def test_groups_and_lists(self):
        _, arn = self.queue()
        group = self.name("g")
        made = self.scheduler.create_schedule_group(Name=group, Tags=[{"Key": "a", "Value": "1"}])
        group_arn = f"arn:aws:scheduler:us-east-1:000000000000:schedule-group/{group}"
        self.assertEqual(made["ScheduleGroupArn"], group_arn)
        self.refused("ConflictException", self.scheduler.create_schedule_group, Name=group)
        got = self.scheduler.get_schedule_group(Name=group)
        self.assertEqual((got["Arn"], got["State"]), (group_arn, "ACTIVE"))
        names = sorted(self.schedule(YEARLY, arn, GroupName=group) for _ in range(5))
        self.schedule(YEARLY, arn, "zz-" + self.name(), GroupName=group, State="DISABLED")
        pages = self.scheduler.get_paginator("list_schedules").paginate(
            GroupName=group, State="ENABLED", PaginationConfig={"PageSize": 2})
        found = [one for page in pages for one in page["Schedules"]]
        self.assertEqual([one["Name"] for one in found], names)
        self.assertEqual(found[0]["Target"], {"Arn": arn})
        self.assertEqual(found[0]["GroupName"], group)
        listed = self.scheduler.list_schedules(GroupName=group, NamePrefix="zz-")["Schedules"]
        self.assertEqual([one["State"] for one in listed], ["DISABLED"])
        groups = self.scheduler.get_paginator("list_schedule_groups").paginate(
            PaginationConfig={"PageSize": 1})
        listed = [one["Name"] for page in groups for one in page["ScheduleGroups"]]
        self.assertIn("default", listed)
        self.assertIn(group, listed)
        self.scheduler.delete_schedule_group(Name=group)
        self.eventually(lambda: group not in [
            one["Name"] for one in self.scheduler.list_schedule_groups()["ScheduleGroups"]])
        self.refused("ResourceNotFoundException", self.scheduler.get_schedule, Name=names[0],
                     GroupName=group)
        self.refused("ResourceNotFoundException", self.scheduler.get_schedule_group, Name=group)
        self.refused("ValidationException", self.scheduler.delete_schedule_group, Name="default")

    def test_tags(self):
        group = self.name("g")
        arn = self.scheduler.create_schedule_group(Name=group)["ScheduleGroupArn"]
        self.addCleanup(self.scheduler.delete_schedule_group, Name=group)
        self.scheduler.tag_resource(ResourceArn=arn, Tags=[
            {"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}])
        self.scheduler.untag_resource(ResourceArn=arn, TagKeys=["a"])
        self.assertEqual(self.scheduler.list_tags_for_resource(ResourceArn=arn)["Tags"],
                         [{"Key": "b", "Value": "2"}])
        self.refused("ValidationException", self.scheduler.tag_resource, ResourceArn=arn,
                     Tags=[{"Key": "mayfly:missed-runs", "Value": "perhaps"}])
        self.refused("ResourceNotFoundException", self.scheduler.list_tags_for_resource,
                     ResourceArn=arn + "x")

    def test_accounts_and_regions_are_apart(self):
        _, arn = self.queue()
        name = self.schedule(YEARLY, arn)
        for other in (self.client("scheduler", region="eu-west-1"),
                      self.client("scheduler", key="111111111111")):
            self.refused("ResourceNotFoundException", other.get_schedule, Name=name)


class Cli(Scheduling):
    def aws(self, *arguments, status=0):
        run = subprocess.run([shutil.which("aws"), "--endpoint-url", self.server.url,
                              "scheduler", *arguments], capture_output=True, text=True,
                             env=client_env(self.server.url), timeout=60)
        self.assertEqual(run.returncode == 0, status == 0, run.stdout + run.stderr)
        return json.loads(run.stdout) if run.stdout.strip() and status == 0 else run.stderr

    def test_with_the_aws_cli(self):
        if not shutil.which("aws"):
            self.skipTest("the aws CLI is not installed")
        _, arn = self.queue()
        group, name = self.name("g"), self.name("s")
        target = json.dumps({"Arn": arn, "RoleArn": ROLE})
        made = self.aws("create-schedule-group", "--name", group, "--tags", "Key=a,Value=1")
        self.assertEqual(self.aws("get-schedule-group", "--name", group)["State"], "ACTIVE")
        self.assertTrue(self.aws("list-schedule-groups", "--name-prefix", group)["ScheduleGroups"])
        group_arn = made["ScheduleGroupArn"]
        self.aws("tag-resource", "--resource-arn", group_arn, "--tags", "Key=b,Value=2")
        self.aws("untag-resource", "--resource-arn", group_arn, "--tag-keys", "a")
        tags = self.aws("list-tags-for-resource", "--resource-arn", group_arn)["Tags"]
        self.assertEqual(tags, [{"Key": "b", "Value": "2"}])
        common = ("--name", name, "--group-name", group, "--flexible-time-window", "Mode=OFF",
                  "--target", target)
        self.aws("create-schedule", "--schedule-expression", YEARLY, *common)
        self.aws("update-schedule", "--schedule-expression", "rate(9 days)", *common)
        got = self.aws("get-schedule", "--name", name, "--group-name", group)
        self.assertEqual(got["ScheduleExpression"], "rate(9 days)")
        listed = self.aws("list-schedules", "--group-name", group)["Schedules"]
        self.assertEqual([one["Name"] for one in listed], [name])
        self.aws("delete-schedule", "--name", name, "--group-name", group)
        self.assertIn("ResourceNotFoundException", self.aws(
            "get-schedule", "--name", name, "--group-name", group, status=255))
        self.aws("delete-schedule-group", "--name", group)

    def mayfly(self, *arguments, status=0):
        run = subprocess.run([PROGRAM, "schedule", *arguments, "--endpoint", self.server.url],
                             capture_output=True, text=True, env=client_env(self.server.url),
                             timeout=60)
        self.assertEqual(run.returncode, status, run.stdout + run.stderr)
        return run.stdout

    def test_with_mayfly_schedule(self):
        url, arn = self.queue()
        name = self.name("s")
        self.addCleanup(self.forget, name, "default")
        self.mayfly("create", name, "rate(1 days)", "--target", arn, "--input", "hello")
        self.assertEqual(self.messages(url, 1)[0]["Body"], "hello")
        self.assertRegex(self.mayfly("list", name), name + r" +default +ENABLED +20\S+Z +" + arn)
        self.eventually(lambda: "delivered" in self.mayfly("runs", name))
        self.assertIn("next: 20", self.mayfly("runs", name))
        self.mayfly("delete", name)
        self.mayfly("runs", name, status=1)
        self.mayfly("create", name, "rate(1 weeks)", "--target", arn, status=1)

    def test_the_next_times_of_an_expression(self):
        shown = self.mayfly("next", "cron(30 1,2 * * ? *)", "--zone", "America/New_York",
                            "--from", "2024-03-10T00:00:00Z", "--count", "3")
        self.assertEqual(shown.splitlines(), [
            "2024-03-10T01:30:00-05:00  2024-03-10T06:30:00Z",
            "2024-03-11T01:30:00-04:00  2024-03-11T05:30:00Z",
            "2024-03-11T02:30:00-04:00  2024-03-11T06:30:00Z"])
        self.assertEqual(self.mayfly("next", "at(2020-01-01T00:00:00)"), "never\n")
        self.mayfly("next", "cron(x)", status=1)
        self.mayfly("next", "rate(1 days)", "--zone", "Mars/Base", status=1)


if __name__ == "__main__":
    main()
