// The SQS service: the operations of api/sqs.h on Queues, over JSON 1.0 and the query protocol.
//
// Called by front/ through the operation table; guard/ asks QueuePolicies. Threads: loop only.
// Keeps no state of its own; the handlers hold Deps by value.
#pragma once

#include "api/operation.h"
#include "services/sqs/policy.h"
#include "services/sqs/queues.h"

namespace mayfly::services::sqs {

// Live as long as the server.
struct Deps {
  io::Loop& loop;
  Queues& queues;
  const events::EffectsBoard* effects = nullptr;  // absent: every send is sent at once
};

api::Service make_sqs_service(Deps deps);

// The policies of queues, for guard/.
class QueuePolicies final : public guard::ResourcePolicies {
 public:
  explicit QueuePolicies(const Queues& queues) : queues_(queues) {}
  std::vector<guard::PolicyStatement> statements(std::string_view resource_arn) override;

 private:
  const Queues& queues_;
};

// --- for the handlers (ops_*.cc) ---
using Answer = io::Task<ApiResult<wire::Record>>;
using Found = ApiResult<std::shared_ptr<Queue>>;

// The queue that a URL names; QueueDoesNotExist.
Found find_queue(const Deps& deps, const api::Call& call, std::optional<std::string_view> url);

// The dead-letter queue of the settings is there and lets `ref` name it.
ApiResult<void> check_dead_letter(const Deps& deps, const Settings& settings, const QueueRef& ref);

// The rules of every batch: entries, ids (API reference, SendMessageBatch).
ApiResult<void> check_batch(const std::vector<std::string_view>& ids, std::string_view entry_name);
model::BatchResultErrorEntry failed_entry(std::string_view id, const api::ApiError& error);

// Sends, or, for an environment whose invocation holds its effects back, stages.
io::Task<Result<std::vector<Sent>>> send_or_stage(const Deps& deps, const api::Call& call,
                                                  std::shared_ptr<Queue> queue,
                                                  std::vector<Message> messages);

Answer create_queue(Deps deps, api::Call& call, wire::Record input);
Answer get_queue_url(Deps deps, api::Call& call, wire::Record input);
Answer list_queues(Deps deps, api::Call& call, wire::Record input);
Answer list_dead_letter_source_queues(Deps deps, api::Call& call, wire::Record input);
Answer delete_queue(Deps deps, api::Call& call, wire::Record input);
Answer purge_queue(Deps deps, api::Call& call, wire::Record input);

Answer get_queue_attributes(Deps deps, api::Call& call, wire::Record input);
Answer set_queue_attributes(Deps deps, api::Call& call, wire::Record input);
Answer add_permission(Deps deps, api::Call& call, wire::Record input);
Answer remove_permission(Deps deps, api::Call& call, wire::Record input);
Answer tag_queue(Deps deps, api::Call& call, wire::Record input);
Answer untag_queue(Deps deps, api::Call& call, wire::Record input);
Answer list_queue_tags(Deps deps, api::Call& call, wire::Record input);

Answer send_message(Deps deps, api::Call& call, wire::Record input);
Answer send_message_batch(Deps deps, api::Call& call, wire::Record input);
Answer receive_message(Deps deps, api::Call& call, wire::Record input);
Answer delete_message(Deps deps, api::Call& call, wire::Record input);
Answer delete_message_batch(Deps deps, api::Call& call, wire::Record input);
Answer change_message_visibility(Deps deps, api::Call& call, wire::Record input);
Answer change_message_visibility_batch(Deps deps, api::Call& call, wire::Record input);

Answer start_message_move_task(Deps deps, api::Call& call, wire::Record input);
Answer cancel_message_move_task(Deps deps, api::Call& call, wire::Record input);
Answer list_message_move_tasks(Deps deps, api::Call& call, wire::Record input);

}  // namespace mayfly::services::sqs
