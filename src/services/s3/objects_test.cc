// Buckets and objects: what is put is there, whole, and leaves nothing behind when it goes.
#include "services/s3/fixture_test.h"
#include "wire/text.h"

using namespace mayfly;
using namespace mayfly::services::s3;
using test::Bench;
using test::FakeUpload;

namespace {

std::string bytes_of(std::size_t size) {
  std::string out(size, '\0');
  for (std::size_t i = 0; i < size; ++i) out[i] = static_cast<char>((i * 31 + i / 251) & 0xff);
  return out;
}

std::string md5_etag(const std::string& bytes) {
  return "\"" + wire::hex_encode(digest_of(Algorithm::md5, bytes)) + "\"";
}

model::CreateBucketRequest located(const std::string& bucket, const std::string& where) {
  return model::CreateBucketRequest().set_bucket(bucket).set_create_bucket_configuration(
      model::CreateBucketConfiguration().set_location_constraint(where));
}

}  // namespace

TEST_CASE("digests: check values of each checksum, and of two strings in a row") {
  auto hex = [](Algorithm algorithm) {
    return wire::hex_encode(digest_of(algorithm, "123456789"));
  };
  CHECK(hex(Algorithm::crc32) == "cbf43926");
  CHECK(hex(Algorithm::crc32c) == "e3069283");
  CHECK(hex(Algorithm::crc64nvme) == "ae8b14860a799888");
  CHECK(hex(Algorithm::sha1) == "f7c3bc1d808e04732adf679965ccc34ca7ae3441");
  auto all = bytes_of(100'003);
  for (auto algorithm : {Algorithm::crc32, Algorithm::crc32c, Algorithm::crc64nvme}) {
    auto first = all.substr(0, 77'777);
    auto second = all.substr(77'777);
    CHECK(combine_crc(algorithm, digest_of(algorithm, first), digest_of(algorithm, second),
                      second.size()) == digest_of(algorithm, all));
  }
}

TEST_CASE("buckets: names are one space, and an owner may ask again in the first region alone") {
  Bench bench;
  bench.make("home");
  bench.make("home");
  bench.account = AccountId("999999999999");
  CHECK(bench.code("CreateBucket", model::CreateBucketRequest().set_bucket("home")) ==
        "BucketAlreadyExists");
  bench.account = AccountId("123456789012");
  bench.region = Region("eu-west-1");
  CHECK(bench.code("CreateBucket", model::CreateBucketRequest().set_bucket("far")) ==
        "IllegalLocationConstraintException");
  CHECK(bench.code("CreateBucket", located("far", "eu-west-1")) == "(success)");
  CHECK(bench.code("CreateBucket", located("far", "eu-west-1")) == "BucketAlreadyOwnedByYou");
  auto where = bench.ok<model::GetBucketLocationOutput>(
      "GetBucketLocation", model::GetBucketLocationRequest().set_bucket("far"));
  CHECK(where.location_constraint() == "eu-west-1");
  auto head = bench.ok<model::HeadBucketOutput>("HeadBucket",
                                                model::HeadBucketRequest().set_bucket("home"));
  CHECK(head.bucket_region() == "us-east-1");
  for (const char* name :
       {"ab", "Home", "a..b", "192.168.0.1", "-ab", "xn--a", "a_b", "b-s3alias"}) {
    CHECK(bench.code("CreateBucket", model::CreateBucketRequest().set_bucket(name)) ==
          "InvalidBucketName");
  }
  auto list = bench.ok<model::ListBucketsOutput>("ListBuckets",
                                                 model::ListBucketsRequest().set_max_buckets(1));
  REQUIRE(list.buckets().size() == 1);
  CHECK(list.buckets()[0].name() == "far");
  list = bench.ok<model::ListBucketsOutput>(
      "ListBuckets",
      model::ListBucketsRequest().set_continuation_token(std::string(*list.continuation_token())));
  REQUIRE(list.buckets().size() == 1);
  CHECK(list.buckets()[0].name() == "home");
}

TEST_CASE("buckets: one with objects is not deleted; another account's is denied") {
  Bench bench;
  bench.make("home");
  bench.put("a", "1");
  model::DeleteBucketRequest gone;
  gone.set_bucket("home");
  CHECK(bench.code("DeleteBucket", model::DeleteBucketRequest().set_bucket("home")) ==
        "BucketNotEmpty");
  bench.account = AccountId("999999999999");
  CHECK(bench.code("GetObject", Bench::getting("a")) == "AccessDenied");
  bench.account = AccountId("123456789012");
  bench.done("DeleteObject", model::DeleteObjectRequest().set_bucket("home").set_key("a"));
  bench.done("DeleteBucket", model::DeleteBucketRequest().set_bucket("home"));
  CHECK(bench.code("GetObject", Bench::getting("a")) == "NoSuchBucket");
  CHECK(bench.rows("d/") == 0);
}

TEST_CASE("objects: of every size they come back, also after a restart") {
  Bench bench;
  bench.make("home");
  for (std::size_t size :
       {std::size_t{0}, std::size_t{1}, limits::object_row_bytes, limits::object_row_bytes + 1,
        limits::object_block_bytes, limits::object_block_bytes * 2 + 7}) {
    auto bytes = bytes_of(size);
    auto out = bench.put("k", bytes);
    CHECK(out.e_tag() == md5_etag(bytes));
    CHECK(out.checksum_crc64_nvme() == wire::base64_encode(digest_of(Algorithm::crc64nvme, bytes)));
    CHECK(bench.get("k") == bytes);
    CHECK(bench.stream_bytes == size);
    bench.restart();
    CHECK(bench.get("k") == bytes);
    bench.settle();
    // What was there before has gone.
    CHECK(bench.files() == (size > limits::object_row_bytes ? 1 : 0));
    CHECK(bench.rows("f/") == bench.files());
    CHECK(bench.rows("z/") == 0);
  }
  bench.done("DeleteObject", model::DeleteObjectRequest().set_bucket("home").set_key("k"));
  bench.settle();
  CHECK(bench.files() == 0);
  CHECK(bench.rows("o/") + bench.rows("d/") + bench.rows("f/") + bench.rows("z/") == 0);
  CHECK(bench.code("GetObject", Bench::getting("k")) == "NoSuchKey");
}

TEST_CASE("objects: what is being read is read to its end, though it is overwritten") {
  Bench bench;
  bench.make("home");
  auto before = bytes_of(limits::object_block_bytes * 3);
  bench.put("k", before);
  bench.ok<model::GetObjectOutput>("GetObject", Bench::getting("k"));
  auto reading = std::move(bench.stream);
  bench.put("k", bytes_of(100'000));
  bench.settle();
  CHECK(bench.files() == 2);
  bench.stream = std::move(reading);
  CHECK(bench.body() == before);
  bench.stream.reset();
  bench.settle();
  CHECK(bench.files() == 1);
}

TEST_CASE("objects: an upload that breaks off or is not what was said leaves nothing") {
  Bench bench;
  bench.make("home");
  bench.upload = std::make_unique<FakeUpload>(bytes_of(2'000'000));
  bench.upload->breaks_at = 1'200'000;
  CHECK(bench.code("PutObject", Bench::object("k")) == "IncompleteBody");
  bench.upload = std::make_unique<FakeUpload>(bytes_of(50'000));
  CHECK(bench.code("PutObject", Bench::object("k").set_content_md5(wire::base64_encode(
                                    digest_of(Algorithm::md5, "other")))) == "BadDigest");
  CHECK(bench.code("PutObject", Bench::object("k").set_content_md5("short")) == "InvalidDigest");
  bench.upload = std::make_unique<FakeUpload>("hello");
  CHECK(bench.error("PutObject", Bench::object("k").set_checksum_crc32("AAAAAA==")) ==
        "BadDigest: The CRC32 you specified did not match the calculated checksum.");
  bench.upload = std::make_unique<FakeUpload>(
      bytes_of(50'000), wire::Pairs{{"x-amz-checksum-sha256", std::string(43, 'A') + "="}});
  CHECK(bench.code("PutObject", Bench::object("k")) == "BadDigest");
  bench.settle();
  CHECK(bench.files() == 0);
  auto bytes = bytes_of(50'000);
  auto sum = wire::base64_encode(digest_of(Algorithm::crc32c, bytes));
  bench.upload = std::make_unique<FakeUpload>(bytes, wire::Pairs{{"x-amz-checksum-crc32c", sum}});
  auto out = bench.ok<model::PutObjectOutput>("PutObject", Bench::object("k"));
  CHECK(out.checksum_crc32_c() == sum);
  CHECK(bench.get("k") == bytes);
}

TEST_CASE("objects: a failed commit changes nothing and keeps no file") {
  Bench bench;
  bench.make("home");
  bench.put("k", "before");
  bench.disk.fail_writes_with = Error{ErrorKind::unavailable, "the disk is full", {}};
  bench.upload = std::make_unique<FakeUpload>(bytes_of(50'000));
  CHECK(bench.code("PutObject", Bench::object("k")) == "SlowDown");
  bench.disk.fail_writes_with.reset();
  bench.settle();
  CHECK(bench.files() == 0);
  CHECK(bench.get("k") == "before");
}

TEST_CASE("objects: conditions of writers and readers") {
  Bench bench;
  bench.make("home");
  bench.upload = std::make_unique<FakeUpload>("one");
  bench.done("PutObject", Bench::object("k").set_if_none_match("*"));
  bench.upload = std::make_unique<FakeUpload>("two");
  CHECK(bench.code("PutObject", Bench::object("k").set_if_none_match("*")) == "PreconditionFailed");
  CHECK(bench.code("PutObject", Bench::object("k").set_if_match("\"x\"")) == "PreconditionFailed");
  CHECK(bench.code("PutObject", Bench::object("none").set_if_match("\"x\"")) == "NoSuchKey");
  CHECK(bench.get("k") == "one");
  auto etag = md5_etag("one");
  CHECK(bench.code("GetObject", Bench::getting("k").set_if_none_match(etag)) == "NotModified");
  CHECK(bench.code("GetObject", Bench::getting("k").set_if_match("\"x\"")) == "PreconditionFailed");
  double later = 1'767'225'600 + 100;
  CHECK(bench.code("GetObject", Bench::getting("k").set_if_modified_since(later)) == "NotModified");
  // The entity tag decides where both are given.
  CHECK(bench.code("GetObject", Bench::getting("k").set_if_match(etag).set_if_unmodified_since(
                                    1)) == "(success)");
}

TEST_CASE("objects: ranges") {
  Bench bench;
  bench.make("home");
  bench.put("k", "0123456789");
  auto range = [&](const std::string& text) {
    auto out = bench.ok<model::GetObjectOutput>("GetObject", Bench::getting("k").set_range(text));
    return bench.body() + " " + std::string(out.content_range().value_or("-"));
  };
  CHECK(range("bytes=2-4") == "234 bytes 2-4/10");
  CHECK(range("bytes=7-") == "789 bytes 7-9/10");
  CHECK(range("bytes=-3") == "789 bytes 7-9/10");
  CHECK(range("bytes=5-99") == "56789 bytes 5-9/10");
  CHECK(range("bytes=0-1,3-4") == "0123456789 -");
  CHECK(range("lines=1-2") == "0123456789 -");
  CHECK(bench.code("GetObject", Bench::getting("k").set_range("bytes=10-")) == "InvalidRange");
  CHECK(bench.code("GetObject", Bench::getting("k").set_range("bytes=-0")) == "InvalidRange");
}

TEST_CASE("objects: copies, with what is said of them") {
  Bench bench;
  bench.make("home");
  bench.upload = std::make_unique<FakeUpload>(bytes_of(40'000));
  bench.done("PutObject",
             Bench::object("a b").set_content_type("text/x").set_metadata({{"Color", "red"}}));
  auto copying = [](const std::string& to) {
    return model::CopyObjectRequest().set_bucket("home").set_key(to).set_copy_source("home/a%20b");
  };
  bench.done("CopyObject", copying("c"));
  auto head = bench.ok<model::HeadObjectOutput>(
      "HeadObject", model::HeadObjectRequest().set_bucket("home").set_key("c"));
  CHECK(head.content_type() == "text/x");
  REQUIRE(head.metadata().size() == 1);
  CHECK(head.metadata()[0].first == "color");
  CHECK(bench.code("CopyObject", copying("a b")) == "InvalidRequest");
  bench.done("CopyObject", copying("a b").set_metadata_directive("REPLACE").set_content_type("y"));
  // Each has a file of its own.
  bench.done("DeleteObject", model::DeleteObjectRequest().set_bucket("home").set_key("a b"));
  bench.settle();
  CHECK(bench.files() == 1);
  CHECK(bench.get("c") == bytes_of(40'000));
}

TEST_CASE("lists: prefixes, delimiters, pages") {
  Bench bench;
  bench.make("home");
  for (const char* key : {"a", "b/1", "b/2", "b/c/3", "c", "d/4"}) bench.put(key, "x");
  std::string token;
  std::string seen;
  do {
    auto in = model::ListObjectsV2Request().set_bucket("home").set_delimiter("/").set_max_keys(1);
    if (!token.empty()) in.set_continuation_token(token);
    auto out = bench.ok<model::ListObjectsV2Output>("ListObjectsV2", std::move(in));
    for (const auto& one : out.contents()) seen += std::string(*one.key()) + " ";
    for (const auto& one : out.common_prefixes()) seen += std::string(*one.prefix()) + " ";
    token = out.next_continuation_token().value_or("");
  } while (!token.empty());
  CHECK(seen == "a b/ c d/ ");
  auto out = bench.ok<model::ListObjectsOutput>(
      "ListObjects",
      model::ListObjectsRequest().set_bucket("home").set_prefix("b/").set_delimiter("/"));
  CHECK(out.contents().size() == 2);
  REQUIRE(out.common_prefixes().size() == 1);
  CHECK(out.common_prefixes()[0].prefix() == "b/c/");
  auto deleted = bench.ok<model::DeleteObjectsOutput>(
      "DeleteObjects",
      model::DeleteObjectsRequest().set_bucket("home").set_delete(model::Delete().set_objects([] {
        std::vector<model::ObjectIdentifier> all;
        for (const char* key : {"a", "b/1", "absent"}) all.emplace_back().set_key(key);
        return all;
      }())));
  CHECK(deleted.deleted().size() == 3);
  CHECK(bench.rows("o/home/") == 4);
}
