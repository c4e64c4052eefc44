// Time from the launch of a jail to the first byte its program prints (a static binary), one line
// of JSON per way. `bench_sandbox <probe> <runs> ["name: command line"...]`: the probe without a
// jail and by each command line, to compare with, then in ours.
#include <fmt/format.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <ranges>

#include "base/pch.h"
#include "sandbox/launcher_process.h"
#include "sandbox/sandbox.h"

namespace {

using namespace mayfly;

struct Times {
  std::vector<double> launched;
  std::vector<double> first_byte;
  std::vector<double> gone;
};

double ms_since(MonoTime start, const io::Loop& loop) {
  return std::chrono::duration<double, std::milli>(loop.now() - start).count();
}

double at(std::vector<double> sorted, double quantile) {
  std::ranges::sort(sorted);
  return sorted[static_cast<std::size_t>(quantile * static_cast<double>(sorted.size() - 1))];
}

io::Task<Result<>> once(io::Loop& loop, sandbox::Launcher& launcher, sandbox::Spec spec,
                        Times& out) {
  auto start = loop.now();
  CO_TRY_ASSIGN(auto instance, co_await launcher.launch(std::move(spec)));
  out.launched.push_back(ms_since(start, loop));
  io::Stream stream(loop, instance->take_output());
  std::array<char, 16> buffer;
  CO_TRY(co_await stream.read(buffer, no_deadline));
  out.first_byte.push_back(ms_since(start, loop));
  CO_TRY(co_await instance->exited(no_deadline));
  out.gone.push_back(ms_since(start, loop));
  co_return Result<>{};
}

// A command line, to compare with on a loaded machine.
io::Task<Result<>> once_peer(io::Loop& loop, const std::vector<std::string>& words, Times& out) {
  std::vector<char*> argv;
  argv.reserve(words.size() + 1);
  for (const auto& word : words) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  auto start = loop.now();
  CO_TRY_ASSIGN(auto pipe, io::make_pipe());
  pid_t pid = ::fork();
  if (pid == 0) {
    ::dup2(pipe.write_end.get(), 1);
    ::execvp(argv[0], argv.data());
    ::_exit(127);
  }
  out.launched.push_back(ms_since(start, loop));
  pipe.write_end.reset();
  io::Stream stream(loop, std::move(pipe.read_end));
  std::array<char, 16> buffer;
  CO_TRY(co_await stream.read(buffer, no_deadline));
  out.first_byte.push_back(ms_since(start, loop));
  ::waitpid(pid, nullptr, 0);
  out.gone.push_back(ms_since(start, loop));
  co_return Result<>{};
}

io::Task<Result<>> peer_series(io::Loop& loop, std::vector<std::string> words, int runs,
                               Times& out) {
  for (int i = 0; i < runs; ++i) {
    co_await io::sleep_for(loop, std::chrono::milliseconds(20));
    CO_TRY(co_await once_peer(loop, words, out));
  }
  co_return Result<>{};
}

io::Task<Result<>> series(io::Loop& loop, sandbox::Launcher& launcher, sandbox::Spec spec, int runs,
                          int gap_ms, Times& out) {
  for (int i = 0; i < runs; ++i) {
    if (gap_ms != 0) co_await io::sleep_for(loop, std::chrono::milliseconds(gap_ms));
    CO_TRY(co_await once(loop, launcher, spec, out));
  }
  co_return Result<>{};
}

// A fork of a parked program (tests/jail/template.c), up to the first byte it prints.
io::Task<Result<>> fork_series(io::Loop& loop, sandbox::Launcher& launcher, std::string program,
                               int runs, int gap_ms, Times& out) {
  sandbox::Spec spec;
  spec.id = InstanceId("template");
  spec.binds = {{std::move(program), "/opt/template"}};
  spec.argv = {"/opt/template"};
  spec.limits.memory_bytes = 128ull << 20;
  spec.parking = sandbox::Parking::forkable;
  spec.channel = spec.framed_log = true;
  CO_TRY_ASSIGN(auto parked, co_await launcher.launch(std::move(spec)));
  io::Stream stream(loop, parked->take_output());
  std::array<char, 16> buffer;
  CO_TRY(co_await stream.read(buffer, no_deadline));
  launcher.keep_ready(*parked, 2);
  for (int i = 0; i < runs; ++i) {
    if (gap_ms != 0) co_await io::sleep_for(loop, std::chrono::milliseconds(gap_ms));
    sandbox::Spec order;
    order.id = InstanceId("fork");
    order.env = {"MARK=1", "RUN=exit 0"};
    order.limits.memory_bytes = 128ull << 20;
    order.channel = order.framed_log = true;
    auto start = loop.now();
    CO_TRY_ASSIGN(auto instance, launcher.fork(*parked, std::move(order)));
    io::Stream output(loop, instance->take_output());
    CO_TRY(co_await output.read(buffer, no_deadline));
    out.first_byte.push_back(ms_since(start, loop));
    CO_TRY(co_await instance->launched());
    out.launched.push_back(ms_since(start, loop));
    CO_TRY(co_await instance->exited(no_deadline));
    out.gone.push_back(ms_since(start, loop));
  }
  parked->kill();
  CO_TRY(co_await parked->exited(no_deadline));
  co_return Result<>{};
}

// "name: words of a command line".
std::pair<std::string, std::vector<std::string>> peer_of(std::string_view text) {
  std::size_t colon = std::min(text.find(':'), text.size());
  std::pair<std::string, std::vector<std::string>> out{std::string(text.substr(0, colon)), {}};
  for (auto word : std::views::split(text.substr(std::min(colon + 1, text.size())), ' ')) {
    if (!word.empty()) out.second.emplace_back(word.begin(), word.end());
  }
  return out;
}

void print(const char* name, const Times& times) {
  fmt::print(
      "{{\"bench\":\"sandbox\",\"way\":\"{}\",\"runs\":{},\"launched_ms_p50\":{:.2f},"
      "\"first_byte_ms_p50\":{:.2f},\"first_byte_ms_p99\":{:.2f},\"gone_ms_p50\":{:.2f}}}\n",
      name, times.first_byte.size(), at(times.launched, 0.5), at(times.first_byte, 0.5),
      at(times.first_byte, 0.99), at(times.gone, 0.5));
}

}  // namespace

