#include "wire/route.h"

namespace mayfly::wire {

struct RouteTable::Row {
  std::size_t index = 0;
  std::string_view method;
  std::vector<std::string_view> label_names;  // in the order of the path
  std::vector<std::pair<std::string_view, std::optional<std::string_view>>> query;
};

// One segment of the tree of templates.
struct RouteTable::Node {
  std::map<std::string_view, Node, std::less<>> literals;
  std::unique_ptr<Node> label;
  std::unique_ptr<Node> greedy;
  std::vector<Row> rows;  // templates that end here; more query parts first
};

// One search: the segments of the path and what the labels on the way took.
struct RouteTable::Walk {
  std::vector<std::string_view> segments;
  struct Taken {
    std::size_t first;
    std::size_t count;
    bool greedy;
  };
  std::vector<Taken> taken;  // one per label on the way
  std::string_view method;
  const Pairs* query = nullptr;  // nullptr: any method and query will do
  const Row* found = nullptr;
};

RouteTable::RouteTable() : root_(std::make_unique<Node>()) {}
RouteTable::RouteTable(RouteTable&&) noexcept = default;
RouteTable& RouteTable::operator=(RouteTable&&) noexcept = default;
RouteTable::~RouteTable() = default;

namespace {

std::vector<std::string_view> segments_of(std::string_view path) {
  if (path.starts_with('/')) path.remove_prefix(1);
  if (path.ends_with('/')) path.remove_suffix(1);
  if (path.empty()) return {};
  return split(path, '/');
}

std::unexpected<Error> bad_template(const Route& route, std::string_view why) {
  return fail(ErrorKind::invalid, fmt::format("bad route {} {}: {}", route.method, route.uri, why));
}

bool has_query(const Pairs& query, std::string_view name, std::optional<std::string_view> value) {
  return std::any_of(query.begin(), query.end(), [&](const auto& pair) {
    return pair.first == name && (!value || pair.second == *value);
  });
}

}  // namespace

Result<RouteTable> RouteTable::build(std::span<const Route> routes) {
  RouteTable table;
  for (std::size_t index = 0; index < routes.size(); ++index) {
    const Route& route = routes[index];
    Row row{.index = index, .method = route.method, .label_names = {}, .query = {}};
    auto mark = route.uri.find('?');
    Node* node = table.root_.get();
    bool after_greedy = false;
    for (std::string_view segment : segments_of(route.uri.substr(0, mark))) {
      bool label = segment.size() > 2 && segment.starts_with('{') && segment.ends_with('}');
      if (!label && segment.find_first_of("{}") != segment.npos) {
        return bad_template(route, "a label must be a whole segment");
      }
      if (!label) {
        node = &node->literals[segment];
        continue;
      }
      bool greedy = segment.ends_with("+}");
      if (greedy && after_greedy) return bad_template(route, "two greedy labels");
      after_greedy = after_greedy || greedy;
      row.label_names.push_back(segment.substr(1, segment.size() - (greedy ? 3 : 2)));
      auto& next = greedy ? node->greedy : node->label;
      if (!next) next = std::make_unique<Node>();
      node = next.get();
    }
    if (mark != route.uri.npos) {
      for (std::string_view part : split(route.uri.substr(mark + 1), '&')) {
        auto equals = part.find('=');
        row.query.emplace_back(part.substr(0, equals), std::nullopt);
        if (equals != part.npos) row.query.back().second = part.substr(equals + 1);
      }
    }
    for (const Row& other : node->rows) {
      if (other.method == row.method && other.query == row.query) {
        return bad_template(route, fmt::format("the same as {}", routes[other.index].uri));
      }
    }
    node->rows.push_back(std::move(row));
    std::sort(node->rows.begin(), node->rows.end(), [](const Row& a, const Row& b) {
      return std::pair(b.query.size(), a.index) < std::pair(a.query.size(), b.index);
    });
  }
  return table;
}

// Backtracks from literal to label to greedy. The depth is that of the templates, and a template
// has one greedy label at most, so a search takes no more than segments × templates steps.
void RouteTable::find(const Node& node, Walk& walk, std::size_t segment) const {
  if (segment == walk.segments.size()) {
    for (const Row& row : node.rows) {
      bool fits = walk.query == nullptr || row.method == walk.method;
      for (std::size_t i = 0; fits && walk.query != nullptr && i < row.query.size(); ++i) {
        fits = has_query(*walk.query, row.query[i].first, row.query[i].second);
      }
      if (fits) {
        walk.found = &row;
        return;
      }
    }
    return;
  }
  std::string_view text = walk.segments[segment];
  if (auto literal = node.literals.find(text); literal != node.literals.end()) {
    find(literal->second, walk, segment + 1);
  }
  if (walk.found == nullptr && node.label && !text.empty()) {
    walk.taken.push_back({segment, 1, false});
    find(*node.label, walk, segment + 1);
    if (walk.found == nullptr) walk.taken.pop_back();
  }
  if (walk.found != nullptr || !node.greedy) return;
  for (std::size_t count = walk.segments.size() - segment; count >= 1; --count) {
    walk.taken.push_back({segment, count, true});
    find(*node.greedy, walk, segment + count);
    if (walk.found != nullptr) return;
    walk.taken.pop_back();
  }
}

std::optional<RouteMatch> RouteTable::match(std::string_view method, std::string_view path,
                                            const Pairs& query) const {
  Walk walk;
  walk.segments = segments_of(path);
  walk.method = method;
  walk.query = &query;
  find(*root_, walk, 0);
  if (walk.found == nullptr) return std::nullopt;
  RouteMatch match{.index = walk.found->index, .labels = {}};
  for (std::size_t i = 0; i < walk.taken.size(); ++i) {
    auto [first, count, greedy] = walk.taken[i];
    const char* from = walk.segments[first].data();
    std::string_view last = walk.segments[first + count - 1];
    std::string_view raw(from, static_cast<std::size_t>(last.data() + last.size() - from));
    // A greedy label at the end keeps the slash that ends the path: it is part of an object's key.
    if (greedy && raw.data() + raw.size() + 1 == path.data() + path.size()) {
      raw = std::string_view(from, raw.size() + 1);
    }
    auto text = percent_decode(raw);
    if (!text) return std::nullopt;
    match.labels.emplace_back(walk.found->label_names[i], *std::move(text));
  }
  return match;
}

bool RouteTable::knows_path(std::string_view path) const {
  Walk walk;
  walk.segments = segments_of(path);
  find(*root_, walk, 0);
  return walk.found != nullptr;
}

}  // namespace mayfly::wire
