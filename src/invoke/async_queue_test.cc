#include "invoke/async_queue.h"

#include "invoke/house_for_tests.h"

using namespace mayfly;
using namespace mayfly::invoke;
using namespace mayfly::invoke::testing;

namespace {

struct AsyncHouse : House {
  int resolved = 0;
  std::optional<Error> resolve_error;
  AsyncTarget target{.runnable = House::function(), .invoked_arn = "arn"};

  void open() {
    start();
    invoker->set_resolver([this](Scope, FunctionName, std::string) { return resolve(*this); });
    invoker->start();
  }
  static io::Task<Result<AsyncTarget>> resolve(AsyncHouse& house) {
    ++house.resolved;
    if (house.resolve_error) co_return std::unexpected(*house.resolve_error);
    co_return house.target;
  }
  // Endings as "condition invocations answer"; the handed-over event ends in silence.
  std::vector<std::string> told;
  Handover teller(const std::string& condition) {
    return [this, condition](const Ending& ending) -> Result<AsyncEvent> {
      told.push_back(fmt::format("{} {} {}", condition, ending.invocations,
                                 ending.outcome ? ending.outcome->payload : "-"));
      target.on_success = target.on_failure = nullptr;
      AsyncEvent out{.scope = ending.event.scope,
                     .name = FunctionName("teller"),
                     .qualifier = {},
                     .event = {}};
      out.event.id = RequestId(fmt::format("told-{}", told.size()));
      return out;
    };
  }
  void tell_successes() { target.on_success = teller("success"); }
  void tell_failures() {
    target.on_failure = [this](const Ending& ending) {
      using enum Ending::Condition;
      return teller(ending.condition == retries_exhausted    ? "exhausted"
                    : ending.condition == event_age_exceeded ? "age_exceeded"
                                                             : "zero_reserved")(ending);
    };
  }
  Result<> accept(std::string id, std::string name = "hello") {
    AsyncEvent event;
    event.scope = House::function().scope;
    event.name = FunctionName(std::move(name));
    event.event.id = RequestId(std::move(id));
    event.event.payload = "{\"n\":1}";
    auto done = loop.run_until(invoker->enqueue(std::move(event)));
    loop.run_ready();
    return done;
  }
  std::size_t stored() { return store.scan("async/", "", 1000)->size(); }
  std::size_t runs() const { return observer.invocations.size(); }
};

}  // namespace

TEST_CASE("an accepted event is run and then forgotten") {
  AsyncHouse house;
  house.open();
  REQUIRE(house.accept("e1"));
  CHECK(house.runs() == 1);
  CHECK(house.observer.invocations[0].request_id == "e1");
  CHECK(house.observer.invocations[0].type == InvocationType::event);
  CHECK(house.stored() == 0);
  CHECK(house.invoker->totals().queued_events == 0);
}

TEST_CASE("an event that cannot be stored is not accepted") {
  AsyncHouse house;
  house.open();
  house.store.fail_writes_with = Error{ErrorKind::unavailable, "the disk is full", {}};
  CHECK_FALSE(house.accept("e1"));
  CHECK(house.runs() == 0);
  house.store.fail_writes_with.reset();
}

