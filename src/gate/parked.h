// Parked: deliveries that wait at open circuit breakers, until these let them through or they are
// too old. Nothing of them is stored: after a restart breakers are closed, and they go at once.
//
// Loop thread.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace mayfly::gate {

template <class Job>
class Parked {
 public:
  void put(const std::string& key, Job job, std::int64_t expires_ms) {
    jobs_[key].emplace(expires_ms, std::move(job));
    ++size_;
  }
  // Up to `most` of one breaker, those first that came first where all may grow equally old.
  std::vector<Job> take(std::string_view key, std::size_t most) {
    std::vector<Job> out;
    auto found = jobs_.find(key);
    if (found == jobs_.end()) return out;
    while (out.size() < most && !found->second.empty()) take_first(found->second, out);
    if (found->second.empty()) jobs_.erase(found);
    return out;
  }
  std::vector<Job> take_expired(std::int64_t now_ms) {
    std::vector<Job> out;
    for (auto one = jobs_.begin(); one != jobs_.end();) {
      auto& jobs = one->second;
      while (!jobs.empty() && jobs.begin()->first <= now_ms) take_first(jobs, out);
      one = jobs.empty() ? jobs_.erase(one) : std::next(one);
    }
    return out;
  }
  // When the first one is too old; INT64_MAX: there is none.
  std::int64_t expires_ms() const {
    std::int64_t out = INT64_MAX;
    for (const auto& [key, jobs] : jobs_) out = std::min(out, jobs.begin()->first);
    return out;
  }
  std::size_t size() const { return size_; }

 private:
  using Jobs = std::multimap<std::int64_t, Job>;
  void take_first(Jobs& jobs, std::vector<Job>& out) {
    out.push_back(std::move(jobs.begin()->second));
    jobs.erase(jobs.begin());
    --size_;
  }

  std::map<std::string, Jobs, std::less<>> jobs_;  // by the keys of breakers
  std::size_t size_ = 0;
};

}  // namespace mayfly::gate
