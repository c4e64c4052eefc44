// PatternIndex: from a leaf of an event to the rules on one path that it satisfies, each known by a
// number. Values and ends of texts are looked up in tables, networks in one table per length of
// mask, ranges of numbers in a tree of their ends: the cost does not grow with the rules that do
// not match. Wildcards are tried that begin (or end) as the text does; those that begin and end
// with '*', and anything-but, which nearly everything satisfies, each by itself.
//
// Not safe from several threads: the tree of ranges is made when it is first asked.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "wire/event_rule.h"

namespace mayfly::wire {

class PatternIndex {
 public:
  using Number = std::uint32_t;
  using Found = std::function<void(Number)>;

  void add(const EventRule& rule, Number number);
  // May name a number more than once.
  void find(const Json& leaf, const Found& found);
  // Rules that want the path to be absent.
  const std::vector<Number>& absents() const { return absents_; }

 private:
  struct TextHash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const noexcept {
      return std::hash<std::string_view>{}(text);
    }
  };
  template <class T>
  using Table = std::unordered_map<std::string, std::vector<T>, TextHash, std::equal_to<>>;
  // By the length of the texts in each.
  template <class T>
  using Tables = std::map<std::size_t, Table<T>>;
  struct Tried {
    EventRule rule;
    Number number = 0;
  };
  struct Ranges {
    struct One {
      NumberRange range;
      Number number = 0;
    };
    std::vector<One> all;
    std::vector<double> ends;  // sorted
    // A tree over the places before, at and between the ends; a range is kept at the few nodes that
    // cover it.
    std::vector<std::vector<Number>> nodes;
    std::size_t leaves = 0;
    void build();
    void put(const One& one);
    void find(double value, const Found& found);
  };

  void add_wildcard(const EventRule& rule, Number number);
  void find_text(std::string_view text, const Json& leaf, const Found& found);
  void find_network(std::string_view text, const Found& found) const;

  Table<Number> texts_;
  Table<Number> texts_lower_;
  std::unordered_map<double, std::vector<Number>> numbers_;
  std::vector<Number> true_;
  std::vector<Number> false_;
  std::vector<Number> null_;
  std::vector<Number> exists_;
  std::vector<Number> absents_;
  Tables<Number> prefixes_;
  Tables<Number> suffixes_;
  Tables<Number> prefixes_lower_;
  Tables<Number> suffixes_lower_;
  Tables<Tried> wildcards_by_head_;
  Tables<Tried> wildcards_by_tail_;
  std::map<std::pair<std::size_t, int>, Table<Number>> networks_;  // bytes, bits
  Ranges ranges_;
  std::vector<Tried> tried_;
};

}  // namespace mayfly::wire
