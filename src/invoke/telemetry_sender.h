// TelemetrySender: one subscription: keeps its events until enough of them or enough time has come
// together, and delivers them to a server inside the jail. At least once: what was not acknowledged
// is sent again, after a while. What comes while the buffer is full is dropped, counted, and told
// of by a platform.logsDropped event.
//
// Owned by TelemetryFeed; loop thread; close() before destruction.
#pragma once

#include <deque>
#include <string>
#include <vector>

#include "invoke/telemetry_subscription.h"
#include "io/fd.h"

namespace mayfly::invoke {

class TelemetrySender {
 public:
  // `socket`: unconnected, of the jail's network.
  TelemetrySender(io::Loop& loop, Subscription subscription, io::Fd socket);
  TelemetrySender(const TelemetrySender&) = delete;
  TelemetrySender& operator=(const TelemetrySender&) = delete;

  const Subscription& subscription() const { return subscription_; }
  // The same extension has subscribed anew: what is buffered goes to the new destination.
  void replace(Subscription subscription);
  // One event: {"time":…,"type":…,"record":…}
  void add(std::string event);
  // What is buffered is sent now.
  void flush();
  // Gives up what has not been delivered.
  io::Task<void> close();

  std::size_t buffered() const { return events_.size(); }

 private:
  struct Batch {
    std::vector<std::string> events;
    std::size_t bytes = 0;
  };
  io::Task<void> run();
  io::Task<io::Wake> wait_for_batch(std::stop_token stop);
  Batch take();
  io::Task<Result<>> deliver(const Batch& batch);
  io::Task<Result<>> connect();
  io::Task<Result<>> post(std::string_view body);
  bool is_full() const;

  io::Loop& loop_;
  Subscription subscription_;
  io::Fd socket_;
  std::optional<io::Stream> stream_;
  std::deque<std::string> events_;
  std::size_t bytes_ = 0;
  MonoTime first_at_{};  // when the oldest event came
  bool flushing_ = false;
  bool delivering_ = false;
  std::size_t dropped_records_ = 0;
  std::size_t dropped_bytes_ = 0;
  io::ParkingLot changed_;
  io::TaskScope tasks_;
};

}  // namespace mayfly::invoke
