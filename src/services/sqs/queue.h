// Queue: one queue: its settings, the index of its messages, and their way through the store.
//
// Promises. A send is acknowledged when the store has it on the disk, and so is a deletion. What a
// receive does (the visibility of a message, how often it was received) is kept in memory: after a
// restart every message that was not deleted is visible at once and counts its receives from what
// it was stored with. Bodies stay in the store; of a standard queue's messages that wait, further
// ones than limits::sqs_window are known by their number alone (the backlog, read in order of
// arrival), so that a queue of millions takes no more memory than one of thousands.
//
// Rows: msg/ID/SEQ → message.h; dedup/ID/HASH → who has that deduplication id, and until when.
//
// Times are platform times; the wait of a receive is the machine's, for a client sits there.
// Loop thread. Held by Queues and by every call under way; close() before destruction.
#pragma once

#include <memory>

#include "base/limits.h"
#include "base/random.h"
#include "io/park.h"
#include "services/sqs/index.h"
#include "services/sqs/message.h"
#include "services/sqs/settings.h"
#include "store/store.h"

namespace mayfly::services::sqs {

// What is kept of a queue itself.
struct Info {
  std::string id;  // 16 hex digits; never used again
  QueueRef ref;
  Attributes attributes;  // as clients set them
  Settings settings;      // what they say
  std::map<std::string, std::string> tags;
  std::int64_t created_ms = 0;
  std::int64_t modified_ms = 0;
  std::uint64_t purged_seq = 0;  // messages up to this are gone
  std::int64_t purged_ms = 0;
};
std::string encode(const Info& info);
Result<Info> decode_info(std::string_view bytes, const QueueRef& ref);

struct Sent {
  std::string id;
  std::uint64_t seq = 0;
};

// What a receipt handle says.
struct Handle {
  std::uint64_t queue = 0;
  std::uint64_t seq = 0;
  std::uint64_t nonce = 0;
};

struct Received {
  Message message;
  std::string receipt;
  std::uint32_t receives = 0;
  std::int64_t first_ms = 0;
  std::int64_t until_ms = 0;  // visible again then
};

struct Ask {
  std::size_t most = 1;
  std::int64_t visibility_ms = 0;
  Duration wait{};
  std::string attempt{};  // ReceiveRequestAttemptId
  // A message that does not fit ends the receive, and stays as if it had not been looked at.
  std::function<bool(const Received&)> fits{};
};

// Counted for metrics; in messages, but empty receives by themselves.
enum class Step { sent, received, empty_receive, deleted };
std::string_view name_of(Step step);
using CountStep = std::function<void(const QueueRef& queue, Step step, std::size_t count)>;

class Queue : public std::enable_shared_from_this<Queue> {
 public:
  struct Deps {
    io::Loop& loop;
    Random& random;
    store::Store& store;
    // By ARN; nullptr: there is none.
    std::function<std::shared_ptr<Queue>(std::string_view arn)> find;
    CountStep count{};  // or absent
  };
  Queue(Deps deps, Info info);
  ~Queue();

  const Info& info() const { return info_; }
  void set_info(Info info);
  bool fifo() const { return info_.ref.fifo(); }
  std::int64_t now_ms() const { return epoch_millis(deps_.loop.clock().platform()); }
  Result<> load();

  // In one commit: all are taken, or none. Ids, times and sequence numbers are given here (a time
  // until which a message is delayed is the caller's). not_found: deleted meanwhile.
  io::Task<Result<std::vector<Sent>>> send(std::vector<Message> messages);
  // throttled: too many are in flight (standard queues; a FIFO queue answers none).
  io::Task<Result<std::vector<Received>>> receive(Ask ask);
  // What is there now, without waiting.
  Result<std::vector<Received>> take(const Ask& ask);
  // The same in a commit of somebody else's, who tells whether it is stored: what is needed is put
  // into `batch`. Not of a deleted queue.
  struct Sending {
    std::vector<Sent> sent;
    std::vector<Index::New> fresh;
    std::vector<std::string> reserved;  // deduplications
  };
  Sending prepare_sends(std::vector<Message> messages, store::Batch& batch);
  void end_sends(const Sending& sending, bool stored);
  // Likewise, of messages that a receive has and holds().
  void prepare_removes(const std::vector<std::uint64_t>& seqs, store::Batch& batch);
  void end_removes(const std::vector<std::uint64_t>& seqs, bool stored);
  // In flight by that handle, and its time is not over.
  bool holds(const Handle& handle) const;
  // Durable. Whatever is not there is removed already.
  io::Task<Result<>> remove(std::vector<std::uint64_t> seqs);
  // invalid: no handle of this queue.
  Result<Handle> read_receipt(std::string_view receipt) const;
  // Why a message cannot be deleted by that handle (a FIFO queue's that is out of date).
  Result<> check_remove(const Handle& handle) const;
  // conflict: it is not in flight; invalid: gone, or beyond 12 hours in sum.
  Result<> change_visibility(const Handle& handle, std::int64_t visibility_ms);
  // After the record with the new purged_seq is stored.
  void purged();
  std::uint64_t last_seq() const { return last_seq_; }

