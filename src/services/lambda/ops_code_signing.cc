// Code signing configurations, and which functions have one. There is no signing service here, so
// no package carries a signature that could be checked: each counts as unsigned, which the policy
// of a configuration lets pass with a warning or refuses.
#include "base/log.h"
#include "services/lambda/config.h"
#include "services/lambda/paging.h"
#include "services/lambda/service.h"
#include "services/lambda/text.h"

namespace mayfly::lambda {

namespace {

using functions::CodeSigningConfig;

constexpr std::string_view arn_mark = ":code-signing-config:";

model::CodeSigningConfig describe_config(const CodeSigningConfig& config) {
  model::CodeSigningConfig out;
  out.set_code_signing_config_id(config.id).set_code_signing_config_arn(config.arn());
  if (!config.description.empty()) out.set_description(config.description);
  model::AllowedPublishers publishers;
  publishers.set_signing_profile_version_arns(config.publishers);
  out.set_allowed_publishers(publishers);
  model::CodeSigningPolicies policies;
  bool enforce = config.untrusted == functions::SigningPolicy::enforce;
  policies.set_untrusted_artifact_on_deployment(enforce ? "Enforce" : "Warn");
  out.set_code_signing_policies(policies);
  out.set_last_modified(iso_millis(config.modified, "+0000"));
  return out;
}

template <class Out>
wire::Record answer_config(const CodeSigningConfig& config) {
  Out out;
  out.set_code_signing_config(describe_config(config));
  return std::move(out).take();
}

// arn:PARTITION:signer:REGION:ACCOUNT:/signing-profiles/NAME/VERSION
bool is_profile_version(std::string_view arn) {
  constexpr std::string_view path = ":/signing-profiles/";
  auto at = arn.find(path);
  if (arn.find(":signer:") == arn.npos || at == arn.npos) return false;
  std::string_view name = arn.substr(at + path.size());
  auto slash = name.find('/');
  return slash != name.npos && slash > 0 && slash + 1 < name.size() &&
         name.find('/', slash + 1) == name.npos;
}

ApiResult<void> take_publishers(const model::AllowedPublishers& given, CodeSigningConfig& config) {
  config.publishers.clear();
  for (std::string_view arn : given.signing_profile_version_arns()) {
    if (!is_profile_version(arn)) {
      return refuse(
          invalid(fmt::format("{} is not the ARN of a version of a signing profile.", arn)));
    }
    config.publishers.emplace_back(arn);
  }
  return {};
}

template <class Request>
ApiResult<void> take_over(const Request& in, CodeSigningConfig& config) {
  if (auto text = in.description()) config.description = *text;
  if (auto policies = in.code_signing_policies()) {
    if (auto policy = policies->untrusted_artifact_on_deployment()) {
      config.untrusted =
          *policy == "Enforce" ? functions::SigningPolicy::enforce : functions::SigningPolicy::warn;
    }
  }
  if (auto publishers = in.allowed_publishers()) return take_publishers(*publishers, config);
  return {};
}

api::ApiError no_such_config(std::string_view arn) {
  return resource_not_found(
      fmt::format("The Lambda code signing configuration {} can not be found.", arn));
}

std::string id_of(std::string_view arn) { return std::string(arn.substr(arn.rfind(':') + 1)); }

}  // namespace

void Service::add_code_signing(api::Service& service) {
  using Member = Answer (Service::*)(Call&, Record);
  static constexpr std::pair<std::string_view, Member> rows[] = {
      {"CreateCodeSigningConfig", &Service::create_code_signing_config},
      {"GetCodeSigningConfig", &Service::get_code_signing_config},
      {"UpdateCodeSigningConfig", &Service::update_code_signing_config},
      {"DeleteCodeSigningConfig", &Service::delete_code_signing_config},
      {"ListCodeSigningConfigs", &Service::list_code_signing_configs},
      {"ListFunctionsByCodeSigningConfig", &Service::list_functions_by_code_signing_config},
      {"PutFunctionCodeSigningConfig", &Service::put_function_code_signing_config},
      {"GetFunctionCodeSigningConfig", &Service::get_function_code_signing_config},
      {"DeleteFunctionCodeSigningConfig", &Service::delete_function_code_signing_config},
  };
  for (const auto& [name, member] : rows) {
    service.handlers[name] = [this, member](Call& call, Record input) {
      return (this->*member)(call, std::move(input));
    };
  }
}

bool is_code_signing_arn(std::string_view arn) { return arn.find(arn_mark) != arn.npos; }

// One of another account or region is not there for the caller.
const CodeSigningConfig* Service::find_code_signing(const Scope& scope,
                                                    std::string_view arn) const {
  const auto* config = deps_.registry.code_signing().find(scope, id_of(arn));
  return config && config->arn() == arn ? config : nullptr;
}

ApiResult<functions::CodeSigningConfigs::Hold> Service::hold_code_signing(const Scope& scope,
                                                                          std::string_view arn) {
  if (!find_code_signing(scope, arn)) {
    return refuse(model::code_signing_config_not_found_exception(
        fmt::format("The code signing configuration cannot be found. Check that the provided "
                    "configuration is not deleted: {}.",
                    arn)));
  }
  return functions::CodeSigningConfigs::Hold(deps_.registry.code_signing(), scope, id_of(arn));
}

ApiResult<void> check_can_be_signed(const functions::Version& version) {
  if (!version.is_image()) return {};
  return refuse(
      invalid("Code signing is not supported for functions created with container images."));
}

ApiResult<void> Service::check_signed(const FunctionRef& ref, std::string_view config_arn) const {
  if (config_arn.empty()) return {};
  const auto* config = find_code_signing(ref.scope, config_arn);
  if (!config) return refuse(no_such_config(config_arn));
  if (deps_.unsigned_deployed) deps_.unsigned_deployed(ref.scope, ref.name, config->untrusted);
  if (config->untrusted == functions::SigningPolicy::enforce) {
    return refuse(model::code_verification_failed_exception(
        fmt::format("Lambda cannot deploy the function. The function or layer might be signed "
                    "using a signature that the client is not configured to accept. Check the "
                    "provided signature for {}.",
                    ref.name.str())));
  }
  log::warn("lambda", "function {}: code without a signature is deployed, which {} lets pass",
            ref.name.str(), config_arn);
  return {};
}

Service::Answer Service::create_code_signing_config(Call& call, Record input) {
  model::CreateCodeSigningConfigRequest in(std::move(input));
  CodeSigningConfig config;
  config.scope = call.scope;
  // 17 characters, as long as the model wants them.
  config.id = "csc-" + deps_.random.hex(9).substr(0, 17);
  config.modified = deps_.loop.clock().platform();
  CO_TRY(take_over(in, config));
  for (const auto& [key, value] : in.tags()) config.tags.emplace(key, value);
  CO_TRY(check_tags(config.tags));
  auto answer = answer_config<model::CreateCodeSigningConfigResponse>(config);
  auto created = co_await deps_.registry.code_signing().create(std::move(config));
  if (!created) co_return refuse(from(created.error()));
  co_return answer;
}

Service::Answer Service::get_code_signing_config(Call& call, Record input) {
  model::GetCodeSigningConfigRequest in(std::move(input));
  std::string_view arn = in.code_signing_config_arn().value_or("");
  const auto* config = find_code_signing(call.scope, arn);
  if (!config) co_return refuse(no_such_config(arn));
  co_return answer_config<model::GetCodeSigningConfigResponse>(*config);
}

io::Task<ApiResult<void>> Service::change_code_signing(
    Scope scope, std::string arn, std::function<ApiResult<void>(CodeSigningConfig&)> apply) {
  if (!find_code_signing(scope, arn)) co_return refuse(no_such_config(arn));
  std::optional<api::ApiError> refused;
  auto wrapped = [&refused, &apply](CodeSigningConfig& config) -> Result<> {
    auto applied = apply(config);
    if (applied) return {};
    refused = std::move(applied.error());
    return fail(ErrorKind::invalid, "refused");
  };
  auto updated = co_await deps_.registry.code_signing().update(scope, id_of(arn), wrapped);
  if (updated) co_return ApiResult<void>{};
  if (refused) co_return refuse(std::move(*refused));
  if (updated.error().kind == ErrorKind::not_found) co_return refuse(no_such_config(arn));
  co_return refuse(from(updated.error()));
}

Service::Answer Service::update_code_signing_config(Call& call, Record input) {
  model::UpdateCodeSigningConfigRequest in(std::move(input));
  std::string arn(in.code_signing_config_arn().value_or(""));
  Record answer;
  CO_TRY(co_await change_code_signing(call.scope, arn, [&](CodeSigningConfig& config) {
    auto taken = take_over(in, config);
    config.modified = deps_.loop.clock().platform();
    if (taken) answer = answer_config<model::UpdateCodeSigningConfigResponse>(config);
    return taken;
  }));
  co_return answer;
}

Service::Answer Service::delete_code_signing_config(Call& call, Record input) {
  model::DeleteCodeSigningConfigRequest in(std::move(input));
  std::string arn(in.code_signing_config_arn().value_or(""));
  if (!find_code_signing(call.scope, arn)) co_return refuse(no_such_config(arn));
  auto in_use = [&arn] {
    return refuse(conflict(fmt::format(
        "Cannot delete the code signing configuration {}: functions are using it.", arn)));
  };
  if (!functions_with_signing(call.scope, arn).empty()) co_return in_use();
  auto removed = co_await deps_.registry.code_signing().remove(call.scope, id_of(arn));
  if (!removed && removed.error().kind == ErrorKind::not_found) {
    co_return refuse(no_such_config(arn));
  }
  if (!removed && removed.error().kind == ErrorKind::conflict) co_return in_use();
  if (!removed) co_return refuse(from(removed.error()));
  co_return Record();
}

Service::Answer Service::list_code_signing_configs(Call& call, Record input) {
  model::ListCodeSigningConfigsRequest in(std::move(input));
  CO_TRY_ASSIGN(std::string marker, read_marker(in.marker()));
  std::optional<std::string> next;
  auto found =
      page_of(deps_.registry.code_signing().list(call.scope), marker, page_size(in.max_items()),
              next, [](const CodeSigningConfig* config) { return config->id; });
  std::vector<model::CodeSigningConfig> page;
  page.reserve(found.size());
  for (const auto* config : found) page.push_back(describe_config(*config));
  model::ListCodeSigningConfigsResponse out;
  out.set_code_signing_configs(std::move(page));
  if (next) out.set_next_marker(*next);
  co_return std::move(out).take();
}

std::vector<std::string> Service::functions_with_signing(const Scope& scope,
                                                         std::string_view arn) const {
  std::vector<std::string> out;
  deps_.registry.for_each([&](const Function& function) {
    if (function.scope == scope && function.code_signing_config_arn == arn) {
      out.push_back(function.arn());
    }
  });
  return out;
}

Service::Answer Service::list_functions_by_code_signing_config(Call& call, Record input) {
  model::ListFunctionsByCodeSigningConfigRequest in(std::move(input));
  std::string_view arn = in.code_signing_config_arn().value_or("");
  if (!find_code_signing(call.scope, arn)) co_return refuse(no_such_config(arn));
  CO_TRY_ASSIGN(std::string marker, read_marker(in.marker()));
  std::optional<std::string> next;
  auto page = page_of(functions_with_signing(call.scope, arn), marker, page_size(in.max_items()),
                      next, [](const std::string& one) { return one; });
  model::ListFunctionsByCodeSigningConfigResponse out;
  out.set_function_arns(std::move(page));
  if (next) out.set_next_marker(*next);
  co_return std::move(out).take();
}

Service::Answer Service::put_function_code_signing_config(Call& call, Record input) {
  model::PutFunctionCodeSigningConfigRequest in(std::move(input));
  CO_TRY_ASSIGN(FunctionRef ref, named(call, in.function_name()));
  CO_TRY_ASSIGN(const Function* asked, require(ref));
  CO_TRY(check_can_be_signed(asked->latest));
  std::string arn(in.code_signing_config_arn().value_or(""));
  CO_TRY_ASSIGN(auto held, hold_code_signing(ref.scope, arn));
  // What is deployed already stays as it is: the policy is about deployments.
  CO_TRY(co_await change(ref, [&arn](Function& function) -> ApiResult<void> {
    function.code_signing_config_arn = arn;
    return {};
  }));
  model::PutFunctionCodeSigningConfigResponse out;
  out.set_code_signing_config_arn(arn).set_function_name(ref.name.str());
  co_return std::move(out).take();
}

Service::Answer Service::get_function_code_signing_config(Call& call, Record input) {
  model::GetFunctionCodeSigningConfigRequest in(std::move(input));
  CO_TRY_ASSIGN(FunctionRef ref, named(call, in.function_name()));
  CO_TRY_ASSIGN(const Function* function, require(ref));
  CO_TRY(check_can_be_signed(function->latest));
  model::GetFunctionCodeSigningConfigResponse out;
  // The members are required: a function without a configuration says so with an empty one.
  out.set_code_signing_config_arn(function->code_signing_config_arn)
      .set_function_name(ref.name.str());
  co_return std::move(out).take();
}

Service::Answer Service::delete_function_code_signing_config(Call& call, Record input) {
  model::DeleteFunctionCodeSigningConfigRequest in(std::move(input));
  CO_TRY_ASSIGN(FunctionRef ref, named(call, in.function_name()));
  CO_TRY(co_await change(ref, [](Function& function) -> ApiResult<void> {
    if (auto can = check_can_be_signed(function.latest); !can) return can;
    function.code_signing_config_arn.clear();
    return {};
  }));
  co_return Record();
}

}  // namespace mayfly::lambda
