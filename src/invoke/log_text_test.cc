#include "invoke/log_text.h"

#include <doctest/doctest.h>

#include "sim/manual_clock.h"
#include "wire/json.h"

using namespace mayfly;
using namespace mayfly::invoke;
using namespace std::chrono_literals;

namespace {

struct Collected {
  std::vector<std::string> lines;
  std::vector<std::optional<WallTime>> times;
  LineSplitter::Sink line_sink() {
    return [this](std::string_view text) { lines.emplace_back(text); };
  }
  FrameParser::Sink frame_sink() {
    return [this](std::string_view text, std::optional<WallTime> time) {
      lines.emplace_back(text);
      times.push_back(time);
    };
  }
};

std::string frame(std::uint32_t type, std::string_view message, std::uint64_t micros) {
  std::string out;
  for (int shift = 24; shift >= 0; shift -= 8) out += static_cast<char>(type >> shift & 0xff);
  auto size = static_cast<std::uint32_t>(message.size());
  for (int shift = 24; shift >= 0; shift -= 8) out += static_cast<char>(size >> shift & 0xff);
  for (int shift = 56; shift >= 0; shift -= 8) out += static_cast<char>(micros >> shift & 0xff);
  return out + std::string(message);
}

}  // namespace

TEST_CASE("lines are cut at line feeds, however the bytes arrive") {
  std::string text = "one\ntwo\r\nthree\rfour\n\nlast";
  for (std::size_t step = 1; step <= text.size(); ++step) {
    Collected got;
    LineSplitter splitter;
    for (std::size_t at = 0; at < text.size(); at += step) {
      splitter.feed(std::string_view(text).substr(at, step), got.line_sink());
    }
    CHECK(got.lines == std::vector<std::string>{"one", "two", "three\nfour", ""});
    splitter.flush(got.line_sink());
    CHECK(got.lines.back() == "last");
    splitter.flush(got.line_sink());
    CHECK(got.lines.size() == 5);
  }
}

TEST_CASE("a line over the limit is handed on in pieces") {
  Collected got;
  LineSplitter splitter;
  std::string text(2 * log_record_bytes + 10, 'x');
  splitter.feed(std::string_view(text).substr(0, 1000), got.line_sink());
  splitter.feed(std::string_view(text).substr(1000), got.line_sink());
  splitter.feed("\n", got.line_sink());
  REQUIRE(got.lines.size() == 3);
  CHECK(got.lines[0].size() == log_record_bytes);
  CHECK(got.lines[1].size() == log_record_bytes);
  CHECK(got.lines[2].size() == 10);
}

