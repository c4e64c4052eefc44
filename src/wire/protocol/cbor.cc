// CBOR (RFC 8949) as Smithy RPC v2 uses it.
//
//   byte    | meaning
//   --------|-----------------------------------------------------------------
//   major<<5 | low   major 0 uint, 1 negative, 2 bytes, 3 text, 4 array, 5 map, 6 tag, 7 other
//   low 0–23 the argument itself · 24/25/26/27 argument in the next 1/2/4/8 bytes · 31 indefinite
//   0xff    | ends an indefinite item
//   0xc1    | tag 1: a number of epoch seconds follows
#include <bit>
#include <cmath>

#include "wire/protocol/parts.h"

namespace mayfly::wire::protocol {

namespace {

constexpr int major_uint = 0, major_negative = 1, major_bytes = 2, major_text = 3, major_array = 4,
              major_map = 5, major_tag = 6, major_other = 7;

struct Head {
  int major = 0;
  int low = 0;
  std::uint64_t argument = 0;
  bool indefinite() const { return low == 31; }
};

double half_to_double(std::uint64_t half) {
  int exponent = static_cast<int>(half >> 10 & 31);
  auto mantissa = static_cast<double>(half & 1023);
  double value = exponent == 0    ? std::ldexp(mantissa, -24)
                 : exponent == 31 ? (mantissa == 0 ? std::numeric_limits<double>::infinity()
                                                   : std::numeric_limits<double>::quiet_NaN())
                                  : std::ldexp(mantissa + 1024, exponent - 25);
  return (half & 0x8000) != 0 ? -value : value;
}

std::unexpected<Error> wrong_type(std::string_view wanted) {
  return bad_value(fmt::format("must be {}", wanted));
}

class Reader {
 public:
  explicit Reader(std::string_view bytes) : bytes_(bytes) {}

  Result<Record> document(const Shape& shape) {
    TRY_ASSIGN(Head head, this->head());
    TRY_ASSIGN(Record record, this->record(shape, head));
    if (at_ != bytes_.size()) return broken("bytes after the document");
    return record;
  }

 private:
  std::unexpected<Error> broken(std::string_view why) const {
    return bad_value(fmt::format("invalid CBOR at offset {}: {}", at_, why));
  }

  Result<Head> head() {
    if (at_ == bytes_.size()) return broken("unexpected end");
    auto first = static_cast<unsigned char>(bytes_[at_++]);
    Head head{first >> 5, first & 31, 0};
    if (head.low < 24) {
      head.argument = static_cast<std::uint64_t>(head.low);
    } else if (head.low <= 27) {
      std::size_t size = std::size_t{1} << (head.low - 24);
      if (bytes_.size() - at_ < size) return broken("unexpected end");
      for (std::size_t i = 0; i < size; ++i) {
        head.argument = head.argument << 8 | static_cast<unsigned char>(bytes_[at_++]);
      }
    } else if (!head.indefinite() || head.major < major_bytes || head.major == major_tag) {
      return broken("a reserved head");
    }
    return head;
  }

  bool at_break() {
    if (at_ < bytes_.size() && bytes_[at_] == '\xff') {
      ++at_;
      return true;
    }
    return false;
  }

  // Whether a further item follows in a container of `head`, of which `done` were read.
  bool more(const Head& head, std::uint64_t done) {
    return head.indefinite() ? !at_break() : done < head.argument;
  }

  Result<std::string> text(const Head& head) {
    if (head.indefinite()) {
      std::string out;
      while (!at_break()) {
        TRY_ASSIGN(Head piece, this->head());
        if (piece.major != head.major || piece.indefinite()) return broken("a wrong piece");
        TRY_ASSIGN(std::string part, text(piece));
        out += part;
      }
      return out;
    }
    if (bytes_.size() - at_ < head.argument) return broken("unexpected end");
    std::string out(bytes_.substr(at_, head.argument));
    at_ += head.argument;
    if (head.major == major_text && !is_utf8(out)) return broken("text is not valid UTF-8");
    return out;
  }

  Result<std::string> key() {
    TRY_ASSIGN(Head head, this->head());
    if (head.major != major_text) return broken("a key must be text");
    return text(head);
  }

  static bool is_null(const Head& head) {
    return head.major == major_other && (head.low == 22 || head.low == 23);
  }

