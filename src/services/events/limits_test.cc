// Limits of EventBridge that no other test of this room meets, on both sides.
#include "base/limits.h"

#include "services/events/fixture_test.h"

using namespace mayfly;
using namespace mayfly::services::bus;
using test::Bench;
using namespace std::chrono_literals;

namespace {

// Calls `operation` for each number up to `most` with success; answers what the next one is told.
std::string filled(Bench& bench, std::string_view operation, std::string_view form,
                   std::size_t most) {
  auto tried = [&](std::size_t number) {
    return bench.error(operation, Bench::json(fmt::format(fmt::runtime(form), number)));
  };
  for (std::size_t i = 0; i < most; ++i) {
    if (auto answer = tried(i); answer != "(success)") return fmt::format("{}: {}", i, answer);
  }
  return tried(most);
}

}  // namespace

TEST_CASE("events limits: connections and API destinations") {
  Bench bench;
  CHECK(filled(bench, "CreateConnection",
               R"({{"Name":"c{}","AuthorizationType":"BASIC","AuthParameters":)"
               R"({{"BasicAuthParameters":{{"Username":"u","Password":"p"}}}}}})",
               limits::events_connections)
            .starts_with("LimitExceededException"));
  auto arn = bench.ok("DescribeConnection", Bench::json(R"({"Name":"c0"})"));
  CHECK(filled(bench, "CreateApiDestination",
               R"({{"Name":"d{}","HttpMethod":"POST","InvocationEndpoint":"https://h/",)"
               R"("ConnectionArn":")" +
                   std::string(arn.string_or("ConnectionArn")) + R"("}})",
               limits::events_api_destinations)
            .starts_with("LimitExceededException"));
  bench.ok("DeleteApiDestination", Bench::json(R"({"Name":"d0"})"));
  CHECK(bench.error("CreateApiDestination",
                    Bench::json(fmt::format(
                        R"({{"Name":"more","HttpMethod":"POST","InvocationEndpoint":"https://h/",)"
                        R"("ConnectionArn":"{}"}})",
                        arn.string_or("ConnectionArn")))) == "(success)");
}

TEST_CASE("events limits: replays under way") {
  Bench bench;
  bench.ok("CreateArchive",
           Bench::json(R"({"ArchiveName":"a","EventSourceArn":)"
                       R"("arn:aws:events:us-east-1:123456789012:event-bus/default"})"));
  auto archive = bench.ok("DescribeArchive", Bench::json(R"({"ArchiveName":"a"})"));
  // Braces are for fmt, twice.
  auto form = fmt::format(
      R"({{{{"ReplayName":"r{{}}","EventSourceArn":"{}","EventStartTime":1,"EventEndTime":9,)"
      R"("Destination":{{{{"Arn":"{}"}}}}}}}})",
      archive.string_or("ArchiveArn"), archive.string_or("EventSourceArn"));
  // One goes on when the loop does.
  bench.bus->stop();
  CHECK(filled(bench, "StartReplay", form, limits::events_replays)
            .starts_with("LimitExceededException"));
  bench.restart();
  bench.loop.run_ready();
  CHECK(bench.error("StartReplay", Bench::json(fmt::format(fmt::runtime(form), 99))) ==
        "(success)");
}

TEST_CASE("events limits: paths of a template") {
  Bench bench;
  bench.rule("r", R"({"source":["s"]})", "[]");
  auto with = [&](std::size_t count) {
    std::string paths;
    for (std::size_t i = 0; i < count; ++i) {
      paths += fmt::format(R"({}"p{}":"$.detail.p{}")", i == 0 ? "" : ",", i, i);
    }
    return bench.error("PutTargets",
                       Bench::json(fmt::format(
                           R"({{"Rule":"r","Targets":[{{"Id":"1",)"
                           R"("Arn":"arn:aws:sqs:us-east-1:123456789012:q","InputTransformer":)"
                           R"({{"InputPathsMap":{{{}}},"InputTemplate":"{{}}"}}}}]}})",
                           paths)));
  };
  CHECK(with(limits::events_template_paths) == "(success)");
  CHECK(with(limits::events_template_paths + 1).starts_with("ValidationException"));
}

TEST_CASE("events limits: pushes under way at one time") {
  Bench bench;
  io::Event gate(bench.loop);
  bench.queue.gate = &gate;
  // Five targets, as one takes a quarter of the places at the most.
  std::string targets;
  for (int i = 0; i < 5; ++i) {
    targets += fmt::format(R"({}{{"Id":"{}","Arn":"arn:aws:sqs:us-east-1:123456789012:q{}"}})",
                           i == 0 ? "" : ",", i, i);
  }
  bench.rule("r", R"({"source":["s"]})", "[" + targets + "]");
  std::size_t events = limits::events_pushes / 5 + 10;
  for (std::size_t i = 0; i < events; ++i) bench.put("{}");
  CHECK(bench.queue.got.size() == limits::events_pushes);
  gate.set();
  bench.loop.run_ready();
  CHECK(bench.queue.got.size() == events * 5);
}

TEST_CASE("events limits: those that have no room in memory are read from the store") {
  Bench bench;
  io::Event gate(bench.loop);
  bench.queue.gate = &gate;
  bench.rule("r", R"({"source":["s"]})",
             R"([{"Id":"1","Arn":"arn:aws:sqs:us-east-1:123456789012:q"}])");
  std::string fat(limits::mib - limits::kib, 'x');
  std::size_t events = limits::events_waiting_bytes / fat.size() + 2;
  for (std::size_t i = 0; i < events; ++i) bench.put(fmt::format(R"({{"t":"{}"}})", fat));
  gate.set();
  bench.loop.run_ready();
  REQUIRE(bench.queue.got.size() == events);
  for (const auto& one : bench.queue.got) CHECK(one.payload.size() > fat.size());
  CHECK(bench.rows("ev/") == 0);
}
