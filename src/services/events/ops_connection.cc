// Connections: how API destinations are authorised. What is secret goes in and never out.
#include "base/limits.h"
#include "io/url.h"
#include "services/events/service.h"

namespace mayfly::services::bus {

namespace {

using Row = Table<Connection>::Row;
using wire::Json;

Refusal no_connection(std::string_view name) {
  return not_found(fmt::format("Connection '{}' does not exist.", name));
}

ApiResult<void> check_auth(std::string_view type, const Secrets& auth) {
  bool basic = auth.has_basic_auth_parameters();
  bool key = auth.has_api_key_auth_parameters();
  bool oauth = auth.has_o_auth_parameters();
  std::string_view wanted = type == "BASIC"     ? "BasicAuthParameters"
                            : type == "API_KEY" ? "ApiKeyAuthParameters"
                                                : "OAuthParameters";
  bool there = type == "BASIC" ? basic : type == "API_KEY" ? key : oauth;
  if (!there || (basic ? 1 : 0) + (key ? 1 : 0) + (oauth ? 1 : 0) != 1) {
    return invalid(
        fmt::format("Parameter AuthParameters must have {} alone for {}.", wanted, type));
  }
  if (auth.has_connectivity_parameters()) {
    return Refusal(api::not_implemented("events", "private connections"));
  }
  if (!oauth) return {};
  auto endpoint = auth.o_auth_parameters()->authorization_endpoint().value_or("");
  if (auto url = io::parse_url(endpoint); !url) {
    return invalid(fmt::format("Parameter AuthorizationEndpoint is not valid. Reason: {}.",
                               url.error().message));
  }
  return {};
}

// Values that are secret are left out.
model::ConnectionHttpParameters shown(const model::ConnectionHttpParameters& from) {
  auto hide = [](auto list) {
    for (auto& one : list) {
      // What is put into another structure is moved there.
      if (!one.is_value_secret().value_or(false)) {
        one = copy_of(one);
        continue;
      }
      auto bare = std::remove_cvref_t<decltype(one)>();
      bare.set_key(std::string(one.key().value_or(""))).set_is_value_secret(true);
      one = bare;
    }
    return list;
  };
  model::ConnectionHttpParameters out;
  out.set_header_parameters(hide(from.header_parameters()));
  out.set_query_string_parameters(hide(from.query_string_parameters()));
  out.set_body_parameters(hide(from.body_parameters()));
  return out;
}

model::ConnectionAuthResponseParameters shown(const Secrets& secrets) {
  model::ConnectionAuthResponseParameters out;
  if (auto basic = secrets.basic_auth_parameters()) {
    out.set_basic_auth_parameters(model::ConnectionBasicAuthResponseParameters().set_username(
        std::string(basic->username().value_or(""))));
  }
  if (auto key = secrets.api_key_auth_parameters()) {
    out.set_api_key_auth_parameters(
        model::ConnectionApiKeyAuthResponseParameters().set_api_key_name(
            std::string(key->api_key_name().value_or(""))));
  }
  if (auto oauth = secrets.o_auth_parameters()) {
    model::ConnectionOAuthResponseParameters to;
    to.set_authorization_endpoint(std::string(oauth->authorization_endpoint().value_or("")));
    to.set_http_method(std::string(oauth->http_method().value_or("")));
    if (auto client = oauth->client_parameters()) {
      to.set_client_parameters(model::ConnectionOAuthClientResponseParameters().set_client_id(
          std::string(client->client_id().value_or(""))));
    }
    if (auto http = oauth->o_auth_http_parameters()) to.set_o_auth_http_parameters(shown(*http));
    out.set_o_auth_parameters(to);
  }
  if (auto http = secrets.invocation_http_parameters()) {
    out.set_invocation_http_parameters(shown(*http));
  }
  return out;
}

ApiResult<std::string> sealed(const Context& context, const Secrets& secrets) {
  auto out = context.vault.seal(secrets);
  if (!out) return failure(out.error());
  return *std::move(out);
}

Answer create_connection(Context context, api::Call& call, wire::Record input) {
  model::CreateConnectionRequest in(std::move(input));
  if (in.has_invocation_connectivity_parameters()) {
    co_return Refusal(api::not_implemented("events", "private connections"));
  }
  std::string type(in.authorization_type().value_or(""));
  auto made = std::make_shared<Connection>();
  made->scope = call.scope;
  auto secrets = copy_of(*in.auth_parameters());
  CO_TRY(check_auth(type, secrets));
  CO_TRY_ASSIGN(made->sealed, sealed(context, secrets));
  std::string name(in.name().value_or(""));
  made->about.set_name(name)
      .set_connection_arn(
          arn_of(call.scope, "connection", fmt::format("{}/{}", name, context.random.uuid4())))
      .set_connection_state("AUTHORIZED")
      .set_authorization_type(type)
      .set_auth_parameters(shown(secrets))
      .set_creation_time(context.now_s())
      .set_last_modified_time(context.now_s())
      .set_last_authorized_time(context.now_s());
  if (auto text = in.description()) made->about.set_description(std::string(*text));
  if (context.config.connections.count(key_of(call.scope, "")) >= limits::events_connections) {
    co_return over_limit("connections", limits::events_connections);
  }
  CO_TRY(co_await context.config.connections.change(
      made->key(), [&](const Row& now) -> ApiResult<Row> {
        if (now) return exists(fmt::format("Connection {} already exists.", name));
        return made;
      }));
  co_return summary_of<model::CreateConnectionResponse>(made->about).take();
}

// Objects are merged member by member, lists are replaced.
void merge(Json& into, const Json& from) {
  const auto* members = from.as<wire::JsonObject>();
  if (members == nullptr || !into.is_object()) {
    into = from;
    return;
  }
  for (const auto& [name, value] : *members) merge(into[name], value);
}

ApiResult<Secrets> merged(const Context& context, const Connection& now,
                          const model::UpdateConnectionRequest& in, bool same_type) {
  auto opened = context.vault.open(now);
  if (!opened) return failure(opened.error());
  auto json = json_of(opened->record());
  auto auth = in.auth_parameters();
  if (auth) {
    auto given = json_of(auth->record());
    if (same_type) {
      merge(json, given);
    } else {
      json = std::move(given);
    }
  }
  auto record = record_of(Secrets::shape(), json);
  if (!record) return invalid(record.error().message);
  return Secrets(*std::move(record));
}

Answer update_connection(Context context, api::Call& call, wire::Record input) {
  model::UpdateConnectionRequest in(std::move(input));
  if (in.has_invocation_connectivity_parameters()) {
    co_return Refusal(api::not_implemented("events", "private connections"));
  }
  std::string name(in.name().value_or(""));
  CO_TRY_ASSIGN(auto row, co_await context.config.connections.change(
                              key_of(call.scope, name), [&](const Row& now) -> ApiResult<Row> {
                                if (!now) return no_connection(name);
                                auto old = now->about.authorization_type().value_or("");
                                std::string type(in.authorization_type().value_or(old));
                                auto next = std::make_shared<Connection>(*now);
                                TRY_ASSIGN(auto secrets, merged(context, *now, in, type == old));
                                TRY(check_auth(type, secrets));
                                TRY_ASSIGN(next->sealed, sealed(context, secrets));
                                next->about = copy_of(now->about);
                                next->about.set_authorization_type(type)
                                    .set_connection_state("AUTHORIZED")
                                    .set_auth_parameters(shown(secrets))
                                    .set_last_modified_time(context.now_s())
                                    .set_last_authorized_time(context.now_s());
                                if (auto text = in.description()) {
                                  next->about.set_description(std::string(*text));
                                }
                                return next;
                              }));
  co_return summary_of<model::UpdateConnectionResponse>(row->about).take();
}

Answer describe_connection(Context context, api::Call& call, wire::Record input) {
  model::DescribeConnectionRequest in(std::move(input));
  auto row = context.config.connections.find(key_of(call.scope, in.name().value_or("")));
  if (!row) co_return no_connection(in.name().value_or(""));
  co_return copy_of(row->about).take();
}

Answer list_connections(Context context, api::Call& call, wire::Record input) {
  model::ListConnectionsRequest in(std::move(input));
  std::function<bool(const Connection&)> wanted = [&](const Connection& connection) {
    auto state = in.connection_state();
    return !state || connection.about.connection_state() == *state;
  };
  CO_TRY_ASSIGN(auto page, page_of(context.config.connections,
                                   key_of(call.scope, in.name_prefix().value_or("")),
                                   in.next_token(), in.limit(), wanted));
  std::vector<model::Connection> connections;
  for (const auto& row : page.rows) {
    connections.push_back(summary_of<model::Connection>(row->about));
  }
  model::ListConnectionsResponse out;
  out.set_connections(std::move(connections));
  if (page.next) out.set_next_token(*std::move(page.next));
  co_return std::move(out).take();
}

Answer deauthorize_connection(Context context, api::Call& call, wire::Record input) {
  model::DeauthorizeConnectionRequest in(std::move(input));
  std::string name(in.name().value_or(""));
  CO_TRY_ASSIGN(auto row, co_await context.config.connections.change(
                              key_of(call.scope, name), [&](const Row& now) -> ApiResult<Row> {
                                if (!now) return no_connection(name);
                                auto next = std::make_shared<Connection>(*now);
                                next->about = copy_of(now->about);
                                next->about.set_connection_state("DEAUTHORIZED")
                                    .set_last_modified_time(context.now_s());
                                next->sealed.clear();
                                return next;
                              }));
  co_return summary_of<model::DeauthorizeConnectionResponse>(row->about).take();
}

Answer delete_connection(Context context, api::Call& call, wire::Record input) {
  model::DeleteConnectionRequest in(std::move(input));
  std::string name(in.name().value_or(""));
  Row gone;
  CO_TRY(co_await context.config.connections.change(key_of(call.scope, name),
                                                    [&](const Row& now) -> ApiResult<Row> {
                                                      if (!now) return no_connection(name);
                                                      gone = now;
                                                      return nullptr;
                                                    }));
  auto out = summary_of<model::DeleteConnectionResponse>(gone->about);
  out.set_connection_state("DELETING");
  co_return std::move(out).take();
}

}  // namespace

std::span<const Operation> connection_operations() {
  static constexpr std::array<Operation, 6> rows{{{"CreateConnection", create_connection},
                                                  {"DeauthorizeConnection", deauthorize_connection},
                                                  {"DeleteConnection", delete_connection},
                                                  {"DescribeConnection", describe_connection},
                                                  {"ListConnections", list_connections},
                                                  {"UpdateConnection", update_connection}}};
  return rows;
}

}  // namespace mayfly::services::bus
