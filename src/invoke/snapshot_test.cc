// Versions with SnapStart: initialised ahead of their calls, restored for them.
#include "base/limits.h"
#include "invoke/house_for_tests.h"

using namespace mayfly;
using namespace mayfly::invoke;
using namespace mayfly::invoke::testing;

namespace {

struct SnapHouse : House {
  SnapHouse() {
    pack.forks = true;
    pack.language = "python";
  }
  static Runnable version() {
    auto out = function();
    out.version = "1";
    out.pool_key += "/v1";
    out.snap_start = true;
    return out;
  }
  std::shared_ptr<SnapshotCall> begin_snapshot(const Runnable& of = version()) {
    auto call = invoker->snapshot(std::make_shared<const Runnable>(of));
    loop.run_ready();
    return call;
  }
  Snapshot snapshot(const Runnable& of = version()) {
    auto call = begin_snapshot(of);
    REQUIRE(call->result);
    REQUIRE(*call->result);
    return **call->result;
  }
  std::size_t templates() const {
    return static_cast<std::size_t>(std::ranges::count_if(launcher.jails, [](const auto& jail) {
      return jail->spec.parking == sandbox::Parking::forkable && !jail->exit &&
             has(jail->spec, "MAYFLY_TEMPLATE=function");
    }));
  }
  static bool has(const sandbox::Spec& spec, const std::string& variable) {
    return std::ranges::count(spec.env, variable) > 0;
  }
  bool logged(const std::string& part) const { return count(part) > 0; }
  std::ptrdiff_t count(const std::string& part) const {
    return std::ranges::count_if(observer.lines, [&](const auto& line) {
      return line.text.find(part) != std::string::npos;
    });
  }
};

// A guest that takes its time.
template <int seconds>
io::Task<Result<guest::InitReply>> parks_after(sim::FakeInstance& instance, Deadline deadline) {
  auto& jail = instance.jail();
  Deadline done = jail.loop.now() + std::chrono::seconds(seconds);
  auto silence = co_await sim::silence(jail, std::min(deadline, done));
  if (silence.kind != ErrorKind::timeout || deadline < done) co_return std::unexpected(silence);
  guest::InitReply out;
  out.parked = "";
  co_return out;
}

io::Task<Result<guest::InitReply>> fails_init(sim::FakeInstance& instance, Deadline) {
  guest::InitReply out;
  out.error_type = "Runtime.BeforeSnapshotError";
  out.error_payload = R"({"errorMessage":"no"})";
  instance.jail().end({.code = 64});
  co_return out;
}

io::Task<Result<guest::InitReply>> exits(sim::FakeInstance& instance, Deadline) {
  instance.jail().end({.code = 7});
  co_return fail(ErrorKind::unavailable, "the guest went away");
}

io::Task<Result<guest::InitReply>> hangs_init(sim::FakeInstance& instance, Deadline deadline) {
  co_return std::unexpected(co_await sim::silence(instance.jail(), deadline));
}

io::Task<Result<guest::InitReply>> fails_restore(sim::FakeInstance& instance, Deadline) {
  guest::InitReply out;
  out.error_type = "Runtime.AfterRestoreError";
  out.error_payload = R"({"errorMessage":"no"})";
  instance.jail().end({.code = 65});
  co_return out;
}

}  // namespace

