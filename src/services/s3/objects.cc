#include "services/s3/objects.h"

#include <algorithm>

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
  return rows.empty();
}

Result<> Objects::end(const Object& object, store::Batch& batch, std::vector<Piece>& ends) const {
  if (object.parts == 0) {
    Pieces::free(object.piece, batch);
    ends.push_back(object.piece);
    return {};
  }
  TRY_ASSIGN(auto parts, parts_of(object));
  batch.deletes.push_back(parts_row(object.parts_id));
  for (const auto& part : parts) {
    Pieces::free(part.piece, batch);
    ends.push_back(part.piece);
  }
  return {};
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
  store::Batch batch = std::move(what.also);
  auto ends = std::move(what.ends);
  if (*now) {
    if (auto ended = end(**now, batch, ends); !ended) co_return refused(api_error(ended.error()));
  }
  if (what.object.parts > 0) {
    batch.puts.push_back({parts_row(what.object.parts_id), encode_parts(what.parts)});
  } else {
    Pieces::name(what.object.piece, std::move(what.bytes), batch);
  }
  batch.puts.push_back({row, encode(what.object)});
  auto told = deps_.outbox.add(*home, happening, what.object, batch);
  if (!told) co_return refused(api_error(told.error()));
  if (auto done = co_await deps_.store.commit(std::move(batch)); !done) {
    co_return refused(api_error(done.error()));
  }
  deps_.outbox.go(*told);
  if (what.object.parts == 0) deps_.pieces.named(what.object.piece);
  for (const auto& piece : ends) deps_.pieces.freed(piece);
  co_return std::move(what.object);
}

io::Task<ApiResult<void>> Objects::remove(std::string bucket, std::vector<std::string> keys,
                                          WriteCondition condition, Happening happening) {
  // In one order, so that two of these do not wait for each other.
  std::ranges::sort(keys);
  auto same = std::ranges::unique(keys);
  keys.erase(same.begin(), same.end());
  Buckets::Use use(deps_.buckets, bucket);
  std::deque<Turn> turns;
  for (const auto& key : keys) co_await turns.emplace_back(*this, object_row(bucket, key)).take();
  auto home = deps_.buckets.find(bucket);
  if (!home) co_return no_such_bucket();
  store::Batch batch;
  std::vector<Piece> ends;
  std::vector<std::uint64_t> numbers;
  for (const auto& key : keys) {
    auto now = find(bucket, key);
    if (!now) co_return std::unexpected(api_error(now.error()));
    if (auto good = check_write(*now, condition); !good) co_return good;
    if (!*now) continue;
    if (auto ended = end(**now, batch, ends); !ended) {
      co_return std::unexpected(api_error(ended.error()));
    }
    batch.deletes.push_back(object_row(bucket, key));
    auto told = deps_.outbox.add(*home, happening, **now, batch);
    if (!told) co_return std::unexpected(api_error(told.error()));
    numbers.insert(numbers.end(), told->begin(), told->end());
  }
  if (batch.deletes.empty()) co_return ApiResult<void>();
  if (auto done = co_await deps_.store.commit(std::move(batch)); !done) {
    co_return std::unexpected(api_error(done.error()));
  }
  deps_.outbox.go(numbers);
  for (const auto& piece : ends) deps_.pieces.freed(piece);
  co_return ApiResult<void>();
}

}  // namespace mayfly::services::s3
