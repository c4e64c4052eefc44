// What only the engine with a disk can get wrong: locks, versions, damage, a full disk, restarts.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>

#include "store/store.h"

using namespace mayfly;
using store::Batch;

namespace {

namespace fs = std::filesystem;

struct TempDir {
  TempDir() {
    std::string name = (fs::temp_directory_path() / "store-test-XXXXXX").string();
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    path = name;
  }
  ~TempDir() { fs::remove_all(path); }
  fs::path path;
};

struct Opened {
  explicit Opened(fs::path dir, std::string file = "state") : loop(clock), workers(loop, 1) {
    auto opened = store::open_embedded(loop, workers, std::move(dir), std::move(file));
    if (opened)
      store = std::move(*opened);
    else
      error = opened.error();
  }
  Result<store::Revision> put(std::string key, std::string value) {
    return loop.run_until(store->commit({.puts = {{key, value}}}));
  }
  SystemClock clock;
  io::Loop loop;
  io::Workers workers;
  std::unique_ptr<store::Store> store;
  Error error;
};

void run_sql(const fs::path& file, const std::string& sql) {
  sqlite3* db = nullptr;
  REQUIRE(sqlite3_open(file.c_str(), &db) == SQLITE_OK);
  CHECK(sqlite3_exec(db, sql.c_str(), nullptr, nullptr, nullptr) == SQLITE_OK);
  sqlite3_close(db);
}

io::Task<void> commit_into(store::Store& store, Batch batch, Result<store::Revision>& out) {
  out = co_await store.commit(std::move(batch));
}

}  // namespace

TEST_CASE("embedded: records, revisions and logs go on after a restart") {
  TempDir dir;
  store::Revision last = 0;
  {
    Opened first(dir.path);
    last = *first.put("k", "v");
    Batch batch;
    batch.appends = {{"l", "s", 1, "one"}};
    last = *first.loop.run_until(first.store->commit(batch));
  }
  Opened second(dir.path);
  CHECK((*second.store->get("k"))->value == "v");
  CHECK(*second.put("k", "w") > last);
  Batch batch;
  batch.appends = {{"l", "s", 2, "two"}};
  REQUIRE(second.loop.run_until(second.store->commit(batch)).has_value());
  auto entries = second.store->read({.log = "l"});
  REQUIRE(entries->size() == 2);
  CHECK((*entries)[1].seq == 2);
  CHECK(*second.store->log_bytes("l") == 6);
}

TEST_CASE("embedded: other users read nothing of it") {
  TempDir dir;
  Opened opened(dir.path / "data");
  REQUIRE(opened.store);
  CHECK(opened.put("secret", "s").has_value());
  auto closed = [](const fs::path& path) {
    return (fs::status(path).permissions() & (fs::perms::group_all | fs::perms::others_all)) ==
           fs::perms::none;
  };
  CHECK(closed(dir.path / "data"));
  CHECK(fs::exists(dir.path / "data/state.db-wal"));
  for (const auto& entry : fs::directory_iterator(dir.path / "data")) {
    CAPTURE(entry.path().string());
    CHECK(closed(entry.path()));
  }
}

TEST_CASE("embedded: one process holds a directory, and the refusal names it") {
  TempDir dir;
  Opened holder(dir.path);
  REQUIRE(holder.store != nullptr);
  pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    // The lock belongs to the open file, which fork shares: ask as a stranger would.
    ::execlp("flock", "flock", "-n", (dir.path / "lock").c_str(), "true", nullptr);
    ::_exit(99);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  CHECK(WEXITSTATUS(status) == 1);
  std::ifstream lock(dir.path / "lock");
  pid_t pid = 0;
  lock >> pid;
  CHECK(pid == ::getpid());
  // The same process may open another database of the directory, but none twice.
  Opened logs(dir.path, "logs");
  CHECK(logs.store != nullptr);
  Opened twice(dir.path);
  CHECK(twice.store == nullptr);
  CHECK(twice.error.kind == ErrorKind::conflict);
}

