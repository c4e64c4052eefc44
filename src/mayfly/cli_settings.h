// Settings: which server a command speaks to, as whom, and how it prints.
#pragma once

#include <string>

#include "base/result.h"

namespace mayfly::cli {

// What the options of the command line said; empty where they said nothing.
struct Flags {
  std::string endpoint;
  std::string region;
  std::string profile;
  bool json = false;
};

struct Settings {
  std::string endpoint;  // "http://127.0.0.1:4566", without a final slash
  std::string region;
  std::string access_key_id;
  std::string secret_access_key;
  std::string session_token;
  bool json = false;      // print JSON instead of text for people
  bool progress = false;  // standard error is a terminal
};

// Options win over the environment (AWS_ENDPOINT_URL, AWS_REGION, AWS_ACCESS_KEY_ID …), that over
// the profile in ~/.aws, that over the defaults: 127.0.0.1:4566, us-east-1, and for a server on
// this machine the key "test" of `mayfly server --dev`.
Result<Settings> resolve_settings(const Flags& flags);

// "127.0.0.1:4566", "4566", "[::1]:4566", "localhost:4566"; an empty host keeps `host` as it is.
Result<> parse_listen(std::string_view text, std::string& host, std::uint16_t& port);

// One value of an INI file as the AWS tools write it; empty where absent.
std::string ini_value(const std::string& text, const std::string& section, const std::string& key);

}  // namespace mayfly::cli
