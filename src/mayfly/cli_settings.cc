#include "mayfly/cli_settings.h"

#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "wire/text.h"

namespace mayfly::cli {
namespace {

std::string env(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

std::string first_of(std::initializer_list<std::string> choices) {
  for (const auto& choice : choices) {
    if (!choice.empty()) return choice;
  }
  return {};
}

std::string read_text(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream out;
  if (in) out << in.rdbuf();
  return std::move(out).str();
}

bool is_local(std::string_view endpoint) {
  for (std::string_view host : {"127.", "localhost", "[::1]"}) {
    if (endpoint.find(fmt::format("://{}", host)) != std::string_view::npos) return true;
  }
  return false;
}

// The two files of the AWS tools, and the profile of them that is asked for.
struct Profile {
  std::string name;
  std::string config;
  std::string credentials;

  std::string value(const std::string& key) const {
    const auto section = name == "default" ? name : "profile " + name;
    return first_of({ini_value(credentials, name, key), ini_value(config, section, key)});
  }
  bool known() const {
    return credentials.find("[" + name + "]") != std::string::npos ||
           config.find("[profile " + name + "]") != std::string::npos || name == "default";
  }
};

Profile load_profile(const Flags& flags) {
  const auto home = env("HOME") + "/.aws/";
  Profile profile;
  profile.name = first_of({flags.profile, env("AWS_PROFILE"), "default"});
  profile.config = read_text(first_of({env("AWS_CONFIG_FILE"), home + "config"}));
  profile.credentials =
      read_text(first_of({env("AWS_SHARED_CREDENTIALS_FILE"), home + "credentials"}));
  return profile;
}

}  // namespace

std::string ini_value(const std::string& text, const std::string& section, const std::string& key) {
  bool inside = false;
  for (auto line : wire::split(text, '\n')) {
    line = wire::trim(line);
    if (line.starts_with('[')) {
      inside = line == "[" + section + "]";
      continue;
    }
    const auto equals = line.find('=');
    if (!inside || line.starts_with('#') || equals == std::string_view::npos) continue;
    if (wire::trim(line.substr(0, equals)) == key) {
      return std::string(wire::trim(line.substr(equals + 1)));
    }
  }
  return {};
}

Result<Settings> resolve_settings(const Flags& flags) {
  const auto profile = load_profile(flags);
  if (!profile.known()) {
    return fail(ErrorKind::invalid,
                fmt::format("there is no profile '{}' in ~/.aws/config", profile.name));
  }
  Settings settings;
  settings.json = flags.json;
  settings.progress = isatty(STDERR_FILENO) == 1;
  settings.endpoint = first_of({flags.endpoint, env("AWS_ENDPOINT_URL"),
                                profile.value("endpoint_url"), "http://127.0.0.1:4566"});
  if (!settings.endpoint.starts_with("http")) settings.endpoint = "http://" + settings.endpoint;
  while (settings.endpoint.ends_with('/')) settings.endpoint.pop_back();
  settings.region = first_of({flags.region, env("AWS_REGION"), env("AWS_DEFAULT_REGION"),
                              profile.value("region"), "us-east-1"});
  // A profile that was asked for by name wins over keys that happen to be in the environment.
  if (flags.profile.empty() && !env("AWS_ACCESS_KEY_ID").empty()) {
    settings.access_key_id = env("AWS_ACCESS_KEY_ID");
    settings.secret_access_key = env("AWS_SECRET_ACCESS_KEY");
    settings.session_token = env("AWS_SESSION_TOKEN");
  } else {
    settings.access_key_id = profile.value("aws_access_key_id");
    settings.secret_access_key = profile.value("aws_secret_access_key");
    settings.session_token = profile.value("aws_session_token");
  }
  if (settings.access_key_id.empty()) {
    if (!is_local(settings.endpoint)) {
      return fail(ErrorKind::unauthenticated,
                  fmt::format("no credentials for {}: set AWS_ACCESS_KEY_ID and "
                              "AWS_SECRET_ACCESS_KEY, or choose a profile with --profile",
                              settings.endpoint));
    }
    settings.access_key_id = "test";
    settings.secret_access_key = "test";
  }
  return settings;
}

Result<> parse_listen(std::string_view text, std::string& host, std::uint16_t& port) {
  const auto colon = text.rfind(':');
  auto name = colon == std::string_view::npos ? std::string_view() : text.substr(0, colon);
  const auto number =
      wire::parse_int(colon == std::string_view::npos ? text : text.substr(colon + 1));
  if (name.starts_with('[') && name.ends_with(']')) name = name.substr(1, name.size() - 2);
  if (!number || *number < 0 || *number > 65'535) {
    return fail(ErrorKind::invalid,
                fmt::format("--listen {}: write ADDRESS:PORT, as 127.0.0.1:4566", text));
  }
  // The one name that needs no resolver.
  if (!name.empty()) host = name == "localhost" ? "127.0.0.1" : std::string(name);
  port = static_cast<std::uint16_t>(*number);
  return {};
}

}  // namespace mayfly::cli
