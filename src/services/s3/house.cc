#include "services/s3/house.h"

#include "guard/policy_document.h"
#include "services/s3/names.h"

namespace mayfly::services::s3 {

std::vector<guard::PolicyStatement> BucketPolicies::statements(std::string_view resource_arn) {
  auto bucket = buckets_.find(bucket_of_arn(resource_arn));
  if (!bucket || bucket->policy.empty()) return {};
  auto out = guard::read_policy(bucket->policy);
  return out ? *std::move(out) : std::vector<guard::PolicyStatement>();
}

bool BucketPolicies::may_deny(std::string_view resource_arn) {
  auto bucket = buckets_.find(bucket_of_arn(resource_arn));
  // A word may be written with escapes.
  return bucket && (bucket->policy.find("Deny") != std::string::npos ||
                    bucket->policy.find('\\') != std::string::npos);
}

House::House(Deps deps)
    : deps_(std::move(deps)),
      buckets_(deps_.loop, deps_.store),
      pieces_({deps_.loop, deps_.workers, deps_.random, deps_.store, deps_.files}),
      outbox_(deps_.loop, deps_.store, deps_.switchboard),
      objects_({deps_.loop, deps_.store, buckets_, pieces_, outbox_}),
      target_(service_deps()) {}

Result<std::unique_ptr<House>> House::open(Deps deps) {
  auto out = std::make_unique<House>(std::move(deps));
  TRY(out->buckets_.load());
  TRY(out->outbox_.load());
  TRY(out->pieces_.open());
  return out;
}

}  // namespace mayfly::services::s3
