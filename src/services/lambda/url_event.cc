#include "services/lambda/url_event.h"

#include <fmt/chrono.h>

#include <map>

#include "services/lambda/text.h"
#include "wire/json.h"
#include "wire/text.h"

namespace mayfly::lambda {

namespace {

using std::string_view_literals::operator""sv;

// An object under construction, members in the order of adding.
class Object {
 public:
  Object& raw(std::string_view name, std::string_view value) {
    out_ += fmt::format("{}{}:{}", out_.size() > 1 ? "," : "", json_quoted(name), value);
    return *this;
  }
  Object& text(std::string_view name, std::string_view value) {
    return raw(name, json_quoted(value));
  }
  bool empty() const { return out_.size() == 1; }
  std::string take() const { return out_ + "}"; }

 private:
  std::string out_ = "{";
};

// Content that the cloud hands over as text; all else goes as base64.
bool is_text(std::string_view content_type) {
  std::string type = lower(content_type.substr(0, content_type.find(';')));
  while (type.ends_with(' ')) type.pop_back();
  return type.empty() || type.starts_with("text/") || type == "application/json" ||
         type == "application/javascript" || type == "application/xml" || type.ends_with("+json") ||
         type.ends_with("+xml");
}

std::string query_json(std::string_view query) {
  std::vector<std::pair<std::string, std::string>> joined;
  while (!query.empty()) {
    auto end = query.find('&');
    std::string_view pair = query.substr(0, end);
    query.remove_prefix(end == query.npos ? query.size() : end + 1);
    if (pair.empty()) continue;
    auto equals = pair.find('=');
    std::string key = percent_decoded(pair.substr(0, equals), true);
    std::string value = equals == pair.npos ? "" : percent_decoded(pair.substr(equals + 1), true);
    auto same = std::ranges::find_if(joined, [&key](const auto& one) { return one.first == key; });
    if (same == joined.end()) {
      joined.emplace_back(std::move(key), std::move(value));
    } else {
      same->second += "," + value;
    }
  }
  Object out;
  for (const auto& [key, value] : joined) out.text(key, value);
  return out.empty() ? "" : out.take();
}

struct Headers {
  std::map<std::string, std::string> joined;
  std::vector<std::string> cookies;
};

Headers read_headers(const RawRequest& request) {
  Headers out;
  for (const auto& [name, value] : request.headers) {
    std::string key = lower(name);
    if (key == "cookie") {
      std::string_view rest = value;
      while (!rest.empty()) {
        auto end = rest.find(';');
        std::string_view one = rest.substr(0, end);
        rest.remove_prefix(end == rest.npos ? rest.size() : end + 1);
        while (one.starts_with(' ')) one.remove_prefix(1);
        if (!one.empty()) out.cookies.emplace_back(one);
      }
    }
    auto [at, fresh] = out.joined.emplace(key, value);
    if (!fresh) at->second += (key == "cookie" ? "; " : ",") + value;
  }
  out.joined.emplace("x-forwarded-for", request.source_ip);
  out.joined.emplace("x-forwarded-proto", "http");
  auto colon = request.host.rfind(':');
  out.joined.emplace("x-forwarded-port",
                     colon == std::string::npos ? "80" : request.host.substr(colon + 1));
  return out;
}

std::string request_context(const RawRequest& request, const UrlContext& context,
                            const std::string& path) {
  std::string domain = request.host.substr(0, request.host.rfind(':'));
  std::int64_t ms = epoch_millis(context.time);
  Object http;
  http.text("method", request.method).text("path", path).text("protocol", "HTTP/1.1");
  http.text("sourceIp", request.source_ip).text("userAgent", request.header("user-agent"));
  Object out;
  out.text("accountId", context.account).text("apiId", context.url_id);
  if (!context.iam_json.empty()) {
    Object authorizer;
    authorizer.raw("iam", context.iam_json);
    out.raw("authorizer", authorizer.take());
  }
  out.text("domainName", domain).text("domainPrefix", context.url_id).raw("http", http.take());
  out.text("requestId", request.id.str()).text("routeKey", "$default").text("stage", "$default");
  out.text("time", fmt::format("{:%d/%b/%Y:%H:%M:%S} +0000",
                               fmt::gmtime(static_cast<std::time_t>(ms / 1000))));
  out.raw("timeEpoch", std::to_string(ms));
  return out.take();
}

RawResponse bad_gateway() { return url_error(502, "Internal Server Error"); }

std::optional<std::string> scalar_text(const wire::Json& value) {
  if (value.is_string()) return std::string(value.string_value());
  if (value.is_bool() || value.is_number()) return value.dump();
  return std::nullopt;
}

// A line break in a header would let a function write a response of its own.
bool header_safe(std::string_view text) { return text.find_first_of("\r\n\0"sv) == text.npos; }

}  // namespace

std::string url_event(const RawRequest& request, const UrlContext& context) {
  std::string path = percent_decoded(request.path, false);
  Headers headers = read_headers(request);
  Object out;
  out.text("version", "2.0").text("routeKey", "$default").text("rawPath", path);
  out.text("rawQueryString", request.query);
  if (!headers.cookies.empty()) {
    std::string list;
    for (const auto& cookie : headers.cookies) {
      list += (list.empty() ? "" : ",") + json_quoted(cookie);
    }
    out.raw("cookies", "[" + list + "]");
  }
  Object header_object;
  for (const auto& [name, value] : headers.joined) header_object.text(name, value);
  out.raw("headers", header_object.take());
  std::string query = query_json(request.query);
  if (!query.empty()) out.raw("queryStringParameters", query);
  out.raw("requestContext", request_context(request, context, path));
  bool text = is_text(request.header("content-type")) && wire::is_utf8(request.body);
  if (!request.body.empty()) {
    out.raw("body", json_quoted(text ? request.body : base64(request.body)));
  }
  out.raw("isBase64Encoded", !request.body.empty() && !text ? "true" : "false");
  return out.take();
}

RawResponse url_error(int status, std::string_view text) {
  // Under this very name for 403 and 404 the cloud writes a capital letter, and none for 5xx; both
  // are JSON.
  return {.status = status,
          .headers = {{"Content-Type", "application/json"}},
          .body = status == 403 || status == 404
                      ? fmt::format("{{\"Message\":{}}}", json_quoted(text))
                      : std::string(text)};
}

std::optional<RawResponse> url_head(const wire::Json& parts) {
  RawResponse out;
  if (const auto* status = parts.find("statusCode")) {
    auto code = scalar_text(*status);
    out.status = code ? std::atoi(code->c_str()) : 0;
  }
  if (out.status < 100 || out.status > 599) return std::nullopt;
  bool typed = false;
  if (const auto* headers = parts.find("headers"); headers && !headers->is_null()) {
    if (!headers->is_object()) return std::nullopt;
    for (const auto& [name, content] : *headers->as<wire::JsonObject>()) {
      auto text = scalar_text(content);
      if (!text || !header_safe(*text) || !header_safe(name)) return std::nullopt;
      typed = typed || lower(name) == "content-type";
      // The length is that of the body we send.
      if (lower(name) != "content-length") out.headers.emplace_back(std::string(name), *text);
    }
  }
  if (!typed) out.headers.emplace_back("Content-Type", "application/json");
  if (const auto* cookies = parts.find("cookies"); cookies && cookies->is_array()) {
    for (const auto& cookie : *cookies->as<wire::JsonArray>()) {
      if (!cookie.is_string() || !header_safe(cookie.string_value())) return std::nullopt;
      out.headers.emplace_back("Set-Cookie", std::string(cookie.string_value()));
    }
  }
  return out;
}

namespace {

// A streamed answer that was collected, for a URL that does not stream.
RawResponse collected_response(const events::Outcome& outcome) {
  std::string_view payload = outcome.payload;
  if (outcome.content_type != url_prelude_type) {
    return {.status = 200,
            .headers = {{"Content-Type", outcome.content_type}},
            .body = std::string(payload)};
  }
  auto end = payload.find(url_prelude_end);
  if (end == payload.npos) return bad_gateway();
  auto parts = wire::parse_json(payload.substr(0, end));
  auto out = parts && parts->is_object() ? url_head(*parts) : std::nullopt;
  if (!out) return bad_gateway();
  out->body = payload.substr(end + url_prelude_end.size());
  return std::move(*out);
}

}  // namespace

RawResponse url_response(const events::Outcome& outcome) {
  if (outcome.kind != events::Outcome::Kind::ok) return bad_gateway();
  if (outcome.streamed && outcome.content_type != "application/json") {
    return collected_response(outcome);
  }
  auto value = wire::parse_json(outcome.payload);
  if (!value || !value->find("statusCode")) {
    RawResponse out;
    out.headers.emplace_back("Content-Type", "application/json");
    // A bare string is its own body, without quotes; all else is JSON as it came.
    out.body = value && value->is_string() ? std::string(value->string_value()) : outcome.payload;
    return out;
  }
  auto out = url_head(*value);
  if (!out) return bad_gateway();
  const auto* body = value->find("body");
  if (!body || body->is_null()) return std::move(*out);
  out->body = body->is_string() ? std::string(body->string_value()) : body->dump();
  if (value->bool_or("isBase64Encoded", false)) {
    auto bytes = from_base64(out->body);
    if (!bytes) return bad_gateway();
    out->body = std::move(*bytes);
  }
  return std::move(*out);
}

}  // namespace mayfly::lambda
