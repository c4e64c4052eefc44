#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <system_error>

#include "base/log.h"
#include "sandbox/bootstraps.h"
#include "sandbox/discover.h"

namespace mayfly::sandbox {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view libraries =
    "LD_LIBRARY_PATH=/lib64:/usr/lib64:/var/runtime:/var/runtime/lib:/var/task:/var/task/lib:"
    "/opt/lib";
// An init injects a system call into the parked guest (tracee.h).
#if defined(__x86_64__)
constexpr bool specialising_works = true;
#else
constexpr bool specialising_works = false;
#endif
constexpr std::string_view locale = "LANG=en_US.UTF-8";

std::string path_env(const fs::path& bin) {
  return fmt::format("PATH={}:/usr/local/bin:/usr/bin:/bin:/opt/bin", bin.string());
}

std::vector<fs::path> path_directories() {
  std::vector<fs::path> out;
  const char* path = std::getenv("PATH");
  std::string_view left = path ? path : "";
  while (!left.empty()) {
    auto colon = left.find(':');
    if (auto part = left.substr(0, colon); part.starts_with('/')) out.emplace_back(part);
    left = colon == std::string_view::npos ? std::string_view{} : left.substr(colon + 1);
  }
  return out;
}

std::vector<fs::path> entries(const fs::path& directory) {
  std::vector<fs::path> out;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(directory, error)) out.push_back(entry.path());
  std::ranges::sort(out);
  return out;
}

fs::path pyenv_versions() {
  if (const char* root = std::getenv("PYENV_ROOT")) return fs::path(root) / "versions";
  const char* home = std::getenv("HOME");
  return fs::path(home ? home : "/nonexistent") / ".pyenv" / "versions";
}

// A number that follows `prefix` at the start of `text`: leading_number("python3.11", "python3.").
std::optional<int> leading_number(std::string_view text, std::string_view prefix) {
  if (!text.starts_with(prefix)) return std::nullopt;
  text.remove_prefix(prefix.size());
  int value = 0;
  std::size_t digits = 0;
  while (digits < text.size() && digits < 4 && text[digits] >= '0' && text[digits] <= '9') {
    value = value * 10 + (text[digits++] - '0');
  }
  return digits == 0 ? std::nullopt : std::optional(value);
}

bool has_pack(const std::vector<RuntimePack>& packs, std::string_view name) {
  return std::ranges::any_of(packs, [&](const RuntimePack& pack) { return pack.name == name; });
}

// Resolves links; nullopt unless it is an executable file.
std::optional<fs::path> executable(const fs::path& candidate) {
  std::error_code error;
  fs::path real = fs::canonical(candidate, error);
  if (error || !fs::is_regular_file(real, error)) return std::nullopt;
  auto mode = fs::status(real, error).permissions();
  if ((mode & fs::perms::others_exec) == fs::perms::none) return std::nullopt;
  return real;
}

// The interpreter's tree (the directory above bin/), the bootstrap as /var/runtime.
std::vector<Bind> binds_of(const fs::path& interpreter, const fs::path& bootstrap) {
  auto binds = interpreter_binds(interpreter.parent_path().parent_path());
  binds.push_back({bootstrap.string(), "/var/runtime"});
  return binds;
}

void add_nodejs(const fs::path& program, const fs::path& bootstrap, VersionCache& versions,
                std::vector<RuntimePack>& out) {
  constexpr int oldest = 18;
  auto real = executable(program);
  if (!real) return;
  auto version = versions.version_of(*real);
  auto major = version ? leading_number(*version, "") : std::nullopt;
  if (!major || *major < oldest) return;
  RuntimePack pack;
  pack.name = fmt::format("nodejs{}.x", *major);
  if (has_pack(out, pack.name)) return;
  pack.language = "nodejs";
  pack.version = *version;
  pack.generation = *major;
  pack.interpreter = real->string();
  pack.binds = binds_of(*real, bootstrap);
  // ES modules do not look into NODE_PATH, but into node_modules of every parent directory: there
  // the SDK is found after the function's own packages, as in the cloud.
  std::error_code error;
  if (fs::is_directory(bootstrap / "node_modules", error)) {
    pack.binds.push_back({(bootstrap / "node_modules").string(), "/node_modules"});
  }
  pack.forks = true;
  pack.argv = {real->string(), "/var/runtime/bootstrap.js"};
  pack.env = {std::string(locale), path_env(real->parent_path()), std::string(libraries),
              fmt::format("NODE_PATH=/opt/nodejs/node{}/node_modules:/opt/nodejs/node_modules:"
                          "/var/runtime/node_modules:/var/runtime:/var/task",
                          *major)};
  out.push_back(std::move(pack));
}

