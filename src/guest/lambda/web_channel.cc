// Serves a function that is an HTTP server: asks it until it is ready, then sends it one request
// for each event.
//
//   wait_init: GET ready_path, again and again ─► ready
//   invoke:    event ─► request ─► [jail] ─► response ─► answer, whole or streamed
#include <array>

#include "base/limits.h"
#include "base/log.h"
#include "guest/lambda/errors.h"
#include "guest/lambda/web_event.h"
#include "guest/web.h"
#include "io/http1.h"
#include "io/park.h"
#include "io/quick_ack.h"
#include "io/socket_maker.h"

namespace mayfly::guest {
namespace {

using io::http1::Reader;

constexpr auto ready_pause = std::chrono::milliseconds(10);
// With asynchronous init, what is left of the init's time for what comes after us.
constexpr auto async_init_slack = std::chrono::milliseconds(200);
// The end of the program is seen a moment after that of its connections.
constexpr auto end_grace = std::chrono::milliseconds(250);
constexpr std::size_t read_bytes = 64 * limits::kib;
constexpr std::size_t ready_answer_bytes = 1 * limits::mib;
constexpr std::string_view connection_failed = "Web.ConnectionFailed";
constexpr io::http1::HeadLimits head_limits{.head_bytes = limits::stream_prelude_bytes,
                                            .field_count = limits::http_header_count,
                                            .target_bytes = limits::http_target_bytes};

InvokeReply failed(std::string_view type, std::string_view message) {
  return {.is_error = true,
          .payload = error_json(type, message),
          .content_type = "application/json",
          .error_type = std::string(type)};
}

// One connection to the program. Bytes that were read and not used stay for the next read.
class Connection {
 public:
  Connection(io::Loop& loop, io::Fd fd) : stream_(loop, std::move(fd)) {}

  io::Task<Result<>> send(const WebRequest& request, Deadline deadline, std::stop_token stop) {
    std::string head;
    io::http1::Writer writer(head);
    writer.request_line(request.method, request.target);
    for (const auto& [name, value] : request.headers) (void)writer.field(name, value);
    bool bodiless = request.body.empty() && (request.method == "GET" || request.method == "HEAD");
    if (!bodiless) writer.field("content-length", request.body.size());
    writer.end_head();
    reader_ = Reader(Reader::Side::responses, head_limits);
    asked_head_ = request.method == "HEAD";
    auto sent = co_await stream_.write_all(head, request.body, deadline, stop);
    io::acknowledge_at_once(stream_.fd());
    co_return sent;
  }

  // Status and headers; interim responses are passed over.
  io::Task<Result<WebResponse>> head(Deadline deadline, std::stop_token stop) {
    while (true) {
      auto read = reader_.read_head(input_);
      if (!read) co_return fail(ErrorKind::corrupt, read.error().text);
      if (*read == 0) {
        CO_TRY(co_await more(deadline, stop));
        if (ended_) co_return fail(ErrorKind::unavailable, "the connection ended");
        continue;
      }
      const auto& head = reader_.head();
      WebResponse out;
      out.status = head.status;
      keep_alive_ = head.keep_alive;
      for (const auto& field : head.fields) {
        out.headers.emplace_back(field.name, field.value);
      }
      if (asked_head_) reader_.expect_no_body();
      input_.erase(0, *read);
      if (out.status >= 200 || out.status == 101) co_return out;
      reader_.reset();
    }
  }

  // The next bytes of the body; empty: it has ended.
  io::Task<Result<std::string>> body(Deadline deadline, std::stop_token stop) {
    while (!reader_.body_complete()) {
      auto piece = reader_.read_body(input_);
      if (!piece) co_return fail(ErrorKind::corrupt, piece.error().text);
      std::string data(piece->data);
      input_.erase(0, piece->consumed);
      if (!data.empty()) co_return data;
      if (piece->end || reader_.body_complete()) break;
      if (piece->consumed > 0 && !input_.empty()) continue;
      CO_TRY(co_await more(deadline, stop));
      if (ended_ && input_.empty()) {
        auto whole = reader_.end_of_stream();
        if (!whole) co_return fail(ErrorKind::unavailable, "the response breaks off");
        break;
      }
    }
    co_return std::string();
  }

