#include "pump/pump.h"

#include <doctest/doctest.h>

#include "sim/manual_clock.h"
#include "wire/json.h"

using namespace mayfly;
using namespace std::chrono_literals;
using events::Item;
using events::Outcome;

namespace {

// A feed of texts: what is taken stays away for 30 seconds of the test's clock.
class FakeFeed final : public events::Feed {
 public:
  explicit FakeFeed(const Clock& clock) : clock_(clock) {}

  void add(std::string body) {
    there.push_back(std::move(body));
    if (arrival_) arrival_();
  }
  Result<events::Taken> take(std::size_t most, std::size_t max_bytes) override {
    events::Taken out;
    std::size_t bytes = 0;
    while (!there.empty() && out.items.size() < most) {
      std::string record = "{\"body\":";
      wire::append_json_string(record, there.front());
      record += "}";
      bytes += record.size() + 1;
      if (bytes > max_bytes) {
        out.more = true;
        break;
      }
      auto number = std::to_string(++taken);
      out.items.push_back({.handle = "h" + number,
                           .id = "m" + number,
                           .record = record,
                           .body = there.front(),
                           .trace_header = "",
                           .until_ms = epoch_millis(clock_.platform()) + 30'000});
      there.pop_front();
    }
    out.more = out.more || out.items.size() == most;
    return out;
  }
  Result<std::int64_t> extend(std::string_view handle) override {
    extended.emplace_back(handle);
    return epoch_millis(clock_.platform()) + 30'000;
  }
  io::Task<Result<>> acknowledge(std::vector<std::string> handles) override {
    for (auto& one : handles) acknowledged.push_back(std::move(one));
    co_return Result<>{};
  }
  struct Kept final : events::Effects {
    Result<> hold(std::vector<events::HeldEffect>) override { return {}; }
    io::Task<Result<>> commit(std::vector<std::string> handles, std::string, std::string) override {
      committed = std::move(handles);
      if (fails) co_return fail(ErrorKind::conflict, "not ours any more");
      co_return Result<>{};
    }
    std::vector<std::string> committed;
    bool fails = false;
  };
  std::shared_ptr<events::Effects> begin() override { return kept = std::make_shared<Kept>(); }
  std::uint64_t watch(std::function<void()> arrival) override {
    arrival_ = std::move(arrival);
    return 1;
  }
  void unwatch(std::uint64_t) override { arrival_ = nullptr; }

  std::deque<std::string> there;
  std::vector<std::string> acknowledged;
  std::vector<std::string> extended;
  std::shared_ptr<Kept> kept;
  int taken = 0;

 private:
  const Clock& clock_;
  std::function<void()> arrival_;
};

// A pump and the function it pushes to: `answer` at once, or when `gate` opens.
struct Bench {
  ~Bench() {
    gate.set();
    loop.run_until(pump->close());
  }
  void start(pump::Settings settings) {
    auto push = [this](pump::Call made) {
      held.push_back(made.effects);
      return call(*this, std::move(made.payload));
    };
    auto count = [this](pump::Step step, std::size_t items) { counts[step] += items; };
    pump = std::make_unique<pump::Pump>(
        pump::Pump::Deps{loop, feed, push, [this] { return open; }, count, [this] { return hold; }},
        std::move(settings));
    gate.set();
    pump->start();
    loop.run_ready();
  }
  static io::Task<Result<Outcome>> call(Bench& bench, std::string payload) {
    auto json = wire::parse_json(payload);
    REQUIRE(json.has_value());
    std::string bodies;
    for (const auto& one : *json->find("Records")->as<wire::JsonArray>()) {
      bodies += (bodies.empty() ? "" : " ") + std::string(one.string_or("body"));
    }
    bench.pushed.push_back(bodies);
    co_await bench.gate.wait();
    co_return bench.answer;
  }
  void add(std::string body) {
    feed->add(std::move(body));
    loop.run_ready();
  }
  void pass(Duration time) {
    clock.advance(time);
    loop.run_ready();
  }

  sim::ManualClock clock;
  io::Loop loop{clock};
  std::shared_ptr<FakeFeed> feed = std::make_shared<FakeFeed>(clock);
  io::Event gate{loop};
  Result<Outcome> answer = Outcome{};
  std::vector<std::string> pushed;
  bool open = true;
  bool hold = false;
  std::vector<std::shared_ptr<events::Effects>> held;
  std::map<pump::Step, std::size_t> counts;
  std::unique_ptr<pump::Pump> pump;
};

using Texts = std::vector<std::string>;

wire::EventPattern pattern(std::string_view text) { return *wire::EventPattern::parse(text); }

}  // namespace

TEST_CASE("pump: what comes is pushed without any time passing, and acknowledged") {
  Bench b;
  b.start({});
  b.add("a");
  CHECK(b.pushed == Texts{"a"});
  CHECK(b.feed->acknowledged == Texts{"h1"});
}

TEST_CASE("pump: what was there before comes in batches") {
  Bench b;
  for (int i = 0; i < 5; ++i) b.feed->there.push_back(std::to_string(i));
  b.start({.batch_items = 2});
  CHECK(b.pushed == Texts{"0 1", "2 3", "4"});
}

TEST_CASE("pump: the window begins with the first item and ends a batch that is not full") {
  Bench b;
  b.start({.batch_items = 3, .window_ms = 5000});
  b.pass(100s);
  b.add("a");
  b.pass(4999ms);
  b.add("b");
  CHECK(b.pushed.empty());
  b.pass(1ms);
  CHECK(b.pushed == Texts{"a b"});
  for (const auto* one : {"c", "d", "e", "f"}) b.add(one);
  CHECK(b.pushed == Texts{"a b", "c d e"});
  b.pass(5s);
  CHECK(b.pushed == Texts{"a b", "c d e", "f"});
}

TEST_CASE("pump: six mebibytes fill a batch, whatever its window") {
  Bench b;
  b.start({.batch_items = 100, .window_ms = 60'000});
  std::string large(limits::invoke_sync_payload_bytes / 2 - 20, 'x');
  b.add(large);
  b.add(large);
  CHECK(b.pushed.empty());
  b.add("more");
  REQUIRE(b.pushed.size() == 1);
  CHECK(b.pushed[0] == large + " " + large);
}

TEST_CASE("pump: a function that fails acknowledges nothing") {
  Bench b;
  b.answer = Outcome{.kind = Outcome::Kind::function_error,
                     .payload = "{}",
                     .error_class = {},
                     .executed_version = {},
                     .log_tail = {}};
  b.start({});
  b.add("a");
  CHECK(b.pushed.size() == 1);
  CHECK(b.feed->acknowledged.empty());
  b.pass(10min);
  CHECK(b.pushed.size() == 1);  // it is the feed that gives it again
}

TEST_CASE("pump: what the function names as failed is not acknowledged") {
  Bench b;
  auto answer = [&](std::string payload) {
    Outcome out;
    out.payload = std::move(payload);
    b.answer = out;
  };
  b.start({.report_failures = true});
  auto add_three = [&] {
    for (int i = 0; i < 3; ++i) b.feed->there.push_back("x");
    b.add("x");
  };
  answer(R"({"batchItemFailures":[{"itemIdentifier":"m2"}]})");
  add_three();
  CHECK(b.feed->acknowledged == Texts{"h1", "h3", "h4"});
  b.feed->acknowledged.clear();
  SUBCASE("all of it") {
    for (const auto* whole :
         {R"({"batchItemFailures":[]})", "null", "{}", "", R"({"batchItemFailures":null})"}) {
      answer(whole);
      add_three();
    }
    CHECK(b.feed->acknowledged.size() == 20);
  }
  SUBCASE("none of it") {
    for (const auto* none : {R"({"batchItemFailures":[{"itemIdentifier":""}]})", "nonsense",
                             R"({"batchItemFailures":[{"itemIdentifier":"of another batch"}]})",
                             R"({"batchItemFailures":[{"id":"m1"}]})"}) {
      answer(none);
      add_three();
    }
    CHECK(b.feed->acknowledged.empty());
  }
}

TEST_CASE("pump: a push that is refused is tried again while the items are ours") {
  Bench b;
  b.answer = fail(ErrorKind::throttled, "too many");
  b.start({});
  b.add("a");
  CHECK(b.pushed.size() == 1);
  b.pass(1s);
  CHECK(b.pushed.size() == 2);
  b.pass(2s);
  CHECK(b.pushed.size() == 3);
  SUBCASE("and done at last") {
    b.answer = Outcome{};
    b.pass(4s);
    CHECK(b.pushed.size() == 4);
    CHECK(b.feed->acknowledged == Texts{"h1"});
  }
  SUBCASE("and left to come back") {
    b.pass(4s);
    b.pass(8s);
    b.pass(16s);
    b.pass(1h);
    CHECK(b.pushed.size() == 5);
    CHECK(b.feed->acknowledged.empty());
  }
}

TEST_CASE("pump: what no filter lets through is acknowledged and not pushed") {
  Bench b;
  b.start({.batch_items = 10,
           .filters = {pattern(R"({"body":{"size":[{"numeric":[">",3]}]}})"),
                       pattern(R"({"body":["plain"]})")}});
  for (const auto* body : {R"({"size":4})", R"({"size":3})", "plain", "other", R"({"a":1})"}) {
    b.add(body);
  }
  CHECK(b.pushed == Texts{R"({"size":4})", "plain"});
  CHECK(b.feed->acknowledged.size() == 5);
}

TEST_CASE("pump: batches in flight are bounded, and may be more while there is more to do") {
  Bench b;
  b.start({.batch_items = 1});
  b.gate.reset();
  for (int i = 0; i < 100; ++i) b.add(std::to_string(i));
  CHECK(b.pushed.size() == limits::mapping_batches_first);
  b.pass(1s);
  CHECK(b.pushed.size() == limits::mapping_batches_first + 5);
  for (int i = 0; i < 10; ++i) b.pass(1s);
  CHECK(b.pushed.size() == limits::mapping_batches_first + 55);
  b.gate.set();
  b.loop.run_ready();
  CHECK(b.pushed.size() == 100);
}

TEST_CASE("pump: a maximum of concurrency holds whatever waits") {
  Bench b;
  b.start({.batch_items = 1, .batches_max = 2});
  b.gate.reset();
  for (int i = 0; i < 9; ++i) b.add(std::to_string(i));
  b.pass(10min);
  CHECK(b.pushed.size() == 2);
}

TEST_CASE("pump: stopped, it takes nothing more and what runs ends") {
  Bench b;
  b.start({.batch_items = 1});
  b.gate.reset();
  b.add("a");
  b.pump->stop();
  b.add("b");
  b.gate.set();
  b.loop.run_ready();
  CHECK(b.pushed == Texts{"a"});
  CHECK(b.feed->acknowledged == Texts{"h1"});
  CHECK(b.feed->there.size() == 1);
}

TEST_CASE("pump: with flow control a key's batches run one after another, others beside them") {
  Bench b;
  b.start({.batch_items = 1, .flow = gate::FlowSettings{.key_path = "body.k", .concurrency = 1}});
  b.gate.reset();
  for (const auto* body : {R"({"k":"a","n":1})", R"({"k":"a","n":2})", R"({"k":"b","n":3})"}) {
    b.add(body);
  }
  CHECK(b.pushed == Texts{R"({"k":"a","n":1})", R"({"k":"b","n":3})"});
  b.gate.set();
  b.loop.run_ready();
  CHECK(b.pushed.size() == 3);
  CHECK(b.feed->acknowledged.size() == 3);
  CHECK(b.feed->extended.empty());
}

TEST_CASE("pump: what flow control holds stays taken, and goes when its time has come") {
  Bench b;
  b.start(
      {.batch_items = 1, .flow = gate::FlowSettings{.throttle_items = 1, .throttle_ms = 60'000}});
  b.add("first");
  b.add("second");
  CHECK(b.pushed == Texts{"first"});
  b.pass(15s);
  CHECK(b.feed->extended == Texts{"h2"});
  b.pass(15s);
  b.pass(29'999ms);
  CHECK(b.pushed.size() == 1);
  b.pass(1ms);
  CHECK(b.pushed == Texts{"first", "second"});
  CHECK(b.feed->acknowledged == Texts{"h1", "h2"});
}

TEST_CASE("pump: what flow control drops is acknowledged and counted") {
  Bench b;
  b.start({.batch_items = 1, .flow = gate::FlowSettings{.debounce_ms = 5'000}});
  b.add("first");
  b.add("second");
  CHECK(b.feed->acknowledged == Texts{"h1"});
  b.pass(5s);
  CHECK(b.pushed == Texts{"second"});
  CHECK(b.feed->acknowledged == Texts{"h1", "h2"});
  CHECK(b.counts[pump::Step::polled] == 2);
  CHECK(b.counts[pump::Step::dropped] == 1);
  CHECK(b.counts[pump::Step::invoked] == 1);
  CHECK(b.counts[pump::Step::deleted] == 1);
}

TEST_CASE("pump: nothing is taken while nothing may be pushed") {
  Bench b;
  b.open = false;
  b.start({.batch_items = 1});
  b.add("a");
  b.pass(1h);
  CHECK(b.feed->taken == 0);
  b.open = true;
  b.pump->poke();
  b.loop.run_ready();
  CHECK(b.pushed == Texts{"a"});
}

TEST_CASE("pump: counts what becomes of items") {
  Bench b;
  b.start({.filters = {pattern(R"({"body":["a"]})")}});
  b.add("a");
  b.add("b");
  b.answer->kind = Outcome::Kind::function_error;
  b.add("a");
  CHECK(b.counts[pump::Step::polled] == 3);
  CHECK(b.counts[pump::Step::filtered_out] == 1);
  CHECK(b.counts[pump::Step::invoked] == 1);
  CHECK(b.counts[pump::Step::failed_invoke] == 1);
  CHECK(b.counts[pump::Step::deleted] == 1);
}

TEST_CASE("pump: effects that are held back are committed with the items, or not at all") {
  Bench b;
  b.hold = true;
  b.start({});
  b.add("a");
  REQUIRE(b.feed->kept);
  CHECK(b.held.back() == b.feed->kept);
  CHECK(b.feed->kept->committed == Texts{"h1"});
  CHECK(b.feed->acknowledged.empty());
  CHECK(b.counts[pump::Step::deleted] == 1);
  b.answer->kind = Outcome::Kind::function_error;
  b.add("b");
  CHECK(b.feed->kept->committed.empty());
  CHECK(b.counts[pump::Step::deleted] == 1);
}
