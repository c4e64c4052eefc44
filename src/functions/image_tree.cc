#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <memory>

#include "functions/image_layer.h"
#include "functions/tree.h"

namespace mayfly::functions {

namespace {

struct CloseDir {
  void operator()(DIR* dir) const { ::closedir(dir); }
};

// Names in a directory; `fd` stays open.
Result<std::vector<std::string>> names_in(int fd) {
  int copy = ::openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (copy < 0) return fail_errno("open of a directory of an image", errno);
  std::unique_ptr<DIR, CloseDir> dir(::fdopendir(copy));
  if (!dir) {
    ::close(copy);
    return fail_errno("reading a directory of an image", errno);
  }
  std::vector<std::string> out;
  errno = 0;
  while (const dirent* entry = ::readdir(dir.get())) {
    std::string_view name(entry->d_name);
    if (name != "." && name != "..") out.emplace_back(name);
  }
  if (errno != 0) return fail_errno("reading a directory of an image", errno);
  return out;
}

io::Fd open_below(int root, const std::string& path, std::uint64_t flags) {
  open_how how{};
  how.flags = flags | O_CLOEXEC;
  how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
  const char* name = path.empty() ? "." : path.c_str();
  return io::Fd(static_cast<int>(::syscall(SYS_openat2, root, name, &how, sizeof how)));
}

std::pair<std::string, std::string> split(const std::string& path) {
  auto slash = path.rfind('/');
  if (slash == path.npos) return {"", path};
  return {path.substr(0, slash), path.substr(slash + 1)};
}

bool is_directory(int parent, const std::string& name) {
  struct stat status{};
  return ::fstatat(parent, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0 &&
         S_ISDIR(status.st_mode);
}

// A file or directory of that name, and nothing else.
Result<> make_plain(int parent, const char* name, bool directory) {
  struct stat status{};
  bool there = ::fstatat(parent, name, &status, AT_SYMLINK_NOFOLLOW) == 0;
  bool fits = there && (directory ? S_ISDIR(status.st_mode) : S_ISREG(status.st_mode));
  if (fits) return {};
  int failed = 0;
  if (directory) {
    failed = ::mkdirat(parent, name, 0755);
  } else {
    io::Fd file(::openat(parent, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644));
    failed = file ? 0 : -1;
  }
  return failed == 0 ? Result<>{} : fail_errno(fmt::format("make {} of an image", name), errno);
}

}  // namespace

Result<ImageTree> ImageTree::open(const std::filesystem::path& root, ImageLimits limits) {
  io::Fd fd(::open(root.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd) return fail_errno("open of an image's directory", errno);
  if (::fchmod(fd.get(), 0755) != 0) return fail_errno("chmod of an image's directory", errno);
  return ImageTree(std::move(fd), limits);
}

Result<> ImageTree::count_entry() {
  if (++entries_ <= limits_.entries) return {};
  return fail(ErrorKind::too_large,
              fmt::format("The image has more than {} files and directories", limits_.entries));
}

Result<> ImageTree::count_bytes(std::uint64_t bytes) {
  bytes_ += bytes;
  if (bytes_ <= limits_.bytes) return {};
  return fail(ErrorKind::too_large,
              fmt::format("The image has more than {} bytes uncompressed", limits_.bytes));
}

Result<io::Fd> ImageTree::directory(std::string_view path) {
  constexpr std::uint64_t flags = O_RDONLY | O_DIRECTORY;
  io::Fd at = open_below(root_.get(), std::string(path), flags);
  if (at) return at;
  // From the top down: what is missing is made, and a link that leads to nothing is in the way.
  for (std::size_t end = path.find('/');; end = path.find('/', end + 1)) {
    std::string part(path.substr(0, end));
    at = open_below(root_.get(), part, flags);
    if (!at && errno != ENOENT && errno != ENOTDIR) {
      return fail_errno(fmt::format("open {} of an image", part), errno);
    }
    if (!at) {
      auto [above, name] = split(part);
      io::Fd parent = open_below(root_.get(), above, flags);
      if (!parent) return fail_errno(fmt::format("open {} of an image", above), errno);
      TRY(count_entry());
      TRY(remove(parent.get(), name));
      if (::mkdirat(parent.get(), name.c_str(), 0755) != 0) {
        return fail_errno(fmt::format("make {} of an image", part), errno);
      }
      at = open_below(root_.get(), part, flags);
      if (!at || ::fchmod(at.get(), 0755) != 0) {
        return fail_errno(fmt::format("open {} of an image", part), errno);
      }
    }
    if (end == path.npos) return at;
  }
}

Result<> ImageTree::remove(int parent, const std::string& name) {
  if (::unlinkat(parent, name.c_str(), 0) == 0 || errno == ENOENT) return {};
  if (errno != EISDIR && errno != EPERM) return fail_errno("removal in an image", errno);
  // Nobody else changes the tree: what is listed as a directory stays one while it is removed.
  return remove_tree(fmt::format("/proc/self/fd/{}/{}", parent, name));
}

Result<> ImageTree::hide(const std::string& path) {
  auto [above, name] = split(path);
  io::Fd parent = open_below(root_.get(), above, O_RDONLY | O_DIRECTORY);
  if (!parent) return {};  // nothing below it either
  auto below = of_layer_.lower_bound(path + "/");
  bool has_new = below != of_layer_.end() && below->starts_with(path + "/");
  bool is_new = of_layer_.contains(path);
  if (!is_new && !has_new) return remove(parent.get(), name);
  return is_directory(parent.get(), name) ? hide_below(path) : Result<>{};
}

Result<> ImageTree::hide_below(const std::string& path) {
  io::Fd at = open_below(root_.get(), path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  if (!at) return {};
  TRY_ASSIGN(auto names, names_in(at.get()));
  for (const auto& name : names) TRY(hide(path.empty() ? name : path + "/" + name));
  return {};
}

Result<> ImageTree::finish() {
  struct stat status{};
  for (const char* name : {"proc", "dev", "tmp", "etc"}) {
    if (::fstatat(root_.get(), name, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
        !S_ISDIR(status.st_mode)) {
      TRY(remove(root_.get(), name));
    }
    TRY(make_plain(root_.get(), name, true));
  }
  // A link there is the image's own affair: it leads to where file systems are seen.
  if (::fstatat(root_.get(), "mnt", &status, AT_SYMLINK_NOFOLLOW) != 0) {
    TRY(make_plain(root_.get(), "mnt", true));
  }
  io::Fd etc(::openat(root_.get(), "etc", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!etc) return fail_errno("open etc of an image", errno);
  for (const char* name : {"hosts", "resolv.conf"}) {
    if (::fstatat(etc.get(), name, &status, AT_SYMLINK_NOFOLLOW) == 0 && !S_ISREG(status.st_mode)) {
      TRY(remove(etc.get(), name));
    }
    TRY(make_plain(etc.get(), name, false));
  }
  return ::syncfs(root_.get()) == 0 ? Result<>{} : fail_errno("syncfs of an image", errno);
}

}  // namespace mayfly::functions
