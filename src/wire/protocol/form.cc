// Requests of query and ec2: "Action=X&Version=…&Name.member.1.Sub=value". The dots spell a tree.
#include "wire/protocol/parts.h"

namespace mayfly::wire::protocol {

namespace {

struct Node {
  std::optional<std::string> text;
  std::map<std::string, Node, std::less<>> children;
};

Result<Node> tree_of(const HttpRequestParts& request) {
  TRY_ASSIGN(Pairs pairs, parse_query(request.body));
  pairs.insert(pairs.end(), request.query.begin(), request.query.end());
  Node root;
  for (auto& [name, value] : pairs) {
    Node* node = &root;
    auto parts = split(name, '.');
    if (parts.size() > depth_limit) return bad_value("A parameter is nested too deep");
    for (std::string_view part : parts) node = &node->children[std::string(part)];
    if (!node->text) node->text = std::move(value);
  }
  return root;
}

// Children "1", "2", … "10" in the order of their numbers.
std::vector<const Node*> numbered(const Node& node) {
  std::map<std::int64_t, const Node*> order;
  for (const auto& [name, child] : node.children) {
    if (auto number = parse_int(name)) order.emplace(*number, &child);
  }
  std::vector<const Node*> nodes;
  for (const auto& [number, child] : order) nodes.push_back(child);
  return nodes;
}

const Node* child_of(const Node& node, std::string_view name) {
  auto found = node.children.find(name);
  return found == node.children.end() ? nullptr : &found->second;
}

// "Name.member.1" as well as "Name.1": whichever form the client's model calls for.
const Node& list_node(const Node& node, std::string_view name) {
  if (node.children.size() != 1) return node;
  const auto& [only, child] = *node.children.begin();
  bool number = parse_int(only).has_value();
  return number || (only != name && only != "member" && only != "entry") ? node : child;
}

class Reader {
 public:
  explicit Reader(Protocol protocol) : ec2_(protocol == Protocol::ec2) {}

  Result<Record> record(const Shape& shape, const Node& node) const {
    Record record(shape);
    for (std::size_t i = 0; i < shape.members.size(); ++i) {
      const Member& member = shape.members[i];
      std::string name = name_of(member);
      const Node* child = child_of(node, name);
      if (child == nullptr) continue;
      auto value = this->value(member, *child);
      if (!value) return in_member(std::move(value).error(), name);
      record.slots[i] = *std::move(value);
    }
    return record;
  }

 private:
  // ec2: queryName as it is, else the (location) name with its first letter upper case.
  std::string name_of(const Member& member) const {
    if (!ec2_) {
      if (!member.form_name.empty()) return std::string(member.form_name);
      const Shape& shape = *member.shape;
      bool renamed = shape.kind == ShapeKind::list && shape.flattened &&
                     !shape.element->wire_name.empty() && shape.element->wire_name != "member";
      return std::string(renamed ? shape.element->wire_name : member.wire_name);
    }
    if (!member.query_name.empty()) return std::string(member.query_name);
    std::string name(member.wire_name);
    if (!name.empty()) name[0] = to_upper(name.substr(0, 1))[0];
    return name;
  }

  Result<Value> value(const Member& member, const Node& node) const {
    const Shape& shape = *member.shape;
    switch (shape.kind) {
      case ShapeKind::structure: {
        TRY_ASSIGN(Record nested, record(shape, node));
        return Value(std::move(nested));
      }
      case ShapeKind::list: return list(shape, node);
      case ShapeKind::map: return map(shape, node);
      default: break;
    }
    if (!node.text) return bad_value("must be a single value");
    return scalar_of_text(member, *node.text, TimestampFormat::iso8601);
  }

  Result<Value> list(const Shape& shape, const Node& node) const {
    List out;
    for (const Node* item : numbered(list_node(node, shape.element->wire_name))) {
      auto value = this->value(*shape.element, *item);
      if (!value) return in_item(std::move(value).error(), out.size());
      out.push_back(*std::move(value));
    }
    return Value(std::move(out));
  }

  Result<Value> map(const Shape& shape, const Node& node) const {
    std::string_view key_name = shape.key->wire_name.empty() ? "key" : shape.key->wire_name;
    std::string_view value_name =
        shape.element->wire_name.empty() ? "value" : shape.element->wire_name;
    Map out;
    for (const Node* entry : numbered(list_node(node, "entry"))) {
      const Node* key = child_of(*entry, key_name);
      const Node* item = child_of(*entry, value_name);
      if (key == nullptr || !key->text || item == nullptr) {
        return bad_value("has an entry without key or value");
      }
      auto value = this->value(*shape.element, *item);
      if (!value) return in_member(std::move(value).error(), *key->text);
      out.emplace_back(*key->text, *std::move(value));
    }
    return Value(std::move(out));
  }

  bool ec2_;
};

}  // namespace

Result<Record> decode_form(const CodecOperation& operation, const HttpRequestParts& request) {
  TRY_ASSIGN(Node root, tree_of(request));
  return Reader(operation.protocol).record(*operation.input, root);
}

}  // namespace mayfly::wire::protocol
