// The service in a test: memory store, packages in a temporary directory, a fake invoker and guard,
// time by hand. Calls go through the handlers that front/ would call.
#pragma once

#include <doctest/doctest.h>
#include <stdlib.h>

#include <filesystem>

#include "services/lambda/service.h"
#include "sim/manual_clock.h"
#include "sim/memory_store.h"
#include "sim/zip_maker.h"

namespace mayfly::lambda::test {

inline const Scope home{AccountId("000000000000"), Region("us-east-1")};
inline const std::string role = "arn:aws:iam::000000000000:role/r";

// Answers what a test sets and keeps what it was asked.
class FakeInvoker final : public invoke::Invoker {
 public:
  using Invoker::invoke;
  io::Task<Result<events::Outcome>> invoke(std::shared_ptr<const invoke::Runnable> runnable,
                                           invoke::Request request) override {
    runnables.push_back(*runnable);
    requests.push_back(std::move(request));
    co_return answer;
  }
  std::shared_ptr<invoke::StreamedCall> invoke_streaming(
      std::shared_ptr<const invoke::Runnable> runnable, invoke::Request request) override {
    runnables.push_back(*runnable);
    requests.push_back(std::move(request));
    streamed = make_streamed();
    return streamed;
  }
  io::Task<Result<>> enqueue(invoke::AsyncEvent event) override {
    queued.push_back(std::move(event));
    co_return Result<>{};
  }
  void set_resolver(invoke::Resolver) override {}
  void control_flow(const Scope&, const FunctionName& name,
                    std::optional<invoke::FunctionFlow> flow) override {
    flows[name.str()] = std::move(flow);
  }
  void start() override {}
  void retire(std::string_view concurrency_key, std::string_view) override {
    retired.emplace_back(concurrency_key);
  }
  void reserve(const Scope&, int total) override { reserved = total; }
  void provision(std::shared_ptr<const invoke::Runnable> runnable) override {
    provisions[runnable->pool_key] = runnable->kept_environments();
  }
  invoke::Provision provision_of(std::string_view) const override { return provision_state; }
  std::shared_ptr<invoke::SnapshotCall> snapshot(
      std::shared_ptr<const invoke::Runnable> runnable) override {
    runnables.push_back(*runnable);
    auto call = std::make_shared<invoke::SnapshotCall>(*loop);
    if (snapshot_answer) {
      call->result = snapshot_answer;
      call->done.set();
    }
    snapshots.push_back(call);
    return call;
  }
  void forget(std::string_view pool_key) override { forgotten.emplace_back(pool_key); }
  int running(std::string_view) const override { return 0; }
  bool breaker_lets(std::string_view) const override { return breaker_open == false; }
  void on_breaker(std::function<void(const std::string&)> call) override {
    breaker_changed = std::move(call);
  }
  Totals totals() const override { return {}; }
  io::Task<void> close(Deadline) override { co_return; }

  Result<events::Outcome> answer = events::Outcome{};
  std::function<std::shared_ptr<invoke::StreamedCall>()> make_streamed;
  std::shared_ptr<invoke::StreamedCall> streamed;  // the latest
  std::vector<invoke::Runnable> runnables;
  std::vector<invoke::Request> requests;
  std::vector<invoke::AsyncEvent> queued;
  std::map<std::string, std::optional<invoke::FunctionFlow>> flows;
  std::vector<std::string> retired;
  int reserved = 0;
  std::map<std::string, int> provisions;  // pool key → kept environments
  invoke::Provision provision_state;
  io::Loop* loop = nullptr;
  std::optional<Result<invoke::Snapshot>> snapshot_answer;  // none: it goes on
  std::vector<std::shared_ptr<invoke::SnapshotCall>> snapshots;
  std::vector<std::string> forgotten;
  bool breaker_open = false;
  std::function<void(const std::string&)> breaker_changed;
};

class FakeGuard final : public guard::Guard {
 public:
  Result<bool> precheck(const guard::SignedRequest&) override { return true; }
  Result<api::Caller> authenticate(const guard::SignedRequest&) override {
    if (!caller) return fail(ErrorKind::unauthenticated, "no", "MissingAuthenticationToken");
    return *caller;
  }
  guard::Decision authorize(const guard::Question& question) override {
    asked.push_back(fmt::format("{} {}", question.action, question.resource));
    return decision;
  }
  void set_resource_policies(guard::ResourcePolicies&) override {}
  guard::Credentials issue_role_credentials(const AccountId&, std::string_view, std::string_view,
                                            Duration) override {
    return {};
  }

  std::optional<api::Caller> caller;
  guard::Decision decision;
  std::vector<std::string> asked;
};

struct House {
  sim::ManualClock clock;
  io::Loop loop{clock};
  SystemRandom random;
  sim::MemoryStore store{loop};
  io::Workers workers{loop, 1};
  std::filesystem::path dir;
  std::unique_ptr<functions::Registry> registry;
  std::unique_ptr<functions::PackageStore> packages;
  std::optional<functions::FileSystems> file_systems;
  std::unique_ptr<functions::ImageStore> images;
  FakeInvoker invoker;
  FakeGuard guard;
  std::unique_ptr<Service> service;
  api::Service operations;
  Scope scope = home;
  std::string trace_header;
  bool settle_after_calls = true;
  bool from_function = false;  // calls come out of a jail
  Settings settings{};
  std::unique_ptr<io::BodySource> stream;  // of the latest call
  std::function<Result<std::string>(std::string_view)> runtime_warning;
  events::Switchboard* switchboard = nullptr;
  api::Calls* calls = nullptr;
  // What this machine has of each runtime.
  std::string runtime_build = "1";
  std::vector<std::string> deleted;            // functions
  std::vector<std::string> unsigned_deployed;  // "FUNCTION Warn" or "FUNCTION Enforce"

