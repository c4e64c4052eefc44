// Sandbox: one jailed process tree per execution environment.
//
// The Launcher is a small single-threaded process forked from the server before any thread starts.
// It makes every jail (clone3 into new user, mount, pid, ipc, uts and network namespaces), reaps
// it, and kills all of them when the server's end of its socket closes (so kill -9 of the server
// leaves nothing running).
//
// Threads: loop thread. Lifetime: an Instance must be ended (kill + exited) before the Launcher.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "io/fd.h"
#include "sandbox/evidence.h"

namespace mayfly::sandbox {

// A view of a host path inside the jail, read-only unless it says otherwise.
struct Bind {
  bool operator==(const Bind&) const = default;

  std::string source;  // host path; must exist
  std::string target;  // absolute path inside the jail
  bool writable = false;
};

// The target that makes a tree the root itself, in place of the fixed base; such a bind is the
// first, others beside it are writable, and its jail neither parks nor is a fork. The tree has
// directories proc, dev and tmp and files etc/hosts and etc/resolv.conf, which the jail's own
// cover, and the directories above those of the other binds.
inline constexpr std::string_view root_target = "/";

struct Limits {
  bool operator==(const Limits&) const = default;

  std::uint64_t memory_bytes = 0;   // of the whole tree; 0: none
  std::uint32_t cpu_millis = 1000;  // 1000 = one processor; Lambda's formula is the caller's
  std::uint32_t processes = 1024;
  std::uint32_t files = 1024;  // descriptors
  std::uint64_t tmp_bytes = 512ull << 20;
};

// What a program does once it has booted: serve, or park until it is told on descriptor 5
// (fork_order.h) what to become.
enum class Parking {
  none,
  forkable,       // Launcher::fork()
  specialisable,  // Launcher::specialise()
};

// A process of the jail beside its program: what the cloud calls an external extension. Standard
// input is empty; what all of them write goes into one pipe; other descriptors it has none.
struct Companion {
  std::vector<std::string> argv;  // argv[0] is a path inside the jail
  std::vector<std::string> env;   // "KEY=value"
};

struct Spec {
  InstanceId id;
  // Root: a fixed base (/usr, /lib*, /bin, /etc subset, /dev subset) plus these binds.
  std::vector<Bind> binds;
  std::vector<std::string> argv;  // argv[0] is a path inside the jail
  std::vector<std::string> env;   // "KEY=value"
  std::string cwd = "/var/task";
  std::string hostname = "sandbox";
  Limits limits;
  // TCP ports on which sockets are opened on 127.0.0.1 inside the jail's network namespace; the
  // listening ends come back to the server (Instance::listeners, same order).
  std::vector<std::uint16_t> listen_ports;
  // Give the guest one end of a socket pair as descriptor 3 (Instance::channel is ours), and the
  // write end of a pipe for framed log records as descriptor 4 (Instance::framed_log is ours).
  bool channel = false;
  bool framed_log = false;
  Parking parking = Parking::none;
  // Started before the program, which then waits for Instance::start_program(). Such a jail lasts
  // until the program and the last of them have ended. Not of one that parks, and not of forks.
  std::vector<Companion> companions;
  // TCP sockets of the jail's network, not connected to anything: by them the server reaches what
  // listens inside. They come back behind the listeners.
  std::uint16_t sockets = 0;
};

struct Exit {
  int code = -1;               // exit status, or -1
  int signal = 0;              // terminating signal, or 0
  bool out_of_memory = false;  // the kernel killed within this jail for memory
};

// One of several processes of a jail with companions has ended, or could not be started.
struct ProcessEnd {
  int companion = -1;  // index into Spec::companions; -1: the program
  Exit exit;
  int error = 0;  // errno of its execve(2); 0: it ran
};

struct Stats {
  // By the jail's control group: what it has in common with the jail it was forked from counts
  // there. Without one, by its processes.
  std::uint64_t memory_peak_bytes = 0;
  std::uint64_t memory_bytes = 0;
  std::uint64_t cpu_ns = 0;
  std::uint64_t page_faults = 0;
  bool by_processes = false;
};

class Instance {
 public:
  virtual ~Instance() = default;
  virtual const InstanceId& id() const = 0;
  // Waits until the jail has been made. At once for instances of Launcher::launch(); for a fork an
  // error says why there is none (its descriptors are closed then, and it has exited). What is
  // asked of an instance meanwhile is done when it is there.
  virtual io::Task<Result<>> launched() = 0;
  // The jail's init as the host numbers it (for /proc and debuggers).
  virtual int host_pid() const { return -1; }
  // Our ends; each may be taken (moved) once.
  virtual io::Fd take_output() = 0;  // read end of stdout and stderr (one pipe)
  virtual io::Fd take_channel() = 0;
  virtual io::Fd take_framed_log() = 0;
  virtual std::vector<io::Fd> take_listeners() = 0;
  // --- of a jail with companions; the others have no such output and no such ends ---
  virtual io::Fd take_companion_output() = 0;  // read end of what all companions write
  virtual void start_program() = 0;
  virtual void kill_program() = 0;  // SIGKILL to the program alone
  // The next process that has ended, in order. `cancelled` when the whole jail is gone.
  virtual io::Task<Result<ProcessEnd>> next_end(std::stop_token stop) = 0;

