// Provisioned concurrency: environments of published versions that are kept initialised. The
// configuration is a record of the function; invoke/ keeps the environments.
#include "base/log.h"
#include "services/lambda/managed.h"
#include "services/lambda/paging.h"
#include "services/lambda/provisioned.h"
#include "services/lambda/runnable.h"
#include "services/lambda/service.h"

namespace mayfly::lambda {

namespace {

api::ApiError unpublished() {
  return invalid(
      "Provisioned Concurrency Configs cannot be applied to unpublished function versions.");
}

api::ApiError no_config() {
  return model::provisioned_concurrency_config_not_found_exception(
      "No Provisioned Concurrency Config found for this function");
}

// The version that a qualifier leads to.
std::string version_of(const functions::Function& function, const std::string& qualifier) {
  auto alias = function.aliases.find(qualifier);
  return alias == function.aliases.end() ? qualifier : alias->second.version;
}

ApiResult<void> check_overlap(const functions::Function& function, const std::string& qualifier) {
  if (auto alias = function.aliases.find(qualifier); alias != function.aliases.end()) {
    return check_provisioned_alias(function, alias->second, true);
  }
  if (auto fits = check_provisioned_version(function, qualifier); !fits) return fits;
  for (const auto& [other, config] : function.provisioned) {
    if (other != qualifier && version_of(function, other) == qualifier) {
      return refuse(conflict("Version is pointed by a Provisioned Concurrency alias"));
    }
  }
  return {};
}

}  // namespace

ApiResult<void> check_provisioned_version(const functions::Function& function,
                                          const std::string& number) {
  auto found = is_version_number(number) && number.size() < 10
                   ? function.versions.find(std::stoi(number))
                   : function.versions.end();
  if (found == function.versions.end()) return {};
  if (is_managed(found->second)) {
    return refuse(
        invalid("Provisioned Concurrency is not supported for functions on a capacity provider."));
  }
  if (!found->second.snap_start) return {};
  return refuse(
      invalid("Provisioned Concurrency is not supported for SnapStart enabled function versions."));
}

ApiResult<void> check_provisioned_alias(const functions::Function& function,
                                        const functions::Alias& alias, bool becomes) {
  if (!becomes && !function.provisioned.contains(alias.name)) return {};
  if (alias.version == "$LATEST") return refuse(unpublished());
  if (auto fits = check_provisioned_version(function, alias.version); !fits) return fits;
  if (!alias.weights.empty()) {
    return refuse(invalid("Alias with weights can not be used with Provisioned Concurrency"));
  }
  for (const auto& [other, config] : function.provisioned) {
    if (other != alias.name && version_of(function, other) == alias.version) {
      return refuse(
          conflict("Alias can't be used for Provisioned Concurrency configuration on an already "
                   "Provisioned version"));
    }
  }
  return {};
}

ApiResult<void> Service::check_provisioned(const Function& function, const std::string& qualifier,
                                           int requested) const {
  auto before = function.provisioned.find(qualifier);
  int had = before == function.provisioned.end() ? 0 : before->second.requested;
  int total = provisioned_in_sum(function) - had + requested;
  if (function.reserved_concurrency) {
    if (total <= *function.reserved_concurrency) return {};
    return refuse(
        invalid("Requested Provisioned Concurrency should not be greater than the "
                "reservedConcurrentExecution for function"));
  }
  int taken = 0;
  if (auto scope = reserved_.find(function.scope); scope != reserved_.end()) {
    for (const auto& [name, concurrency] : scope->second) taken += concurrency;
  }
  int left = deps_.settings.account_concurrency - taken + had - requested;
  if (left < 0) {
    return refuse(
        invalid(fmt::format("Specified ConcurrentExecutions for function is greater than account's "
                            "unreserved concurrency [{}].",
                            left + requested)));
  }
  if (left < deps_.settings.unreserved_concurrency_min) {
    return refuse(
        invalid(fmt::format("Specified ConcurrentExecutions for function decreases account's "
                            "UnreservedConcurrentExecution below its minimum value of [{}].",
                            deps_.settings.unreserved_concurrency_min)));
  }
  return {};
}

template <class Out>
Out Service::describe_provisioned(const Function& function,
                                  const functions::ProvisionedConfig& config) const {
  invoke::Provision state;
  if (auto kept = provisioned_.find({function.scope, function.name}); kept != provisioned_.end()) {
    auto version = kept->second.find(version_of(function, config.qualifier));
    if (version != kept->second.end()) {
      state = deps_.invoker.provision_of(version->second->pool_key);
    }
  }
  int ready = std::min(state.ready, config.requested);
  bool whole = ready == config.requested;
  Out out;
  out.set_requested_provisioned_concurrent_executions(config.requested);
  out.set_allocated_provisioned_concurrent_executions(ready);
  out.set_available_provisioned_concurrent_executions(ready);
  out.set_status(whole ? "READY" : state.failure.empty() ? "IN_PROGRESS" : "FAILED");
  if (!whole && !state.failure.empty()) out.set_status_reason(state.failure);
  out.set_last_modified(iso_millis(config.modified, "").substr(0, 19) + "+0000");
  return out;
}

Service::Answer Service::put_provisioned_concurrency_config(Call& call, Record input) {
  model::PutProvisionedConcurrencyConfigRequest in(std::move(input));
  CO_TRY_ASSIGN(FunctionRef ref, named(call, in.function_name(), in.qualifier()));
  CO_TRY(require_qualifier(ref));
  if (ref.qualifier.empty() || ref.qualifier == "$LATEST") co_return refuse(unpublished());
  functions::ProvisionedConfig config{
      .qualifier = ref.qualifier,
      .requested = static_cast<int>(in.provisioned_concurrent_executions().value_or(0)),
      .modified = deps_.loop.clock().platform()};
  CO_TRY(co_await change(ref, [&](Function& function) -> ApiResult<void> {
    if (function.latest.per_tenant) return refuse(no_tenants_with("Provisioned concurrency"));
    if (auto checked = check_overlap(function, ref.qualifier); !checked) return checked;
    auto fits = check_provisioned(function, ref.qualifier, config.requested);
    if (!fits) return fits;
    function.provisioned[ref.qualifier] = config;
    return {};
  }));
  CO_TRY_ASSIGN(const Function* function, require(ref));
  auto out =
      describe_provisioned<model::PutProvisionedConcurrencyConfigResponse>(*function, config);
  co_return std::move(out).take();
}

Service::Answer Service::get_provisioned_concurrency_config(Call& call, Record input) {
  model::GetProvisionedConcurrencyConfigRequest in(std::move(input));
  CO_TRY_ASSIGN(FunctionRef ref, named(call, in.function_name(), in.qualifier()));
  CO_TRY(require_qualifier(ref));
  if (ref.qualifier.empty() || ref.qualifier == "$LATEST") {
    co_return refuse(
        invalid("The function resource provided must be an alias or a published "
                "version."));
  }
  CO_TRY_ASSIGN(const Function* function, require(ref));
  auto config = function->provisioned.find(ref.qualifier);
  if (config == function->provisioned.end()) co_return refuse(no_config());
  auto out = describe_provisioned<model::GetProvisionedConcurrencyConfigResponse>(*function,
                                                                                  config->second);
  co_return std::move(out).take();
}

Service::Answer Service::delete_provisioned_concurrency_config(Call& call, Record input) {
  model::DeleteProvisionedConcurrencyConfigRequest in(std::move(input));
  CO_TRY_ASSIGN(FunctionRef ref, named(call, in.function_name(), in.qualifier()));
  CO_TRY(require_qualifier(ref));
  if (ref.qualifier.empty() || ref.qualifier == "$LATEST") {
    co_return refuse(
        invalid("The function resource provided must be an alias or a published "
                "version."));
  }
  CO_TRY(co_await change(ref, [&ref](Function& function) -> ApiResult<void> {
    // The cloud answers success where there is none.
    function.provisioned.erase(ref.qualifier);
    return {};
  }));
  co_return Record();
}

Service::Answer Service::list_provisioned_concurrency_configs(Call& call, Record input) {
  model::ListProvisionedConcurrencyConfigsRequest in(std::move(input));
  CO_TRY_ASSIGN(FunctionRef ref, named(call, in.function_name()));
  CO_TRY_ASSIGN(const Function* function, require(ref));
  CO_TRY_ASSIGN(std::string marker, read_marker(in.marker()));
  std::vector<const functions::ProvisionedConfig*> found;
  for (const auto& [qualifier, config] : function->provisioned) found.push_back(&config);
  std::optional<std::string> next;
  found = page_of(std::move(found), marker, page_size(in.max_items()), next,
                  [](const functions::ProvisionedConfig* config) { return config->qualifier; });
  std::vector<model::ProvisionedConcurrencyConfigListItem> page;
  page.reserve(found.size());
  for (const auto* config : found) {
    auto item =
        describe_provisioned<model::ProvisionedConcurrencyConfigListItem>(*function, *config);
    item.set_function_arn(function->arn() + ":" + config->qualifier);
    page.push_back(std::move(item));
  }
  model::ListProvisionedConcurrencyConfigsResponse out;
  out.set_provisioned_concurrency_configs(std::move(page));
  if (next) out.set_next_marker(*next);
  co_return std::move(out).take();
}

void Service::follow_provisioned(const Scope& scope, const FunctionName& name) {
  const Function* function = deps_.registry.find(scope, name);
  auto kept = provisioned_.find({scope, name});
  std::map<std::string, int> wanted;
  if (function) {
    for (const auto& [qualifier, config] : function->provisioned) {
      std::string version = version_of(*function, qualifier);
      wanted[version] = provisioned_for(*function, version);
    }
    function->for_each_version([&wanted](const Version& version) {
      int least = version.environments_least.value_or(0);
      bool there = version.state == functions::State::active;
      if (least > 0 && there) wanted[version.version] = least;
    });
  }
  if (kept == provisioned_.end() && wanted.empty()) return;
  auto& versions = provisioned_[{scope, name}];
  std::erase_if(versions, [&](const auto& entry) {
    if (wanted.contains(entry.first)) return false;
    auto released = *entry.second;
    released.provisioned = released.kept = 0;
    deps_.invoker.provision(std::make_shared<const invoke::Runnable>(std::move(released)));
    return true;
  });
  for (const auto& [version, count] : wanted) {
    auto there = versions.find(version);
    if (there != versions.end() && there->second->kept_environments() == count) {
      // $LATEST.PUBLISHED may have been published anew.
      auto exact = require_version({scope, name, version});
      bool provisioned = there->second->provisioned > 0;
      if (exact && there->second->pool_key == pool_key(scope, **exact, provisioned)) continue;
    }
    tasks_.spawn(provision({scope, name, version}));
  }
  if (wanted.empty()) provisioned_.erase({scope, name});
}

io::Task<void> Service::provision(FunctionRef version) {
  auto ready = co_await prepare(version, no_deadline);
  if (!ready) {
    log::warn("lambda", "{} cannot be provisioned: {}", version.arn(), ready.error().message);
    co_return;
  }
  // It may have changed meanwhile; then another one of these follows that.
  const Function* now = deps_.registry.find(version.scope, version.name);
  int wanted = now ? provisioned_for(*now, version.qualifier) : 0;
  if (auto exact = require_version(version); wanted == 0 && exact) {
    wanted = (*exact)->environments_least.value_or(0);
  }
  if (wanted == 0 || ready->runnable->kept_environments() != wanted) co_return;
  provisioned_[{version.scope, version.name}][version.qualifier] = ready->runnable;
  deps_.invoker.provision(ready->runnable);
}

}  // namespace mayfly::lambda
