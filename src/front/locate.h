// Directory of the services and the way from a request to one of their operations.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/operation.h"
#include "front/exchange.h"
#include "guard/guard.h"
#include "wire/protocol/codec.h"
#include "wire/route.h"

namespace mayfly::front {

// Rows and labels of paths that came of late: the same few come again and again.
class RecentRoutes {
 public:
  // What `routes` finds; queries tell rows apart as well, so a path that has one is not kept.
  std::optional<wire::RouteMatch> match(const wire::RouteTable& routes, std::string_view method,
                                        std::string_view path, const wire::Pairs& query);

 private:
  static constexpr std::size_t longest_path = 256;
  struct Kept {
    std::string method;
    std::string path;
    wire::RouteMatch match;
  };
  std::array<Kept, 64> kept_;
};

// A service with what is built once to find its operations.
struct Entry {
  api::Service service;
  std::optional<wire::RouteTable> routes;  // REST protocols
  mutable RecentRoutes recent;
  std::map<std::string_view, const api::Operation*> by_name;
  std::vector<const api::Handler*> handlers;  // by row of the model; nullptr: not built

  const api::Handler* handler_of(const api::Operation& operation) const {
    return handlers[static_cast<std::size_t>(&operation - service.model->operations.data())];
  }
};

struct Located {
  const Entry* entry = nullptr;
  const api::Operation* operation = nullptr;  // nullptr: the form in the body names it
  wire::Protocol protocol = wire::Protocol::json;
  std::string region;  // from the scope, else the host, else empty
  wire::Pairs query;
  wire::Pairs labels;
};

// Why no operation was found. `entry` is set where the service is known.
struct Lost {
  const Entry* entry = nullptr;
  wire::Protocol protocol = wire::Protocol::json;
  api::ApiError error;
};

// "x.lambda-url.us-east-1.localhost:4566" → {"x", "lambda-url", "us-east-1"}; empty where the host
// has none of the suffixes.
std::vector<std::string> host_labels(std::string_view host,
                                     const std::vector<std::string>& suffixes);

class Directory {
 public:
  void add(api::Service service);
  // `scope` names the credential, where the request has one.
  std::expected<Located, Lost> locate(const io::http1::Head& head,
                                      const std::optional<guard::CredentialScope>& scope,
                                      const std::vector<std::string>& host) const;
  // The operation a form names, once the body is there.
  std::expected<const api::Operation*, Lost> locate_by_form(const Located& located,
                                                            std::string_view body) const;
  std::string names() const;

 private:
  const Entry* by_signing_name(std::string_view name) const;
  const Entry* by_target(std::string_view target) const;
  const Entry* by_host(const std::vector<std::string>& host) const;
  const Entry* by_route(const io::http1::Head& head, const wire::Pairs& query) const;
  const Entry* by_action(std::string_view action) const;
  const Entry* by_bucket(const io::http1::Head& head, const std::vector<std::string>& host) const;
  std::expected<Located, Lost> locate_in(const Entry& entry, const io::http1::Head& head,
                                         std::string_view path, wire::Pairs query) const;
  std::expected<Located, Lost> locate_in_store(const Entry& entry, const io::http1::Head& head,
                                               const std::vector<std::string>& host,
                                               wire::Pairs query) const;

  std::vector<std::unique_ptr<Entry>> entries_;
};

wire::CodecOperation codec_of(const api::ServiceModel& model, const api::Operation* operation,
                              wire::Protocol protocol);

}  // namespace mayfly::front
