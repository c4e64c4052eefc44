#include "front/pipeline.h"

#include <cstring>

#include "front/object_store.h"
#include "front/render.h"
#include "front/resource.h"
#include "front/upload.h"
#include "wire/sigv4.h"
#include "wire/validate.h"

namespace mayfly::front {

namespace {

using wire::Protocol;

// An origin that runs on this machine: the console, a developer's own page.
bool is_local_origin(std::string_view origin, const std::vector<std::string>& suffixes) {
  std::size_t scheme = origin.find("://");
  if (scheme == std::string_view::npos) return false;
  std::string_view host = origin.substr(scheme + 3);
  if (std::size_t colon = host.rfind(':');
      colon != std::string_view::npos && !host.ends_with(']')) {
    host = host.substr(0, colon);
  }
  if (host == "127.0.0.1" || host == "[::1]") return true;
  return std::ranges::any_of(suffixes, [&](const std::string& suffix) {
    return host == suffix || host.ends_with("." + suffix);
  });
}

bool is_region(std::string_view region) {
  if (region.empty() || region.size() > 32) return false;
  return std::ranges::all_of(
      region, [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-'; });
}

bool has_prefix(std::string_view path, std::string_view prefix) {
  if (!path.starts_with(prefix)) return false;
  return prefix.ends_with('/') || path.size() == prefix.size() || path[prefix.size()] == '/';
}

// A streamed body that tells the observer when it is over. What it names is static.
class Reported final : public io::BodySource {
 public:
  Reported(std::unique_ptr<io::BodySource> body, const Deps& deps, ApiCallReport report,
           MonoTime started)
      : body_(std::move(body)),
        loop_(deps.loop),
        observer_(deps.observer),
        report_(report),
        started_(started) {}
  ~Reported() override {
    report_.duration = loop_.now() - started_;
    observer_.api_call(report_);
  }
  io::Task<Result<std::string>> next(std::stop_token stop) override {
    return body_->next(std::move(stop));
  }

 private:
  std::unique_ptr<io::BodySource> body_;
  io::Loop& loop_;
  Observer& observer_;
  ApiCallReport report_;
  MonoTime started_;
};

}  // namespace

std::string_view Request::header(std::string_view lower_name) const {
  for (const auto& [name, value] : headers) {
    if (wire::iequals(name, lower_name)) return value;
  }
  return {};
}

// What the steps learn about one request.
struct Pipeline::Trip {
  explicit Trip(Exchange& of) : exchange(of), head(of.head()) {}
  Exchange& exchange;
  const io::http1::Head& head;
  RequestId id;
  MonoTime started;
  std::vector<std::string> host;
  guard::SignedRequest signed_request;
  std::optional<guard::CredentialScope> claim;
  const Entry* entry = nullptr;
  const api::Handler* handler = nullptr;
  Protocol protocol = Protocol::rest_json;
  Located at;
  bool anonymous = false;
  bool hash_body = false;
  Body body;
  std::optional<UploadForm> upload;  // operations with streams_input, once their head is judged
  std::string content_encoding;      // without the transfer's
  std::string signed_path;           // with the bucket, of a signature that has no host in it
  api::Caller caller;
  Scope scope;
  wire::Record input;

  const api::Operation* operation() const { return at.operation; }
  bool is_store() const { return entry != nullptr && is_object_store(*entry->service.model); }
  bool streams_input() const { return operation() != nullptr && operation()->streams_input; }
  std::string_view operation_name() const {
    return at.operation != nullptr ? at.operation->name : std::string_view();
  }
  std::string_view service_name() const {
    return entry != nullptr ? entry->service.model->name : std::string_view();
  }
  wire::CodecOperation codec() const {
    if (entry == nullptr) {
      wire::CodecOperation bare;
      bare.protocol = protocol;
      return bare;
    }
    return codec_of(*entry->service.model, at.operation, protocol);
  }
};

void PooledRandom::fill(std::span<std::byte> out) {
  while (!out.empty()) {
    if (used_ == block_.size()) {
      source_.fill(block_);
      used_ = 0;
    }
    std::size_t part = std::min(out.size(), block_.size() - used_);
    std::memcpy(out.data(), block_.data() + used_, part);
    used_ += part;
    out = out.subspan(part);
  }
}

Pipeline::Pipeline(Deps deps) : deps_(std::move(deps)), ids_(deps_.random) {}

void Pipeline::add_path(std::string prefix, RawHandler handler) {
  paths_.emplace_back(std::move(prefix), std::move(handler));
}

void Pipeline::add_host_label(std::string label, RawHandler handler) {
  labels_.emplace_back(std::move(label), std::move(handler));
}

Response Pipeline::refuse(int status, std::string_view text) {
  deps_.observer.api_call({{}, {}, status, "BadRequest", {}});
  return render_refusal(status, text);
}

io::Task<Response> Pipeline::serve(Exchange& exchange) {
  Trip trip(exchange);
  trip.id = RequestId(ids_.uuid4());
  trip.started = deps_.loop.now();
  trip.host = host_labels(trip.head.host, deps_.settings.host_suffixes);
  if (const RawHandler* raw = raw_route(trip)) co_return co_await serve_raw(trip, *raw);
  auto answer = co_await run(trip);
  if (!answer && trip.is_store()) name_as_store(answer.error());
  std::string_view code = answer ? std::string_view() : answer.error().code;
  Response response =
      answer ? std::move(*answer)
             : render_error(trip.codec(), answer.error(), trip.id.str(), trip.head.path);
  if (deps_.settings.dev) add_cors(trip, response);
  if (response.stream) {
    // The call lasts as long as its body.
    response.stream = std::make_unique<Reported>(
        std::move(response.stream), deps_,
        ApiCallReport{trip.service_name(), trip.operation_name(), response.status, code, {}},
        trip.started);
    co_return response;
  }
  deps_.observer.api_call({trip.service_name(), trip.operation_name(), response.status, code,
                           deps_.loop.now() - trip.started});
  co_return response;
}

// The order is the design: what is cheap to check and cheap to forge comes first, what costs
// memory or time comes after the caller is known to be someone.
io::Task<std::expected<Response, api::ApiError>> Pipeline::run(Trip& trip) {
  CO_TRY(expectation(trip));  // nobody may wait for a reply we do not give
  CO_TRY(browser(trip));      // a foreign page must not reach the keys that need no signature
  if (trip.head.method == "OPTIONS" && deps_.settings.dev && !trip.head.field("origin").empty()) {
    co_return Response{204, {}, {}};  // preflight; add_cors() says what is allowed
  }
  CO_TRY(locate(trip));    // which operation: its limits and its protocol's errors
  CO_TRY(precheck(trip));  // key, token and age need no body
  // declared size, memory, then the bytes
  if (trip.streams_input()) {
    CO_TRY(judge_upload(trip));  // its bytes come when the handler asks for them
  } else if (auto there = trip.exchange.body_at_hand(body_limit(trip), trip.hash_body)) {
    CO_TRY(take_body(trip, *std::move(there)));
  } else {
    CO_TRY(co_await body(trip));
  }
  CO_TRY(authenticate(trip));  // the signature covers the body's hash
  CO_TRY(scope(trip));         // account and region the call acts in
  trip.handler = trip.entry->handler_of(*trip.operation());
  if (trip.handler == nullptr) {
    // Before decoding: nothing unbuilt needs to understand its input.
    co_return std::unexpected(api::not_implemented(trip.service_name(), trip.operation_name()));
  }
  CO_TRY(decode(trip));           // bytes to a record, then the model's constraints
  CO_TRY(authorize(trip));        // the resource is named by the input
  co_return co_await call(trip);  // the handler, and its output as bytes
}

Pipeline::Step Pipeline::expectation(Trip& trip) {
  if (!trip.head.unknown_expectation) return {};
  return std::unexpected(api::ApiError{"ExpectationFailed",
                                       417,
                                       "The only expectation this server meets is 100-continue.",
                                       true,
                                       {}});
}

Pipeline::Step Pipeline::browser(Trip& trip) {
  std::string_view origin = trip.head.field("origin");
  if (!deps_.settings.dev || origin.empty() ||
      is_local_origin(origin, deps_.settings.host_suffixes)) {
    return {};
  }
  return std::unexpected(
      denial(fmt::format("Requests of pages from {} are not accepted in --dev mode.", origin),
             trip.protocol));
}

Pipeline::Step Pipeline::locate(Trip& trip) {
  guard::SignedRequest& request = trip.signed_request;
  request.method = trip.head.method;
  request.path = trip.head.path;
  request.query = trip.head.query;
  request.source_ip = trip.exchange.peer().ip;
  request.headers.reserve(trip.head.fields.size());
  for (const auto& field : trip.head.fields) request.headers.emplace_back(field.name, field.value);
  trip.claim = guard::credential_scope(request);
  auto located = directory_.locate(trip.head, trip.claim, trip.host);
  if (!located) {
    trip.entry = located.error().entry;
    trip.protocol = located.error().protocol;
    return std::unexpected(std::move(located.error().error));
  }
  trip.at = *std::move(located);
  trip.entry = trip.at.entry;
  trip.protocol = trip.at.protocol;
  // Version 2 signs the resource and no host: it must be the one that is acted on.
  if (trip.claim && trip.claim->region.empty()) {
    if (auto bucket = store_host(trip.host).bucket; !bucket.empty()) {
      trip.signed_path = fmt::format("/{}{}", bucket, trip.head.path);
      request.path = trip.signed_path;
    }
  }
  return {};
}

Pipeline::Step Pipeline::precheck(Trip& trip) {
  std::string_view hash = trip.head.field("x-amz-content-sha256");
  if (wire::sigv4::streaming_kind(hash) != wire::sigv4::Streaming::none && !trip.streams_input()) {
    return std::unexpected(
        api::ApiError{"NotImplementedException",
                      501,
                      "Bodies in aws-chunked encoding are for uploads to the object store.",
                      false,
                      {}});
  }
  // Whether nobody in particular may do it is for the bucket's policy to say.
  bool may_be_anonymous =
      trip.operation() == nullptr || trip.operation()->unsigned_allowed || trip.is_store();
  if (!trip.claim && may_be_anonymous && trip.head.field("authorization").empty()) {
    trip.anonymous = true;
    return {};
  }
  auto checked = deps_.guard.precheck(trip.signed_request);
  if (!checked) return std::unexpected(authentication_error(checked.error(), trip.protocol));
  trip.hash_body = *checked;
  return {};
}

// The signature covers what the head says of the body; whether that is true shows at its end.
Pipeline::Step Pipeline::judge_upload(Trip& trip) {
  auto form = upload_form(trip.head);
  if (!form) return std::unexpected(std::move(form).error());
  trip.upload = *std::move(form);
  if (!trip.upload->sha256.empty()) trip.body.sha256 = trip.upload->sha256;
  if (trip.upload->sha256.empty() && trip.hash_body) {
    return std::unexpected(
        api::ApiError{"InvalidRequest",
                      400,
                      "Missing required header for this request: x-amz-content-sha256",
                      true,
                      {}});
  }
  return {};
}

std::size_t Pipeline::body_limit(const Trip& trip) {
  return trip.operation() == nullptr ? limits::http_form_bytes : limits::http_body_bytes;
}

Pipeline::Step Pipeline::take_body(Trip& trip, Body body) {
  trip.body = std::move(body);
  if (trip.operation() != nullptr) return {};
  auto found = directory_.locate_by_form(trip.at, trip.body.bytes);
  if (!found) return std::unexpected(std::move(found.error().error));
  trip.at.operation = *found;
  return {};
}

io::Task<Pipeline::Step> Pipeline::body(Trip& trip) {
  std::size_t limit = body_limit(trip);
  auto read = co_await trip.exchange.read_body(limit, trip.hash_body);
  if (!read) co_return std::unexpected(refused_body(read.error(), trip.operation_name(), limit));
  co_return take_body(trip, *std::move(read));
}

Pipeline::Step Pipeline::authenticate(Trip& trip) {
  if (trip.anonymous && (trip.operation()->unsigned_allowed || trip.is_store())) {
    trip.caller.source_ip = trip.exchange.peer().ip;
    return {};
  }
  trip.signed_request.body_sha256 = trip.body.sha256;
  auto caller = deps_.guard.authenticate(trip.signed_request);
  if (!caller) return std::unexpected(authentication_error(caller.error(), trip.protocol));
  trip.caller = *std::move(caller);
  if (trip.upload) trip.upload->signing = deps_.guard.chunk_signing(trip.signed_request);
  return {};
}

Pipeline::Step Pipeline::scope(Trip& trip) {
  trip.scope.account = trip.caller.account;
  trip.scope.region =
      trip.at.region.empty() ? deps_.settings.default_region : Region(trip.at.region);
  if (is_region(trip.scope.region.str())) return {};
  Error error{ErrorKind::unauthenticated,
              fmt::format("Credential should be scoped to a valid region, not '{}'. ",
                          trip.scope.region.str()),
              "SignatureDoesNotMatch"};
  return std::unexpected(authentication_error(error, trip.protocol));
}

Pipeline::Step Pipeline::decode(Trip& trip) {
  wire::HttpRequestParts parts;
  parts.method = trip.head.method;
  parts.path = trip.head.path;
  parts.query = std::move(trip.at.query);
  parts.labels = std::move(trip.at.labels);
  parts.headers = std::move(trip.signed_request.headers);  // the signature has been judged
  parts.body = trip.body.bytes;
  if (trip.is_store()) {
    bool presigned = trip.signed_request.claim && trip.signed_request.claim->presigned;
    adapt_fields(parts.headers, parts.query, presigned, trip.content_encoding);
  }
  auto record = wire::decode_request(trip.codec(), parts);
  if (!record && trip.is_store()) {
    return std::unexpected(
        store_decode_error(*trip.operation(), std::move(record).error().message));
  }
  if (!record) {
    bool form = trip.protocol == Protocol::query || trip.protocol == Protocol::ec2;
    return std::unexpected(api::ApiError{form ? "MalformedInput" : "SerializationException",
                                         400,
                                         std::move(record.error().message),
                                         true,
                                         {}});
  }
  trip.input = *std::move(record);
  const api::Service& service = trip.entry->service;
  if (service.complete) service.complete(trip.head.path, trip.head.host, trip.input);
  if (service.checks_input) return {};
  if (auto valid = wire::validate(trip.input); !valid) {
    return std::unexpected(
        constraint_error(std::move(valid.error().message), *trip.operation(), trip.protocol));
  }
  return {};
}

Pipeline::Step Pipeline::authorize(Trip& trip) {
  if (trip.operation()->unsigned_allowed && trip.anonymous) return {};
  Resource resource = resource_of(trip.entry->service, *trip.operation(), trip.input, trip.scope);
  guard::Decision decision = deps_.guard.authorize(
      {trip.caller, trip.operation()->action, resource.arn, resource.account, {}, {}});
  if (decision.allowed) return {};
  if (trip.anonymous) return std::unexpected(denial("Access Denied", trip.protocol));
  return std::unexpected(denial(std::move(decision.reason), trip.protocol));
}

io::Task<std::expected<Response, api::ApiError>> Pipeline::call(Trip& trip) {
  api::Call call{.operation = *trip.operation(),
                 .caller = std::move(trip.caller),
                 .scope = std::move(trip.scope),
                 .request_id = trip.id,
                 .host = std::string(trip.head.host.empty() ? "localhost" : trip.head.host),
                 .trace_header = std::string(trip.head.field("x-amzn-trace-id")),
                 .instance = trip.exchange.peer().instance};
  // The bytes are decoded: a long call need not hold them.
  trip.body.bytes = std::string();
  if (trip.upload) call.upload = std::make_unique<Upload>(trip.exchange, *std::move(trip.upload));
  auto output = co_await (*trip.handler)(call, std::move(trip.input));
  if (!output) co_return std::unexpected(std::move(output).error());
  auto parts = wire::encode_response(trip.codec(), *output, trip.id.str());
  // A range is no whole: the model knows one status alone.
  if (trip.is_store() && wire::find_pair_nocase(parts.headers, "Content-Range") != nullptr) {
    parts.status = 206;
  }
  co_return Response{parts.status, std::move(parts.headers), std::move(parts.body),
                     std::move(call.stream), call.stream_bytes};
}

const RawHandler* Pipeline::raw_route(const Trip& trip) const {
  for (const auto& [prefix, handler] : paths_) {
    if (has_prefix(trip.head.path, prefix)) return &handler;
  }
  // ANYTHING.label.region (the suffix is off already)
  if (trip.host.size() < 3) return nullptr;
  const std::string& label = trip.host[trip.host.size() - 2];
  for (const auto& [name, handler] : labels_) {
    if (name == label) return &handler;
  }
  return nullptr;
}

io::Task<Response> Pipeline::serve_raw(Trip& trip, const RawHandler& handler) {
  if (auto met = expectation(trip); !met) {
    co_return render_refusal(met.error().http_status, met.error().message);
  }
  auto body = co_await trip.exchange.read_body(limits::http_body_bytes, false);
  if (!body) co_return render_refusal(body.error().status, body.error().text);
  const Peer& peer = trip.exchange.peer();
  Request request;
  request.method = trip.head.method;
  request.path = trip.head.path;
  request.query = trip.head.query;
  for (const auto& field : trip.head.fields) {
    request.headers.emplace_back(field.name, field.value);
  }
  request.body = std::move(body->bytes);
  request.source_ip = peer.ip;
  request.source_port = peer.port;
  request.host = wire::to_lower(trip.head.host);
  request.id = trip.id;
  request.instance = peer.instance;
  Response response = co_await handler(request);
  bool named = std::ranges::any_of(response.headers, [](const auto& header) {
    return wire::iequals(header.first, "x-amzn-requestid");
  });
  if (!named) response.headers.emplace_back("x-amzn-RequestId", trip.id.str());
  co_return response;
}

void Pipeline::add_cors(const Trip& trip, Response& response) const {
  std::string_view origin = trip.head.field("origin");
  if (origin.empty() || !is_local_origin(origin, deps_.settings.host_suffixes)) return;
  auto& headers = response.headers;
  headers.emplace_back("Access-Control-Allow-Origin", origin);
  headers.emplace_back("Vary", "Origin");
  headers.emplace_back("Access-Control-Expose-Headers", "*");
  if (trip.head.method != "OPTIONS") return;
  headers.emplace_back("Access-Control-Allow-Methods", "GET, HEAD, POST, PUT, PATCH, DELETE");
  std::string_view asked = trip.head.field("access-control-request-headers");
  if (!asked.empty()) headers.emplace_back("Access-Control-Allow-Headers", asked);
  headers.emplace_back("Access-Control-Max-Age", "600");
}

}  // namespace mayfly::front
