
#include "services/lambda/fixture_test.h"
#include "services/lambda/text.h"
#include "services/lambda/url_event.h"
#include "wire/json.h"

namespace mayfly::lambda::test {
namespace {

wire::Json parsed(std::string_view text) {
  auto value = wire::parse_json(text);
  REQUIRE(value.has_value());
  return *value;
}

std::string text_at(const wire::Json& value, std::initializer_list<std::string_view> path) {
  const auto* found = value.at(path);
  return found ? std::string(found->string_value("not text")) : "absent";
}

RawRequest get(const std::string& host, const std::string& path = "/") {
  RawRequest request;
  request.method = "GET";
  request.path = path;
  request.host = host;
  request.source_ip = "127.0.0.1";
  request.id = RequestId("request-1");
  return request;
}

// A function with a URL; answers the URL's host with its port.
std::string with_url(House& house, model::CreateFunctionUrlConfigRequest in) {
  house.create("f");
  in.set_function_name("f");
  auto made = house.ok<model::CreateFunctionUrlConfigResponse>("CreateFunctionUrlConfig", in);
  std::string address(*made.function_url());
  CHECK(address.starts_with("http://"));
  CHECK(address.ends_with(".lambda-url.us-east-1.localhost:4566/"));
  return address.substr(7, address.size() - 8);
}

model::CreateFunctionUrlConfigRequest open_url() {
  model::CreateFunctionUrlConfigRequest in;
  in.set_auth_type("NONE");
  return in;
}

void permit_everyone(House& house) {
  model::AddPermissionRequest in;
  in.set_function_name("f").set_statement_id("url").set_action("lambda:InvokeFunctionUrl");
  in.set_principal("*").set_function_url_auth_type("NONE");
  house.done("AddPermission", in);
}

RawResponse serve(House& house, RawRequest request) {
  return house.loop.run_until(house.service->serve_url(std::move(request)));
}

events::Outcome answers(std::string payload) {
  events::Outcome out;
  out.payload = std::move(payload);
  return out;
}

std::string header(const RawResponse& response, const std::string& name) {
  for (const auto& [key, value] : response.headers) {
    if (lower(key) == name) return value;
  }
  return "";
}

TEST_CASE("a URL's configuration") {
  House house;
  std::string host = with_url(house, open_url());
  CHECK(host.find('.') == 32);
  model::CreateFunctionUrlConfigRequest again = open_url();
  again.set_function_name("f");
  CHECK(
      house.refused("CreateFunctionUrlConfig", again).starts_with("ResourceConflictException 409"));
  again.set_qualifier("1");
  CHECK(house.refused("CreateFunctionUrlConfig", again).starts_with("ValidationException 400"));
  model::Cors cors;
  cors.set_allow_origins({"https://a.example"}).set_max_age(5);
  model::UpdateFunctionUrlConfigRequest update;
  update.set_function_name("f").set_cors(cors).set_auth_type("AWS_IAM");
  house.done("UpdateFunctionUrlConfig", update);
  model::GetFunctionUrlConfigRequest read;
  read.set_function_name("f");
  auto config = house.ok<model::GetFunctionUrlConfigResponse>("GetFunctionUrlConfig", read);
  CHECK(*config.auth_type() == "AWS_IAM");
  CHECK(config.cors()->allow_origins().at(0) == "https://a.example");
  CHECK(*config.cors()->max_age() == 5);
  CHECK(*config.creation_time() == "2026-01-01T00:00:00.000Z");
  model::ListFunctionUrlConfigsRequest list;
  list.set_function_name("f");
  CHECK(house.ok<model::ListFunctionUrlConfigsResponse>("ListFunctionUrlConfigs", list)
            .function_url_configs()
            .size() == 1);
  model::DeleteFunctionUrlConfigRequest drop;
  drop.set_function_name("f");
  house.done("DeleteFunctionUrlConfig", drop);
  CHECK(house.refused("GetFunctionUrlConfig", read) ==
        "ResourceNotFoundException 404: The resource you requested does not exist.");
  CHECK(serve(house, get(host)).status == 403);
}

TEST_CASE("a URL without grants is forbidden, with them it runs the function") {
  House house;
  std::string host = with_url(house, open_url());
  auto refused = serve(house, get(host));
  CHECK(refused.status == 403);
  CHECK(refused.body.starts_with("{\"Message\":\"Forbidden"));
  CHECK(house.invoker.requests.empty());
  permit_everyone(house);
  house.invoker.answer = answers("{\"hello\": \"world\"}");
  auto answer = serve(house, get(host));
  CHECK(answer.status == 200);
  CHECK(answer.body == "{\"hello\": \"world\"}");
  CHECK(header(answer, "content-type") == "application/json");
}

TEST_CASE("a strict server asks for both grants of a public URL") {
  House house;
  house.stop();
  house.settings.strict = true;
  house.start();
  std::string host = with_url(house, open_url());
  house.invoker.answer = answers("{}");
  permit_everyone(house);
  CHECK(serve(house, get(host)).status == 403);
  model::AddPermissionRequest in;
  in.set_function_name("f").set_statement_id("call").set_action("lambda:InvokeFunction");
  in.set_principal("*").set_invoked_via_function_url(true);
  house.done("AddPermission", in);
  CHECK(serve(house, get(host)).status == 200);
  model::RemovePermissionRequest gone;
  gone.set_function_name("f").set_statement_id("url");
  house.done("RemovePermission", gone);
  CHECK(serve(house, get(host)).status == 403);
}

TEST_CASE("a URL for signed callers asks guard") {
  House house;
  model::CreateFunctionUrlConfigRequest in;
  in.set_auth_type("AWS_IAM");
  std::string host = with_url(house, in);
  CHECK(serve(house, get(host)).status == 403);
  house.guard.caller = api::Caller{.kind = api::Caller::Kind::user,
                                   .account = home.account,
                                   .arn = "arn:aws:iam::000000000000:user/u",
                                   .user_id = "AIDA",
                                   .access_key_id = "AKIA",
                                   .source_ip = {}};
  house.guard.decision.allowed = false;
  CHECK(serve(house, get(host)).status == 403);
  house.guard.decision.allowed = true;
  house.invoker.answer = answers("1");
  CHECK(serve(house, get(host)).status == 200);
  CHECK(house.guard.asked.back() ==
        "lambda:InvokeFunctionUrl arn:aws:lambda:us-east-1:000000000000:function:f");
  auto event = parsed(house.invoker.requests.at(0).event.payload);
  CHECK(text_at(event, {"requestContext", "authorizer", "iam", "userArn"}) ==
        "arn:aws:iam::000000000000:user/u");
  CHECK(text_at(event, {"requestContext", "accountId"}) == "000000000000");
}

TEST_CASE("requests become events of format 2.0") {
  RawRequest request = get("abc.lambda-url.us-east-1.localhost:4566", "/a%20b/c");
  request.method = "POST";
  request.query = "x=1&y=a+b&x=2&flag&z=%C3%A9";
  request.headers = {{"Content-Type", "application/json; charset=utf-8"},
                     {"Cookie", "a=1; b=2"},
                     {"X-Twice", "1"},
                     {"x-twice", "2"},
                     {"User-Agent", "test"}};
  request.body = "{\"k\":\"\xc3\xa9\n\"}";
  UrlContext context;
  context.url_id = "abc";
  context.account = "anonymous";
  context.time = WallTime(std::chrono::seconds(1'767'225'600));
  auto event = parsed(url_event(request, context));
  CHECK(text_at(event, {"version"}) == "2.0");
  CHECK(text_at(event, {"routeKey"}) == "$default");
  CHECK(text_at(event, {"rawPath"}) == "/a b/c");
  CHECK(text_at(event, {"rawQueryString"}) == "x=1&y=a+b&x=2&flag&z=%C3%A9");
  CHECK(event.find("cookies")->as<wire::JsonArray>()->size() == 2);
  CHECK(event.find("cookies")->as<wire::JsonArray>()->at(1).string_value() == "b=2");
  CHECK(text_at(event, {"headers", "x-twice"}) == "1,2");
  CHECK(text_at(event, {"headers", "x-forwarded-port"}) == "4566");
  CHECK(text_at(event, {"queryStringParameters", "x"}) == "1,2");
  CHECK(text_at(event, {"queryStringParameters", "y"}) == "a b");
  CHECK(text_at(event, {"queryStringParameters", "flag"}) == "");
  CHECK(text_at(event, {"queryStringParameters", "z"}) == "\xc3\xa9");
  const auto& inner = *event.find("requestContext");
  CHECK(text_at(inner, {"http", "method"}) == "POST");
  CHECK(text_at(inner, {"http", "userAgent"}) == "test");
  CHECK(text_at(inner, {"domainName"}) == "abc.lambda-url.us-east-1.localhost");
  CHECK(text_at(inner, {"domainPrefix"}) == "abc");
  CHECK(text_at(inner, {"time"}) == "01/Jan/2026:00:00:00 +0000");
  CHECK(inner.int_or("timeEpoch", 0) == 1'767'225'600'000);
  CHECK_FALSE(inner.find("authorizer"));
  CHECK(text_at(event, {"body"}) == request.body);
  CHECK_FALSE(event.bool_or("isBase64Encoded", false));
  request.headers[0].second = "image/png";
  event = parsed(url_event(request, context));
  CHECK(event.bool_or("isBase64Encoded", false));
  CHECK(text_at(event, {"body"}) == base64(request.body));
  request.body = "\xff";
  request.headers[0].second = "text/plain";
  CHECK(parsed(url_event(request, context)).bool_or("isBase64Encoded", false));
  request.body.clear();
  event = parsed(url_event(request, context));
  CHECK_FALSE(event.find("body"));
  CHECK_FALSE(event.bool_or("isBase64Encoded", false));
}

TEST_CASE("answers become responses") {
  auto out =
      url_response(answers("{\"statusCode\":201,\"headers\":{\"X-A\":\"b\",\"X-N\":5,"
                           "\"Content-Length\":\"999\"},\"cookies\":[\"a=1\",\"b=2\"],"
                           "\"body\":\"aGk=\",\"isBase64Encoded\":true}"));
  CHECK(out.status == 201);
  CHECK(out.body == "hi");
  CHECK(header(out, "x-a") == "b");
  CHECK(header(out, "x-n") == "5");
  CHECK(header(out, "content-length") == "");
  CHECK(std::ranges::count_if(out.headers,
                              [](const auto& one) { return one.first == "Set-Cookie"; }) == 2);
  CHECK(url_response(answers("{\"statusCode\":\"204\"}")).status == 204);
  CHECK(url_response(answers("\"plain\"")).body == "plain");
  CHECK(url_response(answers("[1, 2]")).body == "[1, 2]");
  CHECK(url_response(answers("null")).status == 200);
  CHECK(url_response(answers("{\"statusCode\":200,\"body\":{\"a\":1}}")).body == "{\"a\":1}");
  for (const char* bad :
       {"{\"statusCode\":99}", "{\"statusCode\":[]}", "{\"statusCode\":200,\"headers\":[]}",
        "{\"statusCode\":200,\"headers\":{\"X\":{}}}",
        "{\"statusCode\":200,\"headers\":{\"X\":\"a\\r\\nSet-Cookie: b\"}}",
        "{\"statusCode\":200,\"cookies\":[\"a\\nb\"]}",
        "{\"statusCode\":200,\"body\":\"?\",\"isBase64Encoded\":true}"}) {
    CAPTURE(bad);
    auto refused = url_response(answers(bad));
    CHECK(refused.status == 502);
    CHECK(refused.body == "Internal Server Error");
  }
  events::Outcome failed = answers("{\"errorMessage\":\"x\"}");
  failed.kind = events::Outcome::Kind::function_error;
  CHECK(url_response(failed).status == 502);
}

TEST_CASE("CORS: preflights never reach the function, answers carry the URL's rules") {
  House house;
  model::Cors cors;
  cors.set_allow_origins({"https://*.example.com"}).set_allow_methods({"GET"});
  cors.set_allow_headers({"x-a"}).set_expose_headers({"x-b"}).set_allow_credentials(true);
  cors.set_max_age(60);
  auto in = open_url();
  in.set_cors(cors);
  std::string host = with_url(house, in);
  permit_everyone(house);
  RawRequest ask = get(host);
  ask.method = "OPTIONS";
  ask.headers = {{"Origin", "https://a.example.com"}, {"Access-Control-Request-Method", "GET"}};
  auto answer = serve(house, ask);
  CHECK(answer.status == 200);
  CHECK(header(answer, "access-control-allow-origin") == "https://a.example.com");
  CHECK(header(answer, "access-control-allow-methods") == "GET");
  CHECK(header(answer, "access-control-allow-headers") == "x-a");
  CHECK(header(answer, "access-control-max-age") == "60");
  CHECK(header(answer, "access-control-allow-credentials") == "true");
  ask.headers[0].second = "https://evil.test";
  CHECK(header(serve(house, ask), "access-control-allow-origin") == "");
  CHECK(house.invoker.requests.empty());
  house.invoker.answer = answers(
      "{\"statusCode\":200,\"headers\":{\"Access-Control-Allow-Origin\":\"*\"},\"body\":\"x\"}");
  RawRequest plain = get(host);
  plain.headers = {{"Origin", "https://a.example.com"}};
  answer = serve(house, plain);
  CHECK(header(answer, "access-control-allow-origin") == "https://a.example.com");
  CHECK(header(answer, "access-control-expose-headers") == "x-b");
  plain.headers[0].second = "https://evil.test";
  CHECK(header(serve(house, plain), "access-control-allow-origin") == "");
}

TEST_CASE("CORS: without rules of the URL's the function answers, preflights as well") {
  House house;
  auto in = open_url();
  in.set_cors(model::Cors());
  std::string host = with_url(house, in);
  permit_everyone(house);
  house.invoker.answer = answers(
      "{\"statusCode\":204,\"headers\":{\"Access-Control-Allow-Origin\":\"*\"},\"body\":\"\"}");
  RawRequest ask = get(host);
  ask.method = "OPTIONS";
  ask.headers = {{"Origin", "https://a.example.com"}, {"Access-Control-Request-Method", "GET"}};
  auto answer = serve(house, ask);
  CHECK(answer.status == 204);
  CHECK(header(answer, "access-control-allow-origin") == "*");
  CHECK(house.invoker.requests.size() == 1);
}

TEST_CASE("a URL that cannot run") {
  House house;
  std::string host = with_url(house, open_url());
  permit_everyone(house);
  house.invoker.answer = fail(ErrorKind::throttled, "busy", "ConcurrentInvocationLimitExceeded");
  CHECK(serve(house, get(host)).status == 429);
  house.invoker.answer = fail(ErrorKind::unavailable, "no runtime");
  CHECK(serve(house, get(host)).status == 502);
  RawRequest big = get(host);
  big.method = "POST";
  big.body = std::string(limits::invoke_sync_payload_bytes + 1, 'x');
  CHECK(serve(house, big).status == 413);
  CHECK(serve(house, get("unknown.lambda-url.us-east-1.localhost")).status == 403);
  std::string moved = host;
  moved.replace(moved.find("us-east-1"), 9, "eu-west-1");
  CHECK(serve(house, get(moved)).status == 403);
}

}  // namespace
}  // namespace mayfly::lambda::test
