// Invoker: the one door to running code: admission, concurrency, the pool of execution
// environments, retries of asynchronous events, the outcome.
//
// invoke/ knows no dialect and no registry (same floor): whoever calls it hands over a Target
// description (Runnable), already resolved.
//
// Threads: loop. Lifetime: as long as the server; close() ends every environment.
#pragma once

#include <algorithm>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/limits.h"
#include "base/observer.h"
#include "base/random.h"
#include "events/effects.h"
#include "events/target.h"
#include "gate/breaker.h"
#include "gate/flow.h"
#include "guest/channel.h"
#include "invoke/machine.h"
#include "sandbox/runtimes.h"
#include "sandbox/sandbox.h"
#include "store/store.h"

namespace mayfly::guest {
struct WebServer;
}

namespace mayfly::invoke {

// A container image that a function runs in: what its program is started with.
struct ImageRoot {
  std::filesystem::path dir;      // its tree → /
  std::vector<std::string> argv;  // as given: argv[0] may be looked for on PATH
  std::vector<std::string> env;   // "KEY=value", of the image
  std::string working_dir;        // absolute
};

struct Runnable;
// Files in extensions/ of a function's merged layers, or of its image, by name. Reads the folder.
std::vector<std::string> external_extensions(const Runnable& runnable);

// Everything needed to start an environment of one function version.
struct Runnable {
  // Scope, name, version and the configuration's digest. Equal keys share templates, and
  // environments unless these belong to tenants.
  std::string pool_key;
  std::string concurrency_key;  // scope and function name: what reserved concurrency counts
  Scope scope;
  FunctionName name;
  std::string version;       // "$LATEST" or number
  std::string function_arn;  // unqualified
  std::string runtime;       // identifier
  std::string handler;
  std::string role_arn;
  std::filesystem::path code_dir;    // → /var/task
  std::filesystem::path layers_dir;  // → /opt, empty: none
  struct Mount {
    std::filesystem::path folder;  // of the host; shared with other functions, and written to
    std::string path;              // "/mnt/NAME"
  };
  std::vector<Mount> mounts = {};
  std::optional<ImageRoot> image;  // instead of both
  bool web_adapter = false;        // the layer of the web adapter was named (web_function.h)
  std::vector<std::string> extensions = {};  // external_extensions(), listed once
  std::map<std::string, std::string> environment;
  int timeout_seconds = 3;
  int memory_mb = 128;
  int tmp_mb = 512;
  std::string log_group;
  bool json_logs = false;
  std::string application_log_level;
  std::string system_log_level;
  std::optional<int> reserved_concurrency;
  int provisioned = 0;  // environments of this version that are kept initialised
  // A published version with SnapStart: its environments are made from a snapshot (snapshot()).
  bool snap_start = false;
  // The cloud's limits do not hold for it, but those of the machine.
  bool unbound = false;
  // Environments belong to one tenant each; the invoker names whose, and its key, for each call.
  bool per_tenant = false;
  std::shared_ptr<const gate::BreakerSettings> breaker = nullptr;  // nullptr: none
  bool exactly_once = false;  // its invocations come with Request::effects where these are kept
  // Calls that one environment runs at one time, and processors it has then (0: by its memory).
  int max_concurrency = 1;
  int cpu_millis = 0;
  bool managed = false;           // it runs on a capacity provider (Lambda Managed Instances)
  std::string capacity_key = {};  // which one, and the processors of all its environments
  int capacity_cpu_millis = 0;
  int kept = 0;  // environments of this version that there are at least, and at most
  std::optional<int> most = {};
  std::string tenant_id = {};
  std::string tenant_key = {};

  int kept_environments() const { return std::max({0, provisioned, kept}); }
  // What environments are shared by: the configuration and, where it isolates them, the tenant.
  const std::string& environments_key() const { return per_tenant ? tenant_key : pool_key; }
  // Its calls share environments, if it be one at a time: they run as on Managed Instances.
  bool shares() const { return managed || max_concurrency > 1; }
  std::string_view initialization_type() const {
    if (managed) return "lambda-managed-instances";
    if (snap_start) return "snap-start";
    return provisioned > 0 ? "provisioned-concurrency" : "on-demand";
  }
};

// A function with tenant isolation as it runs for one of them. `invalid` without an id.
Result<std::shared_ptr<const Runnable>> for_tenant(const Runnable& runnable,
                                                   const std::string& tenant_id);

// How far the environments that a version is to have are there.
struct Provision {
  int wanted = 0;
  int ready = 0;
  std::string failure;  // why the last start came to nothing; tried again after a while
};

// What became of the init of a version with SnapStart: an error type that is empty says that it is
// over and that environments can be made.
struct Snapshot {
  std::string error_type = {};  // "Runtime.ExitError", "Sandbox.Timedout" …
  std::string message = {};     // for people
};
struct Failure;
Snapshot snapshot_failed(const Failure& failure);
// The init under way. Result: an Error is a failure of ours, or that the server stops.
struct SnapshotCall {
  explicit SnapshotCall(io::Loop& loop) : done(loop) {}
  io::Event done;
  std::optional<Result<Snapshot>> result;
};

struct Request {
  events::Event event;
  std::string invoked_arn;  // with qualifier
  bool want_log_tail = false;
  InvocationType type = InvocationType::request_response;
  std::shared_ptr<guest::AnswerStream> stream = {};  // set by invoke_streaming()
  // What the function does is held back by this until the invocation has ended; or nullptr.
  std::shared_ptr<events::Effects> effects = {};
  std::string caller = {};  // concurrency key of the function that calls; empty: somebody else
};

// A call whose answer is taken while it is made. The answer's flow ends as the answer does, and
// breaks off where it is not whole; the call itself may last a little longer.
struct StreamedCall {
  explicit StreamedCall(io::Loop& loop) : answer(loop), ended(loop) {}
  void finish(Result<events::Outcome> outcome);

