// Messages on their way: who gets them, when again, what survives.
#include "services/sns/fixture_test.h"

using namespace mayfly;
using namespace mayfly::services::sns;
using namespace mayfly::services::sns::test;

namespace {

Error busy() { return {ErrorKind::throttled, "busy", {}}; }
Error gone() { return {ErrorKind::not_found, "gone", {}}; }

}  // namespace

TEST_CASE("delivery: every subscription gets a message, and then it is forgotten") {
  Bench bench;
  auto topic = bench.create("t");
  for (const auto* name : {"a", "b", "c"}) bench.raw(topic, name);
  bench.subscribe(topic, "lambda", "arn:aws:lambda:us-east-1:123456789012:function:f");
  auto sent = bench.publish(topic, "hello");
  bench.wait_for(bench.functions, 1);
  REQUIRE(bench.queues.taken.size() == 3);
  const auto& one = bench.queues.taken[0];
  CHECK(one.payload == "hello");
  CHECK(one.sender.service == "sns.amazonaws.com");
  CHECK(one.sender.source_arn == topic);
  CHECK(one.trace_header == "Root=1-x;Lineage=a:1");
  CHECK(bench.house->waiting() == 0);
  bench.settle();
  CHECK(bench.rows("msg/") == 0);
  CHECK(bench.rows("state/") == 0);
  auto event = wire::parse_json(bench.functions.taken[0].payload);
  REQUIRE(event);
  const auto& record = (*event->find("Records")->as<wire::JsonArray>())[0];
  CHECK(record.string_or("EventSource") == "aws:sns");
  CHECK(record.find("Sns")->string_or("Message") == "hello");
  CHECK(record.find("Sns")->string_or("MessageId") == *sent.message_id());
  CHECK(record.find("Sns")->find("Subject")->is_null());
  CHECK(bench.steps["published"] == 1);
  CHECK(bench.steps["delivered"] == 4);
}

TEST_CASE("delivery: nothing is done before the message is on the disk") {
  Bench bench;
  auto topic = bench.create("t");
  bench.raw(topic, "q");
  bench.disk.fail_writes_with = Error{ErrorKind::unavailable, "full", {}};
  CHECK(bench.error("Publish", Bench::message(topic, "x")).starts_with("ServiceUnavailable"));
  bench.disk.fail_writes_with.reset();
  bench.settle();
  CHECK(bench.queues.taken.empty());
}

TEST_CASE(
    "delivery: what was acknowledged survives the process, what is done does not come again") {
  Bench bench;
  auto topic = bench.create("t");
  bench.raw(topic, "a");
  bench.raw(topic, "b");
  bench.queues.hold();
  bench.publish(topic, "hello");
  CHECK(bench.queues.attempts == 2);
  // It ends while they are under way.
  io::TaskScope scope(bench.loop);
  scope.spawn(bench.house->close());
  bench.queues.cut = true;
  bench.queues.let_go();
  bench.loop.run_until(scope.close());
  CHECK(bench.rows("msg/") == 1);
  CHECK(bench.rows("state/") == 0);
  bench.queues.cut = false;
  bench.open();
  bench.settle();
  CHECK(bench.queues.bodies() == "hello hello");
  bench.queues.taken.clear();
  bench.restart();
  CHECK(bench.queues.taken.empty());
  CHECK(bench.rows("msg/") == 0);
}

TEST_CASE("delivery: a busy queue is tried again, without a limit anybody would meet") {
  Bench bench;
  auto topic = bench.create("t");
  bench.raw(topic, "busy");
  bench.raw(topic, "free");
  bench.queues.answers[Bench::queue("busy")] = busy();
  bench.publish(topic, "hello");
  CHECK(bench.queues.bodies() == "hello");
  // The first and three at once.
  CHECK(bench.queues.attempts == 5);
  bench.pass(999ms);
  CHECK(bench.queues.attempts == 5);
  bench.pass(1ms);
  CHECK(bench.queues.attempts == 6);
  bench.pass(1s);
  CHECK(bench.queues.attempts == 7);
  // Only the busy one is left, with what it has behind it.
  bench.restart();
  CHECK(bench.house->waiting() == 1);
  CHECK(bench.queues.attempts == 7);
  bench.pass(1s);
  CHECK(bench.queues.attempts == 8);
  bench.pass(1s);
  CHECK(bench.queues.attempts == 8);
  bench.pass(1s);
  CHECK(bench.queues.attempts == 9);
  bench.queues.answers.clear();
  bench.pass(20s);
  CHECK(bench.queues.bodies() == "hello hello");
  CHECK(bench.rows("msg/") == 0);
  CHECK(bench.steps["failed"] == 8);
}

