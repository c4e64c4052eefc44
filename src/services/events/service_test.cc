#include "services/events/fixture_test.h"

using namespace mayfly;
using namespace mayfly::services::bus;
using namespace mayfly::services::bus::test;

namespace {

constexpr std::string_view to_queue =
    R"([{"Id":"1","Arn":"arn:aws:sqs:us-east-1:123456789012:q"}])";

}  // namespace

TEST_CASE("rules and buses are there after a restart") {
  Bench bench;
  bench.ok("CreateEventBus", Bench::json(R"({"Name":"mine","Tags":[{"Key":"k","Value":"v"}]})"));
  bench.rule("r", R"({"source":["s"]})", to_queue);
  bench.restart();
  CHECK(bench.ok("DescribeEventBus", Bench::json(R"({"Name":"mine"})")).string_or("Arn") ==
        "arn:aws:events:us-east-1:123456789012:event-bus/mine");
  CHECK(bench.ok("ListTargetsByRule", Bench::json(R"({"Rule":"r"})"))
            .find("Targets")
            ->as<wire::JsonArray>()
            ->size() == 1);
  bench.put("{}");
  CHECK(bench.queue.got.size() == 1);
}

TEST_CASE("the rules of a bus have a limit, and so have the targets of a rule") {
  Bench bench;
  bench.rule("r", R"({"source":["s"]})", to_queue);
  Json put = Bench::json(R"({"Rule":"r","Targets":[]})");
  Json targets = Json::array({});
  for (int i = 0; i < 4; ++i) {
    targets.push_back(Bench::json(
        fmt::format(R"({{"Id":"t{}","Arn":"arn:aws:sqs:us-east-1:123456789012:q"}})", i)));
  }
  put["Targets"] = targets;
  bench.ok("PutTargets", put);
  targets.push_back(Bench::json(R"({"Id":"t5","Arn":"arn:aws:sqs:us-east-1:123456789012:q"})"));
  put["Targets"] = targets;
  CHECK(bench.error("PutTargets", put).starts_with("LimitExceededException"));
}

TEST_CASE("a policy has a length, a detail a depth") {
  Bench bench;
  Json in;
  in["Policy"] = std::string(limits::events_policy_bytes + 1, ' ');
  CHECK(bench.error("PutPermission", in).starts_with("PolicyLengthExceededException"));
  auto nested = [&](int depth) {
    Json entry;
    entry["Source"] = "s";
    entry["DetailType"] = "t";
    std::string detail = R"({"a":)";
    for (int i = 1; i < depth; ++i) detail += "[";
    for (int i = 1; i < depth; ++i) detail += "]";
    if (depth == 1) detail += "1";
    entry["Detail"] = detail + "}";
    Json events;
    events["Entries"] = Json::array({entry});
    return bench.ok("PutEvents", events).int_or("FailedEntryCount", -1);
  };
  CHECK(nested(limits::events_detail_depth) == 0);
  CHECK(nested(limits::events_detail_depth + 1) == 1);
}

TEST_CASE("a rule by the clock: rates from when it was made, crons in UTC") {
  Bench bench;
  bench.ok("PutRule", Bench::json(R"x({"Name":"r","ScheduleExpression":"rate(5 minutes)"})x"));
  Json put;
  put["Rule"] = "r";
  put["Targets"] = Bench::json(to_queue);
  bench.ok("PutTargets", put);
  bench.pass(4min + 59s);
  CHECK(bench.queue.got.empty());
  bench.pass(2s);
  CHECK(bench.queue.got.size() == 1);
  bench.pass(10min);
  CHECK(bench.queue.got.size() == 3);
  bench.ok("DisableRule", Bench::json(R"({"Name":"r"})"));
  bench.pass(10min);
  CHECK(bench.queue.got.size() == 3);
  bench.ok("EnableRule", Bench::json(R"({"Name":"r"})"));
  bench.pass(5min + 1s);
  CHECK(bench.queue.got.size() == 4);
  CHECK(bench.error("PutRule", Bench::json(R"({"Name":"x","ScheduleExpression":"soon"})")) ==
        "ValidationException: Parameter ScheduleExpression is not valid.");
}

