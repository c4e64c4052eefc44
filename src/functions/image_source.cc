#include "functions/image_source.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <map>
#include <memory>

#include "base/limits.h"
#include "functions/archive.h"
#include "wire/hash.h"

namespace mayfly::functions {

namespace fs = std::filesystem;

namespace {

// A tar has the layers as they are and compressed ones are smaller, so this is far more than one
// of an image within the limit has.
constexpr std::uint64_t archive_bytes = limits::image_bytes + limits::image_bytes / 4;
constexpr std::size_t archive_entries = 10 * limits::image_layers;

struct ReaderEnd {
  void operator()(archive* reader) const { archive_read_free(reader); }
};
using Reader = std::unique_ptr<archive, ReaderEnd>;

std::unexpected<Error> refuse(std::string_view why) {
  return fail(ErrorKind::invalid, fmt::format("this is no container image: {}", why));
}

// The files of a tar, by their names; links among them (docker writes some) are followed here.
class Unpacking {
 public:
  Unpacking(Reader reader, const fs::path& into) : reader_(std::move(reader)), into_(into) {}
  Result<> run();

 private:
  Result<> take(archive_entry* entry);
  Result<> write(const std::string& path);
  Result<> link_all();

  Reader reader_;
  const fs::path& into_;
  std::uint64_t bytes_ = 0;
  std::size_t entries_ = 0;
  std::map<std::string, std::string> links_;  // by path: to where, from the top
};

Result<> Unpacking::run() {
  while (true) {
    archive_entry* entry = nullptr;
    int status = archive_read_next_header(reader_.get(), &entry);
    if (status == ARCHIVE_EOF) return link_all();
    if (status != ARCHIVE_OK && status != ARCHIVE_WARN) {
      return refuse("neither a directory nor a tar that can be read");
    }
    if (++entries_ > archive_entries) return refuse("it has too many files");
    TRY(take(entry));
  }
}

Result<> Unpacking::take(archive_entry* entry) {
  const char* name = archive_entry_pathname(entry);
  TRY_ASSIGN(std::string path, safe_path(name ? name : ""));
  if (path.empty() || archive_entry_filetype(entry) == AE_IFDIR) return {};
  if (const char* target = archive_entry_hardlink(entry)) {
    TRY_ASSIGN(links_[path], safe_path(target));
    return {};
  }
  if (archive_entry_filetype(entry) == AE_IFLNK) {
    const char* target = archive_entry_symlink(entry);
    if (!target || *target == '/') return refuse("a link out of the archive");
    fs::path whole = (fs::path(path).parent_path() / target).lexically_normal();
    TRY_ASSIGN(links_[path], safe_path(whole.string()));
    return {};
  }
  if (archive_entry_filetype(entry) != AE_IFREG) return refuse("a special file in the archive");
  return write(path);
}

Result<> Unpacking::write(const std::string& path) {
  std::error_code code;
  fs::path place = into_ / path;
  fs::create_directories(place.parent_path(), code);
  if (code) return fail_errno("directory of an image's archive", code.value());
  io::Fd file(::open(place.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!file) return fail_errno("create a file of an image's archive", errno);
  while (true) {
    const void* block = nullptr;
    std::size_t length = 0;
    la_int64_t offset = 0;
    int status = archive_read_data_block(reader_.get(), &block, &length, &offset);
    if (status == ARCHIVE_EOF) return {};
    if (status != ARCHIVE_OK) return refuse("the archive breaks off");
    bytes_ += length;
    if (bytes_ > archive_bytes) {
      return fail(ErrorKind::too_large,
                  fmt::format("The image has more than {} bytes", limits::image_bytes));
    }
    const char* from = static_cast<const char*>(block);
    while (length > 0) {
      ssize_t done = ::pwrite(file.get(), from, length, offset);
      if (done < 0 && errno == EINTR) continue;
      if (done <= 0) return fail_errno("write a file of an image's archive", errno);
      from += done;
      length -= static_cast<std::size_t>(done);
      offset += done;
    }
  }
}

Result<> Unpacking::link_all() {
  for (const auto& [path, first] : links_) {
    std::string target = first;
    for (int hops = 0; hops < 8 && links_.contains(target); ++hops) target = links_.at(target);
    std::error_code code;
    fs::path place = into_ / path;
    fs::create_directories(place.parent_path(), code);
    // Only regular files are here, so that this leads to nothing else.
    if (!code) fs::create_hard_link(into_ / target, place, code);
    if (code) return refuse(fmt::format("a link to {:?}, which is not there", target));
  }
  return {};
}

Result<> unpack_archive(const fs::path& source, const fs::path& into) {
  Reader reader(archive_read_new());
  archive_read_support_format_tar(reader.get());
  archive_read_support_filter_gzip(reader.get());
  if (archive_read_support_filter_zstd(reader.get()) != ARCHIVE_OK) {
    archive_read_support_filter_none(reader.get());
  }
  if (archive_read_open_filename(reader.get(), source.c_str(), 64 * 1024) != ARCHIVE_OK) {
    return refuse("neither a directory nor a tar that can be read");
  }
  std::error_code code;
  fs::create_directory(into, code);
  if (code) return fail_errno("directory of an image's archive", code.value());
  return Unpacking(std::move(reader), into).run();
}

std::string blob_path(std::string_view digest) { return fmt::format("blobs/sha256/{}", digest); }

// `docker save` names a config by its digest: "<hex>.json" or "blobs/sha256/<hex>".
std::string digest_in(std::string_view path) {
  path = path.substr(path.rfind('/') + 1);
  if (path.ends_with(".json")) path.remove_suffix(5);
  return std::string(path);
}

// What names a tag alone names no repository.
std::string whole_name(std::string_view name) {
  return name.find('/') != name.npos || name.find(':') != name.npos ? std::string(name) : "";
}

Result<> check_config(const ImageConfig& config, std::size_t layers,
                      std::string_view architecture) {
  if (config.diff_ids.size() != layers) {
    return refuse("its config and its manifest have different numbers of layers");
  }
  if (!config.os.empty() && config.os != "linux") {
    return fail(ErrorKind::not_found, fmt::format("the image is for {}, not Linux", config.os));
  }
  if (!config.architecture.empty() && config.architecture != architecture) {
    return fail(ErrorKind::not_found, fmt::format("the image is for {}, and this machine is {}",
                                                  config.architecture, architecture));
  }
  return {};
}

}  // namespace

Result<ImageSource> ImageSource::open(const fs::path& source, const fs::path& scratch) {
  std::error_code code;
  auto status = fs::status(source, code);
  if (status.type() == fs::file_type::not_found || code) {
    return fail(ErrorKind::not_found, fmt::format("there is no {}", source.string()));
  }
  bool archived = status.type() == fs::file_type::regular;
  if (!archived && status.type() != fs::file_type::directory) {
    return refuse("neither a directory nor a tar");
  }
  if (archived) TRY(unpack_archive(source, scratch));
  const fs::path& place = archived ? scratch : source;
  io::Fd dir(::open(place.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!dir) return fail_errno(place.string(), errno);
  return ImageSource(std::move(dir));
}

Result<io::Fd> ImageSource::file(const std::string& path) const {
  // Links in a directory may lead anywhere, as some tools make them: what they lead to is checked
  // against its digest. A pipe must not hold us up.
  io::Fd fd(::openat(dir_.get(), path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd && errno == ENOENT) {
    return fail(ErrorKind::not_found, fmt::format("the image lacks {}", path));
  }
  if (!fd) return fail_errno(fmt::format("{} of an image", path), errno);
  struct stat status{};
  if (::fstat(fd.get(), &status) != 0 || !S_ISREG(status.st_mode)) {
    return refuse(fmt::format("{} is no file", path));
  }
  return fd;
}

Result<std::string> ImageSource::document(const std::string& path) const {
  TRY_ASSIGN(io::Fd fd, file(path));
  std::string out;
  std::array<char, 16 * 1024> buffer{};
  while (true) {
    ssize_t got = ::read(fd.get(), buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return fail_errno(fmt::format("{} of an image", path), errno);
    if (got == 0) return out;
    out.append(buffer.data(), static_cast<std::size_t>(got));
    if (out.size() > limits::image_document_bytes) {
      return fail(ErrorKind::too_large, fmt::format("{} of the image has more than {} bytes", path,
                                                    limits::image_document_bytes));
    }
  }
}

Result<std::string> ImageSource::checked(const Descriptor& descriptor) const {
  TRY_ASSIGN(std::string text, document(blob_path(descriptor.digest)));
  if (text.size() != descriptor.size || wire::sha256_hex(text) != descriptor.digest) {
    return fail(ErrorKind::corrupt,
                fmt::format("a document of the image is not sha256:{}", descriptor.digest));
  }
  return text;
}

Result<FoundImage> ImageSource::find(std::string_view architecture) const {
  auto layout = document("oci-layout");
  if (layout) {
    TRY(check_oci_layout(*layout));
    TRY_ASSIGN(auto found, find_oci(architecture));
    // Docker writes both kinds of documents, and the shorter name into its own.
    auto text = document("manifest.json");
    auto images = text ? parse_docker_manifest(*text) : std::unexpected(text.error());
    if (images && images->size() == 1 && !images->front().names.empty()) {
      found.name = images->front().names.front();
    }
    return found;
  }
  if (layout.error().kind != ErrorKind::not_found) return std::unexpected(layout.error());
  auto found = find_docker(architecture);
  if (!found && found.error().kind == ErrorKind::not_found &&
      found.error().message.ends_with("manifest.json")) {
    return refuse("it has neither oci-layout nor manifest.json");
  }
  return found;
}

Result<FoundImage> ImageSource::find_oci(std::string_view architecture) const {
  TRY_ASSIGN(std::string text, document("index.json"));
  TRY_ASSIGN(OciDocument document, parse_oci_document(text));
  FoundImage out;
  // An index may list further ones, one for each tag.
  for (int depth = 0; document.is_index; ++depth) {
    if (depth > 4) return refuse("its index leads from one to the next");
    TRY_ASSIGN(Descriptor chosen, choose_platform(document.manifests, architecture));
    if (out.name.empty()) out.name = whole_name(chosen.name);
    out.digest = chosen.digest;
    TRY_ASSIGN(text, checked(chosen));
    TRY_ASSIGN(document, parse_oci_document(text));
  }
  if (out.digest.empty()) return refuse("index.json is no index");
  TRY_ASSIGN(text, checked(document.config));
  TRY_ASSIGN(out.config, parse_image_config(text));
  TRY(check_config(out.config, document.layers.size(), architecture));
  for (std::size_t i = 0; i < document.layers.size(); ++i) {
    const std::string& digest = document.layers[i].digest;
    out.layers.push_back({blob_path(digest), {digest, out.config.diff_ids[i]}});
  }
  return out;
}

Result<FoundImage> ImageSource::find_docker(std::string_view architecture) const {
  TRY_ASSIGN(std::string text, document("manifest.json"));
  TRY_ASSIGN(auto images, parse_docker_manifest(text));
  if (images.size() > 1) {
    return refuse("it holds several images: save the one alone that is to be used");
  }
  const DockerImage& image = images[0];
  TRY_ASSIGN(text, document(image.config));
  FoundImage out;
  out.digest = wire::sha256_hex(text);
  if (digest_in(image.config) != out.digest) {
    return fail(ErrorKind::corrupt,
                fmt::format("{} of the image has another digest", image.config));
  }
  TRY_ASSIGN(out.config, parse_image_config(text));
  TRY(check_config(out.config, image.layers.size(), architecture));
  for (std::size_t i = 0; i < image.layers.size(); ++i) {
    out.layers.push_back({image.layers[i], {{}, out.config.diff_ids[i]}});
  }
  if (!image.names.empty()) out.name = image.names[0];
  return out;
}

Result<std::uint64_t> lay_image(const ImageSource& source, const FoundImage& image,
                                const fs::path& into, ImageLimits limits) {
  TRY_ASSIGN(auto tree, ImageTree::open(into, limits));
  for (const auto& layer : image.layers) {
    TRY_ASSIGN(io::Fd blob, source.file(layer.path));
    TRY(tree.apply(blob.get(), layer.digests));
  }
  TRY(tree.finish());
  return tree.bytes();
}

}  // namespace mayfly::functions