TEST_CASE("delivery: a queue that is gone is not tried again: dead letters, or none") {
  Bench bench;
  auto topic = bench.create("t");
  auto redrive = fmt::format(R"({{"deadLetterTargetArn":"{}"}})", Bench::queue("dead"));
  bench.raw(topic, "gone", {{"RedrivePolicy", redrive}});
  bench.raw(topic, "lost");
  bench.queues.answers[Bench::queue("gone")] = gone();
  bench.queues.answers[Bench::queue("lost")] = {ErrorKind::denied, "no", {}};
  bench.publish(topic, "hello");
  REQUIRE(bench.queues.taken.size() == 1);
  CHECK(bench.queues.taken[0].arn == Bench::queue("dead"));
  CHECK(bench.queues.attempts == 3);
  CHECK(bench.steps["dead_lettered"] == 1);
  CHECK(bench.steps["dropped"] == 1);
  CHECK(bench.house->waiting() == 0);
  // A dead-letter queue that is busy is asked again.
  bench.queues.answers[Bench::queue("dead")] = busy();
  bench.publish(topic, "again");
  CHECK(bench.house->waiting() == 1);
  bench.queues.answers.erase(Bench::queue("dead"));
  bench.pass(20s);
  CHECK(bench.queues.bodies() == "hello again");
  CHECK(bench.house->waiting() == 0);
}

TEST_CASE("delivery: dead letters of functions are documents") {
  Bench bench;
  auto topic = bench.create("t");
  std::string function = "arn:aws:lambda:us-east-1:123456789012:function:f";
  bench.subscribe(
      topic, "lambda", function,
      {{"RedrivePolicy", fmt::format(R"({{"deadLetterTargetArn":"{}"}})", Bench::queue("dead"))}});
  bench.functions.answers[function] = gone();
  bench.publish(topic, "hello");
  bench.wait_for(bench.queues, 1);
  auto document = wire::parse_json(bench.queues.taken[0].payload);
  REQUIRE(document);
  CHECK(document->string_or("Type") == "Notification");
  CHECK(document->string_or("Message") == "hello");
}

TEST_CASE("delivery: whoever has unsubscribed gets nothing more") {
  Bench bench;
  auto topic = bench.create("t");
  auto arn = bench.raw(topic, "busy");
  bench.queues.answers[Bench::queue("busy")] = busy();
  bench.publish(topic, "hello");
  bench.done("Unsubscribe", model::UnsubscribeInput().set_subscription_arn(arn));
  bench.queues.answers.clear();
  bench.pass(1h);
  CHECK(bench.queues.taken.empty());
  CHECK(bench.house->waiting() == 0);
  CHECK(bench.rows("msg/") == 0);
}

TEST_CASE("delivery: raw messages carry up to ten attributes") {
  Bench bench;
  auto topic = bench.create("t");
  bench.raw(topic, "q");
  auto attributes = [](int count) {
    wire::Map map;
    for (int i = 0; i < count; ++i) {
      model::MessageAttributeValue value;
      value.set_data_type("String").set_string_value(fmt::format("v{}", i));
      map.emplace_back(fmt::format("n{}", i), std::move(value).take());
    }
    return map;
  };
  auto publish = [&](int count) {
    auto in = Bench::message(topic, "x").take();
    in.at(static_cast<std::size_t>(in.index("MessageAttributes"))) = attributes(count);
    auto answer = bench.call("Publish", std::move(in));
    REQUIRE_MESSAGE(answer, answer.error().message);
    bench.settle();
  };
  publish(10);
  REQUIRE(bench.queues.taken.size() == 1);
  CHECK(bench.queues.taken[0].attributes.size() == 10);
  CHECK(bench.queues.taken[0].attributes[3] == events::Attribute{"n3", "String", "v3"});
  publish(11);
  CHECK(bench.queues.taken.size() == 1);
  CHECK(bench.steps["dropped"] == 1);
}