  // Whether another request may follow on it.
  bool reusable() const { return keep_alive_ && !ended_ && input_.empty(); }
  // The program has ended it meanwhile, or says something that nobody asked for.
  bool stale() {
    std::array<char, 1> byte{};
    auto got = stream_.read_some(byte);
    return !got || got->has_value();
  }

 private:
  io::Task<Result<>> more(Deadline deadline, std::stop_token stop) {
    CO_TRY_ASSIGN(std::size_t got, co_await stream_.read(buffer_, deadline, stop));
    ended_ = got == 0;
    input_.append(buffer_.data(), got);
    co_return Result<>{};
  }

  io::Stream stream_;
  Reader reader_{Reader::Side::responses, head_limits};
  std::string input_;
  bool asked_head_ = false;
  bool keep_alive_ = false;
  bool ended_ = false;
  std::array<char, read_bytes> buffer_{};
};

class WebChannel final : public GuestChannel {
 public:
  WebChannel(io::Loop& loop, WebServer server, io::Fd listener, std::vector<io::Fd> sockets)
      : loop_(loop), server_(std::move(server)), sockets_(std::move(sockets)) {
    if (listener) api_ = make_runtime_api_channel(loop, std::move(listener));
  }

  io::Task<Result<InitReply>> wait_init(Deadline deadline) override;
  io::Task<Result<InvokeReply>> invoke(const InvokeRequest& request, Deadline deadline) override;
  void share(int) override {
    if (sockets_.size() < web_sockets(true)) return sockets_.clear();  // every call says so
    maker_.emplace(loop_, std::move(sockets_[0]), std::move(sockets_[1]));
    sockets_.clear();
  }
  void cancel() override {
    stop_.request_stop();
    if (api_) api_->cancel();
  }
  bool serve_extensions(ExtensionApi& api) override { return api_ && api_->serve_extensions(api); }

 private:
  io::Task<Result<>> wait_ready(Deadline deadline);
  io::Task<bool> is_ready(Deadline deadline);
  using Lease = std::unique_ptr<Connection>;
  io::Task<Result<Lease>> open(std::uint16_t port, Deadline deadline);
  io::Task<Result<Lease>> connect(Deadline deadline);
  void give_back(Lease connection);
  io::Task<Result<WebResponse>> exchange(Connection& over, const WebRequest& request,
                                         Deadline deadline);
  io::Task<Result<InvokeReply>> answer(Lease over, const InvokeRequest& event, WebForm form,
                                       WebResponse response, Deadline deadline);
  io::Task<Result<InvokeReply>> collect(Connection& from, WebForm form, WebResponse response,
                                        Deadline deadline);
  io::Task<Result<InvokeReply>> stream(Connection& from, const InvokeRequest& event, WebForm form,
                                       WebResponse response, Deadline deadline);
  io::Task<Result<std::string>> whole_body(Connection& from, std::size_t limit, Deadline deadline);
  // What an exchange failed by: by the end of the program, where that follows.
  io::Task<Error> cause(Error why, Deadline deadline);

