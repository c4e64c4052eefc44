// Strong identifiers: two strings that could be swapped get two types.
#pragma once

#include <compare>
#include <functional>
#include <string>
#include <utility>

namespace mayfly {

template <class Tag>
struct Id {
  std::string value;
  Id() = default;
  explicit Id(std::string text) : value(std::move(text)) {}
  bool empty() const { return value.empty(); }
  const std::string& str() const { return value; }
  auto operator<=>(const Id&) const = default;
};

using AccountId = Id<struct AccountTag>;      // 12 digits
using Region = Id<struct RegionTag>;          // "us-east-1"
using RequestId = Id<struct RequestTag>;      // UUID
using FunctionName = Id<struct FunctionTag>;  // unqualified name
using Qualifier = Id<struct QualifierTag>;    // "$LATEST", a version number or an alias
using InstanceId = Id<struct InstanceTag>;    // one execution environment

// Where a resource lives: accounts and regions are apart from each other.
struct Scope {
  AccountId account;
  Region region;
  auto operator<=>(const Scope&) const = default;
};

}  // namespace mayfly

template <class Tag>
struct std::hash<mayfly::Id<Tag>> {
  std::size_t operator()(const mayfly::Id<Tag>& id) const noexcept {
    return std::hash<std::string>{}(id.value);
  }
};
