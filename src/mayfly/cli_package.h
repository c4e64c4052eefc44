// Packages: from a folder of code to the bytes of a zip.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/result.h"

namespace mayfly::cli {

// Patterns in the manner of .gitignore: '#' comments, '!' takes back, a final '/' means folders,
// a '/' elsewhere anchors at the top, '*' and '?' stay within one name, '**' does not.
class IgnoreList {
 public:
  // Starts with what never belongs into a package: .git, __pycache__, .env, mayfly.json …
  IgnoreList();
  void add(std::string_view text);
  // `path` is relative to the folder, with '/'.
  bool ignores(std::string_view path, bool is_folder) const;

 private:
  struct Pattern {
    std::string glob;
    bool negated = false;
    bool folders_only = false;
    bool anchored = false;
  };
  std::vector<Pattern> patterns_;
};

struct Package {
  std::string zip;
  std::size_t files = 0;
};

// Reads .mayflyignore of the folder. Equal content gives equal bytes: names are sorted, times are
// fixed, modes are 755 or 644. Links are followed when they stay inside, refused when they leave.
// `deployable`: one too large to be sent fails, with advice.
enum class PackageSize { deployable, any };
Result<Package> make_package(const std::filesystem::path& folder,
                             PackageSize size = PackageSize::deployable);

// A file as it is: a zip or jar made by another tool.
Result<std::string> read_file(const std::filesystem::path& path);

}  // namespace mayfly::cli
