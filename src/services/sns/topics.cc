#include "services/sns/topics.h"

#include "base/limits.h"
#include "base/log.h"
#include "wire/text.h"

namespace mayfly::services::sns {

namespace {

constexpr std::size_t load_page = 256;
// Numbers begin with the machine's milliseconds, so that they grow whatever was forgotten before a
// restart.
constexpr int number_shift = 20;

std::string key_of(const SubscriptionRef& ref) { return subscriptions_key(ref.topic) + ref.id; }

}  // namespace

Result<> Topics::load() {
  std::string after;
  while (true) {
    TRY_ASSIGN(auto rows, deps_.store.scan("topic/", after, load_page));
    for (const auto& row : rows) {
      auto parts = wire::split(row.key, '/');
      if (parts.size() != 4) continue;
      TopicRef ref{{AccountId(std::string(parts[1])), Region(std::string(parts[2]))},
                   std::string(parts[3])};
      TRY_ASSIGN(auto info, decode_topic(row.value, ref));
      auto topic = std::make_shared<Topic>(std::move(info));
      TRY(load_subscriptions(*topic));
      enter(std::move(topic));
    }
    if (rows.size() < load_page) return {};
    after = rows.back().key;
  }
}

void Topics::enter(std::shared_ptr<Topic> topic) {
  ++counts_[{topic->ref().scope, topic->fifo()}];
  topics_[topic->ref()] = std::move(topic);
}

Result<> Topics::load_subscriptions(Topic& topic) {
  std::string prefix = subscriptions_key(topic.ref());
  std::string after;
  while (true) {
    TRY_ASSIGN(auto rows, deps_.store.scan(prefix, after, load_page));
    for (const auto& row : rows) {
      TRY_ASSIGN(auto one,
                 decode_subscription(row.value, {topic.ref(), row.key.substr(prefix.size())}));
      seen_number(one.number);
      put(topic, std::move(one));
    }
    if (rows.size() < load_page) return {};
    after = rows.back().key;
  }
}

std::shared_ptr<Topic> Topics::find(const TopicRef& ref) const {
  auto found = topics_.find(ref);
  return found == topics_.end() ? nullptr : found->second;
}

std::shared_ptr<Topic> Topics::find(std::string_view arn) const {
  auto ref = parse_topic(arn);
  return ref ? find(*ref) : nullptr;
}

std::vector<std::shared_ptr<Topic>> Topics::list(const Scope& scope, std::string_view after,
                                                 std::size_t most) const {
  std::vector<std::shared_ptr<Topic>> out;
  for (auto at = topics_.upper_bound(TopicRef{scope, std::string(after)});
       at != topics_.end() && out.size() < most && at->first.scope == scope; ++at) {
    out.push_back(at->second);
  }
  return out;
}

std::shared_ptr<const Subscription> Topics::subscription(const SubscriptionRef& ref) const {
  auto topic = find(ref.topic);
  if (!topic) return nullptr;
  auto found = topic->subscriptions_.find(ref.id);
  return found == topic->subscriptions_.end() ? nullptr : found->second;
}

std::shared_ptr<const Subscription> Topics::by_number(std::uint64_t number) const {
  auto found = by_number_.find(number);
  return found == by_number_.end() ? nullptr : found->second;
}

std::vector<std::shared_ptr<const Subscription>> Topics::subscriptions_of(const Scope& scope,
                                                                          std::string_view after,
                                                                          std::size_t most) const {
  std::map<std::string, std::shared_ptr<const Subscription>> found;
  for (const auto& [number, one] : by_number_) {
    if (!one->visible() || one->owner != scope.account.str() ||
        one->ref.topic.scope.region != scope.region) {
      continue;
    }
    std::string arn = one->ref.arn();
    if (arn <= after) continue;
    found.emplace(std::move(arn), one);
    if (found.size() > most) found.erase(std::prev(found.end()));
  }
  std::vector<std::shared_ptr<const Subscription>> out;
  out.reserve(found.size());
  for (auto& [arn, one] : found) out.push_back(std::move(one));
  return out;
}

io::Task<Result<std::shared_ptr<Topic>>> Topics::create(TopicInfo info) {
  info.id = deps_.random.hex(8);
  info.created_ms = epoch_millis(deps_.loop.clock().platform());
  std::string key = topic_key(info.ref);
  store::Batch batch;
  batch.expects.push_back({key, 0});
  batch.puts.push_back({key, encode(info)});
  auto done = co_await deps_.store.commit(std::move(batch));
  if (!done && done.error().kind == ErrorKind::conflict) {
    co_return fail(ErrorKind::already_exists, "the topic was made meanwhile");
  }
  if (!done) co_return std::unexpected(std::move(done.error()));
  auto topic = std::make_shared<Topic>(std::move(info));
  enter(topic);
  co_return topic;
}

io::Task<Result<>> Topics::lock(std::shared_ptr<Topic> topic) {
  while (changing_.contains(topic)) co_await changed_.park();
  if (topic->deleted()) co_return fail(ErrorKind::not_found, "Topic does not exist");
  changing_.insert(std::move(topic));
  co_return Result<>{};
}

void Topics::unlock(const std::shared_ptr<Topic>& topic) {
  changing_.erase(topic);
  changed_.wake_all();
}

io::Task<Result<>> Topics::update(std::shared_ptr<Topic> topic,
                                  std::function<void(TopicInfo&)> change) {
  CO_TRY(co_await lock(topic));
  TopicInfo info = topic->info_;
  change(info);
  store::Batch batch;
  batch.puts.push_back({topic_key(info.ref), encode(info)});
  auto done = co_await deps_.store.commit(std::move(batch));
  if (done) topic->info_ = std::move(info);
  unlock(topic);
  if (!done) co_return std::unexpected(std::move(done.error()));
  co_return Result<>{};
}

io::Task<Result<>> Topics::remove(std::shared_ptr<Topic> topic) {
  CO_TRY(co_await lock(topic));
  store::Batch batch;
  batch.deletes.push_back(topic_key(topic->ref()));
  for (const auto& [id, one] : topic->subscriptions_) batch.deletes.push_back(key_of(one->ref));
  auto done = co_await deps_.store.commit(std::move(batch));
  if (done) {
    topic->deleted_ = true;
    topics_.erase(topic->ref());
    --counts_[{topic->ref().scope, topic->fifo()}];
    while (!topic->subscriptions_.empty()) {
      drop(*topic, std::string(topic->subscriptions_.begin()->first));
    }
  }
  unlock(topic);
  if (!done) co_return std::unexpected(std::move(done.error()));
  co_return Result<>{};
}

io::Task<Result<std::shared_ptr<const Subscription>>> Topics::add(std::shared_ptr<Topic> topic,
                                                                  Subscription subscription) {
  CO_TRY(co_await lock(topic));
  for (const auto& [id, one] : topic->subscriptions_) {
    if (one->visible() && one->protocol == subscription.protocol &&
        one->endpoint == subscription.endpoint) {
      unlock(topic);
      co_return one;
    }
  }
  subscription.number = next_number();
  subscription.ref = {topic->ref(), deps_.random.uuid4()};
  subscription.since_ms = epoch_millis(deps_.loop.clock().platform());
  store::Batch batch;
  batch.puts.push_back({key_of(subscription.ref), encode(subscription)});
  auto done = co_await deps_.store.commit(std::move(batch));
  std::string id = subscription.ref.id;
  if (done) put(*topic, std::move(subscription));
  unlock(topic);
  if (!done) co_return std::unexpected(std::move(done.error()));
  await_expiry();
  co_return topic->subscriptions_.at(id);
}

io::Task<Result<>> Topics::update(SubscriptionRef ref, std::function<void(Subscription&)> change) {
  auto topic = find(ref.topic);
  if (!topic) co_return fail(ErrorKind::not_found, "Subscription does not exist");
  CO_TRY(co_await lock(topic));
  auto found = topic->subscriptions_.find(ref.id);
  if (found == topic->subscriptions_.end()) {
    unlock(topic);
    co_return fail(ErrorKind::not_found, "Subscription does not exist");
  }
  Subscription next = *found->second;
  change(next);
  if (next.state != found->second->state) {
    next.since_ms = epoch_millis(deps_.loop.clock().platform());
  }
  store::Batch batch;
  batch.puts.push_back({key_of(ref), encode(next)});
  auto done = co_await deps_.store.commit(std::move(batch));
  if (done) put(*topic, std::move(next));
  unlock(topic);
  if (!done) co_return std::unexpected(std::move(done.error()));
  await_expiry();
  co_return Result<>{};
}

io::Task<Result<>> Topics::remove(SubscriptionRef ref) {
  auto topic = find(ref.topic);
  if (!topic) co_return fail(ErrorKind::not_found, "Subscription does not exist");
  CO_TRY(co_await lock(topic));
  TopicInfo info = topic->info_;
  ++info.removed;
  store::Batch batch;
  batch.deletes.push_back(key_of(ref));
  batch.puts.push_back({topic_key(info.ref), encode(info)});
  auto done = co_await deps_.store.commit(std::move(batch));
  if (done) {
    topic->info_ = std::move(info);
    drop(*topic, ref.id);
  }
  unlock(topic);
  if (!done) co_return std::unexpected(std::move(done.error()));
  co_return Result<>{};
}

std::uint64_t Topics::next_number() {
  auto now = static_cast<std::uint64_t>(epoch_millis(deps_.loop.clock().wall())) << number_shift;
  last_number_ = std::max(last_number_ + 1, now);
  return last_number_;
}

void Topics::put(Topic& topic, Subscription subscription) {
  auto one = std::make_shared<const Subscription>(std::move(subscription));
  by_number_[one->number] = one;
  if (one->state == Subscription::State::confirmed) {
    unconfirmed_.erase(one->number);
  } else {
    unconfirmed_.insert(one->number);
  }
  topic.subscriptions_[one->ref.id] = std::move(one);
}

void Topics::drop(Topic& topic, const std::string& id) {
  auto found = topic.subscriptions_.find(id);
  if (found == topic.subscriptions_.end()) return;
  by_number_.erase(found->second->number);
  unconfirmed_.erase(found->second->number);
  topic.subscriptions_.erase(found);
}

void Topics::start() {
  started_ = true;
  await_expiry();
}

// Few are ever unconfirmed: the earliest is looked for anew after each change.
void Topics::await_expiry() {
  if (expiry_) deps_.loop.cancel_timer(*expiry_);
  expiry_.reset();
  std::optional<std::int64_t> first;
  for (auto number : unconfirmed_) {
    first = std::min(first.value_or(INT64_MAX), by_number_.at(number)->since_ms);
  }
  if (!first || !started_) return;
  expiry_ = deps_.loop.add_platform_timer(
      from_epoch_millis(*first) + Duration(limits::sns_confirmation_time), [this] {
        expiry_.reset();
        tasks_.spawn(expire());
      });
}

io::Task<void> Topics::expire() {
  auto before = epoch_millis(deps_.loop.clock().platform() - limits::sns_confirmation_time);
  std::vector<SubscriptionRef> late;
  for (auto number : unconfirmed_) {
    const auto& one = by_number_.at(number);
    if (one->since_ms <= before) late.push_back(one->ref);
  }
  for (const auto& ref : late) {
    auto done = co_await remove(ref);
    if (!done && done.error().kind != ErrorKind::not_found) {
      log::error("sns", "{} cannot be forgotten: {}", ref.arn(), done.error().message);
      co_return;  // the next change tries again
    }
  }
  await_expiry();
}

io::Task<void> Topics::close() {
  if (expiry_) deps_.loop.cancel_timer(*expiry_);
  expiry_.reset();
  co_await tasks_.close();
}

}  // namespace mayfly::services::sns
