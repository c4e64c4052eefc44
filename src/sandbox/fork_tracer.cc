#include "sandbox/fork_tracer.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <bit>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <vector>

#include "io/fd.h"
#include "sandbox/jail_steps.h"
#include "sandbox/template_root.h"
#include "sandbox/tracee.h"

namespace mayfly::sandbox {
namespace {

using Arguments = std::array<std::uint64_t, 6>;

constexpr std::uint64_t guest_patience_ns = 5'000'000'000;
constexpr int guest_stops_max = 100'000;

constexpr std::uint64_t every_namespace = CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID |
                                          CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS |
                                          CLONE_NEWCGROUP;

// The kernel's answer to "what lies at this address" (Linux 6.11 and newer; linux/fs.h there):
// reading the whole list takes a tenth of a millisecond and more.
struct MappingQuery {
  std::uint64_t size = sizeof(MappingQuery);
  std::uint64_t flags = 0;
  std::uint64_t address = 0;
  std::uint64_t start = 0;
  std::uint64_t end = 0;
  std::uint64_t rights = 0;
  std::uint64_t page_size = 0;
  std::uint64_t offset = 0;
  std::uint64_t inode = 0;
  std::uint32_t major = 0;
  std::uint32_t minor = 0;
  std::uint32_t name_size = 0;
  std::uint32_t build_id_size = 0;
  std::uint64_t name = 0;
  std::uint64_t build_id = 0;
};
constexpr unsigned long query_request = _IOWR('f', 17, MappingQuery);
constexpr std::uint64_t right_to_write = 2;
constexpr std::uint64_t right_to_execute = 4;
constexpr std::uint64_t shared_mapping = 8;

// 0 or an errno as of check_instruction; nullopt: this kernel does not know the question.
std::optional<int> query_mapping(int maps, std::uint64_t address) {
  MappingQuery query;
  query.address = address;
  if (::ioctl(maps, query_request, &query) != 0) {
    return errno == ENOTTY || errno == EINVAL ? std::nullopt : std::optional(errno);
  }
  bool fixed = (query.rights & (right_to_write | shared_mapping)) == 0;
  return fixed && (query.rights & right_to_execute) != 0 ? 0 : EPERM;
}

// The processor on which a fork is made: the many short turns of tracer and traced then need no
// other processor to wake up.
class OneProcessor {
 public:
  explicit OneProcessor(pid_t guest) : guest_(guest) {
    cpu_set_t here;
    CPU_ZERO(&here);
    CPU_SET(static_cast<unsigned>(::sched_getcpu()), &here);
    ::sched_getaffinity(0, sizeof all_, &all_);
    set(0, here);
    set(guest_, here);
  }
  OneProcessor(const OneProcessor&) = delete;
  OneProcessor& operator=(const OneProcessor&) = delete;
  ~OneProcessor() {
    set(0, all_);
    release(guest_);
  }
  void release(pid_t pid) const { set(pid, all_); }

 private:
  static void set(pid_t pid, const cpu_set_t& processors) {
    ::sched_setaffinity(pid, sizeof processors, &processors);
  }
  pid_t guest_;
  cpu_set_t all_{};
};

bool is_fork(const Stop& stop) {
  if (stop.call_number == SYS_fork) return true;
  return stop.call_number == SYS_clone && (stop.arguments[0] & (CLONE_VM | CLONE_THREAD)) == 0;
}

// What one fork holds: whatever is still there at its end is ended.
class Forking {
 public:
  Forking(Tracee& guest, const CallRegisters& at_fork, std::uint64_t number,
          const JailToEnter& jail, const std::function<int()>& may_run)
      : guest_(guest),
        at_fork_(at_fork),
        number_(number),
        jail_(jail),
        may_run_(may_run),
        processor_(guest.pid()) {}
  Forking(const Forking&) = delete;
  Forking& operator=(const Forking&) = delete;
  ~Forking();

  ForkFailure run();

