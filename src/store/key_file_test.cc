#include "store/key_file.h"

#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>

#include "sim/manual_clock.h"
#include "sim/memory_store.h"
#include "store/once.h"

using namespace mayfly;
namespace fs = std::filesystem;

namespace {

struct Folder {
  Folder() {
    std::string name = (fs::temp_directory_path() / "mayfly-key-XXXXXX").string();
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    path = name;
  }
  ~Folder() { fs::remove_all(path); }
  fs::path path;
};

}  // namespace

TEST_CASE("key file: made once, for its owner alone, and read again") {
  Folder folder;
  SystemRandom random;
  auto file = folder.path / "x.key";
  auto key = store::open_key_file(file, 32, random);
  REQUIRE(key);
  CHECK(key->size() == 32);
  auto mode = [&] { return fs::status(file).permissions(); };
  CHECK(mode() == (fs::perms::owner_read | fs::perms::owner_write));
  CHECK(store::open_key_file(file, 32, random) == *key);
  CHECK(std::distance(fs::directory_iterator(folder.path), fs::directory_iterator()) == 1);
  fs::permissions(file, fs::perms::group_read | fs::perms::owner_read);
  CHECK(store::open_key_file(file, 32, random) == *key);
  CHECK(mode() == (fs::perms::owner_read | fs::perms::owner_write));
  CHECK(store::open_key_file(folder.path / "y.key", 32, random) != *key);
}

TEST_CASE("key file: what is no key is not taken for one, and left alone") {
  Folder folder;
  SystemRandom random;
  auto file = folder.path / "x.key";
  std::ofstream(file) << "short";
  auto key = store::open_key_file(file, 32, random);
  REQUIRE_FALSE(key);
  CHECK(key.error().kind == ErrorKind::corrupt);
  CHECK(fs::file_size(file) == 5);
  fs::create_symlink(file, folder.path / "link.key");
  CHECK_FALSE(store::open_key_file(folder.path / "link.key", 5, random));
  CHECK_FALSE(store::open_key_file(folder.path / "none" / "x.key", 32, random));
}

TEST_CASE("once: what was noted is known until it is forgotten") {
  sim::ManualClock clock;
  io::Loop loop(clock);
  sim::MemoryStore disk(loop);
  store::Once once(disk, "once");
  store::Batch batch;
  once.note("a", batch);
  once.note("b", batch);
  CHECK_FALSE(*once.done("a"));
  REQUIRE(loop.run_until(disk.commit(std::move(batch))));
  CHECK(*once.done("a"));
  CHECK(*once.all() == std::vector<std::string>{"a", "b"});
  loop.run_until(once.forget({"a"}));
  CHECK_FALSE(*once.done("a"));
  CHECK(*once.done("b"));
}
