#include <doctest/doctest.h>

#include "base/limits.h"
#include "services/pipes/service.h"
#include "sim/manual_clock.h"
#include "sim/memory_store.h"

using namespace mayfly;
using namespace mayfly::services::pipes;
using namespace std::chrono_literals;
using wire::Json;

namespace {

// A queue of texts; what is taken comes back with back().
struct FakeFeed final : events::Feed {
  Result<events::Taken> take(std::size_t most, std::size_t) override {
    events::Taken out;
    while (!there.empty() && out.items.size() < most) {
      Json record;
      record["messageId"] = fmt::format("m{}", ++count);
      record["body"] = there.front();
      out.items.push_back({.handle = there.front(),
                           .id = fmt::format("m{}", count),
                           .record = record.dump(),
                           .body = there.front(),
                           .trace_header = "",
                           .until_ms = INT64_MAX});
      there.pop_front();
    }
    out.more = out.items.size() == most;
    return out;
  }
  Result<std::int64_t> extend(std::string_view) override { return INT64_MAX; }
  io::Task<Result<>> acknowledge(std::vector<std::string> handles) override {
    for (auto& one : handles) acknowledged.push_back(std::move(one));
    co_return Result<>{};
  }
  std::uint64_t watch(std::function<void()> call) override {
    arrival = std::move(call);
    return 1;
  }
  void unwatch(std::uint64_t) override { arrival = nullptr; }

  std::deque<std::string> there;
  std::vector<std::string> acknowledged;
  std::function<void()> arrival;
  int count = 0;
};

struct Sink final : events::Target {
  Result<> check(std::string_view, const events::Sender&) override { return {}; }
  io::Task<Result<events::Outcome>> push(events::Delivery delivery) override {
    got.push_back(std::move(delivery));
    co_return answer;
  }
  std::vector<events::Delivery> got;
  Result<events::Outcome> answer = events::Outcome{};
};

constexpr std::string_view queue_arn = "arn:aws:sqs:us-east-1:123456789012:q";
constexpr std::string_view function_arn = "arn:aws:lambda:us-east-1:123456789012:function:f";

struct Bench {
  Bench() {
    switchboard.add_source("sqs", [this](std::string_view) {
      return events::Source{.feed = feed, .there = true, .hidden_seconds = 30};
    });
    switchboard.add_target("sqs", queue);
    switchboard.add_target("lambda", function);
    open();
  }
  ~Bench() { close(); }
  void open() {
    pipes = *Pipes::open({loop, disk, switchboard});
    service = pipes->service();
    pipes->start();
    loop.run_ready();
  }
  void close() {
    pipes->stop();
    loop.run_until(pipes->close());
    pipes.reset();
  }
  api::ApiResult<wire::Record> call(std::string_view name, Json in) {
    auto row = std::ranges::find(service.model->operations, name, &api::Operation::name);
    api::Call call{
        .operation = *row, .caller = {}, .scope = scope, .request_id = RequestId("r"), .host = "h"};
    auto record = api::record_of(*row->input, in);
    REQUIRE_MESSAGE(record.has_value(), record.error().message);
    // A part of the path, which JSON alone does not bring.
    for (std::string_view name : {"Name", "resourceArn"}) {
      int index = record->index(name);
      if (index >= 0) record->at(static_cast<std::size_t>(index)) = std::string(in.string_or(name));
    }
    auto out = loop.run_until(service.handlers.at(name)(call, *std::move(record)));
    loop.run_ready();
    return out;
  }
  Json ok(std::string_view name, Json in) {
    auto out = call(name, std::move(in));
    REQUIRE_MESSAGE(out.has_value(), out.error().message);
    return api::json_of(*out);
  }
  std::string code(std::string_view name, Json in) {
    auto out = call(name, std::move(in));
    return out ? "(success)" : out.error().code;
  }
  static Json pipe(std::string_view target, std::string_view more = "{}") {
    auto out = *wire::parse_json(more);
    out["Name"] = "p";
    out["Source"] = queue_arn;
    out["Target"] = target;
    out["RoleArn"] = "arn:aws:iam::123456789012:role/r";
    return out;
  }
  std::string state() {
    return std::string(ok("DescribePipe", Json::object({{"Name", "p"}})).string_or("CurrentState"));
  }
  void send(std::vector<std::string> bodies) {
    for (auto& body : bodies) feed->there.push_back(std::move(body));
    if (feed->arrival) feed->arrival();
    loop.run_ready();
  }
  void pass(Duration time) {
    clock.advance(time);
    loop.run_ready();
  }

