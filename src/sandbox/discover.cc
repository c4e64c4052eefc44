#include "sandbox/discover.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <system_error>

#include "base/log.h"
#include "sandbox/bootstraps.h"

extern char** environ;

namespace mayfly::sandbox {

namespace fs = std::filesystem;

fs::path Places::bootstrap_dir(const std::string& language, const std::string& file) const {
  std::error_code error;
  if (fs::exists(packs_dir / language / file, error)) return packs_dir / language;
  bool found = !unpacked.empty() && fs::exists(unpacked / language / file, error);
  return found ? unpacked / language : fs::path{};
}

VersionCache::VersionCache(fs::path file) : file_(std::move(file)) {
  std::ifstream in(file_);
  std::string line;
  while (std::getline(in, line)) {
    auto tab = line.find('\t');
    if (tab != std::string::npos) known_[line.substr(0, tab)] = line.substr(tab + 1);
  }
}

std::optional<std::string> VersionCache::version_of(const fs::path& program) {
  std::error_code error;
  auto size = fs::file_size(program, error);
  auto time = fs::last_write_time(program, error).time_since_epoch().count();
  std::string key = fmt::format("{} {} {}", program.string(), time, size);
  if (auto found = known_.find(key); found != known_.end()) return found->second;
  auto output = run_program({program.string(), "--version"});
  if (!output) return std::nullopt;
  auto begin = output->find_first_of("0123456789");
  if (begin == std::string::npos) return std::nullopt;
  auto end = output->find_first_not_of("0123456789.", begin);
  auto version = output->substr(begin, end == std::string::npos ? end : end - begin);
  known_[key] = version;
  changed_ = true;
  return version;
}

void VersionCache::save() const {
  if (!changed_) return;
  // A cache that cannot be written costs a probe at the next start, nothing else.
  fs::path aside = file_.string() + fmt::format(".{}", ::getpid());
  std::ofstream out(aside);
  for (const auto& [key, version] : known_) out << key << '\t' << version << '\n';
  out.close();
  std::error_code error;
  fs::rename(aside, file_, error);
}

std::optional<std::string> run_program(const std::vector<std::string>& argv) {
  auto pipe = io::make_pipe();
  if (!pipe) return std::nullopt;
  std::vector<char*> args;
  for (const auto& arg : argv) args.push_back(const_cast<char*>(arg.c_str()));
  args.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  ::posix_spawn_file_actions_adddup2(&actions, pipe->write_end.get(), 1);
  ::posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
  pid_t pid = -1;
  int failed = ::posix_spawnp(&pid, args[0], &actions, nullptr, args.data(), environ);
  ::posix_spawn_file_actions_destroy(&actions);
  if (failed != 0) return std::nullopt;
  pipe->write_end.reset();
  std::string output;
  std::array<char, 4096> chunk{};
  while (true) {
    ssize_t got = ::read(pipe->read_end.get(), chunk.data(), chunk.size());
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    output.append(chunk.data(), static_cast<std::size_t>(got));
  }
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) return std::nullopt;
  return output;
}

std::vector<Bind> interpreter_binds(const fs::path& prefix) {
  std::string path = prefix.string();
  for (std::string_view base : {"/usr", "/bin", "/lib", "/lib64"}) {
    if (path == base || path.starts_with(std::string(base) + "/")) return {};
  }
  return {Bind{path, path}};
}

void add_provided(std::vector<RuntimePack>& out) {
  RuntimePack pack;
  pack.name = "provided";
  pack.language = "provided";
  pack.version = "1";
  pack.guest = GuestKind::runtime_api;
  pack.argv = {std::string(custom_runtime_paths[0])};
  pack.env = {"LANG=en_US.UTF-8", "PATH=/usr/local/bin:/usr/bin:/bin:/opt/bin",
              "LD_LIBRARY_PATH=/lib64:/usr/lib64:/var/runtime:/var/runtime/lib:/var/task:"
              "/var/task/lib:/opt/lib"};
  out.push_back(std::move(pack));
}

RuntimeCatalog RuntimeCatalog::discover(const std::string& packs_dir,
                                        const std::string& state_dir) {
  std::error_code error;
  fs::create_directories(state_dir, error);
  Places places{fs::absolute(packs_dir, error), fs::absolute(state_dir, error), {}};
  bool laid_out = std::ranges::all_of(embedded_bootstraps(), [&](const EmbeddedFile& file) {
    std::error_code ignored;
    return fs::exists(places.packs_dir / file.path, ignored);
  });
  if (!laid_out) {
    auto unpacked = unpack_bootstraps(places.state_dir.string());
    if (unpacked) {
      places.unpacked = *unpacked;
    } else {
      log::error("sandbox", "no bootstraps: {}", unpacked.error().message);
    }
  }
  RuntimeCatalog catalog;
  VersionCache versions(places.state_dir / "interpreters.cache");
  find_nodejs(places, versions, catalog.packs_);
  find_python(places, catalog.packs_);
  find_java(places, catalog.packs_);
  find_ruby(places, catalog.packs_);
  add_provided(catalog.packs_);
  versions.save();
  return catalog;
}

}  // namespace mayfly::sandbox
