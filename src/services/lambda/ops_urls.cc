// Function URLs: their configuration. What answers under them is url_endpoint.cc.
#include "services/lambda/cors.h"
#include "services/lambda/paging.h"
#include "services/lambda/service.h"
#include "services/lambda/text.h"

namespace mayfly::lambda {

namespace {

constexpr std::size_t url_id_chars = 32;

// The cloud's ids: lower-case letters and digits.
std::string make_url_id(Random& random) {
  static constexpr std::string_view letters = "abcdefghijklmnopqrstuvwxyz234567";
  std::string raw(url_id_chars, '\0');
  random.fill(std::as_writable_bytes(std::span(raw)));
  for (char& c : raw) c = letters[static_cast<unsigned char>(c) % letters.size()];
  return raw;
}

template <class Out>
Out describe_url(const functions::Function& function, const functions::FunctionUrl& url,
                 std::string address) {
  Out out;
  std::string arn = function.arn();
  if (!url.qualifier.empty()) arn += ":" + url.qualifier;
  out.set_function_url(std::move(address)).set_function_arn(arn).set_auth_type(url.auth_type);
  out.set_creation_time(iso_millis(url.created, "Z")).set_invoke_mode(url.invoke_mode);
  if (!url.cors_json.empty()) out.set_cors(cors_view(url.cors_json));
  if constexpr (requires { out.set_last_modified_time(""); }) {
    out.set_last_modified_time(iso_millis(url.modified, "Z"));
  }
  return out;
}

// Only the function itself and its aliases have URLs.
ApiResult<void> check_qualifier(const FunctionRef& ref) {
  if (!is_version_number(ref.qualifier) && ref.qualifier != "$LATEST") return {};
  return refuse(constraint(ref.qualifier, "qualifier",
                           "Member must satisfy regular expression pattern: "
                           "((?!^\\d+$)^[0-9a-zA-Z-_]+$)"));
}

template <class Request>
ApiResult<void> take_over(const Request& in, functions::FunctionUrl& url) {
  if (auto auth = in.auth_type()) url.auth_type = *auth;
  if (auto mode = in.invoke_mode()) {
    url.invoke_mode = *mode;
  }
  if (auto cors = in.cors()) {
    auto json = cors_json(*cors);
    if (!json) return refuse(json.error());
    url.cors_json = *json;
  }
  return {};
}

}  // namespace

std::string Service::url_of(const functions::FunctionUrl& url, const Call& call) const {
  std::string_view host = call.host;
  std::string_view port;
  if (auto colon = host.rfind(':'); colon != host.npos && !host.ends_with(']')) {
    port = host.substr(colon);
    host = host.substr(0, colon);
  }
  std::string_view suffix = deps_.settings.host_suffixes.front();
  std::size_t longest = 0;
  for (const std::string& one : deps_.settings.host_suffixes) {
    bool fits = host == one || (host.ends_with(one) && host.size() > one.size() &&
                                host[host.size() - one.size() - 1] == '.');
    if (fits && one.size() > longest) {
      suffix = one;
      longest = one.size();
    }
  }
  return fmt::format("http://{}.lambda-url.{}.{}{}/", url.url_id, call.scope.region.str(), suffix,
                     port);
}

Service::Answer Service::create_function_url_config(Call& call, Record input) {
  model::CreateFunctionUrlConfigRequest in(std::move(input));
  CO_TRY_ASSIGN(FunctionRef ref, named(call, in.function_name(), in.qualifier()));
  CO_TRY(check_qualifier(ref));
  CO_TRY(require_qualifier(ref));
  CO_TRY_ASSIGN(const Function* owner, require(ref));
  if (owner->latest.per_tenant) co_return refuse(no_tenants_with("A function URL"));
  functions::FunctionUrl url;
  url.url_id = make_url_id(deps_.random);
  url.qualifier = ref.qualifier;
  url.created = url.modified = deps_.loop.clock().platform();
  CO_TRY(take_over(in, url));
  CO_TRY(co_await change(ref, [&](Function& function) -> ApiResult<void> {
    if (function.urls.contains(ref.qualifier)) {
      return refuse(
          conflict(fmt::format("Failed to create function url config for [functionArn = "
                               "{}]. Error message:  FunctionUrlConfig exists for this "
                               "Lambda function",
                               ref.arn())));
    }
    function.urls.emplace(ref.qualifier, url);
    return {};
  }));
  CO_TRY_ASSIGN(const Function* function, require(ref));
  co_return describe_url<model::CreateFunctionUrlConfigResponse>(*function, url, url_of(url, call))
      .take();
}

Service::Answer Service::get_function_url_config(Call& call, Record input) {
  model::GetFunctionUrlConfigRequest in(std::move(input));
  CO_TRY_ASSIGN(FunctionRef ref, named(call, in.function_name(), in.qualifier()));
  CO_TRY(check_qualifier(ref));
  CO_TRY_ASSIGN(const Function* function, require(ref));
  auto url = function->urls.find(ref.qualifier);
  if (url == function->urls.end()) co_return refuse(resource_not_found());
  co_return describe_url<model::GetFunctionUrlConfigResponse>(*function, url->second,
                                                              url_of(url->second, call))
      .take();
}

Service::Answer Service::update_function_url_config(Call& call, Record input) {
  model::UpdateFunctionUrlConfigRequest in(std::move(input));
  CO_TRY_ASSIGN(FunctionRef ref, named(call, in.function_name(), in.qualifier()));
  CO_TRY(check_qualifier(ref));
  functions::FunctionUrl url;
  CO_TRY(co_await change(ref, [&](Function& function) -> ApiResult<void> {
    auto found = function.urls.find(ref.qualifier);
    if (found == function.urls.end()) return refuse(resource_not_found());
    url = found->second;
    if (auto taken = take_over(in, url); !taken) return taken;
    url.modified = deps_.loop.clock().platform();
    found->second = url;
    return {};
  }));
  CO_TRY_ASSIGN(const Function* function, require(ref));
  co_return describe_url<model::UpdateFunctionUrlConfigResponse>(*function, url, url_of(url, call))
      .take();
}

Service::Answer Service::delete_function_url_config(Call& call, Record input) {
  model::DeleteFunctionUrlConfigRequest in(std::move(input));
  CO_TRY_ASSIGN(FunctionRef ref, named(call, in.function_name(), in.qualifier()));
  CO_TRY(check_qualifier(ref));
  CO_TRY(co_await change(ref, [&ref](Function& function) -> ApiResult<void> {
    if (function.urls.erase(ref.qualifier) == 0) return refuse(resource_not_found());
    return {};
  }));
  co_return Record();
}

Service::Answer Service::list_function_url_configs(Call& call, Record input) {
  model::ListFunctionUrlConfigsRequest in(std::move(input));
  CO_TRY_ASSIGN(FunctionRef ref, named(call, in.function_name()));
  CO_TRY_ASSIGN(const Function* function, require(ref));
  CO_TRY_ASSIGN(std::string marker, read_marker(in.marker()));
  // "$" stands for the unqualified function, whose key is empty, before every alias.
  auto name_of = [](const functions::FunctionUrl* url) {
    return url->qualifier.empty() ? std::string("$") : url->qualifier;
  };
  std::vector<const functions::FunctionUrl*> found;
  for (const auto& [qualifier, url] : function->urls) found.push_back(&url);
  std::optional<std::string> next;
  found = page_of(std::move(found), marker, page_size(in.max_items()), next, name_of);
  std::vector<model::FunctionUrlConfig> page;
  for (const auto* url : found) {
    page.push_back(describe_url<model::FunctionUrlConfig>(*function, *url, url_of(*url, call)));
  }
  model::ListFunctionUrlConfigsResponse out;
  out.set_function_url_configs(std::move(page));
  if (next) out.set_next_marker(*next);
  co_return std::move(out).take();
}

}  // namespace mayfly::lambda
