#include "services/s3/bucket.h"

#include "wire/json.h"

namespace mayfly::services::s3 {

std::string encode(const Bucket& bucket) {
  wire::Json out{wire::JsonObject()};
  out["name"] = bucket.name;
  out["owner"] = bucket.owner.str();
  out["region"] = bucket.region.str();
  out["created_ms"] = bucket.created_ms;
  if (!bucket.notifications.empty()) out["notifications"] = json_of(bucket.notifications);
  if (!bucket.versioning.empty()) out["versioning"] = bucket.versioning;
  if (!bucket.policy.empty()) out["policy"] = bucket.policy;
  put_map(out, "tags", bucket.tags);
  return out.dump();
}

Result<> decode(std::string_view text, Bucket& out) {
  TRY_ASSIGN(const auto json, wire::parse_json(text));
  out.name = json.string_or("name");
  out.owner = AccountId(std::string(json.string_or("owner")));
  out.region = Region(std::string(json.string_or("region")));
  out.created_ms = json.int_or("created_ms", 0);
  if (const auto* rules = json.find("notifications"))
    out.notifications = read_notifications(*rules);
  out.versioning = json.string_or("versioning");
  out.policy = json.string_or("policy");
  out.tags = read_map(json, "tags");
  return {};
}

Buckets::Buckets(io::Loop& loop, store::Store& store)
    : table_(loop, store, "b/", [](const Error& error) { return api_error(error); }),
      unused_(loop) {}

BucketRef Buckets::find(std::string_view name) const {
  return ending_.contains(name) ? nullptr : table_.find(name);
}

std::size_t Buckets::count(const AccountId& owner) const {
  std::size_t out = 0;
  for (const auto& [name, bucket] : table_.all()) out += bucket->owner == owner ? 1 : 0;
  return out;
}

Buckets::Use::Use(Buckets& buckets, std::string name) : buckets_(buckets), name_(std::move(name)) {
  ++buckets_.uses_[name_];
}

Buckets::Use::~Use() {
  auto found = buckets_.uses_.find(name_);
  if (--found->second > 0) return;
  buckets_.uses_.erase(found);
  buckets_.unused_.wake_all();
}

io::Task<ApiResult<void>> Buckets::remove(std::string name, std::function<Result<bool>()> is_empty,
                                          Table::Commit commit) {
  if (!find(name)) co_return no_such_bucket();
  ending_.insert(name);
  while (uses_.contains(name)) co_await unused_.park();
  auto empty = is_empty();
  ApiResult<void> out;
  if (!empty) {
    out = std::unexpected(api_error(empty.error()));
  } else if (!*empty) {
    out = refuse("BucketNotEmpty", 409, "The bucket you tried to delete is not empty");
  } else {
    auto gone = co_await table_.change(
        name, [](const BucketRef&) -> Table::Outcome { return BucketRef(); }, std::move(commit));
    if (!gone) out = std::unexpected(std::move(gone.error()));
  }
  ending_.erase(name);
  co_return out;
}

}  // namespace mayfly::services::s3
