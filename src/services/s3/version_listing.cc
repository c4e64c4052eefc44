#include "services/s3/version_listing.h"

#include <algorithm>
#include <deque>

#include "services/s3/versions.h"

namespace mayfly::services::s3 {

namespace {

// Greater than whatever follows in UTF-8.
constexpr char behind_all = '\xff';
constexpr std::size_t page_first = 32;
constexpr std::size_t page_most = 1024;

// Rows in their order, read in pages.
class Rows {
 public:
  Rows(store::Store& store, std::string all, const std::string& prefix)
      : store_(store), all_(std::move(all)), within_(all_ + prefix) {}

  // Behind that row, which is named without what all begin with.
  void go_behind(const std::string& row) {
    while (!rows_.empty() && rows_.front().key <= row) rows_.pop_front();
    auto to = all_ + row;
    if (!rows_.empty() || to <= after_) return;
    after_ = std::move(to);
    ended_ = false;
    page_ = page_first;
  }
  // nullptr: there is none.
  Result<const store::Row*> first() {
    if (rows_.empty() && !ended_) {
      TRY_ASSIGN(auto found, store_.scan(within_, after_, page_));
      ended_ = found.size() < page_;
      page_ = std::min(page_ * 2, page_most);
      if (!found.empty()) after_ = found.back().key;
      for (auto& row : found) {
        row.key.erase(0, all_.size());
        rows_.push_back(std::move(row));
      }
    }
    return rows_.empty() ? nullptr : &rows_.front();
  }
  void pop() { rows_.pop_front(); }
  // Comes next, whatever was passed.
  void push(store::Row row) { rows_.push_front(std::move(row)); }

 private:
  store::Store& store_;
  std::string all_;
  std::string within_;
  std::string after_;
  std::deque<store::Row> rows_;  // without all_
  bool ended_ = false;
  std::size_t page_ = page_first;
};

// The key up to the delimiter, if it has one behind the prefix.
std::string group_of(const std::string& key, const VersionQuery& query) {
  if (query.delimiter.empty()) return {};
  auto at = key.find(query.delimiter, query.prefix.size());
  return at == key.npos ? std::string() : key.substr(0, at + query.delimiter.size());
}

// The least for one without a number.
std::string number_text(const Object& object) {
  return object.version.empty() ? version_text(0) : object.version;
}

// Current objects and what is kept of all keys, as one sequence.
class Merged {
 public:
  Merged(store::Store& store, const VersionQuery& query)
      : store_(store),
        query_(query),
        current_(store, object_row(query.bucket, ""), query.prefix),
        kept_(store, versions_of_bucket(query.bucket), query.prefix) {}

  void go_behind_all(const std::string& prefix) {
    current_.go_behind(prefix + behind_all);
    kept_.go_behind(prefix + behind_all);
  }
  Result<> go_behind(const std::string& key, const std::string& version) {
    seen_ = key;
    current_.go_behind(key);
    if (!version.empty() && key.starts_with(query_.prefix)) {
      TRY(come_back(key, version));
    }
    std::string row = key;
    row.push_back('\0');
    kept_.go_behind(version.empty() ? row + behind_all : row + order_of(version));
    return {};
  }

  // The key of what comes next; nullopt: nothing.
  Result<std::optional<std::string>> key() {
    TRY_ASSIGN(const auto* current, current_.first());
    TRY_ASSIGN(const auto* kept, kept_.first());
    std::optional<std::string> out;
    if (kept != nullptr) {
      TRY_ASSIGN(auto name, name_of_row(kept->key));
      out = std::move(name.key);
    }
    is_current_ = current != nullptr && (!out || current->key <= *out);
    if (is_current_) out = current->key;
    return out;
  }
  // After key(): that one, and on to the next.
  Result<VersionsListed::One> take(const std::string& key) {
    auto& rows = is_current_ ? current_ : kept_;
    TRY_ASSIGN(const auto* row, rows.first());
    TRY_ASSIGN(auto object, decode_object(row->value, key));
    rows.pop();
    bool newest = is_current_ || seen_ != key;
    seen_ = key;
    return VersionsListed::One{std::move(object), newest};
  }

 private:
  // A version that became the current one since the page before, as the newer ones were removed.
  Result<> come_back(const std::string& key, const std::string& version) {
    TRY_ASSIGN(auto row, store_.get(object_row(query_.bucket, key)));
    if (!row) return {};
    TRY_ASSIGN(auto object, decode_object(row->value, key));
    if (number_text(object) >= version) return {};
    row->key = key;
    current_.push(*std::move(row));
    return {};
  }

  store::Store& store_;
  const VersionQuery& query_;
  Rows current_;
  Rows kept_;
  bool is_current_ = false;
  std::optional<std::string> seen_;  // the key whose newest version was passed
};

}  // namespace

Result<VersionsListed> list_versions(store::Store& store, const VersionQuery& query) {
  VersionsListed out;
  if (query.most == 0) return out;
  Merged all(store, query);
  if (query.after_group) {
    all.go_behind_all(query.after);
  } else if (!query.after.empty()) {
    TRY(all.go_behind(query.after, query.after_version));
  }
  while (true) {
    TRY_ASSIGN(auto key, all.key());
    if (!key) return out;
    if (out.versions.size() + out.groups.size() == query.most) {
      out.more = true;
      return out;
    }
    auto group = group_of(*key, query);
    if (!group.empty()) {
      all.go_behind_all(group);
      out.last = group;
      out.last_version.clear();
      out.groups.push_back(std::move(group));
      continue;
    }
    TRY_ASSIGN(auto one, all.take(*key));
    out.last = *std::move(key);
    out.last_version = number_text(one.object);
    out.versions.push_back(std::move(one));
  }
}

}  // namespace mayfly::services::s3
