#include "telemetry/log_codec.h"

#include <doctest/doctest.h>

#include "base/packed_line.h"

namespace mayfly::telemetry {
namespace {

struct Message {
  std::string bytes;
  bool packed = false;
  std::string text;
};

}  // namespace

TEST_CASE("an entry holds packed lines and others in their order") {
  const std::string id = "01234567-89ab-4cde-8f01-23456789abcd";
  std::vector<Message> messages{{.bytes = "hello", .text = "hello"}, {}};
  for (auto phrase : {Phrase::start, Phrase::end}) {
    auto line = PackedLine().phrase(phrase).id(id);
    messages.push_back({std::string(line.bytes()), true, line.to_text()});
  }
  for (const auto& first : messages) {
    std::string payload = encode_event(7, first.bytes, first.packed);
    CHECK(ingested_of(payload) == 7);
    auto one = decode_events({3, "s", 5, payload});
    REQUIRE(one.size() == 1);
    CHECK(one[0].message == first.text);
    for (const auto& more : messages) append_event(payload, more.bytes, more.packed);
    CHECK(ingested_of(payload) == 7);
    auto all = decode_events({3, "s", 5, payload});
    REQUIRE(all.size() == 1 + messages.size());
    CHECK(all[0].message == first.text);
    for (std::size_t i = 0; i < messages.size(); ++i) CHECK(all[i + 1].message == messages[i].text);
  }
}

}  // namespace mayfly::telemetry
