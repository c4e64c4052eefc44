#include <unistd.h>

#include "guest/lambda/runtime_api_fixture_test.h"

namespace mayfly::guest::testing {
namespace {

// What a wrapper script starts may be the bootstrap, or any program.
struct Wrapped : Api {
  io::Fd bootstrap;
  Wrapped() {
    auto listener = io::listen_tcp("127.0.0.1", 0);
    auto pair = io::socket_pair();
    REQUIRE((listener && pair));
    address = io::address_of(*listener);
    bootstrap = std::move(pair->second);
    channel = make_wrapped_channel(loop, std::move(pair->first), *std::move(listener));
  }
  Result<InitReply> init(Duration time = 5s) {
    return loop.run_until(channel->wait_init(clock.mono() + time));
  }
};

TEST_CASE("behind a wrapper the bootstrap is heard on its socket") {
  Wrapped guest;
  constexpr std::string_view ready("\0\0\0\0\1\0\0\0\0\0\0\0", 12);
  REQUIRE(::write(guest.bootstrap.get(), ready.data(), ready.size()) == 12);
  auto init = guest.init();
  REQUIRE(init);
  CHECK(init->ok);
  guest.start(event("r-1"));
  std::array<char, 4096> frame{};
  CHECK(::read(guest.bootstrap.get(), frame.data(), frame.size()) > 12);
  guest.bootstrap.reset();
  CHECK_FALSE(guest.outcome());
}

TEST_CASE("behind a wrapper another program asks at the Runtime API") {
  for (bool closes : {false, true}) {
    Wrapped guest;
    if (closes) guest.bootstrap.reset();
    Client runtime(guest.loop, guest.address);
    runtime.send(get(next_path));
    auto init = guest.init();
    REQUIRE(init);
    CHECK(init->ok);
    guest.start(event("r-1"));
    CHECK(runtime.receive().starts_with("HTTP/1.1 200 "));
    runtime.send(post(reply_path("r-1", "response"), "\"done\""));
    auto reply = guest.outcome();
    REQUIRE(reply);
    CHECK(reply->payload == "\"done\"");
  }
}

TEST_CASE("behind a wrapper an error of the init, silence and a cancelled wait end the waiting") {
  Wrapped failing;
  Client runtime(failing.loop, failing.address);
  runtime.send(post("/2018-06-01/runtime/init/error", "{}",
                    "Lambda-Runtime-Function-Error-Type: Runtime.Bad\r\n"));
  auto init = failing.init();
  REQUIRE(init);
  CHECK_FALSE(init->ok);
  CHECK(init->error_type == "Runtime.Bad");
  Wrapped silent;
  CHECK(silent.init(10ms).error().kind == ErrorKind::timeout);
  Wrapped cancelled;
  cancelled.loop.add_timer(cancelled.clock.mono() + 1ms, [&] { cancelled.channel->cancel(); });
  CHECK(cancelled.init().error().kind == ErrorKind::cancelled);
}

}  // namespace
}  // namespace mayfly::guest::testing
