// Parts of RuntimeCatalog::discover(): what is looked for where. Called once at start, before or
// after threads; touches the disk, and runs an interpreter only when nothing else tells its
// version.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "sandbox/runtimes.h"

namespace mayfly::sandbox {

// Where things lie for one discovery.
struct Places {
  std::filesystem::path packs_dir;
  std::filesystem::path state_dir;
  // Directory of the language's bootstrap: in packs_dir, else unpacked from the binary.
  std::filesystem::path bootstrap_dir(const std::string& language, const std::string& file) const;
  std::filesystem::path unpacked;  // empty when unpacking failed
};

// The versions that interpreters told, kept by path, modification time and size.
class VersionCache {
 public:
  explicit VersionCache(std::filesystem::path file);
  // What `program --version` says (first number with dots in it), asked once per program.
  std::optional<std::string> version_of(const std::filesystem::path& program);
  void save() const;

 private:
  std::filesystem::path file_;
  std::map<std::string, std::string> known_;  // "path mtime size" → version
  bool changed_ = false;
};

// Runs a program without a shell and returns its standard output; nullopt when it fails.
std::optional<std::string> run_program(const std::vector<std::string>& argv);

// A bind of the interpreter's own tree at the same path, when the jail's base does not have it.
std::vector<Bind> interpreter_binds(const std::filesystem::path& prefix);

void find_nodejs(const Places& places, VersionCache& versions, std::vector<RuntimePack>& out);
void find_python(const Places& places, std::vector<RuntimePack>& out);
void find_ruby(const Places& places, std::vector<RuntimePack>& out);
void find_java(const Places& places, std::vector<RuntimePack>& out);
void add_provided(std::vector<RuntimePack>& out);

}  // namespace mayfly::sandbox
