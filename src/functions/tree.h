// Trees on disk for the package store. Blocking: runs on io::Workers.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "base/result.h"

namespace mayfly::functions {

// Lays `from` over `into` (both directories): directories merge, anything else of `from` wins.
// Files are hard links where the file system can, copies elsewhere.
Result<> lay_over(const std::filesystem::path& from, const std::filesystem::path& into);
// Renames a finished tree into place and syncs the directory that holds it. A tree that is already
// there wins, as both have the same content.
Result<> put_in_place(const std::filesystem::path& made, const std::filesystem::path& place);
// A new folder that every user of the host may read and write, with all that is made in it. One
// that is there is left as it is.
Result<> make_shared_directory(const std::filesystem::path& directory);
Result<> remove_tree(const std::filesystem::path& tree);
Result<> sync_directory(const std::filesystem::path& directory);
// Removes the entries of `directory` whose names begin with `prefix`.
Result<> sweep(const std::filesystem::path& directory, std::string_view prefix);

}  // namespace mayfly::functions
