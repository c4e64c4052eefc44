#include "sandbox/launcher_process.h"

std::span<const char> mayfly::sandbox::launcher_program() { return {}; }
