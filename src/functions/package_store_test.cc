#include "functions/package_store.h"

#include <doctest/doctest.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <fstream>
#include <sstream>

#include "base/limits.h"
#include "functions/archive.h"
#include "sim/manual_clock.h"
#include "sim/memory_store.h"
#include "sim/zip_maker.h"
#include "store/sha256.h"

namespace mayfly::functions {
namespace {

namespace fs = std::filesystem;
using sim::ZipMaker;
using store::sha256_hex;

struct House {
  sim::ManualClock clock;
  io::Loop loop{clock};
  sim::MemoryStore store{loop};
  io::Workers workers{loop, 2};
  fs::path dir;
  std::unique_ptr<PackageStore> packages;

  House() {
    char name[] = "/tmp/mayfly-packages-XXXXXX";
    dir = ::mkdtemp(name);
    open();
  }
  ~House() {
    packages.reset();
    fs::remove_all(dir);
  }
  void open() {
    auto opened = open_package_store(loop, store, workers, dir);
    REQUIRE(opened);
    packages = std::move(*opened);
  }
  Result<PackageRef> add(const std::string& zip,
                         std::uint64_t limit = limits::package_unzipped_bytes) {
    return loop.run_until(packages->add(zip, limit));
  }
  fs::path directory(const PackageRef& package) {
    auto path = loop.run_until(packages->directory(package));
    REQUIRE(path);
    return *path;
  }
  std::vector<std::string> left() const {
    std::vector<std::string> names;
    for (const auto& part : {"packages", "layers"}) {
      for (const auto& entry : fs::directory_iterator(dir / part)) {
        names.push_back(entry.path().filename());
      }
    }
    return names;
  }
};

std::string read(const fs::path& path) {
  std::ostringstream out;
  out << std::ifstream(path).rdbuf();
  return out.str();
}

unsigned mode_of(const fs::path& path) {
  struct stat status{};
  REQUIRE(::lstat(path.c_str(), &status) == 0);
  return status.st_mode & 07777;
}

TEST_CASE("a package is extracted with clean modes and answers its sizes") {
  House house;
  std::string zip = ZipMaker()
                        .file("index.js", "exports.handler = 1")
                        .file("bin/tool", "#!/bin/sh", 0104755)  // setuid
                        .file("private", "x", 0100600)
                        .file("deep/", "", 040700)
                        .file("deep/er/file", "y", 0100755)
                        .link("deep/here", "er/file")
                        .link("up", "deep/er/../../index.js")
                        .bytes();
  auto package = house.add(zip);
  REQUIRE(package);
  CHECK(package->zip_bytes == zip.size());
  CHECK(package->sha256 == sha256_hex(zip));
  CHECK(package->unzipped_bytes > 20);
  fs::path root = house.directory(*package);
  CHECK(read(root / "index.js") == "exports.handler = 1");
  CHECK(mode_of(root) == 0755);
  CHECK(mode_of(root / "index.js") == 0644);
  CHECK(mode_of(root / "bin/tool") == 0755);
  CHECK(mode_of(root / "private") == 0644);
  CHECK(mode_of(root / "deep") == 0755);
  CHECK(mode_of(root / "deep/er/file") == 0755);
  CHECK(read(root / "deep/here") == "y");
  CHECK(read(root / "up") == "exports.handler = 1");
  CHECK(*house.loop.run_until(house.packages->zip_bytes(*package)) == zip);
}

TEST_CASE("CodeSha256 is the base64 of the digest") {
  // SHA-256 of the empty string.
  PackageRef empty{"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"};
  CHECK(code_sha256(empty) == "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=");
}

TEST_CASE("a zip made without Unix modes") {
  House house;
  auto package = house.add(ZipMaker()
                               .add({.name = "dir/", .content = "", .unix_mode = 0})
                               .add({.name = "dir/bootstrap", .content = "x", .unix_mode = 0})
                               .bytes());
  REQUIRE(package);
  fs::path root = house.directory(*package);
  CHECK(mode_of(root / "dir") == 0755);
  CHECK(mode_of(root / "dir/bootstrap") == 0644);
}

TEST_CASE("names beyond ASCII, marked as UTF-8 or not") {
  House house;
  auto package = house.add(
      ZipMaker()
          .add({.name = "größe/ünï.py", .content = "marked", .flags = ZipMaker::utf8_name})
          .file("naïve.py", "not marked")
          .file("old\xe9.py", "of another character set")
          .bytes());
  REQUIRE(package);
  fs::path root = house.directory(*package);
  CHECK(read(root / "größe/ünï.py") == "marked");
  CHECK(read(root / "naïve.py") == "not marked");
  CHECK(read(root / "old\xe9.py") == "of another character set");
}

struct Refusal {
  std::string what;
  std::string zip;
  ErrorKind kind;
  const char* text;
};

std::vector<Refusal> refusals() {
  constexpr auto invalid = ErrorKind::invalid;
  std::string good = ZipMaker().file("a", "a").bytes();
  std::string corrupt = ZipMaker().file("a", std::string(100, 'a')).bytes();
  corrupt[40] ^= 1;  // the content, not its checksum
  return {
      {"no bytes", "", invalid, "Uploaded file must be a non-empty zip"},
      {"no entries", ZipMaker().bytes(), invalid, "Uploaded file must be a non-empty zip"},
      {"text", "exports.handler = 1", invalid, not_a_zip_text.data()},
      {"cut off", good.substr(0, good.size() - 10), invalid, not_a_zip_text.data()},
      {"wrong checksum", corrupt, invalid, not_a_zip_text.data()},
      {"absolute", ZipMaker().file("/etc/passwd", "x").bytes(), invalid, "absolute"},
      {"dot dot", ZipMaker().file("a/../../x", "x").bytes(), invalid, "out of the package"},
      {"twice", ZipMaker().file("a", "x").file("a", "y").bytes(), invalid, "twice"},
      {"twice, spelt differently", ZipMaker().file("a/b", "x").file("a/./b", "y").bytes(), invalid,
       "twice"},
      {"below a file", ZipMaker().file("a", "x").file("a/b", "y").bytes(), invalid, "below a file"},
      {"below a link", ZipMaker().file("d/x", "").link("a", "d").file("a/b", "y").bytes(), invalid,
       "below a file or link"},
      {"absolute link", ZipMaker().link("a", "/etc/passwd").bytes(), invalid, "link out"},
      {"link up and out", ZipMaker().link("d/a", "../../x").bytes(), invalid, "link out"},
      {"link out by a link",
       ZipMaker().link("p/q/r/s", "../../..").link("evil", "p/q/r/s/../x").bytes(), invalid,
       "link out"},
      {"links in a ring", ZipMaker().link("a", "b").link("b", "a").bytes(), invalid, "link out"},
      {"empty link", ZipMaker().link("a", "").bytes(), invalid, ""},
      {"long link", ZipMaker().link("a", std::string(5000, 'n')).bytes(), invalid, "too long"},
      {"device", ZipMaker().file("null", "", 020666).bytes(), invalid, "neither file"},
      {"socket", ZipMaker().file("s", "", 0140666).bytes(), invalid, "neither file"},
      {"long name", ZipMaker().file(std::string(300, 'n'), "").bytes(), invalid, "too long"},
      {"declares too much",
       ZipMaker().add({.name = "a", .content = "x", .declared_size = 1u << 30}).bytes(),
       ErrorKind::too_large, "Unzipped size must be smaller than 262144000 bytes"},
  };
}

TEST_CASE("refused archives leave nothing behind") {
  House house;
  for (const Refusal& refusal : refusals()) {
    CAPTURE(refusal.what);
    auto package = house.add(refusal.zip);
    REQUIRE_FALSE(package);
    CHECK(package.error().kind == refusal.kind);
    CHECK(package.error().message.find(refusal.text) != std::string::npos);
    CHECK(house.left().empty());
    CHECK_FALSE(house.loop.run_until(house.store.get_blob(sha256_hex(refusal.zip))));
  }
}

TEST_CASE("the unzipped limit is exclusive, and counts what is really there") {
  House house;
  std::string zip =
      ZipMaker().file("a", std::string(600, 'a')).file("b", std::string(400, 'b')).bytes();
  auto over = house.add(zip, 1000);
  REQUIRE_FALSE(over);
  CHECK(over.error().message == "Unzipped size must be smaller than 1000 bytes");
  CHECK(house.add(zip, 1001));
  // Known already: the limit still holds.
  CHECK_FALSE(house.add(zip, 1000));
  std::string lying =
      ZipMaker().add({.name = "a", .content = std::string(5000, 'a'), .declared_size = 1}).bytes();
  CHECK_FALSE(house.add(lying, 1000));
  CHECK(house.left().size() == 1);
}

TEST_CASE("too many entries") {
  ZipMaker zip;
  for (int i = 0; i < 11; ++i) zip.file("f" + std::to_string(i), "");
  House house;
  auto refused = extract_zip(zip.bytes(), house.dir / "tree", {1000, 10});
  REQUIRE_FALSE(refused);
  CHECK(refused.error().kind == ErrorKind::too_large);
  fs::remove_all(house.dir / "tree");
  CHECK(extract_zip(zip.bytes(), house.dir / "tree", {1000, 11}));
}

io::Task<void> add_into(PackageStore& packages, std::string zip, Result<PackageRef>& out) {
  out = co_await packages.add(std::move(zip), limits::package_unzipped_bytes);
}

TEST_CASE("the same package asked for at once is one tree") {
  House house;
  std::string zip = ZipMaker().file("a", std::string(100'000, 'a')).bytes();
  Result<PackageRef> first = fail(ErrorKind::internal, "");
  Result<PackageRef> second = first;
  io::TaskScope scope(house.loop);
  scope.spawn(add_into(*house.packages, zip, first));
  scope.spawn(add_into(*house.packages, zip, second));
  house.loop.run_until(scope.drain(no_deadline));
  REQUIRE(first);
  REQUIRE(second);
  CHECK(house.left() == std::vector<std::string>{first->sha256});
  // Lost trees come back from the zip.
  fs::remove_all(house.directory(*first));
  CHECK(read(house.directory(*first) / "a").size() == 100'000);
}

TEST_CASE("layers merge in order") {
  House house;
  auto layer = [&house](const ZipMaker& zip) {
    auto package = house.add(zip.bytes());
    REQUIRE(package);
    return LayerRef{"arn", *package};
  };
  LayerRef low = layer(ZipMaker()
                           .file("both", "low")
                           .file("lib/a", "a")
                           .file("was_dir/x", "x")
                           .link("link", "both"));
  LayerRef high = layer(ZipMaker()
                            .file("both", "high")
                            .file("lib/b", "b", 0100755)
                            .file("was_dir", "file now")
                            .file("link", "no link"));
  auto merged = house.loop.run_until(house.packages->layers_directory({low, high}));
  REQUIRE(merged);
  CHECK(read(*merged / "both") == "high");
  CHECK(read(*merged / "lib/a") == "a");
  CHECK(mode_of(*merged / "lib/b") == 0755);
  CHECK(read(*merged / "was_dir") == "file now");
  CHECK(read(*merged / "link") == "no link");
  CHECK(read(house.directory(low.package) / "both") == "low");
  auto again = house.loop.run_until(house.packages->layers_directory({low, high}));
  CHECK(*again == *merged);
  auto other = house.loop.run_until(house.packages->layers_directory({high, low}));
  CHECK(read(*other / "both") == "low");
  CHECK(house.loop.run_until(house.packages->layers_directory({}))->empty());

  // Collecting the upper layer takes the merged trees along, after the grace.
  auto removed =
      house.loop.run_until(house.packages->collect({low.package.sha256}, std::chrono::minutes(20)));
  CHECK(*removed == 0);
  CHECK(fs::exists(*merged));
  house.clock.advance(std::chrono::minutes(20));
  removed =
      house.loop.run_until(house.packages->collect({low.package.sha256}, std::chrono::minutes(20)));
  CHECK(*removed == 1);
  CHECK(house.left() == std::vector<std::string>{low.package.sha256});
  CHECK_FALSE(house.loop.run_until(house.packages->zip_bytes(high.package)));
}

TEST_CASE("a package that comes back into use starts its grace anew") {
  House house;
  auto package = house.add(ZipMaker().file("a", "a").bytes());
  auto minutes = std::chrono::minutes(20);
  REQUIRE(house.loop.run_until(house.packages->collect({}, minutes)));
  house.clock.advance(minutes);
  REQUIRE(house.loop.run_until(house.packages->collect({package->sha256}, minutes)));
  CHECK(*house.loop.run_until(house.packages->collect({}, minutes)) == 0);
}

TEST_CASE("what a crash left half done is swept at start") {
  House house;
  auto package = house.add(ZipMaker().file("a", "a").bytes());
  fs::create_directories(house.dir / "packages/.tmp-1-1/half");
  fs::create_directories(house.dir / "layers/.tmp-1-2");
  house.open();
  CHECK(house.left() == std::vector<std::string>{package->sha256});
}

}  // namespace
}  // namespace mayfly::functions
