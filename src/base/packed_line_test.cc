#include "base/packed_line.h"

#include <doctest/doctest.h>

#include <cstring>

namespace mayfly {
namespace {

using namespace std::chrono_literals;

const std::string id = "01234567-89ab-4cde-8f01-23456789abcd";

PackedLine report(Duration duration) {
  PackedLine out;
  out.phrase(Phrase::report).id(id).phrase(Phrase::duration).millis(duration);
  out.phrase(Phrase::ms_billed_duration).number(1).phrase(Phrase::ms_memory_size).number(3008);
  out.phrase(Phrase::mb_max_memory_used).number(42).phrase(Phrase::mb_bytes_in).number(95);
  out.phrase(Phrase::bytes_out).number(54).text("\t");
  return out;
}

}  // namespace

TEST_CASE("a line of the platform is a third of its text") {
  auto line = report(50us);
  std::string text =
      "REPORT RequestId: " + id +
      "\tDuration: 0.05 ms\tBilled Duration: 1 ms\tMemory Size: 3008 MB\tMax Memory Used: 42 MB"
      "\tBytes In: 95\tBytes Out: 54\t";
  CHECK(line.packed());
  CHECK(line.to_text() == text);
  CHECK(line.bytes().size() * 3 < text.size());
  CHECK(unpacked_size(line.bytes()) == text.size());
}

TEST_CASE("milliseconds are rounded to their hundredths") {
  for (auto [time, text] : {std::pair<Duration, std::string>(0ns, "0.00"),
                            {4'999ns, "0.00"},
                            {5'000ns, "0.01"},
                            {128'830us, "128.83"},
                            {900s, "900000.00"}}) {
    CHECK(PackedLine().millis(time).to_text() == text);
  }
}

TEST_CASE("what cannot be packed makes a line plain, with all that came before and comes after") {
  auto check = [](PackedLine line, const std::string& text) {
    CAPTURE(text);
    CHECK_FALSE(line.packed());
    CHECK(line.bytes() == text);
    CHECK(line.to_text() == text);
  };
  check(PackedLine().phrase(Phrase::end).id("id").phrase(Phrase::version_latest).number(7),
        "END RequestId: id Version: $LATEST7");
  check(PackedLine().phrase(Phrase::start).id(id).text("\x12").text(" x").millis(1ms),
        "START RequestId: " + id + "\x12 x1.00");
  check(PackedLine().phrase(Phrase::start).id(id).text("\n").id(id),
        "START RequestId: " + id + "\n" + id);
  std::string much(250, 'x');
  check(PackedLine().text(much).id(id), much + id);
  check(PackedLine().text(much).text("1234567"), much + "1234567");
  std::string full(256, 'x');
  check(PackedLine().text(full).phrase(Phrase::start), full + "START RequestId: ");
  CHECK(PackedLine().text(full).packed());
}

TEST_CASE("every byte of an id that is no digit of it is found at every place") {
  for (std::size_t place = 0; place < id.size(); ++place) {
    for (int byte = 0; byte < 256; ++byte) {
      std::string other = id;
      other[place] = static_cast<char>(byte);
      bool dash = id[place] == '-';
      bool right =
          dash ? byte == '-' : byte > 0 && std::strchr("0123456789abcdef", byte) != nullptr;
      auto line = PackedLine().phrase(Phrase::end).id(other);
      if (line.packed() != right) FAIL("byte " << byte << " at " << place);
      if (line.to_text() != "END RequestId: " + other) FAIL("byte " << byte << " at " << place);
    }
  }
}

TEST_CASE("damaged bytes are read as far as they go") {
  CHECK(unpack_line("\x01").empty());
  CHECK(unpack_line(std::string("\x01\xff\x00", 3)) == "ff00");
  CHECK(unpack_line("\x1f\x02z") == "\x1f\x02z");
  CHECK(unpacked_size("\x1f\x02z") == 3);
}

}  // namespace mayfly
