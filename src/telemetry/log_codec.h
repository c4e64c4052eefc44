// How groups, streams and events lie in the store "logs".
//
//   key "g/ACCOUNT/REGION/GROUP"             {"created","retention","tags","class","protected"}
//   key "s/ACCOUNT/REGION/GROUP\0STREAM"     {"created","first","last","ingested"}
//   log "ACCOUNT/REGION/GROUP"               stream = STREAM, time = the event's own time
//
// Payload of an entry that holds one event:
//   offset  size  content
//   0       7     ingestion time, ms since the epoch, little endian
//   7       1     0; 2 where the message is packed (base/packed_line.h)
//   8       …     the message, UTF-8
//
// Payload of an entry that holds several events of one stream and one millisecond (rows, their
// indexes and checksums cost more than the text of a line that says END):
//   0       7     ingestion time
//   7       1     1
//   8       4     length of a message, little endian; the highest bit says that it is packed
//   12      …     the message, UTF-8; then the next length
//
// The seq of an event is its entry's, times entry_events_max, plus its place in the entry.
#pragma once

#include "base/result.h"
#include "telemetry/log_types.h"

namespace mayfly::telemetry {

std::string log_name(const Scope& scope, std::string_view group);
std::string group_key(const LogGroup& group);
std::string stream_key(const LogGroup& group, std::string_view stream);
std::string stream_key_prefix(const LogGroup& group);

std::string encode_group(const LogGroup& group);
Result<LogGroup> decode_group(std::string_view key, std::string_view value);
std::string encode_stream(const LogStream& stream);
// `log` becomes the log name of its group.
Result<LogStream> decode_stream(std::string_view key, std::string_view value, std::string& log);

inline constexpr std::size_t entry_events_max = 4'096;

// `packed`: the message is that of a PackedLine.
std::string encode_event(std::int64_t ingested_ms, std::string_view message, bool packed = false);
// Adds a further event to what encode_event() made. Those of one payload share their times.
void append_event(std::string& payload, std::string_view message, bool packed = false);
std::int64_t ingested_of(std::string_view payload);
// Its events, in the order of arrival.
std::vector<LogEvent> decode_events(store::Entry entry);

}  // namespace mayfly::telemetry
