// Tags of log groups: by name (the older operations) and by ARN.
#include "services/logs/service.h"

namespace mayfly::services::logs {

namespace model = api::logs;

namespace {

// CloudWatch Logs API reference, TagResource.
constexpr std::size_t tags_per_group = 50;

using Tags = std::map<std::string, std::string>;

api::ApiResult<std::string> group_of_arn(const Deps& deps, const Scope& scope,
                                         std::string_view arn) {
  if (!arn.starts_with("arn:")) {
    return std::unexpected(model::invalid_parameter_exception(
        fmt::format("The specified resourceArn is not an ARN: {}", arn)));
  }
  auto group = group_of_identifier(scope, arn);
  if (!group || deps.logs.find_group(scope, *group) == nullptr) {
    return std::unexpected(
        model::resource_not_found_exception("The specified resource does not exist."));
  }
  return std::move(*group);
}

api::ApiResult<std::string> existing(const Deps& deps, const Scope& scope, std::string_view name) {
  if (deps.logs.find_group(scope, name) == nullptr) return std::unexpected(no_such_group());
  return std::string(name);
}

Answer replace(Deps deps, Scope scope, std::string group, Tags tags) {
  if (tags.size() > tags_per_group) {
    co_return std::unexpected(model::too_many_tags_exception(
        fmt::format("A log group can have at most {} tags.", tags_per_group)));
  }
  auto done = co_await deps.logs.set_tags(scope, group, std::move(tags));
  if (!done) co_return std::unexpected(api_error(done.error()));
  co_return wire::Record();
}

template <class Pairs>
Answer add(Deps deps, const Scope& scope, std::string group, const Pairs& pairs) {
  Tags tags = deps.logs.find_group(scope, group)->tags;
  for (auto [key, value] : pairs) tags.insert_or_assign(std::string(key), std::string(value));
  return replace(deps, scope, std::move(group), std::move(tags));
}

Answer remove(Deps deps, const Scope& scope, std::string group,
              const std::vector<std::string_view>& keys) {
  Tags tags = deps.logs.find_group(scope, group)->tags;
  for (auto key : keys) tags.erase(std::string(key));
  return replace(deps, scope, std::move(group), std::move(tags));
}

}  // namespace

Answer tag_log_group(Deps deps, api::Call& call, wire::Record input) {
  model::TagLogGroupRequest in(std::move(input));
  CO_TRY_ASSIGN(auto group, existing(deps, call.scope, *in.log_group_name()));
  co_return co_await add(deps, call.scope, std::move(group), in.tags());
}

Answer untag_log_group(Deps deps, api::Call& call, wire::Record input) {
  model::UntagLogGroupRequest in(std::move(input));
  CO_TRY_ASSIGN(auto group, existing(deps, call.scope, *in.log_group_name()));
  co_return co_await remove(deps, call.scope, std::move(group), in.tags());
}

Answer list_tags_log_group(Deps deps, api::Call& call, wire::Record input) {
  model::ListTagsLogGroupRequest in(std::move(input));
  CO_TRY_ASSIGN(auto group, existing(deps, call.scope, *in.log_group_name()));
  model::ListTagsLogGroupResponse out;
  out.set_tags(deps.logs.find_group(call.scope, group)->tags);
  co_return std::move(out).take();
}

Answer tag_resource(Deps deps, api::Call& call, wire::Record input) {
  model::TagResourceRequest in(std::move(input));
  CO_TRY_ASSIGN(auto group, group_of_arn(deps, call.scope, *in.resource_arn()));
  co_return co_await add(deps, call.scope, std::move(group), in.tags());
}

Answer untag_resource(Deps deps, api::Call& call, wire::Record input) {
  model::UntagResourceRequest in(std::move(input));
  CO_TRY_ASSIGN(auto group, group_of_arn(deps, call.scope, *in.resource_arn()));
  co_return co_await remove(deps, call.scope, std::move(group), in.tag_keys());
}

Answer list_tags_for_resource(Deps deps, api::Call& call, wire::Record input) {
  model::ListTagsForResourceRequest in(std::move(input));
  CO_TRY_ASSIGN(auto group, group_of_arn(deps, call.scope, *in.resource_arn()));
  model::ListTagsForResourceResponse out;
  out.set_tags(deps.logs.find_group(call.scope, group)->tags);
  co_return std::move(out).take();
}

}  // namespace mayfly::services::logs
