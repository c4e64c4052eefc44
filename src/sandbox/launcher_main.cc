#include "sandbox/launcher_process.h"

int main(int count, char** arguments) {
  return mayfly::sandbox::launcher_main({arguments, static_cast<std::size_t>(count)});
}
