// Front: sockets to a typed operation. Accept, limits, read, identify, authorise, decode, dispatch,
// render. One ordered pipeline (pipeline.cc) with the reason for each position.
//
// Threads: loop. Lifetime: as long as the server; close() drains.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "api/operation.h"
#include "base/limits.h"
#include "base/observer.h"
#include "base/random.h"
#include "guard/guard.h"
#include "io/fd.h"
#include "io/flow.h"

namespace mayfly::front {

// A whole HTTP request for the routes that are not operations of a model.
struct Request {
  std::string method;
  std::string path;                                          // raw
  std::string query;                                         // raw
  std::vector<std::pair<std::string, std::string>> headers;  // names as received
  std::string body;
  std::string source_ip;
  int source_port = 0;
  std::string host;  // Host header, lower case
  RequestId id;
  // The instance this connection came from (its in-jail listener), or empty.
  InstanceId instance;
  std::string_view header(std::string_view lower_name) const;  // first value or empty
};

struct Response {
  int status = 200;
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;
  // Set: the body comes from here, as it is made, instead.
  std::unique_ptr<io::BodySource> stream = {};
  // Of the stream, where it is known before; of a HEAD's answer, what a GET's would have.
  std::optional<std::uint64_t> stream_bytes = {};
};

using RawHandler = std::function<io::Task<Response>(const Request&)>;

struct Settings {
  std::vector<std::string> host_suffixes{"localhost", "localhost.localstack.cloud"};
  bool dev = false;
  Region default_region{"us-east-1"};
  std::size_t max_connections = limits::http_connections;
  std::size_t max_body_bytes_total = limits::http_bodies_total_bytes;
};

struct Deps {
  io::Loop& loop;
  Random& random;
  guard::Guard& guard;
  Observer& observer;
  Settings settings;
};

class Front {
 public:
  virtual ~Front() = default;
  // Before serving: the services by their models.
  virtual void add_service(api::Service service) = 0;
  // `path_prefix` like "/_mayfly/health"; checked before operations.
  virtual void add_path(std::string path_prefix, RawHandler handler) = 0;
  // Virtual hosts "<anything>.<label>.<region>.<suffix>", for example label "lambda-url".
  virtual void add_host_label(std::string label, RawHandler handler) = 0;
  // Serves connections of a listening socket until close(). `instance` names the jail it is in.
  // The returned id ends this listener alone with remove_listener.
  virtual std::uint64_t add_listener(io::Fd listening, InstanceId instance) = 0;
  virtual void remove_listener(std::uint64_t id) = 0;
  // Stops accepting, lets running requests finish until `deadline`, then cuts their connections.
  // Handlers that still run end with the rooms below; let the loop turn until they have, before
  // this object ends.
  virtual io::Task<void> close(Deadline deadline) = 0;
};

std::unique_ptr<Front> make_front(Deps deps);

}  // namespace mayfly::front
