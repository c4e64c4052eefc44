#include "front/own_calls.h"

#include <doctest/doctest.h>

#include "api/s3.h"
#include "api/sqs.h"
#include "sim/manual_clock.h"

using namespace mayfly;

namespace {

// Allows the account's own callers alone.
class AccountGuard final : public guard::Guard {
 public:
  Result<api::Caller> authenticate(const guard::SignedRequest&) override { return api::Caller(); }
  Result<bool> precheck(const guard::SignedRequest&) override { return false; }
  guard::Decision authorize(const guard::Question& question) override {
    asked = fmt::format("{} {}", question.action, question.resource);
    if (question.caller.account == question.resource_account)
      return {.allowed = true, .reason = {}};
    return {.allowed = false, .reason = "not yours"};
  }
  void set_resource_policies(guard::ResourcePolicies&) override {}
  guard::Credentials issue_role_credentials(const AccountId&, std::string_view, std::string_view,
                                            Duration) override {
    return {};
  }
  std::string asked;
};

struct Bench {
  Bench() : loop(clock), calls(random) {
    calls.set_guard(guard);
    api::Service service;
    service.model = &api::sqs::model;
    service.handlers["SendMessage"] = [this](api::Call& call, wire::Record input) {
      return handle(call, std::move(input));
    };
    calls.add(std::move(service));
  }
  io::Task<api::ApiResult<wire::Record>> handle(api::Call& call, wire::Record input) {
    caller = call.caller.arn;
    body = api::sqs::SendMessageRequest(std::move(input)).message_body().value_or("");
    co_return wire::Record();
  }
  std::string code(std::string operation, std::string input, std::string service = "sqs") {
    api::OwnCall own{.service = std::move(service),
                     .operation = std::move(operation),
                     .input = std::move(input),
                     .caller = {},
                     .scope = {account, Region("us-east-1")}};
    own.caller.account = account;
    own.caller.arn = "arn:aws:sts::123456789012:assumed-role/r/scheduler";
    auto done = loop.run_until(calls.call(std::move(own)));
    return done ? "(success)" : done.error().code;
  }

  AccountId account{"123456789012"};
  sim::ManualClock clock;
  io::Loop loop;
  SystemRandom random;
  AccountGuard guard;
  front::OwnCalls calls;
  std::string caller, body;
};

}  // namespace

TEST_CASE("own calls: an operation by the names of SDKs, as its caller") {
  Bench b;
  CHECK(b.code("sendMessage", R"({"QueueUrl":"q","MessageBody":"hello"})") == "(success)");
  CHECK(b.body == "hello");
  CHECK(b.caller == "arn:aws:sts::123456789012:assumed-role/r/scheduler");
  CHECK(b.guard.asked.starts_with("sqs:SendMessage"));
  CHECK(b.code("SendMessage", R"({"QueueUrl":"q","MessageBody":"again"})") == "(success)");
  CHECK(b.body == "again");
}

TEST_CASE("own calls: what is refused") {
  Bench b;
  CHECK(b.code("sendMessage", R"({"QueueUrl":"q"})") == "ValidationException");
  CHECK(b.code("sendMessage", R"({"QueueUrl":"q","MessageBody":"x","Nothing":1})") ==
        "ValidationException");
  CHECK(b.code("sendMessage", "{") == "ValidationException");
  CHECK(b.code("sendNothing", "{}") == "ValidationException");
  CHECK(b.code("purgeQueue", "{}") == "NotImplementedException");
  CHECK(b.code("stopInstances", "{}", "ec2") == "NotImplementedException");
  CHECK(b.calls.check("sqs", "sendMessage").has_value());
  CHECK(!b.calls.check("sqs", "purgeQueue"));
  b.account = AccountId("210987654321");
  api::OwnCall other{.service = "sqs",
                     .operation = "sendMessage",
                     .input = R"({"QueueUrl":"q","MessageBody":"x"})",
                     .caller = {},
                     .scope = {b.account, Region("us-east-1")}};
  other.caller.account = AccountId("123456789012");
  auto done = b.loop.run_until(b.calls.call(std::move(other)));
  REQUIRE(!done.has_value());
  CHECK(done.error().code == "AccessDeniedException");
}

TEST_CASE("own calls: an operation that answers a stream") {
  Bench b;
  api::Service service;
  service.model = &api::s3::model;
  service.handlers["GetObject"] = [](api::Call& call,
                                     wire::Record) -> io::Task<api::ApiResult<wire::Record>> {
    call.stream_bytes = 7;
    co_return wire::Record(*call.operation.output);
  };
  b.calls.add(std::move(service));
  auto ask = [&b](std::string name, std::string operation, std::string input) {
    api::OwnCall own{.service = std::move(name),
                     .operation = std::move(operation),
                     .input = std::move(input),
                     .caller = {},
                     .scope = {b.account, Region("us-east-1")}};
    own.caller.account = b.account;
    return b.loop.run_until(b.calls.open(std::move(own)));
  };
  auto opened = ask("s3", "GetObject", R"({"Bucket":"b","Key":"a/k"})");
  REQUIRE(opened.has_value());
  CHECK(opened->call->stream_bytes == 7);
  CHECK(b.guard.asked == "s3:GetObject arn:aws:s3:::b/a/k");
  auto none = ask("sqs", "sendMessage", R"({"QueueUrl":"q","MessageBody":"x"})");
  REQUIRE(!none.has_value());
  CHECK(none.error().code == "ValidationException");
}
