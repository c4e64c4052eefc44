#include "services/s3/object.h"

namespace mayfly::services::s3 {

namespace {

using wire::Json;

// Members that are texts and mostly empty.
struct Text {
  std::string_view name;
  std::string About::* member;
};
constexpr Text texts[] = {
    {"type", &About::content_type},
    {"cache", &About::cache_control},
    {"disposition", &About::content_disposition},
    {"encoding", &About::content_encoding},
    {"language", &About::content_language},
    {"expires", &About::expires},
    {"redirect", &About::website_redirect},
    {"class", &About::storage_class},
};

Json json_of(const Piece& piece) {
  return Json::array({piece.id, static_cast<std::int64_t>(piece.size), piece.in_row ? 1 : 0});
}

Result<Piece> read_piece(const Json* json) {
  const auto* list = json == nullptr ? nullptr : json->as<wire::JsonArray>();
  if (list == nullptr || list->size() != 3) return fail(ErrorKind::corrupt, "a piece is none");
  Piece out;
  out.id = (*list)[0].string_value();
  out.size = static_cast<std::uint64_t>((*list)[1].number_value());
  if (const auto* exact = (*list)[1].as<std::int64_t>()) {
    out.size = static_cast<std::uint64_t>(*exact);
  }
  out.in_row = (*list)[2].number_value() != 0;
  return out;
}

void put_checksum(Json& into, const Checksum& checksum) {
  if (!checksum.algorithm) return;
  into["sum"] =
      Json::array({name_of(*checksum.algorithm), checksum.value, checksum.composite ? 1 : 0});
}

Checksum read_checksum(const Json& from) {
  Checksum out;
  const auto* sum = from.find("sum");
  const auto* list = sum == nullptr ? nullptr : sum->as<wire::JsonArray>();
  if (list == nullptr || list->size() != 3) return out;
  out.algorithm = algorithm_named((*list)[0].string_value());
  out.value = (*list)[1].string_value();
  out.composite = (*list)[2].number_value() != 0;
  return out;
}

Json json_of(const Part& part) {
  Json out{wire::JsonObject()};
  out["number"] = part.number;
  out["etag"] = part.etag;
  out["at"] = part.modified_ms;
  put_checksum(out, part.checksum);
  out["piece"] = json_of(part.piece);
  return out;
}

Result<Part> read_part(const Json& json) {
  Part out;
  out.number = static_cast<int>(json.int_or("number", 0));
  out.etag = json.string_or("etag");
  out.modified_ms = json.int_or("at", 0);
  out.checksum = read_checksum(json);
  TRY_ASSIGN(out.piece, read_piece(json.find("piece")));
  return out;
}

}  // namespace

void put_map(Json& into, std::string_view name, const std::map<std::string, std::string>& values) {
  for (const auto& [key, value] : values) into[name][key] = value;
}

std::map<std::string, std::string> read_map(const Json& from, std::string_view name) {
  std::map<std::string, std::string> out;
  const auto* found = from.find(name);
  if (found == nullptr || !found->is_object()) return out;
  for (const auto& [key, value] : *found->as<wire::JsonObject>()) {
    out.emplace(key, value.string_value());
  }
  return out;
}

void put_about(Json& into, const About& about) {
  for (const auto& text : texts) {
    if (!(about.*text.member).empty()) into[text.name] = about.*text.member;
  }
  put_map(into, "meta", about.metadata);
  put_map(into, "tags", about.tags);
}

About read_about(const Json& from) {
  About out;
  for (const auto& text : texts) out.*text.member = from.string_or(text.name);
  out.metadata = read_map(from, "meta");
  out.tags = read_map(from, "tags");
  return out;
}

std::string object_row(std::string_view bucket, std::string_view key) {
  return fmt::format("o/{}/{}", bucket, key);
}

std::string encode(const Object& object) {
  Json out{wire::JsonObject()};
  out["size"] = static_cast<std::int64_t>(object.size);
  out["etag"] = object.etag;
  out["at"] = object.modified_ms;
  out["owner"] = object.owner.str();
  put_checksum(out, object.checksum);
  if (!object.version.empty()) out["version"] = object.version;
  if (object.null_version) out["null"] = true;
  if (object.marker) {
    out["marker"] = true;
  } else if (object.parts > 0) {
    out["parts"] = object.parts;
    out["parts_id"] = object.parts_id;
  } else {
    out["piece"] = json_of(object.piece);
  }
  if (!object.upload_id.empty()) out["upload"] = object.upload_id;
  put_about(out, object.about);
  return out.dump();
}

Result<Object> decode_object(std::string_view text, std::string_view key) {
  TRY_ASSIGN(const auto json, wire::parse_json(text));
  Object out;
  out.key = key;
  out.size = static_cast<std::uint64_t>(json.int_or("size", 0));
  out.etag = json.string_or("etag");
  out.modified_ms = json.int_or("at", 0);
  out.owner = AccountId(std::string(json.string_or("owner")));
  out.checksum = read_checksum(json);
  out.parts = static_cast<int>(json.int_or("parts", 0));
  out.parts_id = json.string_or("parts_id");
  out.version = json.string_or("version");
  out.null_version = json.bool_or("null", false);
  out.marker = json.bool_or("marker", false);
  if (out.parts == 0 && !out.marker) {
    TRY_ASSIGN(out.piece, read_piece(json.find("piece")));
  }
  out.upload_id = json.string_or("upload");
  out.about = read_about(json);
  return out;
}

std::string encode_parts(const std::vector<Part>& parts) {
  Json out{wire::JsonArray()};
  for (const auto& part : parts) out.push_back(json_of(part));
  return out.dump();
}

Result<std::vector<Part>> decode_parts(std::string_view text) {
  TRY_ASSIGN(const auto json, wire::parse_json(text));
  std::vector<Part> out;
  if (const auto* list = json.as<wire::JsonArray>()) {
    for (const auto& one : *list) {
      TRY_ASSIGN(auto part, read_part(one));
      out.push_back(std::move(part));
    }
  }
  return out;
}

std::string encode(const Part& part) { return json_of(part).dump(); }

Result<Part> decode_part(std::string_view text) {
  TRY_ASSIGN(const auto json, wire::parse_json(text));
  return read_part(json);
}

}  // namespace mayfly::services::s3
