#include "base/log.h"

#include <unistd.h>

#include <atomic>
#include <chrono>
#include <ctime>
#include <string>

namespace mayfly::log {

namespace {

std::atomic<Level> threshold_level{Level::info};
std::atomic<Format> line_format{Format::text};

std::string_view name(Level level) {
  switch (level) {
    case Level::debug: return "DEBUG";
    case Level::info: return "INFO";
    case Level::warn: return "WARN";
    case Level::error: return "ERROR";
  }
  return "ERROR";
}

std::string timestamp() {
  auto now = std::chrono::system_clock::now();
  auto millis =
      std::chrono::duration_cast<std::chrono::milliseconds>(now.time_since_epoch()).count();
  std::time_t seconds = millis / 1000;
  std::tm parts{};
  ::gmtime_r(&seconds, &parts);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", parts.tm_year + 1900,
                     parts.tm_mon + 1, parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec,
                     millis % 1000);
}

// Control characters are escaped in both formats, so that logged input cannot forge a line.
void append_escaped(std::string& out, std::string_view text, bool json) {
  for (char c : text) {
    auto u = static_cast<unsigned char>(c);
    if (json && (c == '"' || c == '\\')) {
      out.push_back('\\');
      out.push_back(c);
    } else if (u < 0x20 || u == 0x7f) {
      out += fmt::format("\\u{:04x}", u);
    } else {
      out.push_back(c);
    }
  }
}

}  // namespace

void configure(Level threshold, Format format) {
  threshold_level = threshold;
  line_format = format;
}

Settings settings() { return {threshold_level, line_format}; }

bool enabled(Level level) { return level >= threshold_level.load(std::memory_order_relaxed); }

void write(Level level, std::string_view room, std::string_view message) {
  bool json = line_format == Format::json;
  std::string line;
  if (json) {
    line = fmt::format(R"({{"time":"{}","level":"{}","room":"{}","message":")", timestamp(),
                       name(level), room);
    append_escaped(line, message, true);
    line += "\"}\n";
  } else {
    line = fmt::format("{} {:<5} {}: ", timestamp(), name(level), room);
    append_escaped(line, message, false);
    line += '\n';
  }
  // A log line that cannot be written has nowhere to be reported.
  [[maybe_unused]] ssize_t written = ::write(STDERR_FILENO, line.data(), line.size());
}

}  // namespace mayfly::log
