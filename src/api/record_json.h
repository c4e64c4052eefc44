// Structures of a model as JSON and back, for services that keep what clients gave them in its
// shape; and copies of views, which share their record otherwise.
#pragma once

#include "api/view.h"
#include "base/result.h"
#include "wire/json.h"

namespace mayfly::api {

wire::Json json_of(const wire::Record& record);
// Kind invalid: a member is of the wrong type.
Result<wire::Record> record_of(const wire::Shape& shape, const wire::Json& json);

template <class T>
T copy_of(const T& view) {
  return T(wire::Record(view.record()));
}

// The members that another view has too: of a description, what stands in a list.
template <class To>
To summary_of(const View& from) {
  wire::Record out(To::shape());
  for (std::size_t i = 0; i < out.shape->members.size(); ++i) {
    int index = from.record().index(out.shape->members[i].name);
    if (index >= 0) out.at(i) = from.record().at(static_cast<std::size_t>(index));
  }
  return To(std::move(out));
}

}  // namespace mayfly::api
