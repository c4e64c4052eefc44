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
#include "guest/lambda/api_answers.h"
#include "guest/lambda/api_calls.h"
#include "guest/lambda/errors.h"
#include "io/park.h"

namespace mayfly::guest {
namespace {

constexpr std::string_view prefix = "/2018-06-01/";

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

ApiAnswer not_allowed(State from, State to) {
  return error_answer(403, "InvalidStateTransition",
                      fmt::format("State transition from {} to {} failed for runtime. Error: State "
                                  "transition is not allowed",
                                  to_string(from), to_string(to)));
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
  void share(int most) override {
    calls_.emplace(loop_);
    connections_max_ += static_cast<std::size_t>(most);
  }
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
  std::optional<ApiCalls> calls_;  // instead of all that, where it takes several at one time
  std::size_t connections_max_ = limits::runtime_api_connections;
  ExtensionApi* extensions_ = nullptr;
  std::vector<ApiConnection*> waiting_;  // connections that asked for the next event
  std::list<ApiConnection> connections_;
  io::Acceptor acceptor_;  // last: its first call may come at once
};

void RuntimeApiChannel::add_connection(io::Fd fd) {
  // Beyond the limit the connection is closed at once: the guest runs wild.
  if (connections_.size() >= connections_max_) return;
  connections_.emplace_back(loop_, std::move(fd), static_cast<ApiConnection::Handler&>(*this));
}

void RuntimeApiChannel::on_closed(ApiConnection& connection) {
  if (&connection == streaming_) let_go();
  if (calls_) calls_->on_closed(connection);
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
  auto refused =
      to == State::invocation_response ? take_unknown_mode(request) : std::optional<Taken>();
  if (refused) {
    finish_call(std::move(refused->reply));
    return std::move(refused->answer);
  }
  // From here on no second answer is let in, whatever becomes of this one's body.
  state_ = to;
  return std::nullopt;
}

std::optional<ApiAnswer> RuntimeApiChannel::on_head(const ApiRequest& request) {
  auto target = find_target(request.method, request.path);
  switch (target.route) {
    case Route::response:
      if (calls_) return calls_->on_answer_head(request, target.request_id);
      return check_reply(request, target.request_id, State::invocation_response);
    case Route::error:
      if (calls_) return calls_->on_answer_head(request, target.request_id);
      return check_reply(request, target.request_id, State::invocation_error_response);
    case Route::init_error:
      if (state_ != State::started) return not_allowed(state_, State::init_error);
      return std::nullopt;
    case Route::next:
      if (calls_) return std::nullopt;
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
  if (calls_) {
    return calls_->on_piece(from, request, find_target(request.method, request.path).request_id,
                            bytes);
  }
  if (request.response_mode != "streaming" || !is_current(request) || !event_->stream) return false;
  if (streaming_ != nullptr && streaming_ != &from) return false;
  AnswerStream& to = *event_->stream;
  streaming_ = &from;
  push_piece(to, request, bytes, streamed_, bounds_);
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
  if (calls_) {
    init_.ok = true;
    init_done_.set();
    return calls_->next(from);
  }
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

void RuntimeApiChannel::take_response(ApiConnection& from, ApiRequest request) {
  if (calls_) {
    std::string id(find_target(request.method, request.path).request_id);
    return calls_->response(from, std::move(request), id);
  }
  if (!is_current(request)) {
    from.answer(not_allowed(state_, State::invocation_response));
    return;
  }
  let_go();
  auto taken = guest::take_response(std::move(request), event_->stream.get(), streamed_, bounds_);
  finish_call(std::move(taken.reply));
  from.answer(taken.answer);
}

void RuntimeApiChannel::take_error(ApiConnection& from, ApiRequest request) {
  if (calls_) {
    std::string id(find_target(request.method, request.path).request_id);
    return calls_->error(from, std::move(request), id);
  }
  auto taken = guest::take_error(std::move(request), bounds_);
  finish_call(std::move(taken.reply));
  from.answer(taken.answer);
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
  if (calls_) co_return co_await calls_->invoke(request);
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
  if (calls_) calls_->cancel();
  init_done_.set();
  call_done_.set();
}

}  // namespace

std::unique_ptr<GuestChannel> make_runtime_api_channel(io::Loop& loop, io::Fd listener) {
  return std::make_unique<RuntimeApiChannel>(loop, std::move(listener));
}

}  // namespace mayfly::guest
