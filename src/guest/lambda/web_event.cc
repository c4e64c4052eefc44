#include "guest/lambda/web_event.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <array>

#include "io/http1.h"
#include "wire/json.h"
#include "wire/text.h"

namespace mayfly::guest {
namespace {

using io::http1::equals_ignoring_case;
using wire::Json;
using wire::JsonArray;
using wire::JsonObject;

constexpr std::string_view prelude_end("\0\0\0\0\0\0\0\0", 8);

// Of one connection, and none of the message's (RFC 9110, 7.6.1).
constexpr std::array<std::string_view, 9> hop_by_hop = {"connection",
                                                        "keep-alive",
                                                        "proxy-authenticate",
                                                        "proxy-authorization",
                                                        "proxy-connection",
                                                        "te",
                                                        "trailer",
                                                        "transfer-encoding",
                                                        "upgrade"};

bool is_hop_by_hop(std::string_view name) {
  return std::ranges::any_of(hop_by_hop, [&](auto one) { return equals_ignoring_case(one, name); });
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
  }
  return out;
}

std::string text_of(const Json& value) {
  if (value.is_string()) return std::string(value.string_value());
  return value.is_null() ? std::string() : value.dump();
}

// A path as events have it is decoded; what cannot stand in a request's target is encoded again.
std::string encoded_path(std::string_view path) {
  static constexpr std::string_view kept = "-._~!$&'()*+,;=:@/";
  std::string out;
  for (char c : path) {
    bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                 kept.find(c) != kept.npos;
    if (plain) {
      out.push_back(c);
    } else {
      out += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
  }
  return out.starts_with('/') ? out : "/" + out;
}

// Query strings are passed on as they came, but for what would end the line.
std::string safe_query(std::string_view query) {
  std::string out;
  for (char c : query) {
    auto byte = static_cast<unsigned char>(c);
    if (byte <= 0x20 || byte == 0x7f || byte >= 0x80 || c == '#') {
      out += fmt::format("%{:02X}", byte);
    } else {
      out.push_back(c);
    }
  }
  return out;
}

// One leading occurrence, and whole segments alone.
std::string_view without_base(std::string_view path, std::string_view base) {
  while (base.ends_with('/')) base.remove_suffix(1);
  if (base.empty() || !path.starts_with(base)) return path;
  std::string_view rest = path.substr(base.size());
  if (rest.empty()) return "/";
  return rest.front() == '/' ? rest : path;
}

// `multi`: lists of values; `single`: the last or the joined one.
std::vector<std::pair<std::string, std::string>> pairs_of(const Json* multi, const Json* single) {
  std::vector<std::pair<std::string, std::string>> out;
  if (multi && multi->is_object() && !multi->as<JsonObject>()->empty()) {
    for (const auto& [name, values] : *multi->as<JsonObject>()) {
      if (!values.is_array()) continue;
      for (const Json& value : *values.as<JsonArray>()) out.emplace_back(name, text_of(value));
    }
    return out;
  }
  if (single && single->is_object()) {
    for (const auto& [name, value] : *single->as<JsonObject>()) {
      out.emplace_back(name, text_of(value));
    }
  }
  return out;
}

// A REST API's are decoded, a load balancer's are not.
std::string joined_query(const Json& event, bool decoded) {
  std::string out;
  for (const auto& [name, value] : pairs_of(event.find("multiValueQueryStringParameters"),
                                            event.find("queryStringParameters"))) {
    if (!out.empty()) out += '&';
    out += decoded ? wire::percent_encode(name) : name;
    out += '=';
    out += decoded ? wire::percent_encode(value) : value;
  }
  return out;
}

Result<std::string> body_of(const Json& event) {
  const Json* body = event.find("body");
  if (!body || body->is_null()) return std::string();
  std::string text = text_of(*body);
  if (!event.bool_or("isBase64Encoded", false)) return text;
  auto bytes = wire::base64_decode(text);
  if (!bytes) return fail(ErrorKind::corrupt, "the body of the event is no base64");
  return bytes;
}

std::optional<WebForm> form_of(const Json& event) {
  const Json* context = event.find("requestContext");
  if (!context || !context->is_object()) return std::nullopt;
  if (event.string_or("version") == "2.0" && context->find("http")) return WebForm::v2;
  if (event.string_or("httpMethod").empty()) return std::nullopt;
  return context->find("elb") ? WebForm::load_balancer : WebForm::v1;
}

std::string lambda_context(const InvokeRequest& event, const WebServer& server) {
  auto parsed = [](const std::string& json) {
    auto value = wire::parse_json(json);
    return value ? *std::move(value) : Json();
  };
  Json env;
  env["function_name"] = server.function_name;
  env["memory"] = server.memory_mb;
  env["version"] = server.function_version;
  env["log_group"] = server.log_group;
  Json out;
  out["request_id"] = event.request_id;
  out["deadline"] = event.deadline_epoch_ms;
  out["invoked_function_arn"] = event.invoked_function_arn;
  out["xray_trace_id"] = event.trace_header;
  out["client_context"] = parsed(event.client_context);
  out["identity"] = parsed(event.cognito_identity);
  out["env_config"] = std::move(env);
  return out.dump();
}

class Builder {
 public:
  Builder(const InvokeRequest& event, const WebServer& server) : event_(event), server_(server) {}

  Result<WebRequest> build() {
    auto parsed = wire::parse_json(event_.payload);
    std::optional<WebForm> form = parsed ? form_of(*parsed) : std::nullopt;
    if (form) {
      out_.form = *form;
      TRY(read(*parsed));
    } else {
      pass_through();
    }
    add_context(parsed ? &*parsed : nullptr);
    return std::move(out_);
  }

 private:
  Result<> read(const Json& event) {
    const Json& context = *event.find("requestContext");
    std::string path;
    std::string query;
    if (out_.form == WebForm::v2) {
      const Json* http = context.find("http");
      out_.method = http->string_or("method");
      path = event.string_or("rawPath", "/");
      query = event.string_or("rawQueryString");
    } else {
      out_.method = event.string_or("httpMethod");
      path = event.string_or("path", "/");
      query = joined_query(event, out_.form == WebForm::v1);
    }
    if (!io::http1::is_token(out_.method)) {
      return fail(ErrorKind::corrupt, "the method of the event is none of HTTP");
    }
    // A load balancer hands the path on as it came.
    std::string_view kept = without_base(path, server_.remove_base_path);
    out_.target = out_.form == WebForm::load_balancer
                      ? safe_query(kept.starts_with('/') ? kept : "/")
                      : encoded_path(kept);
    if (!query.empty()) out_.target += "?" + safe_query(query);
    add_headers(event);
    TRY_ASSIGN(out_.body, body_of(event));
    return {};
  }

  void add_headers(const Json& event) {
    const Json* multi = out_.form == WebForm::v2 ? nullptr : event.find("multiValueHeaders");
    const Json* cookies = out_.form == WebForm::v2 ? event.find("cookies") : nullptr;
    bool listed = cookies && cookies->is_array() && !cookies->as<JsonArray>()->empty();
    bool renamed = !server_.authorization_source.empty();
    std::string authorization;
    for (auto& [name, value] : pairs_of(multi, event.find("headers"))) {
      if (is_hop_by_hop(name) || equals_ignoring_case(name, "content-length")) continue;
      if (equals_ignoring_case(name, "expect")) continue;
      if (listed && equals_ignoring_case(name, "cookie")) continue;
      if (renamed && equals_ignoring_case(name, server_.authorization_source)) {
        authorization = value;
        continue;
      }
      out_.headers.emplace_back(std::move(name), std::move(value));
    }
    if (!authorization.empty()) {
      std::erase_if(out_.headers, [](const auto& one) {
        return equals_ignoring_case(one.first, "authorization");
      });
      out_.headers.emplace_back("authorization", std::move(authorization));
    }
    if (!listed) return;
    std::string all;
    for (const Json& cookie : *cookies->as<JsonArray>()) {
      all += (all.empty() ? "" : "; ") + text_of(cookie);
    }
    out_.headers.emplace_back("cookie", std::move(all));
  }

  void pass_through() {
    out_.method = "POST";
    out_.target = encoded_path(server_.pass_through_path);
    out_.headers.emplace_back("content-type", "application/json");
    out_.body = event_.payload;
  }

  bool has(std::string_view wanted) const {
    return std::ranges::any_of(
        out_.headers, [&](const auto& one) { return equals_ignoring_case(one.first, wanted); });
  }

  // Nobody but us says these, whatever the caller's headers are.
  void add_context(const Json* event) {
    std::erase_if(out_.headers, [](const auto& one) {
      return equals_ignoring_case(one.first, "x-amzn-request-context") ||
             equals_ignoring_case(one.first, "x-amzn-lambda-context") ||
             equals_ignoring_case(one.first, "x-amz-tenant-id");
    });
    const Json* context =
        event && out_.form != WebForm::pass_through ? event->find("requestContext") : nullptr;
    if (context) out_.headers.emplace_back("x-amzn-request-context", context->dump());
    out_.headers.emplace_back("x-amzn-lambda-context", lambda_context(event_, server_));
    if (!event_.tenant_id.empty()) out_.headers.emplace_back("x-amz-tenant-id", event_.tenant_id);
    if (!event_.trace_header.empty() && !has("x-amzn-trace-id")) {
      out_.headers.emplace_back("x-amzn-trace-id", event_.trace_header);
    }
    if (!has("host")) out_.headers.emplace_back("host", "127.0.0.1");
  }

  const InvokeRequest& event_;
  const WebServer& server_;
  WebRequest out_;
};

// What is text is handed on as such where it can be; all else as base64.
bool is_text(const WebResponse& response) {
  std::string type;
  for (const auto& [name, value] : response.headers) {
    if (equals_ignoring_case(name, "content-encoding") &&
        !equals_ignoring_case(value, "identity")) {
      return false;
    }
    if (equals_ignoring_case(name, "content-type")) type = lower(value.substr(0, value.find(';')));
  }
  while (type.ends_with(' ')) type.pop_back();
  bool text = type.empty() || type.starts_with("text/") || type == "application/json" ||
              type == "application/javascript" || type == "application/xml" ||
              type == "image/svg+xml" || type.ends_with("+json") || type.ends_with("+xml");
  return text && wire::is_utf8(response.body);
}

// Fields of the same name are one, but for cookies.
struct Fields {
  std::vector<std::pair<std::string, std::vector<std::string>>> lists;
  std::vector<std::string> cookies;
};

Fields fields_of(const WebResponse& response) {
  Fields out;
  for (const auto& [name, value] : response.headers) {
    if (is_hop_by_hop(name)) continue;
    // Header values are bytes, and JSON is UTF-8.
    std::string text = wire::is_utf8(value) ? value : wire::percent_encode(value);
    std::string key = lower(name);
    if (key == "set-cookie") {
      out.cookies.push_back(text);
      continue;
    }
    auto same = std::ranges::find_if(out.lists, [&](const auto& one) { return one.first == key; });
    if (same == out.lists.end()) {
      out.lists.push_back({std::move(key), {std::move(text)}});
    } else {
      same->second.push_back(std::move(text));
    }
  }
  return out;
}

Json list_of(const std::vector<std::string>& texts) {
  JsonArray out;
  for (const auto& text : texts) out.emplace_back(text);
  return out;
}

Json joined_headers(const Fields& fields) {
  Json out = Json::object({});
  for (const auto& [name, values] : fields.lists) {
    out[name] = fmt::format("{}", fmt::join(values, ", "));
  }
  return out;
}

// Of a REST API and a load balancer: every value for itself, cookies among them.
void put_lists(Json& out, const Fields& fields) {
  Json lists = Json::object({});
  for (const auto& [name, values] : fields.lists) lists[name] = list_of(values);
  if (!fields.cookies.empty()) lists["set-cookie"] = list_of(fields.cookies);
  out["multiValueHeaders"] = std::move(lists);
}

}  // namespace

Result<WebRequest> web_request(const InvokeRequest& event, const WebServer& server) {
  return Builder(event, server).build();
}

std::string web_answer(WebForm form, WebResponse response) {
  if (form == WebForm::pass_through) {
    if (wire::parse_json(response.body)) return std::move(response.body);
    bool utf8 = wire::is_utf8(response.body);
    return Json(utf8 ? response.body : wire::base64_encode(response.body)).dump();
  }
  bool text = is_text(response);
  Fields fields = fields_of(response);
  Json out;
  out["statusCode"] = response.status;
  out["headers"] = joined_headers(fields);
  if (form == WebForm::v2) {
    if (!fields.cookies.empty()) out["cookies"] = list_of(fields.cookies);
  } else {
    put_lists(out, fields);
  }
  if (form == WebForm::load_balancer) {
    out["statusDescription"] =
        fmt::format("{} {}", response.status, io::http1::reason_phrase(response.status));
  }
  out["isBase64Encoded"] = !text;
  out["body"] = text ? std::move(response.body) : wire::base64_encode(response.body);
  return out.dump();
}

std::string web_prelude(const WebResponse& response) {
  Fields fields = fields_of(response);
  Json out;
  out["statusCode"] = response.status;
  out["headers"] = joined_headers(fields);
  if (!fields.cookies.empty()) out["cookies"] = list_of(fields.cookies);
  return out.dump() + std::string(prelude_end);
}

}  // namespace mayfly::guest
