// Versions: what is kept, what comes back, and that nothing stays of what is removed for good.
#include "services/s3/versions.h"

#include "services/s3/fixture_test.h"

using namespace mayfly;
using namespace mayfly::services::s3;
using test::Bench;
using test::FakeUpload;

namespace {

void keep_versions(Bench& bench, const char* status = "Enabled") {
  model::VersioningConfiguration configuration;
  configuration.set_status(status);
  bench.done("PutBucketVersioning",
             model::PutBucketVersioningRequest().set_bucket("home").set_versioning_configuration(
                 configuration));
}

std::string put(Bench& bench, const std::string& key, const std::string& bytes) {
  return std::string(bench.put(key, bytes).version_id().value_or("-"));
}

model::GetObjectRequest getting(const std::string& version) {
  return Bench::getting("k").set_version_id(version);
}

std::string get(Bench& bench, const std::string& version) {
  auto answer = bench.call("GetObject", getting(version).take());
  return answer ? bench.body() : answer.error().code;
}

std::string get_current(Bench& bench) {
  auto answer = bench.call("GetObject", Bench::getting("k").take());
  return answer ? bench.body() : answer.error().code;
}

// "VERSION[*]", with a * for a delete marker.
std::string remove(Bench& bench, const std::string& version = "") {
  auto in = model::DeleteObjectRequest().set_bucket("home").set_key("k");
  if (!version.empty()) in.set_version_id(version);
  auto out = bench.ok<model::DeleteObjectOutput>("DeleteObject", std::move(in));
  return std::string(out.version_id().value_or("-")) +
         (out.delete_marker().value_or(false) ? "*" : "");
}

// All versions of the bucket, in pages: "KEY=VERSION[*][!] ", with a ! for the newest.
std::string list(Bench& bench, std::int64_t page = 1000, const std::string& delimiter = "") {
  std::string out;
  std::string key;
  std::string version;
  while (true) {
    auto in = model::ListObjectVersionsRequest().set_bucket("home").set_max_keys(page);
    if (!delimiter.empty()) in.set_delimiter(delimiter);
    if (!key.empty()) in.set_key_marker(key);
    if (!version.empty()) in.set_version_id_marker(version);
    auto answer = bench.ok<model::ListObjectVersionsOutput>("ListObjectVersions", std::move(in));
    for (const auto& one : answer.versions()) {
      out += fmt::format("{}={}{} ", *one.key(), *one.version_id(), *one.is_latest() ? "!" : "");
    }
    for (const auto& one : answer.delete_markers()) {
      out += fmt::format("{}={}*{} ", *one.key(), *one.version_id(), *one.is_latest() ? "!" : "");
    }
    for (const auto& one : answer.common_prefixes()) out += std::string(*one.prefix()) + " ";
    if (!*answer.is_truncated()) return out;
    key = answer.next_key_marker().value_or("");
    version = answer.next_version_id_marker().value_or("");
  }
}

std::size_t left(Bench& bench) {
  bench.settle();
  std::size_t out = bench.files();
  for (const char* rows : {"o/", "v/", "w/", "d/", "f/", "p/", "z/"}) out += bench.rows(rows);
  return out;
}

}  // namespace

TEST_CASE("versions: the order of the rows is the newest first") {
  CHECK(order_of("0000000000000002") < order_of("0000000000000001"));
  CHECK(order_of("0000000000000001") < order_of(""));
  CHECK(version_after("00000000000000ff") == "0000000000000100");
  CHECK(is_version_id("null"));
  CHECK_FALSE(is_version_id("0"));
}

