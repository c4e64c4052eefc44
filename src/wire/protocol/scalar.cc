#include <cmath>
#include <limits>

#include "wire/protocol/parts.h"

namespace mayfly::wire::protocol {

namespace {

// A scalar as the text of a header, label, query, form or XML element.
struct ToText {
  TimestampFormat format;
  std::string operator()(bool v) const { return v ? "true" : "false"; }
  std::string operator()(std::int64_t v) const { return fmt::format("{}", v); }
  std::string operator()(double v) const { return text_of_double(v); }
  std::string operator()(const std::string& v) const { return v; }
  std::string operator()(const Blob& v) const { return base64_encode(v.bytes); }
  std::string operator()(const Timestamp& v) const { return format_timestamp(v, format); }
  std::string operator()(const Document& v) const { return v.json; }
  std::string operator()(const auto&) const { return {}; }
};

}  // namespace

std::unexpected<Error> bad_value(std::string why) {
  return fail(ErrorKind::invalid, std::move(why));
}

std::unexpected<Error> in_member(Error error, std::string_view member) {
  bool joined = error.reason.empty() || error.reason.starts_with('[');
  error.reason = fmt::format("{}{}{}", member, joined ? "" : ".", error.reason);
  return std::unexpected(std::move(error));
}

std::unexpected<Error> in_item(Error error, std::size_t index) {
  bool joined = error.reason.empty() || error.reason.starts_with('[');
  error.reason = fmt::format("[{}]{}{}", index, joined ? "" : ".", error.reason);
  return std::unexpected(std::move(error));
}

Error name_the_member(Error error) {
  if (error.reason.empty()) return error;
  return {error.kind, fmt::format("Member '{}' {}", error.reason, error.message), {}};
}

TimestampFormat timestamp_format(const Member& member, TimestampFormat fallback) {
  if (member.timestamp != TimestampFormat::unset) return member.timestamp;
  if (member.shape->timestamp != TimestampFormat::unset) return member.shape->timestamp;
  return fallback;
}

std::int64_t millis_of(Timestamp time) {
  constexpr double bound = 9e15;  // far outside of what formatting clamps to
  return std::llround(std::clamp(time.epoch_seconds * 1000, -bound, bound));
}

std::string format_timestamp(Timestamp time, TimestampFormat format) {
  std::int64_t millis = millis_of(time);
  switch (format) {
    case TimestampFormat::rfc822: return format_rfc822(millis);
    case TimestampFormat::epoch_seconds: return format_epoch_seconds(millis);
    default: return format_iso8601(millis);
  }
}

Result<Value> parse_timestamp(std::string_view text, TimestampFormat format) {
  auto parse = [&] {
    switch (format) {
      case TimestampFormat::rfc822: return parse_rfc822(text);
      case TimestampFormat::epoch_seconds: return parse_epoch_seconds(text);
      default: return parse_iso8601(text);
    }
  };
  auto millis = parse();
  if (!millis) return bad_value(fmt::format("must be a timestamp: {}", millis.error().message));
  return Value(Timestamp{static_cast<double>(*millis) / 1000});
}

std::string text_of_double(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "Infinity" : "-Infinity";
  return format_double(value);
}

Result<double> double_of_text(std::string_view text) {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  if (text == "NaN") return std::numeric_limits<double>::quiet_NaN();
  if (text == "Infinity") return infinity;
  if (text == "-Infinity") return -infinity;
  auto value = parse_double(text);
  if (!value) return bad_value(fmt::format("must be a number, not '{}'", text));
  return *value;
}

bool fits_kind(std::int64_t value, ShapeKind kind) {
  using Int32 = std::numeric_limits<std::int32_t>;
  return kind != ShapeKind::integer || (value >= Int32::min() && value <= Int32::max());
}

Result<Value> scalar_of_text(const Member& member, std::string_view text,
                             TimestampFormat fallback) {
  switch (member.shape->kind) {
    case ShapeKind::string:
      if (!is_utf8(text)) return bad_value("must be valid UTF-8");
      return Value(std::string(text));
    case ShapeKind::boolean:
      if (text == "true") return Value(true);
      if (text == "false") return Value(false);
      return bad_value(fmt::format("must be true or false, not '{}'", text));
    case ShapeKind::integer:
    case ShapeKind::long_integer: {
      auto value = parse_int(text);
      if (!value || !fits_kind(*value, member.shape->kind)) {
        return bad_value(fmt::format("must be an integer, not '{}'", text));
      }
      return Value(*value);
    }
    case ShapeKind::float_number:
    case ShapeKind::double_number: {
      TRY_ASSIGN(double value, double_of_text(text));
      return Value(value);
    }
    case ShapeKind::timestamp: return parse_timestamp(text, timestamp_format(member, fallback));
    case ShapeKind::blob: {
      auto bytes = base64_decode(text);
      if (!bytes) return bad_value(fmt::format("must be a blob: {}", bytes.error().message));
      return Value(Blob{*std::move(bytes)});
    }
    default: return bad_value("cannot travel as text");
  }
}

std::string text_of_scalar(const Member& member, const Value& value, TimestampFormat fallback) {
  return std::visit(ToText{timestamp_format(member, fallback)}, value.data);
}

int message_member(const Shape& shape) {
  for (std::size_t i = 0; i < shape.members.size(); ++i) {
    if (iequals(shape.members[i].name, "message")) return static_cast<int>(i);
  }
  return -1;
}

}  // namespace mayfly::wire::protocol
