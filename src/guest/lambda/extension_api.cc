#include <algorithm>
#include <list>

#include "base/limits.h"
#include "guest/extensions.h"
#include "guest/lambda/api_connection.h"
#include "guest/lambda/errors.h"
#include "io/park.h"
#include "wire/json.h"
#include "wire/text.h"

namespace mayfly::guest {
namespace {

constexpr std::string_view extension_prefix = "/2020-01-01/extension/";

enum class Route {
  register_extension,
  next,
  init_error,
  exit_error,
  telemetry,
  logs,
  unknown,
  wrong_method,
};

// Clients differ in whether the path of a subscription ends with a slash.
Route find_route(std::string_view method, std::string_view path) {
  if (path.ends_with('/')) path.remove_suffix(1);
  auto by = [&](std::string_view wanted, Route route) {
    return method == wanted ? route : Route::wrong_method;
  };
  if (path == "/2022-07-01/telemetry") return by("PUT", Route::telemetry);
  if (path == "/2020-08-15/logs") return by("PUT", Route::logs);
  if (!path.starts_with(extension_prefix)) return Route::unknown;
  path.remove_prefix(extension_prefix.size());
  if (path == "register") return by("POST", Route::register_extension);
  if (path == "event/next") return by("GET", Route::next);
  if (path == "init/error") return by("POST", Route::init_error);
  if (path == "exit/error") return by("POST", Route::exit_error);
  return Route::unknown;
}

ApiAnswer forbidden(std::string_view type, std::string_view message) {
  return {.status = 403, .fields = {}, .body = error_json(type, message)};
}

ApiAnswer accepted() { return {.status = 202, .fields = {}, .body = "{\"status\":\"OK\"}\n"}; }

ApiAnswer not_found() {
  return {.status = 404,
          .fields = {},
          .content_type = "text/plain; charset=utf-8",
          .body = "404 page not found\n"};
}

ApiAnswer wrong_state(ExtensionState from, ExtensionState to, std::string_view whom) {
  return forbidden("Extension.InvalidExtensionState",
                   fmt::format("State transition from {} to {} failed for extension {}. Error: "
                               "State transition is not allowed",
                               to_string(from), to_string(to), whom));
}

bool is_uuid(std::string_view text) {
  if (text.size() != 36) return false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    bool dash = i == 8 || i == 13 || i == 18 || i == 23;
    bool hex = (text[i] >= '0' && text[i] <= '9') || (text[i] >= 'a' && text[i] <= 'f') ||
               (text[i] >= 'A' && text[i] <= 'F');
    if (dash ? text[i] != '-' : !hex) return false;
  }
  return true;
}

struct Wanted {
  bool invoke = false;
  bool shutdown = false;
};

// The events of a registration, or how it is refused.
Result<Wanted> read_events(const ApiRequest& request, bool external) {
  auto body = wire::parse_json(request.body);
  if (!body || !body->is_object()) {
    return fail(ErrorKind::invalid, "the body of a registration is a JSON object",
                "InvalidRequestFormat");
  }
  Wanted out;
  const auto* events = body->find("events");
  const auto* list = events == nullptr ? nullptr : events->as<wire::JsonArray>();
  if (events != nullptr && !events->is_null() && list == nullptr) {
    return fail(ErrorKind::invalid, "events is a list of strings", "InvalidRequestFormat");
  }
  if (list == nullptr) return out;
  for (const auto& event : *list) {
    auto name = event.string_value();
    if (name == "INVOKE") {
      out.invoke = true;
    } else if (name == "SHUTDOWN" && external) {
      out.shutdown = true;
    } else {
      std::string_view why = name == "SHUTDOWN" ? "ShutdownEventNotSupportedForInternalExtension"
                                                : "ErrorInvalidEventType";
      return fail(ErrorKind::invalid, fmt::format("{}: {}", name, why),
                  "Extension.InvalidEventType");
    }
  }
  return out;
}

bool accepts_account(std::string_view features) {
  while (!features.empty()) {
    auto comma = features.find(',');
    auto one = features.substr(0, comma);
    while (one.starts_with(' ')) one.remove_prefix(1);
    while (one.ends_with(' ')) one.remove_suffix(1);
    if (one == "accountId") return true;
    features = comma == features.npos ? std::string_view() : features.substr(comma + 1);
  }
  return false;
}

}  // namespace

std::string_view to_string(ExtensionState state) {
  switch (state) {
    case ExtensionState::started: return "Started";
    case ExtensionState::registered: return "Registered";
    case ExtensionState::ready: return "Ready";
    case ExtensionState::running: return "Running";
    case ExtensionState::init_error: return "InitError";
    case ExtensionState::exit_error: return "ExitError";
    case ExtensionState::shutdown_failed: return "ShutdownFailed";
    case ExtensionState::exited: return "Exited";
    case ExtensionState::launch_error: return "LaunchError";
  }
  return "";
}

