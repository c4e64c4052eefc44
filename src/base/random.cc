#include "base/random.h"

#include <sys/random.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>

namespace mayfly {

namespace {
constexpr char hex_digits[] = "0123456789abcdef";

std::string to_hex(std::span<const std::byte> bytes) {
  std::string out(bytes.size() * 2, '0');
  char* at = out.data();
  for (std::byte b : bytes) {
    *at++ = hex_digits[std::to_integer<unsigned>(b) >> 4];
    *at++ = hex_digits[std::to_integer<unsigned>(b) & 15];
  }
  return out;
}
}  // namespace

std::uint64_t Random::next_u64() {
  std::array<std::byte, 8> raw;
  fill(raw);
  std::uint64_t value = 0;
  std::memcpy(&value, raw.data(), raw.size());
  return value;
}

std::string Random::uuid4() {
  std::array<std::byte, 16> raw;
  fill(raw);
  raw[6] = (raw[6] & std::byte{0x0f}) | std::byte{0x40};
  raw[8] = (raw[8] & std::byte{0x3f}) | std::byte{0x80};
  std::string text(36, '-');
  std::size_t at = 0;
  for (std::byte b : raw) {
    if (at == 8 || at == 13 || at == 18 || at == 23) ++at;
    text[at++] = hex_digits[std::to_integer<unsigned>(b) >> 4];
    text[at++] = hex_digits[std::to_integer<unsigned>(b) & 15];
  }
  return text;
}

std::string Random::hex(std::size_t count) {
  std::string raw(count, '\0');
  auto bytes = std::as_writable_bytes(std::span(raw));
  fill(bytes);
  return to_hex(bytes);
}

namespace {

void from_kernel(std::span<std::byte> out) {
  while (!out.empty()) {
    ssize_t got = ::getrandom(out.data(), out.size(), 0);
    if (got < 0 && errno == EINTR) continue;
    // Without entropy there is no safe way on: keys would be guessable.
    if (got <= 0) std::abort();
    out = out.subspan(static_cast<std::size_t>(got));
  }
}

// Bytes drawn ahead, so that a request id does not cost a system call. Each thread has its own;
// nothing forks after the first use (the launcher is forked before).
struct Ahead {
  std::array<std::byte, 1024> bytes;
  std::size_t used = sizeof bytes;
};
thread_local Ahead ahead;

constexpr std::size_t largest_identifier = 16;

}  // namespace

void SystemRandom::fill(std::span<std::byte> out) {
  // Keys and secrets are longer than identifiers and never lie in the buffer.
  if (out.size() > largest_identifier) {
    from_kernel(out);
    return;
  }
  if (ahead.bytes.size() - ahead.used < out.size()) {
    from_kernel(ahead.bytes);
    ahead.used = 0;
  }
  std::memcpy(out.data(), ahead.bytes.data() + ahead.used, out.size());
  std::memset(ahead.bytes.data() + ahead.used, 0, out.size());
  ahead.used += out.size();
}

}  // namespace mayfly
