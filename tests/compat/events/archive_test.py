#!/usr/bin/env python3
"""Archives and replays of EventBridge with real clients, and `mayfly bus`."""
import datetime
import json
import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from harness import PROGRAM, client_env, main
from world import Events, arn


class Archives(Events):
    def test_an_archive_is_replayed(self):
        bus = self.bus()
        url, queue = self.queue()
        other_url, other_queue = self.queue()
        wanted = self.rule({"source": [self.source]}, {"Arn": queue}, bus=bus)
        self.rule({"source": [self.source]}, {"Arn": other_queue}, bus=bus)
        name = self.name("archive")
        archive = self.events.create_archive(
            ArchiveName=name, EventSourceArn=arn("event-bus", bus), RetentionDays=3,
            EventPattern=json.dumps({"source": [self.source], "detail": {"keep": [True]}}))
        for i in range(5):
            self.put({"keep": i % 2 == 0, "i": i}, bus=bus)
        self.received(url, 5)
        self.received(other_url, 5)
        self.assertEqual(self.events.describe_archive(ArchiveName=name)["EventCount"], 3)
        now = datetime.datetime.now(datetime.timezone.utc)
        times = {"EventStartTime": now - datetime.timedelta(days=30),
                 "EventEndTime": now + datetime.timedelta(days=30)}
        replay = self.name("replay")
        self.refused("ValidationException", self.events.start_replay, ReplayName=replay,
                     EventSourceArn=archive["ArchiveArn"], **times,
                     Destination={"Arn": arn("event-bus", "default")})
        self.events.start_replay(
            ReplayName=replay, EventSourceArn=archive["ArchiveArn"], **times,
            Destination={"Arn": arn("event-bus", bus),
                         "FilterArns": [arn("rule", f"{bus}/{wanted}")]})
        again = [json.loads(m["Body"]) for m in self.received(url, 3)]
        self.assertEqual([event["replay-name"] for event in again], [replay] * 3)
        self.assertEqual([event["detail"]["i"] for event in again], [0, 2, 4])
        self.eventually(lambda: self.events.describe_replay(
            ReplayName=replay)["State"] == "COMPLETED")
        self.assertEqual(self.events.describe_archive(ArchiveName=name)["EventCount"], 3)
        self.assertIn(replay, [r["ReplayName"] for r in self.events.list_replays(
            EventSourceArn=archive["ArchiveArn"])["Replays"]])
        self.refused("IllegalStatusException", self.events.cancel_replay, ReplayName=replay)
        self.assertNotIn("Messages", self.sqs.receive_message(QueueUrl=other_url))
        # What is older than the retention goes.
        self.advance("96h")
        self.eventually(lambda: self.events.describe_archive(ArchiveName=name)["EventCount"] == 0)
        self.events.delete_archive(ArchiveName=name)

    def test_archives_are_kept(self):
        bus = self.bus()
        name = self.name("archive")
        made = self.events.create_archive(ArchiveName=name, EventSourceArn=arn("event-bus", bus))
        self.assertEqual(made["State"], "ENABLED")
        self.refused("ResourceAlreadyExistsException", self.events.create_archive,
                     ArchiveName=name, EventSourceArn=arn("event-bus", bus))
        self.refused("InvalidEventPatternException", self.events.update_archive, ArchiveName=name,
                     EventPattern="{}")
        self.events.update_archive(ArchiveName=name, RetentionDays=7)
        self.assertEqual(self.events.describe_archive(ArchiveName=name)["RetentionDays"], 7)
        found = self.events.list_archives(EventSourceArn=arn("event-bus", bus))["Archives"]
        self.assertEqual([a["ArchiveName"] for a in found], [name])
        self.events.delete_archive(ArchiveName=name)
        self.refused("ResourceNotFoundException", self.events.describe_archive, ArchiveName=name)

    def test_a_replay_is_cancelled(self):
        bus = self.bus()
        name, replay = self.name("archive"), self.name("replay")
        made = self.events.create_archive(ArchiveName=name, EventSourceArn=arn("event-bus", bus))
        self.addCleanup(self.events.delete_archive, ArchiveName=name)
        # Enough of them that it is still under way when it is cancelled.
        detail = json.dumps({"text": "x" * 40_000})
        for _ in range(60):
            self.events.put_events(Entries=[
                {"Source": self.source, "DetailType": "t", "Detail": detail, "EventBusName": bus}
                for _ in range(10)])
        now = datetime.datetime.now(datetime.timezone.utc)
        self.rule({"source": [self.source]}, {"Arn": self.queue()[1]}, bus=bus)
        # One may end before its cancellation comes: then the next is tried.
        for attempt in range(50):
            self.events.start_replay(
                ReplayName=f"{replay}-{attempt}", EventSourceArn=made["ArchiveArn"],
                EventStartTime=now - datetime.timedelta(days=30),
                EventEndTime=now + datetime.timedelta(days=30),
                Destination={"Arn": arn("event-bus", bus)})
            try:
                answer = self.events.cancel_replay(ReplayName=f"{replay}-{attempt}")
                break
            except self.events.exceptions.IllegalStatusException:
                pass
        self.assertEqual(answer["State"], "CANCELLING")
        self.eventually(lambda: self.events.describe_replay(
            ReplayName=f"{replay}-{attempt}")["State"] == "CANCELLED")


