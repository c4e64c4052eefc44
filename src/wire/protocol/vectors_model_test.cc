#include <cmath>
#include <cstdlib>
#include <fstream>
#include <limits>
#include <sstream>

#include "wire/protocol/vectors.h"

namespace mayfly::wire::vectors {

namespace {

ShapeKind kind_of(const Json& shape) {
  static const std::map<std::string_view, ShapeKind> kinds = {{"structure", ShapeKind::structure},
                                                              {"list", ShapeKind::list},
                                                              {"map", ShapeKind::map},
                                                              {"string", ShapeKind::string},
                                                              {"character", ShapeKind::string},
                                                              {"blob", ShapeKind::blob},
                                                              {"boolean", ShapeKind::boolean},
                                                              {"integer", ShapeKind::integer},
                                                              {"long", ShapeKind::long_integer},
                                                              {"float", ShapeKind::float_number},
                                                              {"double", ShapeKind::double_number},
                                                              {"timestamp", ShapeKind::timestamp}};
  if (shape.bool_or("document", false)) return ShapeKind::document;
  return kinds.at(shape.string_or("type"));
}

TimestampFormat format_of(const Json& json) {
  std::string_view format = json.string_or("timestampFormat");
  if (format == "iso8601") return TimestampFormat::iso8601;
  if (format == "rfc822") return TimestampFormat::rfc822;
  if (format == "unixTimestamp") return TimestampFormat::epoch_seconds;
  return TimestampFormat::unset;
}

Location location_of(const Json& json) {
  static const std::map<std::string_view, Location> locations = {
      {"header", Location::header},
      {"headers", Location::headers},
      {"uri", Location::uri},
      {"querystring", Location::query},
      {"statusCode", Location::status_code}};
  auto found = locations.find(json.string_or("location"));
  return found == locations.end() ? Location::body : found->second;
}

void read_namespace(const Json& json, std::string_view& uri, std::string_view& prefix) {
  const Json* space = json.find("xmlNamespace");
  if (space == nullptr) return;
  uri = space->is_string() ? space->string_value() : space->string_or("uri");
  prefix = space->string_or("prefix");
}

Protocol protocol_of(std::string_view name) {
  static const std::map<std::string_view, Protocol> protocols = {
      {"rest-json", Protocol::rest_json},
      {"rest-xml", Protocol::rest_xml},
      {"json", Protocol::json},
      {"query", Protocol::query},
      {"ec2", Protocol::ec2},
      {"smithy-rpc-v2-cbor", Protocol::rpc_v2_cbor}};
  return protocols.at(name);
}

double double_of(const Json& json) {
  if (json.is_number()) return json.number_value();
  if (json.string_value() == "NaN") return std::numeric_limits<double>::quiet_NaN();
  double infinity = std::numeric_limits<double>::infinity();
  return json.string_value() == "Infinity" ? infinity : -infinity;
}

struct ToJson {
  Json operator()(std::monostate) const { return nullptr; }
  Json operator()(bool value) const { return Json(value); }
  Json operator()(std::int64_t value) const { return Json(value); }
  Json operator()(double value) const {
    if (std::isnan(value)) return "NaN";
    if (std::isinf(value)) return value > 0 ? "Infinity" : "-Infinity";
    return value;
  }
  Json operator()(const std::string& value) const { return value; }
  Json operator()(const Blob& value) const { return value.bytes; }
  Json operator()(const Timestamp& value) const { return value.epoch_seconds; }
  Json operator()(const Document& value) const { return parse_json(value.json).value(); }
  Json operator()(const List& list) const {
    JsonArray out;
    for (const Value& item : list) out.push_back(json_of(item));
    return out;
  }
  Json operator()(const Map& map) const {
    JsonObject out;
    for (const auto& [key, value] : map) out.add(key, json_of(value));
    return out;
  }
  Json operator()(const Record& record) const {
    JsonObject out;
    for (std::size_t i = 0; i < record.slots.size(); ++i) {
      if (record.has(i)) out.add(std::string(record.shape->members[i].name), json_of(record.at(i)));
    }
    return out;
  }
};

}  // namespace

Model::Model(const Json& suite) : suite_(suite) {}

const std::vector<Member>* Model::keep(std::vector<Member> members) {
  return &members_.emplace_back(std::move(members));
}

Member Model::member(std::string_view name, const Json& reference, std::string_view fallback) {
  Member out{.name = name, .shape = shape(reference.string_or("shape"))};
  const Json& target = *suite_.at({"shapes", reference.string_or("shape")});
  out.wire_name = reference.string_or("locationName", fallback);
  out.query_name = reference.string_or("queryName");
  out.location = location_of(reference);
  out.xml_attribute = reference.bool_or("xmlAttribute", false);
  out.flattened = reference.bool_or("flattened", false) || target.bool_or("flattened", false);
  out.streaming = reference.bool_or("streaming", false);
  out.idempotency_token = reference.bool_or("idempotencyToken", false);
  out.json_value = reference.bool_or("jsonvalue", false);
  out.timestamp = format_of(reference);
  read_namespace(reference, out.xml_namespace, out.xml_prefix);
  return out;
}

const Shape* Model::shape(std::string_view name) {
  if (auto found = shapes_.find(name); found != shapes_.end()) return found->second.get();
  const Json& json = *suite_.at({"shapes", name});
  Shape& out = *shapes_.emplace(std::string(name), std::make_unique<Shape>()).first->second;
  out.name = shapes_.find(name)->first;
  out.kind = kind_of(json);
  out.timestamp = format_of(json);
  out.xml_name = json.string_or("locationName");
  out.flattened = json.bool_or("flattened", false);
  read_namespace(json, out.xml_namespace, out.xml_prefix);
  out.error_code = json.at({"error", "code"}) ? json.find("error")->string_or("code") : out.name;
  if (const Json* element = json.find("member")) {
    out.element = keep({member("member", *element, "member")})->data();
  }
  if (const Json* key = json.find("key")) out.key = keep({member("key", *key, "key")})->data();
  if (const Json* value = json.find("value"); value != nullptr && out.kind == ShapeKind::map) {
    out.element = keep({member("value", *value, "value")})->data();
  }
  if (const Json* members = json.find("members")) {
    std::vector<Member> rows;
    for (const auto& [key, reference] : *members->as<JsonObject>()) {
      if (key == json.string_or("payload")) out.payload = static_cast<int>(rows.size());
      rows.push_back(member(key, reference, key));
    }
    out.members = *keep(std::move(rows));
  }
  return &out;
}

CodecOperation Model::operation(const Json& given) {
  const Json& metadata = *suite_.find("metadata");
  CodecOperation out{.protocol = protocol_of(metadata.string_or("protocol"))};
  out.name = given.string_or("name");
  if (const Json* input = given.find("input")) out.input = shape(input->string_or("shape"));
  if (const Json* output = given.find("output")) {
    out.output = shape(output->string_or("shape"));
    out.result_wrapper = output->string_or("resultWrapper");
  }
  if (const Json* http = given.find("http")) {
    out.success_status = static_cast<int>(http->int_or("responseCode", 200));
  }
  out.json_version = metadata.string_or("jsonVersion", "1.1");
  out.xml_namespace = metadata.string_or("xmlNamespace");
  out.query_compatible = metadata.find("awsQueryCompatible") != nullptr;
  return out;
}

std::string folder() {
  const char* set = std::getenv("MAYFLY_VECTORS");
  return std::string(set ? set : "../shared/vectors") + "/aws-protocols/tests/unit/protocols";
}

std::optional<Json> load(std::string_view direction, std::string_view name) {
  std::ifstream file(fmt::format("{}/{}/{}.json", folder(), direction, name));
  if (!file) return std::nullopt;
  std::stringstream text;
  text << file.rdbuf();
  return parse_json(text.str()).value();
}

Value value_of(const Shape& shape, const Json& json) {
  if (shape.kind == ShapeKind::document) return Document{json.dump()};
  if (json.is_null()) return {};
  switch (shape.kind) {
    case ShapeKind::structure: {
      Record record(shape);
      for (std::size_t i = 0; i < shape.members.size(); ++i) {
        const Json* found = json.find(shape.members[i].name);
        if (found != nullptr) record.slots[i] = value_of(*shape.members[i].shape, *found);
      }
      return record;
    }
    case ShapeKind::list: {
      List list;
      for (const Json& item : *json.as<JsonArray>()) {
        list.push_back(value_of(*shape.element->shape, item));
      }
      return list;
    }
    case ShapeKind::map: {
      Map map;
      for (const auto& [key, item] : *json.as<JsonObject>()) {
        map.emplace_back(key, value_of(*shape.element->shape, item));
      }
      return map;
    }
    case ShapeKind::string: return std::string(json.string_value());
    case ShapeKind::blob: return Blob{std::string(json.string_value())};
    case ShapeKind::boolean: return *json.as<bool>();
    case ShapeKind::integer:
    case ShapeKind::long_integer: return *json.as<std::int64_t>();
    case ShapeKind::timestamp: return Timestamp{json.number_value()};
    default: return double_of(json);
  }
}

Json json_of(const Value& value) { return std::visit(ToJson{}, value.data); }

}  // namespace mayfly::wire::vectors
