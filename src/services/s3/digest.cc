#include "services/s3/digest.h"

#include <openssl/evp.h>
#include <zlib.h>

#include <array>

namespace mayfly::services::s3 {

namespace {

constexpr std::array algorithms{Algorithm::crc32, Algorithm::crc32c, Algorithm::crc64nvme,
                                Algorithm::sha1,  Algorithm::sha256, Algorithm::sha512,
                                Algorithm::md5};
constexpr std::array<std::string_view, algorithms.size()> names{
    "CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256", "SHA512", "MD5"};

// The polynomials, lowest power in the highest bit ("reflected").
constexpr std::uint64_t poly_crc32 = 0xedb88320;
constexpr std::uint64_t poly_crc32c = 0x82f63b78;
constexpr std::uint64_t poly_crc64nvme = 0x9a6c9329ac4bc9b5;

struct Form {
  std::uint64_t poly;
  int bits;
};
constexpr Form form_of(Algorithm algorithm) {
  if (algorithm == Algorithm::crc64nvme) return {poly_crc64nvme, 64};
  return {algorithm == Algorithm::crc32 ? poly_crc32 : poly_crc32c, 32};
}

// tables[n][b]: what byte b does to the remainder when n bytes follow it.
using Tables = std::array<std::array<std::uint64_t, 256>, 8>;

constexpr Tables make_tables(std::uint64_t poly) {
  Tables out{};
  for (std::uint64_t byte = 0; byte < 256; ++byte) {
    std::uint64_t rest = byte;
    for (int bit = 0; bit < 8; ++bit) rest = (rest >> 1) ^ ((rest & 1) != 0 ? poly : 0);
    out[0][byte] = rest;
  }
  for (std::size_t after = 1; after < out.size(); ++after) {
    for (std::size_t byte = 0; byte < 256; ++byte) {
      std::uint64_t before = out[after - 1][byte];
      out[after][byte] = (before >> 8) ^ out[0][before & 0xff];
    }
  }
  return out;
}

const Tables& tables_of(Algorithm algorithm) {
  static const Tables crc32c = make_tables(poly_crc32c);
  static const Tables crc64 = make_tables(poly_crc64nvme);
  return algorithm == Algorithm::crc32c ? crc32c : crc64;
}

std::uint64_t ones(int bits) { return bits == 64 ? ~std::uint64_t{0} : 0xffffffff; }

// Eight bytes at a time: each by the table of how many follow it.
std::uint64_t update_crc(const Tables& tables, std::uint64_t rest, std::string_view bytes) {
  while (bytes.size() >= 8) {
    std::uint64_t word = 0;
    for (std::size_t i = 0; i < 8; ++i) {
      word |= std::uint64_t{static_cast<unsigned char>(bytes[i])} << (8 * i);
    }
    word ^= rest;
    rest = 0;
    for (std::size_t i = 0; i < 8; ++i) rest ^= tables[7 - i][(word >> (8 * i)) & 0xff];
    bytes.remove_prefix(8);
  }
  for (char byte : bytes) {
    rest = (rest >> 8) ^ tables[0][(rest ^ static_cast<unsigned char>(byte)) & 0xff];
  }
  return rest;
}

std::uint64_t update_zlib(std::uint64_t crc, std::string_view bytes) {
  constexpr std::size_t most = 1 << 30;  // of its length type
  while (!bytes.empty()) {
    auto piece = bytes.substr(0, most);
    crc = ::crc32(static_cast<uLong>(crc), reinterpret_cast<const Bytef*>(piece.data()),
                  static_cast<uInt>(piece.size()));
    bytes.remove_prefix(piece.size());
  }
  return crc;
}

std::string big_endian(std::uint64_t value, int bits) {
  std::string out;
  for (int shift = bits - 8; shift >= 0; shift -= 8) {
    out.push_back(static_cast<char>((value >> shift) & 0xff));
  }
  return out;
}

std::uint64_t number_of(std::string_view big) {
  std::uint64_t out = 0;
  for (char byte : big) out = (out << 8) | static_cast<unsigned char>(byte);
  return out;
}

// a · b modulo the polynomial.
std::uint64_t multiply(Form form, std::uint64_t a, std::uint64_t b) {
  std::uint64_t out = 0;
  for (std::uint64_t bit = std::uint64_t{1} << (form.bits - 1); bit != 0; bit >>= 1) {
    if ((a & bit) != 0) out ^= b;
    b = (b >> 1) ^ ((b & 1) != 0 ? form.poly : 0);
  }
  return out;
}

// x to the power of 8 · bytes.
std::uint64_t shift_by(Form form, std::uint64_t bytes) {
  std::uint64_t out = std::uint64_t{1} << (form.bits - 1);  // 1
  std::uint64_t base = out >> 8;                            // x^8
  for (; bytes != 0; bytes >>= 1) {
    if ((bytes & 1) != 0) out = multiply(form, out, base);
    base = multiply(form, base, base);
  }
  return out;
}

const EVP_MD* evp_of(Algorithm algorithm) {
  switch (algorithm) {
    case Algorithm::sha1: return EVP_sha1();
    case Algorithm::sha256: return EVP_sha256();
    case Algorithm::sha512: return EVP_sha512();
    default: return EVP_md5();
  }
}

}  // namespace

std::string_view name_of(Algorithm algorithm) { return names[static_cast<std::size_t>(algorithm)]; }

std::optional<Algorithm> algorithm_named(std::string_view name) {
  for (auto one : algorithms) {
    if (name_of(one) == name) return one;
  }
  return std::nullopt;
}

std::span<const Algorithm> all_algorithms() { return algorithms; }

bool is_crc(Algorithm algorithm) { return algorithm <= Algorithm::crc64nvme; }

void Digest::Free::operator()(void* context) const {
  EVP_MD_CTX_free(static_cast<EVP_MD_CTX*>(context));
}

Digest::Digest(Algorithm algorithm) : algorithm_(algorithm) {
  if (is_crc(algorithm)) {
    crc_ = algorithm == Algorithm::crc32 ? 0 : ones(form_of(algorithm).bits);
    return;
  }
  context_.reset(EVP_MD_CTX_new());
  EVP_DigestInit_ex(static_cast<EVP_MD_CTX*>(context_.get()), evp_of(algorithm), nullptr);
}
Digest::~Digest() = default;
Digest::Digest(Digest&&) noexcept = default;
Digest& Digest::operator=(Digest&&) noexcept = default;

void Digest::update(std::string_view bytes) {
  if (algorithm_ == Algorithm::crc32) {
    crc_ = update_zlib(crc_, bytes);
  } else if (is_crc(algorithm_)) {
    crc_ = update_crc(tables_of(algorithm_), crc_, bytes);
  } else {
    EVP_DigestUpdate(static_cast<EVP_MD_CTX*>(context_.get()), bytes.data(), bytes.size());
  }
}

std::string Digest::finish() {
  if (is_crc(algorithm_)) {
    int bits = form_of(algorithm_).bits;
    return big_endian(algorithm_ == Algorithm::crc32 ? crc_ : crc_ ^ ones(bits), bits);
  }
  std::string out(EVP_MAX_MD_SIZE, '\0');
  unsigned size = 0;
  EVP_DigestFinal_ex(static_cast<EVP_MD_CTX*>(context_.get()),
                     reinterpret_cast<unsigned char*>(out.data()), &size);
  out.resize(size);
  return out;
}

std::string digest_of(Algorithm algorithm, std::string_view bytes) {
  Digest digest(algorithm);
  digest.update(bytes);
  return digest.finish();
}

std::string combine_crc(Algorithm algorithm, std::string_view first, std::string_view second,
                        std::uint64_t second_size) {
  auto form = form_of(algorithm);
  return big_endian(
      multiply(form, shift_by(form, second_size), number_of(first)) ^ number_of(second), form.bits);
}

}  // namespace mayfly::services::s3
