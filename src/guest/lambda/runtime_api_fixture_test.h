// Test only: a guest of the Runtime API spoken to by hand, over HTTP.
#pragma once

#include <doctest/doctest.h>

#include "guest/channel.h"
#include "io/park.h"

namespace mayfly::guest::testing {

using namespace std::chrono_literals;

// A client by hand: raw bytes on one connection.
class Client {
 public:
  Client(io::Loop& loop, const std::string& address) : loop_(loop) {
    auto port = static_cast<std::uint16_t>(std::stoi(address.substr(address.rfind(':') + 1)));
    auto fd = loop.run_until(io::connect_tcp(loop, "127.0.0.1", port, loop.now() + 5s));
    REQUIRE(fd);
    stream_.emplace(loop, *std::move(fd));
  }
  void send(std::string_view bytes) {
    REQUIRE(loop_.run_until(stream_->write_all(bytes, loop_.now() + 5s)).has_value());
  }
  void end() { stream_->shutdown_write(); }
  // The next answer, head and body; what came of it when the stream ended or nothing more came.
  std::string receive(Duration patience = 5s) {
    while (true) {
      auto head = input_.find("\r\n\r\n");
      if (head != std::string::npos) {
        auto at = input_.find("Content-Length: ");
        std::size_t length = at < head ? std::stoul(input_.substr(at + 16)) : 0;
        std::size_t whole = head + 4 + length;
        if (input_.size() >= whole) {
          std::string out = input_.substr(0, whole);
          input_.erase(0, whole);
          return out;
        }
      }
      std::array<char, 4096> chunk{};
      auto got = loop_.run_until(stream_->read(chunk, loop_.now() + patience));
      if (!got || *got == 0) return std::exchange(input_, {});
      input_.append(chunk.data(), *got);
    }
  }
  std::string call(std::string_view bytes) {
    send(bytes);
    return receive();
  }

 private:
  io::Loop& loop_;
  std::optional<io::Stream> stream_;
  std::string input_;
};

inline io::Task<void> keep(GuestChannel& channel, InvokeRequest request, Deadline deadline,
                           std::optional<Result<InvokeReply>>& out) {
  out = co_await channel.invoke(request, deadline);
}

inline std::string get(std::string_view path) {
  return fmt::format("GET {} HTTP/1.1\r\nHost: a\r\n\r\n", path);
}
inline std::string post(std::string_view path, std::string_view body,
                        std::string_view fields = {}) {
  return fmt::format("POST {} HTTP/1.1\r\nHost: a\r\n{}Content-Length: {}\r\n\r\n{}", path, fields,
                     body.size(), body);
}
inline constexpr std::string_view next_path = "/2018-06-01/runtime/invocation/next";
inline std::string reply_path(std::string_view id, std::string_view what) {
  return fmt::format("/2018-06-01/runtime/invocation/{}/{}", id, what);
}

inline InvokeRequest event(std::string id, std::string payload = "{\"k\":1}") {
  InvokeRequest out;
  out.request_id = std::move(id);
  out.payload = std::move(payload);
  out.invoked_function_arn = "arn:aws:lambda:eu-west-1:000000000000:function:f";
  out.trace_header = "Root=1-2";
  out.client_context = "{\"a\":\n1}";
  out.cognito_identity = "{\"cognitoIdentityId\":\"i\",\"cognitoIdentityPoolId\":\"p\"}";
  out.deadline_epoch_ms = 1542409706888;
  return out;
}

struct Api {
  SystemClock clock;
  io::Loop loop{clock};
  io::TaskScope scope{loop};
  std::string address;
  std::unique_ptr<GuestChannel> channel;
  std::optional<Result<InvokeReply>> reply;

  Api() {
    auto listener = io::listen_tcp("127.0.0.1", 0);
    REQUIRE(listener);
    address = io::address_of(*listener);
    channel = make_runtime_api_channel(loop, *std::move(listener));
  }
  ~Api() {
    channel->cancel();
    loop.run_until(scope.close());
  }
  Deadline soon() const { return clock.mono() + 5s; }
  void start(InvokeRequest request, Duration time = 5s) {
    reply.reset();
    scope.spawn(keep(*channel, std::move(request), clock.mono() + time, reply));
  }
  // The outcome of the started call.
  Result<InvokeReply> outcome() {
    loop.run_until(wait());
    REQUIRE(reply.has_value());
    return *reply;
  }
  io::Task<io::Wake> wait() { return scope.drain(soon()); }
};

inline bool has(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

}  // namespace mayfly::guest::testing
