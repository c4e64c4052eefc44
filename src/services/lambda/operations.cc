// The handlers by operation name: the coverage list of this service. What is missing here answers
// NotImplementedException (api/operation.h).
#include "services/lambda/service.h"

namespace mayfly::lambda {

api::Service Service::operations() {
  using Member = Answer (Service::*)(Call&, Record);
  static constexpr std::pair<std::string_view, Member> rows[] = {
      {"CreateFunction", &Service::create_function},
      {"GetFunction", &Service::get_function},
      {"GetFunctionConfiguration", &Service::get_function_configuration},
      {"ListFunctions", &Service::list_functions},
      {"DeleteFunction", &Service::delete_function},
      {"UpdateFunctionCode", &Service::update_function_code},
      {"UpdateFunctionConfiguration", &Service::update_function_configuration},
      {"PublishVersion", &Service::publish_version},
      {"ListVersionsByFunction", &Service::list_versions_by_function},
      {"CreateAlias", &Service::create_alias},
      {"GetAlias", &Service::get_alias},
      {"ListAliases", &Service::list_aliases},
      {"UpdateAlias", &Service::update_alias},
      {"DeleteAlias", &Service::delete_alias},
      {"TagResource", &Service::tag_resource},
      {"UntagResource", &Service::untag_resource},
      {"ListTags", &Service::list_tags},
      {"AddPermission", &Service::add_permission},
      {"RemovePermission", &Service::remove_permission},
      {"GetPolicy", &Service::get_policy},
      {"GetAccountSettings", &Service::get_account_settings},
      {"PutFunctionConcurrency", &Service::put_function_concurrency},
      {"GetFunctionConcurrency", &Service::get_function_concurrency},
      {"DeleteFunctionConcurrency", &Service::delete_function_concurrency},
      {"PutProvisionedConcurrencyConfig", &Service::put_provisioned_concurrency_config},
      {"GetProvisionedConcurrencyConfig", &Service::get_provisioned_concurrency_config},
      {"DeleteProvisionedConcurrencyConfig", &Service::delete_provisioned_concurrency_config},
      {"ListProvisionedConcurrencyConfigs", &Service::list_provisioned_concurrency_configs},
      {"PutFunctionRecursionConfig", &Service::put_function_recursion_config},
      {"GetFunctionRecursionConfig", &Service::get_function_recursion_config},
      {"PutRuntimeManagementConfig", &Service::put_runtime_management_config},
      {"GetRuntimeManagementConfig", &Service::get_runtime_management_config},
      {"PutFunctionEventInvokeConfig", &Service::put_function_event_invoke_config},
      {"GetFunctionEventInvokeConfig", &Service::get_function_event_invoke_config},
      {"UpdateFunctionEventInvokeConfig", &Service::update_function_event_invoke_config},
      {"DeleteFunctionEventInvokeConfig", &Service::delete_function_event_invoke_config},
      {"ListFunctionEventInvokeConfigs", &Service::list_function_event_invoke_configs},
      {"PublishLayerVersion", &Service::publish_layer_version},
      {"GetLayerVersion", &Service::get_layer_version},
      {"GetLayerVersionByArn", &Service::get_layer_version_by_arn},
      {"ListLayers", &Service::list_layers},
      {"ListLayerVersions", &Service::list_layer_versions},
      {"DeleteLayerVersion", &Service::delete_layer_version},
      {"AddLayerVersionPermission", &Service::add_layer_version_permission},
      {"RemoveLayerVersionPermission", &Service::remove_layer_version_permission},
      {"GetLayerVersionPolicy", &Service::get_layer_version_policy},
      {"CreateFunctionUrlConfig", &Service::create_function_url_config},
      {"GetFunctionUrlConfig", &Service::get_function_url_config},
      {"UpdateFunctionUrlConfig", &Service::update_function_url_config},
      {"DeleteFunctionUrlConfig", &Service::delete_function_url_config},
      {"ListFunctionUrlConfigs", &Service::list_function_url_configs},
      {"Invoke", &Service::invoke},
      {"InvokeAsync", &Service::invoke_async},
      {"InvokeWithResponseStream", &Service::invoke_with_response_stream},
  };
  api::Service service{.model = &model::model, .handlers = {}};
  add_code_signing(service);
  add_capacity(service);
  if (sources_) sources_->add_to(service);
  for (const auto& [name, member] : rows) {
    service.handlers[name] = [this, member](Call& call, Record input) {
      return (this->*member)(call, std::move(input));
    };
  }
  return service;
}

}  // namespace mayfly::lambda
