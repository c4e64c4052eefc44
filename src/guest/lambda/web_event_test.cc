#include "guest/lambda/web_event.h"

#include <doctest/doctest.h>

#include "io/http1.h"
#include "wire/json.h"

namespace mayfly::guest {
namespace {

using Variables = std::map<std::string, std::string, std::less<>>;

WebRequest made(const std::string& payload, const WebServer& server = {}) {
  InvokeRequest event;
  event.payload = payload;
  event.request_id = "r-1";
  event.deadline_epoch_ms = 12345;
  event.trace_header = "Root=1-2-3";
  auto request = web_request(event, server);
  INFO((request ? "" : request.error().message));
  REQUIRE(request);
  return *request;
}

std::string header(const WebRequest& request, std::string_view name) {
  std::string out;
  for (const auto& [key, value] : request.headers) {
    if (io::http1::equals_ignoring_case(key, name)) out += (out.empty() ? "" : "|") + value;
  }
  return out;
}

std::string v2(const std::string& path, const std::string& more = "") {
  return R"({"version":"2.0","rawPath":")" + path +
         R"(","rawQueryString":"","requestContext":{"http":{"method":"GET"}})" + more + "}";
}

TEST_CASE("payload format 2.0 is a request") {
  auto request = made(
      R"({"version":"2.0","rawPath":"/a b/ä","rawQueryString":"x=1&y=%20z",)"
      R"("cookies":["a=1","b=2"],)"
      R"("headers":{"x-mine":"yes","cookie":"a=1; b=2","content-length":"99","connection":"close",)"
      R"("host":"h.example"},"requestContext":{"http":{"method":"POST"},"accountId":"1"},)"
      R"("body":"aGk=","isBase64Encoded":true})");
  CHECK(request.form == WebForm::v2);
  CHECK(request.method == "POST");
  CHECK(request.target == "/a%20b/%C3%A4?x=1&y=%20z");
  CHECK(request.body == "hi");
  CHECK(header(request, "x-mine") == "yes");
  CHECK(header(request, "cookie") == "a=1; b=2");
  CHECK(header(request, "host") == "h.example");
  CHECK(header(request, "content-length").empty());
  CHECK(header(request, "connection").empty());
  CHECK(header(request, "x-amzn-trace-id") == "Root=1-2-3");
  auto context = wire::parse_json(header(request, "x-amzn-request-context"));
  REQUIRE(context);
  CHECK(context->string_or("accountId") == "1");
  auto lambda = wire::parse_json(header(request, "x-amzn-lambda-context"));
  REQUIRE(lambda);
  CHECK(lambda->string_or("request_id") == "r-1");
  CHECK(lambda->int_or("deadline", 0) == 12345);
}

TEST_CASE("a target holds nothing that ends it") {
  CHECK(made(v2("/a?b#c%d")).target == "/a%3Fb%23c%25d");
  CHECK(made(v2("none")).target == "/none");
  CHECK(made(v2("/a\\r\\nX: y")).target == "/a%0D%0AX:%20y");
  auto request = made(
      R"({"version":"2.0","rawPath":"/","rawQueryString":"a b\r\nx","requestContext":{"http":{)"
      R"("method":"GET"}}})");
  CHECK(request.target == "/?a%20b%0D%0Ax");
  InvokeRequest bad;
  bad.payload = R"({"version":"2.0","requestContext":{"http":{"method":"GET / HTTP/1.1\r\n"}}})";
  CHECK_FALSE(web_request(bad, {}));
  bad.payload = v2("/", R"(,"body":"***","isBase64Encoded":true)");
  CHECK_FALSE(web_request(bad, {}));
}

TEST_CASE("a base path is taken off once, and whole segments alone") {
  WebServer server;
  server.remove_base_path = "/api/";
  CHECK(made(v2("/api/api/order"), server).target == "/api/order");
  CHECK(made(v2("/api"), server).target == "/");
  CHECK(made(v2("/apiorder"), server).target == "/apiorder");
  CHECK(made(v2("/x/api"), server).target == "/x/api");
}

TEST_CASE("a header of one's own becomes Authorization") {
  WebServer server;
  server.authorization_source = "X-Auth";
  auto request = made(v2("/", R"(,"headers":{"x-auth":"mine","authorization":"sigv4"})"), server);
  CHECK(header(request, "authorization") == "mine");
  CHECK(header(request, "x-auth").empty());
  CHECK(header(made(v2("/", R"(,"headers":{"authorization":"sigv4"})"), server), "authorization") ==
        "sigv4");
}

