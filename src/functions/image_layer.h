// ImageTree: the file system of a container image while its layers are laid over each other.
// Blocking: runs on io::Workers, or in the fuzzer.
//
// Kept: files, directories, hard links, symbolic links (anywhere: they are followed inside the
// image alone), permissions. Whiteouts of the OCI specification and of aufs take away what lower
// layers have. Skipped: devices, pipes and sockets, since a jail has devices of its own. Dropped:
// owners, times, setuid, setgid, sticky, extended attributes. The owner, which is the server, can
// read every file and enter and change every directory.
//
// Whatever a layer holds, nothing outside of the root is read, made or removed: every name is
// resolved with the root as its own (openat2, RESOLVE_IN_ROOT).
#pragma once

#include <cstdint>
#include <filesystem>
#include <set>
#include <string>
#include <string_view>

#include "base/result.h"
#include "io/fd.h"

namespace mayfly::functions {

struct ImageLimits {
  std::uint64_t bytes = 0;  // of the layers' files, all together
  std::size_t entries = 0;
};

// What a layer must be; empty: unknown.
struct LayerDigests {
  std::string blob;  // hex, of the bytes as they are stored
  std::string diff;  // hex, of the plain tar
};

class ImageTree {
 public:
  // `root`: an existing, empty directory.
  static Result<ImageTree> open(const std::filesystem::path& root, ImageLimits limits);

  // Reads a tar, plain or compressed by gzip or zstd, to the end of `blob`. `corrupt` for what is
  // no such thing, or not the one that the digests name; `too_large`; `invalid` for names that
  // cannot be.
  Result<> apply(int blob, const LayerDigests& digests);
  // What jails put their own over: /proc, /dev, /tmp, /etc/hosts, /etc/resolv.conf become
  // directories and files, whatever they were.
  Result<> finish();
  std::uint64_t bytes() const { return bytes_; }

 private:
  friend class LayerReader;
  ImageTree(io::Fd root, ImageLimits limits) : root_(std::move(root)), limits_(limits) {}

  // A directory by its path, made where missing. Of a path that leads through something else than
  // directories and links to them: an error.
  Result<io::Fd> directory(std::string_view path);
  Result<> remove(int parent, const std::string& name);
  // The same, but for what this layer has put there.
  Result<> hide(const std::string& path);
  Result<> hide_below(const std::string& path);
  Result<> count_entry();
  Result<> count_bytes(std::uint64_t bytes);

  io::Fd root_;
  ImageLimits limits_;
  std::uint64_t bytes_ = 0;
  std::size_t entries_ = 0;
  std::set<std::string> of_layer_;  // paths that the layer under way has put there
};

}  // namespace mayfly::functions
