#include "functions/registry.h"

#include <charconv>
#include <set>

#include "functions/codec.h"
#include "io/park.h"

namespace mayfly::functions {

namespace {

// Keys. The functions' records, then their published versions, layers, and the counters of layers.
constexpr std::string_view function_prefix = "fn/";
constexpr std::string_view version_prefix = "fv/";
constexpr std::string_view layer_prefix = "ly/";
constexpr std::string_view layer_counter_prefix = "lyc/";
constexpr std::size_t scan_page = 1000;
constexpr std::size_t function_name_chars = 64;
constexpr std::size_t layer_name_chars = 140;

std::string scoped_key(std::string_view prefix, const Scope& scope, std::string_view name) {
  return fmt::format("{}{}/{}/{}", prefix, scope.account.str(), scope.region.str(), name);
}
std::string numbered_key(std::string_view prefix, const Scope& scope, std::string_view name,
                         int number) {
  return fmt::format("{}/{:010}", scoped_key(prefix, scope, name), number);
}

bool valid_name(std::string_view name, std::size_t most) {
  if (name.empty() || name.size() > most) return false;
  return std::ranges::all_of(
      name, [](unsigned char c) { return std::isalnum(c) || c == '-' || c == '_'; });
}

struct Entry {
  Function function;
  store::Revision revision = 0;
};

using LayerKey = std::pair<Scope, std::string>;
struct LayerEntry {
  LayerVersion layer;
  store::Revision revision = 0;
};
struct LayerFamily {
  int last = 0;
  store::Revision counter_revision = 0;
  std::map<int, LayerEntry> versions;
};

class StoredRegistry final : public Registry {
 public:
  StoredRegistry(io::Loop& loop, store::Store& store)
      : store_(store), released_(loop), code_signing_(loop, store), capacity_(loop, store) {}

  Result<> load();

  const Function* find(const Scope& scope, const FunctionName& name) const override {
    const Entry* entry = find_entry(scope, name);
    return entry ? &entry->function : nullptr;
  }
  const Function* find_by_url(std::string_view url_id) const override {
    auto found = urls_.find(url_id);
    return found == urls_.end() ? nullptr : find(found->second.first, found->second.second);
  }
  std::vector<const Function*> list(const Scope& scope, std::string_view after,
                                    std::size_t limit) const override;
  std::size_t count() const override { return count_; }
  void for_each(const std::function<void(const Function&)>& visit) const override {
    for (const auto& [scope, functions] : functions_) {
      for (const auto& [name, entry] : functions) visit(entry.function);
    }
  }
  void for_each_layer(const std::function<void(const LayerVersion&)>& visit) const override {
    for (const auto& [key, family] : layers_) {
      for (const auto& [number, entry] : family.versions) visit(entry.layer);
    }
  }
  Result<Resolved> resolve(const Scope& scope, const FunctionName& name, std::string_view qualifier,
                           Random& random) const override;

  io::Task<Result<>> create(Function function) override;
  io::Task<Result<>> update(const Scope& scope, const FunctionName& name,
                            std::function<Result<>(Function&)> change) override;
  io::Task<Result<>> remove(const Scope& scope, const FunctionName& name) override;

  const LayerVersion* find_layer(const Scope& scope, std::string_view name,
                                 int version) const override;
  std::vector<const LayerVersion*> layer_versions(const Scope& scope,
                                                  std::string_view name) const override;
  std::vector<const LayerVersion*> latest_layers(const Scope& scope) const override;
  io::Task<Result<int>> publish_layer(LayerVersion layer) override;
  io::Task<Result<>> update_layer(const Scope& scope, std::string_view name, int version,
                                  std::function<Result<>(LayerVersion&)> change) override;
  io::Task<Result<>> remove_layer(const Scope& scope, std::string_view name, int version) override;

  CodeSigningConfigs& code_signing() override { return code_signing_; }
  CapacityProviders& capacity() override { return capacity_; }

  void on_change(std::function<void(const Scope&, const FunctionName&)> listener) override {
    listeners_.push_back(std::move(listener));
  }

