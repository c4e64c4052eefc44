#include "telemetry/log_packing.h"

#include <doctest/doctest.h>

#include <cstring>

#include "telemetry/log_codec.h"

namespace mayfly::telemetry {
namespace {

const std::string id = "01234567-89ab-4cde-8f01-23456789abcd";
const std::string start = "START RequestId: " + id + " Version: $LATEST";
const std::string report =
    "REPORT RequestId: " + id +
    "\tDuration: 0.05 ms\tBilled Duration: 1 ms\tMemory Size: 3008 MB\tMax Memory Used: 42 MB\t"
    "\tCPU: 0.05 ms\tBytes In: 95\tBytes Out: 54\t";

TEST_CASE("the platform's lines come out as they went in, and are short meanwhile") {
  for (const std::string& text :
       {start, "END RequestId: " + id, report, "START RequestId: " + id + " Version: 17",
        "REPORT RequestId: " + id + "\tDuration: 1.00 ms\tBilled Duration: 1 ms\tStatus: timeout",
        "END RequestId: " + id + " \u00e9\t", "END RequestId: " + id + "x",
        "REPORT RequestId: " + id + " MB\t\tBytes In: 1\tBytes Out: 2\t"}) {
    CAPTURE(text);
    std::string packed = "before";
    REQUIRE(pack_line(packed, text));
    CHECK(packed.size() < 6 + text.size());
    CHECK(packed.starts_with("before"));
    CHECK(unpack_line(std::string_view(packed).substr(6)) == text);
  }
  std::string packed;
  REQUIRE(pack_line(packed, report));
  CHECK(packed.size() * 3 < report.size());
}

TEST_CASE("what is no such line is left alone") {
  for (const std::string& text :
       {std::string(), std::string("hello"), std::string("START "),
        "START RequestId: " + id.substr(1),
        std::string("END RequestId: 01234567-89AB-4cde-8f01-23456789abcd"),
        std::string("END RequestId: 01234567+89ab-4cde-8f01-23456789abcd"),
        "END RequestId: " + id + "\x01", "REPORT RequestId: " + id + "\x12 x", "x" + start}) {
    CAPTURE(text);
    std::string out = "before";
    CHECK_FALSE(pack_line(out, text));
    CHECK(out == "before");
  }
}

TEST_CASE("every byte of an id that is no digit of it is found at every place") {
  for (std::size_t place = 0; place < id.size(); ++place) {
    for (int byte = 0; byte < 256; ++byte) {
      std::string text = "END RequestId: " + id;
      text[text.size() - id.size() + place] = static_cast<char>(byte);
      bool dash = id[place] == '-';
      bool right =
          dash ? byte == '-' : byte > 0 && std::strchr("0123456789abcdef", byte) != nullptr;
      std::string packed;
      if (pack_line(packed, text) != right) FAIL("byte " << byte << " at " << place);
      if (right) CHECK(unpack_line(packed) == text);
    }
  }
}

TEST_CASE("damaged bytes are read as far as they go") {
  CHECK(unpack_line("\x01") == "");
  CHECK(unpack_line(std::string("\x01\xff\x00", 3)) == "ff00");
  CHECK(unpack_line("\x1f\x02z") == "\x1f\x02z");
}

TEST_CASE("an entry holds packed lines and others in their order") {
  std::vector<std::string> texts{start, "hello", report, "", "END RequestId: " + id};
  for (std::size_t first = 0; first < texts.size(); ++first) {
    std::string payload = encode_event(7, texts[first]);
    CHECK(ingested_of(payload) == 7);
    auto one = decode_events({3, "s", 5, payload});
    REQUIRE(one.size() == 1);
    CHECK(one[0].message == texts[first]);
    for (const auto& text : texts) append_event(payload, text);
    CHECK(ingested_of(payload) == 7);
    auto all = decode_events({3, "s", 5, payload});
    REQUIRE(all.size() == 1 + texts.size());
    CHECK(all[0].message == texts[first]);
    for (std::size_t i = 0; i < texts.size(); ++i) CHECK(all[i + 1].message == texts[i]);
  }
}

}  // namespace
}  // namespace mayfly::telemetry
