#include <pugixml.hpp>

#include "wire/protocol/parts.h"

namespace mayfly::wire::protocol {

namespace {

std::string_view local_name(std::string_view name) {
  auto colon = name.find(':');
  return colon == name.npos ? name : name.substr(colon + 1);
}

bool is_element(const pugi::xml_node& node) { return node.type() == pugi::node_element; }

// Older models flatten the list shape itself and name its element: such a list goes by that name.
// One flattened where it is used goes by the member's name.
std::string_view element_name(const Member& member) {
  const Shape& shape = *member.shape;
  if (shape.kind == ShapeKind::list && shape.flattened && !shape.element->wire_name.empty() &&
      shape.element->wire_name != "member") {
    return shape.element->wire_name;
  }
  return member.wire_name;
}

std::string_view name_or(std::string_view name, std::string_view fallback) {
  return name.empty() ? fallback : name;
}

std::vector<pugi::xml_node> children_named(const pugi::xml_node& node, std::string_view name) {
  std::vector<pugi::xml_node> found;
  for (const pugi::xml_node& child : node.children()) {
    if (is_element(child) && local_name(child.name()) == name) found.push_back(child);
  }
  return found;
}

class Reader {
 public:
  Result<Record> record(const Shape& shape, const pugi::xml_node& node) {
    if (++depth_ > depth_limit) return bad_value("is nested too deep");
    Record record(shape);
    for (std::size_t i = 0; i < shape.members.size(); ++i) {
      const Member& member = shape.members[i];
      if (member.location != Location::body) continue;
      auto value = this->member(member, node);
      if (!value) return in_member(std::move(value).error(), member.wire_name);
      record.slots[i] = *std::move(value);
    }
    --depth_;
    return record;
  }

 private:
  Result<Value> member(const Member& member, const pugi::xml_node& node) {
    if (member.xml_attribute) return attribute(member, node);
    auto found = children_named(node, element_name(member));
    if (found.empty()) return Value();
    if (member.flattened && member.shape->kind == ShapeKind::list) {
      return items(*member.shape, found);
    }
    if (member.flattened && member.shape->kind == ShapeKind::map) {
      return entries(*member.shape, found);
    }
    return value(member, found.front());
  }

  static Result<Value> attribute(const Member& member, const pugi::xml_node& node) {
    for (const pugi::xml_attribute& attribute : node.attributes()) {
      std::string_view name = attribute.name();
      if (name == member.wire_name || local_name(name) == local_name(member.wire_name)) {
        return scalar_of_text(member, attribute.value(), TimestampFormat::iso8601);
      }
    }
    return Value();
  }

  Result<Value> value(const Member& member, const pugi::xml_node& node) {
    const Shape& shape = *member.shape;
    if (shape.kind == ShapeKind::structure) {
      TRY_ASSIGN(Record nested, record(shape, node));
      return Value(std::move(nested));
    }
    if (shape.kind == ShapeKind::list || shape.kind == ShapeKind::map) {
      std::vector<pugi::xml_node> children;
      for (const pugi::xml_node& child : node.children()) {
        if (is_element(child)) children.push_back(child);
      }
      return shape.kind == ShapeKind::list ? items(shape, children) : entries(shape, children);
    }
    std::string text;
    for (const pugi::xml_node& child : node.children()) text += child.value();
    bool raw = shape.kind == ShapeKind::string;
    return scalar_of_text(member, raw ? std::string_view(text) : trim(text),
                          TimestampFormat::iso8601);
  }

  Result<Value> items(const Shape& shape, const std::vector<pugi::xml_node>& nodes) {
    if (++depth_ > depth_limit) return bad_value("is nested too deep");
    List list;
    for (const pugi::xml_node& node : nodes) {
      auto item = value(*shape.element, node);
      if (!item) return in_item(std::move(item).error(), list.size());
      list.push_back(*std::move(item));
    }
    --depth_;
    return Value(std::move(list));
  }

  Result<Value> entries(const Shape& shape, const std::vector<pugi::xml_node>& nodes) {
    if (++depth_ > depth_limit) return bad_value("is nested too deep");
    Map map;
    for (const pugi::xml_node& node : nodes) {
      auto keys = children_named(node, name_or(shape.key->wire_name, "key"));
      auto values = children_named(node, name_or(shape.element->wire_name, "value"));
      if (keys.empty() || values.empty()) return bad_value("has an entry without key or value");
      std::string key = keys.front().text().get();
      auto item = value(*shape.element, values.front());
      if (!item) return in_member(std::move(item).error(), key);
      map.emplace_back(std::move(key), *std::move(item));
    }
    --depth_;
    return Value(std::move(map));
  }

