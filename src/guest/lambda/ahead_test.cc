// Pipes and events ahead: the guest is played by hand.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <array>
#include <cstring>

#include "base/limits.h"
#include "guest/lambda/errors.h"
#include "guest/lambda/lean.h"
#include "io/byte_ring.h"
#include "io/record_ring.h"
#include "sim/manual_clock.h"

namespace mayfly::guest {
namespace {

using namespace std::chrono_literals;

std::string u32(std::uint32_t value) {
  std::string out;
  for (int i = 0; i < 4; ++i) out.push_back(static_cast<char>(value >> (8 * i)));
  return out;
}
std::string frame(std::uint32_t type, std::uint32_t sequence, const std::string& body) {
  return u32(static_cast<std::uint32_t>(body.size())) + u32(type) + u32(sequence) + body;
}
constexpr std::uint32_t told = 0x44;    // RESPONSE, all output read
constexpr std::uint32_t unread = 0xC4;  // RESPONSE, output unread
const std::string notice = frame(14, 0, "");
std::string answer(std::uint32_t sequence, const std::string& payload, std::uint32_t type = told) {
  return frame(type, sequence, std::string("\0\0", 2) + payload);
}

// What a guest does, on a loop that is moved by hand with its clock.
struct House {
  sim::ManualClock clock;
  io::Loop loop{clock};
  io::Fd socket;
  io::Fd events;
  io::Fd answers;
  char* memory = nullptr;  // with events, where the guest maps it
  char* mapped_answers = nullptr;
  std::unique_ptr<GuestChannel> channel;
  io::TaskScope tasks{loop};
  using Reply = std::optional<Result<InvokeReply>>;

