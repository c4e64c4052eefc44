// Hashes over bytes. One-shot functions and an incremental SHA-256 for streams.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace mayfly::wire {

// Raw digests are strings of bytes: 32, 64, 20 and 16 long.
std::string sha256(std::string_view bytes);
std::string sha256_hex(std::string_view bytes);
std::string sha512(std::string_view bytes);
std::string sha1(std::string_view bytes);
std::string md5(std::string_view bytes);
std::string hmac_sha256(std::string_view key, std::string_view bytes);
std::string hmac_sha1(std::string_view key, std::string_view bytes);
// As zip and gzip use it; `before` continues an earlier value.
std::uint32_t crc32(std::string_view bytes, std::uint32_t before = 0);
// Takes the same time wherever the texts differ; for signatures and tokens.
bool equal_in_constant_time(std::string_view a, std::string_view b);

// SHA-256 of what update() was given so far, in pieces. Owned by one task at a time.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(Sha256&&) noexcept;
  Sha256& operator=(Sha256&&) noexcept;
  void update(std::string_view bytes);
  std::string finish();  // raw; starts over afterwards
  std::string finish_hex();

 private:
  struct Free {
    void operator()(void* context) const;
  };
  std::unique_ptr<void, Free> context_;
};

}  // namespace mayfly::wire
