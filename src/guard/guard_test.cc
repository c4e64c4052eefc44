#include "guard/guard.h"

#include <doctest/doctest.h>

#include "base/movable_clock.h"
#include "guard/seal.h"
#include "sim/manual_clock.h"
#include "sim/memory_store.h"
#include "wire/hash.h"
#include "wire/sigv2.h"
#include "wire/sigv4.h"

using namespace mayfly;
using namespace mayfly::guard;
namespace sigv4 = mayfly::wire::sigv4;

namespace {

// Everything a test signs with; the clock stands at 2026-01-01T00:00:00Z.
struct World {
  sim::ManualClock clock;
  MovableClock platform{clock};
  io::Loop loop{platform};
  sim::MemoryStore store{loop};
  SystemRandom random;
  std::optional<Credentials> root;
  std::unique_ptr<Guard> guard;

  explicit World(bool dev = false) { open(dev); }
  void open(bool dev) {
    root.reset();
    auto opened = loop.run_until(open_guard(store, platform, random, {dev}, &root));
    REQUIRE(opened.has_value());
    guard = std::move(*opened);
  }
};

// A request whose parts a test bends before or after it is signed.
struct Signed {
  std::string method = "POST";
  std::string path = "/2015-03-31/functions";
  std::string query;
  std::string date = "20260101T000000Z";
  std::string region = "us-east-1";
  std::string service = "lambda";
  std::string body = "{}";
  std::vector<std::pair<std::string, std::string>> headers{{"Host", "localhost:4566"}};
  std::string body_hash;

  SignedRequest view() {
    body_hash = wire::sha256_hex(body);
    SignedRequest out{method, path, query, {}, body_hash, "127.0.0.1", {}, {}};
    for (const auto& [name, value] : headers) out.headers.emplace_back(name, value);
    return out;
  }
  void sign(const Credentials& with) {
    headers.emplace_back("X-Amz-Date", date);
    if (!with.session_token.empty()) {
      headers.emplace_back("X-Amz-Security-Token", with.session_token);
    }
    auto now = view();
    std::string hash = wire::sha256_hex(body);
    for (const auto& [name, value] : headers) {
      if (wire::iequals(name, "x-amz-content-sha256")) hash = value;
    }
    sigv4::Scope scope{date.substr(0, 8), region, service};
    headers.emplace_back(
        "Authorization",
        sigv4::authorization({now.method, now.path, now.query, now.headers}, with.access_key_id,
                             with.secret_access_key, scope, date, hash));
  }
};

std::string code(Guard& guard, Signed& request) {
  auto caller = guard.authenticate(request.view());
  return caller ? "" : caller.error().reason;
}

std::string code_of_signed(World& world, Signed request, const Credentials& with) {
  request.sign(with);
  return code(*world.guard, request);
}

}  // namespace

TEST_CASE("the root credential is made once, works, and outlives the process") {
  World world;
  REQUIRE(world.root.has_value());
  Credentials root = *world.root;
  CHECK(root.access_key_id.starts_with("AKIA"));
  CHECK(root.access_key_id.size() == 20);
  CHECK(root.secret_access_key.size() == 40);
  Signed request;
  request.sign(root);
  auto caller = world.guard->authenticate(request.view());
  REQUIRE(caller.has_value());
  CHECK(caller->kind == api::Caller::Kind::root);
  CHECK(caller->account.str().size() == 12);
  CHECK(caller->arn == "arn:aws:iam::" + caller->account.str() + ":root");
  CHECK(caller->source_ip == "127.0.0.1");
  world.open(false);
  CHECK(!world.root.has_value());
  CHECK(code(*world.guard, request).empty());
}

