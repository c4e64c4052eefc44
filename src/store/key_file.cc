#include "store/key_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "io/fd.h"

namespace mayfly::store {

namespace {

constexpr mode_t owner_alone = 0600;

Result<std::string> read_key(const io::Fd& fd, const std::filesystem::path& file,
                             std::size_t bytes) {
  struct stat info{};
  if (::fstat(fd.get(), &info) != 0) return fail_errno("stat " + file.string(), errno);
  std::string out(bytes, '\0');
  if (info.st_size != static_cast<off_t>(bytes) ||
      ::pread(fd.get(), out.data(), bytes, 0) != static_cast<ssize_t>(bytes)) {
    return fail(ErrorKind::corrupt,
                fmt::format("{} is no key: it has {} bytes", file.string(), info.st_size));
  }
  if ((info.st_mode & 07777) != owner_alone && ::fchmod(fd.get(), owner_alone) != 0) {
    return fail_errno("chmod " + file.string(), errno);
  }
  return out;
}

// Under another name first: a file of that name is whole.
Result<> write_key(const std::filesystem::path& file, std::string_view key) {
  auto temp = file.string() + ".new";
  io::Fd fd(
      ::open(temp.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, owner_alone));
  if (!fd) return fail_errno("open " + temp, errno);
  if (::write(fd.get(), key.data(), key.size()) != static_cast<ssize_t>(key.size()) ||
      ::fsync(fd.get()) != 0) {
    return fail_errno("write " + temp, errno);
  }
  if (::rename(temp.c_str(), file.c_str()) != 0) return fail_errno("rename " + temp, errno);
  io::Fd dir(::open(file.parent_path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!dir || ::fsync(dir.get()) != 0) {
    return fail_errno("sync " + file.parent_path().string(), errno);
  }
  return {};
}

}  // namespace

Result<std::string> open_key_file(const std::filesystem::path& file, std::size_t bytes,
                                  Random& random) {
  io::Fd fd(::open(file.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
  if (fd) return read_key(fd, file, bytes);
  if (errno != ENOENT) return fail_errno("open " + file.string(), errno);
  std::string key(bytes, '\0');
  random.fill(std::as_writable_bytes(std::span(key)));
  TRY(write_key(file, key));
  return key;
}

}  // namespace mayfly::store
