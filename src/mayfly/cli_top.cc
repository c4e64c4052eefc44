#include "mayfly/cli_top.h"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <thread>
#include <tuple>

#include "mayfly/cli_verbs.h"

namespace mayfly::cli {

namespace {

using wire::Json;

struct Sample {
  std::string_view name;
  std::map<std::string, std::string> labels;
  double value = 0;
};

// name{label="value",…} number, where values escape quotes, backslashes and line ends.
bool read_sample(std::string_view line, Sample& out) {
  if (line.empty() || line.front() == '#') return false;
  auto brace = line.find('{');
  if (brace == line.npos) return false;
  out.name = line.substr(0, brace);
  out.labels.clear();
  std::size_t at = brace + 1;
  while (at < line.size() && line[at] != '}') {
    auto equals = line.find("=\"", at);
    if (equals == line.npos) return false;
    std::string& value = out.labels[std::string(line.substr(at, equals - at))];
    for (at = equals + 2; at < line.size() && line[at] != '"'; ++at) {
      if (line[at] == '\\' && at + 1 < line.size()) ++at;
      value += line[at];
    }
    ++at;
    if (at < line.size() && line[at] == ',') ++at;
  }
  if (at + 1 >= line.size()) return false;
  out.value = std::strtod(std::string(line.substr(at + 1)).c_str(), nullptr);
  return true;
}

void take(const Sample& sample, FunctionLoad& load) {
  auto label = [&sample](const char* name) {
    auto found = sample.labels.find(name);
    return found == sample.labels.end() ? std::string() : found->second;
  };
  if (sample.name == "mayfly_invocations_total") {
    bool throttled = label("outcome") == "throttled";
    (throttled ? load.throttles : load.calls) += sample.value;
    if (!throttled && label("outcome") != "success") load.errors += sample.value;
  } else if (sample.name == "mayfly_invocation_bytes_total") {
    (label("direction") == "in" ? load.bytes_in : load.bytes_out) += sample.value;
  }
  constexpr std::pair<std::string_view, double FunctionLoad::*> rest[] = {
      {"mayfly_invocations_running", &FunctionLoad::running},
      {"mayfly_cold_starts_total", &FunctionLoad::cold_starts},
      {"mayfly_invocation_duration_seconds_sum", &FunctionLoad::seconds},
      {"mayfly_invocation_cpu_seconds_total", &FunctionLoad::cpu_seconds},
      {"mayfly_init_duration_seconds_sum", &FunctionLoad::init_seconds},
      {"mayfly_invocation_page_faults_total", &FunctionLoad::page_faults},
      {"mayfly_function_memory_used_bytes", &FunctionLoad::memory_bytes},
  };
  for (const auto& [name, member] : rest) {
    if (sample.name == name) load.*member += sample.value;
  }
}

auto key_of(const FunctionLoad& load) { return std::tie(load.account, load.region, load.name); }

}  // namespace

std::vector<FunctionLoad> read_loads(std::string_view metrics) {
  std::map<std::tuple<std::string, std::string, std::string>, FunctionLoad> found;
  Sample sample;
  while (!metrics.empty()) {
    auto end = metrics.find('\n');
    std::string_view line = metrics.substr(0, end);
    metrics = end == metrics.npos ? std::string_view() : metrics.substr(end + 1);
    if (!read_sample(line, sample) || !sample.labels.contains("function")) continue;
    auto& load =
        found[{sample.labels["account"], sample.labels["region"], sample.labels["function"]}];
    load.account = sample.labels["account"];
    load.region = sample.labels["region"];
    load.name = sample.labels["function"];
    take(sample, load);
  }
  std::vector<FunctionLoad> out;
  out.reserve(found.size());
  for (auto& [key, load] : found) out.push_back(std::move(load));
  return out;
}

std::vector<FunctionLoad> loads_since(const std::vector<FunctionLoad>& before,
                                      std::vector<FunctionLoad> now) {
  for (auto& load : now) {
    auto old = std::ranges::find_if(
        before, [&load](const FunctionLoad& other) { return key_of(other) == key_of(load); });
    if (old == before.end() || old->calls > load.calls) continue;  // new, or a server started anew
    for (auto member :
         {&FunctionLoad::calls, &FunctionLoad::errors, &FunctionLoad::throttles,
          &FunctionLoad::cold_starts, &FunctionLoad::seconds, &FunctionLoad::cpu_seconds,
          &FunctionLoad::init_seconds, &FunctionLoad::page_faults, &FunctionLoad::bytes_in,
          &FunctionLoad::bytes_out}) {
      load.*member -= (*old).*member;
    }
  }
  return now;
}

Result<> sort_loads(std::vector<FunctionLoad>& loads, std::string_view by) {
  constexpr std::pair<std::string_view, double FunctionLoad::*> keys[] = {
      {"cpu", &FunctionLoad::cpu_seconds},
      {"calls", &FunctionLoad::calls},
      {"time", &FunctionLoad::seconds},
      {"errors", &FunctionLoad::errors},
      {"memory", &FunctionLoad::memory_bytes}};
  if (by == "name") {
    std::ranges::sort(loads, {}, &FunctionLoad::name);
    return {};
  }
  auto key = std::ranges::find(keys, by, [](const auto& entry) { return entry.first; });
  if (key == std::end(keys)) {
    return fail(ErrorKind::invalid,
                fmt::format("cannot sort by '{}': cpu, calls, time, errors, memory or name", by));
  }
  std::ranges::sort(loads, [member = key->second](const auto& one, const auto& other) {
    return one.*member != other.*member ? one.*member > other.*member : one.name < other.name;
  });
  return {};
}

namespace {

std::string bytes_text(double bytes) {
  for (const char* unit : {"B", "KB", "MB", "GB"}) {
    if (bytes < 1024 || unit == std::string_view("GB")) {
      return fmt::format("{:.{}f} {}", bytes, unit == std::string_view("B") ? 0 : 1, unit);
    }
    bytes /= 1024;
  }
  return {};
}

double average_ms(const FunctionLoad& load) {
  return load.calls > 0 ? 1000 * load.seconds / load.calls : 0;
}

Json load_json(const FunctionLoad& load, double seconds) {
  Json out;
  out["Account"] = load.account;
  out["Region"] = load.region;
  out["FunctionName"] = load.name;
  out["Running"] = load.running;
  out["Calls"] = load.calls;
  out["Errors"] = load.errors;
  out["Throttles"] = load.throttles;
  out["ColdStarts"] = load.cold_starts;
  out["DurationSeconds"] = load.seconds;
  out["CpuSeconds"] = load.cpu_seconds;
  out["InitSeconds"] = load.init_seconds;
  out["PageFaults"] = load.page_faults;
  out["BytesIn"] = load.bytes_in;
  out["BytesOut"] = load.bytes_out;
  out["MemoryUsedBytes"] = load.memory_bytes;
  if (seconds > 0) out["IntervalSeconds"] = seconds;
  return out;
}

// `seconds`: what the sums are of; 0: of all the time of the server, which is not told.
std::string loads_text(const std::vector<FunctionLoad>& loads, double seconds,
                       const std::string& home_region) {
  bool rates = seconds > 0;
  std::vector<std::vector<std::string>> rows{{"FUNCTION", "RUNNING", rates ? "CALLS/S" : "CALLS",
                                              "ERRORS", "COLD", "AVERAGE", rates ? "CPU" : "CPU S",
                                              "MEMORY", "IN", "OUT"}};
  for (const auto& load : loads) {
    std::string name = load.name;
    if (load.region != home_region) name += " " + load.region;
    rows.push_back(
        {std::move(name), fmt::format("{}", load.running),
         rates ? fmt::format("{:.1f}", load.calls / seconds) : fmt::format("{}", load.calls),
         fmt::format("{}", load.errors + load.throttles), fmt::format("{}", load.cold_starts),
         fmt::format("{:.2f} ms", average_ms(load)),
         rates ? fmt::format("{:.1f} %", 100 * load.cpu_seconds / seconds)
               : fmt::format("{:.3f}", load.cpu_seconds),
         bytes_text(load.memory_bytes), bytes_text(load.bytes_in), bytes_text(load.bytes_out)});
  }
  return table(rows);
}

Result<std::vector<FunctionLoad>> ask(Client& client) {
  TRY_ASSIGN(const auto reply, client.call({.path = "/_mayfly/metrics"}));
  return read_loads(reply.body);
}

Result<> show(Client& client, const TopOptions& options, std::vector<FunctionLoad> loads,
              double seconds) {
  TRY(sort_loads(loads, options.sort));
  if (!client.settings().json) {
    // From the top of the screen, where there is one.
    if (seconds > 0 && ::isatty(STDOUT_FILENO) != 0) print("\x1b[H\x1b[2J");
    print(loads_text(loads, seconds, client.settings().region));
    return {};
  }
  wire::JsonArray out;
  for (const auto& load : loads) out.push_back(load_json(load, seconds));
  Json whole(std::move(out));
  print((seconds > 0 ? whole.dump() : whole.dump_pretty()) + "\n");
  return {};
}

}  // namespace

Result<int> top(Client& client, const TopOptions& options) {
  TRY_ASSIGN(auto before, ask(client));
  if (options.once) {
    TRY(show(client, options, std::move(before), 0));
    return 0;
  }
  TRY(sort_loads(before, options.sort));  // a wrong word is told at once
  auto asked = std::chrono::steady_clock::now();
  while (true) {
    std::this_thread::sleep_for(std::chrono::duration<double>(options.interval_seconds));
    TRY_ASSIGN(auto now, ask(client));
    auto at = std::chrono::steady_clock::now();
    double seconds = std::chrono::duration<double>(at - std::exchange(asked, at)).count();
    TRY(show(client, options, loads_since(before, now), seconds));
    before = std::move(now);
  }
}

}  // namespace mayfly::cli
