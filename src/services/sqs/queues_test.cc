#include "services/sqs/fixture_test.h"

using namespace mayfly;
using namespace mayfly::services::sqs;
using test::Bench;
using namespace std::chrono_literals;

namespace {

std::string redrive(std::string_view arn, std::string_view most) {
  return fmt::format(R"({{"deadLetterTargetArn":"{}","maxReceiveCount":{}}})", arn, most);
}

model::CreateQueueRequest named(std::string name, std::map<std::string, std::string> attributes) {
  model::CreateQueueRequest in;
  in.set_queue_name(name).set_attributes(attributes);
  return in;
}

}  // namespace

TEST_CASE("sqs: the same queue may be made again, another one of its name may not") {
  Bench b;
  auto url = b.create("q", {{"DelaySeconds", "5"}});
  CHECK(b.create("q", {{"DelaySeconds", "5"}, {"VisibilityTimeout", "30"}}) == url);
  CHECK(b.create("q") == url);
  CHECK(b.code("CreateQueue", named("q", {{"DelaySeconds", "6"}})) == "QueueAlreadyExists");
  CHECK(
      b.ok<model::GetQueueUrlResult>("GetQueueUrl", model::GetQueueUrlRequest().set_queue_name("q"))
          .queue_url() == url);
  CHECK(b.code("GetQueueUrl", model::GetQueueUrlRequest().set_queue_name("none")) ==
        "AWS.SimpleQueueService.NonExistentQueue");
  b.restart();
  CHECK(b.attribute(url, "DelaySeconds") == "5");
  b.done("DeleteQueue", model::DeleteQueueRequest().set_queue_url(url));
  CHECK(b.code("SendMessage", Bench::message(url, "x")) ==
        "AWS.SimpleQueueService.NonExistentQueue");
  b.create("q", {{"DelaySeconds", "6"}});
}

TEST_CASE("sqs: names") {
  Bench b;
  b.create(std::string(80, 'a'));
  for (std::string bad :
       {std::string(81, 'a'), std::string("a b"), std::string("a.fifo"), std::string("a/b")}) {
    CHECK(b.code("CreateQueue", model::CreateQueueRequest().set_queue_name(bad)) ==
          "InvalidParameterValue");
  }
  CHECK(b.code("CreateQueue", named("a", {{"FifoQueue", "true"}})) == "InvalidParameterValue");
  CHECK(b.code("CreateQueue", named("a", {{"FifoQueue", "false"}})) == "InvalidAttributeName");
}

TEST_CASE("sqs: every attribute has its limits") {
  Bench b;
  struct Case {
    std::string name;
    std::vector<std::string> good;
    std::vector<std::string> bad;
  };
  std::vector<Case> cases{
      {"DelaySeconds", {"0", "900"}, {"-1", "901", "x"}},
      {"MaximumMessageSize", {"1024", "1048576"}, {"1023", "1048577"}},
      {"MessageRetentionPeriod", {"60", "1209600"}, {"59", "1209601"}},
      {"ReceiveMessageWaitTimeSeconds", {"0", "20"}, {"-1", "21"}},
      {"VisibilityTimeout", {"0", "43200"}, {"-1", "43201"}},
      {"KmsDataKeyReusePeriodSeconds", {"60", "86400"}, {"59", "86401"}},
      {"SqsManagedSseEnabled", {"true", "false"}, {"perhaps"}},
      {"RedriveAllowPolicy",
       {R"({"redrivePermission":"denyAll"})",
        R"({"redrivePermission":"byQueue","sourceQueueArns":["arn:aws:sqs:r:123456789012:s"]})"},
       {"{", R"({"redrivePermission":"byQueue"})", R"({"redrivePermission":"some"})"}}};
  auto url = b.create("q");
  for (const auto& one : cases) {
    auto in = [&](std::string value) {
      return model::SetQueueAttributesRequest().set_queue_url(url).set_attributes(
          {{one.name, value}});
    };
    for (const auto& value : one.good) {
      CAPTURE(value);
      CHECK(b.code("SetQueueAttributes", in(value)) == "(success)");
      CHECK(b.attribute(url, one.name) == value);
    }
    for (const auto& value : one.bad) {
      CAPTURE(value);
      CHECK(b.code("SetQueueAttributes", in(value)).starts_with("Invalid"));
    }
  }
  CHECK(b.code("SetQueueAttributes",
               model::SetQueueAttributesRequest().set_queue_url(url).set_attributes(
                   {{"QueueArn", "x"}})) == "InvalidAttributeName");
  CHECK(b.code("GetQueueAttributes",
               model::GetQueueAttributesRequest().set_queue_url(url).set_attribute_names({"X"})) ==
        "InvalidAttributeName");
  auto fifo = b.create("f.fifo");
  CHECK(b.code("SetQueueAttributes",
               model::SetQueueAttributesRequest().set_queue_url(fifo).set_attributes(
                   {{"FifoThroughputLimit", "perMessageGroupId"}})) == "InvalidAttributeValue");
  CHECK(b.code("SetQueueAttributes",
               model::SetQueueAttributesRequest().set_queue_url(fifo).set_attributes(
                   {{"FifoQueue", "true"}})) == "InvalidAttributeValue");
}

