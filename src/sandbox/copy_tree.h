// Copies what lies below one directory into another, in two phases: the source may be readable only
// by one identity and the target writable only by another.
//
// Files, folders and links, with modes and times. Sockets, pipes and devices are left out.
#pragma once

#include <sys/stat.h>

#include <cstddef>
#include <string>
#include <vector>

#include "io/fd.h"

namespace mayfly::sandbox {

struct TreeEntry {
  std::string path;  // below the directory
  struct stat status{};
  io::Fd file;         // regular files
  std::string target;  // links
};

// Each regular file is held open meanwhile, so that their number is bounded.
inline constexpr std::size_t tree_entries_max = 512;

// Answers 0 or an errno (E2BIG: more than tree_entries_max). No link is followed.
int collect_tree(int directory, std::vector<TreeEntry>& out);
int write_tree(int directory, const std::vector<TreeEntry>& entries);

}  // namespace mayfly::sandbox
