// CreateMultipartUpload, UploadPart, UploadPartCopy, ListParts, ListMultipartUploads.
#include "api/input.h"
#include "services/s3/copy_source.h"
#include "services/s3/intake.h"
#include "services/s3/limits.h"
#include "services/s3/listing.h"
#include "services/s3/names.h"
#include "services/s3/uploads.h"
#include "wire/text.h"

namespace mayfly::services::s3 {

namespace {

using api::text_of;

ApiResult<int> part_number(std::optional<std::int64_t> number) {
  if (!number || *number < 1 || *number > limits::object_parts) {
    return invalid_argument("Part number must be an integer between 1 and 10000, inclusive");
  }
  return static_cast<int>(*number);
}

// By the API reference of CreateMultipartUpload: what each algorithm may be.
ApiResult<void> choose_checksum(const wire::Record& input, MultiUpload& into) {
  auto algorithm = read_algorithm(text_of(input, "ChecksumAlgorithm"));
  if (!algorithm) return std::unexpected(std::move(algorithm.error()));
  into.algorithm = *algorithm;
  auto type = text_of(input, "ChecksumType");
  if (!into.algorithm) {
    if (type.empty()) return {};
    return invalid_request(
        "The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm "
        "header.");
  }
  bool whole_alone = *into.algorithm == Algorithm::crc64nvme;
  into.composite = type.empty() ? !whole_alone : type == "COMPOSITE";
  bool possible = into.composite ? !whole_alone : is_crc(*into.algorithm);
  if (possible) return {};
  return invalid_request(
      fmt::format("The {} checksum type cannot be used with the {} checksum algorithm.", type,
                  wire::to_lower(name_of(*into.algorithm))));
}

// The part takes the place of the one that was there; `into` receives what is answered.
io::Task<ApiResult<void>> put_part(Deps deps, MultiUpload upload, int number, Received received,
                                   wire::Record& into) {
  Buckets::Use use(deps.buckets, upload.bucket);
  Objects::Turn turn(deps.objects, upload_row(upload));
  co_await turn.take();
  Part part{.number = number,
            .etag = wire::hex_encode(received.md5),
            .modified_ms = now_ms(deps) / 1000 * 1000,
            .checksum = received.checksum,
            .piece = received.piece};
  auto still = find_upload(deps, upload.bucket, upload.key, upload.id);
  auto row = part_row(upload.id, number);
  auto before = deps.store.get(row);
  if (!still || !before) {
    deps.pieces.drop(part.piece);
    co_return std::unexpected(still ? api_error(before.error()) : std::move(still.error()));
  }
  store::Batch batch;
  std::optional<Piece> end;
  if (*before) {
    if (auto old = decode_part((*before)->value)) end = old->piece;
  }
  if (end) Pieces::free(*end, batch);
  Pieces::name(part.piece, std::move(received.bytes), batch);
  batch.puts.push_back({row, encode(part)});
  if (auto done = co_await deps.store.commit(std::move(batch)); !done) {
    deps.pieces.drop(part.piece);
    co_return std::unexpected(api_error(done.error()));
  }
  deps.pieces.named(part.piece);
  if (end) deps.pieces.freed(*end);
  set_member(into, "ETag", etag_text(part.etag));
  set_checksum(into, part.checksum);
  co_return ApiResult<void>();
}

std::string_view type_of(const MultiUpload& upload) {
  return upload.composite ? "COMPOSITE" : "FULL_OBJECT";
}

}  // namespace

Answer create_upload(Deps deps, api::Call& call, wire::Record input) {
  auto bucket = find_bucket(deps, call, input);
  if (!bucket) co_return std::unexpected(std::move(bucket.error()));
  auto about = read_about_members(input);
  if (!about) co_return std::unexpected(std::move(about.error()));
  MultiUpload upload{.bucket = (*bucket)->name,
                     .key = text_of(input, "Key"),
                     .id = deps.pieces.new_id(),
                     .started_ms = now_ms(deps) / 1000 * 1000,
                     .owner = call.caller.account,
                     .about = *std::move(about),
                     .algorithm = {}};
  if (auto good = choose_checksum(input, upload); !good) co_return std::unexpected(good.error());
  Buckets::Use use(deps.buckets, upload.bucket);
  store::Batch batch;
  batch.puts.push_back({upload_row(upload), encode(upload)});
  if (auto done = co_await deps.store.commit(std::move(batch)); !done) {
    co_return std::unexpected(api_error(done.error()));
  }
  model::CreateMultipartUploadOutput out;
  out.set_bucket(upload.bucket).set_key(upload.key).set_upload_id(upload.id);
  out.set_server_side_encryption("AES256");
  if (upload.algorithm) {
    out.set_checksum_algorithm(std::string(name_of(*upload.algorithm)));
    out.set_checksum_type(std::string(type_of(upload)));
  }
  co_return std::move(out).take();
}

Answer upload_part(Deps deps, api::Call& call, wire::Record input) {
  auto bucket = find_bucket(deps, call, input);
  if (!bucket) co_return std::unexpected(std::move(bucket.error()));
  auto expected = expected_of(input, limits::object_upload_bytes);
  if (!expected) co_return std::unexpected(std::move(expected.error()));
  model::UploadPartRequest in(std::move(input));
  auto number = part_number(in.part_number());
  if (!number) co_return std::unexpected(std::move(number.error()));
  auto upload =
      find_upload(deps, (*bucket)->name, in.key().value_or(""), in.upload_id().value_or(""));
  if (!upload) co_return std::unexpected(std::move(upload.error()));
  if (upload->algorithm && expected->algorithm && expected->algorithm != upload->algorithm) {
    co_return invalid_request(fmt::format(
        "Checksum Type mismatch occurred, expected checksum Type: {}, actual checksum Type: {}",
        wire::to_lower(name_of(*upload->algorithm)),
        wire::to_lower(name_of(*expected->algorithm))));
  }
  if (!expected->algorithm) expected->algorithm = upload->algorithm;
  auto received = co_await receive(deps.pieces, call.upload.get(), *std::move(expected));
  if (!received) co_return std::unexpected(std::move(received.error()));
  wire::Record out(*call.operation.output);
  auto done = co_await put_part(deps, *std::move(upload), *number, *std::move(received), out);
  if (!done) co_return std::unexpected(std::move(done.error()));
  set_member(out, "ServerSideEncryption", std::string("AES256"));
  co_return out;
}

Answer upload_part_copy(Deps deps, api::Call& call, wire::Record input) {
  auto bucket = find_bucket(deps, call, input);
  if (!bucket) co_return std::unexpected(std::move(bucket.error()));
  model::UploadPartCopyRequest in(std::move(input));
  auto number = part_number(in.part_number());
  if (!number) co_return std::unexpected(std::move(number.error()));
  auto upload =
      find_upload(deps, (*bucket)->name, in.key().value_or(""), in.upload_id().value_or(""));
  if (!upload) co_return std::unexpected(std::move(upload.error()));
  auto source = read_copy_source(in.copy_source().value_or(""));
  if (!source) co_return std::unexpected(std::move(source.error()));
  ReadCondition condition{.if_match = in.copy_source_if_match(),
                          .if_none_match = in.copy_source_if_none_match(),
                          .if_modified_since = in.copy_source_if_modified_since(),
                          .if_unmodified_since = in.copy_source_if_unmodified_since()};
  auto from = find_copy_source(deps, call, *source, in.expected_source_bucket_owner().value_or(""),
                               condition);
  if (!from) co_return std::unexpected(std::move(from.error()));
  ByteRange range{0, from->size};
  if (auto text = in.copy_source_range()) {
    auto asked = read_copy_range(*text, from->size);
    if (!asked) co_return std::unexpected(std::move(asked.error()));
    range = *asked;
  }
  auto parts = deps.objects.parts_of(*from);
  if (!parts) co_return std::unexpected(api_error(parts.error()));
  auto body = deps.pieces.read(slices_of(*from, *parts, range));
  if (!body) co_return std::unexpected(api_error(body.error()));
  Expected expected{.algorithm = upload->algorithm, .most = limits::object_upload_bytes};
  auto received = co_await receive(deps.pieces, **body, std::move(expected));
  if (!received) co_return std::unexpected(std::move(received.error()));
  model::CopyPartResult shape;
  auto result = std::move(shape).take();
  auto done = co_await put_part(deps, *std::move(upload), *number, *std::move(received), result);
  if (!done) co_return std::unexpected(std::move(done.error()));
  std::int64_t seconds = now_ms(deps) / 1000;  // whole ones, as the listing of parts says
  set_member(result, "LastModified", wire::Timestamp{static_cast<double>(seconds)});
  auto out = record_of(model::UploadPartCopyOutput()
                           .set_copy_part_result(model::CopyPartResult(std::move(result)))
                           .set_server_side_encryption("AES256"));
  set_source_version(deps, *source, *from, out);
  co_return out;
}

Answer list_parts(Deps deps, api::Call& call, wire::Record input) {
  auto bucket = find_bucket(deps, call, input);
  if (!bucket) co_return std::unexpected(std::move(bucket.error()));
  model::ListPartsRequest in(std::move(input));
  auto upload =
      find_upload(deps, (*bucket)->name, in.key().value_or(""), in.upload_id().value_or(""));
  if (!upload) co_return std::unexpected(std::move(upload.error()));
  auto most = page_of(in.max_parts());
  auto after =
      std::clamp<std::int64_t>(in.part_number_marker().value_or(0), 0, limits::object_parts);
  auto parts = parts_of(deps, upload->id, static_cast<int>(after), most + 1);
  if (!parts) co_return std::unexpected(api_error(parts.error()));
  bool more = parts->size() > most;
  if (more) parts->resize(most);
  std::vector<model::Part> listed;
  for (const auto& part : *parts) {
    auto one = record_of(model::Part()
                             .set_part_number(part.number)
                             .set_e_tag(etag_text(part.etag))
                             .set_size(static_cast<std::int64_t>(part.piece.size))
                             .set_last_modified(static_cast<double>(part.modified_ms) / 1000));
    if (upload->algorithm) set_checksum(one, part.checksum);
    listed.emplace_back(std::move(one));
  }
  model::ListPartsOutput out;
  out.set_bucket(upload->bucket).set_key(upload->key).set_upload_id(upload->id);
  out.set_part_number_marker(after).set_max_parts(static_cast<std::int64_t>(most));
  out.set_is_truncated(more);
  if (!parts->empty()) out.set_next_part_number_marker(parts->back().number);
  out.set_parts(std::move(listed));
  out.set_owner(model::Owner().set_id(canonical_id(upload->owner)));
  out.set_initiator(model::Initiator().set_id(canonical_id(upload->owner)));
  out.set_storage_class(upload->about.storage_class.empty() ? "STANDARD"
                                                            : upload->about.storage_class);
  if (upload->algorithm) {
    out.set_checksum_algorithm(std::string(name_of(*upload->algorithm)));
    out.set_checksum_type(std::string(type_of(*upload)));
  }
  co_return std::move(out).take();
}

Answer list_uploads(Deps deps, api::Call& call, wire::Record input) {
  auto bucket = find_bucket(deps, call, input);
  if (!bucket) co_return std::unexpected(std::move(bucket.error()));
  model::ListMultipartUploadsRequest in(std::move(input));
  bool url = in.encoding_type().has_value();
  auto text = [&](std::string_view key) { return url ? url_encoded(key) : std::string(key); };
  ListQuery query{.rows = uploads_rows((*bucket)->name),
                  .prefix = std::string(in.prefix().value_or("")),
                  .delimiter = std::string(in.delimiter().value_or("")),
                  .after = std::string(in.key_marker().value_or("")),
                  .most = page_of(in.max_uploads())};
  if (!query.after.empty()) {
    // Behind all uploads of the key, or behind that one.
    query.after.push_back(in.upload_id_marker() ? '\0' : '\1');
    query.after += in.upload_id_marker().value_or("");
  }
  auto found = list_keys(deps.store, query);
  if (!found) co_return std::unexpected(api_error(found.error()));
  model::ListMultipartUploadsOutput out;
  std::vector<model::MultipartUpload> uploads;
  for (const auto& row : found->rows) {
    auto upload = decode_upload((*bucket)->name, row.key, row.value);
    if (!upload) co_return std::unexpected(api_error(upload.error()));
    model::MultipartUpload one;
    one.set_key(text(upload->key)).set_upload_id(upload->id);
    one.set_initiated(static_cast<double>(upload->started_ms) / 1000);
    one.set_owner(model::Owner().set_id(canonical_id(upload->owner)));
    one.set_initiator(model::Initiator().set_id(canonical_id(upload->owner)));
    one.set_storage_class(upload->about.storage_class.empty() ? "STANDARD"
                                                              : upload->about.storage_class);
    uploads.push_back(std::move(one));
    out.set_next_key_marker(text(upload->key)).set_next_upload_id_marker(upload->id);
  }
  std::vector<model::CommonPrefix> groups;
  for (const auto& group : found->groups) groups.emplace_back().set_prefix(text(group));
  if (found->last_is_group) out.set_next_key_marker(text(found->last));
  out.set_bucket((*bucket)->name).set_is_truncated(found->more);
  out.set_key_marker(text(in.key_marker().value_or("")));
  out.set_max_uploads(static_cast<std::int64_t>(query.most)).set_prefix(text(query.prefix));
  if (in.delimiter()) out.set_delimiter(text(query.delimiter));
  if (url) out.set_encoding_type("url");
  out.set_uploads(std::move(uploads));
  if (!groups.empty()) out.set_common_prefixes(std::move(groups));
  co_return std::move(out).take();
}

}  // namespace mayfly::services::s3
