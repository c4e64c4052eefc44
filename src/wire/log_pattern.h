// LogPattern: the filter patterns of CloudWatch Logs (user guide, "Filter pattern syntax"), pure.
//
//   (nothing)                     every event
//   ERROR "exact phrase" -skip    all terms, none of the excluded; case matters
//   ?ERROR ?WARN                  any of the terms
//   %regular expression%          alone, as a term or as a value
//   { $.a.b[0] = "x*" && ($.n > 3 || $.m NOT EXISTS) }     the event is JSON
//   [ip, user, ..., status = 4*, bytes > 1000]             words of the event by position
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace mayfly::wire {

class LogPattern {
 public:
  // Error: invalid, with what is wrong and where.
  static Result<LogPattern> parse(std::string_view text);
  bool matches(std::string_view message) const { return !test_ || test_(message); }

 private:
  std::function<bool(std::string_view)> test_;  // empty: everything
};

}  // namespace mayfly::wire
