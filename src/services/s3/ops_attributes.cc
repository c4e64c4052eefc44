// GetObjectAttributes.
#include <algorithm>

#include "api/input.h"
#include "services/s3/service.h"

namespace mayfly::services::s3 {

namespace {

// The parts of an object that was uploaded in parts, a page of them.
model::GetObjectAttributesParts parts_page(const model::GetObjectAttributesRequest& in,
                                           const std::vector<Part>& parts) {
  auto most = page_of(in.max_parts());
  auto after = in.part_number_marker().value_or(0);
  std::vector<model::ObjectPart> listed;
  bool more = false;
  for (const auto& part : parts) {
    if (part.number <= after) continue;
    if (listed.size() == most) {
      more = true;
      break;
    }
    auto one = record_of(model::ObjectPart()
                             .set_part_number(part.number)
                             .set_size(static_cast<std::int64_t>(part.piece.size)));
    set_checksum(one, part.checksum);
    listed.emplace_back(std::move(one));
  }
  model::GetObjectAttributesParts out;
  out.set_total_parts_count(static_cast<std::int64_t>(parts.size()));
  out.set_part_number_marker(after).set_max_parts(static_cast<std::int64_t>(most));
  out.set_is_truncated(more);
  if (!listed.empty()) out.set_next_part_number_marker(*listed.back().part_number());
  out.set_parts(std::move(listed));
  return out;
}

}  // namespace

Answer get_object_attributes(Deps deps, api::Call& call, wire::Record input) {
  auto bucket = find_bucket(deps, call, input);
  if (!bucket) co_return std::unexpected(std::move(bucket.error()));
  model::GetObjectAttributesRequest in(std::move(input));
  auto object = find_object(deps, **bucket, in.key().value_or(""), in.version_id().value_or(""));
  if (!object) co_return std::unexpected(std::move(object.error()));
  auto wanted = in.object_attributes();
  if (wanted.empty()) co_return invalid_argument("x-amz-object-attributes must be given");
  auto wants = [&](std::string_view name) {
    return std::ranges::find(wanted, name) != wanted.end();
  };
  model::GetObjectAttributesOutput out;
  out.set_last_modified(static_cast<double>(object->modified_ms) / 1000);
  if (wants("ETag")) out.set_e_tag(object->etag);  // here without quotes
  if (wants("ObjectSize")) out.set_object_size(static_cast<std::int64_t>(object->size));
  if (wants("StorageClass")) {
    const auto& name = object->about.storage_class;
    out.set_storage_class(name.empty() ? "STANDARD" : name);
  }
  if (wants("Checksum") && object->checksum.algorithm) {
    model::Checksum shape;
    auto sum = std::move(shape).take();
    set_checksum(sum, object->checksum);
    out.set_checksum(model::Checksum(std::move(sum)));
  }
  if (wants("ObjectParts") && object->parts > 0) {
    auto parts = deps.objects.parts_of(*object);
    if (!parts) co_return std::unexpected(api_error(parts.error()));
    out.set_object_parts(parts_page(in, *parts));
  }
  auto record = std::move(out).take();
  set_version(record, **bucket, *object);
  co_return record;
}

}  // namespace mayfly::services::s3
