// Who is told of what happens in a bucket (user guide, "Amazon S3 Event Notifications"), and the
// messages they get.
#pragma once

#include <string>
#include <vector>

#include "base/ids.h"
#include "services/s3/object.h"
#include "wire/json.h"

namespace mayfly::services::s3 {

struct Bucket;

struct NotificationRule {
  enum class Kind { function, queue, topic };
  Kind kind = Kind::function;
  std::string id;
  std::string arn;
  std::vector<std::string> events;  // "s3:ObjectCreated:*"
  std::string prefix{};
  std::string suffix{};
};

struct Notifications {
  std::vector<NotificationRule> rules;
  bool event_bus = false;  // EventBridge, the account's default bus
  bool empty() const { return rules.empty() && !event_bus; }
};

wire::Json json_of(const Notifications& notifications);
Notifications read_notifications(const wire::Json& json);

// "ObjectCreated:Put" is wanted by "s3:ObjectCreated:*".
bool wants(const NotificationRule& rule, std::string_view event, std::string_view key);
// Two rules of which an object could be for both.
bool overlap(const NotificationRule& a, const NotificationRule& b);
bool is_event_name(std::string_view name);

// What has happened, and by whom.
struct Happening {
  std::string event;   // "ObjectCreated:Put"
  std::string reason;  // "PutObject"
  std::string request_id;
  std::string principal;  // the caller's unique id
  AccountId requester;
  std::string source_ip;
  std::string trace_header;
  std::int64_t at_ms = 0;
};

// The JSON that functions, queues and topics get (user guide, "Event message structure").
std::string event_message(const Bucket& bucket, const NotificationRule& rule, const Happening& what,
                          const Object& object, std::uint64_t sequencer);
// The detail that buses get (user guide, "EventBridge event message structure").
std::string event_detail(const Bucket& bucket, const Happening& what, const Object& object,
                         std::uint64_t sequencer);
std::string detail_type(const Happening& what);
// What queues and topics get when they are configured.
std::string test_event(const Bucket& bucket, const std::string& request_id, std::int64_t now_ms);

}  // namespace mayfly::services::s3
