#include "services/lambda/url_stream.h"

#include "base/limits.h"
#include "services/lambda/url_event.h"

namespace mayfly::lambda {

namespace {

// The bytes behind the prelude that came with it, then the flow.
class UrlBody final : public io::BodySource {
 public:
  UrlBody(std::shared_ptr<invoke::StreamedCall> call, std::string first)
      : call_(std::move(call)), first_(std::move(first)) {}
  ~UrlBody() override { call_->answer.flow.leave(); }

  io::Task<Result<std::string>> next(std::stop_token stop) override {
    if (!first_.empty()) co_return std::exchange(first_, {});
    co_return co_await call_->answer.flow.next(std::move(stop));
  }

 private:
  std::shared_ptr<invoke::StreamedCall> call_;
  std::string first_;
};

RawResponse failed(const invoke::StreamedCall& call) {
  bool throttled =
      call.result && !*call.result && (*call.result).error().kind == ErrorKind::throttled;
  return throttled ? url_error(429, "Too Many Requests") : url_error(502, "Internal Server Error");
}

struct Prelude {
  std::optional<wire::Json> parts;  // nothing: none came, or it is no JSON object
  std::string rest;
};

io::Task<Prelude> read_prelude(std::shared_ptr<invoke::StreamedCall> call) {
  Prelude out;
  std::string bytes;
  while (true) {
    auto part = co_await call->answer.flow.next();
    if (!part || part->empty()) co_return out;
    // The end mark may have come in two pieces.
    std::size_t from = bytes.size() - std::min(bytes.size(), url_prelude_end.size() - 1);
    bytes += *part;
    auto end = bytes.find(url_prelude_end, from);
    if (std::min(end, bytes.size()) > limits::stream_prelude_bytes) co_return out;
    if (end == bytes.npos) continue;
    auto parsed = wire::parse_json(std::string_view(bytes).substr(0, end));
    if (parsed && parsed->is_object()) out.parts = *std::move(parsed);
    out.rest = bytes.substr(end + url_prelude_end.size());
    co_return out;
  }
}

}  // namespace

io::Task<RawResponse> url_stream(std::shared_ptr<invoke::StreamedCall> call) {
  co_await call->answer.head.wait();
  if (!call->answer.begun) co_return failed(*call);
  RawResponse out;
  std::string first;
  if (call->answer.content_type == url_prelude_type) {
    auto prelude = co_await read_prelude(call);
    auto head = prelude.parts ? url_head(*prelude.parts) : std::nullopt;
    if (!head) {
      call->answer.flow.leave();
      co_return failed(*call);
    }
    out = std::move(*head);
    first = std::move(prelude.rest);
  } else {
    out.headers.emplace_back("Content-Type", call->answer.content_type);
  }
  out.stream = std::make_unique<UrlBody>(std::move(call), std::move(first));
  co_return out;
}

}  // namespace mayfly::lambda