TEST_CASE("embedded: a directory held by another process is refused by its pid") {
  TempDir dir;
  std::array<int, 2> pipe{};
  REQUIRE(::pipe(pipe.data()) == 0);
  pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    Opened holder(dir.path);
    char ready = holder.store ? 'y' : 'n';
    [[maybe_unused]] ssize_t sent = ::write(pipe[1], &ready, 1);
    while (true) ::pause();
  }
  char ready = 0;
  REQUIRE(::read(pipe[0], &ready, 1) == 1);
  CHECK(ready == 'y');
  Opened refused(dir.path);
  CHECK(refused.store == nullptr);
  CHECK(refused.error.kind == ErrorKind::conflict);
  CHECK(refused.error.message.ends_with(fmt::format("process {}", child)));
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  Opened after(dir.path);
  CHECK(after.store != nullptr);
  ::close(pipe[0]);
  ::close(pipe[1]);
}

TEST_CASE("embedded: newer formats and strangers' files are refused unharmed") {
  TempDir dir;
  {
    Opened made(dir.path);
  }
  run_sql(dir.path / "state.db", "PRAGMA user_version = 99");
  Opened newer(dir.path);
  CHECK(newer.store == nullptr);
  CHECK(newer.error.kind == ErrorKind::invalid);
  CHECK(newer.error.message.find("has format 99") != std::string::npos);
  run_sql(dir.path / "state.db", "PRAGMA user_version = 1");
  CHECK(Opened(dir.path).error.message.find("cannot upgrade") != std::string::npos);
  run_sql(dir.path / "other.db", "CREATE TABLE t (x)");
  Opened stranger(dir.path, "other");
  CHECK(stranger.error.kind == ErrorKind::corrupt);
  std::ofstream(dir.path / "junk.db") << std::string(8192, 'x');
  Opened junk(dir.path, "junk");
  CHECK(junk.error.kind == ErrorKind::corrupt);
  CHECK(fs::file_size(dir.path / "junk.db") == 8192);
}

TEST_CASE("embedded: changed bytes are noticed") {
  TempDir dir;
  {
    Opened made(dir.path);
    REQUIRE(made.put("k", "right").has_value());
    Batch batch;
    batch.appends = {{"l", "s", 1, "right"}};
    REQUIRE(made.loop.run_until(made.store->commit(batch)).has_value());
  }
  run_sql(dir.path / "state.db",
          "UPDATE records SET value = x'00'; UPDATE entries SET payload = x'00'");
  Opened again(dir.path);
  CHECK(again.store->get("k").error().kind == ErrorKind::corrupt);
  CHECK(again.store->scan("", "", 10).error().kind == ErrorKind::corrupt);
  CHECK(again.store->read({.log = "l"}).error().kind == ErrorKind::corrupt);
}

TEST_CASE("embedded: half-written blobs of a killed process are swept") {
  TempDir dir;
  {
    Opened made(dir.path);
  }
  auto stale = dir.path / "blobs" / "tmp" / "12-3";
  std::ofstream(stale) << "half";
  Opened again(dir.path);
  CHECK_FALSE(fs::exists(stale));
}

