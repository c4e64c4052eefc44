// MemoryHelper: a process of the launcher that does to memory groups of cgroup v1 what the kernel
// lets wait (memory_threshold.h). The launcher's loop has every start to attend to, and may have no
// threads: it clones jails that go on to use the heap.
//
//   order     u32 what · u32 0 · u64 jail · u64 limit in bytes · the group's directory
//             descriptors, with `arm` alone: the eventfd
//   answer    u32 what · u32 whether it was done · u64 jail
//
// Over a SOCK_SEQPACKET pair; one order is under way at a time, so that no send waits. The helper
// ends with its socket or with the launcher.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <deque>
#include <optional>
#include <string>

#include "base/result.h"
#include "io/fd.h"

namespace mayfly::sandbox {

struct MemoryOrder {
  enum class What : std::uint32_t {
    arm = 1,  // arm_threshold()
    squeeze,  // squeeze()
    lower,    // lower_limit()
    kill,     // kill_until_lowered()
  };
  What what = What::arm;
  std::uint64_t jail = 0;
  std::uint64_t limit_bytes = 0;
  std::string dir;
};

struct MemoryAnswer {
  MemoryOrder::What what = MemoryOrder::What::arm;
  std::uint64_t jail = 0;
  bool done = false;
  bool lost = false;  // the helper ended over it; what has been done is not known
};

// Owns: our end of the socket, and the process. The launcher's only thread. Its end is the
// helper's.
class MemoryHelper {
 public:
  MemoryHelper() = default;
  ~MemoryHelper();
  MemoryHelper(const MemoryHelper&) = delete;
  MemoryHelper& operator=(const MemoryHelper&) = delete;

  // Forks it, where it does not run, and sends it what is queued. The caller has one thread.
  Result<> start();
  bool runs() const { return static_cast<bool>(socket_); }
  // To be watched for input after each start().
  int fd() const { return socket_.get(); }
  pid_t pid() const { return pid_; }
  bool busy() const { return current_.has_value() || !queue_.empty(); }
  bool works_on(std::uint64_t jail) const { return current_ && current_->jail == jail; }
  bool has_order_of(std::uint64_t jail) const;
  // Sends it, or queues it behind those before. While it runs. `eventfd` with `arm`, which is not
  // queued: only while it is not busy().
  void ask(MemoryOrder order, int eventfd = -1);
  // What waits of a jail that is gone is not asked for any more.
  void forget(std::uint64_t jail);
  // After an input event; nothing: there is none. After one that was lost it does not run, and the
  // queue waits for the next start().
  std::optional<MemoryAnswer> take();

 private:
  void send_next(int eventfd);
  MemoryAnswer lose();

  io::Fd socket_;
  pid_t pid_ = -1;
  std::deque<MemoryOrder> queue_;
  std::optional<MemoryOrder> current_;
};

}  // namespace mayfly::sandbox
