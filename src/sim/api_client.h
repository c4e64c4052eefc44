// ApiClient: an HTTP client by hand for servers that run on the test's own loop: sends raw bytes,
// turns the loop, and answers what has come. And ApiSink: a server of that kind, for what the
// tested code sends. Both wait for sockets alone, never for time.
#pragma once

#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "io/fd.h"
#include "io/loop.h"

namespace mayfly::sim {

// One message, or nothing while it is not whole; what is behind it stays in `input`.
inline std::optional<std::string> cut_message(std::string& input) {
  auto head = input.find("\r\n\r\n");
  if (head == std::string::npos) return std::nullopt;
  auto at = input.find("Content-Length: ");
  std::size_t length = at < head ? std::stoul(input.substr(at + 16)) : 0;
  std::size_t whole = head + 4 + length;
  if (input.size() < whole) return std::nullopt;
  std::string out = input.substr(0, whole);
  input.erase(0, whole);
  return out;
}
inline std::string body_of(const std::string& message) {
  auto head = message.find("\r\n\r\n");
  return head == std::string::npos ? std::string() : message.substr(head + 4);
}
inline std::string field_of(const std::string& message, std::string_view name) {
  auto at = message.find(fmt::format("\r\n{}: ", name));
  if (at == std::string::npos) return {};
  at += name.size() + 4;
  return message.substr(at, message.find("\r\n", at) - at);
}
inline std::uint16_t port_of(const std::string& address) {
  return static_cast<std::uint16_t>(std::stoi(address.substr(address.rfind(':') + 1)));
}

class ApiClient {
 public:
  ApiClient(io::Loop& loop, const std::string& address)
      : loop_(loop), fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(port_of(address));
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    REQUIRE(::connect(fd_.get(), reinterpret_cast<sockaddr*>(&to), sizeof to) == 0);
  }
  void send(std::string_view bytes) {
    REQUIRE(::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL) ==
            static_cast<ssize_t>(bytes.size()));
    loop_.run_ready();
  }
  // What has come so far, when the loop has nothing more to do.
  std::optional<std::string> answer() {
    loop_.run_ready();
    take();
    return cut_message(input_);
  }
  // The next answer, which must come without any time passing.
  std::string receive() {
    for (int i = 0; i < 2000; ++i) {
      if (auto out = answer()) return *out;
      pollfd wait{fd_.get(), POLLIN, 0};
      ::poll(&wait, 1, 1);
    }
    FAIL("no answer");
    return {};
  }
  std::string call(std::string_view bytes) {
    send(bytes);
    return receive();
  }

 private:
  void take() {
    std::array<char, 4096> chunk{};
    ssize_t got = 0;
    while ((got = ::recv(fd_.get(), chunk.data(), chunk.size(), MSG_DONTWAIT)) > 0) {
      input_.append(chunk.data(), static_cast<std::size_t>(got));
    }
  }

  io::Loop& loop_;
  io::Fd fd_;
  std::string input_;
};

inline std::string http_get(std::string_view path, std::string_view fields = {}) {
  return fmt::format("GET {} HTTP/1.1\r\nHost: a\r\n{}\r\n", path, fields);
}
inline std::string http_send(std::string_view method, std::string_view path, std::string_view body,
                             std::string_view fields = {}) {
  return fmt::format("{} {} HTTP/1.1\r\nHost: a\r\n{}Content-Length: {}\r\n\r\n{}", method, path,
                     fields, body.size(), body);
}

// Takes requests one after the other and answers each with `status`.
class ApiSink {
 public:
  explicit ApiSink(io::Loop& loop) : loop_(loop) {
    auto made = io::listen_tcp("127.0.0.1", 0);
    REQUIRE(made);
    listener_ = std::move(*made);
    port = port_of(io::address_of(listener_));
  }
  int status = 200;
  bool raw = false;  // nothing is answered: all that comes is kept in `bytes`
  std::uint16_t port = 0;
  std::vector<std::string> requests;
  std::string bytes;

  // Turns the loop until there are so many requests, or so many bytes.
  void await(std::size_t count) {
    for (int i = 0; i < 2000 && (raw ? bytes.size() : requests.size()) < count; ++i) {
      loop_.run_ready();
      turn();
    }
    REQUIRE((raw ? bytes.size() : requests.size()) >= count);
    loop_.run_ready();
  }
  // What comes without being waited for.
  void settle() {
    for (int i = 0; i < 20; ++i) {
      loop_.run_ready();
      turn();
    }
  }

 private:
  void turn() {
    std::vector<pollfd> wait{{listener_.get(), POLLIN, 0}};
    if (connection_) wait.push_back({connection_.get(), POLLIN, 0});
    ::poll(wait.data(), wait.size(), 1);
    if (wait[0].revents != 0) {
      connection_ = io::Fd(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
      input_.clear();
    }
    if (!connection_) return;
    std::array<char, 65536> chunk{};
    ssize_t got = 0;
    while ((got = ::recv(connection_.get(), chunk.data(), chunk.size(), MSG_DONTWAIT)) > 0) {
      (raw ? bytes : input_).append(chunk.data(), static_cast<std::size_t>(got));
    }
    while (auto request = cut_message(input_)) {
      requests.push_back(*request);
      auto answer = fmt::format("HTTP/1.1 {} X\r\nContent-Length: 2\r\n\r\nok", status);
      (void)::send(connection_.get(), answer.data(), answer.size(), MSG_NOSIGNAL);
    }
  }

  io::Loop& loop_;
  io::Fd listener_;
  io::Fd connection_;
  std::string input_;
};

}  // namespace mayfly::sim
