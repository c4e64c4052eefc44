// Event streams: the messages of application/vnd.amazon.eventstream, bytes ↔ values.
//
//   message  offset size  (big-endian)
//            0      4     length of the whole message
//            4      4     length of the headers
//            8      4     CRC-32 of the eight bytes before
//            12     …     headers, payload (the rest)
//            end-4  4     CRC-32 of everything before
//
//   header   offset size
//            0      1     length of the name, then the name
//            …      1     type: 0 true, 1 false, 2 byte, 3 int16, 4 int32, 5 int64, 6 bytes,
//                         7 text, 8 timestamp, 9 UUID
//            …      …     value: of bytes and text two bytes of length first; the numbers 1, 2, 4
//                         and 8 bytes, a timestamp 8, a UUID 16
//
// Written for the answers of front/ and services/; read by the command line. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace mayfly::wire {

struct EventHeader {
  std::string_view name;
  std::string_view value;
};

struct EventMessage {
  std::vector<EventHeader> headers;  // those with text alone: what the services' streams send
  std::string_view payload;

  std::string_view header(std::string_view name) const;  // or empty
};

// What a reader accepts: the limits of the format.
inline constexpr std::size_t event_message_max_bytes = std::size_t{24} << 20;
inline constexpr std::size_t event_headers_max_bytes = std::size_t{128} << 10;

// Appends one message. Names and values must fit their length fields (255, 65,535 bytes).
void append_event_message(std::string& out, const std::vector<EventHeader>& headers,
                          std::string_view payload);
// A message of a modelled event: ":message-type" event, its type and its payload's content type.
void append_event(std::string& out, std::string_view event_type, std::string_view content_type,
                  std::string_view payload);

struct ReadEvent {
  EventMessage message;  // views of the input
  std::size_t size = 0;  // of the whole message
};
// The message at the front of `bytes`; nothing while bytes of it are missing. `corrupt` when it is
// none.
Result<std::optional<ReadEvent>> read_event_message(std::string_view bytes);

}  // namespace mayfly::wire
