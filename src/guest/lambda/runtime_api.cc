// The Lambda Runtime API, version 2018-06-01, served to one guest over HTTP. States, errors and
// texts follow the open-source runtime interface emulator (internal/lambda/core/states.go and
// internal/lambda/rapi).
//
//   Started ─next→ Ready ─event→ Running ─response|error→ …Response ─body read→ ResponseSent
//      └─init/error→ InitError        └─next→ the same event again         next → Ready ┘

#include <list>

#include "base/limits.h"
#include "guest/channel.h"
#include "guest/extensions.h"
#include "guest/lambda/api_connection.h"
#include "guest/lambda/errors.h"
#include "io/park.h"
#include "wire/json.h"
#include "wire/text.h"

namespace mayfly::guest {
namespace {

constexpr std::string_view prefix = "/2018-06-01/";
constexpr std::string_view error_cause_type = "application/vnd.aws.lambda.error.cause+json";

enum class State {
  started,
  init_error,
  ready,
  running,
  invocation_response,
  invocation_error_response,
  response_sent,
};

std::string_view to_string(State state) {
  switch (state) {
    case State::started: return "Started";
    case State::init_error: return "InitError";
    case State::ready: return "Ready";
    case State::running: return "Running";
    case State::invocation_response: return "InvocationResponse";
    case State::invocation_error_response: return "InvocationErrorResponse";
    case State::response_sent: return "RuntimeResponseSentState";
  }
  return "";
}

enum class Route {
  ping,
  next,
  response,
  error,
  init_error,
  extensions,  // and telemetry
  unknown,
  wrong_method,
};

struct Target {
  Route route = Route::unknown;
  std::string_view request_id;
};

// Views into `path`.
Target find_target(std::string_view method, std::string_view path) {
  auto by = [&](std::string_view wanted, Route route) {
    return method == wanted ? route : Route::wrong_method;
  };
  if (ExtensionApi::serves(path)) return {Route::extensions, {}};
  if (!path.starts_with(prefix)) return {};
  path.remove_prefix(prefix.size());
  if (path == "ping") return {by("GET", Route::ping), {}};
  if (path == "runtime/invocation/next") return {by("GET", Route::next), {}};
  if (path == "runtime/init/error") return {by("POST", Route::init_error), {}};
  constexpr std::string_view invocation = "runtime/invocation/";
  if (!path.starts_with(invocation)) return {};
  path.remove_prefix(invocation.size());
  auto slash = path.find('/');
  if (slash == std::string_view::npos) return {};
  auto id = path.substr(0, slash);
  if (path.substr(slash) == "/response") return {by("POST", Route::response), id};
  if (path.substr(slash) == "/error") return {by("POST", Route::error), id};
  return {};
}

ApiAnswer error_answer(int status, std::string_view type, std::string_view message) {
  return {.status = status, .fields = {}, .body = error_json(type, message)};
}

ApiAnswer accepted() { return {.status = 202, .fields = {}, .body = "{\"status\":\"OK\"}\n"}; }

ApiAnswer not_allowed(State from, State to) {
  return error_answer(403, "InvalidStateTransition",
                      fmt::format("State transition from {} to {} failed for runtime. Error: State "
                                  "transition is not allowed",
                                  to_string(from), to_string(to)));
}

// A header value on one line.
std::string one_line(std::string text) {
  for (char& c : text) {
    if (c == '\n' || c == '\r') c = ' ';
  }
  return text;
}

ApiAnswer event_answer(const InvokeRequest& event) {
  ApiAnswer out{.status = 200, .fields = {}, .body = event.payload};
  auto add = [&](std::string_view name, const std::string& value) {
    if (!value.empty()) out.fields.emplace_back(name, one_line(value));
  };
  add("Lambda-Runtime-Aws-Request-Id", event.request_id);
  add("Lambda-Runtime-Deadline-Ms", fmt::format("{}", event.deadline_epoch_ms));
  add("Lambda-Runtime-Invoked-Function-Arn", event.invoked_function_arn);
  add("Lambda-Runtime-Trace-Id", event.trace_header);
  add("Lambda-Runtime-Client-Context", event.client_context);
  add("Lambda-Runtime-Cognito-Identity", event.cognito_identity);
  add("Lambda-Runtime-Aws-Tenant-Id", event.tenant_id);
  return out;
}

// The body of an error in the form that carries an X-Ray cause beside it: without the cause.
std::string without_cause(const std::string& body) {
  auto parsed = wire::parse_json(body);
  if (!parsed || !parsed->is_object()) return "\"Invalid error body\"";
  wire::JsonObject kept;
  for (std::string_view key : {"errorMessage", "errorType", "stackTrace"}) {
    if (const auto* value = parsed->find(key)) kept.add(std::string(key), *value);
  }
  return wire::Json(std::move(kept)).dump();
}

// Serves one guest. Owned by invoke/ with its instance; loop thread. That the guest has died is
// not seen here (it may hold no connection): its owner cancels this when the instance has ended.
class RuntimeApiChannel final : public GuestChannel, private ApiConnection::Handler {
 public:
  RuntimeApiChannel(io::Loop& loop, io::Fd listener)
      : loop_(loop),
        init_done_(loop),
        call_done_(loop),
        acceptor_(loop, std::move(listener), [this](io::Fd fd) { add_connection(std::move(fd)); }) {
  }