// Connections of a port that nobody else serves.
struct ExtensionApi::Server final : ApiConnection::Handler {
  Server(io::Loop& with, io::Fd listener, ExtensionApi& to)
      : loop(with), api(to), acceptor(with, std::move(listener), [this](io::Fd fd) {
          if (connections.size() >= limits::runtime_api_connections) return;
          connections.emplace_back(loop, std::move(fd),
                                   static_cast<ApiConnection::Handler&>(*this));
        }) {}
  std::optional<ApiAnswer> on_head(const ApiRequest& request) override {
    if (serves(request.path)) return api.on_head(request);
    if (request.path == "/2018-06-01/ping" && request.method == "GET") {
      return ApiAnswer{
          .status = 200, .fields = {}, .content_type = "text/plain; charset=utf-8", .body = "pong"};
    }
    return not_found();  // events reach this guest by another way
  }
  bool on_piece(ApiConnection&, const ApiRequest&, std::string_view) override { return false; }
  void on_request(ApiConnection& from, ApiRequest request) override {
    api.on_request(from, std::move(request));
  }
  void on_closed(ApiConnection& connection) override {
    api.on_closed(connection);
    std::erase_if(connections, [&](const ApiConnection& c) { return &c == &connection; });
  }

  io::Loop& loop;
  ExtensionApi& api;
  std::list<ApiConnection> connections;
  io::Acceptor acceptor;  // last: its first call may come at once
};

ExtensionApi::ExtensionApi(io::Loop& loop, Random& random, Function function, Subscribe subscribe)
    : loop_(loop),
      random_(random),
      function_(std::move(function)),
      subscribe_(std::move(subscribe)),
      changed_(loop) {}

ExtensionApi::~ExtensionApi() = default;

void ExtensionApi::listen(io::Fd listener) {
  if (listener) server_ = std::make_unique<Server>(loop_, std::move(listener), *this);
}

bool ExtensionApi::serves(std::string_view path) {
  return path.starts_with(extension_prefix) || path.starts_with("/2022-07-01/telemetry") ||
         path.starts_with("/2020-08-15/logs");
}

Extension* ExtensionApi::find(std::string_view name) {
  auto found = std::ranges::find(extensions_, name, [](const auto& e) { return e->name; });
  return found == extensions_.end() ? nullptr : found->get();
}

void ExtensionApi::expect(std::string name) {
  auto extension = std::make_unique<Extension>();
  extension->name = std::move(name);
  extension->id = random_.uuid4();
  extension->external = true;
  extensions_.push_back(std::move(extension));
}

void ExtensionApi::fail_with(std::string type, std::string message) {
  if (closing_) return;
  bool first = !fault_;
  if (first) fault_ = ExtensionFault{std::move(type), std::move(message)};
  changed_.wake_all();
  if (first && on_fault_) on_fault_();
}

void ExtensionApi::launch_failed(std::string_view name, std::string error_type,
                                 std::string message) {
  Extension* extension = find(name);
  if (extension == nullptr) return;
  extension->state = ExtensionState::launch_error;
  extension->desk.gone = true;
  extension->error_type = std::move(error_type);
  fail_with("Extension.LaunchError", std::move(message));
}

void ExtensionApi::process_ended(std::string_view name, bool success, std::string how) {
  Extension* extension = find(name);
  if (extension == nullptr) return;
  extension->desk.due.clear();
  extension->desk.gone = true;
  if (closing_) {
    extension->state = success ? ExtensionState::exited : ExtensionState::shutdown_failed;
    changed_.wake_all();
    return;
  }
  if (extension->state != ExtensionState::init_error &&
      extension->state != ExtensionState::exit_error) {
    extension->state = ExtensionState::exited;
  }
  fail_with("Extension.Crash", std::move(how));
}

bool ExtensionApi::all_registered() const {
  return std::ranges::all_of(extensions_, [](const auto& extension) {
    return !extension->external || extension->state != ExtensionState::started;
  });
}

bool ExtensionApi::all_ready() const {
  return std::ranges::all_of(extensions_, [](const auto& e) {
    return e->state == ExtensionState::ready && e->desk.due.empty();
  });
}

bool ExtensionApi::any_for_invoke() const {
  return std::ranges::any_of(extensions_, [](const auto& e) { return e->wants_invoke; });
}

bool ExtensionApi::any_external() const {
  return std::ranges::any_of(extensions_, [](const auto& e) { return e->external; });
}