  int depth_ = 0;
};

void append_namespace(std::string& out, const Member& member) {
  std::string_view uri =
      member.xml_namespace.empty() ? member.shape->xml_namespace : member.xml_namespace;
  std::string_view prefix =
      member.xml_namespace.empty() ? member.shape->xml_prefix : member.xml_prefix;
  if (uri.empty()) return;
  out += prefix.empty() ? std::string(" xmlns=\"") : fmt::format(" xmlns:{}=\"", prefix);
  append_xml_text(out, uri);
  out += '"';
}

void append_attributes(std::string& out, const Record& record) {
  for (std::size_t i = 0; i < record.slots.size(); ++i) {
    const Member& member = record.shape->members[i];
    if (!member.xml_attribute || record.slots[i].is_null()) continue;
    out += fmt::format(" {}=\"", member.wire_name);
    append_xml_text(out, text_of_scalar(member, record.slots[i], TimestampFormat::iso8601));
    out += '"';
  }
}

void append_value(std::string& out, const Member& member, std::string_view name,
                  const Value& value);

void append_entry(std::string& out, const Shape& shape, const std::string& key,
                  const Value& value) {
  append_value(out, *shape.key, name_or(shape.key->wire_name, "key"), Value(key));
  append_value(out, *shape.element, name_or(shape.element->wire_name, "value"), value);
}

void append_value(std::string& out, const Member& member, std::string_view name,
                  const Value& value) {
  const Shape& shape = *member.shape;
  const auto* list = value.get<List>();
  const auto* map = value.get<Map>();
  if (list != nullptr && member.flattened) {
    for (const Value& item : *list) append_value(out, *shape.element, element_name(member), item);
    return;
  }
  if (map != nullptr && member.flattened) {
    for (const auto& [key, item] : *map) {
      out += fmt::format("<{}", name);
      append_namespace(out, member);
      out += '>';
      append_entry(out, shape, key, item);
      out += fmt::format("</{}>", name);
    }
    return;
  }
  out += fmt::format("<{}", name);
  append_namespace(out, member);
  if (const auto* record = value.get<Record>()) {
    append_attributes(out, *record);
    out += '>';
    append_members_xml(out, *record);
  } else if (list != nullptr) {
    out += '>';
    for (const Value& item : *list) {
      append_value(out, *shape.element, name_or(shape.element->wire_name, "member"), item);
    }
  } else if (map != nullptr) {
    out += '>';
    for (const auto& [key, item] : *map) {
      out += "<entry>";
      append_entry(out, shape, key, item);
      out += "</entry>";
    }
  } else {
    out += '>';
    append_xml_text(out, text_of_scalar(member, value, TimestampFormat::iso8601));
  }
  out += fmt::format("</{}>", name);
}

}  // namespace

Result<Record> decode_xml_body(const Shape& shape, std::string_view body) {
  if (body.size() > xml_body_limit) return fail(ErrorKind::too_large, "the XML body is too large");
  if (!is_utf8(body)) return bad_value("invalid XML: not valid UTF-8");
  pugi::xml_document document;
  auto parsed =
      document.load_buffer(body.data(), body.size(),
                           pugi::parse_default | pugi::parse_ws_pcdata_single, pugi::encoding_utf8);
  if (!parsed) {
    return bad_value(
        fmt::format("invalid XML at offset {}: {}", parsed.offset, parsed.description()));
  }
  return Reader().record(shape, document.document_element());
}

void append_xml_text(std::string& out, std::string_view text) {
  for (std::size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    switch (c) {
      case '&': out += "&amp;"; continue;
      case '<': out += "&lt;"; continue;
      case '>': out += "&gt;"; continue;
      case '"': out += "&quot;"; continue;
      // Readers of XML turn a bare CR (and NEL, LS) into a line feed.
      case '\r': out += "&#xD;"; continue;
      case '\n': out += "&#xA;"; continue;
      default: break;
    }
    // XML 1.0 has no other control characters, not even escaped.
    if (static_cast<unsigned char>(c) < 0x20 && c != '\t') {
      out += "\xef\xbf\xbd";
    } else if (text.substr(i, 2) == "\xc2\x85") {
      out += "&#x85;";
      ++i;
    } else if (text.substr(i, 3) == "\xe2\x80\xa8") {
      out += "&#x2028;";
      i += 2;
    } else {
      out += c;
    }
  }
}

void append_members_xml(std::string& out, const Record& record) {
  for (std::size_t i = 0; i < record.slots.size(); ++i) {
    const Member& member = record.shape->members[i];
    if (member.location != Location::body || member.xml_attribute) continue;
    if (record.slots[i].is_null()) continue;
    append_value(out, member, name_or(member.form_name, member.wire_name), record.slots[i]);
  }
}

void append_record_xml(std::string& out, std::string_view name, std::string_view xml_namespace,
                       const Record& record) {
  out += fmt::format("<{}", name);
  std::string_view uri =
      record.shape->xml_namespace.empty() ? xml_namespace : record.shape->xml_namespace;
  if (!uri.empty()) {
    out += record.shape->xml_prefix.empty() ? std::string(" xmlns=\"")
                                            : fmt::format(" xmlns:{}=\"", record.shape->xml_prefix);
    append_xml_text(out, uri);
    out += '"';
  }
  append_attributes(out, record);
  out += '>';
  append_members_xml(out, record);
  out += fmt::format("</{}>", name);
}

void append_text_root(std::string& out, const Member& member, std::string_view xml_namespace,
                      const Value& value) {
  out += fmt::format("<{} xmlns=\"", member.wire_name);
  append_xml_text(out, xml_namespace);
  out += "\">";
  append_xml_text(out, text_of_scalar(member, value, TimestampFormat::iso8601));
  out += fmt::format("</{}>", member.wire_name);
}

}  // namespace mayfly::wire::protocol
