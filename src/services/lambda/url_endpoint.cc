// Function URLs: who may call, the call, the answer.
#include "base/limits.h"
#include "services/lambda/cors.h"
#include "services/lambda/policy.h"
#include "services/lambda/service.h"
#include "services/lambda/text.h"
#include "services/lambda/url_event.h"
#include "services/lambda/url_stream.h"
#include "store/sha256.h"

namespace mayfly::lambda {

namespace {

constexpr std::string_view forbidden_text =
    "Forbidden. For troubleshooting Function URL authorization issues, see: "
    "https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html";

bool covers(std::string_view granted, std::string_view action) {
  return granted == action || granted == "lambda:*" || granted == "*";
}

// Is everyone allowed to do this by a URL of AuthType NONE?
bool is_open(const std::vector<guard::PolicyStatement>& statements, std::string_view action) {
  return std::ranges::any_of(statements, [&](const guard::PolicyStatement& one) {
    return one.allow && one.principal == "*" && covers(one.action, action) &&
           (one.function_url_auth_type.empty() || one.function_url_auth_type == "NONE") &&
           one.source_arn.empty() && one.source_account.empty() && one.principal_org_id.empty();
  });
}

constexpr std::string_view call_url = "lambda:InvokeFunctionUrl";
// The second grant (developer guide, "Control access to Lambda function URLs"): URLs made since
// October 2025 need it, older ones and the tools of their time do with the first. Asked for where
// nothing may pass that the cloud would refuse.
constexpr std::string_view invoke_by_url = "lambda:InvokeFunction";

guard::SignedRequest signed_view(const RawRequest& request, std::string_view body_sha256) {
  guard::SignedRequest out;
  out.method = request.method;
  out.path = request.path;
  out.query = request.query;
  for (const auto& [name, value] : request.headers) out.headers.emplace_back(name, value);
  out.body_sha256 = body_sha256;
  out.source_ip = request.source_ip;
  return out;
}

std::string iam_json(const api::Caller& caller) {
  return fmt::format(
      "{{\"accessKey\":{},\"accountId\":{},\"callerId\":{},\"cognitoIdentity\":null,"
      "\"principalOrgId\":null,\"userArn\":{},\"userId\":{}}}",
      json_quoted(caller.access_key_id), json_quoted(caller.account.str()),
      json_quoted(caller.user_id), json_quoted(caller.arn), json_quoted(caller.user_id));
}

}  // namespace

std::string_view RawRequest::header(std::string_view lower_name) const {
  for (const auto& [name, value] : headers) {
    if (lower(name) == lower_name) return value;
  }
  return {};
}

bool Service::url_allowed(const RawRequest& request, const FunctionRef& ref,
                          const functions::FunctionUrl& url, api::Caller& caller) {
  std::string arn = ref.arn();
  bool strict = deps_.settings.strict;
  if (url.auth_type == "NONE") {
    caller.source_ip = request.source_ip;
    auto granted = statements(arn);
    return is_open(granted, call_url) && (!strict || is_open(granted, invoke_by_url));
  }
  std::string digest = store::sha256_hex(request.body);
  auto who = deps_.guard.authenticate(signed_view(request, digest));
  if (!who) return false;
  caller = std::move(*who);
  guard::Question question{.caller = caller,
                           .action = call_url,
                           .resource = arn,
                           .resource_account = ref.scope.account,
                           .source_arn = {},
                           .function_url_auth_type = url.auth_type};
  if (!deps_.guard.authorize(question).allowed) return false;
  question.action = invoke_by_url;
  return !strict || deps_.guard.authorize(question).allowed;
}

io::Task<RawResponse> Service::serve_url(RawRequest request) {
  std::string id = request.host.substr(0, request.host.find('.'));
  const Function* function = deps_.registry.find_by_url(id);
  if (!function) co_return url_error(403, forbidden_text);
  // ID.lambda-url.REGION.…: an address of another region is none of this function's.
  auto home = fmt::format("{}.lambda-url.{}.", id, function->scope.region.str());
  if (!request.host.starts_with(home)) co_return url_error(403, forbidden_text);
  for (const auto& [qualifier, url] : function->urls) {
    if (url.url_id != id) continue;
    FunctionRef ref{function->scope, function->name, qualifier};
    co_return co_await run_url(std::move(request), std::move(ref), url);
  }
  co_return url_error(403, forbidden_text);
}

io::Task<RawResponse> Service::run_url(RawRequest request, FunctionRef ref,
                                       functions::FunctionUrl url) {
  if (auto early = preflight(url.cors_json, request)) co_return std::move(*early);
  api::Caller caller;
  if (!url_allowed(request, ref, url, caller)) co_return url_error(403, forbidden_text);
  if (!check_size(ref, Kept::sync, request.body.size(), "InvokeFunctionUrl")) {
    co_return url_error(413, "Request Entity Too Large");
  }
  bool iam = url.auth_type == "AWS_IAM";
  UrlContext context{.url_id = url.url_id,
                     .account = iam ? caller.account.str() : "anonymous",
                     .iam_json = iam ? iam_json(caller) : std::string(),
                     .time = deps_.loop.clock().platform()};
  auto ready = co_await prepare(ref, no_deadline);
  if (!ready) co_return url_error(502, "Internal Server Error");
  invoke::Request call;
  call.event.id = request.id;
  call.event.payload = url_event(request, context);
  call.event.trace_header = request.header("x-amzn-trace-id");
  call.invoked_arn = ready->invoked_arn;
  RawResponse answer;
  if (url.invoke_mode == "RESPONSE_STREAM") {
    answer = co_await url_stream(deps_.invoker.invoke_streaming(ready->runnable, std::move(call)));
  } else {
    auto outcome = co_await invoke_or_fall_back(*std::move(ready), std::move(call));
    if (outcome) {
      answer = url_response(*outcome);
    } else if (outcome.error().kind == ErrorKind::throttled) {
      answer = url_error(429, "Too Many Requests");
    } else {
      answer = url_error(502, "Internal Server Error");
    }
  }
  if (request.method == "HEAD") answer.body.clear();
  auto cors = cors_headers(url.cors_json, request);
  if (has_cors(url.cors_json)) {
    // The URL's own rules replace what the function says about CORS, also where they allow nothing.
    std::erase_if(answer.headers, [](const auto& header) {
      return lower(header.first).starts_with("access-control-");
    });
    answer.headers.insert(answer.headers.end(), cors.begin(), cors.end());
  }
  answer.headers.emplace_back("x-amzn-RequestId", request.id.str());
  co_return answer;
}

}  // namespace mayfly::lambda
