// PackageStore: zips by content, each extracted once, read-only, shared by every version that has
// the same code. Checks an archive before anything is kept: zip bombs, traversal, links, modes,
// sizes, "not a zip"; a refused package leaves nothing behind.
//
// Threads: loop (work runs on io::Workers). Lifetime: as long as the server.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "functions/model.h"
#include "io/workers.h"
#include "store/store.h"

namespace mayfly::functions {

class PackageStore {
 public:
  virtual ~PackageStore() = default;
  // Verifies, stores (synced) and extracts. `invalid` with the cloud's text for a bad archive,
  // `too_large` over `unzipped_limit` bytes.
  virtual io::Task<Result<PackageRef>> add(std::string zip, std::uint64_t unzipped_limit) = 0;
  // The read-only directory of an extracted package; extracts again when it is missing.
  virtual io::Task<Result<std::filesystem::path>> directory(PackageRef package) = 0;
  // One read-only directory with the layers' trees merged in order, later ones winning; empty path
  // when there are none.
  virtual io::Task<Result<std::filesystem::path>> layers_directory(
      std::vector<LayerRef> layers) = 0;
  virtual io::Task<Result<std::string>> zip_bytes(PackageRef package) = 0;
  // Removes packages that were not in `in_use` (hashes) for at least `grace`, counted from the
  // first collect() that missed them. An environment of replaced code may live until its last call
  // ends, so a running server passes more than the longest timeout. Answers how many went.
  virtual io::Task<Result<std::size_t>> collect(std::vector<std::string> in_use,
                                                Duration grace) = 0;
};

// Makes `dir` with packages/ and layers/ where missing and sweeps what a crash left half done.
// Zips are blobs of `store`.
Result<std::unique_ptr<PackageStore>> open_package_store(io::Loop& loop, store::Store& store,
                                                         io::Workers& workers,
                                                         std::filesystem::path dir);

// base64 of the raw SHA-256, as CodeSha256 shows it.
std::string code_sha256(const PackageRef& package);

}  // namespace mayfly::functions
