// Telemetry: the Observer of base/. Turns reports into log lines and metrics.
//
// Made by mayfly/ and handed to invoke/ and front/ as Observer. Threads: loop only. Ends after
// everything that reports to it; the log store it writes to ends after it.
#pragma once

#include <array>
#include <unordered_map>

#include "base/observer.h"
#include "telemetry/log_store.h"
#include "telemetry/metrics.h"

namespace mayfly::telemetry {

std::string_view to_string(InvocationOutcome outcome);
inline constexpr std::size_t outcomes = 9;

class Telemetry final : public Observer {
 public:
  // Registers its metrics, and the process's own, in `registry`.
  Telemetry(LogStore& logs, Registry& registry);

  void log_line(const LogLine& line) override;
  void invocation_started(const InvocationStart& start) override;
  void invocation(const InvocationReport& report) override;
  void async_event(const AsyncEventReport& report) override;
  void api_call(const ApiCallReport& report) override;
  // Its series are erased, once its calls under way have ended: functions come and go, and there is
  // room for limits::metric_series of them.
  void function_deleted(const Scope& scope, const FunctionName& name);

 private:
  // The series of one function: looked up once, because labels are compared as texts.
  struct FunctionSeries {
    Gauge& running;
    bool deleted = false;  // and erased when nothing of it runs
    Histogram* duration = nullptr;
    Gauge* memory = nullptr;
    Counter* cpu = nullptr;
    Counter* page_faults = nullptr;
    Counter* bytes_in = nullptr;
    Counter* bytes_out = nullptr;
    std::array<std::array<Counter*, outcomes>, 2> ended{};  // by type and outcome
  };
  struct ApiSeries {
    std::string service;
    std::string operation;
    int status = 0;
    Counter* requests = nullptr;
    Histogram* seconds = nullptr;
  };
  FunctionSeries& series_of(const Scope& scope, std::string_view function);
  ApiSeries& series_of(const ApiCallReport& report);
  const std::string& key_of(const Scope& scope, std::string_view function);
  void erase_series(const Scope& scope, std::string_view function);

  LogStore& logs_;
  Registry& registry_;
  Family<Counter>& requests_;
  Family<Histogram>& request_seconds_;
  Family<Counter>& invocations_;
  Family<Gauge>& running_;
  Family<Counter>& cold_starts_;
  Family<Histogram>& duration_seconds_;
  Family<Histogram>& init_seconds_;
  Family<Histogram>& extensions_seconds_;
  Family<Gauge>& memory_used_bytes_;
  Family<Counter>& cpu_seconds_;
  Family<Counter>& page_faults_;
  Family<Counter>& bytes_;
  Family<Counter>& async_received_;
  Family<Histogram>& async_age_seconds_;
  Family<Counter>& async_dropped_;
  Family<Counter>& async_skipped_;
  Family<Counter>& delivery_failures_;
  Histogram& overhead_;
  Counter& log_lines_;
  Counter& log_bytes_;
  std::unordered_map<std::string, FunctionSeries> functions_;
  std::pair<const std::string, FunctionSeries>* last_ = nullptr;  // of them, that was asked for
  std::string key_;  // of functions_, kept for its memory
  std::vector<ApiSeries> calls_;
};

}  // namespace mayfly::telemetry
