// Several calls at one time in one environment: places, lines, timeouts, ends.
#include "invoke/autopsy.h"
#include "invoke/house_for_tests.h"

using namespace mayfly;
using namespace mayfly::invoke;
using namespace mayfly::invoke::testing;

namespace {

// Guests answer by request id, when the test says so.
struct SharedHouse : House {
  std::map<std::string, std::shared_ptr<io::Event>> open;
  std::map<std::string, sim::FakeInstance*> ran_in;

  SharedHouse() {
    settings.spares = 0;
    settings.fork_environments = false;
    launcher.script.invoke = [this](sim::FakeInstance& instance, guest::InvokeRequest request,
                                    Deadline) { return hold(instance, std::move(request)); };
  }
  io::Task<Result<guest::InvokeReply>> hold(sim::FakeInstance& instance,
                                            guest::InvokeRequest request) {
    ran_in[request.request_id] = &instance;
    auto gate = std::make_shared<io::Event>(loop);
    open[request.request_id] = gate;
    io::TaskScope watch(loop);
    watch.spawn(open_when_silent(instance.jail(), gate, watch.stop_token()));
    co_await gate->wait();
    co_await watch.close();
    if (instance.jail().silent.is_set()) co_return fail(ErrorKind::unavailable, "it went away");
    co_return sim::answer(std::move(request.payload));
  }
  static io::Task<void> open_when_silent(sim::FakeJail& jail, std::shared_ptr<io::Event> gate,
                                         std::stop_token stop) {
    co_await jail.silent.wait(no_deadline, stop);
    gate->set();
  }
  static Runnable shared(int places = 3) {
    Runnable out = function();
    out.max_concurrency = places;
    out.json_logs = true;
    return out;
  }
  std::shared_ptr<Answer> ask(const std::string& id, Runnable runnable = shared()) {
    return begin(std::move(runnable), request(id, "\"" + id + "\""));
  }
  void answer(const std::string& id) {
    open.at(id)->set();
    loop.run_ready();
  }
  static std::string payload_of(const std::shared_ptr<Answer>& answer) {
    REQUIRE(*answer);
    REQUIRE(**answer);
    return (**answer)->payload;
  }
  static io::Task<Result<guest::InvokeReply>> fail_with(guest::InvokeReply reply) {
    co_return reply;
  }
  static std::string error_of(const std::shared_ptr<Answer>& answer) {
    REQUIRE(*answer);
    REQUIRE(**answer);
    return (**answer)->error_type;
  }
};

}  // namespace

TEST_CASE("calls share an environment up to its places, and the next gets another") {
  SharedHouse house;
  house.start();
  std::vector<std::shared_ptr<House::Answer>> asked;
  for (const char* id : {"a", "b", "c"}) asked.push_back(house.ask(id));
  CHECK(house.launcher.jails.size() == 1);
  CHECK(house.launcher.jails[0]->shared_by == 3);
  CHECK(house.invoker->totals().busy == 3);  // admission counts calls
  asked.push_back(house.ask("d"));
  CHECK(house.launcher.jails.size() == 2);
  CHECK(house.ran_in.at("c") == house.ran_in.at("a"));
  CHECK(house.ran_in.at("d") != house.ran_in.at("a"));
  for (const char* id : {"d", "b", "a", "c"}) house.answer(id);
  const std::string ids = "abcd";
  for (std::size_t i = 0; i < 4; ++i) {
    CHECK(SharedHouse::payload_of(asked[i]) == '"' + ids.substr(i, 1) + '"');
  }
  CHECK(house.invoker->totals().environments == 2);
  CHECK(house.invoker->totals().busy == 0);
}

TEST_CASE("a burst starts as many environments as its calls need") {
  SharedHouse house;
  house.settings.max_concurrent_starts = 8;
  io::Event up(house.loop);
  house.launcher.script.init = [&up](sim::FakeInstance&,
                                     Deadline) -> io::Task<Result<guest::InitReply>> {
    co_await up.wait();
    co_return sim::ready();
  };
  house.start();
  std::vector<std::shared_ptr<House::Answer>> asked;
  for (int i = 0; i < 7; ++i) asked.push_back(house.ask(fmt::format("r{}", i)));
  CHECK(house.launcher.jails.size() == 3);
  up.set();
  house.loop.run_ready();
  CHECK(house.open.size() == 7);
  for (int i = 0; i < 7; ++i) house.answer(fmt::format("r{}", i));
  for (const auto& one : asked) CHECK(*one);
  CHECK(house.launcher.jails.size() == 3);
}

