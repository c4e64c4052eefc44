#include "services/s3/notifications.h"

#include <algorithm>
#include <array>

#include "services/s3/bucket.h"
#include "services/s3/names.h"
#include "services/s3/versions.h"
#include "wire/hash.h"
#include "wire/text.h"

namespace mayfly::services::s3 {

namespace {

using wire::Json;

// User guide, "Supported event types for SQS, SNS, and Lambda".
constexpr std::array<std::string_view, 30> event_names{
    "s3:ReducedRedundancyLostObject",
    "s3:ObjectCreated:*",
    "s3:ObjectCreated:Put",
    "s3:ObjectCreated:Post",
    "s3:ObjectCreated:Copy",
    "s3:ObjectCreated:CompleteMultipartUpload",
    "s3:ObjectRemoved:*",
    "s3:ObjectRemoved:Delete",
    "s3:ObjectRemoved:DeleteMarkerCreated",
    "s3:ObjectRestore:*",
    "s3:ObjectRestore:Post",
    "s3:ObjectRestore:Completed",
    "s3:ObjectRestore:Delete",
    "s3:Replication:*",
    "s3:Replication:OperationFailedReplication",
    "s3:Replication:OperationMissedThreshold",
    "s3:Replication:OperationReplicatedAfterThreshold",
    "s3:Replication:OperationNotTracked",
    "s3:LifecycleExpiration:*",
    "s3:LifecycleExpiration:Delete",
    "s3:LifecycleExpiration:DeleteMarkerCreated",
    "s3:LifecycleTransition",
    "s3:IntelligentTiering",
    "s3:ObjectTagging:*",
    "s3:ObjectTagging:Put",
    "s3:ObjectTagging:Delete",
    "s3:ObjectAcl:Put",
    "s3:ObjectAnnotation:*",
    "s3:ObjectAnnotation:Put",
    "s3:ObjectAnnotation:Delete",
};

constexpr std::string_view any = "*";

bool event_matches(std::string_view pattern, std::string_view event) {
  constexpr std::string_view service = "s3:";
  if (pattern.starts_with(service)) pattern.remove_prefix(service.size());
  if (!pattern.ends_with(any)) return pattern == event;
  return event.starts_with(pattern.substr(0, pattern.size() - any.size()));
}

bool events_overlap(std::string_view a, std::string_view b) {
  constexpr std::size_t service = 3;  // "s3:"
  return event_matches(a, b.substr(service)) || event_matches(b, a.substr(service));
}

std::string sequencer_text(std::uint64_t sequencer) { return fmt::format("{:018X}", sequencer); }

bool is_removal(const Happening& what) { return what.event.starts_with("ObjectRemoved"); }

bool is_tagging(const Happening& what) { return what.event.starts_with("ObjectTagging"); }

bool makes_marker(const Happening& what) {
  return what.event == "ObjectRemoved:DeleteMarkerCreated";
}

// Of nothing, which a delete marker has.
constexpr const char* empty_etag = "d41d8cd98f00b204e9800998ecf8427e";

void describe(const Happening& what, const Object& object, std::string_view etag, Json& about) {
  if (makes_marker(what)) about[etag] = empty_etag;
  if (is_removal(what)) return;
  if (!is_tagging(what)) about["size"] = static_cast<std::int64_t>(object.size);
  about[etag] = object.etag;
}

// As the header of the answer that told the client.
std::string host_id(const std::string& request_id) {
  return wire::base64_encode(wire::sha256(request_id));
}

}  // namespace

Json json_of(const Notifications& notifications) {
  Json out{wire::JsonObject()};
  if (notifications.event_bus) out["bus"] = true;
  for (const auto& rule : notifications.rules) {
    Json one{wire::JsonObject()};
    one["kind"] = static_cast<int>(rule.kind);
    one["id"] = rule.id;
    one["arn"] = rule.arn;
    for (const auto& event : rule.events) one["events"].push_back(event);
    if (!rule.prefix.empty()) one["prefix"] = rule.prefix;
    if (!rule.suffix.empty()) one["suffix"] = rule.suffix;
    out["rules"].push_back(std::move(one));
  }
  return out;
}

Notifications read_notifications(const Json& json) {
  Notifications out;
  out.event_bus = json.bool_or("bus", false);
  const auto* rules = json.find("rules");
  if (rules == nullptr || !rules->is_array()) return out;
  for (const auto& one : *rules->as<wire::JsonArray>()) {
    NotificationRule rule;
    rule.kind = static_cast<NotificationRule::Kind>(one.int_or("kind", 0));
    rule.id = one.string_or("id");
    rule.arn = one.string_or("arn");
    if (const auto* events = one.find("events"); events != nullptr && events->is_array()) {
      for (const auto& event : *events->as<wire::JsonArray>()) {
        rule.events.emplace_back(event.string_value());
      }
    }
    rule.prefix = one.string_or("prefix");
    rule.suffix = one.string_or("suffix");
    out.rules.push_back(std::move(rule));
  }
  return out;
}

bool wants(const NotificationRule& rule, std::string_view event, std::string_view key) {
  if (!key.starts_with(rule.prefix) || !key.ends_with(rule.suffix)) return false;
  return std::ranges::any_of(rule.events,
                             [&](const auto& one) { return event_matches(one, event); });
}

bool overlap(const NotificationRule& a, const NotificationRule& b) {
  bool prefixes = a.prefix.starts_with(b.prefix) || b.prefix.starts_with(a.prefix);
  bool suffixes = a.suffix.ends_with(b.suffix) || b.suffix.ends_with(a.suffix);
  if (!prefixes || !suffixes) return false;
  return std::ranges::any_of(a.events, [&](const auto& one) {
    return std::ranges::any_of(b.events,
                               [&](const auto& other) { return events_overlap(one, other); });
  });
}

bool is_event_name(std::string_view name) {
  return std::ranges::find(event_names, name) != event_names.end();
}

std::string event_message(const Bucket& bucket, const NotificationRule& rule, const Happening& what,
                          const Object& object, std::uint64_t sequencer) {
  Json about = Json::object({{"key", url_encoded(object.key)}});
  describe(what, object, "eTag", about);
  if (!is_null(object)) about["versionId"] = object.version;
  about["sequencer"] = sequencer_text(sequencer);
  Json record = Json::object({
      {"eventVersion", "2.1"},
      {"eventSource", "aws:s3"},
      {"awsRegion", bucket.region.str()},
      {"eventTime", wire::format_iso8601(what.at_ms, wire::Fraction::millis)},
      {"eventName", what.event},
      {"userIdentity", Json::object({{"principalId", "AWS:" + what.principal}})},
      {"requestParameters", Json::object({{"sourceIPAddress", what.source_ip}})},
      {"responseElements", Json::object({{"x-amz-request-id", what.request_id},
                                         {"x-amz-id-2", host_id(what.request_id)}})},
      {"s3",
       Json::object(
           {{"s3SchemaVersion", "1.0"},
            {"configurationId", rule.id},
            {"bucket", Json::object({{"name", bucket.name},
                                     {"ownerIdentity",
                                      Json::object({{"principalId", canonical_id(bucket.owner)}})},
                                     {"arn", bucket_arn(bucket.name)}})},
            {"object", std::move(about)}})},
  });
  return Json::object({{"Records", Json::array({std::move(record)})}}).dump();
}

std::string detail_type(const Happening& what) {
  if (what.event == "ObjectTagging:Put") return "Object Tags Added";
  if (what.event == "ObjectTagging:Delete") return "Object Tags Deleted";
  return is_removal(what) ? "Object Deleted" : "Object Created";
}

std::string event_detail(const Bucket& bucket, const Happening& what, const Object& object,
                         std::uint64_t sequencer) {
  Json about = Json::object({{"key", object.key}});
  describe(what, object, "etag", about);
  if (!is_null(object)) about["version-id"] = object.version;
  if (!is_tagging(what)) about["sequencer"] = sequencer_text(sequencer);
  Json out = Json::object({{"version", "0"},
                           {"bucket", Json::object({{"name", bucket.name}})},
                           {"object", std::move(about)},
                           {"request-id", what.request_id},
                           {"requester", what.requester.str()},
                           {"source-ip-address", what.source_ip}});
  if (!is_tagging(what)) out["reason"] = what.reason;
  if (is_removal(what)) {
    out["deletion-type"] = makes_marker(what) ? "Delete Marker Created" : "Permanently Deleted";
  }
  return out.dump();
}

std::string test_event(const Bucket& bucket, const std::string& request_id, std::int64_t now_ms) {
  return Json::object({{"Service", "Amazon S3"},
                       {"Event", "s3:TestEvent"},
                       {"Time", wire::format_iso8601(now_ms, wire::Fraction::millis)},
                       {"Bucket", bucket.name},
                       {"RequestId", request_id},
                       {"HostId", host_id(request_id)}})
      .dump();
}

}  // namespace mayfly::services::s3
