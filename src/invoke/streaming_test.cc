// Calls whose answers are taken while they are made.
#include "invoke/house_for_tests.h"

using namespace mayfly;
using namespace mayfly::invoke;
using namespace mayfly::invoke::testing;

namespace {

// A guest that streams: a part, a wait for the jail's end or the deadline, and what comes of it.
io::Task<Result<guest::InvokeReply>> part_then_wait(sim::FakeInstance& instance,
                                                    guest::InvokeRequest request,
                                                    Deadline deadline) {
  auto stream = request.stream;
  REQUIRE(stream);
  stream->begin("text/plain");
  stream->flow.push("part");
  co_return std::unexpected(co_await sim::silence(instance.jail(), deadline));
}
io::Task<Result<guest::InvokeReply>> stream_whole(sim::FakeInstance&, guest::InvokeRequest request,
                                                  Deadline) {
  auto stream = request.stream;
  guest::InvokeReply reply;
  reply.streamed = true;
  if (stream) {
    stream->begin("text/plain");
    stream->flow.push("whole");
    // Longer than its client took.
    co_await stream->flow.wait_taken(5, no_deadline);
    stream->flow.end();
  } else {
    reply.payload = "whole";
  }
  co_return reply;
}

std::shared_ptr<StreamedCall> stream(House& house) {
  auto call = house.invoker->invoke_streaming(std::make_shared<const Runnable>(House::function()),
                                              House::request("r1"));
  house.loop.run_ready();
  return call;
}

std::string next(House& house, StreamedCall& call) {
  auto part = house.loop.run_until(call.answer.flow.next());
  return part ? *part : "broken";
}

}  // namespace

TEST_CASE("a streamed call lasts until its guest has ended it") {
  House house;
  house.launcher.script.invoke = stream_whole;
  house.start();
  auto call = stream(house);
  CHECK(call->answer.begun);
  CHECK(call->answer.content_type == "text/plain");
  CHECK_FALSE(call->result);
  CHECK(house.invoker->totals().busy == 1);
  house.pass(250ms);
  CHECK(next(house, *call) == "whole");
  CHECK(next(house, *call) == "");
  house.loop.run_ready();
  REQUIRE(call->result);
  REQUIRE(*call->result);
  const auto& outcome = **call->result;
  CHECK(outcome.kind == events::Outcome::Kind::ok);
  CHECK(outcome.streamed);
  CHECK(outcome.payload.empty());
  CHECK(outcome.log_tail.find("REPORT RequestId: r1\tDuration: 250.00 ms") != std::string::npos);
  REQUIRE(house.observer.invocations.size() == 1);
  CHECK(house.observer.invocations[0].duration == 250ms);
  CHECK(house.invoker->totals().busy == 0);
}

TEST_CASE("an answer that is not streamed is one part, an error none") {
  House house;
  house.start();
  auto call = stream(house);
  CHECK(call->answer.content_type == "application/json");
  CHECK(next(house, *call) == "{}");
  CHECK(next(house, *call) == "");
  REQUIRE(call->result);
  house.launcher.script.invoke = fail_handled;
  call = stream(house);
  CHECK_FALSE(call->answer.begun);
  CHECK(call->answer.head.is_set());
  REQUIRE(call->result);
  CHECK((*call->result)->kind == events::Outcome::Kind::function_error);
  CHECK((*call->result)->payload == R"({"errorType":"Error","errorMessage":"no"})");
}

TEST_CASE("time that runs out in the middle breaks the answer off and kills the guest") {
  House house;
  house.launcher.script.invoke = part_then_wait;
  house.start();
  auto call = stream(house);
  CHECK(next(house, *call) == "part");
  house.pass(3s);
  CHECK(next(house, *call) == "broken");
  REQUIRE(call->result);
  CHECK((*call->result)->error_type == "Sandbox.Timedout");
  CHECK(house.launcher.jails.at(0)->killed);
  CHECK(house.observer.invocations.at(0).outcome == InvocationOutcome::timeout);
  CHECK(house.observer.invocations.at(0).duration == 3s);
}

TEST_CASE("a guest that dies in the middle breaks the answer off") {
  House house;
  house.launcher.script.invoke = part_then_wait;
  house.start();
  auto call = stream(house);
  house.launcher.jails.at(0)->end({.code = -1, .signal = 9});
  house.loop.run_ready();
  CHECK(next(house, *call) == "part");
  CHECK(next(house, *call) == "broken");
  REQUIRE(call->result);
  CHECK((*call->result)->error_type == "Runtime.ExitError");
  CHECK((*call->result)->payload.find("signal: killed") != std::string::npos);
}

TEST_CASE("a client that leaves does not end the call") {
  House house;
  house.launcher.script.invoke = stream_whole;
  house.start();
  auto call = stream(house);
  call->answer.flow.leave();
  house.loop.run_ready();
  REQUIRE(call->result);
  CHECK((*call->result)->kind == events::Outcome::Kind::ok);
  // The same without anybody who holds the call.
  stream(house)->answer.flow.leave();
  house.loop.run_ready();
  CHECK(house.observer.invocations.size() == 2);
  CHECK(house.invoker->totals().busy == 0);
}

TEST_CASE("streamed calls are admitted like any other") {
  House house;
  house.settings.account_concurrency = 1;
  house.launcher.script.invoke = stream_whole;
  house.start();
  auto first = stream(house);
  auto second = stream(house);
  REQUIRE(second->result);
  REQUIRE_FALSE(*second->result);
  CHECK((*second->result).error().kind == ErrorKind::throttled);
  CHECK(second->answer.head.is_set());
  first->answer.flow.leave();
  house.loop.run_ready();
  CHECK(first->result);
}

TEST_CASE("a server that stops breaks off what still streams, and begins nothing") {
  House house;
  house.launcher.script.invoke = part_then_wait;
  house.start();
  auto call = stream(house);
  house.loop.run_until(house.invoker->close(house.loop.now()));
  REQUIRE(call->result);
  REQUIRE_FALSE(*call->result);
  CHECK((*call->result).error().kind == ErrorKind::unavailable);
  CHECK(next(house, *call) == "part");
  CHECK(next(house, *call) == "broken");
  auto late = stream(house);
  REQUIRE(late->result);
  CHECK_FALSE(*late->result);
}

TEST_CASE("a plain call of a guest that streams gets one answer") {
  House house;
  house.launcher.script.invoke = stream_whole;
  house.start();
  auto outcome = house.call(House::function());
  CHECK(outcome.payload == "whole");
  CHECK(outcome.streamed);
}