TEST_CASE("an archive is replayed in its order, and can be cancelled") {
  Bench bench;
  bench.rule("r", R"({"source":["s"]})", to_queue);
  constexpr std::string_view bus = "arn:aws:events:us-east-1:123456789012:event-bus/default";
  Json archive;
  archive["ArchiveName"] = "a";
  archive["EventSourceArn"] = bus;
  bench.ok("CreateArchive", archive);
  for (int i = 0; i < 5; ++i) {
    bench.put(fmt::format(R"({{"i":{}}})", i));
    bench.pass(1s);
  }
  CHECK(bench.ok("DescribeArchive", archive).int_or("EventCount", 0) == 5);
  bench.queue.got.clear();
  double now = static_cast<double>(epoch_millis(bench.clock.platform())) / 1000;
  Json replay;
  replay["ReplayName"] = "p";
  replay["EventSourceArn"] = "arn:aws:events:us-east-1:123456789012:archive/a";
  replay["EventStartTime"] = now - 4;  // the first came before that
  replay["EventEndTime"] = now;
  replay["Destination"]["Arn"] = bus;
  bench.ok("StartReplay", replay);
  bench.loop.run_ready();
  CHECK(bench.ok("DescribeReplay", replay).string_or("State") == "COMPLETED");
  REQUIRE(bench.queue.got.size() == 4);
  auto event = Bench::json(bench.queue.got.front().payload);
  CHECK(event.find("detail")->dump() == R"({"i":1})");
  CHECK(event.string_or("replay-name") == "p");
  CHECK(bench.ok("DescribeArchive", archive).int_or("EventCount", 0) == 5);
  CHECK(bench.error("CancelReplay", replay).starts_with("IllegalStatusException"));
}

TEST_CASE("what a connection keeps to itself") {
  Bench bench;
  auto made = bench.ok("CreateConnection", Bench::json(R"({
    "Name":"c","AuthorizationType":"OAUTH_CLIENT_CREDENTIALS","AuthParameters":{
      "OAuthParameters":{"ClientParameters":{"ClientID":"id","ClientSecret":"hidden"},
        "AuthorizationEndpoint":"https://example.com/t","HttpMethod":"POST"},
      "InvocationHttpParameters":{"HeaderParameters":[
        {"Key":"a","Value":"hidden","IsValueSecret":true},
        {"Key":"b","Value":"shown","IsValueSecret":false}]}}})"));
  auto shown = bench.ok("DescribeConnection", Bench::json(R"({"Name":"c"})")).dump();
  CHECK(shown.find("hidden") == shown.npos);
  CHECK(shown.find("shown") != shown.npos);
  bench.restart();
  CHECK(bench.ok("DescribeConnection", Bench::json(R"({"Name":"c"})")).dump() == shown);
  CHECK(bench.rows("connection/") == 1);
  auto row = bench.disk.scan("connection/", "", 1)->front().value;
  CHECK(row.find("hidden") == row.npos);
  auto update = Bench::json(R"({"Name":"c","AuthParameters":{"OAuthParameters":{
    "ClientParameters":{"ClientSecret":"other"}}}})");
  CHECK(bench.error("UpdateConnection", update) == "(success)");
  row = bench.disk.scan("connection/", "", 1)->front().value;
  CHECK(row.find("other") == row.npos);
  // Nothing is told, and nothing done, with the key of another data folder.
  bench.key = std::string(Vault::key_bytes, 'x');
  bench.restart();
  CHECK(bench.error("UpdateConnection", update).starts_with("InternalException"));
  CHECK(bench.error("DescribeConnection", Bench::json(R"({"Name":"c"})")) == "(success)");
}

