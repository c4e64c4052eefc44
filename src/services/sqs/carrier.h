// Carrier: brings effects of ended invocations that are not messages for queues to their services,
// each once, in the order of the commits that made them.
//
//   prepare ─► row held/SEQ/ID, in the invocation's commit ─► take ─► perform, at the service
//                     ▲                                                     │ done, and noted there
//                     └── after a start: those rows that are left     the row goes ─► the note goes
//
// The row goes before the note, each on the disk: whatever happens in between, an effect is asked
// for again only while its note is there. One that fails (a full disk) is asked for again after a
// second, by platform time; those behind it go on.
//
// Loop thread. close() before the services' stores go.
#pragma once

#include <deque>
#include <map>
#include <string>

#include "base/random.h"
#include "events/effects.h"
#include "io/park.h"
#include "store/store.h"

namespace mayfly::services::sqs {

class Carrier {
 public:
  Carrier(io::Loop& loop, store::Store& store, Random& random)
      : loop_(loop), store_(store), random_(random), retry_(loop), tasks_(loop) {}

  // What an earlier process has left.
  Result<> load();
  // `target` outlives close().
  void add(std::string service, events::EffectsTarget& target) {
    lanes_[std::move(service)].target = &target;
  }
  // When all targets are there.
  void start();

  struct Item {
    std::string service;
    std::string key;  // of its row
    std::string id;
  };
  // Rows for these, in `batch`; take() once they are stored.
  std::vector<Item> prepare(std::vector<events::HeldEffect> effects, store::Batch& batch);
  void take(std::vector<Item> items);
  std::size_t waiting() const;

  // Begins nothing more; what is left is done after the next start.
  void stop();
  io::Task<void> close();

 private:
  struct Lane {
    events::EffectsTarget* target = nullptr;
    std::deque<Item> items;
    bool running = false;
  };
  void run(Lane& lane);
  io::Task<void> carry(Lane& lane);
  io::Task<void> round(Lane& lane, bool& all_done);
  io::Task<void> perform(Lane& lane, Item item, bool& done);
  io::Task<void> forget_strays(std::string service, Lane& lane);
  io::Task<void> pause();

  io::Loop& loop_;
  store::Store& store_;
  Random& random_;
  std::uint64_t next_seq_ = 1;
  std::map<std::string, Lane> lanes_;  // by service; one that is there stays
  bool started_ = false;
  io::ParkingLot retry_;
  io::TaskScope tasks_;
};

}  // namespace mayfly::services::sqs
