// The record of a queue.
#include <charconv>

#include "services/sqs/queue.h"
#include "wire/json.h"

namespace mayfly::services::sqs {

std::string encode(const Info& info) {
  wire::Json attributes{wire::JsonObject()};
  for (const auto& [name, value] : info.attributes) attributes[name] = value;
  wire::Json tags{wire::JsonObject()};
  for (const auto& [name, value] : info.tags) tags[name] = value;
  wire::Json out;
  out["id"] = info.id;
  out["created"] = info.created_ms;
  out["modified"] = info.modified_ms;
  out["purged"] = fmt::format("{}", info.purged_seq);
  out["purgedAt"] = info.purged_ms;
  out["attributes"] = std::move(attributes);
  out["tags"] = std::move(tags);
  return out.dump();
}

Result<Info> decode_info(std::string_view bytes, const QueueRef& ref) {
  auto broken = [&](std::string_view why) {
    return fail(ErrorKind::corrupt, fmt::format("the record of {} is damaged: {}", ref.arn(), why));
  };
  TRY_ASSIGN(auto json, wire::parse_json(bytes));
  Info out;
  out.ref = ref;
  out.id = json.string_or("id");
  if (out.id.size() != 16) return broken("no id");
  out.created_ms = json.int_or("created", 0);
  out.modified_ms = json.int_or("modified", 0);
  out.purged_ms = json.int_or("purgedAt", 0);
  auto purged = json.string_or("purged", "0");
  std::from_chars(purged.data(), purged.data() + purged.size(), out.purged_seq);
  const auto* attributes = json.find("attributes");
  const auto* tags = json.find("tags");
  if (attributes == nullptr || !attributes->is_object() || tags == nullptr || !tags->is_object()) {
    return broken("no attributes");
  }
  for (const auto& [name, value] : *attributes->as<wire::JsonObject>()) {
    out.attributes[name] = value.string_value();
  }
  for (const auto& [name, value] : *tags->as<wire::JsonObject>()) {
    out.tags[name] = value.string_value();
  }
  auto settings = read_settings(out.attributes, ref);
  if (!settings) return broken(settings.error().message);
  out.settings = *std::move(settings);
  return out;
}

}  // namespace mayfly::services::sqs
