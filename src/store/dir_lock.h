// DirLock: one process per data directory. Held by every open store of the directory and released
// with the last one (or by the kernel when the process ends, however it ends).
//
// Threads: any.
#pragma once

#include <filesystem>
#include <memory>
#include <set>
#include <string>

#include "base/result.h"
#include "io/fd.h"

namespace mayfly::store {

class DirLock {
 public:
  // Makes the directory when it is not there. `fresh` tells whether this call took the lock (and
  // so nobody uses the directory yet).
  static Result<std::shared_ptr<DirLock>> take(const std::filesystem::path& dir, bool& fresh);
  // Claims a database file of the directory for one store; `conflict` when it is open already.
  Result<> claim(const std::string& file);
  void release(const std::string& file);

 private:
  io::Fd fd_;
  std::set<std::string> files_;  // guarded by the registry's mutex
};

}  // namespace mayfly::store
