// Project: what mayfly.json (or the files of a folder) say about the function in it.
#pragma once

#include <filesystem>
#include <map>
#include <string>

#include "base/result.h"

namespace mayfly::cli {

struct Project {
  std::string name;
  std::string runtime;
  std::string handler;
  int memory_mb = 0;  // 0: the cloud's default
  int timeout_seconds = 0;
  std::string role;
  std::map<std::string, std::string> environment;
  std::string build;        // command run in the folder before packing
  bool streams = false;     // its URL passes the answer on while it is made
  std::string package_dir;  // what is packed, relative to the folder; empty: all of it
};

// mayfly.json when it is there; what it leaves out is guessed from the files. Fails when no
// runtime can be told.
Result<Project> load_project(const std::filesystem::path& folder);

// Writes a new project of a language into `folder` (made, must be empty). Answers the file names.
Result<std::vector<std::string>> create_project(const std::filesystem::path& folder,
                                                const std::string& language);
// The languages create_project() knows.
std::vector<std::string> template_languages();

}  // namespace mayfly::cli
