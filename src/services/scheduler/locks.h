// KeyLocks: one change of a thing at a time, each beginning from what the one before has left.
//
// Loop thread. Outlives what it handed out.
#pragma once

#include <functional>
#include <set>
#include <string>

#include "io/park.h"

namespace mayfly::services::scheduler {

class KeyLocks {
 public:
  class Held {
   public:
    Held(Held&& other) noexcept
        : locks_(std::exchange(other.locks_, nullptr)), key_(std::move(other.key_)) {}
    Held& operator=(Held&&) = delete;
    ~Held() {
      if (locks_ != nullptr) locks_->give(key_);
    }

   private:
    friend class KeyLocks;
    Held(KeyLocks& locks, std::string key) : locks_(&locks), key_(std::move(key)) {}
    KeyLocks* locks_;
    std::string key_;
  };

  explicit KeyLocks(io::Loop& loop) : freed_(loop) {}

  bool held(const std::string& key) const { return held_.contains(key); }
  // Only where it is not held.
  Held take_now(std::string key) {
    held_.insert(key);
    return {*this, std::move(key)};
  }
  io::Task<Held> take(std::string key) {
    while (held(key)) co_await freed_.park();
    co_return take_now(std::move(key));
  }
  // Until some lock is given back.
  io::ParkingLot::Awaiter change() { return freed_.park(); }
  // Called after a lock is given back; to be set before the first is taken.
  std::function<void()> on_given;

 private:
  void give(const std::string& key) {
    held_.erase(key);
    freed_.wake_all();
    if (on_given) on_given();
  }

  std::set<std::string> held_;
  io::ParkingLot freed_;
};

}  // namespace mayfly::services::scheduler
