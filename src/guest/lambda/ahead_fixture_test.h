// Test only: pipes and events ahead, with the guest played by hand.
#pragma once

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <array>
#include <cstring>

#include "guest/lambda/errors.h"
#include "guest/lambda/lean.h"
#include "io/byte_ring.h"
#include "io/record_ring.h"
#include "io/shared_memory.h"
#include "sim/manual_clock.h"

namespace mayfly::guest::testing {

using namespace std::chrono_literals;

inline std::string u32(std::uint32_t value) {
  std::string out;
  for (int i = 0; i < 4; ++i) out.push_back(static_cast<char>(value >> (8 * i)));
  return out;
}
inline std::string frame(std::uint32_t type, std::uint32_t sequence, const std::string& body) {
  return u32(static_cast<std::uint32_t>(body.size())) + u32(type) + u32(sequence) + body;
}
inline constexpr std::uint32_t told = 0x44;    // RESPONSE, all output read
inline constexpr std::uint32_t unread = 0xC4;  // RESPONSE, output unread
inline const std::string notice = frame(14, 0, "");
inline std::string answer(std::uint32_t sequence, const std::string& payload,
                          std::uint32_t type = told) {
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
    return io::number_in(memory, offset);
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
    return io::number_in(mapped_answers, offset);
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

inline InvokeRequest event(std::string payload) {
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

}  // namespace mayfly::guest::testing
