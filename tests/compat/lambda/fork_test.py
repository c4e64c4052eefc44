#!/usr/bin/env python3
"""Environments are forks of one that was initialised: seen through the server, with a real client.

What a fork shows a function, beside a start, is judged by tests/guests; here that the server makes
its environments by it at all.
"""
import concurrent.futures
import itertools
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
import harness  # noqa: E402
from harness import Compat  # noqa: E402

PYTHON = {"lambda_function.py": """
import os, time, uuid
INIT = str(uuid.uuid4())
def lambda_handler(event, context):
    began = time.time()
    time.sleep(0.3)
    return {'init': INIT, 'own': str(uuid.uuid4()), 'stream': context.log_stream_name,
            'began': began, 'ended': time.time()}
"""}
NODE = {"index.mjs": """
import { randomUUID } from 'node:crypto';
const init = randomUUID();
export const handler = async (event, context) => {
  const began = Date.now() / 1000;
  await new Promise((done) => setTimeout(done, 300));
  const own = randomUUID();
  return { init, own, stream: context.logStreamName, began, ended: Date.now() / 1000 };
};
"""}
MOST_ENVIRONMENTS = 24
PAUSE_SECONDS = 0.2


class Forks(Compat):
    def environments(self, name, count):
        """Answers of calls that run at one time."""
        with concurrent.futures.ThreadPoolExecutor(count) as pool:
            return [body for body, _ in pool.map(lambda _: self.invoke(name), range(count))]

    def is_initialised_once(self, language, files, handler, **settings):
        found = harness.machine_runtimes()
        if language not in found:
            self.skipTest(f"no {language} on this machine")
        name = self.create(found[language], files, handler, **settings)
        # The first environments were started by themselves, while the template was made: each
        # round needs one environment more than there are.
        for count in range(2, MOST_ENVIRONMENTS):
            answers = self.environments(name, count)
            self.assertEqual(len({a["own"] for a in answers}), count)
            # A busy machine may end one call before another begins; none runs beside another.
            answers.sort(key=lambda a: (a["stream"], a["began"]))
            for one, other in itertools.pairwise(answers):
                self.assertTrue(one["stream"] != other["stream"] or one["ended"] <= other["began"])
            environments = len({a["stream"] for a in answers})
            if len({a["init"] for a in answers}) < environments:
                return True
            time.sleep(PAUSE_SECONDS)
        return False

    def test_python(self):
        self.assertTrue(self.is_initialised_once("python", PYTHON,
                                                 "lambda_function.lambda_handler"))

    def test_nodejs(self):
        self.assertTrue(self.is_initialised_once("nodejs", NODE, "index.handler"))

    def test_a_function_may_opt_out(self):
        found = harness.machine_runtimes()
        if "python" not in found:
            self.skipTest("no python on this machine")
        name = self.create(found["python"], PYTHON, "lambda_function.lambda_handler",
                           Environment={"Variables": {"MAYFLY_FORK": "off"}})
        for _ in range(2):
            answers = self.environments(name, 3)
            self.assertEqual(len({a["init"] for a in answers}), len(answers))


if __name__ == "__main__":
    harness.main()
