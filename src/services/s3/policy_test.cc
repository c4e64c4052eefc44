// Policies of buckets: who may, and who may not.
#include "services/s3/fixture_test.h"

using namespace mayfly;
using namespace mayfly::services::s3;
using test::Bench;

namespace {

const AccountId owner{"123456789012"};
const AccountId other{"999999999999"};

std::string statement(const std::string& effect, const std::string& principal,
                      const std::string& action, const std::string& resource) {
  return fmt::format(
      R"({{"Effect":"{}","Principal":{},"Action":"{}","Resource":"arn:aws:s3:::{}"}})", effect,
      principal, action, resource);
}

std::string document(const std::string& statements) {
  return R"({"Version":"2012-10-17","Statement":[)" + statements + "]}";
}

std::string put_policy(Bench& bench, const std::string& policy) {
  return bench.code("PutBucketPolicy",
                    model::PutBucketPolicyRequest().set_bucket("home").set_policy(policy));
}

constexpr const char* them = R"({"AWS":"999999999999"})";

}  // namespace

TEST_CASE("policies: another account may what it is allowed, also after a restart") {
  Bench bench;
  bench.make("home");
  bench.put("in/k", "1");
  bench.put("out/k", "1");
  CHECK(put_policy(bench, document(statement("Allow", them, "s3:GetObject", "home/in/*") + "," +
                                   statement("Allow", them, "s3:DeleteObject", "home/in/*"))) ==
        "(success)");
  bench.restart();
  bench.account = other;
  CHECK(bench.code("GetObject", Bench::getting("in/k")) == "(success)");
  CHECK(bench.code("GetObject", Bench::getting("out/k")) == "AccessDenied");
  CHECK(bench.code("ListObjectsV2", model::ListObjectsV2Request().set_bucket("home")) ==
        "AccessDenied");
  CHECK(bench.code("CopyObject",
                   model::CopyObjectRequest().set_bucket("home").set_key("in/c").set_copy_source(
                       "home/in/k")) == "AccessDenied");
  auto gone = bench.ok<model::DeleteObjectsOutput>(
      "DeleteObjects",
      model::DeleteObjectsRequest().set_bucket("home").set_delete(model::Delete().set_objects([] {
        std::vector<model::ObjectIdentifier> all;
        for (const char* key : {"in/k", "out/k"}) all.emplace_back().set_key(key);
        return all;
      }())));
  REQUIRE(gone.deleted().size() == 1);
  CHECK(gone.deleted()[0].key() == "in/k");
  REQUIRE(gone.errors().size() == 1);
  CHECK(gone.errors()[0].code() == "AccessDenied");
  bench.account = owner;
  bench.done("DeleteBucketPolicy", model::DeleteBucketPolicyRequest().set_bucket("home"));
  CHECK(bench.code("GetBucketPolicy", model::GetBucketPolicyRequest().set_bucket("home")) ==
        "NoSuchBucketPolicy");
  bench.account = other;
  CHECK(bench.code("GetObject", Bench::getting("in/k")) == "AccessDenied");
}

TEST_CASE("policies: a denial holds for the bucket's own account") {
  Bench bench;
  bench.make("home");
  bench.put("in/k", "1");
  CHECK(put_policy(bench, document(statement("Deny", "\"*\"", "s3:DeleteObject", "home/in/*"))) ==
        "(success)");
  auto remove = model::DeleteObjectRequest().set_bucket("home").set_key("in/k");
  CHECK(bench.code("DeleteObject", std::move(remove)) == "AccessDenied");
  CHECK(bench.get("in/k") == "1");
  // Such a one could not be taken away.
  CHECK(put_policy(bench, document(statement("Deny", "\"*\"", "s3:*", "home"))) ==
        "NotImplemented");
  auto kept = bench.ok<model::GetBucketPolicyOutput>(
      "GetBucketPolicy", model::GetBucketPolicyRequest().set_bucket("home"));
  CHECK(kept.policy()->find("s3:DeleteObject") != std::string::npos);
}

TEST_CASE("policies: what is none, and whether one is public") {
  Bench bench;
  bench.make("home");
  auto is_public = [&] {
    return bench
        .ok<model::GetBucketPolicyStatusOutput>(
            "GetBucketPolicyStatus", model::GetBucketPolicyStatusRequest().set_bucket("home"))
        .policy_status()
        ->is_public();
  };
  CHECK(bench.code("GetBucketPolicyStatus", model::GetBucketPolicyStatusRequest().set_bucket(
                                                "home")) == "NoSuchBucketPolicy");
  std::string long_one(limits::bucket_policy_bytes, 's');
  for (const auto& policy :
       {std::string("x"), document("{}"), document(statement("Allow", them, "s3:*", "homes")),
        document(statement("Allow", them, "s3:*", "other/*")),
        document(statement("Allow", them, "sqs:SendMessage", "home")),
        document(statement("Allow", them, long_one, "home"))}) {
    CHECK(put_policy(bench, policy) == "MalformedPolicy");
  }
  CHECK(put_policy(bench, document(statement("Allow", them, "s3:*", "home/*"))) == "(success)");
  CHECK(is_public() == false);
  CHECK(put_policy(bench, document(statement("Allow", "\"*\"", "s3:GetObject", "home/*"))) ==
        "(success)");
  CHECK(is_public() == true);
}
