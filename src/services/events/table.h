// Table: store::Table with the errors of an API.
#pragma once

#include "api/error.h"
#include "store/table.h"

namespace mayfly::services::bus {

template <class T>
class Table : public store::Table<T, api::ApiError> {
 public:
  Table(io::Loop& loop, store::Store& store, std::string prefix)
      : store::Table<T, api::ApiError>(loop, store, std::move(prefix), [](const Error& error) {
          return api::internal_failure(error.message);
        }) {}
};

}  // namespace mayfly::services::bus
