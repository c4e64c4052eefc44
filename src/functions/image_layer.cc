#include "functions/image_layer.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <memory>

#include "functions/archive.h"
#include "wire/hash.h"

namespace mayfly::functions {

namespace {

constexpr std::string_view whiteout = ".wh.";
constexpr std::string_view opaque = ".wh..wh..opq";

struct ReaderEnd {
  void operator()(archive* reader) const { archive_read_free(reader); }
};
using Reader = std::unique_ptr<archive, ReaderEnd>;

std::unexpected<Error> corrupt(std::string_view why) {
  return fail(ErrorKind::corrupt, fmt::format("a layer of the image: {}", why));
}
std::unexpected<Error> refuse(std::string_view name, std::string_view why) {
  return fail(ErrorKind::invalid, fmt::format("a layer of the image: {:?}: {}", name, why));
}

// The blob's bytes, and behind the decompression the tar's, each hashed on their way.
//
//   blob ─hash─► filters, format raw ─hash─► format tar
class Bytes {
 public:
  explicit Bytes(int blob) : blob_(blob), raw_(archive_read_new()) {}

  Result<> open() {
    archive_read_support_format_raw(raw_.get());
    archive_read_support_format_empty(raw_.get());
    archive_read_support_filter_gzip(raw_.get());
    // ARCHIVE_WARN: by another program, which is not to be started here.
    if (archive_read_support_filter_zstd(raw_.get()) != ARCHIVE_OK) {
      archive_read_support_filter_none(raw_.get());
    }
    auto read = [](archive*, void* self, const void** block) {
      return static_cast<Bytes*>(self)->read_blob(block);
    };
    if (archive_read_open(raw_.get(), this, nullptr, read, nullptr) != ARCHIVE_OK) {
      return corrupt("it is neither a tar nor one compressed by gzip or zstd");
    }
    archive_entry* entry = nullptr;
    int status = archive_read_next_header(raw_.get(), &entry);
    ended_ = status == ARCHIVE_EOF;
    if (!ended_ && status != ARCHIVE_OK) return corrupt("it cannot be decompressed");
    return {};
  }
  // For the reader of the tar.
  la_ssize_t read_tar(archive* reader, const void** block) {
    if (ended_) return 0;
    std::size_t length = 0;
    la_int64_t offset = 0;
    int status = archive_read_data_block(raw_.get(), block, &length, &offset);
    if (status == ARCHIVE_EOF) {
      ended_ = true;
      return 0;
    }
    if (status != ARCHIVE_OK) {
      archive_set_error(reader, EIO, "it cannot be decompressed");
      return ARCHIVE_FATAL;
    }
    tar_.update({static_cast<const char*>(*block), length});
    return static_cast<la_ssize_t>(length);
  }
  // Reads what the tar's reader left, behind the end of the tar too.
  Result<> check(archive* reader, const LayerDigests& digests) {
    const void* block = nullptr;
    la_ssize_t got = 0;
    while ((got = read_tar(reader, &block)) > 0) {
    }
    if (got < 0) return corrupt("it cannot be decompressed");
    // A compressed stream may end before its file does.
    while (read_blob(&block) > 0) {
    }
    if (failed_) return fail_errno("reading a layer", failed_);
    if (!digests.blob.empty() && blob_hash_.finish_hex() != digests.blob) {
      return corrupt(fmt::format("its content is not sha256:{}", digests.blob));
    }
    if (!digests.diff.empty() && tar_.finish_hex() != digests.diff) {
      return corrupt(fmt::format("its tar is not sha256:{}", digests.diff));
    }
    return {};
  }

 private:
  la_ssize_t read_blob(const void** block) {
    *block = buffer_.data();
    ssize_t got = 0;
    do {
      got = ::read(blob_, buffer_.data(), buffer_.size());
    } while (got < 0 && errno == EINTR);
    if (got < 0) {
      failed_ = errno;
      archive_set_error(raw_.get(), errno, "read");
      return ARCHIVE_FATAL;
    }
    blob_hash_.update({buffer_.data(), static_cast<std::size_t>(got)});
    return got;
  }

