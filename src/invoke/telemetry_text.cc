#include "invoke/telemetry_text.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "wire/json.h"

namespace mayfly::invoke {
namespace {

using guest::TelemetryForm;

std::string event(std::string_view type, std::string_view record, WallTime time) {
  return fmt::format(R"({{"time":"{}","type":"platform.{}","record":{}}})", iso_millis(time), type,
                     record);
}

std::string error_member(Status status, std::string_view error_type) {
  if (status != Status::error || error_type.empty()) return {};
  return ",\"errorType\":" + wire::json_quoted(error_type);
}

// ,"tracing":{"type":"X-Amzn-Trace-Id","value":…}
std::string tracing_member(std::string_view header) {
  if (header.empty()) return {};
  return fmt::format(R"(,"tracing":{{"type":"X-Amzn-Trace-Id","value":{}}})",
                     wire::json_quoted(header));
}

std::string environment_members(const PhaseStart& start) {
  std::string runtime;  // a container image has none of ours
  if (!start.runtime_version.empty()) {
    runtime = fmt::format(R"("runtimeVersion":{},"runtimeVersionArn":{},)",
                          wire::json_quoted(start.runtime_version),
                          wire::json_quoted(start.runtime_version_arn));
  }
  return fmt::format(
      R"({}"functionName":{},"functionVersion":{},"instanceId":{},"instanceMaxMemory":{})", runtime,
      wire::json_quoted(start.function), wire::json_quoted(start.version),
      wire::json_quoted(start.instance), start.memory_bytes);
}

std::vector<std::string> events_of(const guest::Extension& extension) {
  std::vector<std::string> out;
  if (extension.wants_invoke) out.emplace_back("INVOKE");
  if (extension.wants_shutdown) out.emplace_back("SHUTDOWN");
  return out;
}

std::string json_list(const std::vector<std::string>& items) {
  std::string out = "[";
  for (const auto& item : items) {
    if (out.size() > 1) out += ',';
    out += wire::json_quoted(item);
  }
  return out + ']';
}

std::string capitalised(std::string text) {
  if (!text.empty() && text[0] >= 'a' && text[0] <= 'z') text[0] = static_cast<char>(text[0] - 32);
  return text;
}

}  // namespace

std::string init_start_event(const PhaseStart& start, WallTime time) {
  return event("initStart",
               fmt::format(R"({{"initializationType":{},"phase":{},{}}})",
                           wire::json_quoted(start.initialization_type),
                           wire::json_quoted(start.phase), environment_members(start)),
               time);
}

std::string restore_start_event(const PhaseStart& start, WallTime time) {
  return event("restoreStart", "{" + environment_members(start) + "}", time);
}

std::string restore_runtime_done_event(Status status, std::string_view error_type, WallTime time) {
  return event(
      "restoreRuntimeDone",
      fmt::format(R"({{"status":"{}"{}}})", status_name(status), error_member(status, error_type)),
      time);
}

std::string init_runtime_done_event(std::string_view initialization_type, std::string_view phase,
                                    Status status, std::string_view error_type, WallTime time) {
  return event("initRuntimeDone",
               fmt::format(R"({{"initializationType":{},"phase":{},"status":"{}"{}}})",
                           wire::json_quoted(initialization_type), wire::json_quoted(phase),
                           status_name(status), error_member(status, error_type)),
               time);
}

std::string start_event(std::string_view request_id, std::string_view version,
                        std::string_view trace_header, WallTime time, std::string_view tenant_id) {
  return event("start",
               fmt::format(R"({{"requestId":{},"version":{}{}{}}})", wire::json_quoted(request_id),
                           wire::json_quoted(version), tracing_member(trace_header),
                           tenant_member(tenant_id)),
               time);
}

std::string runtime_done_event(const RuntimeDone& done, WallTime time) {
  std::string metrics = fmt::format(R"("metrics":{{"durationMs":{:.3f})", millis(done.duration));
  if (done.produced_bytes) metrics += fmt::format(R"(,"producedBytes":{})", *done.produced_bytes);
  std::string spans =
      fmt::format(R"("spans":[{{"name":"responseLatency","start":"{}","durationMs":{:.3f}}}])",
                  iso_millis(done.started), millis(done.duration));
  if (done.status != Status::success) spans = "\"spans\":[]";
  return event("runtimeDone",
               fmt::format(R"({{"requestId":{},"status":"{}"{}{},{},{}}}}})",
                           wire::json_quoted(done.request_id), status_name(done.status),
                           error_member(done.status, done.error_type),
                           tracing_member(done.trace_header), spans, metrics),
               time);
}

std::string runtime_done_logs_event(const RuntimeDone& done, WallTime time) {
  std::string_view status = done.status == Status::error ? "failure" : status_name(done.status);
  return event("runtimeDone",
               fmt::format(R"({{"requestId":{},"status":"{}"}})",
                           wire::json_quoted(done.request_id), status),
               time);
}

std::string end_logs_event(std::string_view request_id, WallTime time) {
  return event("end", fmt::format(R"({{"requestId":{}}})", wire::json_quoted(request_id)), time);
}

std::string report_logs_event(const Report& report, WallTime time) {
  std::string init;
  if (report.init_duration) {
    init = fmt::format(",\"initDurationMs\":{:.2f}", millis(*report.init_duration));
  }
  return event("report",
               fmt::format(R"({{"requestId":{},"metrics":{{"durationMs":{:.2f},)"
                           R"("billedDurationMs":{},"memorySizeMB":{},"maxMemoryUsedMB":{}{}}}}})",
                           wire::json_quoted(report.request_id), millis(report.duration),
                           billed_millis(report.duration), report.memory_mb,
                           report.max_memory_used_mb, init),
               time);
}

std::string fault_logs_event(std::string_view text, WallTime time) {
  return event("fault", wire::json_quoted(text), time);
}

std::string extension_event(const guest::Extension& extension, WallTime time) {
  std::string error;
  if (!extension.error_type.empty())
    error = ",\"errorType\":" + wire::json_quoted(extension.error_type);
  return event(
      "extension",
      fmt::format(R"({{"name":{},"state":"{}","events":{}{}}})", wire::json_quoted(extension.name),
                  to_string(extension.state), json_list(events_of(extension)), error),
      time);
}

std::string extension_text(const guest::Extension& extension) {
  std::string out = fmt::format("EXTENSION\tName: {}\tState: {}\tEvents: [{}]", extension.name,
                                to_string(extension.state), fmt::join(events_of(extension), ","));
  if (!extension.error_type.empty()) out += "\tError Type: " + extension.error_type;
  return out;
}

std::string subscription_event(TelemetryForm form, std::string_view name,
                               const std::vector<std::string>& types, WallTime time) {
  return event(form == TelemetryForm::logs ? "logsSubscription" : "telemetrySubscription",
               fmt::format(R"({{"name":{},"state":"Subscribed","types":{}}})",
                           wire::json_quoted(name), json_list(types)),
               time);
}

std::string subscription_text(TelemetryForm form, std::string_view name,
                              const std::vector<std::string>& types) {
  std::vector<std::string> shown;
  shown.reserve(types.size());
  for (const auto& type : types) shown.push_back(capitalised(type));
  return fmt::format("{}\tName: {}\tState: Subscribed\tTypes: [{}]",
                     form == TelemetryForm::logs ? "LOGS" : "TELEMETRY", name,
                     fmt::join(shown, ", "));
}

}  // namespace mayfly::invoke