TEST_CASE("framed records keep messages of several lines and their time") {
  std::string bytes = frame(0xa55a0003 | 0x0c, "a\nb\n", 1'767'225'600'000'000) +
                      frame(0xa55a0002, "{}", 1'767'225'600'500'000) +
                      frame(0xa55a0003, "", 1'767'225'600'500'000);
  for (std::size_t step = 1; step <= bytes.size(); ++step) {
    Collected got;
    FrameParser parser;
    for (std::size_t at = 0; at < bytes.size(); at += step) {
      parser.feed(std::string_view(bytes).substr(at, step), got.frame_sink());
    }
    REQUIRE(got.lines == std::vector<std::string>{"a\nb", "{}", ""});
    CHECK(epoch_millis(*got.times[0]) == 1'767'225'600'000);
    CHECK(epoch_millis(*got.times[1]) == 1'767'225'600'500);
  }
}

TEST_CASE("an older text frame carries no time") {
  Collected got;
  FrameParser parser;
  parser.feed(std::string("\xa5\x5a\x00\x01\x00\x00\x00\x02hi", 10), got.frame_sink());
  REQUIRE(got.lines == std::vector<std::string>{"hi"});
  CHECK_FALSE(got.times[0].has_value());
}

TEST_CASE("what is not a frame is handed on as lines") {
  Collected got;
  FrameParser parser;
  parser.feed("plain text\nmore\nend", got.frame_sink());
  CHECK(got.lines == std::vector<std::string>{"plain text", "more"});
  parser.flush(got.frame_sink());
  CHECK(got.lines.back() == "end");
}

TEST_CASE("a frame that announces gigabytes is handed on in bounded pieces") {
  Collected got;
  FrameParser parser;
  parser.feed(std::string("\xa5\x5a\x00\x03\xff\xff\xff\xff\0\0\0\0\0\0\0\0", 16),
              got.frame_sink());
  std::string piece(log_record_bytes, 'y');
  parser.feed(piece, got.frame_sink());
  parser.feed(piece, got.frame_sink());
  CHECK(got.lines.size() == 2);
  CHECK(got.lines[0].size() == log_record_bytes);
}

TEST_CASE("the tail keeps the last bytes") {
  LogTail tail(16);
  tail.add_line("0123456789");
  CHECK(tail.take() == "0123456789\n");
  for (int i = 0; i < 100; ++i) tail.add_line(std::to_string(i));
  CHECK(tail.take() == "\n95\n96\n97\n98\n99\n");
  tail.add_line(std::string(100, 'z'));
  CHECK(tail.take() == std::string(15, 'z') + "\n");
}

TEST_CASE("report lines have the cloud's form") {
  Report report;
  report.request_id = "id";
  report.duration = 128'830us;
  report.memory_mb = 128;
  report.max_memory_used_mb = 74;
  CHECK(report_line(report).to_text() ==
        "REPORT RequestId: id\tDuration: 128.83 ms\tBilled Duration: 129 ms\tMemory Size: 128 "
        "MB\tMax Memory Used: 74 MB\t");
  report.init_duration = 166'620us;
  report.status = Status::timeout;
  CHECK(report_line(report).to_text() ==
        "REPORT RequestId: id\tDuration: 128.83 ms\tBilled Duration: 129 ms\tMemory Size: 128 "
        "MB\tMax Memory Used: 74 MB\tInit Duration: 166.62 ms\tStatus: timeout\t");
  report.status = Status::error;
  report.error_type = "Runtime.ExitError";
  sim::ManualClock clock;
  CHECK(report_json(report, clock.wall()) ==
        "{\"time\":\"2026-01-01T00:00:00.000Z\",\"type\":\"platform.report\",\"record\":{"
        "\"requestId\":\"id\",\"metrics\":{\"durationMs\":128.830,\"billedDurationMs\":129,"
        "\"memorySizeMB\":128,\"maxMemoryUsedMB\":74,\"initDurationMs\":166.620},\"status\":"
        "\"error\",\"errorType\":\"Runtime.ExitError\"}}");
  CHECK(init_report_text(10s, "init", Status::timeout, "") ==
        "INIT_REPORT Init Duration: 10000.00 ms\tPhase: init\tStatus: timeout");
}

TEST_CASE("report lines of a restore have the cloud's form") {
  Report report;
  report.request_id = "id";
  report.duration = 2'338'660us;
  report.restore_duration = 398'970us;
  report.memory_mb = 3009;
  report.max_memory_used_mb = 173;
  CHECK(report_line(report).to_text() ==
        "REPORT RequestId: id\tDuration: 2338.66 ms\tBilled Duration: 2738 ms\tMemory Size: 3009 "
        "MB\tMax Memory Used: 173 MB\tRestore Duration: 398.97 ms\tBilled Restore Duration: 399 "
        "ms\t");
  CHECK(restore_report_text(398'970us, Status::success, "") ==
        "RESTORE_REPORT Restore Duration: 398.97 ms");
  CHECK(restore_report_text(1'236'040us, Status::timeout, "") ==
        "RESTORE_REPORT Restore Duration: 1236.04 ms\tStatus: timeout");
  CHECK(restore_report_text(1'236'040us, Status::error, "Runtime.ExitError") ==
        "RESTORE_REPORT Restore Duration: 1236.04 ms\tStatus: error\tError Type: "
        "Runtime.ExitError");
}

TEST_CASE("names and strings") {
  sim::ManualClock clock;
  CHECK(log_stream_name(clock.wall(), "/aws/lambda/f", "f", "$LATEST", "ab12") ==
        "2026/01/01/[$LATEST]ab12");
  for (const char* group : {"/team", "/aws/lambda/ff", "/aws/lambda/", ""}) {
    CHECK(log_stream_name(clock.wall(), group, "f", "7", "ab12") == "2026/01/01/f[7][ab12]");
  }
  CHECK(iso_millis(clock.wall() + 1'234ms) == "2026-01-01T00:00:01.234Z");
  CHECK(wire::json_quoted("a\"b\\c\n\t\r\x01é") == "\"a\\\"b\\\\c\\n\\t\\r\\u0001é\"");
  CHECK(billed_millis(0ns) == 1);
  CHECK(billed_millis(1ms) == 1);
  CHECK(billed_millis(1ms + 1ns) == 2);
}
