#include "sandbox/jail.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <fstream>
#include <string>

#include "sandbox/companions.h"
#include "sandbox/fork_host.h"
#include "sandbox/poised_program.h"
#include "sandbox/protocol.h"
#include "sandbox/ready_process.h"
#include "sandbox/seccomp.h"
#include "sandbox/specialise.h"

namespace mayfly::sandbox {
namespace {

Outcome ready_the_program(Plan& plan);
Outcome keep_ready_process(Plan& plan);

constexpr std::array steps = {
    Step{"close the launcher's descriptors", close_inherited},
    Step{"join control groups", join_control_groups},
    Step{"set the out-of-memory score", set_oom_score},
    Step{"enter the network namespace", enter_network},
    Step{"hide control groups", hide_control_groups},
    Step{"mount /proc", mount_proc},
    Step{"mask files of /proc", mask_proc},
    Step{"change the root", pivot},
    Step{"make the root read-only", seal_root},
    Step{"start a session", new_session},
    Step{"mount a /tmp of the usual size", mount_usual_tmp},
    Step{"make the program's process", ready_the_program},
    // All above is done ahead of demand.
    Step{"receive the order", receive_order},
    Step{"keep the program's process", keep_ready_process},
    Step{"attach binds", attach_binds},
    Step{"mount /tmp", mount_tmp},
    Step{"set the host name", set_host_name},
    Step{"allow nested jails a /proc", allow_nested_proc},
    Step{"enter the user namespace", enter_user_namespace, Run::both},
    Step{"place descriptors", place_descriptors},
    Step{"set resource limits", set_resource_limits, Run::program},
    Step{"become the sandbox user", become_user, Run::both},
    Step{"drop capabilities", drop_capabilities_of_init, Run::program_ahead},
    Step{"forbid new privileges", no_new_privileges, Run::program_ahead},
    Step{"enter the working directory", enter_working_directory, Run::program},
    Step{"filter system calls", filter_system_calls, Run::program_ahead},
};
constexpr int exec_step = static_cast<int>(steps.size());

Outcome ready_the_program(Plan& plan) {
  if (auto made = make_ready_process(plan, steps); made.error != 0) return made;
  rehearse_order();
  touch_heap();
  return {};
}

Outcome keep_ready_process(Plan& plan) {
  bool plain = plan.spec.parking == Parking::none && plan.spec.companions.empty();
  if (!plain) dismiss_ready_process(plan);
  return {};
}

std::vector<char*> pointers(const std::vector<std::string>& texts) {
  std::vector<char*> out;
  out.reserve(texts.size() + 1);
  for (const auto& text : texts) out.push_back(const_cast<char*>(text.c_str()));
  out.push_back(nullptr);
  return out;
}

// By the program alone: the init of one that parks traces it, and has no filter for that.
int enter_parked(Plan& plan, int fork_socket) {
  if (::dup2(fork_socket, fork_fd) < 0) return errno;
  if (plan.spec.parking == Parking::specialisable) return load_seccomp(*plan.seccomp);
  // What the init of a template has kept is lost.
  rlimit processes{plan.spec.limits.processes + 1, plan.spec.limits.processes + 1};
  if (::setrlimit(RLIMIT_NPROC, &processes) != 0) return errno;
  if (auto dropped = drop_capabilities(plan); dropped.error != 0) return dropped.error;
  return load_seccomp(*plan.template_seccomp);
}

// The launcher enters the mounts of a jail by this descriptor: not being root, it may not look at a
// process that became another user.
void report_started(const Plan& plan) {
  io::Fd mounts;
  std::vector<int> fds;
  if (plan.spec.parking == Parking::specialisable) {
    mounts = io::Fd(::open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC));
    if (mounts) fds.push_back(mounts.get());
  }
  send_report(report_fd, {Report::started, 0, 0, -1}, fds);
}

// Above the numbers that mean something to the program.
int make_fork_socket(std::array<io::Fd, 2>& ends) {
  std::array<int, 2> made{};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, made.data()) != 0) return errno;
  for (std::size_t i = 0; i < ends.size(); ++i) {
    io::Fd low(made[i]);
    ends[i] = io::Fd(::fcntl(low.get(), F_DUPFD_CLOEXEC, fork_fd + 1));
    if (!ends[i]) return errno;
  }
  return 0;
}

}  // namespace

int execute(const std::vector<std::string>& argv, const std::vector<std::string>& env) {
  auto arguments = pointers(argv);
  auto variables = pointers(env);
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  ::execve(arguments[0], arguments.data(), variables.data());
  return errno;
}

pid_t spawn(const std::vector<std::string>& argv, const std::vector<std::string>& env,
            const std::function<int()>& prepare, int& error) {
  static volatile int exec_error = 0;
  exec_error = 0;
  // NOLINTBEGIN(*-unsafe-functions,*.vfork,*.Vfork): this process has one thread and does
  // nothing else meanwhile; posix_spawn has no place for what the child does before its exec.
  pid_t pid = ::vfork();
  if (pid == 0) {
    exec_error = prepare();
    if (exec_error == 0) exec_error = execute(argv, env);
    ::_exit(127);
  }
  // NOLINTEND(*-unsafe-functions,*.vfork,*.Vfork)
  error = pid < 0 ? errno : exec_error;
  return pid;
}

void send_report(int control, const Report& report, std::span<const int> fds) {
  std::string_view bytes(reinterpret_cast<const char*>(&report), sizeof report);
  send_message(control, bytes, {fds.begin(), fds.end()});
}

