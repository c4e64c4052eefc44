#include "invoke/autopsy.h"

#include "invoke/house_for_tests.h"
#include "wire/json.h"

using namespace mayfly;
using namespace mayfly::invoke;
using namespace mayfly::invoke::testing;

namespace {

sandbox::Evidence busy_process() {
  sandbox::Evidence out;
  sandbox::ProcessEvidence process;
  process.id = 12;
  process.command = "python3.11";
  process.resident_bytes = 20 * limits::mib;
  process.descriptors = 7;
  process.threads_in_all = 1;
  process.threads.push_back(
      {.id = 12, .name = "python3.11", .state = 'S', .waits_in = "read", .at = "libc.so.6+0x1"});
  process.files = {"/tmp/log"};
  out.processes.push_back(process);
  out.processes_in_all = 1;
  out.sockets = {"tcp 127.0.0.1:40312 to 127.0.0.1:4566 established"};
  return out;
}

// A function that hangs; its call begins at once.
struct HangingHouse : House {
  std::shared_ptr<Answer> answer;
  std::shared_ptr<sim::FakeJail> jail;
  Runnable runnable = function();

  void begin_call() {
    launcher.script.invoke = hang;
    start();
    answer = begin(runnable, request("r1"));
    jail = launcher.jails.at(0);
    jail->evidence = busy_process();
  }
  std::string autopsy() const {
    for (const auto& line : observer.lines) {
      if (line.platform && line.text.find("AUTOPSY") != std::string::npos) return line.text;
      if (line.platform && line.text.find("mayfly.autopsy") != std::string::npos) return line.text;
    }
    return {};
  }
};

bool contains(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("a call out of time is looked at before its environment is killed") {
  HangingHouse house;
  house.begin_call();
  house.jail->on_ask_for_stacks = [&house] {
    house.jail->write("Thread 0x1 (most recent call first):\n  File \"app.py\", line 3\n");
    return 1;
  };
  house.pass(3s);
  // The caller does not wait for it.
  REQUIRE(*house.answer);
  CHECK(contains((**house.answer)->payload, "Task timed out after 3.00 seconds"));
  CHECK_FALSE(house.jail->killed);
  CHECK(house.autopsy().empty());
  house.pass(25ms);
  house.pass(25ms);
  CHECK(house.jail->killed);
  auto text = house.autopsy();
  INFO(text);
  CHECK(text.starts_with("AUTOPSY RequestId: r1\tout of time after 3.00 s\n"));
  CHECK(contains(text, "memory\n  "));
  CHECK(contains(text, "limit 128 MB"));
  CHECK(contains(text, "python3.11 12: 20 MB, 1 threads, 7 descriptors"));
  CHECK(contains(text, "thread 12 python3.11 waits in read at libc.so.6+0x1"));
  CHECK(contains(text, "file /tmp/log"));
  CHECK(contains(text, "sockets\n  tcp 127.0.0.1:40312 to 127.0.0.1:4566 established"));
  CHECK(contains(text,
                 "stacks\n  Thread 0x1 (most recent call first):\n    File \"app.py\", line 3"));
  // Behind the REPORT line, in the same stream, as a record of the same request.
  auto& lines = house.observer.lines;
  CHECK(contains(lines.at(lines.size() - 2).text, "REPORT RequestId: r1"));
  CHECK(lines.back().request_id == "r1");
  CHECK(lines.back().stream == lines.at(lines.size() - 2).stream);
}

TEST_CASE("who is asked and does not answer is killed when the time is over") {
  HangingHouse house;
  house.begin_call();
  house.jail->on_ask_for_stacks = [] { return 1; };
  house.pass(3s);
  house.pass(autopsy_time - 1ms);
  CHECK_FALSE(house.jail->killed);
  house.pass(1ms);
  CHECK(house.jail->killed);
  CHECK_FALSE(contains(house.autopsy(), "stacks"));
}

TEST_CASE("an endless answer is cut, in bytes and in time") {
  HangingHouse house;
  house.begin_call();
  house.jail->on_ask_for_stacks = [&house] {
    house.jail->write(std::string(60'000, 'x') + "\n");
    return 1;
  };
  house.pass(3s);
  for (int i = 0; i < 20; ++i) house.pass(10ms);
  CHECK(house.jail->killed);
  CHECK(house.autopsy().size() < autopsy_output_bytes + 2000);
  CHECK(house.autopsy().ends_with("…"));
}

TEST_CASE("nobody can be asked: the processes are killed at once") {
  HangingHouse house;
  house.begin_call();
  house.pass(3s);
  CHECK(house.jail->killed);
  CHECK(contains(house.autopsy(), "waits in read"));
}

TEST_CASE("an init that hangs is looked at when it runs out of its call's time") {
  House house;
  house.launcher.script.init = [](sim::FakeInstance& instance,
                                  Deadline deadline) -> io::Task<Result<guest::InitReply>> {
    instance.jail().evidence = busy_process();
    instance.jail().on_ask_for_stacks = [] { return 1; };
    co_return std::unexpected(co_await sim::silence(instance.jail(), deadline));
  };
  house.start();
  auto answer = house.begin(House::function(), House::request("r1"));
  house.pass(10s);
  CHECK(house.launcher.alive() == 1);  // tried again, within the call
  house.pass(3s);
  REQUIRE(*answer);
  CHECK(contains((**answer)->payload, "Task timed out after 3.00 seconds"));
  house.pass(autopsy_time);
  CHECK(house.launcher.alive() == 0);
  CHECK(house.observer.lines.back().text.starts_with("AUTOPSY RequestId: r1"));
}

TEST_CASE("the setting and the function's variable turn it off") {
  for (bool by_setting : {true, false}) {
    HangingHouse house;
    if (by_setting) house.settings.autopsies = 0;
    if (!by_setting) house.runnable.environment["MAYFLY_AUTOPSY"] = "off";
    house.begin_call();
    house.jail->on_ask_for_stacks = [] { return 1; };
    house.pass(3s);
    CHECK(house.jail->killed);
    CHECK(house.autopsy().empty());
  }
}

TEST_CASE("more calls out of time than are looked at are killed at once") {
  House house;
  house.settings.autopsies = 2;
  house.launcher.script.invoke = hang;
  house.start();
  for (int i = 0; i < 5; ++i) house.begin(House::function(), House::request("r"));
  for (auto& jail : house.launcher.jails) jail->on_ask_for_stacks = [] { return 1; };
  house.pass(3s);
  CHECK(house.launcher.alive() == 2);
  house.pass(autopsy_time);
  CHECK(house.launcher.alive() == 0);
}

TEST_CASE("a guest that ends while it is looked at is not waited for") {
  HangingHouse house;
  house.begin_call();
  house.jail->on_ask_for_stacks = [&house] {
    house.jail->end({.code = 0});
    return 1;
  };
  house.pass(3s);
  CHECK(contains(house.autopsy(), "AUTOPSY"));
}

TEST_CASE("JSON logs get it as a record") {
  HangingHouse house;
  house.runnable.json_logs = true;
  house.begin_call();
  house.pass(3s);
  auto record = wire::parse_json(house.autopsy());
  REQUIRE(record);
  CHECK(record->string_or("type") == "platform.mayfly.autopsy");
  const auto* inner = record->find("record");
  REQUIRE(inner);
  CHECK(inner->string_or("requestId") == "r1");
  CHECK(inner->string_or("reason") == "timeout");
  CHECK(inner->find("processes"));
  CHECK(inner->find("sockets"));
}

TEST_CASE("a call out of memory leaves how its environment had grown") {
  House house;
  house.start();
  for (int peak : {40, 60, 90}) {
    if (!house.launcher.jails.empty()) {
      house.launcher.jails[0]->memory_peak_bytes = static_cast<std::uint64_t>(peak) << 20;
    }
    house.call(House::function());
    house.pass(1s);
  }
  house.launcher.jails[0]->memory_peak_bytes = 128ull << 20;
  house.launcher.script.invoke = [](sim::FakeInstance& instance, guest::InvokeRequest,
                                    Deadline) -> io::Task<Result<guest::InvokeReply>> {
    instance.jail().end({.code = -1, .signal = 9, .out_of_memory = true});
    return exit_with_3(instance, {}, {});
  };
  house.begin(House::function(), House::request("r9"));
  house.pass(1s);
  std::string text;
  for (const auto& line : house.observer.lines) {
    if (line.text.starts_with("AUTOPSY")) text = line.text;
  }
  INFO(text);
  CHECK(text.starts_with(
      "AUTOPSY RequestId: r9\tout of memory\nmemory\n  limit 128 MB, peak 128 MB"));
  CHECK(contains(text, "peak was 40 MB in call 1, 60 MB in call 2, 90 MB in call 3"));
}

TEST_CASE("of a long growth the first step and the latest are kept") {
  MemoryGrowth growth;
  for (int i = 1; i <= 100; ++i) growth.note(static_cast<std::uint64_t>(i), i);
  growth.note(101, 100);
  REQUIRE(growth.steps.size() == 8);
  CHECK(growth.steps.front().calls == 1);
  CHECK(growth.steps[1].calls == 94);
  CHECK(growth.steps.back().calls == 100);
}

namespace {

// A call that is held for its memory.
struct StarvedHouse : HangingHouse {
  void starve() {
    begin_call();
    jail->memory_peak_bytes = 128ull << 20;
    jail->starve();
    loop.run_ready();
  }
  events::Outcome outcome() {
    REQUIRE(*answer);
    REQUIRE(**answer);
    return ***answer;
  }
};

}  // namespace

TEST_CASE("a call out of memory is looked at before its environment is killed") {
  StarvedHouse house;
  house.settings.autopsies = 1;
  house.begin_call();
  house.jail->on_ask_for_stacks = [&house] {
    CHECK(house.jail->rooms_given == 0);
    house.jail->write("Thread 0x1 (most recent call first):\n  File \"app.py\", line 3\n");
    return 1;
  };
  house.jail->memory_peak_bytes = 128ull << 20;
  house.jail->starve();
  house.loop.run_ready();
  CHECK(house.outcome().error_type == "Runtime.OutOfMemory");
  CHECK(contains(house.outcome().payload, "Runtime exited with error: signal: killed"));
  CHECK(contains(house.observer.lines.back().text, "Max Memory Used: 128 MB"));
  CHECK_FALSE(house.jail->killed);
  house.pass(25ms);
  house.pass(25ms);
  CHECK(house.jail->killed);
  CHECK(house.jail->rooms_given == 1);
  auto text = house.autopsy();
  INFO(text);
  CHECK(
      text.starts_with("AUTOPSY RequestId: r1\tout of memory\nmemory\n  limit 128 MB, peak "
                       "128 MB: a process needed more"));
  CHECK(contains(text, "python3.11 12: 20 MB"));
  CHECK(contains(text, "sockets\n  tcp 127.0.0.1:40312"));
  CHECK(contains(text, "line 3"));
  CHECK(house.observer.lines.back().text.starts_with("AUTOPSY"));
}

TEST_CASE("without an autopsy what is out of memory is killed at once") {
  StarvedHouse house;
  house.runnable.environment["MAYFLY_AUTOPSY"] = "off";
  house.starve();
  CHECK(house.outcome().error_type == "Runtime.OutOfMemory");
  CHECK(house.jail->killed);
  CHECK(house.autopsy().empty());
}

TEST_CASE("an init out of memory fails at once, and is looked at in its call") {
  House house;
  house.launcher.script.init = [](sim::FakeInstance& instance,
                                  Deadline deadline) -> io::Task<Result<guest::InitReply>> {
    instance.jail().evidence = busy_process();
    instance.jail().starve();
    co_return std::unexpected(co_await sim::silence(instance.jail(), deadline));
  };
  house.start();
  auto answer = house.begin(House::function(), House::request("r1"));
  REQUIRE(*answer);
  CHECK(contains((**answer)->payload, "Runtime.OutOfMemory"));
  house.pass(autopsy_time);
  CHECK(house.launcher.jails.size() == 2);  // tried again, within the call
  CHECK(house.launcher.alive() == 0);
  CHECK(house.observer.lines.back().text.starts_with("AUTOPSY RequestId: r1\tout of memory"));
}

TEST_CASE("what is out of memory while no call runs ends, and the next call gets another") {
  House house;
  house.start();
  house.call(House::function());
  house.launcher.jails[0]->starve();
  house.loop.run_ready();
  CHECK(house.launcher.jails[0]->killed);
  house.call(House::function(), "r2");
  CHECK(house.launcher.jails.size() == 2);
}
