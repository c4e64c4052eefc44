// Operations: what they keep, answer and refuse.
#include "services/scheduler/fixture_test.h"

namespace mayfly::services::scheduler::test {

TEST_CASE("the inputs of creation and update have the same members") {
  auto create = model::CreateScheduleInput::shape().members;
  auto update = model::UpdateScheduleInput::shape().members;
  REQUIRE(create.size() == update.size());
  for (std::size_t i = 0; i < create.size(); ++i) CHECK(create[i].name == update[i].name);
}

TEST_CASE("a schedule is answered as it was made, with what the cloud fills in") {
  Bench b;
  auto target = Bench::target(Bench::queue_arn("q.fifo"));
  target.set_sqs_parameters(model::SqsParameters().set_message_group_id("g"))
      .set_dead_letter_config(model::DeadLetterConfig().set_arn(Bench::queue_arn("d")));
  b.create(Bench::ask("s", "rate(5 minutes)")
               .set_description("words")
               .set_start_date(1'767'230'000.25)
               .set_end_date(1'767'240'000)
               .set_kms_key_arn("arn:aws:kms:us-east-1:123456789012:key/k")
               .set_state("DISABLED")
               .set_target(std::move(target)));
  auto got = b.get("s");
  CHECK(got.arn() == "arn:aws:scheduler:us-east-1:123456789012:schedule/default/s");
  CHECK(got.group_name() == "default");
  CHECK(got.schedule_expression_timezone() == "UTC");
  CHECK(got.action_after_completion() == "NONE");
  CHECK(got.state() == "DISABLED");
  CHECK(got.description() == "words");
  CHECK(got.start_date() == 1'767'230'000.25);
  CHECK(got.end_date() == 1'767'240'000);
  CHECK(got.kms_key_arn() == "arn:aws:kms:us-east-1:123456789012:key/k");
  CHECK(got.creation_date() == 1'767'225'600);
  CHECK(got.flexible_time_window()->mode() == "OFF");
  CHECK(got.target()->retry_policy()->maximum_event_age_in_seconds() == 86'400);
  CHECK(got.target()->retry_policy()->maximum_retry_attempts() == 185);
  CHECK(got.target()->sqs_parameters()->message_group_id() == "g");
  CHECK(got.target()->dead_letter_config()->arn() == Bench::queue_arn("d"));
  CHECK(b.rows("due/") == 0);
}

TEST_CASE("an update takes all anew; a name is taken once, but for retries of a call") {
  Bench b;
  b.create(Bench::ask("s", "rate(5 minutes)").set_description("words").set_client_token("t"));
  b.create(Bench::ask("s", "rate(5 minutes)").set_description("words").set_client_token("t"));
  CHECK(b.code("CreateSchedule", Bench::ask("s", "rate(6 minutes)").set_client_token("t")) ==
        "ConflictException");
  CHECK(b.code("CreateSchedule", Bench::ask("s", "rate(5 minutes)")) == "ConflictException");
  wire::Record update(model::UpdateScheduleInput::shape());
  update.slots = Bench::ask("s", "cron(0 12 * * ? *)").take().slots;
  b.pass(10s);
  CHECK(b.code("UpdateSchedule", model::UpdateScheduleInput(update)) == "(success)");
  auto got = b.get("s");
  CHECK(!got.description());
  CHECK(got.schedule_expression() == "cron(0 12 * * ? *)");
  CHECK(got.creation_date() == 1'767'225'600);
  CHECK(got.last_modification_date() == 1'767'225'610);
  CHECK(b.rows("due/") == 1);
  update.slots = Bench::ask("none", "cron(0 12 * * ? *)").take().slots;
  CHECK(b.code("UpdateSchedule", model::UpdateScheduleInput(update)) ==
        "ResourceNotFoundException");
  auto drop = model::DeleteScheduleInput().set_name("s").set_client_token("d");
  auto again = model::DeleteScheduleInput().set_name("s").set_client_token("d");
  CHECK(b.code("DeleteSchedule", std::move(drop)) == "(success)");
  CHECK(b.code("DeleteSchedule", std::move(again)) == "(success)");
  CHECK(b.code("DeleteSchedule", model::DeleteScheduleInput().set_name("s")) ==
        "ResourceNotFoundException");
  CHECK(b.rows("") == 1);
}

TEST_CASE("a disabled schedule does not run; enabled again it goes on from now") {
  Bench b;
  b.create(Bench::ask("s", "rate(1 minutes)"));
  b.pass(0s);
  auto set = [&](std::string state) {
    wire::Record update(model::UpdateScheduleInput::shape());
    update.slots = Bench::ask("s", "rate(1 minutes)").set_state(state).record().slots;
    CHECK(b.code("UpdateSchedule", model::UpdateScheduleInput(update)) == "(success)");
  };
  set("DISABLED");
  b.live(5min, 10s);
  CHECK(b.runs() == 1);
  b.pass(30s);
  set("ENABLED");
  b.pass(0s);
  CHECK(b.runs() == 1);
  b.pass(30s);
  CHECK(b.runs() == 2);
}

TEST_CASE("an update neither repeats a time nor loses one") {
  Bench b;
  b.create(Bench::ask("s", "rate(1 minutes)"));
  b.pass(0s);
  auto again = [&](std::string name, std::string expression) {
    wire::Record update(model::UpdateScheduleInput::shape());
    update.slots = Bench::ask(name, expression).take().slots;
    CHECK(b.code("UpdateSchedule", model::UpdateScheduleInput(update)) == "(success)");
    b.pass(0s);
  };
  again("s", "rate(1 minutes)");
  CHECK(b.runs() == 1);
  again("s", "rate(2 minutes)");
  CHECK(b.runs() == 2);  // another expression begins anew
  b.create(Bench::ask("t", "at(2026-01-01T00:01:00)"));
  b.clock.advance(60s);
  again("t", "at(2026-01-01T00:01:00)");
  CHECK(b.outcomes("t") == "delivered");
}

TEST_CASE("what is refused") {
  Bench b;
  auto refused = [&](model::CreateScheduleInput in) { return b.message("CreateSchedule", in); };
  CHECK(refused(Bench::ask("s", "rate(5 weeks)"))
            .starts_with("Invalid Schedule Expression rate(5 weeks)."));
  CHECK(refused(Bench::ask("s", "rate(5 minutes)").set_schedule_expression_timezone("Mars/X"))
            .contains("Mars/X"));
  CHECK(refused(Bench::ask("s", "rate(5 minutes)").set_start_date(1'767'225'600 - 301))
            .contains("5 minutes ago"));
  CHECK(refused(Bench::ask("s", "rate(5 minutes)").set_start_date(1'767'225'600 - 300)) ==
        "(success)");
  CHECK(refused(Bench::ask("t", "rate(5 minutes)").set_end_date(1'767'225'600)).contains("future"));
  CHECK(refused(Bench::ask("t", "rate(5 minutes)")
                    .set_start_date(1'767'225'700)
                    .set_end_date(1'767'225'700))
            .contains("before"));
  auto window = [](std::string mode) { return model::FlexibleTimeWindow().set_mode(mode); };
  CHECK(refused(Bench::ask("t", "rate(5 minutes)").set_flexible_time_window(window("FLEXIBLE")))
            .contains("MaximumWindowInMinutes"));
  CHECK(refused(Bench::ask("t", "rate(5 minutes)")
                    .set_flexible_time_window(window("OFF").set_maximum_window_in_minutes(5)))
            .contains("OFF"));
}

TEST_CASE("targets that are refused") {
  Bench b;
  auto refused = [&](model::Target target) {
    auto in = Bench::ask("s", "rate(5 minutes)").set_target(std::move(target));
    auto answer = b.call("CreateSchedule", std::move(in).take());
    return answer ? "(success)" : answer.error().code + ": " + answer.error().message;
  };
  CHECK(refused(Bench::target("nothing")).starts_with("ValidationException: Provided Arn"));
  CHECK(refused(Bench::target("arn:aws:ecs:us-east-1:123456789012:cluster/c"))
            .starts_with("NotImplementedException"));
  CHECK(refused(Bench::target(Bench::queue_arn())
                    .set_kinesis_parameters(model::KinesisParameters().set_partition_key("k")))
            .starts_with("NotImplementedException"));
  CHECK(refused(Bench::target(Bench::function_arn(), "no JSON")).contains("JSON"));
  CHECK(refused(Bench::target(Bench::queue_arn("q.fifo"))).contains("MessageGroupId"));
  CHECK(refused(Bench::target("arn:aws:events:us-east-1:123456789012:event-bus/default"))
            .contains("EventBridgeParameters"));
  CHECK(refused(Bench::target(Bench::function_arn())
                    .set_sqs_parameters(model::SqsParameters().set_message_group_id("g")))
            .contains("SqsParameters"));
  CHECK(refused(Bench::target("arn:aws:scheduler:::aws-sdk:sqs:receiveMessage")).contains("reads"));
  CHECK(refused(Bench::target("arn:aws:scheduler:::aws-sdk:ec2:stopInstances"))
            .starts_with("NotImplementedException"));
  CHECK(refused(Bench::target("arn:aws:scheduler:::aws-sdk:sqs:sendMessage", "[]"))
            .contains("JSON object"));
  std::string most(limits::schedule_input_bytes, 'x');
  CHECK(refused(Bench::target(Bench::queue_arn(), most)) == "(success)");
  CHECK(refused(Bench::target(Bench::queue_arn(), most + "x")).contains("bytes"));
}

TEST_CASE("groups: made, listed, deleted with all that is in them") {
  Bench b;
  auto make = [&](std::string name) {
    return b.code("CreateScheduleGroup", model::CreateScheduleGroupInput().set_name(name));
  };
  CHECK(make("one") == "(success)");
  CHECK(make("one") == "ConflictException");
  CHECK(make("two") == "(success)");
  auto names = [&](model::ListScheduleGroupsInput in) {
    auto out = b.ok<model::ListScheduleGroupsOutput>("ListScheduleGroups", in);
    std::string text;
    for (const auto& group : out.schedule_groups()) text += std::string(*group.name()) + " ";
    if (out.next_token()) text += "…";
    return text;
  };
  CHECK(names({}) == "default one two ");
  CHECK(names(model::ListScheduleGroupsInput().set_max_results(2)) == "default one …");
  CHECK(names(model::ListScheduleGroupsInput().set_name_prefix("t")) == "two ");
  for (int i = 0; i < 150; ++i) {
    b.create(Bench::ask(fmt::format("s{}", i), "rate(5 minutes)")
                 .set_group_name("one")
                 .set_start_date(1'767'225'700));
  }
  CHECK(b.rows("schedule/") == 150);
  auto drop = [&](std::string name) {
    return b.call("DeleteScheduleGroup", model::DeleteScheduleGroupInput().set_name(name).record());
  };
  REQUIRE(drop("one").has_value());
  auto state = b.call("GetScheduleGroup", model::GetScheduleGroupInput().set_name("one").record());
  REQUIRE(state.has_value());
  CHECK(model::GetScheduleGroupOutput(*state).state() == "DELETING");
  auto late = b.call("CreateSchedule",
                     Bench::ask("late", "rate(5 minutes)").set_group_name("one").record());
  CHECK(late.error().code == "ConflictException");
  b.pass(0s);
  CHECK(b.rows("") == 2);  // when the database was made, and the other group
  CHECK(drop("one").error().code == "ResourceNotFoundException");
  CHECK(drop("default").error().code == "ValidationException");
}

TEST_CASE("a deletion of a group goes on after a restart") {
  Bench b;
  CHECK(b.code("CreateScheduleGroup", model::CreateScheduleGroupInput().set_name("one")) ==
        "(success)");
  b.create(Bench::ask("s", "rate(5 minutes)").set_group_name("one"));
  b.pass(0s);
  GroupRef ref{b.scope, "one"};
  CHECK(
      b.loop
          .run_until(b.scheduler->groups().change(ref, [](Group& group) { group.deleting = true; }))
          .has_value());
  b.restart();
  CHECK(b.rows("") == 1);
}

TEST_CASE("lists: by group, prefix and state, in pages") {
  Bench b;
  CHECK(b.code("CreateScheduleGroup", model::CreateScheduleGroupInput().set_name("one")) ==
        "(success)");
  for (std::string name : {"a1", "a2", "b1"}) {
    b.create(Bench::ask(name, "rate(5 minutes)"));
    b.create(Bench::ask(name, "rate(5 minutes)").set_group_name("one").set_state("DISABLED"));
  }
  auto list = [&](model::ListSchedulesInput in) {
    std::string text;
    while (true) {
      auto out =
          b.ok<model::ListSchedulesOutput>("ListSchedules", model::ListSchedulesInput(in.record()));
      for (const auto& one : out.schedules()) {
        text += fmt::format("{}/{} ", *one.group_name(), *one.name());
      }
      if (!out.next_token()) return text;
      in.set_next_token(std::string(*out.next_token()));
      text += "| ";
    }
  };
  CHECK(list({}) == "default/a1 default/a2 default/b1 one/a1 one/a2 one/b1 ");
  CHECK(list(model::ListSchedulesInput().set_group_name("one")) == "one/a1 one/a2 one/b1 ");
  CHECK(list(model::ListSchedulesInput().set_name_prefix("a").set_max_results(3)) ==
        "default/a1 default/a2 one/a1 | one/a2 ");
  CHECK(list(model::ListSchedulesInput().set_state("DISABLED").set_max_results(2)) ==
        "one/a1 one/a2 | one/b1 ");
  CHECK(b.code("ListSchedules", model::ListSchedulesInput().set_group_name("none")) ==
        "ResourceNotFoundException");
  CHECK(b.code("ListSchedules", model::ListSchedulesInput().set_next_token("?")) ==
        "ValidationException");
}

TEST_CASE("tags of groups") {
  Bench b;
  std::string arn = GroupRef{b.scope, "default"}.arn();
  auto tag = [&](std::string key, std::string value) {
    return b.code("TagResource",
                  model::TagResourceInput().set_resource_arn(arn).set_tags(
                      {model::Tag().set_key(std::move(key)).set_value(std::move(value))}));
  };
  CHECK(tag("a", "1") == "(success)");
  CHECK(tag("mayfly:missed-runs", "never") == "ValidationException");
  CHECK(tag("mayfly:overlap", "never") == "ValidationException");
  CHECK(tag("aws:x", "1") == "ValidationException");
  CHECK(tag("mayfly:missed-runs", "once") == "(success)");
  CHECK(b.scheduler->groups().find({b.scope, "default"})->missed() == Missed::once);
  CHECK(b.code("UntagResource", model::UntagResourceInput().set_resource_arn(arn).set_tag_keys(
                                    {"mayfly:missed-runs"})) == "(success)");
  b.restart();
  auto out = b.ok<model::ListTagsForResourceOutput>(
      "ListTagsForResource", model::ListTagsForResourceInput().set_resource_arn(arn));
  REQUIRE(out.tags().size() == 1);
  CHECK(out.tags()[0].key() == "a");
  CHECK(b.scheduler->groups().find({b.scope, "default"})->missed() == Missed::all);
  for (std::size_t i = 1; i < limits::schedule_tags; ++i) {
    CHECK(tag(fmt::format("k{}", i), "v") == "(success)");
  }
  CHECK(tag("one-more", "v") == "ServiceQuotaExceededException");
}

TEST_CASE("groups have a limit") {
  Bench b;
  for (std::size_t i = 0; i < limits::schedule_groups; ++i) {
    auto made =
        b.loop.run_until(b.scheduler->groups().create({b.scope, fmt::format("g{}", i)}, {}, {}));
    REQUIRE(made.has_value());
  }
  CHECK(b.code("CreateScheduleGroup", model::CreateScheduleGroupInput().set_name("more")) ==
        "ServiceQuotaExceededException");
}

TEST_CASE("the history holds the last runs") {
  Bench b;
  b.create(Bench::ask("s", "rate(1 minutes)"));
  b.live(30min, 60s);
  auto text = runs_json(*b.scheduler, ScheduleRef{b.scope, "default", "s"}.arn());
  REQUIRE(text.has_value());
  REQUIRE(text->has_value());
  auto json = wire::parse_json(**text);
  const auto& runs = *json->find("runs")->as<wire::JsonArray>();
  CHECK(runs.size() == limits::schedule_history);
  CHECK(runs[0].int_or("number", 0) == 30);
  CHECK(runs[0].int_or("scheduled", 0) == 1'767'225'600 + 30 * 60);
  CHECK(json->int_or("due", 0) == (1'767'225'600 + 31 * 60) * 1000LL);
  CHECK(!*runs_json(*b.scheduler, "arn:aws:scheduler:us-east-1:123456789012:schedule/default/x"));
}

TEST_CASE("tokens of deletions are remembered, the last so many") {
  Bench b;
  auto remove = [&](std::string token) {
    return b.code("DeleteSchedule",
                  model::DeleteScheduleInput().set_name("s").set_client_token(std::move(token)));
  };
  for (std::size_t i = 0; i < limits::schedule_tokens; ++i) {
    b.create(Bench::ask("s", "at(2030-01-01T00:00:00)"));
    CHECK(remove(fmt::format("t{}", i)) == "(success)");
  }
  CHECK(remove("t0") == "(success)");
  CHECK(remove("other") == "ResourceNotFoundException");
  b.create(Bench::ask("s", "at(2030-01-01T00:00:00)"));
  CHECK(remove("more") == "(success)");
  CHECK(remove("t0") == "ResourceNotFoundException");
  CHECK(remove("t1") == "(success)");
}

TEST_CASE("a page looks at so many schedules, and says that there may be more") {
  Bench b;
  for (std::size_t i = 0; i < limits::schedule_scan; ++i) {
    b.create(Bench::ask(fmt::format("s{:05}", i), "at(2030-01-01T00:00:00)"));
  }
  b.create(Bench::ask("z", "at(2030-01-01T00:00:00)"));
  auto in = model::ListSchedulesInput().set_name_prefix("z");
  auto page = b.ok<model::ListSchedulesOutput>("ListSchedules", model::ListSchedulesInput(in));
  std::size_t pages = 1;
  while (page.next_token()) {
    CHECK(page.schedules().empty());
    ++pages;
    page = b.ok<model::ListSchedulesOutput>(
        "ListSchedules",
        model::ListSchedulesInput(in).set_next_token(std::string(*page.next_token())));
  }
  CHECK(pages == 2);
  CHECK(page.schedules().size() == 1);
}

}  // namespace mayfly::services::scheduler::test
