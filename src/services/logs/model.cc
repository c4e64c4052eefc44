#include "services/logs/model.h"

#include <charconv>

namespace mayfly::services::logs {
namespace {

// CloudWatch Logs API reference, PutRetentionPolicy.
constexpr std::array<int, 22> retentions{1,    3,    5,    7,    14,   30,  60,  90,
                                         120,  150,  180,  365,  400,  545, 731, 1096,
                                         1827, 2192, 2557, 2922, 3288, 3653};
constexpr std::int64_t day_ms = 24LL * 60 * 60 * 1000;
constexpr std::size_t time_digits = 36;
constexpr std::size_t seq_digits = 20;

template <class Integer>
bool parse_digits(std::string_view text, Integer& out) {
  auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), out);
  return failed == std::errc() && end == text.data() + text.size();
}

}  // namespace

std::string group_arn(const Scope& scope, std::string_view group) {
  return fmt::format("arn:aws:logs:{}:{}:log-group:{}", scope.region.str(), scope.account.str(),
                     group);
}

std::optional<std::string> group_of_identifier(const Scope& scope, std::string_view identifier) {
  if (!identifier.starts_with("arn:")) return std::string(identifier);
  std::string head = group_arn(scope, "");
  if (!identifier.starts_with(head)) return std::nullopt;
  identifier.remove_prefix(head.size());
  if (identifier.ends_with(":*")) identifier.remove_suffix(2);
  return std::string(identifier);
}

std::string place_text(const store::LogPlace& place) {
  return fmt::format("{:036}{:020}", place.time_ms, place.seq);
}

std::optional<store::LogPlace> parse_place(std::string_view text) {
  store::LogPlace place;
  if (text.size() != time_digits + seq_digits ||
      !parse_digits(text.substr(0, time_digits), place.time_ms) ||
      !parse_digits(text.substr(time_digits), place.seq)) {
    return std::nullopt;
  }
  return place;
}

bool is_retention(std::int64_t days) {
  return std::ranges::find(retentions, days) != retentions.end();
}

std::string retention_values() { return fmt::format("[{}]", fmt::join(retentions, ", ")); }

BatchVerdict judge_times(const std::vector<std::int64_t>& times, std::int64_t now_ms,
                         std::optional<int> retention_days) {
  using std::chrono::milliseconds;
  const std::int64_t oldest = now_ms - milliseconds(limits::log_event_oldest).count();
  const std::int64_t newest = now_ms + milliseconds(limits::log_event_newest).count();
  const std::int64_t expired = retention_days ? now_ms - *retention_days * day_ms : INT64_MIN;
  auto before = [&times](std::int64_t bound) {
    return static_cast<std::size_t>(std::ranges::lower_bound(times, bound) - times.begin());
  };
  BatchVerdict verdict;
  if (std::size_t end = before(oldest); end > 0) verdict.too_old_end = end;
  if (std::size_t end = before(expired); end > 0 && expired > oldest) verdict.expired_end = end;
  verdict.begin = std::max(verdict.too_old_end.value_or(0), verdict.expired_end.value_or(0));
  verdict.end = before(newest + 1);
  if (verdict.end < times.size()) verdict.too_new_begin = verdict.end;
  return verdict;
}

}  // namespace mayfly::services::logs
