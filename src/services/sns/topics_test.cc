#include "services/sns/fixture_test.h"

using namespace mayfly;
using namespace mayfly::services::sns;
using namespace mayfly::services::sns::test;

TEST_CASE("topics: made once, listed, deleted, kept over a restart") {
  Bench bench;
  auto arn = bench.create("news", {{"DisplayName", "News"}});
  CHECK(arn == "arn:aws:sns:us-east-1:123456789012:news");
  CHECK(bench.create("news", {{"DisplayName", "News"}}) == arn);
  CHECK(bench.create("news") == arn);
  CHECK(bench.error("CreateTopic", model::CreateTopicInput().set_name("news").set_attributes(
                                       {{"DisplayName", "Other"}})) ==
        "InvalidParameter: Invalid parameter: Attributes Reason: Topic already exists with "
        "different attributes");
  bench.create("more");
  bench.restart();
  auto listed = bench.ok<model::ListTopicsResponse>("ListTopics", model::ListTopicsInput());
  REQUIRE(listed.topics().size() == 2);
  CHECK(*listed.topics()[1].topic_arn() == arn);
  CHECK(bench.attribute(arn, "DisplayName") == "News");
  CHECK(bench.attribute(arn, "Owner") == "123456789012");
  CHECK(bench.attribute(arn, "SubscriptionsConfirmed") == "0");
  CHECK(bench.attribute(arn, "Policy").find("AWS:SourceOwner") != std::string::npos);
  CHECK(bench.attribute(arn, "FifoTopic") == "(absent)");
  bench.raw(arn, "q");
  bench.done("DeleteTopic", model::DeleteTopicInput().set_topic_arn(arn));
  bench.done("DeleteTopic", model::DeleteTopicInput().set_topic_arn(arn));
  CHECK(bench.error("Publish", Bench::message(arn, "x")) == "NotFound: Topic does not exist");
  CHECK(bench.rows("sub/") == 0);
}

TEST_CASE("topics: names, attributes and what is not built") {
  Bench bench;
  auto refused = [&](std::string name, std::map<std::string, std::string> attributes) {
    return bench.error("CreateTopic",
                       model::CreateTopicInput().set_name(name).set_attributes(attributes));
  };
  CHECK(refused("a b", {}) == "InvalidParameter: Invalid parameter: Topic Name");
  CHECK(refused(std::string(257, 'a'), {}).starts_with("InvalidParameter"));
  CHECK(refused(std::string(256, 'a'), {}) == "(success)");
  CHECK(refused("a.fifo", {}).starts_with("InvalidParameter"));
  CHECK(refused("a", {{"FifoTopic", "true"}}).starts_with("InvalidParameter"));
  CHECK(refused("a", {{"Nothing", "x"}}).starts_with("InvalidParameter"));
  CHECK(refused("a", {{"ContentBasedDeduplication", "true"}}).starts_with("InvalidParameter"));
  CHECK(refused("a", {{"SignatureVersion", "3"}}).starts_with("InvalidParameter"));
  CHECK(refused("a", {{"Policy", "{"}}).starts_with("InvalidParameter"));
  CHECK(refused("a", {{"DisplayName", std::string(101, 'x')}}).starts_with("InvalidParameter"));
  CHECK(refused("a", {{"HTTPSuccessFeedbackSampleRate", "5"}}).starts_with("NotImplemented"));
  CHECK(refused("a.fifo", {{"FifoTopic", "true"}, {"ArchivePolicy", "{\"a\":1}"}})
            .starts_with("NotImplemented"));
  auto arn = bench.create("set", {{"KmsMasterKeyId", "alias/k"}, {"TracingConfig", "Active"}});
  CHECK(bench.attribute(arn, "KmsMasterKeyId") == "alias/k");
  bench.done("SetTopicAttributes", model::SetTopicAttributesInput()
                                       .set_topic_arn(arn)
                                       .set_attribute_name("SignatureVersion")
                                       .set_attribute_value("2"));
  CHECK(bench.attribute(arn, "SignatureVersion") == "2");
  auto fifo = bench.create("o.fifo", {{"FifoThroughputScope", "MessageGroup"}});
  CHECK(bench.attribute(fifo, "ContentBasedDeduplication") == "false");
  CHECK(bench
            .error("SetTopicAttributes", model::SetTopicAttributesInput()
                                             .set_topic_arn(fifo)
                                             .set_attribute_name("FifoThroughputScope")
                                             .set_attribute_value("Topic"))
            .starts_with("InvalidParameter"));
}

