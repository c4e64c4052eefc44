#include "sandbox/companions.h"

#include <errno.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>

#include "sandbox/jail.h"

namespace mayfly::sandbox {
namespace {

constexpr int program_item = -1;

int command_signal() { return SIGRTMAX; }

// In the child, whose table of descriptors is its own: the program keeps 0 to 4.
int take_companion_output() {
  bool good = ::dup2(companion_fd, 1) == 1 && ::dup2(companion_fd, 2) == 2 &&
              ::syscall(SYS_close_range, 3, 4, 0) == 0;
  return good ? 0 : errno;
}

// -1 and `error` where there is none.
pid_t start(const std::vector<std::string>& argv, const std::vector<std::string>& env,
            const std::function<int()>& prepare, int& error) {
  pid_t pid = spawn(argv, env, prepare, error);
  if (pid < 0 || error == 0) return pid;
  ::waitpid(pid, nullptr, 0);
  return -1;
}

// The processes and what became of them. Single-threaded, all signals blocked.
class Household {
 public:
  explicit Household(Plan& plan) : plan_(plan), pids_(plan.spec.companions.size(), -1) {}

  void start_companions() {
    for (std::size_t i = 0; i < pids_.size(); ++i) {
      const auto& companion = plan_.spec.companions[i];
      int error = 0;
      pids_[i] = start(companion.argv, companion.env, take_companion_output, error);
      if (error != 0) tell(0, static_cast<int>(i), error);
    }
    ::close(companion_fd);
  }

  void start_program() {
    if (started_) return;
    started_ = true;
    int error = 0;
    program_ = start(plan_.spec.argv, plan_.spec.env, [] { return 0; }, error);
    if (error != 0) tell(0, program_item, error);
    for (int fd = 0; fd < report_fd; ++fd) ::close(fd);
    if (early_ != 0) signal_program(early_);
  }

  void reap() {
    int status = 0;
    pid_t pid = 0;
    while ((pid = ::waitpid(-1, &status, WNOHANG)) > 0) {
      if (pid == program_) {
        program_ = -1;
        status_ = status;
        tell(status, program_item, 0);
      }
      for (std::size_t i = 0; i < pids_.size(); ++i) {
        if (pids_[i] != pid) continue;
        pids_[i] = -1;
        tell(status, static_cast<int>(i), 0);
      }
    }
  }

  // The order to start is taken after a signal that was sent later: queued signals come last.
  void signal_program(int number) {
    if (program_ > 0) ::kill(program_, number);
    if (!started_) early_ = number;
  }

  // A program that was never asked for may still come.
  bool all_ended() const {
    return started_ && program_ < 0 &&
           std::ranges::all_of(pids_, [](pid_t pid) { return pid < 0; });
  }
  int status() const { return status_; }

 private:
  static void tell(int status, int item, int error) {
    send_report(report_fd, {Report::process_ended, status, error, item});
  }

  Plan& plan_;
  std::vector<pid_t> pids_;
  pid_t program_ = -1;
  bool started_ = false;
  int early_ = 0;
  int status_ = 127 << 8;  // as of a program that could not be started
};

void obey(Household& household, int command) {
  if (command == static_cast<int>(JailCommand::start_program)) household.start_program();
  if (command == static_cast<int>(JailCommand::kill_program)) household.signal_program(SIGKILL);
}

}  // namespace

int send_command(int pidfd, JailCommand command) {
  siginfo_t info{};
  info.si_signo = command_signal();
  info.si_code = SI_QUEUE;
  info.si_value.sival_int = static_cast<int>(command);
  return static_cast<int>(::syscall(SYS_pidfd_send_signal, pidfd, info.si_signo, &info, 0));
}

void serve_with_companions(Plan& plan) {
  send_report(report_fd, {Report::started, 0, 0, -1});
  Household household(plan);
  household.start_companions();
  sigset_t all;
  ::sigfillset(&all);
  while (true) {
    household.reap();
    if (household.all_ended()) break;
    siginfo_t info{};
    int number = ::sigwaitinfo(&all, &info);
    if (number == command_signal() && info.si_code == SI_QUEUE) {
      obey(household, info.si_value.sival_int);
    } else if (number > 0 && number != SIGCHLD) {
      household.signal_program(number);
    }
  }
  send_report(report_fd, {Report::ended, household.status(), 0, -1});
  ::_exit(0);
}

}  // namespace mayfly::sandbox
