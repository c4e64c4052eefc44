#include "guard/policy_document.h"

#include <doctest/doctest.h>

using namespace mayfly;
using namespace mayfly::guard;

namespace {

std::string statement(std::string_view more) {
  return fmt::format(R"({{"Version":"2012-10-17","Statement":{{"Effect":"Allow","Principal":"*",)"
                     R"("Action":"sns:Publish","Resource":"arn:r"{}}}}})",
                     more);
}

}  // namespace

TEST_CASE("policy documents: one statement for each principal, action and resource") {
  auto read = read_policy(
      R"({"Statement":[{"Sid":"s","Effect":"Deny","Principal":{"AWS":["1","2"],"Service":"x"},)"
      R"("Action":["a","b"],"Resource":["r"]}]})");
  REQUIRE(read);
  CHECK(read->size() == 6);
  CHECK_FALSE(read->front().allow);
  CHECK(read->front().sid == "s");
  CHECK(read_policy("")->empty());
}

TEST_CASE("policy documents: conditions that are known, and those that are not") {
  auto of = [](std::string_view condition) {
    return *read_policy(statement(fmt::format(R"(,"Condition":{})", condition)));
  };
  CHECK(of(R"({"ArnLike":{"aws:SourceArn":"arn:s"}})").front().source_arn == "arn:s");
  CHECK(of(R"({"StringEquals":{"AWS:SourceAccount":"1"}})").front().source_account == "1");
  CHECK(of(R"({"Bool":{"aws:SecureTransport":"true"}})").size() == 1);
  // Nobody is let in by what is not understood.
  CHECK(of(R"({"IpAddress":{"aws:SourceIp":"10.0.0.0/8"}})").empty());
  CHECK(of(R"({"ArnLike":{"aws:SourceArn":["a","b"]}})").empty());
}

TEST_CASE("policy documents: what is none") {
  for (const auto& text :
       {std::string("{"), std::string("[]"), std::string("{}"), statement(R"(,"NotAction":"a")"),
        std::string(R"({"Statement":[{"Effect":"Maybe","Principal":"*","Action":"a"}]})"),
        std::string(R"({"Statement":[{"Effect":"Allow","Action":"a","Resource":"r"}]})")}) {
    CAPTURE(text);
    auto read = read_policy(text);
    REQUIRE_FALSE(read);
    CHECK(read.error().kind == ErrorKind::invalid);
  }
}

TEST_CASE("policy documents: edited by label") {
  Grant grant{.id = "id",
              .label = "one",
              .accounts = {"111111111111", "222222222222"},
              .actions = {"SNS:Publish"},
              .resource = "arn:r",
              .statements_max = 2};
  auto text = with_permission("", grant);
  REQUIRE(text);
  auto read = read_policy(*text);
  REQUIRE(read->size() == 2);
  CHECK(read->back().principal == "arn:aws:iam::222222222222:root");
  CHECK(with_permission(*text, grant).error().kind == ErrorKind::already_exists);
  grant.label = "two";
  text = with_permission(*text, grant);
  REQUIRE(text);
  grant.label = "three";
  CHECK(with_permission(*text, grant).error().kind == ErrorKind::too_large);
  CHECK(with_permission("{", grant).error().kind == ErrorKind::invalid);
  CHECK(without_permission(*text, "three").error().kind == ErrorKind::not_found);
  text = without_permission(*text, "one");
  REQUIRE(text);
  CHECK(without_permission(*text, "two")->empty());
}

TEST_CASE("policy documents: accounts") {
  CHECK(is_account("123456789012"));
  CHECK_FALSE(is_account("12345678901"));
  CHECK_FALSE(is_account("12345678901x"));
}
