// HTTP/1.1 without sockets: bytes in, heads and body pieces out; values in, bytes out. The codec is
// llhttp; what llhttp leaves open (limits, Host, folding, framing conflicts) is checked here.
//
// A reader sees one buffer that its caller keeps: read_head() wants the whole head at the front of
// the buffer and answers views into it, so the caller leaves those bytes in place until the
// exchange is over. Bytes behind the head (body, or a pipelined request) stay with the caller.
//
// Threads: none of its own; one reader per connection.
#pragma once

#include <cstdint>
#include <expected>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/limits.h"

namespace mayfly::io::http1 {

struct Field {
  std::string_view name;   // as received
  std::string_view value;  // outer white space removed
};

// Why a message is not read on: the status to answer and a text for people. After a Refusal the
// connection must be closed: where the next message starts is unknown.
struct Refusal {
  int status = 400;
  std::string text;
};

enum class Framing : std::uint8_t { none, length, chunked, until_close };

struct Head {
  // requests
  std::string_view method;
  std::string_view target;  // as received
  std::string_view path;    // still percent-encoded
  std::string_view query;   // without '?'
  std::string_view host;    // of the Host field or of an absolute target
  bool expects_continue = false;
  bool unknown_expectation = false;
  // responses
  int status = 0;
  // both
  int minor = 1;  // HTTP/1.minor
  bool keep_alive = true;
  Framing framing = Framing::none;
  std::uint64_t content_length = 0;  // with Framing::length
  std::vector<Field> fields;

  // First value of a field, or empty. `name` in any case.
  std::string_view field(std::string_view name) const;
};

struct HeadLimits {
  std::size_t head_bytes = limits::http_head_bytes;
  std::size_t field_count = limits::http_header_count;
  std::size_t target_bytes = limits::http_target_bytes;
};

// A piece of a body: `consumed` bytes of the input are done with, `data` (a view of the input) is
// content, `end` says that the body is complete.
struct Piece {
  std::size_t consumed = 0;
  std::string_view data;
  bool end = false;
};

class Reader {
 public:
  enum class Side : std::uint8_t { requests, responses };
  explicit Reader(Side side, HeadLimits limits = {});
  Reader(Reader&&) noexcept;
  Reader& operator=(Reader&&) noexcept;
  ~Reader();

  // The head at the front of `buffer`: its size in bytes once it is there whole, 0 while bytes are
  // missing (call again with the same bytes and more behind them). head() is valid then.
  std::expected<std::size_t, Refusal> read_head(std::string_view buffer);
  const Head& head() const;

  // Responses only: what read_head cannot know. Call before the body where the request was HEAD.
  void expect_no_body();

  // Takes body bytes from `input` (which follows the head). Call until Piece::end.
  std::expected<Piece, Refusal> read_body(std::string_view input);
  bool body_complete() const;
  // With Framing::length: bytes still missing, and the count of bytes the caller has read itself,
  // straight into their place.
  std::uint64_t body_missing() const;
  void body_taken(std::uint64_t bytes);
  // The peer ended the stream: ends a body that lasts until then; otherwise the body is cut off.
  std::expected<void, Refusal> end_of_stream();
  // Fields behind a chunked body.
  const std::vector<std::pair<std::string, std::string>>& trailers() const;

  // Ready for the next message of the connection.
  void reset();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

std::string_view reason_phrase(int status);

// Writes heads and chunks to the end of `out`. A field whose name or value could change the
// framing (line ends, NUL, a name that is no token) is left out, and field() answers false.
class Writer {
 public:
  explicit Writer(std::string& out) : out_(out) {}
  void status_line(int status);
  void request_line(std::string_view method, std::string_view target);
  bool field(std::string_view name, std::string_view value);
  void field(std::string_view name, std::uint64_t value);
  void end_head() { out_ += "\r\n"; }
  // A chunk is written as chunk_head, its bytes, chunk_end; the body ends with last_chunk (with
  // trailers: last_chunk_head, field()…, end_head()).
  void chunk_head(std::size_t bytes);
  void chunk_end() { out_ += "\r\n"; }
  void last_chunk() { out_ += "0\r\n\r\n"; }
  void last_chunk_head() { out_ += "0\r\n"; }

 private:
  std::string& out_;
};

bool is_token(std::string_view text);
bool is_field_value(std::string_view text);
bool equals_ignoring_case(std::string_view a, std::string_view b);

}  // namespace mayfly::io::http1
