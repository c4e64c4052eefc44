#include "services/lambda/event_sources.h"

#include <doctest/doctest.h>

#include "sim/manual_clock.h"
#include "sim/memory_store.h"

using namespace mayfly;
using namespace mayfly::lambda;
namespace model = mayfly::api::lambda;

namespace {

constexpr std::string_view queue_arn = "arn:aws:sqs:us-east-1:123456789012:q";

class OneFeed final : public events::Feed {
 public:
  Result<events::Taken> take(std::size_t, std::size_t) override {
    events::Taken out;
    for (int i = std::exchange(there, 0); i > 0; --i) {
      out.items.push_back({.handle = "h",
                           .id = "m",
                           .record = "{}",
                           .body = "x",
                           .trace_header = "",
                           .until_ms = INT64_MAX});
    }
    return out;
  }
  Result<std::int64_t> extend(std::string_view) override { return INT64_MAX; }
  io::Task<Result<>> acknowledge(std::vector<std::string> handles) override {
    acknowledged += static_cast<int>(handles.size());
    co_return Result<>{};
  }
  std::uint64_t watch(std::function<void()> call) override {
    arrival = std::move(call);
    return 1;
  }
  void unwatch(std::uint64_t) override { arrival = nullptr; }

  int there = 0;
  int acknowledged = 0;
  std::function<void()> arrival;
};

// The mappings of one account, with one queue and a function "f" of three seconds.
struct Bench {
  Bench() {
    switchboard.add_source("sqs", [this](std::string_view arn) {
      if (arn != queue_arn) return events::Source{};
      return events::Source{.feed = feed, .there = true, .ordered = ordered, .hidden_seconds = 30};
    });
    open();
  }
  ~Bench() {
    gate.set();
    loop.run_until(sources->close());
  }
  void open() {
    mappings = std::make_unique<functions::Mappings>(store);
    REQUIRE(mappings->load());
    sources = std::make_unique<EventSources>(EventSources::Deps{
        .loop = loop,
        .random = random,
        .mappings = *mappings,
        .switchboard = switchboard,
        .named =
            [this](const api::Call&, std::optional<std::string_view> name) {
              return parse_function(name.value_or(""), "", scope);
            },
        .timeout_seconds = [](const FunctionRef& ref) -> ApiResult<int> {
          if (ref.name.str() != "f") return refuse(function_not_found(ref.arn()));
          return 3;
        },
        .invoke = [this](FunctionRef, const pump::Call&) { return invoke(*this); },
        .may_run = [this](std::string_view) { return may_run; },
        .hold_effects = [](const FunctionRef&) { return false; },
        .count = [this](const FunctionRef&, const std::string&, pump::Step step,
                        std::size_t items) { counted[step] += items; }});
    service = {};
    service.model = &model::model;
    sources->add_to(service);
    sources->start();
    loop.run_ready();
  }
  static io::Task<Result<events::Outcome>> invoke(Bench& bench) {
    ++bench.invoked;
    co_await bench.gate.wait();
    co_return events::Outcome{};
  }
  api::ApiResult<wire::Record> call(std::string_view name, wire::Record input) {
    auto row = std::ranges::find(service.model->operations, name, &api::Operation::name);
    api::Call call{.operation = *row,
                   .caller = {},
                   .scope = scope,
                   .request_id = RequestId("r"),
                   .host = "localhost"};
    return loop.run_until(service.handlers.at(name)(call, std::move(input)));
  }
  template <class In>
  model::EventSourceMappingConfiguration ok(std::string_view name, In in) {
    auto answer = call(name, std::move(in).take());
    REQUIRE_MESSAGE(answer.has_value(), answer.error().message);
    return model::EventSourceMappingConfiguration(std::move(*answer));
  }
  template <class In>
  std::string code(std::string_view name, In in) {
    auto answer = call(name, std::move(in).take());
    return answer ? "(success)" : answer.error().code;
  }
  static model::CreateEventSourceMappingRequest wanted() {
    return model::CreateEventSourceMappingRequest()
        .set_event_source_arn(std::string(queue_arn))
        .set_function_name("f");
  }
  std::string state(std::string id) {
    model::GetEventSourceMappingRequest in;
    in.set_uuid(std::move(id));
    auto answer = call("GetEventSourceMapping", std::move(in).take());
    if (!answer) return answer.error().code;
    return std::string(*model::EventSourceMappingConfiguration(std::move(*answer)).state());
  }
  void arrive() {
    feed->there = 1;
    if (feed->arrival) feed->arrival();
    loop.run_ready();
  }

