// PutBucketVersioning, GetBucketVersioning, ListObjectVersions.
#include "services/s3/limits.h"
#include "services/s3/names.h"
#include "services/s3/service.h"
#include "services/s3/version_listing.h"
#include "services/s3/versions.h"

namespace mayfly::services::s3 {

namespace {

double seconds_of(const Object& object) { return static_cast<double>(object.modified_ms) / 1000; }

model::ObjectVersion version_of(const VersionsListed::One& one, std::string key) {
  const auto& object = one.object;
  model::ObjectVersion out;
  out.set_key(std::move(key))
      .set_version_id(version_id(object))
      .set_is_latest(one.newest)
      .set_e_tag(etag_text(object.etag))
      .set_size(static_cast<std::int64_t>(object.size))
      .set_last_modified(seconds_of(object))
      .set_owner(model::Owner().set_id(canonical_id(object.owner)))
      .set_storage_class(object.about.storage_class.empty() ? "STANDARD"
                                                            : object.about.storage_class);
  if (object.checksum.algorithm) {
    out.set_checksum_algorithm({std::string(name_of(*object.checksum.algorithm))});
    out.set_checksum_type(object.checksum.composite ? "COMPOSITE" : "FULL_OBJECT");
  }
  return out;
}

model::DeleteMarkerEntry marker_of(const VersionsListed::One& one, std::string key) {
  model::DeleteMarkerEntry out;
  out.set_key(std::move(key))
      .set_version_id(version_id(one.object))
      .set_is_latest(one.newest)
      .set_last_modified(seconds_of(one.object))
      .set_owner(model::Owner().set_id(canonical_id(one.object.owner)));
  return out;
}

ApiResult<VersionQuery> query_of(const Deps& deps, const Bucket& bucket,
                                 const model::ListObjectVersionsRequest& in) {
  if (in.encoding_type() && *in.encoding_type() != "url") {
    return invalid_argument("Invalid Encoding Method specified in Request");
  }
  if (in.max_keys().value_or(0) < 0) {
    return invalid_argument("Argument max-keys must be an integer between 0 and 2147483647");
  }
  VersionQuery out{.bucket = bucket.name,
                   .prefix = std::string(in.prefix().value_or("")),
                   .delimiter = std::string(in.delimiter().value_or("")),
                   .after = std::string(in.key_marker().value_or("")),
                   .most = page_of(in.max_keys())};
  auto version = in.version_id_marker().value_or("");
  if (version.empty()) {
    // A marker that is a common prefix was the last entry of the page before.
    out.after_group = !out.delimiter.empty() && out.after.ends_with(out.delimiter) &&
                      out.after.size() > out.prefix.size();
    return out;
  }
  if (out.after.empty()) {
    return invalid_argument("A version-id marker cannot be specified without a key marker.");
  }
  if (auto good = check_version_id(version); !good) return std::unexpected(good.error());
  out.after_version = version;
  if (version != null_version) return out;
  auto found = deps.objects.find_version(bucket.name, out.after, version);
  if (!found) return std::unexpected(api_error(found.error()));
  out.after_version = *found && !(*found)->version.empty() ? (*found)->version : version_text(0);
  return out;
}

}  // namespace

Answer put_versioning(Deps deps, api::Call& call, wire::Record input) {
  auto bucket = find_bucket(deps, call, input);
  if (!bucket) co_return std::unexpected(std::move(bucket.error()));
  if (auto good = refuse_members(input, {"MFA"}); !good) co_return std::unexpected(good.error());
  model::PutBucketVersioningRequest in(std::move(input));
  auto configuration = in.versioning_configuration();
  if (!configuration) co_return malformed_xml();
  std::string status(configuration->status().value_or(""));
  if (status != versions_enabled && status != versions_suspended) {
    co_return refuse("IllegalVersioningConfigurationException", 400,
                     "The Versioning element must be specified");
  }
  if (configuration->mfa_delete().value_or("Disabled") != "Disabled") {
    co_return not_built("MFA Delete is");
  }
  auto done = co_await deps.buckets.change(
      (*bucket)->name, [status](const BucketRef& now) -> Buckets::Table::Outcome {
        if (!now) return no_such_bucket();
        auto next = std::make_shared<Bucket>(*now);
        next->versioning = status;
        return next;
      });
  if (!done) co_return std::unexpected(std::move(done.error()));
  co_return wire::Record();
}

Answer get_versioning(Deps deps, api::Call& call, wire::Record input) {
  auto bucket = find_bucket(deps, call, input);
  if (!bucket) co_return std::unexpected(std::move(bucket.error()));
  model::GetBucketVersioningOutput out;
  if (!(*bucket)->versioning.empty()) out.set_status((*bucket)->versioning);
  co_return std::move(out).take();
}

Answer list_versions(Deps deps, api::Call& call, wire::Record input) {
  auto bucket = find_bucket(deps, call, input);
  if (!bucket) co_return std::unexpected(std::move(bucket.error()));
  model::ListObjectVersionsRequest in(std::move(input));
  auto query = query_of(deps, **bucket, in);
  if (!query) co_return std::unexpected(std::move(query.error()));
  auto listed = list_versions(deps.store, *query);
  if (!listed) co_return std::unexpected(api_error(listed.error()));
  bool url = in.encoding_type().has_value();
  auto text = [&](std::string_view key) { return url ? url_encoded(key) : std::string(key); };
  std::vector<model::ObjectVersion> versions;
  std::vector<model::DeleteMarkerEntry> markers;
  for (const auto& one : listed->versions) {
    if (one.object.marker) {
      markers.push_back(marker_of(one, text(one.object.key)));
    } else {
      versions.push_back(version_of(one, text(one.object.key)));
    }
  }
  std::vector<model::CommonPrefix> groups;
  for (const auto& group : listed->groups) groups.emplace_back().set_prefix(text(group));
  model::ListObjectVersionsOutput out;
  out.set_name((*bucket)->name)
      .set_prefix(text(query->prefix))
      .set_key_marker(text(query->after))
      .set_version_id_marker(std::string(in.version_id_marker().value_or("")))
      .set_max_keys(static_cast<std::int64_t>(query->most))
      .set_is_truncated(listed->more);
  if (in.delimiter()) out.set_delimiter(text(query->delimiter));
  if (url) out.set_encoding_type("url");
  if (!versions.empty()) out.set_versions(std::move(versions));
  if (!markers.empty()) out.set_delete_markers(std::move(markers));
  if (!groups.empty()) out.set_common_prefixes(std::move(groups));
  if (listed->more) {
    out.set_next_key_marker(text(listed->last));
    if (!listed->last_version.empty()) out.set_next_version_id_marker(listed->last_version);
  }
  co_return std::move(out).take();
}

}  // namespace mayfly::services::s3
