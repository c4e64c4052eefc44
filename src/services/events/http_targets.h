// HttpTargets: API destinations: an HTTP endpoint with the authorisation of its connection, so many
// calls a second at the most (EventBridge user guide, "API destinations").
//
// Loop thread. Rates go by platform time, tokens are kept in memory.
#pragma once

#include "base/clock.h"
#include "io/http_client.h"
#include "services/events/config.h"
#include "services/events/vault.h"

namespace mayfly::services::bus {

struct HttpCall {
  std::string arn;  // of the API destination
  std::string payload;
  std::optional<model::HttpParameters> parameters{};  // of the target
  const wire::Json* event = nullptr;                  // what "$.…" in parameters speaks of
};

class HttpTargets {
 public:
  HttpTargets(io::Loop& loop, const Config& config, io::HttpClient& client, const Vault& vault)
      : loop_(loop), config_(config), client_(client), vault_(vault) {}

  // When a call may begin, which is then taken into account; now or before: at once.
  std::int64_t reserve(std::string_view arn);
  // The body of the answer. Errors: not_found, denied (no authorisation), invalid (it will never be
  // taken), throttled and unavailable (later perhaps), timeout. `reason` is the ERROR_CODE of a
  // dead letter.
  io::Task<Result<std::string>> call(HttpCall call, std::stop_token stop);

 private:
  struct Token {
    std::string header;
    std::int64_t until_ms = 0;
  };
  enum class Fresh { no, yes };
  Result<io::HttpRequest> request_of(const HttpCall& call, const ApiDestination& destination,
                                     const Secrets& secrets) const;
  io::Task<Result<std::string>> authorization(std::string connection_arn, Secrets secrets,
                                              Fresh fresh, std::stop_token stop);
  std::int64_t now_ms() const { return epoch_millis(loop_.clock().platform()); }

  io::Loop& loop_;
  const Config& config_;
  io::HttpClient& client_;
  const Vault& vault_;
  std::map<std::string, std::int64_t, std::less<>> next_ms_;  // by destination
  std::map<std::string, Token, std::less<>> tokens_;          // by connection
};

}  // namespace mayfly::services::bus
