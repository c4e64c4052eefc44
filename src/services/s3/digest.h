// Digests and checksums of payloads, as they pass by in pieces, and checksums of a whole that are
// computed from those of its parts (user guide, "Checking object integrity").
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace mayfly::services::s3 {

enum class Algorithm { crc32, crc32c, crc64nvme, sha1, sha256, sha512, md5 };

// "CRC32C"; of the member: "ChecksumCRC32C".
std::string_view name_of(Algorithm algorithm);
std::optional<Algorithm> algorithm_named(std::string_view name);
std::span<const Algorithm> all_algorithms();
bool is_crc(Algorithm algorithm);

// Owned by one task at a time; any thread.
class Digest {
 public:
  explicit Digest(Algorithm algorithm);
  ~Digest();
  Digest(Digest&&) noexcept;
  Digest& operator=(Digest&&) noexcept;
  void update(std::string_view bytes);
  std::string finish();  // raw bytes, big end first; once
  Algorithm algorithm() const { return algorithm_; }

 private:
  struct Free {
    void operator()(void* context) const;
  };
  Algorithm algorithm_;
  std::uint64_t crc_ = 0;
  std::unique_ptr<void, Free> context_;  // of those that are no CRC
};

std::string digest_of(Algorithm algorithm, std::string_view bytes);

// The CRC of two byte strings in a row, from theirs (raw) and the length of the second.
std::string combine_crc(Algorithm algorithm, std::string_view first, std::string_view second,
                        std::uint64_t second_size);

}  // namespace mayfly::services::s3
