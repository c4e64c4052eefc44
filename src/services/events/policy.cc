#include "services/events/policy.h"

#include "base/limits.h"
#include "wire/json.h"
#include "wire/text.h"

namespace mayfly::services::bus {

namespace {

using wire::Json;
using wire::JsonArray;

std::unexpected<Error> bad(std::string why) { return fail(ErrorKind::invalid, std::move(why)); }

// A text or a list of them.
std::vector<std::string> texts_of(const Json* json) {
  std::vector<std::string> out;
  if (json == nullptr) return out;
  if (json->is_string()) out.emplace_back(json->string_value());
  if (const auto* list = json->as<JsonArray>()) {
    for (const auto& item : *list) out.emplace_back(item.string_value());
  }
  return out;
}

std::vector<std::string> principals_of(const Json& statement) {
  const auto* principal = statement.find("Principal");
  if (principal == nullptr) return {};
  if (principal->is_string()) return {std::string(principal->string_value())};
  std::vector<std::string> out;
  const auto* kinds = principal->as<wire::JsonObject>();
  if (kinds == nullptr) return out;
  for (const auto& [kind, value] : *kinds) {
    for (auto& one : texts_of(&value)) out.push_back(std::move(one));
  }
  return out;
}

// false: there is a condition that guard/ does not know.
bool take_conditions(const Json& statement, guard::PolicyStatement& out) {
  const auto* conditions = statement.find("Condition");
  if (conditions == nullptr) return true;
  const auto* operations = conditions->as<wire::JsonObject>();
  if (operations == nullptr) return false;
  for (const auto& [operation, keys] : *operations) {
    const auto* pairs = keys.as<wire::JsonObject>();
    bool like = operation == "ArnLike" || operation == "ArnEquals" || operation == "StringLike";
    if (pairs == nullptr || (operation != "StringEquals" && !like)) return false;
    for (const auto& [key, value] : *pairs) {
      auto texts = texts_of(&value);
      if (texts.size() != 1) return false;
      if (wire::iequals(key, "aws:SourceArn")) {
        out.source_arn = texts[0];
      } else if (!like && wire::iequals(key, "aws:SourceAccount")) {
        out.source_account = texts[0];
      } else if (!like && wire::iequals(key, "aws:PrincipalOrgID")) {
        out.principal_org_id = texts[0];
      } else {
        return false;
      }
    }
  }
  return true;
}

Result<> read_statement(const Json& json, std::vector<guard::PolicyStatement>& out) {
  for (const auto* name : {"NotPrincipal", "NotAction", "NotResource"}) {
    if (json.find(name) != nullptr) return bad(fmt::format("{} is not built in this server", name));
  }
  auto effect = json.string_or("Effect");
  if (effect != "Allow" && effect != "Deny") return bad("Effect must be Allow or Deny");
  auto principals = principals_of(json);
  auto actions = texts_of(json.find("Action"));
  auto resources = texts_of(json.find("Resource"));
  if (principals.empty()) return bad("A statement names no Principal");
  if (actions.empty()) return bad("A statement names no Action");
  if (resources.empty()) return bad("A statement names no Resource");
  guard::PolicyStatement form;
  form.sid = json.string_or("Sid");
  form.allow = effect == "Allow";
  if (!take_conditions(json, form)) {
    if (form.allow) return {};
    form.source_arn = form.source_account = form.principal_org_id = {};
  }
  for (const auto& principal : principals) {
    for (const auto& action : actions) {
      for (const auto& resource : resources) {
        form.principal = principal;
        form.action = action;
        form.resource = resource;
        out.push_back(form);
      }
    }
  }
  return {};
}

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

Result<std::vector<guard::PolicyStatement>> read_policy(std::string_view document) {
  std::vector<guard::PolicyStatement> out;
  if (document.empty()) return out;
  auto json = wire::parse_json(document);
  if (!json || !json->is_object()) return bad("Policy is not a JSON object");
  auto statements = statements_of(*json);
  if (statements.empty()) return bad("Policy has no Statement");
  for (const auto& statement : statements) TRY(read_statement(statement, out));
  return out;
}

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
