// Resource policies of layer versions: which accounts may read them.
#include "services/lambda/policy.h"
#include "services/lambda/service.h"

namespace mayfly::lambda {

namespace {

constexpr std::string_view policy_call = "GetLayerVersionPolicy";

}  // namespace

io::Task<ApiResult<void>> Service::change_layer(
    Scope scope, std::string name, int version,
    std::function<ApiResult<void>(functions::LayerVersion&)> apply) {
  std::optional<api::ApiError> refused;
  auto wrapped = [&refused, &apply](functions::LayerVersion& layer) -> Result<> {
    auto applied = apply(layer);
    if (applied) return {};
    refused = std::move(applied.error());
    return fail(ErrorKind::invalid, "refused");
  };
  auto updated = co_await deps_.registry.update_layer(scope, name, version, wrapped);
  if (updated) co_return ApiResult<void>{};
  if (refused) co_return refuse(std::move(*refused));
  if (updated.error().kind == ErrorKind::not_found) co_return refuse(resource_not_found());
  co_return refuse(from(updated.error()));
}

Service::Answer Service::add_layer_version_permission(Call& call, Record input) {
  model::AddLayerVersionPermissionRequest in(std::move(input));
  CO_TRY_ASSIGN(const auto* layer,
                require_layer(call, in.layer_name(), in.version_number().value_or(0)));
  functions::Permission one;
  one.sid = in.statement_id().value_or("");
  one.principal = in.principal().value_or("");
  one.action = in.action().value_or("");
  one.principal_org_id = in.organization_id().value_or("");
  if (!one.principal_org_id.empty() && one.principal != "*") {
    co_return refuse(invalid("OrganizationId is supported with the principal * (everyone) alone."));
  }
  std::string arn = layer->arn();
  std::string revision = deps_.random.uuid4();
  CO_TRY(co_await change_layer(
      layer->scope, layer->name, layer->version,
      [&](functions::LayerVersion& changed) -> ApiResult<void> {
        if (in.revision_id() && *in.revision_id() != changed.policy_revision) {
          return refuse(revision_moved(policy_call));
        }
        for (const auto& other : changed.permissions) {
          if (other.sid != one.sid) continue;
          return refuse(
              conflict(fmt::format("The statement id ({}) provided already exists. Please "
                                   "provide a new statement id, or remove the existing "
                                   "statement.",
                                   one.sid)));
        }
        changed.permissions.push_back(one);
        std::size_t size = policy_json(changed.permissions, arn).size();
        if (size > policy_bytes) {
          return refuse(model::policy_length_exceeded_exception(fmt::format(
              "The final policy size ({}) is bigger than the limit ({}).", size, policy_bytes)));
        }
        changed.policy_revision = revision;
        return {};
      }));
  model::AddLayerVersionPermissionResponse out;
  out.set_statement(statement_json(one, arn)).set_revision_id(revision);
  co_return std::move(out).take();
}

Service::Answer Service::remove_layer_version_permission(Call& call, Record input) {
  model::RemoveLayerVersionPermissionRequest in(std::move(input));
  CO_TRY_ASSIGN(const auto* layer,
                require_layer(call, in.layer_name(), in.version_number().value_or(0)));
  std::string sid(in.statement_id().value_or(""));
  CO_TRY(co_await change_layer(
      layer->scope, layer->name, layer->version,
      [&](functions::LayerVersion& changed) -> ApiResult<void> {
        if (in.revision_id() && *in.revision_id() != changed.policy_revision) {
          return refuse(revision_moved(policy_call));
        }
        auto removed =
            std::erase_if(changed.permissions, [&sid](const auto& one) { return one.sid == sid; });
        if (removed == 0) {
          return refuse(resource_not_found(
              fmt::format("Statement {} is not found in resource policy.", sid)));
        }
        changed.policy_revision = deps_.random.uuid4();
        return {};
      }));
  co_return Record();
}

Service::Answer Service::get_layer_version_policy(Call& call, Record input) {
  model::GetLayerVersionPolicyRequest in(std::move(input));
  CO_TRY_ASSIGN(const auto* layer,
                require_layer(call, in.layer_name(), in.version_number().value_or(0)));
  if (layer->permissions.empty()) {
    co_return refuse(resource_not_found("No policy is associated with the given resource."));
  }
  model::GetLayerVersionPolicyResponse out;
  out.set_policy(policy_json(layer->permissions, layer->arn()));
  out.set_revision_id(layer->policy_revision);
  co_return std::move(out).take();
}

}  // namespace mayfly::lambda
