#include "sandbox/fork_host.h"

#include <errno.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <vector>

#include "sandbox/fork_order.h"
#include "sandbox/fork_tracer.h"
#include "sandbox/jail.h"
#include "sandbox/protocol.h"
#include "sandbox/sys.h"
#include "sandbox/template_root.h"

namespace mayfly::sandbox {
namespace {

// Owns: the template process and every nested jail. Never ends but with the process.
class ForkHost {
 public:
  ForkHost(Plan& plan, pid_t program, io::Fd fork_socket)
      : plan_(plan), program_(program), fork_socket_(std::move(fork_socket)), tracer_(program) {
    sigset_t all;
    ::sigfillset(&all);
    signals_ = io::Fd(::signalfd(-1, &all, SFD_CLOEXEC | SFD_NONBLOCK));
  }
  [[noreturn]] void run();

 private:
  // One that has not had its fork yet; afterwards only `living_` counts it.
  struct Nested {
    pid_t pid = -1;
    io::Fd socket;
  };

  void on_signals();
  void reap_all();
  void on_program_end(int status);
  bool on_launcher();
  void make_nested(const NestedOrder& order, Message& message);
  Result<> map_user(pid_t pid, unsigned user);
  void on_nested(Nested& nested);
  ForkFailure fork_into(const Nested& nested, const ForkAsk& ask);
  void end_template();

  Plan& plan_;
  pid_t program_;
  bool program_lives_ = true;
  io::Fd fork_socket_;
  ForkTracer tracer_;
  io::Fd signals_;
  std::vector<Nested> waiting_;
  int living_ = 0;  // nested jails whose init has not been reaped
  std::vector<pid_t> nested_inits_;
};

void ForkHost::run() {
  while (program_lives_ || living_ > 0) {
    std::vector<pollfd> watched{{signals_.get(), POLLIN, 0}, {plan_.control, POLLIN, 0}};
    for (const auto& nested : waiting_) watched.push_back({nested.socket.get(), POLLIN, 0});
    if (::poll(watched.data(), watched.size(), -1) < 0 && errno != EINTR) break;
    if (watched[0].revents != 0) on_signals();
    for (std::size_t i = waiting_.size(); i-- > 0;) {
      if (watched[i + 2].revents == 0) continue;
      on_nested(waiting_[i]);
      waiting_.erase(waiting_.begin() + static_cast<std::ptrdiff_t>(i));
      reap_all();  // what came in between came without a signal of its own
    }
    // Last, since it may add to the waiting. The launcher's end means that all ends.
    if (watched[1].revents != 0 && !on_launcher()) break;
  }
  ::_exit(0);
}

void ForkHost::on_signals() {
  signalfd_siginfo info{};
  while (::read(signals_.get(), &info, sizeof info) > 0) {
    if (info.ssi_signo == SIGTERM) end_template();
  }
  reap_all();
}

void ForkHost::end_template() {
  if (program_lives_) ::kill(program_, SIGKILL);
}

void ForkHost::reap_all() {
  int status = 0;
  pid_t pid = 0;
  while ((pid = ::waitpid(-1, &status, __WALL | WNOHANG)) > 0) {
    if (WIFSTOPPED(status)) continue;  // a tracee, which stays where it is
    if (std::erase(nested_inits_, pid) > 0) --living_;
    if (pid == program_ && program_lives_) on_program_end(status);
  }
}

void ForkHost::on_program_end(int status) {
  program_lives_ = false;
  send_report(plan_.control, {Report::ended, status, 0, -1});
}

bool ForkHost::on_launcher() {
  Message message;
  if (receive_message(plan_.control, message) != 0) return false;
  NestedOrder order;
  if (message.bytes.size() != sizeof order || message.fds.empty()) return true;
  std::memcpy(&order, message.bytes.data(), sizeof order);
  make_nested(order, message);
  return true;
}

Result<> ForkHost::map_user(pid_t pid, unsigned user) {
  auto dir = fmt::format("/proc/{}", pid);
  // One id maps to itself where nothing else may be mapped: not root, one user for all.
  unsigned group = user == jail_uid ? jail_gid : user;
  TRY(sys::write_file(dir + "/uid_map", fmt::format("{} {} 1", jail_uid, user)));
  return sys::write_file(dir + "/gid_map", fmt::format("{} {} 1", jail_gid, group));
}

// A jail that could not be made: the launcher sees its control socket end, after the reason.
void ForkHost::make_nested(const NestedOrder& order, Message& message) {
  auto& fds = message.fds;
  auto fail_with = [&](int error) { send_report(fds[0].get(), {Report::failed, -1, error, -1}); };
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0) {
    return fail_with(errno);
  }
  io::Fd ours(ends[0]);
  io::Fd theirs(ends[1]);
  Plan plan;
  plan.control = fds[0].get();
  plan.host = theirs.get();
  plan.seccomp = plan_.seccomp;
  plan.spec.limits.tmp_bytes = order.tmp_bytes;
  for (std::size_t i = 1; i < fds.size(); ++i) plan.group_tasks.push_back(fds[i].get());
  int pidfd = -1;
  pid_t pid = sys::clone_process({.flags = CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID |
                                           CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWNET},
                                 pidfd);
  if (pid == 0) run_nested_jail(std::move(plan));
  if (pid < 0) return fail_with(errno);
  io::Fd child(pidfd);
  nested_inits_.push_back(pid);
  ++living_;
  if (auto mapped = map_user(pid, order.user); !mapped) {
    ::kill(pid, SIGKILL);
    return fail_with(EPERM);
  }
  if (::write(ours.get(), "m", 1) == 1) waiting_.push_back({pid, std::move(ours)});
}

// The nested jail asks for its fork, or has ended.
void ForkHost::on_nested(Nested& nested) {
  Message message;
  if (receive_message(nested.socket.get(), message) != 0) return;
  ForkAsk ask;
  if (message.bytes.size() != sizeof ask) return;
  std::memcpy(&ask, message.bytes.data(), sizeof ask);
  ForkFailure failure{ESRCH, "the template has ended"};
  if (program_lives_) failure = fork_into(nested, ask);
  // Another template takes its place.
  if (failure.of_guest) end_template();
  ForkAnswer answer;
  answer.error = failure.error;
  std::strncpy(answer.step, failure.step, sizeof answer.step - 1);
  send_message(nested.socket.get(), {reinterpret_cast<const char*>(&answer), sizeof answer}, {});
}

// The first one has the template stand at its fork.
ForkFailure ForkHost::fork_into(const Nested& nested, const ForkAsk& ask) {
  if (!tracer_.holds()) {
    auto failure = tracer_.hold(
        [&] { return send_message(fork_socket_.get(), encode(GuestOrder::stand, {}), {}); });
    if (failure.error != 0) {
      if (auto ended = tracer_.guest_ended()) {
        on_program_end(*ended);
      } else {
        end_template();
      }
      return failure;
    }
  }
  JailToEnter jail{.init = nested.pid, .orders = ask.orders, .groups = {}};
  jail.groups.assign(ask.groups, ask.groups + ask.group_count);
  return tracer_.fork_into(jail, [&] {
    char byte = 'e';
    if (::write(nested.socket.get(), &byte, 1) != 1) return errno;
    return ::read(nested.socket.get(), &byte, 1) == 1 ? 0 : EPIPE;
  });
}

}  // namespace

void serve_as_host(Plan& plan, pid_t program, io::Fd fork_socket) {
  ForkHost(plan, program, std::move(fork_socket)).run();
}

}  // namespace mayfly::sandbox
