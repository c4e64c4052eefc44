#include <algorithm>
#include <charconv>

#include "guest/web.h"
#include "io/http1.h"

namespace mayfly::guest {
namespace {

using Variables = std::map<std::string, std::string, std::less<>>;

constexpr int status_min = 100;
constexpr int status_max = 999;

// Settings that the adapter has and this server does not (yet): they are named in the log.
constexpr std::string_view without_effect[] = {
    "AWS_LWA_ENABLE_COMPRESSION",
    "AWS_LWA_LAMBDA_RUNTIME_API_PROXY",
    "AWS_LWA_SNAPSTART_AFTER_RESTORE_PATH",
    "AWS_LWA_SNAPSTART_BEFORE_CHECKPOINT_PATH",
};

std::string_view trimmed(std::string_view text) {
  while (text.starts_with(' ')) text.remove_prefix(1);
  while (text.ends_with(' ')) text.remove_suffix(1);
  return text;
}

std::optional<int> number(std::string_view text) {
  int out = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return out;
}

bool says_yes(std::string_view text) {
  return io::http1::equals_ignoring_case(text, "true") || text == "1";
}

class Reading {
 public:
  explicit Reading(const Variables& variables) : variables_(variables) {}

  // The first of the names that is set, and not to nothing.
  std::string_view get(std::string_view name, std::string_view older = {}) {
    for (std::string_view one : {name, older}) {
      auto found = variables_.find(one);
      if (found == variables_.end() || found->second.empty()) continue;
      name_ = one;
      return trimmed(found->second);
    }
    return {};
  }
  Result<std::uint16_t> port(std::string_view text, std::uint16_t otherwise) {
    if (text.empty()) return otherwise;
    auto value = number(text);
    if (!value || *value < 1 || *value > 65535) return refuse("is no port");
    return static_cast<std::uint16_t>(*value);
  }
  Result<StatusSet> statuses(std::string_view text) {
    StatusSet out;
    while (!text.empty()) {
      auto comma = text.find(',');
      std::string_view part = trimmed(text.substr(0, comma));
      text.remove_prefix(comma == text.npos ? text.size() : comma + 1);
      auto dash = part.find('-');
      auto first = number(trimmed(part.substr(0, dash)));
      auto last = dash == part.npos ? first : number(trimmed(part.substr(dash + 1)));
      if (!first || !last || *first < status_min || *last > status_max || *first > *last) {
        return refuse("is no list of status codes like 500,502-504");
      }
      out.ranges.emplace_back(*first, *last);
    }
    return out;
  }
  Result<Duration> seconds(std::string_view text, Duration otherwise) {
    if (text.empty()) return otherwise;
    double value = 0;
    auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    bool whole = error == std::errc() && end == text.data() + text.size();
    if (!whole || !(value >= -1e6 && value <= 1e6)) return refuse("is no number of seconds");
    return std::chrono::duration_cast<Duration>(
        std::chrono::duration<double>(std::max(value, 0.0)));
  }
  Result<std::string> path(std::string_view text, std::string_view otherwise) {
    if (text.empty()) text = otherwise;
    return text.starts_with('/') ? std::string(text) : "/" + std::string(text);
  }
  std::unexpected<Error> refuse(std::string_view why) const {
    auto found = variables_.find(name_);
    return fail(ErrorKind::invalid,
                fmt::format("the environment variable {}: {:?} {}", name_,
                            found == variables_.end() ? "" : found->second, why));
  }

 private:
  const Variables& variables_;
  std::string_view name_;
};

Result<> read_readiness(Reading& in, WebServer& out) {
  TRY_ASSIGN(out.ready_port,
             in.port(in.get("AWS_LWA_READINESS_CHECK_PORT", "READINESS_CHECK_PORT"), out.port));
  TRY_ASSIGN(out.ready_path,
             in.path(in.get("AWS_LWA_READINESS_CHECK_PATH", "READINESS_CHECK_PATH"), "/"));
  auto protocol = in.get("AWS_LWA_READINESS_CHECK_PROTOCOL", "READINESS_CHECK_PROTOCOL");
  out.ready_by_tcp = io::http1::equals_ignoring_case(protocol, "tcp");
  if (!out.ready_by_tcp && !protocol.empty() &&
      !io::http1::equals_ignoring_case(protocol, "http")) {
    return in.refuse("is neither http nor tcp");
  }
  if (auto healthy = in.get("AWS_LWA_READINESS_CHECK_HEALTHY_STATUS"); !healthy.empty()) {
    TRY_ASSIGN(out.healthy, in.statuses(healthy));
  } else if (auto least = in.get("AWS_LWA_READINESS_CHECK_MIN_UNHEALTHY_STATUS"); !least.empty()) {
    auto value = number(least);
    if (!value || *value <= status_min || *value > status_max) return in.refuse("is no status");
    out.healthy = {{{status_min, *value - 1}}};
  }
  TRY_ASSIGN(out.ready_time, in.seconds(in.get("AWS_LWA_READINESS_CHECK_TIMEOUT_SECONDS"), {}));
  return {};
}

}  // namespace

bool StatusSet::contains(int status) const {
  return std::ranges::any_of(
      ranges, [&](const auto& range) { return status >= range.first && status <= range.second; });
}

Result<WebServer> read_web_settings(const Variables& variables) {
  Reading in(variables);
  WebServer out;
  TRY_ASSIGN(out.port, in.port(in.get("AWS_LWA_PORT", "PORT"), 8080));
  TRY(read_readiness(in, out));
  out.async_init = says_yes(in.get("AWS_LWA_ASYNC_INIT", "ASYNC_INIT"));
  out.remove_base_path = in.get("AWS_LWA_REMOVE_BASE_PATH", "REMOVE_BASE_PATH");
  TRY_ASSIGN(out.pass_through_path, in.path(in.get("AWS_LWA_PASS_THROUGH_PATH"), "/events"));
  out.authorization_source = in.get("AWS_LWA_AUTHORIZATION_SOURCE");
  TRY_ASSIGN(out.errors, in.statuses(in.get("AWS_LWA_ERROR_STATUS_CODES")));
  auto mode = in.get("AWS_LWA_INVOKE_MODE");
  out.streams = io::http1::equals_ignoring_case(mode, "response_stream");
  if (!out.streams && !mode.empty() && !io::http1::equals_ignoring_case(mode, "buffered")) {
    return in.refuse("is neither buffered nor response_stream");
  }
  TRY_ASSIGN(out.keep_alive,
             in.seconds(in.get("AWS_LWA_POOL_IDLE_TIMEOUT_SECONDS"), out.keep_alive));
  for (std::string_view name : without_effect) {
    auto value = in.get(name);
    if (!value.empty() && !io::http1::equals_ignoring_case(value, "false")) {
      out.ignored.emplace_back(name);
    }
  }
  return out;
}

}  // namespace mayfly::guest
