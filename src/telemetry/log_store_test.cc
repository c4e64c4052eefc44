#include "telemetry/log_store.h"

#include <doctest/doctest.h>

#include "sim/manual_clock.h"
#include "sim/memory_store.h"

using namespace mayfly;
using namespace mayfly::telemetry;

namespace {

const Scope home{AccountId("000000000000"), Region("us-east-1")};
const Scope abroad{AccountId("000000000000"), Region("eu-west-1")};

struct Bench {
  explicit Bench(LogSettings settings = {}) : loop(clock), disk(loop) { open(settings); }
  ~Bench() { loop.run_until(logs->close()); }
  void open(LogSettings settings = {}) {
    auto opened = loop.run_until(LogStore::open(loop, disk, settings));
    REQUIRE(opened.has_value());
    logs = std::move(*opened);
  }
  void reopen() {
    loop.run_until(logs->close());
    logs.reset();
    open();
  }
  template <class T>
  T run(io::Task<T> task) {
    return loop.run_until(std::move(task));
  }
  std::int64_t now() const { return epoch_millis(clock.wall()); }
  void group(const std::string& name) {
    REQUIRE(run(logs->create_group({.scope = home, .name = name, .created_ms = now()})));
  }
  void put(const std::string& group, const std::string& stream, std::int64_t time_ms,
           std::string text) {
    std::vector<NewLogEvent> events{{time_ms, text}};
    REQUIRE(run(logs->put_events(home, group, stream, events)).has_value());
  }
  void line(std::string_view text, std::string instance = "i-1", bool platform = false) {
    InstanceId id(std::move(instance));
    logs->add_line({home, id, "f", "$LATEST", "/aws/lambda/f", "2026/01/01/[$LATEST]" + id.str(),
                    "", clock.wall(), text, platform});
  }
  std::optional<LogStream> stream(std::string_view group, std::string_view name) {
    auto found = logs->find_stream(home, group, name);
    REQUIRE(found.has_value());
    return *found;
  }
  // Names of streams, and when each was last written to.
  std::string streams(const std::string& group, const LogStore::StreamQuery& query = {}) {
    auto found = run(logs->streams(home, group, query));
    REQUIRE(found.has_value());
    std::string text;
    for (const auto& one : *found) {
      text += fmt::format("{}:{} ", one.name, one.last_event_ms.value_or(0) - now());
    }
    return text;
  }
  std::string read(const std::string& group, const LogEventQuery& query = {}) {
    auto events = run(logs->events(home, group, query));
    REQUIRE(events.has_value());
    std::string text;
    for (const auto& event : *events) text += event.message + " ";
    return text;
  }

  sim::ManualClock clock;
  io::Loop loop;
  sim::MemoryStore disk;
  std::unique_ptr<LogStore> logs;
};

}  // namespace

TEST_CASE("logs: groups and streams are made, found, deleted and kept over a restart") {
  Bench b;
  b.group("/aws/lambda/a");
  b.group("/aws/lambda/b");
  b.group("other");
  CHECK(b.run(b.logs->create_group({.scope = home, .name = "other"})).error().kind ==
        ErrorKind::already_exists);
  CHECK(b.run(b.logs->create_group({.scope = abroad, .name = "other"})).has_value());
  REQUIRE(b.run(b.logs->create_stream(home, "other", "s1")).has_value());
  CHECK(b.run(b.logs->create_stream(home, "other", "s1")).error().kind ==
        ErrorKind::already_exists);
  CHECK(b.run(b.logs->create_stream(home, "none", "s1")).error().kind == ErrorKind::not_found);
  REQUIRE(b.run(b.logs->set_retention(home, "other", 7)).has_value());
  REQUIRE(b.run(b.logs->set_tags(home, "other", {{"k", "v"}})).has_value());
  b.put("other", "s1", b.now() - 5, "text");
  b.reopen();
  CHECK(b.logs->groups(home, "", "", 10).size() == 3);
  CHECK(b.logs->groups(home, "/aws/", "", 10).size() == 2);
  CHECK(b.logs->groups(home, "/aws/", "/aws/lambda/a", 10).size() == 1);
  CHECK(b.logs->groups(home, "", "", 1).size() == 1);
  const auto* group = b.logs->find_group(home, "other");
  REQUIRE(group != nullptr);
  CHECK(group->retention_days == 7);
  CHECK(group->tags.at("k") == "v");
  auto stream = b.stream("other", "s1");
  REQUIRE(stream.has_value());
  CHECK(stream->first_event_ms == b.now() - 5);
  CHECK(stream->last_ingestion_ms == b.now());
  CHECK(b.logs->total_bytes() == 12);
  CHECK(b.read("other") == "text ");
  REQUIRE(b.run(b.logs->delete_group(home, "other")).has_value());
  CHECK(b.logs->find_group(home, "other") == nullptr);
  CHECK(b.logs->find_group(abroad, "other") != nullptr);
  CHECK(b.logs->total_bytes() == 0);
  b.reopen();
  CHECK(b.logs->find_group(home, "other") == nullptr);
  b.group("other");
  CHECK(b.read("other").empty());  // nothing of the old group comes back
  CHECK_FALSE(b.stream("other", "s1"));
}

