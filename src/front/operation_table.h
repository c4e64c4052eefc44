// OperationTable: every operation of every service's model, and which have a handler: what
// GET /_mayfly/operations answers, and docs/reference/coverage.md is made of.
//
//   {"services":[{"name":"lambda","operations":[{"name":"AddPermission","built":true},…]},…]}
//
// Filled before serving; loop thread.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "api/operation.h"

namespace mayfly::front {

class OperationTable {
 public:
  void add(const api::Service& service);
  std::string json() const;  // services and operations in the order of their names

 private:
  struct Row {
    std::string name;
    bool built = false;
  };
  std::vector<std::pair<std::string, std::vector<Row>>> services_;
};

}  // namespace mayfly::front
