// Limits of queues that no other test of this room meets, on both sides.
#include "base/limits.h"

#include "services/sqs/fixture_test.h"

using namespace mayfly;
using namespace mayfly::services::sqs;
using test::Bench;

TEST_CASE("sqs limits: attributes of a message") {
  Bench b;
  auto url = b.create("q");
  auto with = [&](std::size_t count) {
    wire::Map attributes;
    for (std::size_t i = 0; i < count; ++i) {
      model::MessageAttributeValue value;
      value.set_data_type("String").set_string_value("v");
      attributes.emplace_back(fmt::format("a{}", i), std::move(value).take());
    }
    return b.code("SendMessage",
                  Bench::message(url, "x").set_message_attributes(std::move(attributes)));
  };
  CHECK(with(limits::sqs_message_attributes) == "(success)");
  CHECK(with(limits::sqs_message_attributes + 1) == "InvalidParameterValue");
}

TEST_CASE("sqs limits: tags, when a queue is made and later") {
  Bench b;
  auto tags = [](std::size_t from, std::size_t to) {
    std::map<std::string, std::string> out;
    for (; from < to; ++from) out.emplace(fmt::format("k{}", from), "v");
    return out;
  };
  auto make = [&](std::size_t count) {
    return b.code("CreateQueue",
                  model::CreateQueueRequest().set_queue_name("q").set_tags(tags(0, count)));
  };
  CHECK(make(limits::sqs_tags + 1) == "InvalidParameterValue");
  CHECK(make(limits::sqs_tags) == "(success)");
  auto url = b.create("q");
  auto add = [&](std::size_t from, std::size_t to) {
    return b.code("TagQueue", model::TagQueueRequest().set_queue_url(url).set_tags(tags(from, to)));
  };
  CHECK(add(0, limits::sqs_tags) == "(success)");
  CHECK(add(limits::sqs_tags, limits::sqs_tags + 1) == "InvalidParameterValue");
}

TEST_CASE("sqs limits: statements of a policy") {
  Bench b;
  auto url = b.create("q");
  auto add = [&](std::size_t number) {
    return b.code("AddPermission", model::AddPermissionRequest()
                                       .set_queue_url(url)
                                       .set_label(fmt::format("l{}", number))
                                       .set_aws_account_ids({"111111111111"})
                                       .set_actions({"SendMessage"}));
  };
  for (std::size_t i = 0; i < limits::sqs_policy_statements; ++i) CHECK(add(i) == "(success)");
  CHECK(add(limits::sqs_policy_statements) == "OverLimit");
}

TEST_CASE("sqs limits: queues that a dead-letter queue names") {
  Bench b;
  auto url = b.create("q");
  auto allow = [&](std::size_t count) {
    std::string list;
    for (std::size_t i = 0; i < count; ++i) {
      list += fmt::format(R"({}"{}")", i == 0 ? "" : ",", b.arn(fmt::format("s{}", i)));
    }
    return b.code(
        "SetQueueAttributes",
        model::SetQueueAttributesRequest().set_queue_url(url).set_attributes(
            {{"RedriveAllowPolicy",
              fmt::format(R"({{"redrivePermission":"byQueue","sourceQueueArns":[{}]}})", list)}}));
  };
  CHECK(allow(limits::sqs_redrive_sources) == "(success)");
  CHECK(allow(limits::sqs_redrive_sources + 1) == "InvalidParameterValue");
}

TEST_CASE("sqs limits: the rate of a move, and how many are listed") {
  Bench b;
  b.create("dead");
  b.create("q", {{"RedrivePolicy", fmt::format(R"({{"deadLetterTargetArn":"{}",)"
                                               R"("maxReceiveCount":1}})",
                                               b.arn("dead"))}});
  auto start = [&](int rate) {
    auto code = b.code("StartMessageMoveTask", model::StartMessageMoveTaskRequest()
                                                   .set_source_arn(b.arn("dead"))
                                                   .set_max_number_of_messages_per_second(rate));
    b.loop.run_ready();
    return code;
  };
  CHECK(start(limits::sqs_moves_per_second + 1) == "InvalidParameterValue");
  auto list = [&](std::size_t most) {
    return model::ListMessageMoveTasksRequest()
        .set_source_arn(b.arn("dead"))
        .set_max_results(static_cast<std::int64_t>(most));
  };
  // Each ends at once: there is nothing to move.
  for (std::size_t i = 0; i < limits::sqs_moves_listed + 2; ++i) {
    CHECK(start(limits::sqs_moves_per_second) == "(success)");
  }
  CHECK(b.ok<model::ListMessageMoveTasksResult>("ListMessageMoveTasks",
                                                list(limits::sqs_moves_listed))
            .results()
            .size() == limits::sqs_moves_listed);
  CHECK(b.code("ListMessageMoveTasks", list(limits::sqs_moves_listed + 1)) ==
        "InvalidParameterValue");
}
