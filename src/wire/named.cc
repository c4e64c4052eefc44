#include "wire/named.h"

#include "wire/text.h"

namespace mayfly::wire {

namespace {

Result<Value> value_of(const Shape& shape, const Json& json, const std::string& path);

std::unexpected<Error> wrong(const std::string& path, std::string_view what) {
  return fail(ErrorKind::invalid, fmt::format("'{}' must be {}", path, what));
}

bool same_name(std::string_view one, std::string_view other) {
  return one.size() == other.size() && !one.empty() &&
         iequals(one.substr(0, 1), other.substr(0, 1)) && one.substr(1) == other.substr(1);
}

Result<Record> read_record(const Shape& shape, const Json& json, const std::string& path) {
  const auto* object = json.as<JsonObject>();
  if (object == nullptr) return wrong(path.empty() ? "the input" : path, "an object");
  Record out(shape);
  for (const auto& [name, value] : *object) {
    std::string at = path.empty() ? name : fmt::format("{}.{}", path, name);
    auto member = std::ranges::find_if(
        shape.members, [&](const Member& one) { return same_name(one.name, name); });
    if (member == shape.members.end()) {
      return fail(ErrorKind::invalid, fmt::format("there is no parameter '{}'", at));
    }
    if (value.is_null()) continue;
    TRY_ASSIGN(auto read, value_of(*member->shape, value, at));
    out.at(static_cast<std::size_t>(member - shape.members.begin())) = std::move(read);
  }
  return out;
}

Result<Value> read_list(const Shape& shape, const Json& json, const std::string& path) {
  const auto* array = json.as<JsonArray>();
  if (array == nullptr) return wrong(path, "an array");
  List out;
  for (const auto& item : *array) {
    TRY_ASSIGN(auto read,
               value_of(*shape.element->shape, item, fmt::format("{}[{}]", path, out.size())));
    out.push_back(std::move(read));
  }
  return Value(std::move(out));
}

Result<Value> read_map(const Shape& shape, const Json& json, const std::string& path) {
  const auto* object = json.as<JsonObject>();
  if (object == nullptr) return wrong(path, "an object");
  Map out;
  for (const auto& [name, value] : *object) {
    TRY_ASSIGN(auto read, value_of(*shape.element->shape, value, fmt::format("{}.{}", path, name)));
    out.emplace_back(name, std::move(read));
  }
  return Value(std::move(out));
}

Result<Value> read_time(const Json& json, const std::string& path) {
  if (json.is_number()) return Value(Timestamp{json.number_value()});
  auto millis = parse_iso8601(json.string_value());
  if (!millis) return wrong(path, "a time: seconds since the epoch, or as ISO 8601");
  return Value(Timestamp{static_cast<double>(*millis) / 1000});
}

Result<Value> value_of(const Shape& shape, const Json& json, const std::string& path) {
  std::string text(json.is_string() ? std::string(json.string_value()) : json.dump());
  switch (shape.kind) {
    case ShapeKind::structure: {
      TRY_ASSIGN(auto record, read_record(shape, json, path));
      return Value(std::move(record));
    }
    case ShapeKind::list: return read_list(shape, json, path);
    case ShapeKind::map: return read_map(shape, json, path);
    case ShapeKind::string:
      if (!json.is_string() && !json.is_object() && !json.is_array()) return wrong(path, "a text");
      return Value(std::move(text));
    case ShapeKind::blob: return Value(Blob{std::move(text)});
    case ShapeKind::boolean:
      if (!json.is_bool()) return wrong(path, "true or false");
      return Value(*json.as<bool>());
    case ShapeKind::integer:
    case ShapeKind::long_integer:
      if (!json.is_int()) return wrong(path, "a whole number");
      return Value(*json.as<std::int64_t>());
    case ShapeKind::float_number:
    case ShapeKind::double_number:
      if (!json.is_number()) return wrong(path, "a number");
      return Value(json.number_value());
    case ShapeKind::timestamp: return read_time(json, path);
    case ShapeKind::document: return Value(Document{json.dump()});
  }
  return wrong(path, "of a kind that is known here");
}

}  // namespace

Result<Record> record_of_names(const Shape& shape, const Json& json) {
  return read_record(shape, json, {});
}

}  // namespace mayfly::wire