  // Kills the whole tree (SIGKILL to the jail's init). Idempotent.
  virtual void kill() = 0;
  virtual void signal(int number) = 0;  // to the jail's main process
  // Stops or continues every process of the tree (cgroup freezer, else SIGSTOP/SIGCONT).
  virtual void freeze() = 0;
  virtual void thaw() = 0;
  // Changes Limits::cpu_millis of the running tree.
  virtual void set_cpu_millis(std::uint32_t millis) = 0;
  // Of the processors, where more is wanted than there is, this tree gets so many thousandths of
  // what another gets; 1000 at first. Without effect where there is no cpu controller.
  virtual void set_cpu_weight(std::uint32_t per_mille) = 0;
  // Waits until the tree is gone.
  virtual io::Task<Result<Exit>> exited(Deadline deadline) = 0;
  virtual bool has_exited() const = 0;
  // Waits until the memory limit leaves its program nothing more (true), or the tree is gone. Its
  // processes are held from then on, so that evidence() finds them, and are all killed a second
  // later unless kill() came first (memory_alarm.h). Not where the machine has no means: the kernel
  // kills at once then.
  virtual io::Task<bool> out_of_memory() { co_return false; }
  // Lets a held tree go on with some memory more.
  virtual void give_room() {}
  virtual Stats stats() = 0;
  // Whether the next reading of stats() has its files open already: it takes 20 us instead of 100.
  virtual bool has_accounts_at_hand() const { return false; }
  // What its processes are doing now (about a millisecond); nothing where it does not run.
  virtual Evidence evidence() { return {}; }
  // Asks those of them that can to write their stacks to standard error; answers how many.
  virtual int ask_for_stacks(const Evidence&) { return 0; }
};

// Error::reason of launch() when the jail stood but its program could not be executed, or could not
// be given its working directory.
inline constexpr std::string_view program_not_started = "ProgramNotStarted";
inline constexpr std::string_view working_directory_refused = "WorkingDirectoryRefused";

class Launcher {
 public:
  virtual ~Launcher() = default;
  virtual io::Task<Result<std::unique_ptr<Instance>>> launch(Spec spec) = 0;
  // A new jail with a fork of `parked` in it, an instance launched forkable whose guest waits for
  // orders. Of the spec hold: id, binds (beyond those of `parked`), env (handed to the guest as its
  // change of environment), hostname, limits, listen_ports; the descriptors are as in `parked`. The
  // instances of forks are ended before the one of `parked`; SIGTERM to that ends its program
  // alone.
  // Answers before the fork has been made (Instance::launched), since the guest may well speak on
  // its channel before the launcher does.
  virtual Result<std::unique_ptr<Instance>> fork(Instance& parked, Spec spec) = 0;
  // `parked`, launched specialisable and parked, becomes an environment. Of the spec hold: binds
  // (beyond those of `parked`), env (all of it) and of the limits memory, processor and /tmp; the
  // instance, its descriptors and its listeners stay. Answers when the guest has taken its order.
  // After an error `parked` is killed.
  virtual io::Task<Result<>> specialise(Instance& parked, Spec spec) = 0;
  // Prepares this many jails for forks of `parked` ahead of demand, always.
  virtual void keep_ready(Instance& parked, unsigned jails) = 0;
  // Ends every jail and the launcher process itself.
  virtual io::Task<void> close() = 0;
};

// What this machine lets us enforce; `mayfly doctor` prints it.
struct Capability {
  std::string name;  // "memory limit"
  bool enforced = false;
  std::string how;      // "cgroup v1 memory", or why not and what to do about it
  bool needed = false;  // without it no jail starts at all
};
std::vector<Capability> probe_capabilities();

// First call of main(), before threads: forks the launcher process. `state_dir` holds its mounts'
// anchor directory; `program` is launcher_program(). Then attach() on the loop.
struct LauncherProcess {
  int pid = -1;
  io::Fd socket;
};
Result<LauncherProcess> fork_launcher(const std::string& state_dir, std::span<const char> program);
std::unique_ptr<Launcher> attach_launcher(io::Loop& loop, LauncherProcess process);

}  // namespace mayfly::sandbox
