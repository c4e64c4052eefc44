// Flow control of asynchronous events, through the Invoker, on a clock that is moved by hand.
#include "invoke/async_queue.h"
#include "invoke/house_for_tests.h"

using namespace mayfly;
using namespace mayfly::invoke;
using namespace mayfly::invoke::testing;
using Strings = std::vector<std::string>;

namespace {

struct FlowHouse : House {
  explicit FlowHouse(gate::FlowSettings settings) {
    settings.key_path = "k";
    settings.priority_path = "p";
    flow = FunctionFlow{.settings = std::move(settings),
                        .max_age_seconds = {{"$LATEST", 3600}},
                        .log_group = "/aws/lambda/hello"};
    target.runnable->timeout_seconds = 900;
    target.max_age_seconds = 3600;
    open();
  }
  void open() {
    start();
    invoker->set_resolver([this](Scope, FunctionName, std::string) { return resolve(*this); });
    control(flow);
    invoker->start();
    loop.run_ready();
  }
  // What a kill leaves: the rows as they are, and nothing else.
  void restart() {
    stop();
    open();
  }
  void control(std::optional<FunctionFlow> wanted) {
    invoker->control_flow(House::function().scope, FunctionName("hello"), std::move(wanted));
    loop.run_ready();
  }
  static io::Task<Result<AsyncTarget>> resolve(FlowHouse& house) { co_return house.target; }
  void accept(std::string id, std::string payload) {
    AsyncEvent event;
    event.scope = House::function().scope;
    event.name = FunctionName("hello");
    event.event.id = RequestId(std::move(id));
    event.event.payload = std::move(payload);
    REQUIRE(loop.run_until(invoker->enqueue(std::move(event))));
    loop.run_ready();
  }
  void accept(std::string id, std::string key, int priority) {
    accept(std::move(id), fmt::format(R"({{"k":"{}","p":{}}})", key, priority));
  }
  void of_key(std::string id, std::string key = "a") { accept(std::move(id), std::move(key), 0); }
  std::size_t stored() { return store.scan("async/", "", 100'000)->size(); }
  // Runs that have ended, in their order.
  Strings runs() const {
    Strings out;
    for (const auto& one : observer.invocations) out.push_back(one.request_id);
    return out;
  }
  // Ids of skipped events, as the log of the function names them.
  Strings skipped() const {
    Strings out;
    for (const auto& line : observer.lines) {
      if (line.text.starts_with("SKIPPED")) out.push_back(line.request_id);
    }
    return out;
  }
  void hang_calls(int seconds) {
    launcher.script.invoke = hang;
    target.runnable->timeout_seconds = seconds;
  }

  std::optional<FunctionFlow> flow;
  AsyncTarget target{.runnable = House::function(), .invoked_arn = "arn"};
};

}  // namespace

TEST_CASE("async flow: so many of a key at a time; others wait and use up no retries") {
  FlowHouse house({.concurrency = 1});
  house.hang_calls(10);
  house.target.max_retries = 0;
  for (const char* id : {"a1", "a2", "a3"}) house.of_key(id);
  house.of_key("b1", "b");
  CHECK(house.invoker->totals().busy == 2);
  CHECK(house.invoker->totals().queued_events == 4);
  house.pass(10s);
  CHECK(house.runs() == Strings{"a1", "b1"});
  CHECK(house.invoker->totals().busy == 1);
  house.pass(10s);
  house.pass(10s);
  CHECK(house.runs() == Strings{"a1", "b1", "a2", "a3"});
  CHECK(house.stored() == 0);
}

TEST_CASE("async flow: so many of a key in a period; every try counts") {
  FlowHouse house({.throttle_items = 2, .throttle_ms = 60'000});
  house.launcher.script.invoke = fail_handled;
  house.target.max_retries = 1;
  for (const char* id : {"a1", "a2", "a3"}) house.of_key(id);
  CHECK(house.runs() == Strings{"a1", "a2"});
  house.pass(30s - 1ms);
  CHECK(house.runs().size() == 2);
  house.pass(1ms);
  CHECK(house.runs() == Strings{"a1", "a2", "a3"});
  // The retries of the first two, due by now, come one by one.
  house.pass(30s);
  CHECK(house.runs().size() == 4);
  house.pass(30s);
  CHECK(house.runs().size() == 5);
}

TEST_CASE("async flow: the last of a key goes after a quiet; the others are struck out durably") {
  FlowHouse house({.debounce_ms = 5'000});
  house.of_key("a1");
  house.pass(4s);
  house.of_key("a2");
  CHECK(house.skipped() == Strings{"a1"});
  CHECK(house.stored() == 1);
  CHECK(house.observer.steps(AsyncStep::skipped) == 1);
  CHECK(house.observer.steps(AsyncStep::dropped) == 0);
  house.of_key("b1", "b");
  house.pass(5s - 1ms);
  CHECK(house.runs().empty());
  house.pass(1ms);
  CHECK(house.runs() == Strings{"a2", "b1"});
  CHECK(house.stored() == 0);
  CHECK(house.observer.lines.front().text ==
        "SKIPPED RequestId: a1\tReason: mayfly:debounce: RequestId: a2 came after it");
}

TEST_CASE("async flow: a debounce is put off no longer than its bound, restarts included") {
  FlowHouse house({.debounce_ms = 5'000, .debounce_max_ms = 12'000});
  house.of_key("a1");
  house.pass(4s);
  house.of_key("a2");
  house.restart();
  house.pass(4s);
  house.of_key("a3");
  house.restart();
  house.pass(3s);
  house.of_key("a4");
  house.pass(1s - 1ms);
  CHECK(house.runs().empty());
  house.pass(1ms);
  CHECK(house.runs() == Strings{"a4"});
  CHECK(house.skipped() == Strings{"a1", "a2", "a3"});
}

TEST_CASE("async flow: a retry is not put off again, nor superseded") {
  FlowHouse house({.debounce_ms = 5'000});
  house.launcher.script.invoke = fail_handled;
  house.target.max_retries = 1;
  house.of_key("a1");
  house.pass(5s);
  CHECK(house.runs() == Strings{"a1"});
  house.pass(57s);
  house.of_key("a2");
  house.pass(3s);
  CHECK(house.runs() == Strings{"a1", "a1"});
  CHECK(house.skipped().empty());
  house.pass(2s);
  CHECK(house.runs() == Strings{"a1", "a1", "a2"});
}

TEST_CASE(
    "async flow: while one of a key waits, runs or is to be tried again, others are skipped") {
  FlowHouse house({.singleton = true});
  house.hang_calls(10);
  house.target.max_retries = 1;
  int told = 0;
  house.target.on_failure = [&told](const Ending&) -> Result<AsyncEvent> {
    ++told;
    return fail(ErrorKind::unavailable, "nobody hears");
  };
  house.of_key("a1");
  house.of_key("a2");
  house.of_key("b1", "b");
  CHECK(house.skipped() == Strings{"a2"});
  CHECK(house.stored() == 2);
  house.pass(10s);
  CHECK(house.runs() == Strings{"a1", "b1"});
  house.of_key("a3");
  // A server that is killed meanwhile knows it when it starts.
  house.restart();
  house.of_key("a4");
  CHECK(house.skipped() == Strings{"a2", "a3", "a4"});
  house.launcher.script.invoke = nullptr;
  house.pass(60s);
  CHECK(house.runs() == Strings{"a1", "b1", "a1", "b1"});
  // No destination was told.
  CHECK(told == 0);
  house.of_key("a5");
  CHECK(house.runs().back() == "a5");
  CHECK(house.stored() == 0);
}

TEST_CASE("async flow: the greatest priority first") {
  FlowHouse house({.concurrency = 1});
  house.hang_calls(10);
  house.accept("first", "a", 0);
  house.accept("low", "a", -1);
  house.accept("none", R"({"k":"a"})");
  house.accept("high", "a", 7);
  for (int i = 0; i < 4; ++i) house.pass(10s);
  auto runs = house.runs();
  runs.resize(std::min<std::size_t>(runs.size(), 4));
  CHECK(runs == Strings{"first", "high", "none", "low"});
}

TEST_CASE("async flow: who waits for its turn grows too old, and its destination is told") {
  FlowHouse house({.throttle_items = 1, .throttle_ms = 24 * 3'600'000});
  Strings told;
  house.target.on_failure = [&told](const Ending& ending) -> Result<AsyncEvent> {
    CHECK(ending.condition == Ending::Condition::event_age_exceeded);
    told.push_back(ending.event.event.id.str());
    return fail(ErrorKind::unavailable, "nobody hears");
  };
  house.of_key("a1");
  house.of_key("a2");
  house.pass(3600s - 1ms);
  CHECK(house.stored() == 1);
  house.pass(1ms);
  CHECK(told == Strings{"a2"});
  CHECK(house.runs() == Strings{"a1"});
  CHECK(house.stored() == 0);
}

TEST_CASE("async flow: an event that is throttled takes nothing off its throttle") {
  FlowHouse house({.throttle_items = 1, .throttle_ms = 3'600'000});
  house.invoker->reserve(House::function().scope, house.settings.account_concurrency);
  house.of_key("a1");
  CHECK(house.observer.invocations.back().outcome == InvocationOutcome::throttled);
  house.invoker->reserve(House::function().scope, 0);
  house.pass(1s);
  CHECK(house.observer.invocations.back().outcome == InvocationOutcome::success);
  CHECK(house.stored() == 0);
}

TEST_CASE("async flow: deliveries to resources go past it") {
  FlowHouse house({.throttle_items = 1, .throttle_ms = 3'600'000});
  house.target.on_success = [](const Ending& ending) -> Result<AsyncEvent> {
    AsyncEvent out = ending.event;
    out.event.id = RequestId("told");
    out.outbound.emplace(Outbound{"arn:q", "arn:f", "arn:role", {}});
    return out;
  };
  house.of_key("a1");
  CHECK(house.delivered.size() == 1);
  CHECK(house.stored() == 0);
}

TEST_CASE("async flow: a change of settings holds what waits anew") {
  FlowHouse house({.throttle_items = 1, .throttle_ms = 3'600'000});
  for (const char* id : {"a1", "a2", "a3"}) house.of_key(id);
  CHECK(house.runs() == Strings{"a1"});
  auto slower = house.flow;
  slower->settings.throttle_ms = 1'800'000;
  house.control(slower);
  CHECK(house.runs() == Strings{"a1", "a2"});
  house.control(std::nullopt);
  CHECK(house.runs() == Strings{"a1", "a2", "a3"});
  CHECK(house.stored() == 0);
}

TEST_CASE("async flow: one that cannot be struck out at once is, when the store takes it") {
  FlowHouse house({.singleton = true});
  house.hang_calls(900);
  house.of_key("a1");
  store::Batch batch;
  AsyncRecord record;
  record.event.scope = House::function().scope;
  record.event.name = FunctionName("hello");
  record.event.event.id = RequestId("a2");
  record.event.event.payload = R"({"k":"a"})";
  record.accepted_ms = epoch_millis(house.clock.platform());
  batch.puts.push_back({async_key(record.accepted_ms, record.event), encode(record)});
  house.stop();
  REQUIRE(house.loop.run_until(house.store.commit(std::move(batch))));
  house.store.fail_writes_with = Error{ErrorKind::unavailable, "the disk is full", {}};
  house.open();
  CHECK(house.skipped().empty());
  CHECK(house.stored() == 2);
  house.store.fail_writes_with.reset();
  house.pass(1s);
  CHECK(house.skipped() == Strings{"a2"});
  CHECK(house.stored() == 1);
}

TEST_CASE("async flow: what is held is bounded; the rest follows in its order") {
  FlowHouse house({.concurrency = 1});
  house.stop();
  constexpr std::size_t more = 50;
  constexpr std::size_t last = limits::flow_held_items + more - 1;
  store::Batch batch;
  for (std::size_t i = 0; i <= last; ++i) {
    AsyncRecord record;
    record.event.scope = House::function().scope;
    record.event.name = FunctionName("hello");
    record.event.event.id = RequestId(fmt::format("x{:06}", i));
    record.event.event.payload = i == last ? R"({"k":"a","p":9})" : R"({"k":"a"})";
    record.accepted_ms = epoch_millis(house.clock.platform());
    batch.puts.push_back({async_key(record.accepted_ms, record.event), encode(record)});
  }
  REQUIRE(house.loop.run_until(house.store.commit(std::move(batch))));
  house.open();
  CHECK(house.stored() == 0);
  auto runs = house.runs();
  CHECK(runs.size() == last + 1);
  // It goes first as soon as it is held, and that is when so many before it have gone.
  auto place = std::ranges::find(runs, fmt::format("x{:06}", last)) - runs.begin();
  CHECK(place >= static_cast<std::ptrdiff_t>(more));
  CHECK(place < 300);
}

TEST_CASE("async flow: what finds no room to be held grows too old as well") {
  FlowHouse house({.throttle_items = 1, .throttle_ms = 24 * 3'600'000});
  house.stop();
  store::Batch batch;
  for (std::size_t i = 0; i < limits::flow_held_items + 5; ++i) {
    AsyncRecord record;
    record.event.scope = House::function().scope;
    record.event.name = FunctionName("hello");
    record.event.event.id = RequestId(fmt::format("x{:06}", i));
    record.event.event.payload = R"({"k":"a"})";
    record.accepted_ms = epoch_millis(house.clock.platform());
    batch.puts.push_back({async_key(record.accepted_ms, record.event), encode(record)});
  }
  REQUIRE(house.loop.run_until(house.store.commit(std::move(batch))));
  house.open();
  CHECK(house.runs().size() == 1);
  house.pass(3600s - 1ms);
  CHECK(house.stored() == limits::flow_held_items + 4);
  house.pass(1ms);
  CHECK(house.stored() == 0);
  CHECK(house.runs().size() == 1);
}

TEST_CASE("async flow: the time of a debounce's first survives its bytes") {
  AsyncRecord record;
  record.event.name = FunctionName("f");
  record.event.event.id = RequestId("id");
  record.event.event.tenant_id = "blue";
  record.debounced_ms = 1'767'225'600'123;
  std::string bytes = encode(record);
  auto back = decode_async(bytes);
  REQUIRE(back);
  CHECK(back->debounced_ms == record.debounced_ms);
  CHECK(back->event.event.tenant_id == "blue");
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    CHECK_FALSE(decode_async(std::string_view(bytes).substr(0, size)));
  }
  std::string twice = bytes.substr(0, 9) + bytes;
  CHECK_FALSE(decode_async(twice));
}
