#include "invoke/meter.h"

#include <ranges>

#include "invoke/house_for_tests.h"

using namespace mayfly;
using namespace mayfly::invoke;
using namespace mayfly::invoke::testing;

namespace {

sandbox::Stats stats(Duration cpu, std::uint64_t faults = 1) {
  return {.memory_peak_bytes = 1 << 20,
          .cpu_ns = static_cast<std::uint64_t>(cpu.count()),
          .page_faults = faults};
}

std::string report_of(const House& house) {
  for (const auto& text : house.observer.texts() | std::views::reverse) {
    if (text.starts_with("REPORT")) return text;
  }
  return {};
}

}  // namespace

TEST_CASE("a call is charged what was used since the init or the call before") {
  Meter meter;
  MonoTime now{};
  meter.begin(stats(40ms, 1000), now);
  auto read = stats(52ms, 1010);
  auto first = meter.charge(20ms, std::nullopt, &read, now);
  CHECK(first.cpu == 12ms);
  CHECK(first.page_faults == 10);
  read = stats(53ms, 1010);
  auto second = meter.charge(5ms, std::nullopt, &read, now);
  CHECK(second.cpu == 1ms);
  CHECK(second.page_faults == 0);
}

TEST_CASE("quick calls are charged by the guest's clock, and in sum nothing twice") {
  Meter meter;
  MonoTime now{};
  meter.begin(stats(40ms), now);
  CHECK(meter.charge(100us, 20us, nullptr, now).cpu == 20us);
  CHECK(meter.charge(100us, std::nullopt, nullptr, now).cpu == 100us);
  auto read = stats(41ms);
  CHECK(meter.charge(2ms, 2ms, &read, now).cpu == 880us);
  read = stats(41ms);
  CHECK(meter.charge(2ms, 2ms, &read, now).cpu == 0us);
}

TEST_CASE("accounts are read after long calls, and from time to time") {
  Meter meter;
  MonoTime now{};
  meter.begin(stats(1ms), now);
  CHECK_FALSE(meter.due(999us, now));
  CHECK(meter.due(1ms, now));
  CHECK_FALSE(meter.due(10us, now + 249ms));
  CHECK(meter.due(10us, now + 250ms));
}

TEST_CASE("a machine that counts nothing charges nothing, a jail without accounts no nonsense") {
  Meter meter;
  MonoTime now{};
  meter.begin(stats(0ms), now);
  auto read = stats(0ms);
  CHECK_FALSE(meter.charge(5ms, 1ms, &read, now).cpu);
  meter.begin(stats(40ms, 50), now);
  auto gone = stats(0ms, 0);
  CHECK(meter.charge(5ms, 1ms, &gone, now).cpu == 0ms);
}

TEST_CASE("accounts that are not there when the guest is ready are asked for once more") {
  Meter meter;
  MonoTime now{};
  for (int i = 0; i < 5; ++i) meter.begin({}, now);
  CHECK_FALSE(meter.begun());
  meter.begin(stats(3ms), now);
  CHECK(meter.begun());
  auto read = stats(5ms);
  CHECK(meter.charge(5ms, 1ms, &read, now).cpu == 2ms);
  Meter blind;
  blind.begin(stats(0ms), now);
  blind.begin(stats(0ms), now);
  CHECK(blind.begun());
}

TEST_CASE("the report ends with what the call took, and the observer hears of it") {
  House house;
  house.launcher.cpu_ns = 40'000'000;
  house.launcher.page_faults = 500;
  house.launcher.script.invoke = [&house](sim::FakeInstance& instance, guest::InvokeRequest request,
                                          Deadline) -> io::Task<Result<guest::InvokeReply>> {
    co_await house.loop.turn_end();  // no guest is faster
    instance.jail().cpu_ns += 2'500'000;
    instance.jail().page_faults += 7;
    house.clock.advance(5ms);
    co_return sim::answer(request.payload + "!");
  };
  house.start();
  house.call(House::function(), "r1", "\"abc\"");
  CHECK(report_of(house).ends_with(
      "\tInit Duration: 0.00 ms\tCPU: 2.50 ms\tPage Faults: 7\tBytes In: 5\tBytes Out: 6\t"
      "Init Share: 0 %\t"));
  const auto& told = house.observer.invocations.at(0);
  CHECK(told.cpu == 2'500us);
  CHECK(told.page_faults == 7);
  CHECK(told.bytes_in == 5);
  CHECK(told.bytes_out == 6);
  auto function = House::function();
  function.json_logs = true;
  function.pool_key += "-json";
  house.call(function, "r2");
  CHECK(
      house.observer.texts().back().find(
          R"("cpuMs":2.500,"pageFaults":7,"bytesIn":2,"bytesOut":3,"initShare":0.000},"status")") !=
      std::string::npos);
}

TEST_CASE("accounts are not read for a call whose guest was busy for a moment alone") {
  House house;
  house.launcher.cpu_ns = 40'000'000;
  std::optional<Duration> busy;
  house.launcher.script.invoke = [&house, &busy](sim::FakeInstance& instance,
                                                 guest::InvokeRequest request,
                                                 Deadline) -> io::Task<Result<guest::InvokeReply>> {
    co_await house.loop.turn_end();  // no guest is faster
    instance.jail().memory_peak_bytes = std::uint64_t{64} << 20;
    instance.jail().cpu_ns += 2'000'000;
    house.clock.advance(5ms);  // others had the processor for most of it
    auto reply = sim::answer(request.payload);
    reply.busy = busy;
    co_return reply;
  };
  house.start();
  auto cpu_of_a_call = [&] {
    house.call(House::function());
    return house.observer.invocations.back().cpu;
  };
  CHECK(cpu_of_a_call() == 2ms);
  busy = 50us;
  CHECK(cpu_of_a_call() == 50us);
  busy = 4ms;
  CHECK(cpu_of_a_call() == 3'950us);  // its own, and what is left of the one before
}
