// Value: the dynamic twin of a Shape. A structure is a Record with one slot per member of its
// Shape; generated view classes (api/) read and write the slots by name and type.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "wire/shape.h"

namespace mayfly::wire {

struct Value;
using List = std::vector<Value>;
// Ordered as received: services answer maps in the order clients sent them.
using Map = std::vector<std::pair<std::string, Value>>;

// Seconds since the epoch; milliseconds survive in the fraction.
struct Timestamp {
  double epoch_seconds = 0;
  bool operator==(const Timestamp&) const = default;
};
// Raw bytes (base64 in JSON and XML bodies).
struct Blob {
  std::string bytes;
  bool operator==(const Blob&) const = default;
};
// A free-form JSON document kept as JSON text.
struct Document {
  std::string json;
  bool operator==(const Document&) const = default;
};

struct Record {
  const Shape* shape = nullptr;
  std::vector<Value> slots;  // empty, or shape->members.size() long; an unset slot is null

  Record();
  explicit Record(const Shape& of);
  Record(const Record&);
  Record(Record&&) noexcept;
  Record& operator=(const Record&);
  Record& operator=(Record&&) noexcept;
  ~Record();
  const Value& at(std::size_t member) const;  // the null Value where unset
  Value& at(std::size_t member);
  bool has(std::size_t member) const;
  // -1 where the shape has no such member.
  int index(std::string_view member) const;
  bool operator==(const Record&) const;
};

struct Value {
  using Data = std::variant<std::monostate, bool, std::int64_t, double, std::string, Blob,
                            Timestamp, Document, List, Map, Record>;
  Data data;

  Value() = default;
  template <class T>
    requires(!std::is_same_v<std::remove_cvref_t<T>, Value>)
  explicit(false) Value(T&& value) : data(std::forward<T>(value)) {}
  bool is_null() const { return data.index() == 0; }
  template <class T>
  const T* get() const {
    return std::get_if<T>(&data);
  }
  template <class T>
  T* get() {
    return std::get_if<T>(&data);
  }
  bool operator==(const Value&) const = default;
};

}  // namespace mayfly::wire
