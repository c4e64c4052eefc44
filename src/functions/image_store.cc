#include "functions/image_store.h"

#include <sys/utsname.h>
#include <unistd.h>

#include <map>
#include <set>

#include "base/limits.h"
#include "base/log.h"
#include "functions/image_source.h"
#include "functions/tree.h"
#include "wire/json.h"

namespace mayfly::functions {

namespace fs = std::filesystem;

namespace {

// Records: an image by its digest, and a name's digest.
constexpr std::string_view image_prefix = "img/";
constexpr std::string_view name_prefix = "imgn/";
constexpr std::string_view temporary_prefix = ".tmp-";
constexpr std::size_t scan_page = 1000;

std::string machine_architecture() {
  utsname names{};
  return ::uname(&names) == 0 ? std::string(go_architecture(names.machine)) : "amd64";
}

std::string encode(const Image& image) {
  wire::Json out;
  out["config"] = write_image_config(image.config);
  out["bytes"] = static_cast<std::int64_t>(image.bytes);
  out["imported"] = epoch_millis(image.imported);
  return out.dump();
}

Result<Image> decode(std::string digest, std::string_view record) {
  TRY_ASSIGN(auto value, wire::parse_json(record));
  Image out;
  out.digest = std::move(digest);
  TRY_ASSIGN(out.config, parse_image_config(value.string_or("config")));
  out.bytes = static_cast<std::uint64_t>(value.int_or("bytes", 0));
  out.imported = from_epoch_millis(value.int_or("imported", 0));
  return out;
}

struct UnpackedImage {
  FoundImage image;
  std::uint64_t bytes = 0;
};

// Runs on a worker. `known`: the digests whose trees are there, with their bytes. Those need no
// second laying: their content has been checked.
struct Unpacking {
  fs::path source;
  fs::path scratch;
  fs::path tree;
  fs::path dir;
  std::map<std::string, std::uint64_t> known;

  Result<UnpackedImage> run() const {
    auto out = unpack();
    // What cannot be removed is swept at the next start.
    (void)remove_tree(tree);
    (void)remove_tree(scratch);
    return out;
  }

 private:
  Result<UnpackedImage> unpack() const {
    TRY_ASSIGN(auto opened, ImageSource::open(source, scratch));
    UnpackedImage out;
    TRY_ASSIGN(out.image, opened.find(machine_architecture()));
    fs::path place = dir / out.image.digest;
    std::error_code code;
    auto before = known.find(out.image.digest);
    if (before != known.end() && fs::is_directory(place, code)) {
      out.bytes = before->second;
      return out;
    }
    fs::create_directory(tree, code);
    if (code) return fail_errno("directory of an image", code.value());
    TRY_ASSIGN(out.bytes,
               lay_image(opened, out.image, tree, {limits::image_bytes, limits::image_entries}));
    // Put in place before its record: a record without a tree would be worse than the reverse.
    TRY(put_in_place(tree, place));
    return out;
  }
};

// Below /mnt file systems are attached. Trees that builds before those laid have no such directory.
void add_mount_place(const fs::path& tree) {
  std::error_code code;
  if (!fs::is_directory(tree, code)) return;
  if (fs::symlink_status(tree / "mnt", code).type() != fs::file_type::not_found) return;
  if (!fs::create_directory(tree / "mnt", code)) {
    log::warn("functions", "{} gets no file systems: {}", tree.string(), code.message());
  }
}

class DiskImageStore final : public ImageStore {
 public:
  DiskImageStore(io::Loop& loop, store::Store& store, io::Workers& workers, fs::path dir)
      : loop_(loop), store_(store), workers_(workers), dir_(std::move(dir)), released_(loop) {}

  Result<> load();
  io::Task<Result<Image>> import(fs::path source, std::string name) override;
  const Image* find(const ImageName& name) const override;
  const Image* find_digest(std::string_view digest) const override {
    auto found = images_.find(digest);
    return found == images_.end() ? nullptr : &found->second;
  }
  std::vector<Image> list() const override {
    std::vector<Image> out;
    out.reserve(images_.size());
    for (const auto& [digest, image] : images_) out.push_back(image);
    return out;
  }
  io::Task<Result<>> remove(std::string name, std::vector<std::string> in_use) override;
  Result<fs::path> directory(const std::string& digest) override;
  io::Task<Result<std::size_t>> collect(std::vector<std::string> in_use, Duration grace) override;

