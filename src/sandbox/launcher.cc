#include "sandbox/launcher.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/close_range.h>
#include <malloc.h>
#include <sched.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include "base/limits.h"
#include "base/log.h"
#include "sandbox/namespaces.h"
#include "sandbox/seccomp.h"
#include "sandbox/sys.h"
#include "sandbox/template_root.h"

namespace mayfly::sandbox {
namespace {

constexpr int quiet_ms = 3;
// User namespaces of slots that nobody has: so many environments start at once without one's
// making.
constexpr std::size_t users_kept = 256;
// Of a jail that is to be made ahead; the smallest function has four times this.
constexpr std::uint64_t usual_memory_min = 32 * limits::mib;

std::uint64_t nanoseconds(const timeval& time) {
  return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000'000 +
         static_cast<std::uint64_t>(time.tv_usec) * 1000;
}

Result<> check(const Request& request, std::size_t guest_ends) {
  const Spec& spec = request.spec;
  if (request.parked == 0 && (spec.argv.empty() || spec.argv[0].empty())) {
    return fail(ErrorKind::invalid, "a jail needs a program to start");
  }
  if (spec.listen_ports.size() > limits::sandbox_listeners) {
    return fail(ErrorKind::too_large, fmt::format("at most {} ports can be listened on in a jail",
                                                  limits::sandbox_listeners));
  }
  if (spec.binds.size() > limits::sandbox_binds) {
    return fail(ErrorKind::too_large,
                fmt::format("at most {} binds in a jail", limits::sandbox_binds));
  }
  if (spec.sockets > limits::sandbox_listeners) {
    return fail(ErrorKind::too_large,
                fmt::format("at most {} sockets of a jail", limits::sandbox_listeners));
  }
  bool alone = spec.companions.empty();
  bool parks = request.parked != 0 || spec.parking != Parking::none;
  if (!alone && parks) {
    return fail(ErrorKind::invalid, "a jail that parks, or a fork, has no companions");
  }
  bool own_root = std::ranges::count(spec.binds, root_target, &Bind::target) > 0;
  bool only_writable = own_root && spec.binds.front().target == root_target &&
                       std::ranges::all_of(spec.binds.begin() + 1, spec.binds.end(),
                                           [](const Bind& bind) { return bind.writable; });
  if (own_root && (parks || !only_writable)) {
    return fail(ErrorKind::invalid,
                "a root of its own goes with no parking, and before binds that are writable");
  }
  std::size_t wanted = 1u + (spec.channel ? 1 : 0) + (spec.framed_log ? 1 : 0) + (alone ? 0 : 1);
  if (guest_ends != wanted) {
    return fail(ErrorKind::corrupt, "a launch request with the wrong descriptors");
  }
  return {};
}

}  // namespace

Result<ControlEnds> make_control_ends() {
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0) {
    return fail_errno("socketpair", errno);
  }
  ::fcntl(ends[0], F_SETFL, O_NONBLOCK);
  return ControlEnds{io::Fd(ends[0]), io::Fd(ends[1])};
}

Result<> LauncherLoop::watch(int fd, std::uint64_t tag, std::uint32_t events) {
  epoll_event event{};
  event.events = events == 0 ? static_cast<std::uint32_t>(EPOLLIN) : events;
  event.data.u64 = tag;
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) {
    return fail_errno("epoll_ctl", errno);
  }
  return {};
}

LauncherLoop::LauncherLoop(io::Fd socket, std::string template_dir)
    : socket_(std::move(socket)),
      template_dir_(std::move(template_dir)),
      users_([this](unsigned slot) { return make_user(slot); }, users_kept),
      slots_(limits::sandbox_jails),
      nested_slots_(limits::sandbox_jails) {}

Result<> LauncherLoop::prepare() {
  is_root_ = ::geteuid() == 0;
  note_heap();
  groups_ = open_control_groups(Room::make);
  if (groups_.memory.version == 1) start_memory_helper();
  TRY(enter_launcher_namespaces());
  TRY(build_template_root(template_dir_));
  // A clone's current directory follows into its copy of the mounts: steps use relative paths.
  if (::chdir(template_dir_.c_str()) != 0) return fail_errno(template_dir_, errno);
  TRY_ASSIGN(seccomp_, compile_seccomp(FilterFor::jail));
  TRY_ASSIGN(forkable_seccomp_, compile_seccomp(FilterFor::forkable));
  own_network_ = io::Fd(::open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC));
  null_ = io::Fd(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  if (!own_network_ || !null_) return fail_errno("open /proc/self/ns/net or /dev/null", errno);
  ::malloc_trim(0);  // what the filters took: jails have what remains, touched from its begin on
  return {};
}