  Result<Record> record(const Shape& shape, const Head& head) {
    if (head.major != major_map) return wrong_type("a structure");
    if (++depth_ > depth_limit) return broken("nested too deep");
    Record record(shape);
    for (std::uint64_t done = 0; more(head, done); ++done) {
      TRY_ASSIGN(std::string name, key());
      TRY_ASSIGN(Head item, this->head());
      const Member* member = nullptr;
      std::size_t index = 0;
      for (; index < shape.members.size(); ++index) {
        if (shape.members[index].wire_name == name) {
          member = &shape.members[index];
          break;
        }
      }
      if (member == nullptr || is_null(item)) {
        TRY(skip(item));
        continue;
      }
      auto value = this->value(*member, item);
      if (!value) return in_member(std::move(value).error(), name);
      record.slots[index] = *std::move(value);
    }
    --depth_;
    return record;
  }

  Result<Value> list(const Shape& shape, const Head& head) {
    if (head.major != major_array) return wrong_type("a list");
    if (++depth_ > depth_limit) return broken("nested too deep");
    List list;
    for (std::uint64_t done = 0; more(head, done); ++done) {
      TRY_ASSIGN(Head item, this->head());
      if (is_null(item)) continue;
      auto value = this->value(*shape.element, item);
      if (!value) return in_item(std::move(value).error(), list.size());
      list.push_back(*std::move(value));
    }
    --depth_;
    return Value(std::move(list));
  }

  Result<Value> map(const Shape& shape, const Head& head) {
    if (head.major != major_map) return wrong_type("a map");
    if (++depth_ > depth_limit) return broken("nested too deep");
    Map map;
    for (std::uint64_t done = 0; more(head, done); ++done) {
      TRY_ASSIGN(std::string name, key());
      TRY_ASSIGN(Head item, this->head());
      if (is_null(item)) continue;
      auto value = this->value(*shape.element, item);
      if (!value) return in_member(std::move(value).error(), name);
      map.emplace_back(std::move(name), *std::move(value));
    }
    --depth_;
    return Value(std::move(map));
  }

  static std::optional<std::int64_t> integer(const Head& head) {
    if (head.major > major_negative || head.argument > std::uint64_t{INT64_MAX}) return {};
    auto value = static_cast<std::int64_t>(head.argument);
    return head.major == major_uint ? value : -1 - value;
  }

  static std::optional<double> number(const Head& head) {
    if (auto value = integer(head)) return static_cast<double>(*value);
    if (head.major == major_negative) return -1.0 - static_cast<double>(head.argument);
    if (head.major == major_uint) return static_cast<double>(head.argument);
    if (head.major != major_other) return {};
    if (head.low == 25) return half_to_double(head.argument);
    if (head.low == 26) {
      return static_cast<double>(std::bit_cast<float>(static_cast<std::uint32_t>(head.argument)));
    }
    if (head.low == 27) return std::bit_cast<double>(head.argument);
    return {};
  }

  Result<Value> timestamp(const Head& head) {
    if (head.major != major_tag || head.argument != 1) return wrong_type("a timestamp (tag 1)");
    TRY_ASSIGN(Head inner, this->head());
    auto seconds = number(inner);
    if (!seconds || !(std::abs(*seconds) < 1e12)) return wrong_type("a timestamp in range");
    return Value(Timestamp{*seconds});
  }

  Result<Value> value(const Member& member, const Head& head) {
    const ShapeKind kind = member.shape->kind;
    switch (kind) {
      case ShapeKind::structure: {
        TRY_ASSIGN(Record nested, record(*member.shape, head));
        return Value(std::move(nested));
      }
      case ShapeKind::list: return list(*member.shape, head);
      case ShapeKind::map: return map(*member.shape, head);
      case ShapeKind::string: {
        if (head.major != major_text) return wrong_type("a string");
        TRY_ASSIGN(std::string text, this->text(head));
        return Value(std::move(text));
      }
      case ShapeKind::blob: {
        if (head.major != major_bytes) return wrong_type("a blob");
        TRY_ASSIGN(std::string bytes, text(head));
        return Value(Blob{std::move(bytes)});
      }
      case ShapeKind::boolean:
        if (head.major != major_other || (head.low != 20 && head.low != 21)) {
          return wrong_type("a boolean");
        }
        return Value(head.low == 21);
      case ShapeKind::integer:
      case ShapeKind::long_integer: {
        auto value = integer(head);
        if (!value || !fits_kind(*value, kind)) return wrong_type("an integer in range");
        return Value(*value);
      }
      case ShapeKind::float_number:
      case ShapeKind::double_number: {
        auto value = number(head);
        if (!value) return wrong_type("a number");
        return Value(*value);
      }
      case ShapeKind::timestamp: return timestamp(head);
      case ShapeKind::document: break;
    }
    return wrong_type("of a kind that CBOR can carry");
  }

