#include "invoke/async_record.h"

#include <charconv>

namespace mayfly::invoke {
namespace {

constexpr char format_plain = 1;
constexpr char format_of_tenant = 2;
constexpr char format_outbound = 3;
constexpr char format_debounced = 4;  // before another
constexpr char format_outbound_with_subject = 5;

template <class T>
void put_integer(std::string& out, T value) {
  for (std::size_t i = 0; i < sizeof(T); ++i) out += static_cast<char>(value >> (8 * i) & 0xff);
}
void put_text(std::string& out, std::string_view text) {
  put_integer(out, static_cast<std::uint32_t>(text.size()));
  out += text;
}

template <class T>
bool take_integer(std::string_view& in, T& value) {
  if (in.size() < sizeof(T)) return false;
  std::uint64_t read = 0;
  for (std::size_t i = 0; i < sizeof(T); ++i) {
    read |= static_cast<std::uint64_t>(static_cast<unsigned char>(in[i])) << (8 * i);
  }
  value = static_cast<T>(read);
  in.remove_prefix(sizeof(T));
  return true;
}
bool take_text(std::string_view& in, std::string& text) {
  std::uint32_t size = 0;
  if (!take_integer(in, size) || in.size() < size) return false;
  text = in.substr(0, size);
  in.remove_prefix(size);
  return true;
}

void put_outbound(std::string& out, const Outbound& outbound) {
  put_text(out, outbound.arn);
  put_text(out, outbound.source_arn);
  put_text(out, outbound.role_arn);
  if (!outbound.subject.empty()) put_text(out, outbound.subject);
  for (const auto& one : outbound.attributes) {
    put_text(out, one.name);
    put_text(out, one.type);
    put_text(out, one.value);
  }
}

bool take_outbound(std::string_view& in, Outbound& outbound, bool with_subject) {
  bool whole = take_text(in, outbound.arn) && take_text(in, outbound.source_arn) &&
               take_text(in, outbound.role_arn) && !outbound.arn.empty();
  if (whole && with_subject) whole = take_text(in, outbound.subject) && !outbound.subject.empty();
  while (whole && !in.empty()) {
    auto& one = outbound.attributes.emplace_back();
    whole = take_text(in, one.name) && take_text(in, one.type) && take_text(in, one.value);
  }
  return whole;
}

char format_of(const AsyncEvent& event) {
  if (event.outbound) {
    return event.outbound->subject.empty() ? format_outbound : format_outbound_with_subject;
  }
  return event.event.tenant_id.empty() ? format_plain : format_of_tenant;
}

}  // namespace

std::string async_key(std::int64_t due_ms, const AsyncEvent& event) {
  return fmt::format("{}{:016x}/{}/{}/{}/{}", async_prefix, due_ms, event.event.id.str(),
                     event.scope.account.str(), event.scope.region.str(), event.name.str());
}

std::string_view async_lane(std::string_view key) {
  auto id = key.find('/', std::min(key.size(), async_prefix.size() + 17));
  return id == key.npos ? std::string_view() : key.substr(id + 1);
}

std::string async_lane(const Scope& scope, const FunctionName& name) {
  return fmt::format("{}/{}/{}", scope.account.str(), scope.region.str(), name.str());
}

Result<std::int64_t> async_due_ms(std::string_view key) {
  std::int64_t due = 0;
  if (key.starts_with(async_prefix) && key.size() > async_prefix.size() + 17) {
    auto digits = key.substr(async_prefix.size(), 16);
    auto [end, error] = std::from_chars(digits.data(), digits.data() + 16, due, 16);
    if (error == std::errc{} && end == digits.data() + 16 && *end == '/') return due;
  }
  return fail(ErrorKind::corrupt, fmt::format("'{}' is not the key of an event", key));
}

std::string encode(const AsyncRecord& record) {
  const auto& [scope, name, qualifier, event, outbound] = record.event;
  std::string out;
  out.reserve(event.payload.size() + 512);
  if (record.debounced_ms != 0) {
    out += format_debounced;
    put_integer(out, record.debounced_ms);
  }
  out += format_of(record.event);
  put_integer(out, record.function_failures);
  put_integer(out, record.platform_failures);
  put_integer(out, record.accepted_ms);
  for (std::string_view text :
       {std::string_view(scope.account.str()), std::string_view(scope.region.str()),
        std::string_view(name.str()), std::string_view(qualifier), std::string_view(event.id.str()),
        std::string_view(event.content_type), std::string_view(event.client_context),
        std::string_view(event.trace_header), std::string_view(event.payload)}) {
    put_text(out, text);
  }
  if (outbound) {
    put_outbound(out, *outbound);
  } else if (!event.tenant_id.empty()) {
    put_text(out, event.tenant_id);
  }
  return out;
}

Result<AsyncRecord> decode_async(std::string_view bytes) {
  AsyncRecord record;
  auto& [scope, name, qualifier, event, outbound] = record.event;
  if (bytes.starts_with(format_debounced)) {
    bytes.remove_prefix(1);
    if (!take_integer(bytes, record.debounced_ms) || record.debounced_ms == 0) {
      return fail(ErrorKind::corrupt, "an asynchronous event has no time of its debounce");
    }
  }
  char format = bytes.empty() ? '\0' : bytes[0];
  bool outwards = format == format_outbound || format == format_outbound_with_subject;
  if (format != format_plain && format != format_of_tenant && !outwards) {
    return fail(ErrorKind::corrupt, "an asynchronous event has an unknown format");
  }
  bytes.remove_prefix(1);
  bool whole = take_integer(bytes, record.function_failures) &&
               take_integer(bytes, record.platform_failures) &&
               take_integer(bytes, record.accepted_ms) && take_text(bytes, scope.account.value) &&
               take_text(bytes, scope.region.value) && take_text(bytes, name.value) &&
               take_text(bytes, qualifier) && take_text(bytes, event.id.value) &&
               take_text(bytes, event.content_type) && take_text(bytes, event.client_context) &&
               take_text(bytes, event.trace_header) && take_text(bytes, event.payload);
  if (whole && format == format_of_tenant) {
    whole = take_text(bytes, event.tenant_id) && !event.tenant_id.empty();
  }
  if (whole && outwards) {
    whole = take_outbound(bytes, outbound.emplace(), format == format_outbound_with_subject);
  }
  if (!whole || !bytes.empty()) {
    return fail(ErrorKind::corrupt, "an asynchronous event is cut short or too long");
  }
  return record;
}

}  // namespace mayfly::invoke
