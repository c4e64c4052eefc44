#include "invoke/telemetry_subscription.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "invoke/environment_spec.h"
#include "wire/json.h"

namespace mayfly::invoke {
namespace {

using guest::TelemetryForm;

constexpr std::array<std::string_view, 3> telemetry_schemas{"2022-07-01", "2022-12-13",
                                                            "2025-01-29"};
constexpr std::array<std::string_view, 2> logs_schemas{"2020-08-15", "2021-03-18"};

std::unexpected<Error> invalid(std::string text) {
  return fail(ErrorKind::invalid, std::move(text));
}

Result<> read_schema(const wire::Json& body, Subscription& out) {
  bool logs = out.form == TelemetryForm::logs;
  out.schema_version = body.string_or("schemaVersion", logs ? logs_schemas[0] : "");
  bool known =
      logs ? std::ranges::find(logs_schemas, out.schema_version) != logs_schemas.end()
           : std::ranges::find(telemetry_schemas, out.schema_version) != telemetry_schemas.end();
  if (!known) {
    return invalid(fmt::format("schemaVersion '{}' is not supported", out.schema_version));
  }
  return {};
}

Result<> read_types(const wire::Json& body, Subscription& out) {
  const auto* member = body.find("types");
  const auto* types = member == nullptr ? nullptr : member->as<wire::JsonArray>();
  if (types == nullptr || types->empty()) {
    return invalid("types should not be empty");
  }
  for (const auto& type : *types) {
    std::string name(type.string_value());
    TelemetryKind kind{};
    if (name == "platform") {
      kind = TelemetryKind::platform;
    } else if (name == "function") {
      kind = TelemetryKind::function;
    } else if (name == "extension") {
      kind = TelemetryKind::extension;
    } else {
      return invalid(
          fmt::format("types holds '{}', which is none of platform, function, extension", name));
    }
    if (out.wants(kind)) continue;
    out.kinds |= static_cast<std::uint8_t>(kind);
    out.types.push_back(std::move(name));
  }
  return {};
}

Result<> read_port(std::int64_t port, Subscription& out) {
  if (port < 1 || port > 65'535) {
    return invalid(fmt::format("port {} is out of range", port));
  }
  if (port == runtime_api_port || port == endpoint_port) {
    return invalid(fmt::format("port {} is reserved", port));
  }
  out.port = static_cast<std::uint16_t>(port);
  return {};
}

// http://sandbox.localdomain:PORT[/PATH]
Result<> read_uri(std::string_view uri, Subscription& out) {
  constexpr std::string_view scheme = "http://";
  if (!uri.starts_with(scheme)) {
    return invalid("destination.URI must be an http:// address");
  }
  uri.remove_prefix(scheme.size());
  auto slash = std::min(uri.find('/'), uri.size());
  std::string_view authority = uri.substr(0, slash);
  if (slash < uri.size()) out.path = uri.substr(slash);
  auto colon = authority.find(':');
  std::string_view host = authority.substr(0, colon);
  if (host != "sandbox.localdomain" && host != "sandbox") {
    return invalid("destination.URI host must be sandbox.localdomain");
  }
  if (colon == authority.npos) return invalid("URI port is not provided");
  std::string_view digits = authority.substr(colon + 1);
  std::int64_t port = 0;
  auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
  if (error != std::errc() || end != digits.data() + digits.size()) {
    return invalid("URI port is not a number");
  }
  bool plain = std::ranges::all_of(out.path, [](char c) { return c > ' ' && c < 0x7f; });
  if (!plain) return invalid("destination.URI holds characters it may not");
  out.host = authority;
  return read_port(port, out);
}

Result<> read_destination(const wire::Json& body, Subscription& out) {
  const auto* destination = body.find("destination");
  if (destination == nullptr || !destination->is_object()) {
    return invalid("destination is not provided");
  }
  auto protocol = destination->string_or("protocol");
  if (protocol == "TCP") {
    out.protocol = Subscription::Protocol::tcp;
    return read_port(destination->int_or("port", 0), out);
  }
  if (protocol != "HTTP") {
    return invalid("destination.protocol must be HTTP or TCP");
  }
  if (out.form == TelemetryForm::logs) {
    out.method = destination->string_or("method", "POST");
    if (out.method != "POST" && out.method != "PUT") {
      return invalid("destination.method must be POST or PUT");
    }
    if (destination->string_or("encoding", "JSON") != "JSON") {
      return invalid("destination.encoding must be JSON");
    }
  }
  return read_uri(destination->string_or("URI"), out);
}

Result<std::int64_t> read_bounded(const wire::Json& from, std::string_view key, std::int64_t least,
                                  std::int64_t most, std::int64_t otherwise) {
  const auto* member = from.find(key);
  if (member == nullptr || member->is_null()) return otherwise;
  const auto* value = member->as<std::int64_t>();
  if (value == nullptr || *value < least || *value > most) {
    return invalid(fmt::format("buffering.{} must be between {} and {}", key, least, most));
  }
  return *value;
}

Result<> read_buffering(const wire::Json& body, Subscription& out) {
  const auto* buffering = body.find("buffering");
  if (buffering == nullptr || buffering->is_null()) return {};
  if (!buffering->is_object()) return invalid("buffering is not an object");
  auto number = [](std::size_t value) { return static_cast<std::int64_t>(value); };
  TRY_ASSIGN(auto items, read_bounded(*buffering, "maxItems", 1000, 10'000, number(out.max_items)));
  TRY_ASSIGN(auto bytes,
             read_bounded(*buffering, "maxBytes", 262'144, 1'048'576, number(out.max_bytes)));
  TRY_ASSIGN(auto millis, read_bounded(*buffering, "timeoutMs", 25, 30'000, 1000));
  out.max_items = static_cast<std::size_t>(items);
  out.max_bytes = static_cast<std::size_t>(bytes);
  out.timeout = std::chrono::milliseconds(millis);
  return {};
}

}  // namespace

Result<Subscription> read_subscription(TelemetryForm form, std::string_view text) {
  auto body = wire::parse_json(text);
  if (!body || !body->is_object()) {
    return invalid("the request body is not a JSON object");
  }
  Subscription out;
  out.form = form;
  TRY(read_schema(*body, out));
  TRY(read_types(*body, out));
  TRY(read_destination(*body, out));
  TRY(read_buffering(*body, out));
  return out;
}

}  // namespace mayfly::invoke
