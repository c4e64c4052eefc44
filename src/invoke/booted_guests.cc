#include "invoke/booted_guests.h"

#include <algorithm>

#include "base/limits.h"
#include "base/log.h"
#include "invoke/environment_spec.h"

namespace mayfly::invoke {
namespace {

constexpr int failures_max = 3;
constexpr std::size_t wanted_max = 2;
// Two taken within this time: the next caller is likely not to be the last.
constexpr auto quick_succession = std::chrono::seconds(10);

}  // namespace

BootedGuests::BootedGuests(const Deps& deps, std::uint64_t memory_max_bytes)
    : deps_(deps), memory_max_bytes_(memory_max_bytes), tasks_(deps.loop) {}

BootedGuests::Key BootedGuests::key_of(const Runnable& runnable, const sandbox::RuntimePack& pack) {
  return {pack.name, runnable.memory_mb};
}

// Those that ended by themselves: of memory, say.
void BootedGuests::forget_ended(Kind& kind) {
  std::erase_if(kind.ready, [&](auto& guest) {
    if (!guest->instance->has_exited()) return false;
    ++*kind.failures;
    end(std::move(guest));
    return true;
  });
}

std::unique_ptr<BootedGuest> BootedGuests::take(const Runnable& runnable,
                                                const sandbox::RuntimePack& pack) {
  auto found = kinds_.find(key_of(runnable, pack));
  if (found == kinds_.end() || !specialising_refused(runnable, pack).empty()) return nullptr;
  Kind& kind = *found->second;
  MonoTime now = deps_.loop.now();
  auto before = std::exchange(kind.taken, now);
  if (before && now - *before < quick_succession) kind.wanted = wanted_max;
  kind.used = now;
  forget_ended(kind);
  if (kind.ready.empty() || *kind.failures >= failures_max) return nullptr;
  auto out = std::move(kind.ready.back());
  kind.ready.pop_back();
  return out;
}

void BootedGuests::want(const Runnable& runnable, const sandbox::RuntimeChoice& runtime) {
  if (closing_ || !specialising_refused(runnable, *runtime.pack).empty()) return;
  auto& kind = kinds_[key_of(runnable, *runtime.pack)];
  if (!kind) {
    kind = std::make_shared<Kind>();
    kind->runtime = runtime;
    kind->memory_mb = runnable.memory_mb;
  }
  kind->used = deps_.loop.now();
  forget_ended(*kind);
  ask(kind);
}

void BootedGuests::ask(const std::shared_ptr<Kind>& kind) {
  if (closing_ || kind->asked || kind->ready.size() >= kind->wanted) return;
  if (*kind->failures >= failures_max) return end_ready(*kind);
  kind->asked = true;
  queue_.push_back(kind);
  boot_next();
}

void BootedGuests::boot_next() {
  if (making_ || closing_ || queue_.empty()) return;
  auto kind = std::move(queue_.front());
  queue_.pop_front();
  making_ = true;
  tasks_.spawn(boot(std::move(kind)));
}

io::Task<void> BootedGuests::boot(std::shared_ptr<Kind> kind) {
  auto made = co_await make(*kind);
  making_ = kind->asked = false;
  if (made && closing_) {
    end(std::move(*made));
  } else if (made) {
    kind->ready.push_back(std::move(*made));
    kind->used = deps_.loop.now();
    keep_within_memory(*kind);
    arm_sweep();
    ask(kind);
  } else if (!closing_) {
    log::info("invoke", "environments of {} with {} MB start from nothing: {}",
              kind->runtime.pack->name, kind->memory_mb, made.error().message);
    // What the guest says of itself will not change.
    *kind->failures += made.error().kind == ErrorKind::conflict ? failures_max : 1;
  }
  boot_next();
}

io::Task<Result<std::unique_ptr<BootedGuest>>> BootedGuests::make(const Kind& kind) {
  auto guest = std::make_unique<BootedGuest>();
  guest->failures = kind.failures;
  auto spec =
      booted_guest_spec(*kind.runtime.pack, kind.memory_mb, InstanceId(deps_.random.hex(16)));
  CO_TRY_ASSIGN(guest->instance, co_await deps_.launcher.launch(std::move(spec)));
  guest->channel = deps_.open_channel({.socket = guest->instance->take_channel()});
  booting_ = guest->instance.get();
  if (closing_) booting_->kill();
  auto reply = co_await guest->channel->wait_init(deps_.loop.now() + limits::init_time);
  booting_ = nullptr;
  Result<> usable;
  if (!reply) {
    usable = std::unexpected(reply.error());
  } else if (!reply->parked) {
    usable = fail(ErrorKind::unavailable, "the guest does not park");
  } else if (!reply->parked->empty()) {
    usable = fail(ErrorKind::conflict, *reply->parked);
  }
  if (!usable) {
    end(std::move(guest));
    co_return std::unexpected(std::move(usable).error());
  }
  guest->memory_bytes = guest->instance->stats().memory_bytes;
  co_return guest;
}

void BootedGuests::keep_within_memory(const Kind& newest) {
  while (true) {
    std::uint64_t sum = 0;
    Kind* oldest = nullptr;
    for (auto& [key, kind] : kinds_) {
      for (const auto& guest : kind->ready) sum += guest->memory_bytes;
      if (kind.get() == &newest || kind->ready.empty()) continue;
      if (oldest == nullptr || kind->used < oldest->used) oldest = kind.get();
    }
    if (sum <= memory_max_bytes_ || oldest == nullptr) return;
    end_ready(*oldest);
  }
}

void BootedGuests::end_ready(Kind& kind) {
  for (auto& guest : kind.ready) end(std::move(guest));
  kind.ready.clear();
}

void BootedGuests::end(std::unique_ptr<BootedGuest> guest) {
  guest->instance->kill();
  tasks_.spawn(end_task(std::move(guest)));
}

io::Task<void> BootedGuests::end_task(std::unique_ptr<BootedGuest> guest) {
  co_await guest->instance->exited(no_deadline);
}

void BootedGuests::arm_sweep() {
  if (sweep_timer_ || closing_) return;
  MonoTime next = MonoTime::max();
  for (const auto& [key, kind] : kinds_) {
    if (!kind->ready.empty()) next = std::min(next, kind->used + deps_.settings.idle_lifetime);
  }
  if (next == MonoTime::max()) return;
  sweep_timer_ = deps_.loop.add_timer(next, [this] {
    sweep_timer_.reset();
    sweep();
  });
}

void BootedGuests::sweep() {
  MonoTime now = deps_.loop.now();
  for (auto& [key, kind] : kinds_) {
    if (now < kind->used + deps_.settings.idle_lifetime) continue;
    end_ready(*kind);
    kind->wanted = 1;
  }
  arm_sweep();
}

int BootedGuests::ready() const {
  std::size_t sum = 0;
  for (const auto& [key, kind] : kinds_) sum += kind->ready.size();
  return static_cast<int>(sum);
}

int BootedGuests::waiting() const { return static_cast<int>(queue_.size()) + (making_ ? 1 : 0); }

void BootedGuests::refuse() {
  closing_ = true;
  queue_.clear();
  if (sweep_timer_) deps_.loop.cancel_timer(*sweep_timer_);
  sweep_timer_.reset();
}

void BootedGuests::kill_all() {
  if (booting_ != nullptr) booting_->kill();
  for (auto& [key, kind] : kinds_) end_ready(*kind);
}

io::Task<void> BootedGuests::close() {
  refuse();
  kill_all();
  co_await tasks_.drain(no_deadline);
  kinds_.clear();
}

}  // namespace mayfly::invoke
