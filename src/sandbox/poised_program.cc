#include "sandbox/poised_program.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <numeric>
#include <string_view>

#include "sandbox/jail.h"
#include "sandbox/protocol.h"
#include "sandbox/ready_process.h"
#include "sandbox/tracee.h"

namespace mayfly::sandbox {
namespace {

// A loader needs a few milliseconds; what takes longer is started when it is asked for.
constexpr std::uint64_t patience_ns = 500'000'000;

constexpr std::array<std::string_view, 3> read_by_loaders{"GLIBC_TUNABLES", "LD_", "MALLOC_"};

std::string_view name_of(std::string_view variable) {
  return variable.substr(0, variable.find('='));
}

bool is_read_by_loaders(std::string_view variable) {
  return std::ranges::any_of(read_by_loaders,
                             [&](auto prefix) { return variable.starts_with(prefix); });
}

std::size_t bytes_of(const std::vector<std::string>& env) {
  return std::accumulate(env.begin(), env.end(), std::size_t{0},
                         [](std::size_t sum, const auto& text) { return sum + text.size() + 1; });
}

}  // namespace

bool may_be_poised(const Spec& spec) {
  return spec.parking == Parking::none && spec.companions.empty() && !spec.channel &&
         !spec.framed_log && std::ranges::none_of(spec.binds, &Bind::writable);
}

bool is_same_program(const Spec& one, const Spec& other) {
  auto comparable = [](const Spec& spec) {
    return std::tie(spec.binds, spec.argv, spec.cwd, spec.hostname, spec.limits, spec.listen_ports,
                    spec.sockets);
  };
  return comparable(one) == comparable(other);
}

std::vector<std::string> stand_in(const std::vector<std::string>& env) {
  std::vector<std::string> out = env;
  for (auto& variable : out) {
    if (is_read_by_loaders(variable)) continue;
    std::size_t value = std::min(variable.size(), name_of(variable).size() + 1);
    std::fill(variable.begin() + static_cast<std::ptrdiff_t>(value), variable.end(), 'x');
  }
  return out;
}

bool takes_place_of(const std::vector<std::string>& env,
                    const std::vector<std::string>& stand_ins) {
  auto fits = [](const std::string& one, const std::string& other) {
    return name_of(one) == name_of(other) && (!is_read_by_loaders(one) || one == other);
  };
  return std::ranges::equal(env, stand_ins, fits) && bytes_of(env) <= bytes_of(stand_ins);
}

#if defined(__x86_64__)

namespace {

// What a loader, or a C library before its thread has a number, does for any program.
bool is_of_every_program(const Stop& at) {
  constexpr std::array<std::uint64_t, 17> harmless{
      SYS_access, SYS_arch_prctl, SYS_brk,        SYS_close, SYS_faccessat,  SYS_fstat,
      SYS_mmap,   SYS_mprotect,   SYS_munmap,     SYS_lstat, SYS_newfstatat, SYS_pread64,
      SYS_read,   SYS_readlink,   SYS_readlinkat, SYS_stat,  SYS_uname};
  auto only_reads = [](std::uint64_t flags) { return (flags & (O_ACCMODE | O_CREAT)) == 0; };
  if (at.call_number == SYS_open) return only_reads(at.arguments[1]);
  if (at.call_number == SYS_openat) return only_reads(at.arguments[2]);
  return std::ranges::find(harmless, at.call_number) != harmless.end();
}

// Where the variables of a program lie that has just been executed.
struct Variables {
  std::uint64_t pointers = 0;  // address of the array
  std::uint64_t texts = 0;     // of the first; the others follow
  std::size_t bytes = 0;
};

bool copy_from(pid_t pid, std::uint64_t address, void* to, std::size_t bytes) {
  iovec here{to, bytes};
  // NOLINTNEXTLINE(performance-no-int-to-ptr): an address of another process.
  iovec there{reinterpret_cast<void*>(address), bytes};
  return ::process_vm_readv(pid, &here, 1, &there, 1, 0) == static_cast<ssize_t>(bytes);
}

bool copy_to(pid_t pid, std::uint64_t address, const void* from, std::size_t bytes) {
  iovec here{const_cast<void*>(from), bytes};
  // NOLINTNEXTLINE(performance-no-int-to-ptr): an address of another process.
  iovec there{reinterpret_cast<void*>(address), bytes};
  return ::process_vm_writev(pid, &here, 1, &there, 1, 0) == static_cast<ssize_t>(bytes);
}

// The System V ABI for x86-64 says how the stack of a new program begins. False: it is none of it.
bool find_variables(const Tracee& program, const std::vector<std::string>& env, Variables& out) {
  CallRegisters registers;
  std::uint64_t arguments = 0;
  bool read = program.read(registers) == 0 &&
              copy_from(program.pid(), registers.stack(), &arguments, sizeof arguments);
  if (!read || arguments > 4096) return false;
  out.pointers = registers.stack() + 8 * (arguments + 2);
  std::vector<std::uint64_t> pointers(env.size() + 1);
  if (!copy_from(program.pid(), out.pointers, pointers.data(), 8 * pointers.size())) return false;
  if (pointers.back() != 0) return false;
  out.texts = pointers.front();
  for (std::size_t i = 0; i < env.size(); ++i) {
    if (pointers[i] != out.texts + out.bytes) return false;
    out.bytes += env[i].size() + 1;
  }
  return true;
}

bool place_variables(pid_t pid, const Variables& at, const std::vector<std::string>& env) {
  std::string texts;
  std::vector<std::uint64_t> pointers;
  for (const auto& variable : env) {
    pointers.push_back(at.texts + texts.size());
    texts.append(variable).push_back('\0');
  }
  texts.resize(at.bytes);
  return copy_to(pid, at.pointers, pointers.data(), 8 * pointers.size()) &&
         copy_to(pid, at.texts, texts.data(), texts.size());
}

// Takes it from before its execve(2) to where it is held. False: it does not come there.
bool hold(Tracee& program, const std::vector<std::string>& env, Variables& out) {
  std::uint64_t deadline = monotonic_ns() + patience_ns;
  Stop stop = program.wait(deadline);
  if (stop.kind != Stop::event || stop.event_number != PTRACE_EVENT_EXEC) return false;
  if (!find_variables(program, env, out)) return false;
  do {
    if (program.go_on(Tracee::Until::call) != 0) return false;
    stop = program.wait(deadline);
  } while (stop.kind == Stop::exit || (stop.kind == Stop::entry && is_of_every_program(stop)));
  return stop.kind == Stop::entry;
}

// The init shares its memory with a process that is not executed yet, which nobody may look into.
int seize(Tracee& program) {
  ::prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
  int error = program.seize(Tracee::Events::exec);
  ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  return error;
}

}  // namespace

pid_t start_poised_program(Plan& plan, int exec_step) {
  auto fail_with = [&](int error) {
    send_report(plan.control, {Report::failed, exec_step, error, -1});
    return pid_t{-1};
  };
  Tracee program(ready_process_id(plan));
  if (int error = seize(program); error != 0) return fail_with(error);
  if (start_ready_process(plan, exec_step) < 0) return -1;
  Variables variables;
  if (!hold(program, plan.spec.env, variables)) return fail_with(ENOEXEC);
  send_report(plan.control, {Report::poised, 0, 0, -1});
  Message message;
  int error = receive_message(plan.control, message);
  if (error == EPIPE) ::_exit(0);
  if (error != 0) return fail_with(error);
  auto start = decode_request(message);
  if (!start || !takes_place_of(start->spec.env, plan.spec.env)) return fail_with(EBADMSG);
  if (!place_variables(program.pid(), variables, start->spec.env)) return fail_with(ESRCH);
  program.detach();
  return program.pid();
}

#else

pid_t start_poised_program(Plan& plan, int exec_step) {
  send_report(plan.control, {Report::failed, exec_step, ENOSYS, -1});
  return -1;
}

#endif

}  // namespace mayfly::sandbox
