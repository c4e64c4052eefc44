#include "functions/image_store.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <sstream>

#include "base/limits.h"
#include "functions/image_layer.h"
#include "functions/image_source.h"
#include "sim/image_maker.h"
#include "sim/manual_clock.h"
#include "sim/memory_store.h"

namespace mayfly::functions {
namespace {

namespace fs = std::filesystem;
using sim::ImageMaker;
using sim::Layer;
using sim::LayerMaker;
using sim::Packing;
using store::sha256_hex;

std::string text_of(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

struct Dir {
  Dir() {
    char name[] = "/tmp/mayfly-image-XXXXXX";
    path = ::mkdtemp(name);
  }
  ~Dir() {
    std::error_code ignored;
    fs::remove_all(path, ignored);
  }
  fs::path path;
};

// A tree to lay layers over, beside a directory that must stay as it is.
struct Laying {
  explicit Laying(ImageLimits limits = {1 << 20, 1000}) {
    root = dir.path / "root";
    fs::create_directory(root);
    outside = dir.path / "outside";
    fs::create_directory(outside);
    std::ofstream(outside / "secret") << "secret";
    tree.emplace(*ImageTree::open(root, limits));
  }
  ~Laying() {
    CHECK(text_of(outside / "secret") == "secret");
    CHECK(std::distance(fs::directory_iterator(outside), fs::directory_iterator()) == 1);
  }
  Result<> apply(const std::string& bytes, LayerDigests digests = {}) {
    fs::path file = dir.path / "blob";
    ImageMaker::write(file, bytes);
    io::Fd fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
    REQUIRE(fd);
    return tree->apply(fd.get(), digests);
  }
  void laid(LayerMaker& layer) {
    auto applied = apply(layer.bytes());
    INFO((applied ? "" : applied.error().message));
    REQUIRE(applied);
  }
  unsigned mode(const std::string& name) const {
    struct stat status{};
    REQUIRE(::lstat((root / name).c_str(), &status) == 0);
    return status.st_mode & 07777;
  }

  Dir dir;
  fs::path root;
  fs::path outside;
  std::optional<ImageTree> tree;
};

TEST_CASE("later layers replace, and keep what they do not name") {
  Laying laying;
  laying.laid(LayerMaker().directory("a").file("a/one", "1").file("a/two", "2").file("b", "b"));
  laying.laid(LayerMaker().file("a/one", "new").directory("b").file("b/in", "x"));
  CHECK(text_of(laying.root / "a/one") == "new");
  CHECK(text_of(laying.root / "a/two") == "2");
  CHECK(text_of(laying.root / "b/in") == "x");
  CHECK(laying.tree->bytes() == 1 + 1 + 1 + 3 + 1);
}

TEST_CASE("whiteouts take away what lower layers have, and nothing of their own layer") {
  Laying laying;
  laying.laid(LayerMaker()
                  .file("keep", "k")
                  .file("gone", "g")
                  .file("dir/deep/gone", "g")
                  .file("dir/stays", "s")
                  .file("opaque/old", "o")
                  .file("opaque/sub/old", "o"));
  laying.laid(LayerMaker()
                  .file(".wh.gone", "")
                  .file("dir/.wh.deep", "")
                  .file("opaque/new", "n")
                  .file("opaque/.wh..wh..opq", "")
                  .file("opaque/sub/new", "n")
                  .file(".wh..wh.plnk", "aufs")
                  .file(".wh.absent", "")
                  .file("nowhere/.wh.absent", ""));
  CHECK(text_of(laying.root / "keep") == "k");
  CHECK_FALSE(fs::exists(laying.root / "gone"));
  CHECK_FALSE(fs::exists(laying.root / "dir/deep"));
  CHECK(text_of(laying.root / "dir/stays") == "s");
  CHECK_FALSE(fs::exists(laying.root / "opaque/old"));
  CHECK_FALSE(fs::exists(laying.root / "opaque/sub/old"));
  CHECK(text_of(laying.root / "opaque/new") == "n");
  CHECK(text_of(laying.root / "opaque/sub/new") == "n");
  for (const auto& entry : fs::recursive_directory_iterator(laying.root)) {
    CHECK(entry.path().filename().string().find(".wh.") == std::string::npos);
  }
}

TEST_CASE("a whiteout beside the new form of what it hides leaves the new form") {
  Laying laying;
  laying.laid(LayerMaker().file("d/old", "o"));
  laying.laid(LayerMaker().directory("d").file("d/new", "n").file(".wh.d", ""));
  CHECK(text_of(laying.root / "d/new") == "n");
  CHECK_FALSE(fs::exists(laying.root / "d/old"));
}

TEST_CASE("nothing leads out of the root") {
  Laying laying;
  std::string up = "../outside";
  laying.laid(LayerMaker()
                  .link("up", up)
                  .link("absolute", laying.outside.string())
                  .link("far", "../../../../../../../.." + laying.outside.string()));
  // Through a link: the names are those of the image, which has no such directories.
  laying.laid(LayerMaker()
                  .file("up/secret", "x")
                  .file("absolute/secret", "x")
                  .file("far/secret", "x")
                  .file("up/.wh.secret", "")
                  .file("absolute/.wh..wh..opq", ""));
  CHECK(text_of(laying.outside / "secret") == "secret");
  // A link is replaced, not followed, where it is itself what is written.
  laying.laid(LayerMaker().link("file", (laying.outside / "secret").string()).file("file", "mine"));
  CHECK(text_of(laying.root / "file") == "mine");
  for (const char* name : {"../escape", "a/../../escape", ".."}) {
    CHECK_FALSE(laying.apply(LayerMaker().file(name, "x").bytes()));
  }
  // An absolute name is one of the image.
  laying.laid(LayerMaker().file("/etc/motd", "hi"));
  CHECK(text_of(laying.root / "etc/motd") == "hi");
}

TEST_CASE("hard links lead to files of the image alone") {
  Laying laying;
  laying.laid(LayerMaker().file("a/file", "f").link("sym", "../outside"));
  laying.laid(LayerMaker().hard_link("b", "a/file").hard_link("c", "/a/file"));
  CHECK(text_of(laying.root / "b") == "f");
  CHECK(fs::hard_link_count(laying.root / "a/file") == 3);
  // Again, to itself.
  laying.laid(LayerMaker().hard_link("b", "a/file"));
  CHECK(text_of(laying.root / "a/file") == "f");
  for (const char* target : {"../outside/secret", "absent", "a", "sym/secret", "/"}) {
    INFO(target);
    CHECK_FALSE(laying.apply(LayerMaker().hard_link("x", target).bytes()));
  }
}

TEST_CASE("links to directories are followed inside the image") {
  Laying laying;
  laying.laid(LayerMaker().directory("usr/lib").link("lib", "usr/lib").link("abs", "/usr/lib"));
  laying.laid(LayerMaker().file("lib/a.so", "a").file("abs/b.so", "b").file("dangling/x", "x"));
  CHECK(text_of(laying.root / "usr/lib/a.so") == "a");
  CHECK(text_of(laying.root / "usr/lib/b.so") == "b");
  CHECK(fs::is_symlink(laying.root / "lib"));
}

TEST_CASE("modes stay, but for bits that lend rights; the owner can always read") {
  Laying laying;
  laying.laid(LayerMaker()
                  .file("plain", "p", 0644)
                  .file("program", "p", 04755)
                  .file("hidden", "h", 0000)
                  .directory("closed", 0000)
                  .file("closed/in", "i")
                  .directory("sticky", 01777));
  CHECK(laying.mode("plain") == 0644);
  CHECK(laying.mode("program") == 0755);
  CHECK(laying.mode("hidden") == 0400);
  CHECK(laying.mode("closed") == 0700);
  CHECK(laying.mode("sticky") == 0777);
}

TEST_CASE("devices and pipes are skipped, and what they replace is gone") {
  Laying laying;
  laying.laid(LayerMaker().file("dev/null", "a file"));
  laying.laid(LayerMaker().device("dev/null").pipe("fifo").file("after", "a"));
  CHECK_FALSE(fs::exists(laying.root / "dev/null"));
  CHECK_FALSE(fs::exists(laying.root / "fifo"));
  CHECK(text_of(laying.root / "after") == "a");
}

TEST_CASE("layers come plain, by gzip and by zstd, and their content is checked") {
  for (Packing packing : {Packing::none, Packing::gzip, Packing::zstd}) {
    std::string plain = LayerMaker().file("f", std::string(100'000, 'x')).bytes();
    std::string stored = LayerMaker(packing).file("f", std::string(100'000, 'x')).bytes();
    Laying laying;
    auto applied = laying.apply(stored, {sha256_hex(stored), sha256_hex(plain)});
    INFO((applied ? "" : applied.error().message));
    REQUIRE(applied);
    CHECK(fs::file_size(laying.root / "f") == 100'000);
    CHECK_FALSE(Laying().apply(stored, {sha256_hex("other"), sha256_hex(plain)}));
    CHECK_FALSE(Laying().apply(stored, {sha256_hex(stored), sha256_hex("other")}));
    CHECK_FALSE(Laying().apply(stored.substr(0, stored.size() / 2), {sha256_hex(stored), {}}));
  }
  CHECK_FALSE(Laying().apply("this is no tar at all, whatever it is called"));
  CHECK(Laying().apply(LayerMaker().bytes()));
}

TEST_CASE("an image is as large as it may be, and no larger") {
  auto both = [](std::uint64_t bytes, std::size_t entries) {
    Laying laying({bytes, entries});
    return laying.apply(
        LayerMaker().file("a", std::string(60, 'a')).file("b", std::string(40, 'b')).bytes());
  };
  CHECK(both(100, 2));
  auto bytes = both(99, 2);
  REQUIRE_FALSE(bytes);
  CHECK(bytes.error().kind == ErrorKind::too_large);
  CHECK(bytes.error().message == "The image has more than 99 bytes uncompressed");
  auto entries = both(100, 1);
  REQUIRE_FALSE(entries);
  CHECK(entries.error().message == "The image has more than 1 files and directories");
}

TEST_CASE("what jails put their own over is there in the end, whatever the image has of it") {
  Laying laying;
  laying.laid(LayerMaker()
                  .link("tmp", "/outside")
                  .file("proc", "a file")
                  .directory("etc")
                  .link("etc/resolv.conf", "../run/resolv.conf")
                  .directory("etc/hosts")
                  .file("etc/hosts/x", "x"));
  REQUIRE(laying.tree->finish());
  for (const char* name : {"proc", "dev", "tmp", "mnt"}) {
    CHECK(fs::symlink_status(laying.root / name).type() == fs::file_type::directory);
  }
  for (const char* name : {"etc/hosts", "etc/resolv.conf"}) {
    CHECK(fs::symlink_status(laying.root / name).type() == fs::file_type::regular);
  }
}

struct House {
  sim::ManualClock clock;
  io::Loop loop{clock};
  sim::MemoryStore store{loop};
  io::Workers workers{loop, 2};
  Dir dir;
  std::unique_ptr<ImageStore> images;

  House() { open(); }
  void open() { images = *open_image_store(loop, store, workers, dir.path / "data"); }
  Result<Image> import(const fs::path& source, const std::string& name = "") {
    return loop.run_until(images->import(source, name));
  }
  Image imported(const fs::path& source, const std::string& name = "") {
    auto image = import(source, name);
    INFO((image ? "" : image.error().message));
    REQUIRE(image);
    return *image;
  }
  static std::string arch() { return std::string(go_architecture(machine())); }
  static std::string machine() {
#if defined(__aarch64__)
    return "aarch64";
#else
    return "x86_64";
#endif
  }
  static ImageMaker maker(const std::string& text = "hello") {
    LayerMaker low;
    low.file("app", text, 0755).file("old", "o");
    LayerMaker high;
    high.file(".wh.old", "");
    ImageMaker out;
    out.platform("linux", arch()).layer(plain_layer(low)).layer(plain_layer(high));
    out.config(R"({"Entrypoint":["/app"],"Cmd":["x"],"Env":["A=1"],"WorkingDir":"/w"})");
    return out;
  }
  std::size_t trees() const {
    std::size_t count = 0;
    for ([[maybe_unused]] const auto& entry : fs::directory_iterator(dir.path / "data/images")) {
      ++count;
    }
    return count;
  }
  // A tar of the files below `from`.
  fs::path tar_of(const fs::path& from) const {
    LayerMaker out(Packing::gzip);
    for (const auto& entry : fs::recursive_directory_iterator(from)) {
      if (entry.is_regular_file()) {
        out.file(fs::relative(entry.path(), from).string(), text_of(entry.path()));
      }
    }
    ImageMaker::write(dir.path / "image.tar.gz", out.bytes());
    return dir.path / "image.tar.gz";
  }
  const Image* find(std::string_view name) const {
    auto parsed = parse_image_name(name);
    REQUIRE(parsed);
    return images->find(*parsed);
  }
};

TEST_CASE("an OCI layout becomes a tree, a configuration and a name, which outlast the server") {
  House house;
  std::string digest = House::maker().write_oci(house.dir.path / "oci");
  auto image = house.imported(house.dir.path / "oci", "app:1");
  CHECK(image.digest == digest);
  CHECK(image.names == std::vector<std::string>{"app:1"});
  CHECK(image.config.entry_point == std::vector<std::string>{"/app"});
  for (int run = 0; run < 2; ++run) {
    auto tree = house.images->directory(digest);
    REQUIRE(tree);
    CHECK(text_of(*tree / "app") == "hello");
    CHECK_FALSE(fs::exists(*tree / "old"));
    CHECK(fs::is_directory(*tree / "proc"));
    const Image* found = house.find("app:1");
    REQUIRE(found);
    CHECK(found->config == image.config);
    CHECK(found->names == image.names);
    CHECK(found->bytes == image.bytes);
    house.open();
  }
}

TEST_CASE("a tree that was laid without a place for file systems gets one") {
  House house;
  std::string digest = House::maker().write_oci(house.dir.path / "oci");
  house.imported(house.dir.path / "oci", "app:1");
  auto place = house.dir.path / "data/images" / digest / "mnt";
  REQUIRE(fs::remove(place));
  house.open();
  CHECK(fs::is_directory(place));
  fs::remove(place);
  fs::create_symlink("var", place);
  house.open();
  CHECK(fs::is_symlink(place));  // one of the image's own
  fs::remove_all(house.dir.path / "data/images" / digest);
  house.open();
  CHECK_FALSE(fs::exists(place.parent_path()));
}

TEST_CASE("tars of a layout and of docker save are read likewise") {
  House house;
  std::string digest = House::maker().write_oci(house.dir.path / "oci");
  CHECK(house.imported(house.tar_of(house.dir.path / "oci"), "oci:1").digest == digest);
  std::string id = House::maker("other").write_docker(house.dir.path / "docker", "team/app:7");
  auto image = house.imported(house.tar_of(house.dir.path / "docker"));
  CHECK(image.digest == id);
  CHECK(image.names == std::vector<std::string>{"team/app:7"});
  CHECK(text_of(*house.images->directory(id) / "app") == "other");
  CHECK(house.imported(house.dir.path / "docker", "dir:1").digest == id);
  CHECK(house.trees() == 2);
}

TEST_CASE("content that is there already is not laid again") {
  House house;
  std::string digest = House::maker().write_oci(house.dir.path / "oci");
  auto first = house.imported(house.dir.path / "oci", "app:1");
  ImageMaker::write(house.dir.path / "data/images" / digest / "mark", "m");
  auto again = house.imported(house.dir.path / "oci", "app:2");
  CHECK(again.bytes == first.bytes);
  CHECK(again.names == std::vector<std::string>{"app:1", "app:2"});
  CHECK(fs::exists(house.dir.path / "data/images" / digest / "mark"));
  // A tree that is gone comes back.
  fs::remove_all(house.dir.path / "data/images" / digest);
  house.imported(house.dir.path / "oci", "app:1");
  CHECK(text_of(*house.images->directory(digest) / "app") == "hello");
  CHECK(house.trees() == 1);
}

TEST_CASE("names: in full, without the registry, by digest; a name moves") {
  House house;
  House::maker("1").write_oci(house.dir.path / "one");
  House::maker("2").write_oci(house.dir.path / "two");
  auto one = house.imported(house.dir.path / "one", "app:1");
  std::string ecr = "123456789012.dkr.ecr.us-east-1.amazonaws.com/app:1";
  CHECK(house.find(ecr)->digest == one.digest);
  auto two = house.imported(house.dir.path / "two", ecr);
  CHECK(house.find(ecr)->digest == two.digest);
  CHECK(house.find("app:1")->digest == one.digest);
  CHECK(house.find("other.example.com/app:1")->digest == one.digest);
  CHECK(house.find("any@sha256:" + two.digest)->digest == two.digest);
  CHECK_FALSE(house.find("app:2"));
  CHECK_FALSE(house.find("app@sha256:" + std::string(64, '0')));
  house.imported(house.dir.path / "two", "app:1");
  CHECK(house.find("app:1")->digest == two.digest);
  CHECK(house.images->find_digest(one.digest)->names.empty());
  CHECK_FALSE(house.import(house.dir.path / "one", "Bad Name"));
  CHECK_FALSE(house.import(house.dir.path / "one", "app@sha256:" + one.digest));
}

TEST_CASE("an image goes with its last name, unless somebody uses it") {
  House house;
  std::string digest = House::maker().write_oci(house.dir.path / "oci");
  auto remove = [&](const std::string& name, std::vector<std::string> in_use) {
    return house.loop.run_until(house.images->remove(name, std::move(in_use)));
  };
  house.imported(house.dir.path / "oci", "app:1");
  house.imported(house.dir.path / "oci", "app:2");
  REQUIRE(remove("app:1", {}));
  CHECK(house.trees() == 1);
  REQUIRE(remove("app:2", {}));
  CHECK(house.trees() == 0);
  CHECK(house.images->list().empty());
  CHECK(remove("app:2", {}).error().kind == ErrorKind::not_found);
  house.imported(house.dir.path / "oci", "app:1");
  REQUIRE(remove("app:1", {digest}));
  CHECK(house.trees() == 1);
  CHECK(house.images->directory(digest));
  auto collect = [&](std::vector<std::string> in_use) {
    return *house.loop.run_until(house.images->collect(std::move(in_use), std::chrono::minutes(5)));
  };
  CHECK(collect({digest}) == 0);
  // An environment may still run in it: only after the grace.
  CHECK(collect({}) == 0);
  house.clock.advance(std::chrono::minutes(4));
  CHECK(collect({}) == 0);
  house.clock.advance(std::chrono::minutes(1));
  CHECK(collect({}) == 1);
  CHECK(house.trees() == 0);
  CHECK(house.images->directory(digest).error().reason == "ImageDeleted");
}

TEST_CASE("images with a name are not collected") {
  House house;
  House::maker().write_oci(house.dir.path / "oci");
  house.imported(house.dir.path / "oci", "app:1");
  CHECK(*house.loop.run_until(house.images->collect({}, Duration::zero())) == 0);
  CHECK(house.trees() == 1);
}

TEST_CASE("what is no image of this machine is refused, and leaves nothing behind") {
  House house;
  auto refused = [&](const fs::path& source) {
    auto image = house.import(source, "x:1");
    REQUIRE_FALSE(image);
    CHECK(house.trees() == 0);
    return image.error().message;
  };
  const fs::path& dir = house.dir.path;
  CHECK(refused(dir / "absent").find("there is no") != std::string::npos);
  ImageMaker::write(dir / "text", "not an image");
  CHECK(refused(dir / "text").find("this is no container image") != std::string::npos);
  fs::create_directory(dir / "empty");
  CHECK(refused(dir / "empty").find("neither oci-layout nor manifest.json") != std::string::npos);
  House::maker().platform("linux", "s390x").write_oci(dir / "foreign");
  CHECK(refused(dir / "foreign").find("linux/s390x") != std::string::npos);
  House::maker().platform("windows", House::arch()).write_docker(dir / "windows", "w:1");
  CHECK(refused(dir / "windows").find("windows") != std::string::npos);
  std::string digest = House::maker().write_oci(dir / "changed");
  ImageMaker::write(dir / "changed/blobs/sha256" / digest, "{}");
  CHECK(refused(dir / "changed").find("is not sha256:" + digest) != std::string::npos);
  House::maker().write_oci(dir / "future");
  ImageMaker::write(dir / "future/oci-layout", R"({"imageLayoutVersion":"9"})");
  CHECK(refused(dir / "future").find("version \"9\"") != std::string::npos);
  CHECK(house.images->list().empty());
}

TEST_CASE("a tar with names out of it is refused") {
  House house;
  for (const char* name : {"../evil", "/etc/evil"}) {
    ImageMaker::write(house.dir.path / "evil.tar", LayerMaker().file(name, "x").bytes());
    CHECK_FALSE(house.import(house.dir.path / "evil.tar"));
  }
  LayerMaker linked;
  linked.link("oci-layout", "../../../etc/passwd");
  ImageMaker::write(house.dir.path / "linked.tar", linked.bytes());
  CHECK_FALSE(house.import(house.dir.path / "linked.tar"));
  CHECK(house.trees() == 0);
}

TEST_CASE("what a crash left half done is swept") {
  House house;
  fs::create_directories(house.dir.path / "data/images/.tmp-1-1-tree/x");
  house.open();
  CHECK(house.trees() == 0);
}

}  // namespace
}  // namespace mayfly::functions
