#include <doctest/doctest.h>
#include <re2/re2.h>

#include <set>

#include "api/lambda.h"
#include "api/logs.h"
#include "api/sts.h"

using namespace mayfly;

namespace {

// Every shape that can be reached from a service's operations.
void collect(const wire::Shape* shape, std::set<const wire::Shape*>& seen) {
  if (shape == nullptr || !seen.insert(shape).second) return;
  for (const wire::Member& member : shape->members) collect(member.shape, seen);
  if (shape->element != nullptr) collect(shape->element->shape, seen);
  if (shape->key != nullptr) collect(shape->key->shape, seen);
}

std::set<const wire::Shape*> shapes_of(const api::ServiceModel& model) {
  std::set<const wire::Shape*> seen;
  for (const api::Operation& row : model.operations) {
    collect(row.input, seen);
    collect(row.output, seen);
    for (const wire::Shape* error : row.errors) collect(error, seen);
  }
  return seen;
}

std::string compile_error(std::string_view pattern) {
  RE2::Options quiet;
  quiet.set_log_errors(false);
  RE2 regex(re2::StringPiece(pattern.data(), pattern.size()), quiet);
  return regex.ok() ? "" : std::string(pattern) + ": " + regex.error();
}

}  // namespace

TEST_CASE("every row of every model has a permission and its shapes") {
  for (const auto* model : {&api::lambda::model, &api::logs::model, &api::sts::model}) {
    CHECK(!model->operations.empty());
    for (const api::Operation& row : model->operations) {
      CAPTURE(row.name);
      CHECK(row.service == model);
      CHECK(row.action.contains(':'));
      CHECK(!row.resource.empty());
    }
  }
  CHECK(api::lambda::model.operations.size() == 85);
}

TEST_CASE("every pattern of every model compiles") {
  for (const auto* model : {&api::lambda::model, &api::logs::model, &api::sts::model}) {
    for (const wire::Shape* shape : shapes_of(*model)) {
      CAPTURE(shape->name);
      if (!shape->pattern.empty()) {
        CHECK(compile_error(shape->regex.empty() ? shape->pattern : shape->regex) == "");
      }
      CHECK(compile_error(shape->forbidden) == "");
    }
  }
}

TEST_CASE("a view reads and writes its record") {
  api::lambda::CreateFunctionRequest request;
  api::lambda::FunctionCode code;
  code.set_zip_file("PK");
  request.set_function_name("hello").set_memory_size(256).set_code(std::move(code));
  request.set_layers({"arn:1", "arn:2"});
  api::lambda::CreateFunctionRequest again(std::move(request).take());
  CHECK(again.function_name() == "hello");
  CHECK(again.memory_size() == 256);
  CHECK(again.code()->zip_file() == "PK");
  CHECK(again.layers().size() == 2);
  CHECK(!again.publish().has_value());
  CHECK(!again.has_environment());
}

TEST_CASE("an error carries its status, code and type") {
  auto error = api::lambda::resource_not_found_exception("Function not found: x");
  CHECK(error.code == "ResourceNotFoundException");
  CHECK(error.http_status == 404);
  CHECK(api::lambda::ResourceNotFoundException(*error.detail).type() == "User");
  CHECK(api::lambda::service_exception("x").http_status == 500);
  CHECK(api::lambda::ServiceException(*api::lambda::service_exception("x").detail).type() ==
        "Service");
}
