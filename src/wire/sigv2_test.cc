// Against URLs that botocore 1.43 presigned.
#include "wire/sigv2.h"

#include <doctest/doctest.h>

using namespace mayfly;
using namespace mayfly::wire;

TEST_CASE("URLs presigned with version 2, as a client made them") {
  struct Case {
    std::string_view method, path, query;
  };
  const Case cases[] = {
      {"GET", "/buck/a%20b/c",
       "response-content-type=text%2Fx%20y&versionId=v1&AWSAccessKeyId=AKIAEXAMPLE"
       "&Signature=I%2B6TVx6PCl8ayUJz4VmEZ5JmNQY%3D&x-amz-security-token=tok&Expires=1767229200"},
      {"PUT", "/buck/k",
       "AWSAccessKeyId=AKIAEXAMPLE&Signature=SzSwKkgaHj%2BHsIosCUNXXdQTCCo%3D&x-amz-meta-a=b"
       "&content-type=text%2Fx&x-amz-security-token=tok&Expires=1767229200"},
  };
  for (const auto& one : cases) {
    CAPTURE(one.query);
    std::vector<sigv4::HeaderView> headers{{"Host", "127.0.0.1:4566"}, {"Accept", "*/*"}};
    sigv4::Request request{one.method, one.path, one.query, headers};
    auto claim = sigv2::parse_claim(request);
    REQUIRE(claim.has_value());
    CHECK(claim->access_key_id == "AKIAEXAMPLE");
    CHECK(claim->security_token == "tok");
    CHECK(claim->expires_at == 1'767'229'200);
    CHECK(sigv2::signature("secret", sigv2::string_to_sign(request, *claim)) == claim->signature);
    // A field that the client sends counts before the same in the query.
    headers.emplace_back("x-amz-meta-a", "other");
    request.headers = headers;
    CHECK(sigv2::signature("secret", sigv2::string_to_sign(request, *claim)) != claim->signature);
  }
}

TEST_CASE("what is not presigned with version 2") {
  for (const char* query :
       {"", "AWSAccessKeyId=A&Signature=b", "AWSAccessKeyId=A&Signature=b&Expires=soon",
        "Action=X&AWSAccessKeyId=A&Signature=b&SignatureVersion=2&Expires=1"}) {
    CAPTURE(query);
    CHECK(!sigv2::parse_claim({"GET", "/", query, {}}).has_value());
  }
}
