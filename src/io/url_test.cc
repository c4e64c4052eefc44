#include "io/url.h"

#include <doctest/doctest.h>

using namespace mayfly;
using namespace mayfly::io;

TEST_CASE("url: parts") {
  auto url = parse_url("http://Example.com/a/b?c=d#e");
  REQUIRE(url);
  CHECK_FALSE(url->secure);
  CHECK(url->host == "example.com");
  CHECK(url->port == 80);
  CHECK(url->authority == "example.com");
  CHECK(url->target == "/a/b?c=d");
  CHECK(url->user_info.empty());

  url = parse_url("HTTPS://u%40x:p@h.example:8443?q");
  REQUIRE(url);
  CHECK(url->secure);
  CHECK(url->port == 8443);
  CHECK(url->authority == "h.example:8443");
  CHECK(url->target == "/?q");
  CHECK(url->user_info == "u@x:p");

  url = parse_url("https://[::1]:443");
  REQUIRE(url);
  CHECK(url->host == "::1");
  CHECK(url->authority == "[::1]");
  CHECK(url->target == "/");
}

TEST_CASE("url: what is none") {
  for (const auto* text :
       {"", "http://", "http:///x", "ftp://h/", "h/x", "http://h:0/", "http://h:65536/",
        "http://h:x/", "http://a b/", "http://h/a b", "http://h/\r\nX: y", "http://[::1/",
        "http://[::1]x/", "http://h\xc3\xa4/", "http://%zz@h/", "http://a/b\x7f"}) {
    CAPTURE(text);
    auto url = parse_url(text);
    REQUIRE_FALSE(url);
    CHECK(url.error().kind == ErrorKind::invalid);
  }
}
