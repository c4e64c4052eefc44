// Log groups and their retention.
#include "services/logs/service.h"

namespace mayfly::services::logs {

namespace model = api::logs;

namespace {

constexpr std::size_t default_page = 50;

std::unexpected<api::ApiError> invalid(std::string message) {
  return std::unexpected(model::invalid_parameter_exception(std::move(message)));
}

model::LogGroup describe(const Deps& deps, const telemetry::LogGroup& group) {
  model::LogGroup out;
  std::string arn = group_arn(group.scope, group.name);
  out.set_log_group_name(group.name)
      .set_creation_time(group.created_ms)
      .set_metric_filter_count(0)
      .set_arn(arn + ":*")
      .set_log_group_arn(arn)
      .set_log_group_class(group.log_class)
      .set_deletion_protection_enabled(group.deletion_protection);
  auto bytes = deps.logs.stored_bytes(group.scope, group.name);
  out.set_stored_bytes(static_cast<std::int64_t>(bytes.value_or(0)));
  if (group.retention_days) out.set_retention_in_days(*group.retention_days);
  return out;
}

bool contains_ignoring_case(std::string_view text, std::string_view part) {
  auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
  return !std::ranges::search(text, part, {}, lower, lower).empty() || part.empty();
}

}  // namespace

Answer create_log_group(Deps deps, api::Call& call, wire::Record input) {
  model::CreateLogGroupRequest in(std::move(input));
  // Without a key service there is nothing to encrypt with; saying yes would be a lie.
  if (in.kms_key_id()) {
    co_return invalid("kmsKeyId is not supported: log groups are not encrypted by this server.");
  }
  telemetry::LogGroup group;
  group.scope = call.scope;
  group.name = std::string(*in.log_group_name());
  group.created_ms = epoch_millis(deps.loop.clock().platform());
  group.log_class = std::string(in.log_group_class().value_or("STANDARD"));
  group.deletion_protection = in.deletion_protection_enabled().value_or(false);
  for (auto [key, value] : in.tags()) group.tags.emplace(key, value);
  if (deps.logs.find_group(call.scope, group.name) != nullptr) {
    co_return std::unexpected(
        model::resource_already_exists_exception("The specified log group already exists"));
  }
  auto done = co_await deps.logs.create_group(std::move(group));
  if (!done) co_return std::unexpected(api_error(done.error()));
  co_return wire::Record();
}

Answer delete_log_group(Deps deps, api::Call& call, wire::Record input) {
  model::DeleteLogGroupRequest in(std::move(input));
  std::string name(*in.log_group_name());
  const auto* group = deps.logs.find_group(call.scope, name);
  if (group == nullptr) co_return std::unexpected(no_such_group());
  if (group->deletion_protection) {
    co_return std::unexpected(model::validation_exception(
        "The specified log group has deletion protection enabled and cannot be deleted."));
  }
  auto done = co_await deps.logs.delete_group(call.scope, name);
  if (!done) co_return std::unexpected(api_error(done.error()));
  co_return wire::Record();
}

Answer describe_log_groups(Deps deps, api::Call& call, wire::Record input) {
  model::DescribeLogGroupsRequest in(std::move(input));
  std::string_view prefix = in.log_group_name_prefix().value_or("");
  std::string_view pattern = in.log_group_name_pattern().value_or("");
  if (!prefix.empty() && !pattern.empty()) {
    co_return invalid(
        "LogGroup name prefix and LogGroup name pattern are mutually exclusive parameters.");
  }
  auto limit = static_cast<std::size_t>(in.limit().value_or(default_page));
  auto wanted_class = in.log_group_class();
  std::set<std::string, std::less<>> identifiers;
  for (auto identifier : in.log_group_identifiers()) {
    if (auto name = group_of_identifier(call.scope, identifier)) identifiers.insert(*name);
  }
  bool by_identifier = !in.log_group_identifiers().empty();
  std::vector<model::LogGroup> page;
  std::string last;
  bool more = false;
  for (const auto* group :
       deps.logs.groups(call.scope, prefix, in.next_token().value_or(""), SIZE_MAX)) {
    if (by_identifier && !identifiers.contains(group->name)) continue;
    if (!contains_ignoring_case(group->name, pattern)) continue;
    if (wanted_class && group->log_class != *wanted_class) continue;
    if (page.size() == limit) {
      more = true;
      break;
    }
    page.push_back(describe(deps, *group));
    last = group->name;
  }
  model::DescribeLogGroupsResponse out;
  out.set_log_groups(std::move(page));
  if (more) out.set_next_token(last);
  co_return std::move(out).take();
}

Answer put_retention_policy(Deps deps, api::Call& call, wire::Record input) {
  model::PutRetentionPolicyRequest in(std::move(input));
  std::int64_t days = *in.retention_in_days();
  if (!is_retention(days)) {
    co_return invalid(fmt::format(
        "1 validation error detected: Value '{}' at 'retentionInDays' failed to satisfy "
        "constraint: Member must satisfy enum value set: {}",
        days, retention_values()));
  }
  std::string name(*in.log_group_name());
  if (deps.logs.find_group(call.scope, name) == nullptr) {
    co_return std::unexpected(no_such_group());
  }
  auto done = co_await deps.logs.set_retention(call.scope, name, static_cast<int>(days));
  if (!done) co_return std::unexpected(api_error(done.error()));
  co_return wire::Record();
}

Answer delete_retention_policy(Deps deps, api::Call& call, wire::Record input) {
  model::DeleteRetentionPolicyRequest in(std::move(input));
  std::string name(*in.log_group_name());
  if (deps.logs.find_group(call.scope, name) == nullptr) {
    co_return std::unexpected(no_such_group());
  }
  auto done = co_await deps.logs.set_retention(call.scope, name, std::nullopt);
  if (!done) co_return std::unexpected(api_error(done.error()));
  co_return wire::Record();
}

}  // namespace mayfly::services::logs
