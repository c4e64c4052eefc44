#include "functions/archive.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <fmt/ranges.h>
#include <locale.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <deque>
#include <memory>
#include <vector>

#include "base/limits.h"

namespace mayfly::functions {

namespace {

constexpr std::size_t path_bytes = 4095;
constexpr int link_hops = 40;  // as the kernel's own bound
// Up to here each file is synced by itself; larger trees are synced as a file system, once.
constexpr std::size_t single_sync_files = 64;

struct ReaderEnd {
  void operator()(archive* reader) const { archive_read_free(reader); }
};
using Reader = std::unique_ptr<archive, ReaderEnd>;

struct Descriptor {
  int fd = -1;
  explicit Descriptor(int opened) : fd(opened) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (fd >= 0) ::close(fd);
  }
};

// libarchive converts names that a zip marks as UTF-8 into the thread's character set, and loses
// them where that is ASCII. The process keeps its own locale.
class Utf8Names {
 public:
  Utf8Names() : before_(::uselocale(locale())) {}
  Utf8Names(const Utf8Names&) = delete;
  Utf8Names& operator=(const Utf8Names&) = delete;
  ~Utf8Names() { ::uselocale(before_); }

 private:
  static locale_t locale() {
    static const locale_t made = ::newlocale(LC_CTYPE_MASK, "C.UTF-8", nullptr);
    return made;  // null where the C library has none: uselocale() then changes nothing
  }
  locale_t before_;
};

std::unexpected<Error> refuse(std::string_view text) {
  return fail(ErrorKind::invalid, std::string(text));
}
std::unexpected<Error> refuse_entry(std::string_view name, std::string_view why) {
  return fail(ErrorKind::invalid, fmt::format("{} (entry {:?}: {})", not_a_zip_text, name, why));
}
std::unexpected<Error> too_large(std::uint64_t limit) {
  return fail(ErrorKind::too_large,
              fmt::format("Unzipped size must be smaller than {} bytes", limit));
}

Result<Reader> open_zip(std::string_view zip) {
  // The end record alone is a zip without entries.
  if (zip.empty() || zip.starts_with("PK\5\6")) return refuse(empty_zip_text);
  Reader reader(archive_read_new());
  if (!reader) return fail(ErrorKind::unavailable, "no memory for the archive reader");
  // Only the reader that goes by the central directory: what other unzippers see, too.
  archive_read_support_format_zip_seekable(reader.get());
  if (archive_read_open_memory(reader.get(), zip.data(), zip.size()) != ARCHIVE_OK) {
    return refuse(not_a_zip_text);
  }
  return reader;
}

std::string_view entry_name(archive_entry* entry) {
  const char* name = archive_entry_pathname_utf8(entry);
  if (!name) name = archive_entry_pathname(entry);
  return name ? std::string_view(name) : std::string_view();
}

enum class Kind { file, directory, link };

// Walks an archive once. With a directory it writes files; without, it only adds up sizes.
class Walk {
 public:
  Walk(Reader reader, ArchiveLimits limits) : reader_(std::move(reader)), limits_(limits) {}

  Result<> sum() {
    return each([this](archive_entry* entry) { return declare(entry); });
  }
  Result<> extract(const std::filesystem::path& into);
  std::uint64_t declared() const { return declared_; }
  std::uint64_t written() const { return written_; }

 private:
  template <class Visit>
  Result<> each(Visit visit);
  Result<> declare(archive_entry* entry);
  Result<> take(archive_entry* entry);
  Result<> make_parents(const std::string& path);
  Result<> make_directory(const std::string& path);
  Result<> write_file(const std::string& path, mode_t mode);
  Result<> copy_data(int fd, const std::string& path);
  Result<> make_links();
  Result<> sync();

