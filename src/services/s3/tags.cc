#include "services/s3/tags.h"

#include "services/s3/limits.h"
#include "wire/text.h"

namespace mayfly::services::s3 {

namespace {

Refusal invalid_tag(std::string message) { return refuse("InvalidTag", 400, std::move(message)); }

ApiResult<void> add(std::string key, std::string value, Tags& into) {
  if (key.empty() || wire::utf8_length(key) > limits::object_tag_key_length) {
    return invalid_tag("The TagKey you have provided is invalid");
  }
  if (wire::utf8_length(value) > limits::object_tag_value_length) {
    return invalid_tag("The TagValue you have provided is invalid");
  }
  if (key.starts_with("aws:")) {
    return invalid_tag("System tags cannot be added/updated by requester");
  }
  if (!into.emplace(std::move(key), std::move(value)).second) {
    return invalid_tag("Cannot provide multiple Tags with the same key");
  }
  return {};
}

Refusal too_many(std::string_view whose, std::size_t most) {
  return refuse("BadRequest", 400, fmt::format("{} tags cannot be greater than {}", whose, most));
}

}  // namespace

ApiResult<Tags> read_tags(const std::vector<model::Tag>& tags, std::size_t most) {
  if (tags.size() > most) {
    return too_many(most == limits::object_tags ? "Object" : "Bucket", most);
  }
  Tags out;
  for (const auto& tag : tags) {
    auto good =
        add(std::string(tag.key().value_or("")), std::string(tag.value().value_or("")), out);
    if (!good) return std::unexpected(std::move(good.error()));
  }
  return out;
}

ApiResult<Tags> read_tag_header(std::string_view text) {
  Tags out;
  if (text.empty()) return out;
  auto pairs = wire::parse_query(text);
  if (!pairs) {
    return invalid_argument("The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded");
  }
  if (pairs->size() > limits::object_tags) return too_many("Object", limits::object_tags);
  for (auto& [key, value] : *pairs) {
    auto good = add(std::move(key), std::move(value), out);
    if (!good) return std::unexpected(std::move(good.error()));
  }
  return out;
}

std::vector<model::Tag> written(const Tags& tags) {
  std::vector<model::Tag> out;
  for (const auto& [key, value] : tags) out.emplace_back().set_key(key).set_value(value);
  return out;
}

}  // namespace mayfly::services::s3