  Scope scope{AccountId("123456789012"), Region("us-east-1")};
  sim::ManualClock clock;
  io::Loop loop{clock};
  sim::MemoryStore disk{loop};
  events::Switchboard switchboard;
  std::shared_ptr<FakeFeed> feed = std::make_shared<FakeFeed>();
  Sink queue;
  Sink function;
  std::unique_ptr<Pipes> pipes;
  api::Service service;
};

}  // namespace

TEST_CASE("pipe: record by record to a queue, as the pipe's role") {
  Bench bench;
  bench.ok("CreatePipe", Bench::pipe(queue_arn, R"x({"TargetParameters":{
    "InputTemplate":"{\"id\":<$.messageId>,\"who\":\"<$.body.who>!\"}",
    "SqsQueueParameters":{"MessageGroupId":"$.body.who"}}})x"));
  CHECK(bench.state() == "RUNNING");
  bench.send({R"({"who":"Ada"})", "text"});
  REQUIRE(bench.queue.got.size() == 2);
  CHECK(bench.queue.got[0].payload == R"({"id":"m1","who":"Ada!"})");
  CHECK(bench.queue.got[0].group_id == "Ada");
  CHECK(bench.queue.got[0].sender.role_arn == "arn:aws:iam::123456789012:role/r");
  CHECK(bench.queue.got[0].sender.source_arn == "arn:aws:pipes:us-east-1:123456789012:pipe/p");
  CHECK(bench.queue.got[1].payload == R"({"id":"m2","who":"!"})");
  CHECK(bench.feed->acknowledged.size() == 2);
}

TEST_CASE("pipe: what an enrichment answers takes the records' place") {
  Bench bench;
  bench.function.answer->payload = R"([{"n":1},{"n":2},{"n":3}])";
  bench.ok("CreatePipe",
           Bench::pipe(queue_arn, fmt::format(R"({{"Enrichment":"{}"}})", function_arn)));
  bench.send({"a"});
  REQUIRE(bench.function.got.size() == 1);
  CHECK(bench.function.got[0].wait);
  CHECK(bench.function.got[0].payload == R"([{"messageId":"m1","body":"a"}])");
  REQUIRE(bench.queue.got.size() == 3);
  CHECK(bench.queue.got[2].payload == R"({"n":3})");
  bench.function.answer->payload = "[]";
  bench.send({"b"});
  CHECK(bench.queue.got.size() == 3);
  CHECK(bench.feed->acknowledged.size() == 2);
  // It fails: nothing goes on, and the message comes back.
  bench.function.answer->kind = events::Outcome::Kind::function_error;
  bench.send({"c"});
  CHECK(bench.queue.got.size() == 3);
  CHECK(bench.feed->acknowledged.size() == 2);
}

TEST_CASE("pipe: a function gets a batch, and may say which items failed") {
  Bench bench;
  bench.function.answer->payload = R"({"batchItemFailures":[{"itemIdentifier":"m2"}]})";
  bench.ok("CreatePipe", Bench::pipe(function_arn));
  bench.send({"a", "b", "c"});
  REQUIRE(bench.function.got.size() == 1);
  CHECK(bench.function.got[0].payload.starts_with(R"([{"messageId":"m1","body":"a"},)"));
  CHECK(bench.feed->acknowledged == std::vector<std::string>{"a", "c"});
  bench.function.answer->payload = R"("whatever")";
  bench.send({"d"});
  CHECK(bench.feed->acknowledged.size() == 3);
  bench.function.answer = fail(ErrorKind::denied, "no");
  bench.send({"e"});
  CHECK(bench.feed->acknowledged.size() == 3);
}

TEST_CASE("pipe: stopped, started, changed, there after a restart, deleted") {
  Bench bench;
  bench.ok("CreatePipe", Bench::pipe(queue_arn, R"({"DesiredState":"STOPPED"})"));
  bench.send({"a"});
  CHECK(bench.state() == "STOPPED");
  CHECK(bench.queue.got.empty());
  CHECK(bench.code("CreatePipe", Bench::pipe(queue_arn)) == "ConflictException");
  CHECK(bench.ok("StartPipe", Json::object({{"Name", "p"}})).string_or("CurrentState") ==
        "STARTING");
  CHECK(bench.queue.got.size() == 1);
  bench.close();
  bench.open();
  CHECK(bench.state() == "RUNNING");
  bench.send({"b"});
  CHECK(bench.queue.got.size() == 2);
  auto change = Bench::pipe(queue_arn, R"({"TargetParameters":{"InputTemplate":"<$.body>"}})");
  bench.ok("UpdatePipe", change);
  bench.send({"c"});
  CHECK(bench.queue.got.back().payload == R"("c")");
  bench.ok("DeletePipe", Json::object({{"Name", "p"}}));
  bench.send({"d"});
  CHECK(bench.queue.got.size() == 3);
  CHECK(bench.code("DescribePipe", Json::object({{"Name", "p"}})) == "NotFoundException");
}

