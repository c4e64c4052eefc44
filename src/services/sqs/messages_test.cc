#include "services/sqs/fixture_test.h"

using namespace mayfly;
using namespace mayfly::services::sqs;
using test::Bench;
using namespace std::chrono_literals;

TEST_CASE("sqs: a message is sent, received with all its parts, deleted") {
  Bench b;
  auto url = b.create("q");
  CHECK(url == "http://localhost:4566/123456789012/q");
  model::MessageAttributeValue color;
  color.set_data_type("String").set_string_value("red");
  model::MessageAttributeValue blob;
  blob.set_data_type("Binary.gif").set_binary_value(std::string("\0\1", 2));
  wire::Map attributes;
  attributes.emplace_back("color", std::move(color).take());
  attributes.emplace_back("blob", std::move(blob).take());
  auto sent = b.ok<model::SendMessageResult>(
      "SendMessage", Bench::message(url, "hello").set_message_attributes(std::move(attributes)));
  CHECK(sent.md5_of_message_body() == "5d41402abc4b2a76b9719d911017c592");
  CHECK(sent.md5_of_message_attributes()->size() == 32);
  CHECK_FALSE(sent.sequence_number());
  auto got = b.receive(url);
  REQUIRE(got.size() == 1);
  CHECK(got[0].message_id() == sent.message_id());
  CHECK(got[0].body() == "hello");
  CHECK(got[0].md5_of_message_attributes() == sent.md5_of_message_attributes());
  CHECK(Bench::system(got[0], "ApproximateReceiveCount") == "1");
  CHECK(Bench::system(got[0], "SentTimestamp") == "1767225600000");
  CHECK(Bench::system(got[0], "SenderId") == "123456789012");
  CHECK(b.counts(url) == "0/1/0");
  b.remove(url, got[0]);
  CHECK(b.counts(url) == "0/0/0");
  b.remove(url, got[0]);  // again: no error
  b.pass(1h);
  CHECK(b.receive(url).empty());
}

TEST_CASE("sqs: the digest of attributes is the one that the SDKs compute") {
  // From the order of names, and each part behind its length.
  std::vector<MessageAttribute> attributes{{"b", "Number", "1"}, {"a", "String", "x"}};
  std::string bytes;
  auto part = [&](std::string_view text) {
    bytes += std::string(3, '\0') + static_cast<char>(text.size()) + std::string(text);
  };
  part("a");
  part("String");
  bytes += '\1';
  part("x");
  part("b");
  part("Number");
  bytes += '\1';
  part("1");
  CHECK(md5_of_attributes(attributes) == md5_hex(bytes));
  CHECK(md5_of_attributes({}).empty());
}

TEST_CASE("sqs: a message that is not deleted comes back after its visibility") {
  Bench b;
  auto url = b.create("q", {{"VisibilityTimeout", "60"}});
  b.send(url, "x");
  CHECK(b.bodies(url) == "x");
  b.pass(59s);
  CHECK(b.bodies(url).empty());
  b.pass(1s);
  auto again = b.receive(url);
  REQUIRE(again.size() == 1);
  CHECK(Bench::system(again[0], "ApproximateReceiveCount") == "2");
  auto change = [&](int seconds) {
    return model::ChangeMessageVisibilityRequest()
        .set_queue_url(url)
        .set_receipt_handle(std::string(*again[0].receipt_handle()))
        .set_visibility_timeout(seconds);
  };
  b.done("ChangeMessageVisibility", change(600));
  b.pass(599s);
  CHECK(b.bodies(url).empty());
  CHECK(b.code("ChangeMessageVisibility", change(43201)) == "InvalidParameterValue");
  CHECK(b.code("ChangeMessageVisibility", change(43200)) == "InvalidParameterValue");
  b.done("ChangeMessageVisibility", change(0));
  CHECK(b.code("ChangeMessageVisibility", change(10)) ==
        "AWS.SimpleQueueService.MessageNotInflight");
  CHECK(b.bodies(url) == "x");
  CHECK(b.code("ChangeMessageVisibility", change(10)) == "InvalidParameterValue");
}

TEST_CASE("sqs: delays, of the queue and of the message") {
  Bench b;
  auto url = b.create("q", {{"DelaySeconds", "10"}});
  b.send(url, "ten");
  b.done("SendMessage", Bench::message(url, "none").set_delay_seconds(0));
  b.done("SendMessage", Bench::message(url, "900").set_delay_seconds(900));
  CHECK(b.code("SendMessage", Bench::message(url, "x").set_delay_seconds(901)) ==
        "InvalidParameterValue");
  CHECK(b.counts(url) == "1/0/2");
  CHECK(b.bodies(url) == "none");
  b.pass(10s);
  CHECK(b.bodies(url) == "ten");
  b.pass(890s);
  CHECK(b.counts(url) == "3/0/0");
}