 private:
  int make_stage_one();
  int enter_jail();
  int join_control_groups();
  int take_orders();
  int drop_everything();
  int make_stage_two();
  int fork_guest();

  // One system call of stage 1; a negative result is an error too.
  int call_one(std::uint64_t number, const Arguments& arguments, std::int64_t* result = nullptr);
  // A descriptor of the jail's init, as stage 1's own: `use` gets its number, then it is closed.
  int with_descriptor(int number, const std::function<int(std::uint64_t)>& use);
  int write_to_stage(const void* bytes, std::size_t size);
  // Memory below the guest's stack that no function of it has in use (the red zone is 128 bytes).
  std::uint64_t scratch() const { return at_fork_.stack() - 512; }

  Tracee& guest_;
  const CallRegisters& at_fork_;
  std::uint64_t number_;
  const JailToEnter& jail_;
  const std::function<int()>& may_run_;
  OneProcessor processor_;
  std::optional<Tracee> one_;
  std::optional<Tracee> two_;
  std::uint64_t pidfd_ = 0;  // of the jail's init, in stage 1
};

Forking::~Forking() {
  // Stage 2 before stage 1: its end makes the new environment a child of the jail's init.
  if (two_) two_->kill_and_reap();
  if (one_) one_->kill_and_reap();
}

int Forking::make_stage_one() {
  pid_t made = -1;
  if (int error =
          guest_.call_to_clone(at_fork_, SYS_clone, {CLONE_VM | CLONE_PARENT, 0, 0, 0, 0, 0}, made);
      error != 0) {
    return error;
  }
  one_.emplace(made);
  if (int error = guest_.finish_call(); error != 0) return error;
  return one_->wait(no_deadline_ns).kind == Stop::event ? 0 : ESRCH;
}

int Forking::call_one(std::uint64_t number, const Arguments& arguments, std::int64_t* result) {
  std::int64_t answer = 0;
  if (int error = one_->call(at_fork_, no_deadline_ns, number, arguments, answer); error != 0) {
    return error;
  }
  if (result != nullptr) *result = answer;
  return answer < 0 ? static_cast<int>(-answer) : 0;
}

int Forking::with_descriptor(int number, const std::function<int(std::uint64_t)>& use) {
  std::int64_t got = -1;
  auto wanted = static_cast<std::uint64_t>(number);
  if (int error = call_one(SYS_pidfd_getfd, {pidfd_, wanted, 0, 0, 0, 0}, &got); error != 0) {
    return error;
  }
  auto fd = static_cast<std::uint64_t>(got);
  if (int error = use(fd); error != 0) return error;
  return call_one(SYS_close, {fd, 0, 0, 0, 0, 0});
}

int Forking::write_to_stage(const void* bytes, std::size_t size) {
  iovec here{const_cast<void*>(bytes), size};
  iovec there{std::bit_cast<void*>(scratch()), size};
  bool written =
      ::process_vm_writev(one_->pid(), &here, 1, &there, 1, 0) == static_cast<ssize_t>(size);
  return written ? 0 : EFAULT;
}

int Forking::enter_jail() {
  std::int64_t jail = -1;
  auto init = static_cast<std::uint64_t>(jail_.init);
  if (int error = call_one(SYS_pidfd_open, {init, 0, 0, 0, 0, 0}, &jail); error != 0) return error;
  pidfd_ = static_cast<std::uint64_t>(jail);
  return call_one(SYS_setns, {pidfd_, every_namespace, 0, 0, 0, 0});
}

int Forking::join_control_groups() {
  if (int error = write_to_stage("0", 1); error != 0) return error;
  for (int group : jail_.groups) {
    int error = with_descriptor(
        group, [&](std::uint64_t fd) { return call_one(SYS_write, {fd, scratch(), 1, 0, 0, 0}); });
    if (error != 0) return error;
  }
  return 0;
}

int Forking::take_orders() {
  int error = with_descriptor(jail_.orders, [&](std::uint64_t fd) {
    return call_one(SYS_dup3, {fd, fork_fd, O_CLOEXEC, 0, 0, 0});
  });
  return error != 0 ? error : call_one(SYS_close, {pidfd_, 0, 0, 0, 0, 0});
}

// The identity of the jail's user, no capabilities, and /proc files of its own.
int Forking::drop_everything() {
  if (int error = call_one(SYS_setresgid, {jail_gid, jail_gid, jail_gid, 0, 0, 0}); error != 0) {
    return error;
  }
  if (int error = call_one(SYS_setresuid, {jail_uid, jail_uid, jail_uid, 0, 0, 0}); error != 0) {
    return error;
  }
  struct {
    __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
    std::array<__user_cap_data_struct, 2> none{};
  } sets;
  if (int error = write_to_stage(&sets, sizeof sets); error != 0) return error;
  std::uint64_t data = scratch() + offsetof(decltype(sets), none);
  if (int error = call_one(SYS_capset, {scratch(), data, 0, 0, 0, 0}); error != 0) return error;
  return call_one(SYS_prctl, {PR_SET_DUMPABLE, 1, 0, 0, 0, 0});
}

int Forking::make_stage_two() {
  pid_t made = -1;
  if (int error = one_->call_to_clone(at_fork_, SYS_clone, {CLONE_VM, 0, 0, 0, 0, 0}, made);
      error != 0) {
    return error;
  }
  two_.emplace(made);
  if (two_->wait(no_deadline_ns).kind != Stop::event) return ESRCH;
  std::int64_t session = 0;
  if (int error = two_->call(at_fork_, no_deadline_ns, SYS_setsid, {}, session); error != 0) {
    return error;
  }
  return session < 0 ? static_cast<int>(-session) : 0;
}

// With the arguments the guest gave: its C library expects their effects.
int Forking::fork_guest() {
  pid_t made = -1;
  if (int error = two_->call_to_clone(at_fork_, number_, at_fork_.arguments(), made); error != 0) {
    return error;
  }
  Tracee environment(made);
  if (environment.wait(no_deadline_ns).kind != Stop::event) return ESRCH;
  if (int error = may_run_(); error != 0) {
    environment.kill_and_reap();
    return error;
  }
  processor_.release(made);
  environment.detach();
  return 0;
}

ForkFailure Forking::run() {
  struct Part {
    const char* name;
    int (Forking::*run)();
  };
  constexpr std::array parts = {
      Part{"make the first stage", &Forking::make_stage_one},
      Part{"enter the jail", &Forking::enter_jail},
      Part{"join the jail's control groups", &Forking::join_control_groups},
      Part{"take the jail's socket of orders", &Forking::take_orders},
      Part{"take the jail's identity", &Forking::drop_everything},
      Part{"make the second stage", &Forking::make_stage_two},
      Part{"fork the template", &Forking::fork_guest},
  };
  for (const auto& part : parts) {
    if (int error = (this->*part.run)(); error != 0) {
      return {error, part.name, part.run == &Forking::make_stage_one};
    }
  }
  return {};
}

}  // namespace

int ForkTracer::stop_guest() {
  if (int error = guest_.seize(); error != 0) return error;
  if (int error = guest_.interrupt(); error != 0) return error;
  return wait_for_guest().kind == Stop::event ? 0 : ESRCH;
}

Stop ForkTracer::wait_for_guest() {
  Stop stop = guest_.wait(deadline_);
  if (stop.kind == Stop::ended) guest_ended_ = stop.wait_status;
  return stop;
}

int ForkTracer::await_fork() {
  int signal = 0;
  for (int stops = 0; stops < guest_stops_max; ++stops) {
    if (int error = guest_.go_on(Tracee::Until::call, std::exchange(signal, 0)); error != 0) {
      return error;
    }
    Stop stop = wait_for_guest();
    if (stop.kind == Stop::none) return ETIMEDOUT;
    if (stop.kind == Stop::ended) return ESRCH;
    if (stop.kind == Stop::signal) signal = stop.signal_number;
    if (stop.kind != Stop::entry || !is_fork(stop)) continue;
    number_ = stop.call_number;
    return guest_.read(at_fork_);
  }
  return ELOOP;
}

// Is it a system call instruction, in memory of the guest's own or of a file nobody can write?
int ForkTracer::check_instruction() const {
  std::uint64_t address = at_fork_.instruction() - 2;
  std::array<unsigned char, 2> bytes{};
  iovec here{bytes.data(), bytes.size()};
  iovec there{std::bit_cast<void*>(address), bytes.size()};
  if (::process_vm_readv(guest_.pid(), &here, 1, &there, 1, 0) != 2) return EFAULT;
  if (bytes[0] != 0x0F || bytes[1] != 0x05) return EPROTO;
  io::Fd maps_fd(
      ::open(("/proc/" + std::to_string(guest_.pid()) + "/maps").c_str(), O_RDONLY | O_CLOEXEC));
  if (auto known = query_mapping(maps_fd.get(), address); known) return *known;
  std::ifstream maps("/proc/" + std::to_string(guest_.pid()) + "/maps");
  for (std::string line; std::getline(maps, line);) {
    std::uint64_t from = 0;
    std::uint64_t to = 0;
    auto first = std::from_chars(line.data(), line.data() + line.size(), from, 16);
    std::from_chars(first.ptr + 1, line.data() + line.size(), to, 16);
    if (address < from || address >= to) continue;
    auto rights = line.find(' ') + 1;
    bool is_private = line.size() > rights + 3 && line[rights + 3] == 'p';
    bool fixed = line[rights + 1] == '-' && line[rights + 2] == 'x';
    return is_private && fixed ? 0 : EPERM;
  }
  return EFAULT;
}

int ForkTracer::stop_other_threads() {
  auto tasks = "/proc/" + std::to_string(guest_.pid()) + "/task";
  std::vector<Tracee> others;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(tasks, error)) {
    pid_t thread = static_cast<pid_t>(std::stol(entry.path().filename().string()));
    if (thread == guest_.pid()) continue;
    Tracee other(thread);
    if (int failed = other.seize(); failed != 0) return failed;
    others.push_back(other);
    if (int failed = other.interrupt(); failed != 0) return failed;
  }
  for (auto& thread : others) {
    if (thread.wait(deadline_).kind != Stop::event) return ESRCH;
  }
  return error.value();
}

