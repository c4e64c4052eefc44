// PatternSet: many event patterns compiled into one structure, so that the cost of an event does
// not grow with the number of patterns that do not match it.
//
// A pattern becomes one or more branches (the combinations of its $or), a branch the list of its
// fields in the order of their paths' numbers, and all branches together a tree: a state has, for
// each path that comes next, the index (pattern_index.h) of the rules on it, and each set of rules
// leads to a state. An event is first reduced to the leaves whose paths some pattern names; then
// the tree is walked along what is there, each state at most once. Patterns that begin with the
// same fields share states, so that 10,000 rules on one source are one look-up there.
//
// What the tree forgets, that members of an array's objects must be of one object, is checked by
// EventPattern::matches, for events in which such arrays are met alone.
//
// Not safe from several threads. A match is good until the next change.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "wire/event_pattern.h"
#include "wire/pattern_index.h"

namespace mayfly::wire {

class PatternSet {
 public:
  using Id = std::uint64_t;

  PatternSet();
  ~PatternSet();
  PatternSet(PatternSet&&) noexcept;
  PatternSet& operator=(PatternSet&&) noexcept;

  // In place of the one with that id.
  void add(Id id, EventPattern pattern);
  void remove(Id id);
  std::size_t size() const { return patterns_.size(); }
  // The ids of those that match, sorted. `event` is an object.
  std::vector<Id> match(const Json& event);

 private:
  using PathId = std::uint32_t;
  struct PathNode;
  struct State;
  struct Fork;
  struct Entry {
    EventPattern pattern;
    std::vector<State*> ends;
  };
  class Walk;

  PathId path_of(const std::vector<std::string>& path);
  State* insert(const EventBranch& branch);
  void compile(Id id, Entry& entry);
  void rebuild();

  std::unordered_map<Id, Entry> patterns_;
  std::unique_ptr<PathNode> paths_;
  std::unique_ptr<State> root_;
  PathId path_count_ = 0;
  std::size_t branches_ = 0;
  std::size_t dead_branches_ = 0;  // of removed patterns; their states are still there
  std::vector<std::vector<const Json*>> leaves_;  // by path; empty between matches
  std::uint64_t round_ = 0;                       // of matches
  std::uint64_t round_objects_ = 0;               // of objects met in them
};

}  // namespace mayfly::wire
