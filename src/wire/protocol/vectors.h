// Test only: the public protocol vectors (botocore tests/unit/protocols) as shapes and values.
// Found under MAYFLY_VECTORS or ../shared/vectors; a test that finds none says so by name.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <string>

#include "wire/json.h"
#include "wire/protocol/codec.h"

namespace mayfly::wire::vectors {

// The shapes of one suite of a vector file, built at run time. Owns all that the shapes point to.
class Model {
 public:
  explicit Model(const Json& suite);
  const Shape* shape(std::string_view name);
  CodecOperation operation(const Json& given);

 private:
  Member member(std::string_view name, const Json& reference, std::string_view fallback);
  const std::vector<Member>* keep(std::vector<Member> members);

  const Json& suite_;
  std::map<std::string, std::unique_ptr<Shape>, std::less<>> shapes_;
  std::deque<std::vector<Member>> members_;
};

// The cases of aws-protocols/…/<direction>/<name>.json, or nothing where the file is absent.
std::optional<Json> load(std::string_view direction, std::string_view name);
std::string folder();

// A vector's params or result as a Record, and a Record in the same notation: blobs as raw text,
// timestamps as numbers, documents as themselves.
Value value_of(const Shape& shape, const Json& json);
Json json_of(const Value& value);

}  // namespace mayfly::wire::vectors
