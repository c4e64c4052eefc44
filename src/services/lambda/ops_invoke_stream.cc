// InvokeWithResponseStream: the answer as an event stream, while the function makes it.
#include "services/lambda/invoke_input.h"
#include "services/lambda/runnable.h"
#include "services/lambda/service.h"
#include "services/lambda/text.h"
#include "wire/event_stream.h"

namespace mayfly::lambda {

namespace {

std::string complete_json(const events::Outcome& outcome, bool want_log) {
  std::string out = "{";
  auto add = [&out](std::string_view name, std::string_view value) {
    out += fmt::format("{}\"{}\":{}", out.size() > 1 ? "," : "", name, json_quoted(value));
  };
  if (outcome.kind == events::Outcome::Kind::function_error) {
    add("ErrorCode", outcome.error_type.empty() ? "Function.Unknown" : outcome.error_type);
    add("ErrorDetails", outcome.payload);
  }
  if (want_log) add("LogResult", base64(outcome.log_tail));
  return out + "}";
}

// PayloadChunk…, InvokeComplete. A function that fails ends the stream properly, by saying so; it
// breaks off only where the call itself was given up.
class EventStream final : public io::BodySource {
 public:
  EventStream(std::shared_ptr<invoke::StreamedCall> call, bool want_log)
      : call_(std::move(call)), want_log_(want_log) {}
  ~EventStream() override { call_->answer.flow.leave(); }

  io::Task<Result<std::string>> next(std::stop_token stop) override {
    std::string out;
    if (complete_) co_return out;
    if (call_->answer.begun) {
      auto part = co_await call_->answer.flow.next(stop);
      if (part && !part->empty()) {
        wire::append_event(out, "PayloadChunk", "application/octet-stream", *part);
        co_return out;
      }
    }
    CO_TRY(io::to_result(co_await call_->ended.wait(no_deadline, stop), "the end of a call"));
    if (!*call_->result) co_return std::unexpected((*call_->result).error());
    complete_ = true;
    wire::append_event(out, "InvokeComplete", "application/json",
                       complete_json(**call_->result, want_log_));
    co_return out;
  }

 private:
  std::shared_ptr<invoke::StreamedCall> call_;
  bool want_log_;
  bool complete_ = false;
};

}  // namespace

Service::Answer Service::invoke_with_response_stream(Call& call, Record input) {
  model::InvokeWithResponseStreamRequest in(std::move(input));
  std::string_view payload = in.payload().value_or("");
  CO_TRY_ASSIGN(FunctionRef ref, named(call, in.function_name(), in.qualifier()));
  CO_TRY(check_size(ref, Kept::sync, payload.size(), "InvokeWithResponseStream"));
  CO_TRY(require_qualifier(ref));
  CO_TRY(check_tenant(ref, in.tenant_id()));
  if (!payload.empty()) {
    CO_TRY(check_payload(payload));
  }
  invoke::Request request;
  request.event.id = call.request_id;
  request.event.payload = payload.empty() ? "{}" : std::string(payload);
  request.event.tenant_id = in.tenant_id().value_or("");
  CO_TRY_ASSIGN(request.event.client_context, read_client_context(in.client_context()));
  std::string_view type = in.invocation_type().value_or("RequestResponse");
  model::InvokeWithResponseStreamResponse out;
  if (type == "DryRun") {
    out.set_status_code(204);
    co_return std::move(out).take();
  }
  if (type != "RequestResponse") {
    co_return refuse(constraint(type, "invocationType",
                                "Member must satisfy enum value set: [RequestResponse, DryRun]"));
  }
  bool want_log = in.log_type().value_or("") == "Tail";
  CO_TRY_ASSIGN(Invocation ready, co_await prepare(ref, call.deadline));
  request.invoked_arn = ready.invoked_arn;
  request.want_log_tail = want_log;
  request.caller = calling_function(call);
  auto running = deps_.invoker.invoke_streaming(std::move(ready.runnable), std::move(request));
  co_await running->answer.head.wait();
  if (!running->answer.begun && !*running->result) {
    co_return refuse(platform_error((*running->result).error()));
  }
  out.set_status_code(200).set_executed_version(ready.version);
  call.stream = std::make_unique<EventStream>(std::move(running), want_log);
  co_return std::move(out).take();
}

}  // namespace mayfly::lambda
