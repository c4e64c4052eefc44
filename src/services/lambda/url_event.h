// The payload format 2.0 of function URLs: HTTP requests as events, answers as HTTP responses.
#pragma once

#include <optional>
#include <string>

#include "api/caller.h"
#include "base/clock.h"
#include "events/event.h"
#include "services/lambda/raw.h"
#include "wire/json.h"

namespace mayfly::lambda {

struct UrlContext {
  std::string url_id;
  std::string account;   // of the caller, or "anonymous"
  std::string iam_json;  // requestContext.authorizer.iam, empty for AuthType NONE
  WallTime time{};
};

std::string url_event(const RawRequest& request, const UrlContext& context);

// The function's answer by the rules of the Developer Guide ("Invoking function URLs"): an object
// with statusCode is the response's parts, everything else a 200 with the JSON itself as body. A
// failed function, or parts that make no response, are a 502.
RawResponse url_response(const events::Outcome& outcome);
// Status, headers and cookies of such an object, or of what goes ahead of a streamed body; nothing
// where they make no response.
std::optional<RawResponse> url_head(const wire::Json& parts);
// A streamed answer of this type begins with those parts: JSON, then eight zero bytes.
inline constexpr std::string_view url_prelude_type =
    "application/vnd.awslambda.http-integration-response";
inline constexpr std::string_view url_prelude_end{"\0\0\0\0\0\0\0\0", 8};
RawResponse url_error(int status, std::string_view text);

}  // namespace mayfly::lambda
