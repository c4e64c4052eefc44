// Every limit of the server, named in one place; relations are checked at compile time.
// Limits of a cloud's API that the model states (lengths, ranges) live in the generated validators.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace mayfly::limits {

using namespace std::chrono_literals;

inline constexpr std::size_t kib = 1024;
inline constexpr std::size_t mib = 1024 * kib;

// front/: one HTTP exchange.
inline constexpr std::size_t http_head_bytes = 32 * kib;
inline constexpr std::size_t http_header_count = 128;
inline constexpr std::size_t http_target_bytes = 16 * kib;
// A zip of 50 MiB travels as base64 inside JSON (4/3) with room for the other members.
inline constexpr std::size_t http_body_bytes = 72 * mib;
// All bodies in memory at one time, over all connections.
inline constexpr std::size_t http_bodies_total_bytes = 1024 * mib;
inline constexpr std::size_t http_connections = 12'000;
inline constexpr auto http_head_time = 10s;       // first byte of a head to its last
inline constexpr auto http_body_idle_time = 20s;  // between two reads of a body
// The slowest body that is waited for, over its whole length.
inline constexpr std::size_t http_body_bytes_per_second = 32 * kib;
// Bodies that name the operation (query protocol) and must be read before it is known.
// A queue's message of 1 MiB has up to three bytes for each of its own.
inline constexpr std::size_t http_form_bytes = 4 * mib;
inline constexpr auto http_write_idle_time = 30s;
// Of a streamed answer: written and not yet sent, in the system's buffers.
inline constexpr std::size_t stream_unsent_bytes = 128 * kib;
inline constexpr auto http_keep_alive_time = 75s;
inline constexpr auto shutdown_grace = 15s;  // SIGTERM: finish what runs

