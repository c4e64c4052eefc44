// JsonPath: the paths by which rules and pipes pick values out of an event (EventBridge user guide,
// "Amazon EventBridge input transformation"): $  $.detail.state  $.resources[0]  $.items[*].name
// $['detail-type']. Letters, digits, '_', '-' and '/' stand in names without quotes.
//
// Pure; safe from any thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"
#include "wire/json.h"

namespace mayfly::wire {

class JsonPath {
 public:
  // Kind invalid, with the reason.
  static Result<JsonPath> parse(std::string_view text);
  // nullopt: there is nothing. With a wildcard: an array of what there is, if anything.
  std::optional<Json> find(const Json& root) const;

 private:
  struct Any {};
  using Step = std::variant<std::string, std::size_t, Any>;
  Result<> read_brackets(std::string_view& rest);
  std::vector<Step> steps_;
  bool many_ = false;
};

}  // namespace mayfly::wire
