#include "wire/protocol/parts.h"

namespace mayfly::wire::protocol {

namespace {

std::string_view kind_of(const Json& json) {
  if (json.is_object()) return "an object";
  if (json.is_array()) return "a list";
  if (json.is_string()) return "a string";
  if (json.is_bool()) return "a boolean";
  return json.is_null() ? "null" : "a number";
}

std::unexpected<Error> wrong_type(std::string_view wanted, const Json& json) {
  return bad_value(fmt::format("must be {}, not {}", wanted, kind_of(json)));
}

Result<Value> list_of_json(const Shape& shape, const Json& json) {
  const auto* items = json.as<JsonArray>();
  if (items == nullptr) return wrong_type("a list", json);
  List list;
  list.reserve(items->size());
  for (std::size_t i = 0; i < items->size(); ++i) {
    if ((*items)[i].is_null()) continue;
    auto item = value_of_json(*shape.element, (*items)[i]);
    if (!item) return in_item(std::move(item).error(), i);
    list.push_back(*std::move(item));
  }
  return Value(std::move(list));
}

Result<Value> map_of_json(const Shape& shape, const Json& json) {
  const auto* members = json.as<JsonObject>();
  if (members == nullptr) return wrong_type("a map", json);
  Map map;
  map.reserve(members->size());
  std::unordered_map<std::string_view, std::size_t> places;  // of equal keys the last one counts
  for (const auto& [key, value] : *members) {
    if (value.is_null()) continue;
    auto item = value_of_json(*shape.element, value);
    if (!item) return in_member(std::move(item).error(), key);
    auto [place, added] = places.emplace(key, map.size());
    if (added) {
      map.emplace_back(key, *std::move(item));
    } else {
      map[place->second].second = *std::move(item);
    }
  }
  return Value(std::move(map));
}

Result<Value> integer_of_json(const Member& member, const Json& json) {
  std::optional<std::int64_t> value;
  if (const auto* integer = json.as<std::int64_t>()) value = *integer;
  // 3.0 is an integer too: some clients know only one kind of number.
  if (const auto* number = json.as<double>()) {
    if (*number >= -9e15 && *number <= 9e15 &&
        *number == static_cast<double>(static_cast<std::int64_t>(*number))) {
      value = static_cast<std::int64_t>(*number);
    }
  }
  if (!json.is_number()) return wrong_type("an integer", json);
  if (!value || !fits_kind(*value, member.shape->kind)) {
    return bad_value(fmt::format("must be an integer in range, not {}", json.dump()));
  }
  return Value(*value);
}

Result<Value> number_of_json(const Json& json) {
  if (json.is_number()) return Value(json.number_value());
  if (!json.is_string()) return wrong_type("a number", json);
  TRY_ASSIGN(double value, double_of_text(json.string_value()));
  return Value(value);
}

Result<Value> timestamp_of_json(const Member& member, const Json& json) {
  auto format = timestamp_format(member, TimestampFormat::epoch_seconds);
  if (json.is_string()) return parse_timestamp(json.string_value(), format);
  if (!json.is_number()) return wrong_type("a timestamp", json);
  return parse_timestamp(json.dump(), TimestampFormat::epoch_seconds);
}

void append_list_json(std::string& out, const Shape& shape, const List& list) {
  out += '[';
  for (std::size_t i = 0; i < list.size(); ++i) {
    if (i > 0) out += ',';
    append_value_json(out, *shape.element, list[i]);
  }
  out += ']';
}

void append_map_json(std::string& out, const Shape& shape, const Map& map) {
  out += '{';
  for (std::size_t i = 0; i < map.size(); ++i) {
    if (i > 0) out += ',';
    append_json_string(out, map[i].first);
    out += ':';
    append_value_json(out, *shape.element, map[i].second);
  }
  out += '}';
}

}  // namespace

Result<Value> value_of_json(const Member& member, const Json& json) {
  switch (member.shape->kind) {
    case ShapeKind::structure: {
      TRY_ASSIGN(Record record, record_of_json(*member.shape, json));
      return Value(std::move(record));
    }
    case ShapeKind::list: return list_of_json(*member.shape, json);
    case ShapeKind::map: return map_of_json(*member.shape, json);
    case ShapeKind::string:
      if (!json.is_string()) return wrong_type("a string", json);
      return Value(std::string(json.string_value()));
    case ShapeKind::boolean:
      if (!json.is_bool()) return wrong_type("a boolean", json);
      return Value(*json.as<bool>());
    case ShapeKind::integer:
    case ShapeKind::long_integer: return integer_of_json(member, json);
    case ShapeKind::float_number:
    case ShapeKind::double_number: return number_of_json(json);
    case ShapeKind::timestamp: return timestamp_of_json(member, json);
    case ShapeKind::blob:
      if (!json.is_string()) return wrong_type("a blob in base64", json);
      return scalar_of_text(member, json.string_value(), TimestampFormat::unset);
    case ShapeKind::document: return Value(Document{json.dump()});
  }
  return wrong_type("of a known kind", json);
}

Result<Record> record_of_json(const Shape& shape, const Json& json) {
  if (!json.is_object()) return wrong_type("a structure", json);
  Record record(shape);
  for (std::size_t i = 0; i < shape.members.size(); ++i) {
    const Member& member = shape.members[i];
    if (member.location != Location::body) continue;
    const Json* found = json.find(member.wire_name);
    if (found == nullptr || (found->is_null() && member.shape->kind != ShapeKind::document)) {
      continue;
    }
    auto value = value_of_json(member, *found);
    if (!value) return in_member(std::move(value).error(), member.wire_name);
    record.slots[i] = *std::move(value);
  }
  return record;
}

Result<Record> decode_json_body(const Shape& shape, std::string_view body) {
  if (trim(body).empty()) return Record(shape);
  TRY_ASSIGN(Json json, parse_json(body, {.depth = depth_limit}));
  return record_of_json(shape, json);
}

void append_value_json(std::string& out, const Member& member, const Value& value) {
  const Shape& shape = *member.shape;
  if (const auto* record = value.get<Record>()) return append_record_json(out, *record);
  if (const auto* list = value.get<List>()) return append_list_json(out, shape, *list);
  if (const auto* map = value.get<Map>()) return append_map_json(out, shape, *map);
  if (const auto* document = value.get<Document>()) {
    out += document->json;
  } else if (const auto* flag = value.get<bool>()) {
    out += *flag ? "true" : "false";
  } else if (const auto* integer = value.get<std::int64_t>()) {
    out += fmt::format("{}", *integer);
  } else if (const auto* number = value.get<double>()) {
    std::string text = text_of_double(*number);
    bool named = text.find_first_of("aI") != text.npos;  // NaN and infinities travel as strings
    out += named ? fmt::format("\"{}\"", text) : text;
  } else if (const auto* time = value.get<Timestamp>()) {
    auto format = timestamp_format(member, TimestampFormat::epoch_seconds);
    std::string text = format_timestamp(*time, format);
    out += format == TimestampFormat::epoch_seconds ? text : fmt::format("\"{}\"", text);
  } else if (value.is_null()) {
    out += "null";
  } else if (const auto* text = value.get<std::string>()) {
    append_json_string(out, *text);
  } else {
    append_json_string(out, text_of_scalar(member, value, TimestampFormat::unset));
  }
}

void append_record_json(std::string& out, const Record& record, std::string_view type_name) {
  out += '{';
  bool first = true;
  auto next = [&](std::string_view name) {
    if (!first) out += ',';
    first = false;
    append_json_string(out, name);
    out += ':';
  };
  if (!type_name.empty()) {
    next("__type");
    append_json_string(out, type_name);
  }
  for (std::size_t i = 0; i < record.slots.size(); ++i) {
    const Member& member = record.shape->members[i];
    if (member.location != Location::body || record.slots[i].is_null()) continue;
    next(member.wire_name);
    append_value_json(out, member, record.slots[i]);
  }
  out += '}';
}

}  // namespace mayfly::wire::protocol