bool take_steps(std::span<const Step> list, Plan& plan, Run by) {
  for (std::size_t i = 0; i < list.size(); ++i) {
    bool all = by == Run::init && plan.ready == nullptr;
    bool shared = by == Run::init && list[i].by == Run::both;
    if (list[i].by != by && !all && !shared) continue;
    Outcome outcome = list[i].run(plan);
    if (outcome.error == 0) continue;
    send_report(plan.control, {Report::failed, static_cast<int>(i), outcome.error, outcome.item});
    return false;
  }
  return true;
}

void run_steps(std::span<const Step> list, Plan& plan) {
  if (!take_steps(list, plan, Run::init)) ::_exit(1);
}

// What the server ignores (SIGPIPE, say) must not be ignored in the program, so that every action
// becomes the default.
void block_signals() {
  for (int number = 1; number < NSIG; ++number) ::signal(number, SIG_DFL);
  sigset_t all;
  ::sigfillset(&all);
  ::sigprocmask(SIG_SETMASK, &all, nullptr);
}

bool reap(pid_t program, int& status) {
  int got = 0;
  bool ended = false;
  pid_t pid = 0;
  while ((pid = ::waitpid(-1, &got, WNOHANG)) > 0) {
    if (pid != program) continue;
    status = got;
    ended = true;
  }
  return ended;
}

namespace {

char* heap_begin = nullptr;

void advise_heap(int advice, std::size_t most) {
  if (heap_begin == nullptr) return;
  auto size = static_cast<std::size_t>(static_cast<char*>(::sbrk(0)) - heap_begin);
  ::madvise(heap_begin, std::min(size, most), advice);
}

// What an init has of the launcher's heap: 90 KB that became its own when it wrote to them.
void forget_heap() { advise_heap(MADV_DONTNEED, SIZE_MAX); }

}  // namespace

void note_heap() {
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    if (!line.ends_with("[heap]")) continue;
    // NOLINTNEXTLINE(performance-no-int-to-ptr): the kernel tells it as a number.
    heap_begin = reinterpret_cast<char*>(std::strtoull(line.c_str(), nullptr, 16));
    break;
  }
}

// Each first write to a page that is the launcher's as well stops for the page's copy. A launcher
// has some 600 KB, little of which it writes to; the jail's group pays.
void touch_heap() { advise_heap(MADV_POPULATE_WRITE, std::size_t{768} * 1024); }

namespace {

// Hands one signal on; the program's end is one as well.
void take_signal(pid_t program, const timespec* patience) {
  sigset_t all;
  ::sigfillset(&all);
  siginfo_t info{};
  int number = ::sigtimedwait(&all, &info, patience);
  if (number > 0 && number != SIGCHLD) ::kill(program, number);
}

[[noreturn]] void end_with_program(int status, int control) {
  send_report(control, {Report::ended, status, 0, -1});
  ::_exit(0);
}

}  // namespace

// Nothing here allocates, or reads what was allocated before.
void serve_as_init(pid_t program, int control) {
  forget_heap();
  int status = 0;
  while (!reap(program, status)) take_signal(program, nullptr);
  end_with_program(status, control);
}

namespace {

// The first answer of a program mostly comes within this time, and has the processors until then.
constexpr timespec patience{0, 3'000'000};

// What its program is held by, from before its first instruction, the init is in the end.
[[noreturn]] void serve_ready_program(Plan& plan) {
  pid_t program =
      plan.ahead ? start_poised_program(plan, exec_step) : start_ready_process(plan, exec_step);
  if (program < 0) ::_exit(1);
  report_started(plan);
  for (int fd = 0; fd < report_fd; ++fd) ::close(fd);
  take_signal(program, &patience);
  int status = 0;
  if (reap(program, status)) end_with_program(status, report_fd);
  close_others(plan);
  if (!take_steps(steps, plan, Run::program_ahead)) ::_exit(1);
  serve_as_init(program, report_fd);
}

}  // namespace

void run_jail(Plan plan) {
  block_signals();
  ::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  run_steps(steps, plan);
  if (plan.ready != nullptr) serve_ready_program(plan);
  if (!plan.spec.companions.empty()) serve_with_companions(plan);
  std::array<io::Fd, 2> fork_ends;
  bool parks = plan.spec.parking != Parking::none;
  int error = parks ? make_fork_socket(fork_ends) : 0;
  auto prepare = [&] { return parks ? enter_parked(plan, fork_ends[1].get()) : 0; };
  pid_t program = error == 0 ? spawn(plan.spec.argv, plan.spec.env, prepare, error) : -1;
  if (error != 0) {
    send_report(report_fd, {Report::failed, exec_step, error, -1});
    ::_exit(1);
  }
  fork_ends[1].reset();
  report_started(plan);
  for (int fd = 0; fd < report_fd; ++fd) ::close(fd);
  if (plan.spec.parking == Parking::forkable) {
    serve_as_host(plan, program, std::move(fork_ends[0]));
  }
  if (plan.spec.parking == Parking::specialisable) {
    serve_until_specialised(plan, program, std::move(fork_ends[0]));
  }
  serve_as_init(program, report_fd);
}

std::string_view jail_step_reason(int index) {
  if (index == exec_step) return program_not_started;
  if (index < 0 || index > exec_step) return {};
  bool enters = steps[static_cast<std::size_t>(index)].run == enter_working_directory;
  return enters ? working_directory_refused : std::string_view();
}

const char* jail_step_name(int index) {
  if (index == exec_step) return "start the program";
  if (index >= specialise_step_base) return specialise_step_name(index);
  if (index < 0 || index > exec_step) return "unknown step";
  return steps[static_cast<std::size_t>(index)].name;
}

}  // namespace mayfly::sandbox
