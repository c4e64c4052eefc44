// Streamed payloads and answers of known length, and what S3 has of its own, through real sockets.
#include "api/s3.h"
#include "front/front_test_world.h"
#include "front/object_store.h"
#include "wire/sigv2.h"

using namespace mayfly;
using namespace mayfly::front;
using namespace mayfly::front::test;
using namespace std::chrono_literals;

namespace {

struct Parts final : io::BodySource {
  explicit Parts(std::vector<std::string> of) : parts(std::move(of)) {}
  io::Task<Result<std::string>> next(std::stop_token) override {
    if (at == parts.size()) co_return std::string();
    co_return parts[at++];
  }
  std::vector<std::string> parts;
  std::size_t at = 0;
};

// A store of one object, whose uploads wait at the gate before they are read.
struct Store {
  World world;
  std::vector<std::string> seen;  // "PutObject bucket/key bytes error"
  std::vector<std::string> answer{"hel", "lo"};
  std::optional<std::uint64_t> answer_bytes = 5;

  explicit Store(Settings settings = World::dev_settings()) : world(std::move(settings)) {
    api::Service s3;
    s3.model = &api::s3::model;
    s3.checks_input = true;
    auto put = [this](api::Call& call, wire::Record in) {
      return take(*this, call, api::s3::PutObjectRequest(std::move(in)));
    };
    s3.handlers.emplace("PutObject", put);
    s3.handlers.emplace("GetObject",
                        [this](api::Call& call, wire::Record) { return give(*this, call); });
    s3.handlers.emplace("HeadObject",
                        [this](api::Call& call, wire::Record) { return head(*this, call); });
    s3.handlers.emplace("CopyObject", [this](api::Call&, wire::Record in) {
      return note(*this, api::s3::CopyObjectRequest(std::move(in)));
    });
    s3.handlers.emplace("GetBucketLocation", [](api::Call&, wire::Record) { return location(); });
    s3.handlers.emplace("ListObjects", [](api::Call&, wire::Record) { return missing(); });
    world.front->add_service(std::move(s3));
  }

  static io::Task<api::ApiResult<wire::Record>> take(Store& store, api::Call& call,
                                                     api::s3::PutObjectRequest in) {
    REQUIRE(call.upload != nullptr);
    co_await store.world.gate.wait();
    std::string bytes;
    while (true) {
      auto part = co_await call.upload->next({});
      if (!part) {
        store.seen.push_back(part.error().reason);
        co_return std::unexpected(
            api::ApiError{part.error().reason, 400, part.error().message, true, {}});
      }
      if (part->empty()) break;
      bytes += *part;
    }
    std::string line =
        fmt::format("{}/{} {} {} {}", in.bucket().value_or("-"), in.key().value_or("-"),
                    bytes.size() > 40 ? "big" : bytes, call.upload->size().value_or(0),
                    in.content_encoding().value_or("-"));
    for (const auto& [name, value] : in.metadata()) line += fmt::format(" {}={}", name, value);
    for (const auto& [name, value] : call.upload->trailers()) {
      line += fmt::format(" {}:{}", name, value);
    }
    store.seen.push_back(std::move(line));
    co_return std::move(api::s3::PutObjectOutput().set_e_tag("\"e\"")).take();
  }
  static io::Task<api::ApiResult<wire::Record>> give(Store& store, api::Call& call) {
    call.stream = std::make_unique<Parts>(store.answer);
    call.stream_bytes = store.answer_bytes;
    co_return std::move(api::s3::GetObjectOutput().set_content_type("text/x")).take();
  }
  static io::Task<api::ApiResult<wire::Record>> head(Store& store, api::Call& call) {
    call.stream_bytes = store.answer_bytes;
    co_return std::move(api::s3::HeadObjectOutput().set_content_type("text/x")).take();
  }
  static io::Task<api::ApiResult<wire::Record>> note(Store& store, api::s3::CopyObjectRequest in) {
    store.seen.push_back(fmt::format("copy {}", in.copy_source().value_or("-")));
    co_return api::s3::CopyObjectOutput().take();
  }
  static io::Task<api::ApiResult<wire::Record>> location() {
    co_return std::move(api::s3::GetBucketLocationOutput().set_location_constraint("eu-west-1"))
        .take();
  }
  static io::Task<api::ApiResult<wire::Record>> missing() {
    co_return std::unexpected(api::s3::no_such_bucket("The specified bucket does not exist"));
  }
};

std::string request(std::string_view method, std::string_view target, std::string_view more = {},
                    std::string_view body = {}, std::string_view host = "127.0.0.1:4566") {
  return fmt::format("{} {} HTTP/1.1\r\nHost: {}\r\n{}{}\r\n{}", method, target, host,
                     dev_auth("s3"), more, body);
}

std::string put(std::string_view body, std::string_view more = {}) {
  return request("PUT", "/buck/k", fmt::format("Content-Length: {}\r\n{}", body.size(), more),
                 body);
}

}  // namespace

