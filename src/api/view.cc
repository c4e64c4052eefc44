#include "api/view.h"

namespace mayfly::api {

namespace {

template <class T>
const T* slot(const wire::Record& record, std::size_t member) {
  return record.at(member).get<T>();
}

}  // namespace

std::optional<std::string_view> View::text(std::size_t member) const {
  if (const auto* value = slot<std::string>(*record_, member)) return *value;
  return std::nullopt;
}

std::optional<std::string_view> View::bytes(std::size_t member) const {
  if (const auto* value = slot<wire::Blob>(*record_, member)) return value->bytes;
  return std::nullopt;
}

std::optional<std::int64_t> View::integer(std::size_t member) const {
  if (const auto* value = slot<std::int64_t>(*record_, member)) return *value;
  return std::nullopt;
}

std::optional<double> View::number(std::size_t member) const {
  if (const auto* value = slot<double>(*record_, member)) return *value;
  if (const auto* value = slot<std::int64_t>(*record_, member)) return static_cast<double>(*value);
  return std::nullopt;
}

std::optional<bool> View::boolean(std::size_t member) const {
  if (const auto* value = slot<bool>(*record_, member)) return *value;
  return std::nullopt;
}

std::optional<double> View::timestamp(std::size_t member) const {
  if (const auto* value = slot<wire::Timestamp>(*record_, member)) return value->epoch_seconds;
  return std::nullopt;
}

std::vector<std::string_view> View::texts(std::size_t member) const {
  std::vector<std::string_view> out;
  if (const auto* list = slot<wire::List>(*record_, member)) {
    for (const wire::Value& value : *list) {
      if (const auto* item = value.get<std::string>()) out.emplace_back(*item);
    }
  }
  return out;
}

View::Pairs View::text_map(std::size_t member) const {
  Pairs out;
  if (const auto* map = slot<wire::Map>(*record_, member)) {
    for (const auto& [key, value] : *map) {
      if (const auto* item = value.get<std::string>()) out.emplace_back(key, *item);
    }
  }
  return out;
}

const wire::Value* View::raw(std::size_t member) const {
  const wire::Value& value = record_->at(member);
  return value.is_null() ? nullptr : &value;
}

std::shared_ptr<wire::Record> View::nested(std::size_t member) const {
  if (!record_->has(member)) return nullptr;
  auto* inner = record_->at(member).get<wire::Record>();
  return inner ? std::shared_ptr<wire::Record>(record_, inner) : nullptr;
}

std::vector<std::shared_ptr<wire::Record>> View::nested_list(std::size_t member) const {
  std::vector<std::shared_ptr<wire::Record>> out;
  if (!record_->has(member)) return out;
  if (auto* list = record_->at(member).get<wire::List>()) {
    for (wire::Value& value : *list) {
      if (auto* inner = value.get<wire::Record>()) {
        out.push_back(std::shared_ptr<wire::Record>(record_, inner));
      }
    }
  }
  return out;
}

void View::put_texts(std::size_t member, std::vector<std::string> values) {
  wire::List list;
  list.reserve(values.size());
  for (std::string& value : values) list.emplace_back(std::move(value));
  put(member, std::move(list));
}

void View::put_text_map(std::size_t member, const std::map<std::string, std::string>& values) {
  wire::Map map;
  map.reserve(values.size());
  for (const auto& [key, value] : values) map.emplace_back(key, value);
  put(member, std::move(map));
}

ApiError make_error(const wire::Shape& shape, std::string message) {
  wire::Record detail(shape);
  if (int type = detail.index("Type"); type >= 0) {
    detail.at(static_cast<std::size_t>(type)) =
        std::string(shape.sender_fault ? "User" : "Service");
  }
  return {.code = std::string(shape.error_code.empty() ? shape.name : shape.error_code),
          .http_status = shape.http_status,
          .message = std::move(message),
          .sender_fault = shape.sender_fault,
          .detail = std::move(detail)};
}

}  // namespace mayfly::api
