#include "functions/file_systems.h"

#include <doctest/doctest.h>
#include <stdlib.h>

#include "sim/manual_clock.h"

namespace mayfly::functions {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view good =
    "arn:aws:elasticfilesystem:us-east-1:123456789012:access-point/fsap-0123456789abcdef0";

TEST_CASE("the ARN of an access point") {
  auto point = parse_access_point(good);
  REQUIRE(point);
  CHECK(point->scope == Scope{AccountId("123456789012"), Region("us-east-1")});
  CHECK(point->id == "fsap-0123456789abcdef0");
  for (std::string_view bad : {
           "",
           "arn",
           "arn:aws:s3:us-east-1:123456789012:access-point/fsap-0123456789abcdef0",
           "arn:aws:elasticfilesystem:us-east-1:123456789012:access-point/fsap-0123456789abcdef",
           "arn:aws:elasticfilesystem:us-east-1:123456789012:access-point/fsap-0123456789abcdefg",
           "arn:aws:elasticfilesystem:us-east-1:123456789012:file-system/fs-0123456789abcdef0",
           "arn:aws:elasticfilesystem:..:123456789012:access-point/fsap-0123456789abcdef0",
           "arn:aws:elasticfilesystem:us-east-1::access-point/fsap-0123456789abcdef0",
           "arn:aws:elasticfilesystem:us-east-1:1/2:access-point/fsap-0123456789abcdef0",
       }) {
    INFO(bad);
    auto refused = parse_access_point(bad);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().kind == ErrorKind::invalid);
  }
}

TEST_CASE("a folder is made once, for all users, and kept") {
  sim::ManualClock clock;
  io::Loop loop(clock);
  io::Workers workers(loop, 1);
  char name[] = "/tmp/mayfly-file-systems-XXXXXX";
  fs::path dir = ::mkdtemp(name);
  FileSystems systems(workers, dir);
  auto folder = loop.run_until(systems.folder(*parse_access_point(good)));
  REQUIRE(folder);
  CHECK(*folder == dir / "filesystems/123456789012/us-east-1/fsap-0123456789abcdef0");
  CHECK((fs::status(*folder).permissions() & fs::perms::all) == fs::perms::all);
  fs::create_directory(*folder / "kept");
  // The umask does not count below it.
  CHECK((fs::status(*folder / "kept").permissions() & fs::perms::all) == fs::perms::all);
  auto again = loop.run_until(systems.folder(*parse_access_point(good)));
  REQUIRE(again);
  CHECK(fs::exists(*again / "kept"));
  fs::remove_all(dir);
  // A file in the way is told of.
  std::FILE* file = std::fopen(dir.c_str(), "w");
  std::fclose(file);
  CHECK_FALSE(loop.run_until(systems.folder(*parse_access_point(good))));
  fs::remove(dir);
}

}  // namespace
}  // namespace mayfly::functions
