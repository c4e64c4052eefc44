// Exchange: one request on a connection, as the pipeline sees it. The head is read; the body is
// not, until the pipeline has found nothing cheaper to refuse the request for.
#pragma once

#include <expected>
#include <optional>
#include <string>

#include "base/ids.h"
#include "front/front.h"
#include "io/http1.h"
#include "io/task.h"

namespace mayfly::front {

struct Peer {
  std::string ip;
  int port = 0;
  InstanceId instance;  // the jail whose listener took the connection, or empty
};

struct Body {
  std::string bytes;
  std::string sha256;  // lower-case hex where it was asked for
};

class Exchange {
 public:
  virtual ~Exchange() = default;
  virtual const io::http1::Head& head() const = 0;
  virtual const Peer& peer() const = 0;
  // The body, where it is there whole already and may be taken; else nothing, and read_body() says.
  virtual std::optional<Body> body_at_hand(std::size_t limit, bool hash) = 0;
  // Reads the whole body (after 100 Continue, where the client waits for it), or says why not.
  virtual io::Task<std::expected<Body, io::http1::Refusal>> read_body(std::size_t limit,
                                                                      bool hash) = 0;
  // The next bytes of a body that nobody reads whole, without their framing; empty: it is complete.
  // The socket is read when this is called and never ahead, so that a client is as fast as whoever
  // takes its body. Times count the waiting for the client alone. Not called again after a refusal.
  virtual io::Task<std::expected<std::string, io::http1::Refusal>> read_part(
      std::stop_token stop) = 0;
};

// Answers one request. Lives as long as the server.
class Handler {
 public:
  virtual ~Handler() = default;
  virtual io::Task<Response> serve(Exchange& exchange) = 0;
  // A message that is no request (bad head, too many connections).
  virtual Response refuse(int status, std::string_view text) = 0;
};

}  // namespace mayfly::front
