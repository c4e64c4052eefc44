// Admission: the one place where invocations are refused for what runs or comes too fast: account
// concurrency, reserved concurrency, requests per second, new environments per second. Refuses at
// once; nothing waits here. Rates go by platform time. Loop thread.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <unordered_map>

#include "invoke/invoker.h"

namespace mayfly::invoke {

// Tokens that come back continuously, up to `most`.
class TokenBucket {
 public:
  bool take(double per_second, double most, WallTime now);
  WallTime touched() const { return at_; }

 private:
  std::optional<double> tokens_;  // none taken yet: full
  WallTime at_{};
};

class Admission {
 public:
  Admission(const Clock& clock, const Settings& settings) : clock_(clock), settings_(settings) {}

  // Concurrency that functions of the account and region have for themselves, reserved or
  // provisioned, in sum: what is left is shared by the others.
  void reserve(const Scope& scope, int total) { by_scope_[scope].reserved = total; }

  // What an invocation was counted as.
  enum class Ticket { shared, reserved, provisioned };
  // Counts the invocation in, or fails with `throttled` and the cloud's reason. Events of the queue
  // were counted as requests when they were accepted.
  Result<Ticket> enter(const Runnable& runnable, InvocationType type);
  // An invocation that was counted in needs another environment.
  Result<> grow(const Runnable& runnable);
  // A request that is accepted into the queue.
  Result<> request(const Scope& scope);
  void leave(const Runnable& runnable, Ticket ticket);
  int running(std::string_view concurrency_key) const;
  int running() const { return running_; }

 private:
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const {
      return std::hash<std::string_view>{}(text);
    }
  };
  struct Account {
    int shared = 0;    // running, of functions without a reservation
    int reserved = 0;  // taken out of the limit
    TokenBucket requests;
  };
  struct Function {
    int running = 0;
    TokenBucket requests;  // where concurrency is reserved
    TokenBucket environments;
  };
  Function& function_of(const Runnable& runnable);
  Account& account_of(const Scope& scope);
  Result<> take_requests(const Runnable& runnable, Function& function, Account& account);
  Result<> take_request(Account& account);

  const Clock& clock_;
  const Settings& settings_;
  int running_ = 0;
  std::unordered_map<std::string, Function, Hash, std::equal_to<>> by_function_;
  std::unordered_map<std::string, int> provisioned_;  // running in provisioned concurrency, by pool
  std::map<Scope, Account> by_scope_;
  std::pair<const Scope, Account>* last_account_ = nullptr;  // of by_scope_, whose rows stay
};

}  // namespace mayfly::invoke
