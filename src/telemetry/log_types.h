// The nouns of the log store.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/ids.h"
#include "store/store.h"

namespace mayfly::telemetry {

struct LogGroup {
  Scope scope;
  std::string name;
  std::int64_t created_ms = 0;
  std::optional<int> retention_days{};
  std::map<std::string, std::string> tags{};
  std::string log_class = "STANDARD";
  bool deletion_protection = false;
};

struct LogStream {
  std::string name;
  std::int64_t created_ms = 0;
  // By the events' own times; unset until the first event.
  std::optional<std::int64_t> first_event_ms;
  std::optional<std::int64_t> last_event_ms;
  std::optional<std::int64_t> last_ingestion_ms;
};

// An event as written.
struct NewLogEvent {
  std::int64_t time_ms = 0;
  std::string message;
};

// An event as read.
struct LogEvent {
  std::uint64_t seq = 0;  // of its group, in the order of arrival
  std::string stream;
  std::int64_t time_ms = 0;
  std::int64_t ingested_ms = 0;
  std::string message;
  store::LogPlace place() const { return {time_ms, seq}; }
};

// Events of a group (or of one of its streams) in the order of their times.
struct LogEventQuery {
  std::optional<std::string> stream{};
  std::int64_t from_ms = INT64_MIN;        // time >= from_ms
  std::int64_t to_ms = INT64_MAX;          // time < to_ms
  std::optional<store::LogPlace> place{};  // strictly after it (descending: before it)
  std::size_t limit = 10'000;
  std::size_t max_bytes = std::size_t{1} << 20;
  bool descending = false;
};

}  // namespace mayfly::telemetry
