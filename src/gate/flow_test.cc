#include "gate/flow.h"

#include <doctest/doctest.h>

#include "base/limits.h"
#include "wire/json.h"

using namespace mayfly;
using gate::Flow;
using gate::FlowSettings;
using Strings = std::vector<std::string>;

namespace {

// Items are named by their handles; their records are {"body":"{\"k\":KEY,\"p\":PRIORITY}"}.
struct Bench {
  explicit Bench(FlowSettings settings, Flow::Batching batching = {.items = 1})
      : flow(with_paths(std::move(settings)), batching) {}
  static FlowSettings with_paths(FlowSettings settings) {
    settings.key_path = "body.k";
    settings.priority_path = "body.p";
    return settings;
  }
  Strings offer(std::string name, std::string key, int priority = 0) {
    auto body = fmt::format(R"({{"k":"{}","p":{}}})", key, priority);
    std::string record = "{\"body\":";
    wire::append_json_string(record, body);
    record += "}";
    return flow
        .offer({.handle = name,
                .mark = gate::mark_of(flow.settings(), record),
                .record_bytes = record.size(),
                .held_bytes = record.size(),
                .since_ms = now},
               now)
        .dropped;
  }
  // One that was let through before.
  void offer_again(std::string name, std::string key) {
    CHECK(flow.offer({.handle = name, .mark = {key, 0}, .since_ms = now, .again = true}, now)
              .dropped.empty());
  }
  // "KEY: HANDLES", or nothing.
  std::string next() {
    auto batch = flow.next(now);
    if (!batch) return "";
    std::string out = batch->key + ":";
    for (const auto& handle : batch->handles) out += " " + handle;
    return out;
  }
  void done(const std::string& key) { flow.finished(key, now); }

  Flow flow;
  std::int64_t now = 1'000'000;
};

}  // namespace

TEST_CASE("flow: batches of one key, so many of it at a time") {
  Bench b({.concurrency = 1}, {.items = 2});
  for (const char* name : {"a1", "a2", "a3"}) CHECK(b.offer(name, "a").empty());
  b.offer("b1", "b");
  CHECK(b.next() == "a: a1 a2");
  CHECK(b.next() == "b: b1");
  CHECK(b.next() == "");
  CHECK(b.flow.wakes_ms() == INT64_MAX);
  b.done("b");
  CHECK(b.next() == "");
  b.done("a");
  CHECK(b.next() == "a: a3");
  CHECK(b.flow.held() == 0);
}

