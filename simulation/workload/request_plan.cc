#include "simulation/workload/request_plan.h"

#include <algorithm>
#include <utility>

namespace expertmesh::simulation {
namespace {

constexpr Duration kShortestTerm = std::chrono::milliseconds(1);
constexpr Duration kLongestTerm = std::chrono::seconds(4);

}  // namespace

// Many begin as another did, whole or in part: prompts of one system, turns of one chat.
void BeginAs(Random& chance, const GenerateRequest& other, GenerateRequest& request) {
  const auto common =
      static_cast<size_t>(chance.Between(1, static_cast<int64_t>(other.prompt.size())));
  for (size_t i = 0; i < common; ++i) {
    if (i == request.prompt.size()) request.prompt.push_back(0);
    request.prompt[i] = other.prompt[i];
  }
}

GenerateRequest DrawRequest(Random& chance, const StubModel& model, int64_t longest) {
  const auto token = [&] { return static_cast<int32_t>(chance.Below(model.vocabulary)); };
  GenerateRequest request;
  const int64_t prompt = 1 + chance.Below(chance.Between(1, longest));
  for (int64_t i = 0; i < prompt; ++i) request.prompt.push_back(token());
  request.max_tokens = static_cast<int32_t>(chance.Between(1, longest));
  request.ignore_eos = chance.Chance(0.5);
  if (chance.Chance(0.2)) request.stop_token_ids = {token(), token()};
  request.logprobs = true;
  request.top_logprobs = chance.Chance(0.3) ? static_cast<int32_t>(chance.Between(1, 5)) : 0;
  request.prompt_logprobs = chance.Chance(0.3);
  if (chance.Chance(0.5)) {
    request.sampling.temperature = 1;
    request.sampling.seed = chance.Next();
    request.choice = static_cast<int32_t>(chance.Below(3));
  }
  if (chance.Chance(0.3)) request.sampling.presence_penalty = 1;
  if (chance.Chance(0.3)) {
    request.min_tokens = static_cast<int32_t>(chance.Between(1, request.max_tokens));
  }
  if (chance.Chance(0.2)) request.cache_salt = "salt";
  if (chance.Chance(0.3)) request.priority = static_cast<int32_t>(chance.Between(-100, 100));
  request.caller = std::string(1, static_cast<char>('a' + chance.Below(3)));
  return request;
}

std::vector<RequestPlan> DrawRequests(Random& chance, const StubModel& model, Duration busy,
                                      int64_t most, int64_t longest) {
  std::vector<RequestPlan> plans;
  const int64_t count = chance.Between(2, most);
  Duration at = chance.Between(Duration(0), busy);
  for (int64_t i = 0; i < count; ++i) {
    if (!chance.Chance(0.4)) at = chance.Between(Duration(0), busy);  // else: with the one before
    RequestPlan plan;
    plan.at = at;
    plan.request = DrawRequest(chance, model, longest);
    if (!plans.empty() && chance.Chance(0.5)) {
      BeginAs(chance, plans[chance.Below(plans.size())].request, plan.request);
    }
    if (chance.Chance(0.25)) plan.deadline = chance.Skewed(kShortestTerm, kLongestTerm);
    if (chance.Chance(0.15)) plan.cancel = chance.Skewed(kShortestTerm, kLongestTerm);
    plan.resumes = chance.Chance(0.5);
    if (plan.resumes && chance.Chance(0.5)) {
      plan.hang_up = chance.Skewed(kShortestTerm, kLongestTerm);
      plan.away = chance.Skewed(kShortestTerm, kLongestTerm);
    }
    if (chance.Chance(0.5)) plan.request.kept = KeptAnswer{{0, chance.Next()}, "", {}};
    plans.push_back(std::move(plan));
  }
  return plans;
}

}  // namespace expertmesh::simulation
