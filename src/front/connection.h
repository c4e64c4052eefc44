// Connection: one client's socket from accept to close: heads within their limits and times,
// bodies on demand, answers in order. Requests of a connection are served one after the other, so
// what a client pipelines waits in the buffer (or in the socket) for its turn.
//
// Owned by its own task in the server's scope; ends when either side closes, a limit or a time is
// exceeded, or the server cuts it.
#pragma once

#include <stop_token>

#include "front/exchange.h"
#include "wire/hash.h"

namespace mayfly::front {

// Shared by all connections of a server.
struct Gauges {
  std::size_t connections = 0;
  std::size_t body_bytes = 0;  // memory taken by bodies being read or served
  std::size_t max_body_bytes = limits::http_bodies_total_bytes;
  bool draining = false;  // no further request is taken
  std::string date;       // value of the Date field, made once a second
  std::int64_t date_second = -1;
  MonoTime date_until{};  // the next second begins
};

// Of a body that is read in parts.
struct BodyParts {
  std::vector<char> chunks;  // [begin, end) is read and not used, with framing by chunks
  std::size_t begin = 0;
  std::size_t end = 0;
  std::uint64_t received = 0;
  Duration waited{};  // for the client, since the first part
};

class Connection final : private Exchange {
 public:
  Connection(io::Loop& loop, io::Fd fd, Peer peer, Handler& handler, Gauges& gauges);
  ~Connection() override;

  io::Task<void> run(std::stop_token stop);
  // Ends waiting for a next request; a request that runs is finished and answered.
  void drain();
  // Ends everything on the socket now.
  void cut() {
    stream_.cancel();
    gone_.request_stop();
  }

 private:
  enum class Next { keep_alive, close, linger };

  const io::http1::Head& head() const override { return reader_.head(); }
  const Peer& peer() const override { return peer_; }
  std::optional<Body> body_at_hand(std::size_t limit, bool hash) override;
  io::Task<std::expected<Body, io::http1::Refusal>> read_body(std::size_t limit,
                                                              bool hash) override;
  io::Task<std::expected<std::string, io::http1::Refusal>> read_part(std::stop_token stop) override;
  io::Task<std::expected<std::string, io::http1::Refusal>> take_part(std::stop_token stop);
  io::Task<std::expected<std::string, io::http1::Refusal>> sized_part(std::stop_token stop);
  io::Task<std::expected<std::string, io::http1::Refusal>> chunked_part(std::stop_token stop);
  io::Task<std::expected<std::size_t, io::http1::Refusal>> read_socket(std::span<char> into,
                                                                       std::stop_token stop);
  io::Task<bool> send_continue();
  void give_back(std::string_view left);
  io::Task<std::expected<bool, io::http1::Refusal>> read_head();
  io::Task<Next> serve_one();
  io::Task<bool> fill(Deadline deadline);
  io::Task<std::expected<void, io::http1::Refusal>> read_sized(Body& body, wire::Sha256* hash);
  io::Task<std::expected<void, io::http1::Refusal>> read_chunks(Body& body, std::size_t limit,
                                                                wire::Sha256* hash);
  void append_head(const Response& response, bool keep_alive, bool head_only);
  io::Task<bool> write(Response response, bool keep_alive, bool head_only);
  io::Task<bool> write_stream(Response response, bool keep_alive, bool head_only);
  io::Task<bool> write_bytes(std::string_view head, std::string_view body);
  io::Task<bool> skip_body();
  io::Task<void> linger();
  void watch_idling();
  bool reserve(std::size_t bytes);
  void release();
  std::string_view date();
  std::string_view unread() const { return {buffer_.data() + begin_, end_ - begin_}; }

  io::Loop& loop_;
  Peer peer_;
  Handler& handler_;
  Gauges& gauges_;
  io::http1::Reader reader_;
  std::stop_token stop_;
  // [begin_, end_) is read and not used. The head stays at [0, begin_) while its request runs.
  std::vector<char> buffer_;
  std::vector<char> head_bytes_;  // with the head of the request, where buffer_ had to grow
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
  std::size_t reserved_ = 0;  // of gauges_.body_bytes
  std::optional<BodyParts> parts_;
  bool idle_ = false;  // waits for the first byte of a request
  MonoTime idle_since_{};
  // Ends what waits for too long. Set once and looked at when it fires, since it almost never has
  // to: a request sets none of its own.
  std::optional<io::Loop::TimerId> idle_timer_;
  bool broken_ = false;  // the body was cut off or malformed: no further request
  bool continue_sent_ = false;
  std::string out_;
  std::stop_source gone_;  // nobody is there any more for whom an answer is made
  io::Stream stream_;      // last: its pending operations end before the rest
};

}  // namespace mayfly::front
