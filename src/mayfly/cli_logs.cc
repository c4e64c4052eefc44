#include <set>
#include <thread>

#include "mayfly/cli_verbs.h"

namespace mayfly::cli {
namespace {

using wire::Json;

// How often a followed log is asked again; an answer is one round trip on one connection.
constexpr auto follow_pause = std::chrono::milliseconds(300);

std::int64_t now_ms() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

void show(const Client& client, const Json& event) {
  if (client.settings().json) {
    print(event.dump() + "\n");
    return;
  }
  auto text = event.string_or("message");
  while (text.ends_with('\n')) text.remove_suffix(1);
  print(fmt::format(
      "{} {}\n", wire::format_iso8601(event.int_or("timestamp", 0), wire::Fraction::millis), text));
}

// Reads one log group forward; remembers what it has shown.
class Reader {
 public:
  Reader(Client& client, const LogsOptions& options, std::int64_t from_ms)
      : client_(client), options_(options), from_ms_(from_ms) {}

  // Everything new since the last time; the count of events shown.
  Result<std::size_t> read() {
    Json input;
    input["logGroupName"] = group();
    input["startTime"] = from_ms_;
    if (!options_.filter.empty()) input["filterPattern"] = options_.filter;
    std::size_t shown = 0;
    auto newest = from_ms_;
    while (true) {
      TRY_ASSIGN(const auto page, client_.logs("FilterLogEvents", input));
      if (const auto* events = page.find("events"); events && events->is_array()) {
        for (const auto& event : *events->as<wire::JsonArray>()) {
          newest = std::max(newest, event.int_or("timestamp", 0));
          if (!seen_.insert(std::string(event.string_or("eventId"))).second) continue;
          show(client_, event);
          ++shown;
        }
      }
      const auto next = page.string_or("nextToken");
      if (next.empty()) break;
      input["nextToken"] = std::string(next);
    }
    // Events of other streams may come a little late: look back a moment, seen_ drops doubles.
    if (newest - look_back_ms > from_ms_) from_ms_ = newest - look_back_ms;
    return shown;
  }

  std::string group() const {
    return options_.name.starts_with('/') ? options_.name : "/aws/lambda/" + options_.name;
  }

 private:
  static constexpr std::int64_t look_back_ms = 5'000;
  Client& client_;
  const LogsOptions& options_;
  std::int64_t from_ms_;
  std::set<std::string> seen_;
};

}  // namespace

Result<std::int64_t> parse_span(std::string_view text) {
  constexpr std::pair<char, std::int64_t> units[] = {
      {'s', 1'000}, {'m', 60'000}, {'h', 3'600'000}, {'d', 86'400'000}};
  for (const auto& [letter, ms] : units) {
    if (!text.ends_with(letter)) continue;
    const auto number = wire::parse_int(text.substr(0, text.size() - 1));
    if (number && *number >= 0 && *number < 1'000'000) return *number * ms;
  }
  return fail(ErrorKind::invalid,
              fmt::format("'{}' is no time span: write 90s, 10m, 2h or 1d", text));
}

Result<int> logs(Client& client, const LogsOptions& options) {
  TRY_ASSIGN(const auto span, parse_span(options.since));
  Reader reader(client, options, now_ms() - span);
  while (true) {
    const auto shown = reader.read();
    const bool missing = !shown && shown.error().kind != ErrorKind::unavailable &&
                         shown.error().reason == "ResourceNotFoundException";
    if (!shown && !(missing && options.follow)) {
      if (!missing) return std::unexpected(shown.error());
      return fail(ErrorKind::not_found,
                  fmt::format("no log group {}: has the function been invoked? (mayfly invoke)",
                              reader.group()),
                  shown.error().reason);
    }
    if (!options.follow) {
      if (*shown == 0 && !client.settings().json) {
        print_error(fmt::format("no events in the last {}; look further back with --since\n",
                                options.since));
      }
      return 0;
    }
    std::this_thread::sleep_for(follow_pause);
  }
}

}  // namespace mayfly::cli