TEST_CASE("flow: so many items of a key in a period, after which they come evenly") {
  Bench b({.throttle_items = 2, .throttle_ms = 10'000});
  for (const char* name : {"a1", "a2", "a3", "a4"}) b.offer(name, "a");
  b.offer("b1", "b");
  CHECK(b.next() == "a: a1");
  CHECK(b.next() == "a: a2");
  CHECK(b.next() == "b: b1");
  CHECK(b.next() == "");
  CHECK(b.flow.wakes_ms() == b.now + 5'000);
  b.now += 4'999;
  CHECK(b.next() == "");
  b.now += 1;
  CHECK(b.next() == "a: a3");
  CHECK(b.next() == "");
  b.now += 5'000;
  CHECK(b.next() == "a: a4");
  for (const char* key : {"a", "a", "a", "a", "b"}) b.done(key);
  // What a key used up is remembered until it makes no difference any more.
  b.offer("a5", "a");
  CHECK(b.next() == "");
  b.now += 10'000;
  CHECK(b.next() == "a: a5");
}

TEST_CASE("flow: a batch takes no more items than the throttle has left") {
  Bench b({.throttle_items = 3, .throttle_ms = 3'000}, {.items = 10});
  for (const char* name : {"a1", "a2", "a3", "a4"}) b.offer(name, "a");
  CHECK(b.next() == "a: a1 a2 a3");
  CHECK(b.next() == "");
  b.now += 1'000;
  CHECK(b.next() == "a: a4");
}

TEST_CASE("flow: the last item of a key goes after a quiet, or at the latest after a while") {
  Bench b({.debounce_ms = 5'000, .debounce_max_ms = 12'000});
  CHECK(b.offer("a1", "a").empty());
  b.now += 4'000;
  CHECK(b.offer("a2", "a") == Strings{"a1"});
  CHECK(b.next() == "");
  CHECK(b.flow.wakes_ms() == b.now + 5'000);
  b.now += 4'000;
  CHECK(b.offer("a3", "a") == Strings{"a2"});
  CHECK(b.flow.wakes_ms() == 1'012'000);
  b.now = 1'011'999;
  CHECK(b.next() == "");
  b.now = 1'012'000;
  CHECK(b.next() == "a: a3");
  b.done("a");
  CHECK(b.offer("a4", "a").empty());
  b.now += 5'000;
  CHECK(b.next() == "a: a4");
}

TEST_CASE("flow: while one of a key waits or runs, others are skipped") {
  Bench b({.singleton = true});
  CHECK(b.offer("a1", "a").empty());
  CHECK(b.offer("a2", "a") == Strings{"a2"});
  CHECK(b.offer("b1", "b").empty());
  CHECK(b.next() == "a: a1");
  CHECK(b.offer("a3", "a") == Strings{"a3"});
  b.done("a");
  CHECK(b.offer("a4", "a").empty());
}

TEST_CASE("flow: the greatest priority first, then who waits longest") {
  Bench b({});
  b.offer("low", "a", -1);
  b.offer("first", "a");
  b.offer("second", "b");
  b.offer("high", "b", 7);
  CHECK(b.next() == "b: high");
  CHECK(b.next() == "a: first");
  CHECK(b.next() == "b: second");
  CHECK(b.next() == "a: low");
}

TEST_CASE("flow: a window waits for more of the key") {
  Bench b({}, {.items = 3, .window_ms = 2'000});
  b.offer("a1", "a");
  b.offer("b1", "b");
  b.now += 1'000;
  b.offer("a2", "a");
  CHECK(b.next() == "");
  b.offer("a3", "a");
  CHECK(b.next() == "a: a1 a2 a3");
  CHECK(b.next() == "");
  b.now += 1'000;
  CHECK(b.next() == "b: b1");
}

TEST_CASE("flow: what it holds is bounded, and forgotten when it is lost") {
  Bench b({.concurrency = 1});
  b.offer("a1", "a");
  b.offer("a2", "a");
  CHECK(b.flow.room_items() == limits::flow_held_items - 2);
  CHECK(b.flow.room_bytes() < limits::flow_held_bytes);
  b.flow.keep_if([](const std::string& handle) { return handle != "a1"; }, b.now);
  CHECK(b.flow.held() == 1);
  CHECK(b.next() == "a: a2");
  CHECK(b.flow.room_bytes() == limits::flow_held_bytes);
  b.flow.clear();
  b.done("a");
  CHECK(b.flow.idle());
  for (std::size_t i = 0; i < limits::flow_held_items; ++i) {
    b.offer(std::to_string(i), std::to_string(i));
  }
  CHECK(b.flow.room_items() == 0);
}

TEST_CASE("flow: one that was let through comes again past debounce and singleton") {
  Bench debounced({.debounce_ms = 5'000});
  debounced.offer("a1", "a");
  debounced.offer_again("a0", "a");
  CHECK(debounced.next() == "a: a0");
  CHECK(debounced.offer("a2", "a") == Strings{"a1"});
  CHECK(debounced.next() == "");
  debounced.now += 5'000;
  CHECK(debounced.next() == "a: a2");

  Bench single({.singleton = true});
  single.offer("a1", "a");
  CHECK(single.next() == "a: a1");
  single.flow.finished("a", single.now, {.comes_again = true});
  CHECK(single.offer("a2", "a") == Strings{"a2"});
  single.offer_again("a1", "a");
  CHECK(single.next() == "a: a1");
  single.done("a");
  CHECK(single.offer("a3", "a").empty());

  Bench restarted({.singleton = true});
  restarted.flow.expect("a");
  CHECK(restarted.offer("a2", "a") == Strings{"a2"});
  restarted.offer_again("a1", "a");
  CHECK(restarted.next() == "a: a1");
}

TEST_CASE("flow: what did not run takes nothing off a throttle") {
  Bench b({.throttle_items = 1, .throttle_ms = 60'000});
  b.offer("a1", "a");
  CHECK(b.next() == "a: a1");
  b.flow.finished("a", b.now, {.ran = false, .comes_again = true});
  b.offer_again("a1", "a");
  CHECK(b.next() == "a: a1");
  b.done("a");
  b.offer("a2", "a");
  CHECK(b.next() == "");
}

TEST_CASE("flow: the bound of a debounce counts from the first, an earlier process's too") {
  Bench b({.debounce_ms = 5'000, .debounce_max_ms = 12'000});
  auto offered = b.flow.offer(
      {.handle = "a3", .mark = {"a", 0}, .since_ms = b.now, .first_ms = b.now - 9'000}, b.now);
  CHECK(offered.first_ms == b.now - 9'000);
  CHECK(b.flow.wakes_ms() == b.now + 3'000);
  offered = b.flow.offer({.handle = "a4", .mark = {"a", 0}, .since_ms = b.now + 1}, b.now + 1);
  CHECK(offered.dropped == Strings{"a3"});
  CHECK(offered.first_ms == b.now - 9'000);
  b.flow.take_out("a", "a4", b.now + 1);
  CHECK(b.flow.idle());
}

TEST_CASE("flow: an item without the key has the key of all such") {
  gate::FlowSettings settings{.key_path = "body.k"};
  auto key = [&settings](std::string_view record) { return gate::mark_of(settings, record).key; };
  CHECK(key(R"({"body":"no json"})").empty());
  CHECK(key(R"({"body":"{}"})").empty());
  CHECK(key("no json").empty());
  CHECK(key(R"({"body":{"k":null}})").empty());
  CHECK(key(R"({"body":{"k":7}})") == "7");
  CHECK(key(R"({"body":"{\"k\":[1]}"})") == "[1]");
  settings.key_path = "Records.0.Sns.Message.k";
  CHECK(key(R"({"Records":[{"Sns":{"Message":"{\"k\":\"v\"}"}}]})") == "v");
  CHECK(key(R"({"Records":[]})").empty());
  CHECK(key(R"({"Records":{"0":1}})").empty());
  // Long ones are known by their hashes.
  std::string most(limits::flow_key_bytes, 'x');
  settings.key_path = "k";
  CHECK(key(R"({"k":")" + most + R"("})") == most);
  CHECK(key(R"({"k":"x)" + most + R"("})").size() == 64);
}

TEST_CASE("flow: settings come from tags") {
  auto none = gate::read_flow({{"team", "a"}});
  REQUIRE(none);
  CHECK_FALSE(*none);
  auto all = gate::read_flow({{"mayfly:key", "$.body.customer.id"},
                              {"mayfly:concurrency", "2"},
                              {"mayfly:throttle", "10/1m"},
                              {"mayfly:debounce", "5s/1h"},
                              {"mayfly:priority", "attributes.p"}});
  REQUIRE(all);
  REQUIRE(*all);
  CHECK((*all)->key_path == "body.customer.id");
  CHECK((*all)->concurrency == 2);
  CHECK((*all)->throttle_items == 10);
  CHECK((*all)->throttle_ms == 60'000);
  CHECK((*all)->debounce_ms == 5'000);
  CHECK((*all)->debounce_max_ms == 3'600'000);
  CHECK((*all)->priority_path == "attributes.p");
  for (auto [name, value] : {std::pair{"mayfly:concurrency", "0"},
                             {"mayfly:concurrency", "1001"},
                             {"mayfly:throttle", "10"},
                             {"mayfly:throttle", "10/"},
                             {"mayfly:throttle", "0/1s"},
                             {"mayfly:throttle", "1/8d"},
                             {"mayfly:debounce", "5"},
                             {"mayfly:debounce", "5s/4s"},
                             {"mayfly:singleton", "cancel"},
                             {"mayfly:key", "a..b"},
                             {"mayfly:kex", "a"}}) {
    auto read = gate::read_flow({{name, value}});
    INFO(name, "=", value);
    REQUIRE_FALSE(read);
    CHECK(read.error().kind == ErrorKind::invalid);
  }
  CHECK_FALSE(gate::read_flow({{"mayfly:singleton", "skip"}, {"mayfly:debounce", "1s"}}));
  constexpr std::string_view others[] = {"mayfly:breaker"};
  CHECK_FALSE(gate::read_flow({{"mayfly:breaker", "1/1s"}}));
  CHECK(gate::read_flow({{"mayfly:breaker", "1/1s"}}, others));
  CHECK(gate::check_known({{"mayfly:breaker", "1/1s"}, {"team", "a"}}, others, "a rule"));
  CHECK(gate::check_known({{"mayfly:key", "a"}}, others, "a rule").error().message ==
        "the tag mayfly:key is no setting of a rule");
}
