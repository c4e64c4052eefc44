// Resource policies of functions. Each qualifier has one of its own; the empty one is that of the
// unqualified function.
#include "services/lambda/policy.h"
#include "services/lambda/service.h"

namespace mayfly::lambda {

namespace {

constexpr std::string_view policy_call = "GetPolicy";

std::vector<functions::Permission> of_qualifier(const functions::Function& function,
                                                std::string_view qualifier) {
  std::vector<functions::Permission> out;
  for (const auto& one : function.permissions) {
    if (one.qualifier == qualifier) out.push_back(one);
  }
  return out;
}

ApiResult<void> check_policy_revision(std::optional<std::string_view> wanted,
                                      const functions::Function& function,
                                      const std::string& qualifier) {
  if (!wanted) return {};
  auto revision = function.policy_revisions.find(qualifier);
  if (revision != function.policy_revisions.end() && revision->second == *wanted) return {};
  return refuse(revision_moved(policy_call));
}

functions::Permission read_permission(const model::AddPermissionRequest& in) {
  functions::Permission one;
  one.sid = in.statement_id().value_or("");
  one.principal = in.principal().value_or("");
  one.action = in.action().value_or("");
  one.source_arn = in.source_arn().value_or("");
  one.source_account = in.source_account().value_or("");
  one.principal_org_id = in.principal_org_id().value_or("");
  one.event_source_token = in.event_source_token().value_or("");
  one.function_url_auth_type = in.function_url_auth_type().value_or("");
  one.invoked_via_function_url = in.invoked_via_function_url().value_or(false);
  return one;
}

}  // namespace

Service::Answer Service::add_permission(Call& call, Record input) {
  model::AddPermissionRequest in(std::move(input));
  CO_TRY_ASSIGN(FunctionRef ref, named(call, in.function_name(), in.qualifier()));
  if (ref.qualifier == "$LATEST") {
    co_return refuse(invalid("We currently do not support adding policies for $LATEST."));
  }
  CO_TRY(require_qualifier(ref));
  functions::Permission one = read_permission(in);
  one.qualifier = ref.qualifier;
  if (!valid_principal(one.principal)) {
    co_return refuse(
        invalid("The provided principal was invalid. Please check the principal and try again."));
  }
  if (!one.function_url_auth_type.empty() && one.action != "lambda:InvokeFunctionUrl") {
    co_return refuse(
        invalid("FunctionUrlAuthType is only supported for lambda:InvokeFunctionUrl action"));
  }
  CO_TRY(co_await change(ref, [&](Function& function) -> ApiResult<void> {
    auto same = check_policy_revision(in.revision_id(), function, ref.qualifier);
    if (!same) return same;
    auto current = of_qualifier(function, ref.qualifier);
    for (const auto& other : current) {
      if (other.sid != one.sid) continue;
      return refuse(
          conflict(fmt::format("The statement id ({}) provided already exists. Please "
                               "provide a new statement id, or remove the existing "
                               "statement.",
                               one.sid)));
    }
    current.push_back(one);
    std::size_t size = policy_json(current, ref.arn()).size();
    if (size > policy_bytes) {
      return refuse(model::policy_length_exceeded_exception(fmt::format(
          "The final policy size ({}) is bigger than the limit ({}).", size, policy_bytes)));
    }
    function.permissions.push_back(one);
    function.policy_revisions[ref.qualifier] = deps_.random.uuid4();
    return {};
  }));
  model::AddPermissionResponse out;
  out.set_statement(statement_json(one, ref.arn()));
  co_return std::move(out).take();
}

Service::Answer Service::remove_permission(Call& call, Record input) {
  model::RemovePermissionRequest in(std::move(input));
  CO_TRY_ASSIGN(FunctionRef ref, named(call, in.function_name(), in.qualifier()));
  CO_TRY(require_qualifier(ref));
  std::string sid(in.statement_id().value_or(""));
  CO_TRY(co_await change(ref, [&](Function& function) -> ApiResult<void> {
    auto same = check_policy_revision(in.revision_id(), function, ref.qualifier);
    if (!same) return same;
    auto removed = std::erase_if(function.permissions, [&](const auto& one) {
      return one.qualifier == ref.qualifier && one.sid == sid;
    });
    if (removed == 0) {
      return refuse(
          resource_not_found(fmt::format("Statement {} is not found in resource policy.", sid)));
    }
    function.policy_revisions[ref.qualifier] = deps_.random.uuid4();
    return {};
  }));
  co_return Record();
}

Service::Answer Service::get_policy(Call& call, Record input) {
  model::GetPolicyRequest in(std::move(input));
  CO_TRY_ASSIGN(FunctionRef ref, named(call, in.function_name(), in.qualifier()));
  CO_TRY(require_qualifier(ref));
  CO_TRY_ASSIGN(const Function* function, require(ref));
  auto permissions = of_qualifier(*function, ref.qualifier);
  if (permissions.empty()) co_return refuse(resource_not_found());
  model::GetPolicyResponse out;
  out.set_policy(policy_json(permissions, ref.arn()));
  auto revision = function->policy_revisions.find(ref.qualifier);
  if (revision != function->policy_revisions.end()) out.set_revision_id(revision->second);
  co_return std::move(out).take();
}

std::vector<guard::PolicyStatement> Service::statements(std::string_view resource_arn) {
  std::vector<guard::PolicyStatement> out;
  bool names_layer = resource_arn.find(":layer:") != resource_arn.npos;
  auto layer = names_layer ? parse_layer_version_arn(resource_arn) : std::nullopt;
  if (layer) {
    const auto* found = deps_.registry.find_layer(layer->scope, layer->name, layer->version);
    if (!found) return out;
    for (const auto& one : found->permissions) out.push_back(guard_statement(one, resource_arn));
    return out;
  }
  // arn:aws:lambda:REGION:...: the region of the ARN is where it is looked up.
  auto fourth = resource_arn.find(':', std::string_view("arn:aws:lambda:").size());
  if (!resource_arn.starts_with("arn:aws:lambda:") || fourth == resource_arn.npos) return out;
  Scope scope{{}, Region(std::string(resource_arn.substr(15, fourth - 15)))};
  auto ref = parse_function(resource_arn, {}, scope);
  if (!ref) return out;
  const Function* function = deps_.registry.find(ref->scope, ref->name);
  if (!function) return out;
  for (const auto& one : function->permissions) {
    if (one.qualifier == ref->qualifier) out.push_back(guard_statement(one, resource_arn));
  }
  return out;
}

}  // namespace mayfly::lambda