TEST_CASE("the fullest environment goes first, so that others come to rest and end") {
  SharedHouse house;
  house.start();
  auto patient = SharedHouse::shared();
  patient.timeout_seconds = 900;
  for (const char* id : {"a", "b", "c", "d"}) house.ask(id, patient);
  REQUIRE(house.launcher.jails.size() == 2);
  house.answer("a");  // two of three in the first, one in the second
  auto next = house.ask("e", patient);
  CHECK(house.ran_in.at("e") == house.ran_in.at("b"));
  auto* second = house.ran_in.at("d");
  house.answer("d");
  auto after =
      house.ask("f", patient);  // the first is full again: the second serves, none is started
  CHECK(house.ran_in.at("f") == second);
  house.answer("f");
  house.pass(house.settings.idle_lifetime);
  CHECK(house.launcher.alive() == 1);
  for (const char* id : {"b", "c", "e"}) house.answer(id);
  CHECK(*next);
}

TEST_CASE("an environment of several calls is never frozen") {
  SharedHouse house;
  house.start();
  house.ask("a");
  house.answer("a");
  house.pass(5s);
  CHECK(house.launcher.jails[0]->freezes == 0);
}

TEST_CASE("a call that runs out of time ends nothing, and keeps its place until it is done") {
  SharedHouse house;
  house.start();
  auto slow = house.ask("slow");
  house.pass(2s);
  auto other = house.ask("other");
  house.pass(1s);
  CHECK(SharedHouse::error_of(slow) == "Sandbox.Timedout");
  CHECK((**slow)->payload.find("RequestId: slow Error: Task timed out after 3.00 seconds") !=
        std::string::npos);
  CHECK_FALSE(*other);
  CHECK(house.launcher.alive() == 1);
  house.ask("third");
  CHECK(house.launcher.jails.size() == 1);
  house.ask("fourth");  // the place of the slow one is not free
  CHECK(house.launcher.jails.size() == 2);
  house.answer("other");
  CHECK(SharedHouse::payload_of(other) == "\"other\"");
  house.answer("slow");  // nobody hears of it
  house.ask("fifth");
  house.ask("sixth");
  CHECK(house.launcher.jails.size() == 2);
  for (const char* id : {"third", "fourth", "fifth", "sixth"}) house.answer(id);
}

TEST_CASE("a place that a late call leaves goes to who waits") {
  SharedHouse house;
  house.settings.max_environments = 1;
  house.start();
  auto runnable = SharedHouse::shared(2);
  auto late = house.ask("late", runnable);
  house.pass(3s);
  CHECK(SharedHouse::error_of(late) == "Sandbox.Timedout");
  house.ask("a", runnable);
  house.answer("late");
  auto next = house.ask("b", runnable);
  CHECK(house.launcher.jails.size() == 1);
  CHECK(house.ran_in.at("b") == house.ran_in.at("a"));
  house.answer("a");
  house.answer("b");
  CHECK(*next);
}

TEST_CASE("an environment in which every place is a late call's ends") {
  SharedHouse house;
  house.start();
  auto first = house.ask("a", SharedHouse::shared(2));
  auto second = house.ask("b", SharedHouse::shared(2));
  house.pass(3s);
  CHECK(SharedHouse::error_of(first) == "Sandbox.Timedout");
  CHECK(SharedHouse::error_of(second) == "Sandbox.Timedout");
  house.pass(1s);
  CHECK(house.launcher.alive() == 0);
  auto next = house.ask("c", SharedHouse::shared(2));
  CHECK(house.launcher.jails.size() == 2);
  house.answer("c");
  CHECK(*next);
}

