#include "threads.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <linux/rseq.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "host.h"
#include "park.h"

namespace mayfly::fork {
namespace {

// glibc keeps 32 and 33 for itself and lets no program block them, so they reach also the threads
// that block every signal (libuv's, the signal inspector's). 33 serves setuid() and the like,
// which nobody calls while all threads stand still. Its action is put back afterwards.
constexpr int stop_signal = 33;

struct Helper {
  jmp_buf context;
  pid_t tid = 0;
  void* thread_pointer = nullptr;
  pid_t* tid_address = nullptr;  // glibc's own copy of the thread's id
  void* robust_list = nullptr;
  std::size_t robust_size = 0;
  char name[16] = {};
  alignas(16) char entry_stack[1024];  // until the jump to the thread's own; small, as each page
                                       // of it that a child touches is copied
};

Helper helpers[helpers_max];
int helper_count = 0;
std::ptrdiff_t tid_offset = 0;
std::ptrdiff_t rseq_offset = 0;
bool has_rseq = false;
std::atomic<int> stopped{0};
std::atomic<int> go{0};

void revive(int index);

pid_t own_tid() { return static_cast<pid_t>(::syscall(SYS_gettid)); }

void* thread_pointer() {
#if defined(__x86_64__)
  return pointer_to(::pthread_self());
#else
  return __builtin_thread_pointer();
#endif
}

pid_t* own_tid_address() {
  return static_cast<pid_t*>(pointer_to(::pthread_self() + static_cast<std::uint64_t>(tid_offset)));
}

void futex_wait(std::atomic<int>& word, int expected, const timespec* timeout) {
  ::syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, expected, timeout, nullptr, 0);
}
void futex_wake(std::atomic<int>& word) {
  ::syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, INT32_MAX, nullptr, nullptr, 0);
}

// What the kernel knows about a thread, by glibc or by the thread itself.
void register_thread(const Helper& helper) {
  ::syscall(SYS_set_robust_list, helper.robust_list, helper.robust_size);
  ::prctl(PR_SET_NAME, helper.name);
  if (!has_rseq) return;
  constexpr std::uint32_t original_size = 32;
#if defined(__x86_64__)
  constexpr std::uint32_t signature = 0x53053053;
#else
  constexpr std::uint32_t signature = 0xd428bc00;
#endif
  auto* area =
      reinterpret_cast<struct rseq*>(static_cast<char*>(helper.thread_pointer) + rseq_offset);
  if (::syscall(SYS_rseq, area, original_size, 0, signature) != 0) {
    area->cpu_id = static_cast<std::uint32_t>(RSEQ_CPU_ID_REGISTRATION_FAILED);
  }
}

void on_stop(int) {
  int saved = errno;
  pid_t tid = own_tid();
  for (int i = 0; i < helper_count; ++i) {
    Helper& me = helpers[i];
    if (me.tid != tid) continue;
    me.thread_pointer = thread_pointer();
    me.tid_address = own_tid_address();
    ::syscall(SYS_get_robust_list, 0, &me.robust_list, &me.robust_size);
    ::prctl(PR_GET_NAME, me.name);
    if (::_setjmp(me.context) == 0) {
      stopped.fetch_add(1, std::memory_order_release);
      futex_wake(stopped);
    } else {
      register_thread(me);
      // The first makes the others, so that the main thread has to make but one.
      for (int other = 1; i == 0 && other < helper_count; ++other) revive(other);
    }
    while (go.load(std::memory_order_acquire) == 0) futex_wait(go, 0, nullptr);
    break;
  }
  errno = saved;
}

// First code of a revived thread, on its entry stack; every signal is blocked until the return
// from the handler restores the thread's own mask.
int enter(void* argument) { ::_longjmp(static_cast<Helper*>(argument)->context, 1); }

