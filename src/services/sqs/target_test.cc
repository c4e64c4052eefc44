#include "services/sqs/target.h"

#include "guard/policy.h"
#include "services/sqs/feed.h"
#include "services/sqs/fixture_test.h"

using namespace mayfly;
using namespace mayfly::services::sqs;
using test::Bench;

namespace {

// Asks the policies of the queues themselves.
class PolicyGuard final : public guard::Guard {
 public:
  explicit PolicyGuard(const Queues& queues) : policies_(queues) {}
  Result<bool> precheck(const guard::SignedRequest&) override { return true; }
  Result<api::Caller> authenticate(const guard::SignedRequest&) override {
    return fail(ErrorKind::unauthenticated, "nobody");
  }
  guard::Decision authorize(const guard::Question& question) override {
    auto statements = policies_.statements(question.resource);
    return guard::decide(statements, question);
  }
  void set_resource_policies(guard::ResourcePolicies&) override {}
  guard::Credentials issue_role_credentials(const AccountId&, std::string_view, std::string_view,
                                            Duration) override {
    return {};
  }

 private:
  QueuePolicies policies_;
};

struct Pushing {
  Pushing() : guard(*b.queues), target(*b.queues, guard) {}
  events::Delivery delivery(std::string queue, std::string payload = "hello") {
    return {.arn = b.arn(queue),
            .payload = std::move(payload),
            .sender = {.service = "sns.amazonaws.com",
                       .source_arn = "arn:aws:sns:us-east-1:123456789012:t",
                       .account = b.scope.account,
                       .role_arn = ""},
            .trace_header = "Root=1"};
  }
  // "" or "KIND: MESSAGE".
  std::string push(events::Delivery delivery) {
    auto done = b.loop.run_until(target.push(std::move(delivery)));
    if (done) return "";
    return fmt::format("{}: {}", to_string(done.error().kind), done.error().message);
  }
  void allow(const std::string& url, const std::string& queue) {
    b.set(url, "Policy",
          fmt::format(R"({{"Version":"2012-10-17","Statement":[{{"Effect":"Allow",
      "Principal":{{"Service":"sns.amazonaws.com"}},"Action":"sqs:SendMessage","Resource":"{}",
      "Condition":{{"ArnEquals":{{"aws:SourceArn":"arn:aws:sns:us-east-1:123456789012:t"}}}}}}]}})",
                      b.arn(queue)));
  }
  Bench b;
  PolicyGuard guard;
  QueueTarget target;
};

}  // namespace

TEST_CASE("sqs target: a service needs the queue's policy, a role does not") {
  Pushing p;
  auto url = p.b.create("q");
  CHECK(p.push(p.delivery("q")).starts_with("denied: User: sns.amazonaws.com is not authorized"));
  CHECK(p.b.counts(url) == "0/0/0");
  p.allow(url, "q");
  CHECK(p.target.check(p.b.arn("q"), p.delivery("q").sender));
  CHECK(p.push(p.delivery("q")) == "");
  auto other = p.delivery("q");
  other.sender.source_arn = "arn:aws:sns:us-east-1:123456789012:other";
  CHECK(p.push(other).starts_with("denied"));
  other.sender.role_arn = "arn:aws:iam::123456789012:role/r";
  CHECK(p.push(other) == "");
  other.sender.role_arn = "arn:aws:iam::999999999999:role/r";
  CHECK(p.push(other).starts_with("denied"));
  auto got = p.b.receive(url);
  REQUIRE(got.size() == 2);
  CHECK(p.b.system(got[0], "SenderId") == "sns.amazonaws.com");
  CHECK(p.b.system(got[0], "AWSTraceHeader") == "Root=1");
}

TEST_CASE("sqs target: attributes, order and size are as a client's") {
  Pushing p;
  auto url = p.b.create("q.fifo");
  p.allow(url, "q.fifo");
  auto one = p.delivery("q.fifo");
  CHECK(p.push(one).find("needs a MessageGroupId") != std::string::npos);
  one.group_id = "g";
  CHECK(p.push(one).find("needs a MessageDeduplicationId") != std::string::npos);
  one.deduplication_id = "d";
  one.attributes = {{"color", "String", "red"}};
  CHECK(p.push(one) == "");
  CHECK(p.push(one) == "");
  auto taken = source_of(*p.b.queues, p.b.arn("q.fifo")).feed->take(10, SIZE_MAX);
  REQUIRE(taken->items.size() == 1);
  const auto& record = taken->items[0].record;
  CHECK(record.find(R"("MessageGroupId":"g")") != record.npos);
  CHECK(record.find(R"("stringValue":"red")") != record.npos);
  one.deduplication_id = "d2";
  one.payload = std::string(limits::sqs_message_bytes + 1, 'x');
  CHECK(p.push(one).starts_with("too_large"));
  one.payload = "\x01";
  CHECK(p.push(one).starts_with("invalid"));
  CHECK(p.push(p.delivery("none")).starts_with("not_found"));
}