TEST_CASE("sqs: lists have pages") {
  Bench b;
  for (const auto* name : {"a1", "a2", "a3", "b1"}) b.create(name);
  auto list = [&](std::string prefix, std::optional<int> most, std::string token) {
    model::ListQueuesRequest in;
    in.set_queue_name_prefix(prefix);
    if (most) in.set_max_results(*most);
    if (!token.empty()) in.set_next_token(token);
    return b.ok<model::ListQueuesResult>("ListQueues", std::move(in));
  };
  CHECK(list("", {}, "").queue_urls().size() == 4);
  auto first = list("a", 2, "");
  CHECK(first.queue_urls().size() == 2);
  REQUIRE(first.next_token());
  auto second = list("a", 2, std::string(*first.next_token()));
  REQUIRE(second.queue_urls().size() == 1);
  CHECK(second.queue_urls()[0].ends_with("/a3"));
  CHECK_FALSE(second.next_token());
  CHECK(b.code("ListQueues", model::ListQueuesRequest().set_max_results(1001)) ==
        "InvalidParameterValue");
}

TEST_CASE("sqs: a purge empties the queue, for good, once a minute") {
  Bench b;
  auto url = b.create("q");
  for (int i = 0; i < 200; ++i) b.send(url, "x");
  b.receive(url);
  auto purge = [&] { return model::PurgeQueueRequest().set_queue_url(url); };
  b.done("PurgeQueue", purge());
  CHECK(b.counts(url) == "0/0/0");
  CHECK(b.code("PurgeQueue", purge()) == "AWS.SimpleQueueService.PurgeQueueInProgress");
  b.send(url, "after");
  b.restart();
  CHECK(b.bodies(url) == "after");
  b.loop.run_ready();
  CHECK(b.disk.count("msg/", "") == 1);
  b.pass(60s);
  b.done("PurgeQueue", purge());
}

TEST_CASE("sqs: a deleted queue leaves nothing in the store, also after a restart") {
  Bench b;
  auto url = b.create("q.fifo");
  for (int i = 0; i < 200; ++i) b.send_fifo(url, "x", "g", std::to_string(i));
  b.done("DeleteQueue", model::DeleteQueueRequest().set_queue_url(url));
  b.restart();
  b.loop.run_ready();
  CHECK(b.disk.count("", "") == 0);
}

TEST_CASE("sqs: dead letters move after their last receive") {
  Bench b;
  auto dead = b.create("dead");
  auto url = b.create("q", {{"RedrivePolicy", redrive(b.arn("dead"), "2")}});
  auto sent = b.send(url, "x");
  for (int i = 0; i < 2; ++i) {
    CHECK(b.bodies(url) == "x");
    CHECK(b.counts(dead) == "0/0/0");
    b.pass(30s);
  }
  CHECK(b.receive(url).empty());
  auto got = b.receive(dead);
  REQUIRE(got.size() == 1);
  CHECK(got[0].message_id() == sent.message_id());
  CHECK(Bench::system(got[0], "DeadLetterQueueSourceArn") == b.arn("q"));
  CHECK(Bench::system(got[0], "SentTimestamp") == "1767225600000");
  CHECK(b.counts(url) == "0/0/0");
  auto sources = b.ok<model::ListDeadLetterSourceQueuesResult>(
      "ListDeadLetterSourceQueues", model::ListDeadLetterSourceQueuesRequest().set_queue_url(dead));
  REQUIRE(sources.queue_urls().size() == 1);
  CHECK(sources.queue_urls()[0] == url);
}

