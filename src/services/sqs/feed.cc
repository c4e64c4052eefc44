#include "services/sqs/feed.h"

#include "services/sqs/system_attributes.h"
#include "wire/json.h"
#include "wire/text.h"

namespace mayfly::services::sqs {

namespace {

std::string attributes_json(const std::vector<MessageAttribute>& attributes) {
  wire::Json out{wire::JsonObject()};
  for (const auto& one : attributes) {
    wire::Json value{wire::JsonObject()};
    if (one.binary()) {
      value["binaryValue"] = wire::base64_encode(one.value);
    } else {
      value["stringValue"] = one.value;
    }
    value["stringListValues"] = wire::JsonArray();
    value["binaryListValues"] = wire::JsonArray();
    value["dataType"] = one.type;
    out[one.name] = std::move(value);
  }
  return out.dump();
}

}  // namespace

std::string record_of(const Received& got, const QueueRef& queue) {
  const auto& message = got.message;
  std::string out;
  out.reserve(message.body.size() + 1024);
  auto put = [&out](std::string_view name, std::string_view value) {
    out += out.empty() ? '{' : ',';
    wire::append_json_string(out, name);
    out += ':';
    wire::append_json_string(out, value);
  };
  put("messageId", message.id);
  put("receiptHandle", got.receipt);
  put("body", message.body);
  wire::Json system{wire::JsonObject()};
  for (auto& [name, value] : system_attributes(got, queue.fifo())) system[name] = value;
  out += ",\"attributes\":" + system.dump();
  out += ",\"messageAttributes\":" + attributes_json(message.attributes);
  if (!message.attributes.empty()) {
    put("md5OfMessageAttributes", md5_of_attributes(message.attributes));
  }
  put("md5OfBody", md5_hex(message.body));
  put("eventSource", "aws:sqs");
  put("eventSourceARN", queue.arn());
  put("awsRegion", queue.scope.region.str());
  out += '}';
  return out;
}

Result<events::Taken> QueueFeed::take(std::size_t most, std::size_t max_bytes) {
  events::Taken out;
  auto queue = queues_.find(ref_);
  if (!queue) return out;
  const auto& info = queue->info();
  Ask ask{.most = most, .visibility_ms = info.settings.visibility_ms};
  std::size_t bytes = 0;
  std::vector<std::string> records;
  ask.fits = [&](const Received& one) {
    auto record = record_of(one, info.ref);
    bytes += record.size() + 1;
    out.more = bytes > max_bytes;
    if (!out.more) records.push_back(std::move(record));
    return !out.more;
  };
  TRY_ASSIGN(auto got, queue->take(ask));
  for (std::size_t i = 0; i < got.size(); ++i) {
    auto& one = got[i];
    out.items.push_back({.handle = one.receipt,
                         .id = one.message.id,
                         .record = std::move(records[i]),
                         .body = std::move(one.message.body),
                         .trace_header = std::move(one.message.trace),
                         .until_ms = one.until_ms});
  }
  out.more = out.more || out.items.size() == most;
  return out;
}

std::unexpected<Error> QueueFeed::gone() const {
  return fail(ErrorKind::not_found, fmt::format("{} is gone", ref_.arn()));
}

Result<std::int64_t> QueueFeed::extend(std::string_view handle) {
  auto queue = queues_.find(ref_);
  if (!queue) return gone();
  TRY_ASSIGN(auto read, queue->read_receipt(handle));
  std::int64_t visibility = queue->info().settings.visibility_ms;
  TRY(queue->change_visibility(read, visibility));
  return queue->now_ms() + visibility;
}

std::shared_ptr<events::Effects> QueueFeed::begin() {
  auto queue = queues_.find(ref_);
  return queue ? queues_.stage(std::move(queue)) : nullptr;
}

io::Task<Result<>> QueueFeed::acknowledge(std::vector<std::string> handles) {
  auto queue = queues_.find(ref_);
  if (!queue) co_return gone();
  std::vector<std::uint64_t> seqs;
  for (const auto& handle : handles) {
    CO_TRY_ASSIGN(auto read, queue->read_receipt(handle));
    // One that came back meanwhile stays, for somebody else has it or will.
    if (queue->check_remove(read)) seqs.push_back(read.seq);
  }
  co_return co_await queue->remove(std::move(seqs));
}

events::Source source_of(Queues& queues, std::string_view arn) {
  auto ref = parse_arn(arn);
  if (!ref) return {};
  auto queue = queues.find(*ref);
  return {.feed = std::make_shared<QueueFeed>(queues, *ref),
          .there = queue != nullptr,
          .ordered = ref->fifo(),
          .hidden_seconds = queue ? queue->info().settings.visibility_ms / 1000 : 0};
}

}  // namespace mayfly::services::sqs
