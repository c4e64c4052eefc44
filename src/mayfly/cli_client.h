// Client: signed HTTP requests to the server, one at a time, over one kept connection (libcurl).
//
// Used by every verb on the main thread; lives for one command.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "mayfly/cli_settings.h"
#include "wire/json.h"
#include "wire/text.h"

namespace mayfly::cli {

struct Request {
  std::string service = "lambda";  // signing name
  std::string method = "GET";
  std::string path = {};  // percent-encoded
  wire::Pairs query = {};
  wire::Pairs headers = {};
  std::string body = {};
};

struct Reply {
  int status = 0;
  wire::Pairs headers;
  std::string body;
  std::string_view header(std::string_view name) const;
};

class Client {
 public:
  explicit Client(Settings settings);
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  const Settings& settings() const { return settings_; }
  // Any status is a Reply; no answer is `unavailable`, with what to do about it.
  Result<Reply> send(const Request& request);
  // A status from 300 on becomes an Error whose reason is the API's error code.
  Result<Reply> call(const Request& request);
  // call() with JSON both ways; an empty answer is null.
  Result<wire::Json> json(Request request, const wire::Json* body = nullptr);
  // One operation of the CloudWatch Logs API.
  Result<wire::Json> logs(const std::string& operation, const wire::Json& input);
  // The account the credentials belong to.
  Result<std::string> account();

 private:
  struct Curl;
  Settings settings_;
  std::unique_ptr<Curl> curl_;
};

// The headers to add: Authorization and those it covers beside Host.
wire::Pairs sign(const Request& request, const Settings& settings, std::string_view host,
                 std::int64_t now_ms);

}  // namespace mayfly::cli
