#include "mayfly/server.h"

#include <malloc.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>

#include "base/log.h"
#include "io/fd.h"
#include "mayfly/cloud.h"
#include "sandbox/launcher_process.h"
#include "wire/json.h"

namespace mayfly {

namespace {

namespace fs = std::filesystem;

bool is_loopback(const std::string& host) { return host.starts_with("127.") || host == "::1"; }

Result<> check(const ServerOptions& options) {
  if (options.dev && !is_loopback(options.host)) {
    return fail(
        ErrorKind::invalid,
        fmt::format("--dev accepts well-known keys and listens on loopback only, not on {}; "
                    "leave --dev away to serve a network",
                    options.host));
  }
  std::error_code error;
  fs::create_directories(options.data_dir, error);
  if (error) {
    return fail(ErrorKind::invalid, fmt::format("cannot make the data directory {}: {}",
                                                options.data_dir, error.message()));
  }
  return {};
}

// SIGTERM and SIGINT arrive as readable bytes on the loop; a broken pipe is an error value.
Result<io::Fd> take_signals() {
  ::signal(SIGPIPE, SIG_IGN);
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  if (::sigprocmask(SIG_BLOCK, &set, nullptr) != 0) return fail_errno("sigprocmask", errno);
  io::Fd fd(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!fd) return fail_errno("signalfd", errno);
  return fd;
}

// Every environment costs several descriptors, every connection one.
void raise_descriptor_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

// One heap for all threads, that grows and shrinks in large steps: with one per thread glibc spends
// a system call on every few allocations of the store's writer and of the loop.
void tune_heap() {
  ::mallopt(M_ARENA_MAX, 1);
  ::mallopt(M_TOP_PAD, 4 << 20);
  ::mallopt(M_TRIM_THRESHOLD, 32 << 20);
}

// One line, for programs that start a server.
void announce_json(const Cloud& cloud, const ServerOptions& options, std::int64_t took_ms) {
  wire::Json out = wire::Json::object({{"ready", true},
                                       {"endpoint", "http://" + cloud.address()},
                                       {"dev", options.dev},
                                       {"data", options.data_dir},
                                       {"startedMs", took_ms}});
  if (const auto& root = cloud.first_root()) {
    out["accessKeyId"] = root->access_key_id;
    out["secretAccessKey"] = root->secret_access_key;
  }
  std::printf("%s\n", out.dump().c_str());
  std::fflush(stdout);
}

void announce(const Cloud& cloud, const ServerOptions& options, Duration took) {
  auto took_ms = std::chrono::duration_cast<std::chrono::milliseconds>(took).count();
  if (options.json) return announce_json(cloud, options, took_ms);
  if (const auto& root = cloud.first_root()) {
    std::printf(
        "\nThe root credential of this cloud, shown this once:\n"
        "  AWS_ACCESS_KEY_ID=%s\n  AWS_SECRET_ACCESS_KEY=%s\n\n",
        root->access_key_id.c_str(), root->secret_access_key.c_str());
  }
  std::printf("mayfly is ready on http://%s (%s, data in %s, started in %lld ms)\n",
              cloud.address().c_str(), options.dev ? "dev mode: key test" : "signed requests only",
              options.data_dir.c_str(), static_cast<long long>(took_ms));
  std::fflush(stdout);
}

io::Task<Result<int>> wait_for_signal(io::Loop& loop, io::Fd signals) {
  io::Stream stream(loop, std::move(signals));
  signalfd_siginfo info{};
  CO_TRY(co_await stream.read_exact(std::span(reinterpret_cast<char*>(&info), sizeof info),
                                    no_deadline));
  co_return static_cast<int>(info.ssi_signo);
}

io::Task<Result<>> serve(Cloud& cloud, const ServerOptions& options, io::Fd signals,
                         MonoTime started) {
  auto opened = co_await cloud.open();
  if (opened) {
    announce(cloud, options, cloud.loop().now() - started);
    auto signal = co_await wait_for_signal(cloud.loop(), std::move(signals));
    log::info("mayfly", "stopping: {}", signal ? ::strsignal(*signal) : signal.error().message);
  }
  co_await cloud.close();
  co_return opened;
}

}  // namespace

int run_server(const ServerOptions& options) {
  log::configure(options.debug_log ? log::Level::debug : log::Level::info,
                 options.json_log ? log::Format::json : log::Format::text);
  MonoTime started = std::chrono::steady_clock::now();
  auto run = [&]() -> Result<> {
    TRY(check(options));
    tune_heap();
    raise_descriptor_limit();
    std::string data_dir = fs::absolute(options.data_dir).lexically_normal().string();
    // First, while there is one thread: the process that makes jails.
    TRY_ASSIGN(auto launcher, sandbox::fork_launcher(data_dir, sandbox::launcher_program()));
    TRY_ASSIGN(auto signals, take_signals());
    Cloud cloud(options, data_dir, std::move(launcher));
    return cloud.loop().run_until(serve(cloud, options, std::move(signals), started));
  };
  auto outcome = run();
  if (outcome) return 0;
  std::fprintf(stderr, "mayfly: %s\n", outcome.error().message.c_str());
  return 1;
}

}  // namespace mayfly
