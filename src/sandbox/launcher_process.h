// The launcher's program: what fork_launcher() executes, with the few libraries that it needs. A
// launcher that merely went on in the server's process would have all that the server has mapped
// (270 areas of 47 libraries), and every jail and every fork copies them: a third of the time of
// 500 environments that start together.
#pragma once

#include <span>

namespace mayfly::sandbox {

// An executable file, inside this program. Empty where the sanitizers look: their runtime starts
// threads, which a process that makes namespaces must not have; the launcher goes on in a fork.
std::span<const char> launcher_program();

// Its main().
int launcher_main(std::span<char* const> arguments);

}  // namespace mayfly::sandbox
