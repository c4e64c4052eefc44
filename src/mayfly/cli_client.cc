#include "mayfly/cli_client.h"

#include <curl/curl.h>

#include "wire/hash.h"
#include "wire/sigv4.h"

namespace mayfly::cli {
namespace {

std::string_view host_of(std::string_view endpoint) {
  const auto scheme = endpoint.find("://");
  auto host = scheme == std::string_view::npos ? endpoint : endpoint.substr(scheme + 3);
  return host.substr(0, host.find('/'));
}

std::string query_text(const wire::Pairs& query) {
  std::string text;
  for (const auto& [name, value] : query) {
    text += fmt::format("{}{}={}", text.empty() ? "" : "&", wire::percent_encode(name),
                        wire::percent_encode(value));
  }
  return text;
}

std::size_t take_body(char* data, std::size_t size, std::size_t count, void* into) {
  static_cast<std::string*>(into)->append(data, size * count);
  return size * count;
}

std::size_t take_header(char* data, std::size_t size, std::size_t count, void* into) {
  const std::string_view line(data, size * count);
  auto& headers = *static_cast<wire::Pairs*>(into);
  if (line.starts_with("HTTP/")) headers.clear();  // an interim 100 came before
  if (const auto colon = line.find(':'); colon != std::string_view::npos) {
    headers.emplace_back(wire::to_lower(line.substr(0, colon)),
                         std::string(wire::trim(line.substr(colon + 1))));
  }
  return size * count;
}

// The error of an answer: AWS puts the code into a header, or the body's "__type" or "code".
Error error_of(const Reply& reply) {
  auto body = wire::parse_json(reply.body);
  const wire::Json json = body ? *std::move(body) : wire::Json();
  std::string code(reply.header("x-amzn-errortype"));
  if (code.empty()) code = std::string(json.string_or("__type", json.string_or("code")));
  code = code.substr(0, code.find(':'));
  if (const auto hash = code.find('#'); hash != std::string::npos) code = code.substr(hash + 1);
  std::string message(json.string_or("message", json.string_or("Message")));
  if (message.empty()) message = fmt::format("the server answered status {}", reply.status);
  auto kind = ErrorKind::invalid;
  if (reply.status == 404) kind = ErrorKind::not_found;
  if (reply.status == 409) kind = ErrorKind::conflict;
  if (reply.status == 403) kind = ErrorKind::denied;
  if (code == "UnrecognizedClientException" || code == "InvalidClientTokenId" ||
      code == "InvalidSignatureException" || code == "SignatureDoesNotMatch") {
    message +=
        " Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or --profile: a server in --dev takes "
        "the key test, another one the root key that its first start has shown.";
  }
  if (reply.status == 429) kind = ErrorKind::throttled;
  if (reply.status == 501) kind = ErrorKind::unimplemented;
  if (reply.status >= 500 && reply.status != 501) kind = ErrorKind::internal;
  return Error{kind, std::move(message), std::move(code)};
}

}  // namespace

struct Client::Curl {
  CURL* handle = nullptr;
  Curl() {
    curl_global_init(CURL_GLOBAL_DEFAULT);
    handle = curl_easy_init();
  }
  ~Curl() {
    curl_easy_cleanup(handle);
    curl_global_cleanup();
  }
  Curl(const Curl&) = delete;
  Curl& operator=(const Curl&) = delete;
};

std::string_view Reply::header(std::string_view name) const {
  const auto* value = wire::find_pair(headers, name);
  return value ? std::string_view(*value) : std::string_view();
}

wire::Pairs sign(const Request& request, const Settings& settings, std::string_view host,
                 std::int64_t now_ms) {
  const auto time = wire::format_amz_date(now_ms);
  wire::Pairs added{{"x-amz-date", time}};
  if (!settings.session_token.empty()) {
    added.emplace_back("x-amz-security-token", settings.session_token);
  }
  std::vector<wire::sigv4::HeaderView> covered{{"host", host}};
  covered.insert(covered.end(), added.begin(), added.end());
  const auto query = query_text(request.query);
  const wire::sigv4::Request text{request.method, request.path, query, covered};
  const wire::sigv4::Scope scope{time.substr(0, 8), settings.region, request.service};
  added.emplace_back("authorization", wire::sigv4::authorization(
                                          text, settings.access_key_id, settings.secret_access_key,
                                          scope, time, wire::sha256_hex(request.body)));
  return added;
}

Client::Client(Settings settings)
    : settings_(std::move(settings)), curl_(std::make_unique<Curl>()) {}
Client::~Client() = default;

Result<Reply> Client::send(const Request& request) {
  CURL* curl = curl_->handle;
  curl_easy_reset(curl);
  auto url = settings_.endpoint + request.path;
  if (!request.query.empty()) url += "?" + query_text(request.query);
  const auto now = std::chrono::duration_cast<std::chrono::milliseconds>(
      std::chrono::system_clock::now().time_since_epoch());
  auto headers = sign(request, settings_, host_of(settings_.endpoint), now.count());
  headers.insert(headers.end(), request.headers.begin(), request.headers.end());
  headers.emplace_back("Expect", "");  // no pause before a body that is sent anyway
  curl_slist* list = nullptr;
  for (const auto& [name, value] : headers) {
    list = curl_slist_append(list, fmt::format("{}: {}", name, value).c_str());
  }
  Reply reply;
  curl_easy_setopt(curl, CURLOPT_URL, url.c_str());
  curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, request.method.c_str());
  if (request.method != "GET" && request.method != "DELETE") {
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, request.body.data());
    curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, curl_off_t(request.body.size()));
  }
  curl_easy_setopt(curl, CURLOPT_HTTPHEADER, list);
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_body);
  curl_easy_setopt(curl, CURLOPT_WRITEDATA, &reply.body);
  curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, take_header);
  curl_easy_setopt(curl, CURLOPT_HEADERDATA, &reply.headers);
  curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, 5000L);
  curl_easy_setopt(curl, CURLOPT_PATH_AS_IS, 1L);
  curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
  const auto outcome = curl_easy_perform(curl);
  curl_slist_free_all(list);
  if (outcome == CURLE_COULDNT_CONNECT) {
    return fail(ErrorKind::unavailable, fmt::format("no server at {}: start one with `mayfly "
                                                    "server --dev`, or name another with "
                                                    "--endpoint",
                                                    settings_.endpoint));
  }
  if (outcome != CURLE_OK) {
    return fail(ErrorKind::unavailable,
                fmt::format("{}: {}", settings_.endpoint, curl_easy_strerror(outcome)));
  }
  long status = 0;
  curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
  reply.status = static_cast<int>(status);
  return reply;
}