  House() {
    auto pair = io::socket_pair();
    REQUIRE(pair);
    socket = std::move(pair->second);
    channel = make_lean_channel(loop, std::move(pair->first));
  }
  ~House() {
    channel->cancel();
    loop.run_ready();
    loop.run_until(tasks.drain(no_deadline));
    if (memory != nullptr) ::munmap(memory, io::RecordRing::memory_bytes);
    if (mapped_answers != nullptr) ::munmap(mapped_answers, io::ByteRing::memory_bytes);
  }
  House(const House&) = delete;
  House& operator=(const House&) = delete;
  void say(const io::Fd& to, const std::string& bytes) {
    REQUIRE(::write(to.get(), bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size()));
    loop.run_ready();
  }
  static std::string hear(const io::Fd& from) {
    std::string out(8192, '\0');
    make_non_blocking(from);
    ssize_t got = ::read(from.get(), out.data(), out.size());
    out.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
    return out;
  }
  static void make_non_blocking(const io::Fd& fd) {
    ::fcntl(fd.get(), F_SETFL, ::fcntl(fd.get(), F_GETFL) | O_NONBLOCK);
  }
  // The sequence of the next event, 0: none is there.
  std::uint32_t take() const {
    auto bytes = memory != nullptr ? take_mapped() : hear(events);
    return bytes.size() < 12 ? 0 : static_cast<unsigned char>(bytes[8]);
  }
  std::atomic_ref<std::uint32_t> number(std::size_t offset) const {
    return std::atomic_ref(*reinterpret_cast<std::uint32_t*>(memory + offset));
  }
  std::string take_mapped() const {
    std::uint32_t next = number(0);
    if (next == number(64)) return {};
    std::string out(memory + (1 + next % io::RecordRing::slots) * io::Records::record_max_bytes,
                    io::Records::record_max_bytes);
    number(0) = next + 1;
    return out;
  }
  std::atomic_ref<std::uint32_t> answer_number(std::size_t offset) const {
    return std::atomic_ref(*reinterpret_cast<std::uint32_t*>(mapped_answers + offset));
  }
  // Whether the host waits, and is to be told.
  bool put_answer(const std::string& bytes) const {
    std::uint32_t tail = answer_number(0);
    for (char byte : bytes) mapped_answers[4096 + tail++ % io::ByteRing::room] = byte;
    answer_number(0) = tail;
    return answer_number(128).exchange(0) != 0;
  }
  void ready(std::uint32_t can_open) {
    say(socket, frame(1, can_open, ""));
    REQUIRE(loop.run_until(channel->wait_init(clock.mono() + 1s)));
  }
  void receive_pipes() {
    char byte = 0;
    iovec part{&byte, 1};
    std::array<int, 4> got{-1, -1, -1, -1};
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof got)> control{};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    REQUIRE(::recvmsg(socket.get(), &message, MSG_DONTWAIT) == 1);
    const auto* head = CMSG_FIRSTHDR(&message);
    std::memcpy(got.data(), CMSG_DATA(head), head->cmsg_len - CMSG_LEN(0));
    events = io::Fd(got[0]);
    answers = io::Fd(got[1]);
    if (got[2] < 0) return;
    memory = map(io::Fd(got[2]), io::RecordRing::memory_bytes);
    mapped_answers = map(io::Fd(got[3]), io::ByteRing::memory_bytes);
  }
  static char* map(const io::Fd& fd, std::size_t bytes) {
    void* mapped = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
    REQUIRE(mapped != MAP_FAILED);
    return static_cast<char*>(mapped);
  }
  std::shared_ptr<Reply> begin(InvokeRequest request, Duration limit = 3s) {
    auto out = std::make_shared<Reply>();
    tasks.spawn(run(*channel, std::move(request), clock.mono() + limit, out));
    loop.run_ready();
    return out;
  }
  std::shared_ptr<Reply> take_up(std::uint32_t number, Duration limit = 3s) {
    auto out = std::make_shared<Reply>();
    tasks.spawn(run_ahead(*channel, number, clock.mono() + limit, out));
    loop.run_ready();
    return out;
  }
  std::uint32_t ahead(const InvokeRequest& request) {
    auto number = channel->send_ahead(request);
    loop.run_ready();
    return number;
  }
  static io::Task<void> run(GuestChannel& channel, InvokeRequest request, Deadline deadline,
                            std::shared_ptr<Reply> out) {
    *out = co_await channel.invoke(request, deadline);
  }
  static io::Task<void> run_ahead(GuestChannel& channel, std::uint32_t number, Deadline deadline,
                                  std::shared_ptr<Reply> out) {
    *out = co_await channel.take_up(number, deadline);
  }
};

InvokeRequest event(std::string payload) {
  InvokeRequest out;
  out.request_id = "id";
  out.payload = std::move(payload);
  out.limit = 2500us;
  out.deadline_epoch_ms = 7;
  return out;
}

// With pipes, and the first event (1) taken by the guest.
struct PipedHouse : House {
  std::shared_ptr<Reply> first;
  explicit PipedHouse(std::uint32_t can_open = 1) {
    ready(can_open);
    channel->prepare_ahead();
    first = begin(event("1"));
    REQUIRE(hear(socket) == frame(11, 0, ""));
    REQUIRE_FALSE(channel->takes_ahead());
    say(socket, frame(11, 0, std::string("\0\0", 2)));
    receive_pipes();
    REQUIRE(channel->takes_ahead());
    REQUIRE(take() == 1);
  }
};

}  // namespace

