#include "services/events/policy.h"

#include "base/limits.h"
#include "wire/json.h"

namespace mayfly::services::bus {

namespace {

using wire::Json;
using wire::JsonArray;

std::vector<Json> statements_of(const Json& document) {
  const auto* found = document.find("Statement");
  if (found == nullptr) return {};
  if (const auto* list = found->as<JsonArray>()) return *list;
  return {*found};
}

ApiResult<Json> parse(std::string_view document) {
  if (document.empty()) return Json(wire::JsonObject());
  auto json = wire::parse_json(document);
  if (!json || !json->is_object()) return invalid("Policy is not a JSON object.");
  return *std::move(json);
}

}  // namespace

ApiResult<std::string> with_grant(std::string_view document, std::string_view bus_arn,
                                  const Grant& grant) {
  TRY_ASSIGN(auto json, parse(document));
  auto statements = statements_of(json);
  std::erase_if(statements, [&](const Json& one) { return one.string_or("Sid") == grant.sid; });
  Json statement;
  statement["Sid"] = grant.sid;
  statement["Effect"] = "Allow";
  if (grant.principal == "*") {
    statement["Principal"] = "*";
  } else {
    statement["Principal"]["AWS"] = fmt::format("arn:aws:iam::{}:root", grant.principal);
  }
  statement["Action"] = grant.action;
  statement["Resource"] = bus_arn;
  if (!grant.organization.empty()) {
    statement["Condition"]["StringEquals"]["aws:PrincipalOrgID"] = grant.organization;
  }
  statements.push_back(std::move(statement));
  json["Version"] = "2012-10-17";
  json["Statement"] = std::move(statements);
  auto out = json.dump();
  if (out.size() <= limits::events_policy_bytes) return out;
  return Refusal(model::policy_length_exceeded_exception(
      fmt::format("The policy of an event bus may have {} bytes.", limits::events_policy_bytes)));
}

ApiResult<std::string> without_grant(std::string_view document, std::string_view sid) {
  TRY_ASSIGN(auto json, parse(document));
  auto statements = statements_of(json);
  if (std::erase_if(statements, [&](const Json& one) { return one.string_or("Sid") == sid; }) ==
      0) {
    return not_found("Statement with the provided id does not exist.");
  }
  if (statements.empty()) return std::string();
  json["Statement"] = std::move(statements);
  return json.dump();
}

}  // namespace mayfly::services::bus
