#include "services/events/vault.h"

#include "base/random.h"
#include "guard/seal.h"

namespace mayfly::services::bus {

Result<std::string> Vault::seal(const Secrets& secrets) const {
  return guard::seal(key_, json_of(secrets.record()).dump(), random_);
}

Result<Secrets> Vault::open(const Connection& connection) const {
  if (connection.sealed.empty()) return Secrets();
  // Sealed texts are base64url.
  std::string text = connection.sealed;
  if (!text.starts_with('{')) {
    auto opened = guard::unseal(key_, text);
    if (!opened) {
      return fail(ErrorKind::corrupt, "the secrets of the connection are sealed under another key");
    }
    text = *std::move(opened);
  }
  TRY_ASSIGN(auto json, wire::parse_json(text));
  TRY_ASSIGN(auto record, record_of(Secrets::shape(), json));
  return Secrets(std::move(record));
}

}  // namespace mayfly::services::bus
