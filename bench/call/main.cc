// A server without jails for callgrind, which cannot follow the launcher: front, the Lambda
// service, the invoker with its channels, logs and metrics are the real ones; the guests are
// threads that answer each event at once. bench/call/run drives it. Usage: bench_call PORT
#include <fmt/format.h>
#include <sys/mman.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <thread>

#include "front/front.h"
#include "guard/policy.h"
#include "guest/lambda/lean.h"
#include "io/record_ring.h"
#include "services/lambda/service.h"
#include "sim/fake_sandbox.h"
#include "telemetry/telemetry.h"

using namespace mayfly;

namespace {

constexpr std::uint32_t busy_micros = 5;
constexpr std::uint32_t knows_output = 0x40;
constexpr std::string_view answer = R"({"message":"mmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmm"})";

std::string frame(guest::FrameType type, std::uint32_t flags, std::uint32_t sequence,
                  std::string_view body) {
  std::array<std::uint32_t, 3> head{static_cast<std::uint32_t>(body.size()),
                                    static_cast<std::uint32_t>(type) | flags, sequence};
  return std::string(reinterpret_cast<const char*>(head.data()), sizeof head).append(body);
}

// What wakes for events, the answers' pipe, the memory with the events (io/record_ring.h), and that
// for answers (io/byte_ring.h), which this guest does not use: it answers many with one write.
std::array<int, 4> receive_pipes(int socket) {
  std::array<int, 4> out{-1, -1, -1, -1};
  char byte = 0;
  iovec part{&byte, 1};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof out)> control{};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  if (::recvmsg(socket, &message, 0) == 1 && CMSG_FIRSTHDR(&message) != nullptr) {
    std::memcpy(out.data(), CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof out);
  }
  return out;
}

// As fork/channel.cc of the Node.js runtime, which copies what it has taken.
struct Ring {
  char* memory = nullptr;
  std::atomic_ref<std::uint32_t> number_at(std::size_t offset) const {
    return std::atomic_ref(*reinterpret_cast<std::uint32_t*>(memory + offset));
  }
  bool take(std::string& out) const {
    constexpr std::size_t size = io::Records::record_max_bytes;
    std::uint32_t next = number_at(0);
    if (next == number_at(64)) return false;
    std::string_view slot(memory + (1 + next % io::RecordRing::slots) * size, size);
    auto head = guest::parse_frame_head(slot);
    out.append(slot.substr(0, guest::frame_head_bytes + head->length));
    return number_at(0).compare_exchange_strong(next, next + 1);
  }
  bool wait(int bell) const {
    number_at(128) = 1;
    char byte = 0;
    return number_at(0) != number_at(64) || ::read(bell, &byte, 1) == 1;
  }
};

// The guest's side of the lean protocol (guest/lambda/lean.h).
void play_guest(io::Fd channel) {
  Ring ring;
  int from = channel.get();
  int to = channel.get();
  auto tell = [&to](const std::string& bytes) {
    return ::write(to, bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size());
  };
  if (!tell(frame(guest::FrameType::ready, 0, 2, {}))) return;
  std::string bytes;
  std::array<char, 64 * 1024> chunk{};
  while (true) {
    if (ring.memory != nullptr) {
      while (ring.take(bytes)) {
      }
      if (bytes.empty() && !ring.wait(from)) return;
    } else {
      ssize_t got = ::read(from, chunk.data(), chunk.size());
      if (got <= 0) return;
      bytes.append(chunk.data(), static_cast<std::size_t>(got));
    }
    std::string answers;
    std::string_view rest = bytes;
    while (rest.size() >= guest::frame_head_bytes) {
      auto head = guest::parse_frame_head(rest);
      if (!head || rest.size() < guest::frame_head_bytes + head->length) break;
      rest.remove_prefix(guest::frame_head_bytes + head->length);
      if (head->type == guest::FrameType::pipes) {
        if (!tell(frame(guest::FrameType::pipes, 0, 0, std::string(2, '\0')))) return;
        auto ends = receive_pipes(from);
        from = ends[0];
        to = ends[1];
        void* mapped = ::mmap(nullptr, io::RecordRing::memory_bytes, PROT_READ | PROT_WRITE,
                              MAP_SHARED, ends[2], 0);
        if (mapped == MAP_FAILED) return;
        ring.memory = static_cast<char*>(mapped);
        continue;
      }
      std::uint32_t flags = (to == channel.get() ? 0 : knows_output) | busy_micros << 8;
      answers += frame(guest::FrameType::response, flags, head->sequence,
                       std::string(2, '\0').append(answer));
    }
    bytes.erase(0, bytes.size() - rest.size());
    if (!answers.empty() && !tell(answers)) return;
  }
}

class Launcher final : public sandbox::Launcher {
 public:
  explicit Launcher(io::Loop& loop) : fake_(loop) {}
  io::Task<Result<std::unique_ptr<sandbox::Instance>>> launch(sandbox::Spec spec) override {
    auto made = fake_.make(std::move(spec));
    if (made) std::thread(play_guest, std::move(fake_.jails.back()->channel)).detach();
    co_return made;
  }
  Result<std::unique_ptr<sandbox::Instance>> fork(sandbox::Instance&, sandbox::Spec) override {
    return fail(ErrorKind::unimplemented, "these guests are not forked");
  }
  io::Task<Result<>> specialise(sandbox::Instance&, sandbox::Spec) override {
    co_return fail(ErrorKind::unimplemented, "these guests are not specialised");
  }
  void keep_ready(sandbox::Instance&, unsigned) override {}
  io::Task<void> close() override { co_return; }

