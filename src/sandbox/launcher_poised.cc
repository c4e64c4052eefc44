// The launcher's part in programs that are executed ahead of their start (poised_program.h): which
// ones, in how many jails, for how long.
#include <algorithm>

#include "base/limits.h"
#include "sandbox/launcher.h"
#include "sandbox/poised_program.h"

namespace mayfly::sandbox {
namespace {

using Clock = std::chrono::steady_clock;

}  // namespace

std::list<LauncherLoop::UsualProgram>::iterator LauncherLoop::find_program(const Spec& spec) {
  return std::ranges::find_if(
      programs_, [&](const UsualProgram& one) { return is_same_program(one.spec, spec); });
}

// A launch of it has been asked for.
void LauncherLoop::note_program(const Spec& spec) {
  if (!may_be_poised(spec)) return;
  auto known = find_program(spec);
  if (known == programs_.end()) {
    programs_.emplace_front().spec = spec;
  } else {
    programs_.splice(programs_.begin(), programs_, known);
  }
  UsualProgram& program = programs_.front();
  program.until = Clock::now() + limits::sandbox_poised_time;
  if (known == programs_.end() || !takes_place_of(spec.env, program.spec.env)) {
    forget_program(program);
    program.spec.env = stand_in(spec.env);
  }
  if (programs_.size() <= limits::sandbox_poised_programs) return;
  forget_program(programs_.back());
  programs_.pop_back();
}

void LauncherLoop::forget_program(UsualProgram& program) {
  for (Id id : std::exchange(program.poised, {})) {
    if (Jail* jail = find(id); jail != nullptr) end(*jail);
  }
}

LauncherLoop::Jail* LauncherLoop::take_poised(const Spec& spec) {
  if (!may_be_poised(spec)) return nullptr;
  auto program = find_program(spec);
  if (program == programs_.end() || program->poised.empty()) return nullptr;
  if (!takes_place_of(spec.env, program->spec.env)) return nullptr;
  Jail* jail = find(program->poised.front());
  if (jail == nullptr || jail->ahead != Ahead::poised) return nullptr;
  program->poised.erase(program->poised.begin());
  return jail;
}

Result<> LauncherLoop::start_poised(Jail& jail, Message& message, io::Fd file) {
  jail.ahead = Ahead::no;
  ++starting_;
  std::vector<int> fds;
  if (file) fds.push_back(file.get());
  int error = send_message(jail.control.get(), message.bytes, fds);
  // EPIPE: it has been killed, and is reaped.
  if (error != 0 && error != EPIPE && error != ECONNRESET) {
    return fail_errno("start a poised program", error);
  }
  // It only has to be let go: the server meets it meanwhile.
  on_started(jail, {});
  return {};
}

LauncherLoop::UsualProgram* LauncherLoop::program_to_poise() {
  auto wanted = std::ranges::find_if(programs_, [](const UsualProgram& program) {
    return program.holds && program.poised.size() < limits::sandbox_poised &&
           program.until > Clock::now();
  });
  return wanted == programs_.end() ? nullptr : &*wanted;
}

void LauncherLoop::make_poised(UsualProgram& program) {
  auto taken = take_parked();
  auto pipe = io::make_pipe();
  auto encoded = encode(Request{0, 0, program.spec, Request::What::poise});
  if (!taken || !pipe || !encoded) {
    program.holds = false;
    if (taken) end(**taken);
    return;
  }
  Jail& jail = **taken;
  Message message{std::move(encoded->bytes), {}};
  message.fds.push_back(std::move(pipe->write_end));
  jail.output = std::move(pipe->read_end);
  jail.memory_bytes = program.spec.limits.memory_bytes;
  jail.ahead = Ahead::executing;
  if (order(jail, program.spec, message, std::move(encoded->file))) {
    program.poised.push_back(jail.id);
    return;
  }
  if (std::exchange(jail.ordered, true)) --starting_;
  jail.ahead = Ahead::poised;
  program.holds = false;
  end(jail);
}

void LauncherLoop::on_poised(Jail& jail) {
  --starting_;
  jail.ahead = Ahead::poised;
  jail.accounts = open_accounts(jail.group);
}

// It is gone, for whatever reason. One that did not come to be poised never would.
void LauncherLoop::forget_poised(const Jail& jail) {
  for (auto& program : programs_) {
    if (std::erase(program.poised, jail.id) > 0 && jail.ahead == Ahead::executing) {
      program.holds = false;
    }
  }
}

// Milliseconds until jails are given up whose program nobody starts any more; -1: there are none.
int LauncherLoop::unused_ms() const {
  int out = -1;
  for (const auto& program : programs_) {
    if (program.poised.empty()) continue;
    auto left = std::chrono::ceil<std::chrono::milliseconds>(program.until - Clock::now());
    int ms = static_cast<int>(std::max<std::int64_t>(0, left.count()));
    out = out < 0 ? ms : std::min(out, ms);
  }
  return out;
}

void LauncherLoop::end_unused() {
  while (!programs_.empty() && programs_.back().until <= Clock::now()) {
    forget_program(programs_.back());
    programs_.pop_back();
  }
}

}  // namespace mayfly::sandbox
