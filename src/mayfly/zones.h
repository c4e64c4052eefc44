// ZoneFiles: the time zones of this machine (Debian's tzdata), each read once, when first asked
// for. UTC needs no file.
//
// One thread's; as long as whoever got its zones, which outlive it.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "wire/time_zone.h"

namespace mayfly {

class ZoneFiles {
 public:
  explicit ZoneFiles(std::string folder = "/usr/share/zoneinfo") : folder_(std::move(folder)) {}
  // By the name that the IANA gave it: "Europe/Berlin". Kind not_found.
  Result<std::shared_ptr<const wire::TimeZone>> find(std::string_view name);

 private:
  std::string folder_;
  std::map<std::string, std::shared_ptr<const wire::TimeZone>, std::less<>> zones_;
};

}  // namespace mayfly
