#include "invoke/templates.h"

#include <algorithm>
#include <fstream>

#include "base/log.h"

namespace mayfly::invoke {
namespace {

constexpr std::uint64_t memory_share = 4;  // a quarter of the machine's memory at the most
constexpr std::uint64_t booted_share = 4;  // of which booted guests take a quarter at the most
constexpr int failures_max = 3;

std::string generic_key(const Runnable& runnable, const sandbox::RuntimePack& pack) {
  auto argv = pack.argv_for(runnable.memory_mb);
  return fmt::format("generic/{}/{}", pack.name, fmt::join(argv, " "));
}

}  // namespace

std::uint64_t machine_memory_bytes() {
  std::ifstream file("/proc/meminfo");
  std::string label;
  std::uint64_t kib = 0;
  if (file >> label >> kib && label == "MemTotal:") return kib * limits::kib;
  return 2048 * limits::mib;
}

namespace {

std::uint64_t memory_max_of(const Settings& settings) {
  if (settings.template_memory_bytes != 0) return settings.template_memory_bytes;
  return machine_memory_bytes() / memory_share;
}

}  // namespace

Templates::Templates(const Deps& deps, LogBuffer& buffer, Adopt adopt)
    : deps_(deps),
      buffer_(buffer),
      adopt_(std::move(adopt)),
      memory_max_bytes_(memory_max_of(deps.settings)),
      booted_(deps, memory_max_bytes_ / booted_share),
      snapshot_made_(deps.loop),
      tasks_(deps.loop) {}

// What a version's init keeps of its credentials, its forks go on with where the guest cannot renew
// it (Node.js): a template and the last of its forks together end before those expire. A snapshot
// is kept as the cloud keeps it: its guests renew theirs.
bool Templates::is_young(const Entry& entry) const {
  if (entry.kind != TemplateKind::function || entry.runnable->snap_start) return true;
  Duration life = deps_.settings.environment_life / 2;
  return deps_.loop.now() - entry.made_at < life &&
         deps_.loop.clock().platform() - entry.made_platform < life;
}

bool Templates::is_ready(Entry& entry) {
  if (entry.state != Entry::State::ready) return false;
  if (entry.made->parked() && is_young(entry)) return true;
  if (entry.made->parked()) {  // made anew by use, with fresh credentials
    end(std::move(entry.made));
    entry.state = Entry::State::waiting;
    return false;
  }
  // Its guest ended by itself: out of memory, say. Made anew by use, but not for ever.
  end(std::move(entry.made));
  entry.state = ++entry.failures < failures_max ? Entry::State::waiting : Entry::State::refused;
  return false;
}

std::shared_ptr<Template> Templates::find(const Runnable& runnable,
                                          const sandbox::RuntimePack& pack) {
  if (!forking_refused(runnable, pack).empty()) return nullptr;
  auto found = entries_.find(runnable.pool_key);
  if (found == entries_.end() || !is_ready(*found->second)) {
    if (runnable.unbound) return nullptr;  // as in specialising_refused()
    found = entries_.find(generic_key(runnable, pack));
    if (found == entries_.end() || !is_ready(*found->second)) return nullptr;
  }
  found->second->used = deps_.loop.now();
  return found->second->made;
}

bool Templates::has_own(const Runnable& runnable) const {
  auto found = entries_.find(runnable.pool_key);
  return found != entries_.end() && found->second->state == Entry::State::ready &&
         found->second->made->parked();
}

int Templates::made() const {
  return static_cast<int>(std::ranges::count_if(entries_, [](const auto& item) {
    return item.second->kind == TemplateKind::function && item.second->state == Entry::State::ready;
  }));
}

int Templates::waiting() const {
  return static_cast<int>(queue_.size()) + (building_ ? 1 : 0) + booted_.waiting();
}

void Templates::want(const std::shared_ptr<const Runnable>& runnable,
                     const sandbox::RuntimeChoice& runtime) {
  if (closing_ || !deps_.settings.fork_environments) return;
  booted_.want(*runnable, runtime);
  if (!forking_refused(*runnable, *runtime.pack).empty()) return;
  if (!runnable->unbound) ask(TemplateKind::generic, runnable, runtime);
  if (!runnable->snap_start) ask(TemplateKind::function, runnable, runtime);
  build_next();
}

void Templates::ask(TemplateKind kind, const std::shared_ptr<const Runnable>& runnable,
                    const sandbox::RuntimeChoice& runtime) {
  bool generic = kind == TemplateKind::generic;
  std::string key = generic ? generic_key(*runnable, *runtime.pack) : runnable->pool_key;
  auto& entry = entries_[key];
  if (!entry) {
    entry = std::make_shared<Entry>();
    entry->kind = kind;
    entry->runnable = runnable;
    entry->runtime = runtime;
  } else if (is_ready(*entry) || entry->state != Entry::State::waiting) {
    return;
  }
  if (std::ranges::find(queue_, key) == queue_.end()) queue_.push_back(key);
}

void Templates::build_next() {
  if (building_ || closing_ || queue_.empty()) return;
  std::string key = std::move(queue_.front());
  queue_.pop_front();
  building_ = true;
  tasks_.spawn(build(std::move(key)));
}

io::Task<void> Templates::build(std::string key) {
  if (auto found = entries_.find(key); found != entries_.end()) {
    std::shared_ptr<Entry> entry = found->second;  // it may be retired meanwhile
    entry->state = Entry::State::building;
    auto made = co_await make(*entry);
    bool wanted = entries_.contains(key) && entries_.at(key) == entry && !closing_;
    if (!wanted) {
      if (entry->made) end(std::move(entry->made));
    } else if (!made) {
      give_up(*entry, made.error());
    } else {
      entry->state = Entry::State::ready;
      entry->used = deps_.loop.now();
      keep_within_memory(key);
    }
  }
  building_ = false;
  build_next();
}

io::Task<Result<>> Templates::make(Entry& entry) {
  entry.made =
      std::make_shared<Template>(deps_, buffer_, entry.kind, entry.runnable, entry.runtime);
  auto made = entry.made;
  entry.made_at = deps_.loop.now();
  entry.made_platform = deps_.loop.clock().platform();
  CO_TRY(co_await made->park(deps_.loop.now() + limits::init_time));
  if (entry.kind == TemplateKind::generic) co_return Result<>{};
  CO_TRY_ASSIGN(auto environment, co_await prove(entry));
  adopt_(std::move(environment));
  co_return Result<>{};
}

io::Task<Result<std::unique_ptr<Environment>>> Templates::prove(const Entry& entry) {
  auto environment = std::make_unique<Environment>(deps_, buffer_, entry.runnable, entry.runtime);
  environment->fork_from(entry.made);
  auto started = co_await environment->start();
  if (started && !environment->broken() && environment->is_fork()) co_return environment;
  co_await environment->end();
  if (!started) co_return std::unexpected(std::move(started).error());
  co_return fail(ErrorKind::unavailable, "a fork of it did not come up");
}

void Templates::give_up(Entry& entry, const Error& error) {
  const char* of = entry.kind == TemplateKind::function ? entry.runnable->pool_key.c_str()
                                                        : entry.runtime.pack->name.c_str();
  log::info("invoke", "environments of {} start one by one: {}", of, error.message);
  // What the guest says of itself holds for as long as the version does.
  bool final = error.kind == ErrorKind::conflict || ++entry.failures >= failures_max;
  entry.state = final ? Entry::State::refused : Entry::State::waiting;
  if (!entry.made) return;
  entry.made->tell("Environments of this version start one by one: " + error.message);
  end(std::move(entry.made));
}

void Templates::keep_within_memory(const std::string& newest) {
  while (true) {
    std::uint64_t sum = 0;
    Entry* oldest = nullptr;
    for (auto& [key, entry] : entries_) {
      if (entry->state != Entry::State::ready) continue;
      sum += entry->made->memory_bytes();
      if (key == newest) continue;
      if (oldest == nullptr || entry->used < oldest->used) oldest = entry.get();
    }
    if (sum <= memory_max_bytes_ || oldest == nullptr) return;
    oldest->state = Entry::State::waiting;
    end(std::move(oldest->made));
  }
}

void Templates::end(std::shared_ptr<Template> ended) {
  ended->retire();
  ending_.emplace(ended.get(), ended);
  tasks_.spawn(end_task(std::move(ended)));
}

io::Task<void> Templates::end_task(std::shared_ptr<Template> ended) {
  co_await ended->end();
  ending_.erase(ended.get());
}

void Templates::retire_where(const std::function<bool(const Runnable&)>& is_old) {
  std::erase_if(entries_, [&](auto& item) {
    Entry& entry = *item.second;
    if (entry.kind == TemplateKind::generic || !is_old(*entry.runnable)) return false;
    if (entry.made && entry.state == Entry::State::ready) end(std::move(entry.made));
    // A snapshot's init may go on for minutes.
    if (entry.made && entry.runnable->snap_start) entry.made->kill();
    return true;
  });
}

void Templates::refuse() {
  closing_ = true;
  snapshot_made_.wake_all();
  queue_.clear();
  booted_.refuse();
}

void Templates::kill_all() {
  for (auto& [key, entry] : entries_) {
    if (entry->made) entry->made->kill();
  }
  for (auto& [made, kept] : ending_) made->kill();
  booted_.kill_all();
}

io::Task<void> Templates::close() {
  refuse();
  kill_all();
  for (auto& [key, entry] : entries_) {
    if (entry->made && entry->state == Entry::State::ready) end(std::move(entry->made));
  }
  kill_all();
  co_await booted_.close();
  co_await tasks_.drain(no_deadline);
  entries_.clear();
}

}  // namespace mayfly::invoke