bool ExtensionApi::shut_down_done() const {
  return std::ranges::all_of(extensions_, [](const auto& e) {
    return !e->external || !e->wants_shutdown || e->desk.gone;
  });
}

io::Task<Result<>> ExtensionApi::wait_until(bool (ExtensionApi::*done)() const, Deadline deadline) {
  while (!(this->*done)()) {
    if (fault_ && !closing_) co_return fail(ErrorKind::unavailable, fault_->message);
    if (interrupted_ && !closing_) co_return fail(ErrorKind::unavailable, "the program ended");
    if (cancelled_) co_return fail(ErrorKind::cancelled, "the environment has ended");
    auto wake = co_await changed_.park(deadline);
    if (wake != io::Wake::notified) co_return io::to_result(wake, "extensions");
  }
  if (fault_ && !closing_) co_return fail(ErrorKind::unavailable, fault_->message);
  co_return Result<>{};
}

io::Task<Result<>> ExtensionApi::wait_registered(Deadline deadline) {
  return wait_until(&ExtensionApi::all_registered, deadline);
}
io::Task<Result<>> ExtensionApi::wait_ready(Deadline deadline) {
  return wait_until(&ExtensionApi::all_ready, deadline);
}
io::Task<Result<>> ExtensionApi::wait_shut_down(Deadline deadline) {
  return wait_until(&ExtensionApi::shut_down_done, deadline);
}

void ExtensionApi::interrupt() {
  interrupted_ = true;
  changed_.wake_all();
}

void ExtensionApi::cancel() {
  cancelled_ = true;
  changed_.wake_all();
}

void ExtensionApi::hand_over(Extension& extension, std::string event) {
  extension.desk.due = std::move(event);
  if (extension.state == ExtensionState::ready) deliver(extension);
}

void ExtensionApi::deliver(Extension& extension) {
  Extension::Desk& desk = extension.desk;
  if (desk.due.empty() || desk.waiting == nullptr) return;
  ApiConnection* to = std::exchange(desk.waiting, nullptr);
  std::string event = std::exchange(desk.due, {});
  extension.state = ExtensionState::running;
  to->answer({.status = 200,
              .fields = {{"Lambda-Extension-Event-Identifier", random_.uuid4()},
                         {"Lambda-Extension-Identifier", extension.id}},
              .body = std::move(event)});
}

void ExtensionApi::invoke(const ExtensionInvoke& event) {
  auto body = wire::Json::object(
      {{"eventType", "INVOKE"},
       {"deadlineMs", event.deadline_epoch_ms},
       {"requestId", event.request_id},
       {"invokedFunctionArn", event.invoked_function_arn},
       {"tracing",
        wire::Json::object({{"type", "X-Amzn-Trace-Id"}, {"value", event.trace_header}})}});
  std::string text = body.dump();
  for (auto& extension : extensions_) {
    if (extension->wants_invoke) hand_over(*extension, text);
  }
}

void ExtensionApi::shut_down(std::string_view reason, std::int64_t deadline_epoch_ms) {
  closing_ = true;
  auto body = wire::Json::object(
      {{"eventType", "SHUTDOWN"}, {"shutdownReason", reason}, {"deadlineMs", deadline_epoch_ms}});
  std::string text = body.dump();
  for (auto& extension : extensions_) {
    bool asked =
        extension->state == ExtensionState::ready || extension->state == ExtensionState::running;
    if (extension->external && extension->wants_shutdown && asked) hand_over(*extension, text);
  }
}

std::optional<ApiAnswer> ExtensionApi::on_head(const ApiRequest& request) {
  switch (find_route(request.method, request.path)) {
    case Route::unknown: return not_found();
    case Route::wrong_method:
      return ApiAnswer{.status = 405, .fields = {}, .content_type = {}, .body = {}};
    case Route::register_extension:
      if (request.extension_name.empty()) {
        return forbidden("Extension.InvalidExtensionName", "Empty extension name");
      }
      return std::nullopt;
    default: break;
  }
  if (request.extension_id.empty()) {
    return forbidden("Extension.MissingExtensionIdentifier",
                     "Missing Lambda-Extension-Identifier header");
  }
  if (!is_uuid(request.extension_id)) {
    return forbidden("Extension.InvalidExtensionIdentifier", "Invalid Lambda-Extension-Identifier");
  }
  return std::nullopt;
}