TEST_CASE("logs: lines of an instance make their group and are visible after the flush time") {
  Bench b;
  b.line("one");
  b.line("two");
  CHECK(b.disk.read({.log = "000000000000/us-east-1//aws/lambda/f"})->empty());
  b.clock.advance(limits::log_flush_time);
  b.loop.run_ready();
  // Lines of one stream and one millisecond share an entry.
  CHECK(b.disk.read({.log = "000000000000/us-east-1//aws/lambda/f"})->size() == 1);
  CHECK(b.read("/aws/lambda/f") == "one two ");
  b.reopen();
  auto stream = b.stream("/aws/lambda/f", "2026/01/01/[$LATEST]i-1");
  REQUIRE(stream.has_value());
  CHECK(stream->last_event_ms.has_value());
  // A reader waits for no timer.
  b.line("three");
  CHECK(b.read("/aws/lambda/f") == "one two three ");
}

TEST_CASE("logs: lines that come during a flush wait for the next") {
  Bench b;
  b.line("one");
  int heard = 0;
  b.logs->subscribe(home, "/aws/lambda/f", [&](const LogEvent&) {
    // Told while the flush goes on. A millisecond later it is an entry of its own.
    if (++heard > 3) return;
    b.clock.advance(std::chrono::milliseconds(1));
    b.line("more");
  });
  for (int flushes = 1; flushes <= 4; ++flushes) {
    b.clock.advance(limits::log_flush_time);
    b.loop.run_ready();
    CHECK(heard == flushes);
  }
  b.clock.advance(limits::log_flush_time);
  b.loop.run_ready();
  CHECK(heard == 4);
  CHECK(b.read("/aws/lambda/f") == "one more more more ");
}

TEST_CASE("logs: a long line goes on in the next event") {
  Bench b;
  b.line(std::string(limits::log_event_bytes + 10, 'x'));
  auto events = b.run(b.logs->events(home, "/aws/lambda/f", {.max_bytes = SIZE_MAX}));
  REQUIRE(events->size() == 2);
  CHECK((*events)[1].message.size() == 10 + limits::log_event_overhead_bytes);
}

TEST_CASE("logs: events are read in time order, across streams, from a place") {
  Bench b;
  b.group("g");
  for (auto stream : {"s1", "s2"}) REQUIRE(b.run(b.logs->create_stream(home, "g", stream)));
  std::int64_t t = b.now();
  b.put("g", "s1", t - 10, "b");
  b.put("g", "s2", t - 20, "a");
  b.put("g", "s1", t - 5, "c");
  CHECK(b.read("g") == "a b c ");
  CHECK(b.read("g", {.stream = "s1"}) == "b c ");
  CHECK(b.read("g", {.from_ms = t - 10, .to_ms = t - 5}) == "b ");
  CHECK(b.read("g", {.limit = 1, .descending = true}) == "c ");
  auto first = b.run(b.logs->events(home, "g", {.limit = 1}));
  CHECK(b.read("g", {.place = (*first)[0].place()}) == "b c ");
  REQUIRE(b.run(b.logs->delete_stream(home, "g", "s1")).has_value());
  CHECK(b.read("g") == "a ");
  CHECK(b.run(b.logs->put_events(home, "g", "s1", {})).error().kind == ErrorKind::not_found);
}

