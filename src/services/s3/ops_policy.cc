// PutBucketPolicy, GetBucketPolicy, DeleteBucketPolicy, GetBucketPolicyStatus.
#include <algorithm>
#include <array>

#include "guard/policy.h"
#include "guard/policy_document.h"
#include "services/s3/limits.h"
#include "services/s3/names.h"
#include "services/s3/service.h"

namespace mayfly::services::s3 {

namespace {

Refusal malformed(std::string message) {
  return refuse("MalformedPolicy", 400, std::move(message));
}

Refusal no_policy() {
  return refuse("NoSuchBucketPolicy", 404, "The bucket policy does not exist");
}

// The bucket, its objects, or a pattern of them.
bool is_within(std::string_view resource, const std::string& arn) {
  if (!resource.starts_with(arn)) return false;
  resource.remove_prefix(arn.size());
  return resource.empty() || resource.front() == '/' || resource.front() == '*';
}

// User guide, "The meaning of public": anybody, without a condition on who it is.
bool is_public(const guard::PolicyStatement& statement) {
  return statement.allow && statement.principal == "*" && statement.source_arn.empty() &&
         statement.source_account.empty();
}

ApiResult<std::vector<guard::PolicyStatement>> read(std::string_view document,
                                                    const Bucket& bucket) {
  if (!document.starts_with('{')) {
    return malformed("Policies must be valid JSON and the first byte must be '{'");
  }
  if (document.size() > limits::bucket_policy_bytes) {
    return malformed(fmt::format("The policy exceeds the maximum allowed size of {} bytes",
                                 limits::bucket_policy_bytes));
  }
  auto statements = guard::read_policy(document);
  if (!statements) return malformed(std::move(statements.error().message));
  auto arn = bucket_arn(bucket.name);
  for (const auto& one : *statements) {
    if (!one.action.starts_with("s3:") && one.action != "*") {
      return malformed("Policy has invalid action");
    }
    if (!is_within(one.resource, arn)) return malformed("Policy has invalid resource");
  }
  return *std::move(statements);
}

// With it, whoever puts it could never take it away.
bool locks_out(const api::Caller& caller, const Bucket& bucket,
               const std::vector<guard::PolicyStatement>& statements) {
  auto arn = bucket_arn(bucket.name);
  return std::ranges::any_of(std::array{"s3:DeleteBucketPolicy", "s3:PutBucketPolicy"},
                             [&](std::string_view action) {
                               return !guard::decide(statements, {.caller = caller,
                                                                  .action = action,
                                                                  .resource = arn,
                                                                  .resource_account = bucket.owner,
                                                                  .source_arn = {},
                                                                  .function_url_auth_type = {}})
                                           .allowed;
                             });
}

io::Task<ApiResult<void>> set_policy(Deps deps, std::string name, std::string policy) {
  auto done = co_await deps.buckets.change(
      std::move(name),
      [policy = std::move(policy)](const BucketRef& now) -> Buckets::Table::Outcome {
        if (!now) return no_such_bucket();
        auto next = std::make_shared<Bucket>(*now);
        next->policy = policy;
        return next;
      });
  if (!done) co_return std::unexpected(std::move(done.error()));
  co_return ApiResult<void>();
}

}  // namespace

Answer put_policy(Deps deps, api::Call& call, wire::Record input) {
  auto bucket = find_bucket(deps, call, input);
  if (!bucket) co_return std::unexpected(std::move(bucket.error()));
  model::PutBucketPolicyRequest in(std::move(input));
  std::string policy(in.policy().value_or(""));
  auto statements = read(policy, **bucket);
  if (!statements) co_return std::unexpected(std::move(statements.error()));
  if (locks_out(call.caller, **bucket, *statements)) {
    co_return not_built("A policy that denies its own removal to whoever puts it is");
  }
  auto done = co_await set_policy(deps, (*bucket)->name, std::move(policy));
  if (!done) co_return std::unexpected(std::move(done.error()));
  co_return wire::Record();
}

Answer get_policy(Deps deps, api::Call& call, wire::Record input) {
  auto bucket = find_bucket(deps, call, input);
  if (!bucket) co_return std::unexpected(std::move(bucket.error()));
  if ((*bucket)->policy.empty()) co_return no_policy();
  co_return record_of(model::GetBucketPolicyOutput().set_policy((*bucket)->policy));
}

Answer delete_policy(Deps deps, api::Call& call, wire::Record input) {
  auto bucket = find_bucket(deps, call, input);
  if (!bucket) co_return std::unexpected(std::move(bucket.error()));
  auto done = co_await set_policy(deps, (*bucket)->name, {});
  if (!done) co_return std::unexpected(std::move(done.error()));
  co_return wire::Record();
}

Answer get_policy_status(Deps deps, api::Call& call, wire::Record input) {
  auto bucket = find_bucket(deps, call, input);
  if (!bucket) co_return std::unexpected(std::move(bucket.error()));
  if ((*bucket)->policy.empty()) co_return no_policy();
  auto statements = guard::read_policy((*bucket)->policy);
  if (!statements) co_return std::unexpected(api_error(statements.error()));
  co_return record_of(model::GetBucketPolicyStatusOutput().set_policy_status(
      model::PolicyStatus().set_is_public(std::ranges::any_of(*statements, is_public))));
}

}  // namespace mayfly::services::s3
