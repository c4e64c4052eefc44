// Validate: the constraints of a model (required, length, range, pattern, enum) checked over a
// decoded Record, in the words of the cloud's own framework:
//
//   1 validation error detected: Value 'a b' at 'functionName' failed to satisfy constraint: Member
//   must satisfy regular expression pattern: [a-z]+
//
// Paths are in lower camel case ("code.s3Bucket", "tags.1.member.key"); values of sensitive shapes
// and blobs are not repeated. Patterns are compiled once per process, when first needed; any thread
// may call.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "wire/value.h"

namespace mayfly::wire {

// One line per violation, in the order of the members; at most 64.
std::vector<std::string> violations(const Record& record);

// Kind invalid with all violations in one message, or nothing.
Result<> validate(const Record& record);

}  // namespace mayfly::wire
