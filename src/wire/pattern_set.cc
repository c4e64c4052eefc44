#include "wire/pattern_set.h"

namespace mayfly::wire {

namespace {

// So many branches of removed patterns are kept, or as many as are in use.
constexpr std::size_t dead_branches_kept = 64;

struct TextHash {
  using is_transparent = void;
  std::size_t operator()(std::string_view text) const noexcept {
    return std::hash<std::string_view>{}(text);
  }
};
template <class T>
using ByText = std::unordered_map<std::string, T, TextHash, std::equal_to<>>;

constexpr std::uint32_t no_path = UINT32_MAX;

}  // namespace

// The paths that patterns name.
struct PatternSet::PathNode {
  ByText<std::unique_ptr<PathNode>> members;
  PathId id = no_path;
  std::uint64_t round = 0;  // the object in which the member was met last, and its value
  const Json* value = nullptr;
};

// What may follow on one path.
struct PatternSet::Fork {
  PatternIndex index;
  ByText<std::uint32_t> numbers;  // of sets of rules, by their text
  std::vector<std::unique_ptr<State>> states;
};

struct PatternSet::State {
  std::vector<Id> ends;  // patterns with a branch that ends here
  std::unordered_map<PathId, std::unique_ptr<Fork>> forks;
  std::vector<PathId> absents;  // forks with rules that want their path to be absent
  std::uint64_t round = 0;      // of the last visit
};

// One event on its way through the tree.
class PatternSet::Walk {
 public:
  explicit Walk(PatternSet& set) : set_(set), leaves_(set.leaves_) {
    leaves_.resize(set.path_count_);
  }
  ~Walk() {
    for (PathId path : present_) leaves_[path].clear();
  }
  Walk(const Walk&) = delete;
  Walk& operator=(const Walk&) = delete;

  void read(const Json& event) { read_object(event, *set_.paths_, false); }
  void visit(State& state) {
    if (state.round == set_.round_) return;
    state.round = set_.round_;
    out.insert(out.end(), state.ends.begin(), state.ends.end());
    // Whichever is less: what is in the event, or what may come next.
    if (state.forks.size() <= present_.size()) {
      for (auto& [path, fork] : state.forks) {
        if (leaves_[path].empty()) continue;
        follow(*fork, leaves_[path]);
      }
    } else {
      for (PathId path : present_) {
        auto fork = state.forks.find(path);
        if (fork != state.forks.end()) follow(*fork->second, leaves_[path]);
      }
    }
    for (PathId path : state.absents) {
      if (!leaves_[path].empty()) continue;
      Fork& fork = *state.forks.at(path);
      for (auto number : fork.index.absents()) visit(*fork.states[number]);
    }
  }

  std::vector<Id> out;
  bool arrays_of_objects = false;

 private:
  void follow(Fork& fork, const std::vector<const Json*>& leaves) {
    for (const Json* leaf : leaves) {
      fork.index.find(*leaf, [&](PatternIndex::Number number) { visit(*fork.states[number]); });
    }
  }

  void read_value(const Json& value, PathNode& node, bool in_array) {
    if (const auto* list = value.as<JsonArray>()) {
      for (const auto& one : *list) read_value(one, node, true);
    } else if (value.is_object()) {
      read_object(value, node, in_array);
    } else if (node.id != no_path) {
      auto& leaves = leaves_[node.id];
      if (leaves.empty()) present_.push_back(node.id);
      leaves.push_back(&value);
    }
  }

  void read_object(const Json& object, PathNode& node, bool in_array) {
    const auto* members = object.as<JsonObject>();
    if (members == nullptr || node.members.empty()) return;
    arrays_of_objects = arrays_of_objects || in_array;
    // Of equal names the last counts.
    std::uint64_t round = ++set_.round_objects_;
    std::vector<PathNode*> met;
    for (const auto& [name, value] : *members) {
      auto found = node.members.find(name);
      if (found == node.members.end()) continue;
      auto& member = *found->second;
      if (member.round != round) met.push_back(&member);
      member.round = round;
      member.value = &value;
    }
    // Taken down first: what follows may come by the same nodes.
    std::vector<const Json*> values;
    values.reserve(met.size());
    for (const auto* member : met) values.push_back(member->value);
    for (std::size_t i = 0; i < met.size(); ++i) read_value(*values[i], *met[i], false);
  }