  guest::AnswerStream answer;
  io::Event ended;
  std::optional<Result<events::Outcome>> result;  // once ended; errors as those of invoke()
};

// Credentials for a new environment; wired to guard/ in mayfly/.
struct RoleCredentials {
  std::string access_key_id;
  std::string secret_access_key;
  std::string session_token;
};

struct Settings {
  int account_concurrency = limits::account_concurrency;  // per account and region
  // Requests per second for each unit of concurrency, of an account and of a function with reserved
  // concurrency; new environments of one function per limits::scaling_period. 0: any number.
  double requests_per_concurrency = limits::requests_per_concurrency;
  int scaling_environments = limits::scaling_environments;
  Duration idle_lifetime = std::chrono::minutes(10);     // until a function's own habits are known
  Duration environment_life = limits::environment_life;  // up to a tenth less, so that not all end
                                                         // together
  // Callers wait for a start at most so long while the machine has no room for it (pool.h).
  Duration start_wait = limits::start_wait;
  // Idle environments in sum, by what they take roughly. 0: a quarter of the machine's memory.
  std::uint64_t idle_memory_bytes = 0;
  // Idle environments are stopped (frozen) after this time, so that what a function left running
  // rests as in the cloud; the first moments are spared for the sake of calls in quick succession.
  Duration freeze_after = std::chrono::seconds(1);
  // Environments that start by themselves; forks count for less. 0: by memory of the machine.
  std::size_t max_environments = 0;
  int max_concurrent_starts = 0;      // 0: by processors; further requests wait for any environment
  int max_busy_with_quick_calls = 0;  // environments of one function; 0: by processors (pool.h)
  // Asynchronous events that run at one time: of one function, and of all. A function of which
  // none runs may go beyond the latter by one, so that others do not keep it from running at all.
  int max_async_running = 32;
  int max_async_running_total = 256;
  int spares = 1;  // environments ahead of demand, of each busy function that has a template
  // Environments are forked from a template of their version where the guest allows it.
  bool fork_environments = true;
  std::uint64_t template_memory_bytes = 0;  // 0: a quarter of the machine's
  // Environments at one time that are looked at before they are killed, for their calls ran out of
  // time (autopsy.h); further ones are killed at once. 0: no call is looked at.
  int autopsies = 8;
};

// Our ends of the ways to a guest.
struct GuestEnds {
  io::Fd socket = {};
  io::Fd port = {};  // a listener
};

struct Deps {
  io::Loop& loop;
  Random& random;
  Observer& observer;
  sandbox::Launcher& launcher;
  store::Store& store;  // the asynchronous queue
  // RuntimeCatalog::choose with the server's setting for aliases.
  std::function<Result<sandbox::RuntimeChoice>(std::string_view identifier)> choose_runtime;
  // guest::make_lean_channel by the guest's socket, make_runtime_api_channel by the listener of its
  // port, or make_wrapped_channel by both.
  std::function<std::unique_ptr<guest::GuestChannel>(GuestEnds)> open_channel;
  // guest::make_web_channel: of functions that are HTTP servers (web_function.h).
  std::function<std::unique_ptr<guest::GuestChannel>(const guest::WebServer&, io::Fd listener,
                                                     std::vector<io::Fd> sockets)>
      open_web_channel = {};
  std::function<RoleCredentials(const Runnable&)> credentials;
  // Serves the in-jail listener of the AWS endpoint (front/ add_listener and remove_listener).
  std::function<std::uint64_t(io::Fd, InstanceId)> serve_endpoint;
  std::function<void(std::uint64_t)> end_endpoint;
  // Switchboard::push.
  std::function<io::Task<Result<events::Outcome>>(events::Delivery)> deliver;
  Settings settings;
  std::shared_ptr<int> autopsies = std::make_shared<int>(0);  // under way
  // Where environments say whose effects are held back; and those of asynchronous events, and which
  // of them were done. Absent: no function has its effects held back.
  events::EffectsBoard* effects = nullptr;
  events::EffectsLedger* ledger = nullptr;
  ReadMachine read_machine = {};  // invoke::read_machine; empty: a machine that always has room
};

// What an ended event pushes to a resource that is no function: its record, or itself to a
// dead-letter queue.
struct Outbound {
  std::string arn;         // of the resource
  std::string source_arn;  // of the function
  std::string role_arn;    // the function's
  std::vector<events::Attribute> attributes;
  std::string subject{};  // Delivery::subject: of buckets the object's key
};

// One asynchronous event as it lies in the durable queue; resolved again when it runs.
struct AsyncEvent {
  Scope scope;
  FunctionName name;
  std::string qualifier;
  events::Event event;
  std::optional<Outbound> outbound{};  // its payload is pushed there; no function runs
};

// How an asynchronous event ended. The views live for the call that is told.
struct Ending {
  enum class Condition {
    success,
    retries_exhausted,
    event_age_exceeded,
    zero_reserved_concurrency
  };
  Condition condition = Condition::success;
  const AsyncEvent& event;
  std::string_view invoked_arn;
  int invocations = 0;                       // that came to an outcome
  const events::Outcome* outcome = nullptr;  // the last one, where the event ended with it
};
// The event that tells a destination of an ending. An Error: it cannot be told.
using Handover = std::function<Result<AsyncEvent>(const Ending&)>;

// How the queue finds its function again; wired to the registry in mayfly/.
struct AsyncTarget {
  Result<Runnable> runnable;  // an Error: it cannot be run now
  std::string invoked_arn;
  int max_retries = limits::async_retries;
  int max_age_seconds = std::chrono::seconds(limits::async_max_age).count();
  Handover on_success{};  // empty: no destination
  Handover on_failure{};
  Handover dead_letter{};  // beside on_failure
};
// Flow control of a function's asynchronous events (async_flow.h).
struct FunctionFlow {
  gate::FlowSettings settings;
  std::map<std::string, int> max_age_seconds;  // by qualifier; others: limits::async_max_age
  std::string log_group;                       // where it says what became of skipped events
  bool operator==(const FunctionFlow&) const = default;
};
using Resolver = std::function<io::Task<Result<AsyncTarget>>(Scope, FunctionName, std::string)>;

class Invoker {
 public:
  virtual ~Invoker() = default;
  // Runs one event and answers its outcome. Errors: throttled (reason names the limit, as the API
  // model's ThrottleReason, or is gate::circuit_open), unavailable, invalid (runtime not
  // here, no tenant named), cancelled.
  virtual io::Task<Result<events::Outcome>> invoke(std::shared_ptr<const Runnable> runnable,
                                                   Request request) = 0;
  io::Task<Result<events::Outcome>> invoke(Runnable runnable, Request request) {
    return invoke(std::make_shared<const Runnable>(std::move(runnable)), std::move(request));
  }
  // Starts one event. The call goes on when nobody takes its answer any more, as in the cloud. An
  // answer that the function does not stream is streamed as one part.
  virtual std::shared_ptr<StreamedCall> invoke_streaming(std::shared_ptr<const Runnable> runnable,
                                                         Request request) = 0;
  // Returns after the event is durable. It is then run at least once, with the configured retries.
  virtual io::Task<Result<>> enqueue(AsyncEvent event) = 0;
  virtual void set_resolver(Resolver resolver) = 0;
  // Of a function's events from now on; nullopt: they go as they come.
  virtual void control_flow(const Scope& scope, const FunctionName& name,
                            std::optional<FunctionFlow> flow) = 0;
  // Starts draining the asynchronous queue (after the registry is loaded).
  virtual void start() = 0;
  // The function changed: idle environments of other pool keys end now, busy ones after their call.
  virtual void retire(std::string_view concurrency_key, std::string_view keep_pool_key) = 0;
  // Concurrency reserved by functions of an account and region, in sum.
  virtual void reserve(const Scope& scope, int total) = 0;
  virtual int running(std::string_view concurrency_key) const = 0;
  // A function's circuit breaker (gate/breaker.h) would let a call through now.
  virtual bool breaker_lets(std::string_view concurrency_key) const = 0;
  // Called, on the loop, when that may have become so.
  virtual void on_breaker(std::function<void(const std::string& concurrency_key)> call) = 0;
  // Keeps Runnable::provisioned environments initialised from now on; 0: no longer.
  virtual void provision(std::shared_ptr<const Runnable> runnable) = 0;
  virtual Provision provision_of(std::string_view pool_key) const = 0;
  // Runs the init of a version and keeps what its environments are made from: with SnapStart a
  // template where the guest can be forked, else one environment. Whoever asks may leave.
  virtual std::shared_ptr<SnapshotCall> snapshot(std::shared_ptr<const Runnable> runnable) = 0;
  // This version is gone: its environments and its snapshot end.
  virtual void forget(std::string_view pool_key) = 0;
  struct Totals {
    int environments = 0;
    int busy = 0;
    std::size_t queued_events = 0;
    std::size_t waiting = 0;    // callers, for an environment that is to start
    int templates = 0;          // functions with a template
    int booted_guests = 0;      // that wait to become environments
    int templates_waiting = 0;  // asked for and not made yet, booted guests too
    std::size_t open_breakers = 0;
  };
  virtual Totals totals() const = 0;
  virtual io::Task<void> close(Deadline deadline) = 0;
};

io::Task<Result<std::unique_ptr<Invoker>>> make_invoker(Deps deps);

}  // namespace mayfly::invoke
