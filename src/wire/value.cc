#include "wire/value.h"

namespace mayfly::wire {

namespace {
const Value null_value;
}

Record::Record() = default;
Record::Record(const Shape& of) : shape(&of), slots(of.members.size()) {}
Record::Record(const Record&) = default;
Record::Record(Record&&) noexcept = default;
Record& Record::operator=(const Record&) = default;
Record& Record::operator=(Record&&) noexcept = default;
Record::~Record() = default;

const Value& Record::at(std::size_t member) const {
  return member < slots.size() ? slots[member] : null_value;
}

Value& Record::at(std::size_t member) {
  if (slots.size() <= member) slots.resize(shape->members.size());
  return slots[member];
}

bool Record::has(std::size_t member) const { return !at(member).is_null(); }

int Record::index(std::string_view member) const {
  for (std::size_t i = 0; i < shape->members.size(); ++i) {
    if (shape->members[i].name == member) return static_cast<int>(i);
  }
  return -1;
}

bool Record::operator==(const Record& other) const {
  return shape == other.shape && slots == other.slots;
}

}  // namespace mayfly::wire
