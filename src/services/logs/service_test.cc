#include "services/logs/service.h"

#include <doctest/doctest.h>

#include "sim/manual_clock.h"
#include "sim/memory_store.h"
#include "sim/service_calls.h"

using namespace mayfly;
using namespace mayfly::services::logs;
namespace model = mayfly::api::logs;

namespace {

// The service on a log store in memory, under a clock moved by hand.
struct Bench : sim::TypedCalls<Bench> {
  Bench() : loop(clock), disk(loop) {
    auto opened = loop.run_until(telemetry::LogStore::open(loop, disk));
    REQUIRE(opened.has_value());
    logs = std::move(*opened);
    service = make_logs_service({loop, *logs});
  }
  ~Bench() { loop.run_until(logs->close()); }

  api::ApiResult<wire::Record> call(std::string_view name, wire::Record input) {
    return sim::call_service(loop, service, {scope}, name, std::move(input));
  }

  std::int64_t now() const { return epoch_millis(clock.wall()); }
  void group(std::string name) {
    done("CreateLogGroup", model::CreateLogGroupRequest().set_log_group_name(name));
  }
  void stream(std::string group, std::string name) {
    done("CreateLogStream",
         model::CreateLogStreamRequest().set_log_group_name(group).set_log_stream_name(name));
  }
  static model::InputLogEvent event(std::int64_t time, std::string text) {
    return model::InputLogEvent().set_timestamp(time).set_message(text);
  }
  static model::PutLogEventsRequest batch(std::string group, std::string stream,
                                          std::vector<model::InputLogEvent> events) {
    model::PutLogEventsRequest in;
    in.set_log_group_name(group).set_log_stream_name(stream).set_log_events(std::move(events));
    return in;
  }
  model::PutLogEventsResponse put(std::string group, std::string stream,
                                  std::vector<model::InputLogEvent> events) {
    return ok<model::PutLogEventsResponse>("PutLogEvents", batch(group, stream, std::move(events)));
  }

  Scope scope{AccountId("123456789012"), Region("us-east-1")};
  sim::ManualClock clock;
  io::Loop loop;
  sim::MemoryStore disk;
  std::unique_ptr<telemetry::LogStore> logs;
  api::Service service;
};

model::GetLogEventsRequest get(std::string group, std::string stream) {
  return model::GetLogEventsRequest().set_log_group_name(group).set_log_stream_name(stream);
}

model::FilterLogEventsRequest filter(std::string group, std::string pattern = "") {
  return model::FilterLogEventsRequest().set_log_group_name(group).set_filter_pattern(pattern);
}

template <class Answer>
std::string messages(const Answer& answer) {
  std::string text;
  for (const auto& event : answer.events()) text += std::string(*event.message()) + " ";
  return text;
}

}  // namespace

TEST_CASE("logs service: every handler is a row of the model") {
  Bench b;
  CHECK(b.service.handlers.size() == 17);
  for (const auto& [name, handler] : b.service.handlers) {
    CAPTURE(name);
    CHECK(std::ranges::find(b.service.model->operations, name, &api::Operation::name) !=
          b.service.model->operations.end());
  }
}

