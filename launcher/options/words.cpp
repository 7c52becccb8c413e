#include "launcher/options/words.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/text/lower.h"

namespace ferry::launcher {
namespace {

// `words` are letters_of() names, separated by spaces.
struct Option {
  std::string_view words;
  KnownElsewhere here;
};

constexpr std::array kOfTheJob = std::to_array<Option>({
    {" text positive positiveprompt promptstr inputprompt p ", {"job.prompt", ""}},
    {" nprompt negprompt negative negativeprompts samplenegprompt uncondprompt ",
     {"job.negative_prompt", ""}},
    {" width height w h targetwidth targetheight videowidth videoheight imagewidth imageheight ",
     {"job.size", "WIDTHxHEIGHT"}},
    {" resolution videosize imagesize framesize targetsize videoresolution sizewh ", {"job.size", ""}},
    {" framenum numframes numframe nframes framecount videolength targetvideolength length videoframes "
     "totalframes numvideoframes ",
     {"job.frames", ""}},
    {" numinferencesteps numinferencestep inferencesteps infersteps inferstep samplesteps samplingsteps "
     "samplestep numsteps numsamplingsteps denoisingsteps step ddimsteps numstep ",
     {"job.steps", ""}},
    {" samplesolver solver scheduler samplername samplingmethod samplemethod schedulername sampleralgorithm ",
     {"job.sampler", ""}},
    {" guidancescale guidescale sampleguidescale cfgscale guidancestrength embeddedcfgscale "
     "embeddedguidancescale cfgguidancescale classifierfreeguidance guide realguidancescale truecfgscale g ",
     {"job.guidance", ""}},
    {" flowshift sampleshift timeshift timestepshift sigmashift schedulershift discreteflowshift ",
     {"job.shift", ""}},
    {" baseseed noiseseed manualseed randomseed globalseed generator initseed ", {"job.seed", ""}},
    {" framerate framespersecond outputfps samplefps videofps savefps ", {"job.fps", ""}},
    {" savefile savepath output outputpath outputfile outputdir outdir outputname outfile savedir "
     "savevideo savevideopath saveresultpath resultpath videopath filename filenameprefix saveto o "
     "outputvideo savefolder outputfolder ",
     {"job.out", ""}},
    {" savelatent savelatents savelatentspath savetensors ", {"job.save", ""}},
    {" force forceoverwrite replace yes y ", {"job.overwrite", ""}},
});

constexpr std::array kOfTheRun = std::to_array<Option>({
    {" ckptdir ckpt ckptpath checkpoint checkpointdir checkpointpath modelpath modeldir modelid modelbase "
     "modelname modelnameorpath pretrainedmodelnameorpath pretrainedmodelpath pretrainedmodel "
     "pretrainedmodeldir modelroot modelfolder repoid ditpath dit transformerpath unetname weights "
     "weightspath task m ",
     {"model.path", ""}},
    {" cpu usecpu forcecpu ", {"model.device", "cpu"}},
    {" gpu usegpu cuda usecuda ", {"model.device", "cuda"}},
    {" devicetype torchdevice accelerator ", {"model.device", ""}},
    {" precision torchdtype weightdtype ditdtype mixedprecision ditprecision modeldtype computedtype "
     "basedtype paramdtype dittorchdtype transformerdtype ",
     {"model.dtype", ""}},
    {" bf16 usebf16 ", {"model.dtype", "bf16"}},
    {" fp32 usefp32 nohalf fullprecision ", {"model.dtype", "fp32"}},
    {" vaeprecision vaetorchdtype vaecomputedtype ", {"model.vae_dtype", ""}},
    {" ulyssessize ulyssesdegree ulyssesparallelsize ulyssesparalleldegree spsize spdegree "
     "sequenceparallelsize sequenceparallel sequenceparalleldegree contextparallelsize cpsize cpdegree "
     "seqparallelsize usp ",
     {"parallel.ulysses", ""}},
    {" cfgsize cfgdegree cfgparallel cfgparallelsize usecfgparallel enablecfgparallel cfgp "
     "classifierfreeguidanceparallel ",
     {"parallel.cfg", "parallel"}},
    {" dataparallel dataparalleldegree dataparallelsize dpsize dpdegree ", {"parallel.data", ""}},
    {" np nproc nprocpernode numgpus numgpu ngpus ngpu gpus numprocesses numranks worldsize nranks "
     "ntasks numdevices ",
     {"ranks", ""}},
    {" offloadmodel enablemodelcpuoffload modelcpuoffload cpuoffload usecpuoffload enablecpuoffload "
     "lowvram lowvrammode offloading enableoffload novram ",
     {"offload.type", "model"}},
    {" enablesequentialcpuoffload sequentialcpuoffload sequentialoffload ", {"offload.type", "sequential"}},
    {" groupoffload groupoffloading enablegroupoffload blockstoswap blockswap numblockstoswap "
     "layerwiseoffload asyncoffload ditlayerwiseoffload ditcpuoffload ditfsdp usefsdpinference fsdp ",
     {"dit.offload.type", "async"}},
    {" t5cpu t5fsdp t5offload textencodercpuoffload textencoderoffload offloadt5 textencodercpu ",
     {"text_encoder.offload.type", "model"}},
    {" vaecpuoffload vaeoffload vaecpu offloadvae ", {"vae.offload.type", "model"}},
    {" vramlimit gpumemorylimit maxvram vrambudget maxmemory vrammanagement ", {"offload.vram_limit", ""}},
    {" pinmemory pincpumemory pinnedmemory usepinnedmemory ", {"offload.pin_cpu_memory", ""}},
    {" prefetch numprefetch prefetchblocks ", {"offload.prefetch_size", ""}},
    {" lora lorapath loraweights lorafile loras loraname loradir loramodel loramodelpath ",
     {"lora.path", ""}},
    {" loraweight lorascale loramultiplier lorastrength loraalpha strengthmodel loraweightscale lorascales ",
     {"lora.strength", ""}},
    {" attnmode attention attnimpl attentionbackend attnbackend attentiontype attn sageattn ",
     {"attention.impl", ""}},
    {" log loglevel logginglevel verbosity ", {"run.log_level", ""}},
    {" verbose debug v ", {"run.log_level", "debug"}},
    {" quiet q silent ", {"run.log_level", "error"}},
    {" dry checkonly validateonly ", {"run.dry_run", ""}},
    {" timeout deadline nccltimeout disttimeout ", {"run.deadline_s", ""}},
    {" trace profile profiler profilepath tracefile timeline ", {"trace.file", ""}},
    {" configfile configpath cfgfile conf c argsfile ", {"config", ""}},
});

struct Value {
  std::string_view words;
  std::string_view here;
};

constexpr std::array kValues = std::to_array<Value>({
    {" unipcmultistep unipcbh1 unipcbh2 unipcmultistepscheduler flowunipc ", "unipc"},
    {" dpm dpmpp dpmpp2m dpm++2m dpmsolver dpmsolver++ dpmsolverpp dpmsolvermultistep flowdpmpp flowdpm++ "
     "dpmpp2msde dpm++sde dpmppsde ",
     "dpm++"},
    {" eulerdiscrete floweuler flowmatcheuler flowmatcheulerdiscrete flowmatch eulersimple eulerancestral "
     "eulera vanilla ddpm ",
     "euler"},
    {" lcm distill distilled stepdistill causvid turbo lightning lightx2v flowmatchcausvid dmd dmd2 hyper "
     "flowlcm tcd selfforcing ",
     "step_distill"},
    {" bfloat16 torchbfloat16 bfloat b16 ", "bf16"},
    {" float32 torchfloat32 float single f32 full ", "fp32"},
    {" float16 torchfloat16 half f16 ", "fp16"},
    {" fp8e4m3 fp8e4m3fn float8e4m3fn float8 f8e4m3 ", "fp8"},
    {" gpu nvidia cuda0 cuda:0 ", "cuda"},
    {" group block layerwise stream streams ", "async"},
    {" enablesequentialcpuoffload sequentialcpuoffload leaf ", "sequential"},
    {" modelcpuoffload enablemodelcpuoffload stage ", "model"},
    {" off no false disabled resident ", "none"},
    {" trace verbose ", "debug"},
    {" warn ", "warning"},
    {" critical fatal quiet ", "error"},
    {" sdpa flash flashattn torch xformers flash2 flash3 ", "auto"},
});

// Ferry's counterpart in the first entry with the word; nothing if there is none.
template <typename Entries>
auto here_of(const Entries& entries, std::string_view word) {
  const std::string sought = fmt::format(" {} ", letters_of(word));
  const auto found = std::find_if(entries.begin(), entries.end(), [&](const auto& entry) {
    return sought.size() > 2 && entry.words.find(sought) != std::string_view::npos;
  });
  return found == entries.end() ? decltype(found->here){} : found->here;
}

}  // namespace

std::string letters_of(std::string_view word) {
  std::string letters;
  for (const char c : word) {
    if (c == '-' || c == '_' || c == '.' || c == ' ') continue;
    letters += lower(c);
  }
  return letters;
}

KnownElsewhere option_elsewhere(std::string_view word) {
  const KnownElsewhere of_the_job = here_of(kOfTheJob, word);
  return of_the_job.key.empty() ? here_of(kOfTheRun, word) : of_the_job;
}

bool is_without_counterpart(std::string_view word) {
  constexpr std::string_view kWords =
      " fp8 usefp8 fp8base fp8scaled fp8t5 int8 fp4 int4 nf4 quant quantize quantization loadin8bit "
      "loadin4bit promptfile promptspath promptsfile promptpath fromfile batchfile manifest prompttxt ";
  return kWords.find(fmt::format(" {} ", letters_of(word))) != std::string_view::npos;
}

std::string_view value_elsewhere(std::string_view word) { return here_of(kValues, word); }

}  // namespace ferry::launcher
