#include "services/lambda/names.h"

#include <charconv>

#include "functions/registry.h"

namespace mayfly::lambda {

namespace {

std::vector<std::string_view> split(std::string_view text) {
  std::vector<std::string_view> parts;
  while (true) {
    auto colon = text.find(':');
    parts.push_back(text.substr(0, colon));
    if (colon == text.npos) return parts;
    text.remove_prefix(colon + 1);
  }
}

api::ApiError bad_name(std::string_view text) {
  return constraint(
      text, "functionName",
      "Member must satisfy regular expression pattern: "
      "(arn:(aws[a-zA-Z-]*)?:lambda:)?([a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\\d{1}:)?"
      "(\\d{12}:)?(function:)?([a-zA-Z0-9-_]+)(:(\\$LATEST|[a-zA-Z0-9-_]+))?");
}

}  // namespace

std::string FunctionRef::unqualified_arn() const {
  return fmt::format("arn:aws:lambda:{}:{}:function:{}", scope.region.str(), scope.account.str(),
                     name.str());
}

std::string FunctionRef::arn() const {
  return qualifier.empty() ? unqualified_arn() : unqualified_arn() + ":" + qualifier;
}

ApiResult<FunctionRef> parse_function(std::string_view text, std::string_view qualifier,
                                      const Scope& here) {
  FunctionRef ref{.scope = here, .name = {}, .qualifier = {}};
  auto parts = split(text);
  std::size_t at = 0;
  if (parts.size() >= 7 && parts[0] == "arn" && parts[2] == "lambda" && parts[5] == "function") {
    ref.scope = {AccountId(std::string(parts[4])), Region(std::string(parts[3]))};
    at = 6;
  } else if (parts.size() >= 3 && parts[1] == "function") {
    ref.scope.account = AccountId(std::string(parts[0]));
    at = 2;
  } else if (parts.size() >= 2 && parts[0] == "function") {
    at = 1;
  }
  if (parts.size() - at > 2) return refuse(bad_name(text));
  ref.name = FunctionName(std::string(parts[at]));
  if (parts.size() - at == 2) ref.qualifier = parts[at + 1];
  if (ref.name.str().size() > 64) {
    return refuse(constraint(ref.name.str(), "functionName",
                             "Member must have length less than or equal to 64"));
  }
  if (!functions::valid_function_name(ref.name.str())) return refuse(bad_name(text));
  if (ref.scope.region != here.region) {
    return refuse(resource_not_found(
        fmt::format("Functions from '{}' are not reachable in this region ('{}')",
                    ref.scope.region.str(), here.region.str())));
  }
  if (!qualifier.empty()) {
    if (!ref.qualifier.empty() && ref.qualifier != qualifier) {
      return refuse(invalid(
          "The derived qualifier from the function name does not match the specified qualifier."));
    }
    ref.qualifier = qualifier;
  }
  return ref;
}

ApiResult<LayerFamilyRef> parse_layer(std::string_view text, const Scope& here) {
  LayerFamilyRef ref{here, std::string(text)};
  auto parts = split(text);
  if (parts.size() == 7 && parts[0] == "arn" && parts[2] == "lambda" && parts[5] == "layer") {
    ref.scope = {AccountId(std::string(parts[4])), Region(std::string(parts[3]))};
    ref.name = parts[6];
  }
  if (!functions::valid_layer_name(ref.name)) {
    return refuse(
        invalid(fmt::format("1 validation error detected: Value '{}' at 'layerName' failed "
                            "to satisfy constraint: Member must satisfy regular expression "
                            "pattern: (arn:[a-zA-Z0-9-]+:lambda:[a-zA-Z0-9-]+:\\d{{12}}:"
                            "layer:[a-zA-Z0-9-_]+)|[a-zA-Z0-9-_]+",
                            text)));
  }
  return ref;
}

std::optional<LayerRefArn> parse_layer_version_arn(std::string_view arn) {
  auto parts = split(arn);
  if (parts.size() != 8 || parts[0] != "arn" || parts[2] != "lambda" || parts[5] != "layer" ||
      !functions::valid_layer_name(parts[6])) {
    return std::nullopt;
  }
  LayerRefArn ref{
      {AccountId(std::string(parts[4])), Region(std::string(parts[3]))}, std::string(parts[6]), 0};
  auto [end, error] =
      std::from_chars(parts[7].data(), parts[7].data() + parts[7].size(), ref.version);
  if (error != std::errc() || end != parts[7].data() + parts[7].size() || ref.version < 1) {
    return std::nullopt;
  }
  return ref;
}

bool is_web_adapter(const LayerRefArn& layer) {
  return layer.scope.account.str() == "753240598075" &&
         (layer.name == "LambdaAdapterLayerX86" || layer.name == "LambdaAdapterLayerArm64");
}

bool is_version_number(std::string_view qualifier) {
  return !qualifier.empty() &&
         std::ranges::all_of(qualifier, [](unsigned char c) { return std::isdigit(c); });
}

}  // namespace mayfly::lambda
