#include "wire/time_zone.h"

#include <doctest/doctest.h>

#include <fstream>
#include <sstream>

#include "wire/schedule_vectors_test.h"
#include "wire/text.h"

using namespace mayfly;
using namespace mayfly::wire;

namespace {

std::int64_t at(std::string_view iso) { return *parse_iso8601(iso) / 1000; }

// A file without changes, whose rule is all there is.
std::string tzif(std::string_view rule) {
  auto number = [](std::uint32_t value) {
    std::string out;
    for (int shift = 24; shift >= 0; shift -= 8) out += static_cast<char>(value >> shift & 0xff);
    return out;
  };
  std::string out;
  for (int block = 0; block < 2; ++block) {
    out += "TZif2" + std::string(15, '\0');
    for (std::uint32_t count : {0u, 0u, 0u, 0u, 1u, 4u}) out += number(count);
    out += number(0) + std::string(2, '\0') + std::string("UTC\0", 4);
  }
  return out + "\n" + std::string(rule) + "\n";
}

TimeZone zone_of(std::string_view rule) {
  auto out = TimeZone::parse(tzif(rule));
  REQUIRE_MESSAGE(out.has_value(), out.error().message);
  return *out;
}

std::optional<TimeZone> of_machine(std::string_view name) {
  std::ifstream file(fmt::format("/usr/share/zoneinfo/{}", name), std::ios::binary);
  if (!file) return std::nullopt;
  std::stringstream bytes;
  bytes << file.rdbuf();
  auto out = TimeZone::parse(bytes.str());
  REQUIRE_MESSAGE(out.has_value(), out.error().message);
  return *out;
}

}  // namespace

TEST_CASE("time zone: UTC needs no file") {
  CHECK(TimeZone::utc()->offset_at(at("2030-07-01T00:00:00Z")) == 0);
  CHECK(TimeZone::utc()->instant(5) == 5);
  CHECK(TimeZone::utc()->instants(5).count == 1);
}

TEST_CASE("time zone: rules north and south, of half an hour, before midnight and for ever") {
  auto new_york = zone_of("EST5EDT,M3.2.0,M11.1.0");
  CHECK(new_york.offset_at(at("2031-03-09T06:59:59Z")) == -5 * 3600);
  CHECK(new_york.offset_at(at("2031-03-09T07:00:00Z")) == -4 * 3600);
  CHECK(new_york.offset_at(at("2031-11-02T05:59:59Z")) == -4 * 3600);
  CHECK(new_york.offset_at(at("2031-11-02T06:00:00Z")) == -5 * 3600);
  auto lord_howe = zone_of("<+1030>-10:30<+11>-11,M10.1.0,M4.1.0");
  CHECK(lord_howe.offset_at(at("2031-01-01T00:00:00Z")) == 39600);
  CHECK(lord_howe.offset_at(at("2031-07-01T00:00:00Z")) == 37800);
  CHECK(lord_howe.instants(at("2031-10-05T02:15:00Z")).count == 0);
  CHECK(lord_howe.instants(at("2031-04-06T01:45:00Z")).count == 2);
  CHECK(lord_howe.instants(at("2031-04-06T01:29:59Z")).count == 1);
  auto nuuk = zone_of("<-02>2<-01>,M3.5.0/-1,M10.5.0/0");
  CHECK(nuuk.offset_at(at("2031-03-30T00:59:59Z")) == -7200);
  CHECK(nuuk.offset_at(at("2031-03-30T01:00:00Z")) == -3600);
  auto jerusalem = zone_of("IST-2IDT,M3.4.4/26,M10.5.0");
  CHECK(jerusalem.offset_at(at("2031-03-27T23:59:59Z")) == 7200);
  CHECK(jerusalem.offset_at(at("2031-03-28T00:00:00Z")) == 10800);
  CHECK(zone_of("<+0530>-5:30").offset_at(at("2031-03-28T00:00:00Z")) == 19800);
  auto days = zone_of("AAA3BBB,J60,J300/1:30");
  CHECK(days.offset_at(at("2032-03-01T04:59:59Z")) == -10800);
  CHECK(days.offset_at(at("2032-03-01T05:00:00Z")) == -7200);
  CHECK(zone_of("AAA3BBB2,59,300").offset_at(at("2032-02-29T05:00:00Z")) == -7200);
}

TEST_CASE("time zone: a gap has no instant but the one before the change") {
  auto berlin = zone_of("CET-1CEST,M3.5.0,M10.5.0/3");
  auto gap = at("2031-03-30T02:30:00Z");
  CHECK(berlin.instants(gap).count == 0);
  CHECK(berlin.instant(gap) == at("2031-03-30T01:30:00Z"));
  auto overlap = at("2031-10-26T02:30:00Z");
  CHECK(berlin.instants(overlap).count == 2);
  CHECK(berlin.instant(overlap) == at("2031-10-26T00:30:00Z"));
  CHECK(berlin.instants(overlap).at[1] == at("2031-10-26T01:30:00Z"));
}

TEST_CASE("time zone: what is no file and no rule") {
  for (std::string_view rule :
       {"E5", "EST", "EST5EDT", "EST5EDT,M3.2.0", "EST5EDT,M13.2.0,M11.1.0", "EST25",
        "EST5EDT,M3.6.0,M1.1.0", "<+03-3", "EST5EDT,M3.2.0,M11.1.0x", "EST5EDT,J0,J5",
        "EST5EDT,M3.2.0/168,M11.1.0"}) {
    CHECK_MESSAGE(!YearlyRule::parse(rule), rule);
  }
  auto file = tzif("EST5");
  CHECK(!TimeZone::parse(""));
  CHECK(!TimeZone::parse("TZif"));
  CHECK(!TimeZone::parse(file.substr(0, 60)));
  CHECK(!TimeZone::parse(tzif("EST")));
  auto leap = file;
  leap[54 + 31] = 1;  // a leap second that is not there
  CHECK(!TimeZone::parse(leap));
  auto offset = [&](std::string_view bytes) {
    auto out = file;
    out.replace(98, 4, bytes);  // of the second block's only type
    return TimeZone::parse(out).has_value();
  };
  CHECK(offset({"\x00\x01\x6d\xa0", 4}));  // 26 hours
  CHECK(!offset({"\x00\x01\x6d\xa1", 4}));
  CHECK(offset({"\xff\xfe\x92\x60", 4}));
  CHECK(!offset({"\xff\xfe\x92\x5f", 4}));
  CHECK(!offset({"\x80\x00\x00\x00", 4}));
}

TEST_CASE("time zone: as Python's zoneinfo has it") {
  for (const auto& row : vectors::offset_rows) {
    auto zone = of_machine(row.zone);
    REQUIRE_MESSAGE(zone.has_value(), "tzdata is missing");
    CHECK_MESSAGE(zone->offset_at(row.at) == row.offset, row.zone << " " << row.at);
  }
  for (const auto& row : vectors::local_rows) {
    auto zone = of_machine(row.zone);
    auto found = zone->instants(row.local);
    CHECK_MESSAGE(found.count == row.count, row.zone << " " << row.local);
    if (found.count > 0) CHECK(found.at[0] == row.first);
    if (found.count > 1) CHECK(found.at[1] == row.second);
  }
}
