// Objects, as far as versions are concerned: what is kept, and the end of it.
#include "services/s3/objects.h"
#include "services/s3/versions.h"

namespace mayfly::services::s3 {

Result<> Objects::number(const Bucket& bucket, const std::optional<Object>& now, Object& object) {
  if (bucket.versioning.empty()) return {};
  object.version = version_text(deps_.outbox.next_number());
  object.null_version = bucket.versioning == versions_suspended;
  auto newest = now;
  if (!newest) {
    TRY_ASSIGN(newest, newest_kept(bucket.name, object.key));
  }
  // Whatever the clock says.
  if (newest && newest->version >= object.version) {
    object.version = version_after(newest->version);
  }
  return {};
}

void Objects::keep(std::string_view bucket, const Object& object, Draft& draft) {
  draft.batch.puts.push_back({version_row(bucket, object), encode(object)});
  if (is_null(object)) {
    draft.batch.puts.push_back({null_row(bucket, object.key), order_of(object.version)});
  }
}

Result<> Objects::retire(const Bucket& bucket, const std::string& key,
                         const std::optional<Object>& now, Draft& draft) const {
  if (bucket.versioning.empty()) return now ? end(*now, draft) : Result<>();
  bool suspended = bucket.versioning == versions_suspended;
  // There is one null version at the most.
  if (now && suspended && is_null(*now)) {
    TRY(end(*now, draft));
  } else if (now) {
    keep(bucket.name, *now, draft);
  }
  if (!suspended) return {};
  TRY_ASSIGN(auto row, kept_row(bucket.name, key, null_version));
  if (!row) return {};
  TRY_ASSIGN(auto found, deps_.store.get(*row));
  if (!found) return fail(ErrorKind::corrupt, "a version of an object is missing: " + key);
  TRY_ASSIGN(auto old, decode_object(found->value, key));
  draft.batch.deletes.push_back(*row);
  draft.batch.deletes.push_back(null_row(bucket.name, key));
  return end(old, draft);
}

// Where a version is that is not the current object; of null, only if there is one.
Result<std::optional<std::string>> Objects::kept_row(std::string_view bucket, std::string_view key,
                                                     std::string_view id) const {
  if (id != null_version) return versions_of_key(bucket, key) + order_of(id);
  TRY_ASSIGN(auto order, deps_.store.get(null_row(bucket, key)));
  if (!order) return std::nullopt;
  return versions_of_key(bucket, key) + order->value;
}

Result<std::optional<Object>> Objects::find_version(std::string_view bucket, std::string_view key,
                                                    std::string_view id) const {
  TRY_ASSIGN(auto current, find(bucket, key));
  if (current && version_id(*current) == id) return current;
  TRY_ASSIGN(auto at, kept_row(bucket, key, id));
  if (!at) return std::nullopt;
  TRY_ASSIGN(auto row, deps_.store.get(*at));
  if (!row) return std::nullopt;
  TRY_ASSIGN(auto object, decode_object(row->value, key));
  // The number of a null version is not its id.
  if (version_id(object) != id) return std::nullopt;
  return object;
}

Result<std::optional<Object>> Objects::newest_kept(std::string_view bucket,
                                                   std::string_view key) const {
  TRY_ASSIGN(auto rows, deps_.store.scan(versions_of_key(bucket, key), "", 1));
  if (rows.empty()) return std::nullopt;
  TRY_ASSIGN(auto object, decode_object(rows.front().value, key));
  return object;
}

// The newest version that stays becomes the current object, unless it is a delete marker.
Result<bool> Objects::promote(std::string_view bucket, const std::string& key,
                              const std::set<std::string>& gone, Draft& draft) const {
  auto all = versions_of_key(bucket, key);
  // One more than those that go: one of them stays, if any does.
  TRY_ASSIGN(auto rows, deps_.store.scan(all, "", gone.size() + 1));
  for (const auto& row : rows) {
    if (gone.contains(row.key)) continue;
    TRY_ASSIGN(auto object, decode_object(row.value, key));
    if (object.marker) return false;
    draft.batch.deletes.push_back(row.key);
    if (is_null(object)) draft.batch.deletes.push_back(null_row(bucket, key));
    draft.batch.puts.push_back({object_row(bucket, key), row.value});
    return true;
  }
  return false;
}

Result<> Objects::remove_of_key(const Bucket& bucket, const std::string& key,
                                const std::set<std::string>& ids, const Happening& happening,
                                Draft& draft, std::vector<Removed>& removed) {
  TRY_ASSIGN(auto current, find(bucket.name, key));
  bool current_goes = false;
  std::set<std::string> gone;
  for (const auto& id : ids) {
    TRY_ASSIGN(auto object, find_version(bucket.name, key, id));
    removed.push_back({.key = key, .version_id = id, .marker = object && object->marker});
    if (!object) continue;
    TRY(end(*object, draft));
    if (current && version_id(*current) == id) {
      current_goes = true;
    } else {
      gone.insert(version_row(bucket.name, *object));
      if (is_null(*object)) draft.batch.deletes.push_back(null_row(bucket.name, key));
    }
    TRY(tell(bucket, happening, *object, draft));
  }
  draft.batch.deletes.insert(draft.batch.deletes.end(), gone.begin(), gone.end());
  if (current_goes) draft.batch.deletes.push_back(object_row(bucket.name, key));
  if (current_goes || (!current && !gone.empty())) {
    TRY(promote(bucket.name, key, gone, draft));
  }
  return {};
}

io::Task<ApiResult<std::vector<Objects::Removed>>> Objects::remove_versions(std::string bucket,
                                                                            Versions versions,
                                                                            Happening happening) {
  Buckets::Use use(deps_.buckets, bucket);
  std::deque<Turn> turns;
  for (const auto& [key, ids] : versions) {
    co_await turns.emplace_back(*this, object_row(bucket, key)).take();
  }
  auto home = deps_.buckets.find(bucket);
  if (!home) co_return no_such_bucket();
  Draft draft;
  std::vector<Removed> removed;
  for (const auto& [key, ids] : versions) {
    auto ready = remove_of_key(*home, key, ids, happening, draft, removed);
    if (!ready) co_return std::unexpected(api_error(ready.error()));
  }
  auto done = co_await commit(std::move(draft));
  if (!done) co_return std::unexpected(std::move(done.error()));
  co_return removed;
}

io::Task<ApiResult<Object>> Objects::change(std::string bucket, std::string key,
                                            std::string version,
                                            std::function<void(Object&)> change,
                                            Happening happening) {
  Buckets::Use use(deps_.buckets, bucket);
  std::string row = object_row(bucket, key);
  Turn turn(*this, row);
  co_await turn.take();
  auto home = deps_.buckets.find(bucket);
  if (!home) co_return no_such_bucket();
  auto current = find(bucket, key);
  if (!current) co_return std::unexpected(api_error(current.error()));
  auto object = version.empty() ? current : find_version(bucket, key, version);
  if (!object) co_return std::unexpected(api_error(object.error()));
  if (!*object) co_return version.empty() ? no_such_key() : no_such_version();
  if ((*object)->marker) co_return method_not_allowed();
  bool is_current = *current && version_id(**current) == version_id(**object);
  change(**object);
  Draft draft;
  draft.batch.puts.push_back(
      {is_current ? std::move(row) : version_row(bucket, **object), encode(**object)});
  auto ready = tell(*home, happening, **object, draft);
  if (!ready) co_return std::unexpected(api_error(ready.error()));
  auto done = co_await commit(std::move(draft));
  if (!done) co_return std::unexpected(std::move(done.error()));
  co_return **std::move(object);
}

}  // namespace mayfly::services::s3
