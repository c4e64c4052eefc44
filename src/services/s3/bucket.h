// A bucket and its settings, and all buckets of this server: their names are one space, whatever
// account and region they are in.
//
// Loop thread; as long as the server.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>

#include "base/ids.h"
#include "services/s3/errors.h"
#include "services/s3/notifications.h"
#include "store/table.h"

namespace mayfly::services::s3 {

struct Bucket {
  std::string name;
  AccountId owner;
  Region region;
  std::int64_t created_ms = 0;
  Notifications notifications{};
  std::string versioning{};  // "Enabled", "Suspended"; empty: it never was
  std::string policy{};      // JSON as it was put; empty: none
  std::map<std::string, std::string> tags{};

  const std::string& key() const { return name; }
};
using BucketRef = std::shared_ptr<const Bucket>;

std::string encode(const Bucket& bucket);
Result<> decode(std::string_view text, Bucket& out);

class Buckets {
 public:
  using Table = store::Table<Bucket, api::ApiError>;

  Buckets(io::Loop& loop, store::Store& store);
  Result<> load() { return table_.load(); }

  // nullptr: there is none, or it is being deleted.
  BucketRef find(std::string_view name) const;
  const std::map<std::string, BucketRef, std::less<>>& all() const { return table_.all(); }
  std::size_t count(const AccountId& owner) const;

  io::Task<Table::Outcome> change(std::string name, Table::Change change) {
    return table_.change(std::move(name), std::move(change));
  }

  // A change of what is in a bucket is under way, as long as this lives: then it is not deleted.
  class Use {
   public:
    Use(Buckets& buckets, std::string name);
    ~Use();
    Use(const Use&) = delete;
    Use& operator=(const Use&) = delete;

   private:
    Buckets& buckets_;
    std::string name_;
  };

  // Once no change is under way and `is_empty` says so. Until then, and if it is, nobody finds it.
  // `commit` stores the end of the bucket and of what belongs to it.
  io::Task<ApiResult<void>> remove(std::string name, std::function<Result<bool>()> is_empty,
                                   Table::Commit commit);

 private:
  Table table_;
  std::map<std::string, std::size_t, std::less<>> uses_;
  std::set<std::string, std::less<>> ending_;
  io::ParkingLot unused_;
};

}  // namespace mayfly::services::s3