  Scope scope{AccountId("123456789012"), Region("us-east-1")};
  sim::ManualClock clock;
  io::Loop loop{clock};
  SystemRandom random;
  sim::MemoryStore store{loop};
  std::shared_ptr<OneFeed> feed = std::make_shared<OneFeed>();
  events::Switchboard switchboard;
  bool ordered = false;
  io::Event gate{loop};
  int invoked = 0;
  bool may_run = true;
  std::map<pump::Step, std::size_t> counted;
  std::unique_ptr<functions::Mappings> mappings;
  std::unique_ptr<EventSources> sources;
  api::Service service;
};

}  // namespace

TEST_CASE("event sources: a mapping is made, runs, and goes") {
  Bench b;
  b.gate.set();
  auto made = b.ok("CreateEventSourceMapping", Bench::wanted());
  std::string id(*made.uuid());
  CHECK(made.state() == "Creating");
  CHECK(made.batch_size() == 10);
  CHECK(made.function_arn() == "arn:aws:lambda:us-east-1:123456789012:function:f");
  b.loop.run_ready();
  CHECK(b.state(id) == "Enabled");
  b.arrive();
  CHECK(b.invoked == 1);
  CHECK(b.feed->acknowledged == 1);
  CHECK(b.code("CreateEventSourceMapping", Bench::wanted()) == "ResourceConflictException");
  CHECK(b.ok("DeleteEventSourceMapping", model::DeleteEventSourceMappingRequest().set_uuid(id))
            .state() == "Deleting");
  b.loop.run_ready();
  CHECK(b.state(id) == "ResourceNotFoundException");
  CHECK_FALSE(b.feed->arrival);
  CHECK(b.store.scan("event-source-mapping/", "", 9)->empty());
}

TEST_CASE("event sources: while a batch runs, a mapping that is changed says so") {
  Bench b;
  std::string id(*b.ok("CreateEventSourceMapping", Bench::wanted()).uuid());
  b.loop.run_ready();
  b.arrive();
  CHECK(b.invoked == 1);
  auto disable = model::UpdateEventSourceMappingRequest().set_uuid(id).set_enabled(false);
  CHECK(b.ok("UpdateEventSourceMapping", disable).state() == "Disabling");
  b.loop.run_ready();
  CHECK(b.state(id) == "Disabling");
  CHECK(b.code("UpdateEventSourceMapping", model::UpdateEventSourceMappingRequest().set_uuid(id)) ==
        "ResourceInUseException");
  b.gate.set();
  b.loop.run_ready();
  CHECK(b.state(id) == "Disabled");
  b.arrive();
  CHECK(b.invoked == 1);
}

TEST_CASE("event sources: what was enabled runs again after a restart") {
  Bench b;
  b.gate.set();
  std::string id(*b.ok("CreateEventSourceMapping",
                       Bench::wanted().set_function_response_types({"ReportBatchItemFailures"}))
                      .uuid());
  b.loop.run_ready();
  b.loop.run_until(b.sources->close());
  b.open();
  CHECK(b.state(id) == "Enabled");
  b.arrive();
  CHECK(b.invoked == 1);
}

