// Put, Get and Delete of ObjectTagging and of BucketTagging.
#include "api/input.h"
#include "services/s3/limits.h"
#include "services/s3/service.h"
#include "services/s3/tags.h"
#include "services/s3/versions.h"

namespace mayfly::services::s3 {

namespace {

// The id of the version whose tags they are, where there are versions.
template <class Output>
wire::Record with_version(Output&& output, const Bucket& bucket, const Object& object) {
  auto out = record_of(output);
  set_version(out, bucket, object);
  return out;
}

io::Task<ApiResult<Object>> set_tags(Deps deps, const api::Call& call, BucketRef bucket,
                                     std::string key, std::string version, Tags tags,
                                     std::string event) {
  // The errors of readers, with all that they tell.
  auto object = find_object(deps, *bucket, key, version);
  if (!object) co_return std::unexpected(std::move(object.error()));
  co_return co_await deps.objects.change(
      bucket->name, std::move(key), std::move(version),
      [tags = std::move(tags)](Object& changed) { changed.about.tags = tags; },
      happening_of(deps, call, std::move(event)));
}

io::Task<ApiResult<void>> set_bucket_tags(Deps deps, std::string name, Tags tags) {
  auto done = co_await deps.buckets.change(
      std::move(name), [tags = std::move(tags)](const BucketRef& now) -> Buckets::Table::Outcome {
        if (!now) return no_such_bucket();
        auto next = std::make_shared<Bucket>(*now);
        next->tags = tags;
        return next;
      });
  if (!done) co_return std::unexpected(std::move(done.error()));
  co_return ApiResult<void>();
}

}  // namespace

Answer put_object_tags(Deps deps, api::Call& call, wire::Record input) {
  auto bucket = find_bucket(deps, call, input);
  if (!bucket) co_return std::unexpected(std::move(bucket.error()));
  model::PutObjectTaggingRequest in(std::move(input));
  auto tagging = in.tagging();
  if (!tagging) co_return malformed_xml();
  auto tags = read_tags(tagging->tag_set(), limits::object_tags);
  if (!tags) co_return std::unexpected(std::move(tags.error()));
  auto done = co_await set_tags(deps, call, *bucket, std::string(in.key().value_or("")),
                                std::string(in.version_id().value_or("")), *std::move(tags),
                                "ObjectTagging:Put");
  if (!done) co_return std::unexpected(std::move(done.error()));
  co_return with_version(model::PutObjectTaggingOutput(), **bucket, *done);
}

Answer get_object_tags(Deps deps, api::Call& call, wire::Record input) {
  auto bucket = find_bucket(deps, call, input);
  if (!bucket) co_return std::unexpected(std::move(bucket.error()));
  model::GetObjectTaggingRequest in(std::move(input));
  auto object = find_object(deps, **bucket, in.key().value_or(""), in.version_id().value_or(""));
  if (!object) co_return std::unexpected(std::move(object.error()));
  co_return with_version(model::GetObjectTaggingOutput().set_tag_set(written(object->about.tags)),
                         **bucket, *object);
}

Answer delete_object_tags(Deps deps, api::Call& call, wire::Record input) {
  auto bucket = find_bucket(deps, call, input);
  if (!bucket) co_return std::unexpected(std::move(bucket.error()));
  model::DeleteObjectTaggingRequest in(std::move(input));
  auto done =
      co_await set_tags(deps, call, *bucket, std::string(in.key().value_or("")),
                        std::string(in.version_id().value_or("")), {}, "ObjectTagging:Delete");
  if (!done) co_return std::unexpected(std::move(done.error()));
  co_return with_version(model::DeleteObjectTaggingOutput(), **bucket, *done);
}

Answer put_bucket_tags(Deps deps, api::Call& call, wire::Record input) {
  auto bucket = find_bucket(deps, call, input);
  if (!bucket) co_return std::unexpected(std::move(bucket.error()));
  model::PutBucketTaggingRequest in(std::move(input));
  auto tagging = in.tagging();
  if (!tagging) co_return malformed_xml();
  auto tags = read_tags(tagging->tag_set(), limits::bucket_tags);
  if (!tags) co_return std::unexpected(std::move(tags.error()));
  auto done = co_await set_bucket_tags(deps, (*bucket)->name, *std::move(tags));
  if (!done) co_return std::unexpected(std::move(done.error()));
  co_return wire::Record();
}

Answer get_bucket_tags(Deps deps, api::Call& call, wire::Record input) {
  auto bucket = find_bucket(deps, call, input);
  if (!bucket) co_return std::unexpected(std::move(bucket.error()));
  if ((*bucket)->tags.empty()) {
    co_return refuse("NoSuchTagSet", 404, "The TagSet does not exist");
  }
  co_return record_of(model::GetBucketTaggingOutput().set_tag_set(written((*bucket)->tags)));
}

Answer delete_bucket_tags(Deps deps, api::Call& call, wire::Record input) {
  auto bucket = find_bucket(deps, call, input);
  if (!bucket) co_return std::unexpected(std::move(bucket.error()));
  auto done = co_await set_bucket_tags(deps, (*bucket)->name, {});
  if (!done) co_return std::unexpected(std::move(done.error()));
  co_return wire::Record();
}

}  // namespace mayfly::services::s3
