// Uploads in parts that are under way, as rows: u/BUCKET/KEY NUL ID, and their parts q/ID/NNNNN.
#pragma once

#include "services/s3/service.h"

namespace mayfly::services::s3 {

struct MultiUpload {
  std::string bucket;
  std::string key;
  std::string id;
  std::int64_t started_ms = 0;
  AccountId owner;
  About about;
  std::optional<Algorithm> algorithm;  // that its client chose
  bool composite = false;
};

std::string uploads_rows(std::string_view bucket);
std::string upload_row(const MultiUpload& upload);
std::string part_row(const std::string& upload_id, int number);
std::string encode(const MultiUpload& upload);
// `key`: of the row, behind uploads_rows().
Result<MultiUpload> decode_upload(std::string_view bucket, const std::string& key,
                                  std::string_view text);

// NoSuchUpload.
ApiResult<MultiUpload> find_upload(const Deps& deps, std::string_view bucket, std::string_view key,
                                   std::string_view id);
// In their order, behind a number.
Result<std::vector<Part>> parts_of(const Deps& deps, const std::string& upload_id, int after,
                                   std::size_t most);

// Commits the batch together with the end of all uploads of a bucket that nobody finds any more.
io::Task<Result<>> end_uploads(Deps deps, std::string bucket, store::Batch batch);

// The object that these parts make: its entity tag and its checksum.
std::string etag_of(const std::vector<Part>& parts);
Checksum checksum_of(const MultiUpload& upload, const std::vector<Part>& parts);

}  // namespace mayfly::services::s3
