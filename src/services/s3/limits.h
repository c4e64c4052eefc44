// Limits of the object store (S3 user guide: "Amazon S3 multipart upload limits", "Naming Amazon S3
// objects", "Bucket quotas", "Uploading objects"; API reference).
#pragma once

#include "base/limits.h"

namespace mayfly::limits {

inline constexpr std::size_t bucket_name_min = 3;
inline constexpr std::size_t bucket_name_max = 63;
inline constexpr std::size_t buckets = 10'000;  // of an account
inline constexpr std::size_t object_key_bytes = 1024;
inline constexpr std::size_t object_metadata_bytes = 2 * kib;  // names and values of x-amz-meta-
inline constexpr std::uint64_t object_upload_bytes = 5ull * 1024 * mib;  // by one request
inline constexpr std::uint64_t object_bytes = 50ull * 1024 * 1024 * mib;
inline constexpr std::uint64_t object_part_bytes_min = 5 * mib;  // each part but the last
inline constexpr int object_parts = 10'000;
inline constexpr std::size_t object_page = 1000;     // of every list
inline constexpr std::size_t object_deletes = 1000;  // of one DeleteObjects
inline constexpr std::size_t object_tags = 10;
inline constexpr std::size_t object_tag_key_length = 128;    // characters
inline constexpr std::size_t object_tag_value_length = 256;  // characters
inline constexpr std::size_t bucket_tags = 50;
inline constexpr std::size_t bucket_policy_bytes = 20 * kib;
inline constexpr std::size_t bucket_cors_rules = 100;
inline constexpr std::size_t notification_rules = 100;  // of a bucket
inline constexpr std::size_t notification_id_length = 255;

// Ours. Values up to this are rows of the database, larger ones files.
inline constexpr std::size_t object_row_bytes = 16 * kib;
// What one turn of a worker hashes and writes, or reads.
inline constexpr std::size_t object_block_bytes = 512 * kib;
// Notifications: deliveries at a time, that wait at the most, and how long one is tried.
inline constexpr std::size_t notifications_at_once = 64;
inline constexpr std::size_t notifications_waiting = 1'000'000;
inline constexpr auto notification_backoff_first = 1s;  // doubled …
inline constexpr auto notification_backoff_max = 5min;  // … up to this
inline constexpr auto notification_age_max = std::chrono::hours(24);

}  // namespace mayfly::limits
