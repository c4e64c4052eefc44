#include "services/sns/publisher.h"

#include "base/limits.h"
#include "wire/hash.h"
#include "wire/text.h"

namespace mayfly::services::sns {

namespace {

constexpr std::size_t load_page = 256;
constexpr std::size_t forgotten_at_once = 64;

std::string confirmation_text(const Subscription& to) {
  return fmt::format(
      "You have chosen to subscribe to the topic {}.\nTo confirm the subscription, visit the "
      "SubscribeURL included in this message.",
      to.ref.topic.arn());
}

std::string end_text(const Subscription& to) {
  return fmt::format(
      "You have chosen to deactivate subscription {}.\nTo cancel this operation and restore the "
      "subscription, visit the SubscribeURL included in this message.",
      to.ref.arn());
}

}  // namespace

Result<> Publisher::load() {
  std::string after;
  while (true) {
    TRY_ASSIGN(auto rows, deps_.store.scan("dedup/", after, load_page));
    for (const auto& row : rows) {
      auto parts = wire::split(row.value, ' ');
      if (parts.size() != 3) return fail(ErrorKind::corrupt, "a deduplication id is none");
      TRY_ASSIGN(auto until, wire::parse_int(parts[0]));
      TRY_ASSIGN(auto seq, wire::parse_int(parts[1]));
      auto number = static_cast<std::uint64_t>(seq);
      deps_.topics.seen_number(number);
      note(row.key, {{std::string(parts[2]), number}, until});
    }
    if (rows.size() < load_page) return {};
    after = rows.back().key;
  }
}

void Publisher::note(const std::string& key, Seen seen) {
  until_.emplace(seen.until_ms, key);
  seen_[key] = std::move(seen);
}

std::string Publisher::deduplication_key(const Topic& topic, const Message& message) const {
  std::string scope = topic.info().settings.group_scope ? message.group : std::string();
  return fmt::format("dedup/{}/{}", topic.info().id,
                     wire::sha256_hex(scope + '\0' + message.deduplication).substr(0, 32));
}

// With the next commit, so that none is made for it.
void Publisher::forget_old(store::Batch& batch) {
  std::int64_t now = epoch_millis(deps_.loop.clock().platform());
  for (std::size_t i = 0; i < forgotten_at_once && !until_.empty(); ++i) {
    auto first = until_.begin();
    if (first->first > now) return;
    auto found = seen_.find(first->second);
    // Noted anew since, it goes later.
    if (found != seen_.end() && found->second.until_ms <= now) {
      batch.deletes.push_back(found->first);
      seen_.erase(found);
    }
    until_.erase(first);
  }
}

void Publisher::stamp(const Topic& topic, Message& message) {
  message.seq = deps_.topics.next_number();
  if (message.id.empty()) message.id = deps_.random.uuid4();
  message.topic_arn = topic.arn();
  message.published_ms = epoch_millis(deps_.loop.clock().platform());
  message.signature_version = topic.info().settings.signature_version;
}

std::vector<std::uint64_t> Publisher::receivers_of(const Topic& topic,
                                                   const Message& message) const {
  std::vector<std::uint64_t> out;
  Filterable filterable(message);
  for (const auto& [id, one] : topic.subscriptions()) {
    if (one->state != Subscription::State::confirmed) continue;
    if (one->settings.filter && !one->settings.filter->matches(filterable)) {
      deps_.count(topic.ref(), one->protocol, Step::filtered);
      continue;
    }
    out.push_back(one->number);
  }
  return out;
}

io::Task<Result<std::vector<Publisher::Published>>> Publisher::publish(
    std::shared_ptr<Topic> topic, std::vector<Message> messages, store::Batch batch) {
  std::int64_t now = epoch_millis(deps_.loop.clock().platform());
  std::int64_t until = now + std::chrono::milliseconds(limits::sns_deduplication_time).count();
  std::vector<Published> out;
  std::vector<Outbox::Addressed> addressed;
  std::vector<std::string> fresh;
  std::vector<std::string> repeated;
  forget_old(batch);
  for (auto& message : messages) {
    std::string key;
    if (topic->fifo()) {
      key = deduplication_key(*topic, message);
      auto found = seen_.find(key);
      if (found != seen_.end() && found->second.until_ms > now) {
        const auto& seen = found->second;
        // Behind the commit of the first one, which may still be under way.
        batch.puts.push_back(
            {key, fmt::format("{} {} {}", seen.until_ms, seen.as.seq, seen.as.id)});
        out.push_back(seen.as);
        repeated.push_back(std::move(key));
        continue;
      }
    }
    stamp(*topic, message);
    out.push_back({message.id, message.seq});
    if (!key.empty()) {
      note(key, {out.back(), until});
      batch.puts.push_back({key, fmt::format("{} {} {}", until, message.seq, message.id)});
      fresh.push_back(std::move(key));
    }
    addressed.push_back({std::move(message), {}});
    addressed.back().to = receivers_of(*topic, addressed.back().message);
  }
  std::size_t count = addressed.size();
  auto kept = co_await deps_.outbox.put(std::move(addressed), std::move(batch));
  if (!kept) {
    for (const auto& key : fresh) seen_.erase(key);
    co_return std::unexpected(std::move(kept.error()));
  }
  for (const auto& key : repeated) {
    if (!seen_.contains(key)) {
      co_return fail(ErrorKind::unavailable, "the message that this one repeats was not kept");
    }
  }
  for (std::size_t i = 0; i < count; ++i) deps_.count(topic->ref(), "", Step::published);
  co_return out;
}

io::Task<Result<>> Publisher::tell(std::shared_ptr<const Subscription> subscription,
                                   Message::Type what) {
  auto topic = deps_.topics.find(subscription->ref.topic);
  if (!topic) co_return fail(ErrorKind::not_found, "Topic does not exist");
  Message message;
  message.type = what;
  message.token = subscription->token;
  message.body = what == Message::Type::confirmation ? confirmation_text(*subscription)
                                                     : end_text(*subscription);
  stamp(*topic, message);
  std::vector<Outbox::Addressed> one;
  one.push_back({std::move(message), {subscription->number}});
  co_return co_await deps_.outbox.put(std::move(one), {});
}

}  // namespace mayfly::services::sns
