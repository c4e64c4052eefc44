#include "services/sqs/feed.h"
#include "services/sqs/fixture_test.h"

using namespace mayfly;
using namespace mayfly::services::sqs;
using test::Bench;

TEST_CASE("sqs counts: messages sent, received and deleted, and receives of nothing") {
  Bench b;
  auto url = b.create("q");
  CHECK(b.receive(url).empty());
  for (int i = 0; i < 3; ++i) b.send(url, "x");
  auto got = b.receive(url, 2);
  for (const auto& one : got) b.remove(url, one);
  using Steps = std::map<std::string, std::size_t>;
  std::size_t left = 3 - got.size();
  CHECK(b.steps == Steps{{"q sent", 3},
                         {"q received", got.size()},
                         {"q deleted", got.size()},
                         {"q empty_receive", 1}});
  auto feed = source_of(*b.queues, b.arn("q")).feed;
  auto taken = *feed->take(10, SIZE_MAX);
  CHECK(taken.items.size() == left);
  auto effects = feed->begin();
  for (const auto& one : taken.items) {
    REQUIRE(b.loop.run_until(
        b.queues->stage(b.queues->find(b.arn("q")))->commit({one.handle}, {}, {})));
  }
  CHECK(b.steps["q received"] == 3);
  CHECK(b.steps["q deleted"] == 3);
  CHECK(b.steps["q empty_receive"] == 1);
  b.disk.fail_writes_with = Error{ErrorKind::unavailable, "the disk is full", {}};
  CHECK(b.code("SendMessage", Bench::message(url, "x")) != "(success)");
  CHECK(b.steps["q sent"] == 3);
}
