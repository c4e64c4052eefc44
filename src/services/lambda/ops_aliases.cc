// Aliases, with the weights that send a share of calls to a second version.
#include "services/lambda/managed.h"
#include "services/lambda/paging.h"
#include "services/lambda/provisioned.h"
#include "services/lambda/service.h"

namespace mayfly::lambda {

namespace {

constexpr std::size_t most_extra_versions = 1;

std::map<std::string, double> read_weights(const model::AliasRoutingConfiguration& config) {
  std::map<std::string, double> out;
  const wire::Value* raw = config.additional_version_weights();
  const auto* map = raw ? raw->get<wire::Map>() : nullptr;
  if (!map) return out;
  for (const auto& [version, value] : *map) {
    double weight = 0;
    if (const auto* number = value.get<double>()) weight = *number;
    if (const auto* number = value.get<std::int64_t>()) weight = static_cast<double>(*number);
    out[version] = weight;
  }
  return out;
}

ApiResult<void> check_version_there(const functions::Function& function,
                                    const std::string& version) {
  if (version == "$LATEST") return {};
  if (version == latest_published && function.latest_published) return {};
  bool there = is_version_number(version) && version.size() < 10 &&
               function.versions.contains(std::stoi(version));
  if (there) return {};
  return refuse(function_not_found(function.arn() + ":" + version));
}

ApiResult<void> check_alias(const functions::Function& function, const functions::Alias& alias) {
  if (auto there = check_version_there(function, alias.version); !there) return there;
  if (alias.weights.size() > most_extra_versions) {
    return refuse(invalid("Number of items in AdditionalVersionWeights cannot be greater than 1"));
  }
  for (const auto& [version, weight] : alias.weights) {
    if (version == alias.version) {
      return refuse(
          invalid(fmt::format("Invalid function version {0}. Function version {0} is already "
                              "included in routing configuration.",
                              version)));
    }
    if (version == "$LATEST" || alias.version == "$LATEST") {
      return refuse(
          invalid("$LATEST is not supported for an alias pointing to more than 1 version"));
    }
    if (!is_version_number(version)) {
      return refuse(constraint(version, "routingConfig.additionalVersionWeights",
                               "Map keys must satisfy constraint: [Member must satisfy regular "
                               "expression pattern: [0-9]+]"));
    }
    if (weight < 0 || weight > 1) {
      return refuse(constraint(fmt::format("{}", weight), "routingConfig.additionalVersionWeights",
                               "Map value must have value between 0.0 and 1.0"));
    }
    if (auto there = check_version_there(function, version); !there) return there;
  }
  return {};
}

model::AliasConfiguration describe_alias(const functions::Function& function,
                                         const functions::Alias& alias) {
  model::AliasConfiguration out;
  out.set_alias_arn(function.arn() + ":" + alias.name).set_name(alias.name);
  out.set_function_version(alias.version).set_description(alias.description);
  out.set_revision_id(alias.revision_id);
  if (!alias.weights.empty()) {
    wire::Map weights;
    for (const auto& [version, weight] : alias.weights) weights.emplace_back(version, weight);
    model::AliasRoutingConfiguration routing;
    routing.set_additional_version_weights(std::move(weights));
    out.set_routing_config(routing);
  }
  return out;
}

api::ApiError no_alias(const FunctionRef& ref, std::string_view name) {
  return resource_not_found(
      fmt::format("Cannot find alias arn: {}:{}", ref.unqualified_arn(), name));
}

}  // namespace

Service::Answer Service::create_alias(Call& call, Record input) {
  model::CreateAliasRequest in(std::move(input));
  CO_TRY_ASSIGN(FunctionRef ref, named(call, in.function_name()));
  ref.qualifier.clear();
  functions::Alias alias;
  alias.name = in.name().value_or("");
  alias.version = in.function_version().value_or("");
  alias.description = in.description().value_or("");
  if (auto routing = in.routing_config()) alias.weights = read_weights(*routing);
  alias.revision_id = deps_.random.uuid4();
  if (is_version_number(alias.name) || alias.name.starts_with('$')) {
    co_return refuse(constraint(alias.name, "name",
                                "Member must satisfy regular expression pattern: "
                                "(?!^[0-9]+$)([a-zA-Z0-9-_]+)"));
  }
  CO_TRY(co_await change(ref, [&](Function& function) -> ApiResult<void> {
    if (function.aliases.contains(alias.name)) {
      return refuse(
          conflict(fmt::format("Alias already exists: {}:{}", function.arn(), alias.name)));
    }
    if (auto checked = check_alias(function, alias); !checked) return checked;
    function.aliases.emplace(alias.name, alias);
    return {};
  }));
  CO_TRY_ASSIGN(const Function* function, require(ref));
  co_return describe_alias(*function, alias).take();
}

Service::Answer Service::get_alias(Call& call, Record input) {
  model::GetAliasRequest in(std::move(input));
  CO_TRY_ASSIGN(FunctionRef ref, named(call, in.function_name()));
  ref.qualifier.clear();
  CO_TRY_ASSIGN(const Function* function, require(ref));
  auto alias = function->aliases.find(std::string(in.name().value_or("")));
  if (alias == function->aliases.end()) co_return refuse(no_alias(ref, in.name().value_or("")));
  co_return describe_alias(*function, alias->second).take();
}

Service::Answer Service::list_aliases(Call& call, Record input) {
  model::ListAliasesRequest in(std::move(input));
  CO_TRY_ASSIGN(FunctionRef ref, named(call, in.function_name()));
  ref.qualifier.clear();
  CO_TRY_ASSIGN(const Function* function, require(ref));
  CO_TRY_ASSIGN(std::string marker, read_marker(in.marker()));
  std::vector<const functions::Alias*> found;
  for (const auto& [name, alias] : function->aliases) {
    bool points = alias.version == in.function_version().value_or(alias.version) ||
                  alias.weights.contains(std::string(in.function_version().value_or("")));
    if (points) found.push_back(&alias);
  }
  std::optional<std::string> next;
  found = page_of(std::move(found), marker, page_size(in.max_items()), next,
                  [](const functions::Alias* alias) { return alias->name; });
  std::vector<model::AliasConfiguration> page;
  for (const auto* alias : found) page.push_back(describe_alias(*function, *alias));
  model::ListAliasesResponse out;
  out.set_aliases(std::move(page));
  if (next) out.set_next_marker(*next);
  co_return std::move(out).take();
}

Service::Answer Service::update_alias(Call& call, Record input) {
  model::UpdateAliasRequest in(std::move(input));
  CO_TRY_ASSIGN(FunctionRef ref, named(call, in.function_name()));
  ref.qualifier.clear();
  std::string name(in.name().value_or(""));
  CO_TRY(co_await change(ref, [&](Function& function) -> ApiResult<void> {
    auto found = function.aliases.find(name);
    if (found == function.aliases.end()) return refuse(no_alias(ref, name));
    functions::Alias alias = found->second;
    if (in.revision_id() && *in.revision_id() != alias.revision_id) {
      return refuse(revision_moved("GetFunction/GetAlias"));
    }
    if (auto version = in.function_version()) alias.version = *version;
    if (auto text = in.description()) alias.description = *text;
    if (auto routing = in.routing_config()) alias.weights = read_weights(*routing);
    if (auto checked = check_alias(function, alias); !checked) return checked;
    if (auto checked = check_provisioned_alias(function, alias); !checked) return checked;
    alias.revision_id = deps_.random.uuid4();
    found->second = std::move(alias);
    return {};
  }));
  CO_TRY_ASSIGN(const Function* function, require(ref));
  auto alias = function->aliases.find(name);
  if (alias == function->aliases.end()) co_return refuse(no_alias(ref, name));
  co_return describe_alias(*function, alias->second).take();
}

Service::Answer Service::delete_alias(Call& call, Record input) {
  model::DeleteAliasRequest in(std::move(input));
  CO_TRY_ASSIGN(FunctionRef ref, named(call, in.function_name()));
  ref.qualifier.clear();
  CO_TRY_ASSIGN(const Function* function, require(ref));
  std::string name(in.name().value_or(""));
  // The cloud answers success for an alias that is not there.
  if (!function->aliases.contains(name)) co_return Record();
  CO_TRY(co_await change(ref, [&name](Function& changed) -> ApiResult<void> {
    changed.aliases.erase(name);
    changed.urls.erase(name);
    changed.event_configs.erase(name);
    changed.provisioned.erase(name);
    std::erase_if(changed.permissions, [&name](const auto& one) { return one.qualifier == name; });
    changed.policy_revisions.erase(name);
    return {};
  }));
  co_return Record();
}

}  // namespace mayfly::lambda