 private:
  // One writer per key at a time, so that changes queue up instead of failing by revision.
  class Lock {
   public:
    Lock(StoredRegistry& owner, std::string key) : owner_(&owner), key_(std::move(key)) {}
    Lock(Lock&& other) noexcept
        : owner_(std::exchange(other.owner_, nullptr)), key_(std::move(other.key_)) {}
    ~Lock() {
      if (!owner_) return;
      owner_->locked_.erase(key_);
      owner_->released_.wake_all();
    }

   private:
    StoredRegistry* owner_;
    std::string key_;
  };
  io::Task<Lock> lock(std::string key) {
    while (locked_.contains(key)) co_await released_.park();
    locked_.insert(key);
    co_return Lock(*this, std::move(key));
  }

  Result<> scan(std::string_view prefix, const std::function<Result<>(const store::Row&)>& visit);
  Result<> load_functions();
  Result<> load_layers();
  const Entry* find_entry(const Scope& scope, const FunctionName& name) const;
  void index_urls(const Function& function);
  void forget_urls(const Function& function);
  void changed(const Scope& scope, const FunctionName& name) {
    for (auto& listener : listeners_) listener(scope, name);
  }
  static void add_versions(store::Batch& batch, const Function& before, const Function& after);

  store::Store& store_;
  io::ParkingLot released_;
  std::set<std::string> locked_;
  std::map<Scope, std::map<FunctionName, Entry>> functions_;
  // Entries found of late, by their names' hash: a call looks its function up several times.
  mutable std::array<const Entry*, 64> recent_{};
  std::map<std::string, std::pair<Scope, FunctionName>, std::less<>> urls_;
  std::map<LayerKey, LayerFamily> layers_;
  CodeSigningConfigs code_signing_;
  CapacityProviders capacity_;
  std::size_t count_ = 0;
  std::vector<std::function<void(const Scope&, const FunctionName&)>> listeners_;
};

Result<> StoredRegistry::scan(std::string_view prefix,
                              const std::function<Result<>(const store::Row&)>& visit) {
  std::string after;
  while (true) {
    TRY_ASSIGN(auto rows, store_.scan(prefix, after, scan_page));
    for (const auto& row : rows) TRY(visit(row));
    if (rows.size() < scan_page) return {};
    after = rows.back().key;
  }
}

Result<> StoredRegistry::load_functions() {
  TRY(scan(function_prefix, [this](const store::Row& row) -> Result<> {
    TRY_ASSIGN(Function function, decode_function(row.value));
    Scope scope = function.scope;
    FunctionName name = function.name;
    index_urls(function);
    functions_[scope].emplace(name, Entry{std::move(function), row.revision});
    ++count_;
    return {};
  }));
  return scan(version_prefix, [this](const store::Row& row) -> Result<> {
    TRY_ASSIGN(Version version, decode_version(row.value));
    // fv/ACCOUNT/REGION/NAME/NUMBER
    std::string_view rest = std::string_view(row.key).substr(version_prefix.size());
    auto first = rest.find('/');
    auto second = rest.find('/', first + 1);
    if (first == rest.npos || second == rest.npos) {
      return fail(ErrorKind::corrupt, "damaged version key " + row.key);
    }
    Scope scope{AccountId(std::string(rest.substr(0, first))),
                Region(std::string(rest.substr(first + 1, second - first - 1)))};
    auto& functions = functions_[scope];
    auto owner = functions.find(version.name);
    int number = 0;
    std::from_chars(version.version.data(), version.version.data() + version.version.size(),
                    number);
    if (owner == functions.end() || number <= 0) {
      return fail(ErrorKind::corrupt, "a version without its function: " + row.key);
    }
    owner->second.function.versions.emplace(number, std::move(version));
    return {};
  });
}

Result<> StoredRegistry::load_layers() {
  TRY(scan(layer_counter_prefix, [this](const store::Row& row) -> Result<> {
    TRY_ASSIGN(LayerVersion last, decode_layer(row.value));
    LayerFamily& family = layers_[{last.scope, last.name}];
    family.last = last.version;
    family.counter_revision = row.revision;
    return {};
  }));
  return scan(layer_prefix, [this](const store::Row& row) -> Result<> {
    TRY_ASSIGN(LayerVersion layer, decode_layer(row.value));
    LayerKey key{layer.scope, layer.name};
    int number = layer.version;
    layers_[key].versions.emplace(number, LayerEntry{std::move(layer), row.revision});
    return {};
  });
}

Result<> StoredRegistry::load() {
  TRY(load_functions());
  TRY(load_layers());
  TRY(code_signing_.load());
  return capacity_.load();
}

const Entry* StoredRegistry::find_entry(const Scope& scope, const FunctionName& name) const {
  const std::string& text = name.str();
  std::size_t hash = text.size();
  if (hash > 0) hash = hash * 31 + static_cast<unsigned char>(text.back()) * 7;
  auto& recent = recent_[hash % recent_.size()];
  if (recent != nullptr && recent->function.name == name && recent->function.scope == scope) {
    return recent;
  }
  auto functions = functions_.find(scope);
  if (functions == functions_.end()) return nullptr;
  auto found = functions->second.find(name);
  if (found == functions->second.end()) return nullptr;
  return recent = &found->second;
}

void StoredRegistry::index_urls(const Function& function) {
  for (const auto& [qualifier, url] : function.urls) {
    urls_.insert_or_assign(url.url_id, std::pair(function.scope, function.name));
  }
}

void StoredRegistry::forget_urls(const Function& function) {
  for (const auto& [qualifier, url] : function.urls) urls_.erase(url.url_id);
}

std::vector<const Function*> StoredRegistry::list(const Scope& scope, std::string_view after,
                                                  std::size_t limit) const {
  std::vector<const Function*> out;
  auto functions = functions_.find(scope);
  if (functions == functions_.end()) return out;
  auto at = functions->second.upper_bound(FunctionName(std::string(after)));
  for (; at != functions->second.end() && out.size() < limit; ++at) {
    out.push_back(&at->second.function);
  }
  return out;
}

Result<Resolved> StoredRegistry::resolve(const Scope& scope, const FunctionName& name,
                                         std::string_view qualifier, Random& random) const {
  const Function* function = find(scope, name);
  if (!function) return fail(ErrorKind::not_found, "no function " + name.str());
  Resolved out{.function = function, .version = &function->latest, .invoked_arn = function->arn()};
  auto on_published = [&]() -> Result<Resolved> {
    out.version = &*function->latest_published;
    return out;
  };
  if (qualifier.empty()) {
    bool managed = !function->latest.capacity_provider_arn.empty();
    return managed && function->latest_published ? on_published() : out;
  }
  out.invoked_arn += ":" + std::string(qualifier);
  if (qualifier == "$LATEST") return out;
  std::string number_text(qualifier);
  if (auto alias = function->aliases.find(number_text); alias != function->aliases.end()) {
    number_text = alias->second.version;
    // 53 random bits, the precision of a double, in [0, 1).
    double draw = static_cast<double>(random.next_u64() >> 11) * 0x1p-53;
    for (const auto& [version, weight] : alias->second.weights) {
      if (draw < weight) {
        number_text = version;
        break;
      }
      draw -= weight;
    }
    if (number_text == "$LATEST") return out;
  }
  if (number_text == "$LATEST.PUBLISHED" && function->latest_published) return on_published();
  int number = 0;
  auto [end, error] =
      std::from_chars(number_text.data(), number_text.data() + number_text.size(), number);
  auto found = function->versions.find(number);
  if (error != std::errc() || end != number_text.data() + number_text.size() ||
      found == function->versions.end()) {
    return fail(ErrorKind::not_found,
                fmt::format("{} has no version or alias {}", name.str(), qualifier));
  }
  out.version = &found->second;
  return out;
}

void StoredRegistry::add_versions(store::Batch& batch, const Function& before,
                                  const Function& after) {
  for (const auto& [number, version] : after.versions) {
    std::string bytes = encode(version);
    auto old = before.versions.find(number);
    if (old != before.versions.end() && encode(old->second) == bytes) continue;
    batch.puts.push_back(
        {numbered_key(version_prefix, after.scope, after.name.str(), number), std::move(bytes)});
  }
  for (const auto& [number, version] : before.versions) {
    if (after.versions.contains(number)) continue;
    batch.deletes.push_back(numbered_key(version_prefix, before.scope, before.name.str(), number));
  }
}

io::Task<Result<>> StoredRegistry::create(Function function) {
  if (!valid_function_name(function.name.str())) {
    co_return fail(ErrorKind::invalid, "not a function name: " + function.name.str());
  }
  std::string key = scoped_key(function_prefix, function.scope, function.name.str());
  Lock held = co_await lock(key);
  if (find(function.scope, function.name)) {
    co_return fail(ErrorKind::already_exists, "Function already exist: " + function.name.str());
  }
  store::Batch batch;
  batch.expects.push_back({key, 0});
  batch.puts.push_back({key, encode(function)});
  add_versions(batch, Function{}, function);
  CO_TRY_ASSIGN(auto revision, co_await store_.commit(std::move(batch)));
  index_urls(function);
  Scope scope = function.scope;
  FunctionName name = function.name;
  functions_[scope].insert_or_assign(name, Entry{std::move(function), revision});
  ++count_;
  changed(scope, name);
  co_return Result<>{};
}

io::Task<Result<>> StoredRegistry::update(const Scope& scope_ref, const FunctionName& name_ref,
                                          std::function<Result<>(Function&)> change) {
  // The arguments may live in the entry that this call replaces.
  Scope scope = scope_ref;
  FunctionName name = name_ref;
  std::string key = scoped_key(function_prefix, scope, name.str());
  Lock held = co_await lock(key);
  const Entry* entry = find_entry(scope, name);
  if (!entry) co_return fail(ErrorKind::not_found, "no function " + name.str());
  Function after = entry->function;
  CO_TRY(change(after));
  store::Batch batch;
  batch.expects.push_back({key, entry->revision});
  batch.puts.push_back({key, encode(after)});
  add_versions(batch, entry->function, after);
  CO_TRY_ASSIGN(auto revision, co_await store_.commit(std::move(batch)));
  Entry& live = functions_[scope][name];
  forget_urls(live.function);
  index_urls(after);
  live = Entry{std::move(after), revision};
  changed(scope, name);
  co_return Result<>{};
}

io::Task<Result<>> StoredRegistry::remove(const Scope& scope_ref, const FunctionName& name_ref) {
  Scope scope = scope_ref;
  FunctionName name = name_ref;
  std::string key = scoped_key(function_prefix, scope, name.str());
  Lock held = co_await lock(key);
  const Entry* entry = find_entry(scope, name);
  if (!entry) co_return fail(ErrorKind::not_found, "no function " + name.str());
  store::Batch batch;
  batch.expects.push_back({key, entry->revision});
  batch.deletes.push_back(key);
  Function none;
  none.scope = scope;
  none.name = name;
  add_versions(batch, entry->function, none);
  CO_TRY(co_await store_.commit(std::move(batch)));
  auto& functions = functions_[scope];
  forget_urls(functions.at(name).function);
  recent_.fill(nullptr);
  functions.erase(name);
  --count_;
  changed(scope, name);
  co_return Result<>{};
}

const LayerVersion* StoredRegistry::find_layer(const Scope& scope, std::string_view name,
                                               int version) const {
  auto family = layers_.find({scope, std::string(name)});
  if (family == layers_.end()) return nullptr;
  auto found = family->second.versions.find(version);
  return found == family->second.versions.end() ? nullptr : &found->second.layer;
}

std::vector<const LayerVersion*> StoredRegistry::layer_versions(const Scope& scope,
                                                                std::string_view name) const {
  std::vector<const LayerVersion*> out;
  auto family = layers_.find({scope, std::string(name)});
  if (family == layers_.end()) return out;
  for (const auto& [number, entry] : family->second.versions) out.push_back(&entry.layer);
  return out;
}

std::vector<const LayerVersion*> StoredRegistry::latest_layers(const Scope& scope) const {
  std::vector<const LayerVersion*> out;
  for (auto at = layers_.lower_bound({scope, ""}); at != layers_.end(); ++at) {
    if (at->first.first != scope) break;
    if (!at->second.versions.empty()) out.push_back(&at->second.versions.rbegin()->second.layer);
  }
  return out;
}

io::Task<Result<int>> StoredRegistry::publish_layer(LayerVersion layer) {
  if (!valid_layer_name(layer.name)) {
    co_return fail(ErrorKind::invalid, "not a layer name: " + layer.name);
  }
  std::string counter_key = scoped_key(layer_counter_prefix, layer.scope, layer.name);
  Lock held = co_await lock(counter_key);
  LayerKey family_key{layer.scope, layer.name};
  LayerVersion counter;
  counter.scope = layer.scope;
  counter.name = layer.name;
  store::Revision counter_revision = 0;
  if (auto family = layers_.find(family_key); family != layers_.end()) {
    counter.version = family->second.last;
    counter_revision = family->second.counter_revision;
  }
  ++counter.version;
  layer.version = counter.version;
  store::Batch batch;
  batch.expects.push_back({counter_key, counter_revision});
  batch.puts.push_back({counter_key, encode(counter)});
  batch.puts.push_back(
      {numbered_key(layer_prefix, layer.scope, layer.name, layer.version), encode(layer)});
  CO_TRY_ASSIGN(auto revision, co_await store_.commit(std::move(batch)));
  LayerFamily& family = layers_[family_key];
  family.last = counter.version;
  family.counter_revision = revision;
  family.versions.emplace(counter.version, LayerEntry{std::move(layer), revision});
  co_return counter.version;
}

io::Task<Result<>> StoredRegistry::update_layer(const Scope& scope, std::string_view name,
                                                int version,
                                                std::function<Result<>(LayerVersion&)> change) {
  LayerKey family_key{scope, std::string(name)};
  std::string key = numbered_key(layer_prefix, scope, name, version);
  Lock held = co_await lock(key);
  auto family = layers_.find(family_key);
  if (family == layers_.end() || !family->second.versions.contains(version)) {
    co_return fail(ErrorKind::not_found, "no such layer version");
  }
  LayerEntry after = family->second.versions.at(version);
  CO_TRY(change(after.layer));
  store::Batch batch;
  batch.expects.push_back({key, after.revision});
  batch.puts.push_back({key, encode(after.layer)});
  CO_TRY_ASSIGN(after.revision, co_await store_.commit(std::move(batch)));
  layers_[family_key].versions.insert_or_assign(version, std::move(after));
  co_return Result<>{};
}

io::Task<Result<>> StoredRegistry::remove_layer(const Scope& scope, std::string_view name,
                                                int version) {
  LayerKey family_key{scope, std::string(name)};
  std::string key = numbered_key(layer_prefix, scope, name, version);
  Lock held = co_await lock(key);
  auto family = layers_.find(family_key);
  if (family == layers_.end() || !family->second.versions.contains(version)) {
    co_return fail(ErrorKind::not_found, "no such layer version");
  }
  store::Batch batch;
  batch.expects.push_back({key, family->second.versions.at(version).revision});
  batch.deletes.push_back(key);
  CO_TRY(co_await store_.commit(std::move(batch)));
  layers_[family_key].versions.erase(version);
  co_return Result<>{};
}

}  // namespace

Result<std::unique_ptr<Registry>> open_registry(io::Loop& loop, store::Store& store) {
  auto registry = std::make_unique<StoredRegistry>(loop, store);
  TRY(registry->load());
  return registry;
}

bool valid_function_name(std::string_view name) { return valid_name(name, function_name_chars); }
bool valid_layer_name(std::string_view name) { return valid_name(name, layer_name_chars); }

}  // namespace mayfly::functions
