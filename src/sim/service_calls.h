// A service's operations as a test calls them: as front/ does, without bytes.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>

#include "api/operation.h"
#include "io/loop.h"

namespace mayfly::sim {

struct CallAs {
  Scope scope;
  std::string instance = {};  // the environment that calls
  std::string trace_header = {};
  AccountId account = {};  // of the caller; empty: the scope's
};

inline api::ApiResult<wire::Record> call_service(io::Loop& loop, const api::Service& service,
                                                 const CallAs& as, std::string_view name,
                                                 wire::Record input) {
  auto row = std::ranges::find(service.model->operations, name, &api::Operation::name);
  REQUIRE(row != service.model->operations.end());
  api::Caller caller;
  caller.account = as.account.empty() ? as.scope.account : as.account;
  api::Call call{.operation = *row,
                 .caller = caller,
                 .scope = as.scope,
                 .request_id = RequestId("r"),
                 .host = "localhost:4566",
                 .trace_header = as.trace_header,
                 .instance = InstanceId(as.instance)};
  return loop.run_until(service.handlers.at(name)(call, std::move(input)));
}

// Base of a test's bench that has call(name, record): calls by the views of a service's shapes.
template <class Bench>
class TypedCalls {
 public:
  template <class Out, class In>
  Out ok(std::string_view name, In in) {
    auto answer = bench().call(name, std::move(in).take());
    REQUIRE_MESSAGE(answer.has_value(), answer.error().message);
    return Out(std::move(*answer));
  }
  template <class In>
  void done(std::string_view name, In in) {
    auto answer = bench().call(name, std::move(in).take());
    REQUIRE_MESSAGE(answer.has_value(), answer.error().message);
  }
  template <class In>
  std::string error(std::string_view name, In in) {
    auto answer = bench().call(name, std::move(in).take());
    return answer ? "(success)" : answer.error().code + ": " + answer.error().message;
  }
  template <class In>
  std::string code(std::string_view name, In in) {
    auto answer = bench().call(name, std::move(in).take());
    return answer ? "(success)" : answer.error().code;
  }

 private:
  friend Bench;  // and nobody else is a TypedCalls of it
  TypedCalls() = default;
  Bench& bench() { return static_cast<Bench&>(*this); }
};

}  // namespace mayfly::sim
