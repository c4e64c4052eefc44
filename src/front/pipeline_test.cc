// Routing, authentication, errors of each protocol, over the whole front.
#include "front/front_test_world.h"
#include "front/locate.h"
#include "front/resource.h"

using namespace mayfly;
using namespace mayfly::front;
using namespace mayfly::front::test;

namespace {

std::string logs_request(std::string_view body, std::string_view target, std::string_view auth) {
  return fmt::format(
      "POST / HTTP/1.1\r\nHost: localhost\r\nX-Amz-Target: {}\r\nContent-Type: "
      "application/x-amz-json-1.1\r\n{}Content-Length: {}\r\n\r\n{}",
      target, auth, body.size(), body);
}

std::string get(std::string_view path, std::string_view auth, std::string_view more = {},
                std::string_view method = "GET") {
  return fmt::format("{} {} HTTP/1.1\r\nHost: localhost\r\n{}{}\r\n", method, path, auth, more);
}

std::string once(World& world, std::string_view request) {
  Client client(world);
  return client.ask(request);
}

Settings strict() { return {}; }

// Signs what a client of the root credential would send.
std::string signed_invoke(World& world, std::string_view body, std::string_view sent_body,
                          std::string_view date = "20260101T000000Z") {
  std::string path = "/2015-03-31/functions/f/invocations";
  std::vector<wire::sigv4::HeaderView> headers{{"Host", "localhost:4566"}, {"X-Amz-Date", date}};
  wire::sigv4::Scope scope{std::string(date.substr(0, 8)), "us-east-1", "lambda"};
  std::string authorization = wire::sigv4::authorization(
      {"POST", path, "", headers}, world.root->access_key_id, world.root->secret_access_key, scope,
      date, wire::sha256_hex(body));
  return fmt::format(
      "POST {} HTTP/1.1\r\nHost: localhost:4566\r\nX-Amz-Date: {}\r\nAuthorization: {}\r\n"
      "Content-Length: {}\r\n\r\n{}",
      path, date, authorization, sent_body.size(), sent_body);
}

}  // namespace

TEST_CASE("rest-json: rows by method and path, accounts and regions apart") {
  World world;
  std::string answer = once(world, invoke_request("{}"));
  CHECK(status_of(answer) == 200);
  CHECK(world.last_account == "000000000000 us-east-1");
  std::string other = invoke_request("{}");
  other.replace(other.find("=test/"), 6, "=123456789012/");
  other.replace(other.find("us-east-1"), 9, "eu-west-3");
  CHECK(status_of(once(world, other)) == 200);
  CHECK(world.last_account == "123456789012 eu-west-3");
  CHECK(world.seen.calls.front() == "lambda Invoke 200 ");
}

TEST_CASE("json: rows by X-Amz-Target") {
  World world;
  std::string answer = once(world, logs_request(R"({"logGroupName":"g"})",
                                                "Logs_20140328.CreateLogGroup", dev_auth("logs")));
  CHECK(status_of(answer) == 200);
  CHECK(has(answer, "Content-Type: application/x-amz-json-1.1"));
  CHECK(world.invoked == std::vector<std::string>{"g"});
}

TEST_CASE("query: rows by Action in the form or the query") {
  World world;
  std::string form = "Action=GetCallerIdentity&Version=2011-06-15";
  std::string answer =
      once(world, fmt::format("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: "
                              "application/x-www-form-urlencoded; charset=utf-8\r\n{}"
                              "Content-Length: {}\r\n\r\n{}",
                              dev_auth("sts"), form.size(), form));
  CHECK(status_of(answer) == 200);
  CHECK(has(answer, "Content-Type: text/xml"));
  CHECK(has(answer, "<Arn>arn:aws:iam::000000000000:root</Arn>"));
  CHECK(has(once(world, get("/?" + form, dev_auth("sts"))), "<Account>000000000000</Account>"));
  answer = once(world, get("/?" + form, ""));
  CHECK(status_of(answer) == 403);
  CHECK(has(answer, "<Code>MissingAuthenticationToken</Code>"));
  answer = once(world, get("/?Action=Frob", dev_auth("sts")));
  CHECK(has(answer, "Frob"));
  CHECK(status_of(answer) >= 400);
}

