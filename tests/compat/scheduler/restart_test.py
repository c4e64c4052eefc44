#!/usr/bin/env python3
"""Schedules over a restart and a kill: missed runs by the policy of their group, what was underway,
what is kept."""
import pathlib
import shutil
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from harness import Compat, Server, boto_client, main
from schedules import OFF, QUEUE_ARN, ROLE, clock, runs_of

GROUPS = {"all": 60, "once": 1, "skip": 0}


class Restart(Compat):
    def begin(self):
        data = tempfile.mkdtemp(prefix="mayfly-schedules-")
        self.addCleanup(shutil.rmtree, data, ignore_errors=True)
        return Server(data=data)

    def make(self, url, name, expression, group="default", **target):
        target = {"Arn": QUEUE_ARN + name, "RoleArn": ROLE, "Input": "x", **target}
        boto_client(url, "sqs").create_queue(QueueName=name)
        boto_client(url, "scheduler").create_schedule(
            Name=name, GroupName=group, ScheduleExpression=expression, FlexibleTimeWindow=OFF,
            Target=target)

    def waiting(self, url, name):
        sqs = boto_client(url, "sqs")
        queue = sqs.get_queue_url(QueueName=name)["QueueUrl"]
        attributes = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["All"])["Attributes"]
        return int(attributes["ApproximateNumberOfMessages"])

    def test_missed_runs_by_the_policy_of_the_group(self):
        server = self.begin()
        try:
            clock(server.url, freeze=True)
            scheduler = boto_client(server.url, "scheduler")
            for group in GROUPS:
                scheduler.create_schedule_group(Name=group, Tags=[
                    {"Key": "mayfly:missed-runs", "Value": group}])
                self.make(server.url, group, "rate(1 minutes)", group)
                self.eventually(lambda: self.waiting(server.url, group) == 1)
            # Its server is down while time goes by: the clock is moved before schedules are looked
            # at, by a start whose schedules lie elsewhere.
            server.stop()
            kept = pathlib.Path(server.data)
            aside = tempfile.mkdtemp(prefix="mayfly-aside-")
            self.addCleanup(shutil.rmtree, aside, ignore_errors=True)
            for file in kept.glob("schedules.db*"):
                shutil.move(str(file), aside)
            server = Server(data=str(kept))
            clock(server.url, advance="3690s")
            server.stop()
            for file in kept.glob("schedules.db*"):
                file.unlink()
            for file in pathlib.Path(aside).iterdir():
                shutil.move(str(file), str(kept))
            server = Server(data=str(kept))
            # The run at 3660 seconds is 30 seconds late, which none of them calls missed.
            for group, missed in GROUPS.items():
                count = 1 + missed + (0 if group == "once" else 1)
                self.eventually(lambda: self.waiting(server.url, group) == count)
            time.sleep(0.3)
            for group, missed in GROUPS.items():
                count = 1 + missed + (0 if group == "once" else 1)
                self.assertEqual(self.waiting(server.url, group), count, group)
            arn = "arn:aws:scheduler:us-east-1:000000000000:schedule/skip/skip"
            outcomes = [run["outcome"] for run in runs_of(server.url, arn)["runs"]]
            self.assertEqual(outcomes, ["delivered", "missed", "delivered"])
        finally:
            server.stop()

    def test_a_killed_server_goes_on_where_it_was(self):
        server = self.begin()
        try:
            clock(server.url, freeze=True)
            self.make(server.url, "often", "rate(1 minutes)")
            # Its target is not there: it is tried again, over the kill.
            scheduler = boto_client(server.url, "scheduler")
            scheduler.create_schedule(
                Name="late", ScheduleExpression="rate(1 days)", FlexibleTimeWindow=OFF,
                ActionAfterCompletion="DELETE",
                Target={"Arn": QUEUE_ARN + "late", "RoleArn": ROLE, "Input": "x"})
            self.eventually(lambda: self.waiting(server.url, "often") == 1)
            clock(server.url, advance="60s")
            arn = "arn:aws:scheduler:us-east-1:000000000000:schedule/default/often"
            self.eventually(lambda: len(runs_of(server.url, arn)["runs"]) == 2)
            server.kill()
            server.stop()
            server = Server(data=server.data)
            got = boto_client(server.url, "scheduler").get_schedule(Name="often")
            self.assertEqual(got["ScheduleExpression"], "rate(1 minutes)")
            boto_client(server.url, "sqs").create_queue(QueueName="late")
            clock(server.url, advance="600s")
            self.eventually(lambda: self.waiting(server.url, "often") == 12)
            self.eventually(lambda: clock(server.url, advance="10s") and
                            self.waiting(server.url, "late") == 1)
        finally:
            server.stop()


if __name__ == "__main__":
    main()
