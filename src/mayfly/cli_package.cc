#include "mayfly/cli_package.h"

#include <archive.h>
#include <archive_entry.h>

#include <fstream>
#include <sstream>

#include "base/limits.h"
#include "wire/text.h"

namespace mayfly::cli {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view never_packed = R"(
.git/
.hg/
.svn/
.DS_Store
.env
.gitignore
.mayflyignore
.venv/
__pycache__/
*.pyc
/mayfly.json
)";

bool glob_match(std::string_view glob, std::string_view text) {
  if (glob.empty()) return text.empty();
  if (glob.starts_with("**/")) {
    if (glob_match(glob.substr(3), text)) return true;
    const auto slash = text.find('/');
    return slash != std::string_view::npos && glob_match(glob, text.substr(slash + 1));
  }
  if (glob == "**") return true;
  if (glob.front() == '*') {
    for (std::size_t taken = 0; taken <= text.size(); ++taken) {
      if (glob_match(glob.substr(1), text.substr(taken))) return true;
      if (taken < text.size() && text[taken] == '/') break;
    }
    return false;
  }
  if (text.empty()) return false;
  if (glob.front() == '?' ? text.front() == '/' : glob.front() != text.front()) return false;
  return glob_match(glob.substr(1), text.substr(1));
}

struct Source {
  std::string name;  // in the zip
  fs::path path;
  bool executable = false;
};

Result<> collect(const fs::path& root, const std::string& prefix, const IgnoreList& ignore,
                 int depth, std::vector<Source>& sources) {
  if (depth > 64) {
    return fail(ErrorKind::invalid,
                fmt::format("{} is nested too deep (a link in a circle?)", prefix));
  }
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(prefix.empty() ? root : root / prefix, error)) {
    const auto name = prefix.empty() ? entry.path().filename().string()
                                     : prefix + "/" + entry.path().filename().string();
    const bool folder = entry.is_directory(error);
    if (ignore.ignores(name, folder)) continue;
    if (entry.is_symlink(error)) {
      const auto target = fs::weakly_canonical(entry.path(), error).string();
      if (error || !target.starts_with(fs::canonical(root).string() + "/")) {
        return fail(ErrorKind::invalid, fmt::format("{} is a link that leaves the folder", name));
      }
    }
    if (folder) {
      TRY(collect(root, name, ignore, depth + 1, sources));
    } else if (entry.is_regular_file(error)) {
      const auto mode = entry.status(error).permissions();
      sources.push_back({name, entry.path(), (mode & fs::perms::owner_exec) != fs::perms::none});
    }
  }
  if (error) {
    return fail(ErrorKind::unavailable,
                fmt::format("cannot read {}: {}", (root / prefix).string(), error.message()));
  }
  return {};
}

la_ssize_t append_bytes(archive*, void* into, const void* data, std::size_t size) {
  static_cast<std::string*>(into)->append(static_cast<const char*>(data), size);
  return static_cast<la_ssize_t>(size);
}

struct Writer {
  archive* zip = archive_write_new();
  archive_entry* entry = archive_entry_new();
  ~Writer() {
    archive_entry_free(entry);
    archive_write_free(zip);
  }
};

Result<> write_source(Writer& writer, const Source& source) {
  TRY_ASSIGN(const auto bytes, read_file(source.path));
  archive_entry_clear(writer.entry);
  archive_entry_set_pathname(writer.entry, source.name.c_str());
  archive_entry_set_filetype(writer.entry, AE_IFREG);
  archive_entry_set_perm(writer.entry, source.executable ? 0755 : 0644);
  archive_entry_set_mtime(writer.entry, 315'619'200, 0);  // 1980-01-02, zip's first whole day
  archive_entry_set_size(writer.entry, static_cast<la_int64_t>(bytes.size()));
  if (archive_write_header(writer.zip, writer.entry) != ARCHIVE_OK ||
      archive_write_data(writer.zip, bytes.data(), bytes.size()) < 0) {
    return fail(ErrorKind::internal,
                fmt::format("cannot pack {}: {}", source.name, archive_error_string(writer.zip)));
  }
  return {};
}

}  // namespace

IgnoreList::IgnoreList() { add(never_packed); }

void IgnoreList::add(std::string_view text) {
  for (auto line : wire::split(text, '\n')) {
    line = wire::trim(line);
    if (line.empty() || line.starts_with('#')) continue;
    Pattern pattern;
    if (line.starts_with('!')) {
      pattern.negated = true;
      line.remove_prefix(1);
    }
    if (line.ends_with('/')) {
      pattern.folders_only = true;
      line.remove_suffix(1);
    }
    pattern.anchored = line.find('/') != std::string_view::npos;
    if (line.starts_with('/')) line.remove_prefix(1);
    pattern.glob = std::string(line);
    patterns_.push_back(std::move(pattern));
  }
}

bool IgnoreList::ignores(std::string_view path, bool is_folder) const {
  const auto name = path.substr(path.rfind('/') + 1);
  bool ignored = false;
  for (const auto& pattern : patterns_) {
    if (pattern.folders_only && !is_folder) continue;
    if (glob_match(pattern.glob, pattern.anchored ? path : name)) ignored = !pattern.negated;
  }
  return ignored;
}

Result<std::string> read_file(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream out;
  if (in) out << in.rdbuf();
  if (!in) return fail(ErrorKind::not_found, fmt::format("cannot read {}", path.string()));
  return std::move(out).str();
}

Result<Package> make_package(const fs::path& folder, PackageSize size) {
  IgnoreList ignore;
  if (fs::exists(folder / ".mayflyignore")) {
    TRY_ASSIGN(const auto text, read_file(folder / ".mayflyignore"));
    ignore.add(text);
  }
  std::vector<Source> sources;
  TRY(collect(folder, "", ignore, 0, sources));
  if (sources.empty()) {
    return fail(ErrorKind::invalid, fmt::format("{} has no files to deploy", folder.string()));
  }
  std::ranges::sort(sources, {}, &Source::name);
  Package package{.zip = {}, .files = sources.size()};
  {
    Writer writer;
    archive_write_set_format_zip(writer.zip);
    archive_write_set_bytes_in_last_block(writer.zip, 1);  // no padding behind the directory
    if (archive_write_open(writer.zip, &package.zip, nullptr, append_bytes, nullptr) !=
        ARCHIVE_OK) {
      return fail(ErrorKind::internal, "cannot start a zip");
    }
    for (const auto& source : sources) TRY(write_source(writer, source));
    if (archive_write_close(writer.zip) != ARCHIVE_OK) {
      return fail(ErrorKind::internal, "cannot finish the zip");
    }
  }
  if (size == PackageSize::deployable && package.zip.size() > limits::package_zip_bytes) {
    return fail(
        ErrorKind::too_large,
        fmt::format("the package is {} MiB, at most {} MiB: leave files out with "
                    ".mayflyignore, or put dependencies into a layer",
                    package.zip.size() / limits::mib, limits::package_zip_bytes / limits::mib));
  }
  return package;
}

}  // namespace mayfly::cli
