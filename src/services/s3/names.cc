#include "services/s3/names.h"

#include "services/s3/limits.h"
#include "wire/hash.h"
#include "wire/text.h"

namespace mayfly::services::s3 {

namespace {

constexpr std::string_view arn_prefix = "arn:aws:s3:::";

bool is_letter_or_digit(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }

// Four numbers with points, whatever they are.
bool looks_like_address(std::string_view name) {
  auto parts = wire::split(name, '.');
  if (parts.size() != 4) return false;
  for (auto part : parts) {
    if (part.empty() || part.find_first_not_of("0123456789") != part.npos) return false;
  }
  return true;
}

bool is_bucket_name(std::string_view name) {
  if (name.size() < limits::bucket_name_min || name.size() > limits::bucket_name_max) return false;
  if (!is_letter_or_digit(name.front()) || !is_letter_or_digit(name.back())) return false;
  for (char c : name) {
    if (!is_letter_or_digit(c) && c != '.' && c != '-') return false;
  }
  if (name.find("..") != name.npos || looks_like_address(name)) return false;
  for (std::string_view prefix : {"xn--", "sthree-", "amzn-s3-demo-"}) {
    if (name.starts_with(prefix)) return false;
  }
  for (std::string_view suffix : {"-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3"}) {
    if (name.ends_with(suffix)) return false;
  }
  return true;
}

}  // namespace

ApiResult<void> check_bucket_name(std::string_view name) {
  if (is_bucket_name(name)) return {};
  return refuse("InvalidBucketName", 400, "The specified bucket is not valid.");
}

ApiResult<void> check_key(std::string_view key) {
  if (key.size() > limits::object_key_bytes) {
    return refuse("KeyTooLongError", 400, "Your key is too long");
  }
  // NUL is what ends a key in rows.
  if (!wire::is_utf8(key) || key.find('\0') != key.npos) {
    return refuse("InvalidURI", 400, "Couldn't parse the specified URI.");
  }
  return {};
}

std::string bucket_arn(std::string_view bucket) { return std::string(arn_prefix).append(bucket); }

std::string bucket_of_arn(std::string_view arn) {
  if (!arn.starts_with(arn_prefix)) return {};
  arn.remove_prefix(arn_prefix.size());
  return std::string(arn.substr(0, arn.find('/')));
}

std::string canonical_id(const AccountId& account) {
  return wire::sha256_hex("canonical user " + account.str());
}

std::string url_encoded(std::string_view key) {
  auto encoded = wire::percent_encode(key, wire::Slash::keep);
  std::string out;
  out.reserve(encoded.size());
  for (std::size_t at = 0; at < encoded.size(); ++at) {
    if (encoded.compare(at, 3, "%20") == 0) {
      out.push_back('+');
      at += 2;
    } else {
      out.push_back(encoded[at]);
    }
  }
  return out;
}

}  // namespace mayfly::services::s3
