#include "sandbox/bootstraps.h"

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <system_error>

namespace mayfly::sandbox {
namespace {

namespace fs = std::filesystem;

// FNV-1a: tells builds apart, guards nothing.
std::uint64_t digest() {
  std::uint64_t hash = 0xcbf29ce484222325;
  auto mix = [&](std::string_view bytes) {
    for (char c : bytes) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
    hash = (hash ^ 0xff) * 0x100000001b3;
  };
  for (const auto& file : embedded_bootstraps()) {
    mix(file.path);
    mix(file.bytes);
  }
  return hash;
}

}  // namespace

Result<std::string> unpack_bootstraps(const std::string& state_dir) {
  fs::path final_dir = fs::path(state_dir) / "bootstraps" / fmt::format("{:016x}", digest());
  std::error_code error;
  if (fs::is_directory(final_dir, error)) return final_dir.string();
  // Written aside and renamed, so that a directory of the right name is always whole.
  fs::path aside = final_dir.string() + fmt::format(".{}", ::getpid());
  for (const auto& file : embedded_bootstraps()) {
    fs::path target = aside / file.path;
    fs::create_directories(target.parent_path(), error);
    std::ofstream out(target, std::ios::binary);
    out.write(file.bytes.data(), static_cast<std::streamsize>(file.bytes.size()));
    out.close();
    if (!out) return fail(ErrorKind::unavailable, "cannot write " + target.string());
    if (file.bytes.starts_with("#!")) {
      fs::permissions(target, fs::perms(0755), error);
    }
  }
  fs::rename(aside, final_dir, error);
  if (error && !fs::is_directory(final_dir)) {
    return fail(ErrorKind::unavailable,
                "cannot create " + final_dir.string() + ": " + error.message());
  }
  if (error) fs::remove_all(aside, error);
  return final_dir.string();
}

}  // namespace mayfly::sandbox
