// An object as its row has it, and the values that rows of the room are made of.
//
//   b/BUCKET              a bucket (bucket.h)
//   o/BUCKET/KEY          the current object of that key
//   v/…, w/…              versions that are kept (versions.h)
//   p/ID                  the parts of an object that was uploaded in parts
//   d/ID                  a value that is small enough for a row
//   f/ID                  a file that a row names (store/files.h)
//   z/ID                  a file that no row names any more and that is to be removed
//   u/BUCKET/KEY NUL ID   an upload in parts that is under way (upload.h)
//   q/ID/NNNNN            one of its parts
//   n/SEQ                 a notification that is to be delivered (outbox.h)
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "services/s3/digest.h"
#include "wire/json.h"

namespace mayfly::services::s3 {

// Where bytes are: a file of that id, or a row.
struct Piece {
  std::string id;
  std::uint64_t size = 0;
  bool in_row = false;
  // Nothing is kept of what is empty.
  bool in_file() const { return !in_row && size > 0; }
};

struct Checksum {
  std::optional<Algorithm> algorithm{};
  std::string value{};     // base64; with "-N" where it is made of the parts' checksums
  bool composite = false;  // else of the whole object
};

// What a client says of an object beside its bytes.
struct About {
  std::string content_type{};
  std::string cache_control{};
  std::string content_disposition{};
  std::string content_encoding{};
  std::string content_language{};
  std::string expires{};
  std::string website_redirect{};
  std::string storage_class{};  // empty: STANDARD
  std::map<std::string, std::string> metadata{};
  std::map<std::string, std::string> tags{};
};

struct Object {
  std::string key;
  std::uint64_t size = 0;
  std::string etag{};  // without quotes
  std::int64_t modified_ms = 0;
  AccountId owner{};
  // Its number among the versions; empty: it was put before its bucket kept any.
  std::string version{};
  bool null_version = false;  // that is none to its readers
  bool marker = false;        // of a deletion: no bytes
  About about{};
  Checksum checksum{};
  Piece piece{};  // without parts; of an empty object: a row that is not there
  int parts = 0;  // how many, in the row of parts_id
  std::string parts_id{};
  std::string upload_id{};  // of the upload in parts that made it
};

struct Part {
  int number = 0;
  std::string etag;
  std::int64_t modified_ms = 0;
  Checksum checksum;
  Piece piece;
};

std::string object_row(std::string_view bucket, std::string_view key);
std::string encode(const Object& object);
Result<Object> decode_object(std::string_view text, std::string_view key);
std::string encode_parts(const std::vector<Part>& parts);
Result<std::vector<Part>> decode_parts(std::string_view text);
std::string encode(const Part& part);
Result<Part> decode_part(std::string_view text);
// As members of an object of JSON.
void put_map(wire::Json& into, std::string_view name,
             const std::map<std::string, std::string>& values);
std::map<std::string, std::string> read_map(const wire::Json& from, std::string_view name);
void put_about(wire::Json& into, const About& about);
About read_about(const wire::Json& from);

}  // namespace mayfly::services::s3