// The guest's fork is not made: it stands behind an unknown call, where others can be put into it.
int ForkTracer::leave_call() {
  constexpr auto no_call = static_cast<std::uint64_t>(-1);
  if (int error = guest_.write(with_call(at_fork_, no_call, {})); error != 0) return error;
  if (int error = guest_.go_on(Tracee::Until::call); error != 0) return error;
  Stop stop = wait_for_guest();
  if (stop.kind == Stop::exit) return 0;
  return stop.kind == Stop::none ? ETIMEDOUT : ESRCH;
}

ForkFailure ForkTracer::hold(const std::function<int()>& give_order) {
  deadline_ = monotonic_ns() + guest_patience_ns;
  OneProcessor processor(guest_.pid());
  if (int error = stop_guest(); error != 0) return {error, "stop the template"};
  if (int error = give_order(); error != 0) return {error, "order the fork"};
  struct Part {
    const char* name;
    int (ForkTracer::*run)();
  };
  constexpr std::array parts = {
      Part{"wait for the template's fork", &ForkTracer::await_fork},
      Part{"leave the template's fork", &ForkTracer::leave_call},
      Part{"stop the template's threads", &ForkTracer::stop_other_threads},
  };
  for (const auto& part : parts) {
    if (int error = (this->*part.run)(); error != 0) return {error, part.name};
  }
  if (int error = check_instruction(); error != 0) return {error, "check the template's code"};
  held_ = true;
  return {};
}

ForkFailure ForkTracer::fork_into(const JailToEnter& jail, const std::function<int()>& may_run) {
  return Forking(guest_, at_fork_, number_, jail, may_run).run();
}

}  // namespace mayfly::sandbox
