#include "telemetry/telemetry.h"

#include <fstream>

#include "base/packed_line.h"

namespace mayfly::telemetry {
namespace {

const std::vector<double> request_bounds{0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05,
                                         0.1,    0.25,  0.5,    1,     2.5,  5,     10};
const std::vector<double> function_bounds{0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25,
                                          0.5,   1,      2.5,   5,    10,    30,   60,  300};
const std::vector<double> overhead_bounds{0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005,
                                          0.01,   0.025,   0.05,   0.1,   0.5,    1};
const std::vector<double> age_bounds{0.01, 0.1, 1, 10, 60, 180, 600, 1'800, 3'600, 10'800, 21'600};
const std::vector<std::string> function_labels{"account", "region", "function"};

constexpr std::size_t functions_kept = 10'000;
constexpr std::size_t calls_kept = 256;

double seconds(Duration time) { return std::chrono::duration<double>(time).count(); }

// "VmRSS:     1234 kB" of /proc/self/status, in bytes.
double resident_bytes() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmRSS:")) return std::strtod(line.c_str() + 6, nullptr) * 1024;
  }
  return 0;
}

}  // namespace

std::string_view to_string(InvocationOutcome outcome) {
  switch (outcome) {
    case InvocationOutcome::success: return "success";
    case InvocationOutcome::function_error: return "function_error";
    case InvocationOutcome::timeout: return "timeout";
    case InvocationOutcome::out_of_memory: return "out_of_memory";
    case InvocationOutcome::crash: return "crash";
    case InvocationOutcome::init_error: return "init_error";
    case InvocationOutcome::throttled: return "throttled";
    case InvocationOutcome::cancelled: return "cancelled";
    case InvocationOutcome::platform_error: return "platform_error";
  }
  return "unknown";
}

Telemetry::Telemetry(LogStore& logs, Registry& registry)
    : logs_(logs),
      registry_(registry),
      requests_(registry.counter("mayfly_api_requests_total", "API calls answered.",
                                 {"service", "operation", "status"})),
      request_seconds_(registry.histogram("mayfly_api_request_duration_seconds",
                                          "Time to answer an API call.", {"service", "operation"},
                                          request_bounds)),
      invocations_(registry.counter("mayfly_invocations_total", "Invocations that ended.",
                                    {"account", "region", "function", "type", "outcome"})),
      running_(registry.gauge("mayfly_invocations_running", "Invocations that run now.",
                              function_labels)),
      cold_starts_(registry.counter("mayfly_cold_starts_total",
                                    "Invocations that waited for a new instance.",
                                    function_labels)),
      duration_seconds_(registry.histogram("mayfly_invocation_duration_seconds",
                                           "Time spent in the handler.", function_labels,
                                           function_bounds)),
      init_seconds_(registry.histogram("mayfly_init_duration_seconds", "Time to start an instance.",
                                       function_labels, function_bounds)),
      extensions_seconds_(registry.histogram("mayfly_post_runtime_extensions_seconds",
                                             "Time that extensions took after the answer.",
                                             function_labels, function_bounds)),
      memory_used_bytes_(registry.gauge("mayfly_function_memory_used_bytes",
                                        "Largest memory of the instance that reported last.",
                                        function_labels)),
      cpu_seconds_(registry.counter("mayfly_invocation_cpu_seconds_total",
                                    "Processor time of invocations.", function_labels)),
      page_faults_(registry.counter("mayfly_invocation_page_faults_total",
                                    "Page faults of invocations.", function_labels)),
      bytes_(registry.counter("mayfly_invocation_bytes_total", "Bytes of events and of answers.",
                              {"account", "region", "function", "direction"})),
      async_received_(registry.counter("mayfly_async_events_received_total",
                                       "Asynchronous events accepted into the queue.",
                                       function_labels)),
      async_age_seconds_(
          registry.histogram("mayfly_async_event_age_seconds",
                             "From an event's acceptance to each start of the function for it.",
                             function_labels, age_bounds)),
      async_dropped_(registry.counter(
          "mayfly_async_events_dropped_total",
          "Asynchronous events given up without success; a destination may have heard of them.",
          function_labels)),
      async_skipped_(registry.counter("mayfly_async_events_skipped_total",
                                      "Asynchronous events that flow control ended without a run.",
                                      function_labels)),
      delivery_failures_(registry.counter("mayfly_destination_delivery_failures_total",
                                          "Records that no destination took.", function_labels)),
      overhead_(registry
                    .histogram("mayfly_invocation_overhead_seconds",
                               "Time of an invocation outside of the handler.", {}, overhead_bounds)
                    .with({})),
      log_lines_(registry.counter("mayfly_log_lines_total", "Log lines of instances.").with({})),
      log_bytes_(
          registry.counter("mayfly_log_received_bytes_total", "Log text of instances.").with({})) {
  registry.counter_function("mayfly_log_lines_dropped_total",
                            "Log lines that the rate bound or a full disk cost.",
                            [&logs] { return static_cast<double>(logs.dropped_lines()); });
  registry.gauge_function("mayfly_log_stored_bytes", "Log text on the disk.",
                          [&logs] { return static_cast<double>(logs.total_bytes()); });
  registry.gauge_function("process_resident_memory_bytes", "Resident memory of the server.",
                          resident_bytes);
}

void Telemetry::log_line(const LogLine& line) {
  log_lines_.add();
  std::size_t bytes = line.packed ? unpacked_size(line.text) : line.text.size();
  log_bytes_.add(static_cast<double>(bytes));
  logs_.add_line(line);
}

