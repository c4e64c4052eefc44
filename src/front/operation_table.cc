#include "front/operation_table.h"

#include <algorithm>

#include "wire/json.h"

namespace mayfly::front {

void OperationTable::add(const api::Service& service) {
  std::vector<Row> rows;
  for (const api::Operation& operation : service.model->operations) {
    rows.push_back(
        {.name = std::string(operation.name), .built = service.handlers.contains(operation.name)});
  }
  std::ranges::sort(rows, {}, &Row::name);
  services_.emplace_back(std::string(service.model->name), std::move(rows));
  std::ranges::sort(services_, {}, [](const auto& one) { return one.first; });
}

std::string OperationTable::json() const {
  wire::JsonArray services;
  for (const auto& [name, rows] : services_) {
    wire::JsonArray operations;
    for (const Row& row : rows) {
      wire::Json operation;
      operation["name"] = row.name;
      operation["built"] = row.built;
      operations.push_back(std::move(operation));
    }
    wire::Json service;
    service["name"] = name;
    service["operations"] = std::move(operations);
    services.push_back(std::move(service));
  }
  wire::Json out;
  out["services"] = std::move(services);
  return out.dump();
}

}  // namespace mayfly::front
