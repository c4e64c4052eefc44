// Tags of functions that are settings.
#include "services/lambda/fixture_test.h"

using namespace mayfly;
using namespace mayfly::lambda;
using namespace mayfly::lambda::test;

namespace {

const std::string arn = "arn:aws:lambda:us-east-1:000000000000:function:f";
using Tags = std::map<std::string, std::string>;

model::TagResourceRequest tag(const Tags& tags) {
  model::TagResourceRequest in;
  in.set_resource(arn).set_tags(tags);
  return in;
}

}  // namespace

TEST_CASE("flow control: tags of a function are settings of its events") {
  House house;
  auto request = House::request("f");
  request.set_tags({{"team", "a"}, {"mayfly:key", "detail.id"}, {"mayfly:debounce", "5s"}});
  house.done("CreateFunction", request);
  REQUIRE(house.invoker.flows["f"]);
  CHECK(house.invoker.flows["f"]->settings.key_path == "detail.id");
  CHECK(house.invoker.flows["f"]->settings.debounce_ms == 5'000);
  CHECK(house.invoker.flows["f"]->log_group == "/aws/lambda/f");
  model::PutFunctionEventInvokeConfigRequest config;
  config.set_function_name("f").set_maximum_event_age_in_seconds(60);
  house.done("PutFunctionEventInvokeConfig", config);
  CHECK(house.invoker.flows["f"]->max_age_seconds == std::map<std::string, int>{{"$LATEST", 60}});
  house.done("TagResource", tag({{"mayfly:throttle", "1/1m"}}));
  CHECK(house.invoker.flows["f"]->settings.throttle_items == 1);
  // It is there when the server has started again.
  house.stop();
  house.invoker.flows.clear();
  house.start();
  REQUIRE(house.invoker.flows["f"]);
  CHECK(house.invoker.flows["f"]->settings.throttle_items == 1);
  model::UntagResourceRequest drop;
  drop.set_resource(arn).set_tag_keys({"mayfly:key", "mayfly:debounce", "mayfly:throttle"});
  house.done("UntagResource", drop);
  CHECK_FALSE(house.invoker.flows["f"]);
}

TEST_CASE("flow control: tags that are none are refused when they are set") {
  House house;
  house.create("f");
  CHECK(
      house.refused("TagResource", tag({{"mayfly:throttle", "often"}})) ==
      "InvalidParameterValueException 400: the tag mayfly:throttle is 'often' and must be a number "
      "of items and a period, as in 10/1m.");
  CHECK(house.refused("TagResource", tag({{"mayfly:nonsense", "1"}})) ==
        "InvalidParameterValueException 400: the tag mayfly:nonsense is no setting of flow "
        "control.");
  CHECK(house.refused("TagResource", tag({{"mayfly:breaker", "5/60s"}})) ==
        "InvalidParameterValueException 400: The tag mayfly:breaker is for what pushes to targets; "
        "the circuit breaker of a function is MAYFLY_BREAKER in its environment.");
  house.done("TagResource", tag({{"mayfly:singleton", "skip"}}));
  // Together they are none.
  CHECK(house.refused("TagResource", tag({{"mayfly:debounce", "5s"}})).find("exclude each other") !=
        std::string::npos);
  auto request = House::request("g");
  request.set_tags({{"mayfly:concurrency", "0"}});
  CHECK(
      house.refused("CreateFunction", request) ==
      "InvalidParameterValueException 400: the tag mayfly:concurrency is '0' and must be a number "
      "from 1 to 1000.");
  model::ListTagsRequest list;
  list.set_resource(arn);
  CHECK(house.ok<model::ListTagsResponse>("ListTags", list).tags().size() == 1);
}
