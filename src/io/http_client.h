// HttpClient: requests of the server's own to http and https URLs: what topics, API destinations
// and webhooks deliver. One exchange, one connection; redirects are answers like any other.
//
// https: TLS 1.2 or newer, the certificate must be trusted and be the host's. "user:password@" of a
// URL is sent as basic authentication (RFC 7617).
//
// Errors of send():
//   invalid      the URL, the method or a header is none, or the header is one of the client's own
//                (Host, Content-Length, Transfer-Encoding, Connection)
//   unavailable  the host is not known or takes no connection, or the connection broke off; reason
//                "certificate" where the host's is not trusted
//   timeout      the deadline passed, wherever the exchange was
//   cancelled    `stop`
//   too_large    the body of the answer is longer than was asked for
//   corrupt      what came is no HTTP
//
// Loop thread; names are resolved on the workers. Owned by mayfly/; close() before destruction,
// when no send() runs any more.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "io/park.h"
#include "io/tls.h"
#include "io/url.h"
#include "io/workers.h"

namespace mayfly::io {

struct HttpRequest {
  using Headers = std::vector<std::pair<std::string, std::string>>;
  std::string method = "POST";
  std::string url;
  Headers headers{};
  std::string body{};
  std::size_t answer_bytes = std::size_t{64} * 1024;  // of its body, at the most
};

struct HttpAnswer {
  int status = 0;
  HttpRequest::Headers headers{};
  std::string body{};
  // First value of a field, or empty. `name` in any case.
  std::string_view header(std::string_view name) const;
};

class HttpClient {
 public:
  // Numeric addresses of a host, the preferred first. Runs on a worker; may block.
  using Resolve = std::function<Result<std::vector<std::string>>(const std::string& host)>;
  struct Options {
    std::string ca_file{};  // PEM: trusted beside the system's certificates
    Resolve resolve{};      // empty: the system's
  };
  HttpClient(Loop& loop, Workers& workers, Options options);
  HttpClient(Loop& loop, Workers& workers) : HttpClient(loop, workers, Options()) {}
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  Task<Result<HttpAnswer>> send(HttpRequest request, Deadline deadline, std::stop_token stop = {});
  // Waits for resolutions that nobody waits for any more.
  Task<void> close();

 private:
  struct Resolution;
  Task<void> look_up(std::string host, std::shared_ptr<Resolution> into);
  Task<Result<std::vector<std::string>>> resolve(std::string host, Deadline deadline,
                                                 std::stop_token stop);
  Task<Result<Fd>> connect(const Url& url, Deadline deadline, std::stop_token stop);
  Result<const TlsTrust*> trust();

  Loop& loop_;
  Workers& workers_;
  Options options_;
  std::optional<TlsTrust> trust_;  // read when first needed
  std::size_t resolving_ = 0;
  ParkingLot resolvers_;
  TaskScope tasks_;
};

}  // namespace mayfly::io
