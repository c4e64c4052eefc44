#include "sandbox/runtimes.h"

#include <cstdlib>

#include "wire/hash.h"

namespace mayfly::sandbox {
namespace {

// An identifier of the Lambda API's Runtime enumeration.
struct Identifier {
  std::string_view name;
  std::string_view language;  // empty: no interpreter will ever be looked for
  int generation = 0;
};

// Names only the cloud's older generations have are mapped like any other; `provided` needs no
// interpreter.
constexpr Identifier identifiers[] = {
    {"nodejs", "nodejs", 0},
    {"nodejs4.3", "nodejs", 4},
    {"nodejs4.3-edge", "nodejs", 4},
    {"nodejs6.10", "nodejs", 6},
    {"nodejs8.10", "nodejs", 8},
    {"nodejs10.x", "nodejs", 10},
    {"nodejs12.x", "nodejs", 12},
    {"nodejs14.x", "nodejs", 14},
    {"nodejs16.x", "nodejs", 16},
    {"nodejs18.x", "nodejs", 18},
    {"nodejs20.x", "nodejs", 20},
    {"nodejs22.x", "nodejs", 22},
    {"nodejs24.x", "nodejs", 24},
    {"nodejs26.x", "nodejs", 26},
    {"python3.6", "python", 6},
    {"python3.7", "python", 7},
    {"python3.8", "python", 8},
    {"python3.9", "python", 9},
    {"python3.10", "python", 10},
    {"python3.11", "python", 11},
    {"python3.12", "python", 12},
    {"python3.13", "python", 13},
    {"python3.14", "python", 14},
    {"python3.15", "python", 15},
    {"java8", "java", 8},
    {"java8.al2", "java", 8},
    {"java11", "java", 11},
    {"java17", "java", 17},
    {"java21", "java", 21},
    {"java25", "java", 25},
    {"ruby2.5", "ruby", 25},
    {"ruby2.7", "ruby", 27},
    {"ruby3.2", "ruby", 32},
    {"ruby3.3", "ruby", 33},
    {"ruby3.4", "ruby", 34},
    {"provided", "provided", 0},
    {"provided.al2", "provided", 0},
    {"provided.al2023", "provided", 0},
};

// Identifiers of the enumeration that cannot run here, and what to do about it.
struct Refused {
  std::string_view prefix;
  std::string_view advice;
};
constexpr Refused refused[] = {
    {"dotnet",
     "publish the function as a self-contained executable named bootstrap and use "
     "provided.al2023"},
    {"go1.x", "build the program as an executable named bootstrap and use provided.al2023"},
    {"python2.7", "port the function to Python 3"},
};

std::string_view advice_for(std::string_view language) {
  if (language == "nodejs") return "install Node.js 20 or newer so that `node` is on PATH";
  if (language == "python") return "install Python 3.8 or newer (package python3)";
  if (language == "java")
    return "install a JDK, 17 or newer, below /usr/lib/jvm (package "
           "openjdk-17-jdk-headless)";
  return "install Ruby 3 (package ruby)";
}

const Identifier* find_identifier(std::string_view name) {
  for (const auto& identifier : identifiers) {
    if (identifier.name == name) return &identifier;
  }
  return nullptr;
}

}  // namespace

std::vector<std::string> RuntimePack::argv_for(int memory_mb) const {
  std::vector<std::string> out = argv;
  if (language == "nodejs" && memory_mb > 0) {
    // The rest of the memory is for code, stacks and buffers outside of the heap.
    int heap_mb = std::max(memory_mb * 9 / 10, 64);
    out.insert(out.begin() + 1, fmt::format("--max-old-space-size={}", heap_mb));
    if (memory_mb < 512) out.insert(out.begin() + 1, "--max-semi-space-size=8");
  }
  if (language == "java") {
    std::vector<std::string> options;
    if (class_archive) options = class_archive->options();
    if (memory_mb > 0)
      options.push_back(fmt::format("-Xmx{}m", std::max(memory_mb * 85 / 100, 16)));
    out.insert(out.begin() + 1, options.begin(), options.end());
  }
  return out;
}

std::string runtime_version(const RuntimePack& pack, std::string_view identifier) {
  // One pack runs every custom runtime, under the name that the function gave.
  std::string_view name = pack.language == "provided" ? identifier : std::string_view(pack.name);
  if (name.ends_with(".x")) name.remove_suffix(2);
  if (name.starts_with(pack.language)) name.remove_prefix(pack.language.size());
  if (name.starts_with('.')) name.remove_prefix(1);
  if (name.empty()) return fmt::format("{}.v{}", pack.language, pack.version);
  return fmt::format("{}:{}.v{}", pack.language, name, pack.version);
}

std::string runtime_version_arn(const RuntimePack& pack, std::string_view identifier,
                                std::string_view region) {
  return fmt::format("arn:aws:lambda:{}::runtime:{}", region,
                     wire::sha256_hex(runtime_version(pack, identifier)));
}

Result<RuntimeChoice> RuntimeCatalog::choose(std::string_view identifier, bool allow_alias) const {
  for (const auto& pack : packs_) {
    if (pack.name == identifier) return RuntimeChoice{.pack = &pack, .warning = {}};
  }
  for (const auto& entry : refused) {
    if (identifier.starts_with(entry.prefix)) {
      return fail(ErrorKind::unavailable,
                  fmt::format("the runtime {} is not supported: {}", identifier, entry.advice));
    }
  }
  const Identifier* wanted = find_identifier(identifier);
  if (!wanted) {
    return fail(ErrorKind::invalid, fmt::format("{} is not the name of a runtime", identifier));
  }
  const RuntimePack* nearest = nullptr;
  for (const auto& pack : packs_) {
    if (pack.language != wanted->language) continue;
    // The nearest version; the newer of two that are equally far.
    auto distance = [&](const RuntimePack& p) {
      return std::abs(p.generation - wanted->generation);
    };
    if (!nearest || distance(pack) < distance(*nearest) ||
        (distance(pack) == distance(*nearest) && pack.generation > nearest->generation)) {
      nearest = &pack;
    }
  }
  if (!nearest) {
    return fail(ErrorKind::unavailable, fmt::format("the runtime {} is not on this machine: {}",
                                                    identifier, advice_for(wanted->language)));
  }
  if (wanted->language == "provided") return RuntimeChoice{.pack = nearest, .warning = {}};
  if (!allow_alias) {
    return fail(ErrorKind::unavailable,
                fmt::format("the runtime {} is not on this machine (the nearest is {}), and "
                            "mapping to another version is switched off",
                            identifier, nearest->name));
  }
  return RuntimeChoice{
      .pack = nearest,
      .warning = fmt::format("{} is not on this machine: the function runs on {} "
                             "({} {})",
                             identifier, nearest->name, nearest->language, nearest->version)};
}

}  // namespace mayfly::sandbox
