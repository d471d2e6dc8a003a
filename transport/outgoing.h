// outgoing.h: a message between Send and its leaving, for transports to queue.
#pragma once

#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "transport/channel.h"
#include "transport/message.h"

namespace expertmesh {

// Small lists are copied; rows (and their index) are the sender's until `sent` has run.
struct Outgoing {
  Outgoing() = default;
  Outgoing(const MessageHeader& header_of, const Body& body_of, SentCallback sent_of)
      : header(header_of),
        assignments(body_of.assignments.begin(), body_of.assignments.end()),
        numbers(body_of.numbers.begin(), body_of.numbers.end()),
        rows(body_of.rows),
        sent(std::move(sent_of)) {}

  Body body() const { return {assignments, numbers, rows}; }

  // Runs `sent` with the message's fate; a second call does nothing.
  void Finish(absl::Status fate) {
    SentCallback callback = std::exchange(sent, nullptr);
    if (callback) callback(std::move(fate));
  }

  MessageHeader header;
  std::vector<Assignment> assignments;
  std::vector<uint64_t> numbers;
  RowsView rows;
  SentCallback sent;
};

}  // namespace expertmesh
