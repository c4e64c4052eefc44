#include "services/lambda/policy.h"

#include "services/lambda/names.h"
#include "services/lambda/text.h"

namespace mayfly::lambda {

namespace {

bool is_account(std::string_view text) { return text.size() == 12 && is_version_number(text); }

std::string principal_json(std::string_view principal) {
  if (principal == "*") return "\"*\"";
  if (is_account(principal)) return fmt::format("{{\"AWS\":\"arn:aws:iam::{}:root\"}}", principal);
  if (principal.starts_with("arn:")) return fmt::format("{{\"AWS\":{}}}", json_quoted(principal));
  return fmt::format("{{\"Service\":{}}}", json_quoted(principal));
}

// Operators in the order in which the cloud prints them; empty operators are left out.
std::string condition_json(const functions::Permission& one) {
  std::string equals;
  auto add = [&equals](std::string_view key, const std::string& value) {
    if (value.empty()) return;
    equals += fmt::format("{}\"{}\":{}", equals.empty() ? "" : ",", key, json_quoted(value));
  };
  add("AWS:SourceAccount", one.source_account);
  add("lambda:EventSourceToken", one.event_source_token);
  add("aws:PrincipalOrgID", one.principal_org_id);
  add("lambda:FunctionUrlAuthType", one.function_url_auth_type);
  std::string out;
  auto op = [&out](std::string_view text) { out += (out.empty() ? "" : ",") + std::string(text); };
  if (!equals.empty()) op(fmt::format("\"StringEquals\":{{{}}}", equals));
  if (one.invoked_via_function_url) op("\"Bool\":{\"lambda:InvokedViaFunctionUrl\":\"true\"}");
  if (!one.source_arn.empty()) {
    op(fmt::format("\"ArnLike\":{{\"AWS:SourceArn\":{}}}", json_quoted(one.source_arn)));
  }
  return out;
}

}  // namespace

bool valid_principal(std::string_view principal) {
  if (principal == "*" || is_account(principal)) return true;
  if (principal.starts_with("arn:")) return true;
  auto dot = principal.find('.');
  return dot != principal.npos && dot > 0 &&
         (principal.ends_with(".amazonaws.com") || principal.ends_with(".amazon.com"));
}

std::string statement_json(const functions::Permission& one, std::string_view resource) {
  std::string out = fmt::format(
      "{{\"Sid\":{},\"Effect\":\"Allow\",\"Principal\":{},\"Action\":{},\"Resource\":{}",
      json_quoted(one.sid), principal_json(one.principal), json_quoted(one.action),
      json_quoted(resource));
  std::string condition = condition_json(one);
  if (!condition.empty()) out += fmt::format(",\"Condition\":{{{}}}", condition);
  return out + "}";
}

std::string policy_json(const std::vector<functions::Permission>& permissions,
                        std::string_view resource) {
  std::string out = "{\"Version\":\"2012-10-17\",\"Id\":\"default\",\"Statement\":[";
  for (std::size_t i = 0; i < permissions.size(); ++i) {
    if (i > 0) out += ",";
    out += statement_json(permissions[i], resource);
  }
  return out + "]}";
}

guard::PolicyStatement guard_statement(const functions::Permission& one,
                                       std::string_view resource) {
  guard::PolicyStatement out;
  out.sid = one.sid;
  out.principal = one.principal;
  out.action = one.action;
  out.resource = resource;
  out.source_arn = one.source_arn;
  out.source_account = one.source_account;
  out.principal_org_id = one.principal_org_id;
  out.function_url_auth_type = one.function_url_auth_type;
  out.event_source_token = one.event_source_token;
  out.invoked_via_function_url = one.invoked_via_function_url;
  return out;
}

}  // namespace mayfly::lambda
