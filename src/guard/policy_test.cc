#include "guard/policy.h"

#include <doctest/doctest.h>

using namespace mayfly;
using namespace mayfly::guard;

namespace {

constexpr std::string_view function = "arn:aws:lambda:us-east-1:111111111111:function:f";

api::Caller caller(api::Caller::Kind kind, std::string account, std::string arn) {
  api::Caller out;
  out.kind = kind;
  out.account = AccountId(std::move(account));
  out.arn = std::move(arn);
  return out;
}

PolicyStatement allow(std::string principal) {
  PolicyStatement out;
  out.principal = std::move(principal);
  out.action = "lambda:InvokeFunction";
  out.resource = function;
  return out;
}

const api::Caller root =
    caller(api::Caller::Kind::root, "111111111111", "arn:aws:iam::111111111111:root");
const api::Caller stranger =
    caller(api::Caller::Kind::root, "222222222222", "arn:aws:iam::222222222222:root");
const api::Caller session = caller(api::Caller::Kind::role_session, "222222222222",
                                   "arn:aws:sts::222222222222:assumed-role/app/me");
const api::Caller s3 = caller(api::Caller::Kind::service, "111111111111", "s3.amazonaws.com");
const api::Caller nobody;

Decision ask(const api::Caller& who, std::vector<PolicyStatement> statements,
             std::string_view source_arn = {}, std::string_view url_auth = {}) {
  return decide(statements, {who, "lambda:InvokeFunction", function, AccountId("111111111111"),
                             source_arn, url_auth});
}

}  // namespace

TEST_CASE("without a policy an account rules over its own resources alone") {
  CHECK(ask(root, {}).allowed);
  CHECK(!ask(stranger, {}).allowed);
  CHECK(!ask(session, {}).allowed);
  CHECK(!ask(s3, {}).allowed);
  CHECK(!ask(nobody, {}).allowed);
  CHECK(ask(stranger, {}).reason ==
        "User: arn:aws:iam::222222222222:root is not authorized to perform: lambda:InvokeFunction "
        "on resource: arn:aws:lambda:us-east-1:111111111111:function:f because no resource-based "
        "policy allows the lambda:InvokeFunction action");
}

namespace {

class Owner final : public ResourcePolicies {
 public:
  explicit Owner(bool denies) : denies_(denies) {}
  std::vector<PolicyStatement> statements(std::string_view) override {
    ++asked;
    return {};
  }
  bool may_deny(std::string_view) override { return denies_; }
  int asked = 0;

 private:
  bool denies_;
};

}  // namespace

TEST_CASE("whether a denial is possible is the owner's to say, and nobody's where there is none") {
  Owner allows(false);
  Owner denies(true);
  PoliciesByService all;
  all.add("lambda", allows);
  all.add("sqs", denies);
  CHECK_FALSE(all.may_deny(function));
  CHECK(all.may_deny("arn:aws:sqs:us-east-1:111111111111:q"));
  CHECK_FALSE(all.may_deny("arn:aws:logs:us-east-1:111111111111:log-group:g"));
  CHECK_FALSE(all.may_deny("*"));
}

TEST_CASE("who rules over a resource as its account") {
  auto may = [](const api::Caller& who) {
    return may_as_account(
        {who, "lambda:InvokeFunction", function, AccountId("111111111111"), {}, {}});
  };
  CHECK(may(root));
  CHECK_FALSE(may(stranger));
  CHECK_FALSE(may(session));
  CHECK_FALSE(may(s3));
  CHECK_FALSE(may(nobody));
}