  io::Task<Result<InitReply>> wait_init(Deadline deadline) override;
  io::Task<Result<InvokeReply>> invoke(const InvokeRequest& request, Deadline deadline) override;
  void cancel() override;
  void set_bounds(const AnswerBounds& bounds) override { bounds_ = bounds; }
  bool serve_extensions(ExtensionApi& api) override {
    extensions_ = &api;
    return true;
  }
  ~RuntimeApiChannel() override { let_go(); }

 private:
  std::optional<ApiAnswer> on_head(const ApiRequest& request) override;
  bool on_piece(ApiConnection& from, const ApiRequest& request, std::string_view bytes) override;
  void on_request(ApiConnection& from, ApiRequest request) override;
  std::size_t body_max_bytes() const override { return bounds_.whole; }
  void on_closed(ApiConnection& connection) override;

  void add_connection(io::Fd fd);
  std::optional<ApiAnswer> check_reply(const ApiRequest& request, std::string_view id, State to);
  void take_next(ApiConnection& from);
  void take_init_error(ApiConnection& from, ApiRequest request);
  void take_response(ApiConnection& from, ApiRequest request);
  std::optional<InvokeReply> failed_stream(const ApiRequest& request) const;
  void take_error(ApiConnection& from, ApiRequest request);
  bool is_current(const ApiRequest& request) const;
  ApiConnection* let_go();
  void deliver();
  void finish_call(Result<InvokeReply> reply);

