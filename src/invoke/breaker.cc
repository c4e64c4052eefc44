#include "invoke/breaker.h"

#include <charconv>

#include "base/limits.h"
#include "base/log.h"
#include "wire/duration.h"

namespace mayfly::invoke {

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

std::unexpected<Error> bad_breaker(std::string_view text, std::string_view part) {
  return fail(ErrorKind::invalid,
              fmt::format("{} is '{}', of which '{}' is not understood: it must be like '5/60s' or "
                          "'5/60s,open=30s,probes=1,fallback=NAME'",
                          breaker_variable, text, part));
}

}  // namespace

Result<BreakerSettings> read_breaker(std::string_view text) {
  BreakerSettings out;
  std::string_view rest = text;
  for (bool first = true; first || !rest.empty(); first = false) {
    auto part = rest.substr(0, rest.find(','));
    rest.remove_prefix(std::min(rest.size(), part.size() + 1));
    auto mark = part.find(first ? '/' : '=');
    if (mark == part.npos) return bad_breaker(text, part);
    auto name = part.substr(0, mark);
    auto value = part.substr(mark + 1);
    bool good = false;
    if (first) {
      auto failures = number_of(name, limits::breaker_failures_max);
      auto window = time_of(value);
      out.failures = failures.value_or(0);
      out.window_ms = window.value_or(0);
      good = failures && window;
    } else if (name == "open") {
      auto open = time_of(value);
      out.open_ms = open.value_or(0);
      good = open.has_value();
    } else if (name == "probes") {
      auto probes = number_of(value, limits::breaker_probes_max);
      out.probes = probes.value_or(0);
      good = probes.has_value();
    } else if (name == "fallback") {
      out.fallback = value;
      good = !value.empty();
    }
    if (!good) return bad_breaker(text, part);
  }
  return out;
}

Breakers::~Breakers() {
  for (auto& [key, breaker] : breakers_) {
    if (breaker.timer) loop_.cancel_timer(*breaker.timer);
  }
}

bool Breakers::lets(std::string_view key) const {
  auto found = breakers_.find(key);
  if (found == breakers_.end()) return true;
  const auto& breaker = found->second;
  switch (breaker.state) {
    case Breaker::State::closed: return true;
    case Breaker::State::open: return false;
    case Breaker::State::half_open: return breaker.running + breaker.succeeded < breaker.probes;
  }
  return true;
}

std::size_t Breakers::open() const {
  return static_cast<std::size_t>(std::ranges::count_if(
      breakers_, [](const auto& one) { return one.second.state != Breaker::State::closed; }));
}

Result<> Breakers::begin(const std::string& key, const BreakerSettings& settings) {
  if (!lets(key)) {
    return fail(ErrorKind::throttled,
                fmt::format("the circuit breaker of the function is open: it failed {} times "
                            "within {} ms",
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
        log::info("invoke", "the circuit breaker of {} is closed again", key);
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
  log::warn("invoke", "the circuit breaker of {} is open for {} ms", key, settings.open_ms);
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

}  // namespace mayfly::invoke
