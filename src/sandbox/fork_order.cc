#include "sandbox/fork_order.h"

#include <cstring>

namespace mayfly::sandbox {

std::string encode(GuestOrder order, const std::vector<std::string>& variables) {
  auto kind = static_cast<std::uint32_t>(order);
  std::string block;
  for (const auto& variable : variables) {
    block += variable;
    block.push_back('\0');
  }
  auto size = static_cast<std::uint32_t>(block.size());
  std::string out(sizeof kind + sizeof size, '\0');
  std::memcpy(out.data(), &kind, sizeof kind);
  std::memcpy(out.data() + sizeof kind, &size, sizeof size);
  return out + block;
}

}  // namespace mayfly::sandbox
