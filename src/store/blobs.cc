#include "store/blobs.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "io/fd.h"
#include "store/sha256.h"

namespace mayfly::store {
namespace {

namespace fs = std::filesystem;

Result<> write_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    ssize_t written = ::write(fd, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return fail_errno("write blob", errno);
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
  return {};
}

Result<std::string> read_all(const fs::path& file) {
  io::Fd fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd && errno == ENOENT) return fail(ErrorKind::not_found, "there is no " + file.string());
  if (!fd) return fail_errno("open " + file.string(), errno);
  struct stat info{};
  if (::fstat(fd.get(), &info) != 0) return fail_errno("stat " + file.string(), errno);
  std::string bytes(static_cast<std::size_t>(info.st_size), '\0');
  std::size_t have = 0;
  while (have < bytes.size()) {
    ssize_t got = ::read(fd.get(), bytes.data() + have, bytes.size() - have);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return fail_errno("read " + file.string(), errno);
    if (got == 0) break;
    have += static_cast<std::size_t>(got);
  }
  bytes.resize(have);
  return bytes;
}

// Makes the names in a directory durable.
Result<> sync_dir(const fs::path& dir) {
  io::Fd fd(::open(dir.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd) return fail_errno("open " + dir.string(), errno);
  if (::fsync(fd.get()) != 0) return fail_errno("fsync " + dir.string(), errno);
  return {};
}

Result<> make_dir(const fs::path& dir) {
  if (::mkdir(dir.c_str(), 0700) == 0) return sync_dir(dir.parent_path());
  if (errno == EEXIST) return {};
  return fail_errno("mkdir " + dir.string(), errno);
}

}  // namespace

Result<> Blobs::sweep() {
  std::error_code failed;
  TRY(make_dir(dir_));
  fs::remove_all(dir_ / "tmp", failed);
  if (failed) return fail_errno("sweep " + (dir_ / "tmp").string(), failed.value());
  return make_dir(dir_ / "tmp");
}

fs::path Blobs::place(std::string_view sha256) const {
  return dir_ / sha256.substr(0, 2) / sha256.substr(2);
}

Result<std::string> Blobs::put(std::string_view bytes) {
  std::string name = sha256_hex(bytes);
  auto to = place(name);
  // An equal file is enough; one that rotted is written anew.
  if (auto there = read_all(to); there && *there == bytes) return name;
  TRY(make_dir(to.parent_path()));
  TRY(write(to, bytes));
  return name;
}

Result<> Blobs::write(const fs::path& to, std::string_view bytes) {
  auto temp = dir_ / "tmp" / fmt::format("{}-{}", ::getpid(), next_temp_++);
  io::Fd fd(::open(temp.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!fd) return fail_errno("open " + temp.string(), errno);
  auto written = write_all(fd.get(), bytes);
  if (written && ::fdatasync(fd.get()) != 0) written = fail_errno("sync blob", errno);
  if (written && ::rename(temp.c_str(), to.c_str()) != 0) {
    written = fail_errno("rename blob", errno);
  }
  if (!written) {
    ::unlink(temp.c_str());
    return written;
  }
  return sync_dir(to.parent_path());
}

Result<fs::path> Blobs::path(std::string_view sha256) const {
  if (is_sha256_hex(sha256)) {
    auto file = place(sha256);
    if (::access(file.c_str(), F_OK) == 0) return file;
  }
  return fail(ErrorKind::not_found, "there is no blob " + std::string(sha256));
}

Result<std::string> Blobs::get(const std::string& sha256) const {
  TRY_ASSIGN(auto file, path(sha256));
  TRY_ASSIGN(auto bytes, read_all(file));
  if (sha256_hex(bytes) != sha256) {
    return fail(ErrorKind::corrupt, "the blob " + sha256 + " does not match its name");
  }
  return bytes;
}

Result<> Blobs::remove(const std::string& sha256) {
  auto file = path(sha256);
  if (!file) return {};
  if (::unlink(file->c_str()) != 0 && errno != ENOENT) {
    return fail_errno("unlink " + file->string(), errno);
  }
  return {};
}

}  // namespace mayfly::store