int LauncherLoop::run() {
  sigset_t all;
  ::sigfillset(&all);
  ::sigprocmask(SIG_SETMASK, &all, nullptr);
  epoll_ = io::Fd(::epoll_create1(EPOLL_CLOEXEC));
  if (!epoll_ || !watch(socket_.get(), socket_tag)) return 1;
  if (auto ready = prepare(); ready) {
    usable_ = true;
  } else {
    broken_ = ready.error();
    log::error("sandbox", "no jail can be started: {}", broken_.message);
  }
  while (!ending_ || !jails_.empty()) {
    // Jails are parked, and alarms armed, when nothing has been asked for a moment: what was asked
    // for has the processors.
    bool idle = !turn(work_ahead() ? quiet_ms : next_end_ms());
    end_held();
    end_unused();
    while (idle && work_ahead()) {
      arm_wanted() ? arm_one() : make_spare();
      idle = !turn(0);
      end_held();
    }
  }
  close_control_groups(groups_);
  return 0;
}

LauncherLoop::Jail* LauncherLoop::find(Id id) {
  auto found = jails_.find(id);
  return found == jails_.end() ? nullptr : &found->second;
}

bool LauncherLoop::turn(int timeout_ms) {
  std::array<epoll_event, 64> events;
  int count =
      ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), timeout_ms);
  for (int i = 0; i < count; ++i) {
    std::uint64_t tag = events[static_cast<std::size_t>(i)].data.u64;
    if (tag == socket_tag) {
      on_socket();
    } else if (tag == helper_tag) {
      on_memory_helper();
    } else if (Jail* jail = find(jail_of_tag(tag)); jail == nullptr) {
      continue;  // an earlier event of this turn ended it
    } else if (tag == control_tag(jail->id)) {
      on_report(*jail);
    } else if (tag == alarm_tag(jail->id)) {
      on_alarm(*jail);
    } else {
      on_gone(*jail);
    }
  }
  return count > 0;
}

void LauncherLoop::release(Jail& jail) {
  memory_helper_.forget(jail.id);
  if (memory_helper_.works_on(jail.id)) {  // its removal would wait for that
    leaving_ = std::move(jail);
    return;
  }
  remove_control_group(jail.group);
  give_back_slot(jail);
}

void LauncherLoop::on_socket() {
  Message message;
  int error = receive_message(socket_.get(), message);
  if (error == EMSGSIZE) return;
  if (error != 0) {
    ending_ = true;
    ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, socket_.get(), nullptr);
    kill_all();
    return;
  }
  if (auto wanted = decode_keep_ready(message); wanted) {
    return keep_ready(wanted->parked, wanted->jails);
  }
  auto launched = launch(std::move(message));
  if (!launched) log::error("sandbox", "launcher: {}", launched.error().message);
}

// An error is answered to the server; what returns one is a request that cannot even be read.
Result<> LauncherLoop::launch(Message message) {
  std::size_t sent = message.fds.size();
  io::Fd file;
  if (is_in_file(message)) file = io::Fd(::fcntl(message.fds[0].get(), F_DUPFD_CLOEXEC, 0));
  TRY_ASSIGN(auto request, decode_request(message));
  if (request.what == Request::What::specialise) {
    return specialise(request, message, std::move(file)), Result<>{};
  }
  const Spec& spec = request.spec;
  auto answer = [&](Error error) { send({request.sequence, std::move(error)}); };
  if (!usable_) return answer(broken_), Result<>{};
  if (auto good = check(request, sent - (file ? 1 : 0)); !good) {
    return answer(good.error()), Result<>{};
  }
  auto taken = take_jail(request);
  if (!taken) return answer(taken.error()), Result<>{};
  Jail& jail = **taken;
  jail.sequence = request.sequence;
  jail.parking = spec.parking;
  jail.memory_bytes = spec.limits.memory_bytes;
  if (spec.parking == Parking::forkable) templates_.emplace(jail.sequence, jail.id);
  if (spec.parking == Parking::specialisable) specialisable_.emplace(jail.sequence, jail.id);
  auto done = jail.ahead == Ahead::poised ? start_poised(jail, message, std::move(file))
                                          : order(jail, spec, message, std::move(file));
  if (!done) {
    answer(done.error());
    // A jail that has its listeners or limits already is not used for another function.
    if (std::exchange(jail.ordered, true)) --starting_;
    jail.replied = true;
    end(jail);
  }
  return {};
}

