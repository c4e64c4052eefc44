// The platform's own lines (START, END, REPORT) in a third of their bytes: what a busy function
// mostly writes is these, and the disk's cache, the database and its checksums are paid by the
// byte.
//
//   0x01 and 16 bytes   an id in the form of a UUID, lower case
//   0x10 … 0x1f         a phrase
//   any other byte      itself
#pragma once

#include <string>
#include <string_view>

namespace mayfly::telemetry {

// Appends the packed text and answers true; or leaves `out` alone, where the text is no such line
// or would not come out again as it is.
bool pack_line(std::string& out, std::string_view text);
std::string unpack_line(std::string_view packed);

}  // namespace mayfly::telemetry