TEST_CASE("pipes are opened where the guest can and calls are quick") {
  SUBCASE("it cannot") {
    House house;
    house.ready(0);
    house.channel->prepare_ahead();
    auto reply = house.begin(event("1"));
    CHECK(house.hear(house.socket).size() > 24);
    house.say(house.socket, answer(1, "2", 4));
    REQUIRE(*reply);
    CHECK((**reply)->payload == "2");
    CHECK((**reply)->output == Output::unknown);
    CHECK(house.ahead(event("2")) == 0);
  }
  SUBCASE("it says why not, and is not asked again") {
    House house;
    house.ready(1);
    house.channel->prepare_ahead();
    auto reply = house.begin(event("1"));
    CHECK(house.hear(house.socket) == frame(11, 0, ""));
    house.say(house.socket, frame(11, 0, std::string("\2\0no", 4)));
    CHECK(house.hear(house.socket).substr(4, 1) == "\3");
    house.say(house.socket, answer(1, "2", 4));
    REQUIRE(*reply);
    CHECK((**reply)->payload == "2");
    auto again = house.begin(event("2"));
    CHECK(house.hear(house.socket).substr(4, 1) == "\3");
    house.say(house.socket, answer(2, "3", 4));
    CHECK(*again);
  }
  SUBCASE("it can") {
    PipedHouse house;
    house.say(house.answers, answer(1, "2"));
    REQUIRE(*house.first);
    CHECK((**house.first)->payload == "2");
    CHECK((**house.first)->output == Output::read);
    auto reply = house.begin(event("2"));
    CHECK(house.take() == 2);
    house.say(house.answers, answer(2, "3", unread));
    REQUIRE(*reply);
    CHECK((**reply)->output == Output::unread);
  }
}

TEST_CASE("an event larger than a record goes over the socket, one of its size does not") {
  PipedHouse house;
  house.say(house.answers, answer(1, "2"));
  auto fixed = 12 + 24 + 2;
  auto reply = house.begin(event(std::string(4096 - fixed, 'x')));
  CHECK(house.hear(house.events).size() == 4096);
  house.say(house.answers, answer(2, "3"));
  REQUIRE(*reply);
  CHECK(house.ahead(event(std::string(4097 - fixed, 'x'))) == 0);
  auto large = house.begin(event(std::string(4097 - fixed, 'x')));
  CHECK(house.hear(house.events) == frame(13, 0, ""));
  CHECK(house.hear(house.socket).size() == 4097);
  house.say(house.answers, answer(3, "4"));
  REQUIRE(*large);
  CHECK((**large)->payload == "4");
}

TEST_CASE("an event ahead carries its time and is answered in its turn") {
  PipedHouse house;
  auto second = house.ahead(event("2"));
  auto third = house.ahead(event("3"));
  CHECK(second == 2);
  CHECK(third == 3);
  house.say(house.answers, answer(1, "a"));
  REQUIRE(*house.first);
  auto bytes = house.hear(house.events);
  CHECK(bytes.substr(12, 8) == std::string("\3\0\0\0\0\0\0\0", 8));  // 2.5 ms, rounded up
  CHECK(bytes[26] == 1);
  CHECK(house.take() == 3);
  // Both answers are there before anybody has asked for them.
  house.say(house.answers, answer(2, "b") + answer(3, "c"));
  auto b = house.take_up(second);
  auto c = house.take_up(third);
  REQUIRE(*b);
  REQUIRE(*c);
  CHECK((**b)->payload == "b");
  CHECK((**c)->payload == "c");
}

TEST_CASE("what the guest has not taken is called back, what it has taken is not") {
  for (std::uint32_t can_open : {1U, 2U}) {
    PipedHouse house(can_open);
    auto second = house.ahead(event("2"));
    auto third = house.ahead(event("3"));
    auto fourth = house.ahead(event("4"));
    CHECK(house.take() == 2);
    house.channel->recall();
    CHECK(house.take() == 0);
    CHECK_FALSE(house.channel->withdraw(second));
    CHECK(house.channel->withdraw(third));
    house.say(house.answers, answer(1, "a") + answer(2, "b"));
    auto b = house.take_up(second);
    REQUIRE(*b);
    CHECK((**b)->payload == "b");
    // One that came back and was not withdrawn is to be handed over anew.
    auto d = house.take_up(fourth);
    REQUIRE(*d);
    CHECK((*d)->error().kind == ErrorKind::conflict);
    auto anew = house.begin(event("4"));
    CHECK(house.take() == 5);
    house.say(house.answers, answer(5, "d"));
    REQUIRE(*anew);
  }
}

