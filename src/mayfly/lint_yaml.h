// The YAML that people write templates in, as a JSON tree: block mappings and sequences, plain and
// quoted scalars, flow collections on one line, block scalars, comments. Scalars stay text; one
// with a tag (!Ref, !Sub …) becomes null: its value is not known. Anchors, aliases, several
// documents and keys of several lines are refused, by line.
#pragma once

#include <string_view>

#include "wire/json.h"

namespace mayfly::lint {

Result<wire::Json> parse_yaml(std::string_view text);

}  // namespace mayfly::lint