// Lambda quotas (AWS Lambda Developer Guide, "Lambda quotas").
inline constexpr std::size_t invoke_sync_payload_bytes = 6 * mib;
inline constexpr std::size_t invoke_async_payload_bytes = 1 * mib;
inline constexpr std::size_t invoke_response_slack_bytes = 100;  // the runtime API's allowance
inline constexpr std::size_t invoke_log_tail_bytes = 4 * kib;
// A streamed answer, all of it (Developer Guide, "Response streaming").
inline constexpr std::size_t stream_response_bytes = 200 * mib;
// Of it, what lies between a function and its client: twice this, and what one read brings.
inline constexpr std::size_t stream_window_bytes = 64 * kib;
// Status, headers and cookies ahead of a streamed body; heads of HTTP are no longer either.
inline constexpr std::size_t stream_prelude_bytes = 64 * kib;
inline constexpr std::size_t client_context_bytes = 3583;
inline constexpr std::size_t package_zip_bytes = 50 * mib;        // sent in the request
inline constexpr std::size_t package_unzipped_bytes = 250 * mib;  // function and layers together
inline constexpr std::size_t package_entries = 100'000;
// Container images (developer guide, "Lambda quotas": 10 GB uncompressed, all layers together); the
// rest are ours, far beyond what images have.
inline constexpr std::uint64_t image_bytes = std::uint64_t{10} * 1024 * mib;
inline constexpr std::size_t image_entries = 2'000'000;
inline constexpr std::size_t image_layers = 1'000;
inline constexpr std::size_t image_document_bytes = 4 * mib;  // manifest, config
inline constexpr std::size_t image_name_bytes = 1'024;
inline constexpr std::size_t environment_bytes = 4 * kib;
inline constexpr int layers_per_function = 5;
inline constexpr int memory_min_mb = 128;
inline constexpr int memory_max_mb = 10'240;
inline constexpr int memory_mb_per_vcpu = 1'769;
inline constexpr int timeout_max_seconds = 900;
// Lambda Managed Instances: developer guide, and the API model's bounds.
inline constexpr int managed_memory_min_mb = 2'048;
inline constexpr int managed_memory_max_mb = 32'768;
inline constexpr int managed_timeout_max_seconds = 5'400;  // of events; who waits gets 900
inline constexpr int max_concurrency_per_environment = 1'600;
inline constexpr int capacity_provider_vcpus_default = 400;
inline constexpr int tmp_min_mb = 512;
inline constexpr int tmp_max_mb = 10'240;
inline constexpr int instance_fds = 1024;
inline constexpr int instance_processes = 1024;
// The same for functions with MAYFLY_UNBOUND=on (docs/reference/limits.md): the machine's bounds,
// and what a message, a process's environment or a disk can bear. Memory and /tmp: the machine's
// memory.
inline constexpr std::size_t unbound_sync_payload_bytes = 64 * mib;
inline constexpr std::size_t unbound_async_payload_bytes = 16 * mib;
inline constexpr std::size_t unbound_unzipped_bytes = 10'240 * mib;  // as container images
inline constexpr std::size_t unbound_environment_bytes = 1 * mib;  // execve(2): a quarter of 8 MiB
inline constexpr std::size_t unbound_variable_bytes = 128 * kib - 1;  // … MAX_ARG_STRLEN
inline constexpr int unbound_layers_per_function = 50;
inline constexpr int unbound_timeout_max_seconds = 30 * 24 * 3600;
inline constexpr int unbound_instance_fds = 65'536;
inline constexpr int unbound_instance_processes = 16'384;
inline constexpr auto init_time = 10s;
// SnapStart (developer guide, "runtime hooks"): the init before a snapshot takes at most this, or
// the function's timeout where that is longer; a restore with its hooks takes at most restore_time.
inline constexpr auto snapshot_init_time_min = 130s;
inline constexpr auto restore_time = 10s;
inline constexpr int snap_start_tmp_max_mb = 512;
// The HTTP Runtime API of one instance. A runtime keeps one or two connections; the error cause
// for X-Ray, up to 1 MiB of JSON, travels in a header.
inline constexpr std::size_t runtime_api_connections = 32;
inline constexpr std::size_t runtime_api_head_bytes = 1 * mib + 32 * kib;
// Extensions of one environment; what a shutdown may take with external ones and with internal ones
// alone, and the runtime's share of it (developer guide, "Lambda Extensions API").
inline constexpr std::size_t extensions_max = 10;
inline constexpr auto shutdown_with_external = 2000ms;
inline constexpr auto shutdown_with_internal = 500ms;
inline constexpr int shutdown_runtime_percent = 30;
inline constexpr int account_concurrency = 1000;
inline constexpr int account_concurrency_unreserved_min = 100;
// Requests per second of an account, and of a function with reserved concurrency, for each unit of
// concurrency (developer guide, "Lambda quotas").
inline constexpr int requests_per_concurrency = 10;
// New environments of one function in this time, coming back continuously (developer guide,
// "Lambda scaling behavior").
inline constexpr int scaling_environments = 1000;
inline constexpr auto scaling_period = 10s;
// Environments of a function with tenant isolation, at work or idle, for every 1,000 units of its
// concurrency (developer guide, "Troubleshooting tenant isolation").
inline constexpr int tenant_environments_per_1000 = 2500;
// invoke/: callers that wait for environments to start, of all functions and, while the machine has
// no room for further ones, of one; and for how long.
inline constexpr std::size_t waiting_callers = 10'000;
inline constexpr std::size_t waiting_callers_held_back = 100;
inline constexpr auto start_wait = 30s;
inline constexpr int async_retries = 2;
inline constexpr auto async_retry_first = 60s;
inline constexpr auto async_retry_second = 120s;
inline constexpr auto async_backoff_first = 1s;  // throttles and system errors, doubled …
inline constexpr auto async_backoff_max = 5min;  // … up to this
inline constexpr auto async_max_age = 6h;

// Invocations of one function in one chain of requests (developer guide, "recursive loop
// detection").
inline constexpr int recursive_invocations = 16;

// An environment takes no further event after this time, so that it is made anew with fresh
// credentials, however steadily it is called (the cloud does the same, without saying when).
inline constexpr auto environment_life = 6h;
// Credentials of a function role, made for each environment.
inline constexpr auto role_credentials_lifetime = 12h;
static_assert(role_credentials_lifetime > environment_life + 1h,
              "the last call ends before they do");

// The clock of a server in dev mode: one step, and the last time it moves to, so that all times
// stay within what formats and 64 bits of nanoseconds hold.
inline constexpr auto clock_advance_max = std::chrono::hours(24 * 3650);
inline constexpr std::chrono::sys_time<std::chrono::nanoseconds> clock_latest{
    std::chrono::sys_days{std::chrono::year{2200} / 1 / 1}};

// SigV4.
inline constexpr auto signature_window = 15min;

