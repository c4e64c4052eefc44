// Publishing.
#include <set>

#include "base/limits.h"
#include "services/sns/accept.h"
#include "services/sns/effects.h"
#include "services/sns/service.h"
#include "wire/text.h"

namespace mayfly::services::sns {

namespace {

// Publish and each entry of a batch have these members alike.
template <class Request>
ApiResult<Message> read_message(const Topic& topic, const api::Call& call, const Request& in) {
  Message out;
  out.body = in.message().value_or("");
  out.subject = in.subject().value_or("");
  out.group = in.message_group_id().value_or("");
  out.deduplication = in.message_deduplication_id().value_or("");
  out.trace = call.trace_header;
  if (in.subject() && out.subject.empty()) return invalid("Subject");
  TRY_ASSIGN(out.attributes, read_attributes(in.message_attributes()));
  TRY(take_structure(in.message_structure().value_or(""), out));
  TRY(accept(topic, out));
  return out;
}

bool is_entry_id(std::string_view id) {
  return !id.empty() && id.size() <= 80 && std::ranges::all_of(id, [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' ||
           c == '_';
  });
}

ApiResult<void> check_entries(const std::vector<model::PublishBatchRequestEntry>& entries) {
  if (entries.empty()) {
    return Refusal(
        model::empty_batch_request_exception("The batch request doesn't contain any entries."));
  }
  if (entries.size() > limits::sns_batch_entries) {
    return Refusal(model::too_many_entries_in_batch_request_exception(
        fmt::format("The batch request contains more entries than permissible: {} of {}.",
                    entries.size(), limits::sns_batch_entries)));
  }
  std::set<std::string_view> seen;
  for (const auto& entry : entries) {
    auto id = entry.id().value_or("");
    if (!is_entry_id(id)) {
      return Refusal(model::invalid_batch_entry_id_exception(
          "The Id of a batch entry in a batch request doesn't abide by the specification."));
    }
    if (!seen.insert(id).second) {
      return Refusal(model::batch_entry_ids_not_distinct_exception(
          "Two or more batch entries in the request have the same Id."));
    }
  }
  return {};
}

// Publishes, or, for an environment whose invocation holds its effects back, holds back: then there
// are no sequence numbers yet.
io::Task<Result<std::vector<Publisher::Published>>> publish_or_hold(const Deps& deps,
                                                                    const api::Call& call,
                                                                    std::shared_ptr<Topic> topic,
                                                                    std::vector<Message> messages) {
  auto effects =
      deps.effects != nullptr && call.from_function() ? deps.effects->find(call.instance) : nullptr;
  if (!effects) co_return co_await deps.publisher.publish(std::move(topic), std::move(messages));
  std::vector<Publisher::Published> out;
  std::vector<events::HeldEffect> held;
  for (auto& message : messages) {
    message.id = deps.random.uuid4();
    message.topic_arn = topic->arn();
    out.push_back({message.id, 0});
    held.push_back(TopicEffects::of(message));
  }
  CO_TRY(effects->hold(std::move(held)));
  co_return out;
}

model::BatchResultErrorEntry failed_entry(std::string_view id, const api::ApiError& error) {
  model::BatchResultErrorEntry out;
  out.set_id(std::string(id))
      .set_code(error.code)
      .set_message(error.message)
      .set_sender_fault(error.sender_fault);
  return out;
}

}  // namespace

Answer publish(Deps deps, api::Call& call, wire::Record input) {
  model::PublishInput in(std::move(input));
  if (in.phone_number()) co_return not_built("Text messages (SMS) are");
  auto arn = in.topic_arn() ? in.topic_arn() : in.target_arn();
  if (!arn) co_return invalid("TopicArn or TargetArn", "no value for required parameter");
  if (arn->find(":endpoint/") != arn->npos) co_return not_built("Mobile push is");
  CO_TRY_ASSIGN(auto topic, find_topic(deps, arn));
  CO_TRY_ASSIGN(auto message, read_message(*topic, call, in));
  std::vector<Message> one;
  one.push_back(std::move(message));
  auto done = co_await publish_or_hold(deps, call, topic, std::move(one));
  if (!done) co_return Refusal(api_error(done.error()));
  model::PublishResponse out;
  out.set_message_id(done->front().id);
  if (topic->fifo() && done->front().seq != 0) {
    out.set_sequence_number(sequence_text(done->front().seq));
  }
  co_return std::move(out).take();
}

Answer publish_batch(Deps deps, api::Call& call, wire::Record input) {
  model::PublishBatchInput in(std::move(input));
  CO_TRY_ASSIGN(auto topic, find_topic(deps, in.topic_arn()));
  auto entries = in.publish_batch_request_entries();
  CO_TRY(check_entries(entries));
  std::vector<model::BatchResultErrorEntry> failed;
  std::vector<std::string> ids;
  std::vector<Message> messages;
  std::size_t bytes = 0;
  for (const auto& entry : entries) {
    auto message = read_message(*topic, call, entry);
    if (!message) {
      failed.push_back(failed_entry(*entry.id(), message.error()));
      continue;
    }
    bytes += size_of(*message);
    ids.emplace_back(*entry.id());
    messages.push_back(*std::move(message));
  }
  if (bytes > limits::sns_message_bytes) {
    co_return Refusal(model::batch_request_too_long_exception(
        "The length of all the batch messages put together is more than the limit."));
  }
  std::vector<model::PublishBatchResultEntry> successful;
  if (!messages.empty()) {
    auto done = co_await publish_or_hold(deps, call, topic, std::move(messages));
    if (!done) co_return Refusal(api_error(done.error()));
    for (std::size_t i = 0; i < ids.size(); ++i) {
      auto& entry = successful.emplace_back();
      entry.set_id(ids[i]).set_message_id((*done)[i].id);
      if (topic->fifo() && (*done)[i].seq != 0) {
        entry.set_sequence_number(sequence_text((*done)[i].seq));
      }
    }
  }
  co_return model::PublishBatchResponse()
      .set_successful(std::move(successful))
      .set_failed(std::move(failed))
      .record();
}

}  // namespace mayfly::services::sns
