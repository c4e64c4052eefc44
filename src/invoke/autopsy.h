// Autopsy: what a call that ran out of time or memory was doing, as one record in its function's
// log behind the REPORT line. Of a call that ran out of time the processes live on for a moment to
// be looked at: their stacks, where their threads wait, their sockets, their memory. Its caller has
// the answer meanwhile.
//
// Loop thread.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "invoke/invoker.h"
#include "sandbox/sandbox.h"

namespace mayfly::invoke {

// How long after the deadline processes may live on, and what may lie in one record.
inline constexpr auto autopsy_time = std::chrono::milliseconds(200);
inline constexpr std::size_t autopsy_output_bytes = 32 * limits::kib;

// Memory of an environment, told when it has grown.
struct MemoryGrowth {
  struct Step {
    std::uint64_t calls = 0;  // that it had had
    int used_mb = 0;
  };
  // The first step, and the latest ones.
  void note(std::uint64_t calls, int used_mb);
  std::vector<Step> steps;
};

struct AutopsyFindings {
  std::string request_id;
  std::string tenant_id;
  bool out_of_memory = false;  // else out of time
  Duration limit{};            // of time
  int memory_mb = 0;           // limit
  sandbox::Stats stats;
  MemoryGrowth growth;
  sandbox::Evidence evidence;
  int asked = 0;       // processes that were asked for their stacks
  std::string output;  // what was written after the deadline: stacks, and last words
  bool cut = false;    // … and was more than is kept
};

// Sections of lines: "memory", "processes", "sockets", "stacks".
using AutopsySections = std::vector<std::pair<std::string, std::vector<std::string>>>;
AutopsySections autopsy_sections(const AutopsyFindings& findings);
std::string autopsy_text(const AutopsyFindings& findings);
std::string autopsy_json(const AutopsyFindings& findings, WallTime time);

// Whether the function wants one: MAYFLY_AUTOPSY=off in its environment says no.
bool wants_autopsy(const Runnable& runnable, const Settings& settings);

}  // namespace mayfly::invoke
