// Layers: published versions and their lists.
#include "base/limits.h"
#include "services/lambda/paging.h"
#include "services/lambda/service.h"
#include "services/lambda/text.h"

namespace mayfly::lambda {

namespace {

std::string family_arn(const functions::LayerVersion& layer) {
  std::string arn = layer.arn();
  return arn.substr(0, arn.rfind(':'));
}

template <class Out>
void describe_common(const functions::LayerVersion& layer, Out& out) {
  out.set_layer_version_arn(layer.arn()).set_version(layer.version);
  out.set_description(layer.description).set_created_date(iso_millis(layer.created, "+0000"));
  if (!layer.license.empty()) out.set_license_info(layer.license);
  if (!layer.compatible_runtimes.empty()) out.set_compatible_runtimes(layer.compatible_runtimes);
  if (!layer.compatible_architectures.empty()) {
    out.set_compatible_architectures(layer.compatible_architectures);
  }
}

template <class Out>
wire::Record describe_layer(const functions::LayerVersion& layer, std::string location) {
  Out out;
  describe_common(layer, out);
  out.set_layer_arn(family_arn(layer));
  model::LayerVersionContentOutput content;
  content.set_location(std::move(location)).set_code_sha256(functions::code_sha256(layer.package));
  content.set_code_size(static_cast<std::int64_t>(layer.package.zip_bytes));
  out.set_content(content);
  return std::move(out).take();
}

model::LayerVersionsListItem list_item(const functions::LayerVersion& layer) {
  model::LayerVersionsListItem item;
  describe_common(layer, item);
  return item;
}

bool holds(const std::vector<std::string>& list, std::optional<std::string_view> wanted) {
  return !wanted || std::ranges::find(list, *wanted) != list.end();
}

template <class Request>
bool matches(const functions::LayerVersion& layer, const Request& in) {
  return holds(layer.compatible_runtimes, in.compatible_runtime()) &&
         holds(layer.compatible_architectures, in.compatible_architecture());
}

// Numbers sort as numbers inside of a marker.
std::string padded(int version) { return fmt::format("{:010}", version); }

}  // namespace

Service::Answer Service::publish_layer_version(Call& call, Record input) {
  model::PublishLayerVersionRequest in(std::move(input));
  CO_TRY_ASSIGN(LayerFamilyRef ref, parse_layer(in.layer_name().value_or(""), call.scope));
  if (ref.scope != call.scope) {
    co_return refuse(invalid("A layer can be published in its own account and region alone."));
  }
  model::FunctionCode code;
  if (auto content = in.content()) {
    if (content->zip_file()) code.set_zip_file(std::string(*content->zip_file()));
    if (content->s3_bucket()) code.set_s3_bucket(std::string(*content->s3_bucket()));
    if (content->s3_key()) code.set_s3_key(std::string(*content->s3_key()));
    if (auto version = content->s3_object_version()) {
      code.set_s3_object_version(std::string(*version));
    }
  }
  functions::LayerVersion layer;
  layer.scope = ref.scope;
  layer.name = ref.name;
  layer.description = in.description().value_or("");
  layer.license = in.license_info().value_or("");
  for (auto one : in.compatible_runtimes()) layer.compatible_runtimes.emplace_back(one);
  for (auto one : in.compatible_architectures()) layer.compatible_architectures.emplace_back(one);
  layer.created = deps_.loop.clock().platform();
  CO_TRY_ASSIGN(layer.package, co_await package_of(call, code, Version(), "PublishLayerVersion"));
  auto number = co_await deps_.registry.publish_layer(std::move(layer));
  if (!number) co_return refuse(from(number.error()));
  const auto* made = deps_.registry.find_layer(ref.scope, ref.name, *number);
  if (!made) co_return refuse(resource_not_found());
  co_return describe_layer<model::PublishLayerVersionResponse>(*made,
                                                               code_link(call, made->package));
}

ApiResult<const functions::LayerVersion*> Service::require_layer(
    const Call& call, std::optional<std::string_view> name, std::int64_t version) const {
  auto ref = parse_layer(name.value_or(""), call.scope);
  if (!ref) return refuse(ref.error());
  if (version < 1) {
    return refuse(invalid("Layer Version Cannot be less than 1."));
  }
  if (version > INT32_MAX) return refuse(resource_not_found());
  if (ref->scope.account != call.scope.account) {
    std::string arn = fmt::format("arn:aws:lambda:{}:{}:layer:{}:{}", ref->scope.region.str(),
                                  ref->scope.account.str(), ref->name, version);
    guard::Question question{.caller = call.caller,
                             .action = call.operation.action,
                             .resource = arn,
                             .resource_account = ref->scope.account,
                             .source_arn = {},
                             .function_url_auth_type = {}};
    guard::Decision decision = deps_.guard.authorize(question);
    if (!decision.allowed) return refuse(api::access_denied(decision.reason));
  }
  const auto* layer = deps_.registry.find_layer(ref->scope, ref->name, static_cast<int>(version));
  if (!layer) return refuse(resource_not_found());
  return layer;
}

Service::Answer Service::get_layer_version(Call& call, Record input) {
  model::GetLayerVersionRequest in(std::move(input));
  CO_TRY_ASSIGN(const auto* layer,
                require_layer(call, in.layer_name(), in.version_number().value_or(0)));
  co_return describe_layer<model::GetLayerVersionResponse>(*layer, code_link(call, layer->package));
}

Service::Answer Service::get_layer_version_by_arn(Call& call, Record input) {
  model::GetLayerVersionByArnRequest in(std::move(input));
  std::string_view arn = in.arn().value_or("");
  auto ref = parse_layer_version_arn(arn);
  if (!ref) {
    co_return refuse(constraint(arn, "arn",
                                "Member must satisfy regular expression pattern: "
                                "arn:[a-zA-Z0-9-]+:lambda:[a-zA-Z0-9-]+:\\d{12}:layer:"
                                "[a-zA-Z0-9-_]+:[0-9]+"));
  }
  std::string_view family = arn.substr(0, arn.rfind(':'));
  CO_TRY_ASSIGN(const auto* layer, require_layer(call, family, ref->version));
  co_return describe_layer<model::GetLayerVersionResponse>(*layer, code_link(call, layer->package));
}

Service::Answer Service::list_layers(Call& call, Record input) {
  model::ListLayersRequest in(std::move(input));
  CO_TRY_ASSIGN(std::string marker, read_marker(in.marker()));
  std::vector<const functions::LayerVersion*> found;
  for (const auto* latest : deps_.registry.latest_layers(call.scope)) {
    // The newest version that matches stands for its family.
    auto versions = deps_.registry.layer_versions(call.scope, latest->name);
    for (auto at = versions.rbegin(); at != versions.rend(); ++at) {
      if (!matches(**at, in)) continue;
      found.push_back(*at);
      break;
    }
  }
  std::optional<std::string> next;
  found = page_of(std::move(found), marker, page_size(in.max_items()), next,
                  [](const functions::LayerVersion* layer) { return layer->name; });
  std::vector<model::LayersListItem> page;
  for (const auto* layer : found) {
    model::LayersListItem item;
    item.set_layer_name(layer->name).set_layer_arn(family_arn(*layer));
    item.set_latest_matching_version(list_item(*layer));
    page.push_back(item);
  }
  model::ListLayersResponse out;
  out.set_layers(std::move(page));
  if (next) out.set_next_marker(*next);
  co_return std::move(out).take();
}

Service::Answer Service::list_layer_versions(Call& call, Record input) {
  model::ListLayerVersionsRequest in(std::move(input));
  CO_TRY_ASSIGN(LayerFamilyRef ref, parse_layer(in.layer_name().value_or(""), call.scope));
  if (ref.scope.account != call.scope.account) {
    co_return refuse(api::access_denied("The layer belongs to another account."));
  }
  CO_TRY_ASSIGN(std::string marker, read_marker(in.marker()));
  auto found = deps_.registry.layer_versions(ref.scope, ref.name);
  std::ranges::reverse(found);  // newest first
  std::erase_if(found, [&](const auto* layer) {
    return !matches(*layer, in) || (!marker.empty() && padded(layer->version) >= marker);
  });
  std::size_t limit = page_size(in.max_items());
  model::ListLayerVersionsResponse out;
  std::vector<model::LayerVersionsListItem> page;
  for (const auto* layer : found) {
    if (page.size() == limit) {
      out.set_next_marker(write_marker(padded(static_cast<int>(*page.back().version()))));
      break;
    }
    page.push_back(list_item(*layer));
  }
  out.set_layer_versions(std::move(page));
  co_return std::move(out).take();
}

Service::Answer Service::delete_layer_version(Call& call, Record input) {
  model::DeleteLayerVersionRequest in(std::move(input));
  auto layer = require_layer(call, in.layer_name(), in.version_number().value_or(0));
  // The cloud answers success for a version that is not there. Functions that have it keep it.
  if (!layer && layer.error().http_status == 404) co_return Record();
  if (!layer) co_return refuse(layer.error());
  Scope scope = (*layer)->scope;
  std::string name = (*layer)->name;
  int version = (*layer)->version;
  auto removed = co_await deps_.registry.remove_layer(scope, name, version);
  if (!removed && removed.error().kind != ErrorKind::not_found) {
    co_return refuse(from(removed.error()));
  }
  tasks_.spawn(collect_later());
  co_return Record();
}

}  // namespace mayfly::lambda
