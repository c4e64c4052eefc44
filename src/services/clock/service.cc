#include "services/clock/service.h"

#include <charconv>

#include "base/limits.h"
#include "wire/json.h"
#include "wire/text.h"

namespace mayfly::services::clock {

namespace {

constexpr std::string_view record_key = "clock";

struct Move {
  std::optional<Duration> advance;
  std::optional<bool> freeze;
};

Answer refusal(int status, std::string message) {
  wire::Json out;
  out["message"] = std::move(message);
  return {.status = status, .json = out.dump()};
}

Result<Move> read_move(std::string_view body) {
  auto given = wire::parse_json(body);
  const auto* members = given ? given->as<wire::JsonObject>() : nullptr;
  if (members == nullptr || members->empty()) {
    return fail(ErrorKind::invalid,
                R"(the body must be JSON like {"advance":"60s"} or {"freeze":true})");
  }
  Move out;
  for (const auto& [name, value] : *members) {
    if (name == "advance") {
      if (!value.is_string()) {
        return fail(ErrorKind::invalid, R"("advance" must be a text like "60s")");
      }
      TRY_ASSIGN(out.advance, parse_duration(value.string_value()));
    } else if (name == "freeze") {
      if (!value.is_bool()) return fail(ErrorKind::invalid, R"("freeze" must be true or false)");
      out.freeze = *value.as<bool>();
    } else {
      return fail(ErrorKind::invalid,
                  fmt::format(R"('{}' is not known here; there are "advance" and "freeze")", name));
    }
  }
  return out;
}

}  // namespace

Result<Duration> parse_duration(std::string_view text) {
  std::int64_t number = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  auto unit = text.substr(static_cast<std::size_t>(end - text.data()));
  std::int64_t seconds = unit == "s" ? 1 : unit == "m" ? 60 : unit == "h" ? 3600 : 86'400;
  bool known = unit == "s" || unit == "m" || unit == "h" || unit == "d";
  bool overflow = error == std::errc::result_out_of_range && text[0] != '-';
  if (!known || (number < 1 && !overflow)) {
    return fail(
        ErrorKind::invalid,
        fmt::format("'{}' is not a time to move by: give a whole number above 0 and s, m, h "
                    "or d, for example 90s, 5m, 6h, 7d",
                    text));
  }
  std::int64_t most = std::chrono::seconds(limits::clock_advance_max).count();
  if (overflow || number > most / seconds) {
    return fail(ErrorKind::invalid, fmt::format("'{}' is more than {} days, which is as far as the "
                                                "clock moves in one step",
                                                text, most / 86'400));
  }
  return std::chrono::seconds(number * seconds);
}

Result<> Service::load() {
  TRY_ASSIGN(auto row, store_.get(record_key));
  if (!row) return {};
  auto kept = wire::parse_json(row->value);
  if (!kept) return fail(ErrorKind::corrupt, "the record of the clock cannot be read");
  MovableClock::Setting setting{.offset = Duration(kept->int_or("offsetNs", 0))};
  std::int64_t frozen = kept->int_or("frozenAtNs", 0);
  if (frozen != 0) setting.frozen_at = WallTime(Duration(frozen));
  clock_.set(setting);
  return {};
}

io::Task<Answer> Service::answer(std::string method, std::string body) {
  if (method == "GET" || method == "HEAD") co_return Answer{.json = describe()};
  if (method != "POST") co_return refusal(405, "GET shows the clock, POST moves it");
  auto move = read_move(body);
  if (!move) co_return refusal(400, std::move(move.error().message));
  Duration by = move->advance.value_or(Duration::zero());
  if (by > limits::clock_latest - clock_.platform()) {
    co_return refusal(400, fmt::format("the clock does not move beyond {}",
                                       wire::format_iso8601(epoch_millis(limits::clock_latest))));
  }
  if (move->freeze == true) clock_.freeze();
  clock_.advance(by);
  if (move->freeze == false) clock_.unfreeze();
  if (auto kept = co_await keep(); !kept) {
    co_return refusal(500,
                      "the clock has moved, but a restart will forget it: " + kept.error().message);
  }
  co_return Answer{.json = describe()};
}

std::string Service::describe() const {
  wire::Json out;
  out["now"] = wire::format_iso8601(epoch_millis(clock_.platform()), wire::Fraction::millis);
  out["offset"] = std::chrono::duration<double>(
                      std::chrono::round<std::chrono::milliseconds>(clock_.platform_offset()))
                      .count();
  out["frozen"] = !clock_.platform_runs();
  return out.dump();
}

io::Task<Result<>> Service::keep() {
  auto setting = clock_.setting();
  wire::Json kept;
  kept["offsetNs"] = setting.offset.count();
  if (setting.frozen_at) kept["frozenAtNs"] = setting.frozen_at->time_since_epoch().count();
  store::Batch batch;
  batch.puts.push_back({std::string(record_key), kept.dump()});
  CO_TRY(co_await store_.commit(std::move(batch)));
  co_return Result<>{};
}

}  // namespace mayfly::services::clock
