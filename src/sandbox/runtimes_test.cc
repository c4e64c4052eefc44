#include "sandbox/runtimes.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <thread>

#include "sandbox/bootstraps.h"
#include "sandbox/discover.h"

namespace mayfly::sandbox {
namespace {

namespace fs = std::filesystem;

// A directory of its own for one test, gone at its end.
struct TempDir {
  fs::path path;
  explicit TempDir(const fs::path& parent = fs::temp_directory_path()) {
    std::string name = (parent / "mayfly-runtimes-XXXXXX").string();
    REQUIRE(::mkdtemp(name.data()));
    path = name;
  }
  ~TempDir() {
    std::error_code error;
    fs::remove_all(path, error);
  }
};

void write_program(const fs::path& path, const std::string& text) {
  fs::create_directories(path.parent_path());
  std::ofstream(path) << text;
  fs::permissions(path, fs::perms(0755));
}

TEST_CASE("the binary carries every bootstrap and unpacks it once") {
  TempDir dir;
  auto first = unpack_bootstraps(dir.path.string());
  REQUIRE(first);
  for (const char* file : {"nodejs/bootstrap.js", "nodejs/fork.node", "python/bootstrap.py"}) {
    CHECK_MESSAGE(fs::file_size(fs::path(*first) / file) > 500, file);
  }
  auto stamp = fs::last_write_time(fs::path(*first) / "nodejs/bootstrap.js");
  auto second = unpack_bootstraps(dir.path.string());
  REQUIRE(second);
  CHECK(*second == *first);
  CHECK(fs::last_write_time(fs::path(*second) / "nodejs/bootstrap.js") == stamp);
}

TEST_CASE("packs beside the binary are found by directory and asked for their version once") {
  TempDir dir;
  fs::path packs = dir.path / "packs";
  fs::path asked = dir.path / "asked";
  write_program(packs / "nodejs22/bin/node",
                "#!/bin/sh\necho x >>" + asked.string() + "\necho v22.1.9\n");
  write_program(packs / "python99/bin/python3.99", "#!/bin/sh\nexit 3\n");
  for (int round = 0; round < 2; ++round) {
    auto catalog = RuntimeCatalog::discover(packs.string(), (dir.path / "state").string());
    auto node = catalog.choose("nodejs22.x", false);
    REQUIRE(node);
    CHECK(node->warning.empty());
    CHECK(node->pack->version == "22.1.9");
    CHECK(node->pack->guest == GuestKind::lean);
    CHECK(node->pack->interpreter == fs::canonical(packs / "nodejs22/bin/node"));
    // Outside of the jail's base: its own tree at the same path, and the bootstrap.
    REQUIRE(node->pack->binds.size() == 2);
    CHECK(node->pack->binds[0].target == fs::canonical(packs / "nodejs22").string());
    CHECK(node->pack->binds[1].target == "/var/runtime");
    auto python = catalog.choose("python3.99", false);
    REQUIRE(python);
    CHECK(python->pack->version == "3.99");
  }
  CHECK(fs::file_size(asked) == 2);  // one line: the second start read the cache
}

TEST_CASE("the Java bootstrap is compiled once where the build has not done it") {
  TempDir dir;
  auto discover = [&] {
    return RuntimeCatalog::discover((dir.path / "none").string(), (dir.path / "state").string());
  };
  auto catalog = discover();
  auto java = catalog.choose("java21", true);
  if (!java) {
    MESSAGE("SKIPPED: no JDK below /usr/lib/jvm");
    return;
  }
  REQUIRE(java->pack->binds.size() >= 1);
  std::string source;
  for (const auto& bind : java->pack->binds) {
    if (bind.target == "/var/runtime") source = bind.source;
  }
  auto stamp = fs::last_write_time(fs::path(source) / "runtime.jar");
  discover();
  CHECK(fs::last_write_time(fs::path(source) / "runtime.jar") == stamp);
}

TEST_CASE("the archive of Java classes is made once, aside, and then used") {
  // Not below /tmp: a jail has its own, which would cover the class path.
  TempDir dir(fs::read_symlink("/proc/self/exe").parent_path());
  if (dir.path.string().starts_with("/tmp/")) {
    MESSAGE("SKIPPED: this build lies below /tmp");
    return;
  }
  auto discover = [&] {
    return RuntimeCatalog::discover((dir.path / "none").string(), (dir.path / "state").string());
  };
  auto catalog = discover();
  auto java = catalog.choose("java21", true);
  if (!java) {
    MESSAGE("SKIPPED: no JDK below /usr/lib/jvm");
    return;
  }
  REQUIRE(java->pack->class_archive);
  auto uses_archive = [](const RuntimePack& pack) {
    return std::ranges::any_of(pack.argv_for(512), [](const std::string& arg) {
      return arg.find(ClassArchive::jail_directory) != std::string::npos;
    });
  };
  fs::path archives = dir.path / "state/java-classes";
  CHECK(fs::is_empty(archives));
  CHECK(!uses_archive(*java->pack));
  bool used = false;
  for (int n = 0; n < 1500 && !used; ++n) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    used = uses_archive(*java->pack);
  }
  REQUIRE(used);
  REQUIRE(std::distance(fs::directory_iterator(archives), fs::directory_iterator()) == 1);
  auto again = discover();
  CHECK(uses_archive(*again.choose("java21", true)->pack));
}

TEST_CASE("a Java bootstrap in /tmp is found in a jail by another path, and has no archive") {
  TempDir dir;
  auto catalog =
      RuntimeCatalog::discover((dir.path / "none").string(), (dir.path / "state").string());
  auto java = catalog.choose("java21", true);
  if (!java) {
    MESSAGE("SKIPPED: no JDK below /usr/lib/jvm");
    return;
  }
  CHECK_FALSE(java->pack->class_archive);
  CHECK(std::ranges::count(java->pack->argv, "/var/runtime/runtime.jar") == 1);
}

TEST_CASE("a JVM that makes no archive is not asked again, and its end kills one at work") {
  TempDir dir;
  fs::path asked = dir.path / "asked";
  write_program(dir.path / "java", "#!/bin/sh\necho x >>" + asked.string() + "\nexit 1\n");
  ClassArchive failing({(dir.path / "java").string(), "Main"}, 17, dir.path, "a");
  CHECK(failing.options().empty());
  while (!fs::exists(asked)) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  for (int round = 0; round < 20; ++round) {
    CHECK(failing.options().empty());
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  CHECK(fs::file_size(asked) == 2);
  write_program(dir.path / "slow", "#!/bin/sh\nsleep 1000\n");
  ClassArchive slow({(dir.path / "slow").string(), "Main"}, 25, dir.path, "b");
  CHECK(slow.options().empty());
}

TEST_CASE("an identifier without a pack is mapped to the nearest version, visibly") {
  TempDir dir;
  fs::path packs = dir.path / "packs";
  write_program(packs / "nodejs96/bin/node", "#!/bin/sh\necho v96.0.0\n");
  write_program(packs / "nodejs98/bin/node", "#!/bin/sh\necho v98.0.0\n");
  auto catalog = RuntimeCatalog::discover(packs.string(), (dir.path / "state").string());
  auto node = catalog.choose("nodejs26.x", true);
  REQUIRE(node);
  CHECK(node->pack->name != "nodejs98.x");
  CHECK(node->warning.find("nodejs26.x is not on this machine") == 0);
  CHECK(node->warning.find(node->pack->name) != std::string::npos);
  auto refused = catalog.choose("nodejs26.x", false);
  REQUIRE(!refused);
  CHECK(refused.error().kind == ErrorKind::unavailable);
}

TEST_CASE("identifiers that cannot run are refused with advice; unknown ones are invalid") {
  TempDir dir;
  auto catalog = RuntimeCatalog::discover(dir.path.string(), (dir.path / "state").string());
  for (const char* name : {"dotnet8", "go1.x", "python2.7"}) {
    auto choice = catalog.choose(name, true);
    REQUIRE(!choice);
    CHECK(choice.error().kind == ErrorKind::unavailable);
    CHECK(choice.error().message.find(name) != std::string::npos);
  }
  CHECK(catalog.choose("nodejs99.x", true).error().kind == ErrorKind::invalid);
  CHECK(catalog.choose("", true).error().kind == ErrorKind::invalid);
  for (const char* name : {"provided", "provided.al2", "provided.al2023"}) {
    auto choice = catalog.choose(name, false);
    REQUIRE(choice);
    CHECK(choice->warning.empty());
    CHECK(choice->pack->guest == GuestKind::runtime_api);
  }
}

TEST_CASE("Node.js and Java are told the memory they may use") {
  RuntimePack pack;
  pack.language = "nodejs";
  pack.argv = {"/usr/bin/node", "/var/runtime/bootstrap.js"};
  auto argv = pack.argv_for(1000);
  CHECK(argv == std::vector<std::string>{"/usr/bin/node", "--max-old-space-size=900",
                                         "/var/runtime/bootstrap.js"});
  pack.language = "python";
  CHECK(pack.argv_for(1000) == pack.argv);
  pack.language = "java";
  CHECK(pack.argv_for(1000)[1] == "-Xmx850m");
}

TEST_CASE("a tree inside the jail's base needs no bind") {
  CHECK(interpreter_binds("/usr").empty());
  CHECK(interpreter_binds("/usr/local").empty());
  CHECK(interpreter_binds("/usrlocal").size() == 1);
  CHECK(interpreter_binds("/home/x/.pyenv/versions/3.12.1").size() == 1);
}

}  // namespace
}  // namespace mayfly::sandbox
