#include "functions/package_store.h"

#include <fmt/ranges.h>
#include <unistd.h>

#include <fstream>
#include <set>

#include "base/limits.h"
#include "functions/archive.h"
#include "functions/tree.h"
#include "io/park.h"
#include "store/sha256.h"

namespace mayfly::functions {

namespace fs = std::filesystem;

namespace {

constexpr std::string_view temporary_prefix = ".tmp-";
// Beside layers/<digest>: the packages it was merged from, one hash per line.
constexpr std::string_view members_suffix = ".members";

class DiskPackageStore final : public PackageStore {
 public:
  DiskPackageStore(io::Loop& loop, store::Store& store, io::Workers& workers, fs::path dir)
      : store_(store), workers_(workers), dir_(std::move(dir)), released_(loop) {}

  Result<> prepare();
  io::Task<Result<PackageRef>> add(std::string zip, std::uint64_t unzipped_limit) override;
  io::Task<Result<fs::path>> directory(PackageRef package) override;
  io::Task<Result<fs::path>> layers_directory(std::vector<LayerRef> layers) override;
  io::Task<Result<std::string>> zip_bytes(PackageRef package) override {
    return store_.get_blob(std::move(package.sha256));
  }
  io::Task<Result<std::size_t>> collect(std::vector<std::string> in_use, Duration grace) override;

 private:
  // Work on one tree at a time: who comes second finds it done.
  class Lock {
   public:
    Lock(DiskPackageStore& owner, std::string name) : owner_(&owner), name_(std::move(name)) {}
    Lock(Lock&& other) noexcept
        : owner_(std::exchange(other.owner_, nullptr)), name_(std::move(other.name_)) {}
    ~Lock() {
      if (!owner_) return;
      owner_->locked_.erase(name_);
      owner_->released_.wake_all();
    }

   private:
    DiskPackageStore* owner_;
    std::string name_;
  };
  io::Task<Lock> lock(std::string name) {
    while (locked_.contains(name)) co_await released_.park();
    locked_.insert(name);
    co_return Lock(*this, std::move(name));
  }
  fs::path packages() const { return dir_ / "packages"; }
  fs::path layers() const { return dir_ / "layers"; }
  fs::path temporary(const fs::path& parent) {
    return parent / fmt::format("{}{}-{}", temporary_prefix, ::getpid(), ++temporaries_);
  }
  Result<std::vector<std::string>> stored_trees() const;
  Result<std::vector<std::string>> stale_layers(const std::set<std::string>& in_use) const;

