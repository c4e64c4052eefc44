// Json: a small JSON tree with its own reader and writer. Integers stay integers, 0.1 stays 0.1,
// objects keep the order of their members. Payloads of invocations never pass through it: they are
// bytes.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/result.h"

namespace mayfly::wire {

class Json;
using JsonArray = std::vector<Json>;

struct JsonMember;

class JsonObject {
 public:
  JsonObject();
  JsonObject(std::initializer_list<JsonMember> members);
  JsonObject(const JsonObject&);
  JsonObject(JsonObject&&) noexcept;
  JsonObject& operator=(const JsonObject&);
  JsonObject& operator=(JsonObject&&) noexcept;
  ~JsonObject();
  const Json* find(std::string_view key) const;  // the last of equal keys, as most readers do
  Json* find(std::string_view key);
  Json& operator[](std::string_view key);  // adds null where absent
  void add(std::string key, Json value);   // appends unseen; the caller knows the key is new
  bool erase(std::string_view key);
  bool contains(std::string_view key) const { return find(key) != nullptr; }
  std::size_t size() const;
  bool empty() const { return size() == 0; }
  const JsonMember* begin() const;
  const JsonMember* end() const;
  bool operator==(const JsonObject& other) const;  // order does not matter

 private:
  std::vector<JsonMember> members_;
};

class Json {
 public:
  using Data =
      std::variant<std::nullptr_t, bool, std::int64_t, double, std::string, JsonArray, JsonObject>;

  Json() : data_(nullptr) {}
  Json(std::nullptr_t) : data_(nullptr) {}
  template <class T>
    requires std::is_same_v<T, bool>
  Json(T value) : data_(value) {}
  template <std::integral T>
    requires(!std::is_same_v<T, bool>)
  Json(T value) : data_(static_cast<std::int64_t>(value)) {}
  Json(double value) : data_(value) {}
  Json(std::string value) : data_(std::move(value)) {}
  Json(std::string_view value) : data_(std::string(value)) {}
  Json(const char* value) : data_(std::string(value)) {}
  Json(JsonArray value) : data_(std::move(value)) {}
  Json(JsonObject value) : data_(std::move(value)) {}
  static Json array(std::initializer_list<Json> items) { return Json(JsonArray(items)); }
  static Json object(std::initializer_list<JsonMember> members) {
    return Json(JsonObject(members));
  }

  bool is_null() const { return data_.index() == 0; }
  bool is_bool() const { return as<bool>() != nullptr; }
  bool is_int() const { return as<std::int64_t>() != nullptr; }
  bool is_number() const { return is_int() || as<double>() != nullptr; }
  bool is_string() const { return as<std::string>() != nullptr; }
  bool is_array() const { return as<JsonArray>() != nullptr; }
  bool is_object() const { return as<JsonObject>() != nullptr; }
  template <class T>
  const T* as() const {
    return std::get_if<T>(&data_);
  }
  template <class T>
  T* as() {
    return std::get_if<T>(&data_);
  }
  const Data& data() const { return data_; }

  // nullptr where this is no object or has no such member.
  const Json* find(std::string_view key) const;
  // A path of keys: at({"Configuration", "FunctionName"}).
  const Json* at(std::initializer_list<std::string_view> path) const;
  // This becomes an object (if it is not one yet) with the member.
  Json& operator[](std::string_view key);
  void push_back(Json item);  // this becomes an array if it is not one yet

  // The member of that type, else the fallback. The view lives as long as this tree.
  std::string_view string_or(std::string_view key, std::string_view fallback = {}) const;
  std::int64_t int_or(std::string_view key, std::int64_t fallback) const;
  double number_or(std::string_view key, double fallback) const;
  bool bool_or(std::string_view key, bool fallback) const;
  // This value itself, else the fallback.
  std::string_view string_value(std::string_view fallback = {}) const;
  double number_value(double fallback = 0) const;

  // 1 and 1.0 are equal; the order of members does not matter.
  bool operator==(const Json& other) const;

  std::string dump() const;  // compact
  std::string dump_pretty(int indent = 2) const;

 private:
  Data data_;
};

struct JsonMember {
  std::string key;
  Json value;
};

struct JsonLimits {
  int depth = 256;
};

// RFC 8259. Refuses ill-formed UTF-8, lone surrogates, raw control characters, trailing text, and
// nesting over the limit. Integers beyond 64 bits become doubles. The message names the place:
// "invalid JSON at line 1 column 7: expected ':'".
Result<Json> parse_json(std::string_view text, JsonLimits limits = {});

// Pieces for writers that make no tree.
void append_json_string(std::string& out, std::string_view text);  // with the quotes
std::string json_quoted(std::string_view text);                    // the same, alone
void append_json_number(std::string& out, double value);           // NaN and infinities become null
void append_json(std::string& out, const Json& value);

}  // namespace mayfly::wire
