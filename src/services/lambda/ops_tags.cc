// Tags of functions, of code signing configurations and of capacity providers.
#include "services/lambda/paging.h"
#include "services/lambda/service.h"

namespace mayfly::lambda {

namespace {

constexpr std::size_t tag_key_chars = 128;
constexpr std::size_t tag_value_chars = 256;

ApiResult<FunctionRef> taggable(std::string_view resource, const Scope& here) {
  if (EventSources::is_arn(resource)) return refuse(resource_not_found());
  auto ref = parse_function(resource, {}, here);
  if (ref && !ref->qualifier.empty()) {
    return refuse(
        invalid("Tags on function aliases and versions are not supported. Please specify a "
                "function ARN."));
  }
  return ref;
}

}  // namespace

ApiResult<void> check_tags(const std::map<std::string, std::string>& tags) {
  if (tags.size() > most_tags) {
    return refuse(invalid(fmt::format(
        "Number of tags exceeds resource tag limit. Tags: {}, limit: {}", tags.size(), most_tags)));
  }
  for (const auto& [key, value] : tags) {
    if (key.empty() || key.size() > tag_key_chars || key.starts_with("aws:")) {
      return refuse(invalid(fmt::format("The tag key {} is not valid.", json_quoted(key))));
    }
    if (value.size() > tag_value_chars) {
      return refuse(invalid(fmt::format("The value of tag {} is longer than {} characters.",
                                        json_quoted(key), tag_value_chars)));
    }
  }
  return {};
}

Service::Answer Service::tag_resource(Call& call, Record input) {
  model::TagResourceRequest in(std::move(input));
  auto add = [tags = in.tags()](auto& tagged) -> ApiResult<void> {
    for (const auto& [key, value] : tags) tagged.tags[std::string(key)] = value;
    return check_tags(tagged.tags);
  };
  std::string resource(in.resource().value_or(""));
  if (is_code_signing_arn(resource)) {
    CO_TRY(co_await change_code_signing(call.scope, resource, add));
    co_return Record();
  }
  if (is_capacity_provider_arn(resource)) {
    CO_TRY(co_await change_capacity(call.scope, resource, add));
    co_return Record();
  }
  if (sources_ && EventSources::is_arn(resource)) {
    CO_TRY_ASSIGN(auto tags, sources_->tags(call.scope, resource));
    for (const auto& [key, value] : in.tags()) tags[std::string(key)] = value;
    CO_TRY(co_await sources_->set_tags(call.scope, resource, std::move(tags)));
    co_return Record();
  }
  CO_TRY_ASSIGN(FunctionRef ref, taggable(resource, call.scope));
  CO_TRY(co_await change(ref, [&add](Function& function) -> ApiResult<void> {
    if (auto added = add(function); !added) return added;
    return check_function_tags(function.tags);
  }));
  co_return Record();
}

Service::Answer Service::untag_resource(Call& call, Record input) {
  model::UntagResourceRequest in(std::move(input));
  auto take_away = [keys = in.tag_keys()](auto& tagged) -> ApiResult<void> {
    for (std::string_view key : keys) tagged.tags.erase(std::string(key));
    return {};
  };
  std::string resource(in.resource().value_or(""));
  if (is_code_signing_arn(resource)) {
    CO_TRY(co_await change_code_signing(call.scope, resource, take_away));
    co_return Record();
  }
  if (is_capacity_provider_arn(resource)) {
    CO_TRY(co_await change_capacity(call.scope, resource, take_away));
    co_return Record();
  }
  if (sources_ && EventSources::is_arn(resource)) {
    CO_TRY_ASSIGN(auto tags, sources_->tags(call.scope, resource));
    for (std::string_view key : in.tag_keys()) tags.erase(std::string(key));
    CO_TRY(co_await sources_->set_tags(call.scope, resource, std::move(tags)));
    co_return Record();
  }
  CO_TRY_ASSIGN(FunctionRef ref, taggable(resource, call.scope));
  CO_TRY(co_await change(ref, take_away));
  co_return Record();
}

Service::Answer Service::list_tags(Call& call, Record input) {
  model::ListTagsRequest in(std::move(input));
  std::string_view resource = in.resource().value_or("");
  model::ListTagsResponse out;
  if (is_code_signing_arn(resource)) {
    const auto* config = find_code_signing(call.scope, resource);
    if (!config) co_return refuse(resource_not_found());
    out.set_tags(config->tags);
    co_return std::move(out).take();
  }
  if (is_capacity_provider_arn(resource)) {
    const auto* provider = find_capacity(call.scope, resource);
    if (!provider) co_return refuse(resource_not_found());
    out.set_tags(provider->tags);
    co_return std::move(out).take();
  }
  if (sources_ && EventSources::is_arn(resource)) {
    CO_TRY_ASSIGN(auto tags, sources_->tags(call.scope, resource));
    out.set_tags(std::move(tags));
    co_return std::move(out).take();
  }
  CO_TRY_ASSIGN(FunctionRef ref, taggable(resource, call.scope));
  CO_TRY_ASSIGN(const Function* function, require(ref));
  out.set_tags(function->tags);
  co_return std::move(out).take();
}

}  // namespace mayfly::lambda
