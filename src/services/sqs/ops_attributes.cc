// Attributes, permissions and tags.
#include "services/sqs/service.h"

namespace mayfly::services::sqs {

namespace {

std::string computed(const Queue& queue, std::string_view name) {
  const auto& info = queue.info();
  auto counts = queue.counts();
  auto number = [](auto value) { return fmt::format("{}", value); };
  if (name == "QueueArn") return info.ref.arn();
  if (name == "CreatedTimestamp") return number(info.created_ms / 1000);
  if (name == "LastModifiedTimestamp") return number(info.modified_ms / 1000);
  if (name == "ApproximateNumberOfMessages") return number(counts.visible);
  if (name == "ApproximateNumberOfMessagesNotVisible") return number(counts.in_flight);
  return number(counts.delayed);
}

constexpr std::array<std::string_view, 6> computed_names{"QueueArn",
                                                         "ApproximateNumberOfMessages",
                                                         "CreatedTimestamp",
                                                         "ApproximateNumberOfMessagesNotVisible",
                                                         "LastModifiedTimestamp",
                                                         "ApproximateNumberOfMessagesDelayed"};

// Sets the queue's attributes anew; an empty value takes one away.
io::Task<ApiResult<void>> set_attributes(Deps deps, std::shared_ptr<Queue> queue,
                                         Attributes given) {
  const auto& ref = queue->info().ref;
  auto merge = [given](Attributes attributes) {
    for (const auto& [name, value] : given) {
      if (value.empty()) {
        attributes.erase(name);
      } else {
        attributes.insert_or_assign(name, value);
      }
    }
    return attributes;
  };
  CO_TRY_ASSIGN(auto settings, read_settings(merge(queue->info().attributes), ref));
  if (given.contains("RedrivePolicy")) CO_TRY(check_dead_letter(deps, settings, ref));
  auto done = co_await deps.queues.update(queue, [&merge](Info& info) {
    info.attributes = merge(std::move(info.attributes));
    // Each was checked by itself; together with a change meanwhile it may not be whole.
    if (auto read = read_settings(info.attributes, info.ref)) info.settings = *std::move(read);
  });
  if (!done) co_return Refusal(api_error(done.error()));
  co_return ApiResult<void>{};
}

io::Task<ApiResult<void>> set_policy(Deps deps, std::shared_ptr<Queue> queue, std::string policy) {
  co_return co_await set_attributes(deps, std::move(queue), {{"Policy", std::move(policy)}});
}

std::string policy_of(const Queue& queue) {
  auto found = queue.info().attributes.find("Policy");
  return found == queue.info().attributes.end() ? std::string() : found->second;
}

}  // namespace

ApiResult<void> check_dead_letter(const Deps& deps, const Settings& settings, const QueueRef& ref) {
  if (settings.dead_letter_arn.empty()) return {};
  auto target = deps.queues.find(settings.dead_letter_arn);
  if (!target) {
    return Refusal(model::queue_does_not_exist("Dead letter target does not exist."));
  }
  if (target->info().settings.allows(ref.arn())) return {};
  return invalid_parameter(
      fmt::format("Queue {} does not have permission to use {} as a dead-letter queue.", ref.arn(),
                  settings.dead_letter_arn));
}

Answer get_queue_attributes(Deps deps, api::Call& call, wire::Record input) {
  model::GetQueueAttributesRequest in(std::move(input));
  CO_TRY_ASSIGN(auto queue, find_queue(deps, call, in.queue_url()));
  bool all = false;
  std::set<std::string_view> wanted;
  for (auto name : in.attribute_names()) {
    if (!is_attribute(name)) {
      co_return Refusal(model::invalid_attribute_name(fmt::format("Unknown Attribute {}.", name)));
    }
    all = all || name == "All";
    wanted.insert(name);
  }
  std::map<std::string, std::string> out;
  const auto& attributes = queue->info().attributes;
  for (auto name : stored_names()) {
    if (!all && !wanted.contains(name)) continue;
    auto found = attributes.find(name);
    std::string value = found != attributes.end() ? found->second : default_of(name, queue->fifo());
    bool key = attributes.contains("KmsMasterKeyId");
    if (name == "KmsDataKeyReusePeriodSeconds" && value.empty() && key) value = "300";
    if (name == "SqsManagedSseEnabled" && found == attributes.end() && key) value = "false";
    if (!value.empty()) out.emplace(name, std::move(value));
  }
  for (auto name : computed_names) {
    if (all || wanted.contains(name)) out.emplace(name, computed(*queue, name));
  }
  model::GetQueueAttributesResult answer;
  if (!out.empty()) answer.set_attributes(out);
  co_return std::move(answer).take();
}

Answer set_queue_attributes(Deps deps, api::Call& call, wire::Record input) {
  model::SetQueueAttributesRequest in(std::move(input));
  CO_TRY_ASSIGN(auto queue, find_queue(deps, call, in.queue_url()));
  Attributes given;
  for (auto [name, value] : in.attributes()) {
    CO_TRY(check_settable(name, queue->fifo()));
    if (name == "FifoQueue") {
      co_return bad_attribute(name, "You cannot change the FifoQueue attribute for a queue.");
    }
    given.insert_or_assign(std::string(name), std::string(value));
  }
  CO_TRY(co_await set_attributes(deps, queue, std::move(given)));
  co_return wire::Record();
}

Answer add_permission(Deps deps, api::Call& call, wire::Record input) {
  model::AddPermissionRequest in(std::move(input));
  CO_TRY_ASSIGN(auto queue, find_queue(deps, call, in.queue_url()));
  if (!is_queue_name(*in.label(), false)) {
    co_return invalid_value(*in.label(), "Label",
                            "Can only include alphanumeric characters, hyphens, or underscores. 1 "
                            "to 80 in length.");
  }
  CO_TRY_ASSIGN(auto policy, with_permission(policy_of(*queue), queue->info().ref.arn(),
                                             *in.label(), in.aws_account_ids(), in.actions()));
  CO_TRY(co_await set_policy(deps, queue, std::move(policy)));
  co_return wire::Record();
}

Answer remove_permission(Deps deps, api::Call& call, wire::Record input) {
  model::RemovePermissionRequest in(std::move(input));
  CO_TRY_ASSIGN(auto queue, find_queue(deps, call, in.queue_url()));
  CO_TRY_ASSIGN(auto policy, without_permission(policy_of(*queue), *in.label()));
  CO_TRY(co_await set_policy(deps, queue, std::move(policy)));
  co_return wire::Record();
}

Answer tag_queue(Deps deps, api::Call& call, wire::Record input) {
  model::TagQueueRequest in(std::move(input));
  CO_TRY_ASSIGN(auto queue, find_queue(deps, call, in.queue_url()));
  auto tags = queue->info().tags;
  for (auto [key, value] : in.tags()) {
    if (key.empty() || key.size() > 128 || value.size() > 256 || key.starts_with("aws:")) {
      co_return invalid_parameter(fmt::format("The tag '{}' is invalid.", key));
    }
    tags.insert_or_assign(std::string(key), std::string(value));
  }
  if (tags.size() > limits::sqs_tags) {
    co_return invalid_parameter(
        fmt::format("Too many tags added for queue {}.", queue->info().ref.name));
  }
  auto done = co_await deps.queues.update(queue, [&in](Info& info) {
    for (auto [key, value] : in.tags()) {
      info.tags.insert_or_assign(std::string(key), std::string(value));
    }
  });
  if (!done) co_return Refusal(api_error(done.error()));
  co_return wire::Record();
}

Answer untag_queue(Deps deps, api::Call& call, wire::Record input) {
  model::UntagQueueRequest in(std::move(input));
  CO_TRY_ASSIGN(auto queue, find_queue(deps, call, in.queue_url()));
  auto done = co_await deps.queues.update(queue, [&in](Info& info) {
    for (auto key : in.tag_keys()) info.tags.erase(std::string(key));
  });
  if (!done) co_return Refusal(api_error(done.error()));
  co_return wire::Record();
}

Answer list_queue_tags(Deps deps, api::Call& call, wire::Record input) {
  model::ListQueueTagsRequest in(std::move(input));
  CO_TRY_ASSIGN(auto queue, find_queue(deps, call, in.queue_url()));
  model::ListQueueTagsResult out;
  if (!queue->info().tags.empty()) out.set_tags(queue->info().tags);
  co_return std::move(out).take();
}

}  // namespace mayfly::services::sqs
