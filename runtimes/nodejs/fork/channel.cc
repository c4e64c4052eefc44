#include "channel.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string_view>
#include <utility>

namespace mayfly::fork {

namespace {

// Events of one turn of the event loop while nothing of the function's is alive in it. What the
// loop does besides (tasks of the interpreter, what was unreferenced) waits for no more than these.
constexpr int events_per_turn = 16;

// Of the answer's head (channel.js).
constexpr std::size_t head_flags_at = 4;
constexpr int framed_descriptor = 4;
constexpr unsigned char knows_output = 0x40;
constexpr unsigned char something_unread = 0x80;

struct Bytes {
  char* data = nullptr;
  std::size_t size = 0;
};

// Of the main thread; made once, and there until the process ends.
struct Service {
  napi_env env = nullptr;
  napi_async_context context = nullptr;
  napi_ref self = nullptr;
  napi_ref next = nullptr;
  std::int32_t* state = nullptr;    // whether `next` is at work; whether it is to be called again
  std::int32_t* written = nullptr;  // whether framed records may lie unread
  Bytes input;
  Bytes output;
  uv_loop_t* loop = nullptr;
  uv_check_t* turn = nullptr;
  uv_idle_t* awake = nullptr;  // the loop does not wait
  bool early = false;          // what was made immediate before has not run yet
};
Service service;

void plan() {
  uv_check_start(service.turn, [](uv_check_t*) {
    // The interpreter runs its immediates behind this callback: those of an event that was answered
    // within it have run when it comes next, those of others not before.
    if (std::exchange(service.early, false)) return;
    uv_check_stop(service.turn);
    uv_idle_stop(service.awake);
    for (int left = events_per_turn; left > 0; --left) {
      napi_env env = service.env;
      napi_handle_scope scope = nullptr;
      napi_value self = nullptr;
      napi_value next = nullptr;
      napi_open_handle_scope(env, &scope);
      napi_get_reference_value(env, service.self, &self);
      napi_get_reference_value(env, service.next, &next);
      service.state[0] = 1;
      service.state[1] = 0;
      // Runs what was made ready as well: ticks and settled promises.
      int done = napi_make_callback(env, service.context, self, next, 0, nullptr, nullptr);
      service.state[0] = 0;
      napi_value error = nullptr;
      if (done == napi_pending_exception && napi_get_and_clear_last_exception(env, &error) == 0) {
        napi_fatal_exception(env, error);
      }
      napi_close_handle_scope(env, scope);
      if (service.state[1] == 0) return;
      if (uv_loop_alive(service.loop) != 0) break;
    }
    plan();
  });
  uv_idle_start(service.awake, [](uv_idle_t*) {});
}

// One or two numbers.
void numbers(napi_env env, napi_callback_info info, std::int32_t (&out)[2]) {
  std::size_t count = 2;
  napi_value arguments[2] = {};
  napi_get_cb_info(env, info, &count, arguments, nullptr, nullptr);
  for (std::size_t i = 0; i < 2; ++i) napi_get_value_int32(env, arguments[i], &out[i]);
}

napi_value number(napi_env env, std::int64_t value) {
  napi_value out = nullptr;
  napi_create_int32(env, static_cast<std::int32_t>(value), &out);
  return out;
}

Bytes buffer_of(napi_env env, napi_value value) {
  void* data = nullptr;
  std::size_t size = 0;
  napi_ref kept = nullptr;
  napi_get_buffer_info(env, value, &data, &size);
  napi_create_reference(env, value, 1, &kept);
  return {static_cast<char*>(data), size};
}

// Of an Int32Array, which is kept.
std::int32_t* numbers_of(napi_env env, napi_value value) {
  void* data = nullptr;
  napi_ref kept = nullptr;
  napi_get_typedarray_info(env, value, nullptr, nullptr, &data, nullptr, nullptr);
  napi_create_reference(env, value, 1, &kept);
  return static_cast<std::int32_t*>(data);
}

bool lies_unread(int descriptor) {
  int bytes = 0;
  if (::ioctl(descriptor, FIONREAD, &bytes) == 0) return bytes > 0;
  return errno != EBADF;
}

// Whether a call that failed is worth another try; waits for it.
bool try_again(int descriptor, short event) {
  if (errno == EINTR) return true;
  if (errno != EAGAIN) return false;
  pollfd one{descriptor, event, 0};
  ::poll(&one, 1, -1);
  return true;
}

// Events in memory: the byte table is in src/io/record_ring.h.
constexpr std::size_t slots = 16;
constexpr std::size_t slot_bytes = 4096;
constexpr std::size_t ring_bytes = (slots + 1) * slot_bytes;
constexpr std::size_t frame_head_bytes = 12;
struct Ring {
  char* memory = nullptr;
  int bell = -1;
};
Ring ring;

// Answers in memory: the byte table is in src/io/byte_ring.h.
constexpr std::size_t answer_room = std::size_t{16} * 1024;
constexpr std::size_t answer_bytes_at = 4096;
char* answers = nullptr;
constexpr char notice[frame_head_bytes] = {0, 0, 0, 0, 14};  // src/guest/lambda/lean.h

std::atomic_ref<std::uint32_t> number_in(char* memory, std::size_t offset) {
  return std::atomic_ref(*reinterpret_cast<std::uint32_t*>(memory + offset));
}

std::atomic_ref<std::uint32_t> number_at(std::size_t offset) {
  return number_in(ring.memory, offset);
}

bool put_answer(const char* data, std::size_t size) {
  if (answers == nullptr) return false;
  auto tail = number_in(answers, 0);
  std::uint32_t from = tail.load(std::memory_order_relaxed);
  std::size_t held = from - number_in(answers, 64).load(std::memory_order_acquire);
  if (size > answer_room - held) return false;
  std::size_t at = from % answer_room;
  std::size_t first = std::min(size, answer_room - at);
  std::memcpy(answers + answer_bytes_at + at, data, first);
  std::memcpy(answers + answer_bytes_at, data + first, size - first);
  tail.store(from + static_cast<std::uint32_t>(size), std::memory_order_release);
  std::atomic_thread_fence(std::memory_order_seq_cst);
  return true;
}

bool host_waits() {
  auto waits = number_in(answers, 128);
  return waits.load() != 0 && waits.exchange(0) != 0;
}

// The next event, or 0. It is copied first: once it is taken its place is the host's.
std::size_t take_event(char* into, std::size_t room) {
  auto head = number_at(0);
  auto tail = number_at(64);
  std::uint32_t next = head.load(std::memory_order_acquire);
  while (next != tail.load(std::memory_order_acquire)) {
    const char* slot = ring.memory + (1 + next % slots) * slot_bytes;
    std::uint32_t body = 0;
    std::memcpy(&body, slot, sizeof body);
    std::size_t size = std::min({frame_head_bytes + body, slot_bytes, room});
    std::memcpy(into, slot, size);
    if (head.compare_exchange_strong(next, next + 1)) return size;
  }
  return 0;
}

// As read(2) of a pipe that blocks; 0: the host has gone.
std::size_t wait_for_event(char* into, std::size_t room) {
  auto asleep = number_at(128);
  while (true) {
    if (std::size_t size = take_event(into, room); size > 0) return size;
    asleep.store(1);
    std::atomic_thread_fence(std::memory_order_seq_cst);
    if (std::size_t size = take_event(into, room); size > 0) {
      asleep.store(0);
      return size;
    }
    char bytes[64];
    ssize_t got = -1;
    do {
      got = ::read(ring.bell, bytes, sizeof bytes);
    } while (got < 0 && try_again(ring.bell, POLLIN));
    if (got <= 0) return 0;
  }
}

// Of this thread.
struct Account {
  std::int64_t micros = 0;  // of processor time
  long waits = 0;           // how often it gave the processor away by itself
};
Account account_now() {
  rusage used{};
  ::getrusage(RUSAGE_THREAD, &used);
  std::int64_t seconds = used.ru_utime.tv_sec + used.ru_stime.tv_sec;
  return {seconds * 1'000'000 + used.ru_utime.tv_usec + used.ru_stime.tv_usec, used.ru_nvcsw};
}
Account account_then;

char* map(int memory, std::size_t bytes) {
  void* mapped = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
  ::close(memory);
  return mapped == MAP_FAILED ? nullptr : static_cast<char*>(mapped);
}

bool write_all(int descriptor, const char* data, std::size_t left) {
  while (left > 0) {
    ssize_t put = ::write(descriptor, data, left);
    if (put < 0 && !try_again(descriptor, POLLOUT)) return false;
    if (put < 0) continue;
    data += put;
    left -= static_cast<std::size_t>(put);
  }
  return true;
}

}  // namespace

bool open_rings(int bell, int events, int memory) {
  ring = {map(events, ring_bytes), bell};
  answers = map(memory, answer_bytes_at + answer_room);
  ::fcntl(framed_descriptor, F_SETFD, FD_CLOEXEC);
  return ring.memory != nullptr && answers != nullptr;
}

bool output_unread() {
  if (lies_unread(STDOUT_FILENO)) return true;
  if (service.written == nullptr) return lies_unread(framed_descriptor);
  if (*service.written == 0) return false;
  bool unread = lies_unread(framed_descriptor);
  *service.written = unread ? 1 : 0;
  return unread;
}

napi_value serve(napi_env env, napi_callback_info info) {
  std::size_t count = 5;
  napi_value arguments[5] = {};
  napi_get_cb_info(env, info, &count, arguments, nullptr, nullptr);
  service.env = env;
  napi_create_reference(env, arguments[0], 1, &service.next);
  service.state = numbers_of(env, arguments[1]);
  service.written = numbers_of(env, arguments[2]);
  *service.written = 1;  // of before
  service.input = buffer_of(env, arguments[3]);
  service.output = buffer_of(env, arguments[4]);
  napi_value self = nullptr;
  napi_value name = nullptr;
  napi_create_object(env, &self);
  napi_create_reference(env, self, 1, &service.self);
  constexpr std::string_view type = "MayflyEvent";
  napi_create_string_utf8(env, type.data(), type.size(), &name);
  napi_async_init(env, self, name, &service.context);
  napi_get_uv_event_loop(env, &service.loop);
  // Their size is the host's to say; they are there until the process ends.
  service.turn = static_cast<uv_check_t*>(std::calloc(1, uv_handle_size(uv_check_type)));
  service.awake = static_cast<uv_idle_t*>(std::calloc(1, uv_handle_size(uv_idle_type)));
  uv_check_init(service.loop, service.turn);
  uv_idle_init(service.loop, service.awake);
  return nullptr;
}

napi_value again(napi_env, napi_callback_info) {
  service.early = true;
  plan();
  return nullptr;
}

napi_value began(napi_env, napi_callback_info) {
  account_then = account_now();
  return nullptr;
}

napi_value spent(napi_env env, napi_callback_info) {
  Account now = account_now();
  return number(env, now.waits == account_then.waits ? now.micros - account_then.micros : -1);
}

napi_value read_events(napi_env env, napi_callback_info info) {
  std::int32_t given[2] = {-1, 0};
  numbers(env, info, given);
  auto offset = static_cast<std::size_t>(given[1]);
  if (ring.memory != nullptr && given[0] == ring.bell) {
    std::size_t size = wait_for_event(service.input.data + offset, service.input.size - offset);
    return number(env, static_cast<std::int64_t>(size));
  }
  ssize_t got = -1;
  do {
    got = ::read(given[0], service.input.data + offset, service.input.size - offset);
  } while (got < 0 && try_again(given[0], POLLIN));
  return number(env, got > 0 ? got : 0);
}

napi_value write_answer(napi_env env, napi_callback_info info) {
  std::int32_t given[2] = {-1, 0};
  numbers(env, info, given);
  bool unread = output_unread();
  char* data = service.output.data;
  data[head_flags_at] =
      static_cast<char>(data[head_flags_at] | knows_output | (unread ? something_unread : 0));
  auto size = static_cast<std::size_t>(given[1]);
  bool gone = false;
  if (!put_answer(data, size)) {
    gone = !write_all(given[0], data, size);
  } else if (host_waits()) {
    gone = !write_all(given[0], notice, sizeof notice);
  }
  if (gone) return number(env, -1);
  return number(env, unread ? 1 : 0);
}

}  // namespace mayfly::fork
