#include "mayfly/zones.h"

#include <filesystem>
#include <fstream>
#include <iterator>

#include "base/limits.h"

namespace mayfly {

namespace {

constexpr std::size_t file_bytes = 64 * limits::kib;  // the largest of tzdata's have some 4 KiB

// Names only: no way out of the folder, none of its other files ("leap-seconds.list", "right/…"
// with leap seconds, "posix/…").
bool is_zone_name(std::string_view name) {
  bool characters = std::ranges::all_of(name, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '/' ||
           c == '_' || c == '+' || c == '-';
  });
  return characters && !name.empty() && name.front() >= 'A' && name.front() <= 'Z' &&
         !name.ends_with('/') && !name.contains("//");
}

}  // namespace

Result<std::shared_ptr<const wire::TimeZone>> ZoneFiles::find(std::string_view name) {
  if (name == "UTC" || name == "Etc/UTC") return wire::TimeZone::utc();
  if (auto known = zones_.find(name); known != zones_.end()) return known->second;
  auto unknown = fail(ErrorKind::not_found,
                      fmt::format("this machine knows no time zone '{}' (tzdata)", name));
  if (!is_zone_name(name)) return unknown;
  std::filesystem::path path = std::filesystem::path(folder_) / name;
  std::error_code error;
  auto size = std::filesystem::file_size(path, error);
  if (error || size > file_bytes) return unknown;
  std::ifstream file(path, std::ios::binary);
  std::string bytes((std::istreambuf_iterator<char>(file)), {});
  auto zone = wire::TimeZone::parse(bytes);
  if (!zone) return unknown;
  auto shared = std::make_shared<const wire::TimeZone>(*std::move(zone));
  zones_.emplace(name, shared);
  return shared;
}

}  // namespace mayfly
