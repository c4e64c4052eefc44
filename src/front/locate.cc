#include "front/locate.h"

#include "base/log.h"
#include "front/object_store.h"

namespace mayfly::front {

namespace http1 = io::http1;
using wire::Protocol;

namespace {

bool is_rest(Protocol protocol) {
  return protocol == Protocol::rest_json || protocol == Protocol::rest_xml;
}

bool is_form(Protocol protocol) { return protocol == Protocol::query || protocol == Protocol::ec2; }

bool speaks(const api::ServiceModel& model, Protocol protocol) {
  return model.protocol == protocol ||
         std::ranges::find(model.protocols, protocol) != model.protocols.end();
}

// A model may declare several protocols (json and query); the request shows which one is spoken.
Protocol protocol_of(const api::ServiceModel& model, const http1::Head& head,
                     const wire::Pairs& query) {
  if (head.path.starts_with("/service/") && speaks(model, Protocol::rpc_v2_cbor)) {
    return Protocol::rpc_v2_cbor;
  }
  if (!head.field("x-amz-target").empty() && speaks(model, Protocol::json)) return Protocol::json;
  bool form = wire::istarts_with(head.field("content-type"), "application/x-www-form-urlencoded");
  bool named = wire::find_pair(query, "Action") != nullptr;
  if ((form || named) && speaks(model, Protocol::query)) return Protocol::query;
  return model.protocol;
}

std::unexpected<Lost> lost(const Entry* entry, Protocol protocol, int status, std::string code,
                           std::string message) {
  return std::unexpected(
      Lost{entry, protocol, {std::move(code), status, std::move(message), true, {}}});
}

}  // namespace

std::vector<std::string> host_labels(std::string_view host,
                                     const std::vector<std::string>& suffixes) {
  if (std::size_t colon = host.rfind(':');
      colon != std::string_view::npos && !host.ends_with(']')) {
    host = host.substr(0, colon);
  }
  std::string lower = wire::to_lower(host);
  for (const auto& suffix : suffixes) {
    if (lower.size() <= suffix.size() + 1 || !lower.ends_with(suffix)) continue;
    std::string_view rest = std::string_view(lower).substr(0, lower.size() - suffix.size());
    if (!rest.ends_with('.')) continue;
    rest.remove_suffix(1);
    std::vector<std::string> out;
    for (std::string_view label : wire::split(rest, '.')) out.emplace_back(label);
    return out;
  }
  return {};
}

std::optional<wire::RouteMatch> RecentRoutes::match(const wire::RouteTable& routes,
                                                    std::string_view method, std::string_view path,
                                                    const wire::Pairs& query) {
  if (!query.empty() || path.size() > longest_path) return routes.match(method, path, query);
  // What tells paths of one operation apart stands before its last segment.
  std::uint64_t hash = path.size();
  std::size_t from = path.size() - std::min<std::size_t>(path.size(), 20);
  for (char c : path.substr(from, 8)) hash = hash * 31 + static_cast<unsigned char>(c);
  auto& kept = kept_[hash % kept_.size()];
  if (kept.path == path && kept.method == method) return kept.match;
  auto found = routes.match(method, path, query);
  if (found) kept = {std::string(method), std::string(path), *found};
  return found;
}

void Directory::add(api::Service service) {
  auto entry = std::make_unique<Entry>();
  entry->service = std::move(service);
  const api::ServiceModel& model = *entry->service.model;
  std::vector<wire::Route> routes;
  for (const auto& operation : model.operations) {
    entry->by_name.emplace(operation.name, &operation);
    auto built = entry->service.handlers.find(operation.name);
    entry->handlers.push_back(built == entry->service.handlers.end() ? nullptr : &built->second);
    routes.push_back({operation.http_method, operation.uri});
  }
  if (is_rest(model.protocol)) {
    auto built = wire::RouteTable::build(routes);
    // The rows come from a generated table: a table that cannot be built is a defect of the model.
    if (!built) {
      log::error("front", "the routes of {} are unusable: {}", model.name, built.error().message);
      std::abort();
    }
    entry->routes.emplace(*std::move(built));
  }
  entries_.push_back(std::move(entry));
}

std::string Directory::names() const {
  std::string out;
  for (const auto& entry : entries_) {
    if (!out.empty()) out += ", ";
    out += entry->service.model->name;
  }
  return out;
}

const Entry* Directory::by_signing_name(std::string_view name) const {
  for (const auto& entry : entries_) {
    if (entry->service.model->name == name) return entry.get();
  }
  return nullptr;
}

const Entry* Directory::by_target(std::string_view target) const {
  std::string_view prefix = target.substr(0, target.rfind('.'));
  for (const auto& entry : entries_) {
    if (!prefix.empty() && entry->service.model->target_prefix == prefix) return entry.get();
  }
  return nullptr;
}

const Entry* Directory::by_host(const std::vector<std::string>& host) const {
  for (const auto& label : host) {
    for (const auto& entry : entries_) {
      if (entry->service.model->endpoint_prefix == label) return entry.get();
    }
  }
  return nullptr;
}

const Entry* Directory::by_route(const http1::Head& head, const wire::Pairs& query) const {
  for (const auto& entry : entries_) {
    // Nearly every path names an object: by_bucket() asks last.
    if (is_object_store(*entry->service.model)) continue;
    if (entry->routes && entry->routes->match(head.method, head.path, query)) return entry.get();
  }
  return nullptr;
}

const Entry* Directory::by_bucket(const http1::Head& head,
                                  const std::vector<std::string>& host) const {
  if (host.empty() && !may_be_bucket_path(head.path)) return nullptr;
  return by_signing_name("s3");
}

const Entry* Directory::by_action(std::string_view action) const {
  for (const auto& entry : entries_) {
    if (is_form(entry->service.model->protocol) && entry->by_name.contains(action)) {
      return entry.get();
    }
  }
  return nullptr;
}

std::expected<Located, Lost> Directory::locate(const http1::Head& head,
                                               const std::optional<guard::CredentialScope>& scope,
                                               const std::vector<std::string>& host) const {
  auto query = wire::parse_query(head.query);
  if (!query) {
    return lost(nullptr, Protocol::rest_json, 400, "MalformedQueryString", query.error().message);
  }
  std::string_view target = head.field("x-amz-target");
  const Entry* entry = nullptr;
  if (scope) {
    entry = by_signing_name(scope->service);
    if (entry == nullptr) {
      Protocol protocol = target.empty() ? Protocol::rest_json : Protocol::json;
      return lost(nullptr, protocol, 501, "NotImplementedException",
                  fmt::format("The service '{}' is not implemented by this server. It offers: {}.",
                              scope->service, names()));
    }
  }
  if (entry == nullptr && !target.empty()) entry = by_target(target);
  if (entry == nullptr) entry = by_host(host);
  if (entry == nullptr) entry = by_route(head, *query);
  if (entry == nullptr) {
    if (const std::string* action = wire::find_pair(*query, "Action")) entry = by_action(*action);
  }
  if (entry == nullptr) entry = by_bucket(head, host);
  if (entry == nullptr) {
    return lost(nullptr, Protocol::rest_json, 404, "UnknownOperationException",
                fmt::format("Nothing is served at {} {}. This server offers the services {} and, "
                            "below /_mayfly/, health, metrics and clock.",
                            head.method, head.path, names()));
  }
  const bool store = is_object_store(*entry->service.model);
  auto located = store ? locate_in_store(*entry, head, host, *std::move(query))
                       : locate_in(*entry, head, head.path, *std::move(query));
  if (located && scope && !scope->region.empty()) located->region = scope->region;
  if (located && !scope && !store && host.size() > 1) located->region = host.back();
  return located;
}

std::expected<Located, Lost> Directory::locate_in_store(const Entry& entry, const http1::Head& head,
                                                        const std::vector<std::string>& host,
                                                        wire::Pairs query) const {
  StoreHost at = store_host(host);
  std::string path = at.bucket.empty() ? "" : "/" + at.bucket;
  path += head.path;
  // A copy is told from an upload by a field, in rows by a parameter of its name.
  constexpr std::string_view source = "x-amz-copy-source";
  bool copies = !head.field(source).empty() && wire::find_pair_nocase(query, source) == nullptr;
  if (copies) query.emplace_back(source, std::string());
  auto located = locate_in(entry, head, path, std::move(query));
  if (!located) return located;
  if (copies) located->query.pop_back();
  located->region = std::move(at.region);
  return located;
}

std::expected<Located, Lost> Directory::locate_in(const Entry& entry, const http1::Head& head,
                                                  std::string_view path, wire::Pairs query) const {
  const api::ServiceModel& model = *entry.service.model;
  Protocol protocol = protocol_of(model, head, query);
  Located out{&entry, nullptr, protocol, {}, std::move(query), {}};
  auto find = [&](std::string_view name) {
    auto found = entry.by_name.find(name);
    out.operation = found == entry.by_name.end() ? nullptr : found->second;
  };
  std::string what;
  if (is_rest(out.protocol)) {
    auto match = entry.recent.match(*entry.routes, head.method, path, out.query);
    if (match) {
      out.operation = &model.operations[match->index];
      out.labels = std::move(match->labels);
      return out;
    }
    if (entry.routes->knows_path(path)) {
      return lost(&entry, out.protocol, 405, "MethodNotAllowedException",
                  fmt::format("{} is not allowed at {}.", head.method, head.path));
    }
    what = fmt::format("{} {}", head.method, head.path);
  } else if (out.protocol == Protocol::json) {
    std::string_view target = head.field("x-amz-target");
    std::size_t dot = target.rfind('.');
    what = dot == std::string_view::npos ? target : target.substr(dot + 1);
    find(what);
  } else if (out.protocol == Protocol::rpc_v2_cbor) {
    what = head.path.substr(head.path.rfind('/') + 1);
    find(what);
  } else {
    const std::string* action = wire::find_pair(out.query, "Action");
    if (action == nullptr) return out;  // the body names it
    find(*action);
    what = *action;
  }
  if (out.operation != nullptr) return out;
  return lost(&entry, out.protocol, 404, "UnknownOperationException",
              fmt::format("The service {} has no operation '{}'.", model.name, what));
}

std::expected<const api::Operation*, Lost> Directory::locate_by_form(const Located& located,
                                                                     std::string_view body) const {
  auto form = wire::parse_query(body);
  if (!form) {
    return lost(located.entry, located.protocol, 400, "MalformedQueryString",
                "The body is not a well-formed form.");
  }
  const std::string* action = wire::find_pair(*form, "Action");
  if (action == nullptr) {
    return lost(located.entry, located.protocol, 400, "MissingAction",
                "The request is missing an action.");
  }
  auto found = located.entry->by_name.find(*action);
  if (found == located.entry->by_name.end()) {
    return lost(located.entry, located.protocol, 400, "InvalidAction",
                fmt::format("Could not find operation {} for version {}", *action,
                            located.entry->service.model->api_version));
  }
  return found->second;
}

wire::CodecOperation codec_of(const api::ServiceModel& model, const api::Operation* operation,
                              Protocol protocol) {
  wire::CodecOperation out;
  out.protocol = protocol;
  out.json_version = model.json_version.empty() ? "1.1" : model.json_version;
  out.xml_namespace = model.xml_namespace;
  out.bare_xml_errors = is_object_store(model);
  out.query_compatible = model.query_compatible && protocol == Protocol::json;
  if (operation != nullptr) {
    out.name = operation->name;
    out.input = operation->input;
    out.output = operation->output;
    out.success_status = operation->success_status;
    out.result_wrapper = operation->result_wrapper;
  }
  return out;
}

}  // namespace mayfly::front