TEST_CASE("event sources: settings on both sides of their limits") {
  Bench b;
  auto code = [&](auto in) {
    auto answer = b.call("CreateEventSourceMapping", std::move(in).take());
    if (!answer) return answer.error().code;
    std::string id(*model::EventSourceMappingConfiguration(std::move(*answer)).uuid());
    b.loop.run_ready();
    b.ok("DeleteEventSourceMapping", model::DeleteEventSourceMappingRequest().set_uuid(id));
    b.loop.run_ready();
    return std::string("(success)");
  };
  const std::string wrong = "InvalidParameterValueException";
  CHECK(code(Bench::wanted().set_batch_size(10)) == "(success)");
  CHECK(code(Bench::wanted().set_batch_size(11)) == wrong);
  CHECK(code(Bench::wanted().set_batch_size(10'000).set_maximum_batching_window_in_seconds(1)) ==
        "(success)");
  auto filters = [](std::size_t count, std::string pattern) {
    std::vector<model::Filter> list;
    for (std::size_t i = 0; i < count; ++i) list.emplace_back().set_pattern(pattern);
    return Bench::wanted().set_filter_criteria(
        model::FilterCriteria().set_filters(std::move(list)));
  };
  CHECK(code(filters(5, R"({"body":["x"]})")) == "(success)");
  CHECK(code(filters(6, R"({"body":["x"]})")) == wrong);
  CHECK(code(filters(1, R"({"body":"x"})")) == wrong);
  CHECK(code(Bench::wanted().set_parallelization_factor(2)) == wrong);
  CHECK(code(Bench::wanted().set_function_name("g")) == "ResourceNotFoundException");
  CHECK(code(Bench::wanted().set_event_source_arn(std::string(queue_arn) + "x")) == wrong);
  CHECK(code(Bench::wanted().set_event_source_arn("arn:aws:kinesis:us-east-1:1:stream/s")) ==
        "NotImplementedException");
  b.ordered = true;
  CHECK(code(Bench::wanted().set_batch_size(10)) == "(success)");
  CHECK(code(Bench::wanted().set_batch_size(11).set_maximum_batching_window_in_seconds(1)) ==
        wrong);
  CHECK(code(Bench::wanted().set_maximum_batching_window_in_seconds(1)) == wrong);
}

TEST_CASE("event sources: tags") {
  Bench b;
  auto made = b.ok("CreateEventSourceMapping", Bench::wanted().set_tags({{"a", "1"}}));
  std::string arn(*made.event_source_mapping_arn());
  CHECK(EventSources::is_arn(arn));
  CHECK(b.sources->tags(b.scope, arn)->at("a") == "1");
  REQUIRE(b.loop.run_until(b.sources->set_tags(b.scope, arn, {{"b", "2"}})));
  CHECK(b.sources->tags(b.scope, arn)->size() == 1);
  CHECK_FALSE(b.sources->tags(b.scope, arn + "x"));
}

TEST_CASE("event sources: a breaker that opens again lets the mapping go on") {
  Bench b;
  b.may_run = false;
  b.ok("CreateEventSourceMapping", Bench::wanted());
  b.loop.run_ready();
  b.arrive();
  CHECK(b.invoked == 0);
  b.may_run = true;
  b.sources->poke("123456789012/us-east-1/other");
  b.loop.run_ready();
  CHECK(b.invoked == 0);
  b.sources->poke("123456789012/us-east-1/f");
  b.loop.run_ready();
  CHECK(b.invoked == 1);
}

TEST_CASE("event sources: provisioned pollers, counts and flow control are settings that stay") {
  Bench b;
  auto in = Bench::wanted();
  in.set_provisioned_poller_config(model::ProvisionedPollerConfig().set_minimum_pollers(4));
  in.set_metrics_config(model::EventSourceMappingMetricsConfig().set_metrics({"EventCount"}));
  in.set_tags({{"mayfly:concurrency", "1"}, {"team", "a"}});
  std::string id(*b.ok("CreateEventSourceMapping", std::move(in)).uuid());
  b.loop.run_ready();
  b.gate.set();
  b.arrive();
  CHECK(b.counted[pump::Step::deleted] == 1);
  b.loop.run_until(b.sources->close());
  b.open();
  model::UpdateEventSourceMappingRequest update;
  auto shown = b.ok("UpdateEventSourceMapping", update.set_uuid(id));
  CHECK(*shown.provisioned_poller_config()->minimum_pollers() == 4);
  CHECK(*shown.provisioned_poller_config()->maximum_pollers() == 200);
  CHECK(shown.metrics_config()->metrics().size() == 1);
  b.loop.run_ready();
  auto tags = b.sources->tags(b.scope, *shown.event_source_mapping_arn());
  CHECK(tags->size() == 2);
  auto bad = Bench::wanted();
  bad.set_tags({{"mayfly:concurrency", "none"}});
  CHECK(b.code("CreateEventSourceMapping", std::move(bad)) == "InvalidParameterValueException");
  auto arn = std::string(*shown.event_source_mapping_arn());
  auto set = b.loop.run_until(b.sources->set_tags(b.scope, arn, {{"mayfly:throttle", "1/1s"}}));
  REQUIRE(set);
  b.loop.run_ready();
  CHECK(b.state(id) == "Enabled");
  // It goes by them from now on.
  b.arrive();
  b.arrive();
  CHECK(b.counted[pump::Step::deleted] == 2);
}