TEST_CASE("events in memory: one byte for all of a turn, where the guest waits") {
  PipedHouse house(2);
  house.hear(house.events);
  CHECK(house.ahead(event("2")) == 2);
  CHECK(house.hear(house.events).empty());
  house.number(128) = 1;
  CHECK(house.channel->send_ahead(event("3")) == 3);
  CHECK(house.channel->send_ahead(event("4")) == 4);
  house.loop.run_ready();
  CHECK(house.hear(house.events).size() == 1);
  for (std::uint32_t sequence : {2U, 3U, 4U, 0U}) CHECK(house.take() == sequence);
  house.say(house.answers, answer(1, "a") + answer(2, "b"));
  auto b = house.take_up(2);
  REQUIRE(*b);
  CHECK((**b)->payload == "b");
}

TEST_CASE(
    "answers in memory: a frame through the pipe where the host waits, and nothing after it") {
  PipedHouse house(2);
  for (std::string payload : {"2", "3", "4"}) CHECK(house.ahead(event(payload)) != 0);
  CHECK(house.put_answer(answer(1, "a")));
  CHECK_FALSE(house.put_answer(answer(2, "b")));
  house.loop.run_ready();
  CHECK_FALSE(*house.first);  // nobody has told
  house.say(house.answers, notice);
  REQUIRE(*house.first);
  CHECK((**house.first)->payload == "a");
  auto b = house.take_up(2);
  REQUIRE(*b);
  CHECK((**b)->payload == "b");
  CHECK((**b)->output == Output::read);
  // All was seen: the host waits again. What comes through the pipe still counts.
  CHECK(house.put_answer(answer(3, "c")));
  house.say(house.answers, answer(4, "d"));
  for (std::uint32_t number : {3U, 4U}) {
    auto reply = house.take_up(number);
    REQUIRE(*reply);
    CHECK((**reply)->payload == (number == 3 ? "c" : "d"));
  }
}

TEST_CASE(
    "an answer in memory that nobody told of counts before a timeout and before the guest's end") {
  PipedHouse house(2);
  house.put_answer(answer(1, "a"));
  SUBCASE("timeout") {
    house.clock.advance(4s);
    house.loop.run_ready();
  }
  SUBCASE("end") {
    house.socket.reset();
    house.answers.reset();
    house.loop.run_ready();
  }
  REQUIRE(*house.first);
  REQUIRE(**house.first);
  CHECK((**house.first)->payload == "a");
}

TEST_CASE("what is no answer that is due ends a channel, in memory as well") {
  PipedHouse house(2);
  CHECK(house.ahead(event("2")) == 2);
  SUBCASE("an answer to what was not asked") { house.put_answer(answer(1, "a") + answer(7, "b")); }
  SUBCASE("two answers") { house.put_answer(answer(1, "a") + answer(1, "b")); }
  SUBCASE("another frame") { house.put_answer(notice); }
  SUBCASE("a part of a stream") { house.put_answer(frame(8, 1, "x")); }
  SUBCASE("more than there is room for") { house.answer_number(0) = io::ByteRing::room + 1; }
  house.say(house.answers, notice);
  auto second = house.take_up(2);
  REQUIRE(*second);
  CHECK((**second).error().kind == ErrorKind::corrupt);
  CHECK_FALSE(house.channel->takes_ahead());
}

TEST_CASE("a guest that takes events that there are not is not believed any more") {
  PipedHouse house(2);
  CHECK(house.ahead(event("2")) == 2);
  house.number(0) = 3;
  SUBCASE("seen when more come") { house.ahead(event("3")); }
  SUBCASE("seen when they are called back") { house.channel->recall(); }
  house.loop.run_ready();
  REQUIRE(*house.first);
  CHECK((*house.first)->error().kind == ErrorKind::corrupt);
  CHECK_FALSE(house.channel->takes_ahead());
}

