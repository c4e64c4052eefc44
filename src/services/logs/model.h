// The nouns of the CloudWatch Logs service: what it needs, its texts and tokens.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "api/operation.h"
#include "io/loop.h"
#include "telemetry/log_store.h"

namespace mayfly::services::logs {

// All live as long as the server.
struct Deps {
  io::Loop& loop;
  telemetry::LogStore& logs;
};

// "arn:aws:logs:REGION:ACCOUNT:log-group:NAME"; resources below a group add ":…".
std::string group_arn(const Scope& scope, std::string_view group);
// The group that a name or an ARN (with or without ":*") names; nullopt: of another scope.
std::optional<std::string> group_of_identifier(const Scope& scope, std::string_view identifier);

// 56 digits that sort like (time, seq): 36 of the time, 20 of the seq. The ids of events and the
// middle of tokens.
std::string place_text(const store::LogPlace& place);
std::optional<store::LogPlace> parse_place(std::string_view text);

// Days that PutRetentionPolicy takes.
bool is_retention(std::int64_t days);
std::string retention_values();  // "[1, 3, 5, …]"

// Which events of a batch PutLogEvents takes, by their times alone.
struct BatchVerdict {
  std::size_t begin = 0;  // the first event taken
  std::size_t end = 0;    // one after the last
  std::optional<std::size_t> too_old_end;
  std::optional<std::size_t> expired_end;
  std::optional<std::size_t> too_new_begin;
};
BatchVerdict judge_times(const std::vector<std::int64_t>& times, std::int64_t now_ms,
                         std::optional<int> retention_days);

}  // namespace mayfly::services::logs
