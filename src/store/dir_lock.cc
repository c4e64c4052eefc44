#include "store/dir_lock.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <map>
#include <mutex>

namespace mayfly::store {
namespace {

// Locks of this process by directory: flock(2) would refuse a second store of the same process.
struct Registry {
  std::mutex mutex;
  std::map<std::pair<dev_t, ino_t>, std::weak_ptr<DirLock>> locks;
};

Registry& registry() {
  static Registry instance;
  return instance;
}

std::string holder(int fd) {
  std::array<char, 32> text{};
  ssize_t got = ::pread(fd, text.data(), text.size(), 0);
  std::string pid(text.data(), got > 0 ? static_cast<std::size_t>(got) : 0);
  while (!pid.empty() && pid.back() == '\n') pid.pop_back();
  return pid.empty() ? "another process" : "process " + pid;
}

}  // namespace

Result<std::shared_ptr<DirLock>> DirLock::take(const std::filesystem::path& dir, bool& fresh) {
  std::error_code failed;
  std::filesystem::create_directories(dir, failed);
  if (failed) return fail_errno("create " + dir.string(), failed.value());
  // State holds secrets: nobody else reads it.
  std::filesystem::permissions(dir, std::filesystem::perms::owner_all, failed);
  struct stat info{};
  if (::stat(dir.c_str(), &info) != 0) return fail_errno("stat " + dir.string(), errno);
  std::lock_guard guard(registry().mutex);
  auto& place = registry().locks[{info.st_dev, info.st_ino}];
  if (auto held = place.lock()) {
    fresh = false;
    return held;
  }
  auto file = dir / "lock";
  io::Fd fd(::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!fd) return fail_errno("open " + file.string(), errno);
  if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return fail_errno("lock " + file.string(), errno);
    return fail(ErrorKind::conflict, fmt::format("the data directory {} is in use by {}",
                                                 dir.string(), holder(fd.get())));
  }
  std::string pid = fmt::format("{}\n", ::getpid());
  if (::ftruncate(fd.get(), 0) != 0 ||
      ::pwrite(fd.get(), pid.data(), pid.size(), 0) != static_cast<ssize_t>(pid.size())) {
    return fail_errno("write " + file.string(), errno);
  }
  auto lock = std::make_shared<DirLock>();
  lock->fd_ = std::move(fd);
  place = lock;
  fresh = true;
  return lock;
}

Result<> DirLock::claim(const std::string& file) {
  std::lock_guard guard(registry().mutex);
  if (!files_.insert(file).second) {
    return fail(ErrorKind::conflict, "the database '" + file + "' is open already");
  }
  return {};
}

void DirLock::release(const std::string& file) {
  std::lock_guard guard(registry().mutex);
  files_.erase(file);
}

}  // namespace mayfly::store