TEST_CASE("logs service: groups are made, described in pages and deleted") {
  Bench b;
  b.group("/aws/lambda/a");
  b.group("/aws/lambda/B-Side");
  b.group("other");
  CHECK(b.error("CreateLogGroup", model::CreateLogGroupRequest().set_log_group_name("other")) ==
        "ResourceAlreadyExistsException: The specified log group already exists");
  CHECK(b.error("CreateLogGroup",
                model::CreateLogGroupRequest().set_log_group_name("k").set_kms_key_id("k"))
            .starts_with("InvalidParameterException: kmsKeyId is not supported"));
  using Out = model::DescribeLogGroupsResponse;
  auto names = [](const Out& out) {
    std::string text;
    for (const auto& group : out.log_groups()) text += std::string(*group.log_group_name()) + " ";
    return text;
  };
  auto ask = [&](model::DescribeLogGroupsRequest in) {
    return b.ok<Out>("DescribeLogGroups", std::move(in));
  };
  using In = model::DescribeLogGroupsRequest;
  CHECK(names(ask(In())) == "/aws/lambda/B-Side /aws/lambda/a other ");
  CHECK(names(ask(In().set_log_group_name_prefix("/aws/lambda/a"))) == "/aws/lambda/a ");
  CHECK(names(ask(In().set_log_group_name_pattern("b-side"))) == "/aws/lambda/B-Side ");
  CHECK(b.error("DescribeLogGroups",
                In().set_log_group_name_prefix("a").set_log_group_name_pattern("b"))
            .starts_with("InvalidParameterException"));
  auto page = ask(In().set_limit(2));
  CHECK(page.log_groups().size() == 2);
  REQUIRE(page.next_token().has_value());
  auto rest = ask(In().set_limit(2).set_next_token(std::string(*page.next_token())));
  CHECK(names(rest) == "other ");
  CHECK_FALSE(rest.next_token().has_value());
  auto group = rest.log_groups()[0];
  CHECK(*group.arn() == "arn:aws:logs:us-east-1:123456789012:log-group:other:*");
  CHECK(*group.log_group_arn() == "arn:aws:logs:us-east-1:123456789012:log-group:other");
  CHECK(*group.creation_time() == b.now());
  CHECK(*group.stored_bytes() == 0);
  CHECK_FALSE(group.retention_in_days().has_value());
  b.done("DeleteLogGroup", model::DeleteLogGroupRequest().set_log_group_name("other"));
  CHECK(b.error("DeleteLogGroup", model::DeleteLogGroupRequest().set_log_group_name("other")) ==
        "ResourceNotFoundException: The specified log group does not exist.");
  b.done("CreateLogGroup",
         model::CreateLogGroupRequest().set_log_group_name("kept").set_deletion_protection_enabled(
             true));
  CHECK(b.error("DeleteLogGroup", model::DeleteLogGroupRequest().set_log_group_name("kept"))
            .starts_with("ValidationException"));
}

TEST_CASE("logs service: retention takes the enumerated days") {
  Bench b;
  b.group("g");
  using In = model::PutRetentionPolicyRequest;
  b.done("PutRetentionPolicy", In().set_log_group_name("g").set_retention_in_days(7));
  CHECK(b.logs->find_group(b.scope, "g")->retention_days == 7);
  CHECK(b.error("PutRetentionPolicy", In().set_log_group_name("g").set_retention_in_days(2))
            .starts_with("InvalidParameterException: 1 validation error detected: Value '2' at "
                         "'retentionInDays' failed to satisfy constraint"));
  CHECK(b.error("PutRetentionPolicy", In().set_log_group_name("x").set_retention_in_days(7))
            .starts_with("ResourceNotFoundException"));
  b.done("DeleteRetentionPolicy", model::DeleteRetentionPolicyRequest().set_log_group_name("g"));
  CHECK_FALSE(b.logs->find_group(b.scope, "g")->retention_days.has_value());
}

TEST_CASE("logs service: tags by name and by ARN") {
  Bench b;
  b.group("g");
  std::string arn = "arn:aws:logs:us-east-1:123456789012:log-group:g";
  b.done("TagLogGroup", model::TagLogGroupRequest().set_log_group_name("g").set_tags({{"a", "1"}}));
  b.done("TagResource",
         model::TagResourceRequest().set_resource_arn(arn).set_tags({{"a", "2"}, {"b", "3"}}));
  b.done("UntagResource", model::UntagResourceRequest().set_resource_arn(arn).set_tag_keys({"a"}));
  auto out = b.ok<model::ListTagsForResourceResponse>(
      "ListTagsForResource", model::ListTagsForResourceRequest().set_resource_arn(arn + ":*"));
  REQUIRE(out.tags().size() == 1);
  CHECK(out.tags()[0].first == "b");
  b.done("UntagLogGroup", model::UntagLogGroupRequest().set_log_group_name("g").set_tags({"b"}));
  CHECK(b.ok<model::ListTagsLogGroupResponse>(
             "ListTagsLogGroup", model::ListTagsLogGroupRequest().set_log_group_name("g"))
            .tags()
            .empty());
  std::map<std::string, std::string> many;
  for (int i = 0; i < 51; ++i) many.emplace(std::to_string(i), "");
  CHECK(b.error("TagResource", model::TagResourceRequest().set_resource_arn(arn).set_tags(many))
            .starts_with("TooManyTagsException"));
  CHECK(b.error("TagResource", model::TagResourceRequest().set_resource_arn(arn + "x"))
            .starts_with("ResourceNotFoundException"));
}

