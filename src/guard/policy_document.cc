#include "guard/policy_document.h"

#include "wire/json.h"
#include "wire/text.h"

namespace mayfly::guard {

namespace {

using wire::Json;
using wire::JsonArray;

std::unexpected<Error> refuse(std::string why) { return fail(ErrorKind::invalid, std::move(why)); }

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

Result<std::vector<std::string>> principals_of(const Json& statement) {
  const auto* principal = statement.find("Principal");
  if (principal == nullptr) return refuse("A statement names no Principal.");
  if (!principal->is_object()) {
    if (principal->string_value() != "*") return refuse("Principal must be an object or \"*\".");
    return std::vector<std::string>{"*"};
  }
  std::vector<std::string> out;
  for (const auto& [kind, value] : *principal->as<wire::JsonObject>()) {
    for (auto& one : texts_of(&value)) out.push_back(std::move(one));
  }
  if (out.empty()) return refuse("A statement names no Principal.");
  return out;
}

// Takes over what guard/ knows; false: something else is asked for.
bool take_condition(std::string_view operation, std::string_view key, const Json& value,
                    PolicyStatement& out) {
  auto texts = texts_of(&value);
  if (wire::iequals(key, "aws:SecureTransport")) return true;
  if (texts.size() != 1) return false;
  bool equals = operation == "StringEquals" || operation == "ArnEquals" || operation == "ArnLike" ||
                operation == "StringLike";
  if (equals && wire::iequals(key, "aws:SourceArn")) {
    out.source_arn = texts[0];
    return true;
  }
  if (operation == "StringEquals" && wire::iequals(key, "aws:SourceAccount")) {
    out.source_account = texts[0];
    return true;
  }
  return false;
}

bool take_conditions(const Json& statement, PolicyStatement& out) {
  const auto* conditions = statement.find("Condition");
  if (conditions == nullptr) return true;
  const auto* operations = conditions->as<wire::JsonObject>();
  if (operations == nullptr) return false;
  bool known = true;
  for (const auto& [operation, keys] : *operations) {
    const auto* pairs = keys.as<wire::JsonObject>();
    if (pairs == nullptr) return false;
    for (const auto& [key, value] : *pairs) {
      // A Deny of what is not secure: nobody here calls that way.
      if (wire::iequals(key, "aws:SecureTransport")) {
        auto wanted = value.is_bool() ? (*value.as<bool>() ? "true" : "false")
                                      : std::string(value.string_value());
        if (wanted == "false") out.resource = "-";
      }
      known = take_condition(operation, key, value, out) && known;
    }
  }
  return known;
}

Result<> read_statement(const Json& json, std::vector<PolicyStatement>& out) {
  for (auto name : {"NotPrincipal", "NotAction", "NotResource"}) {
    if (json.find(name) != nullptr) {
      return refuse(fmt::format("{} is not built in this server.", name));
    }
  }
  auto effect = json.string_or("Effect");
  if (effect != "Allow" && effect != "Deny") return refuse("Effect must be Allow or Deny.");
  TRY_ASSIGN(auto principals, principals_of(json));
  auto actions = texts_of(json.find("Action"));
  auto resources = texts_of(json.find("Resource"));
  if (actions.empty()) return refuse("A statement names no Action.");
  if (resources.empty()) return refuse("A statement names no Resource.");
  PolicyStatement form;
  form.sid = json.string_or("Sid");
  form.allow = effect == "Allow";
  bool known = take_conditions(json, form);
  bool never = form.resource == "-";
  form.resource.clear();
  if (never || (form.allow && !known)) return {};
  if (!known) form.source_arn = form.source_account = {};
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

// The statements of a document; one alone may stand without brackets.
std::vector<Json> statements_of(const Json& document) {
  const auto* found = document.find("Statement");
  if (found == nullptr) return {};
  if (const auto* list = found->as<JsonArray>()) return *list;
  return {*found};
}

Result<Json> parse_document(std::string_view document) {
  auto json = wire::parse_json(document);
  if (!json || !json->is_object()) return refuse("It is not a JSON object.");
  return *std::move(json);
}

}  // namespace

bool is_account(std::string_view text) {
  return text.size() == 12 && text.find_first_not_of("0123456789") == text.npos;
}

Result<std::vector<PolicyStatement>> read_policy(std::string_view document) {
  std::vector<PolicyStatement> out;
  if (document.empty()) return out;
  TRY_ASSIGN(auto json, parse_document(document));
  auto statements = statements_of(json);
  if (statements.empty()) return refuse("It has no Statement.");
  for (const auto& statement : statements) TRY(read_statement(statement, out));
  return out;
}

Result<std::string> with_permission(std::string_view document, const Grant& grant) {
  Json json;
  if (document.empty()) {
    json["Version"] = "2012-10-17";
    json["Id"] = grant.id;
  } else {
    TRY_ASSIGN(json, parse_document(document));
  }
  auto statements = statements_of(json);
  if (statements.size() >= grant.statements_max) {
    return fail(
        ErrorKind::too_large,
        fmt::format("{} statements are the most that a policy can have.", grant.statements_max));
  }
  for (const auto& one : statements) {
    if (one.string_or("Sid") == grant.label) {
      return fail(ErrorKind::already_exists, "Already exists.");
    }
  }
  JsonArray who;
  for (auto account : grant.accounts) {
    who.emplace_back(fmt::format("arn:aws:iam::{}:root", account));
  }
  JsonArray what(grant.actions.begin(), grant.actions.end());
  Json statement;
  statement["Sid"] = grant.label;
  statement["Effect"] = "Allow";
  statement["Principal"]["AWS"] = who.size() == 1 ? who[0] : Json(who);
  statement["Action"] = what.size() == 1 ? what[0] : Json(what);
  statement["Resource"] = grant.resource;
  statements.push_back(std::move(statement));
  json["Statement"] = std::move(statements);
  return json.dump();
}

Result<std::string> without_permission(std::string_view document, std::string_view label) {
  auto absent = [] { return fail(ErrorKind::not_found, "No statement has that label."); };
  if (document.empty()) return absent();
  TRY_ASSIGN(auto json, parse_document(document));
  auto statements = statements_of(json);
  if (std::erase_if(statements, [&](const Json& one) { return one.string_or("Sid") == label; }) ==
      0) {
    return absent();
  }
  if (statements.empty()) return std::string();
  json["Statement"] = std::move(statements);
  return json.dump();
}

}  // namespace mayfly::guard
