// Blobs: content-addressed files below DIR/blobs, "ab/cdef…" for the blob abcdef….
//
// A blob appears by rename(2) after its bytes are on the disk: a name that exists is whole.
// Threads: every call may run on any thread (the embedded store runs them on its workers).
#pragma once

#include <atomic>
#include <filesystem>
#include <string>
#include <string_view>

#include "base/result.h"

namespace mayfly::store {

class Blobs {
 public:
  explicit Blobs(std::filesystem::path dir) : dir_(std::move(dir)) {}

  // Removes what a killed process left half written. Only while nobody else uses the directory.
  Result<> sweep();
  Result<std::string> put(std::string_view bytes);
  Result<std::filesystem::path> path(std::string_view sha256) const;
  Result<std::string> get(const std::string& sha256) const;
  Result<> remove(const std::string& sha256);

 private:
  std::filesystem::path place(std::string_view sha256) const;
  Result<> write(const std::filesystem::path& to, std::string_view bytes);

  std::filesystem::path dir_;
  std::atomic<std::uint64_t> next_temp_{0};
};

}  // namespace mayfly::store
