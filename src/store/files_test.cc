// Files: a name that is committed has its whole file; what was not named goes at the next start.
// start.
#include "store/files.h"

#include <doctest/doctest.h>
#include <stdlib.h>

using namespace mayfly;

namespace {

struct Folder {
  Folder() {
    std::string name = (std::filesystem::temp_directory_path() / "files-test-XXXXXX").string();
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    dir = name;
  }
  ~Folder() { std::filesystem::remove_all(dir); }
  std::filesystem::path dir;
};

void write(store::Files& files, const std::string& id, const std::string& bytes) {
  auto writer = files.create(id);
  REQUIRE(writer);
  REQUIRE((*writer)->append(bytes));
  REQUIRE((*writer)->finish());
}

std::string read(const store::Files& files, const std::string& id, std::size_t size) {
  auto reader = files.read(id);
  if (!reader) return "(none)";
  auto bytes = (*reader)->read(0, size);
  return bytes ? *bytes : "(short)";
}

}  // namespace

TEST_CASE("files: they are found before and after they are settled, and by ranges") {
  Folder folder;
  store::Files files(folder.dir / "f");
  REQUIRE(files.open());
  write(files, "0a1b", "hello");
  CHECK(read(files, "0a1b", 5) == "hello");
  CHECK(files.settle("0a1b"));
  CHECK(files.settle("0a1b"));
  CHECK(read(files, "0a1b", 5) == "hello");
  CHECK(read(files, "0a1b", 6) == "(short)");
  auto reader = files.read("0a1b");
  CHECK(files.link("0a1b", "ffff"));
  CHECK(files.remove("0a1b"));
  CHECK(files.remove("0a1b"));
  CHECK(*(*reader)->read(1, 3) == "ell");
  CHECK(read(files, "0a1b", 5) == "(none)");
  CHECK(read(files, "ffff", 5) == "hello");
  CHECK(files.link("0a1b", "eeee").error().kind == ErrorKind::not_found);
}

TEST_CASE("files: a start keeps what was named and removes the rest") {
  Folder folder;
  {
    store::Files files(folder.dir / "f");
    REQUIRE(files.open());
    write(files, "aa01", "named");
    write(files, "aa02", "not named");
    auto cut = files.create("aa03");
    REQUIRE((*cut)->append("half"));
  }
  store::Files files(folder.dir / "f");
  REQUIRE(files.open());
  auto swept = files.sweep([](const std::string& id) -> Result<bool> { return id == "aa01"; });
  REQUIRE(swept);
  CHECK(*swept == 2);
  CHECK(read(files, "aa01", 5) == "named");
  CHECK(read(files, "aa02", 1) == "(none)");
  CHECK(read(files, "aa03", 1) == "(none)");
}
