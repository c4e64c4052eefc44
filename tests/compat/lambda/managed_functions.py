"""Functions that run several calls at one time, in every language: each takes {"barrier": N} and
waits until N calls are inside, "exit": ends its process, "hang": does not answer, "raise": fails.
They answer who they were and what their module has seen, and write two lines.
"""
import pathlib
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
import harness  # noqa: E402

NODE = {"index.mjs": """
let seen = 0;
let inside = [];
export const handler = async (event, context) => {
  const count = ++seen;
  console.log(`first ${event.n}`);
  if (event.barrier) {
    await new Promise((go) => {
      inside.push(go);
      if (inside.length === event.barrier) inside.splice(0).forEach((one) => one());
    });
  }
  if (event.hang) await new Promise(() => {});
  if (event.exit) process.exit(event.exit);
  if (event.raise) throw new RangeError(`raised ${event.n}`);
  console.log(`second ${event.n}`);
  return { n: event.n, seen: count, process: 1, request: context.awsRequestId,
           most: process.env.AWS_LAMBDA_MAX_CONCURRENCY, version: context.functionVersion,
           init: process.env.AWS_LAMBDA_INITIALIZATION_TYPE, code: 'one' };
};
"""}
PYTHON = {"index.py": """
import json, logging, os, time
logging.getLogger().setLevel("INFO")
seen = 0
def handler(event, context):
    global seen
    seen += 1
    logging.info("first %s", event["n"])
    if event.get("barrier"):
        folder = "/tmp/inside-%s" % event.get("round", 0)
        os.makedirs(folder, exist_ok=True)
        open("%s/%s" % (folder, event["n"]), "w").close()
        while len(os.listdir(folder)) < event["barrier"]:
            time.sleep(0.002)
    if event.get("hang"):
        time.sleep(60)
    if event.get("exit"):
        os._exit(event["exit"])
    if event.get("raise"):
        raise IndexError("raised %s" % event["n"])
    logging.info("second %s", event["n"])
    return {"n": event["n"], "seen": seen, "process": os.getpid(),
            "request": context.aws_request_id, "most": os.environ["AWS_LAMBDA_MAX_CONCURRENCY"],
            "version": context.function_version,
            "init": os.environ["AWS_LAMBDA_INITIALIZATION_TYPE"]}
"""}
JAVA = """
import com.amazonaws.services.lambda.runtime.*;
import java.util.*;
import java.util.concurrent.*;
import java.util.concurrent.atomic.AtomicInteger;
public class Index {
  static final AtomicInteger seen = new AtomicInteger();
  static final Map<Integer, CyclicBarrier> barriers = new ConcurrentHashMap<>();
  public Map<String, Object> handler(Map<String, Object> event, Context context) throws Exception {
    int count = seen.incrementAndGet();
    context.getLogger().log("first " + event.get("n"));
    if (event.containsKey("barrier")) {
      int size = ((Number) event.get("barrier")).intValue();
      barriers.computeIfAbsent(size, CyclicBarrier::new).await(20, TimeUnit.SECONDS);
    }
    if (event.containsKey("hang")) Thread.sleep(60000);
    if (event.containsKey("exit")) System.exit(((Number) event.get("exit")).intValue());
    if (event.containsKey("raise")) throw new IllegalStateException("raised " + event.get("n"));
    context.getLogger().log("second " + event.get("n"));
    return Map.of("n", event.get("n"), "seen", count, "process", 1,
                  "request", context.getAwsRequestId(),
                  "most", System.getenv("AWS_LAMBDA_MAX_CONCURRENCY"),
                  "version", context.getFunctionVersion(),
                  "init", System.getenv("AWS_LAMBDA_INITIALIZATION_TYPE"));
  }
}
"""
# A custom runtime: as many threads as the variable says, each asks for its next event.
CUSTOM = {"bootstrap": """#!/usr/bin/python3
import json, os, sys, threading, time, urllib.request
base = "http://%s/2018-06-01/runtime/" % os.environ["AWS_LAMBDA_RUNTIME_API"]
barriers, lock, seen = {}, threading.Lock(), [0]
def say(request, text):
    record = json.dumps({"requestId": request, "message": text}) + "\\n"
    os.write(1, record.encode())
def serve():
    while True:
        with urllib.request.urlopen(base + "invocation/next") as answer:
            event, request = json.load(answer), answer.headers["Lambda-Runtime-Aws-Request-Id"]
        with lock:
            seen[0] += 1
            count = seen[0]
            size = event.get("barrier")
            if size and size not in barriers:
                barriers[size] = threading.Barrier(size)
        say(request, "first %s" % event["n"])
        if size:
            barriers[size].wait(20)
        if event.get("hang"):
            time.sleep(60)
        if event.get("exit"):
            os._exit(event["exit"])
        what, body = "response", {"n": event["n"], "seen": count, "process": 1, "request": request,
                                  "most": os.environ["AWS_LAMBDA_MAX_CONCURRENCY"],
                                  "version": os.environ["AWS_LAMBDA_FUNCTION_VERSION"],
                                  "init": os.environ["AWS_LAMBDA_INITIALIZATION_TYPE"]}
        if event.get("raise"):
            what, body = "error", {"errorType": "Raised", "errorMessage": "raised %s" % event["n"]}
        else:
            say(request, "second %s" % event["n"])
        urllib.request.urlopen(urllib.request.Request(
            base + "invocation/%s/%s" % (request, what), json.dumps(body).encode(),
            method="POST")).read()
most = int(os.environ["AWS_LAMBDA_MAX_CONCURRENCY"])
for _ in range(most - 1):
    threading.Thread(target=serve, daemon=True).start()
serve()
"""}


def java_files():
    if not shutil.which("javac"):
        return None
    jar = harness.ROOT / "build/release/runtimes/java/runtime.jar"
    with tempfile.TemporaryDirectory() as folder:
        pathlib.Path(folder, "Index.java").write_text(JAVA)
        subprocess.run(["javac", "-cp", str(jar), "-d", folder, folder + "/Index.java"], check=True)
        return {file.name: file.read_bytes() for file in pathlib.Path(folder).glob("*.class")}
