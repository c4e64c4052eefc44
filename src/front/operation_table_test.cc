#include "front/operation_table.h"

#include <doctest/doctest.h>

#include <array>

using namespace mayfly;

TEST_CASE("the operation table names what is built and what is not") {
  const std::array<api::Operation, 2> operations{api::Operation{.name = "Second"},
                                                 api::Operation{.name = "First"}};
  api::ServiceModel model{.name = "beta", .operations = operations};
  api::ServiceModel other{.name = "alpha"};
  front::OperationTable table;
  table.add({.model = &model, .handlers = {{"Second", api::Handler()}}});
  table.add({.model = &other, .handlers = {}});
  CHECK(table.json() ==
        R"({"services":[{"name":"alpha","operations":[]},{"name":"beta","operations":[)"
        R"({"name":"First","built":false},{"name":"Second","built":true}]}]})");
}
