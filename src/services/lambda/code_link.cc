// Links to packages: what the cloud does with a presigned S3 URL.
//
//   /_mayfly/code/<sha256>?expires=<epoch seconds>&signature=<HMAC-SHA256 of both, hex>
#include <fmt/ranges.h>
#include <openssl/crypto.h>
#include <openssl/hmac.h>

#include <array>
#include <charconv>

#include "services/lambda/service.h"

namespace mayfly::lambda {

namespace {

constexpr std::string_view code_path = "/_mayfly/code/";
constexpr auto link_lifetime = std::chrono::minutes(10);  // the cloud's GetFunction links, too

std::string_view query_value(std::string_view query, std::string_view name) {
  while (!query.empty()) {
    auto end = query.find('&');
    std::string_view pair = query.substr(0, end);
    query.remove_prefix(end == query.npos ? query.size() : end + 1);
    if (pair.starts_with(name) && pair.substr(name.size()).starts_with('=')) {
      return pair.substr(name.size() + 1);
    }
  }
  return {};
}

RawResponse refused(int status, std::string_view text) {
  return {.status = status,
          .headers = {{"Content-Type", "text/plain"}},
          .body = std::string(text) + "\n"};
}

}  // namespace

std::string Service::link_mac(std::string_view sha256, std::string_view expires) const {
  std::string text = fmt::format("{}\n{}", sha256, expires);
  std::array<unsigned char, 32> mac{};
  unsigned length = 0;
  HMAC(EVP_sha256(), link_key_.data(), static_cast<int>(link_key_.size()),
       reinterpret_cast<const unsigned char*>(text.data()), text.size(), mac.data(), &length);
  return fmt::format("{:02x}", fmt::join(mac, ""));
}

std::string Service::code_link(const Call& call, const functions::PackageRef& package) const {
  auto until = deps_.loop.clock().wall() + link_lifetime;
  std::string expires = std::to_string(epoch_millis(until) / 1000);
  return fmt::format("http://{}{}{}?expires={}&signature={}", call.host, code_path, package.sha256,
                     expires, link_mac(package.sha256, expires));
}

io::Task<RawResponse> Service::serve_code(RawRequest request) {
  if (request.method != "GET" && request.method != "HEAD") co_return refused(405, "GET only");
  std::string_view path = request.path;
  if (!path.starts_with(code_path)) co_return refused(404, "no such package");
  std::string sha256(path.substr(code_path.size()));
  std::string_view expires = query_value(request.query, "expires");
  std::string_view signature = query_value(request.query, "signature");
  std::string expected = link_mac(sha256, expires);
  if (signature.size() != expected.size() ||
      CRYPTO_memcmp(signature.data(), expected.data(), expected.size()) != 0) {
    co_return refused(403, "this link was not made by this server, or before its last start");
  }
  std::int64_t until = 0;
  std::from_chars(expires.data(), expires.data() + expires.size(), until);
  if (epoch_millis(deps_.loop.clock().wall()) / 1000 > until)
    co_return refused(403, "this link expired");
  auto zip = co_await deps_.packages.zip_bytes({.sha256 = sha256});
  if (!zip) co_return refused(404, "no such package");
  co_return RawResponse{.status = 200,
                        .headers = {{"Content-Type", "application/zip"}},
                        .body = request.method == "HEAD" ? std::string() : std::move(*zip)};
}

}  // namespace mayfly::lambda
