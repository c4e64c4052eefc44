#include "sandbox/process_tree.h"

#include <doctest/doctest.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>

namespace mayfly::sandbox {
namespace {

// Has used so much processor time, and touched so many pages, when it tells by the pipe.
constexpr std::uint64_t burnt_ns = 3'000'000;
constexpr std::size_t pages = 200;

[[noreturn]] void work(int told) {
  constexpr std::size_t page = 4096;
  auto* bytes = static_cast<char*>(std::malloc(pages * page));
  for (std::size_t at = 0; at < pages * page; at += page)
    static_cast<volatile char*>(bytes)[at] = 1;
  timespec used{};
  do {
    ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
  } while (used.tv_sec == 0 && static_cast<std::uint64_t>(used.tv_nsec) < burnt_ns);
  if (::write(told, "x", 1) != 1) ::_exit(1);
  while (true) ::pause();
}

}  // namespace

TEST_CASE("what a tree of processes used is counted finer than in ticks of the clock") {
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  pid_t root = ::fork();
  if (root == 0) {
    if (::fork() == 0) work(ends[1]);
    while (true) ::pause();
  }
  REQUIRE(root > 0);
  char byte = 0;
  REQUIRE(::read(ends[0], &byte, 1) == 1);
  Stats stats = tree_stats(root);
  auto below = processes_below(root, 10);
  REQUIRE(below.size() == 1);
  CHECK(stats.cpu_ns >= burnt_ns);
  CHECK(stats.page_faults >= pages);
  CHECK(stats.memory_peak_bytes >= stats.memory_bytes);
  CHECK(stats.memory_bytes > pages * 4096);
  ::kill(*below.begin(), SIGKILL);
  ::kill(root, SIGKILL);
  CHECK(::waitpid(root, nullptr, 0) == root);
  ::close(ends[0]);
  ::close(ends[1]);
}

}  // namespace mayfly::sandbox
