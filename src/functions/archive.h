// Archive: reads a zip in memory, checks everything about it and writes its tree. Blocking: runs on
// io::Workers. A refused archive may leave a partial tree in `into`, which the caller removes.
//
// Refused with the cloud's texts: what is no zip, an empty zip, too much unzipped (declared or
// found while inflating). Refused with our own: absolute names, "..", names twice, files below
// files or links, links out of the tree, devices, encrypted entries, too many entries. Kept: the
// executable bit (0755, else 0644), links that stay inside. Dropped: setuid, setgid, sticky,
// owners. Zips made without Unix modes get 0644, as on the cloud, where their bootstrap then is not
// executable.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <string_view>

#include "base/result.h"

namespace mayfly::functions {

struct ArchiveLimits {
  std::uint64_t unzipped_bytes = 0;
  std::size_t entries = 0;
};

inline constexpr std::string_view not_a_zip_text =
    "Could not unzip uploaded file. Please check your file, then try to upload again.";
inline constexpr std::string_view empty_zip_text = "Uploaded file must be a non-empty zip";

// Inflates into the directory `into` (made here, must be absent); answers the bytes unzipped.
// Everything is on the disk when it returns.
Result<std::uint64_t> extract_zip(std::string_view zip, const std::filesystem::path& into,
                                  ArchiveLimits limits);

// Reads the headers alone: the declared unzipped size of an archive that was extracted before.
Result<std::uint64_t> declared_bytes(std::string_view zip, ArchiveLimits limits);

// A path of an archive in its one form ("a/b"), or `invalid` when it could leave the tree.
Result<std::string> safe_path(std::string_view name);

// Whether walking `path` through `links` (path → target) ever leaves the tree or loops.
bool stays_inside(const std::map<std::string, std::string>& links, std::string_view path);

}  // namespace mayfly::functions
