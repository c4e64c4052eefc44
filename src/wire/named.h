// Values out of JSON whose members are named as the model names them, whatever the protocol of its
// service: parameters as SDKs take them ("FunctionName", "Payload").
//
// Blobs are texts as they are, not base64; an object or array that stands for a text or a blob is
// that JSON as text. Times are numbers (seconds since the epoch) or ISO 8601 texts. A member may
// begin with a small letter where the model's begins with a capital, and the other way round. Pure.
#pragma once

#include "base/result.h"
#include "wire/json.h"
#include "wire/value.h"

namespace mayfly::wire {

// Kind invalid: a member that the shape has not, or of another type; the message names it.
Result<Record> record_of_names(const Shape& shape, const Json& json);

}  // namespace mayfly::wire
