// Serves a fixed answer through the whole front, and an Invoke whose function is a handler that
// echoes, for bench/front/run to measure. Usage: bench_front PORT
#include <fmt/format.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "api/lambda.h"
#include "front/front.h"
#include "io/workers.h"
#include "store/store.h"

using namespace mayfly;

namespace {

io::Task<front::Response> fixed(const front::Request&) {
  co_return front::Response{200, {{"Content-Type", "text/plain"}}, "Hello, world!"};
}

io::Task<api::ApiResult<wire::Record>> invoke(api::Call&, wire::Record input) {
  api::lambda::InvocationRequest in(std::move(input));
  api::lambda::InvocationResponse out;
  out.set_status_code(200).set_payload(std::string(in.payload().value_or("")));
  co_return std::move(out).take();
}

template <class T>
T must(Result<T> result) {
  if (result) return *std::move(result);
  fmt::print(stderr, "{}\n", result.error().message);
  std::exit(1);
}

}  // namespace

int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);
  int port = argc > 1 ? std::atoi(argv[1]) : 0;
  std::string dir = (std::filesystem::temp_directory_path() / "mayfly-bench-front-XXXXXX").string();
  if (mkdtemp(dir.data()) == nullptr) return 1;
  {
    SystemClock clock;
    SystemRandom random;
    io::Loop loop(clock);
    io::Workers workers(loop, 1);
    auto store = must(store::open_embedded(loop, workers, dir, "state"));
    auto guard =
        must(loop.run_until(guard::open_guard(*store, clock, random, {.dev = true}, nullptr)));
    NullObserver observer;
    front::Settings settings;
    settings.dev = true;
    auto front = front::make_front({loop, random, *guard, observer, settings});
    front->add_path("/fixed", fixed);
    api::Service lambda;
    lambda.model = &api::lambda::model;
    lambda.handlers.emplace("Invoke", invoke);
    front->add_service(std::move(lambda));
    auto fd = must(io::listen_tcp("127.0.0.1", static_cast<std::uint16_t>(port)));
    front->add_listener(std::move(fd), {});
    static io::Loop* running = nullptr;
    running = &loop;
    std::signal(SIGTERM, [](int) { running->stop(); });
    loop.run();
    loop.run_until(front->close(loop.now()));
  }
  std::error_code ignored;
  std::filesystem::remove_all(dir, ignored);
  return 0;
}