namespace {

// ACCOUNT/REGION/FUNCTION
bool is_key(std::string_view key, const Scope& scope, std::string_view function) {
  const auto& account = scope.account.str();
  const auto& region = scope.region.str();
  return key.size() == account.size() + region.size() + function.size() + 2 &&
         key.starts_with(account) && key.substr(account.size() + 1).starts_with(region) &&
         key.ends_with(function);
}

}  // namespace

const std::string& Telemetry::key_of(const Scope& scope, std::string_view function) {
  key_.assign(scope.account.str()).append("/").append(scope.region.str()).append("/");
  return key_.append(function);
}

Telemetry::FunctionSeries& Telemetry::series_of(const Scope& scope, std::string_view function) {
  if (last_ != nullptr && is_key(last_->first, scope, function)) return last_->second;
  auto found = functions_.find(key_of(scope, function));
  if (found != functions_.end()) {
    last_ = &*found;
    return found->second;
  }
  last_ = nullptr;
  if (functions_.size() >= functions_kept) functions_.clear();
  auto& running = running_.with({scope.account.str(), scope.region.str(), function});
  return functions_.emplace(key_, FunctionSeries{.running = running}).first->second;
}

Telemetry::ApiSeries& Telemetry::series_of(const ApiCallReport& report) {
  auto found = std::ranges::find_if(calls_, [&](const ApiSeries& series) {
    return series.status == report.status && series.operation == report.operation &&
           series.service == report.service;
  });
  if (found != calls_.end()) {
    // The most frequent come to stand first, so that finding them compares little.
    if (found != calls_.begin()) std::iter_swap(found, std::prev(found)), --found;
    return *found;
  }
  if (calls_.size() >= calls_kept) calls_.pop_back();
  calls_.push_back({.service = std::string(report.service),
                    .operation = std::string(report.operation),
                    .status = report.status,
                    .requests = &requests_.with(
                        {report.service, report.operation, fmt::format_int(report.status).str()}),
                    .seconds = &request_seconds_.with({report.service, report.operation})});
  return calls_.back();
}

void Telemetry::invocation_started(const InvocationStart& start) {
  auto& series = series_of(start.scope, start.function);
  series.running.add(1);
  series.deleted = false;  // there is one of that name again
  if (!start.cold) return;
  const auto& [account, region] = start.scope;
  cold_starts_.with({account.str(), region.str(), start.function}).add();
}

void Telemetry::invocation(const InvocationReport& report) {
  const auto& [account, region] = report.scope;
  std::initializer_list<std::string_view> labels{account.str(), region.str(), report.function};
  auto& series = series_of(report.scope, report.function);
  bool event = report.type == InvocationType::event;
  auto& ended = series.ended[event ? 1 : 0][static_cast<std::size_t>(report.outcome)];
  if (ended == nullptr) {
    std::string_view type = event ? "event" : "request_response";
    ended = &invocations_.with(
        {account.str(), region.str(), report.function, type, to_string(report.outcome)});
  }
  ended->add();
  if (report.outcome == InvocationOutcome::throttled) return;  // it never started
  series.running.add(-1);
  if (series.duration == nullptr) {
    series.duration = &duration_seconds_.with(labels);
    series.memory = &memory_used_bytes_.with(labels);
    series.cpu = &cpu_seconds_.with(labels);
    series.page_faults = &page_faults_.with(labels);
    series.bytes_in = &bytes_.with({account.str(), region.str(), report.function, "in"});
    series.bytes_out = &bytes_.with({account.str(), region.str(), report.function, "out"});
  }
  series.duration->observe(seconds(report.duration));
  overhead_.observe(seconds(report.overhead));
  if (report.init_duration) {
    init_seconds_.with(labels).observe(seconds(*report.init_duration));
  }
  if (report.extensions) extensions_seconds_.with(labels).observe(seconds(*report.extensions));
  series.memory->set(report.max_memory_used_mb * 1024.0 * 1024.0);
  if (report.cpu) series.cpu->add(seconds(*report.cpu));
  if (report.page_faults) series.page_faults->add(static_cast<double>(*report.page_faults));
  series.bytes_in->add(static_cast<double>(report.bytes_in));
  series.bytes_out->add(static_cast<double>(report.bytes_out));
  if (series.deleted && series.running.value() <= 0) erase_series(report.scope, report.function);
}

void Telemetry::function_deleted(const Scope& scope, const FunctionName& name) {
  auto& series = series_of(scope, name.str());
  if (series.running.value() <= 0) return erase_series(scope, name.str());
  series.deleted = true;
}

void Telemetry::erase_series(const Scope& scope, std::string_view function) {
  last_ = nullptr;
  functions_.erase(key_of(scope, function));
  registry_.erase(function_labels,
                  {scope.account.str(), scope.region.str(), std::string(function)});
}

void Telemetry::async_event(const AsyncEventReport& report) {
  const auto& [account, region] = report.scope;
  std::initializer_list<std::string_view> labels{account.str(), region.str(), report.function};
  switch (report.step) {
    case AsyncStep::received: return async_received_.with(labels).add();
    case AsyncStep::started: return async_age_seconds_.with(labels).observe(seconds(report.age));
    case AsyncStep::dropped: return async_dropped_.with(labels).add();
    case AsyncStep::skipped: return async_skipped_.with(labels).add();
    case AsyncStep::delivery_failed: return delivery_failures_.with(labels).add();
  }
}

void Telemetry::api_call(const ApiCallReport& report) {
  auto& series = series_of(report);
  series.requests->add();
  series.seconds->observe(seconds(report.duration));
}

}  // namespace mayfly::telemetry
