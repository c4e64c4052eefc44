// CopyObject.
#include "api/input.h"
#include "services/s3/copy_source.h"
#include "services/s3/intake.h"
#include "services/s3/limits.h"
#include "services/s3/service.h"
#include "wire/text.h"

namespace mayfly::services::s3 {

namespace {

using api::text_of;

bool replaces(const wire::Record& input) {
  return text_of(input, "MetadataDirective") == "REPLACE";
}

bool changes_nothing(const wire::Record& input) {
  return !replaces(input) && text_of(input, "StorageClass").empty() &&
         text_of(input, "WebsiteRedirectLocation").empty() &&
         text_of(input, "ServerSideEncryption").empty() &&
         text_of(input, "ChecksumAlgorithm").empty();
}

ApiResult<Object> source_object(const Deps& deps, const api::Call& call, const CopySource& source,
                                const model::CopyObjectRequest& in) {
  ReadCondition condition{.if_match = in.copy_source_if_match(),
                          .if_none_match = in.copy_source_if_none_match(),
                          .if_modified_since = in.copy_source_if_modified_since(),
                          .if_unmodified_since = in.copy_source_if_unmodified_since()};
  auto object = find_copy_source(deps, call, source, in.expected_source_bucket_owner().value_or(""),
                                 condition);
  if (object && object->size > limits::object_upload_bytes) {
    return invalid_request(
        "The specified copy source is larger than the maximum allowable size for a copy source: "
        "5368709120");
  }
  return object;
}

// Another name of the same file where nothing has to be computed anew, else a new one.
io::Task<ApiResult<Received>> copy_bytes(Deps deps, Object from,
                                         std::optional<Algorithm> algorithm) {
  bool same_sum = !algorithm || algorithm == from.checksum.algorithm;
  if (from.parts == 0 && same_sum) {
    Received out;
    auto piece = co_await deps.pieces.copy(from.piece, out.bytes);
    if (!piece) co_return std::unexpected(api_error(piece.error()));
    out.piece = *std::move(piece);
    auto md5 = wire::hex_decode(from.etag);
    out.md5 = md5 ? *std::move(md5) : std::string();
    out.checksum = from.checksum;
    co_return out;
  }
  auto parts = deps.objects.parts_of(from);
  if (!parts) co_return std::unexpected(api_error(parts.error()));
  std::vector<Pieces::Slice> slices;
  for (const auto& part : *parts) slices.push_back({part.piece, 0, part.piece.size});
  if (from.parts == 0) slices.push_back({from.piece, 0, from.piece.size});
  auto body = deps.pieces.read(std::move(slices));
  if (!body) co_return std::unexpected(api_error(body.error()));
  Expected expected{.algorithm = algorithm ? algorithm : from.checksum.algorithm,
                    .most = limits::object_upload_bytes};
  co_return co_await receive(deps.pieces, **body, std::move(expected));
}

}  // namespace

Answer copy_object(Deps deps, api::Call& call, wire::Record input) {
  auto bucket = find_bucket(deps, call, input);
  if (!bucket) co_return std::unexpected(std::move(bucket.error()));
  auto about = read_about_members(input);
  if (!about) co_return std::unexpected(std::move(about.error()));
  auto algorithm = read_algorithm(text_of(input, "ChecksumAlgorithm"));
  if (!algorithm) co_return std::unexpected(std::move(algorithm.error()));
  auto source = read_copy_source(text_of(input, "CopySource"));
  if (!source) co_return std::unexpected(std::move(source.error()));
  auto key = text_of(input, "Key");
  if (source->bucket == (*bucket)->name && source->key == key && source->version.empty() &&
      changes_nothing(input)) {
    co_return invalid_request(
        "This copy request is illegal because it is trying to copy an object to itself without "
        "changing the object's metadata, storage class, website redirect location or encryption "
        "attributes.");
  }
  bool replace = replaces(input);
  bool retag = text_of(input, "TaggingDirective") == "REPLACE";
  model::CopyObjectRequest in(std::move(input));
  auto from = source_object(deps, call, *source, in);
  if (!from) co_return std::unexpected(std::move(from.error()));
  auto received = co_await copy_bytes(deps, *from, *algorithm);
  if (!received) co_return std::unexpected(std::move(received.error()));
  auto happening = happening_of(deps, call, "ObjectCreated:Copy");
  Objects::New what{.object = {.key = key,
                               .size = from->size,
                               .etag = wire::hex_encode(received->md5),
                               .modified_ms = happening.at_ms / 1000 * 1000,
                               .owner = call.caller.account,
                               .about = replace ? *about : from->about,
                               .checksum = std::move(received->checksum),
                               .piece = received->piece},
                    .bytes = std::move(received->bytes)};
  what.object.about.tags = retag ? about->tags : from->about.tags;
  // Of the two, neither is copied.
  what.object.about.storage_class = about->storage_class;
  what.object.about.website_redirect = about->website_redirect;
  WriteCondition condition{.if_match = std::string(in.if_match().value_or("")),
                           .if_none_match = std::string(in.if_none_match().value_or(""))};
  auto put = co_await deps.objects.put((*bucket)->name, std::move(what), std::move(condition),
                                       std::move(happening));
  if (!put) co_return std::unexpected(std::move(put.error()));
  auto result = record_of(model::CopyObjectResult()
                              .set_e_tag(etag_text(put->etag))
                              .set_last_modified(static_cast<double>(put->modified_ms) / 1000));
  set_checksum(result, put->checksum);
  auto out = record_of(model::CopyObjectOutput()
                           .set_copy_object_result(model::CopyObjectResult(std::move(result)))
                           .set_server_side_encryption("AES256"));
  set_version(out, **bucket, *put);
  set_source_version(deps, *source, *from, out);
  co_return out;
}

}  // namespace mayfly::services::s3
