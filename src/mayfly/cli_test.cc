// The parts of the command line that need no server; tests/compat runs the verbs against one.
#include <doctest/doctest.h>

#include <fstream>

#include "mayfly/cli_package.h"
#include "mayfly/cli_project.h"
#include "mayfly/cli_settings.h"
#include "mayfly/cli_verbs.h"

namespace mayfly::cli {
namespace {

namespace fs = std::filesystem;

// A folder of its own, gone at the end of the test.
struct Folder {
  fs::path path;
  Folder() {
    std::string name = (fs::temp_directory_path() / "mayfly-cli-XXXXXX").string();
    path = mkdtemp(name.data());
  }
  ~Folder() { fs::remove_all(path); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  void write(const std::string& name, std::string_view text) const {
    fs::create_directories((path / name).parent_path());
    std::ofstream(path / name) << text;
  }
};

TEST_CASE("addresses to listen on") {
  auto read = [](std::string_view text) -> std::string {
    std::string host = "127.0.0.1";
    std::uint16_t port = 0;
    auto parsed = parse_listen(text, host, port);
    return parsed ? fmt::format("{} {}", host, port) : "refused";
  };
  CHECK(read("10.1.2.3:80") == "10.1.2.3 80");
  CHECK(read("[::1]:4566") == "::1 4566");
  CHECK(read("localhost:0") == "127.0.0.1 0");
  CHECK(read("4567") == "127.0.0.1 4567");
  CHECK(read(":4567") == "127.0.0.1 4567");
  for (const char* bad : {"", "x", "1.2.3.4:", "1.2.3.4:70000", "1.2.3.4:-1"}) {
    CHECK(read(bad) == "refused");
  }
}

TEST_CASE("ignore patterns follow the manner of .gitignore") {
  IgnoreList list;
  list.add("# comment\n*.log\n/top.txt\nbuild/\ndocs/**/draft.md\n!keep.log\na/b\n");
  CHECK(list.ignores("x.log", false));
  CHECK(list.ignores("deep/down/x.log", false));
  CHECK_FALSE(list.ignores("keep.log", false));
  CHECK(list.ignores("top.txt", false));
  CHECK_FALSE(list.ignores("deep/top.txt", false));
  CHECK(list.ignores("build", true));
  CHECK_FALSE(list.ignores("build", false));
  CHECK(list.ignores("docs/draft.md", false));
  CHECK(list.ignores("docs/a/b/draft.md", false));
  CHECK(list.ignores("a/b", false));
  CHECK_FALSE(list.ignores("c/a/b", false));
  CHECK(list.ignores(".git", true));
  CHECK(list.ignores("lib/__pycache__", true));
  CHECK(list.ignores("mayfly.json", false));
  CHECK_FALSE(list.ignores("lib/mayfly.json", false));
  CHECK_FALSE(list.ignores("index.mjs", false));
}

TEST_CASE("a package holds equal bytes for equal files and leaves out what is ignored") {
  Folder a, b;
  for (const auto* folder : {&a, &b}) {
    folder->write("index.mjs", "export const handler = 1;");
    folder->write("lib/x.js", "x");
    folder->write(".git/config", "secret");
    folder->write("notes.txt", "n");
    folder->write(".mayflyignore", "notes.txt\n");
  }
  const auto one = make_package(a.path);
  const auto two = make_package(b.path);
  REQUIRE(one);
  REQUIRE(two);
  CHECK(one->files == 2);
  CHECK(one->zip == two->zip);
  CHECK(one->zip.find("lib/x.js") != std::string::npos);
  CHECK(one->zip.find("config") == std::string::npos);
}

TEST_CASE("a package refuses links that lead out, and empty folders") {
  Folder folder;
  CHECK_FALSE(make_package(folder.path));
  folder.write("index.js", "1");
  fs::create_symlink("index.js", folder.path / "inside.js");
  CHECK(make_package(folder.path)->files == 2);
  fs::create_symlink("/etc/hostname", folder.path / "outside");
  const auto refused = make_package(folder.path);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().message == "outside is a link that leaves the folder");
}

TEST_CASE("a project is told from its file, else from its code") {
  Folder folder;
  folder.write("index.mjs", "1");
  auto project = load_project(folder.path);
  REQUIRE(project);
  CHECK(project->runtime == "nodejs20.x");
  CHECK(project->handler == "index.handler");
  folder.write("mayfly.json", R"({"name":"n","handler":"a.b","memory":512,
                                  "environment":{"K":"V"}})");
  project = load_project(folder.path);
  REQUIRE(project);
  CHECK(project->name == "n");
  CHECK(project->handler == "a.b");
  CHECK(project->runtime == "nodejs20.x");
  CHECK(project->memory_mb == 512);
  CHECK(project->environment.at("K") == "V");
  folder.write("mayfly.json", "{nope");
  CHECK_FALSE(load_project(folder.path));
}

TEST_CASE("every template is a project that can be packed or built") {
  for (const auto& language : template_languages()) {
    Folder folder;
    const auto made = create_project(folder.path / "new", language);
    REQUIRE_MESSAGE(made, language);
    const auto project = load_project(folder.path / "new");
    REQUIRE(project);
    CHECK_FALSE(project->runtime.empty());
    CHECK_FALSE(project->handler.empty());
    CHECK_FALSE(create_project(folder.path / "new", language));
  }
  CHECK_FALSE(create_project("/nonexistent", "cobol"));
}

// The case get-vanilla of the AWS SigV4 test suite.
TEST_CASE("requests are signed as AWS signs them") {
  Settings settings;
  settings.region = "us-east-1";
  settings.access_key_id = "AKIDEXAMPLE";
  settings.secret_access_key = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
  Request request{.service = "service", .path = "/"};
  const auto headers = sign(request, settings, "example.amazonaws.com", 1'440'938'160'000);
  const auto* value = wire::find_pair(headers, "authorization");
  REQUIRE(value);
  CHECK(
      value->ends_with("SignedHeaders=host;x-amz-date, Signature="
                       "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"));
}

TEST_CASE("time spans") {
  CHECK(parse_span("90s") == 90'000);
  CHECK(parse_span("10m") == 600'000);
  CHECK(parse_span("2h") == 7'200'000);
  CHECK(parse_span("1d") == 86'400'000);
  for (const auto* bad : {"", "m", "10", "-1m", "1.5h", "5 m"}) CHECK_FALSE(parse_span(bad));
}

TEST_CASE("profiles of the AWS tools") {
  const std::string text =
      "[default]\nregion = eu-west-1\n# region = no\n[profile x]\nregion=a b\n";
  CHECK(ini_value(text, "default", "region") == "eu-west-1");
  CHECK(ini_value(text, "profile x", "region") == "a b");
  CHECK(ini_value(text, "default", "output").empty());
  CHECK(ini_value(text, "y", "region").empty());
}

TEST_CASE("tables align by characters, not bytes") {
  CHECK(table({{"A", "B"}, {"müx", "y"}}) == "A    B\nmüx  y\n");
}

}  // namespace
}  // namespace mayfly::cli