TEST_CASE("a snapshot runs the init once, and calls are restored from it") {
  SnapHouse house;
  house.start();
  CHECK(house.snapshot().error_type.empty());
  CHECK(house.templates() == 1);
  CHECK(house.launcher.forks == 0);
  const auto& spec = house.launcher.jails[0]->spec;
  CHECK(house.has(spec, "AWS_LAMBDA_INITIALIZATION_TYPE=snap-start"));
  CHECK_FALSE(std::ranges::any_of(spec.env, [](const auto& variable) {
    return variable.starts_with("AWS_LAMBDA_LOG_STREAM_NAME=") ||
           variable.starts_with("AWS_LAMBDA_LOG_GROUP_NAME=");
  }));
  CHECK(house.logged("INIT_START Runtime Version: "));
  CHECK(house.logged("INIT_REPORT Init Duration: 0.00 ms\tPhase: init"));
  CHECK(house.snapshot().error_type.empty());  // it is there already
  CHECK(house.launcher.jails.size() == 1);

  auto outcome = house.call(SnapHouse::version());
  CHECK(house.launcher.forks == 1);
  CHECK(outcome.log_tail.find("\tRestore Duration: 0.00 ms\tBilled Restore Duration: 1 ms") !=
        std::string::npos);
  CHECK(outcome.log_tail.find("Billed Duration: 2 ms") != std::string::npos);
  CHECK(outcome.log_tail.find("Init Duration") == std::string::npos);
  CHECK(house.count("RESTORE_START Runtime Version: ") == 1);
  CHECK(house.count("RESTORE_REPORT Restore Duration: 0.00 ms") == 1);
  CHECK(house.count("INIT_START") == 1);
  outcome = house.call(SnapHouse::version(), "r2");
  CHECK(outcome.log_tail.find("Restore Duration") == std::string::npos);
}

TEST_CASE("a snapshot's init has minutes, or as long as the function's calls") {
  SnapHouse house;
  house.launcher.script.park = parks_after<129>;
  house.start();
  auto call = house.begin_snapshot();
  house.pass(129s);
  REQUIRE(call->result);
  CHECK((**call->result).error_type.empty());

  house.launcher.script.park = hangs_init;
  auto other = SnapHouse::version();
  other.pool_key += "/2";
  other.version = "2";
  call = house.begin_snapshot(other);
  house.pass(limits::snapshot_init_time_min - 1s);
  CHECK_FALSE(call->result);
  house.pass(1s);
  REQUIRE(call->result);
  CHECK((**call->result).error_type == "Sandbox.Timedout");
  CHECK(house.logged("Phase: init\tStatus: timeout"));

  other.timeout_seconds = 200;
  other.pool_key += "/3";
  other.version = "3";
  call = house.begin_snapshot(other);
  house.pass(199s);
  CHECK_FALSE(call->result);
  house.pass(1s);
  CHECK(call->result);
}

TEST_CASE("a snapshot whose init fails says why") {
  SnapHouse house;
  house.launcher.script.park = fails_init;
  house.start();
  auto failed = house.snapshot();
  CHECK(failed.error_type == "Runtime.BeforeSnapshotError");
  CHECK(failed.message == R"({"errorMessage":"no"})");
  CHECK(house.logged("Phase: init\tStatus: error\tError Type: Runtime.BeforeSnapshotError"));
  house.launcher.script.park = exits;
  failed = house.snapshot();
  CHECK(failed.error_type == "Runtime.ExitError");
  CHECK(failed.message == "Runtime exited with error: exit status 7");
  CHECK(house.templates() == 0);
}

TEST_CASE("a restore that fails, or takes longer than 10 seconds, is an error of the API") {
  SnapHouse house;
  house.start();
  house.snapshot();
  house.launcher.script.init = fails_restore;
  auto answer = house.begin(SnapHouse::version(), House::request("r1"));
  REQUIRE(*answer);
  REQUIRE_FALSE(**answer);
  CHECK((*answer)->error().reason == "SnapStartException");
  CHECK(
      house.logged("RESTORE_REPORT Restore Duration: 0.00 ms\tStatus: error\tError Type: "
                   "Runtime.AfterRestoreError"));
  house.launcher.script.init = hangs_init;
  answer = house.begin(SnapHouse::version(), House::request("r2"));
  house.pass(limits::restore_time - 1ms);
  CHECK_FALSE(*answer);
  house.pass(1ms);
  REQUIRE(*answer);
  CHECK((*answer)->error().reason == "SnapStartTimeoutException");
  CHECK(house.logged("RESTORE_REPORT Restore Duration: 10000.00 ms\tStatus: timeout"));
  house.launcher.script.init = {};
  house.call(SnapHouse::version(), "r3");  // the snapshot is as good as before
  CHECK(house.count("INIT_START") == 1);
}

