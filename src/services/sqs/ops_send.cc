// Sending.
#include "services/sqs/service.h"
#include "services/sqs/staging.h"
#include "wire/hash.h"
#include "wire/text.h"

namespace mayfly::services::sqs {

namespace {

struct Outgoing {
  Message message;
  std::string system_md5;
};

ApiResult<std::int64_t> delay_of(const Queue& queue, std::optional<std::int64_t> seconds) {
  if (!seconds) return queue.info().settings.delay_ms;
  auto text = fmt::format("{}", *seconds);
  if (queue.fifo() && *seconds != 0) {
    return invalid_value(text, "DelaySeconds",
                         "The request include parameter that is not valid for this queue type.");
  }
  auto most = std::chrono::seconds(limits::sqs_delay_max).count();
  if (*seconds < 0 || *seconds > most) {
    return invalid_value(text, "DelaySeconds",
                         fmt::format("DelaySeconds must be >= 0 and <= {}.", most));
  }
  return queue.fifo() ? queue.info().settings.delay_ms : *seconds * 1000;
}

ApiResult<std::string> id_of(std::optional<std::string_view> id, std::string_view parameter) {
  if (!id) return std::string();
  if (is_id(*id)) return std::string(*id);
  return invalid_value(*id, parameter,
                       fmt::format("{} can only include alphanumeric and punctuation characters. 1 "
                                   "to {} in length.",
                                   parameter, limits::sqs_id_length));
}

ApiResult<void> check_order(const Queue& queue, Message& message) {
  if (!queue.fifo()) {
    if (message.deduplication.empty()) return {};
    return invalid_value(message.deduplication, "MessageDeduplicationId",
                         "The request includes a parameter that is not valid for this queue type.");
  }
  if (message.group.empty()) return missing_parameter("MessageGroupId");
  if (!message.deduplication.empty()) return {};
  if (!queue.info().settings.content_deduplication) {
    return invalid_parameter(
        "The queue should either have ContentBasedDeduplication enabled or MessageDeduplicationId "
        "provided explicitly");
  }
  message.deduplication = wire::sha256_hex(message.body);
  return {};
}

ApiResult<void> take_system(const wire::Value* map, Outgoing& out) {
  TRY_ASSIGN(auto system, read_attributes(map));
  for (const auto& one : system) {
    if (one.name != "AWSTraceHeader" || one.type != "String") {
      return invalid_parameter(
          fmt::format("The message system attribute '{}' is not supported.", one.name));
    }
    out.message.trace = one.value;
  }
  out.system_md5 = md5_of_attributes(std::move(system));
  return {};
}

// SendMessage and each entry of a batch have these members alike.
template <class Request>
ApiResult<Outgoing> read_message(const Queue& queue, const api::Call& call, const Request& in,
                                 std::int64_t now_ms) {
  Outgoing out;
  auto& message = out.message;
  message.body = in.message_body().value_or("");
  if (message.body.empty()) return missing_parameter("MessageBody");
  TRY_ASSIGN(auto delay, delay_of(queue, in.delay_seconds()));
  if (delay > 0) message.delayed_until_ms = now_ms + delay;
  TRY_ASSIGN(message.group, id_of(in.message_group_id(), "MessageGroupId"));
  TRY_ASSIGN(message.deduplication, id_of(in.message_deduplication_id(), "MessageDeduplicationId"));
  TRY_ASSIGN(message.attributes, read_attributes(in.message_attributes()));
  std::size_t most = queue.info().settings.message_bytes;
  if (size_of(message) > most) {
    return invalid_parameter(fmt::format(
        "One or more parameters are invalid. Reason: Message must be shorter than {} bytes.",
        most));
  }
  TRY(check_characters(message.body));
  TRY(check_order(queue, message));
  // What the SDK of a traced program sends along as a header.
  message.trace = call.trace_header;
  TRY(take_system(in.message_system_attributes(), out));
  const auto& caller = call.caller;
  message.sender_id = caller.user_id.empty() ? caller.account.str() : caller.user_id;
  return out;
}

template <class Result>
void describe(const Outgoing& sent, const Sent& as, bool fifo, Result& out) {
  out.set_message_id(as.id).set_md5_of_message_body(md5_hex(sent.message.body));
  auto attributes = md5_of_attributes(sent.message.attributes);
  if (!attributes.empty()) out.set_md5_of_message_attributes(attributes);
  if (!sent.system_md5.empty()) out.set_md5_of_message_system_attributes(sent.system_md5);
  // One that is staged has none yet.
  if (fifo && as.seq != 0) out.set_sequence_number(sequence_text(as.seq));
}

}  // namespace

io::Task<Result<std::vector<Sent>>> send_or_stage(const Deps& deps, const api::Call& call,
                                                  std::shared_ptr<Queue> queue,
                                                  std::vector<Message> messages) {
  std::shared_ptr<Staging> staging;
  if (deps.effects != nullptr && call.from_function()) {
    staging = std::dynamic_pointer_cast<Staging>(deps.effects->find(call.instance));
  }
  if (staging) co_return staging->stage(std::move(queue), std::move(messages));
  co_return co_await queue->send(std::move(messages));
}

Answer send_message(Deps deps, api::Call& call, wire::Record input) {
  model::SendMessageRequest in(std::move(input));
  CO_TRY_ASSIGN(auto queue, find_queue(deps, call, in.queue_url()));
  std::int64_t now = epoch_millis(deps.loop.clock().platform());
  CO_TRY_ASSIGN(auto outgoing, read_message(*queue, call, in, now));
  auto sent = co_await send_or_stage(deps, call, queue, {outgoing.message});
  if (!sent) co_return Refusal(api_error(sent.error()));
  model::SendMessageResult out;
  describe(outgoing, sent->front(), queue->fifo(), out);
  co_return std::move(out).take();
}

Answer send_message_batch(Deps deps, api::Call& call, wire::Record input) {
  model::SendMessageBatchRequest in(std::move(input));
  CO_TRY_ASSIGN(auto queue, find_queue(deps, call, in.queue_url()));
  auto entries = in.entries();
  std::vector<std::string_view> ids;
  for (const auto& entry : entries) ids.push_back(entry.id().value_or(""));
  CO_TRY(check_batch(ids, "SendMessageBatchRequestEntry"));
  std::int64_t now = epoch_millis(deps.loop.clock().platform());
  std::vector<model::BatchResultErrorEntry> failed;
  std::vector<Outgoing> taken;
  std::vector<std::string_view> taken_ids;
  std::vector<Message> messages;
  std::size_t bytes = 0;
  for (const auto& entry : entries) {
    auto outgoing = read_message(*queue, call, entry, now);
    if (!outgoing) {
      failed.push_back(failed_entry(*entry.id(), outgoing.error()));
      continue;
    }
    bytes += size_of(outgoing->message);
    messages.push_back(outgoing->message);
    taken.push_back(*std::move(outgoing));
    taken_ids.push_back(*entry.id());
  }
  if (bytes > limits::sqs_message_bytes) {
    co_return Refusal(model::batch_request_too_long(
        fmt::format("Batch requests cannot be longer than {} bytes. You have sent {} bytes.",
                    limits::sqs_message_bytes, bytes)));
  }
  std::vector<model::SendMessageBatchResultEntry> done;
  if (!messages.empty()) {
    auto sent = co_await send_or_stage(deps, call, queue, std::move(messages));
    if (!sent) co_return Refusal(api_error(sent.error()));
    for (std::size_t i = 0; i < taken.size(); ++i) {
      auto& entry = done.emplace_back();
      entry.set_id(std::string(taken_ids[i]));
      describe(taken[i], (*sent)[i], queue->fifo(), entry);
    }
  }
  model::SendMessageBatchResult out;
  out.set_successful(std::move(done));
  // Absent, as in the cloud's answers, where none failed.
  if (!failed.empty()) out.set_failed(std::move(failed));
  co_return std::move(out).take();
}

}  // namespace mayfly::services::sqs
