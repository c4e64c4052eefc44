// Verbs: one function per command. Each prints its result on standard output (text, or JSON when
// the settings say so) and answers the exit status; an Error is printed by run_cli().
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "mayfly/cli_client.h"

namespace mayfly::cli {

struct DeployOptions {
  std::string folder = ".";  // or a .zip or .jar
  std::string name;
  std::string runtime;
  std::string handler;
  int memory_mb = 0;
  int timeout_seconds = 0;
  std::string role;
  std::vector<std::string> environment;  // "KEY=value"
  bool url = false;
};
Result<int> deploy(Client& client, DeployOptions options);

struct InvokeOptions {
  std::string name;
  std::string payload;  // JSON text, a file name, "-" for standard input
  std::string qualifier;
  bool async = false;
  bool log = false;
};
Result<int> invoke(Client& client, const InvokeOptions& options);

struct LogsOptions {
  std::string name;
  bool follow = false;
  std::string since = "10m";
  std::string filter;
};
Result<int> logs(Client& client, const LogsOptions& options);

struct QueueOptions {
  std::string action;  // list, send, peek, tail, redrive
  std::string name;    // of the queue, or its URL; of list: a prefix
  std::string body;    // of send; "-" for standard input
  std::string group;
  std::string deduplication;
  int delay_seconds = -1;  // negative: the queue's own
  int most = 0;            // of peek (0: 10) and tail (0: without end)
  bool force = false;
  bool remove = false;  // of tail: what was shown is deleted
  std::string to;       // of redrive; empty: where they came from
  int rate = 0;         // messages per second, 0: as fast as it goes
};
Result<int> queue(Client& client, const QueueOptions& options);

struct ScheduleOptions {
  std::string action;      // list, create, delete, next, runs
  std::string name;        // of the schedule; of list: a prefix; of next: the expression
  std::string expression;  // of create
  std::string group;       // empty: default (of list: all)
  std::string zone = "UTC";
  std::string target;  // ARN, or a function's name
  std::string role;    // ARN; empty: one of the account
  std::string input;
  bool delete_after = false;  // completion
  int count = 5;              // times to show
  std::string from;           // of next, as ISO 8601; empty: now
};
Result<int> schedule(Client& client, const ScheduleOptions& options);

struct TopicOptions {
  std::string action = {};  // list, publish, subscribe, tail
  std::string name = {};    // of the topic, or its ARN; of list: a prefix
  std::string body = {};    // of publish; "-" for standard input. Of subscribe: the endpoint
  std::string subject = {};
  std::string group = {};
  std::string deduplication = {};
  std::vector<std::string> attributes = {};  // "K=V"
  bool raw = false;                          // of subscribe
  std::string filter = {};                   // of subscribe and tail: a filter policy
  int most = 0;                              // of tail: ends after so many messages; 0: never
};
Result<int> topic(Client& client, const TopicOptions& options);

struct BusOptions {
  std::string action;  // list, send, test, tail, replay
  // Of list: a bus; of send: the detail; of test: an event or a detail; of replay: an archive.
  // "-" for standard input.
  std::string what;
  std::string bus = "default";
  std::string source = "mayfly.cli";
  std::string detail_type = "test";
  std::string pattern;  // of tail
  int count = 0;        // of tail: events to show; 0: without end
  std::string since = "1h";
  std::vector<std::string> rules;  // of replay: names; empty: all
};
Result<int> bus(Client& client, const BusOptions& options);

Result<int> list(Client& client, bool names_only);
Result<int> remove(Client& client, const std::vector<std::string>& names);
Result<int> create(const std::string& folder, const std::string& language, bool json);

// Container images: from a directory or tar of the server's machine, by name (empty: the one it
// has itself).
Result<int> image_import(Client& client, const std::string& source, const std::string& name);
Result<int> image_list(Client& client);
Result<int> image_remove(Client& client, const std::vector<std::string>& names);

struct TopOptions {
  bool once = false;  // sums since the server's start, instead of intervals without end
  double interval_seconds = 2;
  std::string sort = "cpu";  // see cli_top.h
};
Result<int> top(Client& client, const TopOptions& options);

// A project's folder, a zip, a template, or the name of a function of the server.
Result<int> lint(Client& client, const std::string& what);

struct DoctorOptions {
  std::string data_dir = "mayfly-data";
  std::string packs_dir;
};
Result<int> doctor(const Settings& settings, const DoctorOptions& options);
Result<int> version(bool json);

// A shell's completion script for these verbs: name → its options.
Result<int> completion(const std::string& shell,
                       const std::map<std::string, std::vector<std::string>>& verbs, bool json);

// "90s", "10m", "2h", "1d" in milliseconds.
Result<std::int64_t> parse_span(std::string_view text);

// Standard output and error, each text whole.
void print(std::string_view text);
void print_error(std::string_view text);
// A table with aligned columns; the first row is the head.
std::string table(const std::vector<std::vector<std::string>>& rows);

}  // namespace mayfly::cli
