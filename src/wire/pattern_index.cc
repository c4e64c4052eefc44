#include "wire/pattern_index.h"

#include <bit>

#include "wire/text.h"

namespace mayfly::wire {

namespace {

void tell(const std::vector<PatternIndex::Number>& numbers, const PatternIndex::Found& found) {
  for (auto number : numbers) found(number);
}

enum class End { head, tail };

// The entries of each table whose text is that end of `text`.
template <class Tables, class Call>
void each_end(const Tables& tables, End end, std::string_view text, const Call& call) {
  for (const auto& [length, table] : tables) {
    if (length > text.size()) return;
    auto part = end == End::head ? text.substr(0, length) : text.substr(text.size() - length);
    if (auto entry = table.find(part); entry != table.end()) call(entry->second);
  }
}

}  // namespace

void PatternIndex::add_wildcard(const EventRule& rule, Number number) {
  auto ends = wildcard_ends(rule.text);
  if (!ends.head.empty()) {
    wildcards_by_head_[ends.head.size()][ends.head].push_back({rule, number});
  } else if (!ends.tail.empty()) {
    wildcards_by_tail_[ends.tail.size()][ends.tail].push_back({rule, number});
  } else {
    tried_.push_back({rule, number});
  }
}

void PatternIndex::add(const EventRule& rule, Number number) {
  using Kind = EventRule::Kind;
  const auto& text = rule.text;
  switch (rule.kind) {
    case Kind::exact:
      if (rule.value.is_string()) {
        texts_[std::string(rule.value.string_value())].push_back(number);
      } else if (rule.value.is_number()) {
        numbers_[rule.value.number_value()].push_back(number);
      } else if (const auto* flag = rule.value.as<bool>()) {
        (*flag ? true_ : false_).push_back(number);
      } else {
        null_.push_back(number);
      }
      return;
    case Kind::prefix: prefixes_[text.size()][text].push_back(number); return;
    case Kind::suffix: suffixes_[text.size()][text].push_back(number); return;
    case Kind::prefix_ignore_case: prefixes_lower_[text.size()][text].push_back(number); return;
    case Kind::suffix_ignore_case: suffixes_lower_[text.size()][text].push_back(number); return;
    case Kind::equals_ignore_case: texts_lower_[text].push_back(number); return;
    case Kind::wildcard: add_wildcard(rule, number); return;
    case Kind::cidr:
      networks_[{rule.network.bytes.size(), rule.network.bits}][rule.network.bytes].push_back(
          number);
      return;
    case Kind::numeric:
      ranges_.all.push_back({rule.range, number});
      ranges_.nodes.clear();
      return;
    case Kind::exists: exists_.push_back(number); return;
    case Kind::absent: absents_.push_back(number); return;
    case Kind::anything_but: tried_.push_back({rule, number}); return;
  }
}

void PatternIndex::find(const Json& leaf, const Found& found) {
  tell(exists_, found);
  for (const auto& one : tried_) {
    if (one.rule.matches(leaf)) found(one.number);
  }
  if (leaf.is_string()) {
    find_text(leaf.string_value(), leaf, found);
  } else if (leaf.is_number()) {
    double value = leaf.number_value();
    if (auto entry = numbers_.find(value); entry != numbers_.end()) tell(entry->second, found);
    ranges_.find(value, found);
  } else if (const auto* flag = leaf.as<bool>()) {
    tell(*flag ? true_ : false_, found);
  } else {
    tell(null_, found);
  }
}

void PatternIndex::find_text(std::string_view text, const Json& leaf, const Found& found) {
  auto every = [&](const std::vector<Number>& numbers) { tell(numbers, found); };
  auto fitting = [&](const std::vector<Tried>& wildcards) {
    for (const auto& one : wildcards) {
      if (one.rule.matches(leaf)) found(one.number);
    }
  };
  if (auto entry = texts_.find(text); entry != texts_.end()) every(entry->second);
  each_end(prefixes_, End::head, text, every);
  each_end(suffixes_, End::tail, text, every);
  each_end(wildcards_by_head_, End::head, text, fitting);
  each_end(wildcards_by_tail_, End::tail, text, fitting);
  if (!texts_lower_.empty() || !prefixes_lower_.empty() || !suffixes_lower_.empty()) {
    std::string lower = to_lower(text);
    if (auto entry = texts_lower_.find(lower); entry != texts_lower_.end()) every(entry->second);
    each_end(prefixes_lower_, End::head, lower, every);
    each_end(suffixes_lower_, End::tail, lower, every);
  }
  if (!networks_.empty()) find_network(text, found);
}

void PatternIndex::find_network(std::string_view text, const Found& found) const {
  auto bytes = address_bytes(text);
  if (bytes.empty()) return;
  auto at = networks_.lower_bound({bytes.size(), 0});
  for (; at != networks_.end() && at->first.first == bytes.size(); ++at) {
    auto entry = at->second.find(masked(bytes, at->first.second));
    if (entry != at->second.end()) tell(entry->second, found);
  }
}

// Place 2i is before the i-th end, 2i + 1 is that end.
void PatternIndex::Ranges::build() {
  ends.clear();
  for (const auto& one : all) {
    ends.push_back(one.range.low);
    ends.push_back(one.range.high);
  }
  std::ranges::sort(ends);
  ends.erase(std::unique(ends.begin(), ends.end()), ends.end());
  leaves = std::bit_ceil(ends.size() * 2 + 1);
  nodes.assign(leaves * 2, {});
  for (const auto& one : all) put(one);
}

void PatternIndex::Ranges::put(const One& one) {
  auto place_of = [&](double end) {
    return static_cast<std::size_t>(std::ranges::lower_bound(ends, end) - ends.begin()) * 2 + 1;
  };
  std::size_t first = place_of(one.range.low) + (one.range.low_open ? 1 : 0) + leaves;
  std::size_t behind = place_of(one.range.high) + (one.range.high_open ? 0 : 1) + leaves;
  for (; first < behind; first /= 2, behind /= 2) {
    if (first % 2 == 1) nodes[first++].push_back(one.number);
    if (behind % 2 == 1) nodes[--behind].push_back(one.number);
  }
}

void PatternIndex::Ranges::find(double value, const Found& found) {
  if (all.empty()) return;
  if (nodes.empty()) build();
  auto end = std::ranges::lower_bound(ends, value);
  std::size_t place = static_cast<std::size_t>(end - ends.begin()) * 2;
  if (end != ends.end() && *end == value) ++place;
  for (std::size_t node = place + leaves; node > 0; node /= 2) tell(nodes[node], found);
}

}  // namespace mayfly::wire