TEST_CASE("logs service: streams by name, by last event, in pages") {
  Bench b;
  b.group("g");
  for (auto name : {"c", "a", "b"}) b.stream("g", name);
  CHECK(b.error("CreateLogStream",
                model::CreateLogStreamRequest().set_log_group_name("g").set_log_stream_name("a")) ==
        "ResourceAlreadyExistsException: The specified log stream already exists");
  b.put("g", "b", {Bench::event(b.now() - 10, "x")});
  b.put("g", "a", {Bench::event(b.now() - 5, "y"), Bench::event(b.now() - 4, "z")});
  using In = model::DescribeLogStreamsRequest;
  using Out = model::DescribeLogStreamsResponse;
  auto names = [&](In in) {
    std::string text;
    for (const auto& s :
         b.ok<Out>("DescribeLogStreams", std::move(in.set_log_group_name("g"))).log_streams()) {
      text += std::string(*s.log_stream_name()) + " ";
    }
    return text;
  };
  CHECK(names(In()) == "a b c ");
  CHECK(names(In().set_descending(true)) == "c b a ");
  CHECK(names(In().set_log_stream_name_prefix("b")) == "b ");
  CHECK(names(In().set_order_by("LastEventTime")) == "c b a ");
  CHECK(names(In().set_order_by("LastEventTime").set_descending(true).set_limit(1)) == "a ");
  auto page = b.ok<Out>(
      "DescribeLogStreams",
      In().set_log_group_name("g").set_order_by("LastEventTime").set_descending(true).set_limit(1));
  CHECK(names(In().set_order_by("LastEventTime")
                  .set_descending(true)
                  .set_next_token(std::string(*page.next_token()))) == "b c ");
  auto first = page.log_streams()[0];
  CHECK(*first.first_event_timestamp() == b.now() - 5);
  CHECK(*first.last_event_timestamp() == b.now() - 4);
  CHECK(*first.arn() == "arn:aws:logs:us-east-1:123456789012:log-group:g:log-stream:a");
  CHECK(b.error("DescribeLogStreams", In().set_log_group_name("g")
                                          .set_order_by("LastEventTime")
                                          .set_log_stream_name_prefix("a")) ==
        "InvalidParameterException: Cannot order by LastEventTime with a logStreamNamePrefix.");
  CHECK(b.error("DescribeLogStreams", In().set_log_group_name("g").set_next_token("junk")) ==
        "InvalidParameterException: The specified nextToken is invalid.");
  CHECK(b.error("DescribeLogStreams", In()).starts_with("InvalidParameterException"));
  b.done("DeleteLogStream",
         model::DeleteLogStreamRequest().set_log_group_name("g").set_log_stream_name("a"));
  CHECK(b.error("DeleteLogStream",
                model::DeleteLogStreamRequest().set_log_group_name("g").set_log_stream_name("a")) ==
        "ResourceNotFoundException: The specified log stream does not exist.");
}

TEST_CASE("logs service: PutLogEvents refuses what the cloud refuses") {
  Bench b;
  b.group("g");
  b.stream("g", "s");
  std::int64_t t = b.now();
  auto error = [&](std::vector<model::InputLogEvent> events) {
    return b.error("PutLogEvents", Bench::batch("g", "s", std::move(events)));
  };
  CHECK(error({Bench::event(t, "b"), Bench::event(t - 1, "a")}) ==
        "InvalidParameterException: Log events in a single PutLogEvents request must be in "
        "chronological order.");
  CHECK(error({Bench::event(t - 25 * 3'600'000, "a"), Bench::event(t, "b")})
            .starts_with("InvalidParameterException: The batch of log events"));
  std::string half(512 * 1024, 'x');
  CHECK(error({Bench::event(t, half), Bench::event(t, half)}) ==
        "InvalidParameterException: Upload too large: 1048628 bytes exceeds limit of 1048576");
  CHECK(error({Bench::event(t, std::string(1024 * 1024, 'x'))}) ==
        "InvalidParameterException: Log event too large: 1048602 bytes exceeds limit of 1048576");
  CHECK(b.error("PutLogEvents", Bench::batch("none", "s", {Bench::event(t, "a")})) ==
        "ResourceNotFoundException: The specified log group does not exist.");
  CHECK(b.error("PutLogEvents", Bench::batch("g", "none", {Bench::event(t, "a")})) ==
        "ResourceNotFoundException: The specified log stream does not exist.");
}

