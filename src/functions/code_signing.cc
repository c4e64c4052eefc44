#include "functions/code_signing.h"

#include "functions/codec.h"

namespace mayfly::functions {

namespace {

constexpr std::string_view prefix = "csc/";
constexpr std::size_t scan_page = 1000;

std::string key_of(const Scope& scope, std::string_view id) {
  return fmt::format("{}{}/{}/{}", prefix, scope.account.str(), scope.region.str(), id);
}

}  // namespace

Result<> CodeSigningConfigs::load() {
  std::string after;
  while (true) {
    TRY_ASSIGN(auto rows, store_.scan(prefix, after, scan_page));
    for (const auto& row : rows) {
      TRY_ASSIGN(CodeSigningConfig config, decode_code_signing_config(row.value));
      Scope scope = config.scope;
      std::string id = config.id;
      entries_[scope].insert_or_assign(id, Entry{std::move(config), row.revision});
    }
    if (rows.size() < scan_page) return {};
    after = rows.back().key;
  }
}

const CodeSigningConfig* CodeSigningConfigs::find(const Scope& scope, std::string_view id) const {
  auto configs = entries_.find(scope);
  if (configs == entries_.end()) return nullptr;
  auto found = configs->second.find(id);
  return found == configs->second.end() ? nullptr : &found->second.config;
}

CodeSigningConfigs::Entry* CodeSigningConfigs::find_entry(const Scope& scope, std::string_view id) {
  auto configs = entries_.find(scope);
  if (configs == entries_.end()) return nullptr;
  auto found = configs->second.find(id);
  return found == configs->second.end() ? nullptr : &found->second;
}

std::vector<const CodeSigningConfig*> CodeSigningConfigs::list(const Scope& scope) const {
  std::vector<const CodeSigningConfig*> out;
  auto configs = entries_.find(scope);
  if (configs == entries_.end()) return out;
  for (const auto& [id, entry] : configs->second) out.push_back(&entry.config);
  return out;
}

io::Task<CodeSigningConfigs::Turn> CodeSigningConfigs::turn() {
  while (writing_) co_await released_.park();
  co_return Turn(*this);
}

io::Task<Result<>> CodeSigningConfigs::create(CodeSigningConfig config) {
  Turn mine = co_await turn();
  std::string key = key_of(config.scope, config.id);
  if (find(config.scope, config.id)) {
    co_return fail(ErrorKind::already_exists, "there is a configuration " + config.id);
  }
  store::Batch batch;
  batch.expects.push_back({key, 0});
  batch.puts.push_back({key, encode(config)});
  CO_TRY_ASSIGN(auto revision, co_await store_.commit(std::move(batch)));
  Scope scope = config.scope;
  std::string id = config.id;
  entries_[scope].insert_or_assign(id, Entry{std::move(config), revision});
  co_return Result<>{};
}

io::Task<Result<>> CodeSigningConfigs::update(Scope scope, std::string id,
                                              std::function<Result<>(CodeSigningConfig&)> change) {
  Turn mine = co_await turn();
  const Entry* entry = find_entry(scope, id);
  if (!entry) co_return fail(ErrorKind::not_found, "no code signing configuration " + id);
  CodeSigningConfig after = entry->config;
  CO_TRY(change(after));
  std::string key = key_of(scope, id);
  store::Batch batch;
  batch.expects.push_back({key, entry->revision});
  batch.puts.push_back({key, encode(after)});
  CO_TRY_ASSIGN(auto revision, co_await store_.commit(std::move(batch)));
  entries_[scope].insert_or_assign(id, Entry{std::move(after), revision});
  co_return Result<>{};
}

io::Task<Result<>> CodeSigningConfigs::remove(Scope scope, std::string id) {
  Turn mine = co_await turn();
  Entry* entry = find_entry(scope, id);
  if (!entry) co_return fail(ErrorKind::not_found, "no code signing configuration " + id);
  if (held_.contains({scope, id})) {
    co_return fail(ErrorKind::conflict, "a function is being given it");
  }
  // Not to be found from here on, so that no function is given it while it is taken off the disk.
  Entry old = std::move(*entry);
  entries_[scope].erase(id);
  std::string key = key_of(scope, id);
  store::Batch batch;
  batch.expects.push_back({key, old.revision});
  batch.deletes.push_back(key);
  auto committed = co_await store_.commit(std::move(batch));
  if (committed) co_return Result<>{};
  entries_[scope].insert_or_assign(id, std::move(old));
  co_return std::unexpected(std::move(committed).error());
}

}  // namespace mayfly::functions
