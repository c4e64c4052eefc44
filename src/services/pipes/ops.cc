// The operations of pipes.
#include "base/limits.h"
#include "services/pipes/service.h"
#include "wire/text.h"

namespace mayfly::services::pipes {

namespace {

using Row = Pipes::Row;

std::string key_of(const Scope& scope, std::string_view name) {
  return fmt::format("{}/{}/{}", scope.account.str(), scope.region.str(), name);
}

Refusal conflict(std::string message, std::string_view name) {
  auto error = model::conflict_exception(std::move(message));
  if (error.detail) {
    for (auto [member, value] :
         {std::pair<std::string_view, std::string>("resourceId", name),
          std::pair<std::string_view, std::string>("resourceType", "pipe")}) {
      int index = error.detail->index(member);
      if (index >= 0) error.detail->at(static_cast<std::size_t>(index)) = value;
    }
  }
  return Refusal(std::move(error));
}

// What there is, and nothing on its way.
ApiResult<Row> find_settled(Pipes& pipes, const std::string& key, std::string_view name) {
  auto row = pipes.table().find(key);
  if (!row) return no_pipe(name);
  if (!pipes.settled(key)) {
    return conflict(fmt::format("Pipe {} is {}.", name, pipes.state_of(*row)), name);
  }
  return row;
}

template <class Response>
wire::Record answer_of(const Settings& settings, std::string state) {
  auto out = api::summary_of<Response>(settings.about);
  out.set_current_state(std::move(state));
  return std::move(out).take();
}

Answer create_pipe(Pipes& pipes, api::Call& call, wire::Record input) {
  model::CreatePipeRequest in(std::move(input));
  auto made = std::make_shared<Settings>();
  made->scope = call.scope;
  made->about = api::summary_of<model::DescribePipeResponse>(in);
  std::string name(in.name().value_or(""));
  made->about
      .set_arn(fmt::format("arn:aws:pipes:{}:{}:pipe/{}", call.scope.region.str(),
                           call.scope.account.str(), name))
      .set_desired_state(std::string(in.desired_state().value_or("RUNNING")))
      .set_creation_time(pipes.now_s())
      .set_last_modified_time(pipes.now_s());
  if (pipes.table().find(made->key())) {
    co_return conflict(fmt::format("Pipe {} already exists.", name), name);
  }
  CO_TRY(pipes.check(*made));
  CO_TRY(check_tags(pipes, made->tags()));
  if (pipes.table().count(key_of(call.scope, "")) >= limits::pipes_per_account) {
    co_return Refusal(model::service_quota_exceeded_exception(
        fmt::format("An account may have {} pipes.", limits::pipes_per_account)));
  }
  CO_TRY(co_await pipes.table().change(made->key(), [&](const Row& now) -> ApiResult<Row> {
    if (now) return conflict(fmt::format("Pipe {} already exists.", name), name);
    return made;
  }));
  pipes.settle(made->key(), "CREATING");
  co_return answer_of<model::CreatePipeResponse>(*made, "CREATING");
}

Answer describe_pipe(Pipes& pipes, api::Call& call, wire::Record input) {
  model::DescribePipeRequest in(std::move(input));
  auto row = pipes.table().find(key_of(call.scope, in.name().value_or("")));
  if (!row) co_return no_pipe(in.name().value_or(""));
  auto out = api::copy_of(row->about);
  out.set_current_state(pipes.state_of(*row));
  if (auto reason = pipes.reason_of(row->key()); !reason.empty()) {
    out.set_state_reason(std::move(reason));
  }
  co_return std::move(out).take();
}

// The members that are given; the others stay.
void take_given(const wire::Record& given, wire::Record& into) {
  for (std::size_t i = 0; i < given.shape->members.size(); ++i) {
    auto name = given.shape->members[i].name;
    int index = into.index(name);
    if (!given.has(i) || index < 0 || name == "SourceParameters") continue;
    into.at(static_cast<std::size_t>(index)) = given.at(i);
  }
}

Answer update_pipe(Pipes& pipes, api::Call& call, wire::Record input) {
  model::UpdatePipeRequest in(std::move(input));
  std::string name(in.name().value_or(""));
  std::string key = key_of(call.scope, name);
  CO_TRY_ASSIGN(auto before, find_settled(pipes, key, name));
  auto next = std::make_shared<Settings>(*before);
  wire::Record about = before->about.record();
  take_given(in.record(), about);
  next->about = model::DescribePipeResponse(std::move(about));
  next->about.set_last_modified_time(pipes.now_s());
  if (auto parameters = in.source_parameters()) {
    // The same by another name.
    auto same =
        api::record_of(model::PipeSourceParameters::shape(), api::json_of(parameters->record()));
    if (!same) co_return invalid(same.error().message);
    next->about.set_source_parameters(model::PipeSourceParameters(*std::move(same)));
  }
  CO_TRY(pipes.check(*next));
  CO_TRY(co_await pipes.table().change(key, [&](const Row& now) -> ApiResult<Row> {
    if (!now) return no_pipe(name);
    return next;
  }));
  pipes.settle(key, "UPDATING");
  co_return answer_of<model::UpdatePipeResponse>(*next, "UPDATING");
}

Answer delete_pipe(Pipes& pipes, api::Call& call, wire::Record input) {
  model::DeletePipeRequest in(std::move(input));
  std::string name(in.name().value_or(""));
  std::string key = key_of(call.scope, name);
  CO_TRY_ASSIGN(auto before, find_settled(pipes, key, name));
  CO_TRY(co_await pipes.table().change(key, [](const Row&) -> ApiResult<Row> { return nullptr; }));
  pipes.settle(key, "DELETING");
  auto gone = *before;
  gone.about = api::copy_of(before->about);
  gone.about.set_desired_state("DELETED");
  co_return answer_of<model::DeletePipeResponse>(gone, "DELETING");
}

template <class Response>
Answer turn(Pipes& pipes, Scope scope, std::string name, std::string desired,
            std::string transition) {
  std::string key = key_of(scope, name);
  CO_TRY_ASSIGN(auto before, find_settled(pipes, key, name));
  CO_TRY_ASSIGN(auto row, co_await pipes.table().change(key, [&](const Row& now) -> ApiResult<Row> {
    if (!now) return no_pipe(name);
    auto next = std::make_shared<Settings>(*now);
    next->about = api::copy_of(now->about);
    next->about.set_desired_state(desired).set_last_modified_time(pipes.now_s());
    return next;
  }));
  pipes.settle(key, transition);
  co_return answer_of<Response>(*row, transition);
}

Answer start_pipe(Pipes& pipes, api::Call& call, wire::Record input) {
  model::StartPipeRequest in(std::move(input));
  return turn<model::StartPipeResponse>(pipes, call.scope, std::string(in.name().value_or("")),
                                        "RUNNING", "STARTING");
}

Answer stop_pipe(Pipes& pipes, api::Call& call, wire::Record input) {
  model::StopPipeRequest in(std::move(input));
  return turn<model::StopPipeResponse>(pipes, call.scope, std::string(in.name().value_or("")),
                                       "STOPPED", "STOPPING");
}

bool wanted(const model::ListPipesRequest& in, const Settings& settings, std::string_view state) {
  auto begins = [](std::optional<std::string_view> text, std::optional<std::string_view> prefix) {
    return text.value_or("").starts_with(prefix.value_or(""));
  };
  return begins(settings.about.source(), in.source_prefix()) &&
         begins(settings.about.target(), in.target_prefix()) &&
         (!in.desired_state() || settings.about.desired_state() == *in.desired_state()) &&
         (!in.current_state() || state == *in.current_state());
}

Answer list_pipes(Pipes& pipes, api::Call& call, wire::Record input) {
  model::ListPipesRequest in(std::move(input));
  auto after = wire::base64url_decode(in.next_token().value_or(""));
  if (!after) co_return invalid("NextToken is none that this server gave.");
  auto most = static_cast<std::size_t>(in.limit().value_or(limits::events_page));
  model::ListPipesResponse out;
  std::vector<model::Pipe> found;
  std::string last;
  auto prefix = key_of(call.scope, in.name_prefix().value_or(""));
  for (const auto& row : pipes.table().list(prefix, *after, SIZE_MAX)) {
    auto state = pipes.state_of(*row);
    if (!wanted(in, *row, state)) continue;
    if (found.size() == most) {
      out.set_next_token(wire::base64url_encode(last));
      break;
    }
    last = row->key();
    found.push_back(api::summary_of<model::Pipe>(row->about));
    found.back().set_current_state(std::move(state));
  }
  co_return std::move(out.set_pipes(std::move(found))).take();
}

// ---- Tags

io::Task<ApiResult<gate::Tags>> change_tags(Pipes& pipes, std::string arn,
                                            std::function<void(gate::Tags&)> change) {
  auto slash = arn.rfind('/');
  auto name = slash == arn.npos ? arn : arn.substr(slash + 1);
  Row before;
  CO_TRY_ASSIGN(
      auto row,
      co_await pipes.table().change(
          key_of(events::scope_of_arn(arn), name), [&](const Row& now) -> ApiResult<Row> {
            if (!now || now->about.arn() != arn) return no_pipe(arn);
            before = now;
            auto tags = now->tags();
            change(tags);
            if (tags == now->tags()) return now;
            TRY(check_tags(pipes, tags));
            if (tags.size() > limits::events_tags) {
              return invalid(fmt::format("A pipe may have {} tags.", limits::events_tags));
            }
            auto next = std::make_shared<Settings>(*now);
            next->about = api::copy_of(now->about);
            next->about.set_tags(tags);
            return next;
          }));
  pipes.follow_tags(*before, *row);
  co_return row->tags();
}

Answer list_tags_for_resource(Pipes& pipes, api::Call&, wire::Record input) {
  model::ListTagsForResourceRequest in(std::move(input));
  CO_TRY_ASSIGN(auto tags, co_await change_tags(pipes, std::string(in.resource_arn().value_or("")),
                                                [](gate::Tags&) {}));
  co_return model::ListTagsForResourceResponse().set_tags(tags).record();
}

Answer tag_resource(Pipes& pipes, api::Call&, wire::Record input) {
  model::TagResourceRequest in(std::move(input));
  CO_TRY(co_await change_tags(pipes, std::string(in.resource_arn().value_or("")),
                              [&](gate::Tags& tags) {
                                for (auto [name, value] : in.tags())
                                  tags.insert_or_assign(std::string(name), value);
                              }));
  co_return model::TagResourceResponse().record();
}

Answer untag_resource(Pipes& pipes, api::Call&, wire::Record input) {
  model::UntagResourceRequest in(std::move(input));
  CO_TRY(co_await change_tags(pipes, std::string(in.resource_arn().value_or("")),
                              [&](gate::Tags& tags) {
                                for (auto name : in.tag_keys()) tags.erase(std::string(name));
                              }));
  co_return model::UntagResourceResponse().record();
}

}  // namespace

std::span<const Operation> operations() {
  static constexpr std::array<Operation, 10> rows{{{"CreatePipe", create_pipe},
                                                   {"DeletePipe", delete_pipe},
                                                   {"DescribePipe", describe_pipe},
                                                   {"ListPipes", list_pipes},
                                                   {"ListTagsForResource", list_tags_for_resource},
                                                   {"StartPipe", start_pipe},
                                                   {"StopPipe", stop_pipe},
                                                   {"TagResource", tag_resource},
                                                   {"UntagResource", untag_resource},
                                                   {"UpdatePipe", update_pipe}}};
  return rows;
}

}  // namespace mayfly::services::pipes
