// All of SNS on a store in memory, under a clock moved by hand, with targets that note what is
// pushed to them. Included by tests of this room.
#pragma once

#include <doctest/doctest.h>

#include "services/sns/house.h"
#include "sim/manual_clock.h"
#include "sim/memory_store.h"
#include "sim/service_calls.h"
#include "sim/settle.h"

namespace mayfly::services::sns::test {

using namespace std::chrono_literals;

// A queue or function service that takes everything, or answers what it is told to.
class FakeTarget final : public events::Target {
 public:
  explicit FakeTarget(io::Loop& loop) : open_(loop) { open_.set(); }
  Result<> check(std::string_view, const events::Sender&) override { return {}; }
  io::Task<Result<events::Outcome>> push(events::Delivery delivery) override {
    ++attempts;
    co_await open_.wait();
    if (cut) co_return fail(ErrorKind::unavailable, "cut off");
    if (auto found = answers.find(delivery.arn); found != answers.end()) {
      co_return std::unexpected(found->second);
    }
    taken.push_back(std::move(delivery));
    co_return events::Outcome{};
  }
  void hold() { open_.reset(); }
  void let_go() { open_.set(); }
  std::string bodies() const {
    std::string out;
    for (const auto& one : taken) out += (out.empty() ? "" : " ") + one.payload;
    return out;
  }

  int attempts = 0;
  bool cut = false;                      // what was held, or comes, breaks off
  std::map<std::string, Error> answers;  // by ARN
  std::vector<events::Delivery> taken;

 private:
  io::Event open_;
};

struct Bench : sim::TypedCalls<Bench> {
  Bench()
      : loop(clock),
        workers(loop, 2),
        disk(loop),
        http(loop, workers),
        queues(loop),
        functions(loop) {
    switchboard.add_target("sqs", queues);
    switchboard.add_target("lambda", functions);
    auto opened = loop.run_until(guard::open_guard(disk, clock, random, {.dev = true}, &root));
    REQUIRE(opened);
    guard = std::move(*opened);
    open();
  }
  ~Bench() {
    close();
    loop.run_until(http.close());
  }

  void open() {
    auto opened = House::open({loop, random, workers, disk, http, switchboard, *guard,
                               [this](const TopicRef&, std::string_view, Step step) {
                                 ++steps[std::string(name_of(step))];
                               },
                               [] { return std::string("outside:4566"); }, &board, http_at_once,
                               subscriptions_max});
    REQUIRE_MESSAGE(opened, opened.error().message);
    house = std::move(*opened);
    guard->set_resource_policies(house->policies());
    service = house->operations();
    house->start();
  }
  void close() {
    loop.run_until(house->close());
    house.reset();
  }
  // What a restart after a crash finds: the rows, and nothing else.
  void restart() {
    close();
    open();
    settle();
  }

  api::ApiResult<wire::Record> call(std::string_view name, wire::Record input) {
    sim::CallAs as{.scope = {AccountId("123456789012"), Region("us-east-1")},
                   .instance = from_function ? "i-1" : "",
                   .trace_header = "Root=1-x;Lineage=a:1",
                   .account = account};
    return sim::call_service(loop, service, as, name, std::move(input));
  }

  std::string create(const std::string& name, std::map<std::string, std::string> attributes = {}) {
    model::CreateTopicInput in;
    in.set_name(name);
    if (name.ends_with(".fifo")) attributes.emplace("FifoTopic", "true");
    if (!attributes.empty()) in.set_attributes(attributes);
    return std::string(*ok<model::CreateTopicResponse>("CreateTopic", std::move(in)).topic_arn());
  }
  static std::string queue(std::string_view name, std::string_view owner = "123456789012") {
    return fmt::format("arn:aws:sqs:us-east-1:{}:{}", owner, name);
  }
  static model::SubscribeInput subscription(const std::string& topic, const std::string& protocol,
                                            const std::string& endpoint) {
    return model::SubscribeInput()
        .set_topic_arn(topic)
        .set_protocol(protocol)
        .set_endpoint(endpoint)
        .set_return_subscription_arn(true);
  }
  std::string subscribe(const std::string& topic, const std::string& protocol,
                        const std::string& endpoint,
                        const std::map<std::string, std::string>& attributes = {}) {
    auto in = subscription(topic, protocol, endpoint);
    if (!attributes.empty()) in.set_attributes(attributes);
    return std::string(
        *ok<model::SubscribeResponse>("Subscribe", std::move(in)).subscription_arn());
  }
  std::string raw(const std::string& topic, const std::string& name,
                  std::map<std::string, std::string> attributes = {}) {
    attributes["RawMessageDelivery"] = "true";
    return subscribe(topic, "sqs", queue(name), attributes);
  }
  static model::PublishInput message(const std::string& topic, const std::string& body) {
    return model::PublishInput().set_topic_arn(topic).set_message(body);
  }
  model::PublishResponse publish(const std::string& topic, const std::string& body) {
    auto out = ok<model::PublishResponse>("Publish", message(topic, body));
    settle();
    return out;
  }
  model::PublishResponse publish_fifo(const std::string& topic, const std::string& body,
                                      const std::string& group, const std::string& id) {
    auto out = ok<model::PublishResponse>(
        "Publish",
        message(topic, body).set_message_group_id(group).set_message_deduplication_id(id));
    settle();
    return out;
  }
  std::string attribute(const std::string& arn, const std::string& name) {
    auto out = ok<model::GetTopicAttributesResponse>(
        "GetTopicAttributes", model::GetTopicAttributesInput().set_topic_arn(arn));
    for (auto [key, value] : out.attributes()) {
      if (key == name) return std::string(value);
    }
    return "(absent)";
  }
  std::string subscription_attribute(const std::string& arn, const std::string& name) {
    auto out = ok<model::GetSubscriptionAttributesResponse>(
        "GetSubscriptionAttributes",
        model::GetSubscriptionAttributesInput().set_subscription_arn(arn));
    for (auto [key, value] : out.attributes()) {
      if (key == name) return std::string(value);
    }
    return "(absent)";
  }
  void set(const std::string& arn, const std::string& name, const std::string& value) {
    done("SetSubscriptionAttributes", model::SetSubscriptionAttributesInput()
                                          .set_subscription_arn(arn)
                                          .set_attribute_name(name)
                                          .set_attribute_value(value));
  }
  void settle() { sim::settle(loop, workers); }
  void wait_for(const FakeTarget& target, std::size_t count) {
    settle();
    REQUIRE(target.taken.size() == count);
  }
  void pass(Duration time) {
    clock.advance(time);
    loop.run_ready();
    settle();
  }
  std::size_t rows(std::string_view prefix) { return disk.scan(prefix, "", SIZE_MAX)->size(); }

  AccountId account{"123456789012"};
  bool from_function = false;
  events::EffectsBoard board;
  std::size_t http_at_once = limits::sns_http_at_once;
  std::size_t subscriptions_max = limits::sns_subscriptions;
  sim::ManualClock clock;
  SystemRandom random;
  io::Loop loop;
  io::Workers workers;
  sim::MemoryStore disk;
  io::HttpClient http;
  FakeTarget queues;
  FakeTarget functions;
  events::Switchboard switchboard;
  std::optional<guard::Credentials> root;
  std::unique_ptr<guard::Guard> guard;
  std::map<std::string, int> steps;
  std::unique_ptr<House> house;
  api::Service service;
};

}  // namespace mayfly::services::sns::test