TEST_CASE("logs: events that share an entry are read from any place, both ways, within limits") {
  Bench b;
  for (int i = 0; i < 30; ++i) {
    b.line(std::to_string(i), i % 3 == 2 ? "other" : "i-1");
    if (i % 10 == 9) b.clock.advance(std::chrono::milliseconds(1));
  }
  auto name = "/aws/lambda/f";
  auto whole = b.run(b.logs->events(home, name, {}));
  REQUIRE(whole->size() == 30);
  CHECK(b.disk.read({.log = "000000000000/us-east-1//aws/lambda/f"})->size() == 6);
  for (std::size_t i = 1; i < 30; ++i) CHECK((*whole)[i - 1].place() < (*whole)[i].place());
  for (bool descending : {false, true}) {
    for (std::size_t limit : {1, 2, 7, 100}) {
      LogEventQuery query{.limit = limit, .descending = descending};
      std::vector<std::string> seen;
      while (true) {
        auto page = b.run(b.logs->events(home, name, query));
        REQUIRE(page->size() == std::min<std::size_t>(limit, 30 - seen.size()));
        if (page->empty()) break;
        for (const auto& event : *page) seen.push_back(event.message);
        query.place = page->back().place();
      }
      if (descending) std::ranges::reverse(seen);
      REQUIRE(seen.size() == 30);
      for (std::size_t i = 0; i < 30; ++i) CHECK(seen[i] == (*whole)[i].message);
    }
  }
  CHECK(b.run(b.logs->events(home, name, {.max_bytes = 3}))->size() == 3);
  CHECK(b.read(name, {.stream = "2026/01/01/[$LATEST]other", .limit = 4}) == "2 5 8 11 ");
}

