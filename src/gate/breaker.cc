#include "gate/breaker.h"

#include <charconv>

#include "base/limits.h"
#include "base/log.h"
#include "wire/duration.h"

namespace mayfly::gate {

namespace {

std::optional<int> number_of(std::string_view text, int most) {
  int out = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  bool good = error == std::errc{} && end == text.data() + text.size() && out >= 1 && out <= most;
  return good ? std::optional(out) : std::nullopt;
}

std::optional<std::int64_t> time_of(std::string_view text) {
  auto out = wire::parse_duration_ms(text);
  constexpr auto most = std::chrono::milliseconds(limits::breaker_time_max).count();
  return out && *out >= 1 && *out <= most ? out : std::nullopt;
}

std::unexpected<Error> bad_breaker(std::string_view name, std::string_view text,
                                   std::string_view part) {
  return fail(ErrorKind::invalid,
              fmt::format("{} is '{}', of which '{}' is not understood: it must be like '5/60s' or "
                          "'5/60s,open=30s,probes=1,fallback={}'",
                          name, text, part, name == breaker_variable ? "NAME" : "ARN"));
}

// What comes behind the failures and their window.
bool read_option(std::string_view name, std::string_view value, BreakerSettings& out) {
  if (name == "open") {
    auto open = time_of(value);
    out.open_ms = open.value_or(0);
    return open.has_value();
  }
  if (name == "probes") {
    auto probes = number_of(value, limits::breaker_probes_max);
    out.probes = probes.value_or(0);
    return probes.has_value();
  }
  out.fallback = value;
  return name == "fallback" && !value.empty();
}

}  // namespace

Result<BreakerSettings> read_breaker(std::string_view text, std::string_view name) {
  BreakerSettings out;
  std::string_view rest = text;
  for (bool first = true; first || !rest.empty(); first = false) {
    auto part = rest.substr(0, rest.find_first_of(", "));
    rest.remove_prefix(std::min(rest.size(), part.size() + 1));
    auto mark = part.find(first ? '/' : '=');
    if (mark == part.npos) return bad_breaker(name, text, part);
    auto left = part.substr(0, mark);
    auto right = part.substr(mark + 1);
    bool good = false;
    if (first) {
      auto failures = number_of(left, limits::breaker_failures_max);
      auto window = time_of(right);
      out.failures = failures.value_or(0);
      out.window_ms = window.value_or(0);
      good = failures && window;
    } else {
      good = read_option(left, right, out);
    }
    if (!good) return bad_breaker(name, text, part);
  }
  return out;
}

Result<std::shared_ptr<const BreakerSettings>> breaker_of(
    const std::map<std::string, std::string>& tags) {
  auto found = tags.find(std::string(breaker_tag));
  if (found == tags.end()) return nullptr;
  TRY_ASSIGN(auto settings, read_breaker(found->second, fmt::format("the tag {}", breaker_tag)));
  if (!settings.fallback.empty() && !settings.fallback.starts_with("arn:")) {
    return fail(ErrorKind::invalid,
                fmt::format("the fallback of the tag {} is '{}' and must be the ARN of a queue, "
                            "function, topic or bus",
                            breaker_tag, settings.fallback));
  }
  return std::make_shared<const BreakerSettings>(std::move(settings));
}

Breakers::~Breakers() {
  for (auto& [key, breaker] : breakers_) {
    if (breaker.timer) loop_.cancel_timer(*breaker.timer);
  }
}

std::size_t Breakers::room(std::string_view key) const {
  auto found = breakers_.find(key);
  if (found == breakers_.end()) return SIZE_MAX;
  const auto& breaker = found->second;
  switch (breaker.state) {
    case Breaker::State::closed: return SIZE_MAX;
    case Breaker::State::open: return 0;
    case Breaker::State::half_open:
      return static_cast<std::size_t>(
          std::max(0, breaker.probes - breaker.running - breaker.succeeded));
  }
  return SIZE_MAX;
}

std::int64_t Breakers::opens_ms(std::string_view key) const {
  auto found = breakers_.find(key);
  if (found == breakers_.end() || !found->second.timer) return 0;
  return epoch_millis(found->second.timer->first);
}

Breakers::End Breakers::judge(const Result<>& pushed) {
  if (pushed) return End::success;
  switch (pushed.error().kind) {
    case ErrorKind::throttled:
    case ErrorKind::unavailable:
    case ErrorKind::timeout:
    case ErrorKind::internal: return End::failure;
    default: return End::neither;
  }
}

std::size_t Breakers::open() const {
  return static_cast<std::size_t>(std::ranges::count_if(
      breakers_, [](const auto& one) { return one.second.state != Breaker::State::closed; }));
}

void Breakers::forget(std::string_view prefix) {
  std::vector<std::string> keys;
  for (auto one = breakers_.lower_bound(prefix);
       one != breakers_.end() && one->first.starts_with(prefix); ++one) {
    keys.push_back(one->first);
  }
  for (const auto& key : keys) {
    auto found = breakers_.find(key);
    if (found->second.timer) loop_.cancel_timer(*found->second.timer);
    breakers_.erase(found);
  }
  for (const auto& key : keys) tell(key);
}

Result<> Breakers::begin(const std::string& key, const BreakerSettings& settings) {
  if (!lets(key)) {
    return fail(ErrorKind::throttled,
                fmt::format("the circuit breaker is open: {} failures within {} ms",
                            settings.failures, settings.window_ms),
                std::string(circuit_open));
  }
  auto found = breakers_.find(key);
  if (found != breakers_.end() && found->second.state == Breaker::State::half_open) {
    ++found->second.running;
  }
  return {};
}

void Breakers::end(const std::string& key, const BreakerSettings& settings, End how) {
  auto found = breakers_.find(key);
  if (found == breakers_.end()) {
    if (how != End::failure) return;
    found = breakers_.try_emplace(key).first;
  }
  auto& breaker = found->second;
  std::int64_t now = now_ms();
  switch (breaker.state) {
    // A call that began before: it says nothing new.
    case Breaker::State::open: return;
    case Breaker::State::half_open:
      breaker.running = std::max(0, breaker.running - 1);
      if (how == End::failure) return trip(key, breaker, settings);
      if (how == End::success && ++breaker.succeeded >= breaker.probes) {
        log::info("gate", "the circuit breaker of {} is closed again", key);
        breakers_.erase(found);
      }
      return tell(key);
    case Breaker::State::closed: break;
  }
  if (how == End::failure) breaker.failures.push_back(now);
  while (!breaker.failures.empty() && breaker.failures.front() <= now - settings.window_ms) {
    breaker.failures.pop_front();
  }
  if (breaker.failures.size() >= static_cast<std::size_t>(settings.failures)) {
    trip(key, breaker, settings);
  } else if (breaker.failures.empty()) {
    breakers_.erase(found);
  }
}

void Breakers::trip(const std::string& key, Breaker& breaker, const BreakerSettings& settings) {
  log::warn("gate", "the circuit breaker of {} is open for {} ms", key, settings.open_ms);
  breaker.state = Breaker::State::open;
  breaker.failures.clear();
  breaker.running = breaker.succeeded = 0;
  breaker.probes = settings.probes;
  breaker.timer =
      loop_.add_platform_timer(from_epoch_millis(now_ms() + settings.open_ms), [this, key] {
        auto& due = breakers_.at(key);
        due.timer.reset();
        due.state = Breaker::State::half_open;
        tell(key);
      });
}

}  // namespace mayfly::gate