TEST_CASE("principals") {
  struct Case {
    const char* principal;
    const api::Caller& who;
    bool allowed;
  };
  for (const auto& [principal, who, allowed] :
       {Case{"*", stranger, true}, Case{"*", nobody, true}, Case{"*", s3, true},
        Case{"222222222222", stranger, true}, Case{"222222222222", session, true},
        Case{"333333333333", stranger, false}, Case{"222222222222", nobody, false},
        Case{"arn:aws:iam::222222222222:root", session, true},
        Case{"arn:aws:iam::222222222222:role/path/app", session, true},
        Case{"arn:aws:iam::222222222222:role/ap", session, false},
        Case{"arn:aws:iam::333333333333:role/app", session, false},
        Case{"arn:aws:sts::222222222222:assumed-role/app/me", session, true},
        Case{"s3.amazonaws.com", s3, true}, Case{"sns.amazonaws.com", s3, false},
        Case{"111111111111", s3, false}, Case{"s3.amazonaws.com", stranger, false}}) {
    CAPTURE(principal);
    CAPTURE(who.arn);
    CHECK(ask(who, {allow(principal)}).allowed == allowed);
  }
}

TEST_CASE("actions and resources") {
  auto statement = allow("222222222222");
  statement.action = "lambda:GetFunction";
  CHECK(!ask(stranger, {statement}).allowed);
  statement.action = "lambda:Invoke*";
  CHECK(ask(stranger, {statement}).allowed);
  statement.resource = "arn:aws:lambda:us-east-1:111111111111:function:g";
  CHECK(!ask(stranger, {statement}).allowed);
  statement.resource = "arn:aws:lambda:*:111111111111:function:*";
  CHECK(ask(stranger, {statement}).allowed);
}

TEST_CASE("conditions on the source") {
  auto statement = allow("s3.amazonaws.com");
  statement.source_arn = "arn:aws:s3:::bucket*";
  CHECK(ask(s3, {statement}, "arn:aws:s3:::bucket-1").allowed);
  CHECK(!ask(s3, {statement}, "arn:aws:s3:::other").allowed);
  CHECK(!ask(s3, {statement}).allowed);
  statement.source_account = "111111111111";
  CHECK(ask(s3, {statement}, "arn:aws:s3:::bucket-1").allowed);
  statement.source_account = "222222222222";
  CHECK(!ask(s3, {statement}, "arn:aws:s3:::bucket-1").allowed);
  statement.source_arn = "arn:aws:sns:us-east-1:222222222222:t";
  CHECK(ask(s3, {statement}, "arn:aws:sns:us-east-1:222222222222:t").allowed);
}

TEST_CASE("conditions on function URLs and keys that no caller carries") {
  auto statement = allow("*");
  statement.function_url_auth_type = "NONE";
  CHECK(ask(nobody, {statement}, {}, "NONE").allowed);
  CHECK(!ask(nobody, {statement}, {}, "AWS_IAM").allowed);
  CHECK(!ask(nobody, {statement}).allowed);
  statement.function_url_auth_type.clear();
  statement.invoked_via_function_url = true;
  CHECK(ask(nobody, {statement}, {}, "NONE").allowed);
  CHECK(!ask(nobody, {statement}).allowed);
  statement = allow("*");
  statement.principal_org_id = "o-1";
  CHECK(!ask(stranger, {statement}).allowed);
  statement = allow("*");
  statement.event_source_token = "t";
  CHECK(!ask(stranger, {statement}).allowed);
}

TEST_CASE("an explicit deny wins, over the owner too") {
  auto denied = allow("*");
  denied.allow = false;
  CHECK(!ask(root, {denied}).allowed);
  CHECK(!ask(stranger, {allow("*"), denied}).allowed);
  CHECK(!ask(stranger, {denied, allow("*")}).allowed);
}

TEST_CASE("globs and ARN patterns") {
  CHECK(glob_match("a*c?", "abbcd"));
  CHECK(!glob_match("a*c?", "abbc"));
  CHECK(glob_match("**", ""));
  CHECK(!glob_match("", "a"));
  CHECK(glob_match("*a*b*a*", "xxaxxbxxaxx"));
  CHECK(arn_like("arn:aws:s3:::b*", "arn:aws:s3:::b/x:y"));
  CHECK(!arn_like("arn:*:b", "arn:aws:s3:::b"));
  CHECK(!arn_like("arn:aws:sns:*:111111111111:t", "arn:aws:sns:us-east-1:222222222222:t"));
  CHECK(!arn_like("*", "arn:aws:s3:::b"));
}
