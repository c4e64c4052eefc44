#include "guest/lambda/api_connection.h"

#include "base/limits.h"
#include "guest/lambda/errors.h"

namespace mayfly::guest {

ApiConnection::ApiConnection(io::Loop& loop, io::Fd fd, Handler& handler)
    : handler_(handler),
      reader_(io::http1::Reader::Side::requests, {.head_bytes = limits::runtime_api_head_bytes,
                                                  .field_count = limits::http_header_count,
                                                  .target_bytes = limits::http_target_bytes}),
      duplex_(loop, std::move(fd), *this) {}

void ApiConnection::on_bytes(std::string_view bytes) {
  if (phase_ == Phase::body) {
    take_body(bytes);
  } else {
    input_ += bytes;
    // Requests sent ahead wait for their turn, within the size of one head.
    if (phase_ == Phase::answering && input_.size() > limits::runtime_api_head_bytes) {
      duplex_.finish();
      return;
    }
  }
  read_heads();
}

void ApiConnection::read_heads() {
  if (busy_) return;
  busy_ = true;
  while (phase_ == Phase::head && !input_.empty()) {
    auto head_bytes = reader_.read_head(input_);
    if (!head_bytes) {
      refuse(head_bytes.error());
      break;
    }
    if (*head_bytes == 0) break;
    start_request(*head_bytes);
  }
  busy_ = false;
}

void ApiConnection::start_request(std::size_t head_bytes) {
  const auto& head = reader_.head();
  request_ = {};
  request_.method = head.method;
  request_.path = head.path;
  request_.content_type = head.field("Content-Type");
  request_.error_type = head.field("Lambda-Runtime-Function-Error-Type");
  request_.response_mode = head.field("Lambda-Runtime-Function-Response-Mode");
  request_.extension_name = head.field("Lambda-Extension-Name");
  request_.extension_id = head.field("Lambda-Extension-Identifier");
  request_.extension_features = head.field("Lambda-Extension-Accept-Feature");
  request_.extension_error_type = head.field("Lambda-Extension-Function-Error-Type");
  keep_alive_ = head.keep_alive;
  bool has_body = head.framing != io::http1::Framing::none;
  bool send_continue = head.expects_continue && has_body;
  phase_ = Phase::body;
  refusal_ = handler_.on_head(request_);
  if (send_continue) duplex_.send("HTTP/1.1 100 Continue\r\n\r\n");
  std::string rest = std::move(input_);
  input_.clear();
  take_body(std::string_view(rest).substr(head_bytes));
}

void ApiConnection::take_body(std::string_view bytes) {
  while (!reader_.body_complete()) {
    if (bytes.empty()) return;
    auto piece = reader_.read_body(bytes);
    if (!piece) {
      cut_off();
      return;
    }
    bytes.remove_prefix(piece->consumed);
    if (!refusal_ && !piece->data.empty() && handler_.on_piece(*this, request_, piece->data)) {
      // Its own limits hold.
    } else if (request_.body.size() + piece->data.size() > handler_.body_max_bytes()) {
      request_.oversized = true;
      request_.body = {};
    } else if (!refusal_ && !request_.oversized) {
      request_.body += piece->data;
    }
    if (piece->end) break;
  }
  for (const auto& [name, value] : reader_.trailers()) {
    if (io::http1::equals_ignoring_case(name, "Lambda-Runtime-Function-Error-Type")) {
      request_.trailer_error_type = value;
    } else if (io::http1::equals_ignoring_case(name, "Lambda-Runtime-Function-Error-Body")) {
      request_.trailer_error_body = value;
    }
  }
  input_ += bytes;
  complete();
}

void ApiConnection::complete() {
  duplex_.unpause();
  phase_ = Phase::answering;
  reader_.reset();
  if (refusal_) {
    auto refusal = *std::move(refusal_);
    refusal_.reset();
    answer(refusal);
  } else {
    handler_.on_request(*this, std::move(request_));
  }
}

void ApiConnection::answer(const ApiAnswer& answer) {
  if (phase_ != Phase::answering) return;
  std::string out;
  out.reserve(512 + answer.body.size());
  io::http1::Writer writer(out);
  writer.status_line(answer.status);
  if (!answer.content_type.empty()) writer.field("Content-Type", answer.content_type);
  for (const auto& [name, value] : answer.fields) writer.field(name, value);
  writer.field("Content-Length", answer.body.size());
  if (!keep_alive_) writer.field("Connection", "close");
  writer.end_head();
  out += answer.body;
  duplex_.send(std::move(out));
  if (!keep_alive_) {
    duplex_.finish();
    return;
  }
  phase_ = Phase::head;
  read_heads();
}

void ApiConnection::refuse(const io::http1::Refusal& refusal) {
  keep_alive_ = false;
  phase_ = Phase::answering;
  answer(
      {.status = refusal.status, .fields = {}, .body = error_json("InvalidRequest", refusal.text)});
}

void ApiConnection::cut_off() {
  request_.truncated = true;
  keep_alive_ = false;
  complete();
}

void ApiConnection::on_end() {
  if (phase_ == Phase::body) cut_off();
  handler_.on_closed(*this);
}

}  // namespace mayfly::guest
