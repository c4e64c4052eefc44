#include "functions/model.h"

#include <fmt/format.h>

namespace mayfly::functions {

std::string Function::arn() const {
  std::string out = "arn:aws:lambda:";
  out.reserve(128);
  out.append(scope.region.str()).append(":").append(scope.account.str());
  return out.append(":function:").append(name.str());
}

std::string LayerVersion::arn() const {
  return fmt::format("arn:aws:lambda:{}:{}:layer:{}:{}", scope.region.str(), scope.account.str(),
                     name, version);
}

std::string CapacityProvider::arn() const {
  return fmt::format("arn:aws:lambda:{}:{}:capacity-provider:{}", scope.region.str(),
                     scope.account.str(), name);
}

std::string CodeSigningConfig::arn() const {
  return fmt::format("arn:aws:lambda:{}:{}:code-signing-config:{}", scope.region.str(),
                     scope.account.str(), id);
}

}  // namespace mayfly::functions