TEST_CASE("pipe: what none can be") {
  Bench bench;
  auto refused = [&](std::string_view more) {
    return bench.code("CreatePipe", Bench::pipe(queue_arn, more));
  };
  auto filters = [](std::size_t count) {
    std::string list;
    for (std::size_t i = 0; i < count; ++i) {
      list += std::string(i == 0 ? "" : ",") + R"x({"Pattern":"{\"body\":[\"x\"]}"})x";
    }
    return fmt::format(R"({{"SourceParameters":{{"FilterCriteria":{{"Filters":[{}]}}}}}})", list);
  };
  CHECK(refused(filters(limits::pipes_filters + 1)) == "ValidationException");
  CHECK(refused(R"({"SourceParameters":{"SqsQueueParameters":{"BatchSize":11}}})") ==
        "ValidationException");
  CHECK(refused(R"({"TargetParameters":{"InputTemplate":"{"}})") == "ValidationException");
  CHECK(refused(filters(limits::pipes_filters)) == "(success)");
}

TEST_CASE("pipe: so many of an account") {
  Bench bench;
  auto made = [&](std::size_t number) {
    auto pipe = Bench::pipe(queue_arn, R"({"DesiredState":"STOPPED"})");
    pipe["Name"] = fmt::format("p{}", number);
    return bench.code("CreatePipe", std::move(pipe));
  };
  for (std::size_t i = 0; i < limits::pipes_per_account; ++i) CHECK(made(i) == "(success)");
  CHECK(made(limits::pipes_per_account) == "ServiceQuotaExceededException");
  bench.ok("DeletePipe", Json::object({{"Name", "p0"}}));
  CHECK(made(limits::pipes_per_account) == "(success)");
}

namespace {

Json tags(std::string_view name, std::string_view value) {
  auto out = Json::object({{"resourceArn", "arn:aws:pipes:us-east-1:123456789012:pipe/p"}});
  out["tags"][name] = value;
  return out;
}

}  // namespace

TEST_CASE("pipe: with an open circuit breaker it takes nothing, and then tries it out") {
  Bench bench;
  bench.ok("CreatePipe", Bench::pipe(queue_arn, R"({"Tags":{"mayfly:breaker":"1/60s open=30s"}})"));
  bench.queue.answer = fail(ErrorKind::internal, "broken");
  bench.send({"a"});
  CHECK(bench.queue.got.size() == 1);
  CHECK(bench.pipes->open_breakers() == 1);
  bench.send({"b", "c"});
  bench.pass(29s);
  CHECK(bench.feed->there.size() == 2);
  bench.queue.answer = events::Outcome{};
  bench.pass(1s);
  CHECK(bench.pipes->open_breakers() == 0);
  CHECK(bench.feed->acknowledged == std::vector<std::string>{"b", "c"});
}

TEST_CASE("pipe: while its breaker is open the fallback gets what is for the target") {
  Bench bench;
  bench.ok("CreatePipe", Bench::pipe(queue_arn, fmt::format(R"({{"Tags":{{"mayfly:breaker":)"
                                                            R"("1/60s fallback={}"}}}})",
                                                            function_arn)));
  bench.queue.answer = fail(ErrorKind::internal, "broken");
  bench.send({"a"});
  bench.send({"b"});
  CHECK(bench.queue.got.size() == 1);
  REQUIRE(bench.function.got.size() == 1);
  CHECK(bench.function.got[0].payload == R"([{"messageId":"m2","body":"b"}])");
  CHECK_FALSE(bench.function.got[0].wait);
  CHECK(bench.feed->acknowledged == std::vector<std::string>{"b"});
}

TEST_CASE("pipe: flow control by its tags") {
  Bench bench;
  bench.ok("CreatePipe", Bench::pipe(queue_arn, R"({"Tags":{"mayfly:key":"body.k"}})"));
  bench.ok("TagResource", tags("mayfly:throttle", "1/1m"));
  bench.loop.run_ready();
  CHECK(bench.state() == "RUNNING");
  bench.send({R"({"k":"a","n":1})", R"({"k":"a","n":2})", R"({"k":"b"})"});
  CHECK(bench.queue.got.size() == 2);
  bench.pass(1min);
  CHECK(bench.queue.got.size() == 3);
  CHECK(bench.code("TagResource", tags("mayfly:throttle", "often")) == "ValidationException");
  CHECK(bench.code("TagResource", tags("mayfly:breaker", "often")) == "ValidationException");
  CHECK(bench.code("TagResource", tags("mayfly:overlap", "skip")) == "ValidationException");
  CHECK(bench.code("TagResource", tags("mayfly:breaker", "1/1s fallback=arn:aws:x:r:1:s")) ==
        "ValidationException");
}