void add_python(const fs::path& program, int minor, std::string version, const fs::path& bootstrap,
                std::vector<RuntimePack>& out) {
  constexpr int oldest = 8;
  RuntimePack pack;
  pack.name = fmt::format("python3.{}", minor);
  if (minor < oldest || has_pack(out, pack.name)) return;
  auto real = executable(program);
  if (!real) return;
  pack.language = "python";
  pack.version = std::move(version);
  pack.generation = minor;
  pack.interpreter = real->string();
  pack.binds = binds_of(*real, bootstrap);
  pack.forks = true;
  // -S, -s: no packages of the host or of a user; the bootstrap lays sys.path out.
  pack.argv = {real->string(), "-S", "-s", "/var/runtime/bootstrap.py"};
  pack.env = {std::string(locale), path_env(real->parent_path()), std::string(libraries),
              "PYTHONDONTWRITEBYTECODE=1"};
  out.push_back(std::move(pack));
}

// The Java bootstrap's jar: laid out by the build, else compiled once from the sources in the
// binary. Those lie under a digest of their content, so a jar beside them is theirs.
std::optional<fs::path> java_jar(const Places& places, const std::vector<fs::path>& homes) {
  std::error_code error;
  if (fs::path built = places.packs_dir / "java/runtime.jar"; fs::exists(built, error))
    return built;
  auto unpacked = unpack_bootstraps(places.state_dir.string());
  if (!unpacked) return std::nullopt;
  fs::path sources = fs::path(*unpacked) / "java";
  fs::path jar = sources / "runtime.jar";
  if (fs::exists(jar, error)) return jar;
  std::vector<std::string> files;
  for (const auto& entry : fs::recursive_directory_iterator(sources, error)) {
    if (entry.path().extension() == ".java") files.push_back(entry.path().string());
  }
  for (const auto& home : homes) {
    if (!fs::exists(home / "bin/javac", error)) continue;
    fs::path classes = sources / "classes", aside = sources / "runtime.jar.new";
    // Strings joined by plain code: by way of the linker, the first one in a JVM takes long.
    std::vector<std::string> argv = {(home / "bin/javac").string(),
                                     "--release",
                                     "17",
                                     "-encoding",
                                     "UTF-8",
                                     "-nowarn",
                                     "-XDstringConcat=inline",
                                     "-d",
                                     classes.string()};
    argv.insert(argv.end(), files.begin(), files.end());
    log::info("sandbox", "compiling the Java bootstrap once with {}", argv[0]);
    if (!run_program(argv)) continue;
    if (!run_program({(home / "bin/jar").string(), "--create", "--no-compress", "--file",
                      aside.string(), "-C", classes.string(), "."})) {
      continue;
    }
    fs::rename(aside, jar, error);
    if (!error) return jar;
  }
  return std::nullopt;
}

// argv of a JVM that runs the bootstrap. The function's classes are not on its class path: the
// bootstrap loads them itself.
std::vector<std::string> java_command(const fs::path& home, int generation, const fs::path& jar) {
  std::vector<std::string> out = {(home / "bin/java").string(), "-XX:+UseSerialGC",
                                  "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData"};
  constexpr int first_that_warns = 23;
  if (generation >= first_that_warns) out.emplace_back("--sun-misc-unsafe-memory-access=allow");
  out.insert(out.end(), {"-cp", jar.string(), "mayfly.runtime.Main"});
  return out;
}

bool below_tmp(const fs::path& path) {
  std::error_code error;
  std::string real = fs::weakly_canonical(path, error).string();
  return real.starts_with("/tmp/") || real.starts_with("/var/tmp/");
}

std::shared_ptr<ClassArchive> class_archive_of(const RuntimePack& pack, const fs::path& jar,
                                               const fs::path& directory) {
  std::error_code error;
  fs::create_directories(directory, error);
  if (error) return nullptr;
  auto identity = fmt::format("{} {} {} {} {}", pack.interpreter, pack.version, jar.string(),
                              fs::last_write_time(jar, error).time_since_epoch().count(),
                              fs::file_size(jar, error));
  return std::make_shared<ClassArchive>(pack.argv, pack.generation, directory, identity);
}

std::string java_version(const fs::path& home) {
  std::ifstream in(home / "release");
  std::string line;
  constexpr std::string_view key = "JAVA_VERSION=\"";
  while (std::getline(in, line)) {
    if (line.starts_with(key)) return line.substr(key.size(), line.rfind('"') - key.size());
  }
  return {};
}

}  // namespace

void find_nodejs(const Places& places, VersionCache& versions, std::vector<RuntimePack>& out) {
  fs::path bootstrap = places.bootstrap_dir("nodejs", "bootstrap.js");
  if (bootstrap.empty()) return;
  for (const auto& pack : entries(places.packs_dir)) {
    if (leading_number(pack.filename().string(), "nodejs")) {
      add_nodejs(pack / "bin/node", bootstrap, versions, out);
    }
  }
  std::vector<fs::path> directories = {"/usr/local/bin", "/usr/bin"};
  std::ranges::copy(path_directories(), std::back_inserter(directories));
  for (const auto& directory : directories) {
    add_nodejs(directory / "node", bootstrap, versions, out);
  }
}

