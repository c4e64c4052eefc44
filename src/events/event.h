// Nouns of what runs code: Event in, Outcome out.
#pragma once

#include <optional>
#include <string>

#include "base/clock.h"
#include "base/ids.h"

namespace mayfly::events {

// Payloads are bytes that pass through: nobody parses and prints them again on their way.
struct Event {
  RequestId id;
  std::string payload;
  std::string content_type = "application/json";
  std::string client_context;       // decoded JSON, or empty
  std::string trace_header;         // X-Amzn-Trace-Id, or empty
  std::string tenant_id = {};       // X-Amz-Tenant-Id, or empty
  Deadline deadline = no_deadline;  // the caller's own, not the function's timeout
};

struct Outcome {
  enum class Kind {
    ok,              // payload is the function's answer
    function_error,  // the function (or its runtime) failed; payload is the error JSON
  };
  Kind kind = Kind::ok;
  std::string payload;
  std::string content_type = "application/json";
  // "Handled" or "Unhandled" for function_error.
  std::string error_class;
  std::string error_type = {};  // likewise: "Runtime.ExitError", "Function.Unknown"
  bool streamed = false;        // the function streamed its answer
  std::string executed_version;
  // The last 4 KiB of the invocation's log, when the caller asked for it.
  std::string log_tail;
};

}  // namespace mayfly::events
