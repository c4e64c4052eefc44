#include "functions/file_systems.h"

#include "functions/tree.h"

namespace mayfly::functions {

namespace fs = std::filesystem;

namespace {

constexpr std::size_t id_digits = 17;

bool is_id(std::string_view id) {
  constexpr std::string_view prefix = "fsap-";
  if (!id.starts_with(prefix) || id.size() != prefix.size() + id_digits) return false;
  return id.substr(prefix.size()).find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

// A part of the path below the data folder.
bool is_plain(std::string_view text) {
  return !text.empty() &&
         text.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-") == std::string_view::npos;
}

Result<fs::path> made(const fs::path& folder) {
  std::error_code code;
  if (fs::is_directory(folder, code)) return folder;
  fs::path scope = folder.parent_path();
  fs::create_directories(scope, code);
  if (code) return fail_errno("folder of file systems " + scope.string(), code.value());
  TRY(make_shared_directory(folder));
  for (const fs::path& level : {scope, scope.parent_path(), scope.parent_path().parent_path()}) {
    TRY(sync_directory(level));
  }
  return folder;
}

}  // namespace

Result<AccessPoint> parse_access_point(std::string_view arn) {
  std::array<std::string_view, 6> parts;
  std::string_view rest = arn;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    std::size_t colon = i + 1 == parts.size() ? rest.npos : rest.find(':');
    parts[i] = rest.substr(0, colon);
    rest.remove_prefix(std::min(rest.size(), parts[i].size() + 1));
  }
  constexpr std::string_view kind = "access-point/";
  bool fits = parts[0] == "arn" && parts[2] == "elasticfilesystem" && is_plain(parts[3]) &&
              is_plain(parts[4]) && parts[5].starts_with(kind) &&
              is_id(parts[5].substr(kind.size()));
  if (!fits) {
    return fail(ErrorKind::invalid,
                fmt::format("'{}' names no access point of an elastic file system", arn));
  }
  return AccessPoint{{AccountId(std::string(parts[4])), Region(std::string(parts[3]))},
                     std::string(parts[5].substr(kind.size()))};
}

io::Task<Result<fs::path>> FileSystems::folder(AccessPoint point) {
  fs::path place = directory_ / point.scope.account.str() / point.scope.region.str() / point.id;
  co_return co_await workers_.run([place = std::move(place)] { return made(place); });
}

}  // namespace mayfly::functions
