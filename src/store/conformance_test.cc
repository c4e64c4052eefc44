// One suite for every engine: the embedded store and the memory twin must not differ.
#include <doctest/doctest.h>
#include <unistd.h>

#include <filesystem>

#include "sim/memory_store.h"
#include "store/store.h"

using namespace mayfly;
using store::Batch;
using store::LogOrder;
using store::LogQuery;

namespace {

// A loop, workers and one store of either engine; the directory ends with the object.
struct Bench {
  enum class Engine { memory, embedded };
  explicit Bench(Engine engine) : loop(clock), workers(loop, 2) {
    if (engine == Engine::memory) {
      store = std::make_unique<sim::MemoryStore>(loop);
      return;
    }
    std::string name = (std::filesystem::temp_directory_path() / "store-test-XXXXXX").string();
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    dir = name;
    auto opened = store::open_embedded(loop, workers, dir, "state");
    REQUIRE_MESSAGE(opened.has_value(), opened.error().message);
    store = std::move(*opened);
  }
  ~Bench() {
    store.reset();
    if (!dir.empty()) std::filesystem::remove_all(dir);
  }

  Result<store::Revision> commit(Batch batch) {
    return loop.run_until(store->commit(std::move(batch)));
  }
  store::Revision put(std::string key, std::string value) {
    auto done = commit({.expects = {}, .puts = {{key, value}}, .deletes = {}, .appends = {}});
    REQUIRE(done.has_value());
    return *done;
  }
  void append(std::string log, std::string stream, std::int64_t time_ms, std::string payload) {
    Batch batch;
    batch.appends.push_back({log, stream, time_ms, payload});
    REQUIRE(commit(std::move(batch)).has_value());
  }
  std::string read(const LogQuery& query) {
    auto entries = store->read(query);
    REQUIRE(entries.has_value());
    std::string text;
    for (const auto& entry : *entries) text += entry.payload + " ";
    return text;
  }

