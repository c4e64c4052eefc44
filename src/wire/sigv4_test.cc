#include "wire/sigv4.h"

#include <doctest/doctest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <sstream>

#include "wire/hash.h"
#include "wire/json.h"

using namespace mayfly;
using namespace mayfly::wire;
using namespace mayfly::wire::sigv4;

namespace {

std::filesystem::path vectors() {
  const char* set = std::getenv("MAYFLY_VECTORS");
  return set != nullptr ? std::filesystem::path(set) : std::filesystem::path("../shared/vectors");
}

std::string slurp(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

// The suite's requests hold folded fields and raw blanks, so they are split by hand here.
struct Parsed {
  std::string text;
  std::string_view method, path, query, body;
  std::vector<HeaderView> headers;
  Request request() const { return {method, path, query, headers}; }
};

void split_request(Parsed& out) {
  std::string_view text = out.text;
  std::size_t end = text.find('\n');
  std::string_view line = text.substr(0, end);
  line = line.substr(0, line.rfind(" HTTP/1.1"));
  out.method = line.substr(0, line.find(' '));
  line.remove_prefix(out.method.size() + 1);
  out.path = line.substr(0, line.find('?'));
  out.query = out.path.size() < line.size() ? line.substr(out.path.size() + 1) : "";
  text.remove_prefix(end + 1);
  while (!text.empty() && text.front() != '\n') {
    end = text.find('\n');
    while (end != std::string_view::npos && end + 1 < text.size() &&
           (text[end + 1] == ' ' || text[end + 1] == '\t')) {
      end = text.find('\n', end + 1);
    }
    line = text.substr(0, end);
    out.headers.emplace_back(line.substr(0, line.find(':')), line.substr(line.find(':') + 1));
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  }
  if (!text.empty()) out.body = text.substr(1);
}

void check_form(const std::filesystem::path& dir, const Json& context, const std::string& form) {
  Parsed parsed{slurp(dir / (form + "-signed-request.txt")), {}, {}, {}, {}, {}};
  split_request(parsed);
  auto claim = parse_claim(parsed.request());
  REQUIRE(claim.has_value());
  REQUIRE(claim->has_value());
  const Claim& c = **claim;
  CHECK(c.presigned == (form == "query"));
  CHECK(c.access_key_id == "AKIDEXAMPLE");
  PathRule rule{context.bool_or("normalize", true), true};
  std::string hash(context.bool_or("sign_body", false) ? sha256_hex(parsed.body)
                                                       : std::string(empty_sha256));
  // A client that leaves the token out of the signature adds it to the request afterwards.
  if (context.bool_or("omit_session_token", false) && form == "query") {
    std::size_t at = parsed.query.find("&X-Amz-Security-Token=");
    if (at != std::string_view::npos) {
      std::size_t next = parsed.query.find('&', at + 1);
      static std::string kept;
      kept = std::string(parsed.query.substr(0, at)) +
             (next == std::string_view::npos ? "" : std::string(parsed.query.substr(next)));
      parsed.query = kept;
    }
  }
  std::string canonical = canonical_request(parsed.request(), c.signed_names(), hash, rule);
  CHECK(canonical == slurp(dir / (form + "-canonical-request.txt")));
  std::string to_sign = string_to_sign(c.amz_date, c.scope, canonical);
  CHECK(to_sign == slurp(dir / (form + "-string-to-sign.txt")));
  std::string secret(context.at({"credentials", "secret_access_key"})->string_value());
  std::string signed_with = signature(signing_key(secret, c.scope), to_sign);
  CHECK(signed_with == slurp(dir / (form + "-signature.txt")));
  CHECK(signed_with == c.signature);
}

Claim must_parse(const Request& request) {
  auto claim = parse_claim(request);
  REQUIRE(claim.has_value());
  REQUIRE(claim->has_value());
  return **claim;
}

std::string reason_of(const Request& request) {
  auto claim = parse_claim(request);
  return claim ? "" : claim.error().reason;
}

constexpr std::string_view good =
    "AWS4-HMAC-SHA256 Credential=AK/20150830/us-east-1/lambda/aws4_request, "
    "SignedHeaders=host;x-amz-date, Signature=abc";

}  // namespace

TEST_CASE("the signing suite's cases, header and query form") {
  auto dir = vectors() / "sigv4/tests/aws-signing-test-suite/v4";
  if (!std::filesystem::is_directory(dir)) {
    std::cout << "SKIPPED: sigv4 vectors: no folder " << dir << '\n';
    return;
  }
  int count = 0;
  for (const auto& entry : std::filesystem::directory_iterator(dir)) {
    auto context = parse_json(slurp(entry.path() / "context.json"));
    REQUIRE(context.has_value());
    for (const std::string form : {"header", "query"}) {
      CAPTURE(entry.path().filename().string());
      CAPTURE(form);
      check_form(entry.path(), *context, form);
      ++count;
    }
  }
  std::cout << "sigv4 vectors: " << count << " signatures checked\n";
  CHECK(count > 0);
}

TEST_CASE("what an Authorization header lacks is named") {
  auto with = [](std::string_view text, bool date) {
    std::vector<HeaderView> headers{{"authorization", text}};
    if (date) headers.emplace_back("X-Amz-Date", "20150830T123600Z");
    auto claim = parse_claim({"GET", "/", "", headers});
    return claim ? std::string() : claim.error().message;
  };
  CHECK(with(good, true).empty());
  CHECK(with(good, false).find("'X-Amz-Date' or a 'Date' header") != std::string::npos);
  std::string none = with("AWS4-HMAC-SHA256 x", true);
  CHECK(none.find("'Credential' parameter") != std::string::npos);
  CHECK(none.find("'Signature' parameter") != std::string::npos);
  CHECK(none.find("'SignedHeaders' parameter") != std::string::npos);
  CHECK(with("AWS4-HMAC-SHA256 Credential=AK/1/2, SignedHeaders=host, Signature=a", true)
            .starts_with("Credential must have exactly 5 slash-delimited elements"));
}

TEST_CASE("a request without a SigV4 claim is unsigned") {
  std::vector<HeaderView> basic{{"Authorization", "Basic abc"}};
  auto claim = parse_claim({"GET", "/", "a=1", basic});
  REQUIRE(claim.has_value());
  CHECK(!claim->has_value());
  CHECK(!peek_claim({"GET", "/", "", {}}));
}

TEST_CASE("the cheap look finds key and scope") {
  std::vector<HeaderView> headers{{"Authorization", good}};
  auto peeked = peek_claim({"GET", "/", "", headers});
  REQUIRE(peeked.has_value());
  CHECK(peeked->access_key_id == "AK");
  CHECK(peeked->scope.region == "us-east-1");
  CHECK(peeked->scope.service == "lambda");
  auto presigned = peek_claim(
      {"GET", "/", "X-Amz-Credential=AK%2F20150830%2Feu-west-1%2Fs3%2Faws4_request", {}});
  REQUIRE(presigned.has_value());
  CHECK(presigned->scope.service == "s3");
}

TEST_CASE("presigned queries are checked piece by piece") {
  const std::string whole =
      "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AK%2F20150830%2Fus-east-1%2Fs3%2F"
      "aws4_request&X-Amz-Date=20150830T123600Z&X-Amz-SignedHeaders=host&X-Amz-Signature=ab"
      "&X-Amz-Expires=";
  CHECK(must_parse({"GET", "/", whole + "604800", {}}).expires_seconds == 604'800);
  for (const char* bad : {"604801", "-1", "x", ""}) {
    CAPTURE(bad);
    CHECK(reason_of({"GET", "/", whole + bad, {}}) == "AuthorizationQueryParametersError");
  }
  CHECK(reason_of({"GET", "/", "X-Amz-Signature=ab", {}}) == "AuthorizationQueryParametersError");
  CHECK(reason_of({"GET", "/", "X-Amz-Signature=%zz", {}}) == "AuthorizationQueryParametersError");
}

TEST_CASE("paths: S3 signs them as they are, others normalised and encoded again") {
  CHECK(canonical_path("/a//b/../c%20d", {}) == "/a/c%2520d");
  CHECK(canonical_path("/a//b/../c%20d:", s3_path) == "/a//b/../c%20d%3A");
  CHECK(canonical_path("", {}) == "/");
  CHECK(canonical_path("", s3_path) == "/");
}

TEST_CASE("what is signed here verifies here") {
  std::vector<HeaderView> headers{{"Host", "localhost:4566"}, {"X-Amz-Date", "20260101T000000Z"}};
  Request request{"POST", "/2015-03-31/functions/a%3Ab/invocations", "x=1", headers};
  Scope scope{"20260101", "us-east-1", "lambda"};
  std::string text = authorization(request, "AK", "secret", scope, "20260101T000000Z", "hash");
  headers.emplace_back("Authorization", text);
  request.headers = headers;
  Claim claim = must_parse(request);
  std::string canonical = canonical_request(request, claim.signed_names(), "hash", {});
  CHECK(claim.signature == signature(signing_key("secret", claim.scope),
                                     string_to_sign(claim.amz_date, claim.scope, canonical)));
}

namespace {

// The S3 API reference's own example: 65536 + 1024 bytes of 'a', key AKIAIOSFODNN7EXAMPLE.
ChunkDecoder::Signing example_signing() {
  Scope scope{"20130524", "us-east-1", "s3"};
  return {signing_key("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", scope), "20130524T000000Z",
          scope.text(), "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9"};
}

std::string example_body() {
  return "10000;chunk-signature="
         "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648\r\n" +
         std::string(65536, 'a') +
         "\r\n400;chunk-signature="
         "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497\r\n" +
         std::string(1024, 'a') +
         "\r\n0;chunk-signature="
         "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9\r\n\r\n";
}

}  // namespace

TEST_CASE("signed chunks of the documented example verify at every split") {
  std::string body = example_body();
  for (std::size_t step : {std::size_t{1}, std::size_t{7}, std::size_t{65'000}, body.size()}) {
    ChunkDecoder decoder(Streaming::signed_chunks, example_signing());
    std::string out;
    for (std::size_t at = 0; at < body.size(); at += step) {
      REQUIRE(decoder.feed(std::string_view(body).substr(at, step), out).has_value());
    }
    CHECK(decoder.complete());
    CHECK(out == std::string(66'560, 'a'));
  }
}

TEST_CASE("a changed byte in a signed chunk is refused and not handed over") {
  std::string body = example_body();
  body[200] = 'b';
  ChunkDecoder decoder(Streaming::signed_chunks, example_signing());
  std::string out;
  auto fed = decoder.feed(body, out);
  REQUIRE(!fed.has_value());
  CHECK(fed.error().reason == "SignatureDoesNotMatch");
  CHECK(out.empty());
}

TEST_CASE("unsigned chunks with a trailer") {
  ChunkDecoder decoder(Streaming::unsigned_trailer, {});
  std::string out;
  REQUIRE(decoder.feed("5\r\nhello\r\n1\r\n!\r\n0\r\nx-amz-checksum-crc32: abc=\r\n\r\n", out));
  CHECK(decoder.complete());
  CHECK(out == "hello!");
  REQUIRE(decoder.trailers().size() == 1);
  CHECK(decoder.trailers()[0].second == "abc=");
  CHECK(!decoder.feed("x", out).has_value());
}

TEST_CASE("a signed trailer is verified") {
  auto signing = example_signing();
  auto next = [&](std::string text) {
    signing.seed_signature = signature(signing.key, text);
    return signing.seed_signature;
  };
  auto chunk = [&](std::string_view data) {
    return next(fmt::format("AWS4-HMAC-SHA256-PAYLOAD\n{}\n{}\n{}\n{}\n{}", signing.amz_date,
                            signing.scope, signing.seed_signature, empty_sha256, sha256_hex(data)));
  };
  std::string body = "2;chunk-signature=" + chunk("ab") + "\r\nab\r\n";
  body += "0;chunk-signature=" + chunk("") + "\r\nx-amz-checksum-crc32:sOO8/Q==\r\n";
  std::string of_trailer =
      next(fmt::format("AWS4-HMAC-SHA256-TRAILER\n{}\n{}\n{}\n{}", signing.amz_date, signing.scope,
                       signing.seed_signature, sha256_hex("x-amz-checksum-crc32:sOO8/Q==\n")));
  for (bool forged : {false, true}) {
    std::string whole = body +
                        "x-amz-trailer-signature:" + (forged ? std::string(64, '0') : of_trailer) +
                        "\r\n\r\n";
    ChunkDecoder decoder(Streaming::signed_with_trailer, example_signing());
    std::string out;
    CHECK(decoder.feed(whole, out).has_value() == !forged);
    CHECK(decoder.complete() == !forged);
  }
  ChunkDecoder decoder(Streaming::signed_with_trailer, example_signing());
  std::string out;
  CHECK(!decoder.feed(body + "\r\n", out).has_value());
}

TEST_CASE("malformed chunks are refused") {
  for (const char* bad : {"x\r\n", "-1\r\n", "\r\n", "3\r\nabcd\r\n", "3\nabc",
                          "ffffffffffffffffff\r\n", "0\r\nnocolon\r\n"}) {
    CAPTURE(bad);
    ChunkDecoder decoder(Streaming::unsigned_trailer, {});
    std::string out;
    CHECK(!decoder.feed(bad, out).has_value());
  }
  ChunkDecoder decoder(Streaming::signed_chunks, {});
  std::string out;
  CHECK(!decoder.feed("3\r\nabc\r\n", out).has_value());
}