TEST_CASE("fifo: order within a group holds where one delivery waits") {
  Bench bench;
  auto topic = bench.create("t.fifo");
  bench.raw(topic, "q.fifo");
  bench.queues.answers[Bench::queue("q.fifo")] = busy();
  bench.publish_fifo(topic, "a1", "a", "1");
  bench.publish_fifo(topic, "a2", "a", "2");
  bench.publish_fifo(topic, "b1", "b", "3");
  CHECK(bench.queues.attempts == 8);  // of the first of each group
  bench.restart();
  CHECK(bench.house->waiting() == 3);
  bench.queues.answers.clear();
  bench.pass(1s);
  auto bodies = bench.queues.bodies();
  CHECK(bodies.find("a1") < bodies.find("a2"));
  REQUIRE(bench.queues.taken.size() == 3);
  for (const auto& one : bench.queues.taken) {
    CHECK(one.group_id == one.payload.substr(0, 1));
    CHECK_FALSE(one.deduplication_id.empty());
  }
}

TEST_CASE("fifo: a message repeated within five minutes is not delivered again") {
  Bench bench;
  auto topic = bench.create("t.fifo");
  bench.raw(topic, "q.fifo");
  auto first = bench.publish_fifo(topic, "x", "g", "1");
  auto again = bench.publish_fifo(topic, "y", "other", "1");
  CHECK(*again.message_id() == *first.message_id());
  CHECK(*again.sequence_number() == *first.sequence_number());
  CHECK(first.sequence_number()->size() == 20);
  CHECK(bench.queues.taken.size() == 1);
  bench.restart();
  bench.publish_fifo(topic, "x", "g", "1");
  CHECK(bench.queues.taken.size() == 1);
  bench.pass(5min);
  auto later = bench.publish_fifo(topic, "z", "g", "1");
  CHECK(*later.sequence_number() > *first.sequence_number());
  CHECK(bench.queues.bodies() == "x z");
  CHECK(bench.rows("dedup/") == 1);
  // Within a group only.
  auto wide = bench.create(
      "w.fifo", {{"FifoThroughputScope", "MessageGroup"}, {"ContentBasedDeduplication", "true"}});
  bench.raw(wide, "w.fifo");
  for (const auto* group : {"a", "b", "a"}) {
    bench.done("Publish", Bench::message(wide, "same").set_message_group_id(group));
  }
  bench.settle();
  CHECK(bench.queues.bodies() == "x z same same");
}

TEST_CASE("publish: what is refused") {
  Bench bench;
  auto topic = bench.create("t");
  auto fifo = bench.create("t.fifo");
  auto refused = [&](model::PublishInput in) {
    auto text = bench.error("Publish", std::move(in));
    return text.substr(0, text.find(':'));
  };
  CHECK(refused(Bench::message(topic, "")) == "InvalidParameter");
  CHECK(refused(Bench::message(topic, std::string(limits::sns_message_bytes, 'x'))) == "(success)");
  CHECK(refused(Bench::message(topic, std::string(limits::sns_message_bytes + 1, 'x'))) ==
        "InvalidParameter");
  CHECK(refused(Bench::message(topic, "x").set_subject(std::string(100, 's'))) == "(success)");
  CHECK(refused(Bench::message(topic, "x").set_subject(std::string(101, 's'))) ==
        "InvalidParameter");
  CHECK(refused(Bench::message(topic, "x").set_subject("a\nb")) == "InvalidParameter");
  CHECK(refused(Bench::message(topic, "x").set_message_deduplication_id("d")) ==
        "InvalidParameter");
  CHECK(refused(Bench::message(topic, "x").set_message_group_id("g")) == "(success)");
  CHECK(refused(Bench::message(fifo, "x")) == "InvalidParameter");
  CHECK(refused(Bench::message(fifo, "x").set_message_group_id("g")) == "InvalidParameter");
  CHECK(refused(Bench::message(topic, "x").set_message_structure("json")) == "InvalidParameter");
  CHECK(refused(Bench::message(topic, "{}").set_message_structure("json")) == "InvalidParameter");
  CHECK(refused(Bench::message(topic, "x").set_message_structure("xml")) == "InvalidParameter");
  CHECK(refused(Bench::message("x", "x")) == "InvalidParameter");
  CHECK(refused(model::PublishInput().set_message("x")) == "InvalidParameter");
  CHECK(refused(model::PublishInput().set_message("x").set_phone_number("+1")) ==
        "NotImplementedException");
}