TEST_CASE("what is changed after signing is refused") {
  World world;
  Credentials root = *world.root;
  struct Case {
    const char* what;
    std::function<void(Signed&)> bend;
  };
  for (const auto& [what, bend] :
       std::vector<Case>{{"method", [](Signed& r) { r.method = "PUT"; }},
                         {"path", [](Signed& r) { r.path += "x"; }},
                         {"query", [](Signed& r) { r.query = "a=1"; }},
                         {"body", [](Signed& r) { r.body = "{ }"; }},
                         {"host", [](Signed& r) { r.headers[0].second = "other"; }},
                         {"second value", [](Signed& r) { r.headers.emplace_back("host", "b"); }},
                         {"signature", [](Signed& r) { r.headers.back().second.back() ^= 1; }}}) {
    Signed request;
    request.sign(root);
    CHECK(code(*world.guard, request).empty());
    bend(request);
    CAPTURE(what);
    CHECK(code(*world.guard, request) == "SignatureDoesNotMatch");
  }
}

TEST_CASE("age: fifteen minutes either way") {
  World world;
  Credentials root = *world.root;
  struct Case {
    const char* date;
    const char* code;
  };
  for (auto [date, expected] : {Case{"20251231T234500Z", ""}, Case{"20260101T001500Z", ""},
                                Case{"20251231T234459Z", "SignatureDoesNotMatch"},
                                Case{"20260101T001501Z", "SignatureDoesNotMatch"},
                                Case{"yesterday", "IncompleteSignature"}}) {
    Signed request;
    request.date = date;
    CAPTURE(date);
    CHECK(code_of_signed(world, request, root) == expected);
  }
  Signed request;
  request.date = "20251231T230000Z";
  request.sign(root);
  auto refused = world.guard->precheck(request.view());
  REQUIRE(!refused.has_value());
  CHECK(refused.error().message ==
        "Signature expired: 20251231T230000Z is now earlier than 20251231T234500Z "
        "(20260101T000000Z - 15 min.)");
}

TEST_CASE("a scope of another day, a host left unsigned, a target left unsigned") {
  World world;
  Credentials root = *world.root;
  Signed other;
  other.sign(root);
  std::string& text = other.headers.back().second;
  text.replace(text.find("/20260101/"), 10, "/20260102/");
  CHECK(code(*world.guard, other) == "SignatureDoesNotMatch");
  Signed no_host;
  no_host.headers.clear();
  CHECK(code_of_signed(world, no_host, root) == "SignatureDoesNotMatch");
  Signed target;
  target.sign(root);
  target.headers.emplace_back("X-Amz-Target", "Logs_20140328.DeleteLogGroup");
  CHECK(code(*world.guard, target) == "SignatureDoesNotMatch");
}

TEST_CASE("unsigned, unknown and incomplete requests are told apart") {
  World world;
  Signed unsigned_request;
  CHECK(code(*world.guard, unsigned_request) == "MissingAuthenticationToken");
  CHECK(code_of_signed(world, {}, {"AKIAUNKNOWN", "x", {}, {}}) == "InvalidClientTokenId");
  CHECK(code_of_signed(world, {}, {"test", "test", {}, {}}) == "InvalidClientTokenId");
  CHECK(code_of_signed(world, {}, {"123456789012", "test", {}, {}}) == "InvalidClientTokenId");
  Signed incomplete;
  incomplete.headers.emplace_back("Authorization", "AWS4-HMAC-SHA256 Credential=a");
  CHECK(code(*world.guard, incomplete) == "IncompleteSignature");
}

TEST_CASE("dev keys are accounts and their signature need not match") {
  World world(true);
  Signed request;
  request.sign({"test", "any secret", {}, {}});
  request.body = "changed";
  auto caller = world.guard->authenticate(request.view());
  REQUIRE(caller.has_value());
  CHECK(caller->account.str() == "000000000000");
  CHECK(caller->arn == "arn:aws:iam::000000000000:root");
  Signed other;
  other.sign({"123456789012", "x", {}, {}});
  caller = world.guard->authenticate(other.view());
  REQUIRE(caller.has_value());
  CHECK(caller->account.str() == "123456789012");
  CHECK(code_of_signed(world, {}, {"AKIAANY", "x", {}, {}}) == "InvalidClientTokenId");
  Signed unsigned_request;
  CHECK(code(*world.guard, unsigned_request) == "MissingAuthenticationToken");
}

TEST_CASE("the root credential is made by the first start that is not in dev mode") {
  World world(true);
  CHECK(!world.root.has_value());
  world.open(false);
  REQUIRE(world.root.has_value());
  CHECK(code_of_signed(world, {}, *world.root) == "");
}

