// Files: large values as files of their own beside a database whose rows name them. A file is never
// changed: it is written once, named by a commit, read, and removed when no row names it.
//
//   DIR/new/ID   written and on the disk, perhaps not named yet
//   DIR/xx/ID    named by a committed row; xx: the last two digits of its id
//
// Whoever keeps the rows does it in this order, and then a row always has its whole file, however
// the process ends:
//
//   a new one   create, append …, finish ─► commit the row ─► settle
//   its end     commit without the row ─► remove
//
// What lies in new/ at the next start was named or was not: sweep() asks for each, and looks at
// nothing else. (An end that was committed and not carried out is for the keeper to note with it.)
//
// Threads: every call blocks and may run on any thread, a Writer's one at a time.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "io/fd.h"

namespace mayfly::store {

class Files {
 public:
  explicit Files(std::filesystem::path dir) : dir_(std::move(dir)) {}

  class Writer {
   public:
    Writer(io::Fd fd, std::filesystem::path file) : fd_(std::move(fd)), file_(std::move(file)) {}
    Result<> append(std::string_view bytes);
    // All of it and its name are on the disk.
    Result<> finish();
    std::uint64_t size() const { return size_; }

   private:
    io::Fd fd_;
    std::filesystem::path file_;
    std::uint64_t size_ = 0;
  };

  // An open file: it is read to its end, whether it is removed meanwhile or not.
  class Reader {
   public:
    explicit Reader(io::Fd fd) : fd_(std::move(fd)) {}
    // Exactly so many bytes; corrupt where the file is shorter.
    Result<std::string> read(std::uint64_t offset, std::size_t size) const;

   private:
    io::Fd fd_;
  };

  // Makes what folders are missing.
  Result<> open();
  // `id`: 32 lower-case hex digits, never used before.
  Result<std::unique_ptr<Writer>> create(const std::string& id);
  // `to` becomes a second name of the bytes of `from`: a copy that costs nothing.
  Result<> link(const std::string& from, const std::string& to);
  Result<std::shared_ptr<const Reader>> read(const std::string& id) const;
  // To the place of those that are named; where it is there already, nothing happens.
  Result<> settle(const std::string& id);
  // One that is not there is removed already: success.
  Result<> remove(const std::string& id);
  // Settles what `named` knows of what lies in new/, and removes the rest. How many were removed.
  // Before anything else is done here.
  Result<std::size_t> sweep(const std::function<Result<bool>(const std::string& id)>& named);

 private:
  std::filesystem::path fresh(const std::string& id) const { return dir_ / "new" / id; }
  std::filesystem::path place(const std::string& id) const;

  std::filesystem::path dir_;
};

}  // namespace mayfly::store
