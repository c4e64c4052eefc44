#include "services/events/http_targets.h"

#include "base/limits.h"
#include "wire/json_path.h"
#include "wire/text.h"

namespace mayfly::services::bus {

namespace {

using wire::Json;

std::unexpected<Error> fail_with(ErrorKind kind, std::string message, std::string code) {
  return fail(kind, std::move(message), std::move(code));
}

// A constant, or a path into the event.
std::string value_of(std::string_view text, const Json* event) {
  if (!text.starts_with("$.") || event == nullptr) return std::string(text);
  auto path = wire::JsonPath::parse(text);
  auto value = path ? path->find(*event) : std::nullopt;
  if (!value) return {};
  return value->is_string() ? std::string(value->string_value()) : value->dump();
}

void add_query(std::string& url, std::string_view name, std::string_view value) {
  url += url.find('?') == url.npos ? '?' : '&';
  url += wire::percent_encode(name) + "=" + wire::percent_encode(value);
}

void put_header(io::HttpRequest& request, std::string_view name, std::string value) {
  std::erase_if(request.headers,
                [&](const auto& header) { return wire::iequals(header.first, name); });
  request.headers.emplace_back(std::string(name), std::move(value));
}

// Headers, query and body that the connection adds to each call.
void add_parameters(const model::ConnectionHttpParameters& parameters, io::HttpRequest& request) {
  for (const auto& one : parameters.header_parameters()) {
    put_header(request, one.key().value_or(""), std::string(one.value().value_or("")));
  }
  for (const auto& one : parameters.query_string_parameters()) {
    add_query(request.url, one.key().value_or(""), one.value().value_or(""));
  }
  auto members = parameters.body_parameters();
  if (members.empty()) return;
  auto body = wire::parse_json(request.body);
  if (!body || !body->is_object()) return;
  for (const auto& one : members) {
    (*body)[one.key().value_or("")] = std::string(one.value().value_or(""));
  }
  request.body = body->dump();
}

std::string basic(std::string_view user, std::string_view password) {
  return "Basic " + wire::base64_encode(fmt::format("{}:{}", user, password));
}

// What a client-credentials request sends (RFC 6749, section 4.4).
io::HttpRequest token_request(const model::CreateConnectionOAuthRequestParameters& oauth) {
  io::HttpRequest out;
  out.method = oauth.http_method().value_or("POST");
  out.url = oauth.authorization_endpoint().value_or("");
  auto client = oauth.client_parameters();
  if (client) {
    out.headers.emplace_back("Authorization", basic(client->client_id().value_or(""),
                                                    client->client_secret().value_or("")));
  }
  std::string form;
  auto add = [&](std::string_view name, std::string_view value) {
    if (!form.empty()) form += '&';
    form += wire::percent_encode(name) + "=" + wire::percent_encode(value);
  };
  bool grant = false;
  if (auto parameters = oauth.o_auth_http_parameters()) {
    for (const auto& one : parameters->body_parameters()) {
      grant = grant || one.key() == "grant_type";
      add(one.key().value_or(""), one.value().value_or(""));
    }
    for (const auto& one : parameters->header_parameters()) {
      put_header(out, one.key().value_or(""), std::string(one.value().value_or("")));
    }
    for (const auto& one : parameters->query_string_parameters()) {
      add_query(out.url, one.key().value_or(""), one.value().value_or(""));
    }
  }
  if (!grant) add("grant_type", "client_credentials");
  if (out.method == "GET") {
    out.url += (out.url.find('?') == out.url.npos ? "?" : "&") + form;
  } else {
    put_header(out, "Content-Type", "application/x-www-form-urlencoded");
    out.body = std::move(form);
  }
  return out;
}

Result<std::string> judge(io::HttpAnswer answer) {
  int status = answer.status;
  if (status >= 200 && status < 300) return std::move(answer.body);
  auto message = fmt::format("the endpoint answered with status {}", status);
  bool later = status == 401 || status == 407 || status == 409 || status >= 500;
  if (status == 429) return fail_with(ErrorKind::throttled, std::move(message), "THROTTLING");
  return fail_with(later ? ErrorKind::unavailable : ErrorKind::invalid, std::move(message),
                   "ERROR_FROM_TARGET");
}

std::unexpected<Error> connection_error(Error error) {
  switch (error.kind) {
    case ErrorKind::timeout: error.reason = "TIMEOUT"; break;
    case ErrorKind::invalid: error.reason = "INVALID_PARAMETER"; break;
    case ErrorKind::cancelled: break;
    default: error.kind = ErrorKind::unavailable; error.reason = "CONNECTION_FAILURE";
  }
  return std::unexpected(std::move(error));
}

}  // namespace

std::int64_t HttpTargets::reserve(std::string_view arn) {
  auto destination = config_.find_destination(arn);
  if (!destination) return 0;
  auto rate =
      destination->about.invocation_rate_limit_per_second().value_or(limits::events_api_rate);
  // One interval between two calls; what a second has not used may begin at once.
  std::int64_t interval = (1000 + rate - 1) / rate;
  auto& next = next_ms_[std::string(arn)];
  std::int64_t begins = std::max(now_ms() - 1000 + interval, next);
  next = begins + interval;
  return begins;
}

Result<io::HttpRequest> HttpTargets::request_of(const HttpCall& call,
                                                const ApiDestination& destination,
                                                const Secrets& secrets) const {
  io::HttpRequest out;
  out.method = destination.about.http_method().value_or("POST");
  std::string_view endpoint = destination.about.invocation_endpoint().value_or("");
  std::vector<std::string_view> values;
  if (call.parameters) values = call.parameters->path_parameter_values();
  std::size_t next = 0;
  for (char c : endpoint) {
    if (c != '*') {
      out.url += c;
    } else if (next < values.size()) {
      out.url += wire::percent_encode(value_of(values[next++], call.event));
    } else {
      return fail_with(ErrorKind::invalid, "the endpoint has more '*' than there are path values",
                       "INVALID_PARAMETER");
    }
  }
  out.headers = {{"User-Agent", "Amazon/EventBridge/ApiDestinations"},
                 {"Content-Type", "application/json; charset=utf-8"}};
  if (out.method != "GET" && out.method != "HEAD") out.body = call.payload;
  if (call.parameters) {
    for (auto [name, value] : call.parameters->header_parameters()) {
      put_header(out, name, value_of(value, call.event));
    }
    for (auto [name, value] : call.parameters->query_string_parameters()) {
      add_query(out.url, name, value_of(value, call.event));
    }
  }
  if (auto parameters = secrets.invocation_http_parameters()) {
    add_parameters(*parameters, out);
  }
  return out;
}

io::Task<Result<std::string>> HttpTargets::authorization(std::string connection_arn,
                                                         Secrets secrets, Fresh fresh,
                                                         std::stop_token stop) {
  if (auto user = secrets.basic_auth_parameters()) {
    co_return basic(user->username().value_or(""), user->password().value_or(""));
  }
  auto oauth = secrets.o_auth_parameters();
  if (!oauth) co_return std::string();
  auto& token = tokens_[connection_arn];
  if (fresh == Fresh::no && token.until_ms > now_ms()) co_return token.header;
  auto answer = co_await client_.send(token_request(*oauth), loop_.now() + limits::events_api_time,
                                      std::move(stop));
  if (!answer) co_return connection_error(std::move(answer.error()));
  auto body = wire::parse_json(answer->body);
  auto access = body ? body->string_or("access_token") : std::string_view();
  if (answer->status != 200 || access.empty()) {
    co_return fail_with(ErrorKind::unavailable,
                        fmt::format("the authorisation endpoint answered with status {}{}",
                                    answer->status, access.empty() ? " and no access_token" : ""),
                        "ERROR_FROM_TARGET");
  }
  auto margin = std::chrono::milliseconds(limits::events_token_margin).count();
  auto& kept = tokens_[connection_arn];
  kept.header = fmt::format("Bearer {}", access);
  kept.until_ms = now_ms() + body->int_or("expires_in", 3600) * 1000 - margin;
  co_return kept.header;
}

io::Task<Result<std::string>> HttpTargets::call(HttpCall call, std::stop_token stop) {
  auto destination = config_.find_destination(call.arn);
  if (!destination) {
    co_return fail_with(ErrorKind::not_found, fmt::format("there is no {}", call.arn),
                        "NO_RESOURCE");
  }
  auto connection = config_.find_connection(destination->about.connection_arn().value_or(""));
  if (!connection || connection->about.connection_state() != "AUTHORIZED") {
    co_return fail_with(ErrorKind::denied, "the connection is not authorised", "NO_PERMISSIONS");
  }
  auto opened = vault_.open(*connection);
  if (!opened) {
    co_return fail_with(ErrorKind::denied, std::move(opened.error().message), "NO_PERMISSIONS");
  }
  auto secrets = *std::move(opened);
  std::string arn(connection->about.connection_arn().value_or(""));
  CO_TRY_ASSIGN(auto request, request_of(call, *destination, secrets));
  if (auto key = secrets.api_key_auth_parameters()) {
    put_header(request, key->api_key_name().value_or(""),
               std::string(key->api_key_value().value_or("")));
  }
  bool oauth = secrets.has_o_auth_parameters();
  for (Fresh fresh : {Fresh::no, Fresh::yes}) {
    CO_TRY_ASSIGN(auto header, co_await authorization(arn, copy_of(secrets), fresh, stop));
    if (!header.empty()) put_header(request, "Authorization", std::move(header));
    auto answer = co_await client_.send(request, loop_.now() + limits::events_api_time, stop);
    if (!answer) co_return connection_error(std::move(answer.error()));
    // A token may end before its time.
    bool again = oauth && fresh == Fresh::no && (answer->status == 401 || answer->status == 407);
    if (!again) co_return judge(*std::move(answer));
  }
  co_return fail(ErrorKind::internal, "not reached");
}

}  // namespace mayfly::services::bus
