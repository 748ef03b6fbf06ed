// Starting a process of the lab: forked without exec from the keeper, so that forty-five stand-ins
// share one program's memory, moved into its host, with nothing of the keeper's left open.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "io/linux/descriptor.h"
#include "lab/lab_host.h"

namespace nines::lab {

// How a child tells that it is ready: it writes a line, if only an empty one, and closes. A child
// that ends without a word has failed.
class ReadySignal {
 public:
  explicit ReadySignal(io::Descriptor pipe) : pipe_(std::move(pipe)) {}
  void ready(std::string_view words = {});

 private:
  io::Descriptor pipe_;
};

struct ChildPlan {
  std::string title;                  // as ps shows it, cut at 15 bytes
  const Namespaces* where = nullptr;  // null: where the keeper is
  std::string output;                 // a path seen by the keeper; appended to
  std::vector<int> keep;              // descriptors of the keeper's that stay open, same numbers
  // Runs in the child; its answer is the exit status.
  std::function<int(ReadySignal)> body;
};

struct Child {
  int pid = 0;
  io::Descriptor ready;  // non-blocking; readable when it has spoken or died
};

// The child is the leader of a session and process group of its own, signalled as a whole.
Result<Child> start_child(const ChildPlan& plan);

}  // namespace nines::lab