  io::Loop& loop_;
  State state_ = State::started;
  bool cancelled_ = false;
  InitReply init_;
  io::Event init_done_;
  std::optional<InvokeRequest> event_;  // of the call under way
  bool delivered_ = false;
  // Of a streamed answer: the connection that brings it, and what it has brought.
  ApiConnection* streaming_ = nullptr;
  AnswerBounds bounds_;
  std::uint64_t streamed_ = 0;
  std::optional<Result<InvokeReply>> reply_;
  io::Event call_done_;
  ExtensionApi* extensions_ = nullptr;
  std::vector<ApiConnection*> waiting_;  // connections that asked for the next event
  std::list<ApiConnection> connections_;
  io::Acceptor acceptor_;  // last: its first call may come at once
};

void RuntimeApiChannel::add_connection(io::Fd fd) {
  // Beyond the limit the connection is closed at once: the guest runs wild.
  if (connections_.size() >= limits::runtime_api_connections) return;
  connections_.emplace_back(loop_, std::move(fd), static_cast<ApiConnection::Handler&>(*this));
}

void RuntimeApiChannel::on_closed(ApiConnection& connection) {
  if (&connection == streaming_) let_go();
  if (extensions_ != nullptr) extensions_->on_closed(connection);
  std::erase(waiting_, &connection);
  std::erase_if(connections_, [&](const ApiConnection& c) { return &c == &connection; });
}

std::optional<ApiAnswer> RuntimeApiChannel::check_reply(const ApiRequest& request,
                                                        std::string_view id, State to) {
  if (!event_ || id != event_->request_id) {
    return error_answer(400, "InvalidRequestID", "Invalid request ID");
  }
  // An error may be told of while the streamed answer is still under way.
  bool in_stream = state_ == State::invocation_response && streaming_ != nullptr &&
                   to == State::invocation_error_response;
  if (state_ != State::running && !in_stream) return not_allowed(state_, to);
  if (to == State::invocation_response && !request.response_mode.empty() &&
      request.response_mode != "streaming") {
    // The runtime's text is no error document, and a caller reads one.
    constexpr std::string_view type = "Runtime.InvalidResponseModeHeader";
    finish_call(InvokeReply{.is_error = true,
                            .payload = error_json(type, "Invalid function response mode"),
                            .content_type = "application/json",
                            .error_type = std::string(type)});
    return error_answer(400, "InvalidFunctionResponseMode", "Invalid function response mode");
  }
  // From here on no second answer is let in, whatever becomes of this one's body.
  state_ = to;
  return std::nullopt;
}

std::optional<ApiAnswer> RuntimeApiChannel::on_head(const ApiRequest& request) {
  auto target = find_target(request.method, request.path);
  switch (target.route) {
    case Route::response:
      return check_reply(request, target.request_id, State::invocation_response);
    case Route::error:
      return check_reply(request, target.request_id, State::invocation_error_response);
    case Route::init_error:
      if (state_ != State::started) return not_allowed(state_, State::init_error);
      return std::nullopt;
    case Route::next:
      if (state_ != State::started && state_ != State::ready && state_ != State::running &&
          state_ != State::response_sent) {
        return not_allowed(state_, State::ready);
      }
      return std::nullopt;
    case Route::ping: return std::nullopt;
    case Route::extensions:
      if (extensions_ != nullptr) return extensions_->on_head(request);
      break;
    case Route::wrong_method:
      return ApiAnswer{.status = 405, .fields = {}, .content_type = {}, .body = {}};
    case Route::unknown: break;
  }
  // Also restore/next, restore/error and credentials: they exist for snap-start alone.
  return ApiAnswer{.status = 404,
                   .fields = {},
                   .content_type = "text/plain; charset=utf-8",
                   .body = "404 page not found\n"};
}

// Is this the answer that the call under way waits for?
bool RuntimeApiChannel::is_current(const ApiRequest& request) const {
  return state_ == State::invocation_response && event_ &&
         find_target(request.method, request.path).request_id == event_->request_id;
}

bool RuntimeApiChannel::on_piece(ApiConnection& from, const ApiRequest& request,
                                 std::string_view bytes) {
  if (request.response_mode != "streaming" || !is_current(request) || !event_->stream) return false;
  if (streaming_ != nullptr && streaming_ != &from) return false;
  AnswerStream& to = *event_->stream;
  to.begin(request.content_type.empty() ? "application/octet-stream" : request.content_type);
  streaming_ = &from;
  streamed_ += bytes.size();
  if (streamed_ > bounds_.streamed) {
    to.flow.break_off(response_too_large(bounds_.streamed));
  }
  to.flow.push(bytes);
  if (to.flow.waiting() < 2 * limits::stream_window_bytes) return true;
  from.pause();
  to.flow.on_take([this] {
    if (streaming_ != nullptr) streaming_->resume();
  });
  return true;
}

// The stream outlives the call: nothing of it leads back here any more. Answers who brought it.
ApiConnection* RuntimeApiChannel::let_go() {
  if (event_ && event_->stream) event_->stream->flow.on_take(nullptr);
  return std::exchange(streaming_, nullptr);
}

void RuntimeApiChannel::on_request(ApiConnection& from, ApiRequest request) {
  switch (find_target(request.method, request.path).route) {
    case Route::ping:
      from.answer({.status = 200,
                   .fields = {},
                   .content_type = "text/plain; charset=utf-8",
                   .body = "pong"});
      break;
    case Route::next: take_next(from); break;
    case Route::init_error: take_init_error(from, std::move(request)); break;
    case Route::response: take_response(from, std::move(request)); break;
    case Route::error: take_error(from, std::move(request)); break;
    case Route::extensions: extensions_->on_request(from, std::move(request)); break;
    case Route::wrong_method:
    case Route::unknown: break;  // refused by on_head
  }
}

void RuntimeApiChannel::take_next(ApiConnection& from) {
  if (state_ == State::running && event_) {
    from.answer(event_answer(*event_));
    return;
  }
  if (state_ == State::started) {
    init_.ok = true;
    init_done_.set();
  }
  state_ = State::ready;
  waiting_.push_back(&from);
  deliver();
}

void RuntimeApiChannel::deliver() {
  if (!event_ || delivered_ || state_ != State::ready || waiting_.empty()) return;
  ApiConnection* to = waiting_.front();
  waiting_.erase(waiting_.begin());
  state_ = State::running;
  delivered_ = true;
  to->answer(event_answer(*event_));
}

void RuntimeApiChannel::take_init_error(ApiConnection& from, ApiRequest request) {
  state_ = State::init_error;
  init_.error_type = checked_error_type(request.error_type);
  init_.error_payload = std::move(request.body);
  init_done_.set();
  from.answer(accepted());
}

// What its trailers say.
std::optional<InvokeReply> RuntimeApiChannel::failed_stream(const ApiRequest& request) const {
  if (request.trailer_error_type.empty() && request.trailer_error_body.empty()) {
    return std::nullopt;
  }
  return InvokeReply{.is_error = true,
                     .payload = wire::base64_decode(request.trailer_error_body).value_or(""),
                     .content_type = "application/json",
                     .error_type = checked_error_type(request.trailer_error_type)};
}

void RuntimeApiChannel::take_response(ApiConnection& from, ApiRequest request) {
  if (!is_current(request)) {
    from.answer(not_allowed(state_, State::invocation_response));
    return;
  }
  let_go();
  bool streamed = request.response_mode == "streaming" && event_->stream != nullptr;
  if (streamed && streamed_ > bounds_.streamed) request.oversized = true;
  if (request.truncated) {
    constexpr std::string_view type = "Runtime.TruncatedResponse";
    finish_call(InvokeReply{.is_error = true,
                            .payload = error_json(type, "Response from the runtime was truncated"),
                            .content_type = "application/json",
                            .error_type = std::string(type)});
    from.answer(error_answer(400, "TruncatedHTTPRequest", "HTTP request detected as truncated"));
    return;
  }
  if (request.oversized) {
    std::size_t limit = streamed ? bounds_.streamed : bounds_.whole;
    finish_call(std::unexpected(response_too_large(limit)));
    from.answer(
        error_answer(413, "RequestEntityTooLarge",
                     fmt::format("Exceeded maximum allowed payload size ({} bytes).", limit)));
    return;
  }
  InvokeReply reply;
  if (auto failed = failed_stream(request)) {
    reply = *std::move(failed);
  } else {
    reply.payload = std::move(request.body);
    reply.content_type =
        request.content_type.empty() ? "application/json" : std::move(request.content_type);
    if (streamed) {
      event_->stream->begin(reply.content_type);
      event_->stream->flow.end();
    }
  }
  reply.streamed = request.response_mode == "streaming";
  finish_call(std::move(reply));
  from.answer(accepted());
}

void RuntimeApiChannel::take_error(ApiConnection& from, ApiRequest request) {
  InvokeReply reply;
  reply.is_error = true;
  reply.error_type = checked_error_type(request.error_type);
  if (request.oversized) {
    finish_call(std::unexpected(response_too_large(bounds_.whole)));
    from.answer(error_answer(
        413, "RequestEntityTooLarge",
        fmt::format("Exceeded maximum allowed payload size ({} bytes).", bounds_.whole)));
    return;
  }
  bool with_cause = request.content_type == error_cause_type;
  reply.payload = with_cause ? without_cause(request.body) : std::move(request.body);
  reply.content_type =
      with_cause || request.content_type.empty() ? "application/json" : request.content_type;
  finish_call(std::move(reply));
  from.answer(accepted());
}

void RuntimeApiChannel::finish_call(Result<InvokeReply> reply) {
  state_ = State::response_sent;
  reply_ = std::move(reply);
  call_done_.set();
  // What still comes of a stream that has failed is read away.
  if (auto* from = let_go()) from->resume();
  if (event_) event_->stream.reset();
}

io::Task<Result<InitReply>> RuntimeApiChannel::wait_init(Deadline deadline) {
  CO_TRY(io::to_result(co_await init_done_.wait(deadline), "init of the runtime"));
  if (cancelled_) co_return fail(ErrorKind::cancelled, "the channel was cancelled");
  co_return init_;
}

io::Task<Result<InvokeReply>> RuntimeApiChannel::invoke(const InvokeRequest& request,
                                                        Deadline deadline) {
  if (cancelled_) co_return fail(ErrorKind::cancelled, "the channel was cancelled");
  if (state_ == State::running || state_ == State::init_error || (event_ && !reply_)) {
    co_return fail(ErrorKind::unavailable, "the runtime is not ready for an event");
  }
  event_ = request;
  delivered_ = false;
  streamed_ = 0;
  reply_.reset();
  call_done_.reset();
  deliver();
  CO_TRY(io::to_result(co_await call_done_.wait(deadline), "answer of the runtime"));
  if (!reply_) co_return fail(ErrorKind::cancelled, "the channel was cancelled");
  // The event stays: until the runtime asks for the next one, its id is the current one.
  co_return *reply_;
}

void RuntimeApiChannel::cancel() {
  cancelled_ = true;
  init_done_.set();
  call_done_.set();
}

}  // namespace

std::unique_ptr<GuestChannel> make_runtime_api_channel(io::Loop& loop, io::Fd listener) {
  return std::make_unique<RuntimeApiChannel>(loop, std::move(listener));
}

}  // namespace mayfly::guest