  PatternSet& set_;
  std::vector<std::vector<const Json*>>& leaves_;
  std::vector<PathId> present_;  // paths with leaves
};

PatternSet::PatternSet() : paths_(std::make_unique<PathNode>()), root_(std::make_unique<State>()) {}
PatternSet::~PatternSet() = default;
PatternSet::PatternSet(PatternSet&&) noexcept = default;
PatternSet& PatternSet::operator=(PatternSet&&) noexcept = default;

PatternSet::PathId PatternSet::path_of(const std::vector<std::string>& path) {
  PathNode* node = paths_.get();
  for (const auto& name : path) {
    auto& next = node->members[name];
    if (!next) next = std::make_unique<PathNode>();
    node = next.get();
  }
  if (node->id == no_path) node->id = path_count_++;
  return node->id;
}

PatternSet::State* PatternSet::insert(const EventBranch& branch) {
  std::vector<std::pair<PathId, const EventField*>> fields;
  fields.reserve(branch.size());
  for (const auto* field : branch) fields.emplace_back(path_of(field->path), field);
  std::ranges::sort(fields, {}, [](const auto& field) {
    return std::pair<PathId, std::string_view>(field.first, field.second->key);
  });
  State* state = root_.get();
  for (const auto& [path, field] : fields) {
    auto& fork = state->forks[path];
    if (!fork) fork = std::make_unique<Fork>();
    auto known = fork->numbers.find(field->key);
    if (known == fork->numbers.end()) {
      auto number = static_cast<PatternIndex::Number>(fork->states.size());
      known = fork->numbers.emplace(field->key, number).first;
      fork->states.push_back(std::make_unique<State>());
      bool first = fork->index.absents().empty();
      for (const auto& rule : field->rules) fork->index.add(rule, number);
      if (first && !fork->index.absents().empty()) state->absents.push_back(path);
    }
    state = fork->states[known->second].get();
  }
  return state;
}

void PatternSet::compile(Id id, Entry& entry) {
  for (const auto& branch : branches_of(entry.pattern.fields())) {
    State* end = insert(branch);
    end->ends.push_back(id);
    entry.ends.push_back(end);
    ++branches_;
  }
}

void PatternSet::add(Id id, EventPattern pattern) {
  remove(id);
  auto& entry = patterns_[id];
  entry.pattern = std::move(pattern);
  compile(id, entry);
}

void PatternSet::remove(Id id) {
  auto found = patterns_.find(id);
  if (found == patterns_.end()) return;
  for (State* end : found->second.ends) std::erase(end->ends, id);
  branches_ -= found->second.ends.size();
  dead_branches_ += found->second.ends.size();
  patterns_.erase(found);
  if (dead_branches_ > dead_branches_kept && dead_branches_ > branches_) rebuild();
}

void PatternSet::rebuild() {
  paths_ = std::make_unique<PathNode>();
  root_ = std::make_unique<State>();
  path_count_ = 0;
  branches_ = dead_branches_ = 0;
  for (auto& [id, entry] : patterns_) {
    entry.ends.clear();
    compile(id, entry);
  }
}

std::vector<PatternSet::Id> PatternSet::match(const Json& event) {
  if (patterns_.empty()) return {};
  ++round_;
  Walk walk(*this);
  walk.read(event);
  walk.visit(*root_);
  auto& out = walk.out;
  std::ranges::sort(out);
  out.erase(std::unique(out.begin(), out.end()), out.end());
  if (walk.arrays_of_objects) {
    std::erase_if(out, [&](Id id) { return !patterns_.at(id).pattern.matches(event); });
  }
  return std::move(walk.out);
}

}  // namespace mayfly::wire
