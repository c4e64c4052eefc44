#include "telemetry/metrics.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <variant>

#include "base/limits.h"

namespace mayfly::telemetry {
namespace {

std::string escaped(std::string_view text, bool quotes) {
  std::string out;
  for (char c : text) {
    if (c == '\\')
      out += "\\\\";
    else if (c == '\n')
      out += "\\n";
    else if (c == '"' && quotes)
      out += "\\\"";
    else
      out += c;
  }
  return out;
}

std::string number(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "+Inf" : "-Inf";
  return fmt::format("{}", value);
}

// {a="x",b="y"}, with `extra` (already formed) last; nothing without labels.
std::string labels_text(const std::vector<std::string>& names,
                        const std::vector<std::string>& values, std::string_view extra = {}) {
  std::string out;
  for (std::size_t i = 0; i < names.size(); ++i) {
    out += fmt::format("{}{}=\"{}\"", out.empty() ? "" : ",", names[i], escaped(values[i], true));
  }
  if (!extra.empty()) out += fmt::format("{}{}", out.empty() ? "" : ",", extra);
  return out.empty() ? out : "{" + out + "}";
}

template <class Simple>
void expose_family(std::string& out, const std::string& name, const Family<Simple>& family) {
  for (const auto& [values, metric] : family.series()) {
    out += fmt::format("{}{} {}\n", name, labels_text(family.labels(), values),
                       number(metric.value()));
  }
}

void expose_family(std::string& out, const std::string& name, const Family<Histogram>& family) {
  for (const auto& [values, metric] : family.series()) {
    std::uint64_t sum = 0;
    for (std::size_t i = 0; i < metric.bounds().size(); ++i) {
      sum += metric.counts()[i];
      auto bound = fmt::format("le=\"{}\"", number(metric.bounds()[i]));
      out +=
          fmt::format("{}_bucket{} {}\n", name, labels_text(family.labels(), values, bound), sum);
    }
    auto labels = labels_text(family.labels(), values);
    out += fmt::format("{}_bucket{} {}\n", name,
                       labels_text(family.labels(), values, "le=\"+Inf\""), metric.count());
    out += fmt::format("{0}_sum{1} {2}\n{0}_count{1} {3}\n", name, labels, number(metric.sum()),
                       metric.count());
  }
}

}  // namespace

bool begins_with(const std::vector<std::string>& all, const std::vector<std::string>& first) {
  return all.size() >= first.size() && std::equal(first.begin(), first.end(), all.begin());
}

void Histogram::observe(double value) {
  auto at = std::ranges::lower_bound(*bounds_, value);
  if (at != bounds_->end()) ++counts_[static_cast<std::size_t>(at - bounds_->begin())];
  ++count_;
  sum_ += value;
}

struct Registry::Named {
  std::string help;
  std::string_view type;
  std::vector<double> bounds;
  std::variant<std::unique_ptr<Family<Counter>>, std::unique_ptr<Family<Gauge>>,
               std::unique_ptr<Family<Histogram>>, std::function<double()>>
      content;
};

Registry::Registry() = default;
Registry::~Registry() = default;

Family<Counter>& Registry::counter(std::string name, std::string help,
                                   std::vector<std::string> labels) {
  auto family = std::make_unique<Family<Counter>>(
      std::move(labels), [] { return Counter(); }, limits::metric_series);
  auto& out = *family;
  families_[std::move(name)] =
      std::make_unique<Named>(Named{std::move(help), "counter", {}, std::move(family)});
  return out;
}

Family<Gauge>& Registry::gauge(std::string name, std::string help,
                               std::vector<std::string> labels) {
  auto family = std::make_unique<Family<Gauge>>(
      std::move(labels), [] { return Gauge(); }, limits::metric_series);
  auto& out = *family;
  families_[std::move(name)] =
      std::make_unique<Named>(Named{std::move(help), "gauge", {}, std::move(family)});
  return out;
}

Family<Histogram>& Registry::histogram(std::string name, std::string help,
                                       std::vector<std::string> labels,
                                       std::vector<double> bounds) {
  auto named = std::make_unique<Named>(
      Named{std::move(help), "histogram", std::move(bounds), std::function<double()>()});
  auto family = std::make_unique<Family<Histogram>>(
      std::move(labels), [&bounds = named->bounds] { return Histogram(bounds); },
      limits::metric_series);
  auto& out = *family;
  named->content = std::move(family);
  families_[std::move(name)] = std::move(named);
  return out;
}

void Registry::gauge_function(std::string name, std::string help, std::function<double()> read) {
  families_[std::move(name)] =
      std::make_unique<Named>(Named{std::move(help), "gauge", {}, std::move(read)});
}

void Registry::counter_function(std::string name, std::string help, std::function<double()> read) {
  families_[std::move(name)] =
      std::make_unique<Named>(Named{std::move(help), "counter", {}, std::move(read)});
}

void Registry::erase(const std::vector<std::string>& first_labels,
                     const std::vector<std::string>& first_values) {
  for (const auto& [name, named] : families_) {
    std::visit(
        [&](const auto& content) {
          if constexpr (requires { content->series(); }) {
            if (begins_with(content->labels(), first_labels)) content->erase(first_values);
          }
        },
        named->content);
  }
}

std::string Registry::expose() const {
  std::string out;
  for (const auto& [family_name, named] : families_) {
    const std::string& name = family_name;
    out += fmt::format("# HELP {0} {1}\n# TYPE {0} {2}\n", name, escaped(named->help, false),
                       named->type);
    std::visit(
        [&](const auto& content) {
          if constexpr (requires { content(); }) {
            out += fmt::format("{} {}\n", name, number(content()));
          } else {
            expose_family(out, name, *content);
          }
        },
        named->content);
  }
  return out;
}

}  // namespace mayfly::telemetry