TEST_CASE("what is not there says so and names it") {
  World world;
  struct Case {
    std::string request;
    int status;
    const char* part;
  };
  for (const auto& [request, status, part] : {
           Case{get("/2015-03-31/functions/", dev_auth("lambda")), 501, "lambda:ListFunctions"},
           Case{get("/", dev_auth("dynamodb")), 501, "The service 'dynamodb' is not implemented"},
           Case{get("/nowhere", ""), 404, "This server offers the services lambda, logs, sts"},
           Case{get("/nowhere", dev_auth("lambda")), 404, "no operation 'GET /nowhere'"},
           Case{get("/2015-03-31/functions/f/invocations", dev_auth("lambda")), 405, "not allowed"},
           Case{logs_request("{}", "Logs_20140328.Frob", dev_auth("logs")), 404, "'Frob'"},
           Case{logs_request("{}", "Logs_20140328.DescribeLogGroups", dev_auth("logs")), 501,
                "logs:DescribeLogGroups"},
       }) {
    std::string answer = once(world, request);
    CAPTURE(answer);
    CHECK(status_of(answer) == status);
    CHECK(has(answer, part));
    CHECK(has(answer, "x-amzn-RequestId: "));
  }
}

TEST_CASE("handlers' errors, malformed input and violated constraints") {
  World world;
  std::string answer = once(world, get("/2015-03-31/functions/f", dev_auth("lambda")));
  CHECK(status_of(answer) == 404);
  CHECK(has(answer, "x-amzn-ErrorType: ResourceNotFoundException"));
  CHECK(has(answer, "Function not found: nothing"));
  CHECK(world.seen.calls.back() == "lambda GetFunction 404 ResourceNotFoundException");
  answer = once(world, logs_request("{", "Logs_20140328.CreateLogGroup", dev_auth("logs")));
  CHECK(status_of(answer) == 400);
  CHECK(has(answer, "SerializationException"));
  answer = once(world, logs_request(R"({"logGroupName":"a b"})", "Logs_20140328.CreateLogGroup",
                                    dev_auth("logs")));
  CHECK(has(answer, "InvalidParameterException"));
  CHECK(has(answer, "1 validation error detected: Value 'a b' at 'logGroupName'"));
  CHECK(world.invoked.empty());
}

TEST_CASE("authentication errors carry the name each protocol gives them") {
  World world(strict());
  struct Case {
    std::string request;
    int status;
    const char* part;
  };
  for (const auto& [request, status, part] : {
           Case{get("/2015-03-31/functions/f", ""), 403, "MissingAuthenticationTokenException"},
           Case{get("/2015-03-31/functions/f", dev_auth("lambda")), 403,
                "UnrecognizedClientException"},
           Case{logs_request("{}", "Logs_20140328.CreateLogGroup", dev_auth("logs")), 400,
                "UnrecognizedClientException"},
           Case{get("/?Action=GetCallerIdentity", dev_auth("sts")), 403, "InvalidClientTokenId"},
           Case{get("/2015-03-31/functions/f", "Authorization: AWS4-HMAC-SHA256 Credential=a\r\n"),
                403, "IncompleteSignatureException"},
       }) {
    std::string answer = once(world, request);
    CAPTURE(answer);
    CHECK(status_of(answer) == status);
    CHECK(has(answer, part));
  }
}

TEST_CASE("a real signature is verified over the body that came") {
  World world(strict());
  CHECK(status_of(once(world, signed_invoke(world, "{}", "{}"))) == 200);
  std::string answer = once(world, signed_invoke(world, "{}", "[]"));
  CHECK(status_of(answer) == 403);
  CHECK(has(answer, "InvalidSignatureException"));
  CHECK(has(answer, "The request signature we calculated does not match"));
  answer = once(world, signed_invoke(world, "{}", "{}", "20251231T200000Z"));
  CHECK(has(answer, "Signature expired: 20251231T200000Z is now earlier than"));
  CHECK(world.invoked.size() == 1);
}

TEST_CASE("resources of other accounts are denied") {
  World world;
  std::string request =
      invoke_request("{}", "arn%3Aaws%3Alambda%3Aus-east-1%3A999999999999%3Afunction%3Af");
  std::string answer = once(world, request);
  CHECK(status_of(answer) == 403);
  CHECK(has(answer, "AccessDeniedException"));
  CHECK(has(answer,
            "User: arn:aws:iam::000000000000:root is not authorized to perform: "
            "lambda:InvokeFunction on resource: "
            "arn:aws:lambda:us-east-1:999999999999:function:f because no"));
  CHECK(status_of(once(world, invoke_request("{}", "000000000000%3Afunction%3Af"))) == 200);
  CHECK(status_of(once(world, invoke_request("{}", "999999999999%3Afunction%3Af"))) == 403);
}

TEST_CASE("regions must look like one") {
  World world;
  std::string answer =
      once(world, get("/2015-03-31/functions/f", dev_auth("lambda", "test", "../x")));
  CHECK(status_of(answer) >= 400);
  CHECK(has(once(world, get("/2015-03-31/functions/f", dev_auth("lambda", "test", "Us_East"))),
            "valid region"));
}

