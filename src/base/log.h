// The server's own log (not the logs of functions): one line per record on standard error.
// Thread-safe; a record is written with a single write(2). Text by default, JSON lines on request.
#pragma once

#include <fmt/format.h>

#include <string_view>

namespace mayfly::log {

enum class Level { debug, info, warn, error };
enum class Format { text, json };

struct Settings {
  Level threshold;
  Format format;
};
void configure(Level threshold, Format format);
Settings settings();  // as configured
bool enabled(Level level);
void write(Level level, std::string_view room, std::string_view message);

template <class... Args>
void debug(std::string_view room, fmt::format_string<Args...> text, Args&&... args) {
  if (enabled(Level::debug))
    write(Level::debug, room, fmt::format(text, std::forward<Args>(args)...));
}
template <class... Args>
void info(std::string_view room, fmt::format_string<Args...> text, Args&&... args) {
  if (enabled(Level::info))
    write(Level::info, room, fmt::format(text, std::forward<Args>(args)...));
}
template <class... Args>
void warn(std::string_view room, fmt::format_string<Args...> text, Args&&... args) {
  if (enabled(Level::warn))
    write(Level::warn, room, fmt::format(text, std::forward<Args>(args)...));
}
template <class... Args>
void error(std::string_view room, fmt::format_string<Args...> text, Args&&... args) {
  if (enabled(Level::error))
    write(Level::error, room, fmt::format(text, std::forward<Args>(args)...));
}

}  // namespace mayfly::log
