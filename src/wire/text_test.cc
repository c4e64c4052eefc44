#include "wire/text.h"

#include <doctest/doctest.h>

#include "wire/hash.h"

using namespace mayfly;
using namespace mayfly::wire;

TEST_CASE("base64 agrees with the vectors of RFC 4648 both ways") {
  const std::pair<std::string_view, std::string_view> vectors[] = {{"", ""},
                                                                   {"f", "Zg=="},
                                                                   {"fo", "Zm8="},
                                                                   {"foo", "Zm9v"},
                                                                   {"foob", "Zm9vYg=="},
                                                                   {"fooba", "Zm9vYmE="},
                                                                   {"foobar", "Zm9vYmFy"}};
  for (auto [plain, coded] : vectors) {
    CHECK(base64_encode(plain) == coded);
    CHECK(base64_decode(coded) == std::string(plain));
  }
  std::string all;
  for (int i = 0; i < 256; ++i) all += static_cast<char>(i);
  CHECK(base64_decode(base64_encode(all)) == all);
  CHECK(base64url_decode(base64url_encode(all)) == all);
  CHECK(base64url_encode("\xfb\xff") == "-_8");
}

TEST_CASE("base64 refuses what is not exactly base64") {
  for (std::string_view bad : {"Zg=", "Zg", "Zg===", "Z===", "Zm 9", "Zm9v\n", "Zh==", "Zm9=Zm9v",
                               "====", "Zm9*", "-_8="}) {
    CAPTURE(bad);
    CHECK_FALSE(base64_decode(bad).has_value());
  }
}

TEST_CASE("hex and percent-encoding") {
  CHECK(hex_encode("\x01\xab") == "01ab");
  CHECK(hex_decode("01aB") == std::string("\x01\xab"));
  CHECK_FALSE(hex_decode("0").has_value());
  CHECK_FALSE(hex_decode("0g").has_value());
  CHECK(percent_encode("a b/c~é*") == "a%20b%2Fc~%C3%A9%2A");
  CHECK(percent_encode("a b/c", Slash::keep) == "a%20b/c");
  CHECK(percent_decode("a%20b%2fc+") == std::string("a b/c+"));
  CHECK(percent_decode("a+b", Plus::blank) == std::string("a b"));
  for (std::string_view bad : {"%", "%4", "%zz", "a%2"}) CHECK_FALSE(percent_decode(bad));
}

TEST_CASE("queries keep order, decode names and tell a bare name from nothing") {
  auto pairs = parse_query("api%2Dversion=1&flag&a=b=c&&x=1+2");
  REQUIRE(pairs.has_value());
  CHECK(*pairs == Pairs{{"api-version", "1"}, {"flag", ""}, {"a", "b=c"}, {"x", "1 2"}});
  CHECK(find_pair(*pairs, "nothing") == nullptr);
  REQUIRE(find_pair_nocase(*pairs, "FLAG") != nullptr);
}

TEST_CASE("UTF-8 is checked by the table of the standard") {
  CHECK(is_utf8("plain é € 😀"));
  CHECK(utf8_length("é€😀a") == 4);
  for (std::string_view bad : {"\xc0\x80", "\xe0\x80\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80",
                               "\xff", "\xe2\x82", "\x80"}) {
    CHECK_FALSE(is_utf8(bad));
  }
}

TEST_CASE("timestamps read back what they write in every form") {
  const std::int64_t t = 1'577'934'245'006;
  CHECK(format_iso8601(t) == "2020-01-02T03:04:05.006Z");
  CHECK(format_iso8601(t, Fraction::none) == "2020-01-02T03:04:05Z");
  CHECK(format_iso8601(t - 6) == "2020-01-02T03:04:05Z");
  CHECK(format_iso8601(t - 6, Fraction::millis) == "2020-01-02T03:04:05.000Z");
  CHECK(parse_iso8601("2020-01-02T04:04:05.006999+01:00") == t);
  CHECK(parse_iso8601("2020-01-02T02:04:05.006-0100") == t);
  CHECK(format_rfc822(t) == "Thu, 02 Jan 2020 03:04:05 GMT");
  CHECK(parse_rfc822("Thu, 02 Jan 2020 03:04:05.006 GMT") == t);
  CHECK(parse_rfc822("2 Jan 2020 03:04:05 +0000") == t - 6);
  CHECK(format_epoch_seconds(t) == "1577934245.006");
  CHECK(format_epoch_seconds(-1500) == "-1.5");
  CHECK(parse_epoch_seconds("1577934245.006") == t);
  CHECK(parse_epoch_seconds("1.577934245006e9") == t);
  CHECK(format_amz_date(t) == "20200102T030405Z");
  CHECK(parse_amz_date("20200102T030405Z") == t - 6);
  CHECK(parse_iso8601("1969-12-31T23:59:59.999Z") == -1);
  CHECK(format_iso8601(-1) == "1969-12-31T23:59:59.999Z");
  CHECK(format_iso8601(INT64_MAX) == "9999-12-31T23:59:59.999Z");
}

TEST_CASE("timestamps refuse what is no time") {
  for (std::string_view bad :
       {"", "2020", "2020-13-01T00:00:00Z", "2020-02-30T00:00:00Z", "2020-01-01T24:00:00Z",
        "2020-01-01T00:00:00", "2020-01-01T00:00:00.Z"}) {
    CAPTURE(bad);
    CHECK_FALSE(parse_iso8601(bad).has_value());
  }
  CHECK_FALSE(parse_rfc822("Thu, 02 Foo 2020 03:04:05 GMT").has_value());
  CHECK_FALSE(parse_epoch_seconds("1e300").has_value());
  CHECK_FALSE(parse_epoch_seconds("nan").has_value());
  CHECK_FALSE(parse_amz_date("20200102T030405").has_value());
}

TEST_CASE("hashes agree with published digests") {
  CHECK(sha256_hex("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK(hex_encode(md5("abc")) == "900150983cd24fb0d6963f7d28e17f72");
  CHECK(hex_encode(sha1("abc")) == "a9993e364706816aba3e25717850c26c9cd0d89d");
  CHECK(hex_encode(hmac_sha256("Jefe", "what do ya want for nothing?")) ==
        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
  CHECK(crc32("123456789") == 0xcbf43926u);
  CHECK(crc32("6789", crc32("12345")) == 0xcbf43926u);
  Sha256 hash;
  hash.update("a");
  hash.update("bc");
  CHECK(hash.finish_hex() == sha256_hex("abc"));
  CHECK(hash.finish_hex() == sha256_hex(""));
  CHECK(equal_in_constant_time("ab", "ab"));
  CHECK_FALSE(equal_in_constant_time("ab", "ac"));
  CHECK_FALSE(equal_in_constant_time("ab", "a"));
}
