// fork.node: what template.js cannot do in JavaScript. Functions, all called on the main thread:
//   mark()              what is open and active now belongs to the interpreter
//   busy()              why the process is not quiet now; empty: it is
//   pair()              a new pair of connected sockets, "7 8"
//   collect()           a full garbage collection
//   forget()            what runs from here to park() is what children run first
//   reseed()            of OpenSSL's generators; complete() does it in children
//   pid()               the number of this process, asked now
//   countRandom(on)     count calls of OpenSSL's generator; false: this build cannot
//   randomCalls()       … how many
//   park(generic)       sends PARKED and waits to be forked: returns "" in every child, or why this
//                       process must not be forked
//   ordered()           in the child: whether its order is there
//   order()             … waits for it
//   complete()          … does what it says, before any code of the function
// and, of the channel's pipes (channel.js):
//   receive(3)          the two descriptors that come over the socket, "7 8", with memory that
//                       read(7, …) takes events from and memory that answer(8, …) writes to;
//                       empty: its peer ended
//   tellStacks()        from here on a signal has the stack written to standard error
//   unread()            whether something in the pipes of output and log has not been read
//   serve(next, state, written, input, output)
//                       what the three below work with: the function that takes one event, two
//                       numbers (whether it is at work; whether it is to be called again), one
//                       more (whether framed records may lie unread), buffers
//   again()             has `next` called in the next turn of the event loop; or in the same turn,
//                       behind the one at work, where state[1] is set and nothing else is alive
//   read(7, offset)     reads into `input`: bytes; 0: the host has gone
//   answer(8, length)   writes an answer out of `output`, with what unread() says in its head:
//                       whether something is unread; -1: the host has gone
//   began()             a call begins whose processor time may be asked for
//   spent()             … microseconds of it since then; -1: it has waited for something
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>

#include "channel.h"
#include "descriptors.h"
#include "host.h"
#include "pages.h"
#include "park.h"
#include "random.h"
#include "stacks.h"
#include "threads.h"

namespace {

namespace fork = mayfly::fork;

constexpr int handles_max = 256;
const uv_handle_t* own_handles[handles_max];
int own_handle_count = 0;

napi_value text(napi_env env, const char* value) {
  napi_value out = nullptr;
  napi_create_string_utf8(env, value, std::strlen(value), &out);
  return out;
}
napi_value number(napi_env env, double value) {
  napi_value out = nullptr;
  napi_create_double(env, value, &out);
  return out;
}
bool flag(napi_env env, napi_callback_info info) {
  std::size_t count = 1;
  napi_value argument = nullptr;
  bool out = false;
  napi_get_cb_info(env, info, &count, &argument, nullptr, nullptr);
  napi_get_value_bool(env, argument, &out);
  return out;
}
uv_loop_t* loop_of(napi_env env) {
  uv_loop_t* loop = nullptr;
  napi_get_uv_event_loop(env, &loop);
  return loop;
}

napi_value mark(napi_env env, napi_callback_info) {
  ::fcntl(fork::fork_fd, F_SETFD, FD_CLOEXEC);
  fork::mark_descriptors();
  own_handle_count = 0;
  uv_walk(
      loop_of(env),
      [](uv_handle_t* handle, void*) {
        if (own_handle_count < handles_max) own_handles[own_handle_count++] = handle;
      },
      nullptr);
  return nullptr;
}

struct Walk {
  const char* active = nullptr;
};
void visit_handle(uv_handle_t* handle, void* argument) {
  if (uv_is_active(handle) == 0) return;
  const char* type = uv_handle_type_name(uv_handle_get_type(handle));
  if (type == nullptr) type = "unknown";
  if (std::strcmp(type, "signal") == 0) return;  // carried over
  bool own = false;
  for (int i = 0; i < own_handle_count; ++i) own = own || own_handles[i] == handle;
  // One timer of the interpreter's is that of all timers of the function; those made later and
  // without a reference are V8's, for its delayed tasks.
  bool is_timer = std::strcmp(type, "timer") == 0;
  if (is_timer ? !own && uv_has_ref(handle) == 0 : own) return;
  static_cast<Walk*>(argument)->active = type;
}

napi_value busy(napi_env env, napi_callback_info) {
  char reason[128];
  Walk walk;
  uv_walk(loop_of(env), visit_handle, &walk);
  if (walk.active != nullptr) {
    std::snprintf(reason, sizeof reason, "the event loop has an active %s", walk.active);
    return text(env, reason);
  }
  siginfo_t info{};
  if (::waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0 || errno != ECHILD) {
    return text(env, "a child process runs");
  }
  pid_t thread = 0;
  int count = fork::count_helpers(thread);
  if (count < 0 || count > fork::helpers_max) {
    std::snprintf(reason, sizeof reason, "%d threads are too many", count);
    return text(env, reason);
  }
  if (thread != 0) {
    std::snprintf(reason, sizeof reason, "thread %d runs", thread);
    return text(env, reason);
  }
  return text(env, "");
}

napi_value pair(napi_env env, napi_callback_info) {
  int ends[2] = {-1, -1};
  char names[32];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) return text(env, "");
  std::snprintf(names, sizeof names, "%d %d", ends[0], ends[1]);
  return text(env, names);
}