TEST_CASE("a failing function is retried after one and two minutes, then given up") {
  AsyncHouse house;
  house.launcher.script.invoke = fail_handled;
  house.open();
  REQUIRE(house.accept("e1"));
  CHECK(house.runs() == 1);
  CHECK(house.stored() == 1);
  house.pass(59'999ms);
  CHECK(house.runs() == 1);
  house.pass(1ms);
  CHECK(house.runs() == 2);
  house.pass(119'999ms);
  CHECK(house.runs() == 2);
  house.pass(1ms);
  CHECK(house.runs() == 3);
  CHECK(house.stored() == 0);
  house.pass(1h);
  CHECK(house.runs() == 3);
}

TEST_CASE("no retries where the function wants none") {
  AsyncHouse house;
  house.launcher.script.invoke = fail_handled;
  house.target.max_retries = 0;
  house.open();
  REQUIRE(house.accept("e1"));
  CHECK(house.runs() == 1);
  CHECK(house.stored() == 0);
}

TEST_CASE("throttled events back off from a second to five minutes, up to their age of six hours") {
  AsyncHouse house;
  house.open();
  house.invoker->reserve(House::function().scope, house.settings.account_concurrency);
  REQUIRE(house.accept("e1"));
  int tries = 1;
  Duration age{};
  for (auto wait : {1s, 2s, 4s, 8s, 16s, 32s, 64s, 128s, 256s, 300s, 300s}) {
    CHECK(house.resolved == tries);
    house.pass(wait - 1ms);
    CHECK(house.resolved == tries);
    house.pass(1ms);
    CHECK(house.resolved == ++tries);
    age += wait;
  }
  while (age + 300s < 6h) {
    house.pass(300s);
    age += 300s;
  }
  CHECK(house.stored() == 1);
  int before = house.resolved;
  house.pass(6h - age - 1ms);
  CHECK(house.stored() == 1);
  CHECK(house.resolved == before);
  house.pass(1ms);
  CHECK(house.stored() == 0);
  house.pass(24h);
  CHECK(house.resolved == before + 1);
  CHECK(house.runs() == static_cast<std::size_t>(before));  // all of them throttled
  CHECK(house.observer.steps(AsyncStep::dropped) == 1);
}

TEST_CASE("throttles do not count as retries, and room is used at the next try") {
  AsyncHouse house;
  house.settings.account_concurrency = 1;
  house.launcher.script.invoke = hang;
  house.target.max_retries = 0;
  house.open();
  auto blocker = house.begin(House::function("other"), House::request("r1"));
  REQUIRE(house.accept("e1"));
  CHECK(house.observer.invocations.back().outcome == InvocationOutcome::throttled);
  house.pass(1s);
  house.pass(2s);  // the blocker's timeout of 3 s has passed
  house.launcher.script.invoke = nullptr;
  CHECK(house.stored() == 1);
  house.pass(4s);
  CHECK(house.observer.invocations.back().outcome == InvocationOutcome::success);
  CHECK(house.stored() == 0);
}

TEST_CASE("with a reservation of zero events end at once, without a try") {
  AsyncHouse house;
  house.target.runnable->reserved_concurrency = 0;
  house.tell_failures();
  house.open();
  REQUIRE(house.accept("e1"));
  CHECK(house.runs() == 0);
  REQUIRE(house.told.size() == 1);
  CHECK(house.told[0] == "zero_reserved 0 -");
}

TEST_CASE("an event ends when its retry would come after its age") {
  AsyncHouse house;
  house.launcher.script.invoke = fail_handled;
  house.target.max_age_seconds = 60;
  house.tell_failures();
  house.open();
  REQUIRE(house.accept("e1"));
  REQUIRE(house.told.size() == 1);
  CHECK(house.told[0] == R"(age_exceeded 1 {"errorType":"Error","errorMessage":"no"})");
  CHECK(house.runs() == 2);  // its own, and the one that was told
  house.target.max_age_seconds = 61;
  house.tell_failures();
  REQUIRE(house.accept("e2"));
  CHECK(house.told.size() == 1);
  house.pass(60s);
  REQUIRE(house.told.size() == 2);
  CHECK(house.told[1] == R"(age_exceeded 2 {"errorType":"Error","errorMessage":"no"})");
}

TEST_CASE("an event that waited too long is not run") {
  AsyncHouse house;
  house.target.runnable = fail(ErrorKind::unavailable, "its code is not at hand");
  house.target.max_age_seconds = 60;
  house.tell_failures();
  house.open();
  REQUIRE(house.accept("e1"));
  for (auto wait : {1s, 2s, 4s, 8s, 16s}) house.pass(wait);
  house.target.runnable = House::function();
  house.pass(29s - 1ms);
  CHECK(house.told.empty());
  house.pass(1ms);
  REQUIRE(house.runs() == 1);
  CHECK(house.observer.invocations[0].request_id == "told-1");
  REQUIRE(house.told.size() == 1);
  CHECK(house.told[0] == "age_exceeded 0 -");
}

TEST_CASE("destinations hear of successes and of failures, in the commit that ends the event") {
  AsyncHouse house;
  house.tell_successes();
  house.open();
  REQUIRE(house.accept("e1"));
  REQUIRE(house.told.size() == 1);
  CHECK(house.told[0] == R"(success 1 {"n":1})");
  // What was handed over has been run by now, and its own success told nobody.
  CHECK(house.runs() == 2);
  CHECK(house.observer.invocations[1].request_id == "told-1");
  CHECK(house.observer.steps(AsyncStep::received) == 2);
  CHECK(house.stored() == 0);
  house.launcher.script.invoke = fail_handled;
  house.tell_failures();
  REQUIRE(house.accept("e2"));
  house.pass(60s);
  house.pass(120s);
  REQUIRE(house.told.size() == 2);
  CHECK(house.told[1] == R"(exhausted 3 {"errorType":"Error","errorMessage":"no"})");
  CHECK(house.observer.steps(AsyncStep::dropped) == 1);
  CHECK(house.observer.steps(AsyncStep::delivery_failed) == 0);
}

TEST_CASE("a destination that cannot be told is counted, and the event ends") {
  AsyncHouse house;
  house.target.on_success = [](const Ending&) -> Result<AsyncEvent> {
    return fail(ErrorKind::too_large, "too large");
  };
  house.open();
  REQUIRE(house.accept("e1"));
  CHECK(house.stored() == 0);
  CHECK(house.observer.steps(AsyncStep::delivery_failed) == 1);
}

namespace {

Handover pusher(std::string arn) {
  return [arn](const Ending& ending) -> Result<AsyncEvent> {
    AsyncEvent out = ending.event;
    out.event.id = RequestId("to-" + arn);
    out.outbound.emplace(Outbound{arn, "arn:f", "arn:role", {{"a", "String", "1"}}});
    return out;
  };
}

}  // namespace

TEST_CASE("a resource is told, and so is the dead-letter queue") {
  AsyncHouse house;
  house.launcher.script.invoke = fail_handled;
  house.target.max_retries = 0;
  house.target.on_success = pusher("not this one");
  house.target.on_failure = pusher("failures");
  house.target.dead_letter = pusher("dead");
  house.open();
  REQUIRE(house.accept("e1"));
  REQUIRE(house.delivered.size() == 2);
  CHECK(house.runs() == 1);
  std::ranges::sort(house.delivered, {}, &events::Delivery::arn);
  const auto& first = house.delivered[0];
  CHECK(first.arn == "dead");
  CHECK(house.delivered[1].arn == "failures");
  CHECK(first.payload == "{\"n\":1}");
  CHECK(first.sender.service == "lambda.amazonaws.com");
  CHECK(first.sender.source_arn == "arn:f");
  CHECK(first.sender.role_arn == "arn:role");
  CHECK(first.sender.account.str() == "000000000000");
  CHECK(first.attributes == std::vector<events::Attribute>{{"a", "String", "1"}});
  CHECK(house.stored() == 0);
}

TEST_CASE("a resource that cannot take it now is asked again, one that never will is not") {
  AsyncHouse house;
  house.target.on_success = pusher("q");
  house.delivery_error = Error{ErrorKind::unavailable, "the disk is full", {}};
  house.open();
  REQUIRE(house.accept("e1"));
  CHECK(house.delivered.size() == 1);
  CHECK(house.stored() == 1);
  // It survives a restart, and waits longer each time.
  house.stop();
  house.open();
  house.pass(1s);
  CHECK(house.delivered.size() == 2);
  house.pass(2s);
  CHECK(house.delivered.size() == 3);
  house.delivery_error = Error{ErrorKind::not_found, "there is no such queue", {}};
  house.pass(4s);
  CHECK(house.delivered.size() == 4);
  CHECK(house.stored() == 0);
  CHECK(house.observer.steps(AsyncStep::delivery_failed) == 1);
  CHECK(house.runs() == 1);
}

TEST_CASE("the age of an event is told at each start") {
  AsyncHouse house;
  house.launcher.script.invoke = fail_handled;
  house.open();
  REQUIRE(house.accept("e1"));
  house.pass(60s);
  house.pass(120s);
  std::vector<Duration> ages;
  for (const auto& step : house.observer.async_events) {
    if (step.step == AsyncStep::started) ages.push_back(step.age);
  }
  CHECK(ages == std::vector<Duration>{0s, 60s, 180s});
}

TEST_CASE("a function with many slow events holds up none of another") {
  AsyncHouse house;
  house.settings.max_async_running = 3;
  house.settings.max_async_running_total = 3;
  house.launcher.script.invoke = hang;
  house.target.runnable->timeout_seconds = 900;
  house.open();
  for (int i = 0; i < 10; ++i) REQUIRE(house.accept(std::to_string(i)));
  CHECK(house.invoker->totals().busy == 3);
  REQUIRE(house.accept("x1", "other"));
  REQUIRE(house.accept("x2", "other"));
  CHECK(house.invoker->totals().busy == 4);
  CHECK(house.invoker->totals().queued_events == 12);
}

TEST_CASE("events of a function that is gone are given up") {
  AsyncHouse house;
  house.resolve_error = Error{ErrorKind::not_found, "no such function", {}};
  house.open();
  REQUIRE(house.accept("e1"));
  CHECK(house.stored() == 0);
}

TEST_CASE("what a former process left is run, and broken records block nobody") {
  AsyncHouse house;
  store::Batch batch;
  batch.puts.push_back({"async/0000000000000001/broken", "\x07garbage"});
  batch.puts.push_back({"async/not-a-time", "x"});
  AsyncRecord record;
  record.event.name = FunctionName("hello");
  record.event.event.id = RequestId("left");
  record.accepted_ms = epoch_millis(house.clock.wall());
  batch.puts.push_back({async_key(5, record.event), encode(record)});
  REQUIRE(house.loop.run_until(house.store.commit(std::move(batch))));
  house.open();
  house.loop.run_ready();
  REQUIRE(house.runs() == 1);
  CHECK(house.observer.invocations[0].request_id == "left");
  CHECK(house.stored() == 2);
}

TEST_CASE("an event under way when the server stops is kept for the next start") {
  AsyncHouse house;
  house.launcher.script.invoke = hang;
  house.target.runnable->timeout_seconds = 900;
  house.open();
  REQUIRE(house.accept("e1"));
  CHECK(house.invoker->totals().busy == 1);
  house.stop();
  CHECK(house.stored() == 1);
  house.launcher.script.invoke = nullptr;
  house.open();
  house.loop.run_ready();
  CHECK(house.stored() == 0);
  CHECK(house.observer.invocations.back().outcome == InvocationOutcome::success);
}

TEST_CASE("an outcome that cannot be stored makes the event run again") {
  AsyncHouse house;
  house.open();
  house.launcher.script.invoke = [&house](sim::FakeInstance&, guest::InvokeRequest,
                                          Deadline) -> io::Task<Result<guest::InvokeReply>> {
    house.store.fail_writes_with = Error{ErrorKind::unavailable, "the disk is full", {}};
    house.launcher.script.invoke = nullptr;
    return [](std::string payload) -> io::Task<Result<guest::InvokeReply>> {
      co_return sim::answer(std::move(payload));
    }("1");
  };
  REQUIRE(house.accept("e1"));
  CHECK(house.runs() == 1);
  CHECK(house.stored() == 1);
  house.store.fail_writes_with.reset();
  house.pass(1s);
  CHECK(house.runs() == 2);
  CHECK(house.stored() == 0);
}

TEST_CASE("the drain is bounded") {
  AsyncHouse house;
  house.settings.max_async_running = 3;
  house.launcher.script.invoke = hang;
  house.open();
  for (int i = 0; i < 10; ++i) REQUIRE(house.accept(std::to_string(i)));
  CHECK(house.invoker->totals().busy == 3);
  CHECK(house.invoker->totals().queued_events == 10);
}

TEST_CASE("records survive their bytes, and cut ones are refused") {
  AsyncRecord record;
  record.event.scope = {AccountId("123456789012"), Region("eu-west-1")};
  record.event.name = FunctionName("f");
  record.event.qualifier = "live";
  record.event.event.id = RequestId("id");
  record.event.event.payload = std::string("\0\xff payload", 10);
  record.event.event.client_context = "{}";
  record.function_failures = 2;
  record.accepted_ms = 1'767'225'600'123;
  std::string bytes = encode(record);
  auto back = decode_async(bytes);
  REQUIRE(back);
  CHECK(back->event.event.payload == record.event.event.payload);
  CHECK(back->event.scope == record.event.scope);
  CHECK(back->event.qualifier == "live");
  CHECK(back->function_failures == 2);
  CHECK(back->accepted_ms == record.accepted_ms);
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    CHECK_FALSE(decode_async(std::string_view(bytes).substr(0, size)));
  }
  CHECK_FALSE(decode_async(bytes + "x"));
  record.event.event.tenant_id = "blue";
  bytes = encode(record);
  back = decode_async(bytes);
  REQUIRE(back);
  CHECK(back->event.event.tenant_id == "blue");
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    CHECK_FALSE(decode_async(std::string_view(bytes).substr(0, size)));
  }
  record.event.event.tenant_id.clear();
  record.event.outbound.emplace(Outbound{"arn:q", "arn:f", "arn:r", {{"n", "Number", "1"}}});
  bytes = encode(record);
  back = decode_async(bytes);
  REQUIRE(back);
  REQUIRE(back->event.outbound);
  CHECK(back->event.outbound->arn == "arn:q");
  CHECK(back->event.outbound->source_arn == "arn:f");
  CHECK(back->event.outbound->role_arn == "arn:r");
  CHECK(back->event.outbound->attributes == record.event.outbound->attributes);
  CHECK(back->event.outbound->subject.empty());
  record.event.outbound->subject = "a/key";
  back = decode_async(encode(record));
  REQUIRE(back);
  CHECK(back->event.outbound->subject == "a/key");
  CHECK(back->event.outbound->attributes == record.event.outbound->attributes);
  CHECK_FALSE(decode_async(std::string_view(bytes).substr(0, bytes.size() - 1)));
  std::string key = async_key(1'767'225'600'123, record.event);
  CHECK(key == "async/0000019b76daa87b/id/123456789012/eu-west-1/f");
  CHECK(*async_due_ms(key) == 1'767'225'600'123);
  CHECK(async_lane(key) == "123456789012/eu-west-1/f");
  CHECK(async_lane("async/0000019b76db607b/id") == "");
  CHECK_FALSE(async_due_ms("async/00000000000000zz/id"));
}
