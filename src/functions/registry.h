// Registry: functions, versions, aliases, layers, URLs and policies, owned by no dialect. Records
// live in memory (loaded once) and are written through to the store.
//
// Acknowledged: a mutating call returns after its records are synced (store.h).
// Threads: loop. Lifetime: as long as the server. Pointers into the registry are valid until the
// next suspension point.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/random.h"
#include "base/result.h"
#include "functions/model.h"
#include "functions/records.h"
#include "store/store.h"

namespace mayfly::functions {

class Registry {
 public:
  virtual ~Registry() = default;

  virtual const Function* find(const Scope& scope, const FunctionName& name) const = 0;
  virtual const Function* find_by_url(std::string_view url_id) const = 0;
  // Functions of a scope in name order, after `after`.
  virtual std::vector<const Function*> list(const Scope& scope, std::string_view after,
                                            std::size_t limit) const = 0;
  virtual std::size_t count() const = 0;
  // Every function of every scope, for work at start and for collecting packages.
  virtual void for_each(const std::function<void(const Function&)>& visit) const = 0;
  virtual void for_each_layer(const std::function<void(const LayerVersion&)>& visit) const = 0;
  // `qualifier` empty: $LATEST, or $LATEST.PUBLISHED of a function on a capacity provider that has
  // one. An alias with weights draws by `random`.
  virtual Result<Resolved> resolve(const Scope& scope, const FunctionName& name,
                                   std::string_view qualifier, Random& random) const = 0;

  // Creates the function, or `already_exists`; `invalid` for a name outside the rule.
  virtual io::Task<Result<>> create(Function function) = 0;
  // Applies `change` to a copy, checks that the stored revision did not move, writes, swaps in.
  // `change` may fail; then nothing happens. Changes of one function run one after another.
  virtual io::Task<Result<>> update(const Scope& scope, const FunctionName& name,
                                    std::function<Result<>(Function&)> change) = 0;
  virtual io::Task<Result<>> remove(const Scope& scope, const FunctionName& name) = 0;

  virtual const LayerVersion* find_layer(const Scope& scope, std::string_view name,
                                         int version) const = 0;
  virtual std::vector<const LayerVersion*> layer_versions(const Scope& scope,
                                                          std::string_view name) const = 0;
  virtual std::vector<const LayerVersion*> latest_layers(const Scope& scope) const = 0;
  // Answers the new number; numbers of a name are never reused.
  virtual io::Task<Result<int>> publish_layer(LayerVersion layer) = 0;
  virtual io::Task<Result<>> update_layer(const Scope& scope, std::string_view name, int version,
                                          std::function<Result<>(LayerVersion&)> change) = 0;
  virtual io::Task<Result<>> remove_layer(const Scope& scope, std::string_view name,
                                          int version) = 0;

  virtual CodeSigningConfigs& code_signing() = 0;
  virtual CapacityProviders& capacity() = 0;

  // Called on the loop after a function changed or went away (instance pools retire old versions).
  virtual void on_change(std::function<void(const Scope&, const FunctionName&)> listener) = 0;
};

// Loads every record. Fails with `corrupt` when a record cannot be read.
Result<std::unique_ptr<Registry>> open_registry(io::Loop& loop, store::Store& store);

// The name rule of functions: 1–64 of A–Z a–z 0–9 - _.
bool valid_function_name(std::string_view name);
// The name rule of layers: 1–140 of the same.
bool valid_layer_name(std::string_view name);

}  // namespace mayfly::functions