TEST_CASE("sqs: which dead-letter queues may be named") {
  Bench b;
  auto dead = b.create("dead");
  b.create("dead.fifo");
  auto url = b.create("q");
  auto code = [&](std::string policy) {
    return b.code("SetQueueAttributes",
                  model::SetQueueAttributesRequest().set_queue_url(url).set_attributes(
                      {{"RedrivePolicy", policy}}));
  };
  CHECK(code(redrive(b.arn("none"), "1")) == "AWS.SimpleQueueService.NonExistentQueue");
  CHECK(code(redrive(b.arn("dead.fifo"), "1")) == "InvalidParameterValue");
  CHECK(code(redrive(b.arn("dead"), "0")) == "InvalidParameterValue");
  CHECK(code(redrive(b.arn("dead"), "1001")) == "InvalidParameterValue");
  CHECK(code(redrive(b.arn("dead"), "\"1000\"")) == "(success)");
  CHECK(code("") == "(success)");
  CHECK(b.attribute(url, "RedrivePolicy") == "(absent)");
  b.set(dead, "RedriveAllowPolicy", R"({"redrivePermission":"denyAll"})");
  CHECK(code(redrive(b.arn("dead"), "1")) == "InvalidParameterValue");
}

TEST_CASE("sqs: dead letters go back to their queue, as new messages") {
  Bench b;
  auto dead = b.create("dead");
  auto url =
      b.create("q", {{"RedrivePolicy", redrive(b.arn("dead"), "1")}, {"VisibilityTimeout", "1"}});
  for (int i = 0; i < 25; ++i) b.send(url, std::to_string(i));
  while (!b.receive(url).empty()) {
  }
  b.pass(1s);
  CHECK(b.counts(dead) == "25/0/0");
  auto start = [&](std::optional<int> rate) {
    model::StartMessageMoveTaskRequest in;
    in.set_source_arn(b.arn("dead"));
    if (rate) in.set_max_number_of_messages_per_second(*rate);
    return in;
  };
  auto list = [&] {
    return b
        .ok<model::ListMessageMoveTasksResult>(
            "ListMessageMoveTasks",
            model::ListMessageMoveTasksRequest().set_source_arn(b.arn("dead")).set_max_results(10))
        .results();
  };
  SUBCASE("all at once") {
    b.done("StartMessageMoveTask", start({}));
    b.loop.run_ready();
    CHECK(b.counts(dead) == "0/0/0");
    CHECK(b.counts(url) == "25/0/0");
    auto got = b.receive(url, 1);
    CHECK(Bench::system(got[0], "ApproximateReceiveCount") == "1");
    CHECK(Bench::system(got[0], "DeadLetterQueueSourceArn") == "(absent)");
    REQUIRE(list().size() == 1);
    CHECK(list()[0].status() == "COMPLETED");
    CHECK(list()[0].approximate_number_of_messages_moved() == 25);
  }
  SUBCASE("at a rate, and cancelled") {
    auto handle = std::string(
        *b.ok<model::StartMessageMoveTaskResult>("StartMessageMoveTask", start(5)).task_handle());
    b.loop.run_ready();
    CHECK(b.counts(url) == "5/0/0");
    CHECK(b.code("StartMessageMoveTask", start(5)) == "InvalidParameterValue");
    b.pass(1s);
    CHECK(b.counts(url) == "10/0/0");
    CHECK(list()[0].status() == "RUNNING");
    CHECK(
        b.ok<model::CancelMessageMoveTaskResult>(
             "CancelMessageMoveTask", model::CancelMessageMoveTaskRequest().set_task_handle(handle))
            .approximate_number_of_messages_moved() == 10);
    b.pass(5s);
    CHECK(b.counts(dead) == "15/0/0");
    CHECK(list()[0].status() == "CANCELLED");
  }
  SUBCASE("over a restart") {
    b.done("StartMessageMoveTask", start(5));
    b.loop.run_ready();
    b.restart();
    for (int i = 0; i < 6; ++i) b.pass(1s);
    CHECK(b.counts(url) == "25/0/0");
    CHECK(list()[0].status() == "COMPLETED");
  }
  CHECK(b.code("StartMessageMoveTask", model::StartMessageMoveTaskRequest().set_source_arn(
                                           b.arn("q"))) == "InvalidParameterValue");
  CHECK(b.code("StartMessageMoveTask", model::StartMessageMoveTaskRequest().set_source_arn(
                                           b.arn("none"))) == "ResourceNotFoundException");
}

