// EventRule: one value or operator of an event pattern, and what it says of one leaf of an event;
// the fields that a pattern has, as read once from its text. Shared by EventPattern and PatternSet.
// Pure; safe from any thread.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "wire/json.h"

namespace mayfly::wire {

// Numbers between two ends, either of which may belong to it.
struct NumberRange {
  double low = 0;
  double high = 0;
  bool low_open = false;
  bool high_open = false;
  bool contains(double value) const {
    return (low_open ? value > low : value >= low) && (high_open ? value < high : value <= high);
  }
  bool operator==(const NumberRange&) const = default;
};

// "10.0.0.0/8", "2001:db8::/32": 4 or 16 bytes, those behind the mask zero.
struct Network {
  std::string bytes;
  int bits = 0;
  bool operator==(const Network&) const = default;
};
// 4 or 16 bytes; empty: it is no address.
std::string address_bytes(std::string_view text);
// Those behind the first `bits` become zero.
std::string masked(std::string bytes, int bits);

struct EventRule {
  enum class Kind {
    exact,   // `value`
    prefix,  // `text`; so the next four
    suffix,
    wildcard,            // '*' is any text; a backslash takes '*' and itself literally
    equals_ignore_case,  // in lower case, as are the next two
    prefix_ignore_case,
    suffix_ignore_case,
    numeric,  // `range`
    cidr,     // `network`
    exists,
    absent,        // no leaf of that path: never true of a leaf
    anything_but,  // none of `but`
  };
  Kind kind = Kind::exact;
  Json value = {};
  std::string text = {};
  NumberRange range = {};
  Network network = {};
  std::vector<EventRule> but = {};

  // `leaf` is neither array nor object.
  bool matches(const Json& leaf) const;
};

struct EventFields;

// {"name": [rules]} or {"name": {…}}.
struct EventField {
  std::string name;
  std::vector<std::string> path;   // from the event on, with `name`
  std::vector<EventRule> rules{};  // any of them …
  std::string key{};               // … as text: fields of equal path and key say the same
  std::shared_ptr<const EventFields> inner{};  // … or what is in the member
};

// All of `fields`, and of each of `either` one.
struct EventFields {
  std::vector<EventField> fields{};
  std::vector<std::vector<EventFields>> either{};
};

bool wildcard_matches(std::string_view pattern, std::string_view text);
// What a wildcard begins and ends with, its escapes resolved.
struct WildcardEnds {
  std::string head;
  std::string tail;
};
WildcardEnds wildcard_ends(std::string_view pattern);

}  // namespace mayfly::wire
