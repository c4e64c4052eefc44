// ExtensionApi: the Extensions API 2020-01-01 of one execution environment, and the door of the
// Telemetry API 2022-07-01 and the Logs API 2020-08-15 beside it, as the developer guide's "Lambda
// Extensions API" describes them; states, errors and their texts as in the open-source runtime
// interface emulator (internal/lambda/core, internal/lambda/rapi/handler).
//
//   external: Started ─register→ Registered ─next→ Ready ─event→ Running ─next→ Ready …
//                └ LaunchError       └init/error→ InitError     └exit/error→ ExitError
//   internal: the same from its registration on; it may ask for INVOKE alone.
//
// External extensions are known before they register (expect()), by the name of their file. What
// makes the environment unusable is its fault(): the first one stands.
//
// Owned by invoke/ with its environment; loop thread; destruction ends its connections.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/random.h"
#include "base/result.h"
#include "io/fd.h"

namespace mayfly::guest {

class ApiConnection;
struct ApiAnswer;
struct ApiRequest;

enum class ExtensionState {
  started,
  registered,
  ready,
  running,
  init_error,
  exit_error,
  shutdown_failed,
  exited,
  launch_error,
};
std::string_view to_string(ExtensionState state);

struct Extension {
  std::string name;
  std::string id;  // UUID; what it identifies itself with
  bool external = false;
  bool wants_invoke = false;
  bool wants_shutdown = false;
  ExtensionState state = ExtensionState::started;
  std::string error_type{};  // of InitError, ExitError and LaunchError
  // What only ExtensionApi looks at.
  struct Desk {
    ApiConnection* waiting = nullptr;  // has asked for the next event
    std::string due{};                 // the event it is to be handed
    bool gone = false;                 // its process has ended, or there never was one
  };
  Desk desk{};
};

// Why the environment cannot go on: "Extension.Crash", "exit code 0".
struct ExtensionFault {
  std::string type;
  std::string message;
};

struct ExtensionInvoke {
  std::string request_id;
  std::string invoked_function_arn{};
  std::string trace_header{};
  std::int64_t deadline_epoch_ms = 0;
};

// The two forms of one subscription.
enum class TelemetryForm { telemetry, logs };
struct SubscribeAnswer {
  int status = 200;
  std::string body = "\"OK\"";
};

class ExtensionApi {
 public:
  // What a registration is answered with.
  struct Function {
    std::string name;
    std::string version;
    std::string handler;
    std::string account;
  };
  // PUT …/telemetry or …/logs of an extension, while the environment is initialised.
  using Subscribe =
      std::function<SubscribeAnswer(const Extension&, TelemetryForm, std::string_view body)>;

  ExtensionApi(io::Loop& loop, Random& random, Function function, Subscribe subscribe);
  ExtensionApi(const ExtensionApi&) = delete;
  ExtensionApi& operator=(const ExtensionApi&) = delete;
  ~ExtensionApi();

  // Serves a port of the jail where the guest's channel does not (RuntimeApiChannel does).
  void listen(io::Fd listener);

  // --- external extensions, before and beside their own calls ---
  void expect(std::string name);
  void launch_failed(std::string_view name, std::string error_type, std::string message);
  // Its process has ended; `how` as in "exit code 0".
  void process_ended(std::string_view name, bool success, std::string how);

  // Both end at once when there is a fault(), after interrupt() or cancel(), or at the deadline.
  io::Task<Result<>> wait_registered(Deadline deadline);  // every external one
  // Every registered one has asked for its next event, and none is about to be handed one.
  io::Task<Result<>> wait_ready(Deadline deadline);
  bool all_ready() const;

  // The runtime is ready: no internal one registers any more.
  void end_registration() { registration_open_ = false; }
  // All are ready: nobody subscribes any more.
  void end_init() { registration_open_ = subscription_open_ = false; }
  void invoke(const ExtensionInvoke& event);  // to those who want it
  bool any_for_invoke() const;
  // From now on ends of processes are no faults. To external ones that want it.
  void shut_down(std::string_view reason, std::int64_t deadline_epoch_ms);
  bool shut_down_done() const;  // all of those have ended
  io::Task<Result<>> wait_shut_down(Deadline deadline);

  const std::vector<std::unique_ptr<Extension>>& extensions() const { return extensions_; }
  bool any() const { return !extensions_.empty(); }
  bool any_external() const;
  const std::optional<ExtensionFault>& fault() const { return fault_; }
  // Called when there is a fault; must not destroy this.
  void on_fault(std::function<void()> call) { on_fault_ = std::move(call); }
  // The program has ended: of what it takes part in, nothing is waited for any more.
  void interrupt();
  // All waiting ends.
  void cancel();

  // --- requests of the guest, for whoever serves the port ---
  static bool serves(std::string_view path);
  // The head is there: a refusal, or nothing.
  std::optional<ApiAnswer> on_head(const ApiRequest& request);
  void on_request(ApiConnection& from, ApiRequest request);
  void on_closed(const ApiConnection& connection);

 private:
  struct Server;
  Extension* find(std::string_view name);
  void answer_register(ApiConnection& from, const ApiRequest& request);
  void answer_next(ApiConnection& from, Extension& extension);
  void answer_error(ApiConnection& from, const ApiRequest& request, Extension& extension,
                    bool in_init);
  void answer_subscribe(ApiConnection& from, const ApiRequest& request, const Extension& extension);
  ApiAnswer registered(const Extension& extension, const ApiRequest& request) const;
  void hand_over(Extension& extension, std::string event);
  void deliver(Extension& extension);
  void fail_with(std::string type, std::string message);
  io::Task<Result<>> wait_until(bool (ExtensionApi::*done)() const, Deadline deadline);
  bool all_registered() const;

  io::Loop& loop_;
  Random& random_;
  Function function_;
  Subscribe subscribe_;
  bool registration_open_ = true;
  bool subscription_open_ = true;
  bool closing_ = false;
  bool interrupted_ = false;
  bool cancelled_ = false;
  std::vector<std::unique_ptr<Extension>> extensions_;
  std::optional<ExtensionFault> fault_;
  std::function<void()> on_fault_;
  io::ParkingLot changed_;
  std::unique_ptr<Server> server_;
};

}  // namespace mayfly::guest
