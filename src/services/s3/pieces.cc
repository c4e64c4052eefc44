#include "services/s3/pieces.h"

#include "base/log.h"
#include "services/s3/limits.h"

namespace mayfly::services::s3 {

namespace {

std::string row_key(const std::string& id) { return "d/" + id; }
std::string file_key(const std::string& id) { return "f/" + id; }
std::string end_key(const std::string& id) { return "z/" + id; }

constexpr std::size_t page = 256;

}  // namespace

// The answer to a read: block after block, each by a worker.
class PieceBody final : public io::BodySource {
 public:
  PieceBody(Pieces& pieces, std::vector<Pieces::Slice> slices)
      : pieces_(pieces), slices_(std::move(slices)) {
    for (const auto& slice : slices_) {
      if (slice.piece.in_file()) pieces_.pin(slice.piece.id);
    }
  }
  ~PieceBody() override {
    for (const auto& slice : slices_) {
      if (slice.piece.in_file()) pieces_.unpin(slice.piece.id);
    }
  }

  io::Task<Result<std::string>> next(std::stop_token) override {
    while (at_ < slices_.size() && done_ == slices_[at_].size) {
      ++at_;
      done_ = 0;
      reader_.reset();
    }
    if (at_ == slices_.size()) co_return std::string();
    auto& slice = slices_[at_];
    if (slice.piece.in_row) {
      done_ = slice.size;
      co_return slice.bytes.substr(slice.offset, slice.size);
    }
    std::size_t size = std::min<std::uint64_t>(limits::object_block_bytes, slice.size - done_);
    auto block = co_await pieces_.workers().run([files = pieces_.files(), id = slice.piece.id,
                                                 reader = reader_, offset = slice.offset + done_,
                                                 size]() mutable -> Result<Block> {
      if (!reader) {
        TRY_ASSIGN(reader, files->read(id));
      }
      TRY_ASSIGN(auto bytes, reader->read(offset, size));
      return Block{std::move(reader), std::move(bytes)};
    });
    if (!block) co_return std::unexpected(std::move(block.error()));
    reader_ = std::move(block->reader);
    done_ += size;
    co_return std::move(block->bytes);
  }

 private:
  struct Block {
    std::shared_ptr<const store::Files::Reader> reader;
    std::string bytes;
  };
  Pieces& pieces_;
  std::vector<Pieces::Slice> slices_;
  std::size_t at_ = 0;
  std::uint64_t done_ = 0;  // of the slice
  std::shared_ptr<const store::Files::Reader> reader_;
};

Pieces::Pieces(Deps deps)
    : deps_(std::move(deps)),
      files_(std::make_shared<store::Files>(deps_.dir)),
      tasks_(deps_.loop) {}

Result<> Pieces::open() {
  TRY(files_->open());
  TRY_ASSIGN(auto swept, files_->sweep([this](const std::string& id) -> Result<bool> {
    TRY_ASSIGN(auto row, deps_.store.get(file_key(id)));
    return row.has_value();
  }));
  if (swept > 0) log::info("s3", "{} unfinished uploads were removed", swept);
  std::string after;
  while (true) {
    TRY_ASSIGN(auto rows, deps_.store.scan("z/", after, page));
    // Their rows go with the task; a file that is gone already is no error.
    for (const auto& row : rows) tasks_.spawn(remove(row.key.substr(2)));
    if (rows.size() < page) return {};
    after = rows.back().key;
  }
}

std::string Pieces::new_id() {
  auto now = epoch_millis(deps_.loop.clock().wall());
  return fmt::format("{:012x}{}", now, deps_.random.hex(10));
}

void Pieces::name(const Piece& piece, std::string bytes, store::Batch& batch) {
  if (piece.size == 0) return;
  if (piece.in_row) {
    batch.puts.push_back({row_key(piece.id), std::move(bytes)});
  } else {
    batch.puts.push_back({file_key(piece.id), {}});
  }
}

void Pieces::free(const Piece& piece, store::Batch& batch) {
  if (piece.size == 0) return;
  if (piece.in_row) {
    batch.deletes.push_back(row_key(piece.id));
    return;
  }
  batch.deletes.push_back(file_key(piece.id));
  batch.puts.push_back({end_key(piece.id), {}});
}

void Pieces::named(const Piece& piece) {
  if (piece.in_file()) tasks_.spawn(settle(piece.id));
}

void Pieces::freed(const Piece& piece) {
  if (!piece.in_file()) return;
  if (pins_.contains(piece.id)) {
    condemned_.insert(piece.id);
  } else {
    tasks_.spawn(remove(piece.id));
  }
}

void Pieces::drop(const Piece& piece) {
  if (piece.in_file()) tasks_.spawn(discard(piece.id));
}

void Pieces::unpin(const std::string& id) {
  auto found = pins_.find(id);
  if (--found->second > 0) return;
  pins_.erase(found);
  if (condemned_.erase(id) > 0) tasks_.spawn(remove(id));
}

io::Task<void> Pieces::settle(std::string id) {
  auto done = co_await deps_.workers.run([files = files_, id] { return files->settle(id); });
  // It is found where it is, and settled by the next start.
  if (!done) log::error("s3", "{}", done.error().message);
}

io::Task<void> Pieces::remove(std::string id) {
  auto done = co_await deps_.workers.run([files = files_, id] { return files->remove(id); });
  if (!done) {
    log::error("s3", "{}", done.error().message);
    co_return;
  }
  store::Batch batch;
  batch.deletes.push_back(end_key(id));
  // What is forgotten here is removed again by the next start.
  (void)co_await deps_.store.commit(std::move(batch), store::Durability::buffered);
}

io::Task<void> Pieces::discard(std::string id) {
  auto done = co_await deps_.workers.run([files = files_, id] { return files->remove(id); });
  if (!done) log::error("s3", "{}", done.error().message);
}

io::Task<Result<Piece>> Pieces::copy(Piece piece, std::string& bytes) {
  if (piece.size == 0) co_return piece;
  Piece out = piece;
  out.id = new_id();
  if (piece.in_row) {
    CO_TRY_ASSIGN(auto row, deps_.store.get(row_key(piece.id)));
    if (!row) co_return fail(ErrorKind::conflict, "the object changed meanwhile");
    bytes = std::move(row->value);
    co_return out;
  }
  pin(piece.id);  // so that it is there until it has its second name
  auto linked = co_await deps_.workers.run(
      [files = files_, from = piece.id, to = out.id] { return files->link(from, to); });
  unpin(piece.id);
  if (!linked) co_return std::unexpected(std::move(linked.error()));
  co_return out;
}

Result<std::unique_ptr<io::BodySource>> Pieces::read(std::vector<Slice> slices) {
  for (auto& slice : slices) {
    if (!slice.piece.in_row || slice.size == 0) continue;
    TRY_ASSIGN(auto row, deps_.store.get(row_key(slice.piece.id)));
    if (!row || row->value.size() != slice.piece.size) {
      return fail(ErrorKind::corrupt, "a value of the store is missing: " + slice.piece.id);
    }
    slice.bytes = std::move(row->value);
  }
  return std::make_unique<PieceBody>(*this, std::move(slices));
}

}  // namespace mayfly::services::s3