Result<LauncherLoop::Jail*> LauncherLoop::take_jail(const Request& request) {
  if (request.parked != 0) return take_nested(request.parked);
  Jail* poised = take_poised(request.spec);
  note_program(request.spec);
  if (poised != nullptr) return poised;
  return take_parked();
}

Result<> LauncherLoop::order(Jail& jail, const Spec& spec, Message& message, io::Fd file) {
  // It has those of the one before, or of its template. A fork need not wait for its own.
  bool limited = std::exchange(jail.limits, spec.limits) == spec.limits;
  if (jail.host == 0) {
    if (spec.limits.memory_bytes >= usual_memory_min) usual_limits_ = spec.limits;
    if (!limited) TRY(set_limits(jail.group, spec.limits));
  }
  std::vector<io::Fd> trees;
  std::vector<int> fds;
  if (file) fds.push_back(file.get());
  for (const auto& bind : spec.binds) {
    TRY_ASSIGN(auto tree, open_bind(template_dir_, bind));
    fds.push_back(tree.get());
    trees.push_back(std::move(tree));
    jail.bind_names.push_back(fmt::format("{} on {}", bind.source, bind.target));
  }
  if (jail.network) {
    Ports ports{spec.listen_ports, spec.sockets};
    TRY(listen_in(jail, ports));
    jail.network.reset();
    if (!spec.listen_ports.empty()) usual_ports_ = std::move(ports);
  }
  for (const auto& fd : message.fds) fds.push_back(fd.get());
  jail.ordered = true;
  ++starting_;
  int error = send_message(jail.control.get(), message.bytes, fds);
  // EPIPE: it failed in an earlier step, and says in which when it is reaped.
  if (error != 0 && error != EPIPE && error != ECONNRESET) {
    return fail_errno("order a jail", error);
  }
  return limited || jail.host == 0 ? Result<>{} : set_limits(jail.group, spec.limits);
}

void LauncherLoop::on_report(Jail& jail) {
  if (take_reports(jail) == EAGAIN) return;
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, jail.control.get(), nullptr);
  // A nested jail that ended before it was parked has nothing else to be seen by.
  if (!jail.pidfd) on_gone(jail);
}

// Until there is none (EAGAIN) or will be none any more (another errno).
int LauncherLoop::take_reports(Jail& jail) {
  Message message;
  int error = 0;
  while ((error = receive_message(jail.control.get(), message)) == 0) {
    Report report;
    if (message.bytes.size() != sizeof report) continue;
    std::memcpy(&report, message.bytes.data(), sizeof report);
    auto& fds = message.fds;
    if (report.kind == Report::parked && !fds.empty()) {
      on_parked(jail, std::move(fds[0]));
    } else if (report.kind == Report::started && !jail.replied) {
      on_started(jail, std::move(fds));
    } else if (report.kind == Report::poised) {
      on_poised(jail);
    } else if (report.kind == Report::failed) {
      on_failed(jail, report.step_or_status, report.error, report.item);
    } else if (report.kind == Report::specialised) {
      on_specialised(jail, std::nullopt);
    } else if (report.kind == Report::process_ended) {
      on_process_end(jail, report.step_or_status, report.item, report.error);
    } else if (report.kind == Report::ended) {
      on_program_end(jail, report.step_or_status);
    }
  }
  return error;
}

void LauncherLoop::on_started(Jail& jail, std::vector<io::Fd> sent) {
  if (jail.parking == Parking::specialisable) {
    if (!sent.empty()) jail.mounts = std::move(sent.front());
  } else if (!sent.empty()) {
    jail.listeners = std::move(sent);
  }
  std::vector<int> fds{jail.pidfd.get()};
  for (const auto& listener : jail.listeners) fds.push_back(listener.get());
  if (jail.output) fds.push_back(jail.output.get());
  for (const auto& file : jail.accounts) fds.push_back(file.get());
  Launched launched{jail.pid, bool(jail.output), !jail.accounts.empty(), jail.group};
  send({jail.sequence, std::move(launched)}, fds);
  jail.replied = true;
  --starting_;
  jail.listeners.clear();
  jail.output.reset();
  jail.accounts.clear();
  if (jail.parking != Parking::specialisable) unarmed_.push_back(jail.id);
}

