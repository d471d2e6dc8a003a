#include "tests/integration/front_doors.h"

#include <grpcpp/client_context.h>
#include <grpcpp/completion_queue.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/security/credentials.h>
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>
#include <thread>

#include "coordinator/text/checkpoint_text.h"
#include "rpc/channel.h"

namespace expertmesh {
namespace {

constexpr char kTinyFolder[] = EXPERTMESH_SOURCE_DIR "/models/tiny";
constexpr char kName[] = "tiny";
constexpr Duration kPatience = std::chrono::seconds(60);
constexpr char kStrictTemplate[] =
    "{% for message in messages %}{% if message['role'] == 'system' %}"
    "{{ raise_exception('a conversation begins with the user, not with ' + message['role']) }}"
    "{% endif %}{{ message['content'] }}{% endfor %}";

std::shared_ptr<const TextModel> Text(const std::string& folder) {
  auto text = OpenTextModel(folder, kName);
  EXPECT_TRUE(text.ok()) << text.status();
  return text.ok() ? *text : TokensOnly(kName);
}

// The tokenizer of models/tiny without its template.
void CopyTokenizer(const CheckpointFolder& folder) {
  for (const char* name : {"config.json", "tokenizer.json", "tokenizer_config.json"}) {
    std::ostringstream bytes;
    bytes << std::ifstream(std::string(kTinyFolder) + "/" + name, std::ios::binary).rdbuf();
    folder.Write(name, bytes.str());
  }
}

EmbeddedOptions Tiny() {
  EmbeddedOptions options;
  options.attention.model_folder = options.expert.model_folder = kTinyFolder;
  return options;
}

}  // namespace

FrontDoors::FrontDoors()
    : empty_({}, [](const std::string&, const std::string&) { return nullptr; }) {
  CopyTokenizer(no_template_);
  CopyTokenizer(strict_);
  strict_.Write("chat_template.jinja", kStrictTemplate);

  Coordinator& whole = AddCluster(Tiny(), "")->coordinator();
  Open(Door::kTiny, whole, Text(kTinyFolder));
  Open(Door::kTokensOnly, whole, TokensOnly(kName));
  Open(Door::kNoTemplate, whole, Text(no_template_.path()));
  Open(Door::kStrict, whole, Text(strict_.path()));

  EmbeddedOptions busy = Tiny();
  busy.attention.max_sequences = 1;
  busy.attention.max_waiting = 0;
  Open(Door::kBusy, AddCluster(busy, "")->coordinator(), Text(kTinyFolder));
  Open(Door::kEmpty, empty_, Text(kTinyFolder));
  EmbeddedOptions no_attention = Tiny();
  no_attention.attention_workers = 0;
  Open(Door::kNoAttention, AddCluster(no_attention, "no attention worker is READY")->coordinator(),
       Text(kTinyFolder));
  EmbeddedOptions half = Tiny();
  half.expert.memory_bytes = size_t{1} << 20;
  half.attention.coverage_wait = Milliseconds(100);
  half.expert.isa = "scalar";  // everywhere the same bytes
  Open(Door::kHalfCovered, AddCluster(half, "no expert worker that serves holds")->coordinator(),
       Text(kTinyFolder));
}

// Each server stops its coordinator, before the workers go.
FrontDoors::~FrontDoors() = default;

// Until what the fleet misses begins with `missing`; empty: until it is whole.
EmbeddedCluster* FrontDoors::AddCluster(EmbeddedOptions options, const std::string& missing) {
  auto cluster = EmbeddedCluster::Start(std::move(options));
  EXPECT_TRUE(cluster.ok()) << cluster.status();
  clusters_.push_back(*std::move(cluster));
  EmbeddedCluster* added = clusters_.back().get();
  if (missing.empty()) {
    const absl::Status whole = added->WaitUntilWhole(kPatience);
    EXPECT_TRUE(whole.ok()) << whole;
    return added;
  }
  const Time until = Now() + kPatience;
  std::string now;
  while (Now() < until && now.rfind(missing, 0) != 0) {
    now = added->coordinator().List().missing;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  EXPECT_EQ(now.substr(0, missing.size()), missing) << now;
  return added;
}

void FrontDoors::Open(Door door, Coordinator& coordinator, std::shared_ptr<const TextModel> text) {
  auto server = CoordinatorServer::Start(&coordinator, std::move(text), {},
                                         CoordinatorServer::Workers::kAreHere);
  ASSERT_TRUE(server.ok()) << server.status();
  // Unbounded: what is too large, the server is to say.
  channels_[door] = grpc::CreateCustomChannel(
      (*server)->address(), grpc::InsecureChannelCredentials(), ClientArguments(-1));
  servers_[door] = *std::move(server);
}

grpc::Status FrontDoors::Call(Door door, const std::string& method, const std::string& bytes,
                              const std::function<void(const std::string&)>& on_message) {
  grpc::ClientContext context;
  context.set_wait_for_ready(true);
  grpc::CompletionQueue queue;
  const auto done = [&queue] {
    void* tag = nullptr;
    bool ok = false;
    return queue.Next(&tag, &ok) && ok;
  };
  grpc::GenericStub stub(channels_.at(door));
  auto call = stub.PrepareCall(&context, "/expertmesh.v1.Generation/" + method, &queue);
  call->StartCall(nullptr);
  done();
  const grpc::Slice slice(bytes);
  call->WriteLast(grpc::ByteBuffer(&slice, 1), {}, nullptr);
  done();
  for (;;) {
    grpc::ByteBuffer answer;
    call->Read(&answer, nullptr);
    if (!done()) break;
    grpc::Slice whole;
    EXPECT_TRUE(answer.DumpToSingleSlice(&whole).ok());
    if (on_message) {
      on_message(std::string(reinterpret_cast<const char*>(whole.begin()), whole.size()));
    }
  }
  grpc::Status status;
  call->Finish(&status, nullptr);
  done();
  return status;
}

FrontDoors::Work::Work(FrontDoors& doors)
    : stub_(v1::Generation::NewStub(doors.channels_.at(Door::kBusy))) {
  v1::GenerateRequest request;
  request.set_text("Hi");
  request.mutable_stopping()->set_ignore_eos(true);
  v1::GenerateResponse first;
  // The work before may still hold the place for a moment.
  for (const Time until = Now() + std::chrono::seconds(20); Now() < until;) {
    context_ = std::make_unique<grpc::ClientContext>();
    reader_ = stub_->GenerateStream(context_.get(), request);
    if (reader_->Read(&first)) return;
    const grpc::Status refused = reader_->Finish();
    EXPECT_EQ(refused.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  }
  ADD_FAILURE() << "the worker stays busy";
}

FrontDoors::Work::~Work() {
  context_->TryCancel();
  EXPECT_EQ(reader_->Finish().error_code(), grpc::StatusCode::CANCELLED);
}

}  // namespace expertmesh