  store::Store& store_;
  io::Workers& workers_;
  fs::path dir_;
  io::ParkingLot released_;
  std::set<std::string> locked_;
  std::uint64_t temporaries_ = 0;
  std::map<std::string, MonoTime> unused_since_;
};

// Runs on a worker.
Result<std::uint64_t> unpack(std::string_view zip, const fs::path& place, const fs::path& temporary,
                             ArchiveLimits limits) {
  std::error_code ignored;
  if (fs::is_directory(place, ignored)) return declared_bytes(zip, limits);
  auto unzipped = extract_zip(zip, temporary, limits);
  if (unzipped) {
    if (auto placed = put_in_place(temporary, place); !placed) {
      unzipped = std::unexpected(placed.error());
    }
  }
  if (!unzipped) {
    // The refusal is the answer; a leftover that cannot be removed is swept at the next start.
    (void)remove_tree(temporary);
  }
  return unzipped;
}

// Runs on a worker.
Result<> merge(const std::vector<fs::path>& trees, const std::string& members,
               const fs::path& place, const fs::path& temporary) {
  std::error_code code;
  if (fs::is_directory(place, code)) return {};
  fs::create_directory(temporary, code);
  if (!code) fs::permissions(temporary, static_cast<fs::perms>(0755), code);
  if (code) return fail_errno("directory of merged layers", code.value());
  for (const auto& tree : trees) {
    if (auto laid = lay_over(tree, temporary); !laid) {
      (void)remove_tree(temporary);
      return laid;
    }
  }
  std::ofstream(place.string() + std::string(members_suffix)) << members;
  return put_in_place(temporary, place);
}

}  // namespace

namespace {

Result<> DiskPackageStore::prepare() {
  // What holds them is the store's, and closed to other users: jails get at the trees all the same.
  for (const fs::path& path : {packages(), layers()}) {
    std::error_code code;
    fs::create_directories(path, code);
    if (!code) fs::permissions(path, static_cast<fs::perms>(0755), code);
    if (code) return fail_errno("directory " + path.string(), code.value());
  }
  TRY(sweep(packages(), temporary_prefix));
  return sweep(layers(), temporary_prefix);
}

io::Task<Result<PackageRef>> DiskPackageStore::add(std::string zip, std::uint64_t unzipped_limit) {
  std::string sha256 = co_await workers_.run([&zip] { return store::sha256_hex(zip); });
  Lock held = co_await lock(sha256);
  fs::path place = packages() / sha256;
  fs::path made = temporary(packages());
  ArchiveLimits limits{unzipped_limit, limits::package_entries};
  auto unzipped = co_await workers_.run(
      [&zip, &place, &made, limits] { return unpack(zip, place, made, limits); });
  CO_TRY(unzipped);
  PackageRef package{sha256, zip.size(), *unzipped};
  unused_since_.erase(sha256);
  CO_TRY(co_await store_.put_blob(std::move(zip)));
  co_return package;
}

io::Task<Result<fs::path>> DiskPackageStore::directory(PackageRef package) {
  fs::path place = packages() / package.sha256;
  std::error_code ignored;
  if (fs::is_directory(place, ignored)) co_return place;
  Lock held = co_await lock(package.sha256);
  if (fs::is_directory(place, ignored)) co_return place;
  CO_TRY_ASSIGN(std::string zip, co_await store_.get_blob(package.sha256));
  fs::path made = temporary(packages());
  // It was accepted under the limit of its day, which holds for it forever.
  ArchiveLimits limits{package.unzipped_bytes + 1, limits::package_entries};
  auto unzipped = co_await workers_.run(
      [&zip, &place, &made, limits] { return unpack(zip, place, made, limits); });
  CO_TRY(unzipped);
  co_return place;
}

io::Task<Result<fs::path>> DiskPackageStore::layers_directory(std::vector<LayerRef> refs) {
  if (refs.empty()) co_return fs::path();
  std::vector<fs::path> trees;
  std::string members;
  for (const LayerRef& ref : refs) {
    CO_TRY_ASSIGN(fs::path tree, co_await directory(ref.package));
    trees.push_back(std::move(tree));
    members += ref.package.sha256 + "\n";
  }
  if (trees.size() == 1) co_return trees.front();
  std::string digest = store::sha256_hex(members);
  fs::path place = layers() / digest;
  Lock held = co_await lock("layers/" + digest);
  fs::path made = temporary(layers());
  auto merged = co_await workers_.run(
      [&trees, &members, &place, &made] { return merge(trees, members, place, made); });
  CO_TRY(merged);
  co_return place;
}

Result<std::vector<std::string>> DiskPackageStore::stored_trees() const {
  std::vector<std::string> names;
  std::error_code code;
  fs::directory_iterator at(packages(), code);
  for (; !code && at != fs::directory_iterator(); at.increment(code)) {
    std::string name = at->path().filename().string();
    if (!name.starts_with(temporary_prefix)) names.push_back(std::move(name));
  }
  if (code) return fail_errno("reading the packages", code.value());
  return names;
}

Result<std::vector<std::string>> DiskPackageStore::stale_layers(
    const std::set<std::string>& in_use) const {
  std::vector<std::string> names;
  std::error_code code;
  fs::directory_iterator at(layers(), code);
  for (; !code && at != fs::directory_iterator(); at.increment(code)) {
    std::string name = at->path().filename().string();
    if (!name.ends_with(members_suffix)) continue;
    std::ifstream file(at->path());
    std::string member;
    bool stale = false;
    while (std::getline(file, member)) stale = stale || !in_use.contains(member);
    if (stale) names.push_back(name.substr(0, name.size() - members_suffix.size()));
  }
  if (code) return fail_errno("reading the merged layers", code.value());
  return names;
}

io::Task<Result<std::size_t>> DiskPackageStore::collect(std::vector<std::string> in_use,
                                                        Duration grace) {
  std::set<std::string> needed(in_use.begin(), in_use.end());
  for (const std::string& name : needed) unused_since_.erase(name);
  CO_TRY_ASSIGN(auto stored, stored_trees());
  MonoTime now = released_.loop().now();
  std::size_t removed = 0;
  std::set<std::string> kept(needed);
  for (const std::string& name : stored) {
    if (needed.contains(name)) continue;
    MonoTime since = unused_since_.try_emplace(name, now).first->second;
    if (now - since < grace) {
      kept.insert(name);
      continue;
    }
    Lock held = co_await lock(name);
    if (!unused_since_.contains(name)) continue;  // added again while this waited
    unused_since_.erase(name);
    fs::path tree = packages() / name;
    CO_TRY(co_await workers_.run([&tree] { return remove_tree(tree); }));
    CO_TRY(co_await store_.delete_blob(name));
    ++removed;
  }
  CO_TRY_ASSIGN(auto stale, stale_layers(kept));
  for (const std::string& digest : stale) {
    Lock held = co_await lock("layers/" + digest);
    fs::path tree = layers() / digest;
    fs::path members = tree.string() + std::string(members_suffix);
    CO_TRY(co_await workers_.run([&tree] { return remove_tree(tree); }));
    CO_TRY(co_await workers_.run([&members] { return remove_tree(members); }));
  }
  co_return removed;
}

}  // namespace

Result<std::unique_ptr<PackageStore>> open_package_store(io::Loop& loop, store::Store& store,
                                                         io::Workers& workers, fs::path dir) {
  auto packages = std::make_unique<DiskPackageStore>(loop, store, workers, std::move(dir));
  TRY(packages->prepare());
  return packages;
}

std::string code_sha256(const PackageRef& package) {
  std::string raw;
  auto nibble = [](char c) { return c <= '9' ? c - '0' : c - 'a' + 10; };
  for (std::size_t i = 0; i + 1 < package.sha256.size(); i += 2) {
    raw.push_back(
        static_cast<char>(nibble(package.sha256[i]) << 4 | nibble(package.sha256[i + 1])));
  }
  static constexpr char digits[] =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  for (std::size_t i = 0; i < raw.size(); i += 3) {
    std::uint32_t block = 0;
    for (std::size_t k = 0; k < 3; ++k) {
      block = block << 8 | (i + k < raw.size() ? static_cast<unsigned char>(raw[i + k]) : 0u);
    }
    for (int k = 0; k < 4; ++k) {
      bool past = i + static_cast<std::size_t>(k) > raw.size();
      out.push_back(past ? '=' : digits[block >> (18 - 6 * k) & 63]);
    }
  }
  return out;
}

}  // namespace mayfly::functions