TEST_CASE("role credentials: bound to their key, until they expire, across restarts") {
  World world;
  Credentials role = world.guard->issue_role_credentials(
      AccountId("123456789012"), "arn:aws:iam::123456789012:role/service/app", "my-function",
      std::chrono::hours(1));
  CHECK(role.access_key_id.starts_with("ASIA"));
  CHECK(role.access_key_id.size() == 20);
  CHECK(role.secret_access_key.size() == 40);
  Signed request;
  request.sign(role);
  world.open(false);
  auto caller = world.guard->authenticate(request.view());
  REQUIRE(caller.has_value());
  CHECK(caller->kind == api::Caller::Kind::role_session);
  CHECK(caller->arn == "arn:aws:sts::123456789012:assumed-role/app/my-function");
  CHECK(caller->account.str() == "123456789012");
  CHECK(caller->user_id.starts_with("AROA"));
  CHECK(caller->user_id.ends_with(":my-function"));

  Credentials other = world.guard->issue_role_credentials(
      AccountId("210987654321"), "arn:aws:iam::210987654321:role/x", "s", std::chrono::hours(1));
  Credentials mixed = role;
  mixed.session_token = other.session_token;
  CHECK(code_of_signed(world, {}, mixed) == "InvalidClientTokenId");
  mixed.session_token.clear();
  CHECK(code_of_signed(world, {}, mixed) == "InvalidClientTokenId");
  mixed = role;
  mixed.secret_access_key.back() ^= 1;
  CHECK(code_of_signed(world, {}, mixed) == "SignatureDoesNotMatch");
  World elsewhere;
  CHECK(code_of_signed(elsewhere, {}, role) == "InvalidClientTokenId");

  world.clock.advance(std::chrono::hours(1));
  Signed late;
  late.date = "20260101T010000Z";
  CHECK(code_of_signed(world, late, role) == "ExpiredToken");
}

TEST_CASE("role credentials expire by platform time, too, and last no longer where that stands") {
  World world;
  auto issue = [&] {
    return world.guard->issue_role_credentials(
        AccountId("123456789012"), "arn:aws:iam::123456789012:role/x", "s", std::chrono::hours(1));
  };
  Credentials first = issue();
  world.platform.advance(std::chrono::minutes(59));
  CHECK(code_of_signed(world, {}, first) == "");
  Credentials second = issue();
  world.platform.advance(std::chrono::minutes(1));
  CHECK(code_of_signed(world, {}, first) == "ExpiredToken");
  CHECK(code_of_signed(world, {}, second) == "");
  world.platform.freeze();
  world.clock.advance(std::chrono::hours(1));
  Signed late;
  late.date = "20260101T010000Z";
  CHECK(code_of_signed(world, late, second) == "ExpiredToken");
}

TEST_CASE("the body's hash is asked for only where it is needed") {
  World world;
  Credentials root = *world.root;
  world.open(true);
  Signed dev;
  dev.sign({"test", "x", {}, {}});
  CHECK(world.guard->precheck(dev.view()) == false);
  Signed plain;
  plain.sign(root);
  CHECK(world.guard->precheck(plain.view()) == true);
  Signed named;
  named.headers.emplace_back("X-Amz-Content-Sha256", wire::sha256_hex("{}"));
  named.sign(root);
  CHECK(world.guard->precheck(named.view()) == true);
  CHECK(code(*world.guard, named).empty());
  named.body = "{ }";
  CHECK(code(*world.guard, named) == "SignatureDoesNotMatch");
  Signed uncovered;
  uncovered.service = "s3";
  uncovered.headers.emplace_back("X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD");
  uncovered.sign(root);
  CHECK(world.guard->precheck(uncovered.view()) == false);
}

TEST_CASE("unsigned payloads are for the object store alone") {
  World world;
  Credentials root = *world.root;
  for (const char* service : {"s3", "lambda"}) {
    for (const char* kind : {"UNSIGNED-PAYLOAD", "STREAMING-UNSIGNED-PAYLOAD-TRAILER"}) {
      Signed request;
      request.service = service;
      request.headers.emplace_back("X-Amz-Content-Sha256", kind);
      CHECK(code_of_signed(world, request, root) ==
            (std::string_view(service) == "s3" ? "" : "SignatureDoesNotMatch"));
    }
  }
}

