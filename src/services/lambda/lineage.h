// Lineage: how often each function has been invoked in one chain of requests, carried in the trace
// header from a function to what it calls (SDKs pass _X_AMZN_TRACE_ID on) and into destinations.
//
//   Root=1-…;Parent=…;Sampled=0;Lineage=1f0e3dad:3,8c7dd922:1
//
// A function is named by eight hex digits of a hash of its ARN. Headers come from callers: what
// cannot be read counts as no lineage.
#pragma once

#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/random.h"

namespace mayfly::lambda {

// The header for an invocation of `arn` that was asked for with `header`. Without one a header is
// begun by `fresh` ("Root=…;Parent=…;Sampled=0").
struct Hop {
  std::string header;
  int invocations = 0;  // of this function in the chain, with this one
};
std::string fresh_trace(Random& random, WallTime now);
Hop next_hop(std::string_view header, std::string_view arn, std::string_view fresh);

}  // namespace mayfly::lambda