TEST_CASE("REST APIs and load balancers") {
  auto rest = made(
      R"({"httpMethod":"GET","path":"/r","headers":{"a":"2"},"multiValueHeaders":{"a":["1","2"]},)"
      R"("queryStringParameters":{"q":"c"},"multiValueQueryStringParameters":{"q":["a b","c"]},)"
      R"("requestContext":{"requestId":"x"},"body":null})");
  CHECK(rest.form == WebForm::v1);
  CHECK(rest.target == "/r?q=a%20b&q=c");
  CHECK(header(rest, "a") == "1|2");
  auto balanced =
      made(R"({"httpMethod":"GET","path":"/b%20c","headers":{"a":"1"},"queryStringParameters":{)"
           R"("q":"a%20b"},"requestContext":{"elb":{}},"body":""})");
  CHECK(balanced.form == WebForm::load_balancer);
  CHECK(balanced.target == "/b%20c?q=a%20b");
}

TEST_CASE("all else is handed over whole") {
  WebServer server;
  server.pass_through_path = "/jobs now";
  for (const char* payload : {"{}", "[1]", "not json", R"({"requestContext":1})", "",
                              R"({"Records":[]})", R"({"requestContext":{"http":{}}})"}) {
    auto request = made(payload, server);
    INFO(payload);
    CHECK(request.form == WebForm::pass_through);
    CHECK(request.method == "POST");
    CHECK(request.target == "/jobs%20now");
    CHECK(request.body == payload);
    CHECK(header(request, "content-type") == "application/json");
    CHECK(header(request, "x-amzn-request-context").empty());
  }
}

TEST_CASE("the context is what the platform says, not the caller") {
  InvokeRequest event;
  event.payload = v2("/", R"(,"headers":{"X-AMZN-Request-Context":"forged",)"
                          R"("x-amz-tenant-id":"forged","x-amzn-lambda-context":"forged"})");
  event.tenant_id = "blue";
  auto request = web_request(event, {});
  REQUIRE(request);
  CHECK(header(*request, "x-amz-tenant-id") == "blue");
  CHECK(header(*request, "x-amzn-request-context").find("forged") == std::string::npos);
  CHECK(header(*request, "x-amzn-lambda-context").find("forged") == std::string::npos);
}

TEST_CASE("responses: text, bytes, cookies, headers that come more than once") {
  WebResponse response{.status = 201, .body = "hällo"};
  response.headers = {{"Content-Type", "text/plain; charset=utf-8"},
                      {"X-Many", "1"},
                      {"x-many", "2"},
                      {"Set-Cookie", "a=1"},
                      {"Set-Cookie", "b=2"},
                      {"Connection", "close"}};
  auto answer = *wire::parse_json(web_answer(WebForm::v2, response));
  CHECK(answer.int_or("statusCode", 0) == 201);
  CHECK(answer.string_or("body") == "hällo");
  CHECK_FALSE(answer.bool_or("isBase64Encoded", true));
  CHECK(answer.at({"headers", "x-many"})->string_value() == "1, 2");
  CHECK_FALSE(answer.at({"headers", "connection"}));
  CHECK_FALSE(answer.at({"headers", "set-cookie"}));
  CHECK(answer.find("cookies")->dump() == R"(["a=1","b=2"])");
  CHECK_FALSE(answer.find("multiValueHeaders"));
  auto rest = *wire::parse_json(web_answer(WebForm::v1, response));
  CHECK(rest.at({"multiValueHeaders", "set-cookie"})->dump() == R"(["a=1","b=2"])");
  CHECK(rest.at({"multiValueHeaders", "x-many"})->dump() == R"(["1","2"])");
  CHECK_FALSE(rest.find("cookies"));
  auto balanced = *wire::parse_json(web_answer(WebForm::load_balancer, response));
  CHECK(balanced.string_or("statusDescription") == "201 Created");
}

TEST_CASE("what is no text, or no UTF-8, or encoded, goes as base64") {
  auto encoded = [](WebResponse response) {
    auto answer = *wire::parse_json(web_answer(WebForm::v2, std::move(response)));
    return answer.bool_or("isBase64Encoded", false);
  };
  CHECK(encoded({.headers = {{"content-type", "image/png"}}, .body = "plain"}));
  CHECK(encoded({.headers = {{"content-type", "text/html"}}, .body = "\xff"}));
  CHECK(encoded(
      {.headers = {{"content-type", "text/html"}, {"content-encoding", "gzip"}}, .body = "x"}));
  CHECK_FALSE(
      encoded({.headers = {{"content-type", "Application/Problem+JSON; v=1"}}, .body = "x"}));
  CHECK_FALSE(encoded({.headers = {}, .body = "x"}));
}