void revive(int index) {
  constexpr int flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD |
                        CLONE_SYSVSEM | CLONE_SETTLS | CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID;
  Helper& helper = helpers[index];
  void* top = helper.entry_stack + sizeof helper.entry_stack;
  pid_t made = ::clone(enter, top, flags, &helper, helper.tid_address, helper.thread_pointer,
                       helper.tid_address);
  require(made > 0, "its threads");
}

// ---- signal 33, which glibc's sigaction() refuses
// ------------------------------------------------

struct KernelAction {
  void (*handler)(int);
  unsigned long flags;
  void (*restorer)();
  std::uint64_t mask;
};
KernelAction former_action{};

#if defined(__x86_64__)
extern "C" void mayfly_restore_rt();
__asm__(
    ".text\n.type mayfly_restore_rt,@function\n.local mayfly_restore_rt\nmayfly_restore_rt:\n"
    "  mov $15, %eax\n  syscall\n");
#endif

void set_handler() {
  KernelAction action{on_stop, SA_RESTART, nullptr, ~std::uint64_t{0}};
#if defined(__x86_64__)
  constexpr unsigned long sa_restorer = 0x04000000;
  action.flags |= sa_restorer;
  action.restorer = mayfly_restore_rt;
#endif
  ::syscall(SYS_rt_sigaction, stop_signal, &action, &former_action, sizeof action.mask);
}
void restore_handler() {
  ::syscall(SYS_rt_sigaction, stop_signal, &former_action, nullptr, sizeof former_action.mask);
}

std::uint64_t block_all_signals() {
  std::uint64_t all = ~std::uint64_t{0};
  std::uint64_t former = 0;
  ::syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, &former, sizeof all);
  return former;
}
void set_signal_mask(std::uint64_t mask) {
  ::syscall(SYS_rt_sigprocmask, SIG_SETMASK, &mask, nullptr, sizeof mask);
}

// ---- what glibc keeps where ---------------------------------------------------------------------

// The place of the thread's id in glibc's description of a thread: the same for all threads.
bool find_tid_offset() {
  constexpr std::ptrdiff_t description_bytes = 1024;
  const auto* start = static_cast<const char*>(pointer_to(::pthread_self()));
  pid_t tid = own_tid();
  int found = 0;
  for (std::ptrdiff_t at = 0; at < description_bytes; at += sizeof(pid_t)) {
    pid_t value = 0;
    std::memcpy(&value, start + at, sizeof value);
    if (value != tid) continue;
    if (found++ == 0) tid_offset = at;
  }
  return found == 1;
}

void find_rseq() {
  auto* offset = static_cast<const std::ptrdiff_t*>(::dlsym(RTLD_DEFAULT, "__rseq_offset"));
  auto* size = static_cast<const unsigned*>(::dlsym(RTLD_DEFAULT, "__rseq_size"));
  has_rseq = offset != nullptr && size != nullptr && *size > 0;
  if (has_rseq) rseq_offset = *offset;
}