TEST_CASE("logs service: PutLogEvents tells which events were too old, expired or too new") {
  Bench b;
  b.group("g");
  b.stream("g", "s");
  constexpr std::int64_t hour = 3'600'000;
  std::int64_t t = b.now();
  auto old = b.put(
      "g", "s",
      {Bench::event(t - 14 * 24 * hour - 1, "old"), Bench::event(t - 14 * 24 * hour, "just")});
  REQUIRE(old.rejected_log_events_info().has_value());
  CHECK(*old.rejected_log_events_info()->too_old_log_event_end_index() == 1);
  auto young =
      b.put("g", "s", {Bench::event(t + 2 * hour, "ok"), Bench::event(t + 2 * hour + 1, "new")});
  CHECK(*young.rejected_log_events_info()->too_new_log_event_start_index() == 1);
  b.done("PutRetentionPolicy",
         model::PutRetentionPolicyRequest().set_log_group_name("g").set_retention_in_days(1));
  auto expired =
      b.put("g", "s", {Bench::event(t - 24 * hour - 1, "gone"), Bench::event(t - 1, "kept")});
  CHECK(*expired.rejected_log_events_info()->expired_log_event_end_index() == 1);
  CHECK(expired.next_sequence_token()->size() == 56);
  CHECK(messages(b.ok<model::GetLogEventsResponse>("GetLogEvents", get("g", "s"))) == "kept ok ");
}

TEST_CASE("logs service: GetLogEvents pages both ways and repeats its token at the end") {
  Bench b;
  b.group("g");
  b.stream("g", "s");
  for (int i = 1; i <= 5; ++i) b.put("g", "s", {Bench::event(b.now() + i, std::to_string(i))});
  using Out = model::GetLogEventsResponse;
  auto ask = [&](model::GetLogEventsRequest in) {
    return b.ok<Out>("GetLogEvents", std::move(in));
  };
  auto token = [](std::optional<std::string_view> text) { return std::string(text.value()); };
  auto head = ask(get("g", "s").set_start_from_head(true).set_limit(2));
  CHECK(messages(head) == "1 2 ");
  CHECK(head.next_forward_token()->starts_with("f/"));
  auto next = ask(get("g", "s").set_next_token(token(head.next_forward_token())).set_limit(2));
  CHECK(messages(next) == "3 4 ");
  auto last = ask(get("g", "s").set_next_token(token(next.next_forward_token())).set_limit(2));
  CHECK(messages(last) == "5 ");
  auto end = ask(get("g", "s").set_next_token(token(last.next_forward_token())));
  CHECK(messages(end).empty());
  CHECK(*end.next_forward_token() == *last.next_forward_token());
  b.put("g", "s", {Bench::event(b.now() + 6, "6")});
  CHECK(messages(ask(get("g", "s").set_next_token(token(end.next_forward_token())))) == "6 ");
  auto tail = ask(get("g", "s").set_limit(2));
  CHECK(messages(tail) == "5 6 ");
  auto before = ask(get("g", "s").set_next_token(token(tail.next_backward_token())).set_limit(3));
  CHECK(messages(before) == "2 3 4 ");
  auto start = ask(get("g", "s").set_next_token(token(before.next_backward_token())));
  CHECK(messages(start) == "1 ");
  auto begin = ask(get("g", "s").set_next_token(token(start.next_backward_token())));
  CHECK(messages(begin).empty());
  CHECK(*begin.next_backward_token() == *start.next_backward_token());
  CHECK(messages(ask(get("g", "s").set_start_time(b.now() + 2).set_end_time(b.now() + 4))) ==
        "2 3 ");
  CHECK(b.error("GetLogEvents", get("g", "s").set_next_token("x")) ==
        "InvalidParameterException: The specified nextToken is invalid.");
  auto by_arn = model::GetLogEventsRequest()
                    .set_log_group_identifier("arn:aws:logs:us-east-1:123456789012:log-group:g:*")
                    .set_log_stream_name("s");
  CHECK(ask(by_arn).events().size() == 6);
}