void find_python(const Places& places, std::vector<RuntimePack>& out) {
  fs::path bootstrap = places.bootstrap_dir("python", "bootstrap.py");
  if (bootstrap.empty()) return;
  // The name of the program tells the version; nothing has to be run.
  auto look_into = [&](const fs::path& bin, const std::string& full_version) {
    for (const auto& program : entries(bin)) {
      std::string name = program.filename().string();
      auto minor = leading_number(name, "python3.");
      if (!minor || name != fmt::format("python3.{}", *minor)) continue;
      add_python(program, *minor, full_version.empty() ? name.substr(6) : full_version, bootstrap,
                 out);
    }
  };
  for (const auto& pack : entries(places.packs_dir)) look_into(pack / "bin", {});
  look_into("/usr/local/bin", {});
  look_into("/usr/bin", {});
  auto versions = entries(pyenv_versions());
  std::ranges::reverse(versions);  // the newest patch of a version first
  for (const auto& version : versions) look_into(version / "bin", version.filename().string());
}

void find_ruby(const Places& places, std::vector<RuntimePack>& out) {
  fs::path bootstrap = places.bootstrap_dir("ruby", "bootstrap.rb");
  if (bootstrap.empty()) return;
  for (const fs::path bin : {"/usr/local/bin", "/usr/bin"}) {
    for (const auto& program : entries(bin)) {
      auto minor = leading_number(program.filename().string(), "ruby3.");
      if (!minor || program.filename() != fmt::format("ruby3.{}", *minor)) continue;
      auto real = executable(program);
      RuntimePack pack;
      pack.name = fmt::format("ruby3.{}", *minor);
      if (!real || has_pack(out, pack.name)) continue;
      pack.language = "ruby";
      pack.version = fmt::format("3.{}", *minor);
      pack.generation = 30 + *minor;
      pack.interpreter = real->string();
      pack.binds = binds_of(*real, bootstrap);
      pack.argv = {real->string(), "/var/runtime/bootstrap.rb"};
      pack.env = {std::string(locale), path_env(real->parent_path()), std::string(libraries),
                  fmt::format("GEM_PATH=/var/task/vendor/bundle/ruby/3.{0}.0:"
                              "/opt/ruby/gems/3.{0}.0",
                              *minor),
                  "RUBYLIB=/var/task:/var/runtime/lib:/opt/ruby/lib"};
      out.push_back(std::move(pack));
    }
  }
}

void find_java(const Places& places, std::vector<RuntimePack>& out) {
  constexpr int oldest = 17;
  std::vector<fs::path> homes;
  auto consider = [&](const fs::path& home) {
    std::error_code error;
    fs::path real = fs::canonical(home, error);
    if (error || !executable(real / "bin/java")) return;
    if (std::ranges::find(homes, real) == homes.end()) homes.push_back(real);
  };
  for (const auto& pack : entries(places.packs_dir)) {
    if (leading_number(pack.filename().string(), "java")) consider(pack);
  }
  for (const auto& home : entries("/usr/lib/jvm")) consider(home);
  if (const char* home = std::getenv("JAVA_HOME")) consider(home);
  if (homes.empty()) return;
  auto jar = java_jar(places, homes);
  if (!jar) {
    log::warn("sandbox", "Java is here, but the Java bootstrap could not be compiled: no javac");
    return;
  }
  for (const auto& home : homes) {
    std::string version = java_version(home);
    auto major = leading_number(version, "");
    RuntimePack pack;
    pack.name = fmt::format("java{}", major.value_or(0));
    if (!major || *major < oldest || has_pack(out, pack.name)) continue;
    pack.language = "java";
    pack.specialises = specialising_works;
    pack.version = version;
    pack.generation = *major;
    pack.interpreter = (home / "bin/java").string();
    pack.binds = interpreter_binds(home);
    pack.binds.push_back({jar->parent_path().string(), "/var/runtime"});
    // At its own path as well: an archive of classes is for the class path it was made with. What
    // lies in /tmp has no such path in a jail, whose own /tmp covers it, and so no archive.
    bool archivable = !below_tmp(*jar);
    if (archivable) {
      std::ranges::copy(interpreter_binds(jar->parent_path()), std::back_inserter(pack.binds));
    }
    // Debian keeps the configuration of a JDK outside of it, behind links.
    std::error_code error;
    fs::path etc = fs::path("/etc") / fmt::format("java-{}-openjdk", *major);
    if (fs::is_directory(etc, error)) pack.binds.push_back({etc.string(), etc.string()});
    pack.argv = java_command(home, *major, archivable ? *jar : "/var/runtime" / jar->filename());
    pack.env = {std::string(locale), path_env(home / "bin"), std::string(libraries),
                "JAVA_HOME=" + home.string()};
    fs::path archives = places.state_dir / "java-classes";
    if (archivable) pack.class_archive = class_archive_of(pack, *jar, archives);
    if (pack.class_archive) {
      pack.binds.push_back({archives.string(), std::string(ClassArchive::jail_directory)});
    }
    out.push_back(std::move(pack));
  }
}

}  // namespace mayfly::sandbox
