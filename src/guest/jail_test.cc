// Every runtime of this machine, from the catalog, in a real jail, through its real channel.
#include <fstream>

#include "base/limits.h"
#include "guest/channel.h"
#include "sandbox/discover.h"
#include "sandbox/jail_fixture_test.h"
#include "sandbox/runtimes.h"

namespace mayfly::guest {
namespace {

namespace fs = std::filesystem;
using sandbox::testing::Jails;

void write_file(const fs::path& path, const std::string& text) {
  fs::create_directories(path.parent_path());
  std::ofstream(path) << text;
  fs::permissions(path, fs::perms(0755));
}

struct Function {
  std::string language;
  std::string handler;
  std::vector<std::pair<std::string, std::string>> files;
};

// Each answers {"n": event.n + 1}, logs one line of two parts, and fails without "n".
const Function functions[] = {
    {"nodejs",
     "index.handler",
     {{"index.js",
       "exports.handler = async (e) => { console.log('two\\nparts'); "
       "if (!e.n) throw new TypeError('no n'); return { n: e.n + 1 } }"}}},
    {"python",
     "app.handler",
     {{"app.py",
       "import logging\ndef handler(event, context):\n  logging.warning('two\\nparts')\n"
       "  return {'n': event['n'] + 1}\n"}}},
    {"ruby",
     "app.handler",
     {{"app.rb",
       "def handler(event:, context:)\n  puts \"two\\nparts\"\n  { n: event.fetch('n') + 1 }\n"
       "end\n"}}},
    {"java",
     "F::run",
     {{"F.java",
       "public class F {\n  public Object run(java.util.Map<String, Integer> e) {\n"
       "    com.amazonaws.services.lambda.runtime.LambdaRuntime.getLogger().log(\"two\\nparts\");\n"
       "    return java.util.Map.of(\"n\", e.get(\"n\") + 1);\n  }\n}\n"}}},
    // A runtime of its own, in shell and the machine's Python: asks, answers, fails.
    {"provided",
     "",
     {{"bootstrap",
       "#!/usr/bin/python3 -S\n"
       "import json, os, http.client\n"
       "c = http.client.HTTPConnection(os.environ['AWS_LAMBDA_RUNTIME_API'])\n"
       "base = '/2018-06-01/runtime/invocation/'\n"
       "while True:\n"
       "  c.request('GET', base + 'next'); r = c.getresponse(); e = json.loads(r.read())\n"
       "  at = base + r.headers['Lambda-Runtime-Aws-Request-Id']\n"
       "  print('two parts', flush=True)\n"
       "  if 'n' in e: c.request('POST', at + '/response', json.dumps({'n': e['n'] + 1}))\n"
       "  else: c.request('POST', at + '/error', '{\"errorMessage\": \"no n\"}')\n"
       "  c.getresponse().read()\n"}}},
};

sandbox::Spec spec_of(const sandbox::RuntimePack& pack, const Function& function,
                      const fs::path& code) {
  sandbox::Spec spec;
  spec.id = InstanceId("test-" + pack.name);
  spec.binds = pack.binds;
  spec.binds.push_back({code.string(), "/var/task"});
  spec.argv = pack.argv_for(512);
  spec.env = pack.env;
  for (std::string_view value :
       {"LAMBDA_TASK_ROOT=/var/task", "LAMBDA_RUNTIME_DIR=/var/runtime",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE=512", "_LAMBDA_TELEMETRY_LOG_FD=4",
        "AWS_LAMBDA_RUNTIME_API=127.0.0.1:9001"}) {
    spec.env.emplace_back(value);
  }
  spec.env.push_back("_HANDLER=" + function.handler);
  spec.limits.memory_bytes = 512ull << 20;
  spec.framed_log = true;
  if (pack.guest == sandbox::GuestKind::lean) {
    spec.channel = true;
  } else {
    spec.listen_ports = {9001};
  }
  return spec;
}

InvokeRequest event(std::string payload) {
  InvokeRequest out;
  out.request_id = "id";
  out.payload = std::move(payload);
  out.deadline_epoch_ms = 4102444800000;
  return out;
}

std::unique_ptr<GuestChannel> channel_of(Jails& jails, const sandbox::RuntimePack& pack,
                                         sandbox::Instance& instance) {
  if (pack.guest == sandbox::GuestKind::lean) {
    return make_lean_channel(jails.loop, instance.take_channel());
  }
  auto listeners = instance.take_listeners();
  REQUIRE(listeners.size() == 1);
  return make_runtime_api_channel(jails.loop, std::move(listeners[0]));
}

// What these functions write at each call is read by nobody here, so events ahead are returned.
void try_ahead(Jails& jails, const sandbox::RuntimePack& pack, GuestChannel& channel) {
  channel.prepare_ahead();
  auto reply = jails.loop.run_until(channel.invoke(event("{\"n\":4}"), jails.soon()));
  REQUIRE(reply.has_value());
  bool ahead = pack.language == "nodejs" || pack.language == "python";
  CHECK(channel.takes_ahead() == ahead);
  if (!ahead) return;
  CHECK(reply->output == Output::unread);
  auto number = channel.send_ahead(event("{\"n\":5}"));
  REQUIRE(number != 0);
  auto returned = jails.loop.run_until(channel.take_up(number, jails.soon()));
  REQUIRE(!returned.has_value());
  CHECK(returned.error().kind == ErrorKind::conflict);
  auto anew = jails.loop.run_until(channel.invoke(event("{\"n\":5}"), jails.soon()));
  REQUIRE(anew.has_value());
  CHECK(anew->payload.find('6') != std::string::npos);
}

void try_runtime(Jails& jails, const sandbox::RuntimePack& pack, const Function& function) {
  INFO(pack.name << " " << pack.interpreter);
  fs::path code = fs::path(jails.state) / "code" / pack.name;
  for (const auto& [name, text] : function.files) write_file(code / name, text);
  if (pack.language == "java") {
    auto javac = fs::path(pack.interpreter).parent_path() / "javac";
    std::string runtime;
    for (const auto& bind : pack.binds) {
      if (bind.target == "/var/runtime") runtime = bind.source;
    }
    REQUIRE(sandbox::run_program({javac.string(), "-d", code.string(), "-cp",
                                  runtime + "/runtime.jar", (code / "F.java").string()}));
  }
  auto launched = jails.launch(spec_of(pack, function, code));
  REQUIRE(launched.has_value());
  auto& instance = **launched;
  auto channel = channel_of(jails, pack, instance);
  auto init = jails.loop.run_until(channel->wait_init(jails.soon()));
  if (!init || !init->ok) {
    instance.kill();
    FAIL(pack.name << ": " << (init ? init->error_payload : init.error().message) << "; output: "
                   << jails.loop.run_until(sandbox::testing::read_all(
                          jails.loop, instance.take_output(), jails.soon())));
  }
  for (int n = 1; n <= 3; ++n) {
    auto reply =
        jails.loop.run_until(channel->invoke(event(fmt::format("{{\"n\":{}}}", n)), jails.soon()));
    REQUIRE(reply.has_value());
    CHECK_FALSE(reply->is_error);
    std::erase(reply->payload, ' ');
    CHECK(reply->payload == fmt::format("{{\"n\":{}}}", n + 1));
  }
  try_ahead(jails, pack, *channel);
  auto failed = jails.loop.run_until(channel->invoke(event("{}"), jails.soon()));
  REQUIRE(failed.has_value());
  CHECK(failed->is_error);
  CHECK(failed->payload.find("errorMessage") != std::string::npos);
  instance.kill();
  auto records = jails.loop.run_until(
      sandbox::testing::read_all(jails.loop, instance.take_framed_log(), jails.soon()));
  bool framed = records.find("two\nparts") != std::string::npos;
  CHECK(framed == (pack.language != "provided"));
  CHECK(jails.loop.run_until(instance.exited(jails.soon())).has_value());
}

TEST_CASE("functions find the SDKs that the runtimes bring, in a jail") {
  Jails jails;
  auto packs = fs::read_symlink("/proc/self/exe").parent_path().parent_path() / "runtimes";
  auto catalog = sandbox::RuntimeCatalog::discover(packs.string(), jails.state + "/runtimes");
  struct Case {
    std::string language, sdk;
    Function function;
  };
  for (const Case& c : {
           Case{"nodejs",
                "nodejs/node_modules",
                {"nodejs",
                 "index.handler",
                 {{"index.js",
                   "exports.handler = async () => "
                   "typeof require('@aws-sdk/client-s3').S3Client"}}}},
           Case{"nodejs",
                "nodejs/node_modules",
                {"nodejs",
                 "index.handler",
                 {{"index.mjs",
                   "import { S3Client } from '@aws-sdk/client-s3';\n"
                   "export const handler = async () => typeof S3Client"}}}},
           Case{"python",
                "python/site-packages",
                {"python",
                 "app.handler",
                 {{"app.py",
                   "import boto3\ndef handler(e, c):\n  return 'function' if "
                   "boto3.client and '/var/runtime' in boto3.__file__ else 0\n"}}}},
       }) {
    const auto* pack = static_cast<const sandbox::RuntimePack*>(nullptr);
    for (const auto& p : catalog.packs()) {
      if (p.language == c.language && p.name != "python3.8" && p.name != "python3.9") pack = &p;
    }
    if (!pack || !fs::exists(packs / c.sdk / ".fetched")) {
      MESSAGE("SKIPPED: the SDK of " << c.language << " was not fetched");
      continue;
    }
    fs::path code = fs::path(jails.state) / "sdk" / c.function.files[0].first;
    write_file(code / c.function.files[0].first, c.function.files[0].second);
    auto launched = jails.launch(spec_of(*pack, c.function, code));
    REQUIRE(launched.has_value());
    auto channel = channel_of(jails, *pack, **launched);
    auto init = jails.loop.run_until(channel->wait_init(jails.soon()));
    REQUIRE(init.has_value());
    CHECK_MESSAGE(init->ok, init->error_payload);
    auto reply = jails.loop.run_until(channel->invoke(event("{}"), jails.soon()));
    REQUIRE_MESSAGE(reply.has_value(), reply.error().message);
    CHECK(reply->payload == "\"function\"");
    (*launched)->kill();
    CHECK(jails.loop.run_until((*launched)->exited(jails.soon())).has_value());
  }
}

TEST_CASE("every runtime found here serves events in a jail") {
  Jails jails;
  auto packs = fs::read_symlink("/proc/self/exe").parent_path().parent_path() / "runtimes";
  auto catalog = sandbox::RuntimeCatalog::discover(packs.string(), jails.state + "/runtimes");
  int tried = 0;
  for (const auto& pack : catalog.packs()) {
    for (const auto& function : functions) {
      if (function.language != pack.language) continue;
      try_runtime(jails, pack, function);
      ++tried;
    }
  }
  MESSAGE(tried << " runtimes tried");
  CHECK(tried >= 1);
}

}  // namespace
}  // namespace mayfly::guest
