// Settings of flow control, as tags say them.
#include <charconv>

#include "base/limits.h"
#include "gate/flow.h"
#include "wire/duration.h"

namespace mayfly::gate {

namespace {

constexpr std::string_view prefix = "mayfly:";

std::optional<int> read_number(std::string_view text, int most) {
  int out = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  if (error != std::errc{} || end != text.data() + text.size() || out < 1 || out > most) {
    return std::nullopt;
  }
  return out;
}

std::optional<std::int64_t> read_period(std::string_view text) {
  auto out = wire::parse_duration_ms(text);
  constexpr auto most = std::chrono::milliseconds(limits::flow_period_max).count();
  return out && *out >= 1 && *out <= most ? out : std::nullopt;
}

bool read_concurrency(std::string_view text, FlowSettings& out) {
  auto number = read_number(text, limits::flow_concurrency_max);
  out.concurrency = number.value_or(0);
  return number.has_value();
}

bool read_throttle(std::string_view text, FlowSettings& out) {
  auto slash = text.find('/');
  if (slash == text.npos) return false;
  auto items = read_number(text.substr(0, slash), limits::flow_rate_max);
  auto period = read_period(text.substr(slash + 1));
  out.throttle_items = items.value_or(0);
  out.throttle_ms = period.value_or(0);
  return items && period;
}

bool read_debounce(std::string_view text, FlowSettings& out) {
  auto slash = text.find('/');
  auto quiet = read_period(text.substr(0, slash));
  out.debounce_ms = quiet.value_or(0);
  if (slash == text.npos || !quiet) return quiet.has_value();
  auto most = read_period(text.substr(slash + 1));
  out.debounce_max_ms = most.value_or(0);
  return most && *most >= *quiet;
}

bool read_singleton(std::string_view text, FlowSettings& out) {
  out.singleton = text == "skip";
  return out.singleton;
}

// Names of members with dots between them; "$." may lead.
bool read_path(std::string_view text, std::string& out) {
  if (text.starts_with("$.")) text.remove_prefix(2);
  out = text;
  return !text.empty() && !text.starts_with('.') && !text.ends_with('.') &&
         text.find("..") == text.npos;
}

struct Known {
  std::string_view name;
  std::string_view form;
  bool (*read)(std::string_view, FlowSettings&);
};

constexpr Known known[] = {
    {"key", "members of the record, as in body.customer",
     [](std::string_view text, FlowSettings& out) { return read_path(text, out.key_path); }},
    {"concurrency", "a number from 1 to 1000", read_concurrency},
    {"throttle", "a number of items and a period, as in 10/1m", read_throttle},
    {"debounce", "a time, or two, as in 5s/60s", read_debounce},
    {"singleton", "skip", read_singleton},
    {"priority", "members of the record, as in body.priority",
     [](std::string_view text, FlowSettings& out) { return read_path(text, out.priority_path); }},
};

}  // namespace

Result<std::optional<FlowSettings>> read_flow(const Tags& tags,
                                              std::span<const std::string_view> others) {
  std::optional<FlowSettings> out;
  for (const auto& [name, value] : tags) {
    if (!name.starts_with(prefix) || std::ranges::find(others, name) != others.end()) continue;
    const auto* row =
        std::ranges::find(known, std::string_view(name).substr(prefix.size()), &Known::name);
    if (row == std::end(known)) {
      return fail(ErrorKind::invalid,
                  fmt::format("the tag {} is no setting of flow control", name));
    }
    if (!out) out.emplace();
    if (!row->read(value, *out)) {
      return fail(ErrorKind::invalid,
                  fmt::format("the tag {} is '{}' and must be {}", name, value, row->form));
    }
  }
  if (out && out->singleton && out->debounce_ms > 0) {
    return fail(ErrorKind::invalid,
                "mayfly:singleton and mayfly:debounce exclude each other: one keeps the first "
                "item, the other the last");
  }
  return out;
}

Result<> check_known(const Tags& tags, std::span<const std::string_view> known,
                     std::string_view what) {
  for (const auto& [name, value] : tags) {
    if (!name.starts_with(prefix) || std::ranges::find(known, name) != known.end()) continue;
    return fail(ErrorKind::invalid, fmt::format("the tag {} is no setting of {}", name, what));
  }
  return {};
}

}  // namespace mayfly::gate
