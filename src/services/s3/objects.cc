#include "services/s3/objects.h"

#include <algorithm>

#include "services/s3/versions.h"

namespace mayfly::services::s3 {

namespace {

std::string parts_row(const std::string& id) { return "p/" + id; }

std::string_view unquoted(std::string_view etag) {
  if (etag.starts_with('"') && etag.ends_with('"') && etag.size() > 1) {
    etag = etag.substr(1, etag.size() - 2);
  }
  return etag;
}

}  // namespace

ApiResult<void> check_write(const std::optional<Object>& now, const WriteCondition& condition) {
  if (!condition.if_match.empty()) {
    if (!now) return no_such_key();
    if (condition.if_match != "*" && unquoted(condition.if_match) != now->etag) {
      return precondition_failed("If-Match");
    }
  }
  if (!condition.if_none_match.empty()) {
    if (condition.if_none_match != "*") return not_built("If-None-Match other than * is");
    if (now) return precondition_failed("If-None-Match");
  }
  return {};
}

Objects::Turn::~Turn() {
  if (!taken_) return;
  auto found = objects_.turns_.find(row_);
  if (found->second->empty()) {
    objects_.turns_.erase(found);
  } else {
    found->second->wake_one();  // it is theirs now
  }
}

io::Task<void> Objects::Turn::take() {
  auto& lot = objects_.turns_[row_];
  if (lot) {
    co_await lot->park();
  } else {
    lot = std::make_unique<io::ParkingLot>(objects_.deps_.loop);
  }
  taken_ = true;
}

Result<std::optional<Object>> Objects::find(std::string_view bucket, std::string_view key) const {
  TRY_ASSIGN(auto row, deps_.store.get(object_row(bucket, key)));
  if (!row) return std::nullopt;
  TRY_ASSIGN(auto object, decode_object(row->value, key));
  return object;
}

Result<std::vector<Part>> Objects::parts_of(const Object& object) const {
  if (object.parts == 0) return std::vector<Part>();
  TRY_ASSIGN(auto row, deps_.store.get(parts_row(object.parts_id)));
  if (!row) return fail(ErrorKind::corrupt, "the parts of an object are missing: " + object.key);
  return decode_parts(row->value);
}

Result<bool> Objects::empty(std::string_view bucket) const {
  TRY_ASSIGN(auto rows, deps_.store.scan(object_row(bucket, ""), "", 1));
  if (!rows.empty()) return false;
  TRY_ASSIGN(rows, deps_.store.scan(versions_of_bucket(bucket), "", 1));
  return rows.empty();
}

Result<> Objects::end(const Object& object, Draft& draft) const {
  if (object.marker) return {};
  if (object.parts == 0) {
    Pieces::free(object.piece, draft.batch);
    draft.ends.push_back(object.piece);
    return {};
  }
  TRY_ASSIGN(auto parts, parts_of(object));
  draft.batch.deletes.push_back(parts_row(object.parts_id));
  for (const auto& part : parts) {
    Pieces::free(part.piece, draft.batch);
    draft.ends.push_back(part.piece);
  }
  return {};
}

Result<> Objects::tell(const Bucket& bucket, const Happening& happening, const Object& object,
                       Draft& draft) {
  TRY_ASSIGN(auto told, deps_.outbox.add(bucket, happening, object, draft.batch));
  draft.told.insert(draft.told.end(), told.begin(), told.end());
  return {};
}

io::Task<ApiResult<void>> Objects::commit(Draft draft) {
  if (draft.batch.deletes.empty() && draft.batch.puts.empty()) co_return ApiResult<void>();
  if (auto done = co_await deps_.store.commit(std::move(draft.batch)); !done) {
    co_return std::unexpected(api_error(done.error()));
  }
  deps_.outbox.go(draft.told);
  for (const auto& piece : draft.ends) deps_.pieces.freed(piece);
  co_return ApiResult<void>();
}

io::Task<ApiResult<Object>> Objects::put(std::string bucket, New what, WriteCondition condition,
                                         Happening happening) {
  Buckets::Use use(deps_.buckets, bucket);
  std::string row = object_row(bucket, what.object.key);
  Turn turn(*this, row);
  co_await turn.take();
  auto refused = [&](api::ApiError error) {
    deps_.pieces.drop(what.object.piece);
    return std::unexpected(std::move(error));
  };
  auto home = deps_.buckets.find(bucket);
  if (!home) co_return refused(no_such_bucket().error());
  auto now = find(bucket, what.object.key);
  if (!now) co_return refused(api_error(now.error()));
  if (auto good = check_write(*now, condition); !good) co_return refused(good.error());
  Draft draft{.batch = std::move(what.also), .ends = std::move(what.ends)};
  auto ready = number(*home, *now, what.object);
  if (ready) ready = retire(*home, what.object.key, *now, draft);
  if (what.object.parts > 0) {
    draft.batch.puts.push_back({parts_row(what.object.parts_id), encode_parts(what.parts)});
  } else {
    Pieces::name(what.object.piece, std::move(what.bytes), draft.batch);
  }
  draft.batch.puts.push_back({row, encode(what.object)});
  if (ready) ready = tell(*home, happening, what.object, draft);
  if (!ready) co_return refused(api_error(ready.error()));
  if (auto done = co_await commit(std::move(draft)); !done) co_return refused(done.error());
  if (what.object.parts == 0) deps_.pieces.named(what.object.piece);
  co_return std::move(what.object);
}

Result<> Objects::remove_one(const Bucket& bucket, const std::string& key,
                             const std::optional<Object>& now, Happening happening, Draft& draft,
                             std::vector<Removed>& removed) {
  if (now) draft.batch.deletes.push_back(object_row(bucket.name, key));
  if (bucket.versioning.empty()) {
    removed.push_back({.key = key});
    if (!now) return {};
    TRY(end(*now, draft));
    return tell(bucket, happening, *now, draft);
  }
  Object marker{.key = key,
                .modified_ms = happening.at_ms / 1000 * 1000,
                .owner = happening.requester,
                .marker = true};
  TRY(number(bucket, now, marker));
  TRY(retire(bucket, key, now, draft));
  keep(bucket.name, marker, draft);
  happening.event = "ObjectRemoved:DeleteMarkerCreated";
  removed.push_back({.key = key, .version_id = version_id(marker), .marker = true});
  return tell(bucket, happening, marker, draft);
}

io::Task<ApiResult<std::vector<Objects::Removed>>> Objects::remove(std::string bucket,
                                                                   std::vector<std::string> keys,
                                                                   WriteCondition condition,
                                                                   Happening happening) {
  // In one order, so that two of these do not wait for each other.
  std::ranges::sort(keys);
  auto same = std::ranges::unique(keys);
  keys.erase(same.begin(), same.end());
  Buckets::Use use(deps_.buckets, bucket);
  std::deque<Turn> turns;
  for (const auto& key : keys) co_await turns.emplace_back(*this, object_row(bucket, key)).take();
  auto home = deps_.buckets.find(bucket);
  if (!home) co_return no_such_bucket();
  Draft draft;
  std::vector<Removed> removed;
  for (const auto& key : keys) {
    auto now = find(bucket, key);
    if (!now) co_return std::unexpected(api_error(now.error()));
    if (auto good = check_write(*now, condition); !good) co_return std::unexpected(good.error());
    auto ready = remove_one(*home, key, *now, happening, draft, removed);
    if (!ready) co_return std::unexpected(api_error(ready.error()));
  }
  auto done = co_await commit(std::move(draft));
  if (!done) co_return std::unexpected(std::move(done.error()));
  co_return removed;
}

}  // namespace mayfly::services::s3