TEST_CASE("the event under way that the guest has not come to goes out again after a recall") {
  for (auto [size, can_open] : {std::pair(1, 1U), {5000, 1U}, {1, 2U}, {5000, 2U}}) {
    PipedHouse house(can_open);
    house.say(house.answers, answer(1, "a"));
    auto second = house.begin(event(std::string(static_cast<std::size_t>(size), 'x')));
    house.channel->recall();
    house.loop.run_ready();
    CHECK_FALSE(*second);
    auto sequence = house.take();
    CHECK(sequence == (size == 1 ? 3 : 0));  // ELSEWHERE: as it was
    CHECK(house.take() == 0);
    house.say(house.answers, answer(size == 1 ? 3 : 2, "b"));
    REQUIRE(*second);
    CHECK((**second)->payload == "b");
  }
}

TEST_CASE("an event ahead that the guest returns is to be handed over anew") {
  PipedHouse house;
  auto second = house.ahead(event("2"));
  auto third = house.ahead(event("3"));
  CHECK(house.take() == 2);
  CHECK(house.take() == 3);
  house.say(house.answers, answer(1, "a", unread) + frame(12, 2, "") + frame(12, 3, ""));
  REQUIRE(*house.first);
  CHECK((**house.first)->output == Output::unread);
  auto b = house.take_up(second);
  REQUIRE(*b);
  CHECK((*b)->error().kind == ErrorKind::conflict);
  CHECK(house.channel->withdraw(third));
  CHECK(house.channel->takes_ahead());
}

TEST_CASE("before a call counts as too long, those behind it are called back") {
  PipedHouse house;
  auto second = house.ahead(event("2"));
  SUBCASE("the guest is at it") {
    house.clock.advance(3s);
    house.loop.run_ready();
    REQUIRE(*house.first);
    CHECK((*house.first)->error().kind == ErrorKind::timeout);
    CHECK(house.take() == 0);
    CHECK(house.channel->withdraw(second));
    auto after = house.begin(event("3"));
    REQUIRE(*after);
    CHECK((*after)->error().kind == ErrorKind::unavailable);
  }
  SUBCASE("it has answered meanwhile and is at the next") {
    CHECK(house.take() == 2);
    auto bytes = answer(1, "a");
    REQUIRE(::write(house.answers.get(), bytes.data(), bytes.size()) > 0);
    house.clock.advance(3s);
    house.loop.run_ready();
    REQUIRE(*house.first);
    REQUIRE((*house.first)->has_value());
    CHECK((**house.first)->payload == "a");
    CHECK_FALSE(house.channel->withdraw(second));
  }
}

TEST_CASE("of a guest that ends, what it answered counts; what it has not taken comes back") {
  std::uint32_t can_open = 1;
  SUBCASE("with a pipe") {}
  SUBCASE("with memory") { can_open = 2; }
  PipedHouse house(can_open);
  auto second = house.ahead(event("2"));
  auto third = house.ahead(event("3"));
  auto fourth = house.ahead(event("4"));
  CHECK(house.take() == 2);
  CHECK(house.take() == 3);
  auto bytes = answer(1, "a") + answer(2, "b");
  REQUIRE(::write(house.answers.get(), bytes.data(), bytes.size()) > 0);
  house.answers.reset();
  house.events.reset();
  house.socket.reset();
  house.loop.run_ready();
  REQUIRE(*house.first);
  REQUIRE((*house.first)->has_value());
  auto b = house.take_up(second);
  REQUIRE(*b);
  CHECK((**b)->payload == "b");
  house.channel->recall();
  CHECK_FALSE(house.channel->withdraw(third));
  CHECK(house.channel->withdraw(fourth));
  auto c = house.take_up(third);
  REQUIRE(*c);
  CHECK((*c)->error().kind == ErrorKind::unavailable);
  CHECK_FALSE(house.channel->takes_ahead());
}