  // For moves to another queue: a row for `message` in `batch`, and, once that is stored, its
  // arrival here. drop(): it came to nothing.
  Index::New prepare(Message& message, store::Batch& batch);
  void arrived(const Index::New& message);
  void drop(const Index::New& message) { committing_.erase(message.seq); }
  // Takes messages as a receive would, without making them wait for visibility.
  std::vector<Message> take_for_move(std::size_t most);
  // The batch that took them away is stored, or not.
  void moved(const std::vector<Message>& messages, bool stored);
  std::string key_of(std::uint64_t seq) const;

  struct Counts {
    std::size_t visible = 0;
    std::size_t in_flight = 0;
    std::size_t delayed = 0;
  };
  Counts counts() const;

  // Called when messages may be there to be received, not more than once per turn of the loop. The
  // observer is told until it is taken away.
  using Arrival = std::function<void()>;
  std::uint64_t watch(Arrival call);
  void unwatch(std::uint64_t id) { watchers_.erase(id); }

  // After arrivals: waiting receives go on, and the next time to wake is set.
  void settle();
  // Waiting receives end now, with nothing.
  void release();
  void set_deleted();
  bool deleted() const { return deleted_; }
  io::Task<void> close();

 private:
  struct Deduplication {
    std::string id;
    std::uint64_t seq = 0;
    std::int64_t expires_ms = 0;
  };
  struct Attempt {
    std::int64_t expires_ms = 0;
    std::vector<Handle> handles;
  };

  std::uint64_t next_seq(std::int64_t now);
  std::string deduplication_key(const Message& message) const;
  std::string deduplication_row(std::string_view key) const;
  void put_deduplication(const std::string& key, const Deduplication& one, store::Batch& batch);
  void forget_deduplications(std::int64_t now, store::Batch& batch);
  Result<> load_deduplications();
  std::optional<std::vector<Received>> take_again(const Ask& ask);
  Result<Received> read(const Index::Item& item);
  std::string receipt_of(const Index::Item& item) const;
  Result<> refill();
  void remember_attempt(const Ask& ask, const std::vector<Received>& got);
  bool worn_out(const Index::Item& item) const;
  void tick();
  void expire();
  void arm();
  void tell_watchers();
  void count(Step step, std::size_t messages) const {
    if (deps_.count && messages > 0) deps_.count(info_.ref, step, messages);
  }
  Result<std::vector<Received>> take_new(const Ask& ask);
  io::Task<void> remove_quietly(std::vector<std::uint64_t> seqs);
  io::Task<void> dead_letter(std::vector<std::uint64_t> seqs);

  Deps deps_;
  Info info_;
  std::uint64_t number_;  // info_.id
  Index index_;
  std::uint64_t last_seq_ = 0;
  std::uint64_t round_ = 0;
  // Every row up to here is in the index, or not there.
  std::uint64_t frontier_ = 0;
  std::size_t backlog_ = 0;             // rows behind it that are not in the index
  std::size_t refill_rows_ = 16;        // as many as some megabytes of bodies
  std::set<std::uint64_t> committing_;  // sent and not yet acknowledged by the store
  std::set<std::uint64_t> leaving_;     // removed from the backlog, likewise
  std::map<std::string, Deduplication, std::less<>> deduplications_;
  std::set<std::pair<std::int64_t, std::string>> deduplication_ends_;
  std::map<std::string, Attempt, std::less<>> attempts_;
  io::ParkingLot arrivals_;
  std::map<std::uint64_t, Arrival> watchers_;
  std::uint64_t next_watcher_ = 1;
  bool telling_ = false;
  bool released_ = false;
  bool deleted_ = false;
  std::optional<io::Loop::PlatformTimerId> timer_;
  io::TaskScope tasks_;
};

}  // namespace mayfly::services::sqs
