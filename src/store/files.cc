#include "store/files.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

namespace mayfly::store {

namespace {

namespace fs = std::filesystem;

Result<> sync_dir(const fs::path& dir) {
  io::Fd fd(::open(dir.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd) return fail_errno("open " + dir.string(), errno);
  if (::fsync(fd.get()) != 0) return fail_errno("fsync " + dir.string(), errno);
  return {};
}

Result<> make_dir(const fs::path& dir) {
  if (::mkdir(dir.c_str(), 0700) == 0 || errno == EEXIST) return {};
  return fail_errno("mkdir " + dir.string(), errno);
}

// Whether it was there.
Result<bool> unlink_file(const fs::path& file) {
  if (::unlink(file.c_str()) == 0) return true;
  if (errno == ENOENT) return false;
  return fail_errno("unlink " + file.string(), errno);
}

struct CloseDir {
  void operator()(DIR* dir) const { ::closedir(dir); }
};

}  // namespace

Result<> Files::Writer::append(std::string_view bytes) {
  while (!bytes.empty()) {
    ssize_t written = ::write(fd_.get(), bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return fail_errno("write " + file_.string(), errno);
    size_ += static_cast<std::size_t>(written);
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
  return {};
}

Result<> Files::Writer::finish() {
  if (::fdatasync(fd_.get()) != 0) return fail_errno("sync " + file_.string(), errno);
  fd_.reset();
  return sync_dir(file_.parent_path());
}

Result<std::string> Files::Reader::read(std::uint64_t offset, std::size_t size) const {
  std::string out(size, '\0');
  std::size_t have = 0;
  while (have < size) {
    ssize_t got =
        ::pread(fd_.get(), out.data() + have, size - have, static_cast<off_t>(offset + have));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return fail_errno("read a file of the store", errno);
    if (got == 0) return fail(ErrorKind::corrupt, "a file of the store is cut short");
    have += static_cast<std::size_t>(got);
  }
  return out;
}

Result<> Files::open() {
  TRY(make_dir(dir_));
  TRY(make_dir(dir_ / "new"));
  for (int i = 0; i < 256; ++i) TRY(make_dir(dir_ / fmt::format("{:02x}", i)));
  TRY(sync_dir(dir_));
  return sync_dir(fs::absolute(dir_).parent_path());
}

fs::path Files::place(const std::string& id) const {
  return dir_ / id.substr(id.size() < 2 ? 0 : id.size() - 2) / id;
}

Result<std::unique_ptr<Files::Writer>> Files::create(const std::string& id) {
  auto file = fresh(id);
  io::Fd fd(::open(file.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!fd) return fail_errno("create " + file.string(), errno);
  return std::make_unique<Writer>(std::move(fd), std::move(file));
}

Result<> Files::link(const std::string& from, const std::string& to) {
  // It may move from new/ to its place between two looks, and never back.
  for (const auto& file : {place(from), fresh(from), place(from)}) {
    if (::link(file.c_str(), fresh(to).c_str()) == 0) return sync_dir(dir_ / "new");
    if (errno != ENOENT) return fail_errno("link " + file.string(), errno);
  }
  return fail(ErrorKind::not_found, "there is no file " + from);
}

Result<std::shared_ptr<const Files::Reader>> Files::read(const std::string& id) const {
  for (const auto& file : {place(id), fresh(id), place(id)}) {
    io::Fd fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
    if (fd) return std::make_shared<const Reader>(std::move(fd));
    if (errno != ENOENT) return fail_errno("open " + file.string(), errno);
  }
  return fail(ErrorKind::not_found, "there is no file " + id);
}

Result<> Files::settle(const std::string& id) {
  if (::rename(fresh(id).c_str(), place(id).c_str()) == 0 || errno == ENOENT) return {};
  return fail_errno("rename " + fresh(id).string(), errno);
}

Result<> Files::remove(const std::string& id) {
  for (const auto& file : {place(id), fresh(id), place(id)}) {
    TRY_ASSIGN(bool there, unlink_file(file));
    if (there) return {};
  }
  return {};
}

Result<std::size_t> Files::sweep(const std::function<Result<bool>(const std::string& id)>& named) {
  std::unique_ptr<DIR, CloseDir> dir(::opendir((dir_ / "new").c_str()));
  if (!dir) return fail_errno("open " + (dir_ / "new").string(), errno);
  std::vector<std::string> found;
  while (const dirent* entry = ::readdir(dir.get())) {
    std::string name = entry->d_name;
    if (name != "." && name != "..") found.push_back(std::move(name));
  }
  std::size_t removed = 0;
  for (const auto& id : found) {
    TRY_ASSIGN(bool keep, named(id));
    if (keep) {
      TRY(settle(id));
    } else {
      TRY(unlink_file(fresh(id)));
      ++removed;
    }
  }
  return removed;
}

}  // namespace mayfly::store