TEST_CASE("embedded: no room on the disk is an error, and the store goes on when there is room") {
  TempDir dir;
  pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    // A limit on file sizes stands for the full disk.
    ::signal(SIGXFSZ, SIG_IGN);
    int failed = 0;
    {
      Opened o(dir.path);
      if (!o.put("before", "kept")) failed |= 1;
      rlimit old{};
      ::getrlimit(RLIMIT_FSIZE, &old);
      rlimit small{256 * 1024, old.rlim_max};
      ::setrlimit(RLIMIT_FSIZE, &small);
      auto refused = o.put("large", std::string(1024 * 1024, 'x'));
      if (refused || refused.error().kind != ErrorKind::unavailable) failed |= 2;
      auto blob = o.loop.run_until(o.store->put_blob(std::string(1024 * 1024, 'y')));
      if (blob || !fs::is_empty(dir.path / "blobs" / "tmp")) failed |= 4;
      // A batch that fits is not spoilt by one of its group that does not.
      Result<store::Revision> big;
      Result<store::Revision> little;
      io::TaskScope scope(o.loop);
      scope.spawn(commit_into(*o.store, {.puts = {{"big", std::string(1024 * 1024, 'x')}}}, big));
      scope.spawn(commit_into(*o.store, {.puts = {{"little", "x"}}}, little));
      o.loop.run_until(scope.drain(no_deadline));
      if (big || !little) failed |= 8;
      ::setrlimit(RLIMIT_FSIZE, &old);
      if (!o.put("large", std::string(1024 * 1024, 'x'))) failed |= 16;
      if ((*o.store->get("before"))->value != "kept" || (*o.store->get("big"))) failed |= 32;
      o.loop.run_until(scope.close());
    }
    ::_exit(failed);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  CHECK(WEXITSTATUS(status) == 0);
  Opened again(dir.path);
  CHECK((*again.store->get("large"))->value.size() == 1024 * 1024);
}

TEST_CASE("embedded: the write-ahead log stays bounded under writes") {
  TempDir dir;
  Opened o(dir.path);
  std::string value(64 * 1024, 'v');
  for (int i = 0; i < 400; ++i) REQUIRE(o.put("k" + std::to_string(i % 7), value).has_value());
  // 25 MiB were written; a log of 4 MiB is copied and begun again.
  CHECK(fs::file_size(dir.path / "state.db-wal") < 8 * 1024 * 1024);
}

TEST_CASE("embedded: a large log is forgotten in steps while others write") {
  TempDir dir;
  Opened o(dir.path);
  for (int i = 0; i < 10; ++i) {
    Batch batch;
    for (int n = 0; n < 1000; ++n) batch.appends.push_back({"l", n % 2 ? "a" : "b", n, "payload"});
    REQUIRE(o.loop.run_until(o.store->commit(batch, store::Durability::buffered)).has_value());
  }
  auto trimmed = o.loop.run_until(o.store->trim("l", 5001, INT64_MIN));
  CHECK(*trimmed == 5000);
  CHECK(*o.store->log_bytes("l") == 5000 * 7);
  REQUIRE(o.loop.run_until(o.store->drop_stream("l", "a")).has_value());
  CHECK(*o.store->log_bytes("l") == 2500 * 7);
  CHECK(o.store->read({.log = "l", .limit = 100'000})->size() == 2500);
  REQUIRE(o.loop.run_until(o.store->drop_log("l")).has_value());
  CHECK(o.store->read({.log = "l"})->empty());
}

TEST_CASE(
    "embedded: lines of a page size cost their size on the disk, and a walk reads each once") {
  TempDir dir;
  Opened o(dir.path);
  for (int i = 0; i < 20; ++i) {
    Batch batch;
    for (int n = 0; n < 500; ++n) batch.appends.push_back({"l", "s", n, std::string(1010, 'x')});
    REQUIRE(o.loop.run_until(o.store->commit(batch, store::Durability::buffered)).has_value());
  }
  store::LogQuery query{.log = "l", .order = store::LogOrder::time, .limit = 100};
  std::size_t seen = 0;
  while (true) {
    auto entries = o.store->read(query);
    if (entries->empty()) break;
    if (query.place)
      CHECK(*query.place < store::LogPlace{(*entries)[0].time_ms, (*entries)[0].seq});
    seen += entries->size();
    query.place = {entries->back().time_ms, entries->back().seq};
  }
  CHECK(seen == 10'000);
  o.store.reset();  // the last connection copies the log into the file
  CHECK(fs::file_size(dir.path / "state.db") < 2 * 10'000 * 1010);
}
