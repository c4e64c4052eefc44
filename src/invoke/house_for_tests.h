// The room's tests in common: an Invoker over fakes and a clock that is moved by hand.
#pragma once

#include <doctest/doctest.h>

#include "base/movable_clock.h"
#include "invoke/invoker.h"
#include "sim/fake_sandbox.h"
#include "sim/manual_clock.h"
#include "sim/memory_store.h"
#include "sim/recording_observer.h"

namespace mayfly::invoke::testing {

using namespace std::chrono_literals;

struct House {
  sim::ManualClock clock;
  MovableClock platform{clock};
  io::Loop loop{platform};
  SystemRandom random;
  sim::RecordingObserver observer;
  sim::FakeLauncher launcher{loop};
  sim::MemoryStore store{loop};
  sandbox::RuntimePack pack;
  std::optional<Error> runtime_error;
  std::string runtime_warning;
  std::optional<MachineReading>
      machine;  // set before start(): a machine that says what it has left
  int endpoints_open = 0;
  int credentials_made = 0;
  Settings settings;
  io::TaskScope tasks{loop};
  std::unique_ptr<Invoker> invoker;

  House() {
    pack.name = "nodejs20.x";
    pack.language = "nodejs";
    pack.version = "20.20.2";
    pack.argv = {"/usr/bin/node", "/var/runtime/bootstrap.js"};
  }
  ~House() {
    stop();
    REQUIRE(launcher.alive() == 0);
    REQUIRE(endpoints_open == 0);
  }

  void start() {
    auto made = loop.run_until(make_invoker(deps()));
    REQUIRE(made);
    invoker = std::move(*made);
  }
  void stop() {
    if (!invoker) return;
    loop.run_until(invoker->close(loop.now()));
    loop.run_until(tasks.drain(no_deadline));
    invoker.reset();
  }
  Deps deps() {
    return Deps{
        .loop = loop,
        .random = random,
        .observer = observer,
        .launcher = launcher,
        .store = store,
        .choose_runtime = [this](std::string_view) -> Result<sandbox::RuntimeChoice> {
          if (runtime_error) return std::unexpected(*runtime_error);
          return sandbox::RuntimeChoice{.pack = &pack, .warning = runtime_warning};
        },
        .open_channel =
            [this](GuestEnds ends) {
              return launcher.open_channel(std::move(ends.socket ? ends.socket : ends.port));
            },
        .credentials =
            [this](const Runnable&) {
              ++credentials_made;
              return RoleCredentials{"AKID", "secret", "token"};
            },
        .serve_endpoint = [this](io::Fd, const InstanceId&) -> std::uint64_t {
          ++endpoints_open;
          return 7;
        },
        .end_endpoint = [this](std::uint64_t) { --endpoints_open; },
        .deliver = [this](events::Delivery delivery) { return deliver(std::move(delivery)); },
        .settings = settings,
        .read_machine = machine ? ReadMachine([this] { return *machine; }) : ReadMachine(),
    };
  }

  // What was pushed to resources; each push answers what the test says.
  std::vector<events::Delivery> delivered;
  std::optional<Error> delivery_error;
  io::Task<Result<events::Outcome>> deliver(events::Delivery delivery) {
    delivered.push_back(std::move(delivery));
    if (delivery_error) co_return std::unexpected(*delivery_error);
    co_return events::Outcome{};
  }

  static Runnable function(const std::string& name = "hello") {
    Runnable out;
    out.pool_key = "000000000000/us-east-1/" + name + "/$LATEST/1";
    out.concurrency_key = "000000000000/us-east-1/" + name;
    out.scope = {AccountId("000000000000"), Region("us-east-1")};
    out.name = FunctionName(name);
    out.version = "$LATEST";
    out.function_arn = "arn:aws:lambda:us-east-1:000000000000:function:" + name;
    out.runtime = "nodejs20.x";
    out.handler = "index.handler";
    out.code_dir = "/code";
    out.log_group = "/aws/lambda/" + name;
    return out;
  }

  using Answer = std::optional<Result<events::Outcome>>;
  static Request request(std::string id, std::string payload = "{}") {
    Request out;
    out.event.id = RequestId(std::move(id));
    out.event.payload = std::move(payload);
    out.invoked_arn = "arn";
    out.want_log_tail = true;
    return out;
  }
  // Starts an invocation; the answer appears when the loop and the clock have moved far enough.
  std::shared_ptr<Answer> begin(Runnable runnable, Request req) {
    auto answer = std::make_shared<Answer>();
    tasks.spawn(run(invoker.get(), std::move(runnable), std::move(req), answer));
    loop.run_ready();
    return answer;
  }
  events::Outcome call(Runnable runnable, std::string id = "r1", std::string payload = "{}") {
    auto answer = begin(std::move(runnable), request(std::move(id), std::move(payload)));
    REQUIRE(*answer);
    REQUIRE(**answer);
    return ***answer;
  }
  void pass(Duration time) {
    clock.advance(time);
    loop.run_ready();
  }
  // Platform time alone.
  void move(Duration time) {
    platform.advance(time);
    loop.run_ready();
  }

 private:
  static io::Task<void> run(Invoker* invoker, Runnable runnable, Request req,
                            std::shared_ptr<Answer> answer) {
    *answer = co_await invoker->invoke(std::move(runnable), std::move(req));
  }
};

// Guests.
inline io::Task<Result<guest::InvokeReply>> hang(sim::FakeInstance& instance, guest::InvokeRequest,
                                                 Deadline deadline) {
  co_return std::unexpected(co_await sim::silence(instance.jail(), deadline));
}
inline io::Task<Result<guest::InvokeReply>> exit_with_3(sim::FakeInstance& instance,
                                                        guest::InvokeRequest, Deadline) {
  instance.jail().end({.code = 3});
  co_return fail(ErrorKind::unavailable, "the guest went away");
}
inline io::Task<Result<guest::InvokeReply>> fail_handled(sim::FakeInstance&, guest::InvokeRequest,
                                                         Deadline) {
  guest::InvokeReply reply;
  reply.is_error = true;
  reply.payload = R"({"errorType":"Error","errorMessage":"no"})";
  co_return reply;
}

}  // namespace mayfly::invoke::testing
