#include <doctest/doctest.h>
#include <sched.h>

#include <thread>

#include "io/fd.h"
#include "io/processors.h"
#include "io/workers.h"
#include "sim/manual_clock.h"

using namespace mayfly;
using namespace mayfly::io;

namespace {

Task<void> record_after(Loop& loop, Duration time, std::stop_token stop, std::vector<Wake>& out) {
  out.push_back(co_await sleep_for(loop, time, stop));
}

Task<Result<std::string>> echo_once(Loop& loop) {
  CO_TRY_ASSIGN(auto listening, listen_tcp("127.0.0.1", 0));
  Listener listener(loop, std::move(listening));
  std::string address = listener.address();
  auto port = static_cast<std::uint16_t>(std::stoi(address.substr(address.rfind(':') + 1)));
  CO_TRY_ASSIGN(auto near_fd, co_await connect_tcp(loop, "127.0.0.1", port, no_deadline));
  CO_TRY_ASSIGN(auto far_fd, co_await listener.accept());
  Stream near(loop, std::move(near_fd));
  Stream far(loop, std::move(far_fd));
  CO_TRY(co_await near.write_all("hello ", "world", no_deadline));
  std::string got(11, '\0');
  CO_TRY(co_await far.read_exact(got, no_deadline));
  co_return got;
}

Task<int> slow_answer(Workers& workers) {
  co_return co_await workers.run([] { return 42; });
}

Task<Result<std::size_t>> read_until(Loop& loop, Fd fd, Deadline deadline) {
  Stream stream(loop, std::move(fd));
  std::array<char, 4> buffer{};
  co_return co_await stream.read(buffer, deadline);
}

TEST_CASE("the processors of a process that may not use all of them are fewer") {
  unsigned all = own_processors();
  CHECK(all >= 1);
  unsigned fewer = 0;
  std::thread([&fewer] {  // of this thread alone
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(::sched_getcpu(), &one);
    REQUIRE(::sched_setaffinity(0, sizeof one, &one) == 0);
    fewer = own_processors();
  })
      .join();
  CHECK(fewer == 1);
  CHECK(own_processors() == all);
}

}  // namespace

TEST_CASE("a sleep ends at its time by the loop's clock and not before") {
  sim::ManualClock clock;
  Loop loop(clock);
  TaskScope scope(loop);
  std::vector<Wake> woken;
  scope.spawn(record_after(loop, std::chrono::hours(6), scope.stop_token(), woken));
  loop.run_ready();
  CHECK(woken.empty());
  clock.advance(std::chrono::hours(6));
  loop.run_ready();
  REQUIRE(woken.size() == 1);
  CHECK(woken[0] == Wake::timeout);
}

TEST_CASE("closing a scope cancels what waits in it") {
  sim::ManualClock clock;
  Loop loop(clock);
  TaskScope scope(loop);
  std::vector<Wake> woken;
  scope.spawn(record_after(loop, std::chrono::hours(6), scope.stop_token(), woken));
  loop.run_until(scope.close());
  REQUIRE(woken.size() == 1);
  CHECK(woken[0] == Wake::cancelled);
}

TEST_CASE("bytes cross a socket") {
  SystemClock clock;
  Loop loop(clock);
  auto got = loop.run_until(echo_once(loop));
  REQUIRE(got.has_value());
  CHECK(*got == "hello world");
}

TEST_CASE("a read gives up at its deadline") {
  sim::ManualClock clock;
  Loop loop(clock);
  auto pair = socket_pair();
  REQUIRE(pair.has_value());
  clock.advance(std::chrono::seconds(1));
  auto got = loop.run_until(read_until(loop, std::move(pair->first), clock.mono()));
  REQUIRE(!got.has_value());
  CHECK(got.error().kind == ErrorKind::timeout);
}

TEST_CASE("workers hand their result back to the loop") {
  SystemClock clock;
  Loop loop(clock);
  Workers workers(loop, 2);
  CHECK(loop.run_until(slow_answer(workers)) == 42);
}