TEST_CASE("publish: bodies by protocol; batches in part") {
  Bench bench;
  auto topic = bench.create("t");
  bench.raw(topic, "q");
  bench.done("Publish", Bench::message(topic, R"({"default":"d","sqs":"for queues","http":"h"})")
                            .set_message_structure("json"));
  bench.settle();
  CHECK(bench.queues.bodies() == "for queues");
  auto entry = [](const std::string& id, const std::string& body) {
    model::PublishBatchRequestEntry out;
    out.set_id(id).set_message(body);
    return out;
  };
  auto batch = [&](std::vector<model::PublishBatchRequestEntry> entries) {
    return model::PublishBatchInput().set_topic_arn(topic).set_publish_batch_request_entries(
        std::move(entries));
  };
  auto out = bench.ok<model::PublishBatchResponse>(
      "PublishBatch", batch({entry("1", "one"), entry("2", ""), entry("3", "three")}));
  bench.settle();
  REQUIRE(out.successful().size() == 2);
  REQUIRE(out.failed().size() == 1);
  CHECK(*out.failed()[0].id() == "2");
  CHECK(*out.failed()[0].code() == "InvalidParameter");
  CHECK(bench.queues.bodies() == "for queues one three");
  CHECK(bench.error("PublishBatch", batch({})).starts_with("EmptyBatchRequest"));
  CHECK(bench.error("PublishBatch", batch({entry("1", "a"), entry("1", "b")}))
            .starts_with("BatchEntryIdsNotDistinct"));
  CHECK(bench.error("PublishBatch", batch({entry("a b", "a")})).starts_with("InvalidBatchEntryId"));
  CHECK(bench.error("PublishBatch", batch(std::vector(11, entry("1", "a"))))
            .starts_with("TooManyEntriesInBatchRequest"));
  std::string half(limits::sns_message_bytes / 2 + 1, 'x');
  CHECK(bench.error("PublishBatch", batch({entry("1", half), entry("2", half)}))
            .starts_with("BatchRequestTooLong"));
}

TEST_CASE("topics are targets: what others push is published") {
  Bench bench;
  auto topic = bench.create("t");
  bench.raw(topic, "q");
  events::Sender sender{.service = "events.amazonaws.com",
                        .source_arn = "arn:aws:events:us-east-1:123456789012:rule/r",
                        .account = AccountId("123456789012"),
                        .role_arn = {}};
  auto push = [&] {
    return bench.loop.run_until(bench.house->target().push(
        {.arn = topic, .payload = "{}", .sender = sender, .trace_header = "Root=1-y"}));
  };
  CHECK(push().error().kind == ErrorKind::denied);
  bench.done("SetTopicAttributes",
             model::SetTopicAttributesInput()
                 .set_topic_arn(topic)
                 .set_attribute_name("Policy")
                 .set_attribute_value(fmt::format(
                     R"({{"Statement":[{{"Effect":"Allow","Action":"sns:Publish","Resource":"{}",)"
                     R"("Principal":{{"Service":"events.amazonaws.com"}}}}]}})",
                     topic)));
  CHECK(push());
  bench.settle();
  REQUIRE(bench.queues.taken.size() == 1);
  CHECK(bench.queues.taken[0].trace_header == "Root=1-y");
  CHECK(bench.house->target().check(topic + "x", sender).error().kind == ErrorKind::not_found);
  sender.role_arn = "arn:aws:iam::123456789012:role/r";
  CHECK(bench.house->target().check(topic, sender));
}
