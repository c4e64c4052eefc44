#include "services/lambda/names.h"

#include <charconv>

#include "functions/registry.h"

namespace mayfly::lambda {

namespace {

// What stands between colons; of more than any name has, the last holds the rest.
class Parts {
 public:
  explicit Parts(std::string_view text) {
    while (count_ < parts_.size()) {
      auto colon = count_ + 1 < parts_.size() ? text.find(':') : text.npos;
      parts_[count_++] = text.substr(0, colon);
      if (colon == text.npos) return;
      text.remove_prefix(colon + 1);
    }
  }
  std::size_t size() const { return count_; }
  std::string_view operator[](std::size_t at) const { return parts_[at]; }

 private:
  std::array<std::string_view, 10> parts_;
  std::size_t count_ = 0;
};

api::ApiError bad_name(std::string_view text) {
  return constraint(
      text, "functionName",
      "Member must satisfy regular expression pattern: "
      "(arn:(aws[a-zA-Z-]*)?:lambda:)?([a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\\d{1}:)?"
      "(\\d{12}:)?(function:)?([a-zA-Z0-9-_]+)(:(\\$LATEST|[a-zA-Z0-9-_]+))?");
}

}  // namespace

std::string FunctionRef::unqualified_arn() const {
  std::string out = "arn:aws:lambda:";
  out.reserve(128);
  out.append(scope.region.str()).append(":").append(scope.account.str());
  return out.append(":function:").append(name.str());
}

std::string FunctionRef::arn() const {
  return qualifier.empty() ? unqualified_arn() : unqualified_arn() + ":" + qualifier;
}

namespace {

ApiResult<void> read_function(std::string_view text, std::string_view qualifier, const Scope& here,
                              FunctionRef& ref) {
  Parts parts(text);
  std::size_t at = 0;
  ref.scope = here;
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
  ref.name.value = parts[at];
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
  return {};
}

}  // namespace

ApiResult<FunctionRef> parse_function(std::string_view text, std::string_view qualifier,
                                      const Scope& here) {
  ApiResult<FunctionRef> out(std::in_place);
  auto read = read_function(text, qualifier, here, *out);
  if (!read) out = std::unexpected(std::move(read).error());
  return out;
}

ApiResult<LayerFamilyRef> parse_layer(std::string_view text, const Scope& here) {
  LayerFamilyRef ref{here, std::string(text)};
  Parts parts(text);
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
  Parts parts(arn);
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
