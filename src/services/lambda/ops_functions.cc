// Functions: create, read, list, delete.
#include <fmt/ranges.h>

#include "base/limits.h"
#include "base/log.h"
#include "services/lambda/bounds.h"
#include "services/lambda/config.h"
#include "services/lambda/managed.h"
#include "services/lambda/names.h"
#include "services/lambda/paging.h"
#include "services/lambda/runnable.h"
#include "services/lambda/service.h"

namespace mayfly::lambda {

io::Task<ApiResult<functions::PackageRef>> Service::add_package(std::string zip,
                                                                std::string_view operation,
                                                                std::uint64_t unzipped_max) {
  if (zip.size() > limits::package_zip_bytes) {
    // The cloud states the bound of the request, in which the zip travels as base64.
    co_return refuse(too_large((limits::package_zip_bytes * 4 + 2) / 3, operation));
  }
  auto added = co_await deps_.packages.add(std::move(zip), unzipped_max);
  if (!added) co_return refuse(from(added.error()));
  co_return *added;
}

io::Task<ApiResult<functions::PackageRef>> Service::package_of(const Call& call,
                                                               model::FunctionCode code,
                                                               Version version,
                                                               std::string_view operation) {
  if (code.source_kms_key_arn()) co_return refuse(unbuilt("SourceKMSKeyArn"));
  bool object = code.s3_bucket() || code.s3_key() || code.s3_object_version();
  bool zip = code.zip_file() || object;
  std::string_view doing = operation == "CreateFunction" ? "creating" : "updating";
  if (version.is_image()) {
    if (!code.image_uri() || zip) {
      co_return refuse(invalid(fmt::format(
          "Please provide ImageUri when {} a function with packageType Image.", doing)));
    }
    co_return co_await image_of(call, std::string(*code.image_uri()));
  }
  if (code.image_uri()) {
    co_return refuse(invalid(fmt::format(
        "Please don't provide ImageUri when {} a function with packageType Zip.", doing)));
  }
  if (code.zip_file() && object) {
    co_return refuse(
        invalid("Please do not provide other FunctionCode parameters when providing a ZipFile."));
  }
  if (code.s3_bucket() && code.s3_key()) {
    co_return co_await add_object(call, std::move(code), bounds_of(version).unzipped_bytes);
  }
  if (!code.zip_file()) {
    co_return refuse(invalid("Please provide a source for function code."));
  }
  co_return co_await add_package(std::string(*code.zip_file()), operation,
                                 bounds_of(version).unzipped_bytes);
}

// Refused here and not at the first call: whoever deploys can do something about it.
ApiResult<void> Service::check_runtime(const FunctionName& name, const std::string& runtime) const {
  if (!deps_.runtime_warning) return {};
  auto warning = deps_.runtime_warning(runtime);
  if (!warning) return refuse(invalid(warning.error().message));
  if (!warning->empty()) log::warn("lambda", "function {}: {}", name.str(), *warning);
  return {};
}

ApiResult<void> Service::check_strictness(const Version& version) const {
  if (!deps_.settings.strict || !is_unbound(version.environment)) return {};
  return refuse(
      invalid("This server keeps every function within the cloud's limits (--strict): "
              "MAYFLY_UNBOUND cannot be set."));
}

model::FunctionConfiguration Service::describe_whole(const Version& version,
                                                     const std::string& arn) const {
  auto out = describe(version, arn, true);
  if (auto runtime = describe_runtime(version, arn)) out.set_runtime_version_config(*runtime);
  return out;
}

ApiResult<void> Service::check_architectures(const std::vector<std::string_view>& given) const {
  if (given.empty()) return {};
  if (given.size() > 1) {
    return refuse(constraint(fmt::format("[{}]", fmt::join(given, ", ")), "architectures",
                             "Member must have length less than or equal to 1"));
  }
  if (std::ranges::find(deps_.settings.architectures, given.front()) ==
      deps_.settings.architectures.end()) {
    return refuse(
        invalid(fmt::format("Architecture {} cannot run on this machine, which runs {}.",
                            given.front(), fmt::join(deps_.settings.architectures, ", "))));
  }
  return {};
}

ApiResult<std::vector<functions::LayerRef>> Service::layers_of(std::vector<std::string_view> arns,
                                                               const Call& call,
                                                               const Bounds& bounds) const {
  std::vector<functions::LayerRef> layers;
  if (arns.size() > static_cast<std::size_t>(bounds.layers)) {
    return refuse(invalid(fmt::format("Cannot reference more than {} layers.", bounds.layers)));
  }
  std::map<std::string, std::string_view> families;
  for (std::string_view arn : arns) {
    auto ref = parse_layer_version_arn(arn);
    if (!ref) return refuse(invalid(fmt::format("Layer version {} does not exist.", arn)));
    if (ref->scope.region != call.scope.region) {
      return refuse(
          invalid(fmt::format("Layers are not in the same region as the function. Layers "
                              "are expected to be in region {}.",
                              call.scope.region.str())));
    }
    if (ref->scope.account != call.scope.account && !is_web_adapter(*ref)) {
      guard::Question question{.caller = call.caller,
                               .action = "lambda:GetLayerVersion",
                               .resource = arn,
                               .resource_account = ref->scope.account,
                               .source_arn = {},
                               .function_url_auth_type = {}};
      guard::Decision decision = deps_.guard.authorize(question);
      if (!decision.allowed) return refuse(api::access_denied(decision.reason));
    }
    const auto* layer = deps_.registry.find_layer(ref->scope, ref->name, ref->version);
    bool built_in = !layer && is_web_adapter(*ref);
    if (!layer && !built_in)
      return refuse(invalid(fmt::format("Layer version {} does not exist.", arn)));
    auto [at, fresh] = families.emplace(ref->scope.account.str() + "/" + ref->name, arn);
    if (!fresh) {
      return refuse(
          invalid(fmt::format("Two different versions of the same layer are not allowed to "
                              "be referenced in the same function. {} and {}.",
                              arn, at->second)));
    }
    layers.push_back({std::string(arn), built_in ? functions::PackageRef() : layer->package});
  }
  return layers;
}

Service::Answer Service::create_function(Call& call, Record input) {
  model::CreateFunctionRequest in(std::move(input));
  CO_TRY_ASSIGN(FunctionRef ref, named(call, in.function_name()));
  if (!ref.qualifier.empty() || ref.scope.account != call.scope.account) {
    co_return refuse(invalid("The function's own name is wanted, without account or qualifier."));
  }
  Function function;
  function.scope = ref.scope;
  function.name = ref.name;
  function.created = deps_.loop.clock().platform();
  Version& latest = function.latest;
  latest.name = ref.name;
  CO_TRY(apply(in, latest));
  CO_TRY(check_strictness(latest));
  if (!latest.is_image()) CO_TRY(check_runtime(ref.name, latest.runtime));
  CO_TRY(check_role(latest.role, call.scope.account));
  CO_TRY(check_file_systems(in.file_system_configs(), call.scope));
  if (!latest.dead_letter_arn.empty()) {
    CO_TRY(check_dead_letter(latest.dead_letter_arn, destinations_of(ref, latest.role)));
  }
  CO_TRY(check_architectures(in.architectures()));
  if (!in.architectures().empty()) latest.architecture = in.architectures().front();
  CO_TRY_ASSIGN(latest.layers, layers_of(in.layers(), call, bounds_of(latest)));
  for (const auto& [key, value] : in.tags()) function.tags.emplace(key, value);
  CO_TRY(check_function_tags(function.tags));
  if (deps_.registry.find(ref.scope, ref.name)) {
    co_return refuse(conflict("Function already exist: " + ref.name.str()));
  }
  CO_TRY_ASSIGN(auto capacity, hold_capacity(ref.scope, latest));
  functions::CodeSigningConfigs::Hold signing;
  if (auto arn = in.code_signing_config_arn(); arn && !arn->empty()) {
    CO_TRY(check_can_be_signed(latest));
    CO_TRY_ASSIGN(signing, hold_code_signing(ref.scope, *arn));
    function.code_signing_config_arn = *arn;
    CO_TRY(check_signed(ref, *arn));
  }
  auto code = in.code();
  CO_TRY_ASSIGN(latest.package, co_await package_of(call, code ? *code : model::FunctionCode(),
                                                    latest, "CreateFunction"));
  if (latest.is_image()) latest.image_uri = code->image_uri().value_or("");
  CO_TRY(check_unzipped(latest));
  latest.state_reason = "The function is being created.";
  latest.state_reason_code = "Creating";
  stamp(latest);
  bool publishing = in.publish().value_or(false);
  if (publishing) publish(function, latest.description);
  if (in.publish_to()) CO_TRY(publish_latest(function, latest.description));
  auto created = co_await deps_.registry.create(std::move(function));
  if (!created) co_return refuse(from(created.error()));
  settle_later(ref);
  const Function* made = deps_.registry.find(ref.scope, ref.name);
  if (!made) co_return refuse(function_not_found(ref.arn()));
  if (publishing) {
    const Version& version = made->versions.rbegin()->second;
    co_return describe_whole(version, made->arn() + ":" + version.version).take();
  }
  if (const auto& published = made->latest_published) {
    co_return describe_whole(*published, made->arn() + ":" + published->version).take();
  }
  co_return describe_whole(made->latest, made->arn()).take();
}

Service::Answer Service::get_function(Call& call, Record input) {
  model::GetFunctionRequest in(std::move(input));
  CO_TRY_ASSIGN(FunctionRef ref, named(call, in.function_name(), in.qualifier()));
  CO_TRY_ASSIGN(const Version* version, require_version(ref));
  CO_TRY_ASSIGN(const Function* function, require(ref));
  model::GetFunctionResponse out;
  out.set_configuration(describe_whole(*version, ref.arn()));
  out.set_code(code_location(call, *version));
  if (!function->tags.empty()) out.set_tags(function->tags);
  if (function->reserved_concurrency) {
    model::Concurrency concurrency;
    concurrency.set_reserved_concurrent_executions(*function->reserved_concurrency);
    out.set_concurrency(concurrency);
  }
  co_return std::move(out).take();
}

Service::Answer Service::get_function_configuration(Call& call, Record input) {
  model::GetFunctionConfigurationRequest in(std::move(input));
  CO_TRY_ASSIGN(FunctionRef ref, named(call, in.function_name(), in.qualifier()));
  CO_TRY_ASSIGN(const Version* version, require_version(ref));
  co_return describe_whole(*version, ref.arn()).take();
}

Service::Answer Service::list_functions(Call& call, Record input) {
  model::ListFunctionsRequest in(std::move(input));
  std::size_t limit = page_size(in.max_items());
  bool all = in.function_version().value_or("") == "ALL";
  // A marker is the ARN of the last function (or version) of the page before.
  CO_TRY_ASSIGN(std::string marker, read_marker(in.marker()));
  std::string after_name = marker.substr(0, marker.find(':'));
  std::string after_version =
      marker.size() > after_name.size() ? marker.substr(after_name.size() + 1) : "";
  std::vector<model::FunctionConfiguration> page;
  model::ListFunctionsResponse out;
  std::string last;
  auto add = [&](const Version& version, const std::string& arn, const std::string& position) {
    if (page.size() == limit) {
      out.set_next_marker(write_marker(last));
      return false;
    }
    page.push_back(describe(version, arn, false));
    last = position;
    return true;
  };
  std::vector<const Function*> found;
  if (!after_version.empty()) {
    if (const auto* same = deps_.registry.find(call.scope, FunctionName(after_name))) {
      found.push_back(same);
    }
  }
  auto rest = deps_.registry.list(call.scope, after_name, limit + 1);
  found.insert(found.end(), rest.begin(), rest.end());
  for (const Function* function : found) {
    const std::string& name = function->name.str();
    if (!all) {
      if (!add(function->latest, function->arn(), name)) break;
      continue;
    }
    int done = name == after_name ? std::atoi(after_version.c_str()) : -1;
    if (done < 0 && !add(function->latest, function->arn() + ":$LATEST", name + ":0")) break;
    bool behind = done > 0 || (name == after_name && after_version == "0p");
    if (const auto& published = function->latest_published; published && !behind) {
      if (!add(*published, function->arn() + ":" + published->version, name + ":0p")) break;
    }
    bool full = false;
    for (auto at = function->versions.upper_bound(done < 0 ? 0 : done);
         at != function->versions.end() && !full; ++at) {
      full = !add(at->second, function->arn() + ":" + at->second.version,
                  name + ":" + at->second.version);
    }
    if (full) break;
  }
  out.set_functions(std::move(page));
  co_return std::move(out).take();
}

Service::Answer Service::delete_function(Call& call, Record input) {
  model::DeleteFunctionRequest in(std::move(input));
  CO_TRY_ASSIGN(FunctionRef ref, named(call, in.function_name(), in.qualifier()));
  model::DeleteFunctionResponse out;
  out.set_status_code(204);
  if (ref.qualifier == "$LATEST") {
    co_return refuse(invalid("$LATEST version cannot be deleted without deleting the function."));
  }
  if (ref.qualifier.empty()) {
    CO_TRY(require(ref));
    auto removed = co_await deps_.registry.remove(ref.scope, ref.name);
    if (!removed && removed.error().kind == ErrorKind::not_found) {
      co_return refuse(function_not_found(ref.arn()));
    }
    if (!removed) co_return refuse(from(removed.error()));
    deps_.invoker.retire(concurrency_key(ref.scope, ref.name), "");
    if (deps_.deleted) deps_.deleted(ref.scope, ref.name);
    settled_.wake_all();
    tasks_.spawn(collect_later());
    co_return std::move(out).take();
  }
  if (!is_version_number(ref.qualifier) && ref.qualifier != latest_published) {
    co_return refuse(invalid("Deletion of aliases is not currently supported."));
  }
  CO_TRY(require(ref));
  std::optional<Version> gone;
  if (auto version = require_version(ref)) gone = **version;
  CO_TRY(co_await change(ref, [&ref](Function& function) -> ApiResult<void> {
    bool numbered = ref.qualifier.size() < 10 && ref.qualifier != latest_published;
    int number = numbered ? std::stoi(ref.qualifier) : 0;
    for (const auto& [name, alias] : function.aliases) {
      if (alias.version == ref.qualifier || alias.weights.contains(ref.qualifier)) {
        return refuse(conflict(fmt::format("Version {} cannot be deleted: alias {} points to it.",
                                           ref.qualifier, name)));
      }
    }
    // The cloud answers success for a version that is not there.
    function.versions.erase(number);
    if (ref.qualifier == latest_published) function.latest_published.reset();
    function.event_configs.erase(ref.qualifier);
    function.provisioned.erase(ref.qualifier);
    std::erase_if(function.permissions,
                  [&ref](const auto& one) { return one.qualifier == ref.qualifier; });
    function.policy_revisions.erase(ref.qualifier);
    return {};
  }));
  if (gone) forget_version(ref.scope, *gone);
  tasks_.spawn(collect_later());
  co_return std::move(out).take();
}

}  // namespace mayfly::lambda
