#include "services/sqs/carrier.h"

#include <set>

#include "base/log.h"
#include "wire/text.h"

namespace mayfly::services::sqs {

namespace {

constexpr std::string_view prefix = "held/";
constexpr std::size_t load_page = 64;
constexpr std::size_t at_once = 64;  // they share the syncs of their store
constexpr auto retry_pause = std::chrono::seconds(1);

}  // namespace

// held/SEQ/ID → the service, a line's end, the record.
std::vector<Carrier::Item> Carrier::prepare(std::vector<events::HeldEffect> effects,
                                            store::Batch& batch) {
  std::vector<Item> out;
  for (auto& effect : effects) {
    Item item{.service = std::move(effect.service), .key = {}, .id = random_.uuid4()};
    item.key = fmt::format("{}{:020}/{}", prefix, next_seq_++, item.id);
    batch.puts.push_back({item.key, fmt::format("{}\n{}", item.service, effect.record)});
    out.push_back(std::move(item));
  }
  return out;
}

Result<> Carrier::load() {
  std::string after;
  while (true) {
    TRY_ASSIGN(auto rows, store_.scan(prefix, after, load_page));
    for (const auto& row : rows) {
      auto parts = wire::split(row.key, '/');
      auto seq = parts.size() == 3 ? wire::parse_int(parts[1])
                                   : Result<std::int64_t>(fail(ErrorKind::corrupt, ""));
      auto end = row.value.find('\n');
      if (!seq || end == row.value.npos) {
        return fail(ErrorKind::corrupt, "an effect that is held back cannot be read");
      }
      next_seq_ = static_cast<std::uint64_t>(*seq) + 1;
      auto service = row.value.substr(0, end);
      lanes_[service].items.push_back({service, row.key, std::string(parts[2])});
    }
    if (rows.size() < load_page) return {};
    after = rows.back().key;
  }
}

void Carrier::start() {
  started_ = true;
  for (auto& [service, lane] : lanes_) {
    if (lane.target == nullptr) {
      log::error("sqs", "{} effects for {} stay: there is no such service", lane.items.size(),
                 service);
      continue;
    }
    lane.running = true;
    tasks_.spawn(forget_strays(service, lane));
  }
}

// Notes whose row has gone already, as a crash came between the two.
io::Task<void> Carrier::forget_strays(std::string service, Lane& lane) {
  std::set<std::string> wanted;
  for (const auto& item : lane.items) wanted.insert(item.id);
  auto noted = lane.target->performed();
  if (noted) {
    std::erase_if(*noted, [&](const auto& id) { return wanted.contains(id); });
    co_await lane.target->forget(std::move(*noted));
  } else {
    log::warn("sqs", "what was done for {} cannot be read: {}", service, noted.error().message);
  }
  co_await carry(lane);
}

void Carrier::take(std::vector<Item> items) {
  for (auto& item : items) {
    auto& lane = lanes_[item.service];
    lane.items.push_back(std::move(item));
    run(lane);
  }
}

void Carrier::run(Lane& lane) {
  if (!started_ || lane.target == nullptr || lane.running) return;
  lane.running = true;
  tasks_.spawn(carry(lane));
}

io::Task<void> Carrier::carry(Lane& lane) {
  while (started_ && !lane.items.empty()) {
    bool all_done = true;
    co_await round(lane, all_done);
    if (!all_done) co_await pause();
  }
  lane.running = false;
}

io::Task<void> Carrier::round(Lane& lane, bool& all_done) {
  std::size_t count = std::min(lane.items.size(), at_once);
  std::vector<Item> items;
  for (std::size_t i = 0; i < count; ++i) {
    items.push_back(std::move(lane.items.front()));
    lane.items.pop_front();
  }
  auto done = std::make_unique<bool[]>(count);
  io::TaskScope performing(loop_);
  for (std::size_t i = 0; i < count; ++i) performing.spawn(perform(lane, items[i], done[i]));
  co_await performing.drain(no_deadline);
  store::Batch batch;
  std::vector<std::string> ids;
  for (std::size_t i = count; i-- > 0;) {
    if (done[i]) {
      batch.deletes.push_back(items[i].key);
      ids.push_back(items[i].id);
    } else {
      all_done = false;
      lane.items.push_front(std::move(items[i]));
    }
  }
  if (ids.empty()) co_return;
  auto gone = co_await store_.commit(std::move(batch));
  if (gone) {
    co_await lane.target->forget(std::move(ids));
  } else {
    // Asked for again after the next start, and known there.
    log::warn("sqs", "effects that are done stay written down: {}", gone.error().message);
  }
}

io::Task<void> Carrier::perform(Lane& lane, Item item, bool& done) {
  auto row = store_.get(item.key);
  if (row && !*row) {
    done = true;
    co_return;
  }
  Result<> result;
  if (row) {
    result = co_await lane.target->perform(item.id, (*row)->value.substr(item.service.size() + 1));
  } else {
    result = std::unexpected(std::move(row.error()));
  }
  done = result.has_value();
  if (!done) log::warn("sqs", "an effect for {} waits: {}", item.service, result.error().message);
}

io::Task<void> Carrier::pause() {
  auto timer = loop_.add_platform_timer(loop_.clock().platform() + retry_pause,
                                        [this] { retry_.wake_all(); });
  co_await retry_.park(no_deadline, tasks_.stop_token());
  loop_.cancel_timer(timer);
}

std::size_t Carrier::waiting() const {
  std::size_t out = 0;
  for (const auto& [service, lane] : lanes_) out += lane.items.size();
  return out;
}

void Carrier::stop() {
  started_ = false;
  tasks_.request_stop();
}

io::Task<void> Carrier::close() {
  stop();
  co_await tasks_.close();
}

}  // namespace mayfly::services::sqs