  int blob_;
  Reader raw_;
  bool ended_ = false;
  int failed_ = 0;
  wire::Sha256 blob_hash_;
  wire::Sha256 tar_;
  std::array<char, 64 * 1024> buffer_{};
};

std::string_view entry_name(archive_entry* entry) {
  const char* name = archive_entry_pathname(entry);
  return name ? std::string_view(name) : std::string_view();
}

// Names in layers are relative to the root; some tools write a slash before them.
Result<std::string> path_of(std::string_view name) {
  while (name.starts_with('/')) name.remove_prefix(1);
  if (name.empty()) return std::string();
  return safe_path(name);
}

}  // namespace

// Lays one layer over a tree.
class LayerReader {
 public:
  explicit LayerReader(ImageTree& tree) : tree_(tree) {}
  Result<> read(int blob, const LayerDigests& digests);

 private:
  Result<> take(archive_entry* entry);
  Result<> hide(const std::string& above, const std::string& name);
  Result<> put(archive_entry* entry, const std::string& path, int parent, const std::string& name);
  Result<> put_directory(archive_entry* entry, const std::string& path, int parent,
                         const std::string& name);
  Result<> put_file(archive_entry* entry, int parent, const std::string& name);
  Result<> put_hard_link(std::string_view target, int parent, const std::string& name);
  Result<> copy_data(int fd);

