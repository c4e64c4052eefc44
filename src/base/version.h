// The version of this program; tools/tools_test.py holds it equal to the one in CMakeLists.txt.
#pragma once

#include <string_view>

namespace mayfly {

inline constexpr std::string_view version_text = "0.1.0";

}  // namespace mayfly
