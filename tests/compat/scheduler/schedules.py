"""What the tests of this folder share: schedules on a clock that is moved."""
import datetime
import json
import pathlib
import sys
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from harness import Compat  # noqa: E402

ROLE = "arn:aws:iam::000000000000:role/scheduler"
OFF = {"Mode": "OFF"}
QUEUE_ARN = "arn:aws:sqs:us-east-1:000000000000:"
UTC = datetime.timezone.utc


def clock(url, **move):
    body = json.dumps(move).encode() if move else None
    with urllib.request.urlopen(url + "/_mayfly/clock", body, timeout=30) as answer:
        return json.loads(answer.read())


def now(url):
    return datetime.datetime.fromisoformat(clock(url)["now"].replace("Z", "+00:00"))


def runs_of(url, arn):
    with urllib.request.urlopen(url + "/_mayfly/schedule-runs?arn=" + arn, timeout=30) as answer:
        return json.loads(answer.read())


def text(time):
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S")


class Scheduling(Compat):
    def setUp(self):
        self.scheduler, self.sqs = self.client("scheduler"), self.client("sqs")

    def frozen(self):
        clock(self.server.url, freeze=True)
        self.addCleanup(clock, self.server.url, freeze=False)

    def advance(self, seconds):
        clock(self.server.url, advance=f"{int(seconds)}s")

    def now(self):
        return now(self.server.url)

    def live(self, seconds, *names):
        """Moves on by half days, each when what was due of these schedules has begun: runs that are
        missed by more than a day are not made up for."""
        while seconds > 0:
            self.advance(min(seconds, 43200))
            seconds -= 43200
            now = self.now().timestamp() * 1000
            self.eventually(lambda: all(
                runs_of(self.server.url, self.arn(name)).get("due", now) >= now
                for name in names))

    def advance_to(self, time):
        """Platform time stands still at a whole second of the future."""
        self.frozen()
        self.advance(-(-(time - self.now()).total_seconds() // 1))
        return self.now()

    def queue(self, suffix="", **attributes):
        if suffix == ".fifo":
            attributes["FifoQueue"] = "true"
        name = self.name("q") + suffix
        url = self.sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
        self.addCleanup(self.sqs.delete_queue, QueueUrl=url)
        return url, QUEUE_ARN + name

    def schedule(self, expression, target, name=None, **more):
        """Makes a schedule, and deletes it after the test; answers its name."""
        name = name or self.name("s")
        target = target if isinstance(target, dict) else {"Arn": target, "Input": "{}"}
        target.setdefault("RoleArn", ROLE)
        more.setdefault("FlexibleTimeWindow", OFF)
        self.scheduler.create_schedule(Name=name, ScheduleExpression=expression, Target=target,
                                       **more)
        self.addCleanup(self.forget, name, more.get("GroupName", "default"))
        return name

    def forget(self, name, group):
        try:
            self.scheduler.delete_schedule(Name=name, GroupName=group)
        except self.scheduler.exceptions.ResourceNotFoundException:
            pass

    def arn(self, name, group="default"):
        return f"arn:aws:scheduler:us-east-1:000000000000:schedule/{group}/{name}"

    def runs(self, name, group="default"):
        return runs_of(self.server.url, self.arn(name, group))["runs"]

    def times(self, name):
        """Of the runs, as UTC texts, the oldest first."""
        return [text(datetime.datetime.fromtimestamp(run["scheduled"], UTC))
                for run in reversed(self.runs(name))]

    def drain(self, url):
        """All messages that are there now."""
        found = []
        while True:
            messages = self.sqs.receive_message(
                QueueUrl=url, MaxNumberOfMessages=10, MessageAttributeNames=["All"],
                MessageSystemAttributeNames=["All"]).get("Messages", [])
            if not messages:
                return found
            found += messages
            self.sqs.delete_message_batch(QueueUrl=url, Entries=[
                {"Id": str(i), "ReceiptHandle": one["ReceiptHandle"]}
                for i, one in enumerate(messages)])

    def messages(self, url, count, step=0):
        """Waits for `count` messages, and that there are no more; time goes on by `step` seconds at
        each look, for what is tried again."""
        found = []

        def enough():
            if step:
                self.advance(step)
            found.extend(self.drain(url))
            return len(found) >= count
        self.eventually(enough)
        self.assertEqual(len(found), count, [one["Body"] for one in found])
        return found

    def gone(self, name):
        try:
            self.scheduler.get_schedule(Name=name)
        except self.scheduler.exceptions.ResourceNotFoundException:
            return True
        return False
