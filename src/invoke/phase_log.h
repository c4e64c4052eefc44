// The platform's log lines around the phases that come before an invocation: Init, and Restore of
// functions with SnapStart. Texts as the cloud's log streams show them, records as its Telemetry
// API schemas name them.
#pragma once

#include <optional>

#include "invoke/environment_log.h"
#include "invoke/failure.h"
#include "invoke/invoker.h"
#include "invoke/telemetry_text.h"

namespace mayfly::invoke {

// Of a new log stream.
LogIdentity identity_of(const Deps& deps, const Runnable& runnable);

enum class Phase { init, restore };

// JSON logs name a level for each of the platform's records; text logs have no levels.
bool shows_system_log(const Runnable& runnable, std::string_view level);

// What is told of the start of a phase; `phase` as in PhaseStart.
PhaseStart phase_start(const EnvironmentLog& log, const Runnable& runnable,
                       const sandbox::RuntimeChoice& runtime, std::string_view phase);

// "INIT_START …", "RESTORE_START …", and a warning where another version of the runtime runs.
void write_phase_start(EnvironmentLog& log, const Runnable& runnable,
                       const sandbox::RuntimeChoice& runtime, Phase phase, WallTime now);

// "INIT_REPORT …": of an init that failed, or (no failure) of one whose snapshot is taken. `phase`
// is "init" or "invoke".
void write_init_report(EnvironmentLog& log, const Runnable& runnable, Duration duration,
                       std::string_view phase, const Failure* failure, WallTime now);
// Whether a JSON log has "…RuntimeDone" of that end, and the report of an Init that succeeded
// (developer guide, "Log-level filtering": which events have which level).
bool shows_done(const Runnable& runnable, Status status);
bool shows_good_init(const Runnable& runnable);
// "RESTORE_REPORT …"
void write_restore_report(EnvironmentLog& log, const Runnable& runnable, Duration duration,
                          const Failure* failure, WallTime now);

}  // namespace mayfly::invoke
