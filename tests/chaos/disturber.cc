#include "tests/chaos/disturber.h"

#include <signal.h>

#include <cstdio>
#include <utility>

namespace expertmesh::chaos {
namespace {

void Say(int64_t now_ms, const std::string& what) {
  std::printf("%9.3f s  %s\n", static_cast<double>(now_ms) / 1000, what.c_str());
}

}  // namespace

Disturber::Disturber(const Schedule& schedule, Fleet* fleet, Net* net) : fleet_(fleet), net_(net) {
  for (const Event& event : schedule) {
    At(event.at_ms, [this, event](int64_t now_ms) { Begin(event, now_ms); });
  }
}

void Disturber::At(int64_t at_ms, std::function<void(int64_t)> action) {
  due_.emplace(at_ms, std::move(action));
}

void Disturber::Note(const absl::Status& status) {
  if (!status.ok()) faults_.push_back(std::string(status.message()));
}

void Disturber::Advance(int64_t now_ms) {
  for (std::string& fault : fleet_->Reap()) {
    Say(now_ms, fault);
    faults_.push_back(std::move(fault));
  }
  std::erase_if(leaving_, [&](const Leaver& leaver) {
    if (fleet_->known(leaver.name)) return false;
    Say(now_ms, leaver.name + " has left");
    if (leaver.comes_back) {
      At(now_ms + leaver.back_after_ms, [this, name = leaver.name](int64_t later_ms) {
        Say(later_ms, name + " is started");
        Note(fleet_->StartOne(name));
      });
    }
    return true;
  });
  while (!due_.empty() && due_.begin()->first <= now_ms) {
    const auto action = std::move(due_.begin()->second);
    due_.erase(due_.begin());
    action(now_ms);
  }
}

void Disturber::Begin(const Event& event, int64_t now_ms) {
  const std::string& name = event.target;
  if ((event.fault == Fault::kJoin) == fleet_->known(name)) {
    Say(now_ms, std::string(Name(event.fault)) + " " + name + " is left out: it " +
                    (fleet_->known(name) ? "is there" : "is not there"));
    return;
  }
  const int64_t end_ms = now_ms + event.for_ms;
  if (event.fault == Fault::kCut || event.fault == Fault::kLoss) {
    return BeginOnNetwork(event, now_ms);
  }
  Say(now_ms, std::string(Name(event.fault)) + " " + name);
  if (event.fault == Fault::kKill) {
    fleet_->Kill(name);
    At(end_ms, [this, name](int64_t later_ms) {
      Say(later_ms, name + " is started");
      Note(fleet_->StartOne(name));
    });
  } else if (event.fault == Fault::kStop) {
    fleet_->Signal(name, SIGSTOP);
    At(end_ms, [this, name](int64_t later_ms) {
      Say(later_ms, name + " goes on");
      fleet_->Signal(name, SIGCONT);
    });
  } else if (event.fault == Fault::kDrain) {
    Leave(name, event.for_ms, /*comes_back=*/true);
  } else {
    Note(fleet_->StartOne(name));
    At(end_ms, [this, name](int64_t later_ms) {
      Say(later_ms, name + " is drained");
      Leave(name, 0, /*comes_back=*/false);
    });
  }
}

void Disturber::BeginOnNetwork(const Event& event, int64_t now_ms) {
  const std::string& name = event.target;
  const bool cut = event.fault == Fault::kCut;
  if (cut ? !net_->isolated() : !net_->can_lose()) {
    ++left_out_;
    return Say(now_ms, std::string(Name(event.fault)) + " " + name +
                           " is left out: this network cannot do it");
  }
  Say(now_ms, std::string(Name(event.fault)) + " " + name);
  Note(cut ? net_->SetCable(name, false) : net_->SetLoss(name, event.percent));
  At(now_ms + event.for_ms, [this, name, cut](int64_t later_ms) {
    Say(later_ms, name + (cut ? " is plugged in" : " loses nothing any more"));
    Note(cut ? net_->SetCable(name, true) : net_->SetLoss(name, 0));
  });
}

void Disturber::Leave(const std::string& name, int64_t back_after_ms, bool comes_back) {
  fleet_->Drain(name);
  leaving_.push_back({name, back_after_ms, comes_back});
}

}  // namespace expertmesh::chaos
