// View: typed access to a wire::Record. tools/model-gen writes one class per structure of a
// service's model into api/<service>.h (namespace mayfly::api::<service>):
//
//   CreateFunctionRequest in(std::move(record));       // takes a decoded input
//   in.function_name()   -> std::optional<std::string_view>     strings and enums
//   in.memory_size()     -> std::optional<std::int64_t>         integers
//   in.publish()         -> std::optional<bool>
//   in.created()         -> std::optional<double>               timestamps, epoch seconds
//   in.payload()         -> std::optional<std::string_view>     blobs, raw bytes
//   in.code()            -> std::optional<FunctionCode>         nested structure, no copy
//   in.layers()          -> std::vector<std::string_view>       list of strings
//   in.filters()         -> std::vector<Filter>                 list of structures
//   in.variables()       -> std::vector<std::pair<std::string_view, std::string_view>>  map of
//   strings in.has_layers()      whether the member was sent at all (an empty list is "sent") other
//   shapes         -> const wire::Value*                   nullptr when unset
//
//   CreateFunctionResponse out;                         // an output to fill
//   out.set_function_name("x").set_memory_size(128);
//   co_return std::move(out).take();                    // the wire::Record
//
// `model` is the service's ServiceModel; each error shape has a constructor function, for example
// resource_not_found_exception("Function not found: …"), whose `detail` record holds the further
// members (Type is filled in where the shape has one).
//
// A nested view shares ownership with its root, so it may outlive it. Views are cheap to copy and
// share their record: a setter is seen through every copy.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "api/error.h"
#include "wire/value.h"

namespace mayfly::api {

class View {
 public:
  const wire::Record& record() const { return *record_; }
  wire::Record take() && { return std::move(*record_); }
  bool has(std::size_t member) const { return record_->has(member); }

 protected:
  using Pairs = std::vector<std::pair<std::string_view, std::string_view>>;

  explicit View(const wire::Shape& shape) : record_(std::make_shared<wire::Record>(shape)) {}
  explicit View(wire::Record record) : record_(std::make_shared<wire::Record>(std::move(record))) {}
  explicit View(std::shared_ptr<wire::Record> record) : record_(std::move(record)) {}

  std::optional<std::string_view> text(std::size_t member) const;
  std::optional<std::string_view> bytes(std::size_t member) const;
  std::optional<std::int64_t> integer(std::size_t member) const;
  std::optional<double> number(std::size_t member) const;
  std::optional<bool> boolean(std::size_t member) const;
  std::optional<double> timestamp(std::size_t member) const;
  std::vector<std::string_view> texts(std::size_t member) const;
  Pairs text_map(std::size_t member) const;
  const wire::Value* raw(std::size_t member) const;
  std::shared_ptr<wire::Record> nested(std::size_t member) const;  // nullptr when unset
  std::vector<std::shared_ptr<wire::Record>> nested_list(std::size_t member) const;
  template <class T>
  std::vector<T> views(std::size_t member) const {
    std::vector<T> out;
    for (auto& record : nested_list(member)) out.emplace_back(std::move(record));
    return out;
  }
  template <class T>
  std::optional<T> view(std::size_t member) const {
    auto record = nested(member);
    if (!record) return std::nullopt;
    return T(std::move(record));
  }

  void put(std::size_t member, wire::Value value) { record_->at(member) = std::move(value); }
  void put_texts(std::size_t member, std::vector<std::string> values);
  void put_text_map(std::size_t member, const std::map<std::string, std::string>& values);
  template <class T>
  void put_views(std::size_t member, std::vector<T> values) {
    wire::List list;
    list.reserve(values.size());
    for (T& value : values) list.emplace_back(std::move(value).take());
    put(member, std::move(list));
  }

 private:
  std::shared_ptr<wire::Record> record_;
};

// Builds the error value of an error shape: message, code and status from the shape; a "Type"
// member gets "User" or "Service".
ApiError make_error(const wire::Shape& shape, std::string message);

}  // namespace mayfly::api