  SystemClock clock;
  io::Loop loop;
  io::Workers workers;
  std::filesystem::path dir;
  std::unique_ptr<store::Store> store;
};

using Engine = Bench::Engine;

void each_engine(void (*suite)(Bench&)) {
  for (auto engine : {Engine::memory, Engine::embedded}) {
    CAPTURE(static_cast<int>(engine));
    Bench bench(engine);
    suite(bench);
  }
}

void counts(Bench& b) {
  for (const auto* key : {"a", "b/1", "b/2", "b/3", "c"}) b.put(key, "x");
  CHECK(b.store->count("b/", "") == 3);
  CHECK(b.store->count("b/", "b/1") == 2);
  CHECK(b.store->count("b/", "b/3") == 0);
  CHECK(b.store->count("", "") == 5);
}

void records(Bench& b) {
  CHECK_FALSE(b.store->get("a")->has_value());
  auto first = b.put("a", "1");
  auto second = b.put("b", std::string("\0x", 2));
  CHECK(second > first);
  auto row = b.store->get("b");
  REQUIRE(row->has_value());
  CHECK((*row)->value == std::string("\0x", 2));
  CHECK((*row)->revision == second);
  auto third = b.put("a", "");
  CHECK((*b.store->get("a"))->value.empty());
  CHECK((*b.store->get("a"))->revision == third);
  Batch both;
  both.deletes = {"a", "never there"};
  both.puts = {{"c", "3"}, {"c", "4"}};
  REQUIRE(b.commit(both).has_value());
  CHECK_FALSE(b.store->get("a")->has_value());
  CHECK((*b.store->get("c"))->value == "4");
  Batch replace;
  replace.deletes = {"c"};
  replace.puts = {{"c", "5"}};
  REQUIRE(b.commit(replace).has_value());
  CHECK((*b.store->get("c"))->value == "5");
}

void expectations(Bench& b) {
  Batch create;
  create.expects = {{"k", 0}};
  create.puts = {{"k", "1"}};
  auto created = b.commit(create);
  REQUIRE(created.has_value());
  auto again = b.commit(create);
  REQUIRE_FALSE(again.has_value());
  CHECK(again.error().kind == ErrorKind::conflict);
  Batch swap;
  swap.expects = {{"k", *created}};
  swap.puts = {{"k", "2"}, {"other", "x"}};
  swap.appends = {{"log", "s", 1, "line"}};
  REQUIRE(b.commit(swap).has_value());
  auto stale = b.commit(swap);
  CHECK(stale.error().kind == ErrorKind::conflict);
  CHECK(b.read({.log = "log"}) == "line ");  // the failed batch appended nothing
}

io::Task<void> increment(store::Store& store, int& conflicts) {
  while (true) {
    auto row = store.get("n");
    Batch batch;
    batch.expects = {{"n", (*row) ? (*row)->revision : 0}};
    batch.puts = {{"n", std::to_string((*row ? std::stoi((*row)->value) : 0) + 1)}};
    auto done = co_await store.commit(std::move(batch));
    if (done) co_return;
    ++conflicts;
  }
}

void racing(Bench& b) {
  io::TaskScope scope(b.loop);
  int conflicts = 0;
  for (int i = 0; i < 40; ++i) scope.spawn(increment(*b.store, conflicts));
  b.loop.run_until(scope.drain(no_deadline));
  CHECK((*b.store->get("n"))->value == "40");
  CHECK(conflicts > 0);  // they did race, and a conflict spoiled no other batch of its group
  b.loop.run_until(scope.close());
}

void scans(Bench& b) {
  for (auto key : {"p/a", "p/b", "p/c", "q/a", "p"}) b.put(key, key);
  b.put("p/\xff", "high");
  auto keys = [&](std::string_view prefix, std::string_view after, std::size_t limit) {
    auto rows = b.store->scan(prefix, after, limit);
    REQUIRE(rows.has_value());
    std::string text;
    for (const auto& row : *rows) text += row.key + " ";
    return text;
  };
  CHECK(keys("p/", "", 10) == "p/a p/b p/c p/\xff ");
  CHECK(keys("p/", "p/a", 2) == "p/b p/c ");
  CHECK(keys("p/", "p/b~", 10) == "p/c p/\xff ");
  CHECK(keys("p/", "p/\xff", 10).empty());
  CHECK(keys("", "", 100) == "p p/a p/b p/c p/\xff q/a ");
  CHECK(keys("p/", "", 0).empty());
  CHECK(keys("\xff", "", 10).empty());
}

void watching(Bench& b) {
  std::string seen;
  auto id = b.store->watch("w/", [&seen](const store::Change& change) {
    seen += change.key + "=" + change.value.value_or("(gone)") + ";";
  });
  auto before = b.put("w/1", "a");
  b.put("x/1", "not told");
  Batch batch;
  batch.deletes = {"w/1"};
  batch.puts = {{"w/2", "b"}};
  auto after = b.commit(batch);
  REQUIRE(after.has_value());
  CHECK(*after > before);
  CHECK(seen == "w/1=a;w/1=(gone);w/2=b;");
  b.store->unwatch(id);
  b.put("w/3", "c");
  CHECK(seen == "w/1=a;w/1=(gone);w/2=b;");
}

void logs(Bench& b) {
  CHECK(b.read({.log = "none"}).empty());
  CHECK(*b.store->log_bytes("none") == 0);
  b.append("l", "s1", 100, "a");
  b.append("l", "s2", 300, "bb");
  b.append("l", "s1", 200, "ccc");
  b.append("m", "s1", 1, "other");
  CHECK(*b.store->log_bytes("l") == 6);
  CHECK(b.read({.log = "l"}) == "a bb ccc ");
  auto entries = b.store->read({.log = "l"});
  CHECK((*entries)[0].seq == 1);
  CHECK((*entries)[2].seq == 3);
  CHECK((*entries)[2].stream == "s1");
  CHECK((*entries)[2].time_ms == 200);
  CHECK(b.read({.log = "l", .from_seq = 2}) == "bb ccc ");
  CHECK(b.read({.log = "l", .descending = true}) == "ccc bb a ");
  CHECK(b.read({.log = "l", .from_seq = 2, .descending = true}) == "bb a ");
  CHECK(b.read({.log = "l", .stream = "s1"}) == "a ccc ");
  CHECK(b.read({.log = "l", .stream = "none"}).empty());
  CHECK(b.read({.log = "l", .from_ms = 200}) == "bb ccc ");
  CHECK(b.read({.log = "l", .to_ms = 300}) == "a ccc ");
  CHECK(b.read({.log = "l", .limit = 1}) == "a ");
  CHECK(b.read({.log = "l", .max_bytes = 3}) == "a bb ");
  CHECK(b.read({.log = "l", .from_seq = 3, .max_bytes = 1}) == "ccc ");
}

void log_time_order(Bench& b) {
  b.append("l", "s1", 300, "c");
  b.append("l", "s2", 100, "a");
  b.append("l", "s1", 200, "b1");
  b.append("l", "s1", 200, "b2");
  LogQuery query{.log = "l", .order = LogOrder::time};
  CHECK(b.read(query) == "a b1 b2 c ");
  query.place = {200, 3};
  CHECK(b.read(query) == "b2 c ");
  query.descending = true;
  CHECK(b.read(query) == "a ");
  query.place = {200, 4};
  query.stream = "s1";
  CHECK(b.read(query) == "b1 ");
  query.place.reset();
  CHECK(b.read(query) == "c b2 b1 ");
  query.to_ms = 300;
  query.from_ms = 200;
  CHECK(b.read(query) == "b2 b1 ");
}

void log_forgetting(Bench& b) {
  for (int i = 1; i <= 6; ++i) {
    b.append("l", i % 2 ? "odd" : "even", 100 * i, "p" + std::to_string(i));
  }
  auto trimmed = b.loop.run_until(b.store->trim("l", 2, INT64_MIN));
  CHECK(*trimmed == 1);
  trimmed = b.loop.run_until(b.store->trim("l", 0, 300));
  CHECK(*trimmed == 1);
  CHECK(b.read({.log = "l"}) == "p3 p4 p5 p6 ");
  CHECK(*b.store->log_bytes("l") == 8);
  CHECK(*b.loop.run_until(b.store->trim("none", 9, 9)) == 0);
  REQUIRE(b.loop.run_until(b.store->drop_stream("l", "odd")).has_value());
  CHECK(b.read({.log = "l"}) == "p4 p6 ");
  CHECK(*b.store->log_bytes("l") == 4);
  b.append("l", "odd", 700, "p7");
  CHECK(b.read({.log = "l", .stream = "odd"}) == "p7 ");
  CHECK((*b.store->read({.log = "l", .stream = "odd"}))[0].seq == 7);  // never used again
  REQUIRE(b.loop.run_until(b.store->drop_log("l")).has_value());
  CHECK(b.read({.log = "l"}).empty());
  CHECK(*b.store->log_bytes("l") == 0);
  b.append("l", "odd", 1, "new");
  CHECK((*b.store->read({.log = "l"}))[0].seq == 1);
  CHECK(b.read({.log = "l"}) == "new ");
}

void blobs(Bench& b) {
  auto put = [&](std::string bytes) { return *b.loop.run_until(b.store->put_blob(bytes)); };
  auto name = put("hello");
  CHECK(name == "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824");
  CHECK(put("hello") == name);
  CHECK(*b.loop.run_until(b.store->get_blob(name)) == "hello");
  auto path = b.store->blob_path(name);
  REQUIRE(path.has_value());
  CHECK(std::filesystem::file_size(*path) == 5);
  auto empty = put("");
  CHECK(b.loop.run_until(b.store->get_blob(empty))->empty());
  // Bytes changed behind the store's back are noticed, and a new put repairs them.
  std::filesystem::resize_file(*path, 3);
  CHECK(b.loop.run_until(b.store->get_blob(name)).error().kind == ErrorKind::corrupt);
  CHECK(put("hello") == name);
  CHECK(*b.loop.run_until(b.store->get_blob(name)) == "hello");
  REQUIRE(b.loop.run_until(b.store->delete_blob(name)).has_value());
  REQUIRE(b.loop.run_until(b.store->delete_blob(name)).has_value());
  CHECK(b.store->blob_path(name).error().kind == ErrorKind::not_found);
  CHECK(b.loop.run_until(b.store->get_blob(name)).error().kind == ErrorKind::not_found);
  CHECK(b.store->blob_path("../lock").error().kind == ErrorKind::not_found);
}

}  // namespace

TEST_CASE("store: records are read as written, revisions grow") { each_engine(records); }
TEST_CASE("store: an unmet expectation changes nothing") { each_engine(expectations); }
TEST_CASE("store: racing compare-and-set loses no increment") { each_engine(racing); }
TEST_CASE("store: scans answer a prefix in byte order") { each_engine(scans); }
TEST_CASE("store: keys are counted") { each_engine(counts); }
TEST_CASE("store: watchers hear every change in commit order") { each_engine(watching); }
TEST_CASE("store: logs keep order, streams and times") { each_engine(logs); }
TEST_CASE("store: logs read in time order from a place") { each_engine(log_time_order); }
TEST_CASE("store: trim, drop_stream and drop_log forget exactly that") {
  each_engine(log_forgetting);
}
TEST_CASE("store: blobs are found by their content") { each_engine(blobs); }
