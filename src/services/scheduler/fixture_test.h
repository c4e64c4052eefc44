// The service on a store in memory, under a clock moved by hand, with targets that note what they
// get. Included by tests of this room.
#pragma once

#include <doctest/doctest.h>

#include "services/scheduler/service.h"
#include "sim/manual_clock.h"
#include "sim/memory_store.h"
#include "sim/service_calls.h"
#include "wire/text.h"

namespace mayfly::services::scheduler::test {

using namespace std::chrono_literals;

class NotingTarget final : public events::Target {
 public:
  Result<> check(std::string_view, const events::Sender&) override { return {}; }
  io::Task<Result<events::Outcome>> push(events::Delivery delivery) override {
    got.push_back(std::move(delivery));
    while (hold) co_await lot->park();
    if (refuse) co_return std::unexpected(*refuse);
    co_return outcome;
  }
  std::vector<events::Delivery> got;
  events::Outcome outcome;
  std::optional<Error> refuse;
  bool hold = false;
  io::ParkingLot* lot = nullptr;
};

class NotingCalls final : public api::Calls {
 public:
  api::ApiResult<void> check(std::string_view service, std::string_view) const override {
    if (service == "sqs") return {};
    return std::unexpected(api::not_implemented(service, "it"));
  }
  io::Task<api::ApiResult<wire::Record>> call(api::OwnCall call) override {
    got.push_back(std::move(call));
    if (refuse) co_return std::unexpected(*refuse);
    co_return wire::Record();
  }
  io::Task<api::ApiResult<api::OwnStream>> open(api::OwnCall) override {
    co_return std::unexpected(api::validation("schedules take no streams"));
  }
  std::vector<api::OwnCall> got;
  std::optional<api::ApiError> refuse;
};

struct Bench : sim::TypedCalls<Bench> {
  Bench() : loop(clock), disk(loop), lot(loop) {
    for (auto* target : {&function, &queue, &bus}) target->lot = &lot;
    board.add_target("lambda", function);
    board.add_target("sqs", queue);
    board.add_target("events", bus);
    open();
  }
  ~Bench() { close(); }

  void open() {
    auto opened =
        loop.run_until(Scheduler::open({.loop = loop,
                                        .random = random,
                                        .store = disk,
                                        .zones = zone,
                                        .switchboard = board,
                                        .calls = calls,
                                        .count = [this](const GroupRef& group, Step step) {
                                          ++steps[fmt::format("{} {}", group.name, name_of(step))];
                                        }}));
    REQUIRE_MESSAGE(opened.has_value(), opened.error().message);
    scheduler = std::move(*opened);
    service = make_scheduler_service(*scheduler);
    scheduler->start();
    loop.run_ready();
  }
  void close() {
    function.hold = queue.hold = false;
    lot.wake_all();
    scheduler->stop();
    loop.run_until(scheduler->close());
    scheduler.reset();
  }
  std::map<std::string, int> steps;  // "GROUP STEP"

  // What a start after `down` finds.
  void restart(Duration down = 0s) {
    close();
    clock.advance(down);
    open();
  }

  // UTC alone: zones have tests of their own.
  static Result<std::shared_ptr<const wire::TimeZone>> zone(std::string_view name) {
    if (name == "UTC") return wire::TimeZone::utc();
    return fail(ErrorKind::not_found, fmt::format("this machine knows no time zone '{}'", name));
  }

  api::ApiResult<wire::Record> call(std::string_view name, wire::Record input) {
    return sim::call_service(loop, service, {scope}, name, std::move(input));
  }
  // With what the call has set going done.
  template <class Out, class In>
  Out ok(std::string_view name, In in) {
    auto out = TypedCalls::ok<Out>(name, std::move(in));
    loop.run_ready();
    return out;
  }
  template <class In>
  std::string code(std::string_view name, In in) {
    auto out = TypedCalls::code(name, std::move(in));
    loop.run_ready();
    return out;
  }
  template <class In>
  std::string message(std::string_view name, In in) {
    auto answer = call(name, std::move(in).take());
    return answer ? "(success)" : answer.error().message;
  }

  static std::string function_arn() { return "arn:aws:lambda:us-east-1:123456789012:function:f"; }
  static std::string queue_arn(std::string name = "q") {
    return "arn:aws:sqs:us-east-1:123456789012:" + name;
  }
  static model::Target target(std::string arn, std::string input = R"({"a":1})") {
    return model::Target()
        .set_arn(std::move(arn))
        .set_role_arn("arn:aws:iam::123456789012:role/r")
        .set_input(std::move(input));
  }
  static model::CreateScheduleInput ask(std::string name, std::string expression) {
    return model::CreateScheduleInput()
        .set_name(std::move(name))
        .set_schedule_expression(std::move(expression))
        .set_flexible_time_window(model::FlexibleTimeWindow().set_mode("OFF"))
        .set_target(target(function_arn()));
  }
  void create(model::CreateScheduleInput in) {
    ok<model::CreateScheduleOutput>("CreateSchedule", std::move(in));
  }
  model::GetScheduleOutput get(std::string name) {
    return ok<model::GetScheduleOutput>("GetSchedule", model::GetScheduleInput().set_name(name));
  }
  bool there(std::string name) {
    return code("GetSchedule", model::GetScheduleInput().set_name(name)) == "(success)";
  }
  void tag(std::string name, std::string value) {
    ok<model::TagResourceOutput>("TagResource",
                                 model::TagResourceInput()
                                     .set_resource_arn(GroupRef{scope, "default"}.arn())
                                     .set_tags({model::Tag().set_key(name).set_value(value)}));
  }
  // The outcomes of the last runs, newest first.
  std::string outcomes(std::string name) {
    auto runs = scheduler->schedules().history({scope, "default", name});
    REQUIRE(runs.has_value());
    std::string out;
    for (const auto& text : *runs) {
      out += (out.empty() ? "" : " ") + std::string(wire::parse_json(text)->string_or("outcome"));
    }
    return out;
  }
  std::size_t rows(std::string_view prefix) { return *disk.count(prefix, ""); }
  void pass(Duration time) {
    clock.advance(time);
    loop.run_ready();
  }
  // Time goes by in small steps, as it does.
  void live(Duration time, Duration step = 1s) {
    for (Duration gone{}; gone < time; gone += step) pass(step);
  }
  std::size_t runs() const { return function.got.size(); }

  Scope scope{AccountId("123456789012"), Region("us-east-1")};
  sim::ManualClock clock;  // begins at 2026-01-01T00:00:00Z
  SystemRandom random;
  io::Loop loop;
  sim::MemoryStore disk;
  io::ParkingLot lot;
  NotingTarget function, queue, bus;
  NotingCalls calls;
  events::Switchboard board;
  std::unique_ptr<Scheduler> scheduler;
  api::Service service;
};

}  // namespace mayfly::services::scheduler::test