TEST_CASE("raw paths and virtual hosts get the whole request") {
  World world;
  std::string answer = once(world,
                            "PUT /_mayfly/health/x%20y?a=1 HTTP/1.1\r\nHost: LocalHost:1\r\n"
                            "Content-Length: 3\r\n\r\nabc");
  CHECK(has(answer, "X-Seen: PUT /_mayfly/health/x%20y?a=1 localhost:1"));
  CHECK(body_of(answer) == "raw:abc");
  CHECK(!has(once(world, get("/_mayfly/healthy", "")), "raw:"));
  for (const char* host : {"abc.lambda-url.us-east-1.localhost:4566",
                           "abc.lambda-url.us-east-1.localhost.localstack.cloud"}) {
    answer = once(world, fmt::format("GET /p HTTP/1.1\r\nHost: {}\r\n\r\n", host));
    CAPTURE(host);
    CHECK(has(answer, "X-Seen: GET /p?"));
  }
  CHECK(
      !has(once(world, "GET /p HTTP/1.1\r\nHost: abc.lambda-url.us-east-1.evil\r\n\r\n"), "raw:"));
}

TEST_CASE("a service's own host name finds it without a signature's scope") {
  World world;
  std::string answer = once(world,
                            "GET /2015-03-31/functions/f HTTP/1.1\r\n"
                            "Host: lambda.eu-west-1.localhost:4566\r\n\r\n");
  CHECK(has(answer, "MissingAuthenticationTokenException"));
}

TEST_CASE("pages: local origins are served in --dev, foreign ones are not") {
  World world;
  std::string preflight =
      once(world, get("/2015-03-31/functions/f", "",
                      "Origin: http://localhost:5173\r\n"
                      "Access-Control-Request-Method: GET\r\n"
                      "Access-Control-Request-Headers: authorization,x-amz-date\r\n",
                      "OPTIONS"));
  CHECK(status_of(preflight) == 204);
  CHECK(has(preflight, "Access-Control-Allow-Origin: http://localhost:5173"));
  CHECK(has(preflight, "Access-Control-Allow-Headers: authorization,x-amz-date"));
  std::string answer = once(world, invoke_request("{}", "f", "Origin: http://localhost:5173\r\n"));
  CHECK(status_of(answer) == 200);
  CHECK(has(answer, "Access-Control-Allow-Origin: http://localhost:5173"));
  for (const char* origin : {"http://evil.example", "null", "http://localhost.evil.example"}) {
    answer = once(world, invoke_request("{}", "f", fmt::format("Origin: {}\r\n", origin)));
    CAPTURE(origin);
    CHECK(status_of(answer) == 403);
    CHECK(!has(answer, "Access-Control"));
  }
  CHECK(world.invoked.size() == 1);
}

TEST_CASE("bodies in signed chunks are for uploads alone and refused elsewhere") {
  World world;
  std::string answer = once(
      world,
      invoke_request("{}", "f", "X-Amz-Content-Sha256: STREAMING-AWS4-HMAC-SHA256-PAYLOAD\r\n"));
  CHECK(status_of(answer) == 501);
  CHECK(world.invoked.empty());
}

TEST_CASE("resources are made from the row's template and the input") {
  const api::Operation* invoke = nullptr;
  for (const auto& row : api::lambda::model.operations) {
    if (row.name == "Invoke") invoke = &row;
  }
  REQUIRE(invoke != nullptr);
  Scope scope{AccountId("111111111111"), Region("us-east-1")};
  const std::string base = "arn:aws:lambda:us-east-1:111111111111:function:f";
  struct Case {
    const char* name;
    const char* qualifier;
    std::string arn;
  };
  for (const auto& [name, qualifier, arn] :
       {Case{"f", "", base}, Case{"f", "PROD", base + ":PROD"}, Case{"f:PROD", "", base + ":PROD"},
        Case{"111111111111:function:f", "", base}, Case{"function:f", "", base},
        Case{"111111111111:f", "", base}, Case{base.c_str(), "", base},
        Case{base.c_str(), "2", base + ":2"}}) {
    api::lambda::InvocationRequest in;
    in.set_function_name(name);
    if (*qualifier != '\0') in.set_qualifier(qualifier);
    CAPTURE(name);
    Resource resource = resource_of(*invoke, in.record(), scope);
    CHECK(resource.arn == arn);
    CHECK(resource.account.str() == "111111111111");
  }
}

TEST_CASE("host labels") {
  std::vector<std::string> suffixes{"localhost", "localhost.localstack.cloud"};
  CHECK(host_labels("A.b.LOCALHOST:80", suffixes) == std::vector<std::string>{"a", "b"});
  CHECK(host_labels("a.localhost.localstack.cloud", suffixes) == std::vector<std::string>{"a"});
  CHECK(host_labels("localhost", suffixes).empty());
  CHECK(host_labels("xlocalhost", suffixes).empty());
  CHECK(host_labels("[::1]:80", suffixes).empty());
  CHECK(host_labels("", suffixes).empty());
}
