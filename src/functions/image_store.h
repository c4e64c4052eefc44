// ImageStore: container images by the digest of their manifest, each unpacked once into a tree that
// becomes the root of execution environments, and the names that lead to them. Durable: names and
// configurations are records of the store, trees lie below `dir`/images.
//
// An image stays while it has a name or a function uses it.
//
// Threads: loop (work runs on io::Workers). Lifetime: as long as the server.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "functions/oci.h"
#include "io/workers.h"
#include "store/store.h"

namespace mayfly::functions {

struct Image {
  std::string digest;  // hex
  ImageConfig config;
  std::uint64_t bytes = 0;  // of the files in its tree
  WallTime imported{};
  std::vector<std::string> names;
};

class ImageStore {
 public:
  virtual ~ImageStore() = default;
  // Reads an OCI layout (a directory or a tar) or a tar of `docker save` on this machine. `name`
  // may be empty: then it gets the one that the source has for it, if any. A name that another
  // image had leads to this one. `invalid`: the source, or `name`; `too_large`; `not_found`: no
  // such source, or nothing in it for this machine.
  virtual io::Task<Result<Image>> import(std::filesystem::path source, std::string name) = 0;
  // By a name in full or, where nothing has that name, by the name without its registry; by
  // digest: any image of that content. Null: there is none.
  virtual const Image* find(const ImageName& name) const = 0;
  virtual const Image* find_digest(std::string_view digest) const = 0;
  virtual std::vector<Image> list() const = 0;
  // The name is gone, and with its last one the image, unless `in_use` has its digest or an
  // environment has been started from it: then collect() removes it. `not_found`.
  virtual io::Task<Result<>> remove(std::string name, std::vector<std::string> in_use) = 0;
  // The tree, for environments to be started from.
  virtual Result<std::filesystem::path> directory(const std::string& digest) = 0;
  // As PackageStore::collect(), of images without a name.
  virtual io::Task<Result<std::size_t>> collect(std::vector<std::string> in_use,
                                                Duration grace) = 0;
};

// Makes `dir`/images where missing and sweeps what a crash left half done.
Result<std::unique_ptr<ImageStore>> open_image_store(io::Loop& loop, store::Store& store,
                                                     io::Workers& workers,
                                                     const std::filesystem::path& dir);

}  // namespace mayfly::functions
