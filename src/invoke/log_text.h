// The text of logs: lines cut from a guest's output, framed records, and what the platform writes
// itself (START, END, REPORT …). Pure functions and small state machines; no I/O.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/packed_line.h"

namespace mayfly::invoke {

// A longer line is handed on in pieces of this size (the cloud cuts at 256 KiB).
inline constexpr std::size_t log_record_bytes = std::size_t{256} * 1024;

// Cuts a byte stream into lines. "\r" inside a line stands for a line feed of a message of several
// lines (Node.js writes them so), "\r\n" ends a line.
class LineSplitter {
 public:
  using Sink = std::function<void(std::string_view line)>;
  void feed(std::string_view bytes, const Sink& sink);
  // Hands on what has no line feed yet.
  void flush(const Sink& sink);

 private:
  void hand_on(std::string_view line, const Sink& sink);

  std::string rest_;
};

// Parses framed records of the guest's log descriptor:
//
//   offset size  (big-endian)
//   0      4     0xA55A0003 text, 0xA55A0002 JSON, 0xA55A0001 older text without a time;
//                level bits in the last byte
//   4      4     length of the message
//   8      8     microseconds since the epoch (absent in 0xA55A0001)
//   16     …     message
//
// A head that is none of these ends the parsing: what follows is handed on as lines.
class FrameParser {
 public:
  using Sink = std::function<void(std::string_view text, std::optional<WallTime> time)>;
  void feed(std::string_view bytes, const Sink& sink);
  void flush(const Sink& sink);

 private:
  bool head(const Sink& sink);
  std::size_t body(std::string_view bytes, const Sink& sink);

  bool broken_ = false;
  std::string head_;
  std::uint64_t left_ = 0;  // bytes of the current message still to come
  bool in_message_ = false;
  std::optional<WallTime> time_;
  std::string message_;
  LineSplitter lines_;
};

// The last bytes of what it was fed.
class LogTail {
 public:
  explicit LogTail(std::size_t bytes) : limit_(bytes) {}
  void add_line(std::string_view line);
  std::string take();
  void clear() { text_.clear(); }

 private:
  std::size_t limit_;
  std::string text_;
};

// "2026-11-23T20:45:01.123Z"
std::string iso_millis(WallTime time);
// "2026/11/23/[$LATEST]" and 32 hex characters; in a group of the function's own choice, which may
// be others' too, "2026/11/23/name[$LATEST][" and them (developer guide, "Configuring CloudWatch
// log groups").
std::string log_stream_name(WallTime now, std::string_view group, std::string_view function,
                            std::string_view version, std::string_view hex32);
// A JSON string with its quotes.

enum class Status { success, error, timeout };
std::string_view status_name(Status status);
double millis(Duration time);

// What a call took of the machine.
struct Usage {
  std::optional<Duration> cpu = {};
  std::optional<std::uint64_t> page_faults = {};
  std::uint64_t bytes_in = 0;   // of the event
  std::uint64_t bytes_out = 0;  // of the answer
};

struct Report {
  std::string_view request_id;
  Duration duration{};
  std::optional<Duration> init_duration;
  // Instead of an init, of an environment that was made from a snapshot. It is billed whole.
  std::optional<Duration> restore_duration = {};
  int memory_mb = 0;
  int max_memory_used_mb = 0;
  Status status = Status::success;
  std::string_view error_type;  // shown when status is error
  std::string_view tenant_id = {};
  std::optional<Usage> usage = {};  // behind the cloud's own fields
};

// ,"tenantId":"…" of a platform record; nothing without one.
std::string tenant_member(std::string_view tenant_id);

// START, END and REPORT, as text.
PackedLine start_line(std::string_view request_id, std::string_view version);
PackedLine end_line(std::string_view request_id);
PackedLine report_line(const Report& report);
std::string report_json(const Report& report, WallTime time);
// "INIT_REPORT …" of a start that failed; `phase` is "init" or "invoke".
std::string init_report_text(Duration duration, std::string_view phase, Status status,
                             std::string_view error_type);
std::string init_report_json(std::string_view initialization_type, Duration duration,
                             std::string_view phase, Status status, std::string_view error_type,
                             WallTime time);
// "RESTORE_REPORT …" of an environment that was made from a snapshot.
std::string restore_report_text(Duration duration, Status status, std::string_view error_type);
std::string restore_report_json(Duration duration, Status status, std::string_view error_type,
                                WallTime time);
// Of this server, not of the cloud: why it does something another way.
std::string remark(std::string_view text, bool json, WallTime time);
std::int64_t billed_millis(Duration duration);

}  // namespace mayfly::invoke