  explicit House(decltype(runtime_warning) warning = {}) : runtime_warning(std::move(warning)) {
    char name[] = "/tmp/mayfly-lambda-XXXXXX";
    dir = ::mkdtemp(name);
    invoker.loop = &loop;
    start();
  }
  ~House() {
    stop();
    std::filesystem::remove_all(dir);
  }
  void start() {
    registry = *functions::open_registry(loop, store);
    packages = *functions::open_package_store(loop, store, workers, dir);
    images = *functions::open_image_store(loop, store, workers, dir);
    file_systems.emplace(workers, dir);
    service = std::make_unique<Service>(
        Deps{loop,
             random,
             *registry,
             *packages,
             *file_systems,
             *images,
             invoker,
             guard,
             settings,
             runtime_warning,
             [this](const Region& region, std::string_view identifier) -> Result<std::string> {
               return fmt::format("arn:aws:lambda:{}::runtime:{}-{}", region.str(), identifier,
                                  runtime_build);
             },
             [this](const Scope&, const FunctionName& name, functions::SigningPolicy policy) {
               bool enforce = policy == functions::SigningPolicy::enforce;
               unsigned_deployed.push_back(name.str() + (enforce ? " Enforce" : " Warn"));
             },
             [this](const Scope&, const FunctionName& name) { deleted.push_back(name.str()); },
             nullptr,
             switchboard,
             {},
             calls});
    operations = service->operations();
    REQUIRE(loop.run_until(service->start()));
  }
  void stop() {
    if (service) loop.run_until(service->close());
    service.reset();
  }

  ApiResult<wire::Record> call(std::string_view operation, wire::Record input) {
    const api::Operation* row = nullptr;
    for (const auto& one : model::model.operations) {
      if (one.name == operation) row = &one;
    }
    REQUIRE(row);
    api::Call call{.operation = *row,
                   .caller = {},
                   .scope = scope,
                   .request_id = RequestId("request-1"),
                   .deadline = no_deadline,
                   .host = "localhost:4566",
                   .trace_header = trace_header,
                   .instance = InstanceId(from_function ? "i-1" : "")};
    auto handler = operations.handlers.find(operation);
    REQUIRE(handler != operations.handlers.end());
    auto answer = loop.run_until(handler->second(call, std::move(input)));
    stream = std::move(call.stream);
    if (settle_after_calls) settle();
    return answer;
  }
  // The answer as the view `Out`; fails the test when the call did. Views share their record, so
  // that a request stays whole only when the call gets a copy.
  template <class Out, class In>
  Out ok(std::string_view operation, In in) {
    auto answer = call(operation, wire::Record(in.record()));
    INFO(operation, ": ", answer ? std::string() : answer.error().message);
    REQUIRE(answer);
    return Out(std::move(*answer));
  }
  template <class In>
  void done(std::string_view operation, In in) {
    auto answer = call(operation, wire::Record(in.record()));
    INFO(operation, ": ", answer ? std::string() : answer.error().message);
    REQUIRE(answer);
  }
  // The error as "CODE STATUS: message".
  template <class In>
  std::string refused(std::string_view operation, In in) {
    auto answer = call(operation, wire::Record(in.record()));
    if (answer) return "accepted";
    const auto& error = answer.error();
    return fmt::format("{} {}: {}", error.code, error.http_status, error.message);
  }
  // Lets background work end.
  void settle() {
    bool pending = true;
    while (pending) {
      loop.run_ready();
      pending = false;
      registry->for_each([&pending](const functions::Function& function) {
        pending = pending || function.latest.state == functions::State::pending ||
                  function.latest.update_status == functions::UpdateStatus::in_progress;
      });
    }
  }

  static std::string zip(const std::string& text = "exports.handler = 1") {
    return sim::ZipMaker().file("index.js", text).bytes();
  }
  static model::CreateFunctionRequest request(const std::string& name) {
    model::CreateFunctionRequest in;
    model::FunctionCode code;
    code.set_zip_file(zip());
    in.set_function_name(name).set_runtime("nodejs20.x").set_handler("index.handler");
    in.set_role(role).set_code(code);
    return in;
  }
  model::FunctionConfiguration create(const std::string& name) {
    return ok<model::FunctionConfiguration>("CreateFunction", request(name));
  }
  std::string publish(const std::string& name, const std::string& description) {
    model::UpdateFunctionConfigurationRequest change;
    change.set_function_name(name).set_description(description);
    done("UpdateFunctionConfiguration", change);
    model::PublishVersionRequest in;
    in.set_function_name(name);
    return std::string(*ok<model::FunctionConfiguration>("PublishVersion", in).version());
  }
};

}  // namespace mayfly::lambda::test
