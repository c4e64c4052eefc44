#include "services/lambda/cors.h"

#include <fmt/ranges.h>

#include "services/lambda/text.h"
#include "wire/json.h"

namespace mayfly::lambda {

namespace {

using api::lambda::Cors;
constexpr std::int64_t max_age_seconds = 86'400;

std::string list_json(const std::vector<std::string_view>& items) {
  std::vector<std::string> quoted;
  for (auto item : items) quoted.push_back(json_quoted(item));
  return fmt::format("[{}]", fmt::join(quoted, ","));
}

bool same_text(std::string_view a, std::string_view b) { return lower(a) == lower(b); }

bool origin_allowed(const Cors& cors, std::string_view origin) {
  return std::ranges::any_of(cors.allow_origins(), [origin](std::string_view allowed) {
    if (allowed == "*" || same_text(allowed, origin)) return true;
    // "https://*.example.com": one asterisk for any labels.
    auto star = allowed.find('*');
    if (star == allowed.npos) return false;
    std::string_view head = allowed.substr(0, star);
    std::string_view tail = allowed.substr(star + 1);
    return origin.size() > head.size() + tail.size() && origin.starts_with(head) &&
           origin.ends_with(tail);
  });
}

bool listed(const std::vector<std::string_view>& allowed, std::string_view wanted) {
  return std::ranges::any_of(
      allowed, [wanted](std::string_view one) { return one == "*" || same_text(one, wanted); });
}

}  // namespace

ApiResult<std::string> cors_json(const Cors& cors) {
  if (cors.max_age() && (*cors.max_age() < 0 || *cors.max_age() > max_age_seconds)) {
    return refuse(constraint(
        std::to_string(*cors.max_age()), "cors.maxAge",
        fmt::format("Member must have value less than or equal to {}", max_age_seconds)));
  }
  std::string out = "{";
  auto add = [&out](std::string_view name, const std::string& value) {
    out += fmt::format("{}\"{}\":{}", out.size() > 1 ? "," : "", name, value);
  };
  if (cors.allow_credentials())
    add("AllowCredentials", *cors.allow_credentials() ? "true" : "false");
  if (cors.has_allow_headers()) add("AllowHeaders", list_json(cors.allow_headers()));
  if (cors.has_allow_methods()) add("AllowMethods", list_json(cors.allow_methods()));
  if (cors.has_allow_origins()) add("AllowOrigins", list_json(cors.allow_origins()));
  if (cors.has_expose_headers()) add("ExposeHeaders", list_json(cors.expose_headers()));
  if (cors.max_age()) add("MaxAge", std::to_string(*cors.max_age()));
  return out + "}";
}

Cors cors_view(const std::string& json) {
  Cors out;
  auto value = wire::parse_json(json);
  if (!value) return out;
  auto list = [&value](std::string_view name) -> std::optional<std::vector<std::string>> {
    const auto* found = value->find(name);
    if (!found || !found->is_array()) return std::nullopt;
    std::vector<std::string> items;
    for (const auto& item : *found->as<wire::JsonArray>()) {
      if (item.is_string()) items.emplace_back(item.string_value());
    }
    return items;
  };
  if (const auto* flag = value->find("AllowCredentials"); flag && flag->is_bool()) {
    out.set_allow_credentials(*flag->as<bool>());
  }
  if (auto items = list("AllowHeaders")) out.set_allow_headers(*items);
  if (auto items = list("AllowMethods")) out.set_allow_methods(*items);
  if (auto items = list("AllowOrigins")) out.set_allow_origins(*items);
  if (auto items = list("ExposeHeaders")) out.set_expose_headers(*items);
  if (const auto* age = value->find("MaxAge"); age && age->is_int()) {
    out.set_max_age(*age->as<std::int64_t>());
  }
  return out;
}

bool has_cors(const std::string& json) {
  return !json.empty() && !cors_view(json).allow_origins().empty();
}

std::vector<std::pair<std::string, std::string>> cors_headers(const std::string& json,
                                                              const RawRequest& request) {
  std::vector<std::pair<std::string, std::string>> out;
  std::string_view origin = request.header("origin");
  if (json.empty() || origin.empty()) return out;
  Cors cors = cors_view(json);
  if (!origin_allowed(cors, origin)) return out;
  out.emplace_back("Access-Control-Allow-Origin", origin);
  out.emplace_back("Vary", "Origin");
  if (cors.allow_credentials().value_or(false)) {
    out.emplace_back("Access-Control-Allow-Credentials", "true");
  }
  if (!cors.expose_headers().empty()) {
    out.emplace_back("Access-Control-Expose-Headers",
                     fmt::format("{}", fmt::join(cors.expose_headers(), ",")));
  }
  return out;
}

std::optional<RawResponse> preflight(const std::string& json, const RawRequest& request) {
  std::string_view method = request.header("access-control-request-method");
  bool asks = request.method == "OPTIONS" && !request.header("origin").empty() && !method.empty();
  if (!asks || !has_cors(json)) return std::nullopt;
  RawResponse out;
  Cors cors = cors_view(json);
  if (!origin_allowed(cors, request.header("origin")) || !listed(cors.allow_methods(), method)) {
    return out;  // without the headers the browser refuses for us
  }
  out.headers = cors_headers(json, request);
  out.headers.emplace_back("Access-Control-Allow-Methods",
                           fmt::format("{}", fmt::join(cors.allow_methods(), ",")));
  if (!cors.allow_headers().empty()) {
    out.headers.emplace_back("Access-Control-Allow-Headers",
                             fmt::format("{}", fmt::join(cors.allow_headers(), ",")));
  }
  if (cors.max_age()) {
    out.headers.emplace_back("Access-Control-Max-Age", std::to_string(*cors.max_age()));
  }
  return out;
}

}  // namespace mayfly::lambda