TEST_CASE("presigned requests last as long as they say") {
  World world;
  Credentials root = *world.root;
  Signed request;
  request.method = "GET";
  request.service = "sts";
  request.body = "";
  request.query = "Action=GetCallerIdentity&X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=" +
                  root.access_key_id +
                  "%2F20260101%2Fus-east-1%2Fsts%2Faws4_request&X-Amz-Date=20260101T000000Z"
                  "&X-Amz-Expires=3600&X-Amz-SignedHeaders=host";
  auto now = request.view();
  std::vector<std::string> names{"host"};
  sigv4::Scope scope{"20260101", "us-east-1", "sts"};
  std::string canonical = sigv4::canonical_request({now.method, now.path, now.query, now.headers},
                                                   names, sigv4::empty_sha256, {});
  request.query += "&X-Amz-Signature=" +
                   sigv4::signature(sigv4::signing_key(root.secret_access_key, scope),
                                    sigv4::string_to_sign("20260101T000000Z", scope, canonical));
  CHECK(code(*world.guard, request).empty());
  world.clock.advance(std::chrono::minutes(60));
  CHECK(code(*world.guard, request).empty());
  world.clock.advance(std::chrono::seconds(1));
  CHECK(code(*world.guard, request) == "RequestExpired");
}

TEST_CASE("URLs presigned with version 2 are the object store's, and last until their time") {
  World world;
  Credentials root = *world.root;
  Signed request;
  request.method = "GET";
  request.path = "/buck/key";
  request.body = "";
  std::string query = "AWSAccessKeyId=" + root.access_key_id + "&Expires=1767229200";
  request.query = query + "&Signature=x";
  auto now = request.view();
  sigv4::Request bare{now.method, now.path, now.query, now.headers};
  auto claim = wire::sigv2::parse_claim(bare);
  REQUIRE(claim.has_value());
  std::string signature =
      wire::sigv2::signature(root.secret_access_key, wire::sigv2::string_to_sign(bare, *claim));
  request.query = query + "&Signature=" + wire::percent_encode(signature, wire::Slash::encode);
  auto scope = credential_scope(request.view());
  REQUIRE(scope.has_value());
  CHECK(scope->service == "s3");
  CHECK(code(*world.guard, request).empty());
  auto needs_hash = world.guard->precheck(request.view());
  REQUIRE(needs_hash.has_value());
  CHECK(!*needs_hash);
  Signed other = request;
  other.path = "/other/key";
  CHECK(code(*world.guard, other) == "SignatureDoesNotMatch");
  world.clock.advance(std::chrono::hours(1));
  CHECK(code(*world.guard, request).empty());
  world.clock.advance(std::chrono::seconds(1));
  CHECK(code(*world.guard, request) == "RequestExpired");
}

TEST_CASE("the object store's presigned URLs end for dev keys too") {
  World world(true);
  Signed request;
  request.method = "GET";
  request.query = "AWSAccessKeyId=test&Signature=any&Expires=1767225600";
  CHECK(world.guard->precheck(request.view()).has_value());
  world.clock.advance(std::chrono::seconds(1));
  auto late = world.guard->precheck(request.view());
  REQUIRE(!late.has_value());
  CHECK(late.error().reason == "RequestExpired");
}

TEST_CASE("a sealed text opens under its key alone, whole") {
  SystemRandom random;
  std::string key(32, 'k');
  auto sealed = seal(key, "hello", random);
  REQUIRE(sealed.has_value());
  CHECK(unseal(key, *sealed) == "hello");
  CHECK(!unseal(std::string(32, 'x'), *sealed).has_value());
  for (std::size_t i = 0; i < sealed->size(); ++i) {
    std::string bent = *sealed;
    bent[i] = bent[i] == 'A' ? 'B' : 'A';
    CHECK(!unseal(key, bent).has_value());
  }
  CHECK(!unseal(key, "").has_value());
  CHECK(base32("foobar") == "MZXW6YTBOI");
}
