#include "services/scheduler/groups.h"

#include "wire/text.h"

namespace mayfly::services::scheduler {

namespace {

using wire::Json;

constexpr std::string_view prefix = "group/";
constexpr std::string_view born_key = "born";

std::string encode(const Group& group) {
  Json tags{wire::JsonObject()};
  for (const auto& [name, value] : group.tags) tags[name] = value;
  Json out = Json::object({{"created", group.created_ms},
                           {"modified", group.modified_ms},
                           {"tags", std::move(tags)},
                           {"token", group.token}});
  if (group.deleting) out["deleting"] = true;
  return out.dump();
}

Result<Group> decode(std::string_view key, std::string_view bytes) {
  TRY_ASSIGN(auto json, wire::parse_json(bytes));
  auto parts = wire::split(key.substr(prefix.size()), '/');
  if (parts.size() != 3) return fail(ErrorKind::corrupt, "the row of a group is damaged");
  Group out;
  out.ref = {{AccountId(std::string(parts[0])), Region(std::string(parts[1]))},
             std::string(parts[2])};
  out.created_ms = json.int_or("created", 0);
  out.modified_ms = json.int_or("modified", 0);
  out.deleting = json.bool_or("deleting", false);
  out.token = json.string_or("token");
  const auto* tags = json.find("tags");
  if (tags != nullptr && tags->is_object()) {
    for (const auto& [name, value] : *tags->as<wire::JsonObject>()) {
      out.tags[name] = value.string_value();
    }
  }
  return out;
}

}  // namespace

Missed Group::missed() const {
  auto tag = tags.find(std::string(missed_tag));
  return tag == tags.end() ? Missed::all : parse_missed(tag->second).value_or(Missed::all);
}

Overlap Group::overlap() const {
  auto tag = tags.find(std::string(overlap_tag));
  return tag == tags.end() ? Overlap::allow : parse_overlap(tag->second).value_or(Overlap::allow);
}

io::Task<Result<>> Groups::load() {
  CO_TRY_ASSIGN(auto born, store_.get(born_key));
  if (born) {
    born_ms_ = wire::parse_int(born->value).value_or(0);
  } else {
    born_ms_ = epoch_millis(loop_.clock().platform());
    store::Batch batch;
    batch.puts.push_back({std::string(born_key), fmt::format("{}", born_ms_)});
    CO_TRY(co_await store_.commit(std::move(batch)));
  }
  CO_TRY_ASSIGN(auto rows, store_.scan(prefix, "", SIZE_MAX));
  for (const auto& row : rows) {
    CO_TRY_ASSIGN(auto group, decode(row.key, row.value));
    auto ref = group.ref;
    groups_.insert_or_assign(std::move(ref), std::move(group));
  }
  co_return Result<>{};
}

std::optional<Group> Groups::find(const GroupRef& ref) const {
  auto found = groups_.find(ref);
  if (found != groups_.end()) return found->second;
  if (ref.name != default_group) return std::nullopt;
  return Group{.ref = ref, .created_ms = born_ms_, .modified_ms = born_ms_};
}

std::vector<Group> Groups::list(const Scope& scope, std::string_view prefix, std::string_view after,
                                std::size_t most) const {
  std::map<std::string, Group> found;
  auto add = [&](const Group& group) {
    if (group.ref.name.starts_with(prefix) && group.ref.name > after) {
      found.emplace(group.ref.name, group);
    }
  };
  auto at = groups_.lower_bound(GroupRef{scope, ""});
  for (; at != groups_.end() && at->first.scope == scope; ++at) add(at->second);
  add(*find({scope, std::string(default_group)}));
  std::vector<Group> out;
  for (auto& [name, group] : found) {
    if (out.size() == most) break;
    out.push_back(std::move(group));
  }
  return out;
}

std::vector<GroupRef> Groups::deleting() const {
  std::vector<GroupRef> out;
  for (const auto& [ref, group] : groups_) {
    if (group.deleting) out.push_back(ref);
  }
  return out;
}

std::size_t Groups::count(const Scope& scope) const {
  std::size_t out = 0;
  auto at = groups_.lower_bound(GroupRef{scope, ""});
  for (; at != groups_.end() && at->first.scope == scope; ++at) ++out;
  return out;
}

io::Task<Result<>> Groups::keep(Group group) {
  store::Batch batch;
  batch.puts.push_back({std::string(prefix) + group.ref.path(), encode(group)});
  CO_TRY(co_await store_.commit(std::move(batch)));
  auto ref = group.ref;
  groups_.insert_or_assign(std::move(ref), std::move(group));
  co_return Result<>{};
}

io::Task<Result<>> Groups::create(GroupRef ref, Tags tags, std::string token) {
  auto held = co_await locks_.take(ref.path());
  if (find(ref)) co_return fail(ErrorKind::already_exists, "the group is there");
  if (count(ref.scope) >= limits::schedule_groups) {
    co_return fail(ErrorKind::too_large,
                   fmt::format("there are {} groups in this region", limits::schedule_groups));
  }
  std::int64_t now = epoch_millis(loop_.clock().platform());
  co_return co_await keep({.ref = std::move(ref),
                           .created_ms = now,
                           .modified_ms = now,
                           .tags = std::move(tags),
                           .token = std::move(token)});
}

io::Task<Result<>> Groups::change(GroupRef ref, std::function<void(Group&)> change) {
  auto held = co_await locks_.take(ref.path());
  auto group = find(ref);
  if (!group) co_return fail(ErrorKind::not_found, "the group is not there");
  group->modified_ms = epoch_millis(loop_.clock().platform());
  change(*group);
  co_return co_await keep(*std::move(group));
}

io::Task<Result<>> Groups::forget(GroupRef ref) {
  auto held = co_await locks_.take(ref.path());
  store::Batch batch;
  batch.deletes.push_back(std::string(prefix) + ref.path());
  CO_TRY(co_await store_.commit(std::move(batch)));
  groups_.erase(ref);
  co_return Result<>{};
}

}  // namespace mayfly::services::scheduler
