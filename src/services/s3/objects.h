// Objects: what is in the buckets, as rows of the store, and the changes of it.
//
// A change is one commit: the object's row, its bytes (or the name of their file), the end of those
// it takes the place of, or their row as an older version, and the notifications of it. Changes of
// a key happen one after the other; changes of many keys share a sync of the disk.
//
// Loop thread; as long as the server.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <set>

#include "services/s3/bucket.h"
#include "services/s3/outbox.h"
#include "services/s3/pieces.h"

namespace mayfly::services::s3 {

// Of a write: it happens if the object there, or that none is there, is as the client believes.
struct WriteCondition {
  std::string if_match{};       // entity tag, with or without quotes, or "*"
  std::string if_none_match{};  // "*"
  bool empty() const { return if_match.empty() && if_none_match.empty(); }
};

class Objects {
 public:
  struct Deps {
    io::Loop& loop;
    store::Store& store;
    Buckets& buckets;
    Pieces& pieces;
    Outbox& outbox;
  };
  explicit Objects(const Deps& deps) : deps_(deps) {}

  // The current one.
  Result<std::optional<Object>> find(std::string_view bucket, std::string_view key) const;
  // By the id of its version: delete markers, too.
  Result<std::optional<Object>> find_version(std::string_view bucket, std::string_view key,
                                             std::string_view id) const;
  // The newest of the versions that are not the current object: where there is none of these, a
  // delete marker.
  Result<std::optional<Object>> newest_kept(std::string_view bucket, std::string_view key) const;
  Result<std::vector<Part>> parts_of(const Object& object) const;
  // No version of anything.
  Result<bool> empty(std::string_view bucket) const;

  // An object whose bytes are on the disk, and are dropped where it does not come to be.
  struct New {
    Object object;
    std::string bytes{};        // of a piece that is a row
    std::vector<Part> parts{};  // of an object in parts, whose pieces are named already
    store::Batch also{};        // happens with it
    std::vector<Piece> ends{};  // pieces that `also` frees
  };
  // As it is then, with its version.
  io::Task<ApiResult<Object>> put(std::string bucket, New what, WriteCondition condition,
                                  Happening happening);

  struct Removed {
    std::string key;
    std::string version_id{};  // of the marker that was made, or of what was removed
    bool marker = false;
  };
  // Those that are not there are gone already. All or none; one answer for each key. Where the
  // bucket keeps versions, each gets a delete marker.
  io::Task<ApiResult<std::vector<Removed>>> remove(std::string bucket,
                                                   std::vector<std::string> keys,
                                                   WriteCondition condition, Happening happening);
  // Versions for good. All or none; one answer for each.
  using Versions = std::map<std::string, std::set<std::string>>;  // key → ids
  io::Task<ApiResult<std::vector<Removed>>> remove_versions(std::string bucket, Versions versions,
                                                            Happening happening);

  // What is said of an object, by the id of its version (empty: the current one), with what is told
  // of it. NoSuchKey, NoSuchVersion; MethodNotAllowed of a delete marker.
  io::Task<ApiResult<Object>> change(std::string bucket, std::string key, std::string version,
                                     std::function<void(Object&)> change, Happening happening);

  // The changes of one row, in the order of asking.
  class Turn {
   public:
    Turn(Objects& objects, std::string row) : objects_(objects), row_(std::move(row)) {}
    ~Turn();
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;
    io::Task<void> take();

   private:
    Objects& objects_;
    std::string row_;
    bool taken_ = false;
  };

 private:
  // A change that is made ready.
  struct Draft {
    store::Batch batch{};
    std::vector<Piece> ends{};
    std::vector<std::uint64_t> told{};
  };
  // --- object by object ---
  // What an object holds ends.
  Result<> end(const Object& object, Draft& draft) const;
  Result<> tell(const Bucket& bucket, const Happening& happening, const Object& object,
                Draft& draft);
  io::Task<ApiResult<void>> commit(Draft draft);
  Result<> remove_one(const Bucket& bucket, const std::string& key,
                      const std::optional<Object>& now, Happening happening, Draft& draft,
                      std::vector<Removed>& removed);
  // --- versions (objects_versions.cc) ---
  // The current object makes room for what comes: it ends, or is kept as the bucket has it.
  Result<> retire(const Bucket& bucket, const std::string& key, const std::optional<Object>& now,
                  Draft& draft) const;
  // A version of a bucket that keeps them, newer than all there are.
  Result<> number(const Bucket& bucket, const std::optional<Object>& now, Object& object);
  static void keep(std::string_view bucket, const Object& object, Draft& draft);
  Result<std::optional<std::string>> kept_row(std::string_view bucket, std::string_view key,
                                              std::string_view id) const;
  Result<> remove_of_key(const Bucket& bucket, const std::string& key,
                         const std::set<std::string>& ids, const Happening& happening, Draft& draft,
                         std::vector<Removed>& removed);
  Result<bool> promote(std::string_view bucket, const std::string& key,
                       const std::set<std::string>& gone, Draft& draft) const;

  Deps deps_;
  std::map<std::string, std::unique_ptr<io::ParkingLot>> turns_;  // by row
};

// Of the object that is there, if one is.
ApiResult<void> check_write(const std::optional<Object>& now, const WriteCondition& condition);

}  // namespace mayfly::services::s3
