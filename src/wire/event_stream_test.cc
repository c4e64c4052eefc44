#include "wire/event_stream.h"

#include <doctest/doctest.h>

#include "wire/hash.h"

namespace mayfly::wire {
namespace {

std::string bytes(std::initializer_list<int> values) {
  std::string out;
  for (int value : values) out += static_cast<char>(value);
  return out;
}

std::string be32(std::uint32_t value) {
  std::string out;
  for (int shift = 24; shift >= 0; shift -= 8) out += static_cast<char>(value >> shift);
  return out;
}

// A message with right checksums around any headers.
std::string sealed(const std::string& headers, const std::string& payload) {
  auto out = be32(static_cast<std::uint32_t>(16 + headers.size() + payload.size())) +
             be32(static_cast<std::uint32_t>(headers.size()));
  out += be32(crc32(out));
  out += headers + payload;
  return out + be32(crc32(out));
}

// The format's published examples.
TEST_CASE("an empty message, and one with a payload alone") {
  std::string out;
  append_event_message(out, {}, "");
  CHECK(out == bytes({0, 0, 0, 0x10, 0, 0, 0, 0, 0x05, 0xc2, 0x48, 0xeb, 0x7d, 0x98, 0xc8, 0xff}));
  out.clear();
  append_event_message(out, {}, "{'foo':'bar'}");
  CHECK(out == bytes({0, 0, 0, 0x1d, 0, 0, 0, 0, 0xfd, 0x52, 0x8c, 0x5a}) + "{'foo':'bar'}" +
                   bytes({0xc3, 0x65, 0x39, 0x36}));
  auto number = bytes({0, 0, 0, 0x2d, 0, 0, 0, 0x10, 0x41, 0xc4, 0x24, 0xb8, 0x0a}) + "event-type" +
                bytes({4, 0, 0, 0xa0, 0x0c}) + "{'foo':'bar'}" + bytes({0x36, 0xf4, 0x80, 0xa0});
  auto read = read_event_message(number);
  REQUIRE(read);
  REQUIRE(*read);
  CHECK((*read)->message.headers.empty());
  CHECK((*read)->message.payload == "{'foo':'bar'}");
}

TEST_CASE("events come back as they went, one behind the other") {
  std::string out;
  append_event(out, "PayloadChunk", "application/octet-stream", std::string("a\0b", 3));
  std::size_t first = out.size();
  append_event(out, "InvokeComplete", "application/json", "{}");
  auto read = read_event_message(out);
  REQUIRE(read);
  REQUIRE(*read);
  CHECK((*read)->size == first);
  CHECK((*read)->message.header(":event-type") == "PayloadChunk");
  CHECK((*read)->message.header(":message-type") == "event");
  CHECK((*read)->message.header(":content-type") == "application/octet-stream");
  CHECK((*read)->message.header("other") == "");
  CHECK((*read)->message.payload == std::string_view("a\0b", 3));
  auto next = read_event_message(std::string_view(out).substr(first));
  REQUIRE(next);
  REQUIRE(*next);
  CHECK((*next)->message.header(":event-type") == "InvokeComplete");
  for (std::size_t size = 0; size < first; ++size) {
    auto part = read_event_message(std::string_view(out).substr(0, size));
    REQUIRE(part);
    CHECK_FALSE(*part);
  }
}

TEST_CASE("any damaged byte is noticed") {
  std::string good;
  append_event(good, "PayloadChunk", "text/plain", "hello");
  for (std::size_t at = 0; at < good.size(); ++at) {
    std::string bad = good;
    bad[at] = static_cast<char>(bad[at] ^ 0x10);
    CHECK_FALSE(read_event_message(bad));
  }
}

TEST_CASE("every type of header is passed over, and a bad one refused") {
  std::string all;
  for (int type = 0; type <= 9; ++type) {
    all += bytes({1, 'a' + type, type});
    if (type == 6 || type == 7) {
      all += bytes({0, 2}) + "vv";
    } else {
      constexpr int sizes[] = {0, 0, 1, 2, 4, 8, 0, 0, 8, 16};
      all += std::string(static_cast<std::size_t>(sizes[type]), 'x');
    }
  }
  std::string whole = sealed(all, "p");
  auto read = read_event_message(whole);
  REQUIRE(read);
  REQUIRE(*read);
  REQUIRE((*read)->message.headers.size() == 1);
  CHECK((*read)->message.header("h") == "vv");
  for (const auto& bad : {bytes({0}), bytes({5, 'a'}), bytes({1, 'a', 10}), bytes({1, 'a', 7, 0}),
                          bytes({1, 'a', 7, 0, 9, 'v'}), bytes({1, 'a', 4, 0})}) {
    std::string message = sealed(bad, "");
    CHECK_FALSE(read_event_message(message));
  }
}

TEST_CASE("impossible sizes are refused before their bytes are there") {
  auto head = [](std::uint32_t size, std::uint32_t headers) {
    auto out = be32(size) + be32(headers);
    return out + be32(crc32(out));
  };
  CHECK_FALSE(read_event_message(head(15, 0)));
  CHECK_FALSE(read_event_message(head(20, 5)));
  CHECK(read_event_message(head(20, 4)));
  CHECK_FALSE(read_event_message(head(event_message_max_bytes + 1, 0)));
  CHECK(read_event_message(head(event_message_max_bytes, 0)));
  CHECK_FALSE(read_event_message(head(0x100000, event_headers_max_bytes + 1)));
}

}  // namespace
}  // namespace mayfly::wire
