// Workers: a bounded pool of threads for calls that block (disk, archives, hashing). The result
// comes back on the loop. Owned by mayfly/; ends by finishing what is queued.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "io/park.h"

namespace mayfly::io {

class Workers {
 public:
  Workers(Loop& loop, std::size_t threads);
  ~Workers();

  // Runs `call` on a pool thread and returns its value. `call` must not touch loop objects.
  template <class Call>
  auto run(Call call) -> Task<std::invoke_result_t<Call&>> {
    using T = std::invoke_result_t<Call&>;
    std::optional<T> out;
    Event done(loop_);
    enqueue([&] {
      out.emplace(call());
      loop_.post([&] { done.set(); });
    });
    co_await done.wait();
    co_return std::move(*out);
  }

 private:
  void enqueue(std::move_only_function<void()> job);
  void work();

  Loop& loop_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::move_only_function<void()>> jobs_;  // guarded by mutex_
  bool ending_ = false;                               // guarded by mutex_
  std::vector<std::thread> threads_;
};

}  // namespace mayfly::io
