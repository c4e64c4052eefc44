// ListObjects, ListObjectsV2.
#include "services/s3/limits.h"
#include "services/s3/listing.h"
#include "services/s3/names.h"
#include "services/s3/service.h"
#include "wire/text.h"

namespace mayfly::services::s3 {

namespace {

// Keys as the client asked to have them.
class Encoded {
 public:
  static ApiResult<Encoded> of(std::optional<std::string_view> type) {
    if (type && *type != "url")
      return invalid_argument("Invalid Encoding Method specified in Request");
    return Encoded(type.has_value());
  }
  std::string operator()(std::string_view key) const {
    return url_ ? url_encoded(key) : std::string(key);
  }

 private:
  explicit Encoded(bool url) : url_(url) {}
  bool url_;
};

ApiResult<std::vector<model::Object>> contents_of(const Listed& listed, const Encoded& encoded,
                                                  bool with_owner) {
  std::vector<model::Object> out;
  for (const auto& row : listed.rows) {
    auto object = decode_object(row.value, row.key);
    if (!object) return std::unexpected(api_error(object.error()));
    model::Object one;
    one.set_key(encoded(object->key))
        .set_e_tag(etag_text(object->etag))
        .set_size(static_cast<std::int64_t>(object->size))
        .set_last_modified(static_cast<double>(object->modified_ms) / 1000)
        .set_storage_class(object->about.storage_class.empty() ? "STANDARD"
                                                               : object->about.storage_class);
    if (object->checksum.algorithm) {
      one.set_checksum_algorithm({std::string(name_of(*object->checksum.algorithm))});
      one.set_checksum_type(object->checksum.composite ? "COMPOSITE" : "FULL_OBJECT");
    }
    if (with_owner) one.set_owner(model::Owner().set_id(canonical_id(object->owner)));
    out.push_back(std::move(one));
  }
  return out;
}

std::vector<model::CommonPrefix> prefixes_of(const Listed& listed, const Encoded& encoded) {
  std::vector<model::CommonPrefix> out;
  for (const auto& group : listed.groups) out.emplace_back().set_prefix(encoded(group));
  return out;
}

// "g" or "k" and the key, in a form that nobody takes for a key.
std::string token_of(const Listed& listed) {
  return wire::base64url_encode((listed.last_is_group ? "g" : "k") + listed.last);
}

ApiResult<void> read_token(std::string_view token, ListQuery& into) {
  auto text = wire::base64url_decode(token);
  if (!text || text->empty() || (text->front() != 'g' && text->front() != 'k')) {
    return invalid_argument("The continuation token provided is incorrect");
  }
  into.after_group = text->front() == 'g';
  into.after = text->substr(1);
  return {};
}

ListQuery query_of(const Bucket& bucket, std::optional<std::string_view> prefix,
                   std::optional<std::string_view> delimiter, std::size_t most) {
  return {.rows = object_row(bucket.name, ""),
          .prefix = std::string(prefix.value_or("")),
          .delimiter = std::string(delimiter.value_or("")),
          .after = {},
          .most = most};
}

ApiResult<void> check_page(std::optional<std::int64_t> asked) {
  if (asked.value_or(0) >= 0) return {};
  return invalid_argument("Argument maxKeys must be an integer between 0 and 2147483647");
}

}  // namespace

Answer list_objects(Deps deps, api::Call& call, wire::Record input) {
  auto bucket = find_bucket(deps, call, input);
  if (!bucket) co_return std::unexpected(std::move(bucket.error()));
  model::ListObjectsRequest in(std::move(input));
  auto encoded = Encoded::of(in.encoding_type());
  if (!encoded) co_return std::unexpected(std::move(encoded.error()));
  if (auto good = check_page(in.max_keys()); !good) co_return std::unexpected(good.error());
  auto query = query_of(**bucket, in.prefix(), in.delimiter(), page_of(in.max_keys()));
  query.after = in.marker().value_or("");
  // A marker that is a common prefix was the last entry of the page before.
  query.after_group = !query.delimiter.empty() && query.after.ends_with(query.delimiter) &&
                      query.after.size() > query.prefix.size();
  auto listed = list_keys(deps.store, query);
  if (!listed) co_return std::unexpected(api_error(listed.error()));
  auto contents = contents_of(*listed, *encoded, true);
  if (!contents) co_return std::unexpected(std::move(contents.error()));
  model::ListObjectsOutput out;
  out.set_name((*bucket)->name)
      .set_prefix((*encoded)(query.prefix))
      .set_marker((*encoded)(in.marker().value_or("")))
      .set_max_keys(static_cast<std::int64_t>(query.most))
      .set_is_truncated(listed->more)
      .set_contents(*std::move(contents));
  if (in.delimiter()) out.set_delimiter((*encoded)(query.delimiter));
  if (in.encoding_type()) out.set_encoding_type("url");
  if (!listed->groups.empty()) out.set_common_prefixes(prefixes_of(*listed, *encoded));
  // Without a delimiter the last key is the marker, and nobody is told.
  if (listed->more && !query.delimiter.empty()) out.set_next_marker((*encoded)(listed->last));
  co_return std::move(out).take();
}

Answer list_objects_v2(Deps deps, api::Call& call, wire::Record input) {
  auto bucket = find_bucket(deps, call, input);
  if (!bucket) co_return std::unexpected(std::move(bucket.error()));
  model::ListObjectsV2Request in(std::move(input));
  auto encoded = Encoded::of(in.encoding_type());
  if (!encoded) co_return std::unexpected(std::move(encoded.error()));
  if (auto good = check_page(in.max_keys()); !good) co_return std::unexpected(good.error());
  auto query = query_of(**bucket, in.prefix(), in.delimiter(), page_of(in.max_keys()));
  query.after = in.start_after().value_or("");
  if (in.continuation_token()) {
    if (auto good = read_token(*in.continuation_token(), query); !good) {
      co_return std::unexpected(good.error());
    }
  }
  auto listed = list_keys(deps.store, query);
  if (!listed) co_return std::unexpected(api_error(listed.error()));
  auto contents = contents_of(*listed, *encoded, in.fetch_owner().value_or(false));
  if (!contents) co_return std::unexpected(std::move(contents.error()));
  model::ListObjectsV2Output out;
  out.set_name((*bucket)->name)
      .set_prefix((*encoded)(query.prefix))
      .set_max_keys(static_cast<std::int64_t>(query.most))
      .set_key_count(static_cast<std::int64_t>(listed->rows.size() + listed->groups.size()))
      .set_is_truncated(listed->more)
      .set_contents(*std::move(contents));
  if (in.delimiter()) out.set_delimiter((*encoded)(query.delimiter));
  if (in.encoding_type()) out.set_encoding_type("url");
  if (in.start_after()) out.set_start_after((*encoded)(*in.start_after()));
  if (in.continuation_token()) out.set_continuation_token(std::string(*in.continuation_token()));
  if (!listed->groups.empty()) out.set_common_prefixes(prefixes_of(*listed, *encoded));
  if (listed->more) out.set_next_continuation_token(token_of(*listed));
  co_return std::move(out).take();
}

}  // namespace mayfly::services::s3
