#include "io/socket_maker.h"

#include <doctest/doctest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <deque>
#include <set>

#include "sim/manual_clock.h"

using namespace mayfly;
using namespace mayfly::io;

namespace {

Fd socket_of_here() { return Fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)); }

struct House {
  sim::ManualClock clock;
  Loop loop{clock};
  Listener server{loop, *listen_tcp("127.0.0.1", 0)};
  SocketMaker maker{loop, socket_of_here(), socket_of_here()};

  std::uint16_t port() const {
    auto address = server.address();
    return static_cast<std::uint16_t>(std::stoi(address.substr(address.rfind(':') + 1)));
  }
  Result<Fd> make() { return loop.run_until(maker.make(no_deadline, {})); }
};

Task<void> keep(SocketMaker& maker, std::stop_token stop, std::vector<Result<Fd>>& out) {
  out.push_back(co_await maker.make(no_deadline, std::move(stop)));
}

}  // namespace

TEST_CASE("sockets are made that connect wherever they are told, all at one time") {
  House house;
  std::deque<Stream> ours;
  std::deque<Stream> theirs;
  std::set<std::string> addresses;
  for (int i = 0; i < 20; ++i) {
    auto made = house.make();
    REQUIRE(made);
    auto connected =
        house.loop.run_until(connect_over(house.loop, *made, house.port(), no_deadline));
    REQUIRE(connected);
    addresses.insert(address_of(*connected));
    ours.emplace_back(house.loop, std::move(*connected));
    auto accepted = house.loop.run_until(house.server.accept());
    REQUIRE(accepted);
    theirs.emplace_back(house.loop, std::move(*accepted));
  }
  CHECK(addresses.size() == 20);
  for (std::size_t i = 0; i < ours.size(); ++i) {
    auto text = std::to_string(i);
    REQUIRE(house.loop.run_until(ours[i].write_all(text, no_deadline)));
    std::array<char, 8> buffer{};
    auto got = house.loop.run_until(theirs[i].read(buffer, no_deadline));
    REQUIRE(got);
    CHECK(std::string(buffer.data(), *got) == text);
  }
}

TEST_CASE("whoever wants one while another is made waits for its turn") {
  House house;
  TaskScope tasks(house.loop);
  std::stop_source stop;
  std::vector<Result<Fd>> made;
  for (int i = 0; i < 5; ++i) tasks.spawn(keep(house.maker, stop.get_token(), made));
  house.loop.run_until(tasks.drain(no_deadline));
  CHECK(made.size() == 5);
  for (const auto& one : made) CHECK(one.has_value());
}
