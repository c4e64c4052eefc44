#include "services/scheduler/schedule.h"

#include "wire/hash.h"

namespace mayfly::services::scheduler {

using wire::Json;

namespace {

// Members that are there only where they say something.
void put_text(Json& json, std::string_view name, const std::string& value) {
  if (!value.empty()) json[name] = value;
}

std::optional<std::int64_t> number_of(const Json& json, std::string_view name) {
  const auto* value = json.find(name);
  if (value == nullptr || !value->is_int()) return std::nullopt;
  return *value->as<std::int64_t>();
}

std::optional<std::string> text_of(const Json& json, std::string_view name) {
  const auto* value = json.find(name);
  if (value == nullptr || !value->is_string()) return std::nullopt;
  return std::string(value->string_value());
}

// All that a client asked for.
Json wanted(const Schedule& schedule) {
  Json out = Json::object({{"expression", schedule.expression},
                           {"zone", schedule.zone},
                           {"enabled", schedule.enabled},
                           {"target", target_json(schedule.target)}});
  if (schedule.description) out["description"] = *schedule.description;
  if (schedule.start_ms) out["start"] = *schedule.start_ms;
  if (schedule.end_ms) out["end"] = *schedule.end_ms;
  if (schedule.window_minutes > 0) out["window"] = schedule.window_minutes;
  if (schedule.delete_after_completion) out["deleteAfter"] = true;
  put_text(out, "kms", schedule.kms_key_arn);
  return out;
}

}  // namespace

Json target_json(const Target& target) {
  Json out = Json::object({{"arn", target.arn},
                           {"role", target.role_arn},
                           {"age", target.max_age_seconds},
                           {"retries", target.max_retries}});
  if (target.input) out["input"] = *target.input;
  put_text(out, "deadLetter", target.dead_letter_arn);
  put_text(out, "group", target.message_group);
  put_text(out, "detailType", target.detail_type);
  put_text(out, "source", target.source);
  return out;
}

Target target_of(const Json& json) {
  Target out;
  out.arn = json.string_or("arn");
  out.role_arn = json.string_or("role");
  out.max_age_seconds = json.int_or("age", out.max_age_seconds);
  out.max_retries = json.int_or("retries", out.max_retries);
  out.input = text_of(json, "input");
  out.dead_letter_arn = json.string_or("deadLetter");
  out.message_group = json.string_or("group");
  out.detail_type = json.string_or("detailType");
  out.source = json.string_or("source");
  return out;
}

std::string digest_of(const Schedule& schedule) {
  return wire::sha256_hex(wanted(schedule).dump());
}

std::string encode(const Schedule& schedule) {
  Json out = wanted(schedule);
  out["id"] = schedule.id;
  out["created"] = schedule.created_ms;
  out["modified"] = schedule.modified_ms;
  out["first"] = schedule.first_s;
  put_text(out, "token", schedule.token);
  put_text(out, "digest", schedule.digest);
  return out.dump();
}

Result<Schedule> decode_schedule(std::string_view bytes) {
  TRY_ASSIGN(auto json, wire::parse_json(bytes));
  Schedule out;
  out.id = json.string_or("id");
  out.expression = json.string_or("expression");
  out.zone = json.string_or("zone", "UTC");
  out.description = text_of(json, "description");
  out.start_ms = number_of(json, "start");
  out.end_ms = number_of(json, "end");
  out.window_minutes = json.int_or("window", 0);
  out.enabled = json.bool_or("enabled", true);
  out.delete_after_completion = json.bool_or("deleteAfter", false);
  out.kms_key_arn = json.string_or("kms");
  out.created_ms = json.int_or("created", 0);
  out.modified_ms = json.int_or("modified", 0);
  out.first_s = json.int_or("first", 0);
  out.token = json.string_or("token");
  out.digest = json.string_or("digest");
  if (const auto* target = json.find("target")) out.target = target_of(*target);
  if (out.id.empty() || out.expression.empty() || out.target.arn.empty()) {
    return fail(ErrorKind::corrupt, "the record of a schedule is damaged");
  }
  return out;
}

Result<Times> Times::of(const Schedule& schedule, const Zones& zones) {
  TRY_ASSIGN(auto expression, wire::ScheduleExpression::parse(schedule.expression));
  TRY_ASSIGN(auto zone, zones(schedule.zone));
  Times out(std::move(expression), std::move(zone));
  out.first_ = schedule.first_s;
  if (out.expression_.kind() == wire::ScheduleExpression::Kind::at) return out;
  // A start within a second counts from the next one on.
  if (schedule.start_ms) out.start_ = (*schedule.start_ms + 999) / 1000;
  if (schedule.end_ms) out.end_ = *schedule.end_ms / 1000;
  return out;
}

std::optional<std::int64_t> Times::next(std::int64_t after) const {
  if (start_) after = std::max(after, *start_ - 1);
  auto out = expression_.next(after, *zone_, start_.value_or(first_));
  if (!out || (end_ && *out > *end_)) return std::nullopt;
  return out;
}

// Looks back from `until` further and further, so that no more than some hundred times lie between.
std::optional<std::int64_t> Times::last(std::int64_t after, std::int64_t until) const {
  for (std::int64_t back = 60;; back *= 30) {
    std::int64_t from = std::max(after, until - back);
    std::optional<std::int64_t> out;
    for (auto at = next(from); at && *at <= until; at = next(*at)) out = at;
    if (out || from == after) return out;
  }
}

std::optional<std::int64_t> Times::first(std::int64_t now) const {
  // A rate without a start begins at once; what is to come at this second has not passed.
  bool cron = expression_.kind() == wire::ScheduleExpression::Kind::cron;
  return next(cron ? now : now - 1);
}

std::optional<Missed> parse_missed(std::string_view text) {
  if (text == "all") return Missed::all;
  if (text == "once") return Missed::once;
  if (text == "skip") return Missed::skip;
  return std::nullopt;
}

std::optional<Overlap> parse_overlap(std::string_view text) {
  if (text == "allow") return Overlap::allow;
  if (text == "skip") return Overlap::skip;
  return std::nullopt;
}

Turn take_turn(const Times& times, std::int64_t at, std::int64_t due_ms, std::int64_t now_ms,
               std::int64_t max_age_seconds, Missed missed) {
  Turn out;
  std::int64_t now = now_ms / 1000;
  std::int64_t late = std::chrono::seconds(limits::schedule_late).count();
  std::int64_t age = (now_ms - due_ms) / 1000;
  // Whose age is at the limit is still in time.
  std::int64_t oldest = now - max_age_seconds - 1;
  if (age <= late || (missed == Missed::all && age <= max_age_seconds)) {
    out.run = at;
    out.next = times.next(at);
    return out;
  }
  if (missed == Missed::once) {
    out.run = times.last(std::max(at - 1, oldest), now);
    if (!out.run && at > oldest) out.run = at;
    if (out.run != at) out.missed = at;
    out.next = times.next(std::max(at, now));
    return out;
  }
  out.missed = at;
  out.next = times.next(std::max(at, missed == Missed::all ? oldest : now - late - 1));
  return out;
}

}  // namespace mayfly::services::scheduler
