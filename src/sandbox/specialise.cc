#include "sandbox/specialise.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <array>
#include <string>

#include "sandbox/fork_order.h"
#include "sandbox/jail.h"
#include "sandbox/protocol.h"
#include "sandbox/seccomp.h"
#include "sandbox/tracee.h"

namespace mayfly::sandbox {
namespace {

constexpr std::uint64_t patience_ns = 5'000'000'000;
constexpr timeval answer_patience{5, 0};
constexpr int signals_max = 1000;

// The program's main thread, stopped at the entry of a system call: that which it was blocked in,
// begun anew, or the next it makes. Threads share their current directory.
class StoppedThread {
 public:
  explicit StoppedThread(pid_t pid) : thread_(pid), deadline_(monotonic_ns() + patience_ns) {}
  StoppedThread(const StoppedThread&) = delete;
  StoppedThread& operator=(const StoppedThread&) = delete;
  ~StoppedThread() {
    if (traced_) thread_.detach();
  }

  int stop();
  int change_directory(std::string_view path);

 private:
  Tracee thread_;
  std::uint64_t deadline_;
  bool traced_ = false;
};

int StoppedThread::stop() {
  if (int error = thread_.seize(); error != 0) return error;
  traced_ = true;
  if (int error = thread_.interrupt(); error != 0) return error;
  int signal = 0;
  for (int stops = 0; stops < signals_max; ++stops) {
    Stop stop = thread_.wait(deadline_);
    if (stop.kind == Stop::entry) return 0;
    if (stop.kind == Stop::none) return ETIMEDOUT;
    if (stop.kind == Stop::ended) return ESRCH;
    signal = stop.kind == Stop::signal ? stop.signal_number : 0;
    if (int error = thread_.go_on(Tracee::Until::call, signal); error != 0) return error;
  }
  return ELOOP;
}

int StoppedThread::change_directory(std::string_view path) {
  CallRegisters registers;
  if (int error = thread_.read(registers); error != 0) return error;
  std::string text(path);
  // Memory below its stack that no function of it has in use (the red zone is 128 bytes).
  std::uint64_t scratch = registers.stack() - 512;
  iovec here{text.data(), text.size() + 1};
  iovec there{reinterpret_cast<void*>(scratch), text.size() + 1};
  if (::process_vm_writev(thread_.pid(), &here, 1, &there, 1, 0) !=
      static_cast<ssize_t>(text.size() + 1)) {
    return EFAULT;
  }
  std::int64_t result = 0;
  if (int error = thread_.call_before(deadline_, SYS_chdir, {scratch, 0, 0, 0, 0, 0}, result);
      error != 0) {
    return error;
  }
  return static_cast<int>(-result);
}

struct Order {
  Plan& plan;
  pid_t program;
  int orders;  // socket to the program
  const std::vector<std::string>& env;
};

int change_directory(const Order& order) {
  StoppedThread thread(order.program);
  if (int error = thread.stop(); error != 0) return error;
  return thread.change_directory(order.plan.spec.cwd);
}

int filter_init(const Order& order) { return load_seccomp(*order.plan.seccomp); }

int hand_over(const Order& order) {
  return send_message(order.orders, encode(GuestOrder::become_environment, order.env), {});
}

int await_answer(const Order& order) {
  unsigned char answer = 0;
  ssize_t got = ::recv(order.orders, &answer, 1, 0);
  if (got < 0) return errno == EAGAIN ? ETIMEDOUT : errno;
  return got == 0 ? EPIPE : answer;
}

struct SpecialiseStep {
  const char* name;
  int (*run)(const Order&);
};
constexpr std::array specialise_steps = {
    SpecialiseStep{"change the parked program's directory", change_directory},
    SpecialiseStep{"filter system calls of the init", filter_init},
    SpecialiseStep{"tell the parked program its environment", hand_over},
    SpecialiseStep{"wait until it has taken it", await_answer},
};

// Hands signals on, as the init of any jail; ends with the program.
void take_signals(int signals, pid_t program, int control) {
  signalfd_siginfo info{};
  while (::read(signals, &info, sizeof info) > 0) {
    if (info.ssi_signo != SIGCHLD) ::kill(program, static_cast<int>(info.ssi_signo));
  }
  int status = 0;
  if (!reap(program, status)) return;
  send_report(control, {Report::ended, status, 0, -1});
  ::_exit(0);
}

void specialise(const Order& order) {
  for (std::size_t i = 0; i < specialise_steps.size(); ++i) {
    int error = specialise_steps[i].run(order);
    if (error == 0) continue;
    int step = specialise_step_base + static_cast<int>(i);
    send_report(order.plan.control, {Report::failed, step, error, -1});
    ::_exit(1);
  }
  send_report(order.plan.control, {Report::specialised, 0, 0, -1});
}

}  // namespace

const char* specialise_step_name(int index) {
  auto at = static_cast<std::size_t>(index - specialise_step_base);
  return at < specialise_steps.size() ? specialise_steps[at].name : "unknown step";
}

void serve_until_specialised(Plan& plan, pid_t program, io::Fd orders) {
  ::setsockopt(orders.get(), SOL_SOCKET, SO_RCVTIMEO, &answer_patience, sizeof answer_patience);
  sigset_t all;
  ::sigfillset(&all);
  io::Fd signals(::signalfd(-1, &all, SFD_CLOEXEC | SFD_NONBLOCK));
  while (true) {
    std::array<pollfd, 2> watched{{{signals.get(), POLLIN, 0}, {plan.control, POLLIN, 0}}};
    if (::poll(watched.data(), watched.size(), -1) < 0 && errno != EINTR) ::_exit(1);
    if (watched[0].revents != 0) take_signals(signals.get(), program, plan.control);
    if (watched[1].revents == 0) continue;
    Message message;
    if (receive_message(plan.control, message) != 0) ::_exit(0);  // nothing is wanted any more
    auto request = decode_request(message);
    if (!request || request->what != Request::What::specialise) ::_exit(1);
    return specialise({plan, program, orders.get(), request->spec.env});
  }
}

}  // namespace mayfly::sandbox
