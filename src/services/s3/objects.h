// Objects: what is in the buckets, as rows of the store, and the changes of it.
//
// A change is one commit: the object's row, its bytes (or the name of their file), the end of those
// it takes the place of, and the notifications of it. Changes of a key happen one after the other;
// changes of many keys share a sync of the disk.
//
// Loop thread; as long as the server.
#pragma once

#include <deque>
#include <map>
#include <optional>

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

  Result<std::optional<Object>> find(std::string_view bucket, std::string_view key) const;
  Result<std::vector<Part>> parts_of(const Object& object) const;
  Result<bool> empty(std::string_view bucket) const;

  // An object whose bytes are on the disk, and are dropped where it does not come to be.
  struct New {
    Object object;
    std::string bytes{};        // of a piece that is a row
    std::vector<Part> parts{};  // of an object in parts, whose pieces are named already
    store::Batch also{};        // happens with it
    std::vector<Piece> ends{};  // pieces that `also` frees
  };
  io::Task<ApiResult<Object>> put(std::string bucket, New what, WriteCondition condition,
                                  Happening happening);
  // Those that are not there are gone already. All or none.
  io::Task<ApiResult<void>> remove(std::string bucket, std::vector<std::string> keys,
                                   WriteCondition condition, Happening happening);

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
  // Adds the end of what an object holds to the batch.
  Result<> end(const Object& object, store::Batch& batch, std::vector<Piece>& ends) const;

  Deps deps_;
  std::map<std::string, std::unique_ptr<io::ParkingLot>> turns_;  // by row
};

// Of the object that is there, if one is.
ApiResult<void> check_write(const std::optional<Object>& now, const WriteCondition& condition);

}  // namespace mayfly::services::s3