Result<Reply> Client::call(const Request& request) {
  TRY_ASSIGN(auto reply, send(request));
  if (reply.status >= 300) return std::unexpected(error_of(reply));
  return reply;
}

Result<wire::Json> Client::json(Request request, const wire::Json* body) {
  if (body) {
    request.body = body->dump();
    if (!wire::find_pair_nocase(request.headers, "content-type")) {
      request.headers.emplace_back("Content-Type", "application/json");
    }
  }
  TRY_ASSIGN(auto reply, call(request));
  if (reply.body.empty()) return wire::Json();
  return wire::parse_json(reply.body);
}

Result<wire::Json> Client::logs(const std::string& operation, const wire::Json& input) {
  Request request{.service = "logs", .method = "POST", .path = "/"};
  request.headers = {{"X-Amz-Target", "Logs_20140328." + operation},
                     {"Content-Type", "application/x-amz-json-1.1"}};
  return json(std::move(request), &input);
}

Result<std::string> Client::account() {
  const auto& key = settings_.access_key_id;
  const bool digits = std::ranges::all_of(key, [](char c) { return c >= '0' && c <= '9'; });
  if (key.size() == 12 && digits) return key;
  Request request{.service = "sts", .method = "POST", .path = "/"};
  request.headers = {{"Content-Type", "application/x-www-form-urlencoded"}};
  request.body = "Action=GetCallerIdentity&Version=2011-06-15";
  TRY_ASSIGN(auto reply, call(request));
  const auto begin = reply.body.find("<Account>");
  const auto end = reply.body.find("</Account>");
  if (begin == std::string::npos || end == std::string::npos) {
    return fail(ErrorKind::corrupt, "the server's answer to GetCallerIdentity names no account");
  }
  return reply.body.substr(begin + 9, end - begin - 9);
}

}  // namespace mayfly::cli
