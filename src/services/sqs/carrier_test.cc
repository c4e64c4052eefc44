#include "services/sqs/carrier.h"

#include "services/sqs/feed.h"
#include "services/sqs/fixture_test.h"
#include "services/sqs/staging.h"
#include "store/once.h"

using namespace mayfly;
using namespace mayfly::services::sqs;
using test::Bench;
using namespace std::chrono_literals;

namespace {

// A service with a store of its own, in which each effect is a row beside its note.
struct FakeService final : events::EffectsTarget {
  explicit FakeService(io::Loop& loop) : disk(loop), once(disk, "once"), gate(loop) { gate.set(); }
  io::Task<Result<>> perform(std::string id, std::string record) override {
    ++asked;
    co_await gate.wait();
    if (refuse) co_return fail(ErrorKind::throttled, "too much waits");
    CO_TRY_ASSIGN(bool done, once.done(id));
    if (done) co_return Result<>{};
    store::Batch batch;
    once.note(id, batch);
    batch.puts.push_back({"did/" + id, record});
    CO_TRY(co_await disk.commit(std::move(batch)));
    did.push_back(std::move(record));
    co_return Result<>{};
  }
  Result<std::vector<std::string>> performed() override { return once.all(); }
  io::Task<void> forget(std::vector<std::string> ids) override {
    if (!forgetful) return once.forget(std::move(ids));
    return nothing();
  }
  static io::Task<void> nothing() { co_return; }
  std::size_t rows() { return disk.scan("did/", "", 100)->size(); }

  sim::MemoryStore disk;
  store::Once once;
  io::Event gate;
  bool refuse = false;
  bool forgetful = false;
  int asked = 0;
  std::vector<std::string> did;
};

struct Carrying {
  Carrying() : service(b.loop) { start(); }
  void start() {
    b.queues->carrier().add("fake", service);
    b.queues->carrier().start();
    b.loop.run_ready();
  }
  void restart() {
    b.restart();
    start();
  }
  Result<> commit(std::vector<std::string> records) {
    std::vector<events::HeldEffect> held;
    for (auto& one : records) held.push_back({"fake", std::move(one)});
    auto effects = b.queues->stage(nullptr);
    TRY(effects->hold(std::move(held)));
    auto done = b.loop.run_until(effects->commit({}, {}, {}));
    b.loop.run_ready();
    return done;
  }
  std::size_t held() { return b.disk.scan("held/", "", 100)->size(); }

  Bench b;
  FakeService service;
};

}  // namespace

TEST_CASE("sqs carrier: what is committed is done once, in its order, and leaves nothing") {
  Carrying c;
  auto uncommitted = c.b.queues->stage(nullptr);
  REQUIRE(uncommitted->hold({{"fake", "never"}}));
  uncommitted.reset();
  REQUIRE(c.commit({"1", "2", "3"}));
  REQUIRE(c.commit({"4"}));
  CHECK(c.service.did == std::vector<std::string>{"1", "2", "3", "4"});
  CHECK(c.held() == 0);
  CHECK(c.service.once.all()->empty());
  CHECK(c.b.queues->carrier().waiting() == 0);
  c.restart();
  CHECK(c.service.asked == 4);
}

TEST_CASE("sqs carrier: effects go with the deletion of the message, or not at all") {
  Carrying c;
  auto url = c.b.create("source", {{"VisibilityTimeout", "30"}});
  c.b.send(url, "in");
  auto feed = source_of(*c.b.queues, c.b.arn("source")).feed;
  auto taken = *feed->take(10, SIZE_MAX);
  auto late = feed->begin();
  REQUIRE(late->hold({{"fake", "late"}}));
  c.b.pass(30s);
  CHECK(c.b.loop.run_until(late->commit({taken.items[0].handle}, {}, {})).error().kind ==
        ErrorKind::conflict);
  taken = *feed->take(10, SIZE_MAX);
  auto effects = feed->begin();
  REQUIRE(effects->hold({{"fake", "out"}}));
  c.b.disk.fail_writes_with = Error{ErrorKind::unavailable, "the disk is full", {}};
  CHECK_FALSE(c.b.loop.run_until(effects->commit({taken.items[0].handle}, {}, {})));
  c.b.disk.fail_writes_with.reset();
  c.b.loop.run_ready();
  CHECK(c.service.did.empty());
  taken = *feed->take(10, SIZE_MAX);
  REQUIRE(taken.items.size() == 1);
  effects = feed->begin();
  REQUIRE(effects->hold({{"fake", "out"}}));
  REQUIRE(c.b.loop.run_until(effects->commit({taken.items[0].handle}, {}, {})));
  c.b.loop.run_ready();
  CHECK(c.service.did == std::vector<std::string>{"out"});
  CHECK(c.b.counts(url) == "0/0/0");
}

TEST_CASE("sqs carrier: a service that cannot now is asked again, and after a restart") {
  Carrying c;
  c.service.refuse = true;
  REQUIRE(c.commit({"1"}));
  CHECK(c.service.asked == 1);
  CHECK(c.held() == 1);
  c.b.pass(1s);
  CHECK(c.service.asked == 2);
  c.restart();
  CHECK(c.service.asked == 3);
  REQUIRE(c.commit({"2"}));
  c.service.refuse = false;
  c.b.pass(1s);
  CHECK(c.service.did == std::vector<std::string>{"1", "2"});
  CHECK(c.held() == 0);
}

TEST_CASE("sqs carrier: whenever it is cut off, nothing is done twice and no note is left") {
  Carrying c;
  SUBCASE("it was done, and its row is still there") {
    c.service.gate.reset();
    REQUIRE(c.commit({"1"}));
    c.b.disk.fail_writes_with = Error{ErrorKind::unavailable, "the disk is full", {}};
    c.service.gate.set();
    c.b.loop.run_ready();
    c.b.disk.fail_writes_with.reset();
    CHECK(c.service.rows() == 1);
    CHECK(c.held() == 1);
    c.restart();
    CHECK(c.service.asked == 2);
  }
  SUBCASE("its row is gone, and the note is still there") {
    c.service.forgetful = true;
    REQUIRE(c.commit({"1"}));
    CHECK(c.service.once.all()->size() == 1);
    c.service.forgetful = false;
    c.restart();
    CHECK(c.service.asked == 1);
  }
  CHECK(c.service.rows() == 1);
  CHECK(c.held() == 0);
  CHECK(c.service.once.all()->empty());
}

TEST_CASE("sqs carrier: what one invocation has held counts with its sends") {
  Carrying c;
  auto effects = c.b.queues->stage(nullptr);
  std::vector<events::HeldEffect> many(limits::once_staged_messages, {"fake", "x"});
  REQUIRE(effects->hold(many));
  CHECK(effects->hold({{"fake", "x"}}).error().kind == ErrorKind::too_large);
  auto other = c.b.queues->stage(nullptr);
  REQUIRE(other->hold({{"fake", std::string(limits::once_staged_bytes, 'x')}}));
  CHECK(other->hold({{"fake", "x"}}).error().kind == ErrorKind::too_large);
  auto url = c.b.create("q");
  auto staging = std::dynamic_pointer_cast<Staging>(other);
  Message message;
  message.body = "x";
  CHECK(staging->stage(c.b.queues->find(c.b.arn("q")), {message}).error().kind ==
        ErrorKind::too_large);
}