 private:
  sim::FakeLauncher fake_;
};

template <class T>
T must(Result<T> result) {
  if (result) return *std::move(result);
  fmt::print(stderr, "{}\n", result.error().message);
  std::exit(1);
}

// What mayfly/cloud.cc wires, as far as a call comes by it.
struct Server {
  explicit Server(std::string folder) : dir(std::move(folder)) {}
  std::string dir;
  SystemClock clock;
  SystemRandom random;
  io::Loop loop{clock};
  io::Workers workers{loop, 1};
  telemetry::Registry metrics;
  guard::PoliciesByService policies;
  std::unique_ptr<store::Store> state = must(store::open_embedded(loop, workers, dir, "state"));
  std::unique_ptr<store::Store> lines = must(store::open_embedded(loop, workers, dir, "logs"));
  std::unique_ptr<telemetry::LogStore> logs =
      must(loop.run_until(telemetry::LogStore::open(loop, *lines)));
  telemetry::Telemetry telemetry{*logs, metrics};
  std::unique_ptr<guard::Guard> guard =
      must(loop.run_until(guard::open_guard(*state, clock, random, {.dev = true}, nullptr)));
  std::unique_ptr<functions::PackageStore> packages =
      must(functions::open_package_store(loop, *state, workers, dir));
  functions::FileSystems file_systems{workers, dir};
  std::unique_ptr<functions::ImageStore> images =
      must(functions::open_image_store(loop, *state, workers, dir));
  std::unique_ptr<functions::Registry> registry = must(functions::open_registry(loop, *state));
  Launcher launcher{loop};
  sandbox::RuntimePack pack;
  std::unique_ptr<invoke::Invoker> invoker;
  std::unique_ptr<front::Front> front;
  std::unique_ptr<lambda::Service> lambda;

  void open(std::uint16_t port);
};

void Server::open(std::uint16_t port) {
  pack.name = "nodejs20.x";
  pack.language = "nodejs";
  pack.argv = {"/usr/bin/node", "/var/runtime/bootstrap.js"};
  invoker = must(loop.run_until(invoke::make_invoker({
      .loop = loop,
      .random = random,
      .observer = telemetry,
      .launcher = launcher,
      .store = *state,
      .choose_runtime = [this](std::string_view) -> Result<sandbox::RuntimeChoice> {
        return sandbox::RuntimeChoice{.pack = &pack, .warning = {}};
      },
      .open_channel =
          [this](invoke::GuestEnds ends) {
            return guest::make_lean_channel(loop, std::move(ends.socket));
          },
      .credentials = [](const invoke::Runnable&) { return invoke::RoleCredentials{}; },
      .serve_endpoint = [](io::Fd, const InstanceId&) -> std::uint64_t { return 0; },
      .end_endpoint = [](std::uint64_t) {},
      .deliver = [](const events::Delivery&) -> io::Task<Result<events::Outcome>> {
        co_return fail(ErrorKind::unimplemented, "nothing is delivered here");
      },
      .settings = {.requests_per_concurrency = 0, .fork_environments = false},
  })));
  lambda = std::make_unique<lambda::Service>(lambda::Deps{
      .loop = loop,
      .random = random,
      .registry = *registry,
      .packages = *packages,
      .file_systems = file_systems,
      .images = *images,
      .invoker = *invoker,
      .guard = *guard,
      .settings = {},
      .runtime_warning = [](std::string_view) -> Result<std::string> { return std::string(); },
      .runtime_version_arn = [](const Region&, std::string_view) -> Result<std::string> {
        return std::string();
      },
      .unsigned_deployed = {}});
  policies.add("lambda", *lambda);
  guard->set_resource_policies(policies);
  front = front::make_front({loop, random, *guard, telemetry, {.dev = true}});
  front->add_service(lambda->operations());
  if (!loop.run_until(lambda->start())) std::exit(1);
  front->add_listener(must(io::listen_tcp("127.0.0.1", port)), {});
}

}  // namespace

int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);
  int port = argc > 1 ? std::atoi(argv[1]) : 0;
  std::string dir = (std::filesystem::temp_directory_path() / "mayfly-bench-call-XXXXXX").string();
  if (mkdtemp(dir.data()) == nullptr) return 1;
  {
    Server server(dir);
    server.open(static_cast<std::uint16_t>(port));
    static io::Loop* running = nullptr;
    running = &server.loop;
    std::signal(SIGTERM, [](int) { running->stop(); });
    server.loop.run();
    server.loop.run_until(server.front->close(server.loop.now()));
    server.loop.run_until(server.lambda->close());
    server.loop.run_until(server.invoker->close(server.loop.now()));
    server.loop.run_until(server.logs->close());
  }
  std::error_code ignored;
  std::filesystem::remove_all(dir, ignored);
  return 0;
}
