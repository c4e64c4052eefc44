#include "sandbox/class_archive.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <functional>
#include <system_error>

#include "base/log.h"

namespace mayfly::sandbox {
namespace {

namespace fs = std::filesystem;

constexpr int first_with_aot_cache = 25;
constexpr int lowest_priority = 19;

// Archives that an earlier JDK or build of the same version left behind.
void remove_others(const fs::path& file, const std::string& prefix) {
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(file.parent_path(), error)) {
    std::string name = entry.path().filename().string();
    if (name.starts_with(prefix) && entry.path() != file) fs::remove(entry.path(), error);
  }
}

}  // namespace

ClassArchive::ClassArchive(std::vector<std::string> command, int generation,
                           const fs::path& directory, std::string_view identity)
    : command_(std::move(command)),
      generation_(generation),
      file_(directory /
            fmt::format("{}-{:016x}", generation, std::hash<std::string_view>{}(identity))),
      aside_(file_.string() + fmt::format(".{}", ::getpid())) {}

ClassArchive::~ClassArchive() {
  if (maker_ <= 0) return;
  ::kill(-maker_, SIGKILL);
  while (::waitpid(maker_, nullptr, 0) < 0 && errno == EINTR) {
  }
  std::error_code error;
  fs::remove(aside_, error);
  fs::remove(aside_.string() + ".config", error);  // of a JVM that was writing an AOT cache
}

std::vector<std::string> ClassArchive::options() {
  if (!ready()) return {};
  std::string file = fmt::format("{}/{}", jail_directory, file_.filename().string());
  // What a JVM would say about an archive that it refuses would stand in the function's log.
  if (generation_ >= first_with_aot_cache) {
    return {"-XX:AOTCache=" + file, "-Xlog:aot*=off", "-Xlog:cds*=off"};
  }
  return {"-XX:SharedArchiveFile=" + file, "-Xlog:cds*=off"};
}

bool ClassArchive::ready() {
  if (maker_ > 0) finish();
  if (ready_ || maker_ > 0) return ready_;
  std::error_code error;
  ready_ = fs::exists(file_, error);
  if (!ready_ && !tried_) start();
  return ready_;
}

void ClassArchive::start() {
  tried_ = true;
  auto argv = command_;
  argv.insert(
      argv.begin() + 1,
      fmt::format("-XX:{}={}",
                  generation_ >= first_with_aot_cache ? "AOTCacheOutput" : "ArchiveClassesAtExit",
                  aside_.string()));
  argv.emplace_back("warm");
  std::vector<char*> args;
  args.reserve(argv.size() + 1);
  for (auto& arg : argv) args.push_back(arg.data());
  args.push_back(nullptr);
  // No options of the server's caller: they would not be those of the jails.
  std::string path = "PATH=/usr/local/bin:/usr/bin:/bin", locale = "LANG=en_US.UTF-8";
  std::array<char*, 3> environment = {path.data(), locale.data(), nullptr};
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  for (int descriptor : {0, 1, 2}) {
    ::posix_spawn_file_actions_addopen(&actions, descriptor, "/dev/null", O_RDWR, 0);
  }
  posix_spawnattr_t attributes;
  ::posix_spawnattr_init(&attributes);
  // A group of its own: a JVM starts another one to write the AOT cache.
  ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
  pid_t pid = -1;
  int failed = ::posix_spawn(&pid, args[0], &actions, &attributes, args.data(), environment.data());
  ::posix_spawnattr_destroy(&attributes);
  ::posix_spawn_file_actions_destroy(&actions);
  if (failed != 0) {
    log::warn("sandbox", "cannot start {}: {}", argv[0], std::generic_category().message(failed));
    return;
  }
  maker_ = pid;
  ::setpriority(PRIO_PROCESS, static_cast<id_t>(pid), lowest_priority);
}

void ClassArchive::finish() {
  int status = 0;
  pid_t ended = ::waitpid(maker_, &status, WNOHANG);
  if (ended == 0 || (ended < 0 && errno == EINTR)) return;
  maker_ = -1;
  std::error_code error;
  if (ended < 0 || !WIFEXITED(status) || WEXITSTATUS(status) != 0) {
    log::warn("sandbox", "{} made no archive of the Java bootstrap's classes", command_[0]);
    fs::remove(aside_, error);
    return;
  }
  // Readable to the uids of jails.
  fs::permissions(aside_, fs::perms(0444), error);
  fs::rename(aside_, file_, error);
  if (error) {
    log::warn("sandbox", "cannot keep {}: {}", file_.string(), error.message());
    return;
  }
  ready_ = true;
  remove_others(file_, fmt::format("{}-", generation_));
}

}  // namespace mayfly::sandbox