class ByHand(Events):
    """mayfly bus …"""

    def mayfly(self, *words, status=0, text=None):
        run = subprocess.run([PROGRAM, "bus", *words, "--json"], env=client_env(self.server.url),
                             input=text, capture_output=True, text=True, timeout=60)
        self.assertEqual(run.returncode, status, run.stdout + run.stderr)
        return json.loads(run.stdout) if run.stdout.strip() else None

    def test_send_and_test(self):
        url, queue = self.queue()
        rule = self.rule({"source": [self.source], "detail": {"n": [{"numeric": [">", 5]}]}},
                         {"Arn": queue})
        found = self.mayfly("test", '{"n": 6}', "--source", self.source)
        self.assertEqual([one["Name"] for one in found], [rule])
        self.assertEqual(self.mayfly("test", "-", "--source", self.source, status=1,
                                     text='{"n": 5}'), [])
        sent = self.mayfly("send", '{"n": 7}', "--source", self.source, "--type", "by hand")
        event = json.loads(self.received(url)[0]["Body"])
        self.assertEqual((event["id"], event["detail-type"]), (sent["EventId"], "by hand"))
        self.mayfly("send", "no JSON", status=1)

    def test_list(self):
        bus = self.bus()
        self.events.put_rule(Name="r", EventBusName=bus, EventPattern='{"source": ["x"]}')
        self.assertIn((bus, 1), [(b["Name"], b["Rules"]) for b in self.mayfly("list")])
        self.assertEqual([r["Name"] for r in self.mayfly("list", bus)], ["r"])

    def test_tail(self):
        bus = self.bus()
        process = subprocess.Popen(
            [PROGRAM, "bus", "tail", "--bus", bus, "--count", "2"], stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True, env=client_env(self.server.url))
        self.assertIn("following", process.stderr.readline())
        for n in (1, 2):
            self.put({"n": n}, bus=bus)
        shown = [json.loads(line)["detail"]["n"] for line in process.communicate(timeout=60)[0]
                 .splitlines()]
        self.assertEqual(sorted(shown), [1, 2])
        self.assertEqual(process.returncode, 0)
        self.assertEqual(self.events.list_rules(EventBusName=bus)["Rules"], [])

    def test_replay(self):
        bus = self.bus()
        url, queue = self.queue()
        rule = self.rule({"source": [self.source]}, {"Arn": queue}, bus=bus)
        name = self.name("archive")
        self.events.create_archive(ArchiveName=name, EventSourceArn=arn("event-bus", bus))
        self.addCleanup(self.events.delete_archive, ArchiveName=name)
        self.put({"n": 1}, bus=bus)
        self.received(url)
        answer = self.mayfly("replay", name, "--since", "30d", "--rule", rule)
        self.assertEqual(answer["State"], "COMPLETED")
        self.assertEqual(json.loads(self.received(url)[0]["Body"])["replay-name"],
                         answer["ReplayName"])


if __name__ == "__main__":
    main()
