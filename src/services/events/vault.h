// Vault: what is secret of connections (API keys, passwords, OAuth secrets, secret parameters) is
// kept sealed, in memory and in the store, and opened for a call. The key is a file of its own in
// the data folder, which its owner alone may read.
//
// Pure; as long as the service.
#pragma once

#include "services/events/records.h"

namespace mayfly {
class Random;
}

namespace mayfly::services::bus {

using Secrets = model::CreateConnectionAuthRequestParameters;

class Vault {
 public:
  static constexpr std::size_t key_bytes = 32;
  Vault(std::string key, Random& random) : key_(std::move(key)), random_(random) {}

  Result<std::string> seal(const Secrets& secrets) const;
  // corrupt: they were sealed under another key. What an earlier version kept in the clear is read.
  Result<Secrets> open(const Connection& connection) const;

 private:
  std::string key_;
  Random& random_;
};

}  // namespace mayfly::services::bus