TEST_CASE("logs service: a fresh stream's forward token finds what comes later") {
  Bench b;
  b.group("g");
  b.stream("g", "s");
  auto empty = b.ok<model::GetLogEventsResponse>("GetLogEvents", get("g", "s"));
  b.put("g", "s", {Bench::event(b.now(), "first")});
  CHECK(messages(b.ok<model::GetLogEventsResponse>(
            "GetLogEvents",
            get("g", "s").set_next_token(std::string(*empty.next_forward_token())))) == "first ");
}

TEST_CASE("logs service: FilterLogEvents joins streams in time order and filters") {
  Bench b;
  b.group("g");
  for (auto name : {"s1", "s2", "t"}) b.stream("g", name);
  std::int64_t t = b.now();
  b.put("g", "s2", {Bench::event(t + 1, "ERROR-b"), Bench::event(t + 3, "ERROR-d")});
  b.put("g", "s1", {Bench::event(t, "ERROR-a"), Bench::event(t + 2, "INFO-c")});
  b.put("g", "t", {Bench::event(t + 4, "{\"level\":\"ERROR\"}")});
  using Out = model::FilterLogEventsResponse;
  auto ask = [&](model::FilterLogEventsRequest in) {
    return b.ok<Out>("FilterLogEvents", std::move(in));
  };
  auto all = ask(filter("g"));
  CHECK(messages(all) == "ERROR-a ERROR-b INFO-c ERROR-d {\"level\":\"ERROR\"} ");
  CHECK_FALSE(all.next_token().has_value());
  CHECK(*all.events()[1].log_stream_name() == "s2");
  CHECK(*all.events()[1].timestamp() == t + 1);
  CHECK(*all.events()[1].ingestion_time() == t);
  CHECK(*all.events()[1].event_id() != *all.events()[0].event_id());
  CHECK(messages(ask(filter("g", "ERROR -level"))) == "ERROR-a ERROR-b ERROR-d ");
  CHECK(messages(ask(filter("g", "{ $.level = \"ERROR\" }"))) == "{\"level\":\"ERROR\"} ");
  CHECK(messages(ask(filter("g").set_log_stream_names({"s1"}))) == "ERROR-a INFO-c ");
  CHECK(messages(ask(filter("g").set_log_stream_names({"s1", "s2"}).set_limit(2))) ==
        "ERROR-a ERROR-b ");
  CHECK(messages(ask(filter("g").set_log_stream_name_prefix("t"))) == "{\"level\":\"ERROR\"} ");
  // endTime is part of the range.
  CHECK(messages(ask(filter("g").set_start_time(t + 1).set_end_time(t + 2))) == "ERROR-b INFO-c ");
  auto page = ask(filter("g", "?ERROR ?INFO").set_limit(3));
  CHECK(messages(page) == "ERROR-a ERROR-b INFO-c ");
  REQUIRE(page.next_token().has_value());
  CHECK(
      messages(ask(filter("g", "?ERROR ?INFO").set_next_token(std::string(*page.next_token())))) ==
      "ERROR-d {\"level\":\"ERROR\"} ");
  CHECK(b.error("FilterLogEvents", filter("none")) ==
        "ResourceNotFoundException: The specified log group does not exist.");
  CHECK(b.error("FilterLogEvents", filter("g", "{ broken"))
            .starts_with("InvalidParameterException: Invalid filter pattern"));
  CHECK(b.error("FilterLogEvents", filter("g").set_log_stream_names({"none"})) ==
        "ResourceNotFoundException: The specified log stream does not exist.");
}

TEST_CASE("logs service: a rare match in a large group costs pages, not one long call") {
  Bench b;
  b.group("g");
  b.stream("g", "s");
  for (int n = 0; n < 6; ++n) {
    std::vector<model::InputLogEvent> events;
    for (int i = 0; i < 9'000; ++i) events.push_back(Bench::event(b.now(), "hay"));
    b.put("g", "s", std::move(events));
  }
  b.put("g", "s", {Bench::event(b.now() + 1, "needle")});
  using Out = model::FilterLogEventsResponse;
  auto first = b.ok<Out>("FilterLogEvents", filter("g", "needle"));
  CHECK(first.events().empty());
  REQUIRE(first.next_token().has_value());
  auto second = b.ok<Out>("FilterLogEvents",
                          filter("g", "needle").set_next_token(std::string(*first.next_token())));
  CHECK(messages(second) == "needle ");
  CHECK_FALSE(second.next_token().has_value());
}
