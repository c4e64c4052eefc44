#include "io/loop.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>

namespace mayfly::io {

namespace {
// Enough for a chain of calls that were answered together.
constexpr int rounds_before_poll = 64;
// So often a turn looks for what has come meanwhile before it ends.
constexpr int gatherings = 4;
}  // namespace

Loop::Loop(const Clock& clock) : clock_(clock), lately_(clock.mono()) {
  epoll_fd_ = ::epoll_create1(EPOLL_CLOEXEC);
  wake_fd_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.ptr = nullptr;
  // Without these descriptors there is no loop; this happens at boot only.
  if (epoll_fd_ < 0 || wake_fd_ < 0 ||
      ::epoll_ctl(epoll_fd_, EPOLL_CTL_ADD, wake_fd_, &event) != 0) {
    std::abort();
  }
}

Loop::~Loop() {
  ::close(wake_fd_);
  ::close(epoll_fd_);
}

void Loop::run() {
  run_turns(stopping_);
  stopping_ = false;
}

// What a batch made ready mostly goes on at once; descriptors wait for some rounds at most.
void Loop::run_rounds(const bool& done) {
  for (int round = 0; round < rounds_before_poll && !done; ++round) {
    run_batch();
    if (ready_.empty()) break;
  }
}

// What is done once for many at a turn's end mostly wakes another process, which costs more than a
// look at the descriptors: clients that are answered one after the other come back one after the
// other, the last of them while the first are served.
void Loop::run_turns(const bool& done) {
  bool many = false;
  while (!done) {
    run_rounds(done);
    for (int left = gatherings; many && left > 0 && ends_something() && !done; --left) {
      if (poll(0) == 0) break;
      run_rounds(done);
    }
    end_turn();
    if (!done) many = poll(idle() ? timeout_ms() : 0) > 1;
  }
}

void Loop::end_turn() {
  // Whoever comes back at once waits for the next turn.
  std::vector<std::coroutine_handle<>> waiters;
  waiters.swap(turn_waiters_);
  for (auto handle : waiters) handle.resume();
  while (!turn_ends_.empty()) {
    auto* handler = turn_ends_.back();
    turn_ends_.pop_back();
    handler->on_turn_end();
  }
}

void Loop::run_ready() {
  do {
    end_turn();
    poll(0);
  } while (run_batch() || !ready_.empty() || !turn_ends_.empty() || !turn_waiters_.empty());
}

bool Loop::run_batch() {
  bool any = run_posted();
  any = fire_timers() || any;
  // Only what is ready now: a coroutine that readies itself again must not starve descriptors.
  for (std::size_t n = ready_.size(); n > 0; --n) {
    auto handle = ready_.front();
    ready_.pop_front();
    handle.resume();
    any = true;
  }
  return any;
}

bool Loop::fire_timers() {
  bool any = false;
  MonoTime now = lately_ = clock_.mono();
  while (!timers_.empty() && timers_.begin()->first.first <= now) {
    auto node = timers_.extract(timers_.begin());
    node.mapped()();
    any = true;
  }
  if (platform_timers_.empty()) return any;
  WallTime platform = clock_.platform();
  while (!platform_timers_.empty() && platform_timers_.begin()->first.first <= platform) {
    auto node = platform_timers_.extract(platform_timers_.begin());
    node.mapped()();
    any = true;
  }
  return any;
}

bool Loop::run_posted() {
  std::vector<std::move_only_function<void()>> calls;
  {
    std::lock_guard lock(posted_mutex_);
    calls.swap(posted_);
  }
  for (auto& call : calls) call();
  return !calls.empty();
}

int Loop::timeout_ms() const {
  constexpr Duration never = Duration::max();
  Duration left = never;
  if (!timers_.empty()) left = timers_.begin()->first.first - clock_.mono();
  if (!platform_timers_.empty()) {
    Duration until = platform_timers_.begin()->first.first - clock_.platform();
    // Frozen time stands still until a call moves it, which wakes the loop by itself.
    if (until <= Duration::zero() || clock_.platform_runs()) left = std::min(left, until);
  }
  if (left == never) return -1;
  if (left <= Duration::zero()) return 0;
  // Rounded up, so that a timer is due when the poll returns.
  auto ms = std::chrono::ceil<std::chrono::milliseconds>(left).count();
  return static_cast<int>(std::min<std::int64_t>(ms, 60'000));
}

int Loop::poll(int timeout_ms) {
  std::array<epoll_event, 128> events;
  int count = ::epoll_wait(epoll_fd_, events.data(), events.size(), timeout_ms);
  removed_.clear();
  if (timeout_ms != 0) lately_ = clock_.mono();
  for (int i = 0; i < count; ++i) {
    const auto& event = events[static_cast<std::size_t>(i)];
    if (event.data.ptr == nullptr) {
      std::uint64_t value = 0;
      [[maybe_unused]] ssize_t got = ::read(wake_fd_, &value, sizeof value);
      continue;
    }
    auto* handler = static_cast<FdHandler*>(event.data.ptr);
    if (std::ranges::find(removed_, handler) == removed_.end()) handler->on_events(event.events);
  }
  return std::max(count, 0);
}

void Loop::post(std::move_only_function<void()> call) {
  bool first = false;
  {
    std::lock_guard lock(posted_mutex_);
    first = posted_.empty();
    posted_.push_back(std::move(call));
  }
  if (first) {
    std::uint64_t one = 1;
    [[maybe_unused]] ssize_t written = ::write(wake_fd_, &one, sizeof one);
  }
}

void Loop::stop() {
  post([this] { stopping_ = true; });
}

Loop::TimerId Loop::add_timer(MonoTime at, std::move_only_function<void()> fire) {
  TimerId id{at, next_timer_++};
  timers_.emplace(id, std::move(fire));
  return id;
}

Loop::PlatformTimerId Loop::add_platform_timer(WallTime at, std::move_only_function<void()> fire) {
  PlatformTimerId id{at, next_timer_++};
  platform_timers_.emplace(id, std::move(fire));
  return id;
}

Result<> Loop::add_fd(int fd, FdHandler& handler, Interest interest) {
  epoll_event event{};
  event.events = EPOLLIN | EPOLLRDHUP | EPOLLET;
  if (interest == Interest::bytes_and_room) event.events |= EPOLLOUT;
  event.data.ptr = &handler;
  if (::epoll_ctl(epoll_fd_, EPOLL_CTL_ADD, fd, &event) != 0) return fail_errno("epoll_ctl", errno);
  return {};
}

void Loop::want_room(int fd, FdHandler& handler) {
  epoll_event event{};
  event.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
  event.data.ptr = &handler;
  ::epoll_ctl(epoll_fd_, EPOLL_CTL_MOD, fd, &event);  // tells at once of room that is there
}

void Loop::remove_fd(int fd, FdHandler& handler) {
  ::epoll_ctl(epoll_fd_, EPOLL_CTL_DEL, fd, nullptr);
  removed_.push_back(&handler);
}

}  // namespace mayfly::io
