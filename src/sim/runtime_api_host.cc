// Test program: serves our Runtime API to any runtime client from the outside, without a sandbox
// (tests/guests/run.py --ric). Prints "LISTENING address"; each line of standard input is an event
//   {"payload":"…","id":"…","arn":"…","trace":"…","client":"…","identity":"…","deadline_ms":0}
// and each outcome one line of JSON; before the first, the init's. With "stream":true each part of
// a streamed answer comes before its outcome, as {"part":"…"}, and then {"whole":true or false}.
#include <iostream>

#include "guest/channel.h"
#include "io/park.h"
#include "wire/json.h"

namespace {

using namespace mayfly;

void print(const wire::Json& json) { std::cout << json.dump() << std::endl; }

wire::Json describe(const Result<guest::InvokeReply>& reply) {
  if (!reply) {
    return wire::Json::object({{"failure", std::string(to_string(reply.error().kind))},
                               {"message", reply.error().message}});
  }
  return wire::Json::object({{"is_error", reply->is_error},
                             {"error_type", reply->error_type},
                             {"content_type", reply->content_type},
                             {"payload", reply->payload}});
}

guest::InvokeRequest request_of(const wire::Json& line) {
  guest::InvokeRequest out;
  out.request_id = line.string_or("id", "req-1");
  out.payload = line.string_or("payload");
  out.invoked_function_arn = line.string_or("arn");
  out.trace_header = line.string_or("trace");
  out.client_context = line.string_or("client");
  out.cognito_identity = line.string_or("identity");
  out.tenant_id = line.string_or("tenant");
  out.deadline_epoch_ms = line.int_or("deadline_ms", 0);
  return out;
}

io::Task<std::optional<std::string>> read_line(io::Stream& input, std::string& left) {
  while (true) {
    if (auto end = left.find('\n'); end != std::string::npos) {
      std::string line = left.substr(0, end);
      left.erase(0, end + 1);
      co_return line;
    }
    std::array<char, 4096> chunk{};
    auto got = co_await input.read(chunk, no_deadline);
    if (!got || *got == 0) co_return std::nullopt;
    left.append(chunk.data(), *got);
  }
}

io::Task<void> keep(guest::GuestChannel& channel, guest::InvokeRequest request, Deadline deadline,
                    std::optional<Result<guest::InvokeReply>>& out) {
  auto stream = request.stream;
  out = co_await channel.invoke(std::move(request), deadline);
  // As the invoker does when a call has ended.
  if (stream) stream->flow.break_off({ErrorKind::unavailable, "not whole", {}});
}

io::Task<void> answer_streaming(io::Loop& loop, guest::GuestChannel& channel,
                                guest::InvokeRequest request, Deadline deadline) {
  auto stream = std::make_shared<guest::AnswerStream>(loop);
  request.stream = stream;
  io::TaskScope scope(loop);
  std::optional<Result<guest::InvokeReply>> reply;
  scope.spawn(keep(channel, std::move(request), deadline, reply));
  while (true) {
    auto part = co_await stream->flow.next();
    if (part && !part->empty()) {
      print(wire::Json::object({{"part", *part}}));
      continue;
    }
    if (stream->begun) print(wire::Json::object({{"whole", part.has_value()}}));
    break;
  }
  co_await scope.drain(no_deadline);
  print(describe(*reply));
}

}  // namespace

int main() {
  SystemClock clock;
  io::Loop loop(clock);
  auto listener = io::listen_tcp("127.0.0.1", 0);
  if (!listener) return 1;
  std::string address = io::address_of(*listener);
  auto channel = guest::make_runtime_api_channel(loop, *std::move(listener));
  std::cout << "LISTENING " << address << std::endl;
  constexpr auto patience = std::chrono::seconds(20);
  auto init = loop.run_until(channel->wait_init(clock.mono() + patience));
  if (!init) {
    print(wire::Json::object({{"failure", std::string(to_string(init.error().kind))}}));
    return 1;
  }
  print(wire::Json::object(
      {{"init", init->ok}, {"error_type", init->error_type}, {"payload", init->error_payload}}));
  // Read on the loop: the runtime is served while nothing comes.
  io::Stream input(loop, io::Fd(0));
  std::string left;
  while (auto line = loop.run_until(read_line(input, left))) {
    auto json = wire::parse_json(*line);
    if (!json) return 1;
    if (json->bool_or("stream", false)) {
      loop.run_until(answer_streaming(loop, *channel, request_of(*json), clock.mono() + patience));
      continue;
    }
    print(describe(loop.run_until(channel->invoke(request_of(*json), clock.mono() + patience))));
  }
  return 0;
}
