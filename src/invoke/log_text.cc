#include "invoke/log_text.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "wire/json.h"

namespace mayfly::invoke {
namespace {

constexpr std::uint32_t frame_magic = 0xa55a0000;
constexpr std::uint32_t frame_text_plain = 1;
constexpr std::uint32_t frame_json = 2;
constexpr std::uint32_t frame_text = 3;

std::uint64_t big_endian(std::string_view bytes) {
  std::uint64_t value = 0;
  for (char c : bytes) value = value << 8 | static_cast<unsigned char>(c);
  return value;
}

std::string status_suffix(Status status, std::string_view error_type) {
  if (status == Status::success) return {};
  if (status == Status::timeout) return "\tStatus: timeout";
  return fmt::format("\tStatus: error\tError Type: {}", error_type);
}

std::string status_member(Status status, std::string_view error_type) {
  std::string out = fmt::format("\"status\":\"{}\"", status_name(status));
  if (status == Status::error) out += ",\"errorType\":" + wire::json_quoted(error_type);
  return out;
}

}  // namespace

double millis(Duration time) { return std::chrono::duration<double, std::milli>(time).count(); }

std::string_view status_name(Status status) {
  switch (status) {
    case Status::success: return "success";
    case Status::error: return "error";
    case Status::timeout: return "timeout";
  }
  return "error";
}

void LineSplitter::hand_on(std::string_view line, const Sink& sink) {
  if (line.ends_with('\r')) line.remove_suffix(1);
  if (line.find('\r') == line.npos) {
    sink(line);
    return;
  }
  std::string text(line);
  std::ranges::replace(text, '\r', '\n');
  sink(text);
}

void LineSplitter::feed(std::string_view bytes, const Sink& sink) {
  while (!bytes.empty()) {
    std::size_t room = log_record_bytes - rest_.size();
    std::size_t end = bytes.substr(0, room).find('\n');
    bool whole = end != bytes.npos;
    std::string_view piece = bytes.substr(0, whole ? end : room);
    bytes.remove_prefix(whole ? end + 1 : piece.size());
    if (!whole && rest_.size() + piece.size() < log_record_bytes) {
      rest_ += piece;
      return;
    }
    if (rest_.empty()) {
      hand_on(piece, sink);
    } else {
      rest_ += piece;
      hand_on(rest_, sink);
      rest_.clear();
    }
  }
}

void LineSplitter::flush(const Sink& sink) {
  if (rest_.empty()) return;
  hand_on(rest_, sink);
  rest_ = {};
}

bool FrameParser::head(const Sink& sink) {
  auto type = static_cast<std::uint32_t>(big_endian(std::string_view(head_).substr(0, 4)));
  std::uint32_t kind = type & 3;
  std::size_t head_bytes = kind == frame_text_plain ? 8 : 16;
  bool known = (type & 0xffffffe0u) == frame_magic &&
               (kind == frame_text || kind == frame_json || kind == frame_text_plain);
  if (!known) {
    broken_ = true;
    lines_.feed(head_, [&](std::string_view line) { sink(line, std::nullopt); });
    head_.clear();
    return true;
  }
  if (head_.size() < head_bytes) return false;
  left_ = big_endian(std::string_view(head_).substr(4, 4));
  time_.reset();
  if (head_bytes == 16) {
    auto micros = static_cast<std::int64_t>(big_endian(std::string_view(head_).substr(8, 8)));
    // A time outside of the representable range is not believed.
    if (micros > 0 && micros < 4'102'444'800'000'000) {
      time_ = WallTime(std::chrono::microseconds(micros));
    }
  }
  head_.clear();
  in_message_ = true;
  return true;
}

std::size_t FrameParser::body(std::string_view bytes, const Sink& sink) {
  std::size_t take = std::min<std::uint64_t>(
      {left_, bytes.size(), static_cast<std::uint64_t>(log_record_bytes - message_.size())});
  message_ += bytes.substr(0, take);
  left_ -= take;
  if (left_ > 0 && message_.size() < log_record_bytes) return take;
  std::string_view text = message_;
  if (text.ends_with('\n')) text.remove_suffix(1);
  sink(text, time_);
  message_.clear();
  if (left_ == 0) in_message_ = false;
  return take;
}

void FrameParser::feed(std::string_view bytes, const Sink& sink) {
  while (!bytes.empty()) {
    if (broken_) {
      lines_.feed(bytes, [&](std::string_view line) { sink(line, std::nullopt); });
      return;
    }
    if (in_message_) {
      bytes.remove_prefix(body(bytes, sink));
      continue;
    }
    std::size_t wanted = head_.size() < 8 ? 8 : 16;
    std::size_t take = std::min(wanted - head_.size(), bytes.size());
    head_ += bytes.substr(0, take);
    bytes.remove_prefix(take);
    if (head_.size() >= 8) head(sink);
    if (in_message_ && left_ == 0) {
      sink("", time_);
      in_message_ = false;
    }
  }
}

void FrameParser::flush(const Sink& sink) {
  if (!message_.empty()) sink(message_, time_);
  message_.clear();
  lines_.flush([&](std::string_view line) { sink(line, std::nullopt); });
}

void LogTail::add_line(std::string_view line) {
  if (line.size() >= limit_) line.remove_prefix(line.size() - limit_ + 1);
  // Cut rarely: the text may grow to twice the limit in between.
  if (text_.size() + line.size() + 1 > 2 * limit_) text_.erase(0, text_.size() - limit_);
  text_ += line;
  text_ += '\n';
}

std::string LogTail::take() {
  if (text_.size() > limit_) text_.erase(0, text_.size() - limit_);
  return std::exchange(text_, {});
}

std::string iso_millis(WallTime time) {
  auto ms = std::chrono::floor<std::chrono::milliseconds>(time);
  auto seconds = std::chrono::floor<std::chrono::seconds>(ms);
  std::time_t epoch = seconds.time_since_epoch().count();
  return fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:03}Z", fmt::gmtime(epoch), (ms - seconds).count());
}