TEST_CASE("versions: each put is kept, a deletion is a marker, and both come back") {
  Bench bench;
  bench.make("home");
  CHECK(put(bench, "k", "before") == "-");
  auto status = bench.ok<model::GetBucketVersioningOutput>(
      "GetBucketVersioning", model::GetBucketVersioningRequest().set_bucket("home"));
  CHECK_FALSE(status.status().has_value());
  keep_versions(bench);
  std::string large(50'000, 'x');
  auto one = put(bench, "k", large);
  // In the same moment, and after a restart.
  bench.restart();
  auto two = put(bench, "k", "two");
  CHECK(one < two);
  CHECK(list(bench) == fmt::format("k={}! k={} k=null ", two, one));
  CHECK(get(bench, "null") == "before");
  CHECK(get(bench, one) == large);
  CHECK(get_current(bench) == "two");
  CHECK(get(bench, "ffffffffffffffff") == "NoSuchVersion");
  CHECK(get(bench, "x") == "InvalidArgument");
  auto marker = remove(bench);
  CHECK(marker.ends_with('*'));
  marker.pop_back();
  auto answer = bench.call("GetObject", Bench::getting("k").take());
  REQUIRE(!answer);
  CHECK(answer.error().code == "NoSuchKey");
  CHECK(std::ranges::find(answer.error().headers,
                          std::pair<std::string, std::string>("x-amz-version-id", marker)) !=
        answer.error().headers.end());
  CHECK(get(bench, marker) == "MethodNotAllowed");
  CHECK(list(bench) == fmt::format("k={} k={} k=null k={}*! ", two, one, marker));
  auto keys = bench.ok<model::ListObjectsV2Output>(
      "ListObjectsV2", model::ListObjectsV2Request().set_bucket("home"));
  CHECK(keys.contents().empty());
  CHECK(bench.code("DeleteBucket", model::DeleteBucketRequest().set_bucket("home")) ==
        "BucketNotEmpty");
  // Without the marker the object is there again.
  CHECK(remove(bench, marker) == marker + "*");
  CHECK(get_current(bench) == "two");
  CHECK(remove(bench, two) == two);
  CHECK(get_current(bench) == large);
  CHECK(remove(bench, "null") == "null");
  CHECK(get_current(bench) == large);
  CHECK(remove(bench, "ffffffffffffffff") == "ffffffffffffffff");
  bench.restart();
  CHECK(list(bench) == fmt::format("k={}! ", one));
  CHECK(remove(bench, one) == one);
  CHECK(left(bench) == 0);
  bench.done("DeleteBucket", model::DeleteBucketRequest().set_bucket("home"));
}

TEST_CASE("versions: while they are suspended there is one null version") {
  Bench bench;
  bench.make("home");
  put(bench, "k", "zero");
  keep_versions(bench);
  auto one = put(bench, "k", "one");
  keep_versions(bench, "Suspended");
  CHECK(put(bench, "k", std::string(50'000, 'x')) == "null");
  CHECK(list(bench) == fmt::format("k=null! k={} ", one));
  CHECK(put(bench, "k", "three") == "null");
  bench.settle();
  CHECK(bench.files() == 0);
  CHECK(remove(bench) == "null*");
  CHECK(list(bench) == fmt::format("k={} k=null*! ", one));
  CHECK(remove(bench) == "null*");
  keep_versions(bench);
  auto four = put(bench, "k", "four");
  CHECK(list(bench) == fmt::format("k={}! k={} k=null* ", four, one));
  keep_versions(bench, "Suspended");
  CHECK(put(bench, "k", "five") == "null");
  CHECK(list(bench) == fmt::format("k=null! k={} k={} ", four, one));
  CHECK(get(bench, "null") == "five");
  for (const auto& version : {one, four, std::string("null")}) remove(bench, version);
  CHECK(left(bench) == 0);
}

TEST_CASE("versions: lists in pages of every size, with delimiters") {
  Bench bench;
  bench.make("home");
  put(bench, "a", "0");
  put(bench, "k", "0");
  keep_versions(bench);
  auto a = put(bench, "a", "1");
  auto b = put(bench, "b/1", "1");
  auto k1 = put(bench, "k", "1");
  auto k2 = put(bench, "k", "2");
  auto k0 = put(bench, "k/0", "1");
  auto all = fmt::format("a={}! a=null b/1={}! k={}! k={} k=null k/0={}! ", a, b, k2, k1, k0);
  for (std::int64_t page : {1, 2, 3, 1000}) CHECK(list(bench, page) == all);
  auto rolled = fmt::format("a={}! a=null b/ k={}! k={} k=null k/ ", a, k2, k1);
  CHECK(list(bench, 1, "/") == rolled);
  auto from = bench.ok<model::ListObjectVersionsOutput>("ListObjectVersions",
                                                        model::ListObjectVersionsRequest()
                                                            .set_bucket("home")
                                                            .set_prefix("k")
                                                            .set_key_marker("k")
                                                            .set_version_id_marker("null"));
  REQUIRE(from.versions().size() == 1);
  CHECK(from.versions()[0].key() == "k/0");
  CHECK(bench.code("ListObjectVersions",
                   model::ListObjectVersionsRequest().set_bucket("home").set_version_id_marker(
                       k1)) == "InvalidArgument");
}

TEST_CASE("versions: many at once, copies of one, conditions, what is told of them") {
  Bench bench;
  bench.make("home");
  keep_versions(bench);
  bench.tell_bus();
  auto one = put(bench, "k", "one");
  auto two = put(bench, "k", std::string(50'000, 'x'));
  auto copy = bench.ok<model::CopyObjectOutput>(
      "CopyObject", model::CopyObjectRequest().set_bucket("home").set_key("k").set_copy_source(
                        "home/k?versionId=" + one));
  CHECK(copy.copy_source_version_id() == one);
  std::string three(*copy.version_id());
  CHECK(get_current(bench) == "one");
  auto marker = remove(bench);
  marker.pop_back();
  bench.settle();
  auto detail = *wire::parse_json(bench.target.taken.back().payload);
  CHECK(detail.string_or("deletion-type") == "Delete Marker Created");
  CHECK(detail.at({"object", "version-id"})->string_value() == marker);
  CHECK(bench.code("CopyObject",
                   model::CopyObjectRequest().set_bucket("home").set_key("c").set_copy_source(
                       "home/k?versionId=" + marker)) == "InvalidRequest");
  bench.upload = std::make_unique<FakeUpload>("new");
  auto put_new =
      bench.ok<model::PutObjectOutput>("PutObject", Bench::object("k").set_if_none_match("*"));
  std::string four(*put_new.version_id());
  // The newest three go in one: what is current then is the one before.
  auto deleted = bench.ok<model::DeleteObjectsOutput>(
      "DeleteObjects",
      model::DeleteObjectsRequest().set_bucket("home").set_delete(model::Delete().set_objects([&] {
        std::vector<model::ObjectIdentifier> all;
        for (const auto& id : {marker, four, three}) {
          all.emplace_back().set_key("k").set_version_id(id);
        }
        return all;
      }())));
  CHECK(deleted.deleted().size() == 3);
  CHECK(get_current(bench) == std::string(50'000, 'x'));
  CHECK(list(bench) == fmt::format("k={}! k={} ", two, one));
  bench.disk.fail_writes_with = Error{ErrorKind::unavailable, "the disk is full", {}};
  CHECK(bench.code("DeleteObject", model::DeleteObjectRequest().set_bucket("home").set_key("k")) ==
        "SlowDown");
  bench.disk.fail_writes_with.reset();
  CHECK(get_current(bench) == std::string(50'000, 'x'));
  remove(bench, one);
  remove(bench, two);
  CHECK(left(bench) == 0);
}

TEST_CASE("versions: a list goes on rightly while what it has listed is removed") {
  Bench bench;
  bench.make("home");
  put(bench, "k", "0");
  keep_versions(bench);
  for (int i = 0; i < 5; ++i) put(bench, "k", "x");
  int pages = 0;
  std::string marker;
  while (true) {
    auto in = model::ListObjectVersionsRequest().set_bucket("home").set_max_keys(2);
    if (!marker.empty()) in.set_key_marker("k").set_version_id_marker(marker);
    auto page = bench.ok<model::ListObjectVersionsOutput>("ListObjectVersions", std::move(in));
    ++pages;
    CHECK(page.versions()[0].is_latest() == true);
    for (const auto& one : page.versions()) remove(bench, std::string(*one.version_id()));
    if (!*page.is_truncated()) break;
    marker = *page.next_version_id_marker();
  }
  CHECK(pages == 3);
  CHECK(left(bench) == 0);
}
