// Archives of buses' events.
#include "base/limits.h"
#include "services/events/service.h"

namespace mayfly::services::bus {

namespace {

using Row = Table<Archive>::Row;

Refusal no_archive(std::string_view name) {
  return not_found(fmt::format("Archive {} does not exist.", name));
}

// Entries of a log count up by one: what is trimmed is trimmed in front.
std::int64_t count_of(const Context& context, const Archive& archive) {
  store::LogQuery query{.log = archive.log(), .limit = 1};
  auto first = context.store.read(query);
  query.descending = true;
  auto last = context.store.read(query);
  if (!first || !last || first->empty() || last->empty()) return 0;
  return static_cast<std::int64_t>(last->front().seq - first->front().seq + 1);
}

model::DescribeArchiveResponse described(const Context& context, const Archive& archive) {
  auto out = copy_of(archive.about);
  out.set_event_count(count_of(context, archive));
  auto bytes = context.store.log_bytes(archive.log());
  out.set_size_bytes(bytes ? static_cast<std::int64_t>(*bytes) : 0);
  return out;
}

// Pattern, description, retention: what is given, else what is there.
template <class Request>
ApiResult<void> take_settings(const Request& in, model::DescribeArchiveResponse& about) {
  if (auto pattern = in.event_pattern(); pattern && !pattern->empty()) {
    if (auto read = wire::EventPattern::parse(*pattern); !read) return bad_pattern(read.error());
    about.set_event_pattern(std::string(*pattern));
  }
  if (auto text = in.description()) about.set_description(std::string(*text));
  if (auto days = in.retention_days()) about.set_retention_days(*days);
  if (auto key = in.kms_key_identifier()) about.set_kms_key_identifier(std::string(*key));
  return {};
}

Answer create_archive(Context context, api::Call& call, wire::Record input) {
  model::CreateArchiveRequest in(std::move(input));
  auto bus = parse_bus_arn(in.event_source_arn().value_or(""));
  if (!bus || bus->scope != call.scope || !context.config.find_bus(*bus)) {
    co_return no_bus(bus ? bus->name : in.event_source_arn().value_or(""));
  }
  auto made = std::make_shared<Archive>();
  made->scope = call.scope;
  made->id = context.random.hex(8);
  std::string name(in.archive_name().value_or(""));
  made->about.set_archive_name(name)
      .set_archive_arn(arn_of(call.scope, "archive", name))
      .set_event_source_arn(bus->arn())
      .set_retention_days(0)
      .set_state("ENABLED")
      .set_creation_time(context.now_s());
  CO_TRY(take_settings(in, made->about));
  if (context.config.archives.count(key_of(call.scope, "")) >= limits::events_archives) {
    co_return over_limit("archives", limits::events_archives);
  }
  CO_TRY(
      co_await context.config.archives.change(made->key(), [&](const Row& now) -> ApiResult<Row> {
        if (now) return exists(fmt::format("Archive {} already exists.", name));
        return made;
      }));
  co_return summary_of<model::CreateArchiveResponse>(made->about).take();
}

Answer describe_archive(Context context, api::Call& call, wire::Record input) {
  model::DescribeArchiveRequest in(std::move(input));
  auto row = context.config.archives.find(key_of(call.scope, in.archive_name().value_or("")));
  if (!row) co_return no_archive(in.archive_name().value_or(""));
  co_return described(context, *row).take();
}

Answer list_archives(Context context, api::Call& call, wire::Record input) {
  model::ListArchivesRequest in(std::move(input));
  std::function<bool(const Archive&)> wanted = [&](const Archive& archive) {
    auto source = in.event_source_arn();
    auto state = in.state();
    return (!source || archive.about.event_source_arn() == *source) &&
           (!state || archive.about.state() == *state);
  };
  CO_TRY_ASSIGN(auto page,
                page_of(context.config.archives, key_of(call.scope, in.name_prefix().value_or("")),
                        in.next_token(), in.limit(), wanted));
  std::vector<model::Archive> archives;
  for (const auto& row : page.rows) {
    archives.push_back(summary_of<model::Archive>(described(context, *row)));
  }
  model::ListArchivesResponse out;
  out.set_archives(std::move(archives));
  if (page.next) out.set_next_token(*std::move(page.next));
  co_return std::move(out).take();
}

Answer update_archive(Context context, api::Call& call, wire::Record input) {
  model::UpdateArchiveRequest in(std::move(input));
  std::string name(in.archive_name().value_or(""));
  CO_TRY_ASSIGN(auto row, co_await context.config.archives.change(
                              key_of(call.scope, name), [&](const Row& now) -> ApiResult<Row> {
                                if (!now) return no_archive(name);
                                auto next = std::make_shared<Archive>(*now);
                                next->about = copy_of(now->about);
                                TRY(take_settings(in, next->about));
                                return next;
                              }));
  co_return summary_of<model::UpdateArchiveResponse>(row->about).take();
}

Answer delete_archive(Context context, api::Call& call, wire::Record input) {
  model::DeleteArchiveRequest in(std::move(input));
  std::string name(in.archive_name().value_or(""));
  auto row = context.config.archives.find(key_of(call.scope, name));
  if (!row) co_return no_archive(name);
  for (const auto& [key, replay] : context.config.replays.all()) {
    if (replay->under_way() && replay->about.event_source_arn() == row->about.archive_arn()) {
      co_return invalid(fmt::format("Archive {} has an active replay.", name));
    }
  }
  CO_TRY(co_await context.config.archives.change(
      row->key(), [](const Row&) -> ApiResult<Row> { return nullptr; }));
  if (auto done = co_await context.store.drop_log(row->log()); !done) {
    co_return failure(done.error());
  }
  co_return wire::Record();
}

}  // namespace

std::span<const Operation> archive_operations() {
  static constexpr std::array<Operation, 5> rows{{{"CreateArchive", create_archive},
                                                  {"DeleteArchive", delete_archive},
                                                  {"DescribeArchive", describe_archive},
                                                  {"ListArchives", list_archives},
                                                  {"UpdateArchive", update_archive}}};
  return rows;
}

}  // namespace mayfly::services::bus
