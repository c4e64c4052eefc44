#include "guest/lambda/lean.h"

#include <doctest/doctest.h>

#include <thread>

#include "guest/lambda/errors.h"

namespace mayfly::guest {
namespace {

using namespace std::chrono_literals;

// The guest's end of a channel, spoken to by hand; it has a loop of its own, so that a thread can
// play it.
struct FakeGuest {
  SystemClock clock;
  io::Loop loop{clock};
  io::Loop far_loop{clock};
  std::optional<io::Stream> far;
  std::unique_ptr<GuestChannel> channel;

  FakeGuest() {
    auto pair = io::socket_pair();
    REQUIRE(pair);
    far.emplace(far_loop, std::move(pair->second));
    channel = make_lean_channel(loop, std::move(pair->first));
  }
  Deadline soon() const { return clock.mono() + 5s; }
  void say(std::string_view bytes) {
    CHECK(far_loop.run_until(far->write_all(bytes, soon())).has_value());
  }
  std::string hear() {
    std::string out(4096, '\0');
    auto got = far_loop.run_until(far->read(out, soon()));
    out.resize(got.value_or(0));
    return out;
  }
};

std::string u32(std::uint32_t value) {
  std::string out;
  for (int i = 0; i < 4; ++i) out.push_back(static_cast<char>(value >> (8 * i)));
  return out;
}

std::string frame(FrameType type, std::uint32_t sequence, const std::string& body) {
  return u32(static_cast<std::uint32_t>(body.size())) + u32(static_cast<std::uint32_t>(type)) +
         u32(sequence) + body;
}

std::string labelled(std::string_view label, std::string_view rest) {
  std::string out = u32(static_cast<std::uint32_t>(label.size())).substr(0, 2);
  return out.append(label).append(rest);
}

InvokeRequest request(std::string payload) {
  InvokeRequest out;
  out.request_id = "id-1";
  out.payload = std::move(payload);
  out.invoked_function_arn = "arn";
  out.trace_header = "Root=1";
  out.client_context = "{}";
  out.cognito_identity = "[]";
  out.deadline_epoch_ms = 0x0102030405060708;
  return out;
}

TEST_CASE("READY may tell how long hooks after a restore took") {
  for (std::uint32_t micros : {0u, 1u, 0xFFFFFFu}) {
    FakeGuest guest;
    auto bytes = frame(FrameType::ready, 0, "");
    for (std::size_t i = 0; i < 3; ++i) bytes[5 + i] = static_cast<char>(micros >> (8 * i));
    guest.say(bytes);
    auto init = guest.loop.run_until(guest.channel->wait_init(guest.soon()));
    REQUIRE(init);
    CHECK(init->ok);
    CHECK(init->restored.has_value() == (micros > 0));
    if (micros > 0) CHECK(*init->restored == std::chrono::microseconds(micros));
  }
}

TEST_CASE("READY ends the init; an event and its answer are one frame each") {
  FakeGuest guest;
  guest.say(frame(FrameType::ready, 0, ""));
  auto init = guest.loop.run_until(guest.channel->wait_init(guest.soon()));
  REQUIRE(init);
  CHECK(init->ok);

  guest.say(frame(FrameType::response, 1, labelled("", "{\"a\":1}")));
  auto reply = guest.loop.run_until(guest.channel->invoke(request("[7]"), guest.soon()));
  REQUIRE(reply);
  CHECK_FALSE(reply->is_error);
  CHECK(reply->payload == "{\"a\":1}");
  CHECK_FALSE(reply->busy);
  CHECK(reply->content_type == "application/json");

  std::string body = std::string("\x08\x07\x06\x05\x04\x03\x02\x01", 8) +
                     std::string("\x04\0\x03\0\x06\0\0\0", 8) + u32(2) + u32(2) +
                     "id-1arnRoot=1{}[][7]";
  CHECK(guest.hear() == frame(FrameType::invoke, 1, body));
}

TEST_CASE("an event carries its tenant behind everything else of its head") {
  InvokeRequest tenant = request("[7]");
  tenant.tenant_id = std::string(256, 't');
  for (When when : {When::now, When::ahead}) {
    std::string out;
    REQUIRE(encode_invoke_head(out, tenant, 1, when));
    auto flags = static_cast<unsigned char>(out[26]) | static_cast<unsigned char>(out[27]) << 8;
    CHECK(flags == (when == When::ahead ? 513 : 512));
    CHECK(out.ends_with("id-1arnRoot=1{}[]" + tenant.tenant_id));
  }
  tenant.tenant_id = std::string(32'768, 't');
  std::string out;
  CHECK_FALSE(encode_invoke_head(out, tenant, 1, When::now));
}

TEST_CASE("errors carry their checked type; an init error carries its JSON") {
  FakeGuest guest;
  guest.say(frame(FrameType::init_error, 0, labelled("Runtime.ImportModuleError", "{\"x\":1}")));
  auto init = guest.loop.run_until(guest.channel->wait_init(guest.soon()));
  REQUIRE(init);
  CHECK_FALSE(init->ok);
  CHECK(init->error_type == "Runtime.ImportModuleError");
  CHECK(init->error_payload == "{\"x\":1}");

  guest.say(frame(FrameType::error, 1, labelled("TypeError", "{}")));
  auto reply = guest.loop.run_until(guest.channel->invoke(request(""), guest.soon()));
  REQUIRE(reply);
  CHECK(reply->is_error);
  CHECK(reply->error_type == "Function.Unknown");
  CHECK(reply->payload == "{}");
}

TEST_CASE("an answer in many pieces and larger than every buffer arrives whole") {
  FakeGuest guest;
  std::string big(3 << 20, 'x');
  std::thread far([&] {
    std::string bytes = frame(FrameType::response, 1, labelled("text/plain", big));
    guest.say(std::string_view(bytes).substr(0, 5));
    std::this_thread::sleep_for(2ms);
    guest.say(std::string_view(bytes).substr(5));
  });
  auto reply = guest.loop.run_until(guest.channel->invoke(request(""), guest.soon()));
  REQUIRE(reply);
  CHECK(reply->payload == big);
  CHECK(reply->content_type == "text/plain");
  far.join();
  guest.say(frame(FrameType::response, 2, labelled("", "2")));
  auto second = guest.loop.run_until(guest.channel->invoke(request(""), guest.soon()));
  REQUIRE(second);
  CHECK(second->payload == "2");
}

TEST_CASE(
    "an answer at the limit passes; one byte more is too large and leaves the channel usable") {
  FakeGuest guest;
  for (std::size_t extra : {0u, 1u, 3u << 20}) {
    CAPTURE(extra);
    auto sequence = static_cast<std::uint32_t>(extra == 0 ? 1 : extra == 1 ? 2 : 3);
    std::thread far([&] {
      guest.say(frame(FrameType::response, sequence,
                      labelled("a/b", std::string(response_max_bytes + extra, 'y'))));
    });
    auto reply = guest.loop.run_until(guest.channel->invoke(request(""), guest.soon()));
    far.join();
    REQUIRE(reply.has_value() == (extra == 0));
    if (extra > 0) {
      CHECK(reply.error().kind == ErrorKind::too_large);
      CHECK(reply.error().message ==
            "Response payload size exceeded maximum allowed payload size (6291556 bytes).");
    }
  }
  guest.say(frame(FrameType::response, 4, labelled("", "4")));
  auto after = guest.loop.run_until(guest.channel->invoke(request(""), guest.soon()));
  REQUIRE(after);
  CHECK(after->payload == "4");
}

TEST_CASE("a guest that goes, lies or stays silent is told apart") {
  SUBCASE("gone") {
    FakeGuest guest;
    guest.far.reset();
    auto init = guest.loop.run_until(guest.channel->wait_init(guest.soon()));
    REQUIRE(!init);
    CHECK(init.error().kind == ErrorKind::unavailable);
    auto reply = guest.loop.run_until(guest.channel->invoke(request("{}"), guest.soon()));
    REQUIRE(!reply);
    CHECK(reply.error().kind == ErrorKind::unavailable);
  }
  SUBCASE("an answer to another event") {
    FakeGuest guest;
    guest.say(frame(FrameType::response, 7, labelled("", "1")));
    auto reply = guest.loop.run_until(guest.channel->invoke(request("{}"), guest.soon()));
    REQUIRE(!reply);
    CHECK(reply.error().kind == ErrorKind::corrupt);
    auto after = guest.loop.run_until(guest.channel->invoke(request("{}"), guest.soon()));
    REQUIRE(!after);
    CHECK(after.error().kind == ErrorKind::unavailable);
  }
  SUBCASE("silent until the deadline") {
    FakeGuest guest;
    auto reply =
        guest.loop.run_until(guest.channel->invoke(request("{}"), guest.clock.mono() + 5ms));
    REQUIRE(!reply);
    CHECK(reply.error().kind == ErrorKind::timeout);
  }
  SUBCASE("cancelled") {
    FakeGuest guest;
    guest.loop.add_timer(guest.clock.mono() + 2ms, [&] { guest.channel->cancel(); });
    auto reply = guest.loop.run_until(guest.channel->invoke(request("{}"), guest.soon()));
    REQUIRE(!reply);
    CHECK(reply.error().kind == ErrorKind::cancelled);
  }
}

TEST_CASE("heads and labels that cannot be are corrupt") {
  CHECK(!parse_frame_head(u32(0) + std::string("\x0f\0\0\0", 4) + u32(0)));
  CHECK(!parse_frame_head(u32(0) + std::string("\0\0\0\0", 4) + u32(0)));
  CHECK(!parse_frame_head(u32(0) + std::string("\x02\0\0\1", 4) + u32(0)));
  CHECK(parse_frame_head(u32(0) + std::string("\x04\1\0\1", 4) + u32(0))->busy_micros == 0x10001);
  CHECK(!parse_frame_head(u32(frame_body_max_bytes + 1) + std::string("\x04\0\0\0", 4) + u32(0)));
  CHECK(parse_frame_head(u32(frame_body_max_bytes) + std::string("\x04\0\0\0", 4) + u32(0)));
  CHECK(!parse_labelled_body(""));
  CHECK(!parse_labelled_body(std::string("\x01\0", 2)));
  CHECK(parse_labelled_body(std::string("\0\0", 2)));
}

TEST_CASE("error types are kept only in the cloud's form") {
  CHECK(checked_error_type("Runtime.ExitError") == "Runtime.ExitError");
  CHECK(checked_error_type("Function.MyOwn") == "Function.MyOwn");
  CHECK(checked_error_type("Runtime.x") == "Runtime.Unknown");
  CHECK(checked_error_type("Runtime.Exit.Error") == "Runtime.Unknown");
  CHECK(checked_error_type("TypeError") == "Function.Unknown");
  CHECK(checked_error_type("Function.E2") == "Function.Unknown");
  CHECK(error_json("A", "q\"\n") == "{\"errorMessage\":\"q\\\"\\n\",\"errorType\":\"A\"}");
}

}  // namespace
}  // namespace mayfly::guest