// CloudWatch Logs quotas (Logs user guide and API model).
inline constexpr std::size_t log_event_bytes = 1 * mib;
inline constexpr std::size_t log_batch_bytes = 1 * mib;
inline constexpr std::size_t log_batch_events = 10'000;
inline constexpr std::size_t log_event_overhead_bytes = 26;
inline constexpr auto log_event_oldest = std::chrono::hours(24 * 14);
inline constexpr auto log_event_newest = std::chrono::hours(2);
// Disk kept for all log groups together; the oldest events go first.
inline constexpr std::uint64_t logs_total_bytes = 2048ull * mib;
// One instance may hand over this much log text per second before lines are dropped (and counted).
inline constexpr std::size_t instance_log_bytes_per_second = 8 * mib;

// SQS quotas (SQS developer guide, "Amazon SQS quotas", and the API reference).
inline constexpr std::size_t sqs_message_bytes = 1 * mib;  // with attributes; also a batch's sum
inline constexpr std::size_t sqs_message_bytes_min = 1 * kib;  // of MaximumMessageSize
inline constexpr std::size_t sqs_batch_entries = 10;
inline constexpr std::size_t sqs_message_attributes = 10;
inline constexpr std::size_t sqs_name_length = 80;
inline constexpr std::size_t sqs_id_length = 128;  // groups and deduplication
inline constexpr auto sqs_delay_max = 15min;
inline constexpr auto sqs_visibility_max = 12h;
inline constexpr auto sqs_visibility_default = 30s;
inline constexpr auto sqs_wait_max = 20s;
inline constexpr auto sqs_retention_min = 1min;
inline constexpr auto sqs_retention_default = std::chrono::hours(24 * 4);
inline constexpr auto sqs_retention_max = std::chrono::hours(24 * 14);
inline constexpr auto sqs_deduplication_time = 5min;
inline constexpr std::size_t sqs_in_flight = 120'000;  // of one queue
inline constexpr std::size_t sqs_tags = 50;
inline constexpr std::size_t sqs_page = 1000;
inline constexpr std::size_t sqs_policy_statements = 20;
inline constexpr int sqs_receives_max = 1000;           // maxReceiveCount
inline constexpr std::size_t sqs_redrive_sources = 10;  // of byQueue
inline constexpr auto sqs_purge_time = 60s;
inline constexpr int sqs_moves_per_second = 500;
inline constexpr std::size_t sqs_moves_listed = 10;
// Messages of a standard queue that are known in memory and wait; further ones are known by their
// number alone, and read from the store when these are few.
inline constexpr std::size_t sqs_window = 20'000;

// EventBridge Scheduler (user guide, "Quotas" and "Managing a schedule"; API reference).
inline constexpr std::size_t schedule_groups = 500;  // of an account and region
inline constexpr std::size_t schedule_page = 100;
inline constexpr std::size_t schedule_tags = 50;  // of a group
inline constexpr std::size_t schedule_input_bytes = 256 * kib;
inline constexpr auto schedule_event_age_default = 24h;
inline constexpr int schedule_retries_default = 185;
inline constexpr auto schedule_start_oldest = 5min;  // StartDate, before now
// Ours. A run is missed from this age on: the cloud's precision.
inline constexpr auto schedule_late = 60s;
inline constexpr auto schedule_backoff_first = 1s;      // doubled …
inline constexpr auto schedule_backoff_max = 8min;      // … up to this: 185 of them fit in a day
inline constexpr std::size_t schedule_flying = 256;     // runs on their way to targets at a time
inline constexpr std::size_t schedule_history = 20;     // runs of a schedule that are remembered
inline constexpr std::size_t schedule_scan = 10'000;    // schedules looked at for one page
inline constexpr std::size_t schedule_tokens = 10'000;  // of deletions, remembered
// SNS quotas (SNS developer guide, "Amazon SNS quotas" and "Filter policy constraints").
inline constexpr std::size_t sns_message_bytes = 256 * kib;  // with attributes; also a batch's sum
inline constexpr std::size_t sns_batch_entries = 10;
inline constexpr std::size_t sns_name_length = 256;
inline constexpr std::size_t sns_subject_length = 100;
inline constexpr std::size_t sns_display_name_length = 100;
inline constexpr std::size_t sns_id_length = 128;          // groups and deduplication
inline constexpr std::size_t sns_raw_attributes = 10;      // raw delivery to queues
inline constexpr std::size_t sns_topics = 100'000;         // of an account in a region …
inline constexpr std::size_t sns_fifo_topics = 1'000;      // … and of those with order
inline constexpr std::size_t sns_subscriptions = 100'000;  // of a topic; ours
inline constexpr std::size_t sns_fifo_subscriptions = 100;
inline constexpr std::size_t sns_filters = 200;  // of a topic
inline constexpr std::size_t sns_filter_bytes = 256 * kib;
inline constexpr std::size_t sns_filter_keys = 5;
inline constexpr std::size_t sns_filter_combinations = 150;
inline constexpr double sns_filter_number = 1e9;  // either side of zero
inline constexpr std::size_t sns_tags = 50;
inline constexpr std::size_t sns_page = 100;
inline constexpr std::size_t sns_policy_bytes = 30 * kib;
inline constexpr std::size_t sns_policy_statements = 100;
inline constexpr std::size_t sns_endpoint_bytes = 2 * kib;
inline constexpr auto sns_deduplication_time = 5min;
inline constexpr auto sns_confirmation_time = std::chrono::hours(48);
inline constexpr auto sns_http_time = 15s;              // one attempt of a delivery
inline constexpr std::size_t sns_http_at_once = 1'000;  // exchanges, of all subscriptions
// Retries of deliveries by HTTP (developer guide, "Creating an HTTP/S delivery policy").
inline constexpr int sns_http_retries = 100;
inline constexpr int sns_http_delay_seconds = 3'600;  // one delay, and all of a policy together
// Deliveries of one subscription under way at a time, and of all topics not yet done; further
// messages are refused then. Messages kept in memory for deliveries that wait; others are read from
// the store when it is their turn.
inline constexpr std::size_t sns_deliveries_at_once = 64;
inline constexpr std::size_t sns_deliveries = 1'000'000;
inline constexpr std::size_t sns_cached_bytes = 64 * mib;

