#include "services/lambda/runnable.h"

#include "services/lambda/bounds.h"
#include "services/lambda/managed.h"
#include "services/lambda/service.h"
#include "services/lambda/snap_start.h"

namespace mayfly::lambda {

std::string concurrency_key(const Scope& scope, const FunctionName& name) {
  return fmt::format("{}/{}/{}", scope.account.str(), scope.region.str(), name.str());
}

std::string calling_function(const api::Call& call) {
  if (call.caller.kind != api::Caller::Kind::role_session) return {};
  if (call.caller.account != call.scope.account) return {};
  std::string_view session = call.caller.arn;
  session.remove_prefix(session.rfind('/') + 1);
  return concurrency_key(call.scope, FunctionName(std::string(session)));
}

std::string pool_key(const Scope& scope, const functions::Version& version, bool provisioned) {
  return fmt::format("{}/{}/{}/{}{}", concurrency_key(scope, version.name), version.version,
                     version.package.sha256, version.config_sha256,
                     provisioned ? "/provisioned" : "");
}

int provisioned_for(const functions::Function& function, std::string_view version) {
  int out = 0;
  for (const auto& [qualifier, config] : function.provisioned) {
    auto alias = function.aliases.find(qualifier);
    bool leads =
        alias == function.aliases.end() ? qualifier == version : alias->second.version == version;
    if (leads) out += config.requested;
  }
  return out;
}

int provisioned_in_sum(const functions::Function& function) {
  int out = 0;
  for (const auto& [qualifier, config] : function.provisioned) out += config.requested;
  return out;
}

Result<std::shared_ptr<const gate::BreakerSettings>> breaker_of(const functions::Version& version) {
  auto found = version.environment.find(std::string(gate::breaker_variable));
  if (found == version.environment.end()) return nullptr;
  TRY_ASSIGN(auto settings, gate::read_breaker(found->second));
  return std::make_shared<const gate::BreakerSettings>(std::move(settings));
}

bool is_exactly_once(const functions::Version& version) {
  auto found = version.environment.find("MAYFLY_EXACTLY_ONCE");
  return found != version.environment.end() && found->second == "on";
}

invoke::Runnable make_runnable(const functions::Function& function,
                               const functions::Version& version, std::filesystem::path code,
                               std::filesystem::path layers) {
  invoke::Runnable out;
  out.provisioned = provisioned_for(function, version.version);
  out.pool_key = pool_key(function.scope, version, out.provisioned > 0);
  out.concurrency_key = concurrency_key(function.scope, function.name);
  out.scope = function.scope;
  out.name = function.name;
  out.version = version.version;
  out.function_arn = function.arn();
  // A program of an image speaks the Runtime API as a custom runtime does.
  out.runtime = version.is_image() ? "provided" : version.runtime;
  out.handler = version.handler;
  out.role_arn = version.role;
  out.code_dir = std::move(code);
  out.layers_dir = std::move(layers);
  out.environment = version.environment;
  out.web_adapter =
      std::ranges::any_of(version.layers, [](const auto& layer) { return is_built_in(layer); });
  out.timeout_seconds = version.timeout_seconds;
  out.memory_mb = version.memory_mb;
  out.tmp_mb = version.tmp_mb;
  out.log_group =
      version.log_group.empty() ? "/aws/lambda/" + function.name.str() : version.log_group;
  out.json_logs = version.log_format == functions::LogFormat::json;
  out.application_log_level = version.application_log_level;
  out.system_log_level = version.system_log_level;
  out.reserved_concurrency = function.reserved_concurrency;
  out.snap_start = version.snap_start && version.version != "$LATEST";
  out.per_tenant = version.per_tenant;
  out.max_concurrency = max_concurrency_of(version);
  out.cpu_millis = cpu_millis_of(version);
  out.managed = is_managed(version);
  out.kept = version.environments_least.value_or(0);
  out.most = version.environments_most;
  out.unbound = is_unbound(version.environment);
  out.exactly_once = is_exactly_once(version);
  // It was read once when it was set.
  if (auto breaker = breaker_of(version)) out.breaker = *std::move(breaker);
  return out;
}

namespace {

Result<> check_initialised(const functions::Version& version) {
  if (!awaits_init(version)) return {};
  if (!version.snap_start) {
    return fail(ErrorKind::conflict,
                "The operation cannot be performed at this time. The function is currently in the "
                "following state: Pending");
  }
  return fail(ErrorKind::unavailable,
              "Lambda is initializing your function. It will be ready to invoke once your function "
              "state becomes ACTIVE.",
              "SnapStartNotReadyException");
}

}  // namespace

io::Task<Result<invoke::Runnable>> Service::runnable(FunctionRef ref,
                                                     functions::Resolved resolved) {
  // The pointers of `resolved` end at the first suspension: what is needed is copied before.
  invoke::Runnable out = make_runnable(*resolved.function, *resolved.version, {}, {});
  functions::Version version = *resolved.version;
  if (const auto* provider = find_capacity(ref.scope, resolved.version->capacity_provider_arn)) {
    out.capacity_key = provider->arn();
    out.capacity_cpu_millis = provider->vcpus_max * 1000;
  }
  bool off = is_deactivated(*resolved.version);
  if (off || resolved.version->state == functions::State::failed) {
    co_return fail(ErrorKind::conflict,
                   fmt::format("The operation cannot be performed at this time. The function {} is "
                               "currently in the following state: {}",
                               ref.name.str(), off ? "Deactivated" : "Failed"));
  }
  CO_TRY(check_chosen_runtime(ref.scope.region, *resolved.version));
  for (auto& mount : version.file_systems) {
    CO_TRY_ASSIGN(auto point, functions::parse_access_point(mount.arn));
    CO_TRY_ASSIGN(auto folder, co_await deps_.file_systems.folder(std::move(point)));
    out.mounts.push_back({std::move(folder), std::move(mount.path)});
  }
  CO_TRY(co_await put_code(std::move(version), out));
  out.extensions = invoke::external_extensions(out);
  co_return out;
}

std::optional<Service::Invocation> Service::prepared(const FunctionRef& ref) const {
  const auto* waits = deps_.registry.find(ref.scope, ref.name);
  if (!waits || waits->latest.state == functions::State::pending) return std::nullopt;
  auto known = prepared_.find(std::pair(ref.scope, ref.name));
  if (known == prepared_.end()) return std::nullopt;
  auto resolved = deps_.registry.resolve(ref.scope, ref.name, ref.qualifier, deps_.random);
  if (!resolved || awaits_init(*resolved->version)) return std::nullopt;
  auto at = known->second.find(resolved->version->version);
  if (at == known->second.end()) return std::nullopt;
  return Invocation{at->second, std::move(resolved->invoked_arn), at->first};
}

io::Task<ApiResult<Service::Invocation>> Service::prepare(FunctionRef ref, Deadline deadline) {
  const auto* waits = deps_.registry.find(ref.scope, ref.name);
  if (waits && waits->latest.state == functions::State::pending) {
    auto active = co_await wait_active(ref, deadline);
    if (!active) co_return refuse(from(active.error()));
  }
  auto resolved = deps_.registry.resolve(ref.scope, ref.name, ref.qualifier, deps_.random);
  if (!resolved) co_return refuse(function_not_found(ref.arn()));
  if (is_managed(*resolved->version) && awaits_init(*resolved->version)) {
    FunctionRef exact{ref.scope, ref.name, resolved->version->version};
    auto there = co_await wait_initialised(std::move(exact), deadline);
    if (!there) co_return refuse(from(there.error()));
    resolved = deps_.registry.resolve(ref.scope, ref.name, ref.qualifier, deps_.random);
    if (!resolved) co_return refuse(function_not_found(ref.arn()));
  }
  if (auto ready = check_initialised(*resolved->version); !ready) {
    co_return refuse(from(ready.error()));
  }
  Invocation out;
  out.invoked_arn = resolved->invoked_arn;
  out.version = resolved->version->version;
  // What was prepared before; a change of the function forgets it.
  std::pair key(std::move(ref.scope), std::move(ref.name));
  auto known = prepared_.find(key);
  if (known != prepared_.end()) {
    if (auto at = known->second.find(out.version); at != known->second.end()) {
      out.runnable = at->second;
      co_return out;
    }
  }
  ref.scope = std::move(key.first);
  ref.name = std::move(key.second);
  std::string revision = resolved->version->revision_id;
  auto ready = co_await runnable(ref, *resolved);
  if (!ready) co_return refuse(from(ready.error()));
  out.runnable = std::make_shared<const invoke::Runnable>(std::move(*ready));
  FunctionRef exact = ref;
  exact.qualifier = out.version;
  auto now = require_version(exact);
  if (now && (*now)->revision_id == revision) {
    prepared_[{ref.scope, ref.name}][out.version] = out.runnable;
  }
  co_return out;
}

io::Task<Result<invoke::AsyncTarget>> Service::resolve_async(Scope scope, FunctionName name,
                                                             std::string qualifier) {
  FunctionRef ref{std::move(scope), std::move(name), std::move(qualifier)};
  CO_TRY(co_await wait_active(ref, no_deadline));
  CO_TRY_ASSIGN(auto resolved,
                deps_.registry.resolve(ref.scope, ref.name, ref.qualifier, deps_.random));
  invoke::AsyncTarget target{.runnable = invoke::Runnable{}, .invoked_arn = resolved.invoked_arn};
  const auto& role = resolved.version->role;
  std::string which = ref.qualifier.empty() ? "$LATEST" : ref.qualifier;
  auto config = resolved.function->event_configs.find(which);
  if (config != resolved.function->event_configs.end()) {
    target.max_retries = config->second.max_retries.value_or(target.max_retries);
    target.max_age_seconds = config->second.max_age_seconds.value_or(target.max_age_seconds);
    target.on_success = handover_to(config->second.on_success_arn, role);
    target.on_failure = handover_to(config->second.on_failure_arn, role);
  }
  target.dead_letter = dead_letter_to(resolved.version->dead_letter_arn, role);
  // An event that comes before the version is initialised waits like one that is throttled.
  if (auto ready = check_initialised(*resolved.version); !ready) {
    target.runnable = std::unexpected(std::move(ready).error());
    co_return target;
  }
  target.runnable = co_await runnable(ref, resolved);
  co_return target;
}

}  // namespace mayfly::lambda
