// Codec: registry records as bytes. A record is a sequence of fields, each
//
//   | tag: varint | length: varint | bytes |
//
// in ascending order of tags. Unknown tags are skipped and missing ones keep their defaults, so a
// record of an older or newer server of the same format version can be read. Integers are varints
// (zigzag), doubles and times 8 bytes little endian, lists and maps a sequence of
// length-prefixed items, structures nested records.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "functions/model.h"

namespace mayfly::functions {

// Without `versions`: published versions are records of their own.
std::string encode(const Function& function);
std::string encode(const Version& version);
std::string encode(const LayerVersion& layer);
std::string encode(const CodeSigningConfig& config);
std::string encode(const CapacityProvider& provider);
Result<Function> decode_function(std::string_view bytes);
Result<Version> decode_version(std::string_view bytes);
Result<LayerVersion> decode_layer(std::string_view bytes);
Result<CodeSigningConfig> decode_code_signing_config(std::string_view bytes);
Result<CapacityProvider> decode_capacity_provider(std::string_view bytes);

}  // namespace mayfly::functions