  io::Loop& loop_;
  WebServer server_;
  std::vector<io::Fd> sockets_;           // the first is that of all connections, one at a time …
  std::optional<io::SocketMaker> maker_;  // … unless each has its own
  std::unique_ptr<GuestChannel> api_;
  std::stop_source stop_;
  struct Idle {
    Lease connection;
    MonoTime since;
  };
  std::vector<Idle> idle_;  // the one used last at the end
  bool ready_ = false;
};

io::Task<Result<WebChannel::Lease>> WebChannel::open(std::uint16_t port, Deadline deadline) {
  io::Fd made;
  if (maker_) {
    CO_TRY_ASSIGN(made, co_await maker_->make(deadline, stop_.get_token()));
  }
  if (!maker_ && sockets_.empty()) {
    co_return fail(ErrorKind::unavailable, "no socket of the jail's network");
  }
  const io::Fd& socket = maker_ ? made : sockets_.front();
  CO_TRY_ASSIGN(auto fd, co_await io::connect_over(loop_, socket, port, deadline));
  co_return std::make_unique<Connection>(loop_, std::move(fd));
}

io::Task<Result<WebChannel::Lease>> WebChannel::connect(Deadline deadline) {
  while (!idle_.empty()) {
    Idle last = std::move(idle_.back());
    idle_.pop_back();
    bool rested = loop_.now() - last.since >= server_.keep_alive;
    if (!rested && !last.connection->stale()) co_return std::move(last.connection);
  }
  co_return co_await open(server_.port, deadline);
}

io::Task<Error> WebChannel::cause(Error why, Deadline deadline) {
  bool ours = why.kind == ErrorKind::timeout || why.kind == ErrorKind::too_large;
  if (!ours && !stop_.stop_requested()) {
    co_await io::sleep_until(loop_, std::min(deadline, loop_.now() + end_grace), stop_.get_token());
  }
  if (stop_.stop_requested()) why = {ErrorKind::cancelled, "the channel was cancelled", {}};
  co_return why;
}

// After an exchange.
void WebChannel::give_back(Lease connection) {
  if (connection->reusable()) idle_.push_back({std::move(connection), loop_.now()});
}

io::Task<Result<std::string>> WebChannel::whole_body(Connection& from, std::size_t limit,
                                                     Deadline deadline) {
  std::string out;
  while (true) {
    CO_TRY_ASSIGN(auto part, co_await from.body(deadline, stop_.get_token()));
    if (part.empty()) co_return out;
    out += part;
    if (out.size() > limit) co_return std::unexpected(response_too_large());
  }
}

io::Task<bool> WebChannel::is_ready(Deadline deadline) {
  auto connected = co_await open(server_.ready_port, deadline);
  if (!connected || server_.ready_by_tcp) co_return connected.has_value();
  WebRequest probe;
  probe.method = "GET";
  probe.target = server_.ready_path;
  probe.headers = {{"host", fmt::format("127.0.0.1:{}", server_.ready_port)},
                   {"user-agent", "mayfly"},
                   {"connection", "close"}};
  auto response = co_await exchange(**connected, probe, deadline);
  if (response) (void)co_await whole_body(**connected, ready_answer_bytes, deadline);
  co_return response&& server_.healthy.contains(response->status);
}

io::Task<Result<>> WebChannel::wait_ready(Deadline deadline) {
  while (!co_await is_ready(deadline)) {
    if (stop_.stop_requested()) co_return fail(ErrorKind::cancelled, "the channel was cancelled");
    if (loop_.now() >= deadline) co_return fail(ErrorKind::timeout, "the web server is not ready");
    co_await io::sleep_for(loop_, ready_pause, stop_.get_token());
  }
  ready_ = true;
  co_return Result<>{};
}

io::Task<Result<InitReply>> WebChannel::wait_init(Deadline deadline) {
  Deadline until = deadline;
  if (server_.async_init) until = deadline - async_init_slack;
  bool bounded = !server_.async_init && server_.ready_time > Duration::zero();
  if (bounded) until = std::min(deadline, loop_.now() + server_.ready_time);
  auto ready = co_await wait_ready(until);
  InitReply reply;
  reply.ok = true;
  if (ready) co_return reply;
  if (ready.error().kind != ErrorKind::timeout) co_return std::unexpected(ready.error());
  if (server_.async_init) co_return reply;
  if (until == deadline) co_return std::unexpected(ready.error());
  reply.ok = false;
  reply.error_type = "Web.NotReady";
  reply.error_payload = error_json(
      reply.error_type,
      fmt::format("The web server on port {} was not ready within {:.3g} seconds",
                  server_.ready_port, std::chrono::duration<double>(server_.ready_time).count()));
  co_return reply;
}

io::Task<Result<WebResponse>> WebChannel::exchange(Connection& over, const WebRequest& request,
                                                   Deadline deadline) {
  auto sent = co_await over.send(request, deadline, stop_.get_token());
  // A server may answer, and end the connection, before it has read all of a body.
  auto response = co_await over.head(deadline, stop_.get_token());
  if (response || sent) co_return response;
  co_return std::unexpected(sent.error());
}

io::Task<Result<InvokeReply>> WebChannel::invoke(const InvokeRequest& event, Deadline deadline) {
  if (!ready_) {
    auto ready = co_await wait_ready(deadline);
    if (!ready) co_return std::unexpected(ready.error());
  }
  auto request = web_request(event, server_);
  if (!request) co_return failed("Web.InvalidEvent", request.error().message);
  auto connected = co_await connect(deadline);
  auto response = connected ? co_await exchange(**connected, *request, deadline)
                            : std::unexpected(connected.error());
  if (!response) {
    if (connected) connected->reset();
    Error error = co_await cause(std::move(response).error(), deadline);
    if (error.kind == ErrorKind::cancelled || error.kind == ErrorKind::timeout) {
      co_return std::unexpected(std::move(error));
    }
    co_return failed(connection_failed, fmt::format("The web server on port {} gives no answer: {}",
                                                    server_.port, error.message));
  }
  if (server_.errors.contains(response->status)) {
    co_return failed("Web.ErrorStatus",
                     fmt::format("The web server answers status {}", response->status));
  }
  co_return co_await answer(*std::move(connected), event, request->form, *std::move(response),
                            deadline);
}

io::Task<Result<InvokeReply>> WebChannel::answer(Lease over, const InvokeRequest& event,
                                                 WebForm form, WebResponse response,
                                                 Deadline deadline) {
  auto reply = server_.streams ? co_await stream(*over, event, form, std::move(response), deadline)
                               : co_await collect(*over, form, std::move(response), deadline);
  if (!reply) {
    over.reset();
    Error error = co_await cause(std::move(reply).error(), deadline);
    bool ours = error.kind == ErrorKind::cancelled || error.kind == ErrorKind::timeout ||
                error.kind == ErrorKind::too_large;
    if (ours) co_return std::unexpected(std::move(error));
    co_return failed(connection_failed,
                     fmt::format("The response of the web server on port {} is not whole: {}",
                                 server_.port, error.message));
  }
  give_back(std::move(over));
  co_return reply;
}

io::Task<Result<InvokeReply>> WebChannel::collect(Connection& from, WebForm form,
                                                  WebResponse response, Deadline deadline) {
  CO_TRY_ASSIGN(response.body, co_await whole_body(from, response_max_bytes, deadline));
  InvokeReply reply;
  reply.content_type = "application/json";
  reply.payload = web_answer(form, std::move(response));
  if (reply.payload.size() > response_max_bytes) co_return std::unexpected(response_too_large());
  co_return reply;
}

io::Task<Result<InvokeReply>> WebChannel::stream(Connection& from, const InvokeRequest& event,
                                                 WebForm form, WebResponse response,
                                                 Deadline deadline) {
  InvokeReply reply;
  reply.streamed = true;
  std::string prelude;
  if (form == WebForm::pass_through) {
    reply.content_type = "application/octet-stream";
    for (const auto& [name, value] : response.headers) {
      if (io::http1::equals_ignoring_case(name, "content-type")) reply.content_type = value;
    }
  } else {
    reply.content_type = web_prelude_type;
    prelude = web_prelude(response);
  }
  if (!event.stream) {
    CO_TRY_ASSIGN(auto body, co_await whole_body(from, response_max_bytes, deadline));
    reply.payload = std::move(prelude) + body;
    co_return reply;
  }
  auto to = event.stream;
  to->begin(reply.content_type);
  to->flow.push(prelude);
  std::uint64_t pushed = prelude.size();
  while (true) {
    auto part = co_await from.body(deadline, stop_.get_token());
    if (!part) co_return std::unexpected(part.error());
    if (part->empty()) break;
    to->flow.push(*part);
    pushed += part->size();
    if (pushed > limits::stream_response_bytes) {
      Error error = response_too_large(limits::stream_response_bytes);
      to->flow.break_off(error);
      co_return std::unexpected(std::move(error));
    }
    if (to->flow.waiting() < 2 * limits::stream_window_bytes) continue;
    std::uint64_t enough = to->flow.taken() + to->flow.waiting() - limits::stream_window_bytes;
    CO_TRY(io::to_result(co_await to->flow.wait_taken(enough, deadline, stop_.get_token()),
                         "the caller to take the answer"));
  }
  to->flow.end();
  co_return reply;
}

}  // namespace

std::unique_ptr<GuestChannel> make_web_channel(io::Loop& loop, WebServer server, io::Fd listener,
                                               std::vector<io::Fd> sockets) {
  return std::make_unique<WebChannel>(loop, std::move(server), std::move(listener),
                                      std::move(sockets));
}

}  // namespace mayfly::guest
