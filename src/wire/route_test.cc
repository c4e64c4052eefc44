#include "wire/route.h"

#include <doctest/doctest.h>

using namespace mayfly;
using namespace mayfly::wire;

namespace {

constexpr Route routes[] = {
    {"GET", "/2015-03-31/functions/"},
    {"POST", "/2015-03-31/functions"},
    {"GET", "/2015-03-31/functions/{FunctionName}"},
    {"DELETE", "/2015-03-31/functions/{FunctionName}"},
    {"GET", "/2015-03-31/functions/special"},
    {"GET", "/2018-10-31/layers?find=LayerVersion"},
    {"GET", "/2018-10-31/layers"},
    {"PUT", "/{Bucket}/{Key+}"},
    {"PUT", "/{Bucket}/{Key+}?acl"},
    {"GET", "/"},
    {"GET", "/tags/{Arn+}/end"},
};

std::optional<RouteMatch> match(std::string_view method, std::string_view path, Pairs query = {}) {
  static const auto table = RouteTable::build(routes);
  REQUIRE(table.has_value());
  return table->match(method, path, query);
}

}  // namespace

TEST_CASE("routes match by method, literal segments before labels") {
  CHECK(match("GET", "/")->index == 9);
  CHECK(match("GET", "/2015-03-31/functions")->index == 0);
  CHECK(match("GET", "/2015-03-31/functions/")->index == 0);
  CHECK(match("POST", "/2015-03-31/functions/")->index == 1);
  CHECK(match("GET", "/2015-03-31/functions/special")->index == 4);
  CHECK(match("DELETE", "/2015-03-31/functions/special")->index == 3);
  CHECK_FALSE(match("PATCH", "/2015-03-31/functions").has_value());
  CHECK_FALSE(match("GET", "/2015-03-31/functions/a/b").has_value());
}

TEST_CASE("labels are decoded, also where they hold an encoded slash") {
  auto found = match("GET", "/2015-03-31/functions/arn%3Aaws%3Aa%2Fb+c");
  REQUIRE(found.has_value());
  CHECK(found->index == 2);
  CHECK(found->labels == Pairs{{"FunctionName", "arn:aws:a/b+c"}});
  CHECK_FALSE(match("GET", "/2015-03-31/functions/%zz").has_value());
}

TEST_CASE("greedy labels take the rest, slashes included, and give back what follows them") {
  auto found = match("PUT", "/bucket/a/b%20c//d");
  REQUIRE(found.has_value());
  CHECK(found->index == 7);
  CHECK(found->labels == Pairs{{"Bucket", "bucket"}, {"Key", "a/b c//d"}});
  CHECK_FALSE(match("PUT", "/bucket").has_value());
  CHECK(match("PUT", "/bucket/folder/")->labels == Pairs{{"Bucket", "bucket"}, {"Key", "folder/"}});
  CHECK(match("GET", "/tags/x/end/y/end")->labels == Pairs{{"Arn", "x/end/y"}});
}

TEST_CASE("literal query parts choose among equal paths") {
  CHECK(match("PUT", "/b/k", {{"acl", ""}})->index == 8);
  CHECK(match("PUT", "/b/k", {{"other", ""}})->index == 7);
  CHECK(match("GET", "/2018-10-31/layers", {{"find", "LayerVersion"}})->index == 5);
  CHECK(match("GET", "/2018-10-31/layers", {{"find", "Other"}})->index == 6);
}

TEST_CASE("a table refuses malformed templates and twins, and knows paths") {
  const Route twins[] = {{"GET", "/a/{X}"}, {"GET", "/a/{Y}/"}};
  CHECK_FALSE(RouteTable::build(twins).has_value());
  const Route partial[] = {{"GET", "/a/x{X}"}};
  CHECK_FALSE(RouteTable::build(partial).has_value());
  const Route greedy[] = {{"GET", "/{A+}/b/{C+}"}};
  CHECK_FALSE(RouteTable::build(greedy).has_value());
  auto table = RouteTable::build(routes);
  REQUIRE(table.has_value());
  CHECK(table->knows_path("/2015-03-31/functions"));
  CHECK_FALSE(table->knows_path("/nowhere"));
}
