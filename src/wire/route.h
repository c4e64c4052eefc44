// RouteTable: finds the row of a method and URI template for a request, once per request. Built at
// boot from an operation table and constant from then on; safe to read from any thread.
//
// A template is "/a/{Label}/b/{Greedy+}?literal&name=value": a label matches one segment that is
// not empty, a greedy label one or more. Literal query parts must be there. Of several rows that
// match, the one with a literal where the other has a label wins, looking from the left; then the
// one with more literal query parts. A slash at the end of either side does not matter.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "wire/text.h"

namespace mayfly::wire {

struct Route {
  std::string_view method;
  std::string_view uri;
};

struct RouteMatch {
  std::size_t index = 0;  // into the rows the table was built from
  Pairs labels;           // percent-decoded
};

class RouteTable {
 public:
  // The rows' text must outlive the table. Refuses malformed templates and equal rows by name.
  static Result<RouteTable> build(std::span<const Route> routes);
  RouteTable(RouteTable&&) noexcept;
  RouteTable& operator=(RouteTable&&) noexcept;
  ~RouteTable();

  // `path` is raw (percent-encoded, without the query); `query` is decoded.
  std::optional<RouteMatch> match(std::string_view method, std::string_view path,
                                  const Pairs& query) const;
  // Whether any method matches this path: tells 405 from 404.
  bool knows_path(std::string_view path) const;

 private:
  struct Node;
  struct Row;
  struct Walk;
  RouteTable();
  void find(const Node& node, Walk& walk, std::size_t segment) const;
  std::unique_ptr<Node> root_;
};

}  // namespace mayfly::wire
