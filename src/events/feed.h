// Feed: what is pulled from. Items are taken, and then acknowledged or given back; one that is
// neither comes back by itself after a time of the feed's own (a queue's visibility timeout).
//
// Loop thread. A Feed outlives whoever watches it.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "events/effects.h"
#include "io/task.h"

namespace mayfly::events {

struct Item {
  std::string handle;         // what acknowledges it
  std::string id;             // what a function names it by in its answer
  std::string record;         // JSON, as functions get it
  std::string body;           // of the record, for filters
  std::string trace_header;   // or empty
  std::int64_t until_ms = 0;  // platform time; comes back then, unless acknowledged
};

struct Taken {
  std::vector<Item> items;
  bool more = false;  // there may be more: the count was reached, or the next one did not fit
};

class Feed {
 public:
  virtual ~Feed() = default;
  // Items that are there now, up to `most`, whose records and the commas between them have
  // `max_bytes` at the most. Items whose order matters are not there while earlier ones are taken.
  virtual Result<Taken> take(std::size_t most, std::size_t max_bytes) = 0;
  // Keeps a taken item away from others for as long again as when it was taken; until when. An
  // Error: it is nobody's any more, or somebody else's.
  virtual Result<std::int64_t> extend(std::string_view handle) = 0;
  // Durable.
  virtual io::Task<Result<>> acknowledge(std::vector<std::string> handles) = 0;
  // For an invocation whose effects are to be held back: committed with items of this feed.
  // nullptr: this feed cannot.
  virtual std::shared_ptr<Effects> begin() { return nullptr; }
  // Called, on the loop, when items may be there.
  virtual std::uint64_t watch(std::function<void()> arrival) = 0;
  virtual void unwatch(std::uint64_t id) = 0;
};

}  // namespace mayfly::events
