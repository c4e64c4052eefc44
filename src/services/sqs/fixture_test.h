// The service on a store in memory, under a clock moved by hand. Included by tests of this room.
#pragma once

#include <doctest/doctest.h>

#include "services/sqs/service.h"
#include "sim/manual_clock.h"
#include "sim/memory_store.h"
#include "sim/service_calls.h"

namespace mayfly::services::sqs::test {

using namespace std::chrono_literals;

struct Bench : sim::TypedCalls<Bench> {
  Bench() : loop(clock), disk(loop) { open(); }
  ~Bench() { close(); }

  void open() {
    auto opened = Queues::open(
        {loop, random, disk, [this](const QueueRef& queue, Step step, std::size_t count) {
           steps[fmt::format("{} {}", queue.name, name_of(step))] += count;
         }});
    REQUIRE_MESSAGE(opened.has_value(), opened.error().message);
    queues = std::move(*opened);
    service = make_sqs_service({loop, *queues});
  }
  void close() {
    queues->release();
    loop.run_until(queues->close());
    queues.reset();
  }
  // What a restart after a crash finds: the rows, and nothing else.
  void restart() {
    close();
    open();
  }

  api::ApiResult<wire::Record> call(std::string_view name, wire::Record input) {
    return sim::call_service(loop, service, {scope, instance}, name, std::move(input));
  }

  std::string create(std::string name, std::map<std::string, std::string> attributes = {}) {
    model::CreateQueueRequest in;
    in.set_queue_name(name);
    if (name.ends_with(".fifo")) attributes.emplace("FifoQueue", "true");
    if (!attributes.empty()) in.set_attributes(attributes);
    return std::string(*ok<model::CreateQueueResult>("CreateQueue", std::move(in)).queue_url());
  }
  std::string arn(std::string_view name) {
    return fmt::format("arn:aws:sqs:us-east-1:123456789012:{}", name);
  }
  void set(std::string url, std::string name, std::string value) {
    done("SetQueueAttributes",
         model::SetQueueAttributesRequest().set_queue_url(url).set_attributes({{name, value}}));
  }
  std::string attribute(std::string url, std::string name) {
    auto out = ok<model::GetQueueAttributesResult>(
        "GetQueueAttributes",
        model::GetQueueAttributesRequest().set_queue_url(url).set_attribute_names({name}));
    for (auto [key, value] : out.attributes()) return std::string(value);
    return "(absent)";
  }
  // "visible/in flight/delayed"
  std::string counts(std::string url) {
    return attribute(url, "ApproximateNumberOfMessages") + "/" +
           attribute(url, "ApproximateNumberOfMessagesNotVisible") + "/" +
           attribute(url, "ApproximateNumberOfMessagesDelayed");
  }
  static model::SendMessageRequest message(std::string url, std::string body) {
    return model::SendMessageRequest().set_queue_url(url).set_message_body(body);
  }
  model::SendMessageResult send(std::string url, std::string body) {
    return ok<model::SendMessageResult>("SendMessage", message(url, body));
  }
  model::SendMessageResult send_fifo(std::string url, std::string body, std::string group,
                                     std::string id) {
    return ok<model::SendMessageResult>(
        "SendMessage",
        message(url, body).set_message_group_id(group).set_message_deduplication_id(id));
  }
  static model::ReceiveMessageRequest ask(std::string url, int most = 10) {
    return model::ReceiveMessageRequest()
        .set_queue_url(url)
        .set_max_number_of_messages(most)
        .set_message_system_attribute_names({"All"})
        .set_message_attribute_names({"All"});
  }
  std::vector<model::Message> receive(std::string url, int most = 10) {
    return ok<model::ReceiveMessageResult>("ReceiveMessage", ask(url, most)).messages();
  }
  std::string bodies(std::string url, int most = 10) {
    std::string out;
    for (const auto& one : receive(url, most)) {
      out += (out.empty() ? "" : " ") + std::string(*one.body());
    }
    return out;
  }
  void remove(std::string url, const model::Message& message) {
    done("DeleteMessage", model::DeleteMessageRequest().set_queue_url(url).set_receipt_handle(
                              std::string(*message.receipt_handle())));
  }
  static std::string system(const model::Message& message, std::string_view name) {
    for (auto [key, value] : message.attributes()) {
      if (key == name) return std::string(value);
    }
    return "(absent)";
  }
  void pass(Duration time) {
    clock.advance(time);
    loop.run_ready();
  }

  std::map<std::string, std::size_t> steps;  // "QUEUE STEP"
  Scope scope{AccountId("123456789012"), Region("us-east-1")};
  std::string instance;  // the environment that calls, or empty
  sim::ManualClock clock;
  SystemRandom random;
  io::Loop loop;
  sim::MemoryStore disk;
  std::unique_ptr<Queues> queues;
  api::Service service;
};

}  // namespace mayfly::services::sqs::test
