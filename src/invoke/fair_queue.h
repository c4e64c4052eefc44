// FairQueue: whose turn is next, among items of several owners: each owner's turns cost the same in
// the long run, however many it asks for (start-time fair queueing). Owners that come back after a
// rest begin with the present: no claims are saved up. Within an owner items take turns.
//
// Holds pointers; an item is in it once, until taken.
#pragma once

#include <algorithm>
#include <cstddef>
#include <deque>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>

namespace mayfly::invoke {

template <class Item>
class FairQueue {
 public:
  bool empty() const { return ready_.empty(); }
  void add(const std::string& owner, Item* item) {
    auto [at, fresh] = owners_.try_emplace(owner);
    Owner& one = at->second;
    if (one.items.empty()) {
      one.time = std::max(one.time, now_);
      one.number = ++numbered_;
      ready_.insert({one.key(), &one});
    }
    one.items.push_back(item);
    if (fresh) forget_rested();
  }
  // Whose turn it is, of those that may(item). Null: none may.
  template <class May>
  Item* next(const May& may) const {
    for (const auto& [key, owner] : ready_) {
      auto found = std::ranges::find_if(owner->items, may);
      if (found != owner->items.end()) return *found;
    }
    return nullptr;
  }
  // It has had its turn.
  void take(const std::string& name, Item* item, double cost) {
    Owner& owner = owners_.find(name)->second;
    ready_.erase({owner.key(), &owner});
    std::erase(owner.items, item);
    now_ = std::max(now_, owner.time);
    owner.time += cost;
    owner.number = ++numbered_;
    if (!owner.items.empty()) ready_.insert({owner.key(), &owner});
  }
  template <class Look>
  void each(const Look& look) const {
    for (const auto& [key, owner] : ready_) {
      for (Item* item : owner->items) look(item);
    }
  }
  void clear() {
    ready_.clear();
    owners_.clear();
  }

 private:
  struct Owner {
    double time = 0;         // what its turns have cost
    std::size_t number = 0;  // between equals, who waits longest
    std::deque<Item*> items;
    std::pair<double, std::size_t> key() const { return {time, number}; }
  };

  // Those behind the present would begin with it anyway.
  void forget_rested() {
    if (owners_.size() < owners_kept) return;
    std::erase_if(owners_, [this](const auto& entry) {
      return entry.second.items.empty() && entry.second.time <= now_;
    });
  }

  static constexpr std::size_t owners_kept = 4'096;
  std::unordered_map<std::string, Owner> owners_;  // their addresses stay
  std::set<std::pair<std::pair<double, std::size_t>, Owner*>> ready_;
  double now_ = 0;
  std::size_t numbered_ = 0;
};

}  // namespace mayfly::invoke
