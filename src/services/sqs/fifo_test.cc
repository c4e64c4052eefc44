#include "services/sqs/fixture_test.h"

using namespace mayfly;
using namespace mayfly::services::sqs;
using test::Bench;
using namespace std::chrono_literals;

TEST_CASE("sqs fifo: order within a group, and no second of it while one is in flight") {
  Bench b;
  auto url = b.create("q.fifo");
  b.send_fifo(url, "a1", "a", "1");
  b.send_fifo(url, "a2", "a", "2");
  b.send_fifo(url, "b1", "b", "3");
  auto first = b.receive(url, 1);
  REQUIRE(first.size() == 1);
  CHECK(first[0].body() == "a1");
  CHECK(Bench::system(first[0], "MessageGroupId") == "a");
  CHECK(Bench::system(first[0], "MessageDeduplicationId") == "1");
  CHECK(b.bodies(url) == "b1");
  CHECK(b.bodies(url).empty());
  b.remove(url, first[0]);
  CHECK(b.bodies(url) == "a2");
}

TEST_CASE("sqs fifo: a group is ordered still after a restart") {
  Bench b;
  auto url = b.create("q.fifo");
  for (int i = 0; i < 5; ++i) {
    b.send_fifo(url, std::to_string(i), "g", std::to_string(i));
  }
  auto got = b.receive(url, 1);
  b.restart();
  CHECK(b.bodies(url) == "0 1 2 3 4");
  // Its handle is out of date: the message has another since.
  CHECK(
      b.error("DeleteMessage", model::DeleteMessageRequest().set_queue_url(url).set_receipt_handle(
                                   std::string(*got[0].receipt_handle())))
          .ends_with("The receipt handle has expired."));
}

TEST_CASE("sqs fifo: five minutes of deduplication") {
  Bench b;
  auto url = b.create("q.fifo");
  auto first = b.send_fifo(url, "x", "g", "id");
  auto second = b.send_fifo(url, "y", "other", "id");
  CHECK(second.message_id() == first.message_id());
  CHECK(second.sequence_number() == first.sequence_number());
  CHECK(second.md5_of_message_body() == md5_hex("y"));
  CHECK(b.counts(url) == "1/0/0");
  auto got = b.receive(url);
  b.remove(url, got[0]);
  b.pass(299s);
  SUBCASE("also when the message is deleted") { b.send_fifo(url, "x", "g", "id"); }
  SUBCASE("also after a restart") {
    b.restart();
    b.send_fifo(url, "x", "g", "id");
  }
  CHECK(b.counts(url) == "0/0/0");
  b.pass(1s);
  b.send_fifo(url, "x", "g", "id");
  CHECK(b.counts(url) == "1/0/0");
  CHECK(b.disk.scan("dedup/", "", 9)->size() == 1);
}

TEST_CASE("sqs fifo: deduplication by content, and by group") {
  Bench b;
  auto url = b.create("q.fifo", {{"ContentBasedDeduplication", "true"},
                                 {"DeduplicationScope", "messageGroup"},
                                 {"FifoThroughputLimit", "perMessageGroupId"}});
  auto send = [&](std::string body, std::string group) {
    return b.ok<model::SendMessageResult>("SendMessage",
                                          Bench::message(url, body).set_message_group_id(group));
  };
  auto one = send("x", "a");
  CHECK(send("x", "a").message_id() == one.message_id());
  CHECK(send("x", "b").message_id() != one.message_id());
  CHECK(send("y", "a").message_id() != one.message_id());
  CHECK(b.counts(url) == "3/0/0");
}

TEST_CASE("sqs fifo: sequence numbers grow, over restarts too") {
  Bench b;
  auto url = b.create("q.fifo");
  std::string last;
  for (int i = 0; i < 20; ++i) {
    auto sent = b.send_fifo(url, "x", "g", std::to_string(i));
    std::string number(*sent.sequence_number());
    CHECK(number.size() == 20);
    CHECK(number > last);
    last = number;
    if (i == 10) {
      for (const auto& one : b.receive(url)) b.remove(url, one);
      b.restart();
    }
  }
}

TEST_CASE("sqs fifo: a receive that is tried again gets the same messages") {
  Bench b;
  auto url = b.create("q.fifo");
  b.send_fifo(url, "1", "g", "1");
  b.send_fifo(url, "2", "g", "2");
  auto ask = [&](int most) {
    return b
        .ok<model::ReceiveMessageResult>("ReceiveMessage",
                                         Bench::ask(url, most).set_receive_request_attempt_id("t"))
        .messages();
  };
  auto first = ask(1);
  b.pass(20s);
  auto again = ask(1);
  REQUIRE(again.size() == 1);
  CHECK(again[0].receipt_handle() == first[0].receipt_handle());
  CHECK(Bench::system(again[0], "ApproximateReceiveCount") == "1");
  b.pass(20s);  // its visibility began again
  CHECK(b.receive(url).empty());
  b.remove(url, again[0]);
  auto next = ask(1);
  REQUIRE(next.size() == 1);
  CHECK(next[0].body() == "2");
}

TEST_CASE("sqs fifo: what a FIFO queue needs and refuses") {
  Bench b;
  auto url = b.create("q.fifo");
  CHECK(b.code("SendMessage", Bench::message(url, "x").set_message_deduplication_id("1")) ==
        "MissingParameter");
  CHECK(b.code("SendMessage", Bench::message(url, "x").set_message_group_id("g")) ==
        "InvalidParameterValue");
  auto good = [&] {
    return Bench::message(url, "x").set_message_group_id("g").set_message_deduplication_id("d");
  };
  CHECK(b.code("SendMessage", good().set_delay_seconds(1)) == "InvalidParameterValue");
  CHECK(b.code("SendMessage", good().set_message_group_id("a b")) == "InvalidParameterValue");
  CHECK(b.code("SendMessage", good().set_message_group_id(std::string(129, 'g'))) ==
        "InvalidParameterValue");
  CHECK(b.code("SendMessage", good().set_message_group_id(std::string(128, 'g'))) == "(success)");
  auto plain = b.create("plain");
  CHECK(b.code("SendMessage", Bench::message(plain, "x").set_message_deduplication_id("1")) ==
        "InvalidParameterValue");
  CHECK(b.code("SendMessage", Bench::message(plain, "x").set_message_group_id("g")) == "(success)");
  CHECK(b.code("ReceiveMessage", Bench::ask(plain).set_receive_request_attempt_id("t")) ==
        "InvalidParameterValue");
}

TEST_CASE("sqs fifo: an expired handle deletes nothing") {
  Bench b;
  auto url = b.create("q.fifo");
  b.send_fifo(url, "x", "g", "1");
  auto got = b.receive(url);
  b.pass(30s);
  CHECK(b.code("DeleteMessage", model::DeleteMessageRequest().set_queue_url(url).set_receipt_handle(
                                    std::string(*got[0].receipt_handle()))) ==
        "InvalidParameterValue");
  CHECK(b.bodies(url) == "x");
}
