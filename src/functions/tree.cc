#include "functions/tree.h"

#include <fcntl.h>
#include <linux/posix_acl.h>
#include <linux/posix_acl_xattr.h>
#include <stdio.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

namespace mayfly::functions {

namespace fs = std::filesystem;

namespace {

std::unexpected<Error> fail_code(std::string_view what, const std::error_code& code) {
  return fail_errno(what, code.value());
}

Result<> place_file(const fs::path& from, const fs::path& to) {
  std::error_code code;
  fs::create_hard_link(from, to, code);
  if (!code) return {};
  // Across file systems, over the link count's bound, or where links are forbidden.
  code.clear();
  fs::copy_file(from, to, code);
  return code ? fail_code("copy of a layer's file", code) : Result<>{};
}

Result<> lay_entry(const fs::directory_entry& entry, const fs::path& to) {
  std::error_code code;
  fs::file_status there = fs::symlink_status(to, code);
  bool exists = there.type() != fs::file_type::not_found;
  bool is_link = entry.is_symlink(code);
  if (!is_link && entry.is_directory(code)) {
    if (exists && there.type() != fs::file_type::directory) {
      TRY(remove_tree(to));
      exists = false;
    }
    code.clear();
    if (!exists) {
      fs::create_directory(to, code);
      if (!code) fs::permissions(to, static_cast<fs::perms>(0755), code);
      if (code) return fail_code("directory of merged layers", code);
    }
    return lay_over(entry.path(), to);
  }
  if (exists) TRY(remove_tree(to));
  code.clear();
  if (!is_link) return place_file(entry.path(), to);
  fs::copy_symlink(entry.path(), to, code);
  return code ? fail_code("link of merged layers", code) : Result<>{};
}

}  // namespace

Result<> lay_over(const fs::path& from, const fs::path& into) {
  std::error_code code;
  fs::directory_iterator at(from, code);
  for (; !code && at != fs::directory_iterator(); at.increment(code)) {
    TRY(lay_entry(*at, into / at->path().filename()));
  }
  return code ? fail_code("reading a layer", code) : Result<>{};
}

Result<> sync_directory(const fs::path& directory) {
  int fd = ::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return fail_errno("open of " + directory.string(), errno);
  int failed = ::fsync(fd) == 0 ? 0 : errno;
  ::close(fd);
  return failed ? fail_errno("fsync of " + directory.string(), failed) : Result<>{};
}

Result<> put_in_place(const fs::path& made, const fs::path& place) {
  if (::rename(made.c_str(), place.c_str()) != 0) {
    int error = errno;
    if (error != EEXIST && error != ENOTEMPTY) return fail_errno("rename of a package", error);
    return remove_tree(made);
  }
  return sync_directory(place.parent_path());
}

Result<> make_shared_directory(const fs::path& directory) {
  std::error_code code;
  if (!fs::create_directory(directory, code)) {
    return code ? fail_code("making " + directory.string(), code) : Result<>{};
  }
  // The default list stands in place of the umask of whoever makes something below.
  constexpr std::array<std::uint16_t, 3> tags = {ACL_USER_OBJ, ACL_GROUP_OBJ, ACL_OTHER};
  std::string list(sizeof(posix_acl_xattr_header) + tags.size() * sizeof(posix_acl_xattr_entry),
                   '\0');
  posix_acl_xattr_header head{POSIX_ACL_XATTR_VERSION};
  std::memcpy(list.data(), &head, sizeof head);
  for (std::size_t i = 0; i < tags.size(); ++i) {
    posix_acl_xattr_entry entry{tags[i], ACL_READ | ACL_WRITE | ACL_EXECUTE, 0xffffffff};
    std::memcpy(list.data() + sizeof head + i * sizeof entry, &entry, sizeof entry);
  }
  if (::setxattr(directory.c_str(), "system.posix_acl_default", list.data(), list.size(), 0) != 0 &&
      errno != EOPNOTSUPP) {
    return fail_errno("access list of " + directory.string(), errno);
  }
  fs::permissions(directory, fs::perms::all, code);
  return code ? fail_code("permissions of " + directory.string(), code) : Result<>{};
}

Result<> remove_tree(const fs::path& tree) {
  std::error_code code;
  fs::remove_all(tree, code);
  return code ? fail_code("removal of " + tree.string(), code) : Result<>{};
}

Result<> sweep(const fs::path& directory, std::string_view prefix) {
  std::error_code code;
  std::vector<fs::path> found;
  fs::directory_iterator at(directory, code);
  for (; !code && at != fs::directory_iterator(); at.increment(code)) {
    if (at->path().filename().string().starts_with(prefix)) found.push_back(at->path());
  }
  if (code) return fail_code("reading " + directory.string(), code);
  for (const auto& path : found) TRY(remove_tree(path));
  return {};
}

}  // namespace mayfly::functions