std::string log_stream_name(WallTime now, std::string_view group, std::string_view function,
                            std::string_view version, std::string_view hex32) {
  std::time_t epoch = std::chrono::floor<std::chrono::seconds>(now).time_since_epoch().count();
  constexpr std::string_view own = "/aws/lambda/";
  if (group.starts_with(own) && group.substr(own.size()) == function) {
    return fmt::format("{:%Y/%m/%d}/[{}]{}", fmt::gmtime(epoch), version, hex32);
  }
  return fmt::format("{:%Y/%m/%d}/{}[{}][{}]", fmt::gmtime(epoch), function, version, hex32);
}

std::int64_t billed_millis(Duration duration) {
  auto ms = std::chrono::ceil<std::chrono::milliseconds>(duration).count();
  return std::max<std::int64_t>(ms, 1);
}

namespace {

// A restore is on the bill of the first call.
std::int64_t billed_millis_of(const Report& report) {
  auto out = billed_millis(report.duration);
  return report.restore_duration ? out + billed_millis(*report.restore_duration) : out;
}

// Of the time from the environment's start to the answer.
double init_share(const Report& report) {
  Duration init = report.init_duration.value_or(Duration::zero());
  Duration whole = init + report.duration;
  return whole > Duration::zero() ? millis(init) / millis(whole) : 0;
}

std::string usage_members(const Report& report) {
  if (!report.usage) return {};
  const Usage& usage = *report.usage;
  std::string out;
  if (usage.cpu) out += fmt::format(",\"cpuMs\":{:.3f}", millis(*usage.cpu));
  if (usage.page_faults) out += fmt::format(",\"pageFaults\":{}", *usage.page_faults);
  out += fmt::format(",\"bytesIn\":{},\"bytesOut\":{}", usage.bytes_in, usage.bytes_out);
  if (report.init_duration) out += fmt::format(",\"initShare\":{:.3f}", init_share(report));
  return out;
}

}  // namespace

std::string tenant_member(std::string_view tenant_id) {
  if (tenant_id.empty()) return {};
  return ",\"tenantId\":" + wire::json_quoted(tenant_id);
}

namespace {

// From the unit of the memory used to the number of bytes in; false where that is not told.
bool add_to_bytes_in(PackedLine& out, const Report& report) {
  const auto& usage = report.usage;
  bool usual = usage && !usage->cpu && !usage->page_faults && !report.init_duration &&
               !report.restore_duration && report.status == Status::success;
  if (usual) {  // it was over at once
    out.phrase(Phrase::mb_bytes_in);
    return true;
  }
  out.text(" MB");
  if (report.init_duration) out.text("\tInit Duration: ").millis(*report.init_duration).text(" ms");
  if (report.restore_duration) {
    out.text("\tRestore Duration: ").millis(*report.restore_duration);
    out.text(" ms\tBilled Restore Duration: ").number(billed_millis(*report.restore_duration));
    out.text(" ms");
  }
  out.text(status_suffix(report.status, report.error_type)).text("\t");
  if (!usage) return false;
  if (usage->cpu) out.text("CPU: ").millis(*usage->cpu).text(" ms\t");
  if (usage->page_faults) {
    out.text("Page Faults: ").number(static_cast<std::int64_t>(*usage->page_faults)).text("\t");
  }
  out.text("Bytes In: ");
  return true;
}

}  // namespace

