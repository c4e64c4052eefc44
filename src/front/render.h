// The one place where errors become answers, in the protocol of the call.
#pragma once

#include <string_view>

#include "api/operation.h"
#include "front/front.h"
#include "io/http1.h"
#include "wire/protocol/codec.h"

namespace mayfly::front {

Response render_error(const wire::CodecOperation& codec, const api::ApiError& error,
                      std::string_view request_id, std::string_view path = {});
// Before anything of the request is known: JSON {"message": …}.
Response render_refusal(int status, std::string_view text);

// guard/'s code (query protocol's names) as the protocol of the call names it.
api::ApiError authentication_error(const Error& error, wire::Protocol protocol);
api::ApiError denial(std::string message, wire::Protocol protocol);
// A body that was not read: too large, too slow, no memory, malformed.
api::ApiError refused_body(const io::http1::Refusal& refusal, std::string_view operation,
                           std::size_t limit);
// Violated constraints, with the code the operation's service uses for them.
api::ApiError constraint_error(std::string message, const api::Operation& operation,
                               wire::Protocol protocol);

}  // namespace mayfly::front