void ExtensionApi::on_request(ApiConnection& from, ApiRequest request) {
  Route route = find_route(request.method, request.path);
  if (route == Route::register_extension) return answer_register(from, request);
  std::string id = wire::to_lower(request.extension_id);
  auto found = std::ranges::find(extensions_, id, [](const auto& e) { return e->id; });
  // Of one that has not registered nobody knows the identifier but us.
  if (found == extensions_.end() || (*found)->state == ExtensionState::started) {
    return from.answer(
        forbidden("Extension.UnknownExtensionIdentifier", "Unknown extension " + id));
  }
  Extension& extension = **found;
  switch (route) {
    case Route::next: return answer_next(from, extension);
    case Route::init_error: return answer_error(from, request, extension, true);
    case Route::exit_error: return answer_error(from, request, extension, false);
    case Route::telemetry:
    case Route::logs: return answer_subscribe(from, request, extension);
    default: return from.answer(not_found());
  }
}

ApiAnswer ExtensionApi::registered(const Extension& extension, const ApiRequest& request) const {
  auto body = wire::Json::object({{"functionName", function_.name},
                                  {"functionVersion", function_.version},
                                  {"handler", function_.handler}});
  if (accepts_account(request.extension_features)) body["accountId"] = function_.account;
  return {.status = 200,
          .fields = {{"Lambda-Extension-Identifier", extension.id}},
          .body = body.dump()};
}

void ExtensionApi::answer_register(ApiConnection& from, const ApiRequest& request) {
  Extension* known = find(request.extension_name);
  bool external = known != nullptr && known->external;
  auto wanted = read_events(request, external);
  if (!wanted) return from.answer(forbidden(wanted.error().reason, wanted.error().message));
  if (external && known->state != ExtensionState::started) {
    return from.answer(wrong_state(known->state, ExtensionState::registered, known->name));
  }
  if (!external) {
    if (!registration_open_) {
      return from.answer(
          forbidden("Extension.RegistrationClosed", "Extension registration closed already"));
    }
    if (known != nullptr) {
      return from.answer(forbidden("Extension.InvalidExtensionState",
                                   "Extension with this name already registered"));
    }
    if (extensions_.size() >= limits::extensions_max) {
      return from.answer(
          forbidden("Extension.TooManyExtensions",
                    fmt::format("Extension limit ({}) reached", limits::extensions_max)));
    }
    expect(request.extension_name);
    known = extensions_.back().get();
    known->external = false;
  }
  known->wants_invoke = wanted->invoke;
  known->wants_shutdown = wanted->shutdown;
  known->state = ExtensionState::registered;
  from.answer(registered(*known, request));
  changed_.wake_all();
}

void ExtensionApi::answer_next(ApiConnection& from, Extension& extension) {
  Extension::Desk& desk = extension.desk;
  // Ready and without a connection: the one it had asked on is gone.
  bool again = extension.state == ExtensionState::ready && desk.waiting == nullptr;
  if (extension.state != ExtensionState::registered && extension.state != ExtensionState::running &&
      !again) {
    return from.answer(wrong_state(extension.state, ExtensionState::ready, extension.id));
  }
  extension.state = ExtensionState::ready;
  desk.waiting = &from;
  deliver(extension);
  changed_.wake_all();
}

void ExtensionApi::answer_error(ApiConnection& from, const ApiRequest& request,
                                Extension& extension, bool in_init) {
  if (request.extension_error_type.empty()) {
    return from.answer(
        forbidden("Extension.MissingHeader", "Lambda-Extension-Function-Error-Type not found"));
  }
  auto to = in_init ? ExtensionState::init_error : ExtensionState::exit_error;
  bool allowed = extension.state == to || extension.state == ExtensionState::registered ||
                 (!in_init && (extension.state == ExtensionState::ready ||
                               extension.state == ExtensionState::running));
  if (!allowed) return from.answer(wrong_state(extension.state, to, extension.id));
  extension.state = to;
  extension.error_type = request.extension_error_type;
  from.answer(accepted());
  fail_with(in_init ? "Extension.InitError" : "Extension.ExitError", extension.error_type);
}

void ExtensionApi::answer_subscribe(ApiConnection& from, const ApiRequest& request,
                                    const Extension& extension) {
  bool logs = find_route(request.method, request.path) == Route::logs;
  if (!subscription_open_) {
    return from.answer(
        logs ? forbidden("Logs.SubscriptionClosed", "Logs API subscription is closed")
             : forbidden("Telemetry.SubscriptionClosed", "Telemetry API subscription is closed"));
  }
  auto answer =
      subscribe_(extension, logs ? TelemetryForm::logs : TelemetryForm::telemetry, request.body);
  from.answer({.status = answer.status, .fields = {}, .body = std::move(answer.body)});
}

void ExtensionApi::on_closed(const ApiConnection& connection) {
  for (auto& extension : extensions_) {
    if (extension->desk.waiting == &connection) extension->desk.waiting = nullptr;
  }
}

}  // namespace mayfly::guest
