#include "guard/seal.h"

#include <openssl/evp.h>

#include "wire/text.h"

namespace mayfly::guard {

namespace {

constexpr char version = 1;
constexpr std::size_t nonce_bytes = 12;
constexpr std::size_t tag_bytes = 16;
constexpr std::size_t key_bytes = 32;

struct FreeContext {
  void operator()(EVP_CIPHER_CTX* context) const { EVP_CIPHER_CTX_free(context); }
};
using Context = std::unique_ptr<EVP_CIPHER_CTX, FreeContext>;

const unsigned char* bytes_of(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

unsigned char* bytes_of(std::string& text) { return reinterpret_cast<unsigned char*>(text.data()); }

}  // namespace

Result<std::string> seal(std::string_view key, std::string_view text, Random& random) {
  if (key.size() != key_bytes) return fail(ErrorKind::internal, "the sealing key has a wrong size");
  std::string nonce(nonce_bytes, '\0');
  random.fill(std::as_writable_bytes(std::span(nonce)));
  std::string cipher(text.size(), '\0');
  std::string tag(tag_bytes, '\0');
  Context context(EVP_CIPHER_CTX_new());
  int size = 0;
  bool done = context &&
              EVP_EncryptInit_ex(context.get(), EVP_aes_256_gcm(), nullptr, bytes_of(key),
                                 bytes_of(nonce)) == 1 &&
              EVP_EncryptUpdate(context.get(), nullptr, &size,
                                reinterpret_cast<const unsigned char*>(&version), 1) == 1 &&
              EVP_EncryptUpdate(context.get(), bytes_of(cipher), &size, bytes_of(text),
                                static_cast<int>(text.size())) == 1 &&
              EVP_EncryptFinal_ex(context.get(), bytes_of(cipher) + size, &size) == 1 &&
              EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_GCM_GET_TAG, tag_bytes, tag.data()) == 1;
  if (!done) return fail(ErrorKind::internal, "AES-256-GCM failed");
  return wire::base64url_encode(std::string(1, version) + nonce + cipher + tag);
}

Result<std::string> unseal(std::string_view key, std::string_view sealed) {
  auto raw = wire::base64url_decode(sealed);
  if (!raw || raw->size() < 1 + nonce_bytes + tag_bytes || raw->front() != version ||
      key.size() != key_bytes) {
    return fail(ErrorKind::corrupt, "not a sealed text");
  }
  std::string_view all = *raw;
  std::string_view nonce = all.substr(1, nonce_bytes);
  std::string_view cipher = all.substr(1 + nonce_bytes, all.size() - 1 - nonce_bytes - tag_bytes);
  std::string tag(all.substr(all.size() - tag_bytes));
  std::string text(cipher.size(), '\0');
  Context context(EVP_CIPHER_CTX_new());
  int size = 0;
  bool done =
      context &&
      EVP_DecryptInit_ex(context.get(), EVP_aes_256_gcm(), nullptr, bytes_of(key),
                         bytes_of(nonce)) == 1 &&
      EVP_DecryptUpdate(context.get(), nullptr, &size,
                        reinterpret_cast<const unsigned char*>(&version), 1) == 1 &&
      EVP_DecryptUpdate(context.get(), bytes_of(text), &size, bytes_of(cipher),
                        static_cast<int>(cipher.size())) == 1 &&
      EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_GCM_SET_TAG, tag_bytes, tag.data()) == 1 &&
      EVP_DecryptFinal_ex(context.get(), bytes_of(text) + size, &size) == 1;
  if (!done) return fail(ErrorKind::corrupt, "the sealed text does not verify");
  return text;
}

std::string base32(std::string_view bytes) {
  constexpr std::string_view alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
  std::string out;
  unsigned held = 0;
  int bits = 0;
  for (char c : bytes) {
    held = (held << 8) | static_cast<unsigned char>(c);
    bits += 8;
    while (bits >= 5) {
      bits -= 5;
      out += alphabet[(held >> bits) & 31];
    }
    held &= (1u << bits) - 1;
  }
  if (bits > 0) out += alphabet[(held << (5 - bits)) & 31];
  return out;
}

}  // namespace mayfly::guard
