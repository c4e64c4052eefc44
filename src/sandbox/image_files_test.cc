#include "sandbox/image_files.h"

#include <doctest/doctest.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

namespace mayfly::sandbox {
namespace {

namespace fs = std::filesystem;

struct Tree {
  Tree() {
    char name[] = "/tmp/mayfly-image-files-XXXXXX";
    dir = ::mkdtemp(name);
    fs::create_directories(dir + "/usr/bin");
    fs::create_symlink("/usr/bin", dir + "/bin");
    program("/usr/bin/tool");
    file("/usr/bin/text");
  }
  ~Tree() { fs::remove_all(dir); }
  void file(const std::string& path) const { std::ofstream(dir + path) << "x"; }
  void program(const std::string& path) const {
    file(path);
    ::chmod((dir + path).c_str(), 0755);
  }
  std::string dir;
};

TEST_CASE("programs are found as the image sees them") {
  Tree tree;
  CHECK(find_in_image(tree.dir, "tool", "/nowhere:/bin:/usr/bin") == "/bin/tool");
  CHECK(find_in_image(tree.dir, "tool", "relative:/usr/bin") == "/usr/bin/tool");
  CHECK(find_in_image(tree.dir, "text", "/bin") == "text");
  CHECK(find_in_image(tree.dir, "sh", "/../../../../bin:/bin") == "sh");
  CHECK(find_in_image(tree.dir, "./tool", "/bin") == "./tool");
  CHECK(find_in_image(tree.dir, "tool", "") == "tool");
}

TEST_CASE("links lead nowhere but into the image") {
  Tree tree;
  fs::create_symlink("/etc/passwd", tree.dir + "/absolute");
  fs::create_symlink("../../../../../etc/passwd", tree.dir + "/relative");
  CHECK_FALSE(image_has(tree.dir, "/absolute"));
  CHECK_FALSE(image_has(tree.dir, "/relative"));
  CHECK(image_has(tree.dir, "/bin/text"));
  CHECK_FALSE(image_has_program(tree.dir, "/bin/text"));
  CHECK_FALSE(image_has_program(tree.dir, "/bin"));
}

TEST_CASE("files of a directory are listed without its directories") {
  Tree tree;
  fs::create_directories(tree.dir + "/opt/extensions/folder");
  tree.program("/opt/extensions/b");
  tree.program("/opt/extensions/a");
  CHECK(image_files(tree.dir, "/opt/extensions") == std::vector<std::string>{"a", "b"});
  CHECK(image_files(tree.dir, "/opt/none").empty());
  fs::create_symlink("/", tree.dir + "/opt/root");
  CHECK(image_files(tree.dir, "/opt/root/opt/extensions/") == std::vector<std::string>{"a", "b"});
}

}  // namespace
}  // namespace mayfly::sandbox
