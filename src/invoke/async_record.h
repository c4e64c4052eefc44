// One asynchronous event as bytes in the store, and its key.
//
//   key     "async/" + due time, milliseconds since the epoch, 16 hex digits + "/" + request id +
//           "/" + account + "/" + region + "/" + function name (the lane it waits in; absent in
//           records of older versions, which share one)
//
//   value   offset size (little-endian)
//           0      1    format: 1; 2 with a tenant; 3 for what is pushed to a resource; 4: eight
//           bytes
//                       follow, when the first came of those that it supersedes (milliseconds since
//                       the epoch, not 0), and then a value of another format
//           1      4    failures of the function so far
//           5      4    failures of the platform so far (throttles and the like)
//           9      8    accepted at, milliseconds since the epoch
//           17     …    account, region, function name, qualifier, request id, content type, client
//                       context, trace header, payload: each a length of 4 bytes and its bytes;
//                       in format 2 then the tenant's id likewise; in format 3 the ARNs of the
//                       resource, the function and its role, and of each attribute name, type and
//                       value
#pragma once

#include "invoke/invoker.h"

namespace mayfly::invoke {

struct AsyncRecord {
  AsyncEvent event;
  std::uint32_t function_failures = 0;
  std::uint32_t platform_failures = 0;
  std::int64_t accepted_ms = 0;
  std::int64_t debounced_ms = 0;  // when the first came of those that it has superseded; 0: none
};

inline constexpr std::string_view async_prefix = "async/";

std::string async_key(std::int64_t due_ms, const AsyncEvent& event);
// `corrupt` for a key of another form.
Result<std::int64_t> async_due_ms(std::string_view key);
std::string_view async_lane(std::string_view key);
std::string async_lane(const Scope& scope, const FunctionName& name);
std::string encode(const AsyncRecord& record);
Result<AsyncRecord> decode_async(std::string_view bytes);

}  // namespace mayfly::invoke
