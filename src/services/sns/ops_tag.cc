// Tags of topics.
#include "base/limits.h"
#include "gate/breaker.h"
#include "gate/flow.h"
#include "services/sns/service.h"

namespace mayfly::services::sns {

namespace {

ApiResult<std::shared_ptr<Topic>> find_resource(const Deps& deps, std::string_view arn) {
  auto topic = deps.topics.find(arn);
  if (!topic) return Refusal(model::resource_not_found_exception("Resource does not exist"));
  return topic;
}

constexpr std::string_view own_tags[] = {gate::breaker_tag};

}  // namespace

ApiResult<void> check_topic_tags(const Deps& deps, const std::map<std::string, std::string>& tags) {
  if (auto known = gate::check_known(tags, own_tags, "a topic"); !known) {
    return invalid("Tags", known.error().message);
  }
  auto breaker = gate::breaker_of(tags);
  if (!breaker) return invalid("Tags", breaker.error().message);
  if (*breaker == nullptr || (*breaker)->fallback.empty() ||
      deps.switchboard.target((*breaker)->fallback) != nullptr) {
    return {};
  }
  return invalid("Tags", fmt::format("the fallback {} is nothing that this server could push to",
                                     (*breaker)->fallback));
}

Answer tag_resource(Deps deps, api::Call&, wire::Record input) {
  model::TagResourceRequest in(std::move(input));
  CO_TRY_ASSIGN(auto topic, find_resource(deps, *in.resource_arn()));
  std::map<std::string, std::string> given;
  for (const auto& tag : in.tags()) {
    auto key = tag.key().value_or("");
    auto value = tag.value().value_or("");
    if (key.empty() || key.size() > 128 || value.size() > 256 || key.starts_with("aws:")) {
      co_return invalid("Tags", fmt::format("the tag '{}' is none", key));
    }
    if (!given.emplace(key, value).second) co_return invalid("Duplicated keys are not allowed.");
  }
  auto tags = given;
  tags.insert(topic->info().tags.begin(), topic->info().tags.end());
  if (tags.size() > limits::sns_tags) {
    co_return Refusal(model::tag_limit_exceeded_exception(
        fmt::format("A topic has {} tags at the most.", limits::sns_tags)));
  }
  CO_TRY(check_topic_tags(deps, given));
  auto done = co_await deps.topics.update(topic, [&given](TopicInfo& info) {
    for (const auto& [key, value] : given) info.tags.insert_or_assign(key, value);
  });
  if (!done) co_return Refusal(api_error(done.error()));
  co_return model::TagResourceResponse().record();
}

Answer untag_resource(Deps deps, api::Call&, wire::Record input) {
  model::UntagResourceRequest in(std::move(input));
  CO_TRY_ASSIGN(auto topic, find_resource(deps, *in.resource_arn()));
  auto done = co_await deps.topics.update(topic, [&in](TopicInfo& info) {
    for (auto key : in.tag_keys()) info.tags.erase(std::string(key));
  });
  if (!done) co_return Refusal(api_error(done.error()));
  co_return model::UntagResourceResponse().record();
}

Answer list_tags_for_resource(Deps deps, api::Call&, wire::Record input) {
  model::ListTagsForResourceRequest in(std::move(input));
  CO_TRY_ASSIGN(auto topic, find_resource(deps, *in.resource_arn()));
  std::vector<model::Tag> tags;
  for (const auto& [key, value] : topic->info().tags) {
    tags.emplace_back().set_key(key).set_value(value);
  }
  co_return model::ListTagsForResourceResponse().set_tags(std::move(tags)).record();
}

}  // namespace mayfly::services::sns