TEST_CASE("sqs: what is retained longer than the queue's period is gone") {
  Bench b;
  auto url = b.create("q", {{"MessageRetentionPeriod", "60"}});
  b.send(url, "old");
  b.pass(30s);
  b.send(url, "new");
  CHECK(b.bodies(url, 1) == "old");
  b.pass(30s);
  CHECK(b.counts(url) == "1/0/0");  // in flight or not
  CHECK(b.bodies(url) == "new");
  b.pass(30s);
  CHECK(b.counts(url) == "0/0/0");
  CHECK(b.disk.scan("msg/", "", 9)->empty());
}

TEST_CASE("sqs: a receive that waits is answered when a message comes, at once") {
  Bench b;
  auto url = b.create("q");
  auto queue = b.queues->find(b.arn("q"));
  std::optional<Result<std::vector<Received>>> got;
  io::TaskScope tasks(b.loop);
  auto wait = [](std::shared_ptr<Queue> queue, auto& out) -> io::Task<void> {
    out = co_await queue->receive({.most = 10, .visibility_ms = 30'000, .wait = 20s});
  };
  tasks.spawn(wait(queue, got));
  b.pass(19s);
  CHECK_FALSE(got);
  SUBCASE("by a send") {
    b.send(url, "x");
    b.loop.run_ready();
    REQUIRE(got);
    CHECK((*got)->size() == 1);
  }
  SUBCASE("by nothing, when its time is over") {
    b.pass(1s);
    REQUIRE(got);
    CHECK((*got)->empty());
  }
  SUBCASE("by the end of the queue") {
    b.done("DeleteQueue", model::DeleteQueueRequest().set_queue_url(url));
    b.loop.run_ready();
    REQUIRE(got);
    CHECK(got->error().kind == ErrorKind::not_found);
  }
  SUBCASE("by the end of the server") {
    b.queues->release();
    b.loop.run_ready();
    REQUIRE(got);
    CHECK((*got)->empty());
  }
  SUBCASE("by a delayed message that is due") {
    b.done("SendMessage", Bench::message(url, "x").set_delay_seconds(1));
    b.loop.run_ready();
    CHECK_FALSE(got);
    b.clock.advance(1s);
    b.loop.run_ready();
    REQUIRE(got);
  }
  b.loop.run_until(tasks.close());
}

TEST_CASE("sqs: batches succeed and fail by entry") {
  Bench b;
  auto url = b.create("q");
  auto entry = [](std::string id, std::string body) {
    return model::SendMessageBatchRequestEntry().set_id(id).set_message_body(body);
  };
  auto batch = [&](std::vector<model::SendMessageBatchRequestEntry> entries) {
    return model::SendMessageBatchRequest().set_queue_url(url).set_entries(std::move(entries));
  };
  auto out = b.ok<model::SendMessageBatchResult>(
      "SendMessageBatch",
      batch({entry("a", "1"), entry("b", "2").set_delay_seconds(-1), entry("c", "\x01")}));
  REQUIRE(out.successful().size() == 1);
  CHECK(out.successful()[0].id() == "a");
  REQUIRE(out.failed().size() == 2);
  CHECK(out.failed()[0].code() == "InvalidParameterValue");
  CHECK(out.failed()[0].sender_fault() == true);
  CHECK(out.failed()[1].code() == "InvalidMessageContents");
  CHECK(b.code("SendMessageBatch", batch({})) == "AWS.SimpleQueueService.EmptyBatchRequest");
  CHECK(b.code("SendMessageBatch", batch({entry("a", "1"), entry("a", "1")})) ==
        "AWS.SimpleQueueService.BatchEntryIdsNotDistinct");
  CHECK(b.code("SendMessageBatch", batch({entry("a b", "1")})) ==
        "AWS.SimpleQueueService.InvalidBatchEntryId");
  std::vector<model::SendMessageBatchRequestEntry> many;
  for (int i = 0; i < 11; ++i) many.push_back(entry(std::to_string(i), "x"));
  CHECK(b.code("SendMessageBatch", batch(many)) ==
        "AWS.SimpleQueueService.TooManyEntriesInBatchRequest");
  std::string half(limits::sqs_message_bytes / 2, 'x');
  CHECK(b.code("SendMessageBatch", batch({entry("a", half), entry("b", half), entry("c", "x")})) ==
        "AWS.SimpleQueueService.BatchRequestTooLong");
  auto got = b.receive(url);
  REQUIRE(got.size() == 1);
  auto removed = b.ok<model::DeleteMessageBatchResult>(
      "DeleteMessageBatch",
      model::DeleteMessageBatchRequest().set_queue_url(url).set_entries(
          {model::DeleteMessageBatchRequestEntry().set_id("a").set_receipt_handle(
               std::string(*got[0].receipt_handle())),
           model::DeleteMessageBatchRequestEntry().set_id("b").set_receipt_handle("nonsense")}));
  CHECK(removed.successful().size() == 1);
  REQUIRE(removed.failed().size() == 1);
  CHECK(removed.failed()[0].code() == "ReceiptHandleIsInvalid");
}

TEST_CASE("sqs: size and characters of a message, on both sides of the limits") {
  Bench b;
  auto url = b.create("q", {{"MaximumMessageSize", "1024"}});
  b.send(url, std::string(1024, 'x'));
  CHECK(b.code("SendMessage", Bench::message(url, std::string(1025, 'x'))) ==
        "InvalidParameterValue");
  CHECK(b.code("SendMessage", Bench::message(url, "")) == "MissingParameter");
  b.send(url, "\t\n\r \xc3\xa4\xf0\x9f\x98\x80");
  for (const auto* bad : {"\x0b", "\xef\xbf\xbf", "\xff"}) {
    CHECK(b.code("SendMessage", Bench::message(url, bad)) == "InvalidMessageContents");
  }
  auto wrong = [&](std::string name, std::string type, std::string value) {
    wire::Map map;
    model::MessageAttributeValue one;
    one.set_data_type(type).set_string_value(value);
    map.emplace_back(name, std::move(one).take());
    return b.code("SendMessage", Bench::message(url, "x").set_message_attributes(std::move(map)));
  };
  CHECK(wrong("n", "Number", "12.5") == "(success)");
  CHECK(wrong("n", "Number", "twelve") == "InvalidParameterValue");
  CHECK(wrong("n", "Text", "x") == "InvalidParameterValue");
  CHECK(wrong("n", "String", "") == "InvalidParameterValue");
  CHECK(wrong("AWS.x", "String", "x") == "InvalidParameterValue");
  CHECK(wrong("a..b", "String", "x") == "InvalidParameterValue");
}

TEST_CASE("sqs: what was acknowledged is there after a restart, what was deleted is not") {
  Bench b;
  auto url = b.create("q");
  b.send(url, "stays");
  b.send(url, "goes");
  b.send(url, "held");
  auto got = b.receive(url);
  REQUIRE(got.size() == 3);
  b.remove(url, got[1]);
  b.restart();
  // Those in flight are visible at once, and a handle of before still deletes.
  CHECK(b.counts(url) == "2/0/0");
  b.remove(url, got[2]);
  CHECK(b.bodies(url) == "stays");
}

TEST_CASE("sqs: more messages than are known in memory come in order, each once") {
  Bench b;
  auto url = b.create("q");
  auto queue = b.queues->find(b.arn("q"));
  constexpr std::size_t count = limits::sqs_window + 3000;
  std::vector<Message> messages;
  for (std::size_t i = 0; i < count; ++i) {
    Message one;
    one.body = std::to_string(i);
    messages.push_back(std::move(one));
    if (messages.size() == 1000) {
      REQUIRE(b.loop.run_until(queue->send(std::exchange(messages, {}))));
    }
  }
  REQUIRE(b.loop.run_until(queue->send(std::move(messages))));
  CHECK(queue->counts().visible == count);
  bool again = false;
  SUBCASE("of this run") {}
  SUBCASE("after a restart") { again = true; }
  if (again) {
    b.restart();
    queue = b.queues->find(b.arn("q"));
    CHECK(queue->counts().visible == count);
  }
  for (std::size_t i = 0; i < count; ++i) {
    auto got = b.loop.run_until(queue->receive({.most = 1, .visibility_ms = 30'000}));
    REQUIRE(got);
    REQUIRE(got->size() == 1);
    REQUIRE((*got)[0].message.body == std::to_string(i));
    REQUIRE(b.loop.run_until(queue->remove({(*got)[0].message.seq})));
  }
  CHECK(queue->counts().visible == 0);
  CHECK(b.disk.count("msg/", "") == 0);
}

TEST_CASE("sqs: at the limit of messages in flight a standard queue says so") {
  Bench b;
  b.create("q");
  auto queue = b.queues->find(b.arn("q"));
  for (std::size_t sent = 0; sent <= limits::sqs_in_flight; sent += 1000) {
    std::vector<Message> messages(1000);
    for (auto& one : messages) one.body = "x";
    REQUIRE(b.loop.run_until(queue->send(std::move(messages))));
  }
  auto got =
      b.loop.run_until(queue->receive({.most = limits::sqs_in_flight, .visibility_ms = 30'000}));
  REQUIRE(got);
  CHECK(got->size() == limits::sqs_in_flight);
  auto more = b.loop.run_until(queue->receive({.most = 1, .visibility_ms = 30'000}));
  REQUIRE_FALSE(more);
  CHECK(more.error().kind == ErrorKind::throttled);
}

TEST_CASE("sqs: a send that the disk refuses is an error, and no message") {
  Bench b;
  auto url = b.create("q");
  b.disk.fail_writes_with = Error{ErrorKind::unavailable, "no room", {}};
  CHECK(b.code("SendMessage", Bench::message(url, "x")) == "ServiceUnavailable");
  b.disk.fail_writes_with.reset();
  CHECK(b.receive(url).empty());
  b.send(url, "y");
  auto got = b.receive(url);
  REQUIRE(got.size() == 1);
  b.disk.fail_writes_with = Error{ErrorKind::unavailable, "no room", {}};
  CHECK(b.code("DeleteMessage", model::DeleteMessageRequest().set_queue_url(url).set_receipt_handle(
                                    std::string(*got[0].receipt_handle()))) ==
        "ServiceUnavailable");
  b.disk.fail_writes_with.reset();
  CHECK(b.bodies(url) == "y");
}
