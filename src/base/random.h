// Randomness as a constructor argument, so that a test can replay one seed.
#pragma once

#include <cstdint>
#include <span>
#include <string>

namespace mayfly {

// Implementations are thread-safe.
class Random {
 public:
  virtual ~Random() = default;
  virtual void fill(std::span<std::byte> out) = 0;
  std::uint64_t next_u64();
  // RFC 9562 version 4, lower case: the form of request ids and revision ids.
  std::string uuid4();
  // `count` random bytes as lower-case hex (2 × count characters).
  std::string hex(std::size_t count);
};

// getrandom(2): fit for keys and secrets.
class SystemRandom final : public Random {
 public:
  void fill(std::span<std::byte> out) override;
};

}  // namespace mayfly
