// Observer: how rooms below telemetry/ tell what happened. Nothing below ever calls up; it reports
// here, and telemetry/ (the implementation) turns reports into logs and metrics.
//
// Threads: loop only. Every call returns at once: it copies what it keeps, never blocks and never
// fails. All views live only for the call.
#pragma once

#include <optional>
#include <string_view>

#include "base/clock.h"
#include "base/ids.h"

namespace mayfly {

// One line a function instance wrote (or the platform wrote for it: START, END, REPORT …).
struct LogLine {
  const Scope& scope;
  const InstanceId& instance;   // what the rate bound counts by
  std::string_view function;    // unqualified name
  std::string_view version;     // "$LATEST" or a number
  std::string_view group;       // "/aws/lambda/NAME"; made on the first line when absent
  std::string_view stream;      // "YYYY/MM/DD/[VERSION]hex32", see log_stream_name() of invoke/
  std::string_view request_id;  // empty outside of an invocation
  WallTime time;
  std::string_view text;  // without the final newline
  bool platform = false;  // written by the platform: never dropped by the rate bound
  bool packed = false;    // `text` is that of a PackedLine (base/packed_line.h)
};

struct InvocationStart {
  const Scope& scope;
  std::string_view function;
  bool cold = false;  // the invocation waits for a new instance
};

enum class InvocationOutcome {
  success,
  function_error,
  timeout,
  out_of_memory,
  crash,
  init_error,
  throttled,
  cancelled,
  platform_error
};
enum class InvocationType { request_response, event };

struct InvocationReport {
  const Scope& scope;
  std::string_view function_arn;  // unqualified
  std::string_view function;
  std::string_view version;
  std::string_view request_id;
  InvocationOutcome outcome = InvocationOutcome::success;
  InvocationType type = InvocationType::request_response;
  Duration duration{};                      // handler time, as REPORT shows it
  std::optional<Duration> init_duration{};  // set on a cold start
  // CloudWatch's PostRuntimeExtensionsDuration: what extensions took after the runtime's answer.
  std::optional<Duration> extensions{};
  Duration overhead{};  // request taken to answer given, less duration and init
  int memory_mb = 0;
  int max_memory_used_mb = 0;
  std::optional<Duration> cpu{};  // processor time; none where the machine does not count it
  std::optional<std::uint64_t> page_faults{};  // none where they were not read
  std::uint64_t bytes_in = 0;                  // of the event
  std::uint64_t bytes_out = 0;                 // of the answer
};

// Steps of an asynchronous event: CloudWatch's AsyncEventsReceived, AsyncEventAge (at every start
// of the function for it), AsyncEventsDropped (given up without success, whether or not a
// destination hears of it) and DestinationDeliveryFailures; and, beyond the cloud, `skipped`: flow
// control ended it without a run.
enum class AsyncStep { received, started, dropped, delivery_failed, skipped };
struct AsyncEventReport {
  const Scope& scope;
  std::string_view function;
  AsyncStep step = AsyncStep::received;
  Duration age{};  // since it was accepted, for `started`
};

struct ApiCallReport {
  std::string_view service;    // "lambda"; empty when no service was recognised
  std::string_view operation;  // "Invoke"; empty when no operation was recognised
  int status = 0;
  std::string_view error_code;  // empty on success
  Duration duration{};
};

class Observer {
 public:
  virtual ~Observer() = default;
  virtual void log_line(const LogLine& line) = 0;
  virtual void invocation_started(const InvocationStart& start) = 0;
  // Once for every invocation_started(), and once alone for a throttled one (never started).
  virtual void invocation(const InvocationReport& report) = 0;
  virtual void async_event(const AsyncEventReport& report) = 0;
  virtual void api_call(const ApiCallReport& report) = 0;
};

// Keeps nothing: for tests of others and for tools.
class NullObserver : public Observer {
 public:
  void log_line(const LogLine&) override {}
  void invocation_started(const InvocationStart&) override {}
  void invocation(const InvocationReport&) override {}
  void async_event(const AsyncEventReport&) override {}
  void api_call(const ApiCallReport&) override {}
};

}  // namespace mayfly
