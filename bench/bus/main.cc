// Prints one line of JSON: nanoseconds that it takes to find the rules of one event, against the
// number of rules, for the compiled set and for one pattern after the other.
// Usage: bench_bus
#include <fmt/format.h>

#include <chrono>
#include <cstdio>

#include "wire/pattern_set.h"

using namespace mayfly::wire;

namespace {

using Clock = std::chrono::steady_clock;

// What rules of one bus look like; {} is the rule's number.
struct Workload {
  std::string_view name;
  std::string pattern;
};
const Workload workloads[] = {
    {"exact", R"({{"source":["shop"],"detail-type":["order"],"detail":{{"customer":["c{0}"]}}}})"},
    {"prefix", R"({{"source":["shop"],"detail":{{"path":[{{"prefix":"/users/{0}/"}}]}}}})"},
    {"wildcard",
     R"({{"source":["shop"],"detail":{{"path":[{{"wildcard":"/users/{0}/*.png"}}]}}}})"},
    {"range", R"({{"source":["shop"],"detail":{{"n":[{{"numeric":[">=",{0},"<",{0}.5]}}]}}}})"},
    {"fields",
     R"({{"source":["shop"],"detail":{{"f{0}":[{{"exists":true}}],"customer":["c7"]}}}})"}};

Json event() {
  return *parse_json(
      R"({"version":"0","id":"6a7e8feb-b491-4cf7-a9f1-bf3703467718","detail-type":"order",)"
      R"("source":"shop","account":"123456789012","time":"2026-01-01T00:00:00Z",)"
      R"("region":"us-east-1","resources":["arn:aws:s3:::bucket"],"detail":{"customer":"c7",)"
      R"("path":"/users/7/a.png","n":7.25,"f7":1,"items":["a","b","c"],"total":12.5,)"
      R"("address":{"street":"Long 1","city":"Town"},"state":"paid"}})");
}

template <class Call>
double nanoseconds(int times, const Call& call) {
  auto begin = Clock::now();
  for (int i = 0; i < times; ++i) call();
  return std::chrono::duration<double, std::nano>(Clock::now() - begin).count() / times;
}

std::string measure(const Workload& workload, int rules, const Json& event) {
  PatternSet set;
  std::vector<EventPattern> patterns;
  for (int i = 0; i < rules; ++i) {
    auto text = fmt::format(fmt::runtime(workload.pattern), i);
    patterns.push_back(*EventPattern::parse(text));
    set.add(static_cast<PatternSet::Id>(i), patterns.back());
  }
  std::size_t found = set.match(event).size();
  if (found != (rules > 7 ? 1U : 0U)) {
    fmt::print(stderr, "{}: {} of {} rules match\n", workload.name, found, rules);
    std::exit(1);
  }
  double compiled = nanoseconds(20'000, [&] { found += set.match(event).size(); });
  double each = nanoseconds(std::max(1, 100'000 / rules), [&] {
    for (const auto& pattern : patterns) found += pattern.matches(event) ? 1 : 0;
  });
  return fmt::format(R"({{"rules":{},"set_ns":{:.0f},"each_ns":{:.0f}}})", rules, compiled, each);
}

}  // namespace

int main() {
  auto input = event();
  std::string out;
  for (const auto& workload : workloads) {
    std::string points;
    for (int rules : {10, 100, 1000, 10'000}) {
      points += (points.empty() ? "" : ",") + measure(workload, rules, input);
    }
    out += fmt::format("{}\"{}\":[{}]", out.empty() ? "" : ",", workload.name, points);
  }
  fmt::print("{{\"bench\":\"bus\",{}}}\n", out);
  return 0;
}