TEST_CASE("sqs: permissions become statements, which guard/ reads") {
  Bench b;
  auto url = b.create("q");
  auto add = [&](std::string label, std::string action) {
    return model::AddPermissionRequest()
        .set_queue_url(url)
        .set_label(label)
        .set_aws_account_ids({"111111111111"})
        .set_actions({action});
  };
  b.done("AddPermission", add("one", "SendMessage"));
  CHECK(b.code("AddPermission", add("one", "SendMessage")) == "InvalidParameterValue");
  CHECK(b.code("AddPermission", add("two", "Nothing")) == "InvalidParameterValue");
  QueuePolicies policies(*b.queues);
  auto statements = policies.statements(b.arn("q"));
  REQUIRE(statements.size() == 1);
  CHECK(statements[0].sid == "one");
  CHECK(statements[0].principal == "arn:aws:iam::111111111111:root");
  CHECK(statements[0].action == "SQS:SendMessage");
  b.done("RemovePermission", model::RemovePermissionRequest().set_queue_url(url).set_label("one"));
  CHECK(policies.statements(b.arn("q")).empty());
  CHECK(b.code("RemovePermission", model::RemovePermissionRequest().set_queue_url(url).set_label(
                                       "one")) == "InvalidParameterValue");
}

TEST_CASE("sqs: policies with conditions") {
  auto statements = [](std::string condition, std::string effect) {
    auto read = read_policy(fmt::format(
        R"({{"Statement":{{"Effect":"{}","Principal":"*","Action":"sqs:*","Resource":"*"{}}}}})",
        effect, condition.empty() ? "" : ",\"Condition\":" + condition));
    REQUIRE(read.has_value());
    return *read;
  };
  CHECK(statements("", "Allow").size() == 1);
  auto by_source = statements(R"({"ArnEquals":{"aws:SourceArn":"arn:aws:sns:r:a:t"}})", "Allow");
  REQUIRE(by_source.size() == 1);
  CHECK(by_source[0].source_arn == "arn:aws:sns:r:a:t");
  CHECK(statements(R"({"IpAddress":{"aws:SourceIp":"10.0.0.0/8"}})", "Allow").empty());
  CHECK(statements(R"({"IpAddress":{"aws:SourceIp":"10.0.0.0/8"}})", "Deny").size() == 1);
  CHECK(statements(R"({"Bool":{"aws:SecureTransport":"false"}})", "Deny").empty());
  CHECK_FALSE(read_policy(
      R"({"Statement":{"Effect":"Allow","NotPrincipal":"*","Action":"*","Resource":"*"}})"));
  CHECK_FALSE(read_policy("nonsense"));
}

TEST_CASE("sqs: tags") {
  Bench b;
  auto url = b.create("q");
  b.done("TagQueue",
         model::TagQueueRequest().set_queue_url(url).set_tags({{"a", "1"}, {"b", "2"}}));
  b.done("UntagQueue", model::UntagQueueRequest().set_queue_url(url).set_tag_keys({"a"}));
  b.restart();
  auto tags = b.ok<model::ListQueueTagsResult>("ListQueueTags",
                                               model::ListQueueTagsRequest().set_queue_url(url));
  REQUIRE(tags.tags().size() == 1);
  CHECK(tags.tags()[0].first == "b");
}
