// The platform's events as the Telemetry API has them (developer guide, "Telemetry API Event schema
// reference") and, where they differ, as the older Logs API has them: whole events,
// {"time":…,"type":…,"record":…}. Pure; report_json() and init_report_json() are in log_text.h.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "guest/extensions.h"
#include "invoke/log_text.h"

namespace mayfly::invoke {

struct PhaseStart {
  std::string_view initialization_type{};  // of an Init alone
  std::string_view phase{};                // "init", or "invoke" for one that is tried again
  std::string runtime_version{};
  std::string runtime_version_arn{};
  std::string_view function{};
  std::string_view version{};
  std::string_view instance{};
  std::uint64_t memory_bytes = 0;
};
std::string init_start_event(const PhaseStart& start, WallTime time);
std::string restore_start_event(const PhaseStart& start, WallTime time);

std::string restore_runtime_done_event(Status status, std::string_view error_type, WallTime time);

std::string init_runtime_done_event(std::string_view initialization_type, std::string_view phase,
                                    Status status, std::string_view error_type, WallTime time);

// Without a trace header, or a tenant, those members are left out.
std::string start_event(std::string_view request_id, std::string_view version,
                        std::string_view trace_header, WallTime time,
                        std::string_view tenant_id = {});

struct RuntimeDone {
  std::string_view request_id{};
  std::string_view trace_header{};
  Status status = Status::success;
  std::string_view error_type{};
  Duration duration{};
  WallTime started{};
  std::optional<std::size_t> produced_bytes{};
};
std::string runtime_done_event(const RuntimeDone& done, WallTime time);
// {"requestId":…,"status":"success"|"failure"|"timeout"}
std::string runtime_done_logs_event(const RuntimeDone& done, WallTime time);

std::string end_logs_event(std::string_view request_id, WallTime time);
std::string report_logs_event(const Report& report, WallTime time);
std::string fault_logs_event(std::string_view text, WallTime time);

std::string extension_event(const guest::Extension& extension, WallTime time);
// "EXTENSION Name: … State: Ready Events: [INVOKE,SHUTDOWN]"
std::string extension_text(const guest::Extension& extension);

std::string subscription_event(guest::TelemetryForm form, std::string_view name,
                               const std::vector<std::string>& types, WallTime time);
std::string subscription_text(guest::TelemetryForm form, std::string_view name,
                              const std::vector<std::string>& types);

}  // namespace mayfly::invoke
