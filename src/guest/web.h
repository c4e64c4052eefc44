// Functions that are HTTP servers: a program that listens on a port of its jail and knows nothing
// of Lambda. Events become HTTP requests to it, and its responses become answers (web_event.h).
//
// Settings are those of the AWS Lambda Web Adapter, an extension that does the same from within the
// environment (its guide, "Environment Variables"); functions made for it run as they are.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "guest/channel.h"
#include "io/fd.h"

namespace mayfly::guest {

// "500,502-504"
struct StatusSet {
  std::vector<std::pair<int, int>> ranges;
  bool contains(int status) const;
};

struct WebServer {
  std::uint16_t port = 8080;
  std::uint16_t ready_port = 8080;
  std::string ready_path = "/";
  bool ready_by_tcp = false;  // it is ready when it takes connections
  StatusSet healthy{{{100, 499}}};
  Duration ready_time{};    // 0: as long as the environment's init may take
  bool async_init = false;  // an init that would take too long goes on in the first call
  std::string remove_base_path;
  std::string pass_through_path = "/events";
  std::string authorization_source;  // header that becomes Authorization
  StatusSet errors;                  // responses that fail the call
  bool streams = false;
  Duration keep_alive = std::chrono::seconds(4);  // a connection without work
  std::vector<std::string> ignored;               // settings that have no effect here

  // Of the function, for x-amzn-lambda-context.
  std::string function_name;
  std::string function_version;
  std::string log_group;
  int memory_mb = 0;
};

// From a function's environment variables. `invalid` names the one that cannot be read.
Result<WebServer> read_web_settings(
    const std::map<std::string, std::string, std::less<>>& variables);

// How many sockets make_web_channel() needs for one event at a time, and for several.
constexpr std::uint16_t web_sockets(bool several) { return several ? 2 : 1; }

// `sockets`: of the jail's network, connected to nothing. `listener`: for extensions, where the
// Runtime API is otherwise; the program itself has no use for it. Several events at one time
// (share()) are requests on as many connections.
std::unique_ptr<GuestChannel> make_web_channel(io::Loop& loop, WebServer server, io::Fd listener,
                                               std::vector<io::Fd> sockets);

}  // namespace mayfly::guest
