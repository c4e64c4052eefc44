#include "services/sqs/queues.h"

#include "base/log.h"
#include "services/sqs/staging.h"
#include "wire/text.h"

namespace mayfly::services::sqs {

namespace {

constexpr std::size_t load_page = 256;
constexpr std::size_t erase_page = 64;

std::string queue_key(const QueueRef& ref) {
  return fmt::format("queue/{}/{}/{}", ref.scope.account.str(), ref.scope.region.str(), ref.name);
}

}  // namespace

Queues::Queues(Deps deps)
    : deps_(std::move(deps)),
      changed_(deps_.loop),
      moves_({deps_.loop, deps_.random, deps_.store,
              [this](std::string_view arn) { return find(arn); }}),
      carrier_(deps_.loop, deps_.store, deps_.random),
      tasks_(deps_.loop) {}

Queues::~Queues() = default;

Result<std::unique_ptr<Queues>> Queues::open(Deps deps) {
  auto out = std::make_unique<Queues>(std::move(deps));
  TRY(out->load());
  return out;
}

Queue::Deps Queues::queue_deps() {
  return {deps_.loop, deps_.random, deps_.store, [this](std::string_view arn) { return find(arn); },
          deps_.count};
}

Result<> Queues::load() {
  std::string after;
  while (true) {
    TRY_ASSIGN(auto rows, deps_.store.scan("queue/", after, load_page));
    for (const auto& row : rows) {
      auto parts = wire::split(row.key, '/');
      if (parts.size() != 4) continue;
      QueueRef ref{{AccountId(std::string(parts[1])), Region(std::string(parts[2]))},
                   std::string(parts[3])};
      TRY_ASSIGN(auto info, decode_info(row.value, ref));
      queues_[ref] = std::make_shared<Queue>(queue_deps(), std::move(info));
    }
    if (rows.size() < load_page) break;
    after = rows.back().key;
  }
  for (auto& [ref, queue] : queues_) {
    TRY(queue->load());
    if (queue->info().purged_seq > 0) {
      tasks_.spawn(erase_rows(fmt::format("msg/{}/", queue->info().id),
                              queue->key_of(queue->info().purged_seq), {}));
    }
  }
  TRY_ASSIGN(auto gone, deps_.store.scan("gone/", "", SIZE_MAX));
  for (const auto& row : gone) {
    tasks_.spawn(erase_rows(fmt::format("msg/{}/", row.key.substr(5)), {}, row.key));
  }
  TRY(carrier_.load());
  return moves_.load();
}

std::shared_ptr<Queue> Queues::find(const QueueRef& ref) const {
  auto found = queues_.find(ref);
  return found == queues_.end() ? nullptr : found->second;
}

std::shared_ptr<Queue> Queues::find(std::string_view arn) const {
  auto ref = parse_arn(arn);
  return ref ? find(*ref) : nullptr;
}

std::uint64_t Queues::watch(const QueueRef& ref, Queue::Arrival call) {
  Watcher watcher{.ref = ref, .call = std::move(call), .on = {}};
  if (auto queue = find(ref)) {
    watcher.on = queue;
    watcher.id = queue->watch(watcher.call);
  }
  watchers_.emplace(next_watcher_, std::move(watcher));
  return next_watcher_++;
}

void Queues::unwatch(std::uint64_t id) {
  auto found = watchers_.find(id);
  if (found == watchers_.end()) return;
  if (auto queue = found->second.on.lock()) queue->unwatch(found->second.id);
  watchers_.erase(found);
}

std::shared_ptr<events::Effects> Queues::stage(std::shared_ptr<Queue> from) {
  return std::make_shared<Staging>(Staging::Deps{deps_.loop, deps_.store, deps_.random, carrier_},
                                   std::move(from));
}

std::vector<std::shared_ptr<Queue>> Queues::list(const Scope& scope, std::string_view prefix,
                                                 std::string_view after, std::size_t most) const {
  std::vector<std::shared_ptr<Queue>> out;
  auto at = queues_.lower_bound(QueueRef{scope, std::string(std::max(prefix, after))});
  for (; at != queues_.end() && out.size() < most; ++at) {
    if (at->first.scope != scope || !at->first.name.starts_with(prefix)) break;
    if (at->first.name > after) out.push_back(at->second);
  }
  return out;
}

std::vector<std::shared_ptr<Queue>> Queues::all() const {
  std::vector<std::shared_ptr<Queue>> out;
  for (const auto& [ref, queue] : queues_) out.push_back(queue);
  return out;
}

std::vector<std::shared_ptr<Queue>> Queues::sources_of(const QueueRef& ref) const {
  std::vector<std::shared_ptr<Queue>> out;
  std::string arn = ref.arn();
  for (const auto& queue : list(ref.scope, "", "", SIZE_MAX)) {
    if (queue->info().settings.dead_letter_arn == arn) out.push_back(queue);
  }
  return out;
}

io::Task<Result<std::shared_ptr<Queue>>> Queues::create(QueueRef ref, Attributes attributes,
                                                        Settings settings,
                                                        std::map<std::string, std::string> tags) {
  std::int64_t now = epoch_millis(deps_.loop.clock().platform());
  Info info{.id = deps_.random.hex(8),
            .ref = ref,
            .attributes = std::move(attributes),
            .settings = std::move(settings),
            .tags = std::move(tags),
            .created_ms = now,
            .modified_ms = now};
  store::Batch batch;
  batch.expects.push_back({queue_key(ref), 0});
  batch.puts.push_back({queue_key(ref), encode(info)});
  auto done = co_await deps_.store.commit(std::move(batch));
  if (!done && done.error().kind == ErrorKind::conflict) {
    co_return fail(ErrorKind::already_exists, "the queue was made meanwhile");
  }
  if (!done) co_return std::unexpected(std::move(done).error());
  auto queue = std::make_shared<Queue>(queue_deps(), std::move(info));
  queues_[ref] = queue;
  for (auto& [id, watcher] : watchers_) {
    if (watcher.ref != ref) continue;
    watcher.on = queue;
    watcher.id = queue->watch(watcher.call);
  }
  co_return queue;
}

// One change of a queue at a time: each begins from what the one before has left.
io::Task<Result<>> Queues::update(std::shared_ptr<Queue> queue, std::function<void(Info&)> change) {
  while (changing_.contains(queue)) co_await changed_.park();
  if (queue->deleted()) co_return fail(ErrorKind::not_found, "the queue is deleted");
  changing_.insert(queue);
  Info info = queue->info();
  info.modified_ms = epoch_millis(deps_.loop.clock().platform());
  change(info);
  store::Batch batch;
  batch.puts.push_back({queue_key(info.ref), encode(info)});
  auto done = co_await deps_.store.commit(std::move(batch));
  if (done && !queue->deleted()) queue->set_info(std::move(info));
  changing_.erase(queue);
  changed_.wake_all();
  if (!done) co_return std::unexpected(std::move(done).error());
  co_return Result<>{};
}

io::Task<Result<>> Queues::purge(std::shared_ptr<Queue> queue) {
  std::uint64_t last = 0;
  std::int64_t now = epoch_millis(deps_.loop.clock().platform());
  CO_TRY(co_await update(queue, [&](Info& info) {
    last = queue->last_seq();
    info.modified_ms = queue->info().modified_ms;
    info.purged_seq = last;
    info.purged_ms = now;
  }));
  queue->purged();
  tasks_.spawn(erase_rows(fmt::format("msg/{}/", queue->info().id), queue->key_of(last), {}));
  co_return Result<>{};
}

io::Task<Result<>> Queues::remove(std::shared_ptr<Queue> queue) {
  while (changing_.contains(queue)) co_await changed_.park();
  if (queue->deleted()) co_return fail(ErrorKind::not_found, "the queue is deleted");
  changing_.insert(queue);
  const Info& info = queue->info();
  std::string gone = "gone/" + info.id;
  store::Batch batch;
  batch.deletes.push_back(queue_key(info.ref));
  batch.puts.push_back({gone, ""});
  // Before the commit: what is sent from now on would be stored behind it.
  queue->set_deleted();
  queues_.erase(info.ref);
  auto done = co_await deps_.store.commit(std::move(batch));
  changing_.erase(queue);
  changed_.wake_all();
  if (!done) {
    // It is still in the store, with all its messages.
    auto again = std::make_shared<Queue>(queue_deps(), info);
    CO_TRY(again->load());
    queues_[info.ref] = std::move(again);
    co_return std::unexpected(std::move(done).error());
  }
  tasks_.spawn(erase_rows(fmt::format("msg/{}/", info.id), {}, std::move(gone)));
  co_return co_await moves_.forget(info.ref.arn());
}

// Rows with the prefix, up to and with `through` (empty: all; then those of deduplication too).
io::Task<void> Queues::erase_rows(std::string prefix, std::string through,
                                  std::string then_delete) {
  auto stop = tasks_.stop_token();
  std::string after;
  while (!stop.stop_requested()) {
    auto rows = deps_.store.scan(prefix, after, erase_page);
    if (!rows) {
      log::error("sqs", "what is left of {} cannot be read: {}", prefix, rows.error().message);
      co_return;
    }
    std::size_t found = rows->size();
    store::Batch batch;
    for (auto& row : *rows) {
      if (!through.empty() && row.key > through) break;
      after = row.key;
      batch.deletes.push_back(std::move(row.key));
    }
    bool whole = batch.deletes.size() == found && found == erase_page;
    bool messages = prefix.starts_with("msg/");
    if (!whole && through.empty() && messages) {
      prefix = "dedup/" + prefix.substr(4);
      after.clear();
      whole = true;
    } else if (!whole && !then_delete.empty()) {
      batch.deletes.push_back(then_delete);
    }
    if (!batch.deletes.empty()) {
      auto done = co_await deps_.store.commit(std::move(batch), store::Durability::buffered);
      if (!done) co_return;  // the next start goes on
    }
    if (!whole) co_return;
  }
}

void Queues::release() {
  released_ = true;
  carrier_.stop();
  for (const auto& queue : all()) queue->release();
}

io::Task<void> Queues::close() {
  release();
  co_await carrier_.close();
  co_await moves_.close();
  for (const auto& queue : all()) co_await queue->close();
  co_await tasks_.close();
}

}  // namespace mayfly::services::sqs
