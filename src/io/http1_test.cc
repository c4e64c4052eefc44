#include "io/http1.h"

#include <doctest/doctest.h>

#include <cctype>

using namespace mayfly;
using namespace mayfly::io::http1;
using namespace std::string_literals;

namespace {

struct Read {
  int refused = 0;
  std::string text;
  std::string body;
  std::size_t used = 0;
  bool whole = false;
};

// Feeds `bytes` in steps of `step` and reads one whole message.
Read read_message(Reader& reader, std::string_view bytes, std::size_t step) {
  Read out;
  std::size_t have = 0;
  std::size_t head = 0;
  while (head == 0) {
    if (have == bytes.size()) return out;
    have = std::min(bytes.size(), have + step);
    auto got = reader.read_head(bytes.substr(0, have));
    if (!got) return {got.error().status, got.error().text, {}, 0, false};
    head = *got;
  }
  out.used = head;
  while (!reader.body_complete()) {
    auto piece = reader.read_body(bytes.substr(out.used, have - out.used));
    if (!piece) return {piece.error().status, piece.error().text, {}, 0, false};
    out.used += piece->consumed;
    out.body += piece->data;
    if (piece->end) break;
    if (piece->consumed > 0 && out.used < have) continue;
    if (have == bytes.size()) return out;
    have = std::min(bytes.size(), have + step);
  }
  out.whole = true;
  return out;
}

Read read_request(std::string_view bytes, std::size_t step = SIZE_MAX) {
  Reader reader(Reader::Side::requests);
  return read_message(reader, bytes, std::min(step, bytes.size()));
}

struct Hostile {
  std::string what;
  std::string bytes;
  int status;
};

const std::string h = "Host: a\r\n";

std::vector<Hostile> hostile_bodies() {
  const std::string post = "POST / HTTP/1.1\r\n" + h;
  const std::string chunked = post + "Transfer-Encoding: chunked\r\n\r\n";
  return {
      {"length and chunked", post + "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
      {"chunked and length", post + "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n", 400},
      {"two lengths", post + "Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", 400},
      {"list of lengths", post + "Content-Length: 5, 5\r\n\r\nabcde", 400},
      {"negative length", post + "Content-Length: -1\r\n\r\n", 400},
      {"plus length", post + "Content-Length: +5\r\n\r\nabcde", 400},
      {"hex length", post + "Content-Length: 0x5\r\n\r\nabcde", 400},
      {"empty length", post + "Content-Length:\r\n\r\n", 400},
      {"huge length", post + "Content-Length: 99999999999999999999\r\n\r\n", 400},
      {"unknown encoding", post + "Transfer-Encoding: gzip\r\n\r\n", 400},
      {"chunked, identity", post + "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n", 400},
      {"gzip, chunked", post + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 400},
      {"xchunked", post + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 400},
      {"two encodings",
       post + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
      {"chunked in 1.0",
       "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
      {"chunk size not hex", chunked + "xyz\r\nabc\r\n0\r\n\r\n", 400},
      {"negative chunk", chunked + "-3\r\nabc\r\n0\r\n\r\n", 400},
      {"0x chunk", chunked + "0x3\r\nabc\r\n0\r\n\r\n", 400},
      {"chunk size overflow", chunked + "fffffffffffffffff\r\nabc\r\n0\r\n\r\n", 400},
      {"empty chunk size", chunked + "\r\nabc\r\n0\r\n\r\n", 400},
      {"chunk longer than said", chunked + "3\r\nabcd\r\n0\r\n\r\n", 400},
      {"chunk size with bare LF", chunked + "3\nabc\r\n0\r\n\r\n", 400},
      {"space before the chunk size", chunked + " 3\r\nabc\r\n0\r\n\r\n", 400},
  };
}

std::vector<Hostile> hostile_heads() {
  return {
      {"no host", "GET / HTTP/1.1\r\n\r\n"s, 400},
      {"two hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400},
      {"two equal hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400},
      {"host with a space", "GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400},
      {"host with a path", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400},
      {"host with user", "GET / HTTP/1.1\r\nHost: a@b\r\n\r\n", 400},
      {"folded field", "GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\n 2\r\n\r\n", 400},
      {"folded first field", "GET / HTTP/1.1\r\n Host: a\r\n\r\n", 400},
      {"folded with a tab", "GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\n\t2\r\n\r\n", 400},
      {"empty name", "GET / HTTP/1.1\r\nHost: a\r\n: x\r\n\r\n", 400},
      {"space before the colon", "GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400},
      {"space in a name", "GET / HTTP/1.1\r\nHost: a\r\nX Y: 1\r\n\r\n", 400},
      {"no colon", "GET / HTTP/1.1\r\nHost: a\r\nXY\r\n\r\n", 400},
      {"quote in a name", "GET / HTTP/1.1\r\nHost: a\r\nX\"Y: 1\r\n\r\n", 400},
      {"UTF-8 in a name", "GET / HTTP/1.1\r\nHost: a\r\nX\xc3\xa9: 1\r\n\r\n", 400},
      {"NUL in a name", "GET / HTTP/1.1\r\nHost: a\r\nX\0Y: 1\r\n\r\n"s, 400},
      {"NUL in a value", "GET / HTTP/1.1\r\nHost: a\r\nX: \0\r\n\r\n"s, 400},
      {"control character in a value", "GET / HTTP/1.1\r\nHost: a\r\nX: \x01\r\n\r\n", 400},
      {"DEL in a value", "GET / HTTP/1.1\r\nHost: a\r\nX: \x7f\r\n\r\n", 400},
      {"bare LF", "GET / HTTP/1.1\nHost: a\n\n", 400},
      {"bare LF after a field", "GET / HTTP/1.1\r\nHost: a\nX: 1\r\n\r\n", 400},
      {"bare LF at the end", "GET / HTTP/1.1\r\nHost: a\r\n\n", 400},
      {"bare CR in a value", "GET / HTTP/1.1\r\nHost: a\r\nX: 1\r2\r\n\r\n", 400},
      {"bare CR in the target", "GET /\r HTTP/1.1\r\nHost: a\r\n\r\n", 400},
      {"no version", "GET /\r\n\r\n", 505},
      {"HTTP/2.0", "GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505},
      {"HTTP/1.2", "GET / HTTP/1.2\r\nHost: a\r\n\r\n", 505},
      {"lower case version", "GET / http/1.1\r\nHost: a\r\n\r\n", 400},
      {"two spaces", "GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400},
      {"space in the target", "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", 400},
      {"relative target", "GET a HTTP/1.1\r\nHost: a\r\n\r\n", 400},
      {"fragment", "GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", 400},
      {"raw UTF-8 target", "GET /\xc3\xa9 HTTP/1.1\r\nHost: a\r\n\r\n", 400},
      {"star for GET", "GET * HTTP/1.1\r\nHost: a\r\n\r\n", 400},
      {"CONNECT", "CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n", 405},
      {"unknown method", "FROB / HTTP/1.1\r\nHost: a\r\n\r\n", 501},
      {"many empty lines", "\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400},
      {"TLS hello", "\x16\x03\x01\x02\n"s, 400},
      {"long line", "GET /" + std::string(limits::http_target_bytes + 64, 'a'), 414},
      {"large head", "GET / HTTP/1.1\r\nHost: a\r\nX: " + std::string(limits::http_head_bytes, 'a'),
       431},
      {"HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 0},
  };
}

TEST_CASE("names are compared without regard to case, and letters alone have one") {
  auto lower = [](unsigned char c) { return c >= 'A' && c <= 'Z' ? c + 32 : int{c}; };
  for (std::size_t size : {1u, 7u, 8u, 9u, 15u, 16u, 20u}) {
    for (std::size_t place = 0; place < size; ++place) {
      for (int byte = 0; byte < 256; ++byte) {
        for (int flip : {0, 0x20, 0x01, 0x80}) {
          std::string a(size, 'x');
          std::string b(size, 'X');
          a[place] = static_cast<char>(byte);
          b[place] = static_cast<char>(byte ^ flip);
          bool same = lower(static_cast<unsigned char>(a[place])) ==
                      lower(static_cast<unsigned char>(b[place]));
          if (equals_ignoring_case(a, b) != same) {
            FAIL("byte " << byte << " flipped by " << flip << " at " << place << " of " << size);
          }
        }
      }
    }
  }
  CHECK(equals_ignoring_case("", ""));
  CHECK_FALSE(equals_ignoring_case("content-length", "content-lengths"));
}

TEST_CASE("every byte that a target or a host may not have is found at every place") {
  for (std::size_t size : {2u, 8u, 9u, 20u}) {
    for (std::size_t place = 1; place < size; ++place) {
      for (int byte = 0; byte < 256; ++byte) {
        std::string text(size, 'a');
        text[0] = '/';
        text[place] = static_cast<char>(byte);
        if (byte == ' ') continue;  // ends a target, and is taken off at a host's ends
        bool target = byte > 0x20 && byte < 0x7f && byte != '#';
        std::string request = "GET " + text + " HTTP/1.1\r\nHost: a\r\n\r\n";
        Reader of_target(Reader::Side::requests);
        auto read = of_target.read_head(request);
        if ((read && *read == request.size()) != target) {
          FAIL("byte " << byte << " at " << place << " of a target of " << size);
        }
        if (byte == '\t') continue;  // as a space
        bool host = byte > 0 && byte < 128 &&
                    (std::isalnum(byte) != 0 || std::strchr("-._:[]~%", byte) != nullptr);
        request = "GET / HTTP/1.1\r\nHost: " + text.substr(1) + "\r\n\r\n";
        Reader of_host(Reader::Side::requests);
        read = of_host.read_head(request);
        if ((read && *read == request.size()) != host) {
          FAIL("byte " << byte << " at " << place << " of a host of " << size);
        }
      }
    }
  }
}

TEST_CASE("every byte that a token or a field's value may not have is found at every place") {
  for (std::size_t size : {1u, 7u, 8u, 9u, 24u}) {
    for (std::size_t place = 0; place < size; ++place) {
      for (int byte = 0; byte < 256; ++byte) {
        std::string text(size, 'v');
        text[place] = static_cast<char>(byte);
        bool value = byte == '\t' || (byte >= 0x20 && byte != 0x7f);
        bool token = byte > 0 && byte < 128 &&
                     (std::isalnum(byte) != 0 || std::strchr("!#$%&'*+-.^_`|~", byte) != nullptr);
        bool right = is_field_value(text) == value && is_token(text) == token;
        if (!right) FAIL("byte " << byte << " at " << place << " of " << size);
      }
    }
  }
  CHECK(is_field_value(""));
  CHECK_FALSE(is_token(""));
  CHECK(is_field_value("\t12345678\t\xff\x80 text"));
}

}  // namespace

TEST_CASE("hostile requests are refused, whole and byte by byte") {
  std::size_t count = 0;
  std::vector<Hostile> all = hostile_heads();
  std::ranges::move(hostile_bodies(), std::back_inserter(all));
  for (const auto& hostile : all) {
    for (std::size_t step : {SIZE_MAX, std::size_t{1}}) {
      Read read = read_request(hostile.bytes, step);
      CAPTURE(hostile.what);
      CAPTURE(read.text);
      CAPTURE(step);
      if (hostile.status == 0) {
        CHECK(read.refused >= 400);
      } else {
        CHECK(read.refused == hostile.status);
      }
    }
    ++count;
  }
  CHECK(count >= 40);
}

TEST_CASE("too many fields are refused and the limit itself is accepted") {
  std::string many = "GET / HTTP/1.1\r\nHost: a\r\n";
  for (std::size_t i = 1; i < limits::http_header_count; ++i) many += "X: 1\r\n";
  CHECK(read_request(many + "\r\n").whole);
  CHECK(read_request(many + "X: 1\r\n\r\n").refused == 431);
}

TEST_CASE("a request's parts are views into the buffer") {
  std::string bytes =
      "\r\nPUT /2015-03-31/functions/f%20g?Qualifier=1&x=/?# HTTP/1.1\r\nHost: LocalHost:4566\r\n"
      "X-Empty:\r\nX-Space: \t a b \t\r\nContent-Length: 3\r\n\r\nabcGET /next";
  bytes.erase(bytes.find('#'), 1);
  Reader reader(Reader::Side::requests);
  auto size = reader.read_head(bytes);
  REQUIRE(size.has_value());
  const Head& head = reader.head();
  CHECK(head.method == "PUT");
  CHECK(head.path == "/2015-03-31/functions/f%20g");
  CHECK(head.query == "Qualifier=1&x=/?");
  CHECK(head.host == "LocalHost:4566");
  CHECK(head.field("x-empty").empty());
  CHECK(head.field("X-SPACE") == "a b");
  REQUIRE(head.fields.size() == 4);
  CHECK(head.framing == Framing::length);
  CHECK(head.content_length == 3);
  auto piece = reader.read_body(std::string_view(bytes).substr(*size));
  REQUIRE(piece.has_value());
  CHECK(piece->data == "abc");
  CHECK(piece->consumed == 3);
  CHECK(piece->end);
}

TEST_CASE("keep-alive follows the version and the Connection field") {
  struct Case {
    const char* bytes;
    bool keep;
  };
  for (auto [bytes, keep] :
       {Case{"GET / HTTP/1.1\r\nHost: a\r\n\r\n", true},
        Case{"GET / HTTP/1.1\r\nHost: a\r\nConnection: x, Close\r\n\r\n", false},
        Case{"GET / HTTP/1.0\r\n\r\n", false},
        Case{"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", true}}) {
    Reader reader(Reader::Side::requests);
    REQUIRE(reader.read_head(bytes).has_value());
    CHECK(reader.head().keep_alive == keep);
  }
}

TEST_CASE("offers to upgrade are left aside and the body is read") {
  Read read = read_request(
      "POST / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
      "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n");
  CHECK(read.whole);
  CHECK(read.body == "abc");
}

TEST_CASE("the absolute form names the host") {
  Reader reader(Reader::Side::requests);
  REQUIRE(reader.read_head("GET http://b:1/x?y HTTP/1.1\r\nHost: a\r\n\r\n").has_value());
  CHECK(reader.head().host == "b:1");
  CHECK(reader.head().path == "/x");
  CHECK(reader.head().query == "y");
}

TEST_CASE("chunked bodies and trailers are read at every split, and what follows stays") {
  const std::string bytes =
      "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n"
      "5;ext=1\r\nhello\r\n1\r\n \r\n05\r\nworld\r\n0\r\nX-One: 1\r\nX-Empty:\r\nX-Two:  b "
      "\r\n\r\n";
  for (std::size_t step = 1; step <= bytes.size(); ++step) {
    Reader reader(Reader::Side::requests);
    Read read = read_message(reader, bytes + "GET / HTTP/1.1\r\n", step);
    CAPTURE(step);
    REQUIRE(read.whole);
    CHECK(read.body == "hello world");
    CHECK(read.used == bytes.size());
    REQUIRE(reader.trailers().size() == 3);
    CHECK(reader.trailers()[0] == std::pair<std::string, std::string>("X-One", "1"));
    CHECK(reader.trailers()[1].second.empty());
    CHECK(reader.trailers()[2] == std::pair<std::string, std::string>("X-Two", "b"));
    reader.reset();
    auto next = reader.read_head("GET /n HTTP/1.1\r\nHost: a\r\n\r\n");
    REQUIRE(next.has_value());
    CHECK(reader.head().path == "/n");
    CHECK(reader.body_complete());
  }
}

TEST_CASE("endless chunk extensions and trailers are refused") {
  const std::string head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
  CHECK(read_request(head + "1;" + std::string(64 * limits::kib, 'x'), 1000).refused == 431);
  std::string trailers;
  for (std::size_t i = 0; i <= limits::http_header_count; ++i) trailers += "X: 1\r\n";
  CHECK(read_request(head + "0\r\n" + trailers + "\r\n").refused == 431);
}

TEST_CASE("expectations are told apart") {
  Reader reader(Reader::Side::requests);
  REQUIRE(
      reader.read_head("PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\n"
                       "Content-Length: 1\r\n\r\n"));
  CHECK(reader.head().expects_continue);
  reader.reset();
  REQUIRE(reader.read_head("PUT / HTTP/1.1\r\nHost: a\r\nExpect: cake\r\n\r\n"));
  CHECK(reader.head().unknown_expectation);
  CHECK(!reader.head().expects_continue);
}

TEST_CASE("responses: length, chunked, until the end, and none") {
  struct Case {
    std::string bytes;
    std::string body;
    int status;
  };
  for (const auto& [bytes, body, status] :
       {Case{"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", "abc", 200},
        Case{"HTTP/1.1 404 \r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n", "ab", 404},
        Case{"HTTP/1.1 204 No Content\r\n\r\n", "", 204},
        Case{"HTTP/1.1 100 Continue\r\n\r\n", "", 100}}) {
    Reader reader(Reader::Side::responses);
    Read read = read_message(reader, bytes, 2);
    CAPTURE(bytes);
    CAPTURE(read.text);
    CHECK(read.whole);
    CHECK(read.body == body);
    CHECK(reader.head().status == status);
  }
  Reader reader(Reader::Side::responses);
  std::string_view bytes = "HTTP/1.0 200 OK\r\n\r\nabc";
  auto size = reader.read_head(bytes);
  REQUIRE(size.has_value());
  auto piece = reader.read_body(bytes.substr(*size));
  REQUIRE(piece.has_value());
  CHECK(piece->data == "abc");
  CHECK(!piece->end);
  CHECK(reader.end_of_stream().has_value());
  CHECK(reader.body_complete());
}

TEST_CASE("a message cut off is told apart from a whole one") {
  Reader reader(Reader::Side::responses);
  std::string_view bytes = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc";
  auto size = reader.read_head(bytes);
  REQUIRE(size.has_value());
  REQUIRE(reader.read_body(bytes.substr(*size)).has_value());
  CHECK(reader.body_missing() == 2);
  CHECK(!reader.end_of_stream().has_value());
}

TEST_CASE("what is written is read back") {
  std::string out;
  Writer writer(out);
  writer.status_line(200);
  CHECK(writer.field("X-A", "b"));
  CHECK(!writer.field("X-B", "a\r\nX-C: d"));
  CHECK(!writer.field("X:B", "a"));
  CHECK(!writer.field("", "a"));
  writer.field("Transfer-Encoding", "chunked");
  writer.end_head();
  writer.chunk_head(26);
  out += "abcdefghijklmnopqrstuvwxyz";
  writer.chunk_end();
  writer.last_chunk_head();
  writer.field("X-T", "1");
  writer.end_head();
  Reader reader(Reader::Side::responses);
  Read read = read_message(reader, out, 3);
  CHECK(read.whole);
  CHECK(read.body == "abcdefghijklmnopqrstuvwxyz");
  CHECK(reader.head().fields.size() == 2);
  REQUIRE(reader.trailers().size() == 1);
}

TEST_CASE("heads that are read in one pass say what llhttp would have said") {
  // An empty line before the request takes the long way.
  auto told = [](std::string_view bytes) {
    Reader reader(Reader::Side::requests);
    auto size = reader.read_head(bytes);
    if (!size) return fmt::format("{}", size.error().status);
    const Head& head = reader.head();
    std::string out =
        fmt::format("{} {} {} {} {} {} {} {} {} {}", head.method, head.target, head.path,
                    head.query, head.host, head.expects_continue, head.minor, head.keep_alive,
                    static_cast<int>(head.framing), head.content_length);
    for (const auto& field : head.fields) out += fmt::format("|{}={}", field.name, field.value);
    return out;
  };
  std::string many;
  for (std::size_t i = 1; i < limits::http_header_count; ++i) many += fmt::format("a{}: b\r\n", i);
  for (const std::string& head :
       {"GET / HTTP/1.1\r\n" + h + "\r\n",
        "POST /a?b=c HTTP/1.1\r\n" + h + "\r\nbody",
        "PUT /x HTTP/1.1\r\n" + h + "Content-Length: 3\r\n\r\nabc",
        "DELETE /x HTTP/1.1\r\n" + h + "Connection: close\r\n\r\n",
        "HEAD /x HTTP/1.1\r\n" + h + "Expect: 100-continue\r\n\r\n",
        "PATCH /x HTTP/1.1\r\n" + h + "\r\n",
        "GET /x HTTP/1.0\r\n\r\n"s,
        "GET  /x HTTP/1.1\r\n" + h + "\r\n",
        "GET /x  HTTP/1.1\r\n" + h + "\r\n",
        "GET x HTTP/1.1\r\n" + h + "\r\n",
        "GET http://b/x HTTP/1.1\r\n" + h + "\r\n",
        "GET /\x7f HTTP/1.1\r\n" + h + "\r\n",
        "GET /# HTTP/1.1\r\n" + h + "\r\n",
        "GET / HTTP/1.1\r\n\r\n"s,
        "GET / HTTP/1.1\r\n" + h + h + "\r\n",
        "GET / HTTP/1.1\r\n" + h + "a:\r\n\r\n",
        "GET / HTTP/1.1\r\n" + h + "a: \t x\ty \t\r\n\r\n",
        "GET / HTTP/1.1\r\n" + h + "a : x\r\n\r\n",
        "GET / HTTP/1.1\r\n" + h + ": x\r\n\r\n",
        "GET / HTTP/1.1\r\n" + h + "a\r\n\r\n",
        "GET / HTTP/1.1\r\n" + h + " a: x\r\n\r\n",
        "GET / HTTP/1.1\r\n" + h + "a: x\r\n b\r\n\r\n",
        "GET / HTTP/1.1\r\n" + h + "a: x\n\r\n",
        "GET / HTTP/1.1\r\n" + h + "a: 1234567\r8\r\n\r\n",
        "GET / HTTP/1.1\r\n" + h + "a: 12345678\x01\r\n\r\n",
        "GET / HTTP/1.1\r\n" + h + "a: 1\x7f\r\n\r\n",
        "GET / HTTP/1.1\r\n" + h + "a: \xc3\xa9 12345678 \xff\r\n\r\n",
        "GET / HTTP/1.1\r\n" + h + "a: "s + '\0' + "\r\n\r\n",
        "POST / HTTP/1.1\r\n" + h + "Content-Length: 1\r\nContent-Length: 1\r\n\r\n",
        "POST / HTTP/1.1\r\n" + h + "Content-Length: 1\r\nContent-Length: 2\r\n\r\n",
        "POST / HTTP/1.1\r\n" + h + "Content-Length: +1\r\n\r\n",
        "POST / HTTP/1.1\r\n" + h + "Content-Length:\r\n\r\n",
        "POST / HTTP/1.1\r\n" + h + "Content-Length: 99999999999999999999\r\n\r\n",
        "POST / HTTP/1.1\r\n" + h + "Transfer-Encoding: chunked\r\n\r\n",
        "POST / HTTP/1.1\r\n" + h + "transfer-encoding: gzip\r\n\r\n",
        "POST / HTTP/1.1\r\n" + h + "Transfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n",
        "GET / HTTP/1.1\r\n" + h + "Upgrade: h2c\r\nConnection: upgrade\r\n\r\n",
        "GET / HTTP/1.1\r\n" + h + many + "\r\n",
        "GET / HTTP/1.1\r\n" + h + many + "z: b\r\n\r\n",
        "GET /" + std::string(limits::http_target_bytes, 'a') + " HTTP/1.1\r\n" + h + "\r\n",
        "GET / HTTP/1.1\r\n" + h + "a: " + std::string(limits::http_head_bytes, 'a') + "\r\n\r\n",
        "GET / HTTP/1.1\r\n" + h + "a: b"}) {
    CAPTURE(head);
    CHECK(told(head) == told("\r\n" + head));
  }
}
