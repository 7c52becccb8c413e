// .pth files with more in them than one state dict at their root.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>

#include "checkpoint/checkpoint.h"
#include "checkpoint/formats/pth.h"
#include "tests/unit/checkpoint_support.h"

namespace ferry::checkpoint {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using testing::refusal;
using testing::TempFolder;

constexpr const char* kFiles = R"(
import argparse, collections, datetime, os, pathlib, sys, numpy, torch
out = sys.argv[1]
def save(name, what, **how):
    os.makedirs(out + "/" + name)
    torch.save(what, out + "/" + name + "/diffusion_pytorch_model.pt", **how)
def net(value):
    return collections.OrderedDict((k, torch.full((2,), value)) for k in
        ("patch_embedding.weight", "blocks.0.self_attn.q.weight", "head.head.weight"))
prefixed = {"model._fsdp_wrapped_module." + k: v for k, v in net(1.).items()}
optimizer = {"state": {0: {"step": torch.tensor(3.), "exp_avg": torch.zeros(2)}}, "param_groups": [{"lr": 1e-4, "params": [0]}]}
for key in ("state_dict", "model_state", "model", "module", "ema", "generator", "generator_ema", "params"):
    save(key, {key: net(1.), "epoch": 3})
save("deep", {"model": {"ema": {"state_dict": net(1.)}}})
save("beside_optimizer", {"optimizer": optimizer, "model": net(1.)})
save("fsdp", {"generator": prefixed, "step": 5})
save("root_and_optimizer", {**net(1.), "optimizer": optimizer})
save("several", {"generator": net(1.), "generator_ema": net(2.), "critic": {"foo.weight": torch.zeros(1)}})
save("root_and_ema", {**net(1.), "ema": net(2.)})
save("none", {"a": {"foo.weight": torch.zeros(1)}, "b": {"bar": torch.zeros(1)}})
save("empty", {"state_dict": {}, "epoch": 1})
one = net(1.)
save("same_twice", {"model": one, "state_dict": one})
cyclic = {"model": net(1.)}; cyclic["self"] = cyclic
save("cyclic", cyclic)
save("defaultdict", {"model": collections.defaultdict(list, net(1.))})
harmless = dict(device=torch.device("cuda", 0), dtype=torch.float16, size=torch.Size([1, 2]), layout=torch.strided,
    step=numpy.int64(7), loss=numpy.float32(.5), flag=numpy.bool_(True), kind=numpy.dtype("f4"), array=numpy.arange(3),
    args=argparse.Namespace(lr=1e-4, betas=(.9, .95)), path=pathlib.PurePosixPath("/x"), when=datetime.datetime(2025, 1, 1),
    seen={1, 2}, fixed=frozenset([3]), raw=b"bytes", more=bytearray(b"x"), seed=2**70, version=torch.__version__[:3],
    count=collections.Counter("ab"), part=slice(1, 2), number=1j, nothing=None, words=["a", ("b", 1.5)])
for protocol in (2, 3, 4, 5): save("harmless%d" % protocol, {**harmless, **net(1.)}, pickle_protocol=protocol)
class Version(str): pass
save("version", {"version": torch.torch_version.TorchVersion("2.11.0"), **net(1.)})
)";

class NestedPth : public ::testing::Test {
 public:
  static void SetUpTestSuite() {
    folder_ = std::make_unique<TempFolder>();
    if (testing::has_python()) testing::run_python(kFiles, {folder_->path()});
  }
  static void TearDownTestSuite() { folder_.reset(); }
  void SetUp() override {
    if (!testing::has_python()) GTEST_SKIP() << "no Python with torch";
  }
  static std::string path(const std::string& name) { return *folder_ / name; }
  static Checkpoint open(const std::string& name, const std::string& key = {}) {
    return Checkpoint::open(path(name), Part::Dit, key);
  }
  // The value that all three tensors of a network hold.
  static float value(const Checkpoint& checkpoint) {
    const TensorEntry* entry = checkpoint.find("blocks.0.self_attn.q.weight");
    if (checkpoint.entries().size() < 3 || entry == nullptr) return 0;
    float first = 0;
    std::memcpy(&first, entry->data, sizeof first);
    return first;
  }

 private:
  static std::unique_ptr<TempFolder> folder_;
};
std::unique_ptr<TempFolder> NestedPth::folder_;