TEST_CASE("an upload is read in parts, and what follows it is the next request") {
  Store store;
  Client client(store.world);
  client.send(put("hello") + put(std::string(3'000'000, 'x')) + put(""));
  std::string answers = client.take();
  CHECK(store.seen ==
        std::vector<std::string>{"buck/k hello 5 -", "buck/k big 3000000 -", "buck/k  0 -"});
  CHECK(has(answers, "ETag: \"e\"\r\n"));
  CHECK(has(answers, "x-amz-request-id: "));
  CHECK(has(answers, "x-amz-id-2: "));
}

TEST_CASE("nothing of an upload is read, and 100 Continue not said, before its handler asks") {
  Store store;
  store.world.gate.reset();
  Client client(store.world);
  client.send(request("PUT", "/buck/k", "Content-Length: 5\r\nExpect: 100-continue\r\n"));
  CHECK(client.take().empty());
  store.world.gate.set();
  CHECK(client.take() == "HTTP/1.1 100 Continue\r\n\r\n");
  CHECK(status_of(client.ask("hello")) == 200);
}

TEST_CASE("what an upload's head declares is compared with what came") {
  Store store;
  Client client(store.world);
  std::string hash = wire::sha256_hex("hello");
  CHECK(status_of(client.ask(put("hello", "x-amz-content-sha256: " + hash + "\r\n"))) == 200);
  CHECK(has(client.ask(put("hellO", "x-amz-content-sha256: " + hash + "\r\n")),
            "<Code>XAmzContentSHA256Mismatch</Code>"));
  CHECK(has(client.ask(put("", "x-amz-content-sha256: nonsense\r\n")), "InvalidArgument"));
  CHECK(has(client.ask(request("PUT", "/buck/k")), "<Code>MissingContentLength</Code>"));
  Client other(store.world);
  CHECK(has(
      other.ask(request("PUT", "/buck/k", "Transfer-Encoding: chunked\r\n", "1\r\na\r\n0\r\n\r\n")),
      "<Code>NotImplemented</Code>"));
}

TEST_CASE("an upload in aws-chunked encoding, with and without chunks of HTTP around it") {
  Store store;
  std::string body =
      "5;chunk-signature=0\r\nhello\r\n0;chunk-signature=0\r\nx-amz-checksum-crc32:abc=\r\n\r\n";
  std::string fields =
      "x-amz-content-sha256: STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER\r\n"
      "x-amz-decoded-content-length: 5\r\nContent-Encoding: gzip,aws-chunked\r\n";
  Client client(store.world);
  CHECK(status_of(client.ask(put(body, fields))) == 200);
  std::string chunked = fmt::format("{:x}\r\n{}\r\n0\r\n\r\n", body.size(), body);
  client.send(request("PUT", "/buck/k", fields + "Transfer-Encoding: chunked\r\n", chunked) +
              put("next"));
  client.settle();
  std::string whole = "buck/k hello 5 gzip x-amz-checksum-crc32:abc=";
  CHECK(store.seen == std::vector<std::string>{whole, whole, "buck/k next 4 -"});
  Client cut(store.world);
  CHECK(has(cut.ask(put("5\r\nhello\r\n", fields)), "<Code>IncompleteBody</Code>"));
  Client wrong(store.world);
  CHECK(has(wrong.ask(put("4\r\nhell\r\n0\r\n\r\n", fields)), "<Code>IncompleteBody</Code>"));
}

TEST_CASE("an upload that stands still ends by its time") {
  Store store;
  Client client(store.world);
  client.send(request("PUT", "/buck/k", "Content-Length: 5\r\n", "he"));
  store.world.clock.advance(limits::http_body_idle_time + 1s);
  CHECK(has(client.take(), "<Code>RequestTimeout</Code>"));
}

