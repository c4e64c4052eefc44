// Tls: one TLS session over a Stream, and what clients trust. OpenSSL works on memory alone; the
// bytes travel as any others of the loop, so that deadlines and stops hold for them too.
//
// Loop thread. A Tls ends before its Stream does.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "io/fd.h"

struct ssl_ctx_st;
struct ssl_st;

namespace mayfly::io {

// What the clients of this server trust: TLS 1.2 and newer, the certificates of the system, and
// those of `ca_file` (PEM; empty: none). Kind invalid: the file cannot be read.
class TlsTrust {
 public:
  static Result<TlsTrust> load(const std::string& ca_file);
  ssl_ctx_st* context() const { return context_.get(); }

 private:
  struct Free {
    void operator()(ssl_ctx_st* context) const;
  };
  std::unique_ptr<ssl_ctx_st, Free> context_;
};

class Tls {
 public:
  // Takes a session that knows which side it is on.
  Tls(Stream& stream, ssl_st* session);
  // A client's, that asks for `host` and accepts only a certificate for it (a name or a numeric
  // address).
  static Result<Tls> to_host(Stream& stream, const TlsTrust& trust, const std::string& host);

  // Errors are unavailable, with reason "certificate" where the peer's is not trusted.
  Task<Result<>> handshake(Deadline deadline, std::stop_token stop = {});
  // 0: the peer ended the session. A connection that ends without that is an error, since anybody
  // between could have cut it.
  Task<Result<std::size_t>> read(std::span<char> into, Deadline deadline,
                                 std::stop_token stop = {});
  Task<Result<>> write_all(std::string_view bytes, Deadline deadline, std::stop_token stop = {});
  // Tells the peer that nothing more comes.
  Task<Result<>> finish(Deadline deadline, std::stop_token stop = {});

 private:
  Task<Result<>> send_pending(Deadline deadline, std::stop_token stop);
  Task<Result<>> receive(Deadline deadline, std::stop_token stop);
  // After a call that answered `outcome`: whether to call again, after more bytes.
  Task<Result<>> go_on(int outcome, Deadline deadline, std::stop_token stop);

  struct Free {
    void operator()(ssl_st* session) const;
  };
  Stream* stream_;
  std::unique_ptr<ssl_st, Free> session_;
};

}  // namespace mayfly::io
