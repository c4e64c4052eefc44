// The whole front in one process: real loopback sockets, a clock moved by hand, services with
// handlers of the test's own. Included by the tests of this room alone.
#pragma once

#include <doctest/doctest.h>

#include <thread>

#include "api/lambda.h"
#include "api/logs.h"
#include "api/sts.h"
#include "front/front.h"
#include "sim/manual_clock.h"
#include "sim/memory_store.h"
#include "wire/hash.h"
#include "wire/sigv4.h"

namespace mayfly::front::test {

struct Seen final : NullObserver {
  std::vector<std::string> calls;  // "lambda Invoke 200 CODE"
  void api_call(const ApiCallReport& report) override {
    calls.push_back(fmt::format("{} {} {} {}", report.service, report.operation, report.status,
                                report.error_code));
  }
};

struct World {
  sim::ManualClock clock;
  io::Loop loop{clock};
  sim::MemoryStore store{loop};
  SystemRandom random;
  Seen seen;
  std::optional<guard::Credentials> root;
  std::unique_ptr<guard::Guard> guard;
  std::unique_ptr<Front> front;
  std::uint16_t port = 0;
  std::uint64_t door = 0;
  // What the handlers saw, and the gate that Invoke waits at where a test closed it.
  std::vector<std::string> invoked;
  std::string last_account;
  std::string last_instance;
  io::Event gate{loop};
  int finished = 0;
  std::string big;

  explicit World(Settings settings = dev_settings()) {
    gate.set();
    auto opened = loop.run_until(guard::open_guard(store, clock, random, {settings.dev}, &root));
    REQUIRE(opened.has_value());
    guard = std::move(*opened);
    front = make_front({loop, random, *guard, seen, settings});
    add_services();
    auto fd = io::listen_tcp("127.0.0.1", 0);
    REQUIRE(fd.has_value());
    std::string address = io::address_of(*fd);
    port = static_cast<std::uint16_t>(std::stoi(address.substr(address.rfind(':') + 1)));
    door = front->add_listener(std::move(*fd), InstanceId("i-1"));
  }
  ~World() {
    gate.set();
    loop.run_until(front->close(clock.mono()));
  }
  static Settings dev_settings() {
    Settings settings;
    settings.dev = true;
    return settings;
  }

  static io::Task<api::ApiResult<wire::Record>> invoke(World& world, api::Call& call,
                                                       wire::Record input) {
    api::lambda::InvocationRequest in(std::move(input));
    world.last_account = call.scope.account.str() + " " + call.scope.region.str();
    world.invoked.push_back(
        fmt::format("{}:{}", in.function_name().value_or("-"), in.payload().value_or("")));
    co_await world.gate.wait();
    ++world.finished;
    api::lambda::InvocationResponse out;
    out.set_status_code(200);
    if (in.function_name() == "big") {
      out.set_payload(world.big);
    } else {
      out.set_payload(fmt::format("\"{}\"", in.payload().value_or("")));
    }
    co_return std::move(out).take();
  }
  static io::Task<api::ApiResult<wire::Record>> fail_get(api::Call&, wire::Record) {
    co_return std::unexpected(
        api::lambda::resource_not_found_exception("Function not found: nothing"));
  }
  static io::Task<api::ApiResult<wire::Record>> create_group(World& world, api::Call&,
                                                             wire::Record input) {
    api::logs::CreateLogGroupRequest in(std::move(input));
    world.invoked.emplace_back(in.log_group_name().value_or("-"));
    co_return wire::Record{};
  }
  static io::Task<api::ApiResult<wire::Record>> identity(api::Call& call, wire::Record) {
    api::sts::GetCallerIdentityResponse out;
    out.set_account(call.caller.account.str()).set_arn(call.caller.arn);
    co_return std::move(out).take();
  }
  static io::Task<Response> raw(World& world, const Request& request) {
    world.last_instance = request.instance.str();
    co_return Response{200,
                       {{"X-Seen", fmt::format("{} {}?{} {}", request.method, request.path,
                                               request.query, request.host)}},
                       "raw:" + request.body};
  }

  void add_services() {
    api::Service lambda;
    lambda.model = &api::lambda::model;
    lambda.handlers.emplace("Invoke", [this](api::Call& call, wire::Record input) {
      return invoke(*this, call, std::move(input));
    });
    lambda.handlers.emplace("GetFunction", fail_get);
    front->add_service(std::move(lambda));
    api::Service logs;
    logs.model = &api::logs::model;
    logs.handlers.emplace("CreateLogGroup", [this](api::Call& call, wire::Record input) {
      return create_group(*this, call, std::move(input));
    });
    front->add_service(std::move(logs));
    api::Service sts;
    sts.model = &api::sts::model;
    sts.handlers.emplace("GetCallerIdentity", identity);
    front->add_service(std::move(sts));
    front->add_path("/_mayfly/health", [this](const Request& r) { return raw(*this, r); });
    front->add_host_label("lambda-url", [this](const Request& r) { return raw(*this, r); });
  }
};

// A client that sends what a test tells it and looks at what came back.
struct Client {
  World& world;
  io::Stream stream;
  std::string got;
  bool ended = false;

  static io::Fd connect(World& world) {
    auto fd =
        world.loop.run_until(io::connect_tcp(world.loop, "127.0.0.1", world.port, no_deadline));
    REQUIRE(fd.has_value());
    return std::move(*fd);
  }
  explicit Client(World& of) : world(of), stream(of.loop, connect(of)) {}

  void send(std::string_view bytes) {
    auto sent = world.loop.run_until(stream.write_all(bytes, no_deadline));
    CHECK(sent.has_value());
    settle();
  }
  // Runs the loop until nothing more happens for a moment. Loopback needs no real waiting, but the
  // kernel may deliver a little later.
  void settle() {
    for (int quiet = 0; quiet < 3; ++quiet) {
      world.loop.run_ready();
      if (read()) quiet = 0;
      std::this_thread::sleep_for(std::chrono::microseconds(300));
    }
  }
  bool read() {
    bool any = false;
    std::array<char, 65'536> buffer{};
    while (!ended) {
      auto count = stream.read_some(buffer);
      if (!count || !*count) break;
      if (**count == 0) {
        ended = true;
      } else {
        got.append(buffer.data(), **count);
      }
      any = true;
    }
    return any;
  }
  std::string take() {
    settle();
    return std::exchange(got, {});
  }
  std::string ask(std::string_view bytes) {
    send(bytes);
    return take();
  }
};

inline std::string dev_auth(std::string_view service, std::string_view key = "test",
                            std::string_view region = "us-east-1") {
  return fmt::format(
      "Authorization: AWS4-HMAC-SHA256 Credential={}/20260101/{}/{}/aws4_request, "
      "SignedHeaders=host;x-amz-date, Signature=0\r\nX-Amz-Date: 20260101T000000Z\r\n",
      key, region, service);
}

inline std::string invoke_request(std::string_view body, std::string_view name = "f",
                                  std::string_view more = {}) {
  return fmt::format(
      "POST /2015-03-31/functions/{}/invocations HTTP/1.1\r\nHost: localhost:4566\r\n{}{}"
      "Content-Length: {}\r\n\r\n{}",
      name, dev_auth("lambda"), more, body.size(), body);
}

inline int status_of(std::string_view answer) {
  return answer.size() > 12 ? std::stoi(std::string(answer.substr(9, 3))) : 0;
}

inline bool has(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

inline std::string_view body_of(std::string_view answer) {
  std::size_t at = answer.find("\r\n\r\n");
  return at == std::string_view::npos ? std::string_view() : answer.substr(at + 4);
}

}  // namespace mayfly::front::test