void LauncherLoop::on_failed(Jail& jail, int step, int error, int item) {
  std::string what = jail.host == 0 ? jail_step_name(step) : nested_jail_step_name(step);
  auto index = static_cast<std::size_t>(item);
  if (what == "attach binds" && index < jail.bind_names.size()) {
    what += ": " + jail.bind_names[index];
  } else if (item >= 0) {
    what += fmt::format(" (item {})", item);
  }
  jail.failure = fail_errno("sandbox: " + what, error).error();
  if (jail.host == 0) jail.failure->reason = jail_step_reason(step);
}

void LauncherLoop::on_program_end(Jail& jail, int status) {
  jail.status = status;
  let_die(jail.group);  // the kernel kills what the program leaves behind
  forget_parked(jail);
}

// Of a wait status.
Exit LauncherLoop::exit_of(const Jail& jail, int status) {
  Exit out;
  if (WIFEXITED(status)) out.code = WEXITSTATUS(status);
  if (WIFSIGNALED(status)) out.signal = WTERMSIG(status);
  out.out_of_memory = jail.starved || jail.killed_in || killed_for_memory(jail.group);
  return out;
}

void LauncherLoop::on_process_end(Jail& jail, int status, int companion, int error) {
  send({jail.sequence,
        ProcessEnd{.companion = companion, .exit = exit_of(jail, status), .error = error}});
}

// All of the jail is gone, its init as well.
void LauncherLoop::on_gone(Jail& jail) {
  int status = 0;
  rusage usage{};
  if (jail.host == 0) ::wait4(jail.pid, &status, 0, &usage);
  Id id = jail.id;
  take_reports(jail);
  std::erase(parked_, id);
  forget_parked(jail);
  forget_poised(jail);
  if (Jail* host = find(jail.host); host != nullptr) {
    std::erase(host->parked, id);
    // It would fail again and again: forks make theirs on demand, and say why.
    if (jail.failure && !jail.ordered) host->keep_ready = 0;
    note_want(*host);
  }
  finish(jail, status, usage);
  jails_.erase(id);
}

void LauncherLoop::finish(Jail& jail, int wait_status, const rusage& usage) {
  Exited exited;
  exited.exit = exit_of(jail, jail.status.value_or(wait_status));
  exited.stats = read_stats(jail.group);
  // Without control groups: what init and all it reaped used, the largest of them for memory.
  if (jail.group.memory.version == 0) {
    exited.stats.memory_peak_bytes = static_cast<std::uint64_t>(usage.ru_maxrss) * limits::kib;
  }
  if (jail.group.accounting.version == 0) {
    exited.stats.cpu_ns = nanoseconds(usage.ru_utime) + nanoseconds(usage.ru_stime);
  }
  if (jail.ahead != Ahead::no) {
    if (jail.ahead == Ahead::executing) --starting_;
  } else if (!jail.ordered) {
    // It would fail again and again: later jails are made on demand and tell their callers why.
    if (jail.host == 0) parking_works_ = false;
    if (jail.failure) log::error("sandbox", "{}", jail.failure->message);
  } else if (jail.replied) {
    Error ended{ErrorKind::unavailable, "the parked guest ended", {}};
    if (jail.specialising != 0) on_specialised(jail, jail.failure.value_or(ended));
    send({jail.sequence, exited});
  } else {
    --starting_;
    Error error{ErrorKind::unavailable, "the jail's first process was killed while starting", {}};
    if (exited.exit.out_of_memory) error.message = "the memory limit is too small to start a jail";
    send({jail.sequence, jail.failure.value_or(error)});
  }
  release(jail);
}

// A server that is gone cannot be told anything: a failed send is followed by the socket's end.
void LauncherLoop::send(const Reply& reply, const std::vector<int>& fds) {
  send_message(socket_.get(), encode(reply), fds);
}

void LauncherLoop::end(Jail& jail) {
  if (jail.pidfd) {
    sys::pidfd_send_signal(jail.pidfd.get(), SIGKILL);
  } else {
    ::shutdown(jail.control.get(), SHUT_RDWR);  // it ends when it asks for its order
  }
  let_die(jail.group);
}

// Until something that waits for its end is ended; -1: nothing does.
int LauncherLoop::next_end_ms() const {
  int held = held_ms();
  int unused = unused_ms();
  return held < 0 || unused < 0 ? std::max(held, unused) : std::min(held, unused);
}

void LauncherLoop::kill_all() {
  for (auto& [id, jail] : jails_) end(jail);
}

}  // namespace mayfly::sandbox
