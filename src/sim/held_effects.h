// Effects that keep what is held back, for tests of the services that hold back.
#pragma once

#include "events/effects.h"

namespace mayfly::sim {

struct HeldEffects final : events::Effects {
  Result<> hold(std::vector<events::HeldEffect> effects) override {
    if (full) return fail(ErrorKind::too_large, "too many");
    for (auto& one : effects) held.push_back(std::move(one));
    return {};
  }
  io::Task<Result<>> commit(std::vector<std::string>, std::string, std::string) override {
    co_return Result<>{};
  }
  bool full = false;
  std::vector<events::HeldEffect> held;
};

}  // namespace mayfly::sim
