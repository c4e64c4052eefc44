#include "guard/guard.h"

#include <unordered_map>

#include "base/limits.h"
#include "guard/policy.h"
#include "guard/seal.h"
#include "wire/hash.h"
#include "wire/json.h"
#include "wire/sigv2.h"
#include "wire/sigv4.h"

namespace mayfly::guard {

namespace {

namespace sigv4 = wire::sigv4;
using Kind = api::Caller::Kind;

constexpr std::string_view server_key_name = "guard/server-key";
constexpr std::string_view root_name = "guard/root";
constexpr std::string_view dev_account = "000000000000";
constexpr std::string_view dev_key = "test";
// Signing keys live for a day; a full cache is emptied.
constexpr std::size_t signing_keys = 4096;

std::unexpected<Error> refuse(std::string_view code, std::string text) {
  return fail(ErrorKind::unauthenticated, std::move(text), std::string(code));
}

std::unexpected<Error> invalid_token() {
  return refuse("InvalidClientTokenId", "The security token included in the request is invalid.");
}

std::unexpected<Error> mismatch() {
  return refuse("SignatureDoesNotMatch",
                "The request signature we calculated does not match the signature you provided. "
                "Check your AWS Secret Access Key and signing method. Consult the service "
                "documentation for details.");
}

bool is_account(std::string_view text) {
  return text.size() == 12 && text.find_first_not_of("0123456789") == std::string_view::npos;
}

std::string_view header(const SignedRequest& request, std::string_view lower_name) {
  for (const auto& [name, value] : request.headers) {
    if (name.size() == lower_name.size() && wire::iequals(name, lower_name)) return value;
  }
  return {};
}

// Whether the signature covers the body's hash. Presigned requests to the object store and bodies
// in chunks say so themselves.
bool is_covered(const sigv4::Claim& claim, std::string_view content_sha256) {
  if (content_sha256.empty()) return !claim.presigned || claim.scope.service != "s3";
  return content_sha256 != sigv4::unsigned_payload && !content_sha256.starts_with("STREAMING-");
}

sigv4::Request as_signed(const SignedRequest& request) {
  return {request.method, request.path, request.query, request.headers};
}

// A URL presigned with version 2: a claim without date and region. expires_seconds is a time of the
// epoch then.
std::optional<sigv4::Claim> old_claim(const SignedRequest& request) {
  auto old = wire::sigv2::parse_claim(as_signed(request));
  if (!old) return std::nullopt;
  sigv4::Claim claim;
  claim.presigned = true;
  claim.access_key_id = old->access_key_id;
  claim.scope.service = "s3";
  claim.signature = old->signature;
  claim.security_token = old->security_token;
  claim.expires_seconds = old->expires_at;
  claim.kept = std::move(old->kept);
  return claim;
}

bool is_old(const sigv4::Claim& claim) { return claim.presigned && claim.amz_date.empty(); }

bool old_signature_fits(const SignedRequest& request, const std::string& secret) {
  auto old = wire::sigv2::parse_claim(as_signed(request));
  if (!old) return false;
  std::string text = wire::sigv2::string_to_sign(as_signed(request), *old);
  return wire::equal_in_constant_time(wire::sigv2::signature(secret, text), old->signature);
}

std::string random_key_id(std::string_view prefix, Random& random) {
  std::string bytes(10, '\0');
  random.fill(std::as_writable_bytes(std::span(bytes)));
  return std::string(prefix) + base32(bytes);
}

std::string random_secret(Random& random) {
  std::string bytes(30, '\0');
  random.fill(std::as_writable_bytes(std::span(bytes)));
  return wire::base64_encode(bytes);  // 30 bytes make 40 characters without padding
}

api::Caller root_caller(std::string account, std::string access_key_id) {
  api::Caller caller;
  caller.kind = Kind::root;
  caller.arn.reserve(32);
  caller.arn.append("arn:aws:iam::").append(account).append(":root");
  caller.user_id = account;
  caller.account = AccountId(std::move(account));
  caller.access_key_id = std::move(access_key_id);
  return caller;
}

struct Root {
  std::string account;
  std::string access_key_id;
  std::string secret;
};

class KeyGuard final : public Guard {
 public:
  KeyGuard(const Clock& clock, Random& random, Settings settings, std::string server_key, Root root)
      : clock_(clock),
        random_(random),
        settings_(settings),
        server_key_(std::move(server_key)),
        root_(std::move(root)) {}

