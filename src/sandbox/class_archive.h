// The archive of the Java bootstrap's classes (CDS, from JDK 25 on the AOT cache): a JVM that maps
// it reads, parses and checks them no more. Made once per JDK, when the first environment of it
// starts, by a process of low priority; environments that start meanwhile do without.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <string>
#include <vector>

#include "base/result.h"

namespace mayfly::sandbox {

// Owned by its RuntimePack, used on the loop thread. Its end kills the process that makes the
// archive.
class ClassArchive {
 public:
  // Where jails see the directory of archives.
  static constexpr std::string_view jail_directory = "/var/cache/mayfly-java";

  // `command` runs the bootstrap (interpreter first); `directory` is for archives alone. A JVM
  // refuses an archive of another JDK or of another jar, so `identity` must tell both apart.
  ClassArchive(std::vector<std::string> command, int generation,
               const std::filesystem::path& directory, std::string_view identity);
  ~ClassArchive();
  ClassArchive(const ClassArchive&) = delete;
  ClassArchive& operator=(const ClassArchive&) = delete;

  // Options for a JVM in a jail; none as long as there is no archive. The first call starts making
  // it; a failure is logged, and not tried again in this process.
  std::vector<std::string> options();

 private:
  bool ready();
  void start();
  // Reaps the process, if it has ended, and puts what it made in its place.
  void finish();

  std::vector<std::string> command_;
  int generation_;
  std::filesystem::path file_, aside_;
  bool ready_ = false, tried_ = false;
  pid_t maker_ = -1;
};

}  // namespace mayfly::sandbox