TEST_CASE("answers of known length, to GET and HEAD") {
  Store store;
  Client client(store.world);
  std::string got = client.ask(request("GET", "/buck/k"));
  CHECK(has(got, "Content-Length: 5\r\n"));
  CHECK(has(got, "Content-Type: text/x\r\n"));
  CHECK(!has(got, "Transfer-Encoding"));
  CHECK(body_of(got) == "hello");
  got = client.ask(request("HEAD", "/buck/k"));
  CHECK(has(got, "Content-Length: 5\r\n"));
  CHECK(body_of(got).empty());
  store.answer_bytes = 9;
  (void)client.ask(request("GET", "/buck/k"));
  CHECK(client.ended);  // less than was declared
}

TEST_CASE("buckets are named by the path or by the host; keys are what follows") {
  Store store;
  struct Case {
    std::string_view target, host, name;
  };
  const Case cases[] = {
      {"/buck/a/b", "127.0.0.1:4566", "buck/a/b"},
      {"/buck//a%2Fb%20c//", "127.0.0.1", "buck//a/b c//"},
      {"/buck/../x/./y", "127.0.0.1", "buck/../x/./y"},
      {"/a/b", "buck.s3.us-east-1.localhost:4566", "buck/a/b"},
      {"/a/b", "buck.s3.localhost:4566", "buck/a/b"},
      {"//b", "my.buck.localhost:4566", "my.buck//b"},
      {"/buck/k", "s3.localhost:4566", "buck/k"},
      {"/buck/k", "s3.eu-west-1.localhost:4566", "buck/k"},
      {"/buck/a+b", "localhost:4566", "buck/a+b"},
  };
  for (const auto& one : cases) {
    CAPTURE(one.target);
    CAPTURE(one.host);
    store.seen.clear();
    Client client(store.world);
    CHECK(status_of(client.ask(
              request("PUT", one.target, "Content-Length: 1\r\n", "x", one.host))) == 200);
    REQUIRE(store.seen.size() == 1);
    CHECK(store.seen[0] == fmt::format("{} x 1 -", one.name));
  }
}

TEST_CASE("rows that differ by a field or a parameter") {
  Store store;
  Client client(store.world);
  client.ask(request("PUT", "/buck/k", "x-amz-copy-source: /other/key\r\n"));
  CHECK(store.seen == std::vector<std::string>{"copy /other/key"});
  std::string got = client.ask(request("GET", "/buck?location"));
  CHECK(body_of(got) ==
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<LocationConstraint "
        "xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">eu-west-1"
        "</LocationConstraint>");
  got = client.ask(request("GET", "/buck?cors"));
  CHECK(status_of(got) == 501);
  CHECK(has(got, "<Code>NotImplemented</Code>"));
  got = client.ask(request("POST", "/buck/k", "Content-Length: 0\r\n"));
  CHECK(status_of(got) == 405);
  CHECK(has(got, "<Code>MethodNotAllowed</Code>"));
}

TEST_CASE("errors have S3's form, and codes of its own for what front/ and guard/ refuse") {
  Store store;
  Client client(store.world);
  std::string got = client.ask(request("GET", "/buck"));
  CHECK(status_of(got) == 404);
  CHECK(body_of(got).starts_with(
      "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>NoSuchBucket</Code><Message>The "
      "specified bucket does not exist</Message><Resource>/buck</Resource><RequestId>"));
  CHECK(has(got, "</HostId></Error>"));
  got = client.ask("GET /buck/k HTTP/1.1\r\nHost: localhost\r\n\r\n");
  CHECK(status_of(got) == 403);
  CHECK(has(got, "<Code>AccessDenied</Code><Message>Access Denied</Message>"));
  got = client.ask("GET /buck/k HTTP/1.1\r\nHost: localhost\r\n" + dev_auth("s3", "AKIANOBODY") +
                   "\r\n");
  CHECK(has(got, "<Code>InvalidAccessKeyId</Code>"));
  got = client.ask("GET /No-bucket HTTP/1.1\r\nHost: localhost\r\n\r\n");
  CHECK(status_of(got) == 404);
  CHECK(has(got, "Nothing is served at"));
}