int main(int argc, char** argv) {
  int runs = argc > 2 ? ::atoi(argv[2]) : 200;
  if (argc < 2 || runs <= 0) return 2;
  std::string state = "/tmp/mayfly-bench-XXXXXX";
  if (::mkdtemp(state.data()) == nullptr) return 1;
  auto process = sandbox::fork_launcher(state, sandbox::launcher_program());
  if (!process) return 1;
  SystemClock clock;
  io::Loop loop(clock);
  auto launcher = sandbox::attach_launcher(loop, std::move(*process));
  sandbox::Spec spec;
  spec.id = InstanceId("bench");
  spec.binds = {{std::filesystem::absolute(argv[1]), "/opt/probe"}};
  spec.argv = {"/opt/probe", "hello"};
  spec.limits.memory_bytes = 128ull << 20;
  spec.channel = spec.framed_log = true;
  int status = 0;
  std::vector<std::pair<std::string, std::vector<std::string>>> peers = {
      {"no jail", {argv[1], "hello"}}};
  for (int i = 3; i < argc; ++i) peers.push_back(peer_of(argv[i]));
  for (const auto& [name, words] : peers) {
    Times times;
    auto done = loop.run_until(peer_series(loop, words, runs, times));
    if (done)
      print(name.c_str(), times);
    else
      fmt::print(stderr, "{}: {}\n", name, done.error().message);
  }
  for (auto [name, gap_ms] : {std::pair("ahead", 20), std::pair("back to back", 0)}) {
    Times times;
    auto done = loop.run_until(series(loop, *launcher, spec, runs, gap_ms, times));
    if (!done) {
      fmt::print(stderr, "{}\n", done.error().message);
      status = 1;
      break;
    }
    print(name, times);
  }
  std::string beside = std::filesystem::absolute(argv[1]).parent_path() / "jail_template";
  for (auto [name, gap_ms] : {std::pair("fork ahead", 40), std::pair("fork back to back", 0)}) {
    Times times;
    if (loop.run_until(fork_series(loop, *launcher, beside, runs, gap_ms, times)))
      print(name, times);
  }
  loop.run_until(launcher->close());
  std::filesystem::remove_all(state);
  return status;
}
