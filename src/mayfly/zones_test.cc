#include "mayfly/zones.h"

#include <doctest/doctest.h>

using namespace mayfly;

TEST_CASE("zones of the machine: by name alone, each once") {
  ZoneFiles zones;
  auto berlin = zones.find("Europe/Berlin");
  REQUIRE_MESSAGE(berlin.has_value(), berlin.error().message);
  CHECK((*berlin)->offset_at(1'720'000'000) == 7200);
  CHECK(*zones.find("Europe/Berlin") == *berlin);
  CHECK(zones.find("Etc/GMT+5").has_value());
  for (const char* name :
       {"", "europe/berlin", "../zoneinfo/UTC", "Europe", "right/UTC", "tzdata.zi",
        "posix/Europe/Berlin", "Europe/Berlin/", "Mars/Base", "leap-seconds.list"}) {
    auto found = zones.find(name);
    CHECK_MESSAGE(!found.has_value(), name);
  }
}

TEST_CASE("UTC is there without tzdata") {
  ZoneFiles zones("/nonexistent");
  CHECK(zones.find("UTC").has_value());
  auto other = zones.find("Europe/Berlin");
  REQUIRE(!other.has_value());
  CHECK(other.error().kind == ErrorKind::not_found);
}
