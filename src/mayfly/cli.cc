#include "mayfly/cli.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <span>

#include "base/limits.h"
#include "mayfly/cli_project.h"
#include "mayfly/cli_settings.h"
#include "mayfly/cli_verbs.h"
#include "mayfly/server.h"

namespace mayfly {
namespace {

// Everything the options of all verbs write into; read after parsing by the one verb chosen.
struct Given {
  cli::Flags flags;
  cli::DeployOptions deploy;
  cli::InvokeOptions invoke;
  cli::LogsOptions logs;
  cli::DoctorOptions doctor;
  cli::TopOptions top;
  cli::QueueOptions queue;
  cli::ScheduleOptions schedule;
  cli::TopicOptions topic;
  cli::BusOptions bus;
  ServerOptions server;
  std::string listen = "127.0.0.1:4566";
  std::string folder;
  std::string language = "nodejs";
  std::string shell;
  std::string lint = ".";
  std::vector<std::string> names;
  bool names_only = false;
  std::string image_source;
  std::string image_name;
};

CLI::App* add_verb(CLI::App& app, Given& given, const char* name, const char* about) {
  auto* verb = app.add_subcommand(name, about);
  verb->add_flag("--json", given.flags.json, "print JSON");
  return verb;
}

// A verb that speaks to a server.
CLI::App* add_client_verb(CLI::App& app, Given& given, const char* name, const char* about) {
  auto* verb = add_verb(app, given, name, about);
  verb->add_option("--endpoint", given.flags.endpoint,
                   "the server (AWS_ENDPOINT_URL; http://127.0.0.1:4566)");
  verb->add_option("--region", given.flags.region, "region (AWS_REGION; us-east-1)");
  verb->add_option("--profile", given.flags.profile, "profile of ~/.aws (AWS_PROFILE)");
  return verb;
}

void add_limits(CLI::App& server, ServerOptions& options) {
  constexpr int any = std::numeric_limits<int>::max();
  server
      .add_option("--account-concurrency", options.account_concurrency,
                  "invocations of an account and region at one time")
      ->check(CLI::Range(1, any))
      ->capture_default_str();
  server
      .add_option("--unreserved-concurrency-min", options.unreserved_concurrency_min,
                  "how much of it functions may not reserve")
      ->check(CLI::Range(0, any))
      ->capture_default_str();
  server
      .add_option("--requests-per-concurrency", options.requests_per_concurrency,
                  "requests per second for each unit of concurrency, 0: any number")
      ->check(CLI::Range(0, any))
      ->capture_default_str();
  server
      .add_option("--scaling-environments", options.scaling_environments,
                  "new environments of a function in 10 s, 0: any number")
      ->check(CLI::Range(0, any))
      ->capture_default_str();
}

void add_server(CLI::App& app, Given& given) {
  auto* server = add_verb(app, given, "server", "run the server");
  auto& options = given.server;
  server->add_option("--data", options.data_dir, "where all state is kept")->capture_default_str();
  server->add_option("--listen", given.listen, "address and port")->capture_default_str();
  server->add_flag("--dev", options.dev,
                   "this machine only; key \"test\" or any account number, any secret");
  server->add_option("--host-suffix", options.host_suffixes, "suffixes of virtual hosts");
  server->add_option("--default-region", options.default_region, "for requests that name none");
  server->add_flag("--no-fork", options.no_fork,
                   "start every environment by itself, not by forking one that has booted");
  server->add_flag("--no-autopsy", options.no_autopsy,
                   "kill calls that ran out of time at once, without a look at what they did");
  server->add_option("--spares", options.spares, "environments kept ahead for a busy function")
      ->check(CLI::Range(0, limits::spare_environments_max));
  add_limits(*server, options);
  server
      ->add_option("--start-wait", options.start_wait_seconds,
                   "seconds a call waits for a machine without room for its environment")
      ->check(CLI::Range(0, 3600))
      ->capture_default_str();
  server->add_flag("--strict", options.strict,
                   "every function keeps the cloud's limits (MAYFLY_UNBOUND is refused), and a "
                   "public URL needs both of its grants");
  server->add_flag("--strict-runtimes", options.strict_runtimes,
                   "refuse runtimes that are not exactly on this machine");
  server->add_option("--packs", options.packs_dir, "folder of the runtime bootstraps");
  server->add_flag("--log-json", options.json_log, "the server's own log as JSON lines");
  server->add_flag("--debug", options.debug_log, "a talkative log");
}

void add_function_verbs(CLI::App& app, Given& given) {
  auto* create = add_verb(app, given, "new", "write a new project");
  create->add_option("DIR", given.folder, "a new folder")->required();
  create->add_option("-r,--runtime", given.language,
                     fmt::format("{}", fmt::join(cli::template_languages(), ", ")));

  auto* deploy = add_client_verb(app, given, "deploy", "create or update a function from a folder");
  deploy->add_option("DIR", given.deploy.folder, "the folder, or a zip or jar")->required();
  deploy->add_option("-n,--name", given.deploy.name, "function name (the folder's)");
  deploy->add_option("-r,--runtime", given.deploy.runtime, "for example nodejs20.x");
  deploy->add_option("--handler", given.deploy.handler, "for example index.handler");
  deploy->add_option("-m,--memory", given.deploy.memory_mb, "megabytes");
  deploy->add_option("-t,--timeout", given.deploy.timeout_seconds, "seconds");
  deploy->add_option("--role", given.deploy.role, "ARN of the function's role");
  deploy->add_option("-e,--env", given.deploy.environment, "KEY=value, may be repeated")
      ->allow_extra_args(false);
  deploy->add_flag("--url", given.deploy.url, "give the function a public URL");

  auto* invoke = add_client_verb(app, given, "invoke", "call a function");
  invoke->add_option("NAME", given.invoke.name, "name or ARN")->required();
  invoke->add_option("-p,--payload", given.invoke.payload,
                     "JSON, a file, or - for standard input ({})");
  invoke->add_option("-q,--qualifier", given.invoke.qualifier, "version or alias");
  invoke->add_flag("--async", given.invoke.async, "queue the event and return");
  invoke->add_flag("-l,--log", given.invoke.log, "show the call's log on standard error");

  auto* logs = add_client_verb(app, given, "logs", "show a function's log");
  logs->add_option("NAME", given.logs.name, "function, or a log group that starts with /")
      ->required();
  logs->add_flag("-f,--follow", given.logs.follow, "go on with what comes");
  logs->add_option("-s,--since", given.logs.since, "90s, 10m, 2h, 1d")->capture_default_str();
  logs->add_option("--filter", given.logs.filter, "CloudWatch Logs filter pattern");

  auto* list = add_client_verb(app, given, "ls", "list functions");
  list->add_flag("--names", given.names_only, "names alone, one a line");
  auto* top = add_client_verb(app, given, "top", "show what functions take, as it happens");
  top->add_flag("--once", given.top.once, "sums since the server's start, once");
  top->add_option("-i,--interval", given.top.interval_seconds, "seconds")
      ->check(CLI::Range(0.1, 3600.0))
      ->capture_default_str();
  top->add_option("--sort", given.top.sort, "cpu, calls, time, errors, memory or name")
      ->capture_default_str();
  auto* lint = add_client_verb(app, given, "lint", "say what would break in the cloud");
  lint->add_option("WHAT", given.lint, "a folder, a zip, a SAM template, or a function's name")
      ->capture_default_str();
  auto* remove = add_client_verb(app, given, "rm", "delete functions");
  remove->add_option("NAME", given.names, "function names")->required();
}

void add_image_verbs(CLI::App& app, Given& given) {
  auto* image = app.add_subcommand("image", "container images of functions");
  image->require_subcommand(1);
  auto* import = add_client_verb(*image, given, "import", "bring an image in");
  import->add_option("SOURCE", given.image_source, "an OCI layout, or a tar of `docker save`")
      ->required();
  import->add_option("NAME", given.image_name, "repository:tag (the source's own)");
  add_client_verb(*image, given, "list", "list images");
  auto* remove = add_client_verb(*image, given, "remove", "remove images nobody uses");
  remove->add_option("NAME", given.names, "repository:tag")->required();
}

void add_queue(CLI::App& app, Given& given) {
  auto* queue = add_client_verb(app, given, "queue", "queues by hand: send, look at, redrive");
  auto& options = given.queue;
  queue->add_option("ACTION", options.action, "list, send, peek, tail or redrive")
      ->required()
      ->check(CLI::IsMember({"list", "send", "peek", "tail", "redrive"}));
  queue->add_option("NAME", options.name, "the queue, or its URL; of list: a prefix");
  queue->add_option("BODY", options.body, "of send; - for standard input");
  queue->add_option("-g,--group", options.group, "MessageGroupId");
  queue->add_option("--deduplication", options.deduplication, "MessageDeduplicationId");
  queue->add_option("--delay", options.delay_seconds, "seconds");
  queue->add_option("-n,--most", options.most, "messages to look at (peek: 10, tail: without end)")
      ->check(CLI::Range(1, 1000));
  queue->add_flag("--delete", options.remove, "of tail: take away what was shown");
  queue->add_flag("--force", options.force,
                  "look although it counts as a receive of a queue with a dead-letter queue");
  queue->add_option("--to", options.to, "queue that dead letters go to (where they came from)");
  queue->add_option("--rate", options.rate, "messages a second");
}

void add_schedule(CLI::App& app, Given& given) {
  auto* schedule = add_client_verb(app, given, "schedule",
                                   "list, create, delete, next, runs: schedules by hand");
  auto& options = given.schedule;
  schedule->add_option("ACTION", options.action, "list, create, delete, next or runs")
      ->required()
      ->check(CLI::IsMember({"list", "create", "delete", "next", "runs"}));
  schedule->add_option("NAME", options.name,
                       "the schedule; of list: a prefix; of next: an expression");
  schedule->add_option("EXPRESSION", options.expression, "of create: at(…), rate(…) or cron(…)");
  schedule->add_option("-g,--group", options.group, "schedule group (default; of list: all)");
  schedule->add_option("--zone", options.zone, "time zone, as the IANA names it")
      ->capture_default_str();
  schedule->add_option("--target", options.target, "ARN, or the name of a function");
  schedule->add_option("--role", options.role, "ARN of the role that calls the target");
  schedule->add_option("--input", options.input, "what the target gets");
  schedule->add_flag("--delete-after", options.delete_after, "delete it when it is complete");
  schedule->add_option("-n,--count", options.count, "of next: how many times")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  schedule->add_option("--from", options.from, "of next: from this time on, as ISO 8601 (now)");
}

void add_topic(CLI::App& app, Given& given) {
  auto* topic =
      add_client_verb(app, given, "topic", "list, publish, subscribe, tail: topics by hand");
  auto& options = given.topic;
  topic->add_option("ACTION", options.action, "list, publish, subscribe or tail")
      ->required()
      ->check(CLI::IsMember({"list", "publish", "subscribe", "tail"}));
  topic->add_option("NAME", options.name, "the topic, or its ARN; of list: a prefix");
  topic->add_option("BODY", options.body,
                    "of publish, - for standard input; of subscribe: a queue's or function's ARN, "
                    "or a URL");
  topic->add_option("-s,--subject", options.subject, "of publish");
  topic->add_option("-g,--group", options.group, "MessageGroupId");
  topic->add_option("--deduplication", options.deduplication, "MessageDeduplicationId");
  topic->add_option("-a,--attribute", options.attributes, "K=V, of publish");
  topic->add_flag("--raw", options.raw, "subscribe to raw messages");
  topic->add_option("--filter", options.filter, "filter policy of subscribe and tail");
  topic->add_option("-n,--most", options.most, "end the tail after so many messages");
}

void add_bus(CLI::App& app, Given& given) {
  auto* bus = add_client_verb(app, given, "bus", "list, send, test, tail, replay: events by hand");
  auto& options = given.bus;
  bus->add_option("ACTION", options.action, "list, send, test, tail or replay")
      ->required()
      ->check(CLI::IsMember({"list", "send", "test", "tail", "replay"}));
  bus->add_option("WHAT", options.what,
                  "of list: a bus; of send: the detail; of test: an event or a detail, which rules "
                  "would match; of replay: an archive; - for standard input");
  bus->add_option("-b,--bus", options.bus, "the bus")->capture_default_str();
  bus->add_option("--source", options.source, "of send and test")->capture_default_str();
  bus->add_option("--type", options.detail_type, "detail-type")->capture_default_str();
  bus->add_option("--pattern", options.pattern, "of tail: the events to show");
  bus->add_option("-n,--count", options.count, "of tail: how many events to show");
  bus->add_option("--since", options.since, "of replay: how far back")->capture_default_str();
  bus->add_option("--rule", options.rules, "of replay: the rules that get the events (all)");
}

void add_other_verbs(CLI::App& app, Given& given) {
  auto* doctor = add_client_verb(app, given, "doctor", "what this machine can enforce and run");
  doctor->add_option("--data", given.doctor.data_dir, "the server's data folder");
  doctor->add_option("--packs", given.doctor.packs_dir, "folder of the runtime bootstraps");
  add_verb(app, given, "version", "print the version");
  auto* completion = add_verb(app, given, "completion", "print a completion script");
  completion->add_option("SHELL", given.shell, "bash, zsh or fish")->required();
}

std::map<std::string, std::vector<std::string>> describe(const CLI::App& app) {
  std::map<std::string, std::vector<std::string>> verbs;
  for (const auto* verb : app.get_subcommands([](const CLI::App*) { return true; })) {
    auto& options = verbs[verb->get_name()];
    for (const auto* option : verb->get_options()) {
      for (const auto& name : option->get_lnames()) options.push_back("--" + name);
    }
  }
  return verbs;
}

Result<int> serve(Given& given) {
  TRY(cli::parse_listen(given.listen, given.server.host, given.server.port));
  given.server.json = given.flags.json;
  return run_server(given.server);
}

Result<int> run_image_verb(cli::Client& client, const std::string& verb, const Given& given) {
  if (verb == "import") return cli::image_import(client, given.image_source, given.image_name);
  if (verb == "list") return cli::image_list(client);
  return cli::image_remove(client, given.names);
}

Result<int> run_verb(const std::string& verb, const CLI::App& app, Given& given) {
  if (verb == "server") return serve(given);
  if (verb == "new") return cli::create(given.folder, given.language, given.flags.json);
  if (verb == "version") return cli::version(given.flags.json);
  if (verb == "completion") return cli::completion(given.shell, describe(app), given.flags.json);
  TRY_ASSIGN(const auto settings, cli::resolve_settings(given.flags));
  if (verb == "doctor") return cli::doctor(settings, given.doctor);
  cli::Client client(settings);
  if (verb == "image") {
    const auto* image = app.get_subcommand("image");
    return run_image_verb(client, image->get_subcommands().front()->get_name(), given);
  }
  if (verb == "deploy") return cli::deploy(client, given.deploy);
  if (verb == "invoke") return cli::invoke(client, given.invoke);
  if (verb == "logs") return cli::logs(client, given.logs);
  if (verb == "lint") return cli::lint(client, given.lint);
  if (verb == "queue") return cli::queue(client, given.queue);
  if (verb == "schedule") return cli::schedule(client, given.schedule);
  if (verb == "topic") return cli::topic(client, given.topic);
  if (verb == "bus") return cli::bus(client, given.bus);
  if (verb == "top") return cli::top(client, given.top);
  if (verb == "ls") return cli::list(client, given.names_only);
  return cli::remove(client, given.names);
}

void print_failure(const Error& error, bool json) {
  if (json) {
    wire::Json out;
    out["error"]["code"] = error.reason.empty() ? std::string(to_string(error.kind)) : error.reason;
    out["error"]["message"] = error.message;
    cli::print_error(out.dump() + "\n");
  } else if (error.reason.empty()) {
    cli::print_error(fmt::format("mayfly: {}\n", error.message));
  } else {
    cli::print_error(fmt::format("mayfly: {} ({})\n", error.message, error.reason));
  }
}

}  // namespace

int run_cli(int argc, char** argv) {
  Given given;
  CLI::App app("Mayfly: a serverless cloud in one program", "mayfly");
  app.require_subcommand(1);
  add_server(app, given);
  add_function_verbs(app, given);
  add_image_verbs(app, given);
  add_queue(app, given);
  add_schedule(app, given);
  add_topic(app, given);
  add_bus(app, given);
  add_other_verbs(app, given);
  try {  // CLI11 reports by exceptions
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    // The option may stand behind what is wrong and so be unread.
    bool json = std::ranges::any_of(std::span(argv, static_cast<std::size_t>(argc)),
                                    [](std::string_view word) { return word == "--json"; });
    if (error.get_exit_code() == 0 || !json) return app.exit(error) == 0 ? 0 : 2;
    print_failure({ErrorKind::invalid, error.what(), "Usage"}, true);
    return 2;
  }
  const auto status = run_verb(app.get_subcommands().front()->get_name(), app, given);
  if (status) return *status;
  print_failure(status.error(), given.flags.json);
  return 1;
}

}  // namespace mayfly