TEST_CASE("logs: an entry is bounded, however many lines a millisecond brings") {
  Bench b;
  for (int i = 0; i < 10'000; ++i) b.line("x", "i-1", true);
  for (int i = 0; i < 10; ++i) b.line(std::string(10'000, 'y'), "i-2", true);
  auto events = b.run(b.logs->events(home, "/aws/lambda/f", {.limit = 20'000}));
  CHECK(events->size() == 10'010);
  auto entries = b.disk.read({.log = "000000000000/us-east-1//aws/lambda/f"});
  CHECK(entries->size() == 3 + 4);
  for (const auto& entry : *entries) CHECK(entry.payload.size() < 40'000);
}

TEST_CASE("logs: a group deleted and made anew between two lines starts without the old ones") {
  Bench b;
  b.line("old");
  REQUIRE(b.run(b.logs->delete_group(home, "/aws/lambda/f")).has_value());
  b.line("new");
  CHECK(b.read("/aws/lambda/f") == "new ");
  REQUIRE(b.run(b.logs->delete_stream(home, "/aws/lambda/f", "2026/01/01/[$LATEST]i-1")));
  b.line("last");
  CHECK(b.read("/aws/lambda/f") == "last ");
}

TEST_CASE("logs: a flood is cut per instance, told, and leaves others alone") {
  Bench b({.instance_bytes_per_second = 1'000});
  for (int i = 0; i < 100; ++i) b.line(std::string(74, 'x'), "loud");  // 100 bytes each
  b.line("hear me", "quiet");
  b.line("REPORT", "loud", true);
  CHECK(b.logs->dropped_lines() == 90);
  auto loud = "2026/01/01/[$LATEST]loud";
  CHECK(b.run(b.logs->events(home, "/aws/lambda/f", {.stream = loud}))->size() == 11);
  CHECK(b.read("/aws/lambda/f", {.stream = "2026/01/01/[$LATEST]quiet"}) == "hear me ");
  b.clock.advance(std::chrono::seconds(1));
  b.loop.run_ready();
  auto last = b.run(
      b.logs->events(home, "/aws/lambda/f", {.stream = loud, .limit = 1, .descending = true}));
  CHECK((*last)[0].message.starts_with("[platform] 90 lines were dropped"));
  b.line("again", "loud");  // a second refilled the allowance
  CHECK(b.logs->dropped_lines() == 90);
}

TEST_CASE("logs: what waits for the disk is bounded, and a full disk costs lines only") {
  Bench b({.pending_bytes = 1'000});
  for (int i = 0; i < 20; ++i) b.line(std::string(100, 'x'), fmt::format("i-{}", i));
  CHECK(b.logs->dropped_lines() == 11);
  b.run(b.logs->settle());
  b.disk.fail_writes_with = Error{ErrorKind::unavailable, "no room on the disk", {}};
  b.line("lost", "z");
  b.run(b.logs->settle());
  CHECK(b.logs->dropped_lines() == 12);
  b.disk.fail_writes_with.reset();
  b.line("kept", "z");
  CHECK(b.read("/aws/lambda/f", {.stream = "2026/01/01/[$LATEST]z"}) == "kept ");
}

TEST_CASE("logs: retention hides and then removes expired events") {
  Bench b;
  b.group("g");
  REQUIRE(b.run(b.logs->create_stream(home, "g", "s")).has_value());
  b.put("g", "s", b.now(), "old");
  b.clock.advance(std::chrono::hours(47));
  b.put("g", "s", b.now(), "new");
  REQUIRE(b.run(b.logs->set_retention(home, "g", 1)).has_value());
  CHECK(b.read("g") == "new ");
  CHECK(b.logs->total_bytes() == 22);
  b.clock.advance(limits::log_retention_check_time);
  b.loop.run_ready();
  CHECK(b.logs->total_bytes() == 11);
  REQUIRE(b.run(b.logs->set_retention(home, "g", std::nullopt)).has_value());
  CHECK(b.read("g") == "new ");
}

TEST_CASE("logs: beyond the total size the oldest events go first, in whichever group") {
  Bench b({.total_bytes = 10'000});
  for (auto name : {"g1", "g2"}) {
    b.group(name);
    REQUIRE(b.run(b.logs->create_stream(home, name, "s")).has_value());
  }
  std::int64_t t = b.now();
  for (int i = 0; i < 100; ++i) {
    b.put(i % 2 ? "g1" : "g2", "s", t + i, fmt::format("{:0192}", i));  // 200 bytes stored
  }
  b.loop.run_ready();
  CHECK(b.logs->total_bytes() <= 10'000);
  CHECK(b.logs->total_bytes() >= 8'000);
  auto g1 = b.run(b.logs->events(home, "g1", {}));
  auto g2 = b.run(b.logs->events(home, "g2", {}));
  CHECK(g1->back().time_ms == t + 99);
  CHECK(g2->back().time_ms == t + 98);
  CHECK(std::abs(g1->front().time_ms - g2->front().time_ms) <= 2);
}

TEST_CASE("logs: a subscriber hears each event once, when it is visible") {
  Bench b;
  std::string heard;
  auto id = b.logs->subscribe(home, "/aws/lambda/f",
                              [&heard](const LogEvent& event) { heard += event.message + " "; });
  b.line("one");
  CHECK(heard.empty());
  b.run(b.logs->settle());
  CHECK(heard == "one ");
  b.logs->unsubscribe(id);
  b.line("two");
  b.run(b.logs->settle());
  CHECK(heard == "one ");
}

TEST_CASE("logs: a line after DeleteLogGroup makes the group anew, durably") {
  Bench b;
  b.line("before");
  b.run(b.logs->settle());
  REQUIRE(b.run(b.logs->delete_group(home, "/aws/lambda/f")).has_value());
  b.line("after");
  b.run(b.logs->settle());
  b.reopen();
  CHECK(b.read("/aws/lambda/f") == "after ");
}

TEST_CASE("logs: streams that nobody writes to are not kept in memory") {
  Bench b;
  b.group("g");
  for (auto name : {"a", "b", "c"}) REQUIRE(b.run(b.logs->create_stream(home, "g", name)));
  b.put("g", "b", b.now() - 5, "text");
  CHECK(b.logs->streams_in_memory() == 0);
  CHECK(b.run(b.logs->create_stream(home, "g", "b")).error().kind == ErrorKind::already_exists);
  CHECK(b.streams("g", {.prefix = "b"}) == "b:-5 ");
  // Those of instances are while lines come, and what is known of them last counts.
  constexpr int instances = 10'000;
  for (int i = 0; i < instances; ++i) {
    b.line("x", fmt::format("i-{:05}", i), true);
    b.run(b.logs->settle());
  }
  CHECK(b.logs->streams_in_memory() < instances / 2);
  b.clock.advance(std::chrono::milliseconds(7));
  for (int i : {5, instances - 1}) b.line("y", fmt::format("i-{:05}", i), true);
  auto first = "2026/01/01/[$LATEST]i-00005";
  CHECK(b.stream("/aws/lambda/f", first)->last_event_ms == b.now());
  CHECK(b.stream("/aws/lambda/f", first)->first_event_ms == b.now() - 7);
  auto all = b.run(b.logs->streams(home, "/aws/lambda/f", {}));
  REQUIRE(all->size() == instances);
  CHECK(std::ranges::is_sorted(*all, {}, &LogStream::name));
  CHECK((*all)[5].last_event_ms == b.now());
  CHECK(all->back().last_event_ms == b.now());
  CHECK((*all)[6].last_event_ms == b.now() - 7);
  std::size_t seen = 0;
  for (std::string after; seen < instances; seen += 99) {
    auto page = b.run(b.logs->streams(home, "/aws/lambda/f", {.after = after, .limit = 99}));
    REQUIRE(page->size() == std::min<std::size_t>(99, instances - seen));
    CHECK(page->front().name == (*all)[seen].name);
    after = page->back().name;
  }
  b.reopen();
  CHECK(b.logs->streams_in_memory() == 0);
  CHECK(b.stream("/aws/lambda/f", first)->last_event_ms == b.now());
  REQUIRE(b.run(b.logs->delete_group(home, "/aws/lambda/f")));
  CHECK(b.disk.scan("s/", "", 10)->size() == 3);
}

TEST_CASE("logs: while a group or a stream is deleted, one of the same name begins anew") {
  Bench b;
  b.group("g");
  for (auto name : {"a", "b"}) REQUIRE(b.run(b.logs->create_stream(home, "g", name)));
  b.put("g", "a", b.now() - 9, "old");
  auto same_time = [&](auto first, auto second) {
    int done = 0;
    auto run = [](auto task, int& done) -> io::Task<void> {
      CHECK((co_await std::move(task)).has_value());
      ++done;
    };
    io::TaskScope scope(b.loop);
    scope.spawn(run(first(), done));
    scope.spawn(run(second(), done));
    b.loop.run_until(scope.close());
    CHECK(done == 2);
  };
  SUBCASE("a stream") {
    same_time([&] { return b.logs->delete_stream(home, "g", "a"); },
              [&] {
                CHECK_FALSE(b.stream("g", "a"));
                CHECK(b.streams("g") == fmt::format("b:{} ", -b.now()));
                return b.logs->create_stream(home, "g", "a");
              });
    CHECK(b.streams("g") == fmt::format("a:{0} b:{0} ", -b.now()));
  }
  SUBCASE("a group") {
    same_time([&] { return b.logs->delete_group(home, "g"); },
              [&] {
                CHECK_FALSE(b.stream("g", "a"));
                return b.logs->create_group({.scope = home, .name = "g", .created_ms = b.now()});
              });
    CHECK(b.streams("g").empty());
    REQUIRE(b.run(b.logs->create_stream(home, "g", "c")));
    CHECK(b.streams("g") == fmt::format("c:{} ", -b.now()));
  }
  b.run(b.logs->settle());
  b.clock.advance(limits::log_flush_time);
  b.loop.run_ready();
  CHECK(b.logs->streams_in_memory() == 0);
  auto before = b.streams("g");
  b.reopen();
  CHECK(b.streams("g") == before);
}

TEST_CASE("logs: records that a full disk refused are written when there is room") {
  Bench b;
  b.group("g");
  b.line("kept");
  b.disk.fail_writes_with = Error{ErrorKind::unavailable, "no room on the disk", {}};
  b.run(b.logs->settle());
  CHECK(b.logs->dropped_lines() == 1);
  CHECK_FALSE(b.run(b.logs->create_stream(home, "g", "s")));
  CHECK_FALSE(b.stream("g", "s"));
  b.disk.fail_writes_with.reset();
  b.clock.advance(limits::log_flush_time);
  b.loop.run_ready();
  CHECK(b.disk.scan("s/", "", 10)->size() == 1);
  CHECK(b.disk.scan("g/", "", 10)->size() == 2);
  CHECK(b.run(b.logs->create_stream(home, "g", "s")));
}
