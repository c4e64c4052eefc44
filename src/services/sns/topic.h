// Topic and Subscription: the nouns of Topics, as they are kept in the store.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "guard/guard.h"
#include "services/sns/settings.h"

namespace mayfly::services::sns {

struct Subscription {
  // ended: of an http endpoint that is still to be told; nobody sees it any more.
  enum class State { pending, confirmed, ended };
  std::uint64_t number = 0;  // what deliveries name it by; never used again
  SubscriptionRef ref;
  std::string protocol;
  std::string endpoint;
  std::string owner;  // account
  State state = State::confirmed;
  std::string token;           // confirms it
  bool authenticated = false;  // it was confirmed by its owner
  bool guarded = false;        // AuthenticateOnUnsubscribe: a URL does not end it
  std::int64_t since_ms = 0;   // of its state
  std::string host;            // by which URLs in its messages lead here
  Attributes attributes;
  SubscriptionSettings settings;  // of the attributes

  bool http() const { return protocol == "http" || protocol == "https"; }
  bool visible() const { return state != State::ended; }
  // As lists show it: the password of a URL is nobody's to read.
  std::string shown_endpoint() const;
};

struct TopicInfo {
  TopicRef ref;
  Attributes attributes;
  TopicSettings settings;                      // of the attributes
  std::vector<guard::PolicyStatement> policy;  // likewise
  std::map<std::string, std::string> tags;
  std::int64_t created_ms = 0;
  std::string id;            // of rows that are this topic's; never used again
  std::int64_t removed = 0;  // subscriptions that were ended
};

std::string topic_key(const TopicRef& ref);
// "sub/ACCOUNT/REGION/NAME/": the rows of a topic's subscriptions.
std::string subscriptions_key(const TopicRef& ref);

std::string encode(const TopicInfo& info);
Result<TopicInfo> decode_topic(std::string_view text, TopicRef ref);
std::string encode(const Subscription& subscription);
Result<Subscription> decode_subscription(std::string_view text, SubscriptionRef ref);

// The policy that a topic has until it is given one: its account alone may use it.
std::string default_policy(const TopicRef& ref);

class Topic {
 public:
  explicit Topic(TopicInfo info) : info_(std::move(info)) {}
  const TopicInfo& info() const { return info_; }
  const TopicRef& ref() const { return info_.ref; }
  std::string arn() const { return info_.ref.arn(); }
  bool fifo() const { return info_.ref.fifo(); }
  bool deleted() const { return deleted_; }

  // By id.
  using Subscriptions = std::map<std::string, std::shared_ptr<const Subscription>, std::less<>>;
  const Subscriptions& subscriptions() const { return subscriptions_; }
  std::size_t count(Subscription::State state) const;

 private:
  friend class Topics;
  TopicInfo info_;
  bool deleted_ = false;
  Subscriptions subscriptions_;
};

}  // namespace mayfly::services::sns