napi_value collect(napi_env, napi_callback_info) {
  auto isolate = host_symbol<void* (*)()>("_ZN2v87Isolate10GetCurrentEv");
  auto run = host_symbol<void (*)(void*)>("_ZN2v87Isolate21LowMemoryNotificationEv");
  if (isolate != nullptr && run != nullptr) run(isolate());
  return nullptr;
}

napi_value forget(napi_env, napi_callback_info) {
  fork::forget_program_pages();
  return nullptr;
}
napi_value reseed(napi_env, napi_callback_info) {
  fork::require(fork::reseed_openssl(), "random numbers");
  return nullptr;
}
napi_value pid(napi_env env, napi_callback_info) { return number(env, ::getpid()); }

napi_value count_random(napi_env env, napi_callback_info info) {
  return number(env, fork::count_random(flag(env, info)) ? 1 : 0);
}
napi_value random_calls(napi_env env, napi_callback_info) {
  return number(env, fork::random_calls());
}

napi_value park(napi_env env, napi_callback_info info) {
  bool generic = flag(env, info);
  const char* reason = fork::find_math_random(env);
  if (reason == nullptr) reason = fork::park(generic);
  return text(env, reason != nullptr ? reason : "");
}

napi_value ordered(napi_env env, napi_callback_info) {
  napi_value out = nullptr;
  napi_get_boolean(env, fork::order_waits(), &out);
  return out;
}
napi_value order(napi_env, napi_callback_info) {
  fork::take_order();
  return nullptr;
}
napi_value complete(napi_env env, napi_callback_info) {
  fork::complete();
  uv_update_time(loop_of(env));
  fork::require(fork::renew_random(), "random numbers");
  return nullptr;
}

napi_value receive(napi_env env, napi_callback_info info) {
  std::size_t count = 1;
  napi_value argument = nullptr;
  std::int32_t socket = -1;
  napi_get_cb_info(env, info, &count, &argument, nullptr, nullptr);
  napi_get_value_int32(env, argument, &socket);
  char byte = 0;
  iovec part{&byte, 1};
  // What wakes for events; answers; memory with the events; memory for answers.
  int ends[4] = {-1, -1, -1, -1};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof ends)];
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  ssize_t got = -1;
  do {
    got = ::recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
  } while (got < 0 && errno == EINTR);
  const cmsghdr* head = CMSG_FIRSTHDR(&message);
  if (got != 1 || head == nullptr || head->cmsg_len != CMSG_LEN(sizeof ends)) return text(env, "");
  std::memcpy(ends, CMSG_DATA(head), sizeof ends);
  fork::require(fork::open_rings(ends[0], ends[2], ends[3]), "memory for events");
  // Woken by the first of several events, this thread is not to run before the host has written the
  // others. What it starts is as ever.
  sched_param priority{};
  ::sched_setscheduler(0, SCHED_BATCH | SCHED_RESET_ON_FORK, &priority);
  char names[32];
  std::snprintf(names, sizeof names, "%d %d", ends[0], ends[1]);
  return text(env, names);
}

napi_value tell_stacks(napi_env, napi_callback_info) {
  fork::tell_stacks();
  return nullptr;
}

napi_value unread(napi_env env, napi_callback_info) {
  napi_value out = nullptr;
  napi_get_boolean(env, fork::output_unread(), &out);
  return out;
}

void define(napi_env env, napi_value exports, const char* name, napi_callback callback) {
  napi_value function = nullptr;
  napi_create_function(env, name, std::strlen(name), callback, nullptr, &function);
  napi_set_named_property(env, exports, name, function);
}

}  // namespace

extern "C" __attribute__((visibility("default"))) napi_value
napi_register_module_v1(napi_env env, napi_value exports) {
  define(env, exports, "mark", mark);
  define(env, exports, "busy", busy);
  define(env, exports, "pair", pair);
  define(env, exports, "collect", collect);
  define(env, exports, "forget", forget);
  define(env, exports, "reseed", reseed);
  define(env, exports, "pid", pid);
  define(env, exports, "countRandom", count_random);
  define(env, exports, "randomCalls", random_calls);
  define(env, exports, "park", park);
  define(env, exports, "ordered", ordered);
  define(env, exports, "order", order);
  define(env, exports, "complete", complete);
  define(env, exports, "receive", receive);
  define(env, exports, "unread", unread);
  define(env, exports, "tellStacks", tell_stacks);
  define(env, exports, "serve", fork::serve);
  define(env, exports, "again", fork::again);
  define(env, exports, "read", fork::read_events);
  define(env, exports, "answer", fork::write_answer);
  define(env, exports, "began", fork::began);
  define(env, exports, "spent", fork::spent);
  return exports;
}
