// Pieces: the bytes of objects, in files or, where they are few, in rows.
//
// What a batch names is settled after its commit, what it frees is removed after it; a kill in
// between is made good by open(). A file that somebody reads stays until he has ended.
//
// Loop thread; blocking work goes to the workers. close() before destruction.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/random.h"
#include "io/flow.h"
#include "io/workers.h"
#include "services/s3/object.h"
#include "store/files.h"
#include "store/store.h"

namespace mayfly::services::s3 {

class Pieces {
 public:
  struct Deps {
    io::Loop& loop;
    io::Workers& workers;
    Random& random;
    store::Store& store;
    std::filesystem::path dir;
  };
  explicit Pieces(Deps deps);

  // Carries out what an earlier process has left. Blocks; before anything else.
  Result<> open();
  io::Task<void> close() { return tasks_.close(); }

  io::Workers& workers() { return deps_.workers; }
  const std::shared_ptr<store::Files>& files() { return files_; }
  // Ids grow with time, so that rows of the same time lie side by side.
  std::string new_id();

  // The piece belongs to what the batch stores; `bytes` of one that is a row.
  static void name(const Piece& piece, std::string bytes, store::Batch& batch);
  // Nothing names it any more.
  static void free(const Piece& piece, store::Batch& batch);
  // After the commit.
  void named(const Piece& piece);
  void freed(const Piece& piece);
  // It was written and is not named by anything.
  void drop(const Piece& piece);
  // Another name of the bytes, for an object of its own; `bytes` receives those of a row.
  io::Task<Result<Piece>> copy(Piece piece, std::string& bytes);

  // A range of a piece, as a part of what is answered.
  struct Slice {
    Piece piece;
    std::uint64_t offset = 0;
    std::uint64_t size = 0;
    std::string bytes = {};  // of a row
  };
  // The slices one after the other. What is in rows is read now, the rest as it is taken.
  Result<std::unique_ptr<io::BodySource>> read(std::vector<Slice> slices);

 private:
  friend class PieceBody;
  void pin(const std::string& id) { ++pins_[id]; }
  void unpin(const std::string& id);
  io::Task<void> settle(std::string id);
  io::Task<void> remove(std::string id);
  io::Task<void> discard(std::string id);

  Deps deps_;
  std::shared_ptr<store::Files> files_;
  std::map<std::string, std::size_t> pins_;  // of files that are read
  std::set<std::string> condemned_;          // freed, and still read
  io::TaskScope tasks_;
};

}  // namespace mayfly::services::s3
