// Notifications: who gets them, that they are tried again, and that a restart loses none.
#include "services/s3/fixture_test.h"

using namespace mayfly;
using namespace mayfly::services::s3;
using namespace std::chrono_literals;
using test::Bench;

namespace {

constexpr const char* queue_arn = "arn:aws:sqs:us-east-1:123456789012:q";

model::QueueConfiguration for_queue(std::vector<std::string> events, const std::string& suffix = "",
                                    const std::string& arn = queue_arn) {
  model::QueueConfiguration out;
  out.set_queue_arn(arn).set_events(std::move(events));
  if (!suffix.empty()) {
    std::vector<model::FilterRule> rules;
    rules.emplace_back().set_name("suffix").set_value(suffix);
    out.set_filter(model::NotificationConfigurationFilter().set_key(
        model::S3KeyFilter().set_filter_rules(std::move(rules))));
  }
  return out;
}

model::PutBucketNotificationConfigurationRequest configure(
    std::vector<model::QueueConfiguration> queues, bool bus = false) {
  model::NotificationConfiguration all;
  all.set_queue_configurations(std::move(queues));
  if (bus) all.set_event_bridge_configuration(model::EventBridgeConfiguration());
  return model::PutBucketNotificationConfigurationRequest()
      .set_bucket("home")
      .set_notification_configuration(all);
}

constexpr const char* operation = "PutBucketNotificationConfiguration";

}  // namespace

TEST_CASE("notifications: the message of a change, after a test message") {
  Bench bench;
  bench.make("home");
  bench.done(operation, configure({for_queue({"s3:ObjectCreated:*"}, ".jpg")}));
  REQUIRE(bench.target.taken.size() == 1);
  auto test = *wire::parse_json(bench.target.taken[0].payload);
  CHECK(test.string_or("Event") == "s3:TestEvent");
  bench.put("a b.jpg", "12345");
  bench.put("other", "12345");
  bench.settle();
  REQUIRE(bench.target.taken.size() == 2);
  const auto& delivery = bench.target.taken[1];
  CHECK(delivery.trace_header == "Root=1-x;Lineage=a:1");
  CHECK(delivery.sender.source_arn == "arn:aws:s3:::home");
  auto message = *wire::parse_json(delivery.payload);
  const auto& record = (*message.find("Records")->as<wire::JsonArray>())[0];
  CHECK(record.string_or("eventName") == "ObjectCreated:Put");
  CHECK(record.at({"s3", "object", "key"})->string_value() == "a+b.jpg");
  CHECK(record.at({"s3", "object", "size"})->number_value() == 5);
  CHECK(record.at({"s3", "object", "eTag"})->string_value() == "827ccb0eea8a706c4c34a16891f84e7b");
  CHECK(bench.rows("n/") == 0);
}

TEST_CASE("notifications: what fails is tried again, over a restart, and what cannot be is not") {
  Bench bench;
  bench.make("home");
  bench.done(operation, configure({for_queue({"s3:ObjectRemoved:Delete"})}, true));
  bench.target.taken.clear();
  bench.put("k", "1");
  bench.settle();
  REQUIRE(bench.target.taken.size() == 1);  // the bus alone
  CHECK(bench.target.taken[0].arn == "arn:aws:events:us-east-1:123456789012:event-bus/default");
  bench.target.error = Error{ErrorKind::throttled, "slow", {}};
  bench.done("DeleteObject", model::DeleteObjectRequest().set_bucket("home").set_key("k"));
  bench.settle();
  CHECK(bench.house->waiting() == 2);
  int attempts = bench.target.attempts;
  bench.pass(1s);
  CHECK(bench.target.attempts == attempts + 2);
  bench.pass(1s);
  CHECK(bench.target.attempts == attempts + 2);
  bench.pass(1s);
  CHECK(bench.target.attempts == attempts + 4);
  bench.close();
  bench.target.error.reset();
  bench.target.taken.clear();
  bench.open();
  bench.settle();
  CHECK(bench.target.taken.size() == 2);
  CHECK(bench.rows("n/") == 0);
  bench.target.error = Error{ErrorKind::denied, "no", {}};
  bench.put("k", "1");
  bench.settle();
  CHECK(bench.house->waiting() == 0);
}

TEST_CASE("notifications: configurations that cannot be") {
  Bench bench;
  bench.make("home");
  CHECK(bench.code(operation, configure({for_queue({"s3:ObjectCreated:*"}),
                                         for_queue({"s3:ObjectCreated:Put"}, "x")})) ==
        "InvalidArgument");
  CHECK(bench.code(operation, configure({for_queue({"s3:ObjectCreated:*"}, ".a"),
                                         for_queue({"s3:ObjectCreated:Put"}, ".b")})) ==
        "(success)");
  CHECK(bench.code(operation, configure({for_queue({"s3:Nothing"})})) == "InvalidArgument");
  for (const char* arn :
       {"arn:aws:sqs:us-east-1:123456789012:missing", "arn:aws:sqs:us-east-1:123456789012:q.fifo",
        "arn:aws:sqs:eu-west-1:123456789012:q", "arn:aws:sns:us-east-1:123456789012:t"}) {
    CHECK(bench.code(operation, configure({for_queue({"s3:ObjectCreated:*"}, "", arn)})) ==
          "InvalidArgument");
  }
  auto out = bench.ok<model::NotificationConfiguration>(
      "GetBucketNotificationConfiguration",
      model::GetBucketNotificationConfigurationRequest().set_bucket("home"));
  CHECK(out.queue_configurations().size() == 2);
}
