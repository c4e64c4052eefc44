// Buckets as targets: what other resources put into them.
#include "services/s3/fixture_test.h"

using namespace mayfly;
using namespace mayfly::services::s3;
using test::Bench;

namespace {

constexpr const char* arn = "arn:aws:s3:::home";

events::Sender sender(const std::string& account) {
  return {.service = "lambda.amazonaws.com",
          .source_arn = "arn:aws:lambda:us-east-1:" + account + ":function:f",
          .account = AccountId(account),
          .role_arn = "arn:aws:iam::" + account + ":role/r"};
}

events::Delivery record(const std::string& key, std::string payload) {
  return {.arn = arn,
          .payload = std::move(payload),
          .sender = sender("123456789012"),
          .trace_header = "Root=1-x;Lineage=a:2",
          .subject = key};
}

ErrorKind refused(Bench& bench, events::Delivery delivery) {
  auto out = bench.loop.run_until(bench.house->target().push(std::move(delivery)));
  REQUIRE(!out);
  return out.error().kind;
}

}  // namespace

TEST_CASE("buckets as targets: what is pushed is an object, with its notifications") {
  Bench bench;
  bench.make("home");
  bench.tell_bus();
  for (const auto& payload : {std::string("{}"), std::string(100'000, 'x')}) {
    auto out =
        bench.loop.run_until(bench.house->target().push(record("aws/lambda/async/f/1", payload)));
    REQUIRE_MESSAGE(out, out.error().message);
    CHECK(bench.get("aws/lambda/async/f/1") == payload);
    bench.restart();
    CHECK(bench.get("aws/lambda/async/f/1") == payload);
  }
  REQUIRE(bench.target.taken.size() == 2);
  CHECK(bench.target.taken[1].trace_header == "Root=1-x;Lineage=a:2");
  auto detail = *wire::parse_json(bench.target.taken[1].payload);
  CHECK(detail.at({"object", "key"})->string_value() == "aws/lambda/async/f/1");
  CHECK(detail.string_or("reason") == "PutObject");
}

TEST_CASE("buckets as targets: who may not, what is not there, what has no key, a full disk") {
  Bench bench;
  bench.make("home");
  auto& target = bench.house->target();
  CHECK(target.check(arn, sender("123456789012")));
  CHECK(target.check(arn, sender("999999999999")).error().kind == ErrorKind::denied);
  CHECK(target.check("arn:aws:s3:::none", sender("123456789012")).error().kind ==
        ErrorKind::not_found);
  auto other = record("k", "1");
  other.sender = sender("999999999999");
  CHECK(refused(bench, std::move(other)) == ErrorKind::denied);
  auto nowhere = record("k", "1");
  nowhere.arn = "arn:aws:s3:::none";
  CHECK(refused(bench, std::move(nowhere)) == ErrorKind::not_found);
  CHECK(refused(bench, record("", "1")) == ErrorKind::invalid);
  bench.disk.fail_writes_with = Error{ErrorKind::unavailable, "the disk is full", {}};
  CHECK(refused(bench, record("k", std::string(100'000, 'x'))) == ErrorKind::unavailable);
  bench.disk.fail_writes_with.reset();
  bench.settle();
  CHECK(bench.files() == 0);
  CHECK(bench.code("GetObject", Bench::getting("k")) == "NoSuchKey");
}
