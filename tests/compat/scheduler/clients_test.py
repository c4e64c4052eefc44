#!/usr/bin/env python3
"""Every operation of EventBridge Scheduler with the AWS CLI and the SDK for JavaScript v3."""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
import clients  # noqa: E402
import harness  # noqa: E402
from schedules import OFF, ROLE  # noqa: E402

ARN = "arn:aws:scheduler:us-east-1:000000000000:"


class Schedules(clients.EveryOperation):
    service = "scheduler"

    def test_aws_cli(self):
        self.run_cli()

    def test_sdk_for_javascript(self):
        self.run_sdk()

    def scenario(self, client):
        group = self.name("g")
        self.group(client, group)
        sqs, name = self.client("sqs"), self.name("s")
        url = sqs.create_queue(QueueName=name)["QueueUrl"]
        self.addCleanup(sqs.delete_queue, QueueUrl=url)
        target = {"Arn": f"arn:aws:sqs:us-east-1:000000000000:{name}", "RoleArn": ROLE,
                  "Input": "due"}
        at = {"Name": name, "GroupName": group}
        made = client.call("CreateSchedule", **at, ScheduleExpression="cron(0 3 1 1 ? *)",
                           FlexibleTimeWindow=OFF, Target=target, State="DISABLED",
                           ScheduleExpressionTimezone="Europe/Berlin",
                           EndDate=clients.iso("2090-02-03T04:05:06Z"))
        self.assertEqual(made["ScheduleArn"], f"{ARN}schedule/{group}/{name}")
        client.refused("ConflictException", "CreateSchedule", **at, FlexibleTimeWindow=OFF,
                       ScheduleExpression="rate(1 days)", Target=target)
        found = client.call("GetSchedule", **at)
        self.assertEqual((found["State"], found["ScheduleExpressionTimezone"], found["Target"][
            "Input"]), ("DISABLED", "Europe/Berlin", "due"))
        self.assertEqual(clients.iso(found["EndDate"]), clients.iso("2090-02-03T04:05:06Z"))
        client.refused("ValidationException", "UpdateSchedule", **at, FlexibleTimeWindow=OFF,
                       ScheduleExpression="rate(0 days)", Target=target)
        client.call("UpdateSchedule", **at, ScheduleExpression="rate(9 days)", Target=target,
                    FlexibleTimeWindow=OFF)
        self.assertEqual(client.call("GetSchedule", **at)["State"], "ENABLED")
        (got,) = sqs.receive_message(QueueUrl=url, WaitTimeSeconds=20)["Messages"]
        self.assertEqual(got["Body"], "due")
        listed = client.call("ListSchedules", GroupName=group)["Schedules"]
        self.assertEqual([one["Name"] for one in listed], [name])
        pages = client.pages("ListSchedules", GroupName=group)
        self.assertEqual([one["Name"] for page in pages for one in page["Schedules"]], [name])
        client.call("DeleteSchedule", **at)
        client.refused("ResourceNotFoundException", "GetSchedule", **at)
        client.call("DeleteScheduleGroup", Name=group)
        client.refused("ResourceNotFoundException", "DeleteScheduleGroup", Name=self.name("g"))

    def group(self, client, group):
        made = client.call("CreateScheduleGroup", Name=group, Tags=[{"Key": "a", "Value": "1"}])
        where = f"{ARN}schedule-group/{group}"
        self.assertEqual(made["ScheduleGroupArn"], where)
        client.refused("ConflictException", "CreateScheduleGroup", Name=group)
        found = client.call("GetScheduleGroup", Name=group)
        self.assertEqual((found["Arn"], found["State"]), (where, "ACTIVE"))
        listed = client.call("ListScheduleGroups", NamePrefix=group)["ScheduleGroups"]
        self.assertEqual([one["Name"] for one in listed], [group])
        client.call("TagResource", ResourceArn=where, Tags=[{"Key": "b", "Value": "2"}])
        client.call("UntagResource", ResourceArn=where, TagKeys=["a"])
        self.assertEqual(client.call("ListTagsForResource", ResourceArn=where)["Tags"],
                         [{"Key": "b", "Value": "2"}])


if __name__ == "__main__":
    harness.main()