TEST_CASE("what ends the processes ends every call in them, each with its own report") {
  SharedHouse house;
  house.start();
  std::vector<std::shared_ptr<House::Answer>> asked;
  for (const char* id : {"a", "b", "c"}) asked.push_back(house.ask(id));
  house.launcher.jails[0]->end({.code = 7});
  house.loop.run_ready();
  house.pass(1s);
  for (const auto& one : asked) CHECK(SharedHouse::error_of(one) == "Runtime.ExitError");
  CHECK(
      (**asked[1])->payload.find("RequestId: b Error: Runtime exited with error: exit status 7") !=
      std::string::npos);
  int reports = 0;
  for (const auto& line : house.observer.lines) {
    if (line.text.find("\"type\":\"platform.report\"") == std::string::npos) continue;
    ++reports;
    CHECK(line.text.find("\"requestId\":\"" + line.request_id + "\"") != std::string::npos);
  }
  CHECK(reports == 3);
  auto next = house.ask("d");
  CHECK(house.launcher.jails.size() == 2);
  house.answer("d");
  CHECK(*next);
}

TEST_CASE("a worker that ends fails its own call alone") {
  SharedHouse house;
  house.launcher.script.invoke = [&house](sim::FakeInstance& instance, guest::InvokeRequest request,
                                          Deadline) -> io::Task<Result<guest::InvokeReply>> {
    if (request.request_id != "bad") return house.hold(instance, std::move(request));
    guest::InvokeReply reply;
    reply.is_error = true;
    reply.error_type = "Runtime.ExitError";
    reply.payload = "Runtime exited with error: exit status 3";
    return SharedHouse::fail_with(std::move(reply));
  };
  house.start();
  auto good = house.ask("good");
  auto bad = house.ask("bad");
  CHECK(SharedHouse::error_of(bad) == "Runtime.ExitError");
  CHECK((**bad)->payload.find("RequestId: bad Error: Runtime exited with error: exit status 3") !=
        std::string::npos);
  CHECK(house.launcher.alive() == 1);
  house.answer("good");
  CHECK(SharedHouse::payload_of(good) == "\"good\"");
}

TEST_CASE("lines belong to the request that they name, and each caller gets the tail of its own") {
  SharedHouse house;
  house.start();
  auto first = house.ask("id-one");
  auto second = house.ask("id-two");
  auto& jail = *house.launcher.jails[0];
  jail.write("{\"requestId\":\"id-two\",\"message\":\"two\"}\n");
  jail.write("{\"requestId\":\"id-one\",\"message\":\"one\"}\nnobody's\npart of a li");
  house.loop.run_ready();
  house.answer("id-one");
  jail.write("ne of id-two\n");
  house.loop.run_ready();
  house.answer("id-two");
  auto tail = [](const auto& answer) { return (**answer)->log_tail; };
  CHECK(tail(first).find("\"message\":\"one\"") != std::string::npos);
  CHECK(tail(first).find("two") == std::string::npos);
  CHECK(tail(second).find("\"message\":\"two\"") != std::string::npos);
  CHECK(tail(second).find("part of a line of id-two") != std::string::npos);
  for (const auto& line : house.observer.lines) {
    if (line.text == "nobody's") CHECK(line.request_id.empty());
    if (line.text.find("one\"}") != std::string::npos) CHECK(line.request_id == "id-one");
  }
}

TEST_CASE("an Init that fails is told to all that wait for it, and the next call tries anew") {
  SharedHouse house;
  house.launcher.script.init = [](sim::FakeInstance&,
                                  Deadline) -> io::Task<Result<guest::InitReply>> {
    guest::InitReply out;
    out.error_type = "Runtime.ImportModuleError";
    out.error_payload = R"({"errorType":"Runtime.ImportModuleError"})";
    co_return out;
  };
  house.start();
  auto first = house.ask("a");
  auto second = house.ask("b");
  CHECK(SharedHouse::error_of(first) == "Runtime.ImportModuleError");
  CHECK(SharedHouse::error_of(second) == "Runtime.ImportModuleError");
  CHECK(house.launcher.alive() == 0);
  house.launcher.script.init = nullptr;
  auto third = house.ask("c");
  house.answer("c");
  CHECK(SharedHouse::payload_of(third) == "\"c\"");
}

