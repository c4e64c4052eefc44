#include "services/sqs/staging.h"

#include "services/sqs/feed.h"
#include "services/sqs/fixture_test.h"

using namespace mayfly;
using namespace mayfly::services::sqs;
using test::Bench;
using namespace std::chrono_literals;

namespace {

Message text(std::string body) {
  Message out;
  out.body = std::move(body);
  return out;
}

// A source with one message that was taken, and what it is passed on to.
struct Passing {
  Passing() {
    source_url = b.create("source", {{"VisibilityTimeout", "30"}});
    target_url = b.create("target");
    b.send(source_url, "in");
    feed = source_of(*b.queues, b.arn("source")).feed;
    taken = *feed->take(10, SIZE_MAX);
    REQUIRE(taken.items.size() == 1);
    effects = feed->begin();
    staging = std::dynamic_pointer_cast<Staging>(effects);
    REQUIRE(staging);
  }
  std::shared_ptr<Queue> target() { return b.queues->find(b.arn("target")); }
  Result<> commit() { return b.loop.run_until(effects->commit({taken.items[0].handle}, {}, {})); }

  Bench b;
  std::string source_url;
  std::string target_url;
  std::shared_ptr<events::Feed> feed;
  events::Taken taken;
  std::shared_ptr<events::Effects> effects;
  std::shared_ptr<Staging> staging;
};

}  // namespace

TEST_CASE("sqs staging: nothing is sent before the commit, and then all with the deletion") {
  Passing p;
  auto sent = p.staging->stage(p.target(), {text("one"), text("two")});
  REQUIRE(sent);
  CHECK(sent->at(0).id.size() == 36);
  CHECK(p.b.counts(p.target_url) == "0/0/0");
  CHECK(p.b.counts(p.source_url) == "0/1/0");
  REQUIRE(p.commit());
  CHECK(p.b.counts(p.source_url) == "0/0/0");
  auto got = p.b.receive(p.target_url);
  REQUIRE(got.size() == 2);
  CHECK((*got[0].message_id() == sent->at(0).id || *got[1].message_id() == sent->at(0).id));
  p.b.restart();
  CHECK(p.b.counts(p.source_url) == "0/0/0");
  CHECK(p.b.counts(p.target_url) == "2/0/0");
}

TEST_CASE("sqs staging: what is not committed never was") {
  Passing p;
  REQUIRE(p.staging->stage(p.target(), {text("one")}));
  p.staging.reset();
  p.effects.reset();
  CHECK(p.b.counts(p.target_url) == "0/0/0");
  p.b.restart();
  CHECK(p.b.counts(p.target_url) == "0/0/0");
  CHECK(p.b.counts(p.source_url) == "1/0/0");
}

TEST_CASE("sqs staging: nothing is done for a message that somebody else has by now") {
  Passing p;
  REQUIRE(p.staging->stage(p.target(), {text("one")}));
  p.b.pass(30s);
  auto done = p.commit();
  REQUIRE_FALSE(done);
  CHECK(done.error().kind == ErrorKind::conflict);
  CHECK(p.b.counts(p.target_url) == "0/0/0");
  CHECK(p.b.counts(p.source_url) == "1/0/0");
}

TEST_CASE("sqs staging: a commit that is not stored did nothing, and the message comes back") {
  Passing p;
  REQUIRE(p.staging->stage(p.target(), {text("one")}));
  p.b.disk.fail_writes_with = Error{ErrorKind::unavailable, "the disk is full", {}};
  CHECK_FALSE(p.commit());
  p.b.disk.fail_writes_with.reset();
  CHECK(p.b.counts(p.target_url) == "0/0/0");
  CHECK(p.b.bodies(p.source_url) == "in");
}

TEST_CASE("sqs staging: a queue with order deduplicates when it is sent") {
  Passing p;
  auto url = p.b.create("ordered.fifo");
  p.b.send_fifo(url, "before", "g", "d1");
  auto queue = p.b.queues->find(p.b.arn("ordered.fifo"));
  Message again = text("again");
  again.group = "g";
  again.deduplication = "d1";
  Message fresh = text("fresh");
  fresh.group = "g";
  fresh.deduplication = "d2";
  REQUIRE(p.staging->stage(queue, {again, fresh}));
  REQUIRE(p.commit());
  CHECK(p.b.bodies(url) == "before fresh");
}

TEST_CASE("sqs staging: what one invocation may send is bounded") {
  Passing p;
  std::vector<Message> many(limits::once_staged_messages, text("x"));
  REQUIRE(p.staging->stage(p.target(), many));
  auto more = p.staging->stage(p.target(), {text("x")});
  REQUIRE_FALSE(more);
  CHECK(more.error().kind == ErrorKind::too_large);
}

TEST_CASE("sqs staging: an event that was done is known for a day") {
  Bench b;
  StagedSends ledger({b.loop, b.disk, b.random, b.queues->carrier()});
  auto url = b.create("target");
  auto effects = ledger.begin();
  auto staging = std::dynamic_pointer_cast<Staging>(effects);
  REQUIRE(staging->stage(b.queues->find(b.arn("target")), {text("one")}));
  CHECK_FALSE(*ledger.done("event-1"));
  REQUIRE(b.loop.run_until(effects->commit({}, "event-1", R"({"answer": 1})")));
  CHECK(b.counts(url) == "1/0/0");
  auto done = ledger.done("event-1");
  REQUIRE(done);
  REQUIRE(*done);
  CHECK(**done == R"({"answer": 1})");
  b.pass(23h);
  ledger.begin();
  b.loop.run_ready();
  CHECK(*ledger.done("event-1"));
  b.pass(2h);
  ledger.begin();
  b.loop.run_ready();
  CHECK_FALSE(*ledger.done("event-1"));
  b.loop.run_until(ledger.close());
}

TEST_CASE("sqs staging: the sends of an environment whose effects are held are staged") {
  Passing p;
  events::EffectsBoard board;
  board.open(InstanceId("i-1"), p.effects);
  p.b.service = make_sqs_service({p.b.loop, *p.b.queues, &board});
  p.b.instance = "i-1";
  auto sent = p.b.send(p.target_url, "out");
  CHECK(sent.message_id());
  p.b.instance = "i-2";
  p.b.send(p.target_url, "at once");
  p.b.instance.clear();
  CHECK(p.b.counts(p.target_url) == "1/0/0");
  board.close(InstanceId("i-1"));
  REQUIRE(p.commit());
  CHECK(p.b.counts(p.target_url) == "2/0/0");
}
