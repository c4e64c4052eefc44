// What an extension asks of the Telemetry API 2022-07-01 (developer guide, "Telemetry API
// reference") or of the Logs API 2020-08-15 (its "Lambda Logs API"). Pure.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "guest/extensions.h"

namespace mayfly::invoke {

enum class TelemetryKind : std::uint8_t { platform = 1, function = 2, extension = 4 };

struct Subscription {
  guest::TelemetryForm form = guest::TelemetryForm::telemetry;
  std::string schema_version;
  std::vector<std::string> types;  // as they were named
  std::uint8_t kinds = 0;          // of TelemetryKind
  enum class Protocol { http, tcp } protocol = Protocol::http;
  std::uint16_t port = 0;
  std::string path = "/";
  std::string host;             // "sandbox.localdomain:8080"
  std::string method = "POST";  // the Logs API knows PUT as well
  std::size_t max_items = 10'000;
  std::size_t max_bytes = 262'144;
  Duration timeout = std::chrono::milliseconds(1000);

  bool wants(TelemetryKind kind) const { return (kinds & static_cast<std::uint8_t>(kind)) != 0; }
  // Records of functions with JSON logs are objects from this schema on, text before.
  bool json_records() const {
    return form == guest::TelemetryForm::telemetry && schema_version >= "2022-12-13";
  }
  // The older form has it since this schema.
  bool wants_runtime_done() const {
    return form == guest::TelemetryForm::telemetry || schema_version >= "2021-03-18";
  }
};

// `invalid` with a text for the extension.
Result<Subscription> read_subscription(guest::TelemetryForm form, std::string_view body);

}  // namespace mayfly::invoke
