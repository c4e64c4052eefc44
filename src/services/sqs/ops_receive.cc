// Receiving, deleting, visibility.
#include "services/sqs/service.h"
#include "services/sqs/system_attributes.h"

namespace mayfly::services::sqs {

namespace {

ApiResult<std::int64_t> in_range(std::optional<std::int64_t> value, std::int64_t fallback,
                                 std::int64_t min, std::int64_t max, std::string_view name,
                                 std::string_view reason) {
  if (!value) return fallback;
  if (*value >= min && *value <= max) return *value;
  return invalid_value(fmt::format("{}", *value), name, reason);
}

std::int64_t seconds(auto time) {
  return std::chrono::duration_cast<std::chrono::seconds>(time).count();
}

ApiResult<Ask> read_ask(const Queue& queue, const model::ReceiveMessageRequest& in) {
  const auto& settings = queue.info().settings;
  Ask out;
  TRY_ASSIGN(auto most, in_range(in.max_number_of_messages(), 1, 1, 10, "MaxNumberOfMessages",
                                 "Must be between 1 and 10, if provided."));
  TRY_ASSIGN(auto visibility, in_range(in.visibility_timeout(), settings.visibility_ms / 1000, 0,
                                       seconds(limits::sqs_visibility_max), "VisibilityTimeout",
                                       fmt::format("Must be between 0 and {}, if provided.",
                                                   seconds(limits::sqs_visibility_max))));
  TRY_ASSIGN(auto wait, in_range(in.wait_time_seconds(), settings.wait_ms / 1000, 0,
                                 seconds(limits::sqs_wait_max), "WaitTimeSeconds",
                                 fmt::format("Must be >= 0 and <= {}, if provided.",
                                             seconds(limits::sqs_wait_max))));
  out.most = static_cast<std::size_t>(most);
  out.visibility_ms = visibility * 1000;
  out.wait = std::chrono::seconds(wait);
  if (auto attempt = in.receive_request_attempt_id(); attempt && !attempt->empty()) {
    if (!queue.fifo()) {
      return invalid_value(
          *attempt, "ReceiveRequestAttemptId",
          "The request includes a parameter that is not valid for this queue type.");
    }
    if (!is_id(*attempt)) {
      return invalid_value(*attempt, "ReceiveRequestAttemptId",
                           "It can only include alphanumeric and punctuation characters. 1 to 128 "
                           "in length.");
    }
    out.attempt = *attempt;
  }
  return out;
}

using Names = std::set<std::string_view>;

// "All", ".*", "NAME" or "PREFIX.*"
bool selected(std::string_view name, const Names& wanted) {
  return std::ranges::any_of(wanted, [name](std::string_view one) {
    if (one == "All" || one == ".*" || one == name) return true;
    return one.ends_with(".*") && name.starts_with(one.substr(0, one.size() - 2));
  });
}

void put_attributes(const std::vector<MessageAttribute>& attributes, const Names& wanted,
                    model::Message& out) {
  wire::Map map;
  std::vector<MessageAttribute> chosen;
  for (const auto& one : attributes) {
    if (!selected(one.name, wanted)) continue;
    model::MessageAttributeValue value;
    value.set_data_type(one.type);
    if (one.binary()) {
      value.set_binary_value(one.value);
    } else {
      value.set_string_value(one.value);
    }
    map.emplace_back(one.name, std::move(value).take());
    chosen.push_back(one);
  }
  if (map.empty()) return;
  out.set_message_attributes(std::move(map));
  // Of those that are answered: it is what clients compare with.
  out.set_md5_of_message_attributes(md5_of_attributes(std::move(chosen)));
}

api::ApiError receipt_error(const Error& error, std::string_view receipt) {
  if (error.kind == ErrorKind::conflict) {
    return invalid_value(receipt, "ReceiptHandle", error.message).error();
  }
  return model::receipt_handle_is_invalid(error.message);
}

ApiResult<std::uint64_t> removable(const Queue& queue, std::optional<std::string_view> receipt) {
  if (!receipt || receipt->empty()) return missing_parameter("ReceiptHandle");
  auto handle = queue.read_receipt(*receipt);
  if (!handle) return Refusal(receipt_error(handle.error(), *receipt));
  if (auto checked = queue.check_remove(*handle); !checked) {
    return Refusal(receipt_error(checked.error(), *receipt));
  }
  return handle->seq;
}

ApiResult<void> change_one(Queue& queue, std::optional<std::string_view> receipt,
                           std::optional<std::int64_t> timeout) {
  if (!receipt || receipt->empty()) return missing_parameter("ReceiptHandle");
  if (!timeout) return missing_parameter("VisibilityTimeout");
  TRY(in_range(
      timeout, 0, 0, seconds(limits::sqs_visibility_max), "VisibilityTimeout",
      fmt::format("Must be between 0 and {}, if provided.", seconds(limits::sqs_visibility_max))));
  auto handle = queue.read_receipt(*receipt);
  if (!handle) return Refusal(model::receipt_handle_is_invalid(handle.error().message));
  auto done = queue.change_visibility(*handle, *timeout * 1000);
  if (done) return {};
  if (done.error().kind == ErrorKind::conflict) {
    return Refusal(model::message_not_inflight(done.error().message));
  }
  bool total = done.error().message.starts_with("Total");
  return invalid_value(total ? fmt::format("{}", *timeout) : std::string(*receipt),
                       total ? "VisibilityTimeout" : "ReceiptHandle", done.error().message);
}

}  // namespace

Answer receive_message(Deps deps, api::Call& call, wire::Record input) {
  model::ReceiveMessageRequest in(std::move(input));
  CO_TRY_ASSIGN(auto queue, find_queue(deps, call, in.queue_url()));
  CO_TRY_ASSIGN(auto ask, read_ask(*queue, in));
  Names system;
  for (auto name : in.attribute_names()) system.insert(name);
  for (auto name : in.message_system_attribute_names()) system.insert(name);
  Names attributes;
  for (auto name : in.message_attribute_names()) attributes.insert(name);
  auto got = co_await queue->receive(std::move(ask));
  if (!got) co_return Refusal(api_error(got.error()));
  std::vector<model::Message> messages;
  for (auto& one : *got) {
    auto& out = messages.emplace_back();
    auto chosen = system_attributes(one, queue->fifo());
    if (!system.contains("All")) {
      std::erase_if(chosen, [&](const auto& item) { return !system.contains(item.first); });
    }
    if (!chosen.empty()) out.set_attributes(chosen);
    put_attributes(one.message.attributes, attributes, out);
    out.set_message_id(one.message.id)
        .set_receipt_handle(one.receipt)
        .set_md5_of_body(md5_hex(one.message.body))
        .set_body(std::move(one.message.body));
  }
  model::ReceiveMessageResult out;
  if (!messages.empty()) out.set_messages(std::move(messages));
  co_return std::move(out).take();
}

Answer delete_message(Deps deps, api::Call& call, wire::Record input) {
  model::DeleteMessageRequest in(std::move(input));
  CO_TRY_ASSIGN(auto queue, find_queue(deps, call, in.queue_url()));
  CO_TRY_ASSIGN(auto seq, removable(*queue, in.receipt_handle()));
  auto done = co_await queue->remove({seq});
  if (!done) co_return Refusal(api_error(done.error()));
  co_return wire::Record();
}

Answer delete_message_batch(Deps deps, api::Call& call, wire::Record input) {
  model::DeleteMessageBatchRequest in(std::move(input));
  CO_TRY_ASSIGN(auto queue, find_queue(deps, call, in.queue_url()));
  auto entries = in.entries();
  std::vector<std::string_view> ids;
  for (const auto& entry : entries) ids.push_back(entry.id().value_or(""));
  CO_TRY(check_batch(ids, "DeleteMessageBatchRequestEntry"));
  std::vector<model::BatchResultErrorEntry> failed;
  std::vector<model::DeleteMessageBatchResultEntry> gone;
  std::vector<std::uint64_t> seqs;
  for (const auto& entry : entries) {
    auto seq = removable(*queue, entry.receipt_handle());
    if (!seq) {
      failed.push_back(failed_entry(*entry.id(), seq.error()));
      continue;
    }
    seqs.push_back(*seq);
    gone.emplace_back().set_id(std::string(*entry.id()));
  }
  auto done = co_await queue->remove(std::move(seqs));
  if (!done) co_return Refusal(api_error(done.error()));
  model::DeleteMessageBatchResult out;
  out.set_successful(std::move(gone));
  if (!failed.empty()) out.set_failed(std::move(failed));
  co_return std::move(out).take();
}

Answer change_message_visibility(Deps deps, api::Call& call, wire::Record input) {
  model::ChangeMessageVisibilityRequest in(std::move(input));
  CO_TRY_ASSIGN(auto queue, find_queue(deps, call, in.queue_url()));
  CO_TRY(change_one(*queue, in.receipt_handle(), in.visibility_timeout()));
  co_return wire::Record();
}

Answer change_message_visibility_batch(Deps deps, api::Call& call, wire::Record input) {
  model::ChangeMessageVisibilityBatchRequest in(std::move(input));
  CO_TRY_ASSIGN(auto queue, find_queue(deps, call, in.queue_url()));
  auto entries = in.entries();
  std::vector<std::string_view> ids;
  for (const auto& entry : entries) ids.push_back(entry.id().value_or(""));
  CO_TRY(check_batch(ids, "ChangeMessageVisibilityBatchRequestEntry"));
  std::vector<model::BatchResultErrorEntry> failed;
  std::vector<model::ChangeMessageVisibilityBatchResultEntry> good;
  for (const auto& entry : entries) {
    auto done = change_one(*queue, entry.receipt_handle(), entry.visibility_timeout());
    if (done) {
      good.emplace_back().set_id(std::string(*entry.id()));
    } else {
      failed.push_back(failed_entry(*entry.id(), done.error()));
    }
  }
  model::ChangeMessageVisibilityBatchResult out;
  out.set_successful(std::move(good));
  if (!failed.empty()) out.set_failed(std::move(failed));
  co_return std::move(out).take();
}

}  // namespace mayfly::services::sqs
