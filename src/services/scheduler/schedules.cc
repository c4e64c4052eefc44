#include "services/scheduler/schedules.h"

namespace mayfly::services::scheduler {

namespace {

constexpr std::size_t list_rows = 100;
constexpr std::size_t erase_rows = 64;
constexpr std::string_view schedule_prefix = "schedule/";

}  // namespace

Result<std::optional<Schedule>> Schedules::find(const ScheduleRef& ref) const {
  TRY_ASSIGN(auto row, deps_.store.get(schedule_key(ref)));
  if (!row) return std::nullopt;
  TRY_ASSIGN(auto schedule, decode_schedule(row->value));
  return schedule;
}

Result<Next> Schedules::next_of(const ScheduleRef& ref) const {
  TRY_ASSIGN(auto row, deps_.store.get(next_key(ref)));
  return row ? decode_next(row->value) : Next{};
}

std::int64_t Schedules::jitter(const Schedule& schedule) const {
  if (schedule.window_minutes == 0) return 0;
  auto window = static_cast<std::uint64_t>(schedule.window_minutes) * 60'000;
  return static_cast<std::int64_t>(deps_.random.next_u64() % window);
}

Result<Schedules::Plan> Schedules::plan(const ScheduleRef& ref, const Schedule& schedule,
                                        Begin begin) const {
  TRY_ASSIGN(auto before, next_of(ref));
  TRY_ASSIGN(auto times, Times::of(schedule, deps_.zones));
  store::Batch batch;
  batch.puts.push_back({schedule_key(ref), encode(schedule)});
  if (before.due_ms) batch.deletes.push_back(due_key(*before.due_ms, ref));
  Next next{.due_ms = {}, .at = 0, .runs = before.runs};
  std::int64_t now = now_ms() / 1000;
  std::optional<std::int64_t> first;
  if (schedule.enabled) {
    std::int64_t after = before.due_ms ? std::min(before.at - 1, now) : now;
    first = begin == Begin::anew ? times.first(now) : times.next(after);
  }
  if (first) {
    next.at = *first;
    next.due_ms = *first * 1000 + jitter(schedule);
    batch.puts.push_back({due_key(*next.due_ms, ref), ""});
  }
  batch.puts.push_back({next_key(ref), encode(next)});
  return Plan{.batch = std::move(batch), .due_ms = next.due_ms};
}

io::Task<Result<>> Schedules::keep(Plan plan) {
  CO_TRY(co_await deps_.store.commit(std::move(plan.batch)));
  if (on_due && plan.due_ms) on_due(*plan.due_ms);
  co_return Result<>{};
}

io::Task<Result<>> Schedules::create(ScheduleRef ref, Schedule schedule) {
  auto held = co_await locks_.take(ref.path());
  auto group = deps_.groups.find(ref.in());
  if (!group || group->deleting) co_return fail(ErrorKind::not_found, "its group is not there");
  CO_TRY_ASSIGN(auto there, find(ref));
  if (there) co_return fail(ErrorKind::already_exists, "the schedule is there");
  schedule.id = deps_.random.hex(8);
  schedule.created_ms = schedule.modified_ms = now_ms();
  schedule.first_s = schedule.created_ms / 1000;
  CO_TRY_ASSIGN(auto planned, plan(ref, schedule, Begin::anew));
  co_return co_await keep(std::move(planned));
}

io::Task<Result<>> Schedules::update(ScheduleRef ref, Schedule schedule) {
  auto held = co_await locks_.take(ref.path());
  CO_TRY_ASSIGN(auto there, find(ref));
  if (!there) co_return fail(ErrorKind::not_found, "the schedule is not there");
  schedule.id = there->id;
  schedule.created_ms = there->created_ms;
  schedule.token = there->token;
  schedule.digest = there->digest;
  schedule.modified_ms = now_ms();
  // Another expression begins anew.
  bool same = schedule.expression == there->expression;
  schedule.first_s = same ? there->first_s : schedule.modified_ms / 1000;
  CO_TRY_ASSIGN(auto planned, plan(ref, schedule, same ? Begin::on : Begin::anew));
  co_return co_await keep(std::move(planned));
}

Result<> Schedules::collect(const ScheduleRef& ref, store::Batch& batch) const {
  TRY_ASSIGN(auto next, next_of(ref));
  if (next.due_ms) batch.deletes.push_back(due_key(*next.due_ms, ref));
  batch.deletes.push_back(next_key(ref));
  batch.deletes.push_back(open_key(ref));
  batch.deletes.push_back(schedule_key(ref));
  TRY_ASSIGN(auto history, deps_.store.scan(history_prefix(ref), "", limits::schedule_history));
  for (auto& row : history) batch.deletes.push_back(std::move(row.key));
  return {};
}

io::Task<Result<>> Schedules::remove(ScheduleRef ref, std::string id) {
  auto held = co_await locks_.take(ref.path());
  CO_TRY_ASSIGN(auto there, find(ref));
  if (!there || (!id.empty() && there->id != id)) {
    co_return fail(ErrorKind::not_found, "the schedule is not there");
  }
  store::Batch batch;
  CO_TRY(collect(ref, batch));
  CO_TRY(co_await deps_.store.commit(std::move(batch)));
  co_return Result<>{};
}

// Nothing new comes to be in a group that is being deleted; what was begun before is waited for.
io::Task<Result<>> Schedules::erase(GroupRef group, std::stop_token stop) {
  std::string prefix = fmt::format("{}{}/", schedule_prefix, group.path());
  while (!stop.stop_requested()) {
    CO_TRY_ASSIGN(auto rows, deps_.store.scan(prefix, "", erase_rows));
    if (rows.empty()) co_return Result<>{};
    std::vector<ScheduleRef> refs;
    for (const auto& row : rows) {
      auto ref = parse_path(std::string_view(row.key).substr(schedule_prefix.size()));
      if (ref) refs.push_back(*std::move(ref));
    }
    auto busy = [&] {
      return std::ranges::any_of(refs, [&](const auto& ref) { return locks_.held(ref.path()); });
    };
    while (busy()) co_await locks_.change();
    std::vector<KeyLocks::Held> held;
    store::Batch batch;
    for (const auto& ref : refs) {
      held.push_back(locks_.take_now(ref.path()));
      CO_TRY(collect(ref, batch));
    }
    CO_TRY(co_await deps_.store.commit(std::move(batch), store::Durability::buffered));
  }
  co_return fail(ErrorKind::cancelled, "the server ends");
}

Result<Schedules::Page> Schedules::list(const Query& query) const {
  Page out;
  std::string whole =
      fmt::format("{}{}/{}/", schedule_prefix, query.scope.account.str(), query.scope.region.str());
  // Names are in order within a group alone.
  if (!query.group.empty()) whole += fmt::format("{}/{}", query.group, query.prefix);
  std::string after = query.after.empty() ? "" : fmt::format("{}{}", schedule_prefix, query.after);
  for (std::size_t looked = 0; looked < limits::schedule_scan;) {
    TRY_ASSIGN(auto rows, deps_.store.scan(whole, after, list_rows));
    for (auto& row : rows) {
      auto ref = parse_path(std::string_view(row.key).substr(schedule_prefix.size()));
      after = row.key;
      ++looked;
      if (!ref || !ref->name.starts_with(query.prefix)) continue;
      auto group = deps_.groups.find(ref->in());
      if (!group) continue;
      TRY_ASSIGN(auto schedule, decode_schedule(row.value));
      if (query.enabled && schedule.enabled != *query.enabled) continue;
      out.found.emplace_back(*std::move(ref), std::move(schedule));
      if (out.found.size() < query.most) continue;
      TRY_ASSIGN(auto more, deps_.store.scan(whole, after, 1));
      if (!more.empty()) out.next = after.substr(schedule_prefix.size());
      return out;
    }
    if (rows.size() < list_rows) return out;
  }
  out.next = after.substr(schedule_prefix.size());
  return out;
}

Result<std::vector<std::string>> Schedules::history(const ScheduleRef& ref) const {
  TRY_ASSIGN(auto rows, deps_.store.scan(history_prefix(ref), "", limits::schedule_history));
  std::vector<std::pair<std::int64_t, std::string>> found;
  for (auto& row : rows) {
    auto json = wire::parse_json(row.value);
    if (json) found.emplace_back(json->int_or("number", 0), std::move(row.value));
  }
  std::ranges::sort(found, std::greater{});
  std::vector<std::string> out;
  for (auto& [number, text] : found) out.push_back(std::move(text));
  return out;
}

}  // namespace mayfly::services::scheduler