// Requests that the server makes itself (io/http_client.h): of an answer's body, unless the caller
// says otherwise, and resolutions of names at a time, since one that hangs holds a worker.
inline constexpr std::size_t client_answer_bytes = 64 * kib;
inline constexpr std::size_t client_resolutions = 2;

// Event source mappings of queues (Lambda developer guide, "Using Lambda with Amazon SQS").
inline constexpr std::size_t mapping_batches_first = 5;          // in flight at first …
inline constexpr std::int64_t mapping_batches_per_minute = 300;  // … and so many more a minute
inline constexpr std::size_t mapping_batches_max = 1250;
inline constexpr std::size_t mapping_filters = 5;
inline constexpr int mapping_fifo_items = 10;     // of a batch; of others without a window
inline constexpr int mapping_pollers_min = 200;   // MinimumPollers at the most …
inline constexpr int mapping_pollers_max = 2000;  // … and MaximumPollers
inline constexpr std::int64_t mapping_provisioned_per_minute = 1000;
inline constexpr int mapping_poller_batches = 10;  // in flight, of one poller of provisioned mode
// Flow control: what waits for its turn, of a mapping, of a pipe, of a function's events. Of its
// events none but their keys are in memory.
inline constexpr std::size_t flow_held_items = 10'000;
inline constexpr std::size_t flow_held_bytes = 64 * mib;
inline constexpr std::size_t flow_key_bytes = 256;  // longer keys are known by their hashes
inline constexpr int flow_concurrency_max = 1000;
inline constexpr int flow_rate_max = 1'000'000;      // of a throttle, in its period
inline constexpr auto flow_period_max = 7 * 24h;     // of throttles and debounces
inline constexpr int breaker_failures_max = 10'000;  // that open it
inline constexpr auto breaker_time_max = 24h;        // its window, and how long it is open
inline constexpr int breaker_probes_max = 100;
inline constexpr std::size_t dead_letter_error_bytes = 1024;  // of the attribute ErrorMessage
inline constexpr std::size_t once_staged_messages =
    1000;  // sends of one invocation, kept until it ends
inline constexpr std::size_t once_staged_bytes = 16 * mib;
inline constexpr auto once_remembered = 24h;