  Reader reader_;
  ArchiveLimits limits_;
  int root_ = -1;
  std::size_t entries_ = 0;
  std::size_t files_ = 0;
  std::uint64_t declared_ = 0;
  std::uint64_t written_ = 0;
  std::map<std::string, Kind> seen_;
  std::map<std::string, std::string> links_;
};

template <class Visit>
Result<> Walk::each(Visit visit) {
  while (true) {
    archive_entry* entry = nullptr;
    int status = archive_read_next_header(reader_.get(), &entry);
    if (status == ARCHIVE_EOF) break;
    // A warning is a name that the C locale cannot show; the bytes of the name are there.
    if (status != ARCHIVE_OK && status != ARCHIVE_WARN) return refuse(not_a_zip_text);
    if (++entries_ > limits_.entries) {
      return fail(ErrorKind::too_large,
                  fmt::format("The zip has more than {} entries", limits_.entries));
    }
    TRY(visit(entry));
  }
  if (entries_ == 0) return refuse(empty_zip_text);
  return {};
}

Result<> Walk::declare(archive_entry* entry) {
  if (!archive_entry_size_is_set(entry)) return {};
  la_int64_t size = archive_entry_size(entry);
  if (size < 0) return refuse(not_a_zip_text);
  declared_ += static_cast<std::uint64_t>(size);
  if (declared_ >= limits_.unzipped_bytes) return too_large(limits_.unzipped_bytes);
  return {};
}

Result<> Walk::make_directory(const std::string& path) {
  auto [at, added] = seen_.emplace(path, Kind::directory);
  if (!added) {
    if (at->second == Kind::directory) return {};
    return refuse_entry(path, "a name twice, or a file below a file or link");
  }
  if (::mkdirat(root_, path.c_str(), 0755) != 0) return fail_errno("mkdir in a package", errno);
  // The umask must not take away what other users need.
  if (::fchmodat(root_, path.c_str(), 0755, 0) != 0) return fail_errno("chmod in a package", errno);
  return {};
}

Result<> Walk::make_parents(const std::string& path) {
  for (auto slash = path.find('/'); slash != path.npos; slash = path.find('/', slash + 1)) {
    TRY(make_directory(path.substr(0, slash)));
  }
  return {};
}

Result<> Walk::copy_data(int fd, const std::string& path) {
  while (true) {
    const void* block = nullptr;
    std::size_t length = 0;
    la_int64_t offset = 0;
    int status = archive_read_data_block(reader_.get(), &block, &length, &offset);
    if (status == ARCHIVE_EOF) return {};
    if (status != ARCHIVE_OK) return refuse(not_a_zip_text);
    written_ += length;
    if (written_ >= limits_.unzipped_bytes) return too_large(limits_.unzipped_bytes);
    const char* from = static_cast<const char*>(block);
    while (length > 0) {
      ssize_t done = ::pwrite(fd, from, length, offset);
      if (done < 0 && errno == EINTR) continue;
      if (done <= 0) return fail_errno(fmt::format("write {} of a package", path), errno);
      from += done;
      length -= static_cast<std::size_t>(done);
      offset += done;
    }
  }
}

Result<> Walk::write_file(const std::string& path, mode_t mode) {
  Descriptor file(
      ::openat(root_, path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (file.fd < 0) return fail_errno(fmt::format("create {} of a package", path), errno);
  TRY(copy_data(file.fd, path));
  if (::fchmod(file.fd, (mode & 0111) ? 0755 : 0644) != 0) {
    return fail_errno("chmod in a package", errno);
  }
  if (++files_ <= single_sync_files && ::fsync(file.fd) != 0) {
    return fail_errno("fsync in a package", errno);
  }
  return {};
}

Result<> Walk::take(archive_entry* entry) {
  TRY(declare(entry));
  std::string_view name = entry_name(entry);
  if (archive_entry_is_encrypted(entry)) return refuse_entry(name, "encrypted");
  TRY_ASSIGN(std::string path, safe_path(name));
  mode_t type = archive_entry_filetype(entry);
  if (path.empty()) {  // "./": the root itself
    if (type == AE_IFDIR) return {};
    return refuse_entry(name, "no name");
  }
  TRY(make_parents(path));
  if (type == AE_IFDIR) return make_directory(path);
  if (type != AE_IFREG && type != AE_IFLNK)
    return refuse_entry(name, "neither file, directory nor link");
  Kind kind = type == AE_IFREG ? Kind::file : Kind::link;
  if (!seen_.emplace(path, kind).second) return refuse_entry(name, "a name twice");
  if (kind == Kind::file) return write_file(path, archive_entry_mode(entry));
  const char* target = archive_entry_symlink_utf8(entry);
  if (!target) target = archive_entry_symlink(entry);
  if (!target || *target == '\0' || *target == '/')
    return refuse_entry(name, "a link out of the package");
  if (std::string_view(target).size() > path_bytes) {
    return refuse_entry(name, "a link to a name too long");
  }
  links_.emplace(path, target);
  return {};
}

// After all files, so that nothing is ever written through a link.
Result<> Walk::make_links() {
  for (const auto& [path, target] : links_) {
    if (!stays_inside(links_, path)) return refuse_entry(path, "a link out of the package");
    if (::symlinkat(target.c_str(), root_, path.c_str()) != 0) {
      return fail_errno("symlink in a package", errno);
    }
  }
  return {};
}

Result<> Walk::sync() {
  if (files_ > single_sync_files) {
    return ::syncfs(root_) == 0 ? Result<>{} : fail_errno("syncfs of a package", errno);
  }
  for (const auto& [path, kind] : seen_) {
    if (kind != Kind::directory) continue;
    Descriptor inner(::openat(root_, path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (inner.fd < 0 || ::fsync(inner.fd) != 0) return fail_errno("fsync in a package", errno);
  }
  return ::fsync(root_) == 0 ? Result<>{} : fail_errno("fsync of a package", errno);
}

Result<> Walk::extract(const std::filesystem::path& into) {
  if (::mkdir(into.c_str(), 0755) != 0) return fail_errno("mkdir of a package", errno);
  Descriptor root(::open(into.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (root.fd < 0) return fail_errno("open of a package directory", errno);
  root_ = root.fd;
  if (::fchmod(root_, 0755) != 0) return fail_errno("chmod of a package", errno);
  TRY(each([this](archive_entry* entry) { return take(entry); }));
  TRY(make_links());
  return sync();
}

}  // namespace

Result<std::string> safe_path(std::string_view name) {
  if (name.empty() || name.front() == '/') return refuse_entry(name, "an absolute or empty name");
  if (name.size() > path_bytes) return refuse_entry(name.substr(0, 64), "a name too long");
  std::string out;
  while (!name.empty()) {
    auto slash = name.find('/');
    std::string_view part = name.substr(0, slash);
    name.remove_prefix(slash == name.npos ? name.size() : slash + 1);
    if (part.empty() || part == ".") continue;
    if (part == "..") return refuse_entry(part, "a name out of the package");
    if (part.size() > 255) return refuse_entry(part.substr(0, 64), "a name too long");
    if (!out.empty()) out.push_back('/');
    out.append(part);
  }
  return out;
}

bool stays_inside(const std::map<std::string, std::string>& links, std::string_view path) {
  std::vector<std::string> done;
  std::deque<std::string> ahead;
  auto queue_front = [&ahead](std::string_view text) {
    std::vector<std::string> parts;
    while (!text.empty()) {
      auto slash = text.find('/');
      parts.emplace_back(text.substr(0, slash));
      text.remove_prefix(slash == text.npos ? text.size() : slash + 1);
    }
    ahead.insert(ahead.begin(), parts.begin(), parts.end());
  };
  queue_front(path);
  int hops = 0;
  while (!ahead.empty()) {
    std::string part = std::move(ahead.front());
    ahead.pop_front();
    if (part.empty() || part == ".") continue;
    if (part == "..") {
      if (done.empty()) return false;
      done.pop_back();
      continue;
    }
    done.push_back(std::move(part));
    auto link = links.find(fmt::format("{}", fmt::join(done, "/")));
    if (link == links.end()) continue;
    if (++hops > link_hops || link->second.starts_with('/')) return false;
    done.pop_back();
    queue_front(link->second);
  }
  return true;
}

Result<std::uint64_t> extract_zip(std::string_view zip, const std::filesystem::path& into,
                                  ArchiveLimits limits) {
  Utf8Names names;
  TRY_ASSIGN(Reader reader, open_zip(zip));
  Walk walk(std::move(reader), limits);
  TRY(walk.extract(into));
  return walk.written();
}

Result<std::uint64_t> declared_bytes(std::string_view zip, ArchiveLimits limits) {
  Utf8Names names;
  TRY_ASSIGN(Reader reader, open_zip(zip));
  Walk walk(std::move(reader), limits);
  TRY(walk.sum());
  return walk.declared();
}

}  // namespace mayfly::functions
