// Pipes driven by calls, for exchanges of small messages: writing and reading one costs less than
// half of what a UNIX socket takes. Loop thread only; destruction ends everything.
#pragma once

#include <span>
#include <string_view>

#include "io/fd.h"

namespace mayfly::io {

// The read end of a pipe; hands over bytes as they come.
class PipeReader final : private Loop::FdHandler {
 public:
  class Sink {
   public:
    // Must not destroy the reader.
    virtual void on_pipe_bytes(std::string_view bytes) = 0;

   protected:
    ~Sink() = default;
  };
  PipeReader(Loop& loop, Fd fd, Sink& sink);
  PipeReader(const PipeReader&) = delete;
  PipeReader& operator=(const PipeReader&) = delete;
  ~PipeReader();

  // Reads what is there now, without waiting to be told.
  void pull();

 private:
  void on_events(std::uint32_t events) override;

  Loop& loop_;
  Fd fd_;
  Sink& sink_;
};

// Records on their way to a peer, which takes one after the other. What it has not taken can be
// taken back.
class Records {
 public:
  static constexpr std::size_t record_max_bytes = 4096;  // PIPE_BUF: what is written in one piece
  static constexpr std::size_t kept_bytes = 16;

  virtual ~Records() = default;
  // False: there is no room now.
  virtual bool put(std::string_view record) = 0;
  // After one or more of them.
  virtual void tell() {}
  // The oldest record that the peer has not taken, or nothing: its first `kept_bytes`, perhaps all.
  // `into` is as large as a record.
  virtual std::string_view take_back(std::span<char> into) = 0;
  // False: the peer has done what cannot be; nothing goes to it any more.
  virtual bool sound() const { return true; }
};

// The write end of a pipe of records: its peer's every read takes one record, and a record that
// nobody has taken can be taken back, since we hold a read end of our own.
class RecordPipe final : public Records {
 public:
  // The peer's read end, which blocks, comes with it.
  static Result<std::pair<RecordPipe, Fd>> make();

  bool put(std::string_view record) override;
  std::string_view take_back(std::span<char> into) override;

 private:
  RecordPipe(Fd write_end, Fd read_end)
      : write_end_(std::move(write_end)), read_end_(std::move(read_end)) {}

  Fd write_end_;
  Fd read_end_;
};

// Sends one byte that carries descriptors. The socket must have room for it.
Result<> send_descriptors(int socket, std::span<const int> descriptors);

}  // namespace mayfly::io
