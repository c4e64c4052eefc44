#include "wire/event_stream.h"

#include "wire/hash.h"

namespace mayfly::wire {
namespace {

constexpr std::size_t prelude_bytes = 12;
constexpr std::size_t least_bytes = prelude_bytes + 4;
constexpr char text_type = 7;

void put32(std::string& out, std::uint32_t value) {
  for (int shift = 24; shift >= 0; shift -= 8) out += static_cast<char>(value >> shift);
}

std::uint32_t get32(std::string_view bytes) {
  std::uint32_t value = 0;
  for (int i = 0; i < 4; ++i) value = value << 8 | static_cast<unsigned char>(bytes[i]);
  return value;
}

std::unexpected<Error> corrupt(std::string_view what) {
  return fail(ErrorKind::corrupt, fmt::format("the event stream holds {}", what));
}

// Bytes of a value that has no length of its own; nothing for those that have, or no type.
std::optional<std::size_t> fixed_size(char type) {
  constexpr std::array<std::size_t, 10> sizes{0, 0, 1, 2, 4, 8, 0, 0, 8, 16};
  auto index = static_cast<unsigned char>(type);
  if (index >= sizes.size() || index == 6 || index == 7) return std::nullopt;
  return sizes[index];
}

Result<std::vector<EventHeader>> read_headers(std::string_view bytes) {
  std::vector<EventHeader> out;
  auto take = [&bytes](std::size_t count) {
    auto taken = bytes.substr(0, count);
    bytes.remove_prefix(count);
    return taken;
  };
  while (!bytes.empty()) {
    std::size_t name_size = static_cast<unsigned char>(take(1)[0]);
    if (name_size == 0 || bytes.size() < name_size + 1) return corrupt("a header without a name");
    auto name = take(name_size);
    char type = take(1)[0];
    bool sized = type == 6 || type == text_type;
    auto size = fixed_size(type);
    if (!sized && !size) return corrupt("a header of an unknown type");
    if (sized) {
      if (bytes.size() < 2) return corrupt("a header without a value");
      auto length = take(2);
      size = static_cast<unsigned char>(length[0]) * 256u + static_cast<unsigned char>(length[1]);
    }
    if (bytes.size() < *size) return corrupt("a header without a value");
    auto value = take(*size);
    if (type == text_type) out.push_back({name, value});
  }
  return out;
}

}  // namespace

std::string_view EventMessage::header(std::string_view name) const {
  for (const auto& one : headers) {
    if (one.name == name) return one.value;
  }
  return {};
}

void append_event_message(std::string& out, const std::vector<EventHeader>& headers,
                          std::string_view payload) {
  std::size_t headers_size = 0;
  for (const auto& one : headers) headers_size += 4 + one.name.size() + one.value.size();
  std::size_t begin = out.size();
  std::size_t size = least_bytes + headers_size + payload.size();
  out.reserve(begin + size);
  put32(out, static_cast<std::uint32_t>(size));
  put32(out, static_cast<std::uint32_t>(headers_size));
  put32(out, crc32(std::string_view(out).substr(begin)));
  for (const auto& [name, value] : headers) {
    out += static_cast<char>(name.size());
    out += name;
    out += text_type;
    out += static_cast<char>(value.size() >> 8);
    out += static_cast<char>(value.size());
    out += value;
  }
  out += payload;
  put32(out, crc32(std::string_view(out).substr(begin)));
}

void append_event(std::string& out, std::string_view event_type, std::string_view content_type,
                  std::string_view payload) {
  append_event_message(
      out,
      {{":event-type", event_type}, {":content-type", content_type}, {":message-type", "event"}},
      payload);
}

Result<std::optional<ReadEvent>> read_event_message(std::string_view bytes) {
  if (bytes.size() < prelude_bytes) return std::nullopt;
  std::size_t size = get32(bytes);
  std::size_t headers_size = get32(bytes.substr(4));
  if (get32(bytes.substr(8)) != crc32(bytes.substr(0, 8))) return corrupt("a damaged prelude");
  if (size > event_message_max_bytes || headers_size > event_headers_max_bytes ||
      size < least_bytes || headers_size > size - least_bytes) {
    return corrupt("a message of impossible size");
  }
  if (bytes.size() < size) return std::nullopt;
  std::string_view whole = bytes.substr(0, size - 4);
  if (get32(bytes.substr(size - 4)) != crc32(whole)) return corrupt("a damaged message");
  ReadEvent out;
  TRY_ASSIGN(out.message.headers, read_headers(whole.substr(prelude_bytes, headers_size)));
  out.message.payload = whole.substr(prelude_bytes + headers_size);
  out.size = size;
  return out;
}

}  // namespace mayfly::wire