PackedLine start_line(std::string_view request_id, std::string_view version) {
  PackedLine out;
  out.phrase(Phrase::start).id(request_id);
  if (version == "$LATEST") return out.phrase(Phrase::version_latest);
  return out.text(" Version: ").text(version);
}

PackedLine end_line(std::string_view request_id) {
  PackedLine out;
  return out.phrase(Phrase::end).id(request_id);
}

PackedLine report_line(const Report& report) {
  PackedLine out;
  out.phrase(Phrase::report).id(report.request_id);
  out.phrase(Phrase::duration).millis(report.duration);
  out.phrase(Phrase::ms_billed_duration).number(billed_millis_of(report));
  out.phrase(Phrase::ms_memory_size).number(report.memory_mb);
  out.phrase(Phrase::mb_max_memory_used).number(report.max_memory_used_mb);
  if (!add_to_bytes_in(out, report)) return out;
  out.number(static_cast<std::int64_t>(report.usage->bytes_in)).phrase(Phrase::bytes_out);
  out.number(static_cast<std::int64_t>(report.usage->bytes_out)).text("\t");
  if (report.init_duration) {
    out.text(fmt::format("Init Share: {:.0f} %\t", 100 * init_share(report)));
  }
  return out;
}

std::string report_json(const Report& report, WallTime time) {
  std::string init;
  if (report.init_duration) {
    init = fmt::format(",\"initDurationMs\":{:.3f}", millis(*report.init_duration));
  }
  if (report.restore_duration) {
    init += fmt::format(",\"restoreDurationMs\":{:.3f},\"billedRestoreDurationMs\":{}",
                        millis(*report.restore_duration), billed_millis(*report.restore_duration));
  }
  return fmt::format(
      "{{\"time\":\"{}\",\"type\":\"platform.report\",\"record\":{{\"requestId\":{},\"metrics\":{{"
      "\"durationMs\":{:.3f},\"billedDurationMs\":{},\"memorySizeMB\":{},\"maxMemoryUsedMB\":{}{}{}"
      "}},{}{}}}}}",
      iso_millis(time), wire::json_quoted(report.request_id), millis(report.duration),
      billed_millis_of(report), report.memory_mb, report.max_memory_used_mb, init,
      usage_members(report), status_member(report.status, report.error_type),
      tenant_member(report.tenant_id));
}

std::string remark(std::string_view text, bool json, WallTime time) {
  if (!json) return fmt::format("INFO {}", text);
  return fmt::format(R"({{"time":"{}","type":"platform.mayfly","record":{{"message":{}}}}})",
                     iso_millis(time), wire::json_quoted(text));
}

std::string init_report_text(Duration duration, std::string_view phase, Status status,
                             std::string_view error_type) {
  return fmt::format("INIT_REPORT Init Duration: {:.2f} ms\tPhase: {}{}", millis(duration), phase,
                     status_suffix(status, error_type));
}

std::string restore_report_text(Duration duration, Status status, std::string_view error_type) {
  return fmt::format("RESTORE_REPORT Restore Duration: {:.2f} ms{}", millis(duration),
                     status_suffix(status, error_type));
}

std::string restore_report_json(Duration duration, Status status, std::string_view error_type,
                                WallTime time) {
  return fmt::format(
      "{{\"time\":\"{}\",\"type\":\"platform.restoreReport\",\"record\":{{{},\"metrics\":{{"
      "\"durationMs\":{:.3f}}}}}}}",
      iso_millis(time), status_member(status, error_type), millis(duration));
}

std::string init_report_json(std::string_view initialization_type, Duration duration,
                             std::string_view phase, Status status, std::string_view error_type,
                             WallTime time) {
  return fmt::format(
      "{{\"time\":\"{}\",\"type\":\"platform.initReport\",\"record\":{{\"initializationType\":"
      "{},\"phase\":\"{}\",{},\"metrics\":{{\"durationMs\":{:.3f}}}}}}}",
      iso_millis(time), wire::json_quoted(initialization_type), phase,
      status_member(status, error_type), millis(duration));
}

}  // namespace mayfly::invoke