TEST_CASE("topics: permissions and tags") {
  Bench bench;
  auto arn = bench.create("t");
  auto grant = model::AddPermissionInput().set_topic_arn(arn).set_label("one").set_aws_account_id(
      {"222222222222"});
  bench.done("AddPermission", model::AddPermissionInput(grant).set_action_name({"Publish"}));
  CHECK(bench.attribute(arn, "Policy").find("arn:aws:iam::222222222222:root") != std::string::npos);
  api::Caller other;
  other.kind = api::Caller::Kind::user;
  other.account = AccountId("222222222222");
  other.arn = "arn:aws:iam::222222222222:user/u";
  auto may = [&](std::string_view action) {
    return bench.guard
        ->authorize({.caller = other,
                     .action = action,
                     .resource = arn,
                     .resource_account = AccountId("123456789012"),
                     .source_arn = {},
                     .function_url_auth_type = {}})
        .allowed;
  };
  CHECK(may("sns:Publish"));
  CHECK_FALSE(may("sns:Subscribe"));
  CHECK(bench.error("AddPermission", model::AddPermissionInput(grant).set_action_name({"Publish"}))
            .starts_with("InvalidParameter"));
  CHECK(bench
            .error("AddPermission", model::AddPermissionInput()
                                        .set_topic_arn(arn)
                                        .set_label("two")
                                        .set_aws_account_id({"22"})
                                        .set_action_name({"Publish"}))
            .starts_with("InvalidParameter"));
  bench.done("RemovePermission",
             model::RemovePermissionInput().set_topic_arn(arn).set_label("one"));
  CHECK_FALSE(may("sns:Publish"));

  std::vector<model::Tag> tags;
  tags.emplace_back().set_key("k").set_value("v");
  bench.done("TagResource", model::TagResourceRequest().set_resource_arn(arn).set_tags(tags));
  bench.restart();
  auto listed = [&] {
    return bench
        .ok<model::ListTagsForResourceResponse>(
            "ListTagsForResource", model::ListTagsForResourceRequest().set_resource_arn(arn))
        .tags();
  };
  REQUIRE(listed().size() == 1);
  CHECK(*listed()[0].value() == "v");
  bench.done("UntagResource",
             model::UntagResourceRequest().set_resource_arn(arn).set_tag_keys({"k"}));
  CHECK(listed().empty());
  CHECK(bench
            .error("ListTagsForResource",
                   model::ListTagsForResourceRequest().set_resource_arn(arn + "x"))
            .starts_with("ResourceNotFound"));
  tags.clear();
  for (int i = 0; i < 51; ++i) tags.emplace_back().set_key(fmt::format("k{}", i)).set_value("v");
  CHECK(bench.error("TagResource", model::TagResourceRequest().set_resource_arn(arn).set_tags(tags))
            .starts_with("TagLimitExceeded"));
}

TEST_CASE("subscriptions: made once, with their attributes, listed, ended") {
  Bench bench;
  auto topic = bench.create("t");
  auto arn = bench.subscribe(topic, "sqs", Bench::queue("q"));
  CHECK(arn.starts_with(topic + ":"));
  CHECK(bench.subscribe(topic, "sqs", Bench::queue("q")) == arn);
  CHECK(bench
            .error("Subscribe", Bench::subscription(topic, "sqs", Bench::queue("q"))
                                    .set_attributes({{"RawMessageDelivery", "true"}}))
            .find("different attributes") != std::string::npos);
  CHECK(bench.subscription_attribute(arn, "RawMessageDelivery") == "false");
  CHECK(bench.subscription_attribute(arn, "ConfirmationWasAuthenticated") == "true");
  bench.set(arn, "RawMessageDelivery", "true");
  bench.set(arn, "FilterPolicy", R"({"a":["b"]})");
  bench.restart();
  CHECK(bench.subscription_attribute(arn, "RawMessageDelivery") == "true");
  CHECK(bench.subscription_attribute(arn, "FilterPolicyScope") == "MessageAttributes");
  bench.set(arn, "FilterPolicy", "");
  CHECK(bench.subscription_attribute(arn, "FilterPolicy") == "(absent)");
  auto listed = bench.ok<model::ListSubscriptionsByTopicResponse>(
      "ListSubscriptionsByTopic", model::ListSubscriptionsByTopicInput().set_topic_arn(topic));
  REQUIRE(listed.subscriptions().size() == 1);
  CHECK(*listed.subscriptions()[0].subscription_arn() == arn);
  bench.account = AccountId("222222222222");
  CHECK(bench.error("Unsubscribe", model::UnsubscribeInput().set_subscription_arn(arn))
            .starts_with("AuthorizationError"));
  bench.account = AccountId("123456789012");
  bench.done("Unsubscribe", model::UnsubscribeInput().set_subscription_arn(arn));
  bench.done("Unsubscribe", model::UnsubscribeInput().set_subscription_arn(arn));
  CHECK(bench.attribute(topic, "SubscriptionsDeleted") == "1");
  CHECK(bench
            .error("GetSubscriptionAttributes",
                   model::GetSubscriptionAttributesInput().set_subscription_arn(arn))
            .starts_with("NotFound"));
}

