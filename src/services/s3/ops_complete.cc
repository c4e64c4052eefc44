// CompleteMultipartUpload, AbortMultipartUpload.
#include <map>

#include "services/s3/intake.h"
#include "services/s3/limits.h"
#include "services/s3/uploads.h"
#include "wire/text.h"

namespace mayfly::services::s3 {

namespace {

std::string_view unquoted(std::string_view etag) {
  if (etag.size() > 1 && etag.front() == '"' && etag.back() == '"') {
    return etag.substr(1, etag.size() - 2);
  }
  return etag;
}

Refusal invalid_part() {
  return refuse("InvalidPart", 400,
                "One or more of the specified parts could not be found.  The part may not have "
                "been uploaded, or the specified entity tag may not match the part's entity tag.");
}

// What the client says a part's checksum is.
bool matches(const model::CompletedPart& said, const Part& part) {
  Expected expected;
  if (!read_checksum_member(said.record(), expected)) return false;
  if (expected.value.empty()) return true;
  return expected.algorithm == part.checksum.algorithm && expected.value == part.checksum.value;
}

// Those that the client names, taken out of `there`.
ApiResult<std::vector<Part>> choose(const std::vector<model::CompletedPart>& wanted,
                                    std::map<int, Part>& there) {
  std::vector<Part> out;
  int last = 0;
  for (const auto& one : wanted) {
    auto number = static_cast<int>(one.part_number().value_or(0));
    if (number <= last) {
      return refuse("InvalidPartOrder", 400,
                    "The list of parts was not in ascending order. The parts list must be "
                    "specified in order by part number.");
    }
    last = number;
    auto found = there.find(number);
    if (found == there.end() || unquoted(one.e_tag().value_or("")) != found->second.etag ||
        !matches(one, found->second)) {
      return invalid_part();
    }
    if (!out.empty() && out.back().piece.size < limits::object_part_bytes_min) {
      return refuse("EntityTooSmall", 400,
                    "Your proposed upload is smaller than the minimum allowed size");
    }
    out.push_back(std::move(found->second));
    there.erase(found);
  }
  return out;
}

wire::Record completed(const api::Call& call, const Bucket& home, const Object& object) {
  const auto& bucket = home.name;
  auto out =
      record_of(model::CompleteMultipartUploadOutput()
                    .set_bucket(bucket)
                    .set_key(object.key)
                    .set_e_tag(etag_text(object.etag))
                    .set_location(fmt::format("http://{}/{}/{}", call.host, bucket,
                                              wire::percent_encode(object.key, wire::Slash::keep)))
                    .set_server_side_encryption("AES256"));
  set_checksum(out, object.checksum);
  set_version(out, home, object);
  return out;
}

// What the client says of the whole.
ApiResult<void> check_whole(const model::CompleteMultipartUploadRequest& in, const Object& object) {
  if (auto size = in.mpu_object_size(); size && static_cast<std::uint64_t>(*size) != object.size) {
    return invalid_request(
        "The provided 'x-amz-mp-object-size' header value does not match the size of the object");
  }
  for (auto algorithm : all_algorithms()) {
    int at = in.record().index(fmt::format("Checksum{}", name_of(algorithm)));
    const auto* said =
        at < 0 ? nullptr : in.record().at(static_cast<std::size_t>(at)).get<std::string>();
    if (said == nullptr || said->empty()) continue;
    // A client need not write how many parts there are.
    auto bare = object.checksum.value.substr(0, object.checksum.value.find('-'));
    if (object.checksum.algorithm != algorithm ||
        (*said != object.checksum.value && *said != bare)) {
      return refuse("BadDigest", 400,
                    fmt::format("The {} you specified did not match the calculated checksum.",
                                name_of(algorithm)));
    }
  }
  return {};
}

ApiResult<std::map<int, Part>> stored_parts(const Deps& deps, const std::string& id) {
  auto parts = parts_of(deps, id, 0, limits::object_parts);
  if (!parts) return std::unexpected(api_error(parts.error()));
  std::map<int, Part> out;
  for (auto& part : *parts) out.emplace(part.number, std::move(part));
  return out;
}

// All rows of the upload go.
void end_rows(const MultiUpload& upload, const std::map<int, Part>& parts, store::Batch& batch) {
  batch.deletes.push_back(upload_row(upload));
  for (const auto& [number, part] : parts) batch.deletes.push_back(part_row(upload.id, number));
}

}  // namespace

Answer complete_upload(Deps deps, api::Call& call, wire::Record input) {
  auto bucket = find_bucket(deps, call, input);
  if (!bucket) co_return std::unexpected(std::move(bucket.error()));
  model::CompleteMultipartUploadRequest in(std::move(input));
  std::string key(in.key().value_or(""));
  std::string id(in.upload_id().value_or(""));
  MultiUpload wanted{
      .bucket = (*bucket)->name, .key = key, .id = id, .owner = {}, .about = {}, .algorithm = {}};
  Objects::Turn turn(deps.objects, upload_row(wanted));
  co_await turn.take();
  auto upload = find_upload(deps, wanted.bucket, key, id);
  if (!upload) {
    // Asked for again by a client that did not hear the answer.
    auto made = deps.objects.find(wanted.bucket, key);
    if (made && *made && !id.empty() && (*made)->upload_id == id) {
      co_return completed(call, **bucket, **made);
    }
    co_return std::unexpected(std::move(upload.error()));
  }
  auto list = in.multipart_upload();
  if (!list || list->parts().empty()) co_return malformed_xml();
  auto there = stored_parts(deps, id);
  if (!there) co_return std::unexpected(std::move(there.error()));
  Objects::New what;
  end_rows(*upload, *there, what.also);
  auto parts = choose(list->parts(), *there);
  if (!parts) co_return std::unexpected(std::move(parts.error()));
  for (const auto& [number, part] : *there) {
    Pieces::free(part.piece, what.also);
    what.ends.push_back(part.piece);
  }
  auto happening = happening_of(deps, call, "ObjectCreated:CompleteMultipartUpload");
  what.object.key = key;
  for (const auto& part : *parts) what.object.size += part.piece.size;
  what.object.etag = etag_of(*parts);
  what.object.modified_ms = happening.at_ms / 1000 * 1000;
  what.object.owner = upload->owner;
  what.object.about = upload->about;
  what.object.checksum = checksum_of(*upload, *parts);
  what.object.parts = static_cast<int>(parts->size());
  what.object.parts_id = id;
  what.object.upload_id = id;
  what.parts = *std::move(parts);
  if (auto good = check_whole(in, what.object); !good) co_return std::unexpected(good.error());
  WriteCondition condition{.if_match = std::string(in.if_match().value_or("")),
                           .if_none_match = std::string(in.if_none_match().value_or(""))};
  auto put = co_await deps.objects.put(wanted.bucket, std::move(what), std::move(condition),
                                       std::move(happening));
  if (!put) co_return std::unexpected(std::move(put.error()));
  co_return completed(call, **bucket, *put);
}

Answer abort_upload(Deps deps, api::Call& call, wire::Record input) {
  auto bucket = find_bucket(deps, call, input);
  if (!bucket) co_return std::unexpected(std::move(bucket.error()));
  model::AbortMultipartUploadRequest in(std::move(input));
  MultiUpload wanted{.bucket = (*bucket)->name,
                     .key = std::string(in.key().value_or("")),
                     .id = std::string(in.upload_id().value_or("")),
                     .owner = {},
                     .about = {},
                     .algorithm = {}};
  Objects::Turn turn(deps.objects, upload_row(wanted));
  co_await turn.take();
  auto upload = find_upload(deps, wanted.bucket, wanted.key, wanted.id);
  if (!upload) co_return std::unexpected(std::move(upload.error()));
  auto there = stored_parts(deps, wanted.id);
  if (!there) co_return std::unexpected(std::move(there.error()));
  store::Batch batch;
  end_rows(*upload, *there, batch);
  for (const auto& [number, part] : *there) Pieces::free(part.piece, batch);
  if (auto done = co_await deps.store.commit(std::move(batch)); !done) {
    co_return std::unexpected(api_error(done.error()));
  }
  for (const auto& [number, part] : *there) deps.pieces.freed(part.piece);
  co_return model::AbortMultipartUploadOutput().take();
}

}  // namespace mayfly::services::s3
