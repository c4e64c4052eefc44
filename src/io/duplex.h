// Duplex and Acceptor: sockets driven by calls instead of coroutines, for owners whose life ends at
// once, without tasks to wait for (a protocol served to a process that may be killed any moment).
// Loop thread only; destruction ends everything.
#pragma once

#include <string>
#include <string_view>

#include "io/fd.h"

namespace mayfly::io {

// A connected socket. Reads whenever bytes are there; what is sent is kept until the peer takes it.
class Duplex final : private Loop::FdHandler {
 public:
  class Sink {
   public:
    // Must not destroy the Duplex.
    virtual void on_bytes(std::string_view bytes) = 0;
    // The peer ended its side, or the connection broke. Called once, as the last call; may still
    // send a last answer, and may destroy the Duplex.
    virtual void on_end() = 0;

   protected:
    ~Sink() = default;
  };

  Duplex(Loop& loop, Fd fd, Sink& sink);
  Duplex(const Duplex&) = delete;
  Duplex& operator=(const Duplex&) = delete;
  ~Duplex();

  // Writes what the socket takes now and keeps the rest.
  void send(std::string bytes);
  // The same for a message of two parts; what the socket takes at once is not copied.
  void send(std::string_view head, std::string_view body);
  // Reads what is there now, without waiting to be told.
  void pull() { on_events(0); }
  int fd() const { return fd_.get(); }
  // After what was sent, tells the peer that nothing more comes. on_end() follows when the peer
  // ends its side too; what it still sends is thrown away.
  void finish();
  // Stops reading, so that the peer must wait; also inside on_bytes().
  void pause() { paused_ = true; }
  // Inside on_bytes(), which it lets go on.
  void unpause() { paused_ = false; }
  // Outside: reads on, at once; may call the sink, and end as on_end() may.
  void resume();

 private:
  void on_events(std::uint32_t events) override;
  void flush();

  Loop& loop_;
  Fd fd_;
  Sink& sink_;
  std::string unsent_;
  std::size_t sent_ = 0;  // of unsent_
  bool finishing_ = false;
  bool ended_ = false;
  bool paused_ = false;
  bool wants_room_ = false;
};

// A listening socket; hands over each connection.
class Acceptor final : private Loop::FdHandler {
 public:
  Acceptor(Loop& loop, Fd listener, std::move_only_function<void(Fd)> on_connection);
  Acceptor(const Acceptor&) = delete;
  Acceptor& operator=(const Acceptor&) = delete;
  ~Acceptor();

 private:
  void on_events(std::uint32_t events) override;

  Loop& loop_;
  Fd fd_;
  std::move_only_function<void(Fd)> on_connection_;
  std::optional<Loop::TimerId> retry_;
};

}  // namespace mayfly::io
