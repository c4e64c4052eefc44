// A child writes and tells over a pipe what was acknowledged; it is killed at random moments. All
// that was acknowledged must be there, batches whole, logs without gaps.
#include <doctest/doctest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <random>

#include "store/store.h"

using namespace mayfly;
using store::Batch;

namespace {

namespace fs = std::filesystem;

struct Ack {
  std::uint32_t writer;
  std::uint32_t number;
  store::Revision revision;
};

constexpr std::uint32_t writers = 8;

std::string key(char half, std::uint32_t writer, std::uint32_t number) {
  return fmt::format("{}/{:02}/{:08}", half, writer, number);
}

// Each commit writes two records, one counter and one log entry; all four or none.
io::Task<void> write_on(store::Store& store, std::uint32_t writer, std::uint32_t number, int fd) {
  while (true) {
    Batch batch;
    std::string value(number % 700, static_cast<char>('a' + writer));
    batch.puts = {{key('x', writer, number), value},
                  {key('y', writer, number), value},
                  {fmt::format("last/{}", writer), std::to_string(number)}};
    batch.appends = {{"log", fmt::format("s{}", writer), number, std::to_string(number)}};
    auto done = co_await store.commit(std::move(batch));
    if (!done) ::_exit(2);
    Ack ack{writer, number, *done};
    if (::write(fd, &ack, sizeof ack) != sizeof ack) ::_exit(3);
    ++number;
  }
}

[[noreturn]] void child(const fs::path& dir, const std::vector<std::uint32_t>& from, int fd) {
  SystemClock clock;
  io::Loop loop(clock);
  io::Workers workers(loop, 1);
  auto opened = store::open_embedded(loop, workers, dir, "state");
  if (!opened) ::_exit(1);
  io::TaskScope scope(loop);
  for (std::uint32_t w = 0; w < writers; ++w) scope.spawn(write_on(**opened, w, from[w], fd));
  loop.run();
  ::_exit(0);
}

// Checks the store against the acknowledgements; answers the next free number of each writer.
std::vector<std::uint32_t> verify(const fs::path& dir, const std::vector<Ack>& acks,
                                  store::Revision& newest) {
  SystemClock clock;
  io::Loop loop(clock);
  io::Workers workers(loop, 1);
  auto opened = store::open_embedded(loop, workers, dir, "state");
  REQUIRE_MESSAGE(opened.has_value(), opened.error().message);
  auto& store = **opened;
  std::size_t missing = 0;
  for (const auto& ack : acks) {
    auto row = store.get(key('x', ack.writer, ack.number));
    REQUIRE(row.has_value());
    if (!*row || (*row)->revision != ack.revision) ++missing;
    newest = std::max(newest, ack.revision);
  }
  CHECK(missing == 0);
  std::vector<std::uint32_t> next(writers, 0);
  std::size_t torn = 0;
  std::size_t batches = 0;
  auto xs = store.scan("x/", "", 10'000'000);
  auto ys = store.scan("y/", "", 10'000'000);
  REQUIRE(xs.has_value());
  REQUIRE(ys.has_value());
  REQUIRE(xs->size() == ys->size());
  for (std::size_t i = 0; i < xs->size(); ++i) {
    const auto& x = (*xs)[i];
    const auto& y = (*ys)[i];
    if (x.key.substr(1) != y.key.substr(1) || x.revision != y.revision) ++torn;
    ++batches;
    auto writer = static_cast<std::uint32_t>(std::stoul(x.key.substr(2, 2)));
    auto number = static_cast<std::uint32_t>(std::stoul(x.key.substr(5)));
    if (number != next[writer]) ++torn;  // a writer's commits are there without gaps
    next[writer] = number + 1;
  }
  for (std::uint32_t w = 0; w < writers; ++w) {
    auto last = store.get(fmt::format("last/{}", w));
    if (next[w] > 0 && (!*last || (*last)->value != std::to_string(next[w] - 1))) ++torn;
  }
  CHECK(torn == 0);
  auto entries = store.read({.log = "log", .limit = 10'000'000, .max_bytes = SIZE_MAX});
  REQUIRE(entries.has_value());
  CHECK(entries->size() == batches);
  std::size_t gaps = 0;
  for (std::size_t i = 0; i < entries->size(); ++i) gaps += (*entries)[i].seq != i + 1;
  CHECK(gaps == 0);
  // Revisions never go back, whatever was in flight.
  auto revision = loop.run_until(store.commit({.puts = {{"probe", ""}}}));
  CHECK(*revision > newest);
  newest = *revision;
  return next;
}

}  // namespace

TEST_CASE("embedded: what was acknowledged survives kill -9 at any moment") {
  std::string name = (fs::temp_directory_path() / "store-kill-XXXXXX").string();
  REQUIRE(::mkdtemp(name.data()) != nullptr);
  std::mt19937 random(20'260'101);
  std::vector<std::uint32_t> next(writers, 0);
  store::Revision newest = 0;
  std::size_t acknowledged = 0;
  for (int round = 0; round < 60; ++round) {
    std::array<int, 2> pipe{};
    REQUIRE(::pipe(pipe.data()) == 0);
    pid_t pid = ::fork();
    REQUIRE(pid >= 0);
    if (pid == 0) {
      ::close(pipe[0]);
      child(name, next, pipe[1]);
    }
    ::close(pipe[1]);
    std::vector<Ack> acks;
    Ack ack{};
    // Every fourth dies while it opens, the others in the middle of commits and checkpoints.
    if (round % 4 != 0) {
      REQUIRE(::read(pipe[0], &ack, sizeof ack) == sizeof ack);
      acks.push_back(ack);
    }
    ::usleep(random() % 40'000);
    ::kill(pid, SIGKILL);
    while (::read(pipe[0], &ack, sizeof ack) == sizeof ack) acks.push_back(ack);
    ::close(pipe[0]);
    int status = 0;
    ::waitpid(pid, &status, 0);
    CHECK(WIFSIGNALED(status));
    acknowledged += acks.size();
    next = verify(name, acks, newest);
  }
  MESSAGE("rounds 60, acknowledged commits " << acknowledged);
  CHECK(acknowledged > 100);
  fs::remove_all(name);
}
