#include "services/s3/uploads.h"

#include <algorithm>

#include "services/s3/limits.h"
#include "wire/text.h"

namespace mayfly::services::s3 {

std::string uploads_rows(std::string_view bucket) { return fmt::format("u/{}/", bucket); }

std::string upload_row(const MultiUpload& upload) {
  std::string out = uploads_rows(upload.bucket) + upload.key;
  out.push_back('\0');
  return out + upload.id;
}

std::string part_row(const std::string& upload_id, int number) {
  return fmt::format("q/{}/{:05}", upload_id, number);
}

std::string encode(const MultiUpload& upload) {
  wire::Json out{wire::JsonObject()};
  out["at"] = upload.started_ms;
  out["owner"] = upload.owner.str();
  if (upload.algorithm) out["algorithm"] = name_of(*upload.algorithm);
  out["composite"] = upload.composite;
  put_about(out, upload.about);
  return out.dump();
}

Result<MultiUpload> decode_upload(std::string_view bucket, const std::string& key,
                                  std::string_view text) {
  TRY_ASSIGN(const auto json, wire::parse_json(text));
  auto end = key.rfind('\0');
  if (end == key.npos) return fail(ErrorKind::corrupt, "an upload has no id");
  MultiUpload out;
  out.bucket = bucket;
  out.key = key.substr(0, end);
  out.id = key.substr(end + 1);
  out.started_ms = json.int_or("at", 0);
  out.owner = AccountId(std::string(json.string_or("owner")));
  out.algorithm = algorithm_named(json.string_or("algorithm"));
  out.composite = json.bool_or("composite", false);
  out.about = read_about(json);
  return out;
}

ApiResult<MultiUpload> find_upload(const Deps& deps, std::string_view bucket, std::string_view key,
                                   std::string_view id) {
  MultiUpload wanted;
  wanted.bucket = bucket;
  wanted.key = key;
  wanted.id = id;
  auto row = deps.store.get(upload_row(wanted));
  if (!row) return std::unexpected(api_error(row.error()));
  if (!*row || id.empty()) return no_such_upload();
  auto out = decode_upload(bucket, (*row)->key.substr(uploads_rows(bucket).size()), (*row)->value);
  if (!out) return std::unexpected(api_error(out.error()));
  return *std::move(out);
}

Result<std::vector<Part>> parts_of(const Deps& deps, const std::string& upload_id, int after,
                                   std::size_t most) {
  auto prefix = fmt::format("q/{}/", upload_id);
  TRY_ASSIGN(auto rows, deps.store.scan(prefix, part_row(upload_id, after), most));
  std::vector<Part> out;
  for (const auto& row : rows) {
    TRY_ASSIGN(auto part, decode_part(row.value));
    out.push_back(std::move(part));
  }
  return out;
}

io::Task<Result<>> end_uploads(Deps deps, std::string bucket, store::Batch batch) {
  constexpr std::size_t page = 256;
  std::vector<Piece> ends;
  auto all = uploads_rows(bucket);
  std::string after;
  while (true) {
    CO_TRY_ASSIGN(auto rows, deps.store.scan(all, after, page));
    for (const auto& row : rows) {
      CO_TRY_ASSIGN(auto upload, decode_upload(bucket, row.key.substr(all.size()), row.value));
      CO_TRY_ASSIGN(auto parts, parts_of(deps, upload.id, 0, limits::object_parts));
      batch.deletes.push_back(row.key);
      for (const auto& part : parts) {
        batch.deletes.push_back(part_row(upload.id, part.number));
        Pieces::free(part.piece, batch);
        ends.push_back(part.piece);
      }
      after = row.key;
    }
    if (rows.size() < page) break;
  }
  CO_TRY(co_await deps.store.commit(std::move(batch)));
  for (const auto& piece : ends) deps.pieces.freed(piece);
  co_return Result<>();
}

std::string etag_of(const std::vector<Part>& parts) {
  Digest all(Algorithm::md5);
  for (const auto& part : parts) all.update(wire::hex_decode(part.etag).value_or(""));
  return fmt::format("{}-{}", wire::hex_encode(all.finish()), parts.size());
}

Checksum checksum_of(const MultiUpload& upload, const std::vector<Part>& parts) {
  auto algorithm = parts.front().checksum.algorithm;
  bool same = std::ranges::all_of(
      parts, [&](const Part& part) { return part.checksum.algorithm == algorithm; });
  if (!algorithm || !same) return {};
  if (upload.algorithm && upload.composite) {
    Digest all(*algorithm);
    for (const auto& part : parts) {
      all.update(wire::base64_decode(part.checksum.value).value_or(""));
    }
    return {algorithm, fmt::format("{}-{}", wire::base64_encode(all.finish()), parts.size()), true};
  }
  if (!is_crc(*algorithm)) return {};
  std::string sum;
  for (const auto& part : parts) {
    auto own = wire::base64_decode(part.checksum.value).value_or("");
    sum = sum.empty() ? own : combine_crc(*algorithm, sum, own, part.piece.size);
  }
  return {algorithm, wire::base64_encode(sum), false};
}

}  // namespace mayfly::services::s3
