#include "guest/lambda/api_calls.h"

#include <algorithm>

#include "base/limits.h"
#include "guest/lambda/api_answers.h"

namespace mayfly::guest {

ApiCalls::~ApiCalls() {
  for (auto& call : calls_) let_go(call);
}

// The stream outlives the call: nothing of it leads back here any more.
void ApiCalls::let_go(Call& call) {
  if (call.stream) call.stream->flow.on_take(nullptr);
  call.streaming = nullptr;
}

ApiCalls::Call* ApiCalls::find(std::string_view id) {
  auto found = std::ranges::find_if(
      calls_, [&](const Call& call) { return call.request.request_id == id && !call.reply; });
  return found == calls_.end() ? nullptr : &*found;
}

void ApiCalls::next(ApiConnection& from) {
  waiting_.push_back(&from);
  deliver();
}

void ApiCalls::deliver() {
  while (!undelivered_.empty() && !waiting_.empty()) {
    ApiConnection* to = waiting_.front();
    waiting_.erase(waiting_.begin());
    Call* call = undelivered_.front();
    undelivered_.pop_front();
    to->answer(event_answer(call->request));
  }
}

std::optional<ApiAnswer> ApiCalls::on_answer_head(const ApiRequest& request, std::string_view id) {
  Call* call = find(id);
  bool delivered = call != nullptr && std::ranges::find(undelivered_, call) == undelivered_.end();
  if (!delivered) return error_answer(400, "InvalidRequestID", "Invalid request ID");
  bool is_error = request.path.ends_with("/error");
  // An error may be told of while the streamed answer is still under way.
  if (call->answering && !(is_error && call->streaming != nullptr)) {
    return error_answer(403, "InvalidStateTransition", "This event is being answered already");
  }
  call->answering = true;
  if (is_error) return std::nullopt;
  auto refused = take_unknown_mode(request);
  if (!refused) return std::nullopt;
  finish(*call, std::move(refused->reply));
  return std::move(refused->answer);
}

bool ApiCalls::on_piece(ApiConnection& from, const ApiRequest& request, std::string_view id,
                        std::string_view bytes) {
  Call* call = find(id);
  if (call == nullptr || request.response_mode != "streaming" || !call->stream ||
      !request.path.ends_with("/response")) {
    return false;
  }
  if (call->streaming != nullptr && call->streaming != &from) return false;
  call->streaming = &from;
  push_piece(*call->stream, request, bytes, call->streamed);
  if (call->stream->flow.waiting() < 2 * limits::stream_window_bytes) return true;
  from.pause();
  call->stream->flow.on_take([call] {
    if (call->streaming != nullptr) call->streaming->resume();
  });
  return true;
}

void ApiCalls::response(ApiConnection& from, ApiRequest request, std::string_view id) {
  Call* call = find(id);
  if (call == nullptr) {
    return from.answer(error_answer(400, "InvalidRequestID", "Invalid request ID"));
  }
  call->streaming = nullptr;
  auto taken = take_response(std::move(request), call->stream.get(), call->streamed);
  finish(*call, std::move(taken.reply));
  from.answer(taken.answer);
}

void ApiCalls::error(ApiConnection& from, ApiRequest request, std::string_view id) {
  Call* call = find(id);
  if (call == nullptr) {
    return from.answer(error_answer(400, "InvalidRequestID", "Invalid request ID"));
  }
  auto taken = take_error(std::move(request));
  finish(*call, std::move(taken.reply));
  from.answer(taken.answer);
}

void ApiCalls::finish(Call& call, Result<InvokeReply> reply) {
  call.reply = std::move(reply);
  call.done.set();
  // What still comes of a stream that has failed is read away.
  ApiConnection* from = call.streaming;
  let_go(call);
  if (from != nullptr) from->resume();
}

void ApiCalls::on_closed(ApiConnection& connection) {
  std::erase(waiting_, &connection);
  for (auto& call : calls_) {
    if (call.streaming == &connection) let_go(call);
  }
}

io::Task<Result<InvokeReply>> ApiCalls::invoke(const InvokeRequest& request) {
  if (cancelled_) co_return fail(ErrorKind::cancelled, "the channel was cancelled");
  calls_.emplace_back(loop_, request);
  auto at = std::prev(calls_.end());
  undelivered_.push_back(&*at);
  deliver();
  co_await at->done.wait();
  std::erase(undelivered_, &*at);
  Result<InvokeReply> reply = fail(ErrorKind::cancelled, "the channel was cancelled");
  if (at->reply) reply = std::move(*at->reply);
  let_go(*at);
  calls_.erase(at);
  co_return reply;
}

void ApiCalls::cancel() {
  cancelled_ = true;
  for (auto& call : calls_) call.done.set();
}

}  // namespace mayfly::guest
