// The server: names the concrete classes and wires them; holds no logic of its own.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/limits.h"

namespace mayfly {

struct ServerOptions {
  std::string data_dir = "mayfly-data";
  std::string host = "127.0.0.1";
  std::uint16_t port = 4566;  // 0: any free port, printed when ready
  bool dev = false;           // loopback only; key "test"; see guard/
  std::vector<std::string> host_suffixes{"localhost", "localhost.localstack.cloud"};
  std::string default_region = "us-east-1";
  bool strict_runtimes = false;  // refuse identifiers that have no pack of their own
  bool strict = false;           // no function may go beyond the cloud's limits
  bool no_fork = false;          // every environment starts by itself
  bool no_autopsy = false;       // calls that ran out of time are killed at once
  int spares = 1;                // environments ahead of demand, of each busy function
  // Of each account and region, see base/limits.h; 0 requests or environments: any number.
  int account_concurrency = limits::account_concurrency;
  int unreserved_concurrency_min = limits::account_concurrency_unreserved_min;
  int requests_per_concurrency = limits::requests_per_concurrency;
  int scaling_environments = limits::scaling_environments;
  int start_wait_seconds = std::chrono::seconds(limits::start_wait).count();
  std::string packs_dir;  // empty: "runtimes" beside the program, else embedded
  bool json = false;      // the line that tells ready, and the root credential, as JSON
  bool json_log = false;
  bool debug_log = false;
};

// Runs until SIGTERM or SIGINT; answers the exit status. Call first in main(), before any thread.
int run_server(const ServerOptions& options);

}  // namespace mayfly
