#include "wire/json.h"

#include <cmath>

#include "wire/text.h"

namespace mayfly::wire {

JsonObject::JsonObject() = default;
JsonObject::JsonObject(std::initializer_list<JsonMember> members) : members_(members) {}
JsonObject::JsonObject(const JsonObject&) = default;
JsonObject::JsonObject(JsonObject&&) noexcept = default;
JsonObject& JsonObject::operator=(const JsonObject&) = default;
JsonObject& JsonObject::operator=(JsonObject&&) noexcept = default;
JsonObject::~JsonObject() = default;

const JsonMember* JsonObject::begin() const { return members_.data(); }
const JsonMember* JsonObject::end() const { return members_.data() + members_.size(); }

const Json* JsonObject::find(std::string_view key) const {
  for (auto it = members_.rbegin(); it != members_.rend(); ++it) {
    if (it->key == key) return &it->value;
  }
  return nullptr;
}

Json* JsonObject::find(std::string_view key) {
  return const_cast<Json*>(std::as_const(*this).find(key));
}

Json& JsonObject::operator[](std::string_view key) {
  if (Json* found = find(key)) return *found;
  return members_.emplace_back(std::string(key), Json()).value;
}

void JsonObject::add(std::string key, Json value) {
  members_.emplace_back(std::move(key), std::move(value));
}

bool JsonObject::erase(std::string_view key) {
  return std::erase_if(members_, [&](const JsonMember& m) { return m.key == key; }) > 0;
}

std::size_t JsonObject::size() const { return members_.size(); }

bool JsonObject::operator==(const JsonObject& other) const {
  if (size() != other.size()) return false;
  for (const auto& [key, value] : members_) {
    const Json* theirs = other.find(key);
    if (theirs == nullptr || !(*theirs == value)) return false;
  }
  return true;
}

const Json* Json::find(std::string_view key) const {
  const auto* object = as<JsonObject>();
  return object == nullptr ? nullptr : object->find(key);
}

const Json* Json::at(std::initializer_list<std::string_view> path) const {
  const Json* here = this;
  for (std::string_view key : path) {
    if (here == nullptr) return nullptr;
    here = here->find(key);
  }
  return here;
}

Json& Json::operator[](std::string_view key) {
  if (!is_object()) data_ = JsonObject();
  return (*as<JsonObject>())[key];
}

void Json::push_back(Json item) {
  if (!is_array()) data_ = JsonArray();
  as<JsonArray>()->push_back(std::move(item));
}

std::string_view Json::string_or(std::string_view key, std::string_view fallback) const {
  const Json* member = find(key);
  return member == nullptr ? fallback : member->string_value(fallback);
}

std::int64_t Json::int_or(std::string_view key, std::int64_t fallback) const {
  const Json* member = find(key);
  const auto* value = member == nullptr ? nullptr : member->as<std::int64_t>();
  return value == nullptr ? fallback : *value;
}

double Json::number_or(std::string_view key, double fallback) const {
  const Json* member = find(key);
  return member == nullptr ? fallback : member->number_value(fallback);
}

bool Json::bool_or(std::string_view key, bool fallback) const {
  const Json* member = find(key);
  const auto* value = member == nullptr ? nullptr : member->as<bool>();
  return value == nullptr ? fallback : *value;
}

std::string_view Json::string_value(std::string_view fallback) const {
  const auto* text = as<std::string>();
  return text == nullptr ? fallback : std::string_view(*text);
}

double Json::number_value(double fallback) const {
  if (const auto* integer = as<std::int64_t>()) return static_cast<double>(*integer);
  const auto* number = as<double>();
  return number == nullptr ? fallback : *number;
}

bool Json::operator==(const Json& other) const {
  if (is_number() && other.is_number() && is_int() != other.is_int()) {
    return number_value() == other.number_value();
  }
  return data_ == other.data_;
}

namespace {

constexpr std::string_view hex_digits = "0123456789abcdef";

class Writer {
 public:
  Writer(std::string& out, int indent) : out_(out), indent_(indent) {}

  void write(const Json& value, int depth) {
    std::visit([&](const auto& data) { put(data, depth); }, value.data());
  }

 private:
  void put(std::nullptr_t, int) { out_ += "null"; }
  void put(bool value, int) { out_ += value ? "true" : "false"; }
  void put(std::int64_t value, int) { out_ += fmt::format("{}", value); }
  void put(double value, int) { append_json_number(out_, value); }
  void put(const std::string& value, int) { append_json_string(out_, value); }
  void put(const JsonArray& items, int depth) {
    if (items.empty()) {
      out_ += "[]";
      return;
    }
    out_ += '[';
    bool first = true;
    for (const Json& item : items) {
      next(first, depth + 1);
      write(item, depth + 1);
    }
    line(depth);
    out_ += ']';
  }
  void put(const JsonObject& members, int depth) {
    if (members.empty()) {
      out_ += "{}";
      return;
    }
    out_ += '{';
    bool first = true;
    for (const auto& [key, value] : members) {
      next(first, depth + 1);
      append_json_string(out_, key);
      out_ += indent_ > 0 ? ": " : ":";
      write(value, depth + 1);
    }
    line(depth);
    out_ += '}';
  }
  void next(bool& first, int depth) {
    if (!first) out_ += ',';
    first = false;
    line(depth);
  }
  void line(int depth) {
    if (indent_ == 0) return;
    out_ += '\n';
    out_.append(static_cast<std::size_t>(depth * indent_), ' ');
  }

  std::string& out_;
  int indent_;
};

}  // namespace

std::string json_quoted(std::string_view text) {
  std::string out;
  append_json_string(out, text);
  return out;
}

void append_json_string(std::string& out, std::string_view text) {
  out += '"';
  std::size_t from = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    auto c = static_cast<unsigned char>(text[i]);
    if (c >= 0x20 && c < 0x80 && c != '"' && c != '\\') continue;
    if (c >= 0x80) {
      if (std::size_t length = utf8_sequence(text, i); length > 0) {
        i += length - 1;
        continue;
      }
    }
    out.append(text, from, i - from);
    from = i + 1;
    if (c >=
        0x80) {  // JSON is UTF-8: a byte that is not becomes U+FFFD, or no client could read it
      out += "\xef\xbf\xbd";
      continue;
    }
    switch (c) {
      case '"': out += "\\\""; break;
      case '\\': out += "\\\\"; break;
      case '\n': out += "\\n"; break;
      case '\r': out += "\\r"; break;
      case '\t': out += "\\t"; break;
      case '\b': out += "\\b"; break;
      case '\f': out += "\\f"; break;
      default:
        out += "\\u00";
        out += hex_digits[c >> 4];
        out += hex_digits[c & 15];
    }
  }
  out.append(text, from);
  out += '"';
}

void append_json_number(std::string& out, double value) {
  out += std::isfinite(value) ? format_double(value) : "null";
}

void append_json(std::string& out, const Json& value) { Writer(out, 0).write(value, 0); }

std::string Json::dump() const {
  std::string out;
  append_json(out, *this);
  return out;
}

std::string Json::dump_pretty(int indent) const {
  std::string out;
  Writer(out, indent).write(*this, 0);
  return out;
}

}  // namespace mayfly::wire