  ImageTree& tree_;
  Reader tar_;
};

Result<> LayerReader::read(int blob, const LayerDigests& digests) {
  tree_.of_layer_.clear();
  auto bytes = std::make_unique<Bytes>(blob);
  TRY(bytes->open());
  tar_.reset(archive_read_new());
  archive_read_support_format_tar(tar_.get());
  archive_read_support_format_empty(tar_.get());
  auto pull = [](archive* reader, void* from, const void** block) {
    return static_cast<Bytes*>(from)->read_tar(reader, block);
  };
  if (archive_read_open(tar_.get(), bytes.get(), nullptr, pull, nullptr) != ARCHIVE_OK) {
    return corrupt("it is no tar");
  }
  while (true) {
    archive_entry* entry = nullptr;
    int status = archive_read_next_header(tar_.get(), &entry);
    if (status == ARCHIVE_EOF) break;
    // A warning is a name that the locale cannot show; its bytes are there.
    if (status != ARCHIVE_OK && status != ARCHIVE_WARN) return corrupt("it is no tar");
    TRY(take(entry));
  }
  return bytes->check(tar_.get(), digests);
}

Result<> LayerReader::take(archive_entry* entry) {
  TRY(tree_.count_entry());
  std::string_view full = entry_name(entry);
  TRY_ASSIGN(std::string path, path_of(full));
  if (path.empty()) return {};  // the root itself
  auto slash = path.rfind('/');
  std::string above = slash == path.npos ? std::string() : path.substr(0, slash);
  std::string name = slash == path.npos ? path : path.substr(slash + 1);
  if (name.starts_with(whiteout)) return hide(above, name);
  TRY_ASSIGN(io::Fd parent, tree_.directory(above));
  TRY(put(entry, path, parent.get(), name));
  tree_.of_layer_.insert(path);
  return {};
}

Result<> LayerReader::hide(const std::string& above, const std::string& name) {
  if (name == opaque) return tree_.hide_below(above);
  std::string hidden = name.substr(whiteout.size());
  // aufs keeps records of its own under such names; "." and ".." are no names.
  if (hidden.starts_with(whiteout) || hidden.empty() || hidden == "." || hidden == "..") return {};
  return tree_.hide(above.empty() ? hidden : above + "/" + hidden);
}

Result<> LayerReader::put(archive_entry* entry, const std::string& path, int parent,
                          const std::string& name) {
  auto type = archive_entry_filetype(entry);
  if (const char* target = archive_entry_hardlink(entry)) {
    return put_hard_link(target, parent, name);
  }
  switch (type) {
    case AE_IFDIR: return put_directory(entry, path, parent, name);
    case AE_IFREG: return put_file(entry, parent, name);
    case AE_IFLNK: {
      const char* target = archive_entry_symlink(entry);
      if (!target || *target == '\0') return refuse(path, "a link to nothing");
      TRY(tree_.remove(parent, name));
      if (::symlinkat(target, parent, name.c_str()) != 0) {
        return fail_errno("link of an image", errno);
      }
      return {};
    }
    default: return tree_.remove(parent, name);  // what is skipped still replaces
  }
}

Result<> LayerReader::put_directory(archive_entry* entry, const std::string& path, int parent,
                                    const std::string& name) {
  struct stat status{};
  bool there = ::fstatat(parent, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0;
  if (there && !S_ISDIR(status.st_mode)) {
    TRY(tree_.remove(parent, name));
    there = false;
  }
  if (!there && ::mkdirat(parent, name.c_str(), 0700) != 0) {
    return fail_errno(fmt::format("make {} of an image", path), errno);
  }
  mode_t mode = (archive_entry_mode(entry) & 0777) | 0700;
  if (::fchmodat(parent, name.c_str(), mode, 0) != 0) return fail_errno("chmod in an image", errno);
  return {};
}

Result<> LayerReader::put_file(archive_entry* entry, int parent, const std::string& name) {
  TRY(tree_.remove(parent, name));
  io::Fd file(
      ::openat(parent, name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!file) return fail_errno("create a file of an image", errno);
  TRY(copy_data(file.get()));
  // Sparse files end with a hole.
  if (archive_entry_size_is_set(entry)) {
    auto size = archive_entry_size(entry);
    if (size < 0 || static_cast<std::uint64_t>(size) > tree_.limits_.bytes) {
      return fail(ErrorKind::too_large, "a file of the image is larger than an image may be");
    }
    if (::ftruncate(file.get(), size) != 0) return fail_errno("write a file of an image", errno);
  }
  mode_t mode = (archive_entry_mode(entry) & 0777) | 0400;
  if (::fchmod(file.get(), mode) != 0) return fail_errno("chmod in an image", errno);
  return {};
}

Result<> LayerReader::copy_data(int fd) {
  while (true) {
    const void* block = nullptr;
    std::size_t length = 0;
    la_int64_t offset = 0;
    int status = archive_read_data_block(tar_.get(), &block, &length, &offset);
    if (status == ARCHIVE_EOF) return {};
    if (status != ARCHIVE_OK) return corrupt("it breaks off");
    TRY(tree_.count_bytes(length));
    const char* from = static_cast<const char*>(block);
    while (length > 0) {
      ssize_t done = ::pwrite(fd, from, length, offset);
      if (done < 0 && errno == EINTR) continue;
      if (done <= 0) return fail_errno("write a file of an image", errno);
      from += done;
      length -= static_cast<std::size_t>(done);
      offset += done;
    }
  }
}

Result<> LayerReader::put_hard_link(std::string_view target, int parent, const std::string& name) {
  TRY_ASSIGN(std::string path, path_of(target));
  if (path.empty()) return refuse(target, "a hard link to the root");
  auto slash = path.rfind('/');
  std::string above = slash == path.npos ? std::string() : path.substr(0, slash);
  std::string last = slash == path.npos ? path : path.substr(slash + 1);
  TRY_ASSIGN(io::Fd from, tree_.directory(above));
  struct stat old{};
  struct stat same{};
  if (::fstatat(from.get(), last.c_str(), &old, AT_SYMLINK_NOFOLLOW) != 0) {
    return refuse(target, "a hard link to what is not there");
  }
  if (S_ISDIR(old.st_mode)) return refuse(target, "a hard link to a directory");
  bool itself = ::fstatat(parent, name.c_str(), &same, AT_SYMLINK_NOFOLLOW) == 0 &&
                same.st_ino == old.st_ino && same.st_dev == old.st_dev;
  if (itself) return {};
  TRY(tree_.remove(parent, name));
  if (::linkat(from.get(), last.c_str(), parent, name.c_str(), 0) != 0) {
    return fail_errno("hard link of an image", errno);
  }
  return {};
}

Result<> ImageTree::apply(int blob, const LayerDigests& digests) {
  return LayerReader(*this).read(blob, digests);
}

}  // namespace mayfly::functions