TEST_CASE("subscriptions: what is refused") {
  Bench bench;
  auto topic = bench.create("t");
  auto fifo = bench.create("t.fifo");
  auto refused = [&](std::string to, std::string protocol, std::string endpoint,
                     std::map<std::string, std::string> attributes = {}) {
    auto text = bench.error("Subscribe",
                            Bench::subscription(to, protocol, endpoint).set_attributes(attributes));
    return text.substr(0, text.find(':'));
  };
  for (const auto* protocol : {"email", "email-json", "sms", "application", "firehose"}) {
    CHECK(refused(topic, protocol, "x") == "NotImplementedException");
  }
  CHECK(refused(topic, "pigeon", "x") == "InvalidParameter");
  CHECK(refused(topic, "sqs", "q") == "InvalidParameter");
  CHECK(refused(topic, "lambda", Bench::queue("q")) == "InvalidParameter");
  CHECK(refused(topic, "http", "https://h/") == "InvalidParameter");
  CHECK(refused(topic, "https", "https://h\n/") == "InvalidParameter");
  CHECK(refused(topic, "sqs", Bench::queue("q.fifo")) == "InvalidParameter");
  CHECK(refused(fifo, "http", "http://h/") == "InvalidParameter");
  auto queue = Bench::queue("q");
  CHECK(refused(topic, "sqs", queue, {{"Nothing", "x"}}) == "InvalidParameter");
  CHECK(refused(topic, "sqs", queue, {{"FilterPolicy", "["}}) == "InvalidParameter");
  CHECK(refused(topic, "sqs", queue, {{"RawMessageDelivery", "maybe"}}) == "InvalidParameter");
  CHECK(refused(topic, "sqs", queue, {{"DeliveryPolicy", "{}"}}) == "InvalidParameter");
  CHECK(refused(topic, "sqs", queue, {{"SubscriptionRoleArn", "x"}}) == "NotImplementedException");
  CHECK(refused(topic, "sqs", queue, {{"ReplayPolicy", "x"}}) == "NotImplementedException");
  auto redrive = [](std::string arn) {
    return std::map<std::string, std::string>{
        {"RedrivePolicy", fmt::format(R"({{"deadLetterTargetArn":"{}"}})", arn)}};
  };
  CHECK(refused(topic, "sqs", queue, redrive("x")) == "InvalidParameter");
  CHECK(refused(topic, "sqs", queue, redrive(Bench::queue("d.fifo"))) == "InvalidParameter");
  CHECK(refused(topic, "sqs", queue, redrive(Bench::queue("d", "222222222222"))) ==
        "InvalidParameter");
  CHECK(refused(topic, "sqs", queue, redrive(Bench::queue("d"))) == "(success)");
}

TEST_CASE("subscriptions: a queue of another account must be confirmed, in time") {
  Bench bench;
  auto topic = bench.create("t");
  auto theirs = Bench::queue("q", "222222222222");
  auto in = Bench::subscription(topic, "sqs", theirs).set_return_subscription_arn(false);
  CHECK(*bench.ok<model::SubscribeResponse>("Subscribe", in).subscription_arn() ==
        "pending confirmation");
  bench.wait_for(bench.queues, 1);
  auto asked = wire::parse_json(bench.queues.taken[0].payload);
  REQUIRE(asked);
  CHECK(asked->string_or("Type") == "SubscriptionConfirmation");
  CHECK(bench.queues.taken[0].arn == theirs);
  bench.publish(topic, "not yet");
  CHECK(bench.queues.taken.size() == 1);
  CHECK(bench
            .error("ConfirmSubscription",
                   model::ConfirmSubscriptionInput().set_topic_arn(topic).set_token("x"))
            .starts_with("InvalidParameter"));
  auto confirmed = bench.ok<model::ConfirmSubscriptionResponse>(
      "ConfirmSubscription", model::ConfirmSubscriptionInput().set_topic_arn(topic).set_token(
                                 std::string(asked->string_or("Token"))));
  CHECK(confirmed.subscription_arn()->starts_with(topic));
  bench.set(std::string(*confirmed.subscription_arn()), "RawMessageDelivery", "true");
  bench.publish(topic, "now");
  REQUIRE(bench.queues.taken.size() == 2);
  CHECK(bench.queues.taken[1].payload == "now");
  // Nobody confirms this one.
  auto late = Bench::subscription(topic, "sqs", Bench::queue("r", "222222222222"));
  bench.done("Subscribe", late);
  bench.wait_for(bench.queues, 3);
  CHECK(bench.attribute(topic, "SubscriptionsPending") == "1");
  bench.restart();
  bench.pass(47h);
  CHECK(bench.attribute(topic, "SubscriptionsPending") == "1");
  bench.pass(1h);
  CHECK(bench.attribute(topic, "SubscriptionsPending") == "0");
  CHECK(bench.attribute(topic, "SubscriptionsConfirmed") == "1");
}

