#include "telemetry/log_codec.h"

#include <algorithm>

#include "base/packed_line.h"
#include "wire/json.h"

namespace mayfly::telemetry {
namespace {

constexpr std::size_t head_bytes = 8;
constexpr std::size_t several_at = 7;  // the byte that says so
constexpr std::size_t length_bytes = 4;
constexpr std::uint64_t packed_flag = std::uint64_t{1} << 31;  // of a length
// Values of the byte that says what a payload holds; 0 is one message as it is.
constexpr char several = 1;
constexpr char one_packed = 2;

void put_little_endian(char* at, std::uint64_t value, std::size_t bytes) {
  for (std::size_t i = 0; i < bytes; ++i) at[i] = static_cast<char>(value >> (8 * i));
}

std::uint64_t little_endian(std::string_view bytes) {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    value |= std::uint64_t{static_cast<unsigned char>(bytes[i])} << (8 * i);
  }
  return value;
}

std::unexpected<Error> damaged(std::string_view key) {
  return fail(ErrorKind::corrupt, "the log record '" + std::string(key) + "' cannot be read");
}

Result<wire::Json> parse(std::string_view key, std::string_view text) {
  auto value = wire::parse_json(text);
  if (!value || !value->is_object()) return damaged(key);
  return std::move(*value);
}

std::optional<std::int64_t> integer(const wire::Json& object, std::string_view name) {
  const auto* value = object.find(name);
  if (value == nullptr || !value->is_int()) return std::nullopt;
  return *value->as<std::int64_t>();
}

// "ACCOUNT/REGION/rest" → scope; `rest` follows.
bool split_scope(std::string_view text, Scope& scope, std::string_view& rest) {
  auto first = text.find('/');
  if (first == text.npos) return false;
  auto second = text.find('/', first + 1);
  if (second == text.npos) return false;
  scope.account = AccountId(std::string(text.substr(0, first)));
  scope.region = Region(std::string(text.substr(first + 1, second - first - 1)));
  rest = text.substr(second + 1);
  return true;
}

}  // namespace

std::string log_name(const Scope& scope, std::string_view group) {
  return fmt::format("{}/{}/{}", scope.account.str(), scope.region.str(), group);
}

std::string group_key(const LogGroup& group) { return "g/" + log_name(group.scope, group.name); }

std::string stream_key_prefix(const LogGroup& group) {
  return "s/" + log_name(group.scope, group.name) + '\0';
}

std::string stream_key(const LogGroup& group, std::string_view stream) {
  return stream_key_prefix(group).append(stream);
}

std::string encode_group(const LogGroup& group) {
  wire::JsonObject tags;
  for (const auto& [name, value] : group.tags) tags.add(name, value);
  wire::JsonObject out{{"created", group.created_ms}, {"tags", std::move(tags)}};
  if (group.retention_days) out.add("retention", *group.retention_days);
  if (group.log_class != "STANDARD") out.add("class", group.log_class);
  if (group.deletion_protection) out.add("protected", true);
  return wire::Json(std::move(out)).dump();
}

Result<LogGroup> decode_group(std::string_view key, std::string_view value) {
  TRY_ASSIGN(auto object, parse(key, value));
  LogGroup group;
  std::string_view name;
  if (!split_scope(key.substr(2), group.scope, name)) return damaged(key);
  group.name = std::string(name);
  group.created_ms = integer(object, "created").value_or(0);
  if (auto days = integer(object, "retention")) group.retention_days = static_cast<int>(*days);
  group.log_class = std::string(object.string_or("class", "STANDARD"));
  group.deletion_protection = object.bool_or("protected", false);
  const auto* tags = object.find("tags");
  if (tags == nullptr || !tags->is_object()) return damaged(key);
  for (const auto& [tag, text] : *tags->as<wire::JsonObject>()) {
    if (!text.is_string()) return damaged(key);
    group.tags.emplace(tag, text.string_value());
  }
  return group;
}

std::string encode_stream(const LogStream& stream) {
  wire::JsonObject out{{"created", stream.created_ms}};
  if (stream.first_event_ms) out.add("first", *stream.first_event_ms);
  if (stream.last_event_ms) out.add("last", *stream.last_event_ms);
  if (stream.last_ingestion_ms) out.add("ingested", *stream.last_ingestion_ms);
  return wire::Json(std::move(out)).dump();
}

Result<LogStream> decode_stream(std::string_view key, std::string_view value, std::string& log) {
  TRY_ASSIGN(auto object, parse(key, value));
  auto end = key.find('\0');
  if (end == key.npos) return damaged(key);
  log = std::string(key.substr(2, end - 2));
  return LogStream{std::string(key.substr(end + 1)), integer(object, "created").value_or(0),
                   integer(object, "first"), integer(object, "last"), integer(object, "ingested")};
}

namespace {

void set_length(std::string& payload, std::size_t at, std::size_t size, bool packed) {
  put_little_endian(payload.data() + at, size | (packed ? packed_flag : 0), length_bytes);
}

}  // namespace

std::string encode_event(std::int64_t ingested_ms, std::string_view message, bool packed) {
  std::string payload;
  payload.reserve(head_bytes + message.size());
  payload.resize(head_bytes);
  put_little_endian(payload.data(), static_cast<std::uint64_t>(ingested_ms), several_at);
  if (packed) payload[several_at] = one_packed;
  payload += message;
  return payload;
}

void append_event(std::string& payload, std::string_view message, bool packed) {
  if (payload[several_at] != several) {
    bool first_packed = payload[several_at] == one_packed;
    std::size_t size = payload.size() - head_bytes;
    payload.insert(head_bytes, length_bytes, '\0');
    set_length(payload, head_bytes, size, first_packed);
    payload[several_at] = several;
  }
  std::size_t at = payload.size();
  payload.append(length_bytes, '\0');
  set_length(payload, at, message.size(), packed);
  payload += message;
}

std::int64_t ingested_of(std::string_view payload) {
  return static_cast<std::int64_t>(little_endian(payload.substr(0, several_at)));
}

std::vector<LogEvent> decode_events(store::Entry entry) {
  std::vector<LogEvent> out;
  std::int64_t ingested = ingested_of(entry.payload);
  std::uint64_t seq = entry.seq * entry_events_max;
  if (entry.payload.size() < head_bytes || entry.payload[several_at] != several) {
    bool packed = entry.payload.size() >= head_bytes && entry.payload[several_at] == one_packed;
    entry.payload.erase(0, head_bytes);
    if (packed) entry.payload = unpack_line(entry.payload);
    out.push_back(
        {seq, std::move(entry.stream), entry.time_ms, ingested, std::move(entry.payload)});
    return out;
  }
  std::string_view rest = std::string_view(entry.payload).substr(head_bytes);
  while (rest.size() >= length_bytes) {
    auto length = little_endian(rest.substr(0, length_bytes));
    rest.remove_prefix(length_bytes);
    auto size = std::min<std::size_t>(length & ~packed_flag, rest.size());
    std::string_view text = rest.substr(0, size);
    out.push_back({seq++, entry.stream, entry.time_ms, ingested,
                   (length & packed_flag) != 0 ? unpack_line(text) : std::string(text)});
    rest.remove_prefix(size);
  }
  return out;
}

}  // namespace mayfly::telemetry
