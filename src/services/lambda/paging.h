// Paging: every list of this service answers at most 50 items a page, whatever MaxItems asks for,
// and goes on after an opaque marker (the base64 of the last item's name).
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "services/lambda/errors.h"
#include "services/lambda/text.h"

namespace mayfly::lambda {

inline constexpr std::size_t most_items_per_page = 50;
inline constexpr std::size_t most_tags = 50;

inline std::size_t page_size(std::optional<std::int64_t> max_items) {
  if (!max_items || *max_items < 1) return most_items_per_page;
  return std::min(static_cast<std::size_t>(*max_items), most_items_per_page);
}

inline ApiResult<std::string> read_marker(std::optional<std::string_view> marker) {
  if (!marker || marker->empty()) return std::string();
  auto text = from_base64(*marker);
  if (!text) return refuse(invalid("The marker is not one that this server gave."));
  return *text;
}

inline std::string write_marker(std::string_view last) { return base64(last); }

// One page of items that are sorted by `name_of`; `next` is set when more follow.
template <class Item, class NameOf>
std::vector<Item> page_of(std::vector<Item> items, const std::string& after, std::size_t limit,
                          std::optional<std::string>& next, NameOf name_of) {
  if (!after.empty()) {
    std::erase_if(items, [&](const Item& item) { return name_of(item) <= after; });
  }
  if (items.size() > limit) {
    items.resize(limit);
    next = write_marker(name_of(items.back()));
  }
  return items;
}

ApiResult<void> check_tags(const std::map<std::string, std::string>& tags);
// Of a function: with flow control (gate/flow.h).
ApiResult<void> check_function_tags(const std::map<std::string, std::string>& tags);

}  // namespace mayfly::lambda
