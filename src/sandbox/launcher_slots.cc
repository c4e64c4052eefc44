// The launcher's part in users: which one a jail is outside, and its user namespace.
#include <fmt/format.h>

#include "sandbox/launcher.h"
#include "sandbox/namespaces.h"

namespace mayfly::sandbox {

// As root every slot is another user outside; otherwise all are the user the server runs as.
Result<io::Fd> LauncherLoop::make_user(unsigned slot) const {
  unsigned outer = is_root_ ? uid_base + slot : 0;
  return make_user_namespace(outer, outer, is_root_ ? NestedUsers::mapped : NestedUsers::none);
}

Result<unsigned> LauncherLoop::take_slot() {
  auto slot = slots_.take();
  if (!slot) {
    return fail(ErrorKind::throttled, fmt::format("{} jails run already", jails_.size()));
  }
  auto user = users_.take(*slot);
  if (user) return *slot;
  slots_.give_back(*slot);
  return std::unexpected(user.error());
}

void LauncherLoop::give_back_slot(const Jail& jail) {
  if (jail.host != 0) return nested_slots_.give_back(jail.slot);
  slots_.give_back(jail.slot);
  users_.give_back(jail.slot);
}

}  // namespace mayfly::sandbox
