// The bindings of rest-json and rest-xml: labels, query, headers, status code and payload.
#include "wire/protocol/parts.h"

namespace mayfly::wire::protocol {

namespace {

// "a, b", "\"a,b\", c" and dates with their comma: the items of a header that is a list.
Result<std::vector<std::string>> split_header(std::string_view text, bool http_dates) {
  std::vector<std::string> items;
  while (true) {
    text = trim(text);
    std::string item;
    if (text.starts_with('"')) {
      std::size_t at = 1;
      for (; at < text.size() && text[at] != '"'; ++at) {
        if (text[at] == '\\' && at + 1 < text.size()) ++at;
        item += text[at];
      }
      if (at >= text.size()) return bad_value("has a quote without an end");
      text = trim(text.substr(at + 1));
      if (!text.empty() && text[0] != ',') return bad_value("has text behind a quote");
    } else {
      auto comma = text.find(',');
      if (http_dates && comma != text.npos) comma = text.find(',', comma + 1);
      item = trim(text.substr(0, comma));
      text = comma == text.npos ? std::string_view() : text.substr(comma);
    }
    items.push_back(std::move(item));
    if (text.empty()) return items;
    text.remove_prefix(1);
  }
}

std::string quote_for_header(std::string text) {
  if (text.find_first_of(",\"") == text.npos) return text;
  std::string out = "\"";
  for (char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + '"';
}

Result<Value> list_of_header(const Member& member, const std::vector<std::string_view>& texts) {
  const Member& element = *member.shape->element;
  bool dates = element.shape->kind == ShapeKind::timestamp &&
               timestamp_format(element, TimestampFormat::rfc822) == TimestampFormat::rfc822;
  List list;
  for (std::string_view text : texts) {
    if (trim(text).empty()) continue;
    TRY_ASSIGN(auto items, split_header(text, dates));
    for (const std::string& item : items) {
      auto value = scalar_of_text(element, item, TimestampFormat::rfc822);
      if (!value) return in_item(std::move(value).error(), list.size());
      list.push_back(*std::move(value));
    }
  }
  return Value(std::move(list));
}

Result<Value> value_of_header(const Member& member, const FieldViews& headers) {
  auto named = [&](const auto& field) { return iequals(field.first, member.wire_name); };
  auto first = std::ranges::find_if(headers, named);
  if (first == headers.end()) return Value();
  if (member.shape->kind == ShapeKind::list) {
    std::vector<std::string_view> texts;
    for (const auto& field : std::ranges::subrange(first, headers.end())) {
      if (named(field)) texts.push_back(field.second);
    }
    return list_of_header(member, texts);
  }
  std::string_view text = trim(first->second);
  if (member.json_value) {
    auto json = base64_decode(text);
    if (!json) return bad_value(fmt::format("must be JSON in base64: {}", json.error().message));
    return Value(*std::move(json));
  }
  if (text.empty() && member.shape->kind != ShapeKind::string) return Value();
  return scalar_of_text(member, text, TimestampFormat::rfc822);
}

Value map_of_headers(const Member& member, const FieldViews& headers) {
  Map map;
  for (const auto& [name, value] : headers) {
    if (!istarts_with(name, member.wire_name)) continue;
    map.emplace_back(name.substr(member.wire_name.size()), std::string(trim(value)));
  }
  return map.empty() ? Value() : Value(std::move(map));
}

Result<Value> value_of_query(const Member& member, const Pairs& query) {
  if (member.shape->kind == ShapeKind::list) {
    List list;
    for (const auto& [name, text] : query) {
      if (name != member.wire_name) continue;
      auto value = scalar_of_text(*member.shape->element, text, TimestampFormat::iso8601);
      if (!value) return in_item(std::move(value).error(), list.size());
      list.push_back(*std::move(value));
    }
    return list.empty() ? Value() : Value(std::move(list));
  }
  const std::string* text = find_pair(query, member.wire_name);
  if (text == nullptr) return Value();
  if (text->empty() && member.shape->kind != ShapeKind::string) return Value();
  return scalar_of_text(member, *text, TimestampFormat::iso8601);
}

// A map takes every parameter: those with a member of their own too in rest-json, as Smithy asks of
// servers; in rest-xml its protocol tests leave them out. Of repeated ones a map of single values
// keeps the first.
Result<Value> map_of_query(const CodecOperation& operation, const Member& member,
                           const Pairs& query) {
  auto has_member = [&](std::string_view name) {
    const auto& members = operation.input->members;
    return std::any_of(members.begin(), members.end(), [&](const Member& other) {
      return other.location == Location::query && other.shape->kind != ShapeKind::map &&
             other.wire_name == name;
    });
  };
  const Member& element = *member.shape->element;
  const bool many = element.shape->kind == ShapeKind::list;
  const Member& scalar = many ? *element.shape->element : element;
  std::map<std::string_view, std::size_t> places;
  Map map;
  for (const auto& [name, text] : query) {
    if (operation.protocol == Protocol::rest_xml && has_member(name)) continue;
    auto [place, added] = places.emplace(name, map.size());
    if (!added && !many) continue;
    auto value = scalar_of_text(scalar, text, TimestampFormat::iso8601);
    if (!value) return in_member(std::move(value).error(), name);
    if (added) map.emplace_back(name, many ? Value(List()) : *value);
    if (many) map[place->second].second.get<List>()->push_back(*std::move(value));
  }
  return map.empty() ? Value() : Value(std::move(map));
}

Result<Value> bound_value(const CodecOperation& operation, const Member& member,
                          const HttpRequestParts& request) {
  switch (member.location) {
    case Location::uri: {
      const std::string* text = find_pair(request.labels, member.wire_name);
      if (text == nullptr) return Value();
      return scalar_of_text(member, *text, TimestampFormat::iso8601);
    }
    case Location::query:
      if (member.shape->kind == ShapeKind::map)
        return map_of_query(operation, member, request.query);
      return value_of_query(member, request.query);
    case Location::header: return value_of_header(member, request.headers);
    case Location::headers: return map_of_headers(member, request.headers);
    default: return Value();
  }
}

Result<Value> value_of_payload(Protocol protocol, const Member& member, std::string_view body) {
  switch (member.shape->kind) {
    case ShapeKind::blob: return Value(Blob{std::string(body)});
    case ShapeKind::string:
      if (!is_utf8(body)) return bad_value("must be valid UTF-8");
      return Value(std::string(body));
    default: break;
  }
  if (trim(body).empty()) return Value();
  if (protocol == Protocol::rest_xml) {
    TRY_ASSIGN(Record record, decode_xml_body(*member.shape, body));
    return Value(std::move(record));
  }
  TRY_ASSIGN(Json json, parse_json(body, {.depth = depth_limit}));
  return value_of_json(member, json);
}

bool has_body_members(const Shape& shape) {
  return std::any_of(shape.members.begin(), shape.members.end(),
                     [](const Member& m) { return m.location == Location::body; });
}

Result<Record> decode_payload(const CodecOperation& operation, const HttpRequestParts& request) {
  const Shape& input = *operation.input;
  if (input.payload >= 0) {
    const Member& member = input.members[static_cast<std::size_t>(input.payload)];
    Record record(input);
    bool scalar = member.shape->kind == ShapeKind::blob || member.shape->kind == ShapeKind::string;
    if (scalar && request.body.empty()) return record;
    auto value = value_of_payload(operation.protocol, member, request.body);
    if (!value) return in_member(std::move(value).error(), member.wire_name);
    record.slots[static_cast<std::size_t>(input.payload)] = *std::move(value);
    return record;
  }
  if (!has_body_members(input)) return Record(input);
  if (operation.protocol == Protocol::rest_xml) {
    if (trim(request.body).empty()) return Record(input);
    return decode_xml_body(input, request.body);
  }
  return decode_json_body(input, request.body);
}

void encode_payload(const CodecOperation& operation, const Member& member, const Value& value,
                    HttpResponseParts& response, std::string& content_type) {
  const ShapeKind kind = member.shape->kind;
  if (member.shape->is_event_stream) {
    content_type = "application/vnd.amazon.eventstream";  // the messages follow by themselves
  } else if (kind == ShapeKind::blob) {
    if (const auto* blob = value.get<Blob>()) {
      response.body = blob->bytes;
      content_type = operation.blob_content_type;
    }
  } else if (kind == ShapeKind::string) {
    if (const auto* text = value.get<std::string>()) {
      response.body = *text;
      content_type = "text/plain";
    }
  } else if (operation.protocol == Protocol::rest_xml) {
    content_type = "application/xml";
    const auto* record = value.get<Record>();
    if (record == nullptr) return;
    bool named = member.wire_name != member.name;
    std::string_view name = named                             ? member.wire_name
                            : !member.shape->xml_name.empty() ? member.shape->xml_name
                                                              : member.shape->name;
    append_record_xml(response.body, name, operation.xml_namespace, *record);
  } else {
    content_type = "application/json";
    if (value.is_null()) {
      response.body = kind == ShapeKind::structure ? "{}" : "";
    } else {
      append_value_json(response.body, member, value);
    }
  }
}

void add_header(HttpResponseParts& response, const Member& member, const Value& value) {
  std::string text;
  if (const auto* list = value.get<List>()) {
    for (std::size_t i = 0; i < list->size(); ++i) {
      if (i > 0) text += ", ";
      const Member& element = *member.shape->element;
      std::string item = text_of_scalar(element, (*list)[i], TimestampFormat::rfc822);
      // Dates keep their comma bare: readers of such lists count on it.
      bool date = element.shape->kind == ShapeKind::timestamp;
      text += date ? item : quote_for_header(std::move(item));
    }
    if (list->empty()) return;
  } else if (member.json_value) {
    text = base64_encode(value.get<std::string>() ? *value.get<std::string>() : "");
  } else {
    text = text_of_scalar(member, value, TimestampFormat::rfc822);
  }
  // A line end in a value would let it write headers of its own.
  std::erase_if(text, [](char c) { return c == '\r' || c == '\n' || c == '\0'; });
  response.headers.emplace_back(member.wire_name, std::move(text));
}

}  // namespace

void encode_bound(const Record& output, HttpResponseParts& response) {
  for (std::size_t i = 0; i < output.slots.size(); ++i) {
    const Member& member = output.shape->members[i];
    const Value& value = output.slots[i];
    if (value.is_null()) continue;
    if (member.location == Location::header) {
      add_header(response, member, value);
    } else if (member.location == Location::headers) {
      const auto* map = value.get<Map>();
      if (map == nullptr) continue;
      for (const auto& [name, item] : *map) {
        std::string full = fmt::format("{}{}", member.wire_name, name);
        add_header(response, Member{.shape = member.shape->element->shape, .wire_name = full},
                   item);
      }
    } else if (member.location == Location::status_code) {
      if (const auto* status = value.get<std::int64_t>()) {
        response.status = static_cast<int>(*status);
      }
    }
  }
}

namespace {

// Most members that travel beside the body are.
bool is_absent(const Member& member, const HttpRequestParts& request) {
  if (member.location == Location::query) return request.query.empty();
  if (member.location != Location::header) return false;
  return std::ranges::none_of(request.headers, [&](const auto& field) {
    return field.first.size() == member.wire_name.size() && iequals(field.first, member.wire_name);
  });
}

}  // namespace

Result<Record> decode_rest(const CodecOperation& operation, const HttpRequestParts& request) {
  TRY_ASSIGN(Record record, decode_payload(operation, request));
  const Shape& input = *operation.input;
  for (std::size_t i = 0; i < input.members.size(); ++i) {
    const Member& member = input.members[i];
    if (member.location == Location::body || is_absent(member, request)) continue;
    auto value = bound_value(operation, member, request);
    if (!value) return in_member(std::move(value).error(), member.wire_name);
    record.slots[i] = *std::move(value);
  }
  return record;
}

HttpResponseParts encode_rest(const CodecOperation& operation, const Record& output) {
  HttpResponseParts response;
  response.status = operation.success_status;
  encode_bound(output, response);
  const Shape& shape = *output.shape;
  std::string content_type;
  if (shape.payload >= 0) {
    auto payload = static_cast<std::size_t>(shape.payload);
    encode_payload(operation, shape.members[payload], output.at(payload), response, content_type);
  } else if (operation.protocol == Protocol::rest_json) {
    content_type = "application/json";
    append_record_json(response.body, output);
  } else if (has_body_members(shape)) {
    content_type = "application/xml";
    std::string name(shape.xml_name);
    if (name.empty()) name = fmt::format("{}Response", operation.name);
    // A root of its only member's name is that member (S3's GetBucketLocation).
    if (shape.members.size() == 1 && shape.members[0].wire_name == name) {
      append_text_root(response.body, shape.members[0], operation.xml_namespace, output.at(0));
    } else {
      append_record_xml(response.body, name, operation.xml_namespace, output);
    }
  }
  if (!content_type.empty() && find_pair_nocase(response.headers, "content-type") == nullptr) {
    response.headers.emplace_back("Content-Type", std::move(content_type));
  }
  return response;
}

}  // namespace mayfly::wire::protocol