TEST_CASE("what is secret of a connection is sealed, and opened under the same key alone") {
  SystemRandom random;
  Vault vault(std::string(Vault::key_bytes, 'k'), random);
  Secrets secrets;
  secrets.set_api_key_auth_parameters(
      model::CreateConnectionApiKeyAuthRequestParameters().set_api_key_name("n").set_api_key_value(
          "hidden"));
  Connection connection;
  connection.sealed = *vault.seal(secrets);
  CHECK(connection.sealed.find("hidden") == std::string::npos);
  CHECK(*vault.seal(secrets) != connection.sealed);
  CHECK(vault.open(connection)->api_key_auth_parameters()->api_key_value() == "hidden");
  Vault other(std::string(Vault::key_bytes, 'x'), random);
  CHECK(other.open(connection).error().kind == ErrorKind::corrupt);
  connection.sealed = R"({"ApiKeyAuthParameters":{"ApiKeyName":"n","ApiKeyValue":"before"}})";
  CHECK(vault.open(connection)->api_key_auth_parameters()->api_key_value() == "before");
  connection.sealed.clear();
  CHECK_FALSE(vault.open(connection)->has_api_key_auth_parameters());
}

TEST_CASE("buses, rules, archives, tags and replays have limits") {
  Bench bench;
  auto made = [&](std::string_view operation, std::string_view form, std::size_t most) {
    for (std::size_t i = 0; i < most; ++i) {
      auto answer = bench.error(operation, Bench::json(fmt::format(fmt::runtime(form), i)));
      if (answer != "(success)") return fmt::format("{}: {}", i, answer);
    }
    return bench.error(operation, Bench::json(fmt::format(fmt::runtime(form), most)));
  };
  CHECK(made("CreateEventBus", R"({{"Name":"b{}"}})", limits::events_buses)
            .starts_with("LimitExceededException"));
  CHECK(made("PutRule", R"({{"Name":"r{0}","EventPattern":"{{\"source\":[\"s{0}\"]}}"}})",
             limits::events_rules)
            .starts_with("LimitExceededException"));
  CHECK(made("CreateArchive",
             R"({{"ArchiveName":"a{}","EventSourceArn":)"
             R"("arn:aws:events:us-east-1:123456789012:event-bus/default"}})",
             limits::events_archives)
            .starts_with("LimitExceededException"));
  CHECK(made("TagResource",
             R"({{"ResourceARN":"arn:aws:events:us-east-1:123456789012:event-bus/b0",)"
             R"("Tags":[{{"Key":"k{}","Value":"v"}}]}})",
             limits::events_tags)
            .starts_with("LimitExceededException"));
}

TEST_CASE("a target's input: what is refused, and what a template makes") {
  Bench bench;
  bench.rule("r", R"({"source":["s"]})",
             R"x([{"Id":"1","Arn":"arn:aws:sqs:us-east-1:123456789012:q","InputTransformer":{
               "InputPathsMap":{"n":"$.detail.n","all":"$.detail.list[*].k"},
               "InputTemplate":"{\"n\":<n>,\"all\":<all>,)x"
             R"x(\"rule\":\"<aws.events.rule-name>\"}"}}])x");
  bench.put(R"({"n":"5","list":[{"k":1},{"k":2}]})");
  REQUIRE(bench.queue.got.size() == 1);
  CHECK(bench.queue.got[0].payload == R"({"n":"5","all":[1,2],"rule":"r"})");
  auto refused = [&](std::string_view input) {
    Json put;
    put["Rule"] = "r";
    auto target = Bench::json(input);
    target["Id"] = "2";
    target["Arn"] = "arn:aws:sqs:us-east-1:123456789012:q";
    put["Targets"] = Json::array({target});
    return bench.error("PutTargets", put);
  };
  CHECK(refused(R"({"InputTransformer":{"InputPathsMap":{"aws.events.x":"$"},)"
                R"("InputTemplate":"{}"}})")
            .starts_with("ValidationException"));
  CHECK(refused(R"({"InputTransformer":{"InputPathsMap":{"x":"detail"},"InputTemplate":"{}"}})")
            .starts_with("ValidationException"));
  CHECK(refused(R"({"InputPath":"$.detail["})").starts_with("ValidationException"));
  CHECK(refused(R"({"InputPath":"$.detail"})") == "(success)");
}