TEST_CASE("a new configuration takes no place in the environments of the old one") {
  SharedHouse house;
  house.start();
  auto old = house.ask("old");
  auto changed = SharedHouse::shared();
  changed.pool_key += "/changed";
  house.invoker->retire(changed.concurrency_key, changed.pool_key);
  auto fresh = house.ask("fresh", changed);
  CHECK(house.ran_in.at("fresh") != house.ran_in.at("old"));
  house.answer("old");
  CHECK(SharedHouse::payload_of(old) == "\"old\"");
  house.loop.run_ready();
  CHECK(house.launcher.alive() == 1);
  house.answer("fresh");
  CHECK(SharedHouse::payload_of(fresh) == "\"fresh\"");
}

TEST_CASE("environments of one capacity provider stay within its processors") {
  SharedHouse house;
  house.start();
  auto managed = SharedHouse::shared(1);
  managed.managed = true;
  managed.cpu_millis = 1000;
  managed.capacity_key = "provider";
  managed.capacity_cpu_millis = 2000;
  auto first = house.ask("a", managed);
  auto second = house.ask("b", managed);
  auto third = house.ask("c", managed);
  REQUIRE(*third);
  REQUIRE_FALSE(third->value());
  CHECK(third->value().error().reason == "ConcurrentInvocationLimitExceeded");
  house.answer("a");
  auto fourth = house.ask("d", managed);
  CHECK(house.launcher.jails.size() == 2);
  house.answer("b");
  house.answer("d");
  CHECK(*fourth);
}

TEST_CASE("a version has as many environments as it is told, at least and at most") {
  SharedHouse house;
  house.start();
  auto managed = SharedHouse::shared(1);
  managed.managed = true;
  managed.kept = 2;
  managed.most = 3;
  house.invoker->provision(std::make_shared<const Runnable>(managed));
  house.loop.run_ready();
  CHECK(house.launcher.alive() == 2);
  house.pass(house.settings.idle_lifetime + 1s);
  CHECK(house.launcher.alive() == 2);
  for (const char* id : {"a", "b", "c"}) house.ask(id, managed);
  CHECK(house.launcher.alive() == 3);
  auto fourth = house.ask("d", managed);
  REQUIRE(*fourth);
  CHECK(fourth->value().error().reason == "ConcurrentInvocationLimitExceeded");
  for (const char* id : {"a", "b", "c"}) house.answer(id);
  house.pass(house.settings.idle_lifetime + 1s);
  CHECK(house.launcher.alive() == 2);
}

TEST_CASE("an environment out of memory is the end of all its calls, and is looked at once") {
  SharedHouse house;
  house.start();
  auto runnable = SharedHouse::shared();
  runnable.json_logs = false;
  auto one = house.ask("a", runnable);
  auto two = house.ask("b", runnable);
  auto jail = house.launcher.jails.at(0);
  jail->evidence.processes.push_back({.id = 7, .command = "node", .files = {}, .threads = {}});
  jail->starve();
  house.loop.run_ready();
  CHECK(SharedHouse::error_of(one) == "Runtime.OutOfMemory");
  CHECK(SharedHouse::error_of(two) == "Runtime.OutOfMemory");
  house.pass(autopsy_time);
  CHECK(jail->killed);
  std::vector<std::string> found;
  for (const auto& line : house.observer.lines) {
    if (line.text.starts_with("AUTOPSY")) found.push_back(line.text);
  }
  REQUIRE(found.size() == 1);
  CHECK(found[0].find("node 7") != std::string::npos);
  auto third = house.ask("c", runnable);
  CHECK(house.launcher.jails.size() == 2);
  house.answer("c");
}

TEST_CASE("environments of several places have their function's part of contended processors") {
  SharedHouse house;
  house.machine =
      MachineReading{.memory_total_bytes = 64ull << 30, .memory_available_bytes = 60ull << 30};
  house.start();
  for (const char* id : {"a", "b", "c", "d"}) house.ask(id, SharedHouse::shared(2));
  auto other = House::function("other");
  other.max_concurrency = 2;
  house.ask("e", other);
  REQUIRE(house.launcher.jails.size() == 3);
  house.machine->runnable = 1'000'000;
  for (int i = 0; i < 3; ++i) house.pass(500ms);
  std::vector<std::uint32_t> weights;
  for (const auto& jail : house.launcher.jails) weights.push_back(jail->cpu_weight);
  CHECK(weights == std::vector<std::uint32_t>{500, 500, 1000});
  for (const char* id : {"a", "b", "c", "d", "e"}) house.answer(id);
}
