// Limits of topics that no other test of this room meets, on both sides.
#include "services/sns/fixture_test.h"

using namespace mayfly;
using namespace mayfly::services::sns;
using test::Bench;

TEST_CASE("sns limits: topics of an account in a region") {
  Bench bench;
  for (std::size_t i = 0; i < limits::sns_topics; ++i) bench.create(fmt::format("t{}", i));
  auto more = [&] {
    return bench.error("CreateTopic", model::CreateTopicInput().set_name("more"));
  };
  CHECK(more().starts_with("TopicLimitExceeded"));
  // Those with order are counted apart; one that is there is answered still.
  CHECK(bench.create("more.fifo").ends_with("more.fifo"));
  bench.done("DeleteTopic", model::DeleteTopicInput().set_topic_arn(bench.create("t0")));
  CHECK(more() == "(success)");
}

TEST_CASE("sns limits: subscriptions of a topic") {
  Bench bench;
  bench.subscriptions_max = 20;
  bench.restart();
  auto topic = bench.create("t");
  std::string first;
  for (std::size_t i = 0; i < bench.subscriptions_max; ++i) {
    auto arn = bench.subscribe(topic, "sqs", Bench::queue(fmt::format("q{}", i)));
    if (i == 0) first = arn;
  }
  auto more = [&] {
    return bench.error("Subscribe", Bench::subscription(topic, "sqs", Bench::queue("more")));
  };
  CHECK(more().starts_with("SubscriptionLimitExceeded"));
  bench.done("Unsubscribe", model::UnsubscribeInput().set_subscription_arn(first));
  CHECK(more() == "(success)");
}

TEST_CASE("sns limits: names, ids, tags and statements") {
  Bench bench;
  auto create = [&](std::string name) {
    return bench.error("CreateTopic", model::CreateTopicInput().set_name(std::move(name)));
  };
  CHECK(create(std::string(limits::sns_name_length, 'n')) == "(success)");
  CHECK(create(std::string(limits::sns_name_length + 1, 'n')).starts_with("InvalidParameter"));

  auto fifo = bench.create("t.fifo");
  auto send = [&](std::size_t group, std::size_t deduplication) {
    return bench.error("Publish",
                       Bench::message(fifo, "x")
                           .set_message_group_id(std::string(group, 'g'))
                           .set_message_deduplication_id(std::string(deduplication, 'd')));
  };
  constexpr auto most = limits::sns_id_length;
  CHECK(send(most, most) == "(success)");
  CHECK(send(most + 1, most).starts_with("InvalidParameter"));
  CHECK(send(most, most + 1).starts_with("InvalidParameter"));

  auto tag = [&](std::size_t number) {
    std::vector<model::Tag> tags;
    tags.emplace_back().set_key(fmt::format("k{}", number)).set_value("v");
    return bench.error("TagResource", model::TagResourceRequest().set_resource_arn(fifo).set_tags(
                                          std::move(tags)));
  };
  for (std::size_t i = 0; i < limits::sns_tags; ++i) CHECK(tag(i) == "(success)");
  CHECK(tag(limits::sns_tags).starts_with("TagLimitExceeded"));

  auto grant = [&](std::size_t number) {
    return bench.error("AddPermission", model::AddPermissionInput()
                                            .set_topic_arn(fifo)
                                            .set_label(fmt::format("l{}", number))
                                            .set_aws_account_id({"222222222222"})
                                            .set_action_name({"Publish"}));
  };
  // A topic's own statement is the first.
  std::size_t granted = 0;
  while (granted <= limits::sns_policy_statements && grant(granted) == "(success)") ++granted;
  CHECK(granted >= limits::sns_policy_statements - 1);
  CHECK(granted <= limits::sns_policy_statements);
}

TEST_CASE("sns limits: pages of subscriptions") {
  Bench bench;
  auto topic = bench.create("t");
  for (std::size_t i = 0; i < limits::sns_page + 1; ++i) {
    bench.subscribe(topic, "sqs", Bench::queue(fmt::format("q{}", i)));
  }
  auto by_topic = [&](std::string token) {
    auto in = model::ListSubscriptionsByTopicInput().set_topic_arn(topic);
    if (!token.empty()) in.set_next_token(std::move(token));
    return bench.ok<model::ListSubscriptionsByTopicResponse>("ListSubscriptionsByTopic",
                                                             std::move(in));
  };
  auto page = by_topic("");
  CHECK(page.subscriptions().size() == limits::sns_page);
  REQUIRE(page.next_token());
  CHECK(by_topic(std::string(*page.next_token())).subscriptions().size() == 1);
  auto all = [&](std::string token) {
    model::ListSubscriptionsInput in;
    if (!token.empty()) in.set_next_token(std::move(token));
    return bench.ok<model::ListSubscriptionsResponse>("ListSubscriptions", std::move(in));
  };
  auto every = all("");
  CHECK(every.subscriptions().size() == limits::sns_page);
  REQUIRE(every.next_token());
  CHECK(all(std::string(*every.next_token())).subscriptions().size() == 1);
}