 private:
  // One import or removal at a time: both change names and trees, and neither is frequent.
  class Lock {
   public:
    explicit Lock(DiskImageStore& owner) : owner_(&owner) {}
    Lock(Lock&& other) noexcept : owner_(std::exchange(other.owner_, nullptr)) {}
    ~Lock() {
      if (!owner_) return;
      owner_->busy_ = false;
      owner_->released_.wake_all();
    }

   private:
    DiskImageStore* owner_;
  };
  io::Task<Lock> lock() {
    while (busy_) co_await released_.park();
    busy_ = true;
    co_return Lock(*this);
  }
  fs::path temporary(std::string_view what) {
    return dir_ / fmt::format("{}{}-{}-{}", temporary_prefix, ::getpid(), ++temporaries_, what);
  }
  io::Task<Result<UnpackedImage>> unpack(const fs::path& source);
  io::Task<Result<>> keep(Image image, const std::string& name);
  io::Task<Result<>> drop(std::string digest);
  void give_name(const std::string& name, const std::string& digest);

  io::Loop& loop_;
  store::Store& store_;
  io::Workers& workers_;
  fs::path dir_;
  io::ParkingLot released_;
  bool busy_ = false;
  std::uint64_t temporaries_ = 0;
  std::map<std::string, Image, std::less<>> images_;
  std::map<std::string, std::string, std::less<>> names_;  // to digests
  std::set<std::string> used_;  // environments may run in their trees, in this server's life
  std::map<std::string, MonoTime> unused_since_;
};

Result<> DiskImageStore::load() {
  std::error_code code;
  fs::create_directories(dir_, code);
  if (!code) fs::permissions(dir_, static_cast<fs::perms>(0755), code);
  if (code) return fail_errno("directory " + dir_.string(), code.value());
  TRY(sweep(dir_, temporary_prefix));
  for (std::string after;;) {
    TRY_ASSIGN(auto rows, store_.scan(image_prefix, after, scan_page));
    for (const auto& row : rows) {
      std::string digest = row.key.substr(image_prefix.size());
      TRY_ASSIGN(images_[digest], decode(digest, row.value));
    }
    if (rows.size() < scan_page) break;
    after = rows.back().key;
  }
  for (const auto& [digest, image] : images_) add_mount_place(dir_ / digest);
  for (std::string after;;) {
    TRY_ASSIGN(auto rows, store_.scan(name_prefix, after, scan_page));
    for (const auto& row : rows) give_name(row.key.substr(name_prefix.size()), row.value);
    if (rows.size() < scan_page) return {};
    after = rows.back().key;
  }
}

void DiskImageStore::give_name(const std::string& name, const std::string& digest) {
  std::string& now = names_[name];
  if (auto before = images_.find(now); before != images_.end()) {
    std::erase(before->second.names, name);
  }
  now = digest;
  if (auto image = images_.find(digest); image != images_.end()) {
    image->second.names.push_back(name);
  }
}

const Image* DiskImageStore::find(const ImageName& name) const {
  if (!name.digest.empty()) return find_digest(name.digest);
  for (const std::string& text : {name.str(), name.without_registry()}) {
    if (auto found = names_.find(text); found != names_.end()) return find_digest(found->second);
  }
  return nullptr;
}

io::Task<Result<UnpackedImage>> DiskImageStore::unpack(const fs::path& source) {
  Unpacking work{.source = source,
                 .scratch = temporary("source"),
                 .tree = temporary("tree"),
                 .dir = dir_,
                 .known = {}};
  for (const auto& [digest, image] : images_) work.known.emplace(digest, image.bytes);
  co_return co_await workers_.run([&work] { return work.run(); });
}

io::Task<Result<>> DiskImageStore::keep(Image image, const std::string& name) {
  std::string digest = image.digest;
  store::Batch batch;
  batch.puts.push_back({std::string(image_prefix) + digest, encode(image)});
  if (!name.empty()) batch.puts.push_back({std::string(name_prefix) + name, digest});
  CO_TRY(co_await store_.commit(std::move(batch)));
  auto [at, fresh] = images_.try_emplace(digest, image);
  if (!fresh) image.names = at->second.names;
  at->second = std::move(image);
  unused_since_.erase(digest);
  if (!name.empty()) give_name(name, digest);
  co_return Result<>{};
}

io::Task<Result<Image>> DiskImageStore::import(fs::path source, std::string name) {
  if (!name.empty()) {
    CO_TRY_ASSIGN(auto parsed, parse_image_name(name));
    if (!parsed.digest.empty()) {
      co_return fail(ErrorKind::invalid, "an image is given a name with a tag, not a digest");
    }
    name = parsed.str();
  }
  Lock held = co_await lock();
  CO_TRY_ASSIGN(auto unpacked, co_await unpack(source));
  if (name.empty() && !unpacked.image.name.empty()) {
    // What a source calls its image need not be a name by our rules; then it has none.
    if (auto own = parse_image_name(unpacked.image.name)) name = own->str();
  }
  std::string digest = unpacked.image.digest;
  CO_TRY(co_await keep({.digest = digest,
                        .config = std::move(unpacked.image.config),
                        .bytes = unpacked.bytes,
                        .imported = loop_.clock().platform(),
                        .names = {}},
                       name));
  co_return *find_digest(digest);
}

io::Task<Result<>> DiskImageStore::drop(std::string digest) {
  store::Batch batch;
  batch.deletes.push_back(std::string(image_prefix) + digest);
  CO_TRY(co_await store_.commit(std::move(batch)));
  images_.erase(digest);
  used_.erase(digest);
  unused_since_.erase(digest);
  fs::path tree = dir_ / digest;
  CO_TRY(co_await workers_.run([&tree] { return remove_tree(tree); }));
  co_return Result<>{};
}

io::Task<Result<>> DiskImageStore::remove(std::string name, std::vector<std::string> in_use) {
  CO_TRY_ASSIGN(auto parsed, parse_image_name(name));
  Lock held = co_await lock();
  auto found = names_.find(parsed.str());
  if (found == names_.end()) {
    co_return fail(ErrorKind::not_found, fmt::format("there is no image {}", name));
  }
  std::string key = found->first;
  std::string digest = found->second;
  store::Batch batch;
  batch.deletes.push_back(std::string(name_prefix) + key);
  CO_TRY(co_await store_.commit(std::move(batch)));
  names_.erase(key);
  auto image = images_.find(digest);
  if (image == images_.end()) co_return Result<>{};
  std::erase(image->second.names, key);
  bool needed = !image->second.names.empty() || used_.contains(digest) ||
                std::ranges::find(in_use, digest) != in_use.end();
  if (needed) co_return Result<>{};
  co_return co_await drop(digest);
}

Result<fs::path> DiskImageStore::directory(const std::string& digest) {
  fs::path tree = dir_ / digest;
  std::error_code code;
  if (!images_.contains(digest) || !fs::is_directory(tree, code)) {
    return fail(ErrorKind::not_found,
                fmt::format("The image sha256:{} is not on this machine any more", digest),
                "ImageDeleted");
  }
  used_.insert(digest);
  return tree;
}

io::Task<Result<std::size_t>> DiskImageStore::collect(std::vector<std::string> in_use,
                                                      Duration grace) {
  std::set<std::string> needed(in_use.begin(), in_use.end());
  Lock held = co_await lock();
  MonoTime now = loop_.now();
  std::vector<std::string> stale;
  for (const auto& [digest, image] : images_) {
    if (!image.names.empty() || needed.contains(digest)) {
      unused_since_.erase(digest);
    } else if (now - unused_since_.try_emplace(digest, now).first->second >= grace) {
      stale.push_back(digest);
    }
  }
  for (std::string& digest : stale) CO_TRY(co_await drop(std::move(digest)));
  co_return stale.size();
}

}  // namespace

Result<std::unique_ptr<ImageStore>> open_image_store(io::Loop& loop, store::Store& store,
                                                     io::Workers& workers, const fs::path& dir) {
  auto images = std::make_unique<DiskImageStore>(loop, store, workers, dir / "images");
  TRY(images->load());
  return images;
}

}  // namespace mayfly::functions
