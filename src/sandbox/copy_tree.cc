#include "sandbox/copy_tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/sendfile.h>
#include <unistd.h>

#include <array>
#include <memory>
#include <ranges>
#include <string_view>

namespace mayfly::sandbox {
namespace {

struct CloseDirectory {
  void operator()(DIR* list) const { ::closedir(list); }
};
using Directory = std::unique_ptr<DIR, CloseDirectory>;

int collect(int directory, const std::string& prefix, std::vector<TreeEntry>& out);

int collect_entry(int directory, const std::string& prefix, const char* name,
                  std::vector<TreeEntry>& out) {
  if (out.size() >= tree_entries_max) return E2BIG;
  TreeEntry entry;
  entry.path = prefix + name;
  if (::fstatat(directory, name, &entry.status, AT_SYMLINK_NOFOLLOW) != 0) return errno;
  mode_t mode = entry.status.st_mode;
  if (S_ISREG(mode)) {
    entry.file = io::Fd(::openat(directory, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
    if (!entry.file) return errno;
  } else if (S_ISLNK(mode)) {
    std::array<char, PATH_MAX> target{};
    if (::readlinkat(directory, name, target.data(), target.size() - 1) < 0) return errno;
    entry.target = target.data();
  } else if (!S_ISDIR(mode)) {
    return 0;
  }
  std::string below = entry.path + "/";
  out.push_back(std::move(entry));
  if (!S_ISDIR(mode)) return 0;
  io::Fd inside(::openat(directory, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW));
  return inside ? collect(inside.get(), below, out) : errno;
}

int collect(int directory, const std::string& prefix, std::vector<TreeEntry>& out) {
  int own = ::openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (own < 0) return errno;
  Directory list(::fdopendir(own));
  if (!list) return errno;
  while (true) {
    errno = 0;
    dirent* entry = ::readdir(list.get());
    if (entry == nullptr) return errno;
    std::string_view name = entry->d_name;
    if (name == "." || name == "..") continue;
    if (int error = collect_entry(directory, prefix, entry->d_name, out); error != 0) return error;
  }
}

int write_file(int directory, const TreeEntry& entry) {
  io::Fd out(
      ::openat(directory, entry.path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!out) return errno;
  constexpr std::size_t at_once = 1u << 30;
  ssize_t copied = 0;
  while ((copied = ::sendfile(out.get(), entry.file.get(), nullptr, at_once)) > 0) {
  }
  return copied < 0 ? errno : 0;
}

int write_entry(int directory, const TreeEntry& entry) {
  if (S_ISREG(entry.status.st_mode)) return write_file(directory, entry);
  bool is_link = S_ISLNK(entry.status.st_mode);
  int made = is_link ? ::symlinkat(entry.target.c_str(), directory, entry.path.c_str())
                     : ::mkdirat(directory, entry.path.c_str(), 0700);
  return made == 0 ? 0 : errno;
}

int set_attributes(int directory, const TreeEntry& entry) {
  const char* path = entry.path.c_str();
  if (!S_ISLNK(entry.status.st_mode) &&
      ::fchmodat(directory, path, entry.status.st_mode & 07777, 0) != 0) {
    return errno;
  }
  std::array times{entry.status.st_atim, entry.status.st_mtim};
  return ::utimensat(directory, path, times.data(), AT_SYMLINK_NOFOLLOW) == 0 ? 0 : errno;
}

}  // namespace

int collect_tree(int directory, std::vector<TreeEntry>& out) { return collect(directory, "", out); }

int write_tree(int directory, const std::vector<TreeEntry>& entries) {
  for (const auto& entry : entries) {
    if (int error = write_entry(directory, entry); error != 0) return error;
  }
  // What lies in a folder first: writing there changes the folder's own time.
  for (const auto& entry : std::views::reverse(entries)) {
    if (int error = set_attributes(directory, entry); error != 0) return error;
  }
  return 0;
}

}  // namespace mayfly::sandbox
