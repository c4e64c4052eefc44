// Signer: the key that signs what topics send, and its certificate, which the server serves under a
// path of its own. Both are made when first needed and kept in the store.
//
// Loop thread; what takes long runs on the workers. Outlives the Outbox.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/random.h"
#include "io/workers.h"
#include "store/store.h"

struct evp_pkey_st;

namespace mayfly::services::sns {

class Signer {
 public:
  Signer(io::Loop& loop, io::Workers& workers, store::Store& store)
      : workers_(workers), store_(store), waiting_(loop) {}

  // Base64 of an RSA signature (PKCS #1 v1.5) of `text`: by SHA-1 with version 1, by SHA-256 with
  // version 2 (SNS developer guide, "Verifying the signatures of Amazon SNS messages").
  io::Task<Result<std::string>> sign(int version, std::string text);
  // PEM.
  io::Task<Result<std::string>> certificate();
  // "/_mayfly/sns/SimpleNotificationService-….pem": the name changes with the certificate.
  io::Task<Result<std::string>> certificate_path();

 private:
  io::Task<Result<>> ready();
  io::Task<Result<>> load_or_make();

  struct Free {
    void operator()(evp_pkey_st* key) const;
  };
  io::Workers& workers_;
  store::Store& store_;
  std::unique_ptr<evp_pkey_st, Free> key_;
  std::string certificate_;
  bool making_ = false;
  io::ParkingLot waiting_;
};

}  // namespace mayfly::services::sns