TEST_CASE("limits of topics and subscriptions, on both sides") {
  Bench bench;
  for (std::size_t i = 0; i < limits::sns_fifo_topics; ++i)
    bench.create(fmt::format("t{}.fifo", i));
  auto one_more =
      model::CreateTopicInput().set_name("more.fifo").set_attributes({{"FifoTopic", "true"}});
  CHECK(bench.error("CreateTopic", model::CreateTopicInput(one_more))
            .starts_with("TopicLimitExceeded"));
  auto topic = bench.create("plain");
  std::string fifo = "arn:aws:sns:us-east-1:123456789012:t0.fifo";
  for (std::size_t i = 0; i < limits::sns_fifo_subscriptions; ++i) {
    bench.raw(fifo, fmt::format("q{}", i));
  }
  CHECK(bench.error("Subscribe", Bench::subscription(fifo, "sqs", Bench::queue("more")))
            .starts_with("SubscriptionLimitExceeded"));
  for (std::size_t i = 0; i < limits::sns_filters; ++i) {
    bench.raw(topic, fmt::format("q{}", i), {{"FilterPolicy", R"({"a":[1]})"}});
  }
  auto filtered = Bench::subscription(topic, "sqs", Bench::queue("more"))
                      .set_attributes({{"FilterPolicy", R"({"a":[1]})"}});
  CHECK(bench.error("Subscribe", std::move(filtered)).starts_with("FilterPolicyLimitExceeded"));
  auto plain = bench.raw(topic, "more");
  CHECK(bench
            .error("SetSubscriptionAttributes", model::SetSubscriptionAttributesInput()
                                                    .set_subscription_arn(plain)
                                                    .set_attribute_name("FilterPolicy")
                                                    .set_attribute_value(R"({"a":[1]})"))
            .starts_with("FilterPolicyLimitExceeded"));
  bench.done("DeleteTopic", model::DeleteTopicInput().set_topic_arn(fifo));
  CHECK(bench.create("more.fifo").ends_with("more.fifo"));
  auto set = [&](std::string name, std::string value) {
    return bench.error("SetTopicAttributes", model::SetTopicAttributesInput()
                                                 .set_topic_arn(topic)
                                                 .set_attribute_name(name)
                                                 .set_attribute_value(value));
  };
  CHECK(set("DisplayName", std::string(limits::sns_display_name_length, 'x')) == "(success)");
  CHECK(set("DisplayName", std::string(limits::sns_display_name_length + 1, 'x')) != "(success)");
  auto policy = [](std::size_t size) {
    std::string out =
        R"({"Statement":[{"Effect":"Deny","Principal":"*","Action":"a","Resource":"r","Sid":"")";
    return out.substr(0, out.size() - 1) + std::string(size - out.size() - 3, 's') + "\"}]}";
  };
  CHECK(policy(limits::sns_policy_bytes).size() == limits::sns_policy_bytes);
  CHECK(set("Policy", policy(limits::sns_policy_bytes)) == "(success)");
  CHECK(set("Policy", policy(limits::sns_policy_bytes + 1)) != "(success)");
  auto url = [](std::size_t size) { return "http://h/" + std::string(size - 9, 'x'); };
  CHECK(bench.error("Subscribe",
                    Bench::subscription(topic, "http", url(limits::sns_endpoint_bytes + 1))) !=
        "(success)");
}

TEST_CASE("a function's subscriptions: no http, and links that lead back from outside") {
  Bench bench;
  auto topic = bench.create("t");
  bench.from_function = true;
  CHECK(bench.error("Subscribe", Bench::subscription(topic, "http", "http://127.0.0.1:1/"))
            .starts_with("AuthorizationError"));
  bench.subscribe(topic, "sqs", Bench::queue("q"));
  bench.publish(topic, "x");
  bench.wait_for(bench.queues, 1);
  auto document = wire::parse_json(bench.queues.taken[0].payload);
  CHECK(document->string_or("UnsubscribeURL").starts_with("http://outside:4566/_mayfly/sns/"));
}
