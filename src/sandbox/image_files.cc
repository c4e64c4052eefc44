#include "sandbox/image_files.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "io/fd.h"

namespace mayfly::sandbox {
namespace {

io::Fd open_in(const std::string& tree, std::string_view path, std::uint64_t flags) {
  io::Fd root(::open(tree.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  open_how how{};
  how.flags = flags | O_CLOEXEC;
  how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
  std::string name(path);
  return io::Fd(
      static_cast<int>(::syscall(SYS_openat2, root.get(), name.c_str(), &how, sizeof how)));
}

}  // namespace

bool image_has(const std::string& tree, std::string_view path) {
  return static_cast<bool>(open_in(tree, path, O_PATH));
}

bool image_has_program(const std::string& tree, std::string_view path) {
  io::Fd file = open_in(tree, path, O_PATH);
  struct stat status{};
  return file && ::fstat(file.get(), &status) == 0 && S_ISREG(status.st_mode) &&
         (status.st_mode & 0111) != 0;
}

std::string find_in_image(const std::string& tree, const std::string& name,
                          std::string_view path_list) {
  if (name.find('/') != name.npos) return name;
  while (!path_list.empty()) {
    auto colon = path_list.find(':');
    std::string_view directory = path_list.substr(0, colon);
    path_list.remove_prefix(colon == path_list.npos ? path_list.size() : colon + 1);
    if (!directory.starts_with('/')) continue;
    std::string path = fmt::format("{}/{}", directory, name);
    if (image_has_program(tree, path)) return path;
  }
  return name;
}

std::vector<std::string> image_files(const std::string& tree, std::string_view directory) {
  std::vector<std::string> out;
  io::Fd dir = open_in(tree, directory, O_RDONLY | O_DIRECTORY);
  if (!dir) return out;
  std::error_code error;
  std::string path = fmt::format("/proc/self/fd/{}", dir.get());
  for (const auto& entry : std::filesystem::directory_iterator(path, error)) {
    if (!std::filesystem::is_directory(entry.symlink_status(error))) {
      out.push_back(entry.path().filename().string());
    }
  }
  std::ranges::sort(out);
  return out;
}

}  // namespace mayfly::sandbox
