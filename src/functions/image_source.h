// ImageSource: where a container image comes from: an OCI layout (a directory, or a tar of one), or
// a tar of `docker save`. Blocking: runs on io::Workers.
//
// A tar is unpacked first, as the plain files that it holds, into a directory of its own; so both
// are directories, of which regular files are read and nothing else.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "functions/image_layer.h"
#include "functions/oci.h"

namespace mayfly::functions {

// An image as a source has it: everything that laying its tree needs.
struct FoundImage {
  struct Layer {
    std::string path;  // in the source
    LayerDigests digests;
  };
  std::string digest;  // of the manifest; of the config where docker wrote no manifest
  ImageConfig config;
  std::vector<Layer> layers;  // the lowest first
  std::string name;           // what the source calls it; empty: nothing
};

class ImageSource {
 public:
  // `scratch` is made where the source is a tar, and is the caller's to remove.
  static Result<ImageSource> open(const std::filesystem::path& source,
                                  const std::filesystem::path& scratch);
  // The image for this architecture ("amd64"). Its documents are checked against their digests.
  Result<FoundImage> find(std::string_view architecture) const;
  // A regular file of the source.
  Result<io::Fd> file(const std::string& path) const;

 private:
  explicit ImageSource(io::Fd dir) : dir_(std::move(dir)) {}
  Result<std::string> document(const std::string& path) const;
  Result<std::string> checked(const Descriptor& descriptor) const;
  Result<FoundImage> find_oci(std::string_view architecture) const;
  Result<FoundImage> find_docker(std::string_view architecture) const;

  io::Fd dir_;
};

// Lays the layers of what was found into `into`, an empty directory; answers the bytes of its
// files.
Result<std::uint64_t> lay_image(const ImageSource& source, const FoundImage& image,
                                const std::filesystem::path& into, ImageLimits limits);

}  // namespace mayfly::functions
