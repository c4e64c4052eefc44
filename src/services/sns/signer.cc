#include "services/sns/signer.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>

#include "services/sns/links.h"
#include "wire/hash.h"
#include "wire/text.h"

namespace mayfly::services::sns {

namespace {

constexpr std::string_view row_key = "signer";
constexpr unsigned key_bits = 2048;
constexpr long lifetime_seconds = 10L * 365 * 24 * 3600;

struct BioFree {
  void operator()(BIO* bio) const { BIO_free(bio); }
};
using Bio = std::unique_ptr<BIO, BioFree>;
struct X509Free {
  void operator()(X509* certificate) const { X509_free(certificate); }
};

std::string text_of(BIO* bio) {
  char* bytes = nullptr;
  auto size = BIO_get_mem_data(bio, &bytes);
  return {bytes, static_cast<std::size_t>(size)};
}

struct Made {
  EVP_PKEY* key = nullptr;
  std::string certificate;
  std::string private_pem;
};

// Times of certificates are the machine's.
Made make_key() {
  Made out;
  out.key = EVP_RSA_gen(key_bits);
  if (out.key == nullptr) return out;
  std::unique_ptr<X509, X509Free> certificate(X509_new());
  std::uint64_t serial = 0;
  RAND_bytes(reinterpret_cast<unsigned char*>(&serial), sizeof serial);
  X509_set_version(certificate.get(), 2);
  ASN1_INTEGER_set_uint64(X509_get_serialNumber(certificate.get()), serial >> 1);
  X509_gmtime_adj(X509_getm_notBefore(certificate.get()), -3600);
  X509_gmtime_adj(X509_getm_notAfter(certificate.get()), lifetime_seconds);
  X509_set_pubkey(certificate.get(), out.key);
  auto* name = X509_get_subject_name(certificate.get());
  X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>("sns.mayfly"), -1, -1, 0);
  X509_set_issuer_name(certificate.get(), name);
  X509_sign(certificate.get(), out.key, EVP_sha256());
  Bio public_part(BIO_new(BIO_s_mem()));
  PEM_write_bio_X509(public_part.get(), certificate.get());
  out.certificate = text_of(public_part.get());
  Bio private_part(BIO_new(BIO_s_mem()));
  PEM_write_bio_PrivateKey(private_part.get(), out.key, nullptr, nullptr, 0, nullptr, nullptr);
  out.private_pem = text_of(private_part.get());
  return out;
}

EVP_PKEY* read_key(std::string_view pem) {
  Bio bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  return PEM_read_bio_PrivateKey(bio.get(), nullptr, nullptr, nullptr);
}

std::string signature_of(EVP_PKEY* key, const EVP_MD* digest, std::string_view text) {
  std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(),
                                                                  EVP_MD_CTX_free);
  const auto* bytes = reinterpret_cast<const unsigned char*>(text.data());
  std::size_t size = 0;
  bool good = EVP_DigestSignInit(context.get(), nullptr, digest, nullptr, key) == 1 &&
              EVP_DigestSign(context.get(), nullptr, &size, bytes, text.size()) == 1;
  std::string out(size, '\0');
  good = good && EVP_DigestSign(context.get(), reinterpret_cast<unsigned char*>(out.data()), &size,
                                bytes, text.size()) == 1;
  if (!good) return {};
  out.resize(size);
  return wire::base64_encode(out);
}

}  // namespace

void Signer::Free::operator()(evp_pkey_st* key) const { EVP_PKEY_free(key); }

io::Task<Result<>> Signer::load_or_make() {
  CO_TRY_ASSIGN(auto row, store_.get(row_key));
  if (row) {
    auto split = row->value.find('\0');
    if (split == std::string::npos) co_return fail(ErrorKind::corrupt, "the topics' key is none");
    key_.reset(read_key(std::string_view(row->value).substr(0, split)));
    certificate_ = row->value.substr(split + 1);
  } else {
    auto made = co_await workers_.run(make_key);
    key_.reset(made.key);
    certificate_ = std::move(made.certificate);
    store::Batch batch;
    batch.puts.push_back({std::string(row_key), made.private_pem + '\0' + certificate_});
    if (auto kept = co_await store_.commit(std::move(batch)); !kept) {
      key_.reset();
      co_return std::unexpected(std::move(kept.error()));
    }
  }
  if (!key_) co_return fail(ErrorKind::corrupt, "the topics' key is none");
  co_return Result<>{};
}

io::Task<Result<>> Signer::ready() {
  while (!key_) {
    if (!making_) {
      making_ = true;
      auto done = co_await load_or_make();
      making_ = false;
      waiting_.wake_all();
      co_return done;
    }
    co_await waiting_.park();
  }
  co_return Result<>{};
}

io::Task<Result<std::string>> Signer::sign(int version, std::string text) {
  CO_TRY(co_await ready());
  const auto* digest = version == 2 ? EVP_sha256() : EVP_sha1();
  auto out = co_await workers_.run(
      [key = key_.get(), digest, &text] { return signature_of(key, digest, text); });
  if (out.empty()) co_return fail(ErrorKind::internal, "a message could not be signed");
  co_return out;
}

io::Task<Result<std::string>> Signer::certificate() {
  CO_TRY(co_await ready());
  co_return certificate_;
}

io::Task<Result<std::string>> Signer::certificate_path() {
  CO_TRY(co_await ready());
  co_return fmt::format("{}SimpleNotificationService-{}.pem", own_path,
                        wire::sha256_hex(certificate_).substr(0, 32));
}

}  // namespace mayfly::services::sns