// Without opendir(), which allocates.
template <class Visit>
bool each_helper(Visit visit) {
  struct DirectoryEntry {
    std::uint64_t inode;
    std::int64_t next;
    std::uint16_t length;
    std::uint8_t type;
    char name[1];
  };
  int tasks = ::open("/proc/self/task", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (tasks < 0) return false;
  pid_t self = own_tid();
  alignas(8) char bytes[4096];
  long got = 0;
  while ((got = ::syscall(SYS_getdents64, tasks, bytes, sizeof bytes)) > 0) {
    for (long at = 0; at < got;) {
      const auto* entry = reinterpret_cast<const DirectoryEntry*>(bytes + at);
      auto tid = static_cast<pid_t>(std::strtol(entry->name, nullptr, 10));
      if (tid > 0 && tid != self) visit(tid);
      at += entry->length;
    }
  }
  ::close(tasks);
  return got == 0;
}

// Signals the threads not signalled yet; the number of new ones, or -1: too many.
int signal_new_helpers() {
  int fresh = 0;
  bool fits = true;
  bool listed = each_helper([&](pid_t tid) {
    for (int i = 0; i < helper_count; ++i) {
      if (helpers[i].tid == tid) return;
    }
    if (helper_count == helpers_max) {
      fits = false;
      return;
    }
    helpers[helper_count].tid = tid;
    ++helper_count;
    ++fresh;
    ::syscall(SYS_tgkill, ::getpid(), tid, stop_signal);
  });
  return listed && fits ? fresh : -1;
}

bool await_stopped() {
  timespec tick{.tv_sec = 0, .tv_nsec = 100'000'000};
  constexpr int ticks_max = 20;
  for (int tick_number = 0; tick_number < ticks_max;) {
    int now = stopped.load(std::memory_order_acquire);
    if (now == helper_count) return true;
    futex_wait(stopped, now, &tick);
    if (stopped.load(std::memory_order_acquire) == now) ++tick_number;
  }
  return false;
}

// In a system call, and one that waits? /proc tells the number; without it, the state.
bool waits(pid_t tid) {
  char path[64];
  std::snprintf(path, sizeof path, "/proc/self/task/%d/syscall", tid);
  char text[32] = {};
  int fd = ::open(path, O_RDONLY | O_CLOEXEC);
  ssize_t got = fd < 0 ? -1 : ::read(fd, text, sizeof text - 1);
  if (fd >= 0) ::close(fd);
  if (got <= 0) return true;  // the kernel does not tell: stopping it is correct anyway
  if (std::strncmp(text, "running", 7) == 0) return false;
  constexpr long waiting[] = {SYS_futex,      SYS_epoll_pwait,    SYS_ppoll,
#if defined(SYS_epoll_wait)
                              SYS_epoll_wait, SYS_poll,
#endif
                              SYS_read,       SYS_rt_sigtimedwait};
  long number = std::strtol(text, nullptr, 10);
  for (long one : waiting) {
    if (one == number) return true;
  }
  return false;
}

}  // namespace

int count_helpers(pid_t& busy) {
  int count = 0;
  busy = 0;
  bool listed = each_helper([&](pid_t tid) {
    ++count;
    if (busy == 0 && !waits(tid)) busy = tid;
  });
  return listed ? count : -1;
}

const char* stop_threads() {
  if (tid_offset == 0 && !find_tid_offset()) return "the layout of glibc's threads is unknown";
  find_rseq();
  helper_count = 0;
  stopped = 0;
  go = 0;
  set_handler();
  // A thread may start another one before it stops itself.
  const char* reason = nullptr;
  for (int fresh = 1; fresh != 0 && reason == nullptr;) {
    fresh = signal_new_helpers();
    if (fresh < 0) reason = "there are too many threads";
    if (reason == nullptr && !await_stopped()) reason = "a thread cannot be stopped";
  }
  for (int i = 0; i < helper_count && reason == nullptr; ++i) {
    if (*helpers[i].tid_address != helpers[i].tid) reason = "a thread is not glibc's";
  }
  if (reason != nullptr) release_threads();
  return reason;
}

void release_threads() {
  go.store(1, std::memory_order_release);
  futex_wake(go);
  restore_handler();
}

pid_t fork_stopped() {
  void* robust = nullptr;
  std::size_t robust_size = 0;
  ::syscall(SYS_get_robust_list, 0, &robust, &robust_size);
  unsigned long flags = CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID | SIGCHLD;
  pid_t* tid = own_tid_address();
#if defined(__x86_64__)
  auto pid = static_cast<pid_t>(::syscall(SYS_clone, flags, nullptr, nullptr, tid, nullptr));
#else
  auto pid = static_cast<pid_t>(::syscall(SYS_clone, flags, nullptr, nullptr, nullptr, tid));
#endif
  if (pid == 0) ::syscall(SYS_set_robust_list, robust, robust_size);
  return pid;
}

void revive_threads() {
  std::uint64_t mask = block_all_signals();
  release_threads();
  if (helper_count > 0) revive(0);
  set_signal_mask(mask);
}

}  // namespace mayfly::fork