TEST_CASE("answers to what was handed over whole are JSON") {
  auto answered = [](std::string body) {
    return web_answer(WebForm::pass_through, {.headers = {}, .body = std::move(body)});
  };
  CHECK(answered(R"({ "a" : 1 })") == R"({ "a" : 1 })");
  CHECK(answered("done") == R"("done")");
  CHECK(answered("") == R"("")");
  CHECK(answered("\xff") == R"("/w==")");
}

TEST_CASE("a streamed response begins with its head and eight zeros") {
  std::string prelude =
      web_prelude({.status = 404, .headers = {{"X-A", "b"}, {"set-cookie", "c"}}});
  CHECK(prelude.ends_with(std::string(8, '\0')));
  auto head = wire::parse_json(prelude.substr(0, prelude.size() - 8));
  REQUIRE(head);
  CHECK(head->dump() == R"({"statusCode":404,"headers":{"x-a":"b"},"cookies":["c"]})");
}

TEST_CASE("settings as the adapter has them") {
  auto none = read_web_settings({});
  REQUIRE(none);
  CHECK(none->port == 8080);
  CHECK(none->ready_port == 8080);
  CHECK(none->ready_path == "/");
  CHECK(none->healthy.contains(499));
  CHECK_FALSE(none->healthy.contains(500));
  CHECK_FALSE(none->errors.contains(500));
  CHECK(none->pass_through_path == "/events");
  CHECK(none->keep_alive == std::chrono::seconds(4));
  CHECK_FALSE(none->streams);
  auto all = read_web_settings(Variables{{"PORT", "1"},
                                         {"AWS_LWA_PORT", "7000"},
                                         {"READINESS_CHECK_PORT", "7001"},
                                         {"AWS_LWA_READINESS_CHECK_PATH", "health"},
                                         {"AWS_LWA_READINESS_CHECK_PROTOCOL", "TCP"},
                                         {"AWS_LWA_READINESS_CHECK_HEALTHY_STATUS", "200, 301-399"},
                                         {"AWS_LWA_READINESS_CHECK_TIMEOUT_SECONDS", "0.5"},
                                         {"AWS_LWA_ASYNC_INIT", "true"},
                                         {"AWS_LWA_REMOVE_BASE_PATH", "/x"},
                                         {"AWS_LWA_INVOKE_MODE", "RESPONSE_STREAM"},
                                         {"AWS_LWA_ERROR_STATUS_CODES", "500-502,504"},
                                         {"AWS_LWA_ENABLE_COMPRESSION", "true"}});
  REQUIRE(all);
  CHECK(all->port == 7000);
  CHECK(all->ready_port == 7001);
  CHECK(all->ready_path == "/health");
  CHECK(all->ready_by_tcp);
  CHECK(all->healthy.contains(301));
  CHECK_FALSE(all->healthy.contains(201));
  CHECK(all->ready_time == std::chrono::milliseconds(500));
  CHECK(all->async_init);
  CHECK(all->streams);
  CHECK(all->errors.contains(501));
  CHECK_FALSE(all->errors.contains(503));
  CHECK(all->ignored == std::vector<std::string>{"AWS_LWA_ENABLE_COMPRESSION"});
  auto old = read_web_settings(Variables{{"AWS_LWA_READINESS_CHECK_MIN_UNHEALTHY_STATUS", "400"}});
  CHECK(old->healthy.contains(399));
  CHECK_FALSE(old->healthy.contains(400));
}

TEST_CASE("settings that cannot be read are named") {
  for (const auto& [name, value] : Variables{{"AWS_LWA_PORT", "eighty"},
                                             {"AWS_LWA_PORT", "65536"},
                                             {"AWS_LWA_READINESS_CHECK_PORT", "0"},
                                             {"AWS_LWA_READINESS_CHECK_PROTOCOL", "udp"},
                                             {"AWS_LWA_READINESS_CHECK_HEALTHY_STATUS", "2xx"},
                                             {"AWS_LWA_ERROR_STATUS_CODES", "500-400"},
                                             {"AWS_LWA_INVOKE_MODE", "stream"},
                                             {"AWS_LWA_POOL_IDLE_TIMEOUT_SECONDS", "soon"}}) {
    auto read = read_web_settings(Variables{{name, value}});
    REQUIRE_FALSE(read);
    CHECK(read.error().message.find(name) != std::string::npos);
  }
}

}  // namespace
}  // namespace mayfly::guest
