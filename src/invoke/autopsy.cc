#include "invoke/autopsy.h"

#include "invoke/log_text.h"
#include "wire/json.h"

namespace mayfly::invoke {
namespace {

constexpr std::size_t steps_max = 8;

std::string mb(std::uint64_t bytes) {
  return fmt::format("{} MB", (bytes + limits::mib - 1) / limits::mib);
}

std::vector<std::string> memory_lines(const AutopsyFindings& findings) {
  std::vector<std::string> out;
  std::string limit = fmt::format("limit {} MB", findings.memory_mb);
  if (findings.out_of_memory) {
    out.push_back(fmt::format("{}, peak {}: {}", limit, mb(findings.stats.memory_peak_bytes),
                              findings.evidence.processes.empty()
                                  ? "the kernel ended a process for memory"
                                  : "a process needed more"));
  } else {
    out.push_back(fmt::format("{} in use, peak {}, {}", mb(findings.stats.memory_bytes),
                              mb(findings.stats.memory_peak_bytes), limit));
  }
  std::string growth;
  for (const auto& step : findings.growth.steps) {
    growth += fmt::format("{}{} MB in call {}", growth.empty() ? "peak was " : ", ", step.used_mb,
                          step.calls);
  }
  if (!growth.empty()) out.push_back(std::move(growth));
  return out;
}

std::string_view state_name(char state) {
  switch (state) {
    case 'R': return "runs";
    case 'S': return "waits";
    case 'D': return "waits in the kernel";
    case 'T':
    case 't': return "is stopped";
    case 'Z': return "has ended";
    default: return "is there";
  }
}

std::vector<std::string> process_lines(const AutopsyFindings& findings) {
  std::vector<std::string> out;
  for (const auto& process : findings.evidence.processes) {
    out.push_back(fmt::format("{} {}: {}, {} threads, {} descriptors", process.command, process.id,
                              mb(process.resident_bytes), process.threads_in_all,
                              process.descriptors));
    for (const auto& thread : process.threads) {
      std::string line =
          fmt::format("  thread {} {} {}", thread.id, thread.name, state_name(thread.state));
      if (!thread.waits_in.empty()) line += " in " + thread.waits_in;
      if (!thread.at.empty()) line += " at " + thread.at;
      out.push_back(std::move(line));
    }
    if (process.threads_in_all > process.threads.size()) out.emplace_back("  further threads");
    for (const auto& file : process.files) out.push_back("  file " + file);
  }
  if (findings.evidence.processes_in_all > findings.evidence.processes.size()) {
    out.push_back(fmt::format("{} processes in all", findings.evidence.processes_in_all));
  }
  return out;
}

std::vector<std::string> output_lines(const AutopsyFindings& findings) {
  std::vector<std::string> out;
  std::string_view rest = findings.output;
  while (!rest.empty()) {
    auto end = rest.find('\n');
    out.emplace_back(rest.substr(0, end));
    rest = end == rest.npos ? std::string_view() : rest.substr(end + 1);
  }
  if (findings.cut) out.emplace_back("…");
  return out;
}

}  // namespace

void MemoryGrowth::note(std::uint64_t calls, int used_mb) {
  if (!steps.empty() && used_mb <= steps.back().used_mb) return;
  if (steps.size() == steps_max) steps.erase(steps.begin() + 1);
  steps.push_back({calls, used_mb});
}

AutopsySections autopsy_sections(const AutopsyFindings& findings) {
  AutopsySections out;
  auto add = [&out](std::string_view name, std::vector<std::string> lines) {
    if (!lines.empty()) out.emplace_back(name, std::move(lines));
  };
  add("memory", memory_lines(findings));
  add("processes", process_lines(findings));
  add("sockets", findings.evidence.sockets);
  add(findings.asked > 0 ? "stacks" : "output", output_lines(findings));
  return out;
}

std::string autopsy_text(const AutopsyFindings& findings) {
  std::string out = fmt::format("AUTOPSY RequestId: {}\t", findings.request_id);
  if (findings.out_of_memory) {
    out += "out of memory";
  } else {
    out += fmt::format("out of time after {:.2f} s",
                       std::chrono::duration<double>(findings.limit).count());
  }
  for (const auto& [name, lines] : autopsy_sections(findings)) {
    out += "\n" + name;
    for (const auto& line : lines) out += "\n  " + line;
  }
  return out;
}

std::string autopsy_json(const AutopsyFindings& findings, WallTime time) {
  std::string sections;
  for (const auto& [name, lines] : autopsy_sections(findings)) {
    std::string list;
    for (const auto& line : lines) list += (list.empty() ? "" : ",") + wire::json_quoted(line);
    sections += fmt::format(",{}:[{}]", wire::json_quoted(name), list);
  }
  return fmt::format(
      R"({{"time":"{}","type":"platform.mayfly.autopsy","record":{{"requestId":{}{},)"
      R"("reason":"{}"{}}}}})",
      iso_millis(time), wire::json_quoted(findings.request_id), tenant_member(findings.tenant_id),
      findings.out_of_memory ? "memory" : "timeout", sections);
}

bool wants_autopsy(const Runnable& runnable, const Settings& settings) {
  auto own = runnable.environment.find("MAYFLY_AUTOPSY");
  return settings.autopsies > 0 && (own == runnable.environment.end() || own->second != "off");
}

}  // namespace mayfly::invoke
