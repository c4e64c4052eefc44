#include "invoke/phase_log.h"

#include "base/limits.h"
#include "invoke/log_text.h"
#include "wire/json.h"

namespace mayfly::invoke {
namespace {

int level_rank(std::string_view level) {
  if (level == "DEBUG") return 0;
  if (level == "WARN") return 2;
  return 1;  // INFO, the default
}

Status status_of(const Failure* failure) { return failure ? failure->status : Status::success; }
std::string_view type_of(const Failure* failure) {
  return failure ? std::string_view(failure->error_type) : std::string_view();
}

}  // namespace

LogIdentity identity_of(const Deps& deps, const Runnable& runnable) {
  return {.scope = runnable.scope,
          .instance = InstanceId(deps.random.hex(16)),
          .function = runnable.name.str(),
          .version = runnable.version,
          .group = runnable.log_group,
          .stream = log_stream_name(deps.loop.clock().platform(), runnable.log_group,
                                    runnable.name.str(), runnable.version, deps.random.hex(16))};
}

bool shows_system_log(const Runnable& runnable, std::string_view level) {
  return level_rank(level) >= level_rank(runnable.system_log_level);
}

PhaseStart phase_start(const EnvironmentLog& log, const Runnable& runnable,
                       const sandbox::RuntimeChoice& runtime, std::string_view phase) {
  std::string runtime_version;
  std::string runtime_version_arn;
  if (!runnable.image) {
    runtime_version = sandbox::runtime_version(*runtime.pack, runnable.runtime);
    runtime_version_arn =
        sandbox::runtime_version_arn(*runtime.pack, runnable.runtime, runnable.scope.region.str());
  }
  return {.initialization_type = runnable.initialization_type(),
          .phase = phase,
          .runtime_version = std::move(runtime_version),
          .runtime_version_arn = std::move(runtime_version_arn),
          .function = runnable.name.str(),
          .version = runnable.version,
          .instance = log.identity().instance.str(),
          .memory_bytes = runnable.memory_mb * limits::mib};
}

void write_phase_start(EnvironmentLog& log, const Runnable& runnable,
                       const sandbox::RuntimeChoice& runtime, Phase phase, WallTime now) {
  auto start = phase_start(log, runnable, runtime, "init");
  bool init = phase == Phase::init;
  if (!runnable.json_logs) {
    if (runnable.image) return;  // its runtime is its own
    log.platform(fmt::format("{}_START Runtime Version: {}\tRuntime Version ARN: {}",
                             init ? "INIT" : "RESTORE", start.runtime_version,
                             start.runtime_version_arn));
    if (!runtime.warning.empty()) log.platform("WARNING " + runtime.warning);
    return;
  }
  if (shows_system_log(runnable, "INFO")) {
    log.platform(init ? init_start_event(start, now) : restore_start_event(start, now));
  }
  if (!runtime.warning.empty() && shows_system_log(runnable, "WARN")) {
    log.platform(fmt::format("{{\"timestamp\":\"{}\",\"level\":\"WARN\",\"message\":{}}}",
                             iso_millis(now), wire::json_quoted(runtime.warning)));
  }
}

void write_init_report(EnvironmentLog& log, const Runnable& runnable, Duration duration,
                       std::string_view phase, const Failure* failure, WallTime now) {
  if (!runnable.json_logs) {
    log.platform(init_report_text(duration, phase, status_of(failure), type_of(failure)));
  } else if (shows_system_log(runnable, failure ? "WARN" : "INFO")) {
    log.platform(init_report_json(runnable.initialization_type(), duration, phase,
                                  status_of(failure), type_of(failure), now));
  }
}

bool shows_done(const Runnable& runnable, Status status) {
  return runnable.json_logs &&
         shows_system_log(runnable, status == Status::success ? "DEBUG" : "WARN");
}

bool shows_good_init(const Runnable& runnable) {
  if (!runnable.json_logs) return false;
  bool on_demand = runnable.initialization_type() == "on-demand";
  return shows_system_log(runnable, on_demand ? "DEBUG" : "INFO");
}

void write_restore_report(EnvironmentLog& log, const Runnable& runnable, Duration duration,
                          const Failure* failure, WallTime now) {
  if (!runnable.json_logs) {
    log.platform(restore_report_text(duration, status_of(failure), type_of(failure)));
  } else if (shows_system_log(runnable, failure ? "WARN" : "INFO")) {
    log.platform(restore_report_json(duration, status_of(failure), type_of(failure), now));
  }
}

}  // namespace mayfly::invoke