// EventBridge (user guide, "Amazon EventBridge quotas", and the API reference; an entry may have
// 1 MiB since January 2026).
inline constexpr std::size_t events_put_entries = 10;
inline constexpr std::size_t events_put_bytes = 1 * mib;  // of a call's entries together
inline constexpr int events_detail_depth = 1100;
inline constexpr std::size_t events_pattern_bytes = 4096;
inline constexpr int events_pattern_depth = 64;
inline constexpr std::size_t events_pattern_rules = 1000;         // values and operators
inline constexpr std::size_t events_pattern_combinations = 1000;  // of $or, multiplied out
inline constexpr std::size_t events_pattern_stars = 32;           // of one wildcard
inline constexpr std::size_t events_buses = 100;                  // of an account and region
// The cloud begins with 300 and raises it.
inline constexpr std::size_t events_rules = 20'000;  // of a bus
inline constexpr std::size_t events_targets = 5;     // of a rule
inline constexpr std::size_t events_tags = 50;
inline constexpr std::size_t events_page = 100;
inline constexpr std::size_t events_policy_bytes = 10'240;
inline constexpr std::size_t events_template_paths = 100;
inline constexpr int events_retry_attempts = 185;
inline constexpr auto events_retry_age = std::chrono::hours(24);
inline constexpr auto events_retry_first = 1s;
inline constexpr auto events_retry_last = 8min;
inline constexpr int events_hops = 16;                         // from bus to bus
inline constexpr std::size_t events_pushes = 256;              // under way at one time
inline constexpr std::size_t events_waiting_bytes = 64 * mib;  // of events kept in memory
inline constexpr std::size_t events_archives = 100;
inline constexpr std::size_t events_replays = 10;  // under way
inline constexpr std::size_t events_replay_page = 100;
inline constexpr std::size_t events_connections = 3000;
inline constexpr std::size_t events_api_destinations = 3000;
inline constexpr std::int64_t events_api_rate = 300;  // a second
inline constexpr auto events_api_time = 5s;
// Before its end an OAuth token is made anew.
inline constexpr auto events_token_margin = 60s;

// EventBridge Pipes (user guide, "Amazon EventBridge Pipes quotas").
inline constexpr std::size_t pipes_per_account = 1000;
inline constexpr std::size_t pipes_filters = 5;
inline constexpr std::size_t pipes_batch_items = 10'000;
inline constexpr std::size_t pipes_batch_bytes = 6 * mib;
inline constexpr std::int64_t pipes_window_seconds = 300;
inline constexpr std::size_t pipes_batches_max = 1250;

// sandbox/: jails of one launcher at a time, and its messages.
inline constexpr std::size_t sandbox_jails = 4096;
inline constexpr std::size_t sandbox_listeners = 16;            // per jail
inline constexpr std::size_t sandbox_binds = 64;                // per jail
inline constexpr std::size_t sandbox_message_bytes = 64 * kib;  // larger ones travel in a memfd
inline constexpr std::size_t sandbox_spec_bytes = 16 * mib;
inline constexpr int spare_environments_max = 64;  // of one function, ahead of demand
inline constexpr std::size_t sandbox_spares = 4;   // jails parked ahead of demand
// Programs executed ahead of their start: of so many, in so many jails, so long after the last one.
inline constexpr std::size_t sandbox_poised_programs = 8;
inline constexpr std::size_t sandbox_poised = 2;
inline constexpr auto sandbox_poised_time = 60s;

static_assert(package_zip_bytes / 3 * 4 < http_body_bytes, "a full zip fits a request");
// A line is in the store, and so visible, this long after it was written.
inline constexpr auto log_flush_time = 50ms;
// Log text in memory that waits for the disk, over all instances; lines beyond are dropped.
inline constexpr std::size_t log_pending_bytes = 64 * mib;
// One commit of the flusher: what other writers of the log database wait for.
inline constexpr std::size_t log_flush_bytes = 4 * mib;
inline constexpr auto log_retention_check_time = 1h;
// FilterLogEvents and GetLogEvents: events and text per page (CloudWatch Logs API reference).
inline constexpr std::size_t log_page_events = 10'000;
inline constexpr std::size_t log_page_bytes = 1 * mib;
// Events that one call of FilterLogEvents looks at before it answers a page and a token.
inline constexpr std::size_t log_scan_events = 50'000;
// Label combinations of one metric; further ones are counted together.
inline constexpr std::size_t metric_series = 2'000;

static_assert(log_flush_bytes < log_pending_bytes);
static_assert(instance_log_bytes_per_second < log_pending_bytes, "one instance cannot fill it");
static_assert(invoke_sync_payload_bytes < http_body_bytes);
static_assert(unbound_sync_payload_bytes < http_body_bytes);
static_assert(async_max_age > async_retry_first + async_retry_second);

}  // namespace mayfly::limits