  Result<api::Caller> authenticate(const SignedRequest& request) override;
  Result<bool> precheck(const SignedRequest& request) override;
  std::optional<sigv4::ChunkDecoder::Signing> chunk_signing(const SignedRequest& request) override;
  Decision authorize(const Question& question) override;
  void set_resource_policies(ResourcePolicies& policies) override { policies_ = &policies; }
  Credentials issue_role_credentials(const AccountId& account, std::string_view role_arn,
                                     std::string_view session_name, Duration lifetime) override;

 private:
  Result<> identify(const SignedRequest& request);
  Result<Identity> find_key(const sigv4::Claim& claim);
  Result<Identity> open_session(const sigv4::Claim& claim);
  Result<> check_age(const sigv4::Claim& claim);
  Result<> check_signed_headers(const SignedRequest& request, const sigv4::Claim& claim);
  Result<std::string_view> payload_hash(const SignedRequest& request, const sigv4::Claim& claim);
  const std::string& signing_key(const std::string& secret, const sigv4::Scope& scope);
  std::string session_secret(std::string_view access_key_id) const {
    return wire::base64_encode(
        wire::hmac_sha256(server_key_, fmt::format("secret\n{}", access_key_id)).substr(0, 30));
  }

  const Clock& clock_;
  Random& random_;
  Settings settings_;
  std::string server_key_;
  Root root_;
  ResourcePolicies* policies_ = nullptr;
  std::unordered_map<std::string, std::string> signing_keys_;
};

// Fills what the request keeps of its claim and its key.
Result<> KeyGuard::identify(const SignedRequest& request) {
  if (request.identity) return {};
  if (!request.claim) {
    TRY_ASSIGN(request.claim, sigv4::parse_claim(as_signed(request)));
    if (!request.claim) request.claim = old_claim(request);
    if (!request.claim) return refuse("MissingAuthenticationToken", "Missing Authentication Token");
  }
  TRY_ASSIGN(request.identity, find_key(*request.claim));
  return {};
}

Result<Identity> KeyGuard::find_key(const sigv4::Claim& claim) {
  std::string_view key = claim.access_key_id;
  if (settings_.dev && (key == dev_key || is_account(key))) {
    return Identity{
        root_caller(std::string(key == dev_key ? dev_account : key), std::string(key)), {}, false};
  }
  if (!root_.access_key_id.empty() && wire::equal_in_constant_time(key, root_.access_key_id)) {
    return Identity{root_caller(root_.account, std::string(key)), root_.secret, true};
  }
  if (key.starts_with("ASIA")) return open_session(claim);
  return invalid_token();
}

Result<Identity> KeyGuard::open_session(const sigv4::Claim& claim) {
  auto text = unseal(server_key_, claim.security_token);
  if (!text) return invalid_token();
  auto token = wire::parse_json(*text);
  if (!token || token->string_or("k") != claim.access_key_id) return invalid_token();
  // By both times, whichever is further: a clock that was moved ages them as it ages environments,
  // and one that stands still, or is not looked at any more, makes them last no longer.
  if (from_epoch_millis(token->int_or("e", 0)) <= clock_.wall() ||
      from_epoch_millis(token->int_or("p", 0)) <= clock_.platform()) {
    return refuse("ExpiredToken", "The security token included in the request is expired");
  }
  Identity known;
  known.secret = session_secret(claim.access_key_id);
  std::string_view role = token->string_or("r");
  std::string_view session = token->string_or("s");
  api::Caller& caller = known.caller;
  caller.kind = Kind::role_session;
  caller.account = AccountId(std::string(token->string_or("a")));
  caller.arn = fmt::format("arn:aws:sts::{}:assumed-role/{}/{}", caller.account.str(),
                           role.substr(role.rfind('/') + 1), session);
  // The role's unique id: stable for a role, as the cloud's is until the role is made anew.
  caller.user_id = fmt::format(
      "AROA{}:{}",
      base32(wire::hmac_sha256(server_key_, fmt::format("role\n{}", role)).substr(0, 10)), session);
  caller.access_key_id = claim.access_key_id;
  return known;
}

Result<> KeyGuard::check_age(const sigv4::Claim& claim) {
  if (is_old(claim)) {
    if (epoch_millis(clock_.wall()) / 1000 <= claim.expires_seconds) return {};
    return refuse("RequestExpired", "Request has expired");
  }
  auto signed_at = wire::parse_amz_date(claim.amz_date);
  if (!signed_at) {
    return refuse("IncompleteSignature",
                  fmt::format("Date must be in ISO-8601 'basic format'. Got '{}'. See "
                              "http://en.wikipedia.org/wiki/ISO_8601",
                              claim.amz_date));
  }
  std::string_view day = claim.amz_date.substr(0, 8);
  if (claim.scope.date != day) {
    return refuse("SignatureDoesNotMatch",
                  fmt::format("Date in Credential scope does not match YYYYMMDD from ISO-8601 "
                              "version of date from HTTP: '{}' != '{}', from '{}'.",
                              claim.scope.date, day, claim.amz_date));
  }
  std::int64_t now = epoch_millis(clock_.wall());
  std::int64_t window =
      std::chrono::duration_cast<std::chrono::milliseconds>(limits::signature_window).count();
  // S3 has a code of its own for clocks (its list of error responses).
  bool skewed = *signed_at > now + window || now > *signed_at + window;
  if (claim.scope.service == "s3" && !claim.presigned && skewed) {
    return refuse("RequestTimeTooSkewed",
                  "The difference between the request time and the server's time is too large.");
  }
  if (*signed_at > now + window) {
    return refuse("SignatureDoesNotMatch",
                  fmt::format("Signature not yet current: {} is still later than {} ({} + 15 min.)",
                              claim.amz_date, wire::format_amz_date(now + window),
                              wire::format_amz_date(now)));
  }
  std::int64_t allowed = claim.presigned ? claim.expires_seconds * 1000 : window;
  if (now > *signed_at + allowed) {
    if (claim.presigned) return refuse("RequestExpired", "Request has expired");
    return refuse(
        "SignatureDoesNotMatch",
        fmt::format("Signature expired: {} is now earlier than {} ({} - 15 min.)", claim.amz_date,
                    wire::format_amz_date(now - window), wire::format_amz_date(now)));
  }
  return {};
}

Result<> KeyGuard::check_signed_headers(const SignedRequest& request, const sigv4::Claim& claim) {
  bool host = false;
  bool target = header(request, "x-amz-target").empty();
  for (const auto& name : claim.signed_names()) {
    host = host || name == "host";
    target = target || name == "x-amz-target";
  }
  if (!host) {
    return refuse("SignatureDoesNotMatch",
                  "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.");
  }
  // Otherwise a signed request could be sent again as another operation.
  if (!target) {
    return refuse("SignatureDoesNotMatch",
                  "'X-Amz-Target' must be a 'SignedHeader' in the AWS Authorization.");
  }
  return {};
}

Result<bool> KeyGuard::precheck(const SignedRequest& request) {
  TRY(identify(request));
  const sigv4::Claim& claim = *request.claim;
  if (!request.identity->check_signature) {
    // A URL that was given away ends when it says so, whoever signed it.
    if (claim.presigned && claim.scope.service == "s3") TRY(check_age(claim));
    return false;
  }
  TRY(check_age(claim));
  if (is_old(claim)) return false;
  TRY(check_signed_headers(request, claim));
  return is_covered(claim, header(request, "x-amz-content-sha256"));
}

Result<std::string_view> KeyGuard::payload_hash(const SignedRequest& request,
                                                const sigv4::Claim& claim) {
  std::string_view named = header(request, "x-amz-content-sha256");
  if (is_covered(claim, named)) {
    std::string_view body = request.body_sha256.empty() ? sigv4::empty_sha256 : request.body_sha256;
    if (!named.empty() && !wire::iequals(named, body)) {
      if (claim.scope.service != "s3") return mismatch();
      return refuse("XAmzContentSHA256Mismatch",
                    "The provided 'x-amz-content-sha256' header does not match what was computed.");
    }
    return named.empty() ? body : named;
  }
  // Only the object store takes bodies that the signature of the head does not cover.
  if (claim.scope.service != "s3") return mismatch();
  return named.empty() ? sigv4::unsigned_payload : named;
}

const std::string& KeyGuard::signing_key(const std::string& secret, const sigv4::Scope& scope) {
  std::string name = fmt::format("{}\n{}", secret, scope.text());
  if (auto found = signing_keys_.find(name); found != signing_keys_.end()) return found->second;
  if (signing_keys_.size() >= signing_keys) signing_keys_.clear();
  return signing_keys_.emplace(std::move(name), sigv4::signing_key(secret, scope)).first->second;
}

Result<api::Caller> KeyGuard::authenticate(const SignedRequest& request) {
  TRY(identify(request));
  if (!request.identity->check_signature) {
    Result<api::Caller> trusted = std::move(request.identity->caller);
    request.identity.reset();  // nothing is left in it
    trusted->source_ip = request.source_ip;
    return trusted;
  }
  const sigv4::Claim& claim = *request.claim;
  TRY(check_age(claim));
  if (is_old(claim)) {
    if (!old_signature_fits(request, request.identity->secret)) return mismatch();
    api::Caller caller = request.identity->caller;
    caller.source_ip = request.source_ip;
    return caller;
  }
  TRY(check_signed_headers(request, claim));
  TRY_ASSIGN(auto hash, payload_hash(request, claim));
  std::string canonical = sigv4::canonical_request(as_signed(request), claim.signed_names(), hash,
                                                   sigv4::path_rule(claim.scope.service));
  std::string expected =
      sigv4::signature(signing_key(request.identity->secret, claim.scope),
                       sigv4::string_to_sign(claim.amz_date, claim.scope, canonical));
  if (!wire::equal_in_constant_time(expected, claim.signature)) return mismatch();
  api::Caller caller = request.identity->caller;
  caller.source_ip = request.source_ip;
  return caller;
}

std::optional<sigv4::ChunkDecoder::Signing> KeyGuard::chunk_signing(const SignedRequest& request) {
  if (!request.claim || !request.identity || !request.identity->check_signature) return {};
  const sigv4::Claim& claim = *request.claim;
  return sigv4::ChunkDecoder::Signing{signing_key(request.identity->secret, claim.scope),
                                      std::string(claim.amz_date), claim.scope.text(),
                                      std::string(claim.signature)};
}

Decision KeyGuard::authorize(const Question& question) {
  // Where no policy can refuse what the account may do, none is looked at.
  if (may_as_account(question) &&
      (policies_ == nullptr || !policies_->may_deny(question.resource))) {
    return {true, {}};
  }
  std::vector<PolicyStatement> statements;
  if (policies_ != nullptr && question.resource != "*") {
    statements = policies_->statements(question.resource);
  }
  return decide(statements, question);
}

Credentials KeyGuard::issue_role_credentials(const AccountId& account, std::string_view role_arn,
                                             std::string_view session_name, Duration lifetime) {
  Credentials out;
  out.access_key_id = random_key_id("ASIA", random_);
  out.secret_access_key = session_secret(out.access_key_id);
  out.expires = clock_.wall() + lifetime;
  wire::Json token = wire::Json::object({{"k", out.access_key_id},
                                         {"a", account.str()},
                                         {"r", role_arn},
                                         {"s", session_name},
                                         {"e", epoch_millis(out.expires)},
                                         {"p", epoch_millis(clock_.platform() + lifetime)}});
  auto sealed = seal(server_key_, token.dump(), random_);
  // Without a token the credentials are of no use, and the caller's call says so by being refused.
  if (sealed) out.session_token = *std::move(sealed);
  return out;
}

std::string random_account(Random& random) {
  return fmt::format("{}", 100'000'000'000 + random.next_u64() % 900'000'000'000);
}

}  // namespace

std::optional<CredentialScope> credential_scope(const SignedRequest& request) {
  if (auto whole = sigv4::parse_claim(as_signed(request)); whole && *whole) {
    request.claim = *std::move(whole);
    return CredentialScope{request.claim->scope.region, request.claim->scope.service};
  }
  if (auto old = old_claim(request)) {
    request.claim = std::move(old);
    return CredentialScope{{}, "s3"};
  }
  // Not whole: what it names still says which service answers that it is not.
  auto claim = sigv4::peek_claim(as_signed(request));
  if (!claim) return std::nullopt;
  return CredentialScope{std::move(claim->scope.region), std::move(claim->scope.service)};
}

io::Task<Result<std::unique_ptr<Guard>>> open_guard(store::Store& store, const Clock& clock,
                                                    Random& random, Settings settings,
                                                    std::optional<Credentials>* first_root) {
  CO_TRY_ASSIGN(auto key_row, store.get(server_key_name));
  CO_TRY_ASSIGN(auto root_row, store.get(root_name));
  store::Batch batch;
  std::string server_key;
  if (key_row) {
    server_key = key_row->value;
  } else {
    server_key.resize(32);
    random.fill(std::as_writable_bytes(std::span(server_key)));
    batch.expects.push_back({std::string(server_key_name), 0});
    batch.puts.push_back({std::string(server_key_name), server_key});
  }
  if (server_key.size() != 32)
    co_return fail(ErrorKind::corrupt, "the stored server key is damaged");
  Root root;
  if (root_row) {
    CO_TRY_ASSIGN(auto stored, wire::parse_json(root_row->value));
    root = {std::string(stored.string_or("account")), std::string(stored.string_or("accessKeyId")),
            std::string(stored.string_or("secretAccessKey"))};
  } else if (!settings.dev) {
    // Not in dev mode: its keys are known, and a credential that nobody saw would be of no use when
    // the same data is served without --dev later.
    root = {random_account(random), random_key_id("AKIA", random), random_secret(random)};
    wire::Json stored = wire::Json::object({{"account", root.account},
                                            {"accessKeyId", root.access_key_id},
                                            {"secretAccessKey", root.secret}});
    batch.expects.push_back({std::string(root_name), 0});
    batch.puts.push_back({std::string(root_name), stored.dump()});
  }
  if (root.access_key_id.empty() != root.secret.empty() ||
      (root.secret.empty() && (root_row || !settings.dev))) {
    co_return fail(ErrorKind::corrupt, "the stored root credential is damaged");
  }
  if (!batch.puts.empty()) CO_TRY(co_await store.commit(std::move(batch)));
  if (!root_row && !root.secret.empty() && first_root != nullptr) {
    *first_root = Credentials{root.access_key_id, root.secret, {}, {}};
  }
  co_return std::make_unique<KeyGuard>(clock, random, settings, std::move(server_key),
                                       std::move(root));
}

}  // namespace mayfly::guard
