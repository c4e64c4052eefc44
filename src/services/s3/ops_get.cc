// GetObject, HeadObject.
#include "api/input.h"
#include "services/s3/conditions.h"
#include "services/s3/service.h"
#include "wire/text.h"

namespace mayfly::services::s3 {

namespace {

using api::text_of;

std::optional<double> time_of(const wire::Record& input, std::string_view member) {
  int at = input.index(member);
  const auto* time =
      at < 0 ? nullptr : input.at(static_cast<std::size_t>(at)).get<wire::Timestamp>();
  if (time == nullptr) return std::nullopt;
  return time->epoch_seconds;
}

std::optional<std::string_view> member_of(const wire::Record& input, std::string_view member) {
  int at = input.index(member);
  const auto* text = at < 0 ? nullptr : input.at(static_cast<std::size_t>(at)).get<std::string>();
  if (text == nullptr) return std::nullopt;
  return *text;
}

// What of the object is answered, and as what.
struct View {
  ByteRange range;
  bool partial = false;
  Checksum checksum{};
};

ApiResult<View> part_view(const Object& object, const std::vector<Part>& parts,
                          std::int64_t number) {
  if (number < 1) return invalid_argument("Part number must be an integer between 1 and 10000");
  if (object.parts == 0) {
    if (number != 1) {
      return refuse("InvalidPartNumber", 416, "The requested partnumber is not satisfiable");
    }
    return View{.range = {0, object.size}, .partial = true, .checksum = object.checksum};
  }
  std::uint64_t first = 0;
  std::int64_t place = 0;
  for (const auto& part : parts) {
    if (++place == number) {
      return View{.range = {first, part.piece.size}, .partial = true, .checksum = part.checksum};
    }
    first += part.piece.size;
  }
  return refuse("InvalidPartNumber", 416, "The requested partnumber is not satisfiable");
}

ApiResult<View> view_of(const wire::Record& input, const Object& object,
                        const std::vector<Part>& parts) {
  auto range = text_of(input, "Range");
  int at = input.index("PartNumber");
  const auto* number =
      at < 0 ? nullptr : input.at(static_cast<std::size_t>(at)).get<std::int64_t>();
  if (number != nullptr) {
    if (!range.empty()) {
      return invalid_request("Cannot specify both Range header and partNumber query parameter");
    }
    return part_view(object, parts, *number);
  }
  View out{.range = {0, object.size}, .checksum = object.checksum};
  if (range.empty()) return out;
  auto asked = read_range(range, object.size);
  if (!asked) {
    asked.error().headers.emplace_back("Content-Range", fmt::format("bytes */{}", object.size));
    return std::unexpected(std::move(asked.error()));
  }
  if (!*asked) return out;
  return View{.range = **asked, .partial = true};
}

void set_text(wire::Record& out, const wire::Record& input, std::string_view name,
              const std::string& value) {
  auto override = text_of(input, fmt::format("Response{}", name));
  const auto& text = override.empty() ? value : override;
  if (!text.empty()) set_member(out, name, text);
}

void describe(wire::Record& out, const wire::Record& input, const Object& object) {
  const auto& about = object.about;
  set_member(out, "AcceptRanges", std::string("bytes"));
  set_member(out, "ETag", etag_text(object.etag));
  set_member(out, "LastModified", wire::Timestamp{static_cast<double>(object.modified_ms) / 1000});
  set_member(out, "ServerSideEncryption", std::string("AES256"));
  set_text(out, input, "ContentType",
           about.content_type.empty() ? "binary/octet-stream" : about.content_type);
  set_text(out, input, "CacheControl", about.cache_control);
  set_text(out, input, "ContentDisposition", about.content_disposition);
  set_text(out, input, "ContentEncoding", about.content_encoding);
  set_text(out, input, "ContentLanguage", about.content_language);
  auto expires = about.expires;
  if (auto instead = time_of(input, "ResponseExpires")) {
    expires = wire::format_rfc822(static_cast<std::int64_t>(*instead * 1000));
  }
  set_text(out, input, "Expires", expires);
  set_text(out, input, "WebsiteRedirectLocation", about.website_redirect);
  set_text(out, input, "StorageClass", about.storage_class);
  if (!about.tags.empty()) {
    set_member(out, "TagCount", static_cast<std::int64_t>(about.tags.size()));
  }
  if (!about.metadata.empty()) {
    wire::Map metadata;
    for (const auto& [name, value] : about.metadata) metadata.emplace_back(name, value);
    set_member(out, "Metadata", std::move(metadata));
  }
}

ApiResult<wire::Record> answer(const Deps& deps, api::Call& call, const wire::Record& input,
                               bool with_body) {
  auto bucket = find_bucket(deps, call, input);
  if (!bucket) return std::unexpected(std::move(bucket.error()));
  auto object = find_object(deps, **bucket, text_of(input, "Key"), text_of(input, "VersionId"));
  if (!object) return std::unexpected(std::move(object.error()));
  ReadCondition condition{.if_match = member_of(input, "IfMatch"),
                          .if_none_match = member_of(input, "IfNoneMatch"),
                          .if_modified_since = time_of(input, "IfModifiedSince"),
                          .if_unmodified_since = time_of(input, "IfUnmodifiedSince")};
  if (auto good = check_read(*object, condition, false); !good) {
    return std::unexpected(std::move(good.error()));
  }
  auto parts = deps.objects.parts_of(*object);
  if (!parts) return std::unexpected(api_error(parts.error()));
  auto view = view_of(input, *object, *parts);
  if (!view) return std::unexpected(std::move(view.error()));
  wire::Record out(*call.operation.output);
  describe(out, input, *object);
  set_version(out, **bucket, *object);
  if (view->partial && view->range.size > 0) {
    set_member(out, "ContentRange",
               fmt::format("bytes {}-{}/{}", view->range.first,
                           view->range.first + view->range.size - 1, object->size));
  }
  if (!text_of(input, "ChecksumMode").empty()) set_checksum(out, view->checksum);
  if (int at = input.index("PartNumber");
      at >= 0 && input.has(static_cast<std::size_t>(at)) && object->parts > 0) {
    set_member(out, "PartsCount", static_cast<std::int64_t>(object->parts));
  }
  call.stream_bytes = view->range.size;
  if (with_body) {
    auto body = deps.pieces.read(slices_of(*object, *parts, view->range));
    if (!body) return std::unexpected(api_error(body.error()));
    call.stream = *std::move(body);
  }
  return out;
}

}  // namespace

Answer get_object(Deps deps, api::Call& call, wire::Record input) {
  co_return answer(deps, call, input, true);
}

Answer head_object(Deps deps, api::Call& call, wire::Record input) {
  co_return answer(deps, call, input, false);
}

}  // namespace mayfly::services::s3
