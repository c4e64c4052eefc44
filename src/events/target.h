// Target: what can be pushed to. Delivery: what one resource pushes to another on its own behalf (a
// topic, rule, schedule or the end of an asynchronous call), which is not a call of a client.
//
// Errors of push(): not_found (no such resource), denied (nothing allows the sender), invalid and
// too_large (it will never be taken), throttled and unavailable (it may be taken later). A failing
// function is an Outcome.
//
// Loop thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "events/event.h"
#include "io/task.h"

namespace mayfly::events {

// On whose behalf it is pushed.
struct Sender {
  std::string service;     // the principal: "sns.amazonaws.com"
  std::string source_arn;  // of the resource: the topic, the rule; aws:SourceArn of conditions
  AccountId account;       // of that resource
  std::string role_arn;    // the target is called as this role; empty: as the service
};

// Of a message, as queues and topics have them.
struct Attribute {
  std::string name;
  std::string type;   // "String", "Number", "Binary", each with ".custom" perhaps
  std::string value;  // bytes, for Binary too
  bool operator==(const Attribute&) const = default;
};

struct Delivery {
  std::string arn;  // of the target
  std::string payload;
  Sender sender;
  std::string trace_header;             // with the lineage of what led here, or empty
  std::string subject = {};             // topics
  std::vector<Attribute> attributes{};  // queues and topics
  std::string group_id = {};            // queues and topics with order (queues: fairness)
  std::string deduplication_id = {};    // queues and topics with order
  bool wait = false;                    // functions: run now, and answer how it ended
};

class Target {
 public:
  virtual ~Target() = default;
  // It is there, and the sender may push to it, as far as can be said before. For whoever
  // configures it: what is not there may come to be, and the other way round.
  virtual Result<> check(std::string_view arn, const Sender& sender) = 0;
  // Without Delivery::wait: a value means that the target has it durably (its Outcome is empty).
  virtual io::Task<Result<Outcome>> push(Delivery delivery) = 0;
};

}  // namespace mayfly::events
