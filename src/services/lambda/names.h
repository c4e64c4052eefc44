// Names: every form in which the API lets a client name a function or a layer.
#pragma once

#include <string>
#include <string_view>

#include "base/ids.h"
#include "services/lambda/errors.h"

namespace mayfly::lambda {

// A function as named by a call: NAME, NAME:QUALIFIER, ACCOUNT:function:NAME, or an ARN.
struct FunctionRef {
  Scope scope;
  FunctionName name;
  std::string qualifier;  // empty: none given

  std::string unqualified_arn() const;
  std::string arn() const;  // with the qualifier, where there is one
};

// `here` is where the call acts; `qualifier` the call's own parameter. An ARN of another region is
// refused; one of another account is answered as it is, and its reader asks guard/.
ApiResult<FunctionRef> parse_function(std::string_view text, std::string_view qualifier,
                                      const Scope& here);

// NAME or an ARN without version.
struct LayerFamilyRef {
  Scope scope;
  std::string name;
};
ApiResult<LayerFamilyRef> parse_layer(std::string_view text, const Scope& here);

struct LayerRefArn {
  Scope scope;
  std::string name;
  int version = 0;
};
std::optional<LayerRefArn> parse_layer_version_arn(std::string_view arn);
// The public layer of the AWS Lambda Web Adapter, in any version: what it does is part of this
// server (invoke/web_function.h), so that functions that name it need no copy of it.
bool is_web_adapter(const LayerRefArn& layer);

// …:code-signing-config:csc-…
bool is_code_signing_arn(std::string_view arn);

// …:capacity-provider:NAME
bool is_capacity_provider_arn(std::string_view arn);

bool is_version_number(std::string_view qualifier);

}  // namespace mayfly::lambda