  Result<> skip(const Head& head) {
    if (++depth_ > depth_limit) return broken("nested too deep");
    if (head.major == major_bytes || head.major == major_text) {
      TRY(text(head));
    } else if (head.major == major_array || head.major == major_map) {
      for (std::uint64_t done = 0; more(head, done); ++done) {
        for (int part = head.major == major_map ? 2 : 1; part > 0; --part) {
          TRY_ASSIGN(Head item, this->head());
          TRY(skip(item));
        }
      }
    } else if (head.major == major_tag) {
      TRY_ASSIGN(Head item, this->head());
      TRY(skip(item));
    } else if (head.indefinite()) {
      return broken("a break outside of a container");
    }
    --depth_;
    return {};
  }

  std::string_view bytes_;
  std::size_t at_ = 0;
  int depth_ = 0;
};

void append_big_endian(std::string& out, std::uint64_t value, int bytes) {
  for (int shift = (bytes - 1) * 8; shift >= 0; shift -= 8)
    out += static_cast<char>(value >> shift);
}

void append_head(std::string& out, int major, std::uint64_t argument) {
  int size = argument < 24            ? 0
             : argument <= 0xff       ? 1
             : argument <= 0xffff     ? 2
             : argument <= 0xffffffff ? 4
                                      : 8;
  int low = size == 0 ? static_cast<int>(argument) : 24 + std::countr_zero(unsigned(size));
  out += static_cast<char>(major << 5 | low);
  append_big_endian(out, argument, size);
}

void append_text(std::string& out, std::string_view text) {
  append_head(out, major_text, text.size());
  out += text;
}

void append_double(std::string& out, double value) {
  auto narrow = static_cast<float>(value);
  if (std::isnan(value) || static_cast<double>(narrow) == value) {
    out += static_cast<char>(major_other << 5 | 26);
    append_big_endian(out, std::bit_cast<std::uint32_t>(narrow), 4);
  } else {
    out += static_cast<char>(major_other << 5 | 27);
    append_big_endian(out, std::bit_cast<std::uint64_t>(value), 8);
  }
}

void append_value(std::string& out, const Member& member, const Value& value) {
  if (const auto* record = value.get<Record>()) {
    append_record_cbor(out, *record);
  } else if (const auto* list = value.get<List>()) {
    append_head(out, major_array, list->size());
    for (const Value& item : *list) append_value(out, *member.shape->element, item);
  } else if (const auto* map = value.get<Map>()) {
    append_head(out, major_map, map->size());
    for (const auto& [key, item] : *map) {
      append_text(out, key);
      append_value(out, *member.shape->element, item);
    }
  } else if (const auto* text = value.get<std::string>()) {
    append_text(out, *text);
  } else if (const auto* blob = value.get<Blob>()) {
    append_head(out, major_bytes, blob->bytes.size());
    out += blob->bytes;
  } else if (const auto* flag = value.get<bool>()) {
    out += *flag ? '\xf5' : '\xf4';
  } else if (const auto* integer = value.get<std::int64_t>()) {
    bool negative = *integer < 0;
    append_head(out, negative ? major_negative : major_uint,
                static_cast<std::uint64_t>(negative ? -1 - *integer : *integer));
  } else if (const auto* number = value.get<double>()) {
    append_double(out, *number);
  } else if (const auto* time = value.get<Timestamp>()) {
    out += '\xc1';
    out += static_cast<char>(major_other << 5 | 27);
    append_big_endian(out, std::bit_cast<std::uint64_t>(time->epoch_seconds), 8);
  } else {
    out += '\xf6';
  }
}

}  // namespace

Result<Record> decode_cbor_body(const Shape& shape, std::string_view body) {
  if (body.empty()) return Record(shape);
  return Reader(body).document(shape);
}

void append_record_cbor(std::string& out, const Record& record, std::string_view type_name,
                        const std::string* extra_message) {
  std::uint64_t count = (type_name.empty() ? 0 : 1) + (extra_message == nullptr ? 0 : 1);
  for (const Value& value : record.slots) count += value.is_null() ? 0 : 1;
  append_head(out, major_map, count);
  if (!type_name.empty()) {
    append_text(out, "__type");
    append_text(out, type_name);
  }
  for (std::size_t i = 0; i < record.slots.size(); ++i) {
    if (record.slots[i].is_null()) continue;
    append_text(out, record.shape->members[i].wire_name);
    append_value(out, record.shape->members[i], record.slots[i]);
  }
  if (extra_message != nullptr) {
    append_text(out, "message");
    append_text(out, *extra_message);
  }
}

}  // namespace mayfly::wire::protocol
