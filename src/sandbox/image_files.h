// What lies in the tree of a container image, seen as the programs in it see it: links lead to what
// they lead to with the tree as the root, never out of it. Any thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace mayfly::sandbox {

// Whether the path is there; a program is a file that may be executed.
bool image_has(const std::string& tree, std::string_view path);
bool image_has_program(const std::string& tree, std::string_view path);
// The first of the directories of `path_list` ("/usr/bin:/bin") that has the program; `name` itself
// where it has a slash or is nowhere.
std::string find_in_image(const std::string& tree, const std::string& name,
                          std::string_view path_list);
// Names in a directory, but for those of directories, sorted; none where there is no such one.
std::vector<std::string> image_files(const std::string& tree, std::string_view directory);

}  // namespace mayfly::sandbox
