// Guard: who is calling and may they. The one place that answers both; front/ asks it before any
// handler runs.
//
// Until identity is built whole: a valid credential of the account may do everything in that
// account; a function's role credentials likewise; other accounts and anonymous callers may do what
// a resource policy (of a function) allows. The decision point and its inputs are final: the full
// policy engine replaces the body of authorize() alone.
//
// Threads: loop. Lifetime: as long as the server.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "api/caller.h"
#include "base/clock.h"
#include "base/ids.h"
#include "base/random.h"
#include "base/result.h"
#include "store/store.h"
#include "wire/sigv4.h"

namespace mayfly::guard {

// Whose key a request names, and whether its signature must be compared with what the key makes of
// it.
struct Identity {
  api::Caller caller;
  std::string secret;
  bool check_signature = true;
};

// A request as signed: raw target and headers in the order received.
struct SignedRequest {
  std::string_view method;
  std::string_view path;   // raw, still percent-encoded
  std::string_view query;  // raw, without '?'
  std::vector<std::pair<std::string_view, std::string_view>> headers;
  // Lower-case hex SHA-256 of the body, computed by front/ only when the signature needs it.
  std::string_view body_sha256;
  std::string_view source_ip;
  // What the signature claims and whose key it names, kept by the first call that reads it; the
  // request does not change between credential_scope(), precheck() and authenticate().
  mutable std::optional<wire::sigv4::Claim> claim;
  mutable std::optional<Identity> identity;
};

// What the Authorization header or the query names, before any check (cheap; for routing).
struct CredentialScope {
  std::string region;
  std::string service;
};

struct Settings {
  // Loopback only: account 000000000000 with key "test"; any 12-digit access key is an account of
  // its own; for these keys the signature need not match, as local tools send any secret.
  bool dev = false;
};

struct Credentials {
  std::string access_key_id;
  std::string secret_access_key;
  std::string session_token;
  WallTime expires{};
};

// A statement of a resource policy (Lambda AddPermission), already parsed.
struct PolicyStatement {
  std::string sid;
  bool allow = true;
  std::string principal;  // "*", account id, ARN or service "s3.amazonaws.com"
  std::string action;     // "lambda:InvokeFunction"
  std::string resource;
  std::string source_arn;  // condition, empty: none (ArnLike)
  std::string source_account;
  std::string principal_org_id;
  std::string function_url_auth_type;
  std::string event_source_token;
  bool invoked_via_function_url = false;
};

struct Decision {
  bool allowed = false;
  std::string reason;  // text for AccessDenied
};

// Finds resource policies; implemented by the services' owners, wired in mayfly/.
class ResourcePolicies {
 public:
  virtual ~ResourcePolicies() = default;
  virtual std::vector<PolicyStatement> statements(std::string_view resource_arn) = 0;
  // False: none of them is a denial, whatever the resource.
  virtual bool may_deny(std::string_view /*resource_arn*/) { return true; }
};

struct Question {
  const api::Caller& caller;
  std::string_view action;
  std::string_view resource;  // ARN or "*"
  AccountId resource_account;
  std::string_view source_arn;              // for calls made by a service on behalf of a resource
  std::string_view function_url_auth_type;  // set for function URL calls
};

class Guard {
 public:
  virtual ~Guard() = default;
  // Errors carry kind unauthenticated and the cloud's code in Error::reason
  // (MissingAuthenticationToken, SignatureDoesNotMatch, InvalidClientTokenId, ExpiredToken,
  // IncompleteSignature, RequestExpired …).
  virtual Result<api::Caller> authenticate(const SignedRequest& request) = 0;
  // Everything of authenticate() that needs neither the body nor much time: form, key, token and
  // age. Answers whether authenticate() will need body_sha256 (it does not where the signature
  // leaves the body out, or for keys whose signature need not match).
  virtual Result<bool> precheck(const SignedRequest& request) = 0;
  // For the chunks of a body that continue the signature of the request's head, once
  // authenticate() has let it pass; nothing where a signature need not match.
  virtual std::optional<wire::sigv4::ChunkDecoder::Signing> chunk_signing(
      const SignedRequest& /*request*/) {
    return std::nullopt;
  }
  virtual Decision authorize(const Question& question) = 0;
  virtual void set_resource_policies(ResourcePolicies& policies) = 0;
  // Temporary credentials of a function's role: no storage needed (the secret and the token are
  // derived from the server's key), valid across restarts until they expire: when `lifetime` has
  // passed by the machine's time or by platform time.
  virtual Credentials issue_role_credentials(const AccountId& account, std::string_view role_arn,
                                             std::string_view session_name, Duration lifetime) = 0;
};

// Parses what names the credential; nullopt for an unsigned request.
std::optional<CredentialScope> credential_scope(const SignedRequest& request);

// Loads (or makes, on first start) the server key and the root credential. `first_root` receives
// the root credential when it was made just now, to be shown once.
io::Task<Result<std::unique_ptr<Guard>>> open_guard(store::Store& store, const Clock& clock,
                                                    Random& random, Settings settings,
                                                    std::optional<Credentials>* first_root);

}  // namespace mayfly::guard
