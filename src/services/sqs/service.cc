#include "services/sqs/service.h"

#include "api/input.h"
namespace mayfly::services::sqs {

namespace {

using Handle = Answer (*)(Deps, api::Call&, wire::Record);

struct Row {
  std::string_view name;
  Handle handler;
};
constexpr std::array<Row, 23> rows{{
    {"AddPermission", add_permission},
    {"CancelMessageMoveTask", cancel_message_move_task},
    {"ChangeMessageVisibility", change_message_visibility},
    {"ChangeMessageVisibilityBatch", change_message_visibility_batch},
    {"CreateQueue", create_queue},
    {"DeleteMessage", delete_message},
    {"DeleteMessageBatch", delete_message_batch},
    {"DeleteQueue", delete_queue},
    {"GetQueueAttributes", get_queue_attributes},
    {"GetQueueUrl", get_queue_url},
    {"ListDeadLetterSourceQueues", list_dead_letter_source_queues},
    {"ListMessageMoveTasks", list_message_move_tasks},
    {"ListQueueTags", list_queue_tags},
    {"ListQueues", list_queues},
    {"PurgeQueue", purge_queue},
    {"ReceiveMessage", receive_message},
    {"RemovePermission", remove_permission},
    {"SendMessage", send_message},
    {"SendMessageBatch", send_message_batch},
    {"SetQueueAttributes", set_queue_attributes},
    {"StartMessageMoveTask", start_message_move_task},
    {"TagQueue", tag_queue},
    {"UntagQueue", untag_queue},
}};

using api::text_of;

// The members that name a queue, in whichever way.
std::string resource_of(const api::Operation&, const wire::Record& input, const Scope& scope) {
  if (auto url = text_of(input, "QueueUrl"); !url.empty()) {
    auto ref = parse_url(url, scope);
    return ref ? ref->arn() : "*";
  }
  if (auto name = text_of(input, "QueueName"); !name.empty()) {
    QueueRef ref{scope, name};
    auto owner = text_of(input, "QueueOwnerAWSAccountId");
    if (!owner.empty()) ref.scope.account = AccountId(owner);
    return ref.arn();
  }
  auto arn = text_of(input, "SourceArn");
  if (arn.empty()) arn = Moves::source_of(text_of(input, "TaskHandle"));
  return parse_arn(arn) ? arn : "*";
}

// Old SDKs send to the queue's URL and do not name it again.
void fill_url(std::string_view path, std::string_view host, wire::Record& input) {
  int index = input.shape == nullptr ? -1 : input.index("QueueUrl");
  if (index < 0 || input.has(static_cast<std::size_t>(index))) return;
  if (auto ref = parse_url(path, {}); ref && !ref->scope.account.empty()) {
    input.at(static_cast<std::size_t>(index)) = url_of(*ref, host);
  }
}

}  // namespace

api::Service make_sqs_service(Deps deps) {
  api::Service service;
  service.model = &model::model;
  service.complete = fill_url;
  service.resource = resource_of;
  service.checks_input = true;
  for (const auto& row : rows) {
    service.handlers[row.name] = api::requiring_members(
        [deps, handler = row.handler](api::Call& call, wire::Record input) {
          return handler(deps, call, std::move(input));
        },
        missing_parameter);
  }
  return service;
}

std::vector<guard::PolicyStatement> QueuePolicies::statements(std::string_view resource_arn) {
  auto queue = queues_.find(resource_arn);
  if (!queue) return {};
  const auto& attributes = queue->info().attributes;
  auto policy = attributes.find("Policy");
  if (policy == attributes.end()) return {};
  // It was read once when it was set.
  auto read = read_policy(policy->second);
  return read ? *std::move(read) : std::vector<guard::PolicyStatement>();
}

Found find_queue(const Deps& deps, const api::Call& call, std::optional<std::string_view> url) {
  if (!url || url->empty()) return missing_parameter("QueueUrl");
  auto ref = parse_url(*url, call.scope);
  if (!ref) {
    return Refusal(model::invalid_address(
        fmt::format("The address {} is not valid for this endpoint.", *url)));
  }
  auto queue = deps.queues.find(*ref);
  if (!queue) return no_such_queue();
  return queue;
}

ApiResult<void> check_batch(const std::vector<std::string_view>& ids, std::string_view entry_name) {
  if (ids.empty()) {
    return Refusal(model::empty_batch_request(
        fmt::format("There should be at least one {} in the request.", entry_name)));
  }
  if (ids.size() > limits::sqs_batch_entries) {
    return Refusal(model::too_many_entries_in_batch_request(
        fmt::format("Maximum number of entries per request are {}. You have sent {}.",
                    limits::sqs_batch_entries, ids.size())));
  }
  std::set<std::string_view> seen;
  for (auto id : ids) {
    if (!is_queue_name(id, false)) {
      return Refusal(model::invalid_batch_entry_id(
          "A batch entry id can only contain alphanumeric characters, hyphens and underscores. It "
          "can be at most 80 letters long."));
    }
    if (!seen.insert(id).second) {
      return Refusal(model::batch_entry_ids_not_distinct(fmt::format("Id {} repeated.", id)));
    }
  }
  return {};
}

model::BatchResultErrorEntry failed_entry(std::string_view id, const api::ApiError& error) {
  model::BatchResultErrorEntry out;
  out.set_id(std::string(id))
      .set_sender_fault(error.sender_fault)
      .set_code(error.code)
      .set_message(error.message);
  return out;
}

}  // namespace mayfly::services::sqs
