// What functions with exactly-once effects publish: held back, then published once.
#include "services/sns/effects.h"

#include "services/sns/fixture_test.h"
#include "sim/held_effects.h"

using namespace mayfly;
using namespace mayfly::services::sns;
using test::Bench;

namespace {

struct Holding : Bench {
  Holding() {
    from_function = true;
    board.open(InstanceId("i-1"), effects);
  }
  Result<> perform(std::string id, std::string record) {
    auto done = loop.run_until(house->effects().perform(std::move(id), std::move(record)));
    settle();
    return done;
  }
  std::shared_ptr<sim::HeldEffects> effects = std::make_shared<sim::HeldEffects>();
};

}  // namespace

TEST_CASE("sns effects: a message is held back with its id, and published once") {
  Holding bench;
  auto topic = bench.create("t");
  bench.raw(topic, "q");
  auto sent = bench.publish(topic, "one");
  CHECK(bench.queues.taken.empty());
  CHECK(bench.rows("msg/") == 0);
  REQUIRE(bench.effects->held.size() == 1);
  auto record = bench.effects->held[0].record;
  CHECK(bench.effects->held[0].service == "sns");
  REQUIRE(bench.perform("e1", record));
  REQUIRE(bench.perform("e1", record));
  bench.restart();
  REQUIRE(bench.perform("e1", record));
  CHECK(bench.queues.bodies() == "one");
  CHECK(bench.steps["published"] == 1);
  CHECK(*bench.house->effects().performed() == std::vector<std::string>{"e1"});
  bench.loop.run_until(bench.house->effects().forget({"e1"}));
  CHECK(bench.house->effects().performed()->empty());

  bench.subscribe(topic, "sqs", Bench::queue("document"));
  auto again = bench.publish(topic, "two");
  REQUIRE(bench.perform("e2", bench.effects->held[1].record));
  REQUIRE(bench.queues.taken.size() == 3);
  bool told = false;
  for (const auto& one : bench.queues.taken) {
    told = told || one.payload.find(*again.message_id()) != one.payload.npos;
  }
  CHECK(told);
}

TEST_CASE("sns effects: batches and topics with order; sequence numbers come later") {
  Holding bench;
  auto topic = bench.create("t.fifo");
  bench.raw(topic, "q.fifo");
  auto sent = bench.publish_fifo(topic, "one", "g", "d");
  CHECK(sent.message_id());
  CHECK_FALSE(sent.sequence_number());
  model::PublishBatchRequestEntry entry;
  entry.set_id("1").set_message("two").set_message_group_id("g").set_message_deduplication_id("e");
  auto out = bench.ok<model::PublishBatchResponse>(
      "PublishBatch",
      model::PublishBatchInput().set_topic_arn(topic).set_publish_batch_request_entries({entry}));
  REQUIRE(out.successful().size() == 1);
  CHECK_FALSE(out.successful()[0].sequence_number());
  REQUIRE(bench.effects->held.size() == 2);
  REQUIRE(bench.perform("e1", bench.effects->held[0].record));
  REQUIRE(bench.perform("e2", bench.effects->held[1].record));
  // Repeated within five minutes, and deduplicated as one that is published at once.
  bench.publish_fifo(topic, "one", "g", "d");
  REQUIRE(bench.perform("e3", bench.effects->held[2].record));
  CHECK(bench.queues.bodies() == "one two");
}

TEST_CASE("sns effects: no more than fit; other environments and deleted topics") {
  Holding bench;
  auto topic = bench.create("t");
  bench.raw(topic, "q");
  bench.publish(topic, "one");
  bench.effects->full = true;
  CHECK(bench.error("Publish", Bench::message(topic, "x")).starts_with("InvalidParameter"));
  bench.board.close(InstanceId("i-1"));
  bench.publish(topic, "at once");
  CHECK(bench.queues.bodies() == "at once");
  bench.disk.fail_writes_with = Error{ErrorKind::unavailable, "the disk is full", {}};
  CHECK_FALSE(bench.perform("e1", bench.effects->held[0].record));
  bench.disk.fail_writes_with.reset();
  bench.done("DeleteTopic", model::DeleteTopicInput().set_topic_arn(topic));
  CHECK(bench.perform("e1", bench.effects->held[0].record));
  CHECK(bench.perform("e1", "nothing that can be read"));
  CHECK(bench.queues.bodies() == "at once");
}