TEST_F(NestedPth, SingleNetworkIsTakenAndSaid) {
  for (const char* key :
       {"state_dict", "model_state", "model", "module", "ema", "generator", "generator_ema", "params"}) {
    const Checkpoint checkpoint = open(key);
    EXPECT_EQ(value(checkpoint), 1.0F) << key;
    EXPECT_THAT(checkpoint.notes(), ElementsAre(HasSubstr(std::string("those of ") + key))) << key;
  }
  EXPECT_THAT(open("deep").notes(), ElementsAre(HasSubstr("model.ema.state_dict")));
  for (const char* name : {"fsdp", "same_twice", "cyclic", "defaultdict"})
    EXPECT_EQ(value(open(name)), 1.0F) << name;
}

TEST_F(NestedPth, OtherTensorsBesideItAreNamed) {
  const Checkpoint nested = open("beside_optimizer");
  EXPECT_EQ(value(nested), 1.0F);
  EXPECT_THAT(nested.notes(),
              ElementsAre(AllOf(HasSubstr("those of model"), HasSubstr("optimizer.state.0"))));
  EXPECT_THAT(open("root_and_optimizer").notes(),
              ElementsAre(AllOf(HasSubstr("the top level"), HasSubstr("optimizer.state.0"))));
}

TEST_F(NestedPth, SeveralNetworksAreNamedAndRefused) {
  EXPECT_THAT(refusal([] { open("several"); }),
              AllOf(HasSubstr("2 networks"), HasSubstr("generator, generator_ema"),
                    HasSubstr("--model.dit_key"), Not(HasSubstr("critic"))));
  EXPECT_THAT(refusal([] { open("root_and_ema"); }), HasSubstr("., ema"));
}

TEST_F(NestedPth, KeyPicksOne) {
  EXPECT_EQ(value(open("several", "generator")), 1.0F);
  EXPECT_EQ(value(open("several", "generator_ema")), 2.0F);
  EXPECT_EQ(value(open("root_and_ema", ".")), 1.0F);
  EXPECT_EQ(value(open("root_and_ema", "ema")), 2.0F);
  EXPECT_EQ(value(open("deep", "model.ema.state_dict")), 1.0F);
  EXPECT_THAT(refusal([] { open("several", "genrator"); }),
              AllOf(HasSubstr("--model.dit_key genrator"), HasSubstr("generator, generator_ema, critic")));
  EXPECT_THAT(refusal([] { Checkpoint::open(testing::demo_model(), Part::Dit, "generator"); }),
              AllOf(HasSubstr("--model.dit_key generator"), HasSubstr("no .pth file")));
}

TEST_F(NestedPth, NoNetworkAtAll) {
  EXPECT_THAT(refusal([] { open("none"); }), AllOf(HasSubstr("none of its dicts"), HasSubstr("a, b")));
  EXPECT_THAT(refusal([] { open("empty"); }), HasSubstr("holds no tensors"));
}

TEST_F(NestedPth, HarmlessValuesBesideTheTensorsAreSkipped) {
  for (const char* name : {"harmless2", "harmless3", "harmless4", "harmless5", "version"}) {
    const Checkpoint checkpoint = open(name);
    EXPECT_EQ(value(checkpoint), 1.0F) << name;
    EXPECT_EQ(checkpoint.entries().size(), 3U) << name;
    EXPECT_THAT(checkpoint.notes(), IsEmpty()) << name;
  }
}

// What a harmless name is called with is never looked at, and what it is not stays refused.
TEST_F(NestedPth, NothingIsExecuted) {
  const TempFolder folder;
  testing::run_python(R"PY(
import os, sys, torch, numpy
class Call:
    def __init__(self, f, *a): self.f, self.a = f, a
    def __reduce__(self): return (self.f, self.a)
def save(name, what): torch.save({"patch_embedding.weight": torch.zeros(1), "x": what}, sys.argv[1] + "/" + name)
save("eval.pth", Call(eval, "open('" + sys.argv[1] + "/ran', 'w')"))
save("exec.pth", Call(exec, "open('" + sys.argv[1] + "/ran', 'w')"))
save("inside.pth", Call(torch.device, Call(os.system, "touch " + sys.argv[1] + "/ran")))
save("load.pth", Call(numpy.load, sys.argv[1] + "/x.npy"))
save("storage.pth", torch.float16)
)PY",
                      {folder.path()});
  for (const auto& [name, word] : std::vector<std::pair<std::string, std::string>>{
           {"eval.pth", "eval"}, {"exec.pth", "exec"}, {"inside.pth", "system"}, {"load.pth", "load"}}) {
    EXPECT_THAT(refusal([&] { open_pth(folder / name); }), AllOf(HasSubstr("refused"), HasSubstr(word)));
  }
  EXPECT_EQ(open_pth(folder / "storage.pth").entries.size(), 1U);
  EXPECT_FALSE(fs::exists(folder / "ran"));
}

}  // namespace
}  // namespace ferry::checkpoint
