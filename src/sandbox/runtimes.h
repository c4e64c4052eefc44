// Runtimes: which interpreters this machine has, and how a function of one is started in a jail.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "sandbox/class_archive.h"
#include "sandbox/sandbox.h"

namespace mayfly::sandbox {

enum class GuestKind {
  lean,         // our bootstrap: frames on descriptor 3 (guest/lambda/lean.h)
  runtime_api,  // public HTTP Runtime API on 127.0.0.1:9001
};

// One interpreter found, ready to be used by any function.
struct RuntimePack {
  std::string name;         // canonical identifier: "nodejs20.x", "python3.11", "provided"
  std::string language;     // "nodejs", "python", "java", "ruby", "provided"
  std::string version;      // "20.20.2", or what the path tells: "3.11"
  int generation = 0;       // what identifiers of the language are ordered by: 20, 11, 17, 31
  std::string interpreter;  // host path
  GuestKind guest = GuestKind::lean;
  bool forks = false;             // its bootstrap can park and be forked (fork_order.h)
  bool specialises = false;       // it can park and become an environment, once
  std::vector<Bind> binds;        // interpreter, its libraries, bootstrap (/var/runtime), SDK
  std::vector<std::string> argv;  // in the jail; argv_for() adds what depends on the function
  std::vector<std::string> env;   // language part of the environment (PATH, LANG, NODE_PATH…)

  // Java: the archive of the bootstrap's classes.
  std::shared_ptr<ClassArchive> class_archive;

  // argv for a function of this memory size: Node.js and Java must be told, or their heaps outgrow
  // the memory limit before they collect.
  std::vector<std::string> argv_for(int memory_mb) const;
};

struct RuntimeChoice {
  const RuntimePack* pack = nullptr;
  // Not empty when the identifier was mapped to another version: shown to the user.
  std::string warning;
};

// What a pack is called as a runtime version, for a function that names it by `identifier`:
// "nodejs20.x" 20.20.2 → "nodejs:20.v20.20.2", "provided.al2023" → "provided:al2023.v1".
std::string runtime_version(const RuntimePack& pack, std::string_view identifier);
// The same as the API names it; as long as the pack's version stays, so does the ARN.
std::string runtime_version_arn(const RuntimePack& pack, std::string_view identifier,
                                std::string_view region);

// Found once at start (and by `mayfly doctor`). Immutable afterwards.
class RuntimeCatalog {
 public:
  // `packs_dir` holds bootstraps and SDKs laid out by the build (runtimes/) and further
  // interpreters, each in a directory of its own: nodejs22/bin/node, python3.13/bin/python3.13.
  // What it lacks of the bootstraps is unpacked from the binary below `state_dir`, which also
  // caches versions of interpreters that had to be asked, and the Java bootstrap's classes.
  static RuntimeCatalog discover(const std::string& packs_dir, const std::string& state_dir);
  // `allow_alias`: map an identifier without its own pack to the nearest version of the language.
  // Fails with `invalid` for an identifier no cloud knows, `unavailable` when the language is not
  // on this machine (the message says what to install).
  Result<RuntimeChoice> choose(std::string_view identifier, bool allow_alias) const;
  const std::vector<RuntimePack>& packs() const { return packs_; }

 private:
  std::vector<RuntimePack> packs_;
};

// Where a custom runtime's entry point lies, first match of: bootstrap in the package, in a layer.
inline constexpr std::string_view custom_runtime_paths[] = {"/var/task/bootstrap",
                                                            "/opt/bootstrap"};

}  // namespace mayfly::sandbox
