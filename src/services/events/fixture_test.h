// The service on a store in memory, under a clock moved by hand, with targets that keep what they
// get. Included by tests of this room.
#pragma once

#include <doctest/doctest.h>

#include "services/events/service.h"
#include "sim/manual_clock.h"
#include "sim/memory_store.h"
#include "sim/service_calls.h"

namespace mayfly::services::bus::test {

using namespace std::chrono_literals;
using wire::Json;

// Takes everything, or answers with `error`.
struct Sink final : events::Target {
  Result<> check(std::string_view, const events::Sender&) override { return {}; }
  io::Task<Result<events::Outcome>> push(events::Delivery delivery) override {
    got.push_back(std::move(delivery));
    if (gate != nullptr) co_await gate->wait();
    if (error) co_return std::unexpected(*error);
    co_return events::Outcome{};
  }
  std::vector<events::Delivery> got;
  std::optional<Error> error;
  io::Event* gate = nullptr;  // nothing ends before it is set
};

struct AllowAll final : guard::Guard {
  Result<api::Caller> authenticate(const guard::SignedRequest&) override { return api::Caller(); }
  Result<bool> precheck(const guard::SignedRequest&) override { return false; }
  guard::Decision authorize(const guard::Question&) override {
    return {.allowed = allowed, .reason = {}};
  }
  void set_resource_policies(guard::ResourcePolicies&) override {}
  guard::Credentials issue_role_credentials(const AccountId&, std::string_view, std::string_view,
                                            Duration) override {
    return {};
  }
  bool allowed = true;
};

struct Bench {
  Bench() : loop(clock), workers(loop, 1), disk(loop), http(loop, workers) {
    switchboard.add_target("sqs", queue);
    switchboard.add_target("lambda", function);
    open();
  }
  ~Bench() { close(); }

  void open() {
    auto opened =
        EventBus::open({loop, random, disk, guard, switchboard, http, key, &board, counts()});
    REQUIRE_MESSAGE(opened.has_value(), opened.error().message);
    bus = std::move(*opened);
    switchboard.add_target("events", bus->target());
    service = bus->service();
    bus->start();
  }
  Counts counts() {
    return {.count =
                [this](const BusRef& bus, std::string_view rule, Step step) {
                  ++steps[fmt::format("{} {} {}", bus.name, rule, name_of(step))];
                },
            .started = [this](const BusRef&, double seconds) { latencies.push_back(seconds); }};
  }
  void close() {
    bus->stop();
    loop.run_until(bus->close());
    bus.reset();
  }
  // What a restart after a crash finds: the rows, and nothing else.
  void restart() {
    close();
    open();
  }

  api::ApiResult<wire::Record> call(std::string_view name, wire::Record input) {
    return sim::call_service(loop, service, {scope, instance}, name, std::move(input));
  }
  // Input and output as JSON.
  Json ok(std::string_view name, const Json& in) {
    auto answer = call(name, input(name, in));
    REQUIRE_MESSAGE(answer.has_value(), answer.error().message);
    return answer->shape == nullptr ? Json() : json_of(*answer);
  }
  std::string error(std::string_view name, const Json& in) {
    auto answer = call(name, input(name, in));
    return answer ? "(success)" : answer.error().code + ": " + answer.error().message;
  }
  wire::Record input(std::string_view name, const Json& in) {
    auto row = std::ranges::find(service.model->operations, name, &api::Operation::name);
    auto record = record_of(*row->input, in);
    REQUIRE_MESSAGE(record.has_value(), record.error().message);
    return *std::move(record);
  }

  static Json json(std::string_view text) {
    auto out = wire::parse_json(text);
    REQUIRE_MESSAGE(out.has_value(), out.error().message);
    return *std::move(out);
  }
  void rule(std::string name, std::string_view pattern, std::string_view targets) {
    Json in;
    in["Name"] = name;
    in["EventPattern"] = pattern;
    ok("PutRule", in);
    Json put;
    put["Rule"] = name;
    put["Targets"] = json(targets);
    ok("PutTargets", put);
  }
  // Of source "s" and detail-type "t".
  std::string put(std::string_view detail, std::string_view bus_name = "default") {
    Json entry;
    entry["Source"] = "s";
    entry["DetailType"] = "t";
    entry["Detail"] = detail;
    entry["EventBusName"] = bus_name;
    Json in;
    in["Entries"] = Json::array({entry});
    auto out = ok("PutEvents", in);
    CHECK(out.int_or("FailedEntryCount", -1) == 0);
    loop.run_ready();
    return std::string(out.find("Entries")->as<wire::JsonArray>()->front().string_or("EventId"));
  }
  void pass(Duration time) {
    clock.advance(time);
    loop.run_ready();
  }
  std::size_t rows(std::string_view prefix) { return *disk.count(prefix, ""); }

  Scope scope{AccountId("123456789012"), Region("us-east-1")};
  std::map<std::string, int> steps;  // "BUS RULE STEP"
  std::vector<double> latencies;
  std::string key = std::string(Vault::key_bytes, 'k');
  std::string instance;  // the environment that calls, or empty
  mayfly::events::EffectsBoard board;
  sim::ManualClock clock;
  SystemRandom random;
  io::Loop loop;
  io::Workers workers;
  sim::MemoryStore disk;
  io::HttpClient http;
  AllowAll guard;
  events::Switchboard switchboard;
  Sink queue;
  Sink function;
  std::unique_ptr<EventBus> bus;
  api::Service service;
};

}  // namespace mayfly::services::bus::test
