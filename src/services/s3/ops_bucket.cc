// CreateBucket, HeadBucket, ListBuckets, GetBucketLocation, DeleteBucket.
#include "api/input.h"
#include "services/s3/limits.h"
#include "services/s3/names.h"
#include "services/s3/service.h"
#include "services/s3/tags.h"
#include "services/s3/uploads.h"
#include "wire/text.h"

namespace mayfly::services::s3 {

namespace {

constexpr std::string_view first_region = "us-east-1";

// Where a new bucket is to be: CreateBucket's reference, "LocationConstraint".
ApiResult<Region> region_of(std::string_view constraint, const Region& endpoint) {
  if (constraint == first_region) {
    return refuse("InvalidLocationConstraint", 400,
                  "The specified location-constraint is not valid");
  }
  if (constraint == "EU") constraint = "eu-west-1";
  if (endpoint.str() == first_region) {
    return Region(std::string(constraint.empty() ? first_region : constraint));
  }
  if (constraint == endpoint.str()) return endpoint;
  return refuse("IllegalLocationConstraintException", 400,
                fmt::format("The {} location constraint is incompatible for the region specific "
                            "endpoint this request was sent to.",
                            constraint.empty() ? "unspecified" : constraint));
}

wire::Record created(const std::string& name) {
  return record_of(
      model::CreateBucketOutput().set_location("/" + name).set_bucket_arn(bucket_arn(name)));
}

}  // namespace

Answer create_bucket(Deps deps, api::Call& call, wire::Record input) {
  model::CreateBucketRequest in(std::move(input));
  std::string name(in.bucket().value_or(""));
  if (auto good = check_bucket_name(name); !good) co_return std::unexpected(good.error());
  if (auto good = refuse_members(in.record(), {"GrantFullControl", "GrantRead", "GrantReadACP",
                                               "GrantWrite", "GrantWriteACP"});
      !good) {
    co_return std::unexpected(good.error());
  }
  if (in.object_lock_enabled_for_bucket().value_or(false)) co_return not_built("Object Lock is");
  if (auto acl = in.acl().value_or("private"); acl != "private") {
    co_return not_built(fmt::format("The ACL {} is", acl));
  }
  std::string constraint;
  Tags tags;
  if (auto configuration = in.create_bucket_configuration()) {
    constraint = configuration->location_constraint().value_or("");
    auto read = read_tags(configuration->tags(), limits::bucket_tags);
    if (!read) co_return std::unexpected(std::move(read.error()));
    tags = *std::move(read);
  }
  auto region = region_of(constraint, call.scope.region);
  if (!region) co_return std::unexpected(std::move(region.error()));
  if (deps.buckets.count(call.caller.account) >= limits::buckets) {
    co_return refuse("TooManyBuckets", 400,
                     "You have attempted to create more buckets than allowed");
  }
  Bucket wanted{.name = name,
                .owner = call.caller.account,
                .region = *region,
                .created_ms = now_ms(deps) / 1000 * 1000,
                .tags = std::move(tags)};
  auto made = co_await deps.buckets.change(
      name, [wanted = std::move(wanted)](const BucketRef& now) -> Buckets::Table::Outcome {
        if (!now) return std::make_shared<const Bucket>(wanted);
        if (now->owner != wanted.owner) {
          return refuse("BucketAlreadyExists", 409,
                        "The requested bucket name is not available. The bucket namespace is "
                        "shared by all users of the system. Please select a different name and "
                        "try again.");
        }
        // There it is no error, since the first region was there before this rule.
        if (now->region.str() == first_region && wanted.region == now->region) return now;
        return refuse("BucketAlreadyOwnedByYou", 409,
                      "Your previous request to create the named bucket succeeded and you already "
                      "own it.");
      });
  if (!made) co_return std::unexpected(std::move(made.error()));
  co_return created(name);
}

Answer head_bucket(Deps deps, api::Call& call, wire::Record input) {
  auto bucket = find_bucket(deps, call, input);
  if (!bucket) co_return std::unexpected(std::move(bucket.error()));
  co_return record_of(model::HeadBucketOutput()
                          .set_bucket_region((*bucket)->region.str())
                          .set_bucket_arn(bucket_arn((*bucket)->name))
                          .set_access_point_alias(false));
}

Answer list_buckets(Deps deps, api::Call& call, wire::Record input) {
  model::ListBucketsRequest in(std::move(input));
  auto most = static_cast<std::size_t>(in.max_buckets().value_or(limits::buckets));
  if (most < 1 || most > limits::buckets) {
    co_return invalid_argument("Argument max-buckets must be an integer between 1 and 10000");
  }
  auto token = wire::base64url_decode(in.continuation_token().value_or(""));
  if (!token) co_return invalid_argument("The continuation token provided is incorrect");
  auto prefix = in.prefix().value_or("");
  auto region = in.bucket_region().value_or("");
  model::ListBucketsOutput out;
  std::vector<model::Bucket> found;
  std::string last;
  for (const auto& [name, bucket] : deps.buckets.all()) {
    if (bucket->owner != call.caller.account || name <= *token || !name.starts_with(prefix)) {
      continue;
    }
    if (!region.empty() && bucket->region.str() != region) continue;
    if (found.size() == most) {
      out.set_continuation_token(wire::base64url_encode(last));
      break;
    }
    last = name;
    model::Bucket one;
    one.set_name(name).set_creation_date(static_cast<double>(bucket->created_ms) / 1000);
    // Told to those that ask for pages (API reference).
    if (in.max_buckets()) one.set_bucket_region(bucket->region.str());
    found.push_back(std::move(one));
  }
  out.set_buckets(std::move(found));
  out.set_owner(model::Owner().set_id(canonical_id(call.caller.account)));
  if (in.prefix()) out.set_prefix(std::string(prefix));
  co_return std::move(out).take();
}

Answer get_bucket_location(Deps deps, api::Call& call, wire::Record input) {
  auto bucket = find_bucket(deps, call, input);
  if (!bucket) co_return std::unexpected(std::move(bucket.error()));
  model::GetBucketLocationOutput out;
  // The first region has an empty one.
  auto region = (*bucket)->region.str();
  if (region != first_region) out.set_location_constraint(region);
  co_return std::move(out).take();
}

Answer delete_bucket(Deps deps, api::Call& call, wire::Record input) {
  auto bucket = find_bucket(deps, call, input);
  if (!bucket) co_return std::unexpected(std::move(bucket.error()));
  auto name = (*bucket)->name;
  auto gone = co_await deps.buckets.remove(
      name, [deps, name] { return deps.objects.empty(name); },
      [deps, name](store::Batch batch) { return end_uploads(deps, name, std::move(batch)); });
  if (!gone) co_return std::unexpected(std::move(gone.error()));
  co_return wire::Record();
}

}  // namespace mayfly::services::s3
