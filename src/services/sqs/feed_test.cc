#include "services/sqs/feed.h"

#include "services/sqs/fixture_test.h"
#include "wire/json.h"

using namespace mayfly;
using namespace mayfly::services::sqs;
using test::Bench;
using namespace std::chrono_literals;

TEST_CASE("sqs feed: messages as the records that functions get") {
  Bench b;
  auto url = b.create("q.fifo", {{"VisibilityTimeout", "60"}});
  b.send_fifo(url, "say \"hi\"", "g", "d");
  auto source = source_of(*b.queues, b.arn("q.fifo"));
  REQUIRE(source.feed);
  CHECK(source.ordered);
  CHECK(source.hidden_seconds == 60);
  auto taken = source.feed->take(10, SIZE_MAX);
  REQUIRE(taken);
  REQUIRE(taken->items.size() == 1);
  CHECK_FALSE(taken->more);
  const auto& item = taken->items[0];
  CHECK(item.until_ms == epoch_millis(b.clock.platform()) + 60'000);
  auto record = wire::parse_json(item.record);
  REQUIRE(record);
  CHECK(record->string_or("messageId") == item.id);
  CHECK(record->string_or("receiptHandle") == item.handle);
  CHECK(record->string_or("body") == "say \"hi\"");
  CHECK(record->string_or("eventSource") == "aws:sqs");
  CHECK(record->string_or("eventSourceARN") == b.arn("q.fifo"));
  CHECK(record->string_or("awsRegion") == "us-east-1");
  CHECK(record->find("attributes")->string_or("MessageGroupId") == "g");
  CHECK(record->find("attributes")->string_or("ApproximateReceiveCount") == "1");
  CHECK(record->find("messageAttributes")->is_object());
  REQUIRE(b.loop.run_until(source.feed->acknowledge({item.handle})));
  CHECK(b.counts(url) == "0/0/0");
  CHECK_FALSE(source_of(*b.queues, b.arn("none")).there);
}

TEST_CASE("sqs feed: a queue of the name that is made later is the feed's") {
  Bench b;
  auto feed = source_of(*b.queues, b.arn("q")).feed;
  int arrivals = 0;
  auto id = feed->watch([&] { ++arrivals; });
  CHECK(feed->take(10, SIZE_MAX)->items.empty());
  auto url = b.create("q");
  b.send(url, "one");
  CHECK(arrivals > 0);
  auto taken = feed->take(10, SIZE_MAX);
  REQUIRE(taken->items.size() == 1);
  b.done("DeleteQueue", model::DeleteQueueRequest().set_queue_url(url));
  CHECK(b.loop.run_until(feed->acknowledge({taken->items[0].handle})).error().kind ==
        ErrorKind::not_found);
  b.pass(61s);
  url = b.create("q");
  arrivals = 0;
  b.send(url, "two");
  CHECK(arrivals > 0);
  CHECK(feed->take(10, SIZE_MAX)->items[0].body == "two");
  feed->unwatch(id);
  arrivals = 0;
  b.send(url, "three");
  CHECK(arrivals == 0);
}

TEST_CASE("sqs feed: what does not fit stays as if it had not been looked at") {
  Bench b;
  auto url = b.create("q");
  for (int i = 0; i < 3; ++i) b.send(url, std::string(1000, 'x'));
  auto feed = source_of(*b.queues, b.arn("q")).feed;
  auto taken = feed->take(10, 3200);
  REQUIRE(taken);
  CHECK(taken->items.size() == 2);
  CHECK(taken->more);
  CHECK(b.counts(url) == "1/2/0");
  auto got = b.receive(url);
  REQUIRE(got.size() == 1);
  CHECK(Bench::system(got[0], "ApproximateReceiveCount") == "1");
}

TEST_CASE("sqs feed: its watcher hears of everything that makes a message visible") {
  Bench b;
  auto url = b.create("q.fifo");
  auto feed = source_of(*b.queues, b.arn("q.fifo")).feed;
  int heard = 0;
  auto id = feed->watch([&heard] { ++heard; });
  auto hears = [&heard] { return std::exchange(heard, 0) > 0; };
  b.send_fifo(url, "1", "g", "1");
  CHECK(hears());
  auto first = feed->take(1, SIZE_MAX);
  b.send_fifo(url, "2", "g", "2");
  CHECK_FALSE(hears());  // its group is locked
  REQUIRE(b.loop.run_until(feed->acknowledge({first->items[0].handle})));
  CHECK(hears());
  CHECK(feed->take(1, SIZE_MAX)->items.size() == 1);
  b.pass(30s);
  CHECK(hears());
  feed->unwatch(id);
  b.send_fifo(url, "3", "other", "3");
  CHECK_FALSE(hears());
}

TEST_CASE("sqs feed: an old handle does not acknowledge what came back to a FIFO queue") {
  Bench b;
  auto url = b.create("q.fifo");
  b.send_fifo(url, "1", "g", "1");
  auto feed = source_of(*b.queues, b.arn("q.fifo")).feed;
  auto taken = feed->take(1, SIZE_MAX);
  b.pass(30s);
  REQUIRE(b.loop.run_until(feed->acknowledge({taken->items[0].handle})));
  CHECK(b.counts(url) == "1/0/0");
}