TEST_CASE("a guest that answers twice, or what it has returned, is not believed any more") {
  for (const auto& last : {answer(1, "again"), frame(3, 1, ""), frame(12, 9, "")}) {
    PipedHouse house;
    house.say(house.answers, answer(1, "a") + last);
    REQUIRE(*house.first);
    auto after = house.begin(event("2"));
    REQUIRE(*after);
    CHECK((*after)->error().kind == ErrorKind::unavailable);
  }
}

TEST_CASE("more events than there is room for are handed over anew when their turn comes") {
  std::uint32_t can_open = 1;
  SUBCASE("with a pipe") {}
  SUBCASE("with memory") { can_open = 2; }
  PipedHouse house(can_open);
  std::vector<std::uint32_t> numbers;
  numbers.reserve(40);
  for (int i = 0; i < 40; ++i) numbers.push_back(house.ahead(event(std::string(3000, 'x'))));
  std::uint32_t last = 1;
  while (auto sequence = house.take()) last = sequence;
  CHECK(last >= 4);
  REQUIRE(last < 41);
  CHECK_FALSE(house.channel->withdraw(last));
  auto next = house.take_up(last + 1);
  REQUIRE(*next);
  CHECK((*next)->error().kind == ErrorKind::conflict);
}

TEST_CASE("a streamed answer comes through the pipe, its credit through the socket") {
  constexpr std::size_t window = limits::stream_window_bytes;
  PipedHouse house;
  house.say(house.answers, answer(1, "a"));
  auto streaming = event("2");
  streaming.stream = std::make_shared<AnswerStream>(house.loop);
  auto& stream = *streaming.stream;
  auto reply = house.begin(streaming);
  CHECK(house.take() == 2);
  auto third = house.ahead(event("3"));
  house.say(house.answers, frame(7, 2, std::string("\3\0a/b", 5)));
  CHECK(stream.content_type == "a/b");
  for (int i = 0; i < 8; ++i) house.say(house.answers, frame(8, 2, std::string(window / 4, 'x')));
  CHECK(house.hear(house.socket).empty());
  CHECK(stream.flow.take().size() == 2 * window);
  house.loop.run_ready();
  auto credit = u32(4) + u32(10) + u32(0) + u32(window);
  CHECK(house.hear(house.socket) == credit + credit);
  house.say(house.answers, frame(8, 2, "yz") + frame(9, 2, ""));
  CHECK(stream.flow.take() == "yz");
  CHECK(stream.flow.ended());
  // The event behind it waits in the pipe meanwhile.
  CHECK_FALSE(*reply);
  house.say(house.answers, answer(2, "") + answer(3, "b"));
  REQUIRE(*reply);
  REQUIRE(**reply);
  CHECK((**reply)->streamed);
  CHECK((**reply)->output == Output::read);
  auto next = house.take_up(third);
  REQUIRE(*next);
  CHECK((**next)->payload == "b");
  CHECK(house.hear(house.socket).empty());
}

TEST_CASE("what a stream left of its credit is the next one's") {
  constexpr std::size_t window = limits::stream_window_bytes;
  PipedHouse house;
  house.say(house.answers, answer(1, "a"));
  for (std::uint32_t sequence : {2u, 3u}) {
    auto reply = house.begin(event("collected"));
    CHECK(house.take() == sequence);
    house.say(house.answers, frame(7, sequence, std::string("\0\0", 2)));
    for (int i = 0; i < 4; ++i) {
      house.say(house.answers, frame(8, sequence, std::string(window / 4, 'x')));
    }
    house.say(house.answers, frame(9, sequence, "") + answer(sequence, ""));
    REQUIRE(*reply);
    CHECK((**reply)->payload.size() == window);
    CHECK(house.hear(house.socket) == u32(4) + u32(10) + u32(0) + u32(window));
  }
}

}  // namespace mayfly::guest