TEST_CASE("where the guest cannot be forked, an environment is initialised and kept") {
  SnapHouse house;
  SUBCASE("the runtime cannot") { house.pack.forks = false; }
  SUBCASE("the guest says so") { house.launcher.script.park_refusal = "2 threads run"; }
  SUBCASE("forking is off") { house.settings.fork_environments = false; }
  house.start();
  CHECK(house.snapshot().error_type.empty());
  CHECK(house.templates() == 0);
  CHECK(house.invoker->totals().environments == 1);
  auto outcome = house.call(SnapHouse::version());
  CHECK(house.launcher.forks == 0);
  CHECK(house.invoker->totals().environments == 1);
  CHECK(outcome.log_tail.find("Init Duration: 0.00 ms") != std::string::npos);
}

TEST_CASE("an environment that runs its hooks in its own init fails as a restore does") {
  SnapHouse house;
  house.pack.forks = false;
  house.launcher.script.init = fails_restore;
  house.start();
  CHECK(house.snapshot().error_type == "SnapStartException");
  CHECK(house.invoker->totals().environments == 0);
  auto answer = house.begin(SnapHouse::version(), House::request("r1"));
  REQUIRE(*answer);
  CHECK((*answer)->error().reason == "SnapStartException");
}

TEST_CASE("a snapshot that is gone is made anew by the next call") {
  SnapHouse house;
  house.start();
  auto outcome = house.call(SnapHouse::version());  // as after a restart of the server
  CHECK(house.templates() == 1);
  CHECK(outcome.log_tail.find("Restore Duration") != std::string::npos);
}

TEST_CASE("an init of minutes holds up no other function, and its callers wait for it") {
  SnapHouse house;
  house.settings.max_concurrent_starts = 1;
  house.launcher.script.park = parks_after<100>;
  house.start();
  auto slow = house.begin(SnapHouse::version(), House::request("r1"));
  auto more = house.begin(SnapHouse::version(), House::request("r2"));
  auto other = House::function("other");
  other.environment["MAYFLY_FORK"] = "off";
  house.call(other, "r3");
  CHECK_FALSE(*slow);
  house.pass(100s);
  REQUIRE(*slow);
  CHECK((*slow)->has_value());
  REQUIRE(*more);
  CHECK((*more)->has_value());
  CHECK(house.count("INIT_REPORT") == 1);
}

TEST_CASE("a version that is forgotten leaves nothing behind") {
  SnapHouse house;
  house.start();
  house.snapshot();
  house.call(SnapHouse::version());
  house.invoker->forget(SnapHouse::version().pool_key);
  house.loop.run_ready();
  CHECK(house.templates() == 0);
  CHECK(house.invoker->totals().environments == 0);
}

TEST_CASE("a server that stops ends an init under way") {
  SnapHouse house;
  house.launcher.script.park = hangs_init;
  house.start();
  auto call = house.begin_snapshot();
  house.stop();
  REQUIRE(call->result);
  CHECK((*call->result).error().kind == ErrorKind::cancelled);
}

TEST_CASE("records of a restore in JSON") {
  SnapHouse house;
  house.start();
  auto version = SnapHouse::version();
  version.json_logs = true;
  version.system_log_level = "INFO";
  house.snapshot(version);
  house.call(version);
  CHECK(
      house.logged("\"type\":\"platform.initStart\",\"record\":{\"initializationType\":"
                   "\"snap-start\""));
  CHECK(house.logged("\"type\":\"platform.initReport\""));
  CHECK(house.logged("\"type\":\"platform.restoreStart\",\"record\":{\"runtimeVersion\""));
  CHECK(
      house.logged("\"type\":\"platform.restoreReport\",\"record\":{\"status\":\"success\","
                   "\"metrics\":{\"durationMs\":0.000}}"));
  CHECK(house.logged("\"restoreDurationMs\":0.000,\"billedRestoreDurationMs\":1,"));
}
