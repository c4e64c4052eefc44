// Slots: numbers from 0 that are in use one at a time, the least free one next; and SlotUsers: the
// user namespace of each, which is kept for whoever has the slot next, but not of every slot there
// has ever been: a descriptor and the kernel's memory hang on it.
//
// Of the launcher. No threads.
#pragma once

#include <functional>
#include <optional>
#include <set>
#include <vector>

#include "base/result.h"
#include "io/fd.h"

namespace mayfly::sandbox {

class Slots {
 public:
  explicit Slots(unsigned limit) : limit_(limit) {}
  std::optional<unsigned> take() {
    if (free_.empty()) return next_ < limit_ ? std::optional(next_++) : std::nullopt;
    return free_.extract(free_.begin()).value();
  }
  void give_back(unsigned slot) { free_.insert(slot); }

 private:
  unsigned limit_;
  unsigned next_ = 0;
  std::set<unsigned> free_;
};

class SlotUsers {
 public:
  // `kept`: so many of slots that are free.
  SlotUsers(std::function<Result<io::Fd>(unsigned slot)> make, std::size_t kept)
      : make_(std::move(make)), kept_(kept) {}

  // The slot is in use from now on.
  Result<int> take(unsigned slot) {
    if (slot >= users_.size()) users_.resize(slot + 1);
    if (users_[slot]) {
      resting_.erase(slot);
    } else {
      TRY_ASSIGN(users_[slot], make_(slot));
    }
    return users_[slot].get();
  }
  void give_back(unsigned slot) {
    resting_.insert(slot);
    if (resting_.size() <= kept_) return;
    auto last = std::prev(resting_.end());  // its turn comes last
    users_[*last].reset();
    resting_.erase(last);
  }
  int of(unsigned slot) const { return users_[slot].get(); }

 private:
  std::function<Result<io::Fd>(unsigned)> make_;
  std::size_t kept_;
  std::vector<io::Fd> users_;
  std::set<unsigned> resting_;  // free slots that have one
};

}  // namespace mayfly::sandbox