TEST_CASE("version 2 signs the resource: the bucket of the host is part of it") {
  Store store(Settings{});
  const auto& root = *store.world.root;
  auto url = [&](std::string_view resource, std::string_view path) {
    std::string query = fmt::format("AWSAccessKeyId={}&Expires=1767225700", root.access_key_id);
    std::string given = query + "&Signature=x";
    wire::sigv4::Request bare{"GET", resource, given, {}};
    std::string signature = wire::sigv2::signature(
        root.secret_access_key, wire::sigv2::string_to_sign(bare, *wire::sigv2::parse_claim(bare)));
    return fmt::format("{}?{}&Signature={}", path, query,
                       wire::percent_encode(signature, wire::Slash::encode));
  };
  auto get = [&](const std::string& target, std::string_view host) {
    Client client(store.world);
    return status_of(client.ask(fmt::format("GET {} HTTP/1.1\r\nHost: {}\r\n\r\n", target, host)));
  };
  CHECK(get(url("/buck/k", "/buck/k"), "127.0.0.1") == 200);
  CHECK(get(url("/buck/k", "/k"), "buck.s3.localhost") == 200);
  CHECK(get(url("/buck/k", "/buck/k"), "other.s3.localhost") == 403);
}

TEST_CASE("fields that presigned URLs carry in their query count as fields") {
  wire::FieldViews fields{{"Host", "h"}, {"content-encoding", "aws-chunked"}};
  wire::Pairs query{{"X-Amz-Signature", "s"}, {"x-amz-meta-a", "b"}, {"x-id", "PutObject"}};
  std::string kept;
  adapt_fields(fields, query, true, kept);
  REQUIRE(fields.size() == 3);
  CHECK(fields[1].first != "content-encoding");
  CHECK(fields[2] == std::pair<std::string_view, std::string_view>("x-amz-meta-a", "b"));
}

TEST_CASE("a real signature covers what the head says of an upload, and its chunks go on from it") {
  Store store(Settings{});
  auto& world = store.world;
  wire::sigv4::Scope scope{"20260101", "us-east-1", "s3"};
  auto signed_put = [&](std::string_view hash, std::string_view decoded, auto body_for) {
    std::vector<wire::sigv4::HeaderView> headers{{"host", "127.0.0.1"},
                                                 {"x-amz-content-sha256", hash},
                                                 {"x-amz-date", "20260101T000000Z"},
                                                 {"x-amz-decoded-content-length", decoded}};
    wire::sigv4::Request what{"PUT", "/buck/a%20b//c", "", headers};
    std::string authorization =
        wire::sigv4::authorization(what, world.root->access_key_id, world.root->secret_access_key,
                                   scope, "20260101T000000Z", hash);
    std::string body = body_for(authorization.substr(authorization.rfind('=') + 1));
    std::string out = "PUT /buck/a%20b//c HTTP/1.1\r\n";
    for (const auto& [name, value] : headers) out += fmt::format("{}: {}\r\n", name, value);
    return out + fmt::format("Authorization: {}\r\nContent-Length: {}\r\n\r\n{}", authorization,
                             body.size(), body);
  };
  std::string key = wire::sigv4::signing_key(world.root->secret_access_key, scope);
  auto chunks = [&](std::string seed, std::string_view data) {
    std::string out;
    for (std::string_view part : {data, std::string_view()}) {
      seed = wire::sigv4::signature(
          key, fmt::format("AWS4-HMAC-SHA256-PAYLOAD\n20260101T000000Z\n{}\n{}\n{}\n{}",
                           scope.text(), seed, wire::sigv4::empty_sha256, wire::sha256_hex(part)));
      out += fmt::format("{:x};chunk-signature={}\r\n{}\r\n", part.size(), seed, part);
    }
    return out;
  };
  Client client(world);
  CHECK(status_of(client.ask(signed_put(wire::sha256_hex("hello"), "5",
                                        [](const std::string&) { return "hello"; }))) == 200);
  constexpr std::string_view streaming = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD";
  CHECK(status_of(client.ask(signed_put(streaming, "5", [&](std::string seed) {
          return chunks(std::move(seed), "hello");
        }))) == 200);
  CHECK(
      has(client.ask(signed_put(
              streaming, "5", [&](std::string) { return chunks(std::string(64, '0'), "hello"); })),
          "<Code>SignatureDoesNotMatch</Code>"));
  CHECK(store.seen == std::vector<std::string>{"buck/a b//c hello 5 -", "buck/a b//c hello 5 -",
                                               "SignatureDoesNotMatch"});
}
