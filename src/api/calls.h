// Calls: operations of this server's services, called from inside it on behalf of a resource (a
// schedule's universal target). Everything that holds for a client's call holds for these: the
// model's constraints, the authorization of the caller, errors.
//
// Implemented by front/. Loop thread.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "api/caller.h"
#include "api/error.h"
#include "api/operation.h"
#include "base/ids.h"
#include "io/task.h"
#include "wire/value.h"

namespace mayfly::api {

struct OwnCall {
  std::string service;    // as SDKs identify it: "sqs", "eventbridge", "sfn"
  std::string operation;  // "sendMessage"; its first letter may be a capital
  std::string input;      // JSON, its members named as in the model
  Caller caller;
  Scope scope;
};

// Of an operation that streams its output. The payload is call->stream, of call->stream_bytes bytes
// where they are known; whoever asked reads it to its end or lets it go.
struct OwnStream {
  wire::Record output;
  std::unique_ptr<Call> call;
};

class Calls {
 public:
  virtual ~Calls() = default;
  // The server has that operation. not_implemented: its service or itself is not built.
  // validation: there is no such operation.
  virtual ApiResult<void> check(std::string_view service, std::string_view operation) const = 0;
  virtual io::Task<ApiResult<wire::Record>> call(OwnCall call) = 0;
  // validation: the operation answers no stream.
  virtual io::Task<ApiResult<OwnStream>> open(OwnCall call) = 0;
};

}  // namespace mayfly::api
