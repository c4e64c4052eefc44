// Metrics: counters, gauges and histograms with labels, answered as Prometheus text (exposition
// format 0.0.4).
//
// Threads: loop only, so a change is an addition without locks. Families live as long as the
// registry; references to them stay valid, and to their series until those are erased. The number
// of series of a family is bounded: label values beyond are counted together under "other".
#pragma once

#include <functional>
#include <initializer_list>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace mayfly::telemetry {

class Counter {
 public:
  void add(double amount = 1) { value_ += amount; }
  double value() const { return value_; }

 private:
  double value_ = 0;
};

class Gauge {
 public:
  void set(double value) { value_ = value; }
  void add(double amount) { value_ += amount; }
  double value() const { return value_; }

 private:
  double value_ = 0;
};

class Histogram {
 public:
  // Upper bounds, ascending; +Inf is implied.
  explicit Histogram(const std::vector<double>& bounds)
      : bounds_(&bounds), counts_(bounds.size()) {}
  void observe(double value);
  const std::vector<double>& bounds() const { return *bounds_; }
  const std::vector<std::uint64_t>& counts() const { return counts_; }  // per bucket, not summed
  std::uint64_t count() const { return count_; }
  double sum() const { return sum_; }

 private:
  const std::vector<double>* bounds_;
  std::vector<std::uint64_t> counts_;
  std::uint64_t count_ = 0;
  double sum_ = 0;
};

bool begins_with(const std::vector<std::string>& all, const std::vector<std::string>& first);

// All series of one name. Values of labels come in the order of the label names.
template <class Metric>
class Family {
 public:
  using Values = std::vector<std::string>;
  Family(std::vector<std::string> labels, std::function<Metric()> make, std::size_t most)
      : labels_(std::move(labels)), make_(std::move(make)), most_(most) {}

  Metric& with(std::initializer_list<std::string_view> values) {
    Values key(values.begin(), values.end());
    key.resize(labels_.size());
    auto found = series_.find(key);
    if (found != series_.end()) return found->second;
    if (series_.size() >= most_) {
      for (auto& value : key) value = "other";
    }
    return series_.try_emplace(std::move(key), make_()).first->second;
  }
  // Those whose first values are these.
  void erase(const Values& first_values) {
    auto from = series_.lower_bound(first_values);
    auto to = from;
    while (to != series_.end() && begins_with(to->first, first_values)) ++to;
    series_.erase(from, to);
  }
  const std::vector<std::string>& labels() const { return labels_; }
  const std::map<Values, Metric>& series() const { return series_; }

 private:
  std::vector<std::string> labels_;
  std::function<Metric()> make_;
  std::size_t most_;
  std::map<Values, Metric> series_;
};

class Registry {
 public:
  Registry();
  ~Registry();
  Registry(const Registry&) = delete;
  Registry& operator=(const Registry&) = delete;

  // A name is given once. Conventions: counters end in _total, times are _seconds, sizes _bytes.
  Family<Counter>& counter(std::string name, std::string help,
                           std::vector<std::string> labels = {});
  Family<Gauge>& gauge(std::string name, std::string help, std::vector<std::string> labels = {});
  Family<Histogram>& histogram(std::string name, std::string help, std::vector<std::string> labels,
                               std::vector<double> bounds);
  // Values that are asked for when somebody looks.
  void gauge_function(std::string name, std::string help, std::function<double()> read);
  void counter_function(std::string name, std::string help, std::function<double()> read);

  // What the series tell of is gone: those of all families whose first labels are these, by the
  // labels' values.
  void erase(const std::vector<std::string>& first_labels,
             const std::vector<std::string>& first_values);

  // Content type "text/plain; version=0.0.4; charset=utf-8".
  std::string expose() const;

 private:
  struct Named;
  std::map<std::string, std::unique_ptr<Named>> families_;
};

}  // namespace mayfly::telemetry
