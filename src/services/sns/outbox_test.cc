// The Outbox by itself: its bounds.
#include "services/sns/fixture_test.h"

using namespace mayfly;
using namespace mayfly::services::sns;

namespace {

struct Alone {
  explicit Alone(std::size_t most, std::size_t cached_bytes)
      : loop(clock),
        disk(loop),
        outbox({.loop = loop,
                .store = disk,
                .deliver = [this](std::shared_ptr<const Message> message, std::uint64_t to,
                                  std::int64_t) { return deliver(std::move(message), to); },
                .rate = [](std::uint64_t) { return std::int64_t{0}; },
                .most = most,
                .cached_bytes = cached_bytes}) {
    outbox.start();
  }
  ~Alone() { loop.run_until(outbox.close()); }
  io::Task<Verdict> deliver(std::shared_ptr<const Message> message, std::uint64_t) {
    if (busy) co_return Verdict{.done = false, .again_after_ms = 1000};
    bodies.push_back(message->body);
    co_return Verdict{};
  }
  Result<> put(std::uint64_t seq, std::string body, std::vector<std::uint64_t> to) {
    Message message;
    message.seq = seq;
    message.topic_arn = "arn:aws:sns:us-east-1:123456789012:t";
    message.body = std::move(body);
    std::vector<Outbox::Addressed> one;
    one.push_back({std::move(message), std::move(to)});
    auto out = loop.run_until(outbox.put(std::move(one), {}));
    loop.run_ready();
    return out;
  }

  sim::ManualClock clock;
  io::Loop loop;
  sim::MemoryStore disk;
  Outbox outbox;
  bool busy = false;
  std::vector<std::string> bodies;
};

}  // namespace

TEST_CASE("outbox: so many deliveries wait, and no more") {
  Alone alone(3, 1 << 20);
  alone.busy = true;
  CHECK(alone.put(1, "a", {1, 2}));
  CHECK(alone.put(2, "b", {3}));
  CHECK(alone.put(3, "c", {1}).error().kind == ErrorKind::throttled);
  CHECK(alone.put(4, "nobody", {}));
  alone.busy = false;
  alone.clock.advance(std::chrono::seconds(1));
  alone.loop.run_ready();
  CHECK(alone.outbox.waiting() == 0);
  CHECK(alone.put(5, "d", {1, 2, 3}));
  CHECK(alone.bodies.size() == 6);
  alone.loop.run_ready();
  CHECK(alone.disk.scan("", "", 10)->empty());
}

TEST_CASE("outbox: what there is no memory for is read from the store") {
  Alone alone(10, 0);
  CHECK(alone.put(1, "a", {1, 2}));
  CHECK(alone.bodies == std::vector<std::string>{"a", "a"});
}
